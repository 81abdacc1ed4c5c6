"""What lies in the raw bucket for a date. Names, sizes and times only: Airflow may not read what was received."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from contract.files import is_raw_file


@dataclass
class Received:
    """What lies in a date's folder.

    Args:
        files: key and ETag of each raw file.
    """

    files: set[tuple[str, str]] = field(default_factory=set)

    def add(self, name: str, item: Mapping[str, Any]) -> None:
        """Add an object.

        Args:
            name: its key below the folder.
            item: it, as ListObjectsV2 describes it.
        """
        if is_raw_file(name, item["Size"]):
            self.files.add((item["Key"], item["ETag"].strip('"')))


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
