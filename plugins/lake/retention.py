"""What nobody needs any more of a dataset: folders that newer ones replaced, and snapshots of unpublished runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from contract.dataset import Contract
from contract.files import split_s3
from contract.submission import Submission

from lake.manifest import read_manifest
from lake.objects import delete_objects
from lake.paths import Paths
from lake.settings import Settings

DATE_OF_FOLDER = re.compile(r"/ds=(?P<ds>\d{4}-\d{2}-\d{2})/")
SNAPSHOT_TAGS = frozenset({"dataset", "ds", "run", "staged"})
"""Tags that every snapshot of `snapshot_raw` has: without them all, a snapshot is somebody else's."""


@dataclass
class Folder:
    """A folder of a date's files on S3, the table that may point at it, and when the newest file was written."""

    uri: str
    table: str
    ds: str
    newest: datetime
    keys: list[str] = field(default_factory=list)
    bytes: int = 0


@dataclass(frozen=True)
class Place:
    """Where folders of one kind lie, the table whose partitions point at those in use, and the record beside it."""

    prefix: str
    table: str
    record: str | None = None


@dataclass(frozen=True)
class Expired:
    """What retention may delete, the oldest first."""

    folders: tuple[Folder, ...]
    snapshots: tuple[str, ...]

    def first(self, limit: int) -> Expired:
        """The part of it that one run deletes: `limit` folders and snapshots at most, folders before snapshots."""
        folders = self.folders[:limit]
        return Expired(folders, self.snapshots[: limit - len(folders)])

    def __len__(self) -> int:
        return len(self.folders) + len(self.snapshots)


class Retention:
    """Find and delete what a dataset's contract does not keep any longer.

    A folder of a date goes when the catalog points at another one for that date, both it and the replacement are older
    than the contract's `retention.days`, and no record of the newest run names it. A date at which the catalog does not
    point at all keeps everything. A snapshot goes when it is as old, and its run is not published for any date. The
    buckets are versioned: what is deleted can be brought back for as long as they keep old versions.

    Args:
        s3: boto3 S3 client.
        glue: boto3 Glue client.
        ec2: boto3 EC2 client.
        settings: the stack's names.
        contract: the dataset.
        now: the time to count from.
    """

    def __init__(self, s3: Any, glue: Any, ec2: Any, *, settings: Settings, contract: Contract, now: datetime) -> None:
        self._s3, self._glue, self._ec2 = s3, glue, ec2
        self._settings, self._contract = settings, contract
        self._names = settings.names(contract.dataset)
        self._before = now - timedelta(days=contract.retention.days)

    def expired(self) -> Expired:
        """What may be deleted now."""
        folders = [folder for place in self._places() for folder in self._superseded(place)]
        return Expired(tuple(sorted(folders, key=lambda each: (each.newest, each.uri))), tuple(self._old_snapshots()))

    def delete(self, expired: Expired) -> None:
        """Delete what `expired` found, except what has come into use since then."""
        for folder in expired.folders:
            if self._in_use(folder):
                continue
            # Nobody may find a partition whose files are half gone.
            self._forget_run(folder)
            delete_objects(self._s3, split_s3(folder.uri)[0], folder.keys)
        for snapshot in expired.snapshots:
            self._ec2.delete_snapshot(SnapshotId=snapshot)

    # ------------------------------------------------------------------ folders

    def _places(self) -> Iterator[Place]:
        names, processed = self._names, self._settings.processed_bucket
        yield Place(f"s3://{processed}/{names.runs_table}/", names.table, "published")
        yield Place(f"s3://{processed}/{names.quarantine_table}/", names.quarantine_table, "quarantined")
        for mart in self._contract.marts:
            yield Place(f"s3://{self._settings.enriched_bucket}/{names.mart(mart.name)}", mart.name)

    def _superseded(self, place: Place) -> Iterator[Folder]:
        folders = self._folders(place)
        pointed = self._pointed(place.table)
        for uri, folder in folders.items():
            used = pointed.get(folder.ds)
            if used is None or uri == used or folder.newest >= self._before:
                continue
            replacement = folders.get(used)
            if replacement and replacement.newest >= self._before:
                continue
            if place.record is None or self._record_allows(folder, place.record):
                yield folder

    def _folders(self, place: Place) -> dict[str, Folder]:
        """Folders with files of a date, by URI."""
        bucket, prefix = split_s3(place.prefix)
        folders: dict[str, Folder] = {}
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                uri = f"s3://{bucket}/{entry['Key'].rpartition('/')[0]}/"
                if match := DATE_OF_FOLDER.search(uri):
                    folder = folders.setdefault(uri, Folder(uri, place.table, match["ds"], entry["LastModified"]))
                    folder.newest = max(folder.newest, entry["LastModified"])
                    folder.keys.append(entry["Key"])
                    folder.bytes += entry["Size"]
        return folders

    def _partitions(self, table: str) -> Iterable[dict[str, Any]]:
        pages = self._glue.get_paginator("get_partitions").paginate(
            DatabaseName=self._names.database, TableName=table, ExcludeColumnSchema=True
        )
        try:
            return [partition for page in pages for partition in page["Partitions"]]
        except self._glue.exceptions.EntityNotFoundException:
            return []

    def _pointed(self, table: str) -> dict[str, str]:
        """Folder that a table reads, by date."""
        return {partition["Values"][0]: _location(partition) for partition in self._partitions(table)}

    def _in_use(self, folder: Folder) -> bool:
        partition = self._glue.get_partition(
            DatabaseName=self._names.database, TableName=folder.table, PartitionValues=[folder.ds]
        )
        return _location(partition["Partition"]) == folder.uri

    def _record_allows(self, folder: Folder, name: str) -> bool:
        """Whether the record of the date's newest run is old enough, and names another folder."""
        uri = Paths(self._settings, self._contract, folder.ds, "").record(name)
        bucket, key = split_s3(uri)
        try:
            changed = self._s3.get_object(Bucket=bucket, Key=key)["LastModified"]
        except self._s3.exceptions.NoSuchKey:
            return False
        return bool(changed < self._before and read_manifest(self._s3, uri)["uri"] != folder.uri)

    def _forget_run(self, folder: Folder) -> None:
        """Take a promoted submission out of the table of all runs; what is in no table is fine."""
        prefix = f"s3://{self._settings.processed_bucket}/{self._names.runs_table}/"
        if not folder.uri.startswith(prefix):
            return
        try:
            self._glue.delete_partition(
                DatabaseName=self._names.database,
                TableName=self._names.runs_table,
                PartitionValues=[folder.ds, str(Submission.of_folder(folder.uri))],
            )
        except self._glue.exceptions.EntityNotFoundException:
            return

    # ---------------------------------------------------------------- snapshots

    def _old_snapshots(self) -> list[str]:
        published = {Submission.of_folder(uri).run for uri in self._pointed(self._names.table).values()}
        filters = [
            {"Name": "tag:lake", "Values": [self._settings.name]},
            {"Name": "tag:dataset", "Values": [self._contract.dataset]},
            {"Name": "status", "Values": ["completed", "error"]},
        ]
        pages = self._ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=filters)
        found = []
        for snapshot in (snapshot for page in pages for snapshot in page["Snapshots"]):
            tags = {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]}
            if tags.keys() >= SNAPSHOT_TAGS and tags["run"] not in published and snapshot["StartTime"] < self._before:
                found.append((snapshot["StartTime"], snapshot["SnapshotId"]))
        return [identifier for _, identifier in sorted(found)]


def _location(partition: dict[str, Any]) -> str:
    return str(partition["StorageDescriptor"]["Location"]).rstrip("/") + "/"
