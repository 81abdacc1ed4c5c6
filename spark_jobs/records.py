"""Raw files as a Spark DataFrame of records, one task per file, read by spark_jobs/raw in the Python workers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice

import pyarrow as pa
from contract.dataset import Contract
from pyspark.sql import DataFrame, SparkSession

from spark_jobs import raw, storage
from spark_jobs.errors import DataError
from spark_jobs.personal import Pseudonyms

BATCH_ROWS = 20_000
UNREADABLE = "unreadable_file"
"""The rule of the one record that stands for the rest of a file that turns out to be damaged while it is read."""

END_OF_FILE = "end_of_file"
"""The rule of the last record of every other file, which is no row: its reason is the file's line counts, as JSON."""


def schema(columns: Sequence[str]) -> str:
    """The DDL of a frame of records: `received` holds the text of each of the contract's `columns`, and `extra` the
    columns that it does not name, as a JSON object, where the contract keeps them and a record has any. `place` is the
    record's in its file: records of JSON may share a line.
    """
    received = ", ".join(f"`{name}`: string" for name in columns)
    return (
        "source_file string, source_line bigint, place bigint, lines bigint, raw_row string, "
        f"received struct<{received}>, extra string, record_rule string, record_reason string"
    )


def read(
    spark: SparkSession, files: Sequence[storage.StoredFile], contract: Contract, pseudonyms: Pseudonyms | None
) -> DataFrame:
    """The records of `files` in the shape of `schema`; `received` is null where `record_rule` is not.

    :param pseudonyms: what takes the place of personal values; None where the contract has no personal column.

    A file ends with a record of rule `END_OF_FILE`, whose reason is its `raw.LineCounts`; one that cannot be read to
    its end yields instead, in place of the rest, a record of rule `UNREADABLE` with the reason.
    """
    names = [column.name for column in contract.columns]

    def records(file: storage.StoredFile) -> Iterator[raw.Record]:
        with storage.open_stream(file.uri) as stream:
            try:
                opened = raw.open_fitting(stream, file.name, contract)
                yield from map(pseudonyms.replaced, opened.records) if pseudonyms else opened.records
                yield raw.Record(0, "", None, END_OF_FILE, json.dumps(asdict(opened.counts)), lines=0)
            except DataError as error:
                yield raw.Record(0, "", None, UNREADABLE, str(error))

    def batches(indexes: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for index in (value for batch in indexes for value in batch.column(0).to_pylist()):
            file = files[index]
            stream, read = records(file), 0
            while chunk := list(islice(stream, BATCH_ROWS)):
                yield record_batch(file.name, read, chunk, names)
                read += len(chunk)

    # One partition per file: the id of a row is the file's place in the list.
    partitions = max(len(files), 1)
    return spark.range(0, len(files), 1, partitions).mapInArrow(batches, schema(names))


def record_batch(file_name: str, first: int, records: Sequence[raw.Record], columns: Sequence[str]) -> pa.RecordBatch:
    """Records of one file, from the place `first` on, as an Arrow batch in the shape of `schema`."""
    nothing = (None,) * len(columns)
    by_column = zip(*(record.values or nothing for record in records), strict=True)
    received = pa.StructArray.from_arrays(
        [pa.array(values, pa.string()) for values in by_column],
        names=list(columns),
        mask=pa.array([record.values is None for record in records]),
    )
    return pa.RecordBatch.from_arrays(
        [
            pa.array([file_name] * len(records), pa.string()),
            pa.array([record.line for record in records], pa.int64()),
            pa.array(range(first, first + len(records)), pa.int64()),
            pa.array([record.lines for record in records], pa.int64()),
            pa.array([record.raw for record in records], pa.string()),
            received,
            pa.array([record.extra for record in records], pa.string()),
            pa.array([record.rule for record in records], pa.string()),
            pa.array([record.reason for record in records], pa.string()),
        ],
        names=[
            "source_file",
            "source_line",
            "place",
            "lines",
            "raw_row",
            "received",
            "extra",
            "record_rule",
            "record_reason",
        ],
    )
