"""Of several runs of one date, that counts which looked at the raw files last, whichever of them ends first."""

from __future__ import annotations

from typing import Any

from lake.catalog import PartitionedTable
from lake.manifest import read_manifest
from lake.record import Record, change_record


def point_at_newest(s3: Any, record: str, table: PartitionedTable, run: Record) -> tuple[Record, str | None]:
    """Point a table's partition at what the newest run of a date has made.

    Which run that is stands in a record on S3, changed by compare-and-swap. Every run first sees to the record, then
    points the partition at what the record says, and looks at it once more: whatever the order in which two runs do
    so, the partition ends where the record says.

    Args:
        s3: boto3 S3 client.
        record: URI of the record of this table and date.
        table: the table.
        run: the caller's run: `ds`, `uri` (the folder to point at), `listed` (when it looked at the raw files, as ISO
            text), `parameters` (what to record with the partition), and whatever else the record should hold.

    Returns:
        The newest run's record, and the folder that the partition pointed at before, or None for a new partition.
    """

    def newest(known: Record | None) -> Record | None:
        return run if known is None or known["listed"] <= run["listed"] else None

    change_record(s3, record, newest)
    replaced: str | None = None
    pointed: Record = {}
    while (now := read_manifest(s3, record)) != pointed:
        pointed = now
        before = table.point(pointed["ds"], pointed["uri"], pointed["parameters"])
        replaced = replaced or before
    return pointed, replaced
