"""`python -m tools.demo`: a week of generated orders through the whole pipeline, as a backfill by Airflow's scheduler.

Starts the stack unless it runs already, uploads the raw files, follows the runs, shows and verifies what came out, and
stops what it started.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import boto3
from lake.contract import Contract, load_contract
from rich.live import Live
from rich.table import Table

from tools import samples, stack
from tools.airflow_api import AirflowApi, moment, seconds
from tools.athena import query
from tools.console import console, record, run, save_end_as_svg, step, table
from tools.environment import CHECKOUT, LOCAL, process_environment
from tools.processes import StackError

DATASET = "orders"
DAG_ID = f"ingest_{DATASET}"
RUN_SECONDS = 1800
# Each has a JVM of its own; more would only take memory, on the two cores of a small laptop.
ACTIVE_RUNS = 2
LOG_LINES = 25
SAMPLES = LOCAL / "samples"
# Rows of a mart that are printed; the tables hold more.
SHOWN_ROWS = 10
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


def demo(week: Week) -> None:
    """Run the demo.

    Raises:
        StackError: when a run fails, with the end of its log, or when the result is not what the generator expects.
    """
    began = time.monotonic()
    contract = load_contract(CHECKOUT / "include" / "datasets" / f"{DATASET}.yaml")
    with running_stack() as variables:
        session = boto3.Session(
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
        )
        clients = {name: session.client(name, endpoint_url=variables["AWS_ENDPOINT_URL"]) for name in ("s3", "athena")}
        api = AirflowApi(variables["AIRFLOW__API__BASE_URL"])
        with step(f"{week.days} days of orders generated and uploaded to s3://{variables['LAKE_RAW_BUCKET']}"):
            expected = generate(week)
            upload(clients["s3"], variables["LAKE_RAW_BUCKET"], SAMPLES)
        with step(f"DAG {DAG_ID} parsed"):
            paused = api.wait_for_dag(DAG_ID)["is_paused"]
        api.pause(DAG_ID, paused=False)
        try:
            api.abandon(DAG_ID, week.start, week.last)
            started = time.monotonic()
            create_backfill(week, process_environment(variables))
            runs = follow(api, week)
        except BaseException:
            with step("unfinished runs ended, the worker stopped"):
                api.abandon(DAG_ID, week.start, week.last)
            raise
        finally:
            api.pause(DAG_ID, paused=paused)
        backfill_seconds = time.monotonic() - started
        show_rows(clients["s3"], variables["LAKE_ARTIFACTS_BUCKET"], expected)
        check_published(clients["athena"], variables["LAKE_ATHENA_WORKGROUP"], contract, expected)
        show_marts(clients["athena"], variables["LAKE_ATHENA_WORKGROUP"], contract, week.last)
        show_times(api, runs, backfill_seconds)
    console.print(
        f"""
[bold green]Done[/] in {time.monotonic() - began:.0f} s: {week.days} dates loaded, validated, published and verified.

  Where to look next:
    make up                      the same stack, to stay: Airflow's graph of these runs, your own files, SQL
    dags/ingest.py               the pipeline: one DAG for each contract in include/datasets/
    include/datasets/orders.yaml the contract: columns, rules, marts
    .local/samples/              the files that were loaded, and what was expected of them
    README.md                    everything else
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


def generate(week: Week) -> dict[str, Any]:
    """Write the raw files to `.local/samples/orders`, and return what the pipeline must make of each date."""
    shutil.rmtree(SAMPLES, ignore_errors=True)
    days: dict[str, Any] = samples.write(DATASET, week.start, week.days, week.rows, week.seed, SAMPLES)["days"]
    return days


def upload(s3: Any, bucket: str, folder: Path) -> None:
    """Upload the raw files under `folder` to the same keys in `bucket`."""
    for path in sorted(folder.glob(f"{DATASET}/ds=*/*")):
        s3.upload_file(str(path), bucket, str(path.relative_to(folder)))


def create_backfill(week: Week, settings: dict[str, str]) -> None:
    """Create the runs with Airflow's own command.

    Raises:
        StackError: when Airflow refuses.
    """
    command = [
        *("airflow", "backfill", "create", "--dag-id", DAG_ID),
        # --to-date D alone means D 00:00, which leaves D out where its interval begins later in the day.
        *("--from-date", f"{week.start}", "--to-date", f"{week.last}T23:59:59"),
        *("--max-active-runs", f"{ACTIVE_RUNS}", "--reprocess-behavior", "completed"),
    ]
    console.print(f"\n$ {' '.join(command)}")
    result = subprocess.run(
        [sys.executable, "-m", *command], env=settings, capture_output=True, text=True, check=False, timeout=120
    )
    if result.returncode:
        raise StackError(f"airflow backfill create failed:\n{result.stdout}{result.stderr}")


def follow(api: AirflowApi, week: Week) -> list[dict[str, Any]]:
    """Show each run's stage until all have finished, and return them.

    Raises:
        StackError: when a run fails, with the failed task's last log lines, or they take too long together.
    """
    started = time.monotonic()
    stages: dict[str, str] = {}
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            runs = api.backfill_runs(DAG_ID, week.start, week.last)
            grid = Table("date", "run", "stage", "elapsed", box=None, pad_edge=False)
            for each in runs:
                day = each["logical_date"][:10]
                stage, elapsed = progress(api, each)
                grid.add_row(day, each["state"], stage, elapsed)
                # Without a terminal each change is a line, so that a log tells the same story.
                if not console.is_terminal and stage and stages.get(day) != stage:
                    console.print(f"  {time.monotonic() - started:5.0f} s  {day}  {stage}")
                stages[day] = stage or stages.get(day, "")
            live.update(grid)
            for each in runs:
                if each["state"] == "failed":
                    raise StackError(explain_failure(api, each))
            if len(runs) == week.days and all(each["state"] == "success" for each in runs):
                return runs
            if time.monotonic() - started > RUN_SECONDS:
                raise StackError(f"the backfill did not end within {RUN_SECONDS} s: see .local/logs/scheduler.log")
            time.sleep(1)


def progress(api: AirflowApi, dag_run: dict[str, Any]) -> tuple[str, str]:
    """Return the stage that a run is in, and how long it has taken, for people."""
    if dag_run["state"] == "queued":
        return "queued", ""
    if dag_run["state"] in FINISHED:
        return dag_run["state"], f"{seconds(dag_run) or 0:.0f} s"
    instances = api.task_instances(DAG_ID, dag_run["dag_run_id"])
    busy = [each["task_id"] for each in instances if each["state"] in ("running", "deferred", "queued", "up_for_retry")]
    elapsed = (datetime.now(UTC) - moment(dag_run["start_date"])).total_seconds()
    more = f" and {len(busy) - 2} more" if len(busy) > 2 else ""
    return ", ".join(sorted(busy)[:2]) + more, f"{elapsed:.0f} s"


def explain_failure(api: AirflowApi, dag_run: dict[str, Any]) -> str:
    """Return which task of a failed run failed first, and the last lines of its log."""
    failed = [each for each in api.task_instances(DAG_ID, dag_run["dag_run_id"]) if each["state"] == "failed"]
    if not failed:
        return f"run {dag_run['dag_run_id']} failed without a failed task: see .local/logs/scheduler.log"
    first = min(failed, key=lambda each: each["end_date"])
    lines = "\n".join(f"    {line}" for line in api.log_lines(first, LOG_LINES))
    return f"task {first['task_id']} of run {dag_run['dag_run_id']} failed. The end of its log:\n{lines}"


def show_rows(s3: Any, bucket: str, expected: dict[str, Any]) -> None:
    """Print what became of each date's rows, from the manifests, and compare it with what the generator expects.

    Raises:
        StackError: when a count differs.
    """
    counts_by_date = {}
    for ds, right in expected.items():
        manifest = latest_manifest(s3, bucket, ds)
        counts = manifest["rows"] | {"quarantined_by_rule": manifest["quarantined_by_rule"]}
        wrong = {
            name: (counts[name], right[name]) for name in right.keys() & counts.keys() if counts[name] != right[name]
        }
        if wrong:
            raise StackError(f"{ds}: these counts are not those of the generator (found, expected): {wrong}")
        counts_by_date[ds] = counts
    names = ["read", "published", "quarantined", "dropped", "duplicates"]
    rows = [
        [ds, *(sum(each.values()) if isinstance(each := counts[name], dict) else each for name in names)]
        for ds, counts in counts_by_date.items()
    ]
    table("What became of each date's rows", ["date", *names], rows, right=names)
    rules = Counter[str]()
    for counts in counts_by_date.values():
        rules.update(counts["quarantined_by_rule"])
        rules.update({f"{rule} (dropped)": count for rule, count in counts["dropped"].items()})
    table("Why rows were quarantined or dropped", ["rule", "rows"], rules.most_common(), right=["rows"])


def check_published(athena: Any, workgroup: str, contract: Contract, expected: dict[str, Any]) -> None:
    """Compare the published table with what the generator expects: rows and amounts, to the cent.

    Raises:
        StackError: when a date differs.
    """
    sql = f"SELECT ds, COUNT(*), SUM(amount) FROM {contract.table} GROUP BY ds"  # noqa: S608  the contract's
    rows = query(athena, sql, database=contract.database, workgroup=workgroup)
    found = {ds: (int(count), Decimal(amount)) for ds, count, amount in rows}
    for ds, right in expected.items():
        wanted = (right["published"], Decimal(right["published_amount"]))
        if found.get(ds) != wanted:
            raise StackError(f"{contract.table} has for {ds} (rows, amount) {found.get(ds)}, expected {wanted}")


def latest_manifest(s3: Any, bucket: str, ds: str) -> dict[str, Any]:
    """Return the manifest that `clean` wrote last for a date.

    Raises:
        StackError: when there is none.
    """
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"manifests/{DATASET}/ds={ds}/")
    found = [item for page in pages for item in page.get("Contents", []) if item["Key"].endswith("/clean.json")]
    if not found:
        raise StackError(f"no manifest of clean for {ds} in s3://{bucket}/manifests/{DATASET}/")
    newest = max(found, key=lambda item: item["LastModified"])
    manifest: dict[str, Any] = json.load(s3.get_object(Bucket=bucket, Key=newest["Key"])["Body"])
    return manifest


def show_marts(athena: Any, workgroup: str, contract: Contract, ds: date) -> None:
    """Print each mart as of `ds`, read with Athena."""
    for mart in contract.marts:
        names = [column.name for column in mart.columns]
        sql = f"SELECT {', '.join(names)} FROM {mart.name} WHERE ds = '{ds}' ORDER BY 1, 2"  # noqa: S608  the contract's
        rows = query(athena, sql, database=contract.database, workgroup=workgroup)
        more = f", {SHOWN_ROWS} of {len(rows)} rows" if len(rows) > SHOWN_ROWS else ""
        numbers = [column.name for column in mart.columns if column.type != "string"]
        table(f"{contract.database}.{mart.name} as of {ds}{more}", names, rows[:SHOWN_ROWS], right=numbers)


def show_times(api: AirflowApi, runs: list[dict[str, Any]], total: float) -> None:
    """Print the median time of each task over the runs, in the order in which they ran."""
    instances = [each for dag_run in runs for each in api.task_instances(DAG_ID, dag_run["dag_run_id"])]
    instances.sort(key=lambda each: each["start_date"])
    times: dict[str, list[float]] = {}
    for each in instances:
        times.setdefault(each["task_id"], []).append(seconds(each) or 0.0)
    rows = [[task, f"{median(values):.1f} s", f"{max(values):.1f} s"] for task, values in times.items()]
    whole = [seconds(each) or 0.0 for each in runs]
    rows.append(["whole run", f"{median(whole):.1f} s", f"{max(whole):.1f} s"])
    title = f"Time of each task; {len(runs)} runs, {ACTIVE_RUNS} at a time, took {total:.0f} s"
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
