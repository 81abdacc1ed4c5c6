"""Of which contracts a DAG file builds DAGs: of all, or, where a task starts, of the one whose task it is.

The dag-processor parses a file for all of its DAGs, and judges all contracts together. The start of a task parses it
again, for that task (https://airflow.apache.org/docs/apache-airflow/stable/howto/dynamic-dag-generation.html). It reads
its own contract only: what is wrong with another one is no reason to fail it, and what others say of this one was
judged before its DAG existed.
"""

from __future__ import annotations

from airflow.sdk import get_parsing_context
from contract.dataset import Contract

from lake.contracts import dataset_contract, sound_contracts


def contracts_of_dags(kind: str) -> list[Contract]:
    """Return the contracts whose DAGs, `<kind>_<dataset>`, are asked for.

    Raises:
        ContractError: one DAG is asked for, and its contract cannot be used.
    """
    dag_id = get_parsing_context().dag_id
    if dag_id is None:
        return list(sound_contracts().values())
    asked, _, dataset = dag_id.partition("_")
    return [dataset_contract(dataset)] if asked == kind else []


def contracts_of_tasks(dag_id: str, of_all: str = "") -> list[Contract]:
    """Return the contracts whose tasks, each called as its dataset, are asked for of a DAG that has one for each.

    Args:
        dag_id: the DAG.
        of_all: a task of it that is about all datasets.

    Raises:
        ContractError: one task is asked for, and its contract cannot be used.
    """
    asked = get_parsing_context()
    if asked.dag_id not in (None, dag_id):
        return []
    if asked.task_id in (None, of_all):
        return list(sound_contracts().values())
    return [dataset_contract(asked.task_id)]
