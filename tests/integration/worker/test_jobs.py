"""The three jobs as Airflow runs them: through lake-worker, from a bundle on S3, over S3 and the data volume."""

from __future__ import annotations

import hashlib
import json
import re
import signal
import subprocess
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.integration.worker.conftest import Worker
from tools import samples

HEADER = "OrderID,Customer,Amount,Status,OrderDate\n"


def test_a_day_of_orders_from_raw_file_to_verdict(s3: Any, worker: Worker, tmp_path: Path) -> None:
    ds, run = "2025-06-24", "day"
    right = samples.write("orders", date.fromisoformat(ds), 1, 400, 3, tmp_path)["days"][ds]
    content = (tmp_path / "orders" / f"ds={ds}" / "orders.csv").read_bytes()
    worker.upload(ds, content)
    worker.upload(ds, b"", "_SUCCESS")

    assert worker.stage(ds, run) == (0, "")
    staged = worker.manifest("stage_raw", ds, run)
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
    cleaned = worker.manifest("clean", ds, run)
    by_rule = {name: cleaned[name] for name in ("quarantined_by_rule", "warned_by_rule")}
    assert {**cleaned["rows"], **by_rule} == {
        name: value for name, value in right.items() if name != "published_amount"
    }
    rows = worker.table(cleaned["output"]["files"])
    assert [file["key"].rpartition("/")[2] for file in cleaned["output"]["files"]] == ["part-00000.parquet"]
    assert rows.schema.field("amount").type == pa.decimal128(12, 2)
    assert rows.schema.field("order_date").type == pa.date32()
    assert rows.schema.names[-3:] == ["source_file", "source_line", "run_id"]
    assert pc.sum(rows["amount"]).as_py() == Decimal(right["published_amount"])
    bad = worker.table(cleaned["quarantine"]["files"])
    assert bad.schema.names == ["raw_row", "rule", "reason", "source_file", "source_line", "run_id"]
    lines = content.split(b"\n")
    for row in bad.to_pylist():
        assert row["raw_row"] == lines[row["source_line"] - 1].decode(errors="backslashreplace")

    code, output, errors = worker.said("spark-submit", "validate", ds, run)
    assert code == 0, errors
    assert "validate: in the Spark of the step before" in output
    verdict = worker.manifest("validate", ds, run)
    assert verdict["success"]
    assert verdict["docs"].endswith("/index.html")
    assert verdict["docs"].removeprefix("s3://artifacts/") in worker.keys("artifacts", "data-docs/")
    assert [path.name for path in (worker.home / "scratch").iterdir()] == ["_sweep.lock"]

    part = cleaned["output"]["files"][0]["key"]
    s3.put_object(Bucket="processed", Key=part, Body=b"something else")
    # In a Spark of its own, measured by what was cleaned, though nothing that it is told lies on this machine.
    code, output, errors = worker.said("spark-submit", "validate", ds, run)
    assert code == 1
    assert "is not what clean wrote" in errors
    assert f"{len(content):,} bytes to work on: small mode" in output


def test_a_batch_that_must_fail_ends_with_65_and_one_clear_line(worker: Worker) -> None:
    ds, run = "2025-06-25", "negative"
    lines = (f"O{number:04},Bob,{'-' * (number % 2)}5.00,shipped,{ds}\n" for number in range(100))
    worker.upload(ds, HEADER + "".join(lines))
    assert worker.stage(ds, run) == (0, "")
    assert worker.clean(ds, run)[0] == 0
    code, error = worker.validate(ds, run)
    assert code == 65
    told = r"ERROR validate orders 2025-06-25: 1 of \d+ expectations failed: quarantined_share "
    assert re.match(told, error), error
    assert "(observed 0.5, 50 of 100 rows)" in error
    verdict = worker.manifest("validate", ds, run)
    assert not verdict["success"]
    assert [item["severity"] for item in verdict["failed"]] == ["critical", "warning"]


def test_columns_that_do_not_fit_end_with_65_before_anything_is_staged(worker: Worker) -> None:
    ds, run = "2025-06-26", "renamed"
    worker.upload(ds, "OrderID,Client,Amount,Status,OrderDate\n")
    code, error = worker.stage(ds, run)
    assert code == 65
    assert error.startswith(
        "ERROR stage_raw orders 2025-06-26: orders.csv line 1: the columns do not fit the contract:"
    )
    assert "missing 'Customer'" in error
    assert "new 'Client'" in error
    assert worker.keys("artifacts", f"manifests/orders/ds={ds}/run={run}/") == []
    code, error = worker.clean(ds, run)
    assert (code, "there is no file to read in" in error) == (65, True)
    assert worker.keys("processed", f"_staging/orders/ds={ds}/") == []


def test_a_file_sent_twice_is_read_once(worker: Worker) -> None:
    ds, run = "2025-06-29", "copies"
    for name in ("a.csv", "b.csv"):
        worker.upload(ds, HEADER + "O1,Ann,1.00,shipped,2025-06-29\n", name)
    worker.upload(ds, HEADER.replace("Amount", "Coupon,Amount") + "O2,Ben,X5,1.00,shipped,2025-06-29\n", "c.csv")
    assert worker.stage(ds, run) == (0, "")
    staged = worker.manifest("stage_raw", ds, run)
    assert [file["name"] for file in staged["files"]] == ["b.csv", "c.csv"]
    assert [(file["name"], file["same_as"]) for file in staged["duplicate_files"]] == [("a.csv", "b.csv")]
    assert staged["drift"] == {"additions": "refuse", "new_columns": {"Coupon": ["c.csv"]}, "absent_columns": {}}
    assert worker.clean(ds, run)[0] == 0
    cleaned = worker.manifest("clean", ds, run)
    assert (cleaned["rows"]["read"], cleaned["rows"]["published"]) == (2, 2)


def test_raw_files_that_are_not_there_or_not_csv_are_refused(worker: Worker) -> None:
    code, error = worker.stage("2025-06-27", "empty")
    assert (code, "there is no raw file under s3://raw/orders/ds=2025-06-27/" in error) == (65, True)
    worker.upload("2025-06-27", b"PAR1", "orders.parquet")
    code, error = worker.stage("2025-06-27", "parquet")
    assert (code, "must end in .csv or .csv.gz" in error) == (65, True)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("a.csv", "/b.csv"), "'orders/ds=2025-07-01//b.csv': the key has an empty part"),
        (("a.csv", "../../ds=2025-07-02/b.csv"), "the key has a part `.` or `..`"),
        (("a.csv", "a.csv/b.csv"), "'orders/ds=2025-07-01/a.csv/b.csv': 'a.csv' is a file too"),
    ],
)
def test_a_key_that_is_no_path_below_the_folder_is_refused_and_nothing_is_written(
    s3: Any, worker: Worker, keys: tuple[str, ...], told: str
) -> None:
    ds = "2025-07-01"
    for key in keys:
        worker.upload(ds, HEADER + f"O1,Ann,1.00,shipped,{ds}\n", key)
    code, error = worker.stage(ds, "keys")
    assert code == 65
    assert told in error
    assert [path for path in (worker.data / "orders").rglob("*") if f"ds={ds}" in str(path)] == []
    assert not Path("/b.csv").exists()
    for item in s3.list_objects_v2(Bucket="raw", Prefix=f"orders/ds={ds}/")["Contents"]:
        s3.delete_object(Bucket="raw", Key=item["Key"])


def test_two_at_once_do_not_meet_and_an_empty_day_has_a_schema(worker: Worker) -> None:
    ds = "2025-06-28"
    worker.upload(ds, HEADER)
    assert worker.stage(ds, "one")[0] == worker.stage(ds, "two")[0] == 0
    both = [worker.start("spark-submit", "clean", ds, run) for run in ("one", "two")]
    assert [process.wait(180) for process in both] == [0, 0]
    for run in ("one", "two"):
        cleaned = worker.manifest("clean", ds, run)
        assert cleaned["rows"]["read"] == 0
        empty = worker.table(cleaned["output"]["files"])
        assert (empty.num_rows, empty.schema.field("amount").type) == (0, pa.decimal128(12, 2))
        assert cleaned["quarantine"]["files"] == []


def test_a_stopped_job_leaves_no_process_no_scratch_and_no_manifest(worker: Worker) -> None:
    ds, run = "2025-06-29", "stopped"
    worker.upload(ds, HEADER)
    assert worker.stage(ds, run)[0] == 0
    # Those of runs before, whose Spark waits for their next step.
    others = set((worker.home / "scratch").glob("*"))
    process = worker.start("spark-submit", "clean", ds, run)
    # Soon after it began, and long before it can have ended.
    while not (found := [path for path in set((worker.home / "scratch").glob("*")) - others if path.is_dir()]):
        time.sleep(0.1)
    time.sleep(2)
    scratch = found[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not scratch.exists()
    processes = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    assert str(scratch) not in processes
    assert worker.keys("artifacts", f"manifests/orders/ds={ds}/run={run}/clean") == []
