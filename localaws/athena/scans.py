"""One reference to a table in a query: which partitions it reads, which files, and how many bytes."""

# ruff: noqa: S608 - SQL is what this writes: names and values in it are quoted
from __future__ import annotations

from dataclasses import dataclass, field, replace

import duckdb

from localaws.athena import parquet
from localaws.athena.catalog import Catalog, Columns, Partition, Serde, Table
from localaws.athena.coercions import as_table, stored_columns
from localaws.athena.relations import HIDDEN_COLUMNS, DataFile, compression, key_value, relation
from localaws.athena.storage import Storage
from localaws.athena.types import Type, quote

Column = tuple[str, Type]


@dataclass(frozen=True)
class Predicate:
    """A condition on partition columns only.

    Attributes:
        sql: the condition, in terms of ``"alias"."column"``.
        columns: the partition key that each of those columns stands for.
    """

    sql: str
    alias: str
    columns: dict[str, str]


@dataclass(eq=False)
class Scan:
    """A table where a query names it.

    Attributes:
        name: of the DuckDB view that stands for it.
        predicates: conditions that every row it contributes must meet; they choose its partitions.
    """

    table: Table
    name: str
    predicates: list[Predicate] = field(default_factory=list)


@dataclass(frozen=True)
class ScanPlan:
    """What a scan reads."""

    sql: str
    partitions: int
    files: int
    bytes: int


def plan(
    scan: Scan, used: set[str], catalog: Catalog, storage: Storage, connection: duckdb.DuckDBPyConnection
) -> ScanPlan:
    """Find the files of a scan, check that the caller may read them, and write the SQL that does.

    Args:
        used: the columns whose values the query needs; those alone count as scanned where the format allows.

    Raises:
        QueryFailed: when the caller may not read a file, or a file or partition contradicts the table.
    """
    table = scan.table
    whole = [Partition((), table.location, table.serde, table.columns)]
    partitions = _chosen(scan, catalog, connection) if table.keys else whole
    groups: dict[tuple[Serde, str, tuple[Column, ...]], list[DataFile]] = {}
    for partition in partitions:
        columns = tuple(stored_columns(table, partition))
        for stored in storage.list(partition.location):
            storage.caller.require_s3("GetObject", stored.bucket, stored.key)
            if stored.size:
                packed = "" if partition.serde.format == "parquet" else compression(stored)
                groups.setdefault((partition.serde, packed, columns), []).append(DataFile(stored, partition.values))
    relations = [
        _relation(connection, table, serde, list(columns), files, used) for (serde, _, columns), files in groups.items()
    ]
    scanned = sum(_bytes(serde, file, used) for (serde, _, _), files in groups.items() for file in files)
    count = sum(map(len, groups.values()))
    return ScanPlan(" UNION ALL ".join(relations) or _empty(table), len(partitions), count, scanned)


def _relation(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    serde: Serde,
    columns: Columns,
    files: list[DataFile],
    used: set[str],
) -> str:
    """SQL that reads files by the columns that their partitions declare, as the table's."""
    read = relation(connection, replace(table, columns=columns), serde, files, used)
    others = [name for name, _ in (*table.keys, *HIDDEN_COLUMNS)]
    return as_table(table, columns, others, read)


def _bytes(serde: Serde, file: DataFile, used: set[str]) -> int:
    if serde.format != "parquet":
        return file.stored.size
    return sum(size for name, size in parquet.footer(file.stored).bytes.items() if name in used)


def _empty(table: Table) -> str:
    every = [*table.all_columns, *HIDDEN_COLUMNS]
    columns = (f"CAST(NULL AS {kind.duckdb}) AS {quote(name)}" for name, kind in every)
    return f"SELECT {', '.join(columns)} WHERE false"


def _chosen(scan: Scan, catalog: Catalog, connection: duckdb.DuckDBPyConnection) -> list[Partition]:
    """The registered partitions that the scan's predicates leave."""
    partitions = catalog.partitions(scan.table)
    for predicate in scan.predicates:
        if not partitions:
            break
        keys = [name for name, _ in scan.table.keys]
        rows = ", ".join(
            f"({position}, {', '.join(map(key_value, partition.values))})"
            for position, partition in enumerate(partitions)
        )
        kinds = dict(scan.table.keys)
        columns = ", ".join(
            f"CAST({quote('key ' + key)} AS {kinds[key].duckdb}) AS {quote(column)}"
            for column, key in predicate.columns.items()
        )
        names = ", ".join(quote("key " + key) for key in keys)
        source = f'(SELECT "position", {columns} FROM (VALUES {rows}) AS v("position", {names}))'
        found = connection.execute(
            f'SELECT "position" FROM {source} AS {quote(predicate.alias)} WHERE {predicate.sql}'
        ).fetchall()
        partitions = [partitions[position] for position in sorted(position for (position,) in found)]
    return partitions
