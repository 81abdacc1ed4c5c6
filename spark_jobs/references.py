"""What a dataset reads of others: their public partitions, as they stood on the run's date.

Airflow writes a JSON file `{dataset: {ds: folder}}` of the public tables' partitions. As of a date, a dataset that is
loaded by `append` has the rows of every date up to it, by `upsert` the latest version of each key among them, and by
`snapshot` the rows of the last of them. Nothing after the date counts, so that a date gives the same rows whenever it
is run, as long as the dates before it are the same.

A date that was published by an earlier version of its contract is read by the types of its own files, and then seen as
Athena sees it: null where it has no such column, and as the contract's type where that holds its own. Spark, told
another type than a file has, may read another value without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import reduce
from pathlib import Path

import pyarrow as pa
from contract.columns import TableColumn
from contract.dataset import Contract
from contract.evolution import Types, types_of, unreadable
from contract.references import counting, folders_digest
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs import footers, job, storage, transforms
from spark_jobs.errors import DataError, NotReadyError


class OtherDatasets:
    """Other datasets for one Spark session, each partition copied to this machine once."""

    def __init__(self, spark: SparkSession, partitions: dict[str, dict[str, str]], folder: Path) -> None:
        """Read from `partitions`, the URI of a folder by dataset and ds, by way of the local `folder`.

        :raises ValueError: a ds is no date.
        """
        for ds in (ds for found in partitions.values() for ds in found):
            date.fromisoformat(ds)
        self._spark = spark
        self._partitions = partitions
        self._folder = folder

    def check(self, contract: Contract, run_date: date) -> int:
        """Copy what a date needs of every dataset that `contract` reads.

        :return: how many bytes that are.
        :raises NotReadyError: one of them has no partition up to that date.
        :raises DataError: a partition has a column of a type that its contract's does not hold.
        :raises OSError: a partition's folder is empty: the table has moved on since the list was written.
        """
        total = 0
        for other in map(job.contract_of, contract.other_datasets):
            dates = self._counting(other, run_date)
            if not dates:
                raise NotReadyError(
                    f"{contract.dataset} reads {other.dataset}, which has no published date up to {run_date}: "
                    f"run ingest_{other.dataset} for {run_date} first"
                )
            for ds in dates:
                folder = self._copied(other.dataset, ds)
                self._types(other, folder)
                total += sum(file.stat().st_size for file in folder.iterdir())
        return total

    def as_of(self, contract: Contract, run_dates: Sequence[date]) -> dict[str, DataFrame]:
        """By name, the rows of every dataset that `contract` reads, as they stood on each of some dates.

        :param run_dates: dates that `check` has found good.
        :return: frames with the columns of their datasets, `ds`, and `run_date`, the date as of which a row counts.
        """
        return {dataset: self._rows(job.contract_of(dataset), run_dates) for dataset in contract.other_datasets}

    def made_from(self, contract: Contract, run_date: date) -> dict[str, str]:
        """By dataset that `contract` reads, a digest of the folders that `as_of` reads for that date."""
        return {
            dataset: folders_digest(self._counting(job.contract_of(dataset), run_date))
            for dataset in contract.other_datasets
        }

    def _counting(self, other: Contract, run_date: date) -> dict[str, str]:
        return counting(other.load_mode, self._partitions.get(other.dataset, {}), run_date.isoformat())

    def _rows(self, other: Contract, run_dates: Sequence[date]) -> DataFrame:
        counts = [(ds, run_date) for run_date in run_dates for ds in self._counting(other, run_date)]
        by_types: dict[tuple[tuple[str, str], ...], list[Path]] = {}
        for ds in dict.fromkeys(ds for ds, _ in counts):
            folder = self._copied(other.dataset, ds)
            by_types.setdefault(tuple(self._types(other, folder).items()), []).append(folder)
        parts = [self._read(other, dict(types), folders) for types, folders in by_types.items()]
        of_dates = pa.table(
            list(zip(*counts, strict=True)), pa.schema([("ds", pa.string()), ("run_date", pa.date32())])
        )
        rows = reduce(DataFrame.unionAll, parts).join(F.broadcast(self._spark.createDataFrame(of_dates)), "ds")
        return transforms.latest_versions(rows, ("run_date", *other.key)) if other.load_mode == "upsert" else rows

    def _types(self, other: Contract, folder: Path) -> Types:
        """The type of each column of a partition; all its files have the same, or it would not have been published.

        :raises DataError: one of another type than the contract's can hold.
        """
        types = footers.types_in(min(folder.iterdir()))
        wanted = types_of(other.published_columns)
        if names := unreadable(types, wanted):
            told = ", ".join(f"column {name} is {types[name]}, not {wanted[name]}" for name in names)
            raise DataError(f"{other.dataset} {folder.name}: {told}: reprocess_{other.dataset} for that date first")
        return types

    def _read(self, other: Contract, types: Types, folders: Sequence[Path]) -> DataFrame:
        """Partitions whose files have the same types, with the contract's columns and `ds`."""

        def seen(column: TableColumn) -> Column:
            value = F.col(column.name) if column.name in types else F.lit(None)
            return value.cast(transforms.spark_type(column.type)).alias(column.name)

        found = [column for column in other.published_columns if column.name in types]
        stored = [*((column.name, transforms.spark_type(types[column.name])) for column in found), ("ds", "string")]
        schema = ", ".join(f"`{name}` {type_name}" for name, type_name in stored)
        # Spark takes these as they stand: it would look for the "%3D" of a URI in the name itself.
        files = self._spark.read.schema(schema).option("basePath", f"file://{self._folder / other.dataset}")
        rows = files.parquet(*(f"file://{folder}" for folder in folders))
        return rows.select(*map(seen, other.published_columns), "ds")

    def _copied(self, dataset: str, ds: str) -> Path:
        """The local folder of a partition, copied when it is not there yet.

        :raises OSError: the partition's folder is empty: the table has moved on since the list was written.
        """
        folder = self._folder / dataset / f"ds={ds}"
        if not folder.is_dir():
            source = self._partitions[dataset][ds]
            files = storage.list_files(source)
            if not files:
                raise OSError(f"there is no file of {dataset} in {source}")
            partial = folder.with_name(f"_{folder.name}")
            for file in files:
                storage.fetch(file.uri, partial / file.name)
            partial.rename(folder)
        return folder
