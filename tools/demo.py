"""`python -m tools.demo`: generated files of every dataset through the whole pipeline, by Airflow's scheduler.

A date of customers and products, then that date's sales, a week of online_retail in one Spark session, and a week of
orders as a backfill. Starts the stack unless it runs already, uploads the raw files, follows the runs, shows and
verifies what came out, and stops what it started.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import boto3
from contract.dataset import Contract
from contract.names import Names
from lake.contracts import load_contracts
from rich.live import Live
from rich.table import Table

from tools import samples, stack
from tools.airflow_api import AirflowApi, moment, seconds
from tools.athena import query
from tools.console import console, record, run, save_end_as_svg, step, table
from tools.environment import LOCAL
from tools.processes import StackError

DATASET = "orders"
DAG_ID = f"ingest_{DATASET}"
RUN_SECONDS = 1800
# Each has a JVM of its own; more would only take memory, on the two cores of a small laptop.
ACTIVE_RUNS = 2
LOG_LINES = 25
SAMPLES = LOCAL / "samples"
# Enough for every sale to have its customer and product, except those made to have none.
CUSTOMERS, PRODUCTS = 60, 40
SALES, RETAIL_LINES = 600, 400
# What one row adds to the sum that is compared with the generator's.
AMOUNTS = {"orders": "amount", "sales": "total_amount", "online_retail": "quantity * unit_price"}
COUNTS = ("read", "published", "quarantined", "dropped", "duplicates")
# Rules of a dataset that are printed; the others are summed.
SHOWN_RULES = 4
FINISHED = ("success", "failed")


@dataclass(frozen=True)
class Week:
    """What the demo loads.

    Args:
        start: first date.
        days: number of dates.
        rows: orders per date.
        seed: of the generator; the same seed gives the same files.
    """

    start: date
    days: int
    rows: int
    seed: int

    @property
    def last(self) -> date:
        """The last date."""
        return self.start + timedelta(days=self.days - 1)

    @property
    def dates(self) -> list[date]:
        """All dates."""
        return [self.start + timedelta(days=number) for number in range(self.days)]


WEEK = Week(start=date(2025, 6, 24), days=7, rows=1000, seed=1)
"""What `make demo` loads."""


@dataclass(frozen=True)
class Backfill:
    """A run of `ingest_<dataset>` for each date from `first` to `last`."""

    api: AirflowApi
    dataset: str
    first: date
    last: date

    @property
    def dag_id(self) -> str:
        """The DAG."""
        return f"ingest_{self.dataset}"

    @property
    def count(self) -> int:
        """How many runs there will be."""
        return (self.last - self.first).days + 1

    def runs(self) -> list[dict[str, Any]]:
        """The runs so far, by date."""
        return self.api.backfill_runs(self.dag_id, self.first, self.last)

    def create(self) -> None:
        """Start it, after what an interrupted demo left of it has ended."""
        self.end()
        self.api.create_backfill(self.dag_id, self.first, self.last, ACTIVE_RUNS)

    def end(self) -> None:
        """End what is unfinished."""
        self.api.cancel_backfills(self.dag_id)
        self.api.end_runs(self.runs)


@dataclass
class Reprocess:
    """One run of `reprocess_<dataset>` for the dates from `first` to `last`."""

    api: AirflowApi
    dataset: str
    first: date
    last: date
    run_id: str | None = None
    count = 1

    @property
    def dag_id(self) -> str:
        """The DAG."""
        return f"reprocess_{self.dataset}"

    def runs(self) -> list[dict[str, Any]]:
        """The run, once there is one."""
        return [self.api.dag_run(self.dag_id, self.run_id)] if self.run_id else []

    def create(self) -> None:
        """Start it."""
        conf = {"start": f"{self.first}", "end": f"{self.last}", "dry_run": False}
        self.run_id = self.api.trigger(self.dag_id, conf)

    def end(self) -> None:
        """End it if it is unfinished."""
        self.api.end_runs(self.runs)


Job = Backfill | Reprocess


def demo(week: Week) -> None:
    """Run the demo.

    Raises:
        StackError: when a run fails, with the end of its log, or when the result is not what the generator expects.
    """
    began = time.monotonic()
    contracts = load_contracts()
    with running_stack() as variables:
        session = boto3.Session(
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
        )
        clients = {name: session.client(name, endpoint_url=variables["AWS_ENDPOINT_URL"]) for name in ("s3", "athena")}
        workgroup = variables["LAKE_ATHENA_WORKGROUP"]
        api = AirflowApi(variables["AIRFLOW__API__BASE_URL"])
        with step(f"files of 5 datasets generated and uploaded to s3://{variables['LAKE_RAW_BUCKET']}"):
            expected = generate(week)
            upload(clients["s3"], variables["LAKE_RAW_BUCKET"], SAMPLES)
        orders = Backfill(api, DATASET, week.start, week.last)
        retail = Reprocess(api, "online_retail", week.start, week.last)
        customers, products, sales = (
            Backfill(api, dataset, week.start, week.start) for dataset in ("customers", "products", "sales")
        )
        console.print("\n[bold]Customers and products[/] come first: the sales of their date refer to them")
        load(api, [customers, products])
        console.print(
            f"\n[bold]Sales[/], and beside them {week.days} days of [bold]online_retail[/] in one Spark session"
        )
        load(api, [sales, retail])
        console.print(f"\n[bold]Orders[/]: a run a date, {ACTIVE_RUNS} at a time; this is what it would be by hand:")
        console.print(
            f"$ airflow backfill create --dag-id {DAG_ID} --max-active-runs {ACTIVE_RUNS} \\\n"
            f"    --from-date {week.start} --to-date {week.last} --reprocess-behavior completed"
        )
        backfill_seconds = load(api, [orders])
        found = {
            dataset: read_counts(clients["s3"], variables["LAKE_ARTIFACTS_BUCKET"], dataset, days)
            for dataset, days in expected.items()
        }
        for dataset, days in expected.items():
            check_published(clients["athena"], workgroup, contracts[dataset], days)
        show_rows(found)
        show_rules(found)
        show_marts(clients["athena"], workgroup, week)
        show_times(api, orders.runs(), backfill_seconds)
    files = sum(len(days) for days in expected.values())
    console.print(
        f"""
[bold green]Done[/] in {time.monotonic() - began:.0f} s: {files} files of {len(expected)} datasets loaded and published;
each count and sum above is the one that the generator of the files says.

  Where to look next:
    make up                  the same stack, to stay: these runs, own files, SQL
    {variables["AIRFLOW__API__BASE_URL"]:<24} then: Airflow's graph, logs and times of each run
    {variables["LAKE_DATA_DOCS_URL"]:<24} then: Data Docs, what was checked in each run
    dags/ingest.py           the pipeline: one DAG for each contract
    include/datasets/        the contracts: columns, rules, marts
    .local/samples/          the files that were loaded, and what was expected
    README.md                everything else
"""
    )


@contextmanager
def running_stack() -> Iterator[dict[str, str]]:
    """Yield the variables of the running stack; start it when it does not run, and stop it afterwards only then."""
    if stack.is_running():
        console.print("the stack runs already, and stays up")
        yield stack.up()
        return
    try:
        # Without a schedule: only the week is to run, not yesterday's date too.
        yield stack.up(schedule=False)
    finally:
        stack.down()


def sizes(week: Week) -> dict[str, tuple[int, int]]:
    """Return for each dataset, in the order in which they are shown, the number of dates and the rows of each."""
    return {
        "customers": (1, CUSTOMERS),
        "products": (1, PRODUCTS),
        "sales": (1, SALES),
        "online_retail": (week.days, RETAIL_LINES),
        DATASET: (week.days, week.rows),
    }


def generate(week: Week) -> dict[str, dict[str, Any]]:
    """Write the raw files to `.local/samples`, and return what the pipeline must make of each dataset's dates."""
    shutil.rmtree(SAMPLES, ignore_errors=True)
    return {
        dataset: samples.write(dataset, week.start, days, rows, week.seed, SAMPLES)["days"]
        for dataset, (days, rows) in sizes(week).items()
    }


def upload(s3: Any, bucket: str, folder: Path) -> None:
    """Upload the raw files under `folder` to the same keys in `bucket`."""
    for path in sorted(folder.glob("*/ds=*/*")):
        s3.upload_file(str(path), bucket, str(path.relative_to(folder)))


def load(api: AirflowApi, jobs: Sequence[Job]) -> float:
    """Start the runs of all `jobs`, wait for their ends, and return how long they took, in seconds.

    Raises:
        StackError: when a run fails or they take too long; unfinished runs are ended then.
    """
    paused = {job.dag_id: api.wait_for_dag(job.dag_id)["is_paused"] for job in jobs}
    started = time.monotonic()
    try:
        for job in jobs:
            api.pause(job.dag_id, paused=False)
            job.create()
        follow(api, jobs)
    except BaseException:
        with step("unfinished runs ended, the worker stopped"):
            for job in jobs:
                job.end()
        raise
    else:
        # Airflow itself looks only every half minute whether a backfill is over.
        for job in jobs:
            job.end()
    finally:
        for dag_id, was_paused in paused.items():
            api.pause(dag_id, paused=was_paused)
    return time.monotonic() - started


def follow(api: AirflowApi, jobs: Sequence[Job]) -> None:
    """Show each run's stage until all have finished.

    Raises:
        StackError: when a run fails, with the failed task's last log lines, or they take too long together.
    """
    started = time.monotonic()
    stages: dict[str, str] = {}
    count = sum(job.count for job in jobs)
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            runs = [each for job in jobs for each in job.runs()]
            grid = Table("data", "run", "stage", "elapsed", box=None, pad_edge=False)
            for each in runs:
                name = data_of(each)
                stage, elapsed = progress(api, each)
                grid.add_row(name, each["state"], stage, elapsed)
                # Without a terminal each change is a line, so that a log tells the same story.
                if not console.is_terminal and stage and stages.get(name) != stage:
                    console.print(f"  {time.monotonic() - started:5.0f} s  {name}  {stage}")
                stages[name] = stage or stages.get(name, "")
            live.update(grid)
            for each in runs:
                if each["state"] == "failed":
                    raise StackError(explain_failure(api, each))
            if len(runs) == count and all(each["state"] == "success" for each in runs):
                break
            if time.monotonic() - started > RUN_SECONDS:
                raise StackError(f"the runs did not end within {RUN_SECONDS} s: see .local/logs/scheduler.log")
            time.sleep(1)
    console.print(f"  [green]✓[/] {count} {'run' if count == 1 else 'runs'} [dim]{time.monotonic() - started:.1f} s[/]")


def data_of(dag_run: dict[str, Any]) -> str:
    """Return the dataset and the date, or the dates, that a run is about."""
    dataset = dag_run["dag_id"].partition("_")[2]
    if dag_run["logical_date"]:
        return f"{dataset} {dag_run['logical_date'][:10]}"
    return f"{dataset} {dag_run['conf']['start']}..{dag_run['conf']['end'][8:]}"


def progress(api: AirflowApi, dag_run: dict[str, Any]) -> tuple[str, str]:
    """Return the stage that a run is in, and how long it has taken, for people."""
    if dag_run["state"] == "queued":
        return "queued", ""
    if dag_run["state"] in FINISHED:
        return dag_run["state"], f"{seconds(dag_run) or 0:.0f} s"
    instances = api.task_instances(dag_run["dag_id"], dag_run["dag_run_id"])
    busy = [each["task_id"] for each in instances if each["state"] in ("running", "deferred", "queued", "up_for_retry")]
    elapsed = (datetime.now(UTC) - moment(dag_run["start_date"])).total_seconds()
    more = f" and {len(busy) - 2} more" if len(busy) > 2 else ""
    return ", ".join(sorted(busy)[:2]) + more, f"{elapsed:.0f} s"


def explain_failure(api: AirflowApi, dag_run: dict[str, Any]) -> str:
    """Return which task of a failed run failed first, and the last lines of its log."""
    failed = [
        each for each in api.task_instances(dag_run["dag_id"], dag_run["dag_run_id"]) if each["state"] == "failed"
    ]
    if not failed:
        return f"run {dag_run['dag_run_id']} failed without a failed task: see .local/logs/scheduler.log"
    first = min(failed, key=lambda each: each["end_date"])
    lines = "\n".join(f"    {line}" for line in api.log_lines(first, LOG_LINES))
    return f"task {first['task_id']} of run {dag_run['dag_run_id']} failed. The end of its log:\n{lines}"


def read_counts(s3: Any, bucket: str, dataset: str, expected: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what became of each date's rows, from the manifests, after comparing it with what the generator expects.

    Raises:
        StackError: when a count differs.
    """
    counts_by_date = {}
    for ds, right in expected.items():
        manifest = latest_manifest(s3, bucket, dataset, ds)
        counts = manifest["rows"] | {"quarantined_by_rule": manifest["quarantined_by_rule"]}
        wrong = {
            name: (counts[name], right[name]) for name in right.keys() & counts.keys() if counts[name] != right[name]
        }
        if wrong:
            raise StackError(f"{dataset} {ds}: these counts are not the generator's (found, expected): {wrong}")
        counts_by_date[ds] = counts
    return counts_by_date


def show_rows(found: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Print what became of each dataset's rows, summed over its dates."""
    names = ["dates", *COUNTS]
    table("What became of the rows", ["dataset", *names], sums(found), right=names)


def sums(found: dict[str, dict[str, dict[str, Any]]]) -> list[list[object]]:
    """Return for each dataset, and for all, the number of dates and each of `COUNTS` summed over them."""
    rows = {
        dataset: [len(days), *(sum(total(counts[name]) for counts in days.values()) for name in COUNTS)]
        for dataset, days in found.items()
    }
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    return [[dataset, *numbers] for dataset, numbers in rows.items()]


def total(count: int | dict[str, int]) -> int:
    """Return a count that may be given by rule."""
    return sum(count.values()) if isinstance(count, dict) else count


def show_rules(found: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Print which rules kept rows from being published, the most frequent of each dataset."""
    rows = [row for dataset, days in found.items() for row in reasons(dataset, days)]
    table("Why rows were not published", ["dataset", "rule", "outcome", "rows"], rows, right=["rows"])


def reasons(dataset: str, days: dict[str, dict[str, Any]]) -> list[list[object]]:
    """Return dataset, rule, outcome and rows of the `SHOWN_RULES` most frequent rules, then the sum of the others."""
    rules = Counter[tuple[str, str]]()
    for counts in days.values():
        rules.update({("quarantined", rule): count for rule, count in counts["quarantined_by_rule"].items()})
        rules.update({("dropped", rule): count for rule, count in counts["dropped"].items()})
    ranked = sorted(rules.items(), key=lambda each: (-each[1], each[0]))
    rows: list[list[object]] = [[dataset, rule, outcome, count] for (outcome, rule), count in ranked[:SHOWN_RULES]]
    if others := ranked[SHOWN_RULES:]:
        rows.append([dataset, f"{len(others)} other rules", "", sum(count for _, count in others)])
    return rows


def check_published(athena: Any, workgroup: str, contract: Contract, expected: dict[str, Any]) -> None:
    """Compare the published table with what the generator expects: rows and amounts, to the cent.

    Raises:
        StackError: when a date differs.
    """
    amount = AMOUNTS.get(contract.dataset, "0")
    sql = f"SELECT ds, COUNT(*), SUM({amount}) FROM {contract.dataset} GROUP BY ds"  # noqa: S608  the contract's
    rows = query(athena, sql, database=Names(contract.dataset).database, workgroup=workgroup)
    found = {ds: (int(count), Decimal(amount)) for ds, count, amount in rows}
    for ds, right in expected.items():
        wanted = (right["published"], Decimal(right["published_amount"]))
        if found.get(ds) != wanted:
            raise StackError(f"{contract.dataset} has for {ds} (rows, amount) {found.get(ds)}, expected {wanted}")


def latest_manifest(s3: Any, bucket: str, dataset: str, ds: str) -> dict[str, Any]:
    """Return the manifest that `clean` wrote last for a date.

    Raises:
        StackError: when there is none.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"manifests/{dataset}/ds={ds}/")
    found = [item for page in pages for item in page.get("Contents", []) if item["Key"].endswith("/clean.json")]
    if not found:
        raise StackError(f"no manifest of clean for {ds} in s3://{bucket}/manifests/{dataset}/")
    newest = max(found, key=lambda item: item["LastModified"])
    manifest: dict[str, Any] = json.load(s3.get_object(Bucket=bucket, Key=newest["Key"])["Body"])
    return manifest


@dataclass(frozen=True)
class Extract:
    """Some rows of a mart that tell something.

    Args:
        title: what they are.
        dataset: whose mart it is.
        columns: what is shown, as SQL; the first `texts` of them are text.
        texts: number of columns that are text.
        rest: the query from FROM on, with {first} and {last}, the demo's dates.
    """

    title: str
    dataset: str
    columns: tuple[str, ...]
    texts: int
    rest: str


EXTRACTS = (
    Extract(
        "Total sales by customer: the five largest of all orders",
        "orders",
        ("customer", "total_amount"),
        1,
        "FROM total_sales_by_customer WHERE ds = '{last}' ORDER BY total_amount DESC, customer LIMIT 5",
    ),
    Extract(
        "Average order value by customer: the five highest",
        "orders",
        ("customer", "average_order_value"),
        1,
        "FROM average_order_value_by_customer WHERE ds = '{last}' ORDER BY average_order_value DESC, customer LIMIT 5",
    ),
    Extract(
        "Monthly volume and revenue",
        "orders",
        ("month", "orders", "revenue"),
        1,
        "FROM monthly_volume_and_revenue WHERE ds = '{last}' ORDER BY month",
    ),
    Extract(
        "Status summary",
        "orders",
        ("status", "orders", "total_amount"),
        1,
        "FROM status_summary WHERE ds = '{last}' ORDER BY total_amount DESC",
    ),
    Extract(
        "Top 10 orders of the last month",
        "orders",
        ("order_id", "customer", "status", "order_date", "rank", "amount"),
        4,
        "FROM top_10_orders_of_month WHERE ds = '{last}' AND month = date_trunc('month', DATE '{last}') ORDER BY rank",
    ),
    Extract(
        "Sales: revenue by region and payment, the five largest",
        "sales",
        ("region", "payment_method", "sales", "quantity", "revenue", "average_sale"),
        2,
        "FROM revenue_by_region_and_payment WHERE ds = '{first}' ORDER BY revenue DESC LIMIT 5",
    ),
    Extract(
        "Online retail: revenue of each day's products, before and after returns",
        "online_retail",
        ("ds", "invoices", "return_invoices", "gross", "returns", "net"),
        1,
        "FROM daily_revenue WHERE ds BETWEEN '{first}' AND '{last}' AND line_type = 'product' ORDER BY ds",
    ),
)
"""What is printed of the marts."""


def show_marts(athena: Any, workgroup: str, week: Week) -> None:
    """Print the extracts of the marts, read with Athena."""
    for extract in EXTRACTS:
        rest = extract.rest.format(first=week.start, last=week.last)
        sql = f"SELECT {', '.join(extract.columns)} {rest}"
        rows = query(athena, sql, database=Names(extract.dataset).database, workgroup=workgroup)
        table(extract.title, extract.columns, rows, right=extract.columns[extract.texts :])


def show_times(api: AirflowApi, runs: list[dict[str, Any]], whole_seconds: float) -> None:
    """Print the median time of each task over the runs, in the order in which they ran."""
    instances = [each for dag_run in runs for each in api.task_instances(DAG_ID, dag_run["dag_run_id"])]
    instances.sort(key=lambda each: each["start_date"])
    times: dict[str, list[float]] = {}
    for each in instances:
        times.setdefault(each["task_id"], []).append(seconds(each) or 0.0)
    rows = [[task, f"{median(values):.1f} s", f"{max(values):.1f} s"] for task, values in times.items()]
    whole = [seconds(each) or 0.0 for each in runs]
    rows.append(["whole run", f"{median(whole):.1f} s", f"{max(whole):.1f} s"])
    title = f"Time of each task of orders; {len(runs)} runs, {ACTIVE_RUNS} at a time, took {whole_seconds:.0f} s"
    table(title, ["task", "median", "longest"], rows, right=["median", "longest"])


def main() -> int:
    """Run the demo with the week that the command line describes."""
    parser = argparse.ArgumentParser(prog="tools.demo", description=__doc__)
    parser.add_argument("--start", type=date.fromisoformat, default=WEEK.start, help="first date (%(default)s)")
    parser.add_argument("--days", type=int, default=WEEK.days, help="number of dates (%(default)s)")
    parser.add_argument("--rows", type=int, default=WEEK.rows, help="orders per date (%(default)s)")
    parser.add_argument("--seed", type=int, default=WEEK.seed, help="of the generator (%(default)s)")
    parser.add_argument("--picture", type=Path, help="save the end of what the terminal shows as an SVG file")
    arguments = parser.parse_args()
    # A killed demo stops its stack too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    week = Week(arguments.start, arguments.days, arguments.rows, arguments.seed)
    if arguments.picture:
        record()
    code = run(lambda: demo(week))
    if arguments.picture:
        save_end_as_svg(arguments.picture, title="make demo")
    return code


if __name__ == "__main__":
    sys.exit(main())
