"""Make the catalog of a dataset again from what lies on S3, when its Glue database was lost or changed by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from contract.dataset import Contract, Mart

from lake.catalog import PartitionedTable, crawl_everything, types_told
from lake.manifest import Record, read_manifest
from lake.parallel import in_parallel
from lake.pictures import picture, source_digest
from lake.published import Kind
from lake.settings import Settings
from lake.tables import create_current_view, mart_table, public_table, quarantine_table

TIMEOUT = 1800
PLACE = ("location", "parameters", "columns")
OF_DATE = re.compile(r"ds=(?P<ds>[^/]+)/(?P<kind>published|quarantined)\.json")


class CatalogRebuild:
    """Make the database, the tables, their partitions and the view of a dataset again.

    Each partition points where the records on S3 say, and has the columns that they tell. Where they are of an older
    lake and tell none, it has those that it has already, or else those that the crawler finds in the files of the run.
    A picture of a mart that does not fit its sources any longer is pointed at all the same: it is what readers saw, and
    the mart's next task computes it again. A catalog that is whole stays as it is.

    Args:
        settings: the stack's names.
        contract: the dataset.
        aws_conn_id: Airflow connection; None for the credentials of the environment. It takes more than Airflow's role:
            the rights to create the database and to update the crawler.
    """

    def __init__(self, settings: Settings, contract: Contract, aws_conn_id: str | None = None) -> None:
        self._settings, self._contract = settings, contract
        self._names = settings.names(contract.dataset)
        self._s3 = S3Hook(aws_conn_id=aws_conn_id).conn
        self._glue = GlueCatalogHook(aws_conn_id=aws_conn_id).conn
        self._athena = AthenaHook(aws_conn_id=aws_conn_id)

    def rebuild(self) -> dict[str, int]:
        """Make everything, and return how many partitions each table has been pointed at, by its name.

        Raises:
            AirflowException: when the crawl or the view fails.
        """
        self._make_database()
        records = self._records()
        if not records["published"]:
            return {}
        public = public_table(self._glue, self._settings, self._contract)
        self._register_runs(public, records["published"])
        made = {public.name: self._point(public, records["published"])}
        quarantine = quarantine_table(self._glue, self._settings, self._contract)
        made[quarantine.name] = self._point(quarantine, records["quarantined"])
        folders = {ds: place["location"] for ds, place in records["published"].items()}
        for mart in self._contract.marts:
            pictures = self._pictures(mart, folders)
            made[mart.name] = self._point(mart_table(self._glue, self._settings, self._contract, mart), pictures)
        if self._contract.has_current_view:
            create_current_view(self._athena, self._settings, self._contract, TIMEOUT)
        return made

    def _make_database(self) -> None:
        description = f"Tables of the dataset {self._contract.dataset}"
        try:
            self._glue.create_database(DatabaseInput={"Name": self._names.database, "Description": description})
        except self._glue.exceptions.AlreadyExistsException:
            return

    def _register_runs(self, public: PartitionedTable, places: Mapping[str, dict[str, Any]]) -> None:
        """Let the crawler look at every run there is, and take from it what nobody else tells of a place's columns."""
        crawl_everything(self._glue, self._names.crawler, TIMEOUT)
        runs = {
            partition["StorageDescriptor"]["Location"]: types_told(partition)
            for page in self._glue.get_paginator("get_partitions").paginate(
                DatabaseName=self._names.database, TableName=self._names.runs_table
            )
            for partition in page["Partitions"]
        }
        described = {partition["StorageDescriptor"]["Location"] for partition in public.partitions()}
        for place in places.values():
            if place["columns"] is None and place["location"] not in described:
                place["columns"] = runs.get(place["location"])

    def _point(self, table: PartitionedTable, places: Mapping[str, Mapping[str, Any]]) -> int:
        table.ensure()
        in_parallel(lambda ds: table.point(ds, **places[ds]), places)
        return len(places)

    def _records(self) -> dict[Kind, dict[str, dict[str, Any]]]:
        """Where the partition of each date lies and what it tells, by what the table is of."""
        prefix = self._names.records
        found = {key: match for key in self._keys(prefix) if (match := OF_DATE.fullmatch(key.removeprefix(prefix)))}
        places: dict[Kind, dict[str, dict[str, Any]]] = {"published": {}, "quarantined": {}}
        for match, record in zip(found.values(), self._read(found), strict=True):
            kind: Any = match["kind"]
            places[kind][match["ds"]] = {
                "location": record["uri"],
                "parameters": record["parameters"],
                "columns": record.get("columns"),
            }
        return places

    def _pictures(self, mart: Mart, folders: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Of each date the picture made last of those that fit the sources, or, where none does, of all."""
        chosen: dict[str, Record] = {}
        for made in self._read(self._keys(self._names.mart_records(mart.name))):
            for ds, digest in made["pictures"].items():
                fits = digest == source_digest(self._contract, mart, ds, folders)
                if fits or ds not in chosen or not chosen[ds]["fits"]:
                    chosen[ds] = {**picture(made, ds), "fits": fits}
        return {ds: {part: each[part] for part in PLACE} for ds, each in chosen.items()}

    def _keys(self, prefix: str) -> list[str]:
        """Keys in the artifacts bucket that begin with `prefix`, those written last at the end."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._settings.artifacts_bucket, Prefix=prefix
        )
        found = [(entry["LastModified"], entry["Key"]) for page in pages for entry in page.get("Contents", [])]
        return [key for _, key in sorted(found)]

    def _read(self, keys: Iterable[str]) -> list[Record]:
        return in_parallel(
            partial(read_manifest, self._s3), (f"s3://{self._settings.artifacts_bucket}/{key}" for key in keys)
        )
