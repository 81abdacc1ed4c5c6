"""Rows with an outcome, worked out once by Spark: Arrow counts them and writes the files of the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from contract.columns import QUARANTINE_COLUMNS, TableColumn
from contract.dataset import Contract
from pyarrow import acero
from pyspark.sql import DataFrame

from spark_jobs import transforms
from spark_jobs.plain_values import arrow_type

FILE_ROWS = 4_000_000
"""How many rows a file of a table has at most, about."""

ROW_GROUP_ROWS = 500_000
TABLE_OPTIONS = {"compression": "zstd", "store_schema": False, "store_decimal_as_integer": True}
"""How the files of tables are written: as Spark does it."""


def table_schema(columns: Sequence[TableColumn]) -> pa.Schema:
    """The columns of the files of a table."""
    return pa.schema([(column.name, arrow_type(column.type)) for column in columns])


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files that Arrow or Spark has written into a folder, in order."""
    return sorted(folder.glob("part-*.parquet"))


class Outcomes:
    """Rows in the columns of `transforms.outcomes`."""

    def __init__(self, rows: ds.Dataset, contract: Contract) -> None:
        self._rows = rows
        self._contract = contract

    @classmethod
    def of(cls, rows: DataFrame, contract: Contract, folder: Path | None = None) -> Outcomes:
        """Work out rows.

        :param rows: what `transforms.deduplicated` gives.
        :param folder: where to keep them, a local folder that is made; None keeps them in memory.
        """
        found = transforms.outcomes(rows, contract)
        if folder is None:
            return cls(ds.dataset(found.toArrow()), contract)
        found.write.parquet(folder.as_uri())
        return cls(ds.dataset(parquet_files(folder), format="parquet"), contract)

    def groups(self) -> list[dict[str, Any]]:
        """For each date, outcome, rule and source file `run_date, outcome, rule, source_file, rows`, and `warned`, how
        many of those rows break each rule of action `warn`, in the contract's order.
        """
        warned = [name for name in self._rows.schema.names if name.startswith("_warned_")]
        keys = ["run_date", "_outcome", "_rule", "source_file"]
        counts = [([], "hash_count_all", None, "rows"), *((name, "hash_sum", None, name) for name in warned)]
        scan = acero.ScanNodeOptions(self._rows, columns=[*keys, *warned])
        found = acero.Declaration.from_sequence(
            [acero.Declaration("scan", scan), acero.Declaration("aggregate", acero.AggregateNodeOptions(counts, keys))]
        ).to_table()
        return [
            {
                "run_date": group["run_date"],
                "outcome": group["_outcome"],
                "rule": group["_rule"],
                "source_file": group["source_file"],
                "rows": group["rows"],
                "warned": [group[name] for name in warned],
            }
            for group in found.to_pylist()
        ]

    def first_failed(self, run_date: date) -> dict[str, Any]:
        """Of the rows that refuse a date, the first one: `source_file, source_line, _place, _rule, _reason`."""
        order = "source_file", "source_line", "_place"
        its = (pc.field("run_date") == run_date) & (pc.field("_outcome") == transforms.FAILED)
        found = (
            row
            for batch in self._rows.to_batches(columns=[*order, "_rule", "_reason"], filter=its)
            if batch.num_rows
            for row in batch.sort_by([(name, "ascending") for name in order]).slice(0, 1).to_pylist()
        )
        return min(found, key=lambda row: [row[name] for name in order])

    def published(self, run_dates: Sequence[date], folder: Path) -> dict[date, list[Path]]:
        """Write the rows to publish of these dates into a new local folder, and tell each date's files: one at least,
        which may be empty.
        """
        columns = self._contract.published_columns
        files = self._written(transforms.PUBLISHED, columns, {c.name: pc.field(c.name) for c in columns}, folder)
        for run_date in run_dates:
            if run_date not in files:
                files[run_date] = [folder / f"{run_date}.parquet"]
                pq.write_table(table_schema(columns).empty_table(), *files[run_date], **TABLE_OPTIONS)
        return {run_date: files[run_date] for run_date in run_dates}

    def quarantined(self, folder: Path) -> dict[date, list[Path]]:
        """Write the bad rows into a new local folder, and tell the files of each date that has any."""
        internal = "raw_row", "rule", "reason"
        fields = {c.name: pc.field(f"_{c.name}" if c.name in internal else c.name) for c in QUARANTINE_COLUMNS}
        return self._written(transforms.QUARANTINED, QUARANTINE_COLUMNS, fields, folder)

    def _written(
        self, outcome: str, columns: Sequence[TableColumn], fields: dict[str, ds.Expression], folder: Path
    ) -> dict[date, list[Path]]:
        """Write the rows of an outcome by date."""
        folder.mkdir()
        fields = {column.name: fields[column.name].cast(arrow_type(column.type)) for column in columns}
        ds.write_dataset(
            self._rows.scanner(
                columns={**fields, "run_date": pc.field("run_date")}, filter=pc.field("_outcome") == outcome
            ),
            folder,
            format="parquet",
            file_options=ds.ParquetFileFormat().make_write_options(**TABLE_OPTIONS),
            partitioning=["run_date"],
            partitioning_flavor="hive",
            basename_template="part-{i}.parquet",
            preserve_order=True,
            max_rows_per_file=FILE_ROWS,
            max_rows_per_group=ROW_GROUP_ROWS,
            min_rows_per_group=ROW_GROUP_ROWS,
        )
        return {
            date.fromisoformat(path.name.removeprefix("run_date=")): parquet_files(path) for path in folder.iterdir()
        }
