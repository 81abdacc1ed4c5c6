"""Partitions whose columns are not the table's of now: which Athena reads all the same, and as what.

A partition has columns of its own, which describe its files; a changed table does not change them. Where both have a
column of that name with two types, the files are read by the partition's and the values become the table's, or the
query fails. What only the table has is looked for in the files all the same, and is NULL where they lack it.

Source: Trino's HiveSplitManager.getTableToPartitionMapping, HiveCoercionPolicy and CoercionUtils;
https://docs.aws.amazon.com/athena/latest/ug/updates-and-partitions.html
"""

from __future__ import annotations

from localaws.athena.catalog import Columns, Partition, Table
from localaws.athena.errors import QueryFailed, not_supported
from localaws.athena.types import Type, quote, text

BY_NAME = ("parquet", "json")
"""Formats whose columns are told by name; in the others, by their place."""

INTEGERS = ("tinyint", "smallint", "integer", "bigint")
FLOATS = ("real", "double")
NESTED = ("array", "map", "row")
UNTRIED = (("varchar", "timestamp"), ("timestamp", "varchar"))
"""What Trino coerces, and this does not."""


def stored_columns(table: Table, partition: Partition) -> Columns:
    """The table's columns, each with the type by which the files of a partition are read.

    Raises:
        QueryFailed: HIVE_PARTITION_SCHEMA_MISMATCH, in Trino's words, for a type that cannot become the table's,
            whether the query uses the column or not.
    """
    own = partition.columns
    if own == table.columns:
        return own
    if partition.serde.format in BY_NAME:
        declared = {name: (name, kind) for name, kind in own}
    else:
        pairs = zip(table.columns, own, strict=False)
        declared = {name: column for (name, _), column in pairs}
    found = []
    for name, wanted in table.columns:
        own_name, kind = declared.get(name, (name, wanted))
        if coerced("NULL", kind, wanted) is None:
            values = zip((key for key, _ in table.keys), partition.values, strict=True)
            place = "/".join(f"{key}={value}" for key, value in values)
            raise QueryFailed(
                "HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch between the table and partition schemas. "
                "The types are incompatible and cannot be coerced. "
                f"The column '{name}' in table '{table.database}.{table.name}' is declared as type '{wanted.hive}', "
                f"but partition '{place}' declared column '{own_name}' as type '{kind.hive}'."
            )
        found.append((name, kind))
    return found


def as_table(table: Table, stored: Columns, others: list[str], sql: str) -> str:
    """SQL that gives the rows of `sql`, with the columns `stored` and the quoted `others`, the types of the table."""
    if stored == table.columns:
        return sql
    columns = [
        f"{coerced(quote(name), kind, wanted)} AS {quote(name)}"
        for (name, kind), (_, wanted) in zip(stored, table.columns, strict=True)
    ]
    return f"SELECT {', '.join([*columns, *others])} FROM ({sql}) AS stored"  # noqa: S608 - quoted


def coerced(value: str, kind: Type, wanted: Type) -> str | None:
    """SQL of a value of the type that a partition declares as the table's, or None where Trino does not coerce it.

    Raises:
        QueryFailed: where Trino may, and this does not.
    """
    if kind == wanted:
        return value
    pair = (kind.base, wanted.base)
    if pair in UNTRIED or (kind.base == wanted.base and kind.base in NESTED):
        raise not_supported(f"a partition's {kind} in a table's {wanted}")
    if pair == ("varchar", "varchar") or pair == ("char", "char"):
        return f"left({value}, {wanted.args[0]})" if wanted.args else value
    if kind.base == "varchar" and wanted.base in INTEGERS:
        return (
            f"CASE WHEN regexp_full_match({value}, {text('[+-]?[0-9]+')}) THEN TRY_CAST({value} AS {wanted.duckdb}) END"
        )
    if _is_cast(kind, wanted):
        return f"CAST({value} AS {wanted.duckdb})"
    return None


def _is_cast(kind: Type, wanted: Type) -> bool:
    if kind.base in INTEGERS:
        wider = INTEGERS[INTEGERS.index(kind.base) + 1 :]
        return wanted.base in wider or wanted.base == "varchar"
    if kind.base in FLOATS:
        return wanted.base in FLOATS or wanted.is_decimal
    return kind.is_decimal and (wanted.is_decimal or wanted.base in (*FLOATS, "varchar"))
