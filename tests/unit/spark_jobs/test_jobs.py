"""The parts of the jobs that need neither Spark nor S3: arguments, manifests, sums, disk, suite."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from contract.dataset import Contract

from spark_jobs import clean, job, records, stage_raw, storage, validate, verdict
from spark_jobs.errors import DataError, NotReadyError
from spark_jobs.raw import LineCounts
from spark_jobs.raw.pieces import WHOLE
from tests.staging import as_staged


def groups(**rows_by_outcome: int) -> list[dict[str, Any]]:
    return [
        {
            "outcome": outcome,
            "rule": "a_rule" if outcome in ("quarantined", "dropped") else None,
            "rows": rows,
            "warned": [rows - 1, 0],
        }
        for outcome, rows in rows_by_outcome.items()
    ]


def test_counts_are_told_by_outcome_and_rule() -> None:
    counts = clean.row_counts(groups(published=5, quarantined=2, dropped=3, duplicate=1), 11, ["odd", "rare"])
    assert counts == {
        "rows": {"read": 11, "published": 5, "quarantined": 2, "duplicates": 1, "dropped": {"a_rule": 3}},
        "quarantined_by_rule": {"a_rule": 2},
        "warned_by_rule": {"odd": 4},
    }
    clean.check_sums(counts, {"published": 5, "quarantined": 2})


def test_rows_that_do_not_add_up_fail_the_run() -> None:
    counts = clean.row_counts(groups(published=5, quarantined=2), 7, ["odd", "rare"])
    with pytest.raises(AssertionError, match="do not add up"):
        clean.check_sums(counts, {"published": 4, "quarantined": 2})
    counts["rows"]["read"] += 1
    with pytest.raises(AssertionError, match="do not add up"):
        clean.check_sums(counts, {"published": 5, "quarantined": 2})


def test_headers_are_checked_before_spark_starts(orders: Contract, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file to read"):
        clean.input_files(tmp_path.as_uri(), orders)
    (tmp_path / "good.csv").write_text("OrderID,Customer,Amount,Status,OrderDate\n")
    as_staged(tmp_path)
    assert [file.name for file in clean.input_files(tmp_path.as_uri(), orders)] == ["good.csv"]
    (tmp_path / "renamed.csv").write_text("Order,Customer,Amount,Status,OrderDate\n")
    as_staged(tmp_path)
    with pytest.raises(
        DataError, match=r"renamed.csv line 1: .*missing 'OrderID' \(renamed to 'Order'\?\); new 'Order'"
    ):
        clean.input_files(tmp_path.as_uri(), orders)


def test_only_the_files_that_were_staged_are_read(orders: Contract, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("OrderID,Customer,Amount,Status,OrderDate\n")
    as_staged(tmp_path)
    for name, content in (("a.csv", "OrderID,Customer,Amount,Status,OrderDate\nO1"), ("b.csv", "")):
        (tmp_path / name).write_text(content)
        with pytest.raises(AssertionError, match="not the files listed: "):
            clean.input_files(tmp_path.as_uri(), orders)
    for path in (tmp_path / "a.csv", tmp_path / "b.csv"):
        path.rename(path.with_suffix(".old.csv"))
    with pytest.raises(AssertionError, match=r"missing \[\('a.csv', 41\)\]"):
        clean.input_files(tmp_path.as_uri(), orders)


def read(name: str = "a.csv", rows: int = 2, lines: int = 3, problem: str | None = None, **counts: int) -> records.Read:
    return records.Read(name, rows, lines, LineCounts(**counts), problem)


def test_every_line_of_every_file_is_accounted_for() -> None:
    whole = [read(physical=5, header=1, blank=1)]
    in_three = [read(lines=1, physical=3, header=1, blank=1), *[read(lines=1, physical=1)] * 2]
    for pieces in (whole, in_three):
        (counts,) = clean.lines_of_files(pieces).values()
        assert {kind: count for kind, count in counts.items() if count} == {
            "physical": 5,
            "header": 1,
            "blank": 1,
            "records": 3,
        }
    with pytest.raises(AssertionError, match=r"the lines of a\.csv do not add up"):
        clean.lines_of_files([read(physical=6, header=1, blank=1)])


def test_every_row_of_every_file_has_an_outcome() -> None:
    judged = [
        {"outcome": "published", "source_file": "a.csv", "rows": 3},
        {"outcome": "quarantined", "source_file": "a.csv", "rows": 1},
    ]
    assert clean.rows_of_files([read(), read(), read("b.csv", rows=0)], judged) == {"a.csv": 4, "b.csv": 0}
    with pytest.raises(AssertionError, match=r"rows by file: \{'a\.csv': 2\} read, \{'a\.csv': 4\} with an outcome"):
        clean.rows_of_files([read()], judged)


def test_every_piece_of_every_file_is_read_once_and_to_its_end() -> None:
    files = [storage.StoredFile(name, f"file:///{name}", 1) for name in ("a.csv", "b.csv")]
    pieces = [[records.PieceOfFile(files[0], WHOLE)], [records.PieceOfFile(file, WHOLE) for file in files]]
    clean.check_read(files, pieces, [read(), read(), read("b.csv")])
    for found in ([read(), read("b.csv")], [read(), read(), read("b.csv"), read("b.csv")]):
        with pytest.raises(AssertionError, match="files to read"):
            clean.check_read(files, pieces, found)
    with pytest.raises(AssertionError, match="files to read"):
        clean.check_read(files, pieces[:1], [read()])
    with pytest.raises(DataError, match="cut short"):
        clean.check_read(files, pieces, [read(), read(problem="a.csv line 3: cut short"), read("b.csv")])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a b/ñ%2F{ds}.csv", None),
        ("/a.csv", "an empty part"),
        ("a//b.csv", "an empty part"),
        ("a/", "an empty part"),
        ("../a.csv", "a part `.` or `..`"),
        ("a/./b.csv", "a part `.` or `..`"),
        ("a\n.csv", "a control character"),
        ("a\0.csv", "a control character"),
        ("ñ" * 128 + ".csv", "longer than 255 bytes"),
    ],
)
def test_a_key_is_a_path_below_the_folder_or_none(name: str, problem: str | None) -> None:
    found = stage_raw.path_problem(name)
    assert found is None if problem is None else problem in str(found)


def test_json_appears_whole_and_can_be_read_back(tmp_path: Path) -> None:
    uri = (tmp_path / "a folder" / "manifest.json").as_uri()
    storage.write_json({"customer": "Věra"}, uri)
    assert storage.read_json(uri) == {"customer": "Věra"}
    assert [path.name for path in (tmp_path / "a folder").iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_has_no_word_for_is_not_written(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json({"mean": number}, (tmp_path / "manifest.json").as_uri())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.json").write_text(json.dumps({"mean": number}))
    assert storage.read_json((tmp_path / "old.json").as_uri()) == {"mean": None}


@pytest.mark.parametrize("uri", ["/data", "file://host/data", "file:data", "s3://bucket/key"])
def test_only_absolute_file_uris_are_local(uri: str) -> None:
    with pytest.raises(ValueError, match="is not a file:///absolute/path URI"):
        storage.local_path(uri)


def test_a_job_reaches_the_data_volume_and_temporary_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, scratch, elsewhere = (tmp_path / name for name in ("data", "scratch", "elsewhere"))
    for folder in (data, scratch, elsewhere):
        folder.mkdir()
    (data / "link").symlink_to(elsewhere)
    monkeypatch.setenv("LAKE_DATA_DIR", str(data))
    monkeypatch.setattr(storage.tempfile, "gettempdir", lambda: str(scratch))
    for path in (data / "orders" / "a.csv", scratch / "part.parquet"):
        assert storage.local_path(path.as_uri()) == path
    for outside in (elsewhere / "a", data / ".." / "elsewhere" / "a", data / "link" / "a", Path("/proc/self/environ")):
        with pytest.raises(ValueError, match="neither on the data volume nor among the temporary files"):
            storage.local_path(f"file://{outside}")


def test_keys_that_are_no_paths_below_their_folder_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def listed(*names: str) -> list[storage.StoredFile]:
        monkeypatch.setattr(storage, "list_s3", lambda _uri: [{"Key": f"things/{name}", "Size": 1} for name in names])
        return storage.list_files("s3://processed/things")

    assert [file.name for file in listed("b", "a/b", "_marker")] == ["a/b", "b"]
    for name in ("../../lake-worker", "a/../b", "a//b", "./a"):
        with pytest.raises(ValueError, match="is no file below s3://processed/things"):
            listed("b", name)


def test_only_what_was_received_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert storage.received("s3://any/orders/") == "s3://any/orders/"
    monkeypatch.setenv("LAKE_RAW_BUCKET", "raw")
    for uri in ("s3://raw/orders/", "file:///data/orders/"):
        assert storage.received(uri) == uri
    with pytest.raises(ValueError, match="is not in the raw bucket"):
        storage.received("s3://processed/orders_runs/")


@pytest.mark.parametrize("dataset", ["../datasets/orders", "frobnicate", "/etc/passwd", ""])
def test_a_dataset_is_one_of_the_bundle(dataset: str) -> None:
    with pytest.raises(DataError, match="there is no contract include/datasets/"):
        job.contract_of(dataset)


def test_a_failure_is_one_line_and_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["clean", "--dataset", "orders", "--ds", "2025-06-30", "--run", "r"])
    monkeypatch.delenv("LAKE_ERROR_FILE", raising=False)
    ends: list[tuple[Exception | None, int, str]] = [
        (None, 0, ""),
        (DataError("a.csv line 1:\nno header"), 65, "ERROR clean orders 2025-06-30: a.csv line 1: no header"),
        (OSError("gone"), 1, "ERROR clean orders 2025-06-30: OSError: gone"),
    ]
    for error, code, line in ends:

        def run(_arguments: object, error: Exception | None = error) -> None:
            if error:
                raise error

        with pytest.raises(SystemExit) as ended:
            job.main("clean", job.parser("clean"), run)
        assert ended.value.code == code
        assert capsys.readouterr().err.rstrip("\n").rpartition("\n")[2] == line


def test_a_run_must_not_leave_its_folder() -> None:
    with pytest.raises(ValueError, match=r"\.\./x"):
        job.run_slug("../x")


def test_a_dataset_without_a_contract_is_refused() -> None:
    with pytest.raises(DataError, match="there is no contract include/datasets/unknown"):
        job.contract_of("unknown")


def test_the_suite_has_what_the_contract_says(orders: Contract) -> None:
    suite = validate.suite_of(orders)
    rows = [(item["type"], item["kwargs"].get("column")) for item in suite["rows"]]
    assert ("expect_column_values_to_be_unique", "order_id") in rows
    assert ("expect_column_values_to_not_be_null", "amount") in rows
    schema = next(item for item in suite["run"] if item["kwargs"]["column"] == "schema")
    assert "amount decimal(12,2)" in schema["kwargs"]["value_set"][0]
    assert all(item["severity"] in ("critical", "warning", "info") for items in suite.values() for item in items)


def test_values_of_a_failure_fit_into_json() -> None:
    assert json.dumps(verdict.plain({"a": [date(2025, 6, 30)]})) == '{"a": ["2025-06-30"]}'


def test_the_text_of_an_unforeseen_error_is_not_told_of_a_dataset_with_personal_data() -> None:
    error = ValueError("cannot make sense of 'Ann Example'")
    assert job.unexpected(error, "orders") == "ValueError: cannot make sense of 'Ann Example'"
    assert "Ann" not in job.unexpected(error, "customers")
    assert job.unexpected(error, "customers").startswith("ValueError: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("x"), 65),
        (NotReadyError("x"), 75),
        (MemoryError(), 71),
        (RuntimeError("o1.count: java.lang.OutOfMemoryError: Not enough memory to build and broadcast"), 71),
        (RuntimeError("x"), 1),
    ],
)
def test_how_a_job_ended_is_told_by_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, code: int
) -> None:
    def fail(_parsed: Namespace) -> None:
        raise error

    words = ["--dataset", "orders", "--ds", "2025-06-30", "--run", "r", "--manifest", "s3://a/b.json"]
    monkeypatch.setattr("sys.argv", ["clean", *words])
    monkeypatch.setenv("LAKE_ERROR_FILE", str(tmp_path / "error"))
    with pytest.raises(SystemExit) as end:
        job.main("clean", job.parser("clean", manifest="JSON"), fail)
    assert end.value.code == code
    assert (tmp_path / "error").read_text().startswith("ERROR clean orders 2025-06-30: ")
