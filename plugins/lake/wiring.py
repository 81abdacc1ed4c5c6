"""What the DAGs of a dataset have in common: how tasks fail, and what jobs and other tasks are told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from contract.dataset import Contract

from lake.alerts import AlertNotifier
from lake.operators.mart import MartOperator
from lake.paths import SUBMISSION
from lake.settings import Settings

RUN_NAME = "{{ paths().run }}"
STAGE_RAW = {"raw": "{{ paths().raw }}", "staged": "{{ paths().staged }}"}
CLEAN = {
    "submission": SUBMISSION,
    "input": "{{ paths().staged }}",
    "output": "{{ paths().cleaned }}",
    "quarantine": "{{ paths().quarantine }}",
}
DATA_DOCS = {"docs": "{{ paths().data_docs }}"}


def task_defaults(settings: Settings, contract: Contract) -> dict[str, Any]:
    """Return the `default_args` of a dataset's DAG: owner, retries, bounds and alerts."""
    return {
        "owner": contract.owner,
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "execution_timeout": timedelta(hours=2),
        "on_failure_callback": AlertNotifier(settings, contract),
    }


def common_defaults(settings: Settings, contracts: Iterable[Contract]) -> dict[str, Any]:
    """Return the arguments of a task that is about many datasets: as `task_defaults`, with all of their owners."""
    contracts = list(contracts)
    owners = ", ".join(sorted({contract.owner for contract in contracts}))
    alert = AlertNotifier(settings, None)
    return {**task_defaults(settings, contracts[0]), "owner": owners, "on_failure_callback": alert}


def dates_of(contract: Contract) -> dict[str, str]:
    """Return what every job is told: the dataset, the date or dates, and the run."""
    return {"dataset": contract.dataset, "ds": "{{ run_date() }}", "run": RUN_NAME}


def marts_of(settings: Settings, contract: Contract, dates: str) -> list[MartOperator]:
    """Make the task of each mart.

    Args:
        settings: the stack's names.
        contract: the dataset.
        dates: the dates that were published, separated by spaces; a template.
    """
    return [
        MartOperator(
            task_id=mart.name, settings=settings, contract=contract, mart=mart, dates=dates, doc_md=mart.description
        )
        for mart in contract.marts
    ]
