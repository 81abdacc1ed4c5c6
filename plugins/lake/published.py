"""What is published at the moment, as far as a run on a date needs to know it."""

from __future__ import annotations

from typing import Any

from lake.contract import Contract

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


def rows_before(glue: Any, contract: Contract, ds: str) -> list[dict[str, Any]]:
    """Return how many rows the dates before a date have, to judge whether its own number is plausible.

    Args:
        glue: boto3 Glue client.
        contract: the dataset.
        ds: the date, `YYYY-MM-DD`.

    Returns:
        `{"ds": ..., "rows": ...}` of the last 14 published dates before `ds`, in order.
    """
    published = sorted(
        (partition["Values"][0], int(partition["Parameters"]["numRows"]))
        for partition in _partitions(glue, contract.dataset, f"ds < '{ds}'")
    )
    return [{"ds": date, "rows": rows} for date, rows in published[-HISTORY_DATES:]]
