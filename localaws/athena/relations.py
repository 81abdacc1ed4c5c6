"""A group of data files as one DuckDB relation with the table's columns: Parquet, JSON lines, CSV, delimited text."""

# ruff: noqa: S608 - SQL is what this writes: names and values in it are quoted
from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import duckdb
import pyarrow as pa

from localaws.athena import parquet
from localaws.athena.catalog import Columns, Serde, Table
from localaws.athena.errors import not_supported
from localaws.athena.storage import StoredObject
from localaws.athena.types import BIGINT, VARCHAR, Type, quote, text

_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
_UNREADABLE = (".bz2", ".snappy", ".lz4", ".lzo", ".deflate")
# Names that no column of a table has.
_FILE, _PATH, _URI, _SIZE, PARTITION = (quote(f"data {what}") for what in ("file", "path", "uri", "size", "partition"))

HIDDEN_COLUMNS = (("$path", VARCHAR), ("$file_size", BIGINT))
"""Columns that every table has and ``*`` does not show."""
_WITH_FILE = f"filename = {text('data file')}"
_NO_NULL = "\x01\x02"  # DuckDB wants a spelling of NULL; Hive's CSV has none


@dataclass(frozen=True)
class DataFile:
    """A file of a partition, with the values of the table's partition keys, and the partition's number in its table."""

    stored: StoredObject
    values: tuple[str, ...]
    partition: int


def relation(
    connection: duckdb.DuckDBPyConnection, table: Table, serde: Serde, files: list[DataFile], used: set[str]
) -> str:
    """SQL that reads `files` with every column of the table, by name, its partition keys, and the partition's number.

    Args:
        connection: for what must be looked up in the files first.
        serde: their format.
        used: the columns whose values the query needs. The others may be anything.

    Raises:
        QueryFailed: when a file contradicts the table, or its format cannot be read.
    """
    paths = [file.stored for file in files]
    if serde.format == "parquet":
        columns, source = _parquet(table.columns, paths, used)
    elif serde.format == "json":
        columns, source = _json(connection, table.columns, serde, paths)
    elif serde.format == "opencsv":
        columns, source = _open_csv(table.columns, serde, paths)
    else:
        columns, source = _delimited(table.columns, serde, paths, used)
    hidden = [f"{_URI} AS {quote('$path')}", f"CAST({_SIZE} AS BIGINT) AS {quote('$file_size')}"]
    return (
        f"SELECT {', '.join([*columns, *_keys(table), *hidden, PARTITION])} FROM {source} JOIN {_values(table, files)}"
    )


def compression(stored: StoredObject) -> str:
    """How a text file is compressed, by its name, as Hive decides.

    Raises:
        QueryFailed: for a compression that DuckDB does not read.
    """
    if stored.key.endswith(_UNREADABLE):
        raise not_supported(f"reading {stored.uri}: compression")
    return next((name for suffix, name in _COMPRESSION.items() if stored.key.endswith(suffix)), "none")


def _with_blank_lines(source: str, first: str, paths: list[StoredObject], serde: Serde, quoted: str = "") -> str:
    """What reads files, and a row for each of their lines without anything: its first field is empty, as in Hive.

    DuckDB leaves such lines out.

    Args:
        source: what reads all other lines.
        first: its column that has the first field.
        quoted: the character between two of which a line break is part of a value.
    """
    skipped = int(serde.get("skip.header.line.count", "0"))
    counts = {stored.path: _blank_lines(stored, skipped, quoted.encode()) for stored in paths}
    rows = ", ".join(f"({text(str(path))}, {count})" for path, count in counts.items() if count)
    if not rows:
        return source
    files = f"(VALUES {rows}) AS files({_FILE}, lines)"
    blank = f"SELECT '' AS {quote(first)}, {_FILE}, unnest(range(lines)) AS number FROM {files}"
    return f"(FROM {source} UNION ALL BY NAME (SELECT * EXCLUDE number FROM ({blank})))"


def _blank_lines(stored: StoredObject, skipped: int, quoted: bytes) -> int:
    packed = compression(stored)
    count, inside = 0, False
    with pa.input_stream(str(stored.path), compression=None if packed == "none" else packed) as stream:
        for line in islice(io.BufferedReader(stream), skipped, None):
            count += not inside and line in (b"\n", b"\r\n")
            inside ^= bool(quoted) and bool(line.count(quoted) % 2)
    return count


def _keys(table: Table) -> list[str]:
    return [f"CAST({_key(i)} AS {kind.duckdb}) AS {quote(name)}" for i, (name, kind) in enumerate(table.keys)]


def _values(table: Table, files: list[DataFile]) -> str:
    """Each file's URI, size and partition values, to be joined to its rows.

    DuckDB's virtual column file_index would be simpler, but some of its optimizers lose it.
    """
    rows = []
    for file in files:
        stored = file.stored
        values = [text(str(stored.path)), text(stored.uri), str(stored.size), str(file.partition)]
        rows.append(f"({', '.join([*values, *map(key_value, file.values)])})")
    names = [_PATH, _URI, _SIZE, PARTITION, *map(_key, range(len(table.keys)))]
    return f"(VALUES {', '.join(rows)}) AS files({', '.join(names)}) ON {_FILE} = {_PATH}"


def _key(position: int) -> str:
    return quote(f"data key {position}")


def key_value(value: str) -> str:
    """A partition value as a SQL literal."""
    return "CAST(NULL AS VARCHAR)" if value == "__HIVE_DEFAULT_PARTITION__" else text(value)


def _list(paths: Iterable[StoredObject]) -> str:
    return "[" + ", ".join(text(str(stored.path)) for stored in paths) + "]"


def _parquet(columns: Columns, paths: list[StoredObject], used: set[str]) -> tuple[list[str], str]:
    present: set[str] = set()
    for stored in paths:
        parquet.check(stored, [column for column in columns if column[0] in used])
        present.update(parquet.footer(stored).arrow)
    selected = [
        f"{'CAST' if name in used else 'TRY_CAST'}({quote(name) if name in present else 'NULL'} AS {kind.duckdb}) "
        f"AS {quote(name)}"
        for name, kind in columns
    ]
    return selected, f"read_parquet({_list(paths)}, union_by_name = true, {_WITH_FILE})"


def _json(
    connection: duckdb.DuckDBPyConnection, columns: Columns, serde: Serde, paths: list[StoredObject]
) -> tuple[list[str], str]:
    malformed = serde.get("ignore.malformed.json", "false").lower() == "true"
    source = (
        f"read_json_objects({_list(paths)}, format = 'newline_delimited', compression = '{compression(paths[0])}', "
        f"ignore_errors = {str(malformed).lower()}, {_WITH_FILE})"
    )
    # JSON SerDes match keys whatever their case; DuckDB does not, so the spellings in use are looked up.
    found = connection.execute(f"SELECT DISTINCT unnest(json_keys(json)) FROM {source}").fetchall()
    spellings: dict[str, list[str]] = {}
    for (key,) in found:
        spellings.setdefault(key.lower(), []).append(key)
    selected = []
    for name, kind in columns:
        key = serde.get(f"mapping.{name}", name)
        paths_of = [text('$."' + spelling.replace('"', '\\"') + '"') for spelling in spellings.get(key.lower(), [])]
        function = "json_extract" if kind.base in ("array", "map", "row") else "json_extract_string"
        values = ", ".join(f"{function}(json, {path})" for path in paths_of)
        value = f"coalesce({values})" if paths_of else "NULL"
        selected.append(f"{_parsed(value, kind, name)} AS {quote(name)}")
    return selected, source


def _open_csv(columns: Columns, serde: Serde, paths: list[StoredObject]) -> tuple[list[str], str]:
    escape, quoted = serde.get("escapeChar", "\\"), serde.get("quoteChar", '"')
    # Hive ignores fields beyond the table's last column; a few unnamed columns take them.
    names = [name for name, _ in columns] + [f"surplus field {i}" for i in range(32)]
    declared = ", ".join(f"{text(name)}: 'VARCHAR'" for name in names)
    source = (
        f"read_csv({_list(paths)}, auto_detect = false, header = false, columns = {{{declared}}}, "
        f"delim = {text(serde.get('separatorChar', ','))}, quote = {text(quoted)}, escape = {text(escape)}, "
        f"skip = {serde.get('skip.header.line.count', '0')}, compression = '{compression(paths[0])}', "
        f"null_padding = true, strict_mode = false, nullstr = {text(_NO_NULL)}, {_WITH_FILE})"
    )
    selected = []
    for name, kind in columns:
        # opencsv reads a doubled quote as one, whatever the escape character.
        value = quote(name) if escape == quoted else f"replace({quote(name)}, {text(quoted * 2)}, {text(quoted)})"
        if kind.base == "date":  # OpenCSVSerDe holds dates as days and timestamps as milliseconds since 1970
            value = f"DATE '1970-01-01' + CAST({value} AS INTEGER)"
        elif kind.base == "timestamp":
            value = f"make_timestamp(CAST({value} AS BIGINT) * 1000)"
        else:
            value = _parsed(value, kind, name)
        selected.append(f"CAST({value} AS {kind.duckdb}) AS {quote(name)}")
    return selected, _with_blank_lines(source, names[0], paths, serde, quoted)


def _parsed(value: str, kind: Type, name: str) -> str:
    """Text of a file as the column's type; what does not parse fails the query."""
    if value == "NULL" or kind.is_text:
        return f"CAST({value} AS {kind.duckdb})"
    message = text(f"HIVE_BAD_DATA: Error parsing field value '%s' for field {name}: not a {kind}")
    failure = f"error(replace({message}, '%s', CAST({value} AS VARCHAR)))"
    return (
        f"CASE WHEN {value} IS NOT NULL AND TRY_CAST({value} AS {kind.duckdb}) IS NULL THEN {failure} "
        f"ELSE CAST({value} AS {kind.duckdb}) END"
    )


def _delimited(columns: Columns, serde: Serde, paths: list[StoredObject], used: set[str]) -> tuple[list[str], str]:
    """LazySimpleSerDe: lines split at a delimiter, no quotes; a value that does not parse is NULL, as in Hive."""
    if serde.get("escape.delim", ""):
        raise not_supported("ROW FORMAT DELIMITED ... ESCAPED BY")
    source = (
        f"read_csv({_list(paths)}, auto_detect = false, header = false, columns = {{'line': 'VARCHAR'}}, "
        f"delim = '\x1e', quote = '', escape = '', skip = {serde.get('skip.header.line.count', '0')}, "
        f"compression = '{compression(paths[0])}', strict_mode = false, nullstr = {text(_NO_NULL)}, {_WITH_FILE})"
    )
    delimiter = serde.get("field.delim", serde.get("serialization.format", "\x01"))
    delimiter = "\x01" if delimiter == "1" else delimiter.replace("\\t", "\t")
    null = text(serde.get("serialization.null.format", "\\N"))
    selected = []
    for position, (name, kind) in enumerate(columns, start=1):
        if name in used and kind.base in ("array", "map", "row"):
            raise not_supported(f"column {name}: {kind} in delimited text")
        value = f"nullif(list_extract(string_split(line, {text(delimiter)}), {position}), {null})"
        if kind.is_integer:
            value = f"CASE WHEN regexp_full_match({value}, '[+-]?[0-9]+') THEN {value} END"
        selected.append(f"TRY_CAST({value} AS {kind.duckdb}) AS {quote(name)}")
    return selected, _with_blank_lines(source, "line", paths, serde)
