"""Dates that are late, changed, refused or stale: found, loaded again where the contract says so, and told once."""

import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import DagRunTriggerException
from airflow.sdk.exceptions import TaskDeferred
from contract.dataset import load_contract
from contract.files import split_s3
from lake.bundle import digest_of_this_process
from lake.comparison import compare
from lake.manifest import read_manifest, write_manifest
from lake.operators.reconcile import ReconcileOperator
from lake.operators.send_digest import SendDigestOperator
from lake.paths import Paths
from lake.published import folders_of_other_datasets, made_now
from lake.tables import public_table

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACTS = {
    name: load_contract(REPOSITORY / "include" / "datasets" / f"{name}.yaml")
    for name in ("customers", "orders", "sales")
}
ORDERS = CONTRACTS["orders"]


class Airflow:
    """The runs that there are, by DAG and name, each with its state and logical date, as a task can ask for them."""

    def __init__(self):
        self.runs, self.paused = {}, set()

    def get_dr_count(self, dag_id, logical_dates=None, run_ids=None, states=None):
        return sum(
            dag == dag_id
            and (run_ids is None or run in run_ids)
            and (states is None or state in states)
            and (logical_dates is None or logical in logical_dates)
            for (dag, run), (state, logical) in self.runs.items()
        )

    def get_dag(self, dag_id):
        return SimpleNamespace(is_paused=dag_id in self.paused)


@pytest.fixture
def airflow():
    return Airflow()


@pytest.fixture
def lake(aws, settings):
    """Raw files and what is published, put in place by hand, and taken away again."""
    s3, glue, received, published = aws("s3"), aws("glue"), set(), set()

    def receive(dataset, ds, body=b"x"):
        received.add(f"{dataset}/ds={ds}/{dataset}.csv")
        s3.put_object(Bucket=settings.raw_bucket, Key=f"{dataset}/ds={ds}/{dataset}.csv", Body=body)

    def publish(dataset, ds, run, listed="2000-01-01", failed=()):
        contract = CONTRACTS[dataset]
        names, paths = settings.names(dataset), Paths(settings, contract, ds, run)
        listing = s3.list_objects_v2(Bucket=settings.raw_bucket, Prefix=names.raw(ds)).get("Contents", [])
        files = [{"key": item["Key"], "etag": item["ETag"].strip('"')} for item in listing]
        write_manifest(s3, paths.manifest("stage_raw"), {"files": files, "duplicate_files": [], "listed": listed})
        write_manifest(s3, paths.manifest("clean"), {"versions": {"bundle": digest_of_this_process()}})
        write_manifest(s3, paths.manifest("validate"), {"failed": list(failed)})
        made_from = made_now(contract, folders_of_other_datasets(glue, settings, contract, ds), ds)
        table = public_table(glue, settings, contract)
        table.ensure()
        parameters = {"submission": f"{run}-0123abcd", "numRows": "1", "made_from": json.dumps(made_from)}
        table.point(ds, f"s3://anywhere/{dataset}/{ds}/{run}/", parameters)
        published.add((names.database, names.table, ds))

    yield SimpleNamespace(receive=receive, publish=publish)
    for key in received:
        s3.delete_object(Bucket=settings.raw_bucket, Key=key)
    for database, table, ds in published:
        glue.delete_partition(DatabaseName=database, TableName=table, PartitionValues=[ds])


@pytest.fixture
def reconcile(settings, aws, airflow):
    """Run the task of a dataset on the morning of a day: what it started, and what it reports."""

    def reconcile(dataset, day, *, days=2, **params):
        contract = CONTRACTS[dataset]
        contract = contract.model_copy(update={"reconcile": contract.reconcile.model_copy(update={"days": days})})
        task = ReconcileOperator(task_id=dataset, settings=settings, contract=contract)
        context = {
            "ti": airflow,
            "run_id": f"scheduled__{day}",
            "data_interval_end": datetime.fromisoformat(f"{day}T08:00+00:00"),
            "params": {"dry_run": False} | params,
        }
        started = None
        try:
            task.execute(context)
        except DagRunTriggerException as trigger:
            started = trigger
            airflow.runs[trigger.trigger_dag_id, trigger.dag_run_id] = ("queued", None)
        uri = Paths(settings, contract, "{ds}", f"scheduled__{day}").reprocess_manifest("reconcile")
        return started, read_manifest(aws("s3"), uri)

    return reconcile


def kinds(told):
    return {entry["ds"]: entry["kind"] for entry in told["findings"]}


def test_a_weekend_without_airflow_heals_on_monday_by_itself(lake, reconcile, airflow):
    for ds in ("2027-03-05", "2027-03-06", "2027-03-07"):
        lake.receive("orders", ds)
    lake.publish("orders", "2027-03-05", "friday")
    lake.receive("orders", "2027-03-05", b"corrected")
    airflow.runs["ingest_orders", "scheduled"] = ("running", datetime(2027, 3, 7, tzinfo=UTC))
    started, told = reconcile("orders", "2027-03-08", days=4)
    # Sunday is being loaded by its own run, and Thursday has never had a file.
    assert kinds(told) == {"2027-03-04": "missing", "2027-03-05": "changed", "2027-03-06": "new"}
    assert (started.trigger_dag_id, started.dag_run_id) == ("reprocess_orders", "reconcile__2027-03-08")
    dates = ["2027-03-05", "2027-03-06"]
    assert started.conf == {"start": dates[0], "end": dates[1], "dates": dates, "dry_run": False}
    assert told["started"] == {"dag_id": "reprocess_orders", "run_id": "reconcile__2027-03-08", "dates": dates}

    again, told_again = reconcile("orders", "2027-03-08", days=4)
    assert again is None, "a second try of the task starts nothing more"
    assert told_again["started"] == told["started"]

    for ds in dates:
        lake.publish("orders", ds, "again")
    lake.publish("orders", "2027-03-07", "sunday")
    started, told = reconcile("orders", "2027-03-09", days=4)
    assert (started, told["findings"]) == (
        None,
        [{"ds": "2027-03-08", "kind": "missing", "since": "2027-03-09 00:00", "why": ""}],
    )


def test_nothing_is_started_beside_another_run_nor_when_paused_nor_in_a_dry_run(lake, reconcile, airflow):
    lake.receive("orders", "2027-04-01")
    airflow.runs["reprocess_orders", "by hand"] = ("running", None)
    assert reconcile("orders", "2027-04-02", days=1)[1]["held"] == "a run of reprocess_orders is under way"
    airflow.runs.clear()
    airflow.paused.add("reprocess_orders")
    assert reconcile("orders", "2027-04-02", days=1)[1]["held"] == "reprocess_orders is paused"
    airflow.paused.clear()
    started, told = reconcile("orders", "2027-04-02", days=1, dry_run=True)
    assert (started, told["started"], told["held"]) == (None, None, "this is a dry run")
    assert reconcile("orders", "2027-04-02", days=1)[0] is not None


def test_what_was_refused_is_told_every_day_and_tried_again_when_something_changes(
    aws, lake, reconcile, airflow, settings
):
    lake.receive("orders", "2027-05-01")
    assert reconcile("orders", "2027-05-02", days=1)[0].conf["dates"] == ["2027-05-01"]
    airflow.runs["reprocess_orders", "reconcile__2027-05-02"] = ("failed", None)
    s3, paths = aws("s3"), Paths(settings, ORDERS, "{ds}", "reconcile__2027-05-02")
    (compared,) = compare(s3, aws("glue"), settings, ORDERS, ["2027-05-01"])
    write_manifest(s3, paths.reprocess_manifest("plan"), {"dates": {"2027-05-01": {"content": compared.content}}})
    refusal = {"2027-05-01": {"outcome": "refused", "why": "no header"}}
    write_manifest(s3, paths.reprocess_manifest("reprocess"), {"dates": refusal})
    started, told = reconcile("orders", "2027-05-03", days=2)
    assert started is None
    assert (kinds(told)["2027-05-01"], told["findings"][0]["why"]) == ("refused", "no header")
    lake.receive("orders", "2027-05-01", b"corrected")
    assert reconcile("orders", "2027-05-04", days=3)[0].conf["dates"] == ["2027-05-01"]


def test_a_rollback_is_not_undone_until_a_file_comes(aws, lake, reconcile, settings):
    lake.receive("orders", "2027-08-01")
    lake.publish("orders", "2027-08-01", "good")
    lake.receive("orders", "2027-08-01", b"bad")
    uri = Paths(settings, ORDERS, "2027-08-01", "").record("published")
    decided = datetime.now(UTC) + timedelta(seconds=1)
    write_manifest(aws("s3"), uri, {"listed": decided.isoformat(), "rolled_back_by": "manual__x"})
    started, told = reconcile("orders", "2027-08-02", days=1)
    assert (started, kinds(told)) == (None, {"2027-08-01": "rolled back"})
    time.sleep(max(0, (decided - datetime.now(UTC)).total_seconds()) + 1)
    lake.receive("orders", "2027-08-01", b"corrected")
    assert reconcile("orders", "2027-08-02", days=1)[0].conf["dates"] == ["2027-08-01"]
    bucket, key = split_s3(uri)
    aws("s3").delete_object(Bucket=bucket, Key=key)


def test_a_dimension_that_comes_late_makes_facts_stale_which_are_loaded_after_it(lake, reconcile, airflow):
    lake.receive("sales", "2027-06-01")
    lake.publish("customers", "2027-05-31", "daily")
    lake.publish("sales", "2027-06-01", "daily")
    assert reconcile("sales", "2027-06-02", days=1)[0] is None
    lake.receive("customers", "2027-06-01")
    assert reconcile("customers", "2027-06-02", days=1)[0].dag_run_id == "reconcile__2027-06-02"
    with pytest.raises(TaskDeferred) as waits:
        reconcile("sales", "2027-06-02", days=1)
    assert (waits.value.trigger.dag_id, waits.value.timeout) == ("reprocess_customers", timedelta(hours=6))
    lake.publish("customers", "2027-06-01", "late")
    airflow.runs["reprocess_customers", "reconcile__2027-06-02"] = ("success", None)
    started, told = reconcile("sales", "2027-06-02", days=1)
    assert kinds(told) == {"2027-06-01": "stale"}
    assert started.conf["dates"] == ["2027-06-01"]


def test_the_day_s_warnings_are_told_without_a_value_and_only_that_day(lake, reconcile, settings, inbox):
    failed = {
        "expectation": "expect_it",
        "column": "amount",
        "severity": "warning",
        "rows_failed": 3,
        "rows_checked": 9,
    }
    lake.receive("orders", "2027-07-01")
    lake.publish(
        "orders", "2027-07-01", "daily", "2027-07-02T00:05:00", [{**failed, "observed": "secret", "kwargs": {}}]
    )
    assert reconcile("orders", "2027-07-02", days=1)[1]["warnings"] == [
        "2027-07-01 warning: expect_it of amount, 3 of 9 rows"
    ]
    digest = SendDigestOperator(task_id="digest", settings=settings, contracts=[ORDERS])
    context = {"data_interval_end": datetime(2027, 7, 2, 8, tzinfo=UTC), "params": {"dry_run": False}}
    assert digest.execute({**context, "run_id": "scheduled__2027-07-02"}) == "reconcile 2027-07-02: 1 warnings"
    (message,) = inbox()
    assert "expect_it of amount, 3 of 9 rows" in message["Message"]
    assert "secret" not in message["Message"]
    lake.receive("orders", "2027-07-02")
    lake.publish("orders", "2027-07-02", "daily")
    assert reconcile("orders", "2027-07-03", days=2)[1]["warnings"] == []
    assert digest.execute({**context, "run_id": "scheduled__2027-07-03"}) is None
    assert inbox() == []


def test_airflow_itself_starts_a_run_for_the_late_date_and_sends_one_digest(airflow_command, tmp_path, lake, inbox):
    lake.receive("orders", "2027-02-08")

    def airflow_does(*words):
        run = airflow_command(*words)
        assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-3000:]

    airflow_does("dags", "reserialize")
    airflow_does("dags", "unpause", "reprocess_orders", "--yes")
    airflow_does("dags", "test", "reconcile", "2027-02-10")
    database = sqlite3.connect(tmp_path / "airflow.db")
    states = database.execute("SELECT dag_id, state FROM dag_run ORDER BY dag_id").fetchall()
    assert states == [("reconcile", "success"), ("reprocess_orders", "queued")]
    ((run_id, conf),) = database.execute(
        "SELECT run_id, conf FROM dag_run WHERE dag_id = 'reprocess_orders'"
    ).fetchall()
    assert run_id.startswith("reconcile__2027-02-")
    assert json.loads(conf)["dates"] == ["2027-02-08"]
    (message,) = inbox()
    assert "orders\n" in message["Message"]
    assert "not loaded:\n    2027-02-08, since" in message["Message"]
    assert f"started: reprocess_orders, run {run_id}, for 2027-02-08" in message["Message"]
