"""What is published at the moment, as far as a run on a date needs to know it."""

from __future__ import annotations

from typing import Any

from contract.dataset import Contract
from contract.names import Names

from lake.manifest import parsed
from lake.settings import Settings
from lake.sql import Dates

HISTORY_DATES = 14


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


def published_runs(glue: Any, names: Names, start: str, end: str) -> dict[str, str]:
    """Return the run that is published for each date of a range that has one.

    Args:
        glue: boto3 Glue client.
        names: what everything of the dataset is called.
        start: first date, `YYYY-MM-DD`.
        end: last date.

    Returns:
        The id of the run by date.
    """
    return {
        partition["Values"][0]: partition["Parameters"]["run_id"]
        for partition in _partitions(glue, names, Dates(start, end).condition)
    }


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
