"""Tables and partitions in the Glue Data Catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from airflow.sdk.exceptions import AirflowException
from contract.columns import TableColumn
from contract.evolution import Types

POLL_SECONDS = 1
PARTITIONS_PER_CALL = 100
"""The most that Glue's batches of partitions take."""
DESCRIPTION_LENGTH = 2048
TABLE_INPUT = ("Name", "Description", "Owner", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
"""What GetTable tells of a table that UpdateTable takes."""
PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
Recrawl = Literal["CRAWL_EVERYTHING", "CRAWL_NEW_FOLDERS_ONLY"]


class PartitionedTable:
    """An external Parquet table partitioned by `ds` (string), whose partitions are pointers to folders.

    Pointing a partition at another folder is one Glue call: readers see the old files or the new ones, never both. A
    partition is described by the columns of its own files, which the table's need not be.

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

    def has_columns(self, types: Types) -> bool:
        """Whether the table is there, with these columns and no others."""
        try:
            return types_told(self._glue.get_table(DatabaseName=self.database, Name=self.name)["Table"]) == types
        except self._glue.exceptions.EntityNotFoundException:
            return False

    def point(self, ds: str, location: str, parameters: dict[str, str], columns: Types | None = None) -> str | None:
        """Make `location` what the partition `ds` reads.

        Args:
            ds: date, `YYYY-MM-DD`.
            location: folder of Parquet files.
            parameters: what to record with the partition.
            columns: type by column of the files there. None where no record tells: a partition that points there
                already keeps what it says of them, another gets the table's.

        Returns:
            The folder that it pointed at before, or None for a new partition.
        """
        partition = self._partition(ds, location, parameters, columns)
        key = {"DatabaseName": self.database, "TableName": self.name}
        try:
            self._glue.create_partition(**key, PartitionInput=partition)
        except self._glue.exceptions.AlreadyExistsException:
            before = self._glue.get_partition(**key, PartitionValues=[ds])["Partition"]["StorageDescriptor"]
            if columns is None and before["Location"] == location:
                partition["StorageDescriptor"]["Columns"] = before["Columns"]
            self._glue.update_partition(**key, PartitionValueList=[ds], PartitionInput=partition)
            return str(before["Location"])
        return None

    def point_all(self, places: Mapping[str, Mapping[str, Any]]) -> None:
        """Point many partitions at folders, with two calls for a hundred of them; each changes by itself.

        Args:
            places: what `point` takes, by date; the columns must be known.

        Raises:
            AirflowException: when Glue refuses one; others may read their new folders.
        """
        key = {"DatabaseName": self.database, "TableName": self.name}
        partitions = [self._partition(ds, **place) for ds, place in places.items()]
        for start in range(0, len(partitions), PARTITIONS_PER_CALL):
            some = partitions[start : start + PARTITIONS_PER_CALL]
            refused = self._glue.batch_create_partition(**key, PartitionInputList=some).get("Errors", [])
            known = [each["PartitionValues"] for each in refused if _error(each) == "AlreadyExistsException"]
            failed = [each for each in refused if each["PartitionValues"] not in known]
            entries = [
                {"PartitionValueList": one["Values"], "PartitionInput": one} for one in some if one["Values"] in known
            ]
            if entries:
                failed += self._glue.batch_update_partition(**key, Entries=entries).get("Errors", [])
            if failed:
                raise AirflowException(f"Glue refuses partitions of {self.name}: {failed}")

    def partitions(self, expression: str = "", *, with_columns: bool = False) -> Iterator[dict[str, Any]]:
        """Yield partitions as Glue describes them; none while there is no table.

        Args:
            expression: a Glue expression such as `ds <= '2025-06-30'`, or nothing for all.
            with_columns: whether they tell their columns, which makes for much longer answers.
        """
        chosen = {"Expression": expression} if expression else {}
        pages = self._glue.get_paginator("get_partitions").paginate(
            DatabaseName=self.database, TableName=self.name, ExcludeColumnSchema=not with_columns, **chosen
        )
        try:
            for page in pages:
                yield from page["Partitions"]
        except self._glue.exceptions.EntityNotFoundException:
            return

    def _partition(self, ds: str, location: str, parameters: dict[str, str], columns: Types | None) -> dict[str, Any]:
        storage = self._storage(location)
        if columns is not None:
            storage["Columns"] = _described(columns)
        return {"Values": [ds], "StorageDescriptor": storage, "Parameters": parameters}

    def _storage(self, location: str) -> dict[str, Any]:
        return {**PARQUET, "Columns": self._columns, "Location": location}


def types_told(described: Mapping[str, Any]) -> dict[str, str]:
    """Return the type of each column that a table or partition has, by name, as Glue describes it."""
    return {column["Name"]: column["Type"] for column in described["StorageDescriptor"]["Columns"]}


def _error(refused: Mapping[str, Any]) -> str:
    """The code with which Glue refuses a part of a batch."""
    return str(refused["ErrorDetail"]["ErrorCode"])


def _described(types: Types) -> list[dict[str, str]]:
    return [{"Name": name, "Type": type_name} for name, type_name in types.items()]


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
        _change_table(glue, database, table, {"Description": f"{warning}{description}"[:DESCRIPTION_LENGTH]})


def set_columns(glue: Any, database: str, name: str, types: Types) -> None:
    """Give a table that is not ours, such as a crawler's, these columns; one that is not there yet gets none.

    Args:
        glue: boto3 Glue client.
        database: Glue database.
        name: table.
        types: type by column, in order.
    """
    try:
        table = glue.get_table(DatabaseName=database, Name=name)["Table"]
    except glue.exceptions.EntityNotFoundException:
        return
    if list(types_told(table).items()) == list(types.items()):
        return
    storage = {**table["StorageDescriptor"], "Columns": _described(types)}
    _change_table(glue, database, table, {"StorageDescriptor": storage})


def _change_table(glue: Any, database: str, table: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Update a table that GetTable has told of; what is not changed stays."""
    kept = {part: table[part] for part in TABLE_INPUT if table.get(part)}
    glue.update_table(DatabaseName=database, TableInput={**kept, **changes})


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
        timeout: bound of the wait for another's crawl, and of that for our own, in seconds.

    Raises:
        AirflowException: when the crawl failed, or has not ended in time.
    """
    for step in (crawl_begins, crawl_has_ended):
        _until(partial(step, glue, crawler), crawler, timeout)


def crawl_everything(glue: Any, crawler: str, timeout: float) -> None:
    """Run one crawl that looks at all folders again, of a crawler that otherwise looks at new ones only.

    What such a crawler has seen once it does not register again, as where its table was deleted:
    https://docs.aws.amazon.com/glue/latest/dg/incremental-crawls.html. It takes the right to update the crawler.

    Args:
        glue: boto3 Glue client.
        crawler: its name.
        timeout: bound of waiting for each step, in seconds.

    Raises:
        AirflowException: when the crawl failed, or has not ended in time.
    """

    def looks_at(behavior: Recrawl) -> bool:
        try:
            glue.update_crawler(Name=crawler, RecrawlPolicy={"RecrawlBehavior": behavior})
        except glue.exceptions.CrawlerRunningException:
            return False
        return True

    _until(lambda: looks_at("CRAWL_EVERYTHING"), crawler, timeout)
    try:
        crawl(glue, crawler, timeout)
    finally:
        _until(lambda: looks_at("CRAWL_NEW_FOLDERS_ONLY"), crawler, timeout)


def _until(done: Callable[[], bool], crawler: str, timeout: float) -> None:
    """Try what a crawler that runs keeps from being done, until it is."""
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() > deadline:
            raise AirflowException(f"crawler {crawler} is still running after {timeout:.0f} s")
        time.sleep(POLL_SECONDS)
