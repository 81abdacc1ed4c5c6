"""Dates that are cleaned at once end as each does alone."""

from __future__ import annotations

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract.submission import Submission
from pyspark.sql import SparkSession

from spark_jobs import clean, job, records, references, storage
from spark_jobs.errors import DataError
from tests.staging import as_staged
from tests.unit.spark_jobs.contracts import contract_of

SALES = contract_of(
    {"name": "id", "required": True},
    "product",
    {"name": "amount", "type": "int"},
    {"name": "day", "type": "date", "format": "yyyy-MM-dd"},
    dataset="sales",
    load_mode="upsert",
    key=("id",),
    dedupe={"by": "key", "latest_by": ("amount",)},
    format={"type": "csv", "multiline": True},
    lookups=(
        {
            "dataset": "products",
            "column": "product",
            "references": "id",
            "take": ({"name": "price", "from": "price", "type": "int", "description": "Price"},),
        },
    ),
    references=(
        {
            "name": "product_unknown",
            "column": "product",
            "dataset": "products",
            "references": "id",
            "action": "warn",
            "description": "No such product",
        },
    ),
    derived=({"name": "age", "type": "int", "expression": "date_diff(run_date, day)", "description": "Days"},),
    rules=(
        {"name": "early", "condition": "day > run_date", "action": "quarantine", "description": "Of a later day"},
        {"name": "old", "condition": "day < run_date - 3", "action": "drop", "description": "Of long ago"},
        {"name": "wrong", "condition": "amount < 0", "action": "fail", "description": "Below zero"},
        {"name": "zero", "condition": "10 / amount > 9", "action": "warn", "description": "Small"},
    ),
)
HEADER = "id,product,amount,day\n"
FILES = {
    # The same keys on several dates, and twice on one.
    "2025-06-02": {"a.csv": "1,p,2,2025-06-02\n2,q,3,2025-06-02\n1,p,5,2025-06-01\n", "b.csv": "3,r,1,2025-06-02\n"},
    "2025-06-03": {"a.csv": "1,p,2,2025-06-02\n2,q,x,2025-06-03\n4,p,1,2025-06-04\n5,p,1,2025-05-01\n"},
    "2025-06-04": {"a.csv": "1,p,2,2025-06-04\n2,p,-1,2025-06-04\n"},
    "2025-06-05": {"a.csv": "6,r,7,2025-06-05\n\n7,r\n"},
    # Nothing is left to publish; no row at all.
    "2025-06-06": {"a.csv": "8,r,7,2025-06-07\n"},
    "2025-06-07": {"a.csv": ""},
    "2025-06-08": {
        "a.csv": "9,r,7,2025-06-08\n",
        "damaged.csv.gz": "".join(f"{n * 7919},r,7,\n" for n in range(40_000)),
    },
}
PRODUCTS = {"2025-06-01": {"p": 10, "q": 20}, "2025-06-03": {"q": 21}, "2025-06-05": {"r": 30}}


@pytest.fixture
def context(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> clean.Context:
    """A session for SALES, which read PRODUCTS."""
    partitions = {}
    for ds, prices in PRODUCTS.items():
        folder = tmp_path / "products" / ds
        folder.mkdir(parents=True)
        rows = {"id": pa.array([*prices]), "price": pa.array([*prices.values()], pa.int32())}
        pq.write_table(pa.table(rows), folder / "part-00000.parquet")
        partitions[ds] = folder.as_uri()
    price = {"name": "price", "type": "int"}
    products = contract_of({"name": "id", "required": True}, price, load_mode="upsert", key=("id",), dataset="products")
    monkeypatch.setattr(job, "contract_of", lambda _: products)
    return clean.Context(spark, SALES, references.OtherDatasets(spark, {"products": partitions}, tmp_path), None)


def staged(context: clean.Context, folder: Path, files: dict[str, dict[str, str]]) -> list[clean.Staged]:
    """These dates, and a place of their own for what becomes of them."""
    found = []
    for ds, texts in files.items():
        raw = folder / "raw" / ds
        raw.mkdir(parents=True)
        for name, text in texts.items():
            content = (HEADER + text).encode()
            (raw / name).write_bytes(gzip.compress(content)[:-30] if name.endswith(".gz") else content)
        as_staged(raw)
        arguments = clean.Arguments(
            dataset="sales",
            ds=date.fromisoformat(ds),
            run="run",
            manifest=(folder / ds / "clean.json").as_uri(),
            submission=Submission("run", "00000001"),
            input=raw.as_uri(),
            output=(folder / ds / "published").as_uri(),
            quarantine=(folder / ds / "quarantined").as_uri(),
        )
        found.append(clean.staged(context, arguments, clean.input_files(arguments.input, SALES)))
    return found


def became(ended: dict[str, Any] | DataError) -> Any:
    """What a date came to: its manifest and its rows, or why it is refused."""
    if isinstance(ended, DataError):
        return f"{ended}"
    rows = {}
    for place in ("output", "quarantine"):
        tables = [pq.read_table(storage.local_path(f"file://{file['key']}")) for file in ended[place]["files"]]
        found = [row for table in tables for row in table.to_pylist()]
        rows[place] = sorted(map(repr, found))
        rows[f"{place} columns"] = sorted({f"{table.schema.remove_metadata()}" for table in tables})
    told = ("rows", "quarantined_by_rule", "warned_by_rule", "made_from", "submission", "ds")
    files = [(file["name"], file["rows"], file["lines"]) for file in ended["input"]["files"]]
    return {name: ended[name] for name in told} | {"files": files} | rows


@pytest.mark.parametrize(("shuffles", "are_many"), [(1, False), (4, False), (4, True)])
def test_dates_end_at_once_as_each_ends_alone(
    spark: SparkSession,
    context: clean.Context,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shuffles: int,
    are_many: bool,
) -> None:
    spark.conf.set("spark.sql.shuffle.partitions", shuffles)
    with monkeypatch.context() as patched:
        if are_many:
            patched.setattr(clean, "MANY_BYTES", 0)
        at_once = clean.clean_dates(context, staged(context, tmp_path / "at once", FILES), job.Phases())
    alone = [clean.clean_dates(context, [each], job.Phases()) for each in staged(context, tmp_path / "alone", FILES)]
    found = {f"{ds}": became(ended) for ds, ended in sorted(at_once.items())}
    assert found == {f"{ds}": became(ended) for each in alone for ds, ended in each.items()}
    counts = {ended["dates_at_once"] for ended in at_once.values() if not isinstance(ended, DataError)}
    assert counts == {len(FILES)}, "whose seconds are told"
    assert "a.csv line 3: wrong: Below zero" in found["2025-06-04"]
    assert "damaged.csv.gz" in found["2025-06-08"]
    published = {ds: each["rows"]["published"] for ds, each in found.items() if isinstance(each, dict)}
    assert published == {"2025-06-02": 3, "2025-06-03": 1, "2025-06-05": 1, "2025-06-06": 0, "2025-06-07": 0}
    assert "'price': 21" not in f"{found['2025-06-02']['output']}"
    files = [len(ended["output"]["files"]) for ended in at_once.values() if not isinstance(ended, DataError)]
    # Of many rows, those that were published for certain are in files of their own.
    assert files == ([2, 1, 1, 1, 1] if are_many else [1] * 5), "not one for each task of Spark"


def test_none_of_them_may_be_good(context: clean.Context, tmp_path: Path) -> None:
    bad = {ds: FILES[ds] for ds in ("2025-06-04", "2025-06-08")}
    ended = clean.clean_dates(context, staged(context, tmp_path, bad), job.Phases())
    assert [type(each) for each in ended.values()] == [DataError, DataError]
    assert not list(tmp_path.glob("2025-*"))


@pytest.mark.parametrize("many_bytes", [0, clean.MANY_BYTES])
def test_what_cannot_be_computed_for_one_refuses_all(
    context: clean.Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many_bytes: int
) -> None:
    monkeypatch.setattr(clean, "MANY_BYTES", many_bytes)
    dates = {**FILES, "2025-06-09": {"a.csv": "1,p,0,2025-06-09\n"}}
    with pytest.raises(DataError, match="DIVIDE_BY_ZERO"):
        clean.clean_dates(context, staged(context, tmp_path, dates), job.Phases())


def test_many_dates_are_read_by_tasks_of_their_own(context: clean.Context, tmp_path: Path) -> None:
    first = staged(context, tmp_path, {"2025-06-02": FILES["2025-06-02"]})[0]
    assert [len(task) for task in records.tasks(first.files, SALES)] == [2]
    assert first.bytes > sum(file.size for file in first.files), "what it reads of other datasets counts"
