"""Orders through the whole pipeline, judged by a computation of our own over the raw files."""

import csv
import io
import json
from collections import defaultdict
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest

HEADER = ["OrderID", "Customer", "Amount", "Status", "OrderDate"]
CENT = Decimal("0.01")
pytestmark = pytest.mark.timeout(1200)


def orders_of(day, count, shift=0):
    """Rows of a date: every fourth order is pending, some long since; the amounts do not add up evenly."""
    statuses = ["pending", "confirmed", "shipped", "cancelled"]
    return [
        [
            f"O{number + shift:04}",
            f"Customer {number % 7}",
            str(Decimal(number * 37 % 991) + Decimal(number % 100) / 100),
            statuses[number % 4],
            str(day - timedelta(days=number % 60)),
        ]
        for number in range(1, count + 1)
    ]


def as_csv(rows):
    text = io.StringIO()
    csv.writer(text).writerows([HEADER, *rows])
    return text.getvalue().encode()


def kept(rows, ds):
    limit = date.fromisoformat(ds) - timedelta(days=30)
    return [r for r in rows if not (r[3] in ("pending", "cancelled") and date.fromisoformat(r[4]) < limit)]


def latest(days, as_of):
    """The latest version of each order over the dates up to `as_of`."""
    versions = {}
    for ds in sorted(day for day in days if day <= as_of):
        versions.update({row[0]: row for row in kept(days[ds], ds)})
    return list(versions.values())


def marts_of(rows):
    """What each mart must say, as sets of tuples of text."""
    total, count, months, statuses, by_month = (defaultdict(Decimal), defaultdict(int), {}, {}, defaultdict(list))
    for order_id, customer, text, status, order_date in rows:
        amount, month = Decimal(text).quantize(CENT), f"{order_date[:7]}-01"
        total[customer] += amount
        count[customer] += 1
        for table, key in ((months, month), (statuses, status)):
            number, revenue = table.get(key, (0, Decimal(0)))
            table[key] = (number + 1, revenue + amount)
        by_month[month].append((-amount, order_id, customer, status, order_date))
    return {
        "total_sales_by_customer": {(customer, str(amount)) for customer, amount in total.items()},
        "monthly_volume_and_revenue": {(month, str(n), str(revenue)) for month, (n, revenue) in months.items()},
        "status_summary": {(status, str(n), str(amount)) for status, (n, amount) in statuses.items()},
        "average_order_value_by_customer": {
            (customer, str((amount / count[customer]).quantize(CENT, ROUND_HALF_UP)))
            for customer, amount in total.items()
        },
        "top_10_orders_of_month": {
            (month, str(rank), order_id, customer, str(-amount), status, order_date)
            for month, orders in by_month.items()
            for rank, (amount, order_id, customer, status, order_date) in enumerate(sorted(orders)[:10], 1)
        },
    }


def columns_of(mart):
    return {
        "total_sales_by_customer": "customer, total_amount",
        "monthly_volume_and_revenue": "month, orders, revenue",
        "status_summary": "status, orders, total_amount",
        "average_order_value_by_customer": "customer, average_order_value",
        "top_10_orders_of_month": "month, rank, order_id, customer, amount, status, order_date",
    }[mart]


def published(stack, ds):
    return sorted(stack.query(f"SELECT order_id, amount, status, run_id FROM orders WHERE ds = '{ds}'"))


def assert_marts(stack, ds, rows):
    for mart, expected in marts_of(rows).items():
        found = stack.query(f"SELECT {columns_of(mart)} FROM {mart} WHERE ds = '{ds}'")
        assert set(found) == expected, f"{mart} as of {ds}"
        assert len(found) == len(expected), f"duplicates in {mart} as of {ds}"


def manifest(stack, ds, task):
    s3, bucket = stack.client("s3"), stack.variables["LAKE_ARTIFACTS_BUCKET"]
    listing = s3.list_objects_v2(Bucket=bucket, Prefix=f"manifests/orders/ds={ds}/")["Contents"]
    newest = max((o for o in listing if o["Key"].endswith(f"/{task}.json")), key=lambda o: o["LastModified"])
    return json.loads(s3.get_object(Bucket=bucket, Key=newest["Key"])["Body"].read())


def test_a_date_from_raw_file_to_marts_with_single_bad_rows(stack):
    ds = "2025-03-10"
    rows = orders_of(date.fromisoformat(ds), 300)
    bad = [
        ["O9001", "Ann", "12,50", "shipped", ds],
        ["O9002", "Ann", "1.00", "shipped", "2025-02-30"],
        ["O9003", "", "1.00", "shipped", ds],
        ["O9004", "Ann", "1.00", "lost", ds],
    ]
    stack.upload(ds, as_csv([*rows, *bad, rows[0]]))
    with a_run_of_the_scheduler(stack, ds):
        result = stack.airflow("dags", "test", "ingest_orders", ds)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert stack.lease_holders() == []
    assert len(published(stack, ds)) == len(kept(rows, ds)) == len({row[0] for row in published(stack, ds)})
    assert_marts(stack, ds, latest({ds: rows}, ds))
    quarantined = stack.query(f"SELECT source_line, rule, source_file FROM orders_quarantine WHERE ds = '{ds}'")
    assert sorted(quarantined) == [
        ("302", "amount_invalid", "orders.csv"),
        ("303", "order_date_invalid", "orders.csv"),
        ("304", "customer_missing", "orders.csv"),
        ("305", "status_not_allowed", "orders.csv"),
    ]
    counts = manifest(stack, ds, "clean")["rows"]
    assert counts["read"] == 305
    assert counts["quarantined"] == 4
    assert counts["duplicates"] == 1
    assert counts["read"] == sum([counts["published"], 4, 1, *counts["dropped"].values()])
    assert stack.worker_state() == "stopped"


def test_a_batch_that_must_fail_changes_nothing_and_alerts_once(stack):
    ds = "2025-03-10"
    queue = alert_queue(stack)
    before = published(stack, ds)
    rows = orders_of(date.fromisoformat(ds), 300)
    stack.upload(ds, as_csv([[*row[:2], f"-{row[2]}", *row[3:]] if n % 2 else row for n, row in enumerate(rows)]))
    result = stack.airflow("dags", "test", "ingest_orders", ds)
    assert result.returncode != 0
    assert published(stack, ds) == before
    assert_marts(stack, ds, latest({ds: rows}, ds))
    assert stack.worker_state() == "stopped"
    (alert,) = messages(stack, queue)
    assert alert["Subject"] == f"ingest_orders {ds}: validate failed"
    for said in (
        "quarantined_share",
        "150 of 300 rows",
        "orders",
        ds,
        "orders_db.orders_quarantine",
        "runbook.md#validate",
    ):
        assert said in alert["Message"], alert["Message"]
    assert stack.query(f"SELECT DISTINCT rule, count(*) FROM orders_quarantine WHERE ds = '{ds}' GROUP BY rule") == [
        ("amount_negative", "150")
    ]


TASKS = (
    *("wait_for_raw", "start_worker", "stage_raw", "snapshot_raw", "clean", "validate", "stop_worker", "promote"),
    *("crawl", "publish", "total_sales_by_customer"),
)
SINGLE_DS = "2025-05-05"
IN_ONE_PROCESS = """
import sys
from airflow.__main__ import main
dag_id, date, *tasks = sys.argv[1:]
for task in tasks:
    print("\\n===", task, flush=True)
    sys.argv = ["airflow", "tasks", "test", dag_id, task, date]
    main()
"""


@pytest.fixture(scope="module")
def tested(stack):
    """What `airflow tasks test` says of each task of a date, by task.

    The first command is as a user types it. The others share a process, as the tasks of `dags test` do: Airflow takes
    ten seconds of processor time to start, and they next to nothing.
    """
    stack.upload(SINGLE_DS, as_csv(single_rows()))
    first, *others = TASKS
    typed = stack.airflow("tasks", "test", "ingest_orders", first, SINGLE_DS)
    databases = 'AIRFLOW_HOME="$LAKE_TEST_HOME" AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="$LAKE_TEST_DATABASE"'
    result = stack.shell(f'{databases} exec python -c "$@" 2>&1', IN_ONE_PROCESS, "ingest_orders", SINGLE_DS, *others)
    said = (part.partition("\n") for part in result.stdout.split("\n=== ")[1:])
    return {first: typed.stdout + typed.stderr, **{task: text for task, _, text in said}}


@pytest.mark.parametrize("task", TASKS)
def test_single_tasks_from_the_command_line(stack, task, tested):
    # The command's exit code does not say whether the task succeeded.
    assert "new_state=success" in tested[task], tested[task][-6000:]
    if task == "publish":
        assert len(published(stack, SINGLE_DS)) == len(kept(single_rows(), SINGLE_DS))


def single_rows():
    return orders_of(date.fromisoformat(SINGLE_DS), 40, shift=7000)


@contextmanager
def a_run_of_the_scheduler(stack, ds):
    """The date has a run, waiting; what the block does leaves it as it is, and adds no other."""
    api = stack.api
    api.wait_for_dag("ingest_orders")
    api.pause("ingest_orders", True)
    runs = f"{api.address}/api/v2/dags/ingest_orders/dagRuns"
    run_id = api.trigger("ingest_orders", {}, logical_date=f"{ds}T00:00:00Z")

    def seen():
        ids = sorted(run["dag_run_id"] for run in api.session.get(runs).json()["dag_runs"])
        return ids, api.dag_run("ingest_orders", run_id), api.task_instances("ingest_orders", run_id)

    before = seen()
    assert run_id in before[0]
    yield
    assert seen() == before
    api.session.delete(f"{runs}/{run_id}").raise_for_status()


def alert_queue(stack):
    """A queue that receives the alerts, as a team's chat or pager would."""
    sqs, topic = stack.client("sqs"), stack.variables["LAKE_ALERT_TOPIC_ARN"]
    url = sqs.create_queue(QueueName="alerts")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    stack.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def messages(stack, queue):
    sqs, received = stack.client("sqs"), []
    while batch := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages"):
        for message in batch:
            received.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return received
