"""Sales and their dimensions over a period, as senders bring them: late, repeated, missing, corrected, in no order."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import psutil

from tests.e2e import expected_sales
from tests.e2e.expected import days_of, money, text
from tests.waiting import eventually
from tools.samples import write

ROWS = {"customers": 45, "products": 25, "sales": 60}
EVERY = {"customers": 7, "products": 7, "sales": 1}
"""Of how many days one has a file. Sales of the days between read the dimensions of the last one that had one."""
MISSING, CORRECTED, REPEATED, IN_TWO = 0.05, 0.2, 0.1, 0.1
"""Shares of the dates of a dataset."""


class Upload(NamedTuple):
    """A file that lands."""

    dataset: str
    ds: str
    name: str
    content: bytes


class Period:
    """What lands in each of some waves, and what has landed in the end.

    Args:
        folder: where to write files; `<folder>/<dataset>/ds=D/` holds what has landed in the end.
        start: the first date.
        days: how many dates.
        waves: in how many waves their files land.
        seed: another one gives another period.
    """

    def __init__(self, folder: Path, start: date, days: int, waves: int, seed: int) -> None:
        self.folder = folder
        self.dates = [f"{start + timedelta(days=number)}" for number in range(days)]
        self.waves: list[list[Upload]] = [[] for _ in range(waves)]
        self.corrected: dict[int, list[str]] = defaultdict(list)
        """Dates of sales whose first content landed in a wave and their last in the next one, by the first wave."""
        self._random = Random(seed)  # noqa: S311  no secret
        for dataset, rows in ROWS.items():
            write(dataset, start, days, rows, seed, folder)
            write(dataset, start, days, rows, seed + 1, folder / "wrong")
            for number, (ds, (path,)) in enumerate(days_of(folder / dataset).items()):
                if number % EVERY[dataset]:
                    shutil.rmtree(path.parent)
                else:
                    self._land(dataset, ds, path)
        for uploads in self.waves:
            self._random.shuffle(uploads)

    def _land(self, dataset: str, ds: str, path: Path) -> None:
        chance = self._random.random()
        # Without any dimension before them sales would be refused.
        if chance < MISSING and ds != self.dates[0]:
            shutil.rmtree(path.parent)
            return
        # Dimensions are late less often: of two draws the earlier one counts.
        draws = 1 if dataset == "sales" else 2
        first = min(self._random.randrange(len(self.waves)) for _ in range(draws))
        content = path.read_bytes()
        last = min(first + 1, len(self.waves) - 1)
        if chance < MISSING + CORRECTED and last > first:
            wrong = self.folder / "wrong" / dataset / path.parent.name / path.name
            if dataset == "sales":
                # Cut short: sales at the prices of other products would be refused.
                wrong.write_bytes(b"".join(content.splitlines(keepends=True)[:40]))
            self._add(first, dataset, ds, path.name, wrong.read_bytes())
            self._add(last, dataset, ds, path.name, content)
            if dataset == "sales":
                self.corrected[first].append(ds)
        elif dataset == "sales" and chance < MISSING + CORRECTED + IN_TWO:
            header, *lines = content.splitlines(keepends=True)
            path.unlink()
            for wave, name, part in ((first, "a.csv", lines[:30]), (last, "b.csv", lines[30:])):
                (path.parent / name).write_bytes(b"".join([header, *part]))
                self._add(wave, dataset, ds, name, b"".join([header, *part]))
        else:
            self._add(first, dataset, ds, path.name, content)
            if self._random.random() < REPEATED:
                self._add(last, dataset, ds, path.name, content)

    def _add(self, wave: int, *upload: str | bytes) -> None:
        self.waves[wave].append(Upload(*upload))


DATASETS = tuple(ROWS)
DAYS_AFTER = 10
"""For how many days after its last date a period may live on."""
AFTER_VALIDATION = frozenset({"promote", "crawl", "publish", *expected_sales.marts({}, "2026-01-01")})
IS_LARGE = """
derived:
  - name: is_large
    type: boolean
    expression: quantity >= 10
    description: Whether ten or more were bought
"""


class Life:
    """A lake that lives through a period: files land, `reconcile` looks once a wave, contracts change, processes die.

    Args:
        stack: the running stack of a copy of the checkout.
        period: what lands.
    """

    def __init__(self, stack, period: Period) -> None:
        self.stack, self.period = stack, period
        self.looks = 0
        many = len(period.dates) + DAYS_AFTER
        reconcile = f"\nreconcile:\n  days: {many}\n  dates_per_day: {many}\nretention:\n"
        for dataset in DATASETS:
            self._change(dataset, ("\nretention:\n", reconcile))
        self.deploy()
        for dataset in DATASETS:
            stack.api.wait_for_dag(f"reprocess_{dataset}")
            stack.api.pause(f"reprocess_{dataset}", False)

    def end(self) -> None:
        """Let nothing of it run on."""
        for dag_id in (
            "reconcile",
            "rollback_sales",
            "ingest_sales",
            *(f"reprocess_{dataset}" for dataset in DATASETS),
        ):
            self.stack.api.pause(dag_id, True)

    def deploy(self) -> None:
        """What `make up` does after a change."""
        self.stack.up()

    def add_a_column(self) -> None:
        """The second version of the contract of sales has a column more."""
        self._change("sales", ("\nderived:\n", IS_LARGE), ("\nowner:", "\nversion: 2\nowner:"))
        self.deploy()

    def widen_a_column(self) -> None:
        """The third one has a wider column."""
        narrow = "source: quantity\n    type: int\n"
        self._change("sales", (narrow, narrow.replace("int", "bigint")), ("\nversion: 2\n", "\nversion: 3\n"))
        self.deploy()

    def _change(self, dataset: str, *changes: tuple[str, str]) -> None:
        path = self.stack.checkout / "include" / "datasets" / f"{dataset}.yaml"
        contract = path.read_text(encoding="utf-8")
        for old, new in changes:
            assert contract.count(old) == 1, old
            contract = contract.replace(old, new)
        path.write_text(contract, encoding="utf-8")

    def land(self, wave: int) -> None:
        """The files of a wave land."""
        for upload in self.period.waves[wave]:
            self.stack.upload(upload.ds, upload.content, upload.name, upload.dataset)

    def reconcile(self, kill: Callable[[str], Callable[[], bool]] | None = None) -> None:
        """Let `reconcile` look, a day later each time, and wait for all that it starts.

        Args:
            kill: takes the name of the runs that are started; what it returns is called until it has killed something.
        """
        self.looks += 1
        moment = date.fromisoformat(self.period.dates[-1]) + timedelta(days=self.looks)
        run_id = f"reconcile__{moment}"
        done = threading.Event()
        killed = threading.Event()

        def watch() -> None:
            attempt = kill(run_id)
            while not done.wait(0.3):
                if attempt():
                    killed.set()
                    return

        watcher = threading.Thread(target=watch) if kill else None
        if watcher:
            watcher.start()
        ended = self.stack.run("reconcile", {}, f"{moment}T09:00:00Z", seconds=3600)
        assert ended.state == "success", ended.said
        eventually(self._all_ended, seconds=3600, every=2)
        done.set()
        if watcher:
            watcher.join()
            assert killed.is_set(), "nothing was there to be killed"

    def backfill_sales(self, first: str, last: str) -> None:
        """Let `airflow backfill` load dates as the daily DAG does, two at a time, the last one first."""
        words = (
            "backfill",
            "create",
            "--dag-id",
            "ingest_sales",
            "--from-date",
            first,
            "--to-date",
            f"{last}T23:00:00",
        )
        again = ("--reprocess-behavior", "completed", "--max-active-runs", "2", "--run-backwards")
        self.stack.api.wait_for_dag("ingest_sales")
        result = self.stack.airflow(*words, *again)
        assert result.returncode == 0, result.stdout + result.stderr
        self.stack.api.pause("ingest_sales", False)

        def ended() -> list[str] | None:
            dates = map(date.fromisoformat, (first, last))
            states = [run["state"] for run in self.stack.api.backfill_runs("ingest_sales", *dates)]
            return states if states and {*states} <= {"success", "failed"} else None

        assert eventually(ended, seconds=900, every=1) == ["success"] * 2

    @staticmethod
    def day_after(ds: str) -> str:
        """The date after a date."""
        return f"{date.fromisoformat(ds) + timedelta(days=1)}"

    def started(self) -> dict[str, list[str]]:
        """The dates that the last look had loaded, by dataset."""
        moment = date.fromisoformat(self.period.dates[-1]) + timedelta(days=self.looks)
        runs = {dataset: self._runs(f"reprocess_{dataset}") for dataset in DATASETS}
        found = {name: [run for run in of if run["dag_run_id"] == f"reconcile__{moment}"] for name, of in runs.items()}
        return {name: run["conf"]["dates"] for name, of in found.items() for run in of}

    def _all_ended(self) -> bool:
        runs = [run for dataset in DATASETS for run in self._runs(f"reprocess_{dataset}")]
        return all(run["state"] in ("success", "failed") for run in runs)

    def _runs(self, dag_id: str) -> list[dict]:
        api = self.stack.api
        return api.session.get(f"{api.address}/api/v2/dags/{dag_id}/dagRuns", params={"limit": 100}).json()["dag_runs"]

    # ------------------------------------------------------------------ what dies

    def spark(self, _run_id: str) -> Callable[[], bool]:
        """Kills the Java of a job."""

        def attempt() -> bool:
            for process in self._processes():
                if "org.apache.spark.deploy.SparkSubmit" in process.info["cmdline"]:
                    os.kill(process.pid, signal.SIGKILL)
                    return True
            return False

        return attempt

    def worker(self, _run_id: str) -> Callable[[], bool]:
        """Stops the instance while a job runs on it."""
        ssm, ec2 = self.stack.client("ssm"), self.stack.client("ec2")

        def attempt() -> bool:
            if not ssm.list_commands(Filters=[{"key": "Status", "value": "InProgress"}])["Commands"]:
                return False
            ec2.stop_instances(InstanceIds=[self.stack.variables["LAKE_WORKER_INSTANCE_ID"]])
            return True

        return attempt

    def task(self, run_id: str) -> Callable[[], bool]:
        """Kills the process of a task of sales that publishes or computes a mart."""

        def attempt() -> bool:
            runs = {run["dag_run_id"] for run in self._runs("reprocess_sales")}
            if run_id not in runs:
                return False
            instances = self.stack.api.task_instances("reprocess_sales", run_id)
            running = {f"airflow worker -- {each['id']}" for each in instances if _is_after_validation(each)}
            for process in self._processes():
                if running & set(process.info["cmdline"]):
                    os.kill(process.pid, signal.SIGKILL)
                    return True
            return False

        return attempt

    def _processes(self) -> list[psutil.Process]:
        """Processes of this stack."""
        ours = []
        for process in psutil.process_iter(["cmdline"]):
            try:
                if str(self.stack.folder) in " ".join(process.environ().values()) and process.info["cmdline"]:
                    ours.append(process)
            except (psutil.AccessDenied, psutil.NoSuchProcess):
                continue
        return ours

    # ------------------------------------------------------------------ what must come of it

    def rows_of_sales(self, ds: str) -> list[tuple[str, ...]]:
        """What readers see of a date of sales."""
        return sorted(self.stack.query(f"SELECT transaction_id, quantity FROM sales WHERE ds = '{ds}'", "sales_db"))

    def wrong_rows_of_sales(self, ds: str) -> list[tuple[str, ...]]:
        """What they see of it while its first content is published."""
        wrong = self.period.folder / "wrong"
        day = expected_sales.read_sales(wrong / "sales", {}, {})[ds]
        return sorted((row["transaction_id"], f"{row['quantity']}") for row in day.published)

    def assert_as_computed_in_order(self) -> None:
        """Every table is what an independent computation makes of the files that have landed in the end."""
        folder = self.period.folder
        customers = expected_sales.read_customers(folder / "customers")
        products = expected_sales.read_products(folder / "products")
        sales = expected_sales.read_sales(folder / "sales", customers, products)
        for dataset, days in (("customers", customers), ("products", products), ("sales", sales)):
            database = f"{dataset}_db"
            counts = {ds: f"{len(day.published)}" for ds, day in days.items() if day.published}
            assert dict(self.stack.query(f"SELECT ds, count(*) FROM {dataset} GROUP BY ds", database)) == counts
            refused = {ds: f"{sum(day.quarantined.values())}" for ds, day in days.items() if day.quarantined}
            sql = f"SELECT ds, count(*) FROM {dataset}_quarantine GROUP BY ds"
            assert dict(self.stack.query(sql, database)) == refused
        self._assert_sales(sales)
        published = sorted(sales)
        for ds in (published[0], published[len(published) // 2], published[-1]):
            self.stack.assert_marts("sales", ds, expected_sales.marts(sales, ds))

    def _assert_sales(self, sales: dict) -> None:
        versions = {ds: self._record(ds)["contract_version"] for ds in sales}
        assert len(set(versions.values())) > 1, versions
        columns = ("quantity", "total_amount", "tier", "country", "category")
        expected = sorted(
            (
                ds,
                row["transaction_id"],
                *(text(row[column]) for column in columns),
                text(row["list_price"] if row["list_price"] is None else money(row["list_price"])),
                text(row["quantity"] >= 10) if versions[ds] > 1 else "",
            )
            for ds, day in sales.items()
            for row in day.published
        )
        sql = f"SELECT ds, transaction_id, {', '.join(columns)}, list_price, is_large FROM sales"
        assert sorted(self.stack.query(sql, "sales_db")) == expected

    def _record(self, ds: str) -> dict:
        bucket = self.stack.variables["LAKE_ARTIFACTS_BUCKET"]
        key = f"records/sales/ds={ds}/published.json"
        return json.loads(self.stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def _is_after_validation(instance: dict) -> bool:
    return instance["state"] == "running" and instance["task_id"] in AFTER_VALIDATION


def live(stack, folder: Path, start: date, days: int, waves: int, seed: int, *, kills: bool) -> None:
    """Let a period pass, and compare what is there in the end with what an independent computation makes of its files.

    The contract of sales changes after each of the first two waves. Then a date of sales goes back to what it was
    before its correction, and stays there, whatever lands, until its own file is sent again; it and the one after it,
    whose file comes again too, are backfilled at once, the later one first. Where there are `kills`, the Java of a job,
    the worker and the process of a task die, one in each of the first three waves.
    """
    period = Period(folder, start, days, waves, seed)
    life = Life(stack, period)
    dying = {0: life.spark, 1: life.worker, 2: life.task} if kills else {}
    life.land(0)
    life.reconcile(kill=dying.get(0))
    ds = next(
        each
        for each in period.corrected[0]
        if life.rows_of_sales(each) and (folder / "sales" / f"ds={life.day_after(each)}").is_dir()
    )
    life.add_a_column()
    life.land(1)
    life.reconcile(kill=dying.get(1))
    life.widen_a_column()
    corrected = life.rows_of_sales(ds)
    ended = stack.run("rollback_sales", {"start": ds, "end": ds, "dry_run": False})
    assert ended.state == "success", ended.said
    assert life.rows_of_sales(ds) == life.wrong_rows_of_sales(ds) != corrected
    for wave in range(2, waves):
        life.land(wave)
        life.reconcile(kill=dying.get(wave))
    assert life.rows_of_sales(ds) == life.wrong_rows_of_sales(ds), "what was rolled back stays so"
    for each in (ds, life.day_after(ds)):
        for path in (folder / "sales" / f"ds={each}").iterdir():
            stack.upload(each, path.read_bytes(), path.name, "sales")
    life.backfill_sales(ds, life.day_after(ds))
    life.assert_as_computed_in_order()
    assert stack.lease_holders() == []
    assert stack.worker_state() == "stopped"
    life.reconcile()
    assert life.started() == {}, "nothing is left to do"
    life.end()
