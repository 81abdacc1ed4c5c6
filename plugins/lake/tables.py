"""The tables of a dataset in the catalog, and its view."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.sdk.exceptions import AirflowException
from contract.columns import QUARANTINE_COLUMNS
from contract.dataset import Contract, Mart
from contract.names import Names

from lake.catalog import PartitionedTable
from lake.settings import Settings
from lake.sql import render_sql

POLL_SECONDS = 1


def public_table(glue: Any, settings: Settings, contract: Contract) -> PartitionedTable:
    """Return the table that readers of the dataset use.

    Args:
        glue: boto3 Glue client.
        settings: the stack's names.
        contract: the dataset.
    """
    names = settings.names(contract.dataset)
    return PartitionedTable(
        glue,
        database=names.database,
        name=names.table,
        columns=contract.published_columns,
        location=f"s3://{settings.processed_bucket}/{names.runs_table}/",
        description=contract.description,
    )


def quarantine_table(glue: Any, settings: Settings, contract: Contract) -> PartitionedTable:
    """Return the table of the rows that broke a rule; arguments as of `public_table`."""
    names = settings.names(contract.dataset)
    return PartitionedTable(
        glue,
        database=names.database,
        name=names.quarantine_table,
        columns=QUARANTINE_COLUMNS,
        location=f"s3://{settings.processed_bucket}/{names.quarantine_table}/",
        description=f"Rows of {contract.dataset} that broke a rule in the submission of each date that counts",
    )


def mart_table(glue: Any, settings: Settings, contract: Contract, mart: Mart) -> PartitionedTable:
    """Return the table of a mart's pictures; arguments as of `public_table`."""
    names = settings.names(contract.dataset)
    return PartitionedTable(
        glue,
        database=names.database,
        name=mart.name,
        columns=mart.columns,
        location=_pictures_of(settings, names, mart.name),
        description=mart.description,
    )


def abandoned_marts(glue: Any, settings: Settings, contract: Contract) -> list[str]:
    """Return the tables of marts that the contract no longer has, in alphabetical order.

    They are told from what others may have put into the database by where their files are.

    Args:
        glue: boto3 Glue client.
        settings: the stack's names.
        contract: the dataset.
    """
    names = settings.names(contract.dataset)
    marts = {mart.name for mart in contract.marts}
    pages = glue.get_paginator("get_tables").paginate(DatabaseName=names.database)
    return sorted(
        table["Name"]
        for page in pages
        for table in page["TableList"]
        if table["Name"] not in marts
        and table.get("StorageDescriptor", {}).get("Location") == _pictures_of(settings, names, table["Name"])
    )


def _pictures_of(settings: Settings, names: Names, mart: str) -> str:
    return f"s3://{settings.enriched_bucket}/{names.mart(mart)}"


def create_current_view(athena: AthenaHook, settings: Settings, contract: Contract, timeout: float) -> None:
    """Create the view of what is current, or bring it up to date.

    Args:
        athena: whose credentials are used.
        settings: the stack's names.
        contract: the dataset; it must have such a view.
        timeout: bound of the statement, in seconds.

    Raises:
        AirflowException: when Athena did not create the view in time.
    """
    names = settings.names(contract.dataset)
    query_id = athena.run_query(
        f"CREATE OR REPLACE VIEW {names.current_view} AS\n{render_sql(contract, names.current_view, None)}",
        {"Database": names.database},
        {},
        workgroup=settings.athena_workgroup,
    )
    state = athena.poll_query_status(
        query_id, max_polling_attempts=int(timeout / POLL_SECONDS), sleep_time=POLL_SECONDS
    )
    if state != "SUCCEEDED":
        raise AirflowException(f"view {names.current_view}: {state}: {athena.get_state_change_reason(query_id)}")
