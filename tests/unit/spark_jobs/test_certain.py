"""Records taken apart end as they do one by one; broken ones in tests/broken, dates at once in tests/integration."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract.dataset import Contract
from contract.submission import Submission
from pyspark.sql import SparkSession

from spark_jobs import certain, clean, job, outcomes, records, references
from tests.staging import as_staged
from tests.unit.spark_jobs.contracts import contract_of

RULES = (
    {"name": "late", "condition": "day > run_date", "action": "quarantine", "description": "Of a later day"},
    {"name": "old", "condition": "day < run_date - 20", "action": "drop", "description": "Of long ago"},
    {"name": "small", "condition": "10 / count > 4", "action": "warn", "description": "Small"},
)
COLUMNS: tuple[dict[str, Any], ...] = (
    {"name": "id", "required": True},
    {"name": "count", "type": "int", "min": 0},
    {"name": "price", "type": "decimal(8,2)"},
    {"name": "weight", "type": "double"},
    {"name": "state", "allowed": ("new", "used")},
    {"name": "good", "type": "boolean"},
    {"name": "day", "type": "date", "format": "yyyy-MM-dd"},
    {"name": "seen", "type": "timestamp", "format": "yyyy-MM-dd HH:mm:ss"},
)
# Of these only Spark can read two columns.
ODD = (
    {"name": "id", "required": True, "normalize": "upper(value)"},
    *COLUMNS[1:6],
    {**COLUMNS[6], "normalize": "trim(value)"},
    COLUMNS[7],
)
DERIVED = ({"name": "total", "type": "decimal(12,2)", "expression": "count * price", "description": "Total"},)
CONTRACTS = {
    "by row": contract_of(*COLUMNS, dedupe={"by": "row"}, rules=RULES),
    "by key": contract_of(
        *COLUMNS,
        load_mode="upsert",
        key=("id",),
        dedupe={"by": "key", "latest_by": ("seen",)},
        rules=RULES,
        derived=DERIVED,
        additions="keep",
    ),
    "every row": contract_of(*COLUMNS, rules=RULES),
    "odd": contract_of(*ODD, load_mode="upsert", key=("id",), rules=RULES[:2], derived=DERIVED),
}
VALUES = {
    "id": [*map(str, range(40)), "a", "A", "", " ", '"x, y"', '"x\ny"'],
    "count": ["3", "5", "1", "+7", "07", "-1", "", "x"],
    "price": ["1.00", "1", "+1.00", "19.95", "1.005", ""],
    "weight": ["0.0", "-0.0", "0", "1e3", "1000", "NaN", ""],
    "state": ["new", "used", "new", "used", "lost", ""],
    "good": ["true", "TRUE", "tRue", "false", "no", ""],
    "day": ["2025-06-30", "2025-06-29", "2025-06-01", "2025-07-01", "30/6/2025", "1/6/2025", "2025-02-30", ""],
    "seen": ["2025-06-30 10:00:00", "2025-06-30 24:00:00", ""],
    "other": ["", "x", "y"],
}
Clean = Callable[[Contract, int], dict[str, Any]]


def lines(seed: int, count: int) -> str:
    """A CSV file of rows most of which are good, and some of which come again."""
    chance = random.Random(seed)  # noqa: S311
    rows: list[str] = []
    for _ in range(count):
        values = [chance.choice(found if chance.random() < 0.15 else found[:2]) for found in VALUES.values()]
        values[0] = chance.choice(VALUES["id"])
        rows.append(chance.choice(rows) if rows and chance.random() < 0.1 else ",".join(values))
    return "".join(f"{row}\n" for row in [",".join(VALUES), *rows])


@pytest.fixture
def cleaned(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clean:
    """`cleaned(contract, many_bytes)` cleans two files and tells what came of them, in any order."""
    raw = tmp_path / "raw"
    raw.mkdir()
    for seed, name in enumerate(("a.csv", "b.csv")):
        (raw / name).write_text(lines(seed, 150), encoding="utf-8")
    as_staged(raw)

    def run(contract: Contract, many_bytes: int) -> dict[str, Any]:
        monkeypatch.setattr(clean, "MANY_BYTES", many_bytes)
        folder = tmp_path / f"{many_bytes}"
        arguments = clean.Arguments(
            dataset=contract.dataset,
            ds=date(2025, 6, 30),
            run="run",
            manifest=(folder / "clean.json").as_uri(),
            submission=Submission("run", "00000001"),
            input=raw.as_uri(),
            output=(folder / "published").as_uri(),
            quarantine=(folder / "quarantined").as_uri(),
        )
        context = clean.Context(spark, contract, references.OtherDatasets(spark, {}, tmp_path), None)
        files = clean.input_files(arguments.input, contract)
        manifest = clean.clean_date(context, clean.staged(context, arguments, files), job.Phases())
        told = {name: manifest[name] for name in ("rows", "quarantined_by_rule", "warned_by_rule", "input")}
        for place in ("output", "quarantine"):
            tables = [pq.read_table(file["key"], partitioning=None) for file in manifest[place]["files"]]
            told[place] = sorted(repr(row) for table in tables for row in table.to_pylist())
            told[f"{place} columns"] = {f"{table.schema.remove_metadata()}" for table in tables}
        return told

    return run


@pytest.mark.parametrize("name", CONTRACTS)
def test_records_taken_apart_end_as_they_do_one_by_one(
    cleaned: Clean, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(records, "BATCH_ROWS", 10)
    monkeypatch.setattr(records, "FILE_ROWS", 50)
    monkeypatch.setattr(outcomes, "FILE_ROWS", 120)
    monkeypatch.setattr(outcomes, "ROW_GROUP_ROWS", 20)
    monkeypatch.setattr(certain, "HASHES_AT_ONCE", 100)
    one_by_one = cleaned(CONTRACTS[name], clean.MANY_BYTES)
    assert cleaned(CONTRACTS[name], 0) == one_by_one
    rows = one_by_one["rows"]
    assert min(rows["published"], rows["quarantined"], rows["dropped"]["old"]) > 5
    assert (rows["duplicates"] > 5) == (CONTRACTS[name].dedupe_by is not None)


@pytest.mark.parametrize(("text", "apart"), [("x" * 20_000, True), ("x", False)])
def test_much_in_few_bytes_is_taken_apart(
    cleaned: Clean, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, apart: bool
) -> None:
    """A file that is compressed to a fiftieth of what it holds."""
    taken: list[bool] = []
    rest = lines(3, 150).splitlines(keepends=True)
    content = (rest[0] + "".join(f"{text}{line}" for line in rest[1:])).encode()
    (tmp_path / "raw" / "c.csv.gz").write_bytes(gzip.compress(content))
    as_staged(tmp_path / "raw")
    take_apart = certain.take_apart

    def noted(*arguments: Any) -> certain.Apart:
        taken.append(True)
        return take_apart(*arguments)

    monkeypatch.setattr(certain, "take_apart", noted)
    monkeypatch.setattr(clean, "MANY_KEPT_BYTES", 1 << 20)
    cleaned(CONTRACTS["every row"], 1 << 20)
    assert sum(file.stat().st_size for file in (tmp_path / "raw").iterdir()) < 1 << 20
    assert bool(taken) is apart


def test_most_records_are_certain(cleaned: Clean, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[certain.Apart] = []
    take_apart = certain.take_apart

    def noted(*arguments: Any) -> certain.Apart:
        taken.append(take_apart(*arguments))
        return taken[-1]

    monkeypatch.setattr(certain, "take_apart", noted)
    rows = cleaned(CONTRACTS["every row"], 0)["rows"]
    apart = sum(group["rows"] for group in taken[0].groups)
    assert rows["published"] / 2 < apart < rows["published"], "some have a warning, or are read by Spark only"


def test_hashes_are_repeated_in_any_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = [5, -7, 5, 1 << 62, -(1 << 62), 3, 5, -7, 0]
    for number in (0, 1):
        table = pa.table({"_record": range(9)[number::2], "_hash": hashes[number::2]})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    for at_once in (2, 4, 100):
        monkeypatch.setattr(certain, "HASHES_AT_ONCE", at_once)
        assert certain.repeated(tmp_path).tolist() == [-7, 5]


def test_a_record_that_was_not_judged_is_missed(tmp_path: Path) -> None:
    contract, kept = CONTRACTS["every row"], tmp_path / "kept"
    for folder in (kept, tmp_path / "judged", tmp_path / "left"):
        folder.mkdir()
    (tmp_path / "a.csv").write_text(lines(1, 5), encoding="utf-8")
    file = records.storage.StoredFile("a.csv", (tmp_path / "a.csv").as_uri(), 1)
    records.write(records.tasks([file], contract)[0], contract, None, kept, 0)
    (path,) = kept.iterdir()
    judged = pq.read_table(path).select(["_record"]).append_column("_certain", pa.array([True] * 5)).slice(1)
    pq.write_table(judged, tmp_path / "judged" / "0.parquet")
    taking = certain.Taking(contract, Submission("run", "00000001"), tmp_path / "judged", np.array([], np.int64))
    with pytest.raises(AssertionError, match="of 5 records from 0 on, 4 were judged"):
        taking.publish([path], tmp_path / "published.parquet", tmp_path / "left")


@pytest.mark.parametrize(
    ("rows", "tasks", "expected"), [([3], 2, [1]), ([3, 3, 3], 2, [3]), ([4] * 6, 2, [2, 2, 2]), ([10] * 5, 2, [1] * 5)]
)
def test_files_are_few_and_keep_all_tasks_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[int], tasks: int, expected: list[int]
) -> None:
    monkeypatch.setattr(outcomes, "FILE_ROWS", 10)
    files = [tmp_path / f"{number}.parquet" for number in range(len(rows))]
    for file, count in zip(files, rows, strict=True):
        pq.write_table(pa.table({"a": range(count)}), file)
    found = certain.by_published_file(files, tasks)
    assert [len(each) for each in found] == expected
    assert [file for each in found for file in each] == files
