"""Records of Parquet files: typed values become the text that the contract's columns are read from.

Dates and timestamps are written in the column's own format where that keeps them whole, else in ISO 8601 to the last
digit: what a contract's date or timestamp cannot hold (nanoseconds, a year of five digits) is never taken for another
value. A timestamp with a zone is the wall clock reading in UTC. Decimals and integers are exact. A float is the
shortest text that reads back as the same float. A record's line is its row, from 1.

Only the columns that the contract names are read, and the others where it keeps them: what lies in a column that nobody
wants cannot cost a record.
"""

from __future__ import annotations

import io
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from contract.columns import BLANKS, Column
from contract.dataset import Contract

from spark_jobs.errors import DataError
from spark_jobs.raw import dates, model
from spark_jobs.raw.model import RawFile, Record

BATCH_ROWS = 10_000
UNITS = ("ms", "us", "ns")
"""The units in which INT96 is read, side by side: pyarrow cuts off what is finer, and wraps round what is beyond."""

VARIANT = {"metadata", "value", "typed_value"}
"""The members of the object that a VARIANT is stored as."""
JULIAN = b"org.apache.spark.legacyDateTime"
"""What Spark says of a file whose old dates are of another calendar than Parquet's."""


def open_parquet(stream: io.BufferedReader, name: str, contract: Contract) -> RawFile:
    """A Parquet file of which only the footer has been read.

    :raises DataError: it is not Parquet, is damaged, or names a column twice.
    """
    try:
        source = _seekable(stream)
        by_unit = {
            unit: pq.ParquetFile(source, page_checksum_verification=True, coerce_int96_timestamp_unit=unit)
            for unit in UNITS
        }
        found = [column.strip(BLANKS) for column in by_unit["us"].schema_arrow.names]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(name, error) from error
    file = by_unit["us"]
    model.check_unique(found, contract, f"{name} line 1")
    return RawFile(name, 1, found, _records(by_unit, name, contract), model.LineCounts(physical=file.metadata.num_rows))


def _seekable(stream: io.BufferedReader) -> BinaryIO:
    """The stream itself, or a copy on disk: Parquet is read from its end."""
    if stream.seekable():
        return stream
    copy = tempfile.TemporaryFile()  # noqa: SIM115  closed with the reader that holds it
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return copy


def _damaged(name: str, error: Exception) -> Exception:
    """The error to raise for `error`: one of the machine itself has an errno, and is worth a retry."""
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return DataError(f"{name}: cannot be read as Parquet: {error}")


def _records(by_unit: dict[str, pq.ParquetFile], name: str, contract: Contract) -> Iterator[Record]:
    file = by_unit["us"]
    wanted, keep = model.sources(contract), contract.additions == "keep"
    by_source = {column.source: column for column in contract.columns}
    names = {column: column.strip(BLANKS) for column in file.schema_arrow.names}
    found = [column for column, bare in names.items() if bare in by_source or (keep and bare)]
    leaves = (file.schema.column(at) for at in range(len(file.schema)))
    int96 = [leaf.path for leaf in leaves if leaf.physical_type == "INT96"]
    if inside := [path for path in int96 if path not in file.schema_arrow.names and path.partition(".")[0] in found]:
        raise DataError(f"{name}: {inside[0]} is INT96 within a list or object, which cannot be kept exactly")
    for column in found:
        if problem := _not_json(file.schema_arrow.field(column).type):
            raise DataError(f"{name}: the column {column!r} {problem}")
    int96 = [path for path in int96 if path in found]
    julian = JULIAN in (file.metadata.metadata or {})
    row = 0
    try:
        others = (by_unit[unit].iter_batches(BATCH_ROWS, columns=int96) for unit in ("ms", "ns")) if int96 else ()
        for batch, *more in zip(file.iter_batches(BATCH_ROWS, columns=found), *others, strict=True):
            texts = [
                _int96_texts([batch[column], *(other[column] for other in more)], by_source.get(names[column]))
                if column in int96
                else _texts(batch[column], by_source.get(names[column]))
                for column in found
            ]
            if julian:
                texts = [_julian_told(batch[column], given) for column, given in zip(found, texts, strict=True)]
            for values in zip(*texts, strict=True):
                row += 1
                given = dict(zip(map(names.__getitem__, found), values, strict=True))
                yield model.record_of(row, model.json_text(given), given, wanted, keep)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, error) from error


def _not_json(kind: pa.DataType) -> str | None:
    """Why a list or object cannot be kept as JSON."""
    if pa.types.is_struct(kind):
        names = kind.names
        if "metadata" in names and set(names) <= VARIANT and pa.types.is_binary(kind.field("metadata").type):
            return "is or holds a VARIANT, of which only the storage is known here: send it as a text of JSON"
        if len(set(names)) < len(names):
            return "is or holds an object that names a member twice"
    children = (kind.field(at).type for at in range(kind.num_fields))
    return next(filter(None, map(_not_json, children)), None)


def _julian_told(values: pa.Array, texts: list[Any]) -> list[Any]:
    """The texts of a file that says its dates before 1582-10-15 are of the Julian calendar, with those told as such.

    Moments of before 1900 are told too: they are off by the local time of the writer's machine.
    """
    if not (pa.types.is_date(values.type) or pa.types.is_timestamp(values.type)):
        return texts
    days = date(1582, 10, 15) if pa.types.is_date(values.type) else datetime(1900, 1, 1, tzinfo=values.type.tz and UTC)
    old = pc.less(values, pa.scalar(days, values.type)).to_pylist()
    return [
        f"<of the calendar before 1582: {text}>" if is_old else text for is_old, text in zip(old, texts, strict=True)
    ]


def _texts(values: pa.Array, column: Column | None) -> list[Any]:
    """The values as text; lists and objects, which no column can hold, as they are."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values.cast(pa.string()).to_pylist()
    if pa.types.is_floating(kind):
        shortest = values.cast(pa.string()).to_pylist()
        return [None if value is None else format(Decimal(value), "f") for value in shortest]
    if pa.types.is_temporal(kind):
        return _temporal_texts(values, column)
    if pa.types.is_nested(kind):
        with suppress(pa.ArrowInvalid, ValueError, OverflowError):
            return [None if value is None else _plain(value) for value in values.to_pylist()]
        return [_nested(value) for value in values]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        with suppress(UnicodeDecodeError):
            return list(values.to_pylist())
        values = values.cast(pa.large_binary())
    given = values.to_pylist()
    written = _writer(column)
    return [None if value is None else written(value) for value in given]


def _temporal_texts(values: pa.Array, column: Column | None) -> list[str | None]:
    """Dates, times, timestamps and durations; of those that Python cannot hold exactly, the text that Arrow shows."""
    kind = values.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        # The instant is what is stored: whether this machine knows the zone does not matter.
        kind = pa.timestamp(kind.unit)
        values = values.cast(pa.int64()).view(kind)
    finest = {"timestamp": pa.timestamp, "duration": pa.duration, "time64": pa.time64}.get(f"{kind}".partition("[")[0])
    whole = finest("us") if finest and kind.unit == "ns" else kind
    written = _writer(column)
    if not pa.types.is_time(kind) or _within_a_day(values):
        with suppress(pa.ArrowInvalid, ValueError, OverflowError):
            return [None if value is None else written(value) for value in values.cast(whole).to_pylist()]
    elif len(values) == 1:
        return [
            f"<value out of range: {values.cast(pa.int32() if kind.bit_width == 32 else pa.int64())[0]} {kind.unit}>"
        ]
    if len(values) == 1:
        unit = f" {kind.unit}" if pa.types.is_duration(kind) else ""
        return [f"{shown}{unit}" for shown in values.cast(pa.string()).to_pylist()]
    half = len(values) // 2
    return _temporal_texts(values[:half], column) + _temporal_texts(values[half:], column)


def _within_a_day(values: pa.Array) -> bool:
    """Whether times of day are: others wrap round in silence."""
    kind = values.type
    day = 86_400 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
    return all(0 <= count < day for count in _counts(values.drop_null()))


def _counts(values: pa.Array) -> list[Any]:
    """Dates or times as they are stored: integers of their unit."""
    return list(values.cast(pa.int32() if values.type.bit_width == 32 else pa.int64()).to_pylist())


def _int96_texts(reads: list[pa.Array], column: Column | None) -> list[str | None]:
    """The texts of INT96 timestamps, read as microseconds, as milliseconds, and as nanoseconds modulo 2^64."""
    values = reads[0]
    texts, shown = _temporal_texts(values, column), values.cast(pa.string()).to_pylist()
    counts = (read.cast(pa.int64()).to_pylist() for read in reads)
    for at, (microseconds, milliseconds, nanoseconds) in enumerate(zip(*counts, strict=True)):
        if microseconds is None:
            continue
        beyond = (nanoseconds - microseconds * 1000) % (1 << 64)
        if microseconds // 1000 != milliseconds:
            texts[at] = f"<value out of range: {milliseconds} ms>"
        elif beyond:
            texts[at] = f"{shown[at]}{beyond:03}"
    return texts


def _nested(value: pa.Scalar) -> Any:
    """A list or object as JSON has them, with what Python cannot hold as the text that it has in a column."""
    if not value.is_valid:
        return None
    if pa.types.is_struct(value.type):
        return {name: _nested(item) for name, item in value.items()}
    if pa.types.is_nested(value.type):
        return [_nested(item) for item in value.values]
    return _texts(pa.repeat(value, 1), None)[0]


def _writer(column: Column | None) -> Callable[[Any], str]:
    pattern = column.date_format if column is not None and column.type in ("date", "timestamp") else None

    def written(value: Any) -> str:
        match value:
            case Decimal():
                return format(value, "f")
            case datetime() if value.tzinfo is not None:
                return dates.written(value.astimezone(UTC).replace(tzinfo=None), pattern)
            case date():
                return dates.written(value, pattern)
            case bytes():
                return value.decode(errors="surrogateescape")
            case _:
                return str(value)

    return written


def _plain(value: Any) -> Any:
    """A list or object as JSON has them."""
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case float() if not math.isfinite(value):
            return format(Decimal(value), "f")
        case str() | bool() | float() | None:
            return value
        case _:
            return _writer(None)(value)
