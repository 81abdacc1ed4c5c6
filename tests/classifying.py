"""Raw files of a folder as the rows that `clean` makes of them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from contract.dataset import Contract
from contract.submission import Submission
from pyspark.sql import DataFrame, SparkSession

from spark_jobs import records, storage, transforms

SUBMISSION = Submission("run", "00000001")


def records_of(
    spark: SparkSession, folder: Path, contract: Contract, run_date: date
) -> tuple[DataFrame, list[records.Read]]:
    """The records of all files, and what was read of each."""
    tasks = records.tasks(storage.list_files(folder.as_uri()), contract)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent))
    read = records.read(spark, {run_date: tasks}, contract, None, scratch)
    return records.kept(spark, contract, scratch, [run_date]), read[run_date]


def rows_of(
    spark: SparkSession,
    folder: Path,
    contract: Contract,
    run_date: date,
    others: Mapping[str, DataFrame] | None = None,
) -> DataFrame:
    """The rows of all files, with their outcomes."""
    return outcomes_of(records_of(spark, folder, contract, run_date)[0], contract, others)


def outcomes_of(found: DataFrame, contract: Contract, others: Mapping[str, DataFrame] | None = None) -> DataFrame:
    """Records as rows with their outcomes."""
    rows = transforms.read(found, contract)
    return transforms.deduplicated(transforms.classified(rows, contract, SUBMISSION, others or {}), contract)
