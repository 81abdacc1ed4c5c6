"""A table where a query names it, once or often: which partitions it reads, which files, and how many bytes."""

# ruff: noqa: S608 - SQL is what this writes: names and values in it are quoted
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import duckdb

from localaws.athena import parquet
from localaws.athena.catalog import Catalog, Columns, Partition, Serde, Table
from localaws.athena.coercions import as_table, stored_columns
from localaws.athena.relations import HIDDEN_COLUMNS, PARTITION, DataFile, compression, key_value, relation
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
class Reading:
    """How the scans of one table get its rows.

    Attributes:
        statements: SQL that makes the view of each scan.
        bytes: what they scan together, each its own partitions and columns, as Athena counts them.
    """

    statements: list[str]
    bytes: int


def by_table(scans: Sequence[Scan]) -> Iterator[list[Scan]]:
    """The scans of each table, in the order in which the query names the tables."""
    found: dict[tuple[str, str], list[Scan]] = {}
    for scan in scans:
        found.setdefault((scan.table.database, scan.table.name), []).append(scan)
    yield from found.values()


def plan(
    scans: Sequence[Scan],
    used: Mapping[Scan, set[str]],
    catalog: Catalog,
    storage: Storage,
    connection: duckdb.DuckDBPyConnection,
) -> Reading:
    """Find the files of a table's scans, check that the caller may read them, and write the SQL that does.

    A table that a query names more than once is read once, into a temporary table: a mart's query names its source for
    each of its pictures, and DuckDB holds in memory what every reference to files needs, all of them at once.

    Args:
        scans: all of the same table.
        used: the columns whose values the query needs, by scan; those alone count as scanned where the format allows.

    Raises:
        QueryFailed: when the caller may not read a file, or a file or partition contradicts the table.
    """
    table = scans[0].table
    whole = [Partition((), table.location, table.serde, table.columns)]
    partitions = catalog.partitions(table) if table.keys else whole
    chosen = _chosen(scans, partitions, connection)
    needed = set().union(*(used[scan] for scan in scans))
    groups: dict[tuple[Serde, str, tuple[Column, ...]], list[DataFile]] = {}
    sizes: dict[int, list[tuple[Serde, DataFile]]] = {}
    for number in sorted(set().union(*chosen.values())):
        partition = partitions[number]
        columns = tuple(stored_columns(table, partition))
        for stored in storage.list(partition.location):
            storage.caller.require_s3("GetObject", stored.bucket, stored.key)
            if stored.size:
                packed = "" if partition.serde.format == "parquet" else compression(stored)
                file = DataFile(stored, partition.values, number)
                groups.setdefault((partition.serde, packed, columns), []).append(file)
                sizes.setdefault(number, []).append((partition.serde, file))
    relations = [
        _relation(connection, table, serde, list(columns), files, needed)
        for (serde, _, columns), files in groups.items()
    ]
    rows = " UNION ALL ".join(relations) or _empty(table)
    scanned = sum(
        _bytes(serde, file, used[scan])
        for scan in scans
        for number in chosen[scan]
        for serde, file in sizes.get(number, ())
    )
    # From the statistics of files DuckDB concludes that nothing is NaN, where their writer has left it out of them.
    may_hold_nan = any(kind.is_floating and name in needed for name, kind in table.columns)
    if len(scans) == 1 and not may_hold_nan:
        return Reading([f"CREATE TEMP VIEW {scans[0].name} AS {rows}"], scanned)
    shared = f"rows_of_{scans[0].name}"
    every = [*table.all_columns, *HIDDEN_COLUMNS]
    kept = ", ".join([PARTITION, *(quote(name) for name, _ in every if name in needed)])
    shown = ", ".join(quote(name) if name in needed else _null(name, kind) for name, kind in every)
    views = [
        f"CREATE TEMP VIEW {scan.name} AS SELECT {shown} FROM {shared} WHERE {_among(chosen[scan], PARTITION)}"
        for scan in scans
    ]
    return Reading([f"CREATE TEMP TABLE {shared} AS SELECT {kept} FROM ({rows})", *views], scanned)


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
    others = [*(quote(name) for name, _ in (*table.keys, *HIDDEN_COLUMNS)), PARTITION]
    return as_table(table, columns, others, read)


def _bytes(serde: Serde, file: DataFile, used: set[str]) -> int:
    if serde.format != "parquet":
        return file.stored.size
    return sum(size for name, size in parquet.footer(file.stored).bytes.items() if name in used)


def _empty(table: Table) -> str:
    columns = ", ".join(_null(name, kind) for name, kind in (*table.all_columns, *HIDDEN_COLUMNS))
    return f"SELECT {columns}, 0 AS {PARTITION} WHERE false"


def _null(name: str, kind: Type) -> str:
    return f"CAST(NULL AS {kind.duckdb}) AS {quote(name)}"


def _among(numbers: Sequence[int], column: str) -> str:
    """A condition that a column is one of these numbers, given in order: by ranges, as most are neighbours."""
    if not numbers:
        return "false"
    gaps = [(before, after) for before, after in pairwise(numbers) if after != before + 1]
    firsts = [numbers[0], *(after for _, after in gaps)]
    lasts = [*(before for before, _ in gaps), numbers[-1]]
    ranges = (f"{column} BETWEEN {first} AND {last}" for first, last in zip(firsts, lasts, strict=True))
    return f"({' OR '.join(ranges)})"


def _chosen(
    scans: Sequence[Scan], partitions: Sequence[Partition], connection: duckdb.DuckDBPyConnection
) -> dict[Scan, list[int]]:
    """The numbers of the partitions that the predicates of each scan of a table leave, in order."""
    every = range(len(partitions))
    if not partitions or not any(scan.predicates for scan in scans):
        return {scan: list(every) for scan in scans}
    kinds = scans[0].table.keys
    names = ", ".join(quote("key " + key) for key, _ in kinds)
    rows = ", ".join(f"({number}, {', '.join(map(key_value, partitions[number].values))})" for number in every)
    typed = ", ".join(f"CAST({quote('key ' + key)} AS {kind.duckdb}) AS {quote('key ' + key)}" for key, kind in kinds)
    table = f"partitions_of_{scans[0].name}"
    connection.execute(
        f'CREATE TEMP TABLE {table} AS SELECT "number", {typed} FROM (VALUES {rows}) AS v("number", {names})'
    )
    return {scan: _left(scan, table, every, connection) for scan in scans}


def _left(scan: Scan, partitions: str, every: Sequence[int], connection: duckdb.DuckDBPyConnection) -> list[int]:
    """The numbers of the partitions, which a table lists with their keys, that a scan's predicates leave."""
    numbers = set(every)
    for predicate in scan.predicates:
        columns = ", ".join(f"{quote('key ' + key)} AS {quote(column)}" for column, key in predicate.columns.items())
        named = f'(SELECT "number", {columns} FROM {partitions}) AS {quote(predicate.alias)}'
        # Of those that are left: on the others the predicate may fail.
        found = connection.execute(
            f'SELECT "number" FROM {named} WHERE {_among(sorted(numbers), quote("number"))} AND ({predicate.sql})'
        ).fetchall()
        numbers = {number for (number,) in found}
    return sorted(numbers)
