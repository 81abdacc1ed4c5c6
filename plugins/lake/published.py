"""What is published at the moment, as far as a run on a date needs to know it."""

from __future__ import annotations

from typing import Any

from lake.contract import Contract
from lake.manifest import parsed
from lake.sql import Dates

HISTORY_DATES = 14


def _partitions(glue: Any, dataset: str, expression: str) -> list[dict[str, Any]]:
    """Partitions of a dataset's public table that match a Glue expression; none while there is no table yet."""
    pages = glue.get_paginator("get_partitions").paginate(
        DatabaseName=f"{dataset}_db", TableName=dataset, Expression=expression, ExcludeColumnSchema=True
    )
    try:
        return [partition for page in pages for partition in page["Partitions"]]
    except glue.exceptions.EntityNotFoundException:
        return []


def folders_of_other_datasets(glue: Any, contract: Contract, ds: str) -> dict[str, dict[str, str]]:
    """Return where the rows are that a dataset's references and lookups read.

    Args:
        glue: boto3 Glue client.
        contract: the dataset that reads.
        ds: date as of which it does, `YYYY-MM-DD`; nothing later is returned.

    Returns:
        `{dataset: {ds: s3 folder}}` with every dataset that the contract names.
    """
    return {
        dataset: {
            partition["Values"][0]: partition["StorageDescriptor"]["Location"]
            for partition in _partitions(glue, dataset, f"ds <= '{ds}'")
        }
        for dataset in contract.other_datasets
    }


def published_runs(glue: Any, contract: Contract, start: str, end: str) -> dict[str, str]:
    """Return the run that is published for each date of a range that has one.

    Args:
        glue: boto3 Glue client.
        contract: the dataset.
        start: first date, `YYYY-MM-DD`.
        end: last date.

    Returns:
        The id of the run by date.
    """
    return {
        partition["Values"][0]: partition["Parameters"]["run_id"]
        for partition in _partitions(glue, contract.dataset, Dates(start, end).condition)
    }


def published_rows(glue: Any, contract: Contract, ds: str) -> list[dict[str, Any]]:
    """Return how many rows each published date before a date has, and what else `validate` measured of them.

    Args:
        glue: boto3 Glue client.
        contract: the dataset.
        ds: the date, `YYYY-MM-DD`.

    Returns:
        `{"ds": ..., "rows": ..., "mean_<column>": ..., ...}` of each, in order.
    """
    published = {
        partition["Values"][0]: partition["Parameters"]
        for partition in _partitions(glue, contract.dataset, f"ds < '{ds}'")
    }
    return [
        {"ds": date, "rows": int(told["numRows"]), **parsed(told.get("profile", "{}"))}
        for date, told in sorted(published.items())
    ]


def rows_before(glue: Any, contract: Contract, ds: str) -> list[dict[str, Any]]:
    """Return the last `HISTORY_DATES` of `published_rows`, to judge whether a date's own number is plausible."""
    return published_rows(glue, contract, ds)[-HISTORY_DATES:]
