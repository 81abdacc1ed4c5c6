"""Parquet footers: whether a file's columns agree with the table's, and how many bytes a query reads of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.parquet as pq

from localaws.athena.errors import QueryFailed
from localaws.athena.storage import StoredObject
from localaws.athena.types import Type


@dataclass(frozen=True)
class Footer:
    """Of each top-level column, by lower-case name: its Arrow type, its physical type and its compressed bytes."""

    arrow: dict[str, pa.DataType]
    physical: dict[str, str]
    bytes: dict[str, int]


@lru_cache(maxsize=10_000)
def _read(path: str, modified: int, size: int) -> Footer:  # noqa: ARG001 - part of the cache key
    file = pq.ParquetFile(path)
    arrow = {field.name.lower(): field.type for field in file.schema_arrow}
    physical: dict[str, str] = {}
    sizes: dict[str, int] = dict.fromkeys(arrow, 0)
    for group in range(file.metadata.num_row_groups):
        row_group = file.metadata.row_group(group)
        for index in range(row_group.num_columns):
            chunk = row_group.column(index)
            name = chunk.path_in_schema.split(".")[0].lower()
            sizes[name] += chunk.total_compressed_size
            physical[name] = chunk.physical_type
    return Footer(arrow, physical, sizes)


def footer(stored: StoredObject) -> Footer:
    """The footer of a stored file, read once for each version of it.

    Raises:
        QueryFailed: when the file is not Parquet.
    """
    status = stored.path.stat()
    try:
        return _read(str(stored.path), status.st_mtime_ns, status.st_size)
    except pa.ArrowInvalid as error:
        raise QueryFailed(f"HIVE_BAD_DATA: Not valid Parquet file: {stored.uri}: {error}") from error


def check(stored: StoredObject, columns: Iterable[tuple[str, Type]]) -> None:
    """Refuse a file whose type for one of these columns contradicts the table's; a missing column is NULL.

    Raises:
        QueryFailed: HIVE_BAD_DATA, in Trino's words.
    """
    known = footer(stored)
    for name, kind in columns:
        if name in known.arrow and not compatible(known.arrow[name], kind):
            actual = known.physical.get(name, str(known.arrow[name]))
            raise QueryFailed(
                f"HIVE_BAD_DATA: Field {name}'s type {actual} in parquet file {stored.uri} is incompatible with type "
                f"{kind} defined in table schema"
            )


def compatible(actual: pa.DataType, wanted: Type) -> bool:
    """Whether Athena reads a Parquet column of this type as the table's type.

    Integers widen but do not narrow, float widens to double, decimals keep or gain digits on both sides of the point.
    Source: Trino's ParquetPageSourceFactory and ColumnReaderFactory.
    """
    if pa.types.is_null(actual):
        return True
    if pa.types.is_integer(actual):
        narrow = actual.bit_width <= 32 and not pa.types.is_uint32(actual)
        return wanted.base == "bigint" or (narrow and wanted.base in ("integer", "smallint", "tinyint"))
    if pa.types.is_decimal(actual):
        whole_digits = actual.precision - actual.scale
        return wanted.is_decimal and wanted.scale >= actual.scale and wanted.precision - wanted.scale >= whole_digits
    if pa.types.is_struct(actual):
        if wanted.base != "row":
            return False
        have = {field.name.lower(): field.type for field in actual}
        return all(name not in have or compatible(have[name], kind) for name, kind in wanted.args)
    if pa.types.is_map(actual):
        return (
            wanted.base == "map"
            and compatible(actual.key_type, wanted.args[0])
            and compatible(actual.item_type, wanted.args[1])
        )
    if pa.types.is_list(actual) or pa.types.is_large_list(actual):
        return wanted.base == "array" and compatible(actual.value_type, wanted.args[0])
    for matches, bases in _SIMPLE:
        if matches(actual):
            return wanted.base in bases
    return False


_SIMPLE = (
    (pa.types.is_boolean, ("boolean",)),
    (pa.types.is_float32, ("real", "double")),
    (pa.types.is_float64, ("double",)),
    (pa.types.is_string, ("varchar", "char")),
    (pa.types.is_large_string, ("varchar", "char")),
    (pa.types.is_binary, ("varbinary", "varchar")),
    (pa.types.is_large_binary, ("varbinary", "varchar")),
    (pa.types.is_fixed_size_binary, ("varbinary",)),
    (pa.types.is_date, ("date",)),
    (pa.types.is_timestamp, ("timestamp",)),
    (pa.types.is_dictionary, ("varchar", "char")),
)
