"""What the pictures of a mart are made from: a digest that says whether one still fits, and records of those made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from contract.dataset import Contract, Mart
from contract.evolution import types_of, unreadable

from lake.catalog import PartitionedTable, types_told
from lake.manifest import write_manifest
from lake.settings import Settings
from lake.sql import Dates, dates_affected, dates_read, mart_select
from lake.turn import in_turn


def source_digest(contract: Contract, mart: Mart, ds: str, folders: Mapping[str, str]) -> str:
    """Return a digest of what a picture is made from: the SQL, and the source's folders of the dates in the scope.

    Args:
        contract: the dataset.
        mart: the mart.
        ds: date of the picture, `YYYY-MM-DD`.
        folders: folder by date of the dataset's public table.
    """
    digest = hashlib.sha256(mart_select(contract, mart, ds).encode())
    read = dates_read(mart.scope, ds)
    for date in sorted(folders):
        if date in read:
            digest.update(f"{date} {folders[date]}\n".encode())
    return digest.hexdigest()


def stale_pictures(
    contract: Contract, mart: Mart, source: PartitionedTable, target: PartitionedTable, dates: Sequence[str]
) -> dict[str, str]:
    """Return the pictures to compute: those of the dates, and later ones made from them, unless they fit the sources.

    And those of any date that the mart's columns cannot show: the SQL, which is in the digest, has them too.

    Args:
        contract: the dataset.
        mart: the mart.
        source: the dataset's public table.
        target: the mart's table.
        dates: dates of the dataset, `YYYY-MM-DD`; at least one.

    Returns:
        What each is to be made from, as digest by date, in the order of the dates.
    """
    affected = Dates(min(dates), dates_affected(mart.scope, max(dates)).last)
    found = (*target.partitions(affected.condition), *_hidden(mart, target))
    pictures: dict[str, str | None] = dict.fromkeys(dates)
    pictures |= {each["Values"][0]: each["Parameters"].get("source_digest") for each in found}
    return {ds: digest for ds, digest in _wanted(contract, mart, source, pictures).items() if digest != pictures[ds]}


def _wanted(contract: Contract, mart: Mart, source: PartitionedTable, dates: Iterable[str]) -> dict[str, str]:
    """What the pictures of some dates are to be made from as the sources are now, as digest by date, in order."""
    ordered = sorted(dates)
    read = Dates(dates_read(mart.scope, ordered[0]).first, ordered[-1])
    folders = {p["Values"][0]: p["StorageDescriptor"]["Location"] for p in source.partitions(read.condition)}
    return {ds: source_digest(contract, mart, ds, folders) for ds in ordered}


def hides_pictures(mart: Mart, target: PartitionedTable) -> bool:
    """Return whether a mart's table would show a picture no longer with the columns that the contract has now."""
    return any(True for _ in _hidden(mart, target))


def _hidden(mart: Mart, target: PartitionedTable) -> Iterator[dict[str, Any]]:
    """The partitions that the contract's columns cannot show; none once the table has those, as it got them last."""
    wanted = types_of(mart.columns)
    if not target.has_columns(wanted):
        yield from (each for each in target.partitions(with_columns=True) if unreadable(types_told(each), wanted))


def point_at_pictures(
    s3: Any,
    settings: Settings,
    contract: Contract,
    mart: Mart,
    source: PartitionedTable,
    target: PartitionedTable,
    made: Mapping[str, Any],
) -> None:
    """Record what a query has made, then point the mart's partitions there, except where it does not fit any more.

    Args:
        s3: boto3 S3 client.
        settings: the stack's names.
        contract: the dataset.
        mart: the mart.
        source: the dataset's public table.
        target: the mart's table.
        made: `{"folder": ..., "query_id": ..., "columns": {name: type}, "pictures": {ds: source digest}}`; the folder
            ends with a slash.
    """
    names, artifacts = settings.names(contract.dataset), f"s3://{settings.artifacts_bucket}"
    write_manifest(s3, f"{artifacts}/{names.mart_record(mart.name, made['query_id'])}", dict(made))
    with in_turn(s3, f"{artifacts}/{names.mart_turn(mart.name)}"):
        wanted = _wanted(contract, mart, source, made["pictures"])
        target.point_all({ds: picture(made, ds) for ds, digest in made["pictures"].items() if digest == wanted[ds]})


def picture(made: Mapping[str, Any], ds: str) -> dict[str, Any]:
    """Return where the picture of a date lies, its columns, and what its partition tells, from the record of the query.

    Records of older lakes tell no columns.
    """
    parameters = {"source_digest": made["pictures"][ds], "query_id": made["query_id"]}
    return {"location": f"{made['folder']}ds={ds}/", "parameters": parameters, "columns": made.get("columns")}
