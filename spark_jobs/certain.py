"""Records that are published for certain, taken apart by Arrow from those that Spark has to look at one by one.

Spark judges all records, by the columns that their rules need and without the words for what is wrong, and says which
are certain (`transforms.certain`). Those make up the published files as they were read. What is left, mostly a few in a
hundred, has the whole way before it: reasons, warnings, duplicates. Both ways together give the rows that the second
gives of all records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from contract.dataset import Contract
from contract.submission import Submission
from pyspark.sql import DataFrame, SparkSession

from spark_jobs import outcomes, records, transforms

HASHES_AT_ONCE = 50_000_000
"""How many hashes are sorted at once, in about 16 bytes each."""

JUDGED_OPTIONS = {"compression": "snappy", "parquet.enable.dictionary": "false", "parquet.block.size": f"{8 << 20}"}
"""Numbers that hardly come again need no dictionary; of small row groups few are read for a batch of records."""


@dataclass(frozen=True)
class Apart:
    """Records taken apart.

    `files` are the Parquet files of those published for certain, by date, and `groups` tell of them what
    `Outcomes.groups` tells of all others, whose records are in the folder `left`.
    """

    files: Mapping[date, list[Path]]
    groups: list[dict[str, Any]]
    left: Path

    def others(self, spark: SparkSession, contract: Contract, run_dates: Sequence[date]) -> DataFrame:
        """The records that are left, in the columns of `records.schema` and `run_date`."""
        return records.kept(spark, contract, self.left, run_dates)


NOTHING = Apart({}, [], Path())
"""What is apart where nothing was taken apart."""


class Part(NamedTuple):
    """Files of records of a date that become one published file."""

    run_date: date
    files: list[Path]


def take_apart(
    judged: DataFrame,
    contract: Contract,
    submission: Submission,
    kept: Path,
    run_dates: Sequence[date],
    folder: Path,
) -> Apart:
    """Take the records of some dates apart.

    :param judged: what `transforms.certain` gives of them.
    :param kept: the folder in which they were kept: see `records.read`.
    :param folder: a local folder for what comes of it; is made.
    """
    spark = judged.sparkSession
    verdicts, left = folder / "judged", folder / "left"
    judged.write.options(**JUDGED_OPTIONS).parquet(verdicts.as_uri())
    np.save(folder / "repeated.npy", repeated(verdicts) if contract.dedupe_by else np.array([], np.int64))
    parts = [
        Part(run_date, files)
        for run_date in run_dates
        for files in by_published_file(
            sorted(records.folder_of(kept, run_date).iterdir()), spark.sparkContext.defaultParallelism
        )
    ]
    for run_date in run_dates:
        records.folder_of(left, run_date).mkdir(parents=True)
    warn_rules = len(transforms.rule_names(contract, "warn"))

    def taken(index: int) -> Counter[str]:
        run_date, files = parts[index]
        taking = Taking(contract, submission, verdicts, np.load(folder / "repeated.npy"))
        return taking.publish(files, folder / f"{index}.parquet", records.folder_of(left, run_date))

    rows = spark.sparkContext.parallelize(range(len(parts)), max(len(parts), 1)).map(taken).collect()
    published: dict[date, list[Path]] = {run_date: [] for run_date in run_dates}
    groups = []
    for index, (part, rows_of_file) in enumerate(zip(parts, rows, strict=True)):
        published[part.run_date].append(folder / f"{index}.parquet")
        told = {"run_date": part.run_date, "outcome": transforms.PUBLISHED, "rule": None, "warned": [0] * warn_rules}
        groups += [{**told, "source_file": name, "rows": count} for name, count in rows_of_file.items()]
    return Apart(published, groups, left)


def by_published_file(files: Sequence[Path], tasks: int) -> list[list[Path]]:
    """Files of records by the published file that they are for: one, or as many as keep so many tasks busy."""
    wanted = -(-sum(pq.read_metadata(file).num_rows for file in files) // outcomes.FILE_ROWS)
    if wanted > 1:
        wanted = -(-wanted // tasks) * tasks
    each = -(-len(files) // wanted) if wanted else 1
    return [list(files[first : first + each]) for first in range(0, len(files), each)]


def repeated(verdicts: Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The hashes that more than one record has, sorted."""
    files = [pq.ParquetFile(path) for path in verdicts.glob("*.parquet")]
    slices = -(-sum(file.metadata.num_rows for file in files) // HASHES_AT_ONCE)
    found = [np.array([], np.int64)]
    for number in range(slices):
        batches = (batch.column(0).to_numpy() for file in files for batch in file.iter_batches(columns=["_hash"]))
        some = np.concatenate([batch[batch % slices == number] if slices > 1 else batch for batch in batches])
        some.sort()
        found.append(np.unique(some[1:][some[1:] == some[:-1]]))
    return np.sort(np.concatenate(found))


class Taking:
    """What takes records apart, file by file."""

    def __init__(
        self, contract: Contract, submission: Submission, verdicts: Path, repeated: np.ndarray[Any, np.dtype[np.int64]]
    ) -> None:
        """Take apart records of this contract.

        :param verdicts: what was written of `transforms.certain`.
        :param repeated: the hashes of records that may be duplicates.
        """
        self._contract = contract
        self._submission = submission
        self._verdicts = verdicts
        self._repeated = pa.array(repeated)

    @cached_property
    def _schema(self) -> pa.Schema:
        """The columns of the public table."""
        return outcomes.table_schema(self._contract.published_columns)

    def publish(self, files: Sequence[Path], published: Path, left: Path) -> Counter[str]:
        """Write the certain records of files as one published file, and the others each into a file in `left`.

        :return: the rows published of each raw file.
        """
        rows: Counter[str] = Counter()
        with pq.ParquetWriter(published, self._schema, **outcomes.TABLE_OPTIONS) as writer:
            for path in files:
                with closing(records.KeptFiles(left, self._contract, path.stem)) as others:
                    for batch in pq.ParquetFile(path).iter_batches(outcomes.ROW_GROUP_ROWS):
                        verdict = self._verdict_of(batch)
                        taken = verdict["_certain"]
                        certain = self._published(batch, verdict, taken)
                        writer.write_batch(certain)
                        for counted in pc.value_counts(certain["source_file"]):
                            rows[counted["values"].as_py()] += counted["counts"].as_py()
                        others.add(batch.filter(pc.invert(taken)))
        return rows

    def _verdict_of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What was judged of these records, in their order, those that may be duplicates not certain.

        :raises AssertionError: it is not there for each of them.
        """
        wanted = batch["_record"]
        span = [("_record", ">=", wanted[0].as_py()), ("_record", "<=", wanted[-1].as_py())]
        found = pq.read_table(self._verdicts, filters=span).combine_chunks()
        if not found["_record"].combine_chunks().equals(wanted):
            # Spark reads a large file in parts.
            found = found.sort_by("_record").combine_chunks()
        if not found["_record"].combine_chunks().equals(wanted):
            raise AssertionError(f"of {len(wanted)} records from {wanted[0]} on, {found.num_rows} were judged")
        certain = pc.fill_null(found["_certain"], False)
        if "_hash" in found.column_names:
            certain = pc.and_not(certain, pc.is_in(found["_hash"], value_set=self._repeated))
        at = found.schema.get_field_index("_certain")
        return found.set_column(at, "_certain", certain).to_batches()[0]

    def _published(self, batch: pa.RecordBatch, verdict: pa.RecordBatch, taken: pa.Array) -> pa.RecordBatch:
        """Those of the records that are taken, in the columns of the public table."""
        held = records.held(self._contract)

        def column(field: pa.Field) -> pa.Array:
            if field.name == "run_id":
                return pa.repeat(str(self._submission), pc.sum(taken).as_py() or 0)
            given = batch[held[field.name]] if field.name in held else verdict[field.name]
            return given.filter(taken).cast(field.type)

        return pa.RecordBatch.from_arrays(list(map(column, self._schema)), schema=self._schema)
