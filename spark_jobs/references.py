"""What a dataset reads of others: their public partitions, as they stood on the run's date.

Airflow writes a JSON file `{dataset: {ds: folder}}` of the public tables' partitions. As of a date, a dataset that is
loaded by `append` has the rows of every date up to it, by `upsert` the latest version of each key among them, and by
`snapshot` the rows of the last of them. Nothing after the date counts, so that a date gives the same rows whenever it
is run, as long as the dates before it are the same.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from contract.dataset import Contract
from contract.references import counting, folders_digest
from pyspark.sql import DataFrame, SparkSession

from spark_jobs import job, storage, transforms
from spark_jobs.errors import NotReadyError


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

    def as_of(self, contract: Contract, run_date: date) -> dict[str, DataFrame]:
        """By name, the rows of every dataset that `contract` reads, as they stood on `run_date`.

        :raises NotReadyError: one of them has no partition up to that date.
        """
        return {
            dataset: self._rows(job.contract_of(dataset), contract, run_date) for dataset in contract.other_datasets
        }

    def made_from(self, contract: Contract, run_date: date) -> dict[str, str]:
        """By dataset that `contract` reads, a digest of the folders that `as_of` reads for that date."""
        return {
            dataset: folders_digest(self._counting(job.contract_of(dataset), run_date))
            for dataset in contract.other_datasets
        }

    def _counting(self, other: Contract, run_date: date) -> dict[str, str]:
        return counting(other.load_mode, self._partitions.get(other.dataset, {}), run_date.isoformat())

    def _rows(self, other: Contract, reader: Contract, run_date: date) -> DataFrame:
        dates = list(self._counting(other, run_date))
        if not dates:
            raise NotReadyError(
                f"{reader.dataset} reads {other.dataset}, which has no published date up to {run_date}: "
                f"run ingest_{other.dataset} for {run_date} first"
            )
        types = [(column.name, transforms.spark_type(column.type)) for column in other.published_columns]
        schema = ", ".join(f"`{name}` {type_name}" for name, type_name in (*types, ("ds", "string")))
        base = self._folder / other.dataset
        # Spark takes these as they stand: it would look for the "%3D" of a URI in the name itself.
        folders = [f"file://{self._copied(other.dataset, ds, base / f'ds={ds}')}" for ds in dates]
        rows = self._spark.read.schema(schema).option("basePath", f"file://{base}").parquet(*folders)
        return transforms.latest_versions(rows, other.key) if other.load_mode == "upsert" else rows

    def _copied(self, dataset: str, ds: str, folder: Path) -> Path:
        """The local folder of a partition, copied when it is not there yet.

        :raises OSError: the partition's folder is empty: the table has moved on since the list was written.
        """
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
