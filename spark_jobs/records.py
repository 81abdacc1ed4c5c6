"""Raw files as a Spark DataFrame of records: read by spark_jobs/raw, in pieces, one task for some of them.

What is read is kept as Parquet while it is classified: of that Spark reads the columns that it needs, as often as it
needs them, without Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from contract.dataset import Contract
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from spark_jobs import raw, storage
from spark_jobs.errors import DataError
from spark_jobs.personal import Pseudonyms
from spark_jobs.plain_values import PlainValues
from spark_jobs.raw.csv_blocks import PlainLines
from spark_jobs.raw.pieces import WHOLE, Part, Piece, cut, open_piece

BATCH_ROWS = 20_000
TASK_BYTES = 32 << 20
"""About how many bytes of raw files a task reads."""

FILE_ROWS = 1_000_000
"""About how many records are kept in one file, of raw files that one task reads whole, however large they are."""


class PieceOfFile(NamedTuple):
    """What a task reads of a file."""

    file: storage.StoredFile
    piece: Piece


Tasks = Sequence[Sequence[PieceOfFile]]
"""What each task reads."""


class Read(NamedTuple):
    """What was read of a piece of the file `name`: how many records, how many lines they take, and its other lines.

    `problem` says why the piece could not be read to its end.
    """

    name: str
    rows: int
    lines: int
    counts: raw.LineCounts
    problem: str | None


def tasks(files: Sequence[storage.StoredFile], contract: Contract) -> list[list[PieceOfFile]]:
    """The pieces of all files, in order, by the task that reads them: each about `TASK_BYTES`."""
    found: list[list[PieceOfFile]] = []
    room = 0
    for file in files:
        for piece in pieces_of(file, contract):
            size = piece.size or file.size
            if not found or size > room:
                found.append([])
                room = TASK_BYTES
            found[-1].append(PieceOfFile(file, piece))
            room -= size
    return found


def pieces_of(file: storage.StoredFile, contract: Contract) -> list[Piece]:
    """The pieces of a file: one where it is small, cannot be cut, or is not on this machine's disk."""
    if file.size <= TASK_BYTES or not storage.is_local(file.uri):
        return [WHOLE]
    with storage.local_path(file.uri).open("rb") as stream:
        try:
            return cut(stream, file.name, contract, TASK_BYTES)
        except DataError:
            # Told where it is read.
            return [WHOLE]


def schema(contract: Contract) -> pa.Schema:
    """The columns of records.

    `_received_<column>` is the text of each of the contract's columns, and `extra` those that it does not name, as a
    JSON object, where the contract keeps them and a record has any. A record is `_plain` where all columns are that
    `PlainValues` reads: they stand in `_value_<column>` then, and as texts only where a reason may still tell of them.
    `_place` tells records on the same line apart: those of JSON may share one. A record that could not be read has
    `_record_rule` and `_record_reason` and none of these. `_record` is a number that no other record read at once has.
    """
    plain_values = PlainValues(contract)
    text = pa.string()
    return pa.schema(
        [
            ("source_file", text),
            ("source_line", pa.int64()),
            ("_place", pa.int64()),
            ("_raw_row", text),
            *((f"_received_{column.name}", text) for column in contract.columns),
            ("_plain", pa.bool_()),
            *((f"_value_{column.name}", kind) for column, kind in plain_values.types.items()),
            ("extra", text),
            ("_record_rule", text),
            ("_record_reason", text),
            ("_record", pa.int64()),
        ]
    )


def held(contract: Contract) -> dict[str, str]:
    """The published columns whose values stand in records that are plain, each with its column there."""
    values = {column.name: f"_value_{column.name}" for column in PlainValues(contract).types}
    return values | {name: name for name in ("extra", "source_file", "source_line")}


def read(
    spark: SparkSession, tasks: Mapping[date, Tasks], contract: Contract, pseudonyms: Pseudonyms | None, folder: Path
) -> dict[date, list[Read]]:
    """Keep the records of the files of some dates, and tell what was read of each piece.

    :param tasks: what each task reads of a date.
    :param pseudonyms: what takes the place of personal values; None where the contract has no personal column.
    :param folder: an empty local folder, where `kept` finds the records.
    """
    pieces: list[tuple[Sequence[PieceOfFile], Path]] = []
    for run_date, of_date in tasks.items():
        folder_of(folder, run_date).mkdir()
        pieces += [(task, folder_of(folder, run_date)) for task in of_date]

    def written(index: int) -> list[Read]:
        task, of_date = pieces[index]
        return write(task, contract, pseudonyms, of_date, index)

    if len(pieces) == 1:
        # Less than it takes to start another Python.
        found = [written(0)]
    else:
        found = spark.sparkContext.parallelize(range(len(pieces)), len(pieces)).map(written).collect()
    each = iter(found)
    return {
        run_date: [piece for task in islice(each, len(of_date)) for piece in task]
        for run_date, of_date in tasks.items()
    }


def kept(spark: SparkSession, contract: Contract, folder: Path, run_dates: Sequence[date]) -> DataFrame:
    """The records that `read` has kept of some dates, in the columns of `schema` and `run_date`."""
    columns = from_arrow_schema(schema(contract), prefer_timestamp_ntz=True).add("run_date", "date")
    files = spark.read.schema(columns).option("basePath", f"file://{folder}")
    # Spark takes these as they stand: it would look for the "%3D" of a URI in the name itself.
    return files.parquet(*(f"file://{folder_of(folder, run_date)}" for run_date in run_dates))


def kept_bytes(folder: Path) -> int:
    """How many bytes the records take that `read` has kept, before they were compressed."""
    files = map(pq.read_metadata, folder.glob("*/*.parquet"))
    return sum(file.row_group(group).total_byte_size for file in files for group in range(file.num_row_groups))


def folder_of(folder: Path, run_date: date) -> Path:
    """Where in `folder` the records of a date are."""
    return folder / f"run_date={run_date}"


def _parquet_options(contract: Contract) -> dict[str, Any]:
    """How records are written that are read a few times and then gone: fast, most values plain."""
    numbers = "source_line", "_place", "_record"
    few = [f"_value_{column.name}" for column in contract.columns if column.allowed or column.type == "date"]
    return {
        "compression": "snappy",
        "store_decimal_as_integer": True,
        "write_statistics": False,
        "use_dictionary": ["source_file", *few],
        "column_encoding": dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
    }


class KeptFiles:
    """Parquet files of records in the columns of `schema`, one after the other."""

    def __init__(self, folder: Path, contract: Contract, name: str) -> None:
        """Write into a folder files of this name, numbered."""
        self._folder = folder
        self._schema = schema(contract)
        self._options = _parquet_options(contract)
        self._name = name
        self._files = 0
        self._writer: pq.ParquetWriter | None = None
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Write a batch behind those before."""
        if self._writer is None or self._rows >= FILE_ROWS:
            self.close()
            path = self._folder / f"{self._name}-{self._files:05}.parquet"
            self._writer = pq.ParquetWriter(path, self._schema, **self._options)
            self._files, self._rows = self._files + 1, 0
        self._writer.write_batch(batch)
        self._rows += batch.num_rows

    def close(self) -> None:
        """Complete the last file."""
        if self._writer is not None:
            self._writer.close()


def write(
    pieces: Sequence[PieceOfFile], contract: Contract, pseudonyms: Pseudonyms | None, folder: Path, task: int
) -> list[Read]:
    """Read pieces of files, and write their records to Parquet files in `folder`.

    A file that cannot be read to its end is told of, and so are the pieces before it.

    :param task: a number that no other call has whose records are read at once with these.
    """
    found, first = [], task << 32
    with closing(KeptFiles(folder, contract, f"{task:05}")) as files:
        for file, piece in pieces:
            batches = Batches(file.name, contract, first)
            counts, problem = raw.LineCounts(), None
            with storage.open_stream(file.uri) as stream:
                try:
                    opened = open_piece(stream, file.name, contract, piece)
                    counts = opened.counts
                    for part in opened.parts:
                        for batch in batches.of(part, pseudonyms):
                            files.add(batch)
                except DataError as error:
                    problem = f"{error}"
            first += batches.rows
            found.append(Read(file.name, batches.rows, batches.lines, counts, problem))
    return found


class Batches:
    """Records of a piece as Arrow batches in the columns of `schema`."""

    def __init__(self, file_name: str, contract: Contract, first: int = 0) -> None:
        """Shape the records of this file; `rows` and `lines` count them, and the lines they take.

        :param first: the `_record` of the first.
        """
        self._first = first
        self.rows = 0
        self.lines = 0
        self._file_name = file_name
        self._schema = schema(contract)
        self._columns = contract.columns
        self._plain_values = PlainValues(contract)

    def of(self, part: Part, pseudonyms: Pseudonyms | None) -> Iterator[pa.RecordBatch]:
        """The batches of a part of a piece."""
        if isinstance(part, PlainLines) and not pseudonyms:
            yield self._of_plain(part)
            return
        records = part.records() if isinstance(part, PlainLines) else part
        known = map(pseudonyms.replaced, records) if pseudonyms else iter(records)
        while chunk := list(islice(known, BATCH_ROWS)):
            yield self.of_records(chunk)

    def of_records(self, records: Sequence[raw.Record]) -> pa.RecordBatch:
        """A batch of records."""
        nothing = (None,) * len(self._columns)
        texts = [pa.array(values, pa.string()) for values in zip(*(r.values or nothing for r in records), strict=True)]
        self.lines += sum(record.lines for record in records)
        return self._batch(
            texts,
            readable=pa.array([record.values is not None for record in records]),
            source_line=pa.array([record.line for record in records], pa.int64()),
            raw_row=pa.array([record.raw for record in records], pa.string()),
            extra=pa.array([record.extra for record in records], pa.string()),
            rule=pa.array([record.rule for record in records], pa.string()),
            reason=pa.array([record.reason for record in records], pa.string()),
        )

    def _of_plain(self, lines: PlainLines) -> pa.RecordBatch:
        count = len(lines.numbers)
        none = pa.nulls(count, pa.string())
        self.lines += count
        return self._batch(
            lines.values,
            readable=pa.repeat(True, count),
            source_line=lines.numbers,
            raw_row=lines.raw,
            extra=none,
            rule=none,
            reason=none,
        )

    def _batch(
        self,
        texts: Sequence[pa.Array],
        *,
        readable: pa.Array,
        source_line: pa.Array,
        raw_row: pa.Array,
        extra: pa.Array,
        rule: pa.Array,
        reason: pa.Array,
    ) -> pa.RecordBatch:
        count = len(readable)
        places = np.arange(self.rows, self.rows + count)
        self.rows += count
        values, plain = self._plain_values.of(texts, readable)
        none = pa.scalar(None, pa.string())
        # What a reason may tell is kept as it was received.
        read = {column.name for column in self._plain_values.types if not column.has_bounds}
        received = [
            pc.if_else(plain, none, text) if column.name in read else text
            for column, text in zip(self._columns, texts, strict=True)
        ]
        file_name = pa.repeat(self._file_name, count)
        arrays = [
            *(file_name, source_line, pa.array(places), raw_row, *received),
            *(plain, *values, extra, rule, reason, pa.array(places + self._first)),
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)
