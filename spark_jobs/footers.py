"""What Parquet files say of their own columns, by their footers: names, and types as Hive writes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from contract.dataset import Contract
from contract.evolution import differences, types_of

from spark_jobs.errors import DataError

HIVE_TYPES = {
    pa.string(): "string",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp",
}


def hive_type(kind: pa.DataType) -> str:
    """The type of a Parquet column as a contract writes it; one that no contract has, as Arrow writes it."""
    if pa.types.is_decimal128(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return HIVE_TYPES.get(kind, f"{kind}")


def types_in(file: Path) -> dict[str, str]:
    """The type of each column of a Parquet file, by name, in order."""
    return {column.name: hive_type(column.type) for column in pq.read_schema(file)}


def check(files: Iterable[Path], contract: Contract) -> dict[str, str]:
    """Compare every file of a date with the contract.

    :return: the type of each column, by name.
    :raises DataError: a file has other columns than the contract publishes; every difference of every file is told.
    """
    expected = types_of(contract.published_columns)
    problems = {file.name: differences(types_in(file), expected) for file in files}
    if told := [f"{name}: {'; '.join(found)}" for name, found in problems.items() if found]:
        raise DataError(f"what was cleaned is not what the contract says: {'. '.join(told)}")
    return expected
