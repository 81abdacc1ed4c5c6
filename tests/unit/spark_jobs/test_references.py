"""Other datasets as they stood on a date, read from folders of published Parquet files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract.dataset import Contract
from contract.references import folders_digest
from pyspark.sql import SparkSession

from spark_jobs import clean, job
from spark_jobs.errors import DataError, NotReadyError
from spark_jobs.references import OtherDatasets
from tests.unit.spark_jobs.contracts import contract_of

READER = contract_of(
    "thing",
    dataset="reader",
    references=(
        {
            "name": "thing_unknown",
            "column": "thing",
            "dataset": "things",
            "references": "id",
            "action": "warn",
            "description": "No such thing",
        },
    ),
)
VERSIONS = {
    "2025-06-01": {"id": ["a", "b"], "state": ["old", "old"]},
    "2025-06-03": {"id": ["b", "c"], "state": ["new", "new"]},
    "2025-06-05": {"id": [], "state": []},
    "2025-06-07": {"id": ["d"], "state": ["late"]},
}
Read = Callable[..., list[tuple[str, ...]]]


@pytest.fixture
def read(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Read]:
    """`read(load_mode, ds)` gives id and state of the dataset `things` as of the date; of several, and the date."""
    partitions = {}
    for ds, columns in VERSIONS.items():
        folder = tmp_path / "public" / ds
        folder.mkdir(parents=True)
        pq.write_table(pa.table(columns, pa.schema([("id", "string"), ("state", "string")])), folder / "part-0.parquet")
        partitions[ds] = folder.as_uri()
    others = OtherDatasets(spark, {"things": partitions}, tmp_path / "copies")

    def rows(load_mode: str, *dates: str) -> list[tuple[str, ...]]:
        things = contract_of({"name": "id", "required": True}, "state", load_mode=load_mode, key=("id",))
        monkeypatch.setattr(job, "contract_of", lambda _: things)
        run_dates = [date.fromisoformat(ds) for ds in dates]
        for run_date in run_dates:
            others.check(READER, run_date)
        frame = others.as_of(READER, run_dates)["things"]
        each = [(row["id"], row["state"], f"{row['run_date']}") for row in frame.collect()]
        return sorted(row if len(dates) > 1 else row[:2] for row in each)

    return rows


def test_a_snapshot_is_the_whole_truth_of_its_last_date(read: Read) -> None:
    assert read("snapshot", "2025-06-01") == read("snapshot", "2025-06-02") == [("a", "old"), ("b", "old")]
    assert read("snapshot", "2025-06-04") == [("b", "new"), ("c", "new")]
    assert read("snapshot", "2025-06-06") == []


def test_of_an_upserted_key_the_latest_version_counts(read: Read) -> None:
    assert read("upsert", "2025-06-02") == [("a", "old"), ("b", "old")]
    assert read("upsert", "2025-06-06") == [("a", "old"), ("b", "new"), ("c", "new")]
    assert read("upsert", "2025-06-30") == [("a", "old"), ("b", "new"), ("c", "new"), ("d", "late")]


def test_appended_rows_add_up(read: Read) -> None:
    assert read("append", "2025-06-06") == [("a", "old"), ("b", "new"), ("b", "old"), ("c", "new")]


@pytest.mark.parametrize("load_mode", ["snapshot", "upsert", "append"])
def test_each_of_several_dates_sees_what_it_sees_alone(read: Read, load_mode: str) -> None:
    dates = ["2025-06-01", "2025-06-02", "2025-06-04", "2025-06-06", "2025-06-30"]
    assert read(load_mode, *dates) == sorted((*row, ds) for ds in dates for row in read(load_mode, ds))


@pytest.mark.parametrize(("load_mode", "counts"), [("snapshot", ["2025-06-03"]), ("upsert", list(VERSIONS)[:2])])
def test_a_date_tells_which_folders_it_was_made_from(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load_mode: str, counts: list[str]
) -> None:
    folders = {ds: f"s3://processed/things_runs/ds={ds}/" for ds in VERSIONS}
    things = contract_of({"name": "id", "required": True}, load_mode=load_mode, key=("id",))
    monkeypatch.setattr(job, "contract_of", lambda _: things)
    made_from = OtherDatasets(spark, {"things": folders}, tmp_path).made_from(READER, date(2025, 6, 4))
    assert made_from == {"things": folders_digest({ds: folders[ds] for ds in counts})}


def test_a_dataset_without_a_date_so_far_may_come(read: Read) -> None:
    with pytest.raises(NotReadyError) as missing:
        read("snapshot", "2025-05-31")
    assert f"{missing.value}" == (
        "reader reads things, which has no published date up to 2025-05-31: run ingest_things for 2025-05-31 first"
    )


def published(folder: Path, columns: dict[str, pa.Array]) -> str:
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "part-00000.parquet")
    return folder.as_uri()


def test_dates_of_earlier_versions_are_read_by_their_own_types(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    price, count = pa.array([Decimal("10.25")], pa.decimal128(8, 2)), pa.array([7], pa.int32())
    old = published(tmp_path / "old", {"id": pa.array(["a"]), "price": price, "count": count, "gone": pa.array(["x"])})
    wide = pa.array([Decimal("1.5")], pa.decimal128(20, 4))
    new = published(tmp_path / "new", {"id": pa.array(["b"]), "price": wide, "count": pa.array([1 << 40]),
                                       "note": pa.array(["n"])})  # fmt: skip
    things = contract_of(
        "id",
        {"name": "price", "type": "decimal(20,4)"},
        {"name": "count", "type": "bigint"},
        "note",
        load_mode="append",
    )
    monkeypatch.setattr(job, "contract_of", lambda _: things)
    others = OtherDatasets(spark, {"things": {"2025-06-01": old, "2025-06-02": new}}, tmp_path / "copies")
    rows = others.as_of(READER, [date(2025, 6, 2)])["things"].orderBy("id").collect()
    assert [(row["id"], row["price"], row["count"], row["note"], row["ds"]) for row in rows] == [
        ("a", Decimal("10.2500"), 7, None, "2025-06-01"),
        ("b", Decimal("1.5000"), 1 << 40, "n", "2025-06-02"),
    ]


def test_another_value_is_never_read_for_a_type_that_the_contract_does_not_hold(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = published(tmp_path / "old", {"price": pa.array([Decimal("10.25")], pa.decimal128(8, 2))})
    monkeypatch.setattr(job, "contract_of", lambda _: contract_of("id", {"name": "price", "type": "double"}))
    others = OtherDatasets(spark, {"things": {"2025-06-01": old}}, tmp_path / "copies")
    with pytest.raises(DataError, match=r"things ds=2025-06-01: column price is decimal\(8,2\), not double"):
        others.check(READER, date(2025, 6, 2))


def test_a_partition_that_is_gone_is_worth_a_retry(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    others = OtherDatasets(spark, {"products": {"2025-06-01": (tmp_path / "empty").as_uri()}}, tmp_path / "copies")
    reader = READER.model_copy(
        update={"references": (READER.references[0].model_copy(update={"dataset": "products"}),)}
    )
    with pytest.raises(OSError, match="there is no file of products in"):
        others.check(reader, date(2025, 6, 1))


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        (READER, "--references is required: reader reads things"),
        (contract_of({"name": "name", "personal": True}), "--personal-key is required: things has personal columns"),
    ],
)
def test_what_a_contract_needs_must_be_given(spark: SparkSession, contract: Contract, message: str) -> None:
    with pytest.raises(ValueError, match=message), clean.cleaning(spark, contract, None, None):
        raise AssertionError("not reached")


def test_dates_that_are_none_name_no_folder(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Invalid isoformat string"):
        OtherDatasets(spark, {"things": {"2025-06-01/../../..": "s3://processed/things_runs/"}}, tmp_path)
