"""A date is judged by what its own files say of their columns."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract.evolution import types_of
from pyspark.sql import SparkSession

from spark_jobs import footers, job, transforms, validate
from spark_jobs.errors import DataError
from tests.unit.spark_jobs.contracts import contract_of

EVERY_TYPE = ("string", "int", "bigint", "double", "boolean", "date", "timestamp", "decimal(12,2)", "decimal(38,10)")
CONTRACT = contract_of("id", {"name": "amount", "type": "decimal(12,2)"}, version=3)
LINEAGE = {"source_file": pa.array(["a.csv"]), "source_line": pa.array([2]), "run_id": pa.array(["run-00000001"])}


def put(folder: Path, name: str, **columns: pa.Array) -> Path:
    pq.write_table(pa.table({**columns, **LINEAGE}), folder / name)
    return folder / name


def amount(precision: int) -> pa.Array:
    return pa.array([Decimal("12.50")], pa.decimal128(precision, 2))


def test_what_spark_writes_has_the_types_of_the_contract(spark: SparkSession, tmp_path: Path) -> None:
    contract = contract_of(*({"name": f"c{place}", "type": kind} for place, kind in enumerate(EVERY_TYPE)))
    fields = ", ".join(f"{name} {transforms.spark_type(kind)}" for name, kind in types_of(contract.columns).items())
    spark.createDataFrame([], fields).coalesce(1).write.parquet((tmp_path / "out").as_uri())
    (file,) = (tmp_path / "out").glob("part-*.parquet")
    assert footers.types_in(file) == types_of(contract.columns)


def test_files_that_fit_tell_their_columns(tmp_path: Path) -> None:
    files = [put(tmp_path, f"part-{n}.parquet", id=pa.array(["1"]), amount=amount(12)) for n in range(2)]
    assert footers.check(files, CONTRACT) == types_of(CONTRACT.published_columns)


def test_every_difference_is_told_with_file_and_column(tmp_path: Path) -> None:
    good = put(tmp_path, "part-00000.parquet", id=pa.array(["1"]), amount=amount(12))
    zoned = pa.array([0], pa.timestamp("us", "UTC"))
    bad = put(tmp_path, "part-00001.parquet", amount=amount(14), more=zoned)
    with pytest.raises(DataError) as refused:
        footers.check([good, bad], CONTRACT)
    assert str(refused.value) == (
        "what was cleaned is not what the contract says: part-00001.parquet: column id (string) is missing; "
        "column more (timestamp[us, tz=UTC]) is not in the contract; "
        "column amount is decimal(14,2), the contract says decimal(12,2)"
    )


def test_a_file_of_another_type_behind_a_good_one_is_refused_before_anything_is_read(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = [
        put(tmp_path, "part-00000.parquet", id=pa.array(["1"]), amount=amount(12)),
        put(tmp_path, "part-00001.parquet", id=pa.array(["2"]), amount=amount(10)),
    ]
    arguments = validate.Arguments(
        dataset="things",
        ds=date(2025, 6, 30),
        run="run",
        manifest=(tmp_path / "validate.json").as_uri(),
        clean_manifest="",
        docs=(tmp_path / "docs").as_uri(),
    )
    cleaned = {
        "submission": "run-00000001",
        "rows": {"read": 2, "published": 2, "quarantined": 0, "duplicates": 0, "dropped": {}},
        "output": {"uri": tmp_path.as_uri()},
    }
    with pytest.raises(DataError, match=r"part-00001\.parquet: column amount is decimal\(10,2\), the contract says"):
        validate.validate_date(spark, CONTRACT, arguments, cleaned, [f.as_uri() for f in files], [], job.Phases())
