"""Raw files as a Spark DataFrame of records, read by spark_jobs/raw in the Python workers, one task for some pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from contract.dataset import Contract
from pyspark.sql import DataFrame, SparkSession

from spark_jobs import raw, storage
from spark_jobs.errors import DataError
from spark_jobs.personal import Pseudonyms
from spark_jobs.plain_values import PlainValues
from spark_jobs.raw import model
from spark_jobs.raw.csv_blocks import PlainLines
from spark_jobs.raw.pieces import WHOLE, Part, Piece, cut, open_piece
from spark_jobs.transforms import spark_type

BATCH_ROWS = 20_000
TASK_BYTES = 32 << 20
"""About how many bytes of raw files a task reads."""


COLUMNS = (
    "source_file",
    "source_line",
    "place",
    "lines",
    "raw_row",
    "received",
    "values",
    "extra",
    "record_rule",
    "record_reason",
)


class PieceOfFile(NamedTuple):
    """What a task reads of a file."""

    file: storage.StoredFile
    piece: Piece


Tasks = Sequence[Sequence[PieceOfFile]]
"""What each task reads."""


def schema(contract: Contract) -> str:
    """The DDL of a frame of records.

    `received` holds the text of each of the contract's columns, and `extra` the columns that it does not name, as a
    JSON object, where the contract keeps them and a record has any. Where a record's columns that `PlainValues` reads
    are all plain, they stand in `values`, and in `received` only where a reason may still tell of them. `place` tells
    records on the same line apart: those of JSON may share one.
    """
    received = ", ".join(f"`{column.name}`: string" for column in contract.columns)
    plain = ["_plain: boolean", *(f"`{c.name}`: {spark_type(c.type)}" for c in PlainValues(contract).columns)]
    return (
        "source_file string, source_line bigint, place bigint, lines bigint, raw_row string, "
        f"received struct<{received}>, values struct<{', '.join(plain)}>, extra string, "
        "record_rule string, record_reason string"
    )


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


def read(spark: SparkSession, tasks: Tasks, contract: Contract, pseudonyms: Pseudonyms | None) -> DataFrame:
    """The records of files in the shape of `schema`; neither `received` nor `values` is there where `record_rule` is.

    :param tasks: what each task reads.
    :param pseudonyms: what takes the place of personal values; None where the contract has no personal column.

    A piece ends with a record of rule `END_OF_PIECE`, whose reason is its `raw.LineCounts`; one that cannot be read to
    its end yields instead, in place of the rest, a record of rule `UNREADABLE` with the reason.
    """

    def batches(indexes: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for index in (value for batch in indexes for value in batch.column(0).to_pylist()):
            for file, piece in tasks[index]:
                shaped = Batches(file.name, contract)
                for part in parts_of(file, piece, contract):
                    if isinstance(part, PlainLines) and not pseudonyms:
                        yield shaped.of_plain(part)
                    else:
                        records = part.records() if isinstance(part, PlainLines) else part
                        known = map(pseudonyms.replaced, records) if pseudonyms else records
                        while chunk := list(islice(known, BATCH_ROWS)):
                            yield shaped.of_records(chunk)

    # One partition per task: the id of a row is the task's place in the list.
    partitions = max(len(tasks), 1)
    return spark.range(0, len(tasks), 1, partitions).mapInArrow(batches, schema(contract))


def parts_of(file: storage.StoredFile, piece: Piece, contract: Contract) -> Iterator[Part]:
    """The records of a piece, and the one that tells of its end."""
    with storage.open_stream(file.uri) as stream:
        try:
            opened = open_piece(stream, file.name, contract, piece)
            yield from opened.parts
            counts = json.dumps(asdict(opened.counts))
            yield iter([raw.Record(0, "", None, model.END_OF_PIECE, counts, lines=0)])
        except DataError as error:
            yield iter([raw.Record(0, "", None, model.UNREADABLE, f"{error}", lines=0)])


class Batches:
    """Records of a piece as Arrow batches in the shape of `schema`."""

    def __init__(self, file_name: str, contract: Contract) -> None:
        """Shape the records of this file."""
        self._file_name = file_name
        self._names = [column.name for column in contract.columns]
        self._plain_values = PlainValues(contract)
        self._read = {column.name for column in self._plain_values.columns if not column.has_bounds}
        self._place = 0

    def of_records(self, records: Sequence[raw.Record]) -> pa.RecordBatch:
        """A batch of records."""
        nothing = (None,) * len(self._names)
        texts = [pa.array(values, pa.string()) for values in zip(*(r.values or nothing for r in records), strict=True)]
        return self._batch(
            texts,
            readable=pa.array([record.values is not None for record in records]),
            source_line=pa.array([record.line for record in records], pa.int64()),
            lines=pa.array([record.lines for record in records], pa.int64()),
            raw_row=pa.array([record.raw for record in records], pa.string()),
            extra=pa.array([record.extra for record in records], pa.string()),
            record_rule=pa.array([record.rule for record in records], pa.string()),
            record_reason=pa.array([record.reason for record in records], pa.string()),
        )

    def of_plain(self, lines: PlainLines) -> pa.RecordBatch:
        """A batch of plain lines."""
        count = len(lines.numbers)
        none = pa.nulls(count, pa.string())
        return self._batch(
            lines.values,
            readable=pa.repeat(True, count),
            source_line=lines.numbers,
            lines=pa.repeat(pa.scalar(1, pa.int64()), count),
            raw_row=lines.raw,
            extra=none,
            record_rule=none,
            record_reason=none,
        )

    def _batch(self, texts: Sequence[pa.Array], *, readable: pa.Array, **columns: pa.Array) -> pa.RecordBatch:
        count = len(readable)
        first, self._place = self._place, self._place + count
        values, plain = self._plain_values.of(texts, readable)
        received = [
            pc.if_else(plain, pa.scalar(None, pa.string()), text) if name in self._read else text
            for name, text in zip(self._names, texts, strict=True)
        ]
        columns |= {
            "source_file": pa.repeat(self._file_name, count),
            "place": pa.array(range(first, first + count), pa.int64()),
            "received": pa.StructArray.from_arrays(received, names=self._names, mask=pc.invert(readable)),
            "values": pa.StructArray.from_arrays(
                [plain, *values],
                names=["_plain", *(column.name for column in self._plain_values.columns)],
                mask=pc.invert(plain),
            ),
        }
        return pa.RecordBatch.from_pydict({name: columns[name] for name in COLUMNS})
