"""What lies in the raw bucket for a date, and whether it is all. By names and times: Airflow may not read raw files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from contract.dataset import Complete
from contract.files import is_raw_file


@dataclass
class Received:
    """What lies in a date's folder.

    Args:
        files: key and ETag of each raw file.
        others: names of what staging ignores.
        newest: when the last of the raw files came; None without one.
    """

    files: set[tuple[str, str]] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    newest: datetime | None = None

    def add(self, name: str, item: Mapping[str, Any]) -> None:
        """Add an object.

        Args:
            name: its key below the folder.
            item: it, as ListObjectsV2 describes it.
        """
        if is_raw_file(name, item["Size"]):
            self.files.add((item["Key"], item["ETag"].strip('"')))
            self.newest = max(self.newest or item["LastModified"], item["LastModified"])
        else:
            self.others.add(name)

    def lacks(self, complete: Complete | None, now: datetime) -> str | None:
        """Return what is missing for the date to be read, in words, or None when it is complete.

        Args:
            complete: what the contract says of that; None when one file is enough.
            now: the time, with its zone.
        """
        if self.newest is None:
            return "there is no file to load"
        if complete is None:
            return None
        if complete.marker and complete.marker not in self.others:
            return f"the marker {complete.marker} is missing"
        if complete.files and len(self.files) < complete.files:
            return f"only {len(self.files)} of at least {complete.files} files are there"
        if complete.settled_minutes and now - self.newest < timedelta(minutes=complete.settled_minutes):
            return f"no {complete.settled_minutes} min have passed since the last file, of {self.newest:%H:%M:%S} UTC"
        return None


def received(folder: str, items: Iterable[Mapping[str, Any]]) -> Received:
    """Return what lies in a date's folder.

    Args:
        folder: key of the folder, which ends with a slash.
        items: the objects in it, as ListObjectsV2 describes them.
    """
    found = Received()
    for item in items:
        found.add(item["Key"].removeprefix(folder), item)
    return found


def received_by_date(s3: Any, bucket: str, dataset: str, start: str, end: str) -> dict[str, Received]:
    """Return what lies in the folder of each date that has one.

    Args:
        s3: boto3 S3 client.
        bucket: the raw bucket.
        dataset: the dataset.
        start: first date, `YYYY-MM-DD`.
        end: last date.
    """
    folder = f"{dataset}/ds="
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder, StartAfter=f"{folder}{start}")
    found: dict[str, Received] = {}
    for page in pages:
        for item in page.get("Contents", []):
            ds, _, name = item["Key"].removeprefix(folder).partition("/")
            if ds > end:
                return found
            found.setdefault(ds, Received()).add(name, item)
    return found
