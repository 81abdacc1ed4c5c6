"""What a Glue crawler makes of a file: its format, its columns and their Hive types.

The rules are those of the built-in classifiers,
https://docs.aws.amazon.com/glue/latest/dg/add-classifier.html: a CSV's first line is its header when it can be one and
some column of the lines below is not text; JSON is one document, an array, or one document a line; Parquet says itself.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SAMPLE_BYTES = 1_000_000
"""How much of a text file is looked at, as by Glue."""

DELIMITERS = (",", "|", "\t", ";", "\x01")
HEADER_NAME = re.compile(r"[^\W\d][\w .#/()-]{0,149}")

ARROW_PRIMITIVES = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.uint8(): "smallint",
    pa.uint16(): "int",
    pa.uint32(): "bigint",
    pa.uint64(): "decimal(20,0)",
    pa.float16(): "float",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.large_binary(): "binary",
    pa.date32(): "date",
    pa.null(): "string",
}

WIDENING = ("tinyint", "smallint", "int", "bigint", "float", "double")
"""Numbers, each of which holds the ones before it."""


@dataclass(frozen=True)
class Struct:
    """A Hive struct: its fields in order."""

    fields: tuple[tuple[str, HiveType], ...]

    def __str__(self) -> str:
        return f"struct<{','.join(f'{name}:{kind}' for name, kind in self.fields)}>"


@dataclass(frozen=True)
class Array:
    """A Hive array."""

    element: HiveType

    def __str__(self) -> str:
        return f"array<{self.element}>"


@dataclass(frozen=True)
class Map:
    """A Hive map."""

    key: HiveType
    value: HiveType

    def __str__(self) -> str:
        return f"map<{self.key},{self.value}>"


HiveType = str | Struct | Array | Map
Columns = dict[str, HiveType]


@dataclass(frozen=True)
class Schema:
    """What is known of one file, or of several together.

    Attributes:
        classification: ``csv``, ``json`` or ``parquet``.
        columns: name in lower case to Hive type, in order.
        compression: ``none`` or ``gzip``, of a text file.
        records: how many it holds; an estimate for a text file longer than the sample.
        delimiter: of a CSV.
        header: whether a CSV's first line names its columns.
        quoted: whether a CSV has quoted fields.
    """

    classification: str
    columns: Columns = field(hash=False)
    compression: str = "none"
    records: int = 0
    delimiter: str = ""
    header: bool = False
    quoted: bool = False

    @property
    def layout(self) -> tuple[str, str, str, bool]:
        """What files must share to be read as one table, whatever their columns."""
        return self.classification, self.compression, self.delimiter, self.header


def merge_types(left: HiveType, right: HiveType) -> HiveType:
    """The narrowest type that holds both, `string` where there is none."""
    if left == right:
        return left
    if isinstance(left, Struct) and isinstance(right, Struct):
        return Struct(tuple(merge_columns([dict(left.fields), dict(right.fields)]).items()))
    if isinstance(left, Array) and isinstance(right, Array):
        return Array(merge_types(left.element, right.element))
    if isinstance(left, Map) and isinstance(right, Map):
        return Map(merge_types(left.key, right.key), merge_types(left.value, right.value))
    if left in WIDENING and right in WIDENING:
        return max(left, right, key=WIDENING.index)
    return "string"


def merge_columns(many: Iterable[Columns]) -> Columns:
    """The columns of all, in the order in which they first appear."""
    merged: Columns = {}
    for columns in many:
        for name, kind in columns.items():
            merged[name] = merge_types(merged[name], kind) if name in merged else kind
    return merged


def similar(left: Schema, right: Schema) -> bool:
    """Whether two files could be parts of one table: the same format, and most column names in common."""
    if left.layout != right.layout:
        return False
    shared, all_names = left.columns.keys() & right.columns.keys(), left.columns.keys() | right.columns.keys()
    return not all_names or len(shared) / len(all_names) >= 0.7


# ── Parquet ───────────────────────────────────────────────────────────────────


def arrow_type(kind: pa.DataType) -> HiveType:
    """The Hive type of a Parquet column as Arrow reads it.

    Raises:
        ValueError: for one that Hive has no type for.
    """
    if kind in ARROW_PRIMITIVES:
        return ARROW_PRIMITIVES[kind]
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_fixed_size_binary(kind):
        return "binary"
    if pa.types.is_dictionary(kind):
        return arrow_type(kind.value_type)
    if pa.types.is_struct(kind):
        return Struct(tuple((inner.name.lower(), arrow_type(inner.type)) for inner in kind))
    if pa.types.is_map(kind):
        return Map(arrow_type(kind.key_type), arrow_type(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return Array(arrow_type(kind.value_type))
    raise ValueError(f"a Parquet column of type {kind} has no Hive type")


def classify_parquet(tail: bytes) -> Schema:
    """The schema of a Parquet file from its last bytes.

    Args:
        tail: the end of the file, with its whole footer.

    Raises:
        pyarrow.ArrowInvalid: when it is not Parquet.
        ValueError: for a column that Hive has no type for.
    """
    metadata = pq.read_metadata(pa.BufferReader(tail))
    columns = {column.name.lower(): arrow_type(column.type) for column in metadata.schema.to_arrow_schema()}
    return Schema("parquet", columns, records=metadata.num_rows)


def parquet_footer_bytes(last_eight: bytes) -> int | None:
    """How long a Parquet file's footer is, from the file's last eight bytes; None when it is not Parquet."""
    return int.from_bytes(last_eight[:4], "little") + 8 if last_eight[4:] == b"PAR1" else None


# ── Text ──────────────────────────────────────────────────────────────────────


def _text(sample: bytes) -> tuple[str, str] | None:
    """A sample as text, with its compression; None when it is not text."""
    compression = "none"
    if sample[:2] == b"\x1f\x8b":
        compression = "gzip"
        try:
            sample = zlib.decompressobj(wbits=31).decompress(sample, SAMPLE_BYTES)
        except zlib.error:
            return None
    if b"\x00" in sample:
        return None
    try:
        return sample.decode("utf-8-sig"), compression
    except UnicodeDecodeError as error:
        # The sample may end within a character.
        return (sample[: error.start].decode("utf-8-sig"), compression) if error.start > len(sample) - 4 else None


def classify_text(sample: bytes, size: int) -> Schema | None:
    """The schema of a JSON or CSV file from its beginning, or None when it is neither.

    Args:
        sample: its first SAMPLE_BYTES bytes, or all of it.
        size: the length of the file, in bytes.
    """
    decoded = _text(sample)
    if decoded is None:
        return None
    text, compression = decoded
    whole = size <= len(sample)
    records = _documents(text, whole=whole)
    if records is not None:
        count, columns = len(records), merge_columns(_json_columns(record) for record in records)
        schema = Schema("json", columns, compression, count)
    elif (table := _classify_csv(text, whole=whole)) is not None:
        schema = table
    else:
        return None
    estimate = schema.records if whole else round(schema.records * size / len(sample))
    return Schema(
        schema.classification,
        schema.columns,
        compression,
        estimate,
        schema.delimiter,
        schema.header,
        schema.quoted,
    )


def _documents(text: str, *, whole: bool) -> list[dict[str, Any]] | None:
    """The objects in a JSON text, be they in an array or one after another; None when it is not such a text."""
    decoder = json.JSONDecoder()
    found: list[Any] = []
    position, end = 0, len(text)
    while position < end:
        if text[position] in " \t\r\n":
            position += 1
            continue
        try:
            document, position = decoder.raw_decode(text, position)
        except ValueError:
            if whole or not found:
                return None
            break
        found.append(document)
    if len(found) == 1 and isinstance(found[0], list):
        found = found[0]
    return found if found and all(isinstance(document, dict) for document in found) else None


def _json_columns(document: dict[str, Any]) -> Columns:
    return {name.lower(): _json_type(value) for name, value in document.items() if value is not None}


def _json_type(value: Any) -> HiveType:
    match value:
        case bool():
            return "boolean"
        case int():
            return "int" if -(2**31) <= value < 2**31 else "bigint"
        case float():
            return "double"
        case dict():
            return Struct(tuple(_json_columns(value).items()))
        case list():
            return Array(functools.reduce(merge_types, map(_json_type, value)) if value else "string")
        case _:
            return "string"


def _classify_csv(text: str, *, whole: bool) -> Schema | None:
    """The schema of a CSV: at least two columns, the same number in (nearly) every line."""
    for delimiter in DELIMITERS:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
        if not whole and len(rows) > 1:
            rows = rows[:-1]  # cut short by the end of the sample
        if not rows or len(rows[0]) < 2:
            continue
        width = len(rows[0])
        regular = [row for row in rows if len(row) == width]
        if len(regular) < 0.9 * len(rows):
            continue
        columns, header = _csv_columns(regular)
        quoted = '"' in text
        return Schema("csv", columns, records=len(rows) - header, delimiter=delimiter, header=header, quoted=quoted)
    return None


def _csv_columns(rows: list[list[str]]) -> tuple[Columns, bool]:
    """The columns of a CSV, and whether its first line is their header."""
    first, rest = rows[0], rows[1:]
    width = len(first)
    below = [_csv_type(row[index] for row in rest) for index in range(width)]
    named = all(HEADER_NAME.fullmatch(name.strip()) for name in first[:-1]) and (
        not first[-1] or bool(HEADER_NAME.fullmatch(first[-1].strip()))
    )
    if rest and named and any(kind != "string" for kind in below):
        names = [name.strip().lower() or f"col{index}" for index, name in enumerate(first)]
        return dict(zip(names, below, strict=True)), True
    kinds = [_csv_type(row[index] for row in rows) for index in range(width)]
    return {f"col{index}": kind for index, kind in enumerate(kinds)}, False


def _csv_type(values: Iterable[str]) -> HiveType:
    """`bigint`, `double` or `string`; empty fields say nothing."""
    found = {_field_type(value.strip()) for value in values if value.strip()}
    if not found or "string" in found:
        return "string"
    return "double" if "double" in found else "bigint"


def _field_type(value: str) -> str:
    if re.fullmatch(r"[+-]?\d{1,18}", value):
        return "bigint"
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", value):
        return "double"
    return "string"
