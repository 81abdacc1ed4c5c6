"""Whether what is published of a dataset stays readable by its contract of now: `contract.evolution`, of a lake."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow.sdk.exceptions import AirflowFailException
from contract.dataset import Contract
from contract.evolution import DateColumns, refusals, types_of

from lake.catalog import PartitionedTable, types_told
from lake.settings import Settings
from lake.tables import public_table


def told_of_files(promoted: Mapping[str, Any]) -> dict[str, str]:
    """Return what a partition tells, as parameters, of the contract by which its files were made.

    Args:
        promoted: the manifest of `promote`.
    """
    return {"contract_version": str(promoted["contract_version"]), "sources": json.dumps(promoted["sources"])}


def require_readable(
    glue: Any, settings: Settings, contract: Contract, promoted: Iterable[Mapping[str, Any]] = ()
) -> None:
    """Refuse to go on where a date that is published could not be read by the contract's columns, or silently changed.

    What the catalog's partitions tell of their files counts, which dates of before contracts had versions tell too.
    They are not asked as long as the table has the contract's columns: it got those when nothing was found.

    Args:
        glue: boto3 Glue client.
        settings: the stack's names.
        contract: the dataset, as it is now.
        promoted: manifests of `promote` of what is about to be published.

    Raises:
        AirflowFailException: naming each column with both types, the dates concerned, and what to do.
    """
    table = public_table(glue, settings, contract)
    published = [] if table.has_columns(types_of(contract.published_columns)) else _published(table)
    coming = (_date_columns(run["ds"], run["columns"], told_of_files(run)) for run in promoted)
    if found := refusals(contract, [*published, *coming]):
        raise AirflowFailException(
            f"the contract of {contract.dataset} cannot take effect, and nothing was changed: {'. '.join(found)}. "
            'See docs/datasets/README.md, "Change a dataset"'
        )


def _published(table: PartitionedTable) -> Iterator[DateColumns]:
    for partition in table.partitions(with_columns=True):
        yield _date_columns(partition["Values"][0], types_told(partition), partition.get("Parameters", {}))


def _date_columns(ds: str, types: Mapping[str, str], parameters: Mapping[str, str]) -> DateColumns:
    version = parameters.get("contract_version")
    sources = json.loads(parameters.get("sources", "{}"))
    return DateColumns(ds, types, None if version is None else int(version), sources)
