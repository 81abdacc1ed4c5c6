"""Records of Parquet files: typed values become the text that the contract's columns are read from.

Dates and timestamps are written in the column's own format where that keeps them whole, else in ISO 8601; a timestamp
with a zone is the wall clock reading in UTC. Decimals and integers are exact. A float is the shortest text that reads
back as the same float. A record's line is its row, from 1.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from lake.contract import Column, Contract

from spark_jobs.errors import DataError
from spark_jobs.raw import dates, model
from spark_jobs.raw.model import RawFile, Record

BATCH_ROWS = 10_000


def open_parquet(stream: io.BufferedReader, name: str, contract: Contract) -> RawFile:
    """A Parquet file of which only the footer has been read.

    :raises DataError: it is not Parquet, is damaged, or names a column twice.
    """
    try:
        file = pq.ParquetFile(_seekable(stream), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, error) from error
    found = file.schema_arrow.names
    model.check_unique(found, contract, f"{name} line 1")
    return RawFile(name, 1, found, _records(file, name, contract), model.LineCounts(physical=file.metadata.num_rows))


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


def _records(file: pq.ParquetFile, name: str, contract: Contract) -> Iterator[Record]:
    wanted, keep = model.sources(contract), contract.additions == "keep"
    by_source = {column.source: column for column in contract.columns}
    found = file.schema_arrow.names
    row = 0
    try:
        for batch in file.iter_batches(BATCH_ROWS):
            texts = [_texts(batch.column(at), by_source.get(column)) for at, column in enumerate(found)]
            for values in zip(*texts, strict=True):
                row += 1
                given = dict(zip(found, values, strict=True))
                yield model.record_of(row, model.json_text(given), given, wanted, keep)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(name, error) from error


def _texts(values: pa.Array, column: Column | None) -> list[Any]:
    """The values as text; lists and objects, which no column can hold, as they are."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values.cast(pa.string()).to_pylist()
    if pa.types.is_floating(kind):
        shortest = values.cast(pa.string()).to_pylist()
        return [None if value is None else format(Decimal(value), "f") for value in shortest]
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        values = values.cast(pa.timestamp("us", kind.tz), safe=False)
    if pa.types.is_nested(kind):
        return [None if value is None else _plain(value) for value in values.to_pylist()]
    given = values.to_pylist()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return given
    written = _writer(column)
    return [None if value is None else written(value) for value in given]


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
        case str() | bool() | float() | None:
            return value
        case _:
            return _writer(None)(value)
