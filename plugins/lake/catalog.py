"""Tables and partitions in the Glue Data Catalog."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowException
from contract.columns import TableColumn

POLL_SECONDS = 1
DESCRIPTION_LENGTH = 2048
TABLE_INPUT = ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
"""What a table of the lake consists of, beside its description, as UpdateTable takes it."""
PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}


class PartitionedTable:
    """An external Parquet table partitioned by `ds` (string), whose partitions are pointers to folders.

    Pointing a partition at another folder is one Glue call: readers see the old files or the new ones, never both.

    Args:
        glue: boto3 Glue client.
        database: Glue database.
        name: table.
        columns: columns without the partition.
        location: folder of the table; new partitions need not lie in it.
        description: comment of the table.
    """

    def __init__(
        self, glue: Any, *, database: str, name: str, columns: Sequence[TableColumn], location: str, description: str
    ) -> None:
        self._glue = glue
        self.database, self.name = database, name
        self._columns = [{"Name": c.name, "Type": c.type, "Comment": c.description[:255]} for c in columns]
        self.location, self._description = location, description

    def exists(self) -> bool:
        """Whether the table is in the catalog."""
        try:
            self._glue.get_table(DatabaseName=self.database, Name=self.name)
        except self._glue.exceptions.EntityNotFoundException:
            return False
        return True

    def ensure(self) -> None:
        """Create the table, or bring its columns and description up to date when the contract has changed."""
        definition = {
            "Name": self.name,
            "Description": self._description[:DESCRIPTION_LENGTH],
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
            "PartitionKeys": [{"Name": "ds", "Type": "string", "Comment": "date of the run, YYYY-MM-DD"}],
            "StorageDescriptor": self._storage(self.location),
        }
        try:
            self._glue.create_table(DatabaseName=self.database, TableInput=definition)
        except self._glue.exceptions.AlreadyExistsException:
            table = self._glue.get_table(DatabaseName=self.database, Name=self.name)["Table"]
            described = table.get("Description") == definition["Description"]
            if not described or _columns(table["StorageDescriptor"]["Columns"]) != _columns(self._columns):
                self._glue.update_table(DatabaseName=self.database, TableInput=definition)

    def point(self, ds: str, location: str, parameters: dict[str, str]) -> str | None:
        """Make `location` what the partition `ds` reads.

        Args:
            ds: date, `YYYY-MM-DD`.
            location: folder of Parquet files.
            parameters: what to record with the partition.

        Returns:
            The folder that it pointed at before, or None for a new partition.
        """
        partition = {"Values": [ds], "StorageDescriptor": self._storage(location), "Parameters": parameters}
        key = {"DatabaseName": self.database, "TableName": self.name}
        try:
            self._glue.create_partition(**key, PartitionInput=partition)
        except self._glue.exceptions.AlreadyExistsException:
            before = self._glue.get_partition(**key, PartitionValues=[ds])["Partition"]
            self._glue.update_partition(**key, PartitionValueList=[ds], PartitionInput=partition)
            return str(before["StorageDescriptor"]["Location"])
        return None

    def partitions(self, expression: str) -> Iterator[dict[str, Any]]:
        """Yield the partitions that match a Glue expression such as `ds <= '2025-06-30'`, as Glue describes them."""
        pages = self._glue.get_paginator("get_partitions").paginate(
            DatabaseName=self.database, TableName=self.name, Expression=expression, ExcludeColumnSchema=True
        )
        for page in pages:
            yield from page["Partitions"]

    def _storage(self, location: str) -> dict[str, Any]:
        return {**PARQUET, "Columns": self._columns, "Location": location}


def _columns(columns: Sequence[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(column["Name"], column["Type"], column.get("Comment", "")) for column in columns]


def warn_of_table(glue: Any, database: str, name: str, warning: str) -> None:
    """Put a warning in front of a table's description, once, where whoever browses the catalog reads it.

    Args:
        glue: boto3 Glue client.
        database: Glue database.
        name: table.
        warning: the text, with what separates it from the description.
    """
    table = glue.get_table(DatabaseName=database, Name=name)["Table"]
    description = table.get("Description", "")
    if not description.startswith(warning):
        kept = {key: table[key] for key in TABLE_INPUT if key in table}
        glue.update_table(
            DatabaseName=database, TableInput={**kept, "Description": f"{warning}{description}"[:DESCRIPTION_LENGTH]}
        )


def describe_difference(found: Sequence[dict[str, Any]], expected: Sequence[TableColumn]) -> list[str]:
    """Compare a table's columns with the contract's.

    Args:
        found: columns as Glue describes them (`Name`, `Type`).
        expected: columns of the contract; order does not matter to Parquet readers.

    Returns:
        One readable sentence per difference; empty when they agree.
    """
    types = {column["Name"]: column["Type"] for column in found}
    wanted = {column.name: column.type for column in expected}
    return (
        [f"column {name} ({wanted[name]}) is missing" for name in wanted if name not in types]
        + [f"column {name} ({types[name]}) is not in the contract" for name in types if name not in wanted]
        + [
            f"column {name} is {types[name]}, the contract says {wanted[name]}"
            for name in wanted
            if name in types and types[name] != wanted[name]
        ]
    )


def crawl_begins(glue: Any, crawler: str) -> bool:
    """Start a crawl, unless one is running: that may have begun before a folder existed, and is to be waited for.

    Args:
        glue: boto3 Glue client.
        crawler: its name.

    Returns:
        Whether it was started now.
    """
    try:
        glue.start_crawler(Name=crawler)
    except glue.exceptions.CrawlerRunningException:
        return False
    return True


def crawl_has_ended(glue: Any, crawler: str) -> bool:
    """Return whether a crawl that was started is over.

    Args:
        glue: boto3 Glue client.
        crawler: its name.

    Raises:
        AirflowException: when it failed.
    """
    found = glue.get_crawler(Name=crawler)["Crawler"]
    if found["State"] != "READY":
        return False
    last = found["LastCrawl"]
    if last["Status"] != "SUCCEEDED":
        raise AirflowException(f"crawler {crawler} {last['Status']}: {last.get('ErrorMessage', '')}")
    return True


def crawl(glue: Any, crawler: str, timeout: float) -> None:
    """Run a crawl that begins now, and wait for it in place.

    Args:
        glue: boto3 Glue client.
        crawler: its name.
        timeout: bound of all waiting, in seconds.

    Raises:
        AirflowException: when the crawl failed, or has not ended in time.
    """
    deadline = time.monotonic() + timeout
    for step in (crawl_begins, crawl_has_ended):
        while not step(glue, crawler):
            if time.monotonic() > deadline:
                raise AirflowException(f"crawler {crawler} is still running after {timeout:.0f} s")
            time.sleep(POLL_SECONDS)
