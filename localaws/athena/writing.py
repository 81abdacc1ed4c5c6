"""CREATE TABLE AS, INSERT INTO and UNLOAD: a query's rows as data files in S3."""

# ruff: noqa: S608 - SQL is what this writes: names and values in it are quoted
from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb

from localaws.athena import engine, types
from localaws.athena.catalog import Columns, Serde, Table
from localaws.athena.errors import QueryFailed, not_supported
from localaws.athena.expressions import Output
from localaws.athena.storage import Storage, folder
from localaws.athena.types import Type, quote, text

_MAX_PARTITIONS = 100
_PARQUET_COMPRESSION = {"gzip": "gzip", "snappy": "snappy", "zstd": "zstd", "none": "uncompressed", "lz4": "lz4_raw"}
_TEXT_COMPRESSION = {"gzip": ("gzip", ".gz"), "none": ("none", ""), "zstd": ("zstd", ".zst")}
_CONTENT_TYPE = "application/octet-stream"


@dataclass(frozen=True)
class Target:
    """Where and how rows are written.

    Attributes:
        location: of the table or the UNLOAD.
        format: ``parquet``, ``json`` or ``textfile``.
        compression: by Athena's name, in lower case.
        partitioned_by: the last columns, which become folders.
        delimiter: between the fields of a text file.
    """

    location: str
    format: str
    compression: str
    partitioned_by: tuple[str, ...] = ()
    delimiter: str = "\x01"


@dataclass(frozen=True)
class Written:
    """What was written: row count, object URIs, and the partitions they are in."""

    rows: int
    uris: list[str]
    partitions: list[tuple[str, ...]]


def target(properties: dict[str, Any], location: str, default_format: str = "parquet") -> Target:
    """The target that the properties of a CTAS or UNLOAD describe.

    Raises:
        QueryFailed: for a format or compression that cannot be written here.
    """
    if str(properties.get("table_type", "hive")).lower() != "hive":
        raise not_supported("Iceberg tables")
    known = {
        "format", "compression", "write_compression", "parquet_compression", "partitioned_by", "field_delimiter",
        "external_location", "compression_level", "table_type", "is_external",
    }  # fmt: skip
    for name in properties:
        if name not in known:
            raise QueryFailed(
                f"INVALID_TABLE_PROPERTY: Table property '{name}' does not exist or is not supported here"
            )
    file_format = str(properties.get("format", default_format)).lower()
    if file_format not in ("parquet", "json", "textfile"):
        raise not_supported(f"writing format {file_format.upper()}")
    given = [
        properties[name] for name in ("write_compression", "compression", "parquet_compression") if name in properties
    ]
    compression = str(given[0]).lower() if given else "gzip"
    if compression not in (_PARQUET_COMPRESSION if file_format == "parquet" else _TEXT_COMPRESSION):
        raise not_supported(f"{compression.upper()} compression of {file_format.upper()} files")
    partitioned_by = tuple(name.lower() for name in properties.get("partitioned_by", []))
    return Target(location, file_format, compression, partitioned_by, properties.get("field_delimiter", "\x01"))


def named_columns(outputs: list[Output]) -> Columns:
    """The columns that a query's result has as a table.

    Raises:
        QueryFailed: when one has no name, or two have the same.
    """
    columns: Columns = []
    for position, out in enumerate(outputs, start=1):
        if out.name is None:
            raise QueryFailed(f"COLUMN_NAME_NOT_SPECIFIED: line 1:1: Column name not specified at position {position}")
        if any(name == out.name.lower() for name, _ in columns):
            raise QueryFailed(f"DUPLICATE_COLUMN_NAME: line 1:1: Column name '{out.name}' specified more than once")
        columns.append((out.name.lower(), out.type))
    return columns


def require_partitions_last(columns: Columns, partitioned_by: tuple[str, ...]) -> None:
    """Raises QueryFailed unless the partition columns are the query's last, in order."""
    names = [name for name, _ in columns]
    if partitioned_by and tuple(names[-len(partitioned_by) :]) != partitioned_by:
        raise QueryFailed(
            "HIVE_COLUMN_ORDER_MISMATCH: Partition keys must be the last columns in the table and in the same order as "
            f"the table properties: [{', '.join(partitioned_by)}]"
        )
    if partitioned_by and len(partitioned_by) == len(names):
        raise QueryFailed("INVALID_TABLE_PROPERTY: Table contains only partition columns")


def write(
    connection: duckdb.DuckDBPyConnection,
    storage: Storage,
    query_id: str,
    sql: str,
    columns: Columns,
    to: Target,
    place: Callable[[tuple[str, ...]], str] | None = None,
) -> Written:
    """Run `sql` and put its rows into S3 as data files.

    Nothing is put before every row is computed and written to scratch files, so a failing query leaves nothing.

    Args:
        columns: names and types of the rows, in order.
        place: the location of a partition, by its values; below the target's by default.

    Raises:
        QueryFailed: when the caller may not write there, or there are more than 100 partitions.
    """
    scratch = engine.SCRATCH / query_id
    scratch.mkdir(parents=True)
    try:
        rows = _copy(connection, scratch, sql, columns, to)
        files = sorted(path for path in scratch.rglob("*") if path.is_file()) if rows else []
        found = {path: _values(path.relative_to(scratch)) for path in files}
        if len(set(found.values())) > _MAX_PARTITIONS:
            raise QueryFailed(
                f"HIVE_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of {_MAX_PARTITIONS} open writers for "
                "partitions/buckets"
            )
        uris = []
        for number, (path, values) in enumerate(found.items()):
            location = place(values) if place else partition_location(to.location, to.partitioned_by, values)
            bucket, prefix = folder(location)
            uri = f"s3://{bucket}/{prefix}{query_id}_{number}{_suffix(to)}"
            storage.require_writable(bucket, f"{prefix}{query_id}_{number}{_suffix(to)}")
            uris.append((uri, path))
        for uri, path in uris:
            storage.write(uri, path.read_bytes(), _CONTENT_TYPE)
        partitions = sorted(set(found.values())) if to.partitioned_by else []
        return Written(rows, [uri for uri, _ in uris], partitions)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def partition_location(location: str, names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Where Hive puts a partition of a table: ``<location>/name=value/``."""
    folders = "".join(f"{name}={_escaped(value)}/" for name, value in zip(names, values, strict=True))
    return f"{location.rstrip('/')}/{folders}"


def _escaped(value: str) -> str:
    special = "\"#%'*/:=?\\\x7f{[]^"
    return "".join(f"%{ord(c):02X}" if c in special or c < " " else c for c in value)


def _values(path: Path) -> tuple[str, ...]:
    return tuple(unquote(part.split("=", 1)[1]) for part in path.parts[:-1])


def _suffix(to: Target) -> str:
    return ".parquet" if to.format == "parquet" else _TEXT_COMPRESSION[to.compression][1]


def _copy(connection: duckdb.DuckDBPyConnection, scratch: Path, sql: str, columns: Columns, to: Target) -> int:
    keys = set(to.partitioned_by)
    names = [quote(name) for name, _ in columns]
    selected = [
        f"{_partition_text(source, kind) if name in keys else _written(source, kind, to)} AS {quote(name)}"
        for source, (name, kind) in zip(names, columns, strict=True)
    ]
    source = f"SELECT {', '.join(selected)} FROM ({sql}) AS q({', '.join(names)})"
    options = _options(to)
    if keys:
        options.append(f"PARTITION_BY ({', '.join(quote(name) for name in to.partitioned_by)})")
        destination = scratch
    else:
        destination = scratch / "data"
    counted = connection.execute(f"COPY ({source}) TO {text(str(destination))} ({', '.join(options)})").fetchone()
    return int(counted[0]) if counted else 0


def _options(to: Target) -> list[str]:
    if to.format == "parquet":
        return ["FORMAT parquet", f"COMPRESSION {_PARQUET_COMPRESSION[to.compression]}"]
    compression = f"COMPRESSION {_TEXT_COMPRESSION[to.compression][0]}"
    if to.format == "json":
        return ["FORMAT json", compression]
    return [
        "FORMAT csv",
        compression,
        "HEADER false",
        "QUOTE ''",
        "ESCAPE ''",
        f"DELIMITER {text(to.delimiter)}",
        "NULLSTR '\\N'",
    ]


def _partition_text(sql: str, kind: Type) -> str:
    """A partition value as the text that Hive keeps it as."""
    return f"CAST({sql} AS VARCHAR)" if not kind.is_text else sql


def _written(sql: str, kind: Type, to: Target) -> str:
    """A value as the files of a format have it."""
    if to.format == "parquet":
        # Trino's files say of every column that it may be null. DuckDB's say of one without nulls that it may not.
        return f"CASE WHEN {sql} IS NOT NULL THEN {sql} END"
    if kind.is_numeric or kind.is_text or kind.base in ("boolean", "date"):
        return sql
    if kind.base == "timestamp":
        return f"strftime({sql}, '%Y-%m-%d %H:%M:%S.%g')"
    if to.format == "json":
        return sql
    raise not_supported(f"writing a {kind} to a text file")


def table_input(name: str, columns: Columns, to: Target) -> dict[str, Any]:
    """The Glue TableInput of a table made by CREATE TABLE AS.

    Raises:
        QueryFailed: when a column's type cannot be in a Hive table.
    """
    keys = set(to.partitioned_by)
    inputs = {
        "parquet": (
            "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        ),
        "json": (
            "org.apache.hadoop.mapred.TextInputFormat",
            "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
            "org.apache.hive.hcatalog.data.JsonSerDe",
        ),
        "textfile": (
            "org.apache.hadoop.mapred.TextInputFormat",
            "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
            "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
        ),
    }
    input_format, output_format, library = inputs[to.format]
    parameters = {"serialization.format": "1"}
    if to.format == "textfile":
        parameters = {"serialization.format": to.delimiter, "field.delim": to.delimiter}
    spelled = [{"Name": column, "Type": kind.hive} for column, kind in columns]
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {
            "EXTERNAL": "TRUE",
            "classification": "csv" if to.format == "textfile" else to.format,
            "transient_lastDdlTime": str(int(time.time())),
        },
        "StorageDescriptor": {
            "Columns": [column for column in spelled if column["Name"] not in keys],
            "Location": to.location.rstrip("/"),
            "InputFormat": input_format,
            "OutputFormat": output_format,
            "Compressed": False,
            "NumberOfBuckets": -1,
            "SerdeInfo": {"SerializationLibrary": library, "Parameters": parameters},
            "Parameters": {},
        },
        "PartitionKeys": [column for column in spelled if column["Name"] in keys],
    }


def insert_target(table: Table) -> Target:
    """How INSERT INTO writes to a table.

    Raises:
        QueryFailed: for a table that Athena does not insert into, or whose format cannot be written here.
    """
    serde: Serde = table.serde
    keys = tuple(name for name, _ in table.keys)
    if serde.format == "parquet":
        compression = str((table.raw.get("Parameters") or {}).get("parquet.compression", "gzip")).lower()
        return Target(table.location, "parquet", compression if compression in _PARQUET_COMPRESSION else "gzip", keys)
    if serde.format == "json":
        return Target(table.location, "json", "gzip", keys)
    if serde.format == "lazysimple":
        return Target(table.location, "textfile", "gzip", keys, serde.get("field.delim", "\x01"))
    raise QueryFailed("NOT_SUPPORTED: Inserting into tables of OpenCSVSerDe is not supported")


def insert_columns(table: Table, listed: list[str], outputs: list[Output]) -> list[str]:
    """SQL for every column of the table, in order, from the columns of the query that is inserted.

    Args:
        listed: the columns named in the statement; empty for all, in order.

    Raises:
        QueryFailed: when they do not fit.
    """
    names = listed or [name for name, _ in table.all_columns]
    kinds = dict(table.all_columns)
    for name in names:
        if name not in kinds:
            raise QueryFailed(f"COLUMN_NOT_FOUND: line 1:13: Insert column name does not exist in target table: {name}")
    mismatch = (
        f"TYPE_MISMATCH: line 1:1: Insert query has mismatched column types: "
        f"Table: [{', '.join(str(kinds[name]) for name in names)}], "
        f"Query: [{', '.join(str(out.type) for out in outputs)}]"
    )
    if len(names) != len(outputs):
        raise QueryFailed(mismatch)
    given = {}
    for name, out in zip(names, outputs, strict=True):
        shared = types.common(out.type, kinds[name])
        fits = shared == kinds[name] or (out.type.is_text and kinds[name].is_text)
        if not fits and not (out.type.base == "timestamp" and kinds[name].base == "timestamp"):
            raise QueryFailed(mismatch)
        given[name] = f"CAST({quote(out.column)} AS {kinds[name].duckdb})"
    return [f"{given.get(name, f'CAST(NULL AS {kind.duckdb})')} AS {quote(name)}" for name, kind in table.all_columns]
