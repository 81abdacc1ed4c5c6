"""What counts for a date: the submission whose run looked at the raw files last, and what is published at the moment.

Which submission that is stands in a record on S3, one for what is published and one for what is quarantined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from airflow.sdk.exceptions import AirflowFailException
from contract.dataset import HISTORY_DATES, Contract
from contract.names import Names
from contract.references import counting, folders_digest
from contract.submission import Submission

from lake import turn
from lake.catalog import PartitionedTable
from lake.contracts import dataset_contract
from lake.manifest import Record, RecordError, parsed, read_manifest
from lake.paths import Paths
from lake.settings import Settings
from lake.sql import Dates
from lake.turn import in_turn

Kind = Literal["published", "quarantined"]
EARLIER = 20
"""How many submissions that counted before a record remembers."""
BESIDE = frozenset({turn.FIELD, "earlier"})
"""What a record holds beside the submission that counts."""


@dataclass(frozen=True)
class Published:
    """What is published for a date, and from what of other datasets it was made: digest by dataset."""

    submission: Submission
    made_from: dict[str, str]


def point_at_newest(
    s3: Any, paths: Paths, kind: Kind, table: PartitionedTable, run: Record
) -> tuple[Record, str | None]:
    """Point a table's partition at what the newest run of a date has made.

    Args:
        s3: boto3 S3 client.
        paths: where things of the date lie.
        kind: what the table is of.
        table: the table.
        run: what the caller has made: `ds`, `submission`, `uri` (the folder to point at), `listed` (when its run looked
            at the raw files, as ISO text), `parameters` (what to record with the partition), `columns` (type by
            column of the files there), and whatever else the record should hold.

    Returns:
        The newest run's record, and the folder that the partition pointed at before, or None for a new partition.
    """

    def newest(known: Record | None) -> Record:
        return run if known is None or known["listed"] <= run["listed"] else known

    return _decide(s3, paths.record(kind), table, newest)


def point_back(
    s3: Any, paths: Paths, kind: Kind, table: PartitionedTable, submission: Submission, decision: Record
) -> tuple[Record, str | None]:
    """Point a table's partition at a submission that counted before, whatever runs have looked at the raw files since.

    Args:
        s3: boto3 S3 client.
        paths: where things of the date lie.
        kind: what the table is of.
        table: the table.
        submission: one of `earlier_submissions`; nothing changes when it is not there any more.
        decision: what the record says of it: `listed`, when that was decided, as ISO text (only a run that looks at
            the raw files later counts again), and whatever else it should hold.

    Returns:
        The record, and the folder that the partition pointed at before.
    """

    def back(known: Record | None) -> Record:
        if known is None:
            raise RecordError(f"{paths.record(kind)} is gone")
        chosen = earlier_submissions(known).get(submission)
        return {**chosen, **decision} if chosen else known

    return _decide(s3, paths.record(kind), table, back)


def earlier_submissions(record: Record) -> dict[Submission, Record]:
    """Return what counted before the submission of a record, the latest first."""
    return {Submission.told(each): each for each in record.get("earlier", [])}


def _decide(
    s3: Any, uri: str, table: PartitionedTable, choose: Callable[[Record | None], Record]
) -> tuple[Record, str | None]:
    """Change what counts for a date, and point the partition there, in one turn."""
    with in_turn(s3, uri, lambda known: _remembering(known, choose(known))) as record:
        # Records of older lakes tell no columns.
        replaced = table.point(record["ds"], record["uri"], record["parameters"], record.get("columns"))
    return record, replaced


def _remembering(known: Record | None, chosen: Record) -> Record:
    """The record of what was chosen, with what counted before it."""
    counted = [] if known is None else [known, *known.get("earlier", [])]
    others = (each for each in counted if Submission.told(each) != Submission.told(chosen))
    earlier = [{name: value for name, value in each.items() if name not in BESIDE} for each in others]
    return {**chosen, "earlier": earlier[:EARLIER]}


def promoted_runs(s3: Any, dates: Sequence[Paths]) -> list[Record]:
    """Return what a run has promoted, by the manifest of each of its dates.

    Raises:
        AirflowFailException: when one does not tell the columns of its files.
    """
    promoted = [read_manifest(s3, paths.manifest("promote")) for paths in dates]
    for paths, run in zip(dates, promoted, strict=True):
        if "columns" not in run:
            raise AirflowFailException(
                f"{paths.manifest('promote')} does not tell the columns of the files: it was written by an earlier "
                "version. Clear from stage_raw"
            )
    return promoted


def _partitions(glue: Any, names: Names, expression: str) -> list[dict[str, Any]]:
    """Partitions of a dataset's public table that match a Glue expression; none while there is no table yet."""
    pages = glue.get_paginator("get_partitions").paginate(
        DatabaseName=names.database, TableName=names.table, Expression=expression, ExcludeColumnSchema=True
    )
    try:
        return [partition for page in pages for partition in page["Partitions"]]
    except glue.exceptions.EntityNotFoundException:
        return []


def folders_of_other_datasets(glue: Any, settings: Settings, contract: Contract, ds: str) -> dict[str, dict[str, str]]:
    """Return where the rows are that a dataset's references and lookups read.

    Args:
        glue: boto3 Glue client.
        settings: the stack's names.
        contract: the dataset that reads.
        ds: date as of which it does, `YYYY-MM-DD`; nothing later is returned.

    Returns:
        `{dataset: {ds: s3 folder}}` with every dataset that the contract names.
    """
    return {
        dataset: {
            partition["Values"][0]: partition["StorageDescriptor"]["Location"]
            for partition in _partitions(glue, settings.names(dataset), f"ds <= '{ds}'")
        }
        for dataset in contract.other_datasets
    }


def published_dates(glue: Any, names: Names, start: str, end: str) -> dict[str, Published]:
    """Return what is published for each of many dates that has something.

    Args:
        glue: boto3 Glue client.
        names: what everything of the dataset is called.
        start: first date, `YYYY-MM-DD`.
        end: last date.

    Returns:
        It by date.
    """
    return {
        partition["Values"][0]: Published(
            Submission.told(partition["Parameters"]), parsed(partition["Parameters"].get("made_from", "{}"))
        )
        for partition in _partitions(glue, names, Dates(start, end).condition)
    }


def made_now(contract: Contract, folders: Mapping[str, Mapping[str, str]], ds: str) -> dict[str, str]:
    """Return from what of other datasets a date would be made now: by dataset, a digest of what counts as of the date.

    Args:
        contract: the dataset that reads.
        folders: folder by date by dataset, as of `folders_of_other_datasets`; later dates do not matter.
        ds: the date, `YYYY-MM-DD`.
    """
    return {
        dataset: folders_digest(counting(dataset_contract(dataset).load_mode, folders[dataset], ds))
        for dataset in contract.other_datasets
    }


def is_published(glue: Any, names: Names, ds: str) -> bool:
    """Return whether a date of a dataset is published.

    Args:
        glue: boto3 Glue client.
        names: what everything of the dataset is called.
        ds: the date, `YYYY-MM-DD`.
    """
    return bool(_partitions(glue, names, f"ds = '{ds}'"))


def published_rows(glue: Any, names: Names, ds: str) -> list[dict[str, Any]]:
    """Return how many rows each published date before a date has, and what else `validate` measured of them.

    Args:
        glue: boto3 Glue client.
        names: what everything of the dataset is called.
        ds: the date, `YYYY-MM-DD`.

    Returns:
        `{"ds": ..., "rows": ..., "mean_<column>": ..., ...}` of each, in order.
    """
    published = {
        partition["Values"][0]: partition["Parameters"] for partition in _partitions(glue, names, f"ds < '{ds}'")
    }
    return [
        {"ds": date, "rows": int(told["numRows"]), **parsed(told.get("profile", "{}"))}
        for date, told in sorted(published.items())
    ]


def rows_before(glue: Any, names: Names, ds: str) -> list[dict[str, Any]]:
    """Return the last `HISTORY_DATES` of `published_rows`, to judge whether a date's own number is plausible."""
    return published_rows(glue, names, ds)[-HISTORY_DATES:]
