"""The three jobs as Airflow runs them: through lake-worker, from a bundle on S3, over S3 and the data volume."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tools import samples

REPOSITORY = Path(__file__).resolve().parents[3]
LAKE_WORKER = REPOSITORY / "infra" / "worker" / "lake-worker"
BUCKETS = ("raw", "processed", "artifacts")
HEADER = "OrderID,Customer,Amount,Status,OrderDate\n"


@dataclass(frozen=True)
class Worker:
    """A worker with its environment, and the bundle it runs."""

    environment: dict[str, str]
    bundle: str
    data: Path
    home: Path

    def command(self, program: str, job: str, ds: str, run: str) -> list[str]:
        key = f"orders/ds={ds}"
        manifests = f"s3://artifacts/manifests/{key}/run={run}"
        staged = f"file://${{LAKE_DATA_DIR}}/{key}/run={run}/raw"
        options = {
            "stage_raw": {"raw": f"s3://raw/{key}/", "staged": staged},
            "clean": {
                "run-id": "${LAKE_RUN_ID}",
                "input": staged,
                "output": f"s3://processed/_staging/{key}/run={run}-1/",
                "quarantine": f"s3://processed/orders_quarantine/ds={ds}/run={run}-1/",
            },
            "validate": {
                "clean-manifest": f"{manifests}/clean.json",
                "docs": f"s3://artifacts/data-docs/{key}/run={run}-1/",
            },
        }[job]
        options |= {"dataset": "orders", "ds": ds, "run": run, "manifest": f"{manifests}/{job}.json"}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(LAKE_WORKER), self.bundle, program, job, *words]

    def start(self, program: str, job: str, ds: str, run: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(program, job, ds, run),
            env={**self.environment, "LAKE_RUN_ID": f"{run}-1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, program: str, job: str, ds: str, run: str) -> tuple[int, str]:
        """The exit code and the last line on stderr."""
        process = self.start(program, job, ds, run)
        _, errors = process.communicate(timeout=180)
        return process.returncode, errors.rstrip("\n").rpartition("\n")[2]

    def stage(self, ds: str, run: str) -> tuple[int, str]:
        return self.run("python", "stage_raw", ds, run)

    def clean(self, ds: str, run: str) -> tuple[int, str]:
        return self.run("spark-submit", "clean", ds, run)

    def validate(self, ds: str, run: str) -> tuple[int, str]:
        return self.run("spark-submit", "validate", ds, run)


def build_bundle() -> tuple[str, bytes]:
    """The bundle as Airflow builds it; the module is loaded by its path, because its package needs Airflow."""
    specification = importlib.util.spec_from_file_location("bundle", REPOSITORY / "plugins" / "lake" / "bundle.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    digest, content = module.build_bundle()
    return digest, content


@pytest.fixture(scope="module")
def s3(aws: Callable[..., Any]) -> Any:
    client = aws("s3")
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture(scope="module")
def worker(localaws: Any, s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    digest, content = build_bundle()
    s3.put_object(Bucket="artifacts", Key=f"code/{digest}.zip", Body=content)
    folder = tmp_path_factory.mktemp("worker")
    environment = {
        **os.environ,
        "LAKE_DATA_DIR": str(folder / "data"),
        "LAKE_WORKER_HOME": str(folder / "home"),
        "LAKE_WORKER_VENV": str(REPOSITORY / ".venvs" / "worker"),
        "AWS_ENDPOINT_URL": localaws.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return Worker(environment, f"s3://artifacts/code/{digest}.zip", folder / "data", folder / "home")


def upload(s3: Any, ds: str, content: bytes | str, name: str = "orders.csv") -> None:
    body = content if isinstance(content, bytes) else content.encode()
    s3.put_object(Bucket="raw", Key=f"orders/ds={ds}/{name}", Body=body)


def manifest(s3: Any, job: str, ds: str, run: str) -> dict[str, Any]:
    body = s3.get_object(Bucket="artifacts", Key=f"manifests/orders/ds={ds}/run={run}/{job}.json")["Body"].read()
    document: dict[str, Any] = json.loads(body)
    return document


def keys(s3: Any, bucket: str, prefix: str) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]


def table(s3: Any, files: list[dict[str, Any]]) -> pa.Table:
    parts = [s3.get_object(Bucket="processed", Key=file["key"])["Body"].read() for file in files]
    assert [hashlib.sha256(part).hexdigest() for part in parts] == [file["sha256"] for file in files]
    return pa.concat_tables(pq.read_table(pa.BufferReader(part)) for part in parts)


def test_a_day_of_orders_from_raw_file_to_verdict(s3: Any, worker: Worker, tmp_path: Path) -> None:
    ds, run = "2025-06-24", "day"
    right = samples.write("orders", date.fromisoformat(ds), 1, 400, 3, tmp_path)["days"][ds]
    content = (tmp_path / "orders" / f"ds={ds}" / "orders.csv").read_bytes()
    upload(s3, ds, content)
    upload(s3, ds, b"", "_SUCCESS")

    assert worker.stage(ds, run) == (0, "")
    staged = manifest(s3, "stage_raw", ds, run)
    folder = worker.data / "orders" / f"ds={ds}" / f"run={run}" / "raw"
    assert (folder / "orders.csv").read_bytes() == content
    assert [(file["name"], file["bytes"], file["sha256"]) for file in staged["files"]] == [
        ("orders.csv", len(content), hashlib.sha256(content).hexdigest())
    ]
    assert staged["ignored"] == [f"orders/ds={ds}/_SUCCESS"]
    assert json.loads((folder / "_manifest.json").read_text())["files"] == staged["files"]
    assert worker.stage(ds, run) == (0, "")
    assert sorted(path.name for path in folder.iterdir()) == ["_manifest.json", "orders.csv"]

    code, errors = worker.clean(ds, run)
    assert code == 0, errors
    cleaned = manifest(s3, "clean", ds, run)
    by_rule = {name: cleaned[name] for name in ("quarantined_by_rule", "warned_by_rule")}
    assert {**cleaned["rows"], **by_rule} == {
        name: value for name, value in right.items() if name != "published_amount"
    }
    rows = table(s3, cleaned["output"]["files"])
    assert [file["key"].rpartition("/")[2] for file in cleaned["output"]["files"]] == ["part-00000.parquet"]
    assert rows.schema.field("amount").type == pa.decimal128(12, 2)
    assert rows.schema.field("order_date").type == pa.date32()
    assert rows.schema.names[-3:] == ["source_file", "source_line", "run_id"]
    assert pc.sum(rows["amount"]).as_py() == Decimal(right["published_amount"])
    bad = table(s3, cleaned["quarantine"]["files"])
    assert bad.schema.names == ["raw_row", "rule", "reason", "source_file", "source_line", "run_id"]
    lines = content.split(b"\n")
    for row in bad.to_pylist():
        assert row["raw_row"] == lines[row["source_line"] - 1].decode(errors="backslashreplace")

    code, errors = worker.validate(ds, run)
    assert code == 0, errors
    verdict = manifest(s3, "validate", ds, run)
    assert verdict["success"]
    assert verdict["docs"].endswith("/index.html")
    assert verdict["docs"].removeprefix("s3://artifacts/") in keys(s3, "artifacts", "data-docs/")
    assert [path.name for path in (worker.home / "scratch").iterdir()] == ["_sweep.lock"]

    part = cleaned["output"]["files"][0]["key"]
    s3.put_object(Bucket="processed", Key=part, Body=b"something else")
    code, error = worker.validate(ds, run)
    assert code == 1
    assert "is not what clean wrote" in error


def test_a_batch_that_must_fail_ends_with_65_and_one_clear_line(s3: Any, worker: Worker) -> None:
    ds, run = "2025-06-25", "negative"
    lines = (f"O{number:04},Bob,{'-' * (number % 2)}5.00,shipped,{ds}\n" for number in range(100))
    upload(s3, ds, HEADER + "".join(lines))
    assert worker.stage(ds, run) == (0, "")
    assert worker.clean(ds, run)[0] == 0
    code, error = worker.validate(ds, run)
    assert code == 65
    assert error.startswith("ERROR validate orders 2025-06-25: 1 of 16 expectations failed: quarantined_share ")
    assert "(observed 0.5, 50 of 100 rows)" in error
    verdict = manifest(s3, "validate", ds, run)
    assert not verdict["success"]
    assert [item["severity"] for item in verdict["failed"]] == ["critical", "warning"]


def test_columns_that_do_not_fit_end_with_65_before_anything_is_staged(s3: Any, worker: Worker) -> None:
    ds, run = "2025-06-26", "renamed"
    upload(s3, ds, "OrderID,Client,Amount,Status,OrderDate\n")
    code, error = worker.stage(ds, run)
    assert code == 65
    assert error.startswith("ERROR stage_raw orders 2025-06-26: orders.csv line 1: the columns do not fit the contract:")
    assert "missing 'Customer'" in error
    assert "new 'Client'" in error
    assert keys(s3, "artifacts", f"manifests/orders/ds={ds}/run={run}/") == []
    code, error = worker.clean(ds, run)
    assert (code, "there is no file to read in" in error) == (65, True)
    assert keys(s3, "processed", f"_staging/orders/ds={ds}/") == []


def test_a_file_sent_twice_is_read_once(s3: Any, worker: Worker) -> None:
    ds, run = "2025-06-29", "copies"
    for name in ("a.csv", "b.csv"):
        upload(s3, ds, HEADER + "O1,Ann,1.00,shipped,2025-06-29\n", name)
    upload(s3, ds, HEADER.replace("Amount", "Coupon,Amount") + "O2,Ben,X5,1.00,shipped,2025-06-29\n", "c.csv")
    assert worker.stage(ds, run) == (0, "")
    staged = manifest(s3, "stage_raw", ds, run)
    assert [file["name"] for file in staged["files"]] == ["a.csv", "c.csv"]
    assert [(file["name"], file["same_as"]) for file in staged["duplicate_files"]] == [("b.csv", "a.csv")]
    assert staged["drift"] == {"additions": "refuse", "new_columns": {"Coupon": ["c.csv"]}}
    assert worker.clean(ds, run)[0] == 0
    cleaned = manifest(s3, "clean", ds, run)
    assert (cleaned["rows"]["read"], cleaned["rows"]["published"]) == (2, 2)


def test_raw_files_that_are_not_there_or_not_csv_are_refused(s3: Any, worker: Worker) -> None:
    code, error = worker.stage("2025-06-27", "empty")
    assert (code, "there is no raw file under s3://raw/orders/ds=2025-06-27/" in error) == (65, True)
    upload(s3, "2025-06-27", b"PAR1", "orders.parquet")
    code, error = worker.stage("2025-06-27", "parquet")
    assert (code, "must end in .csv or .csv.gz" in error) == (65, True)


def test_two_at_once_do_not_meet_and_an_empty_day_has_a_schema(s3: Any, worker: Worker) -> None:
    ds = "2025-06-28"
    upload(s3, ds, HEADER)
    assert worker.stage(ds, "one")[0] == worker.stage(ds, "two")[0] == 0
    both = [worker.start("spark-submit", "clean", ds, run) for run in ("one", "two")]
    assert [process.wait(180) for process in both] == [0, 0]
    for run in ("one", "two"):
        cleaned = manifest(s3, "clean", ds, run)
        assert cleaned["rows"]["read"] == 0
        empty = table(s3, cleaned["output"]["files"])
        assert (empty.num_rows, empty.schema.field("amount").type) == (0, pa.decimal128(12, 2))
        assert cleaned["quarantine"]["files"] == []


def test_a_stopped_job_leaves_no_process_no_scratch_and_no_manifest(s3: Any, worker: Worker) -> None:
    ds, run = "2025-06-28", "stopped"
    assert worker.stage(ds, run)[0] == 0
    process = worker.start("spark-submit", "clean", ds, run)
    time.sleep(6)
    scratch = next(path for path in (worker.home / "scratch").iterdir() if path.is_dir())
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert not scratch.exists()
    processes = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    assert str(scratch) not in processes
    assert keys(s3, "artifacts", f"manifests/orders/ds={ds}/run={run}/clean") == []
