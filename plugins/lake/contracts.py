"""The contracts as Airflow sees them: what it asks of one beyond what the jobs do, and where they are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from contract import together
from contract.dataset import Contract, load_contract
from contract.document import Location
from croniter import CroniterBadCronError, CroniterBadDateError, croniter

DATASETS = Path(__file__).resolve().parents[2] / "include" / "datasets"
TASKS = (
    *("wait_for_raw", "wait_for_references", "start_worker", "stage_raw", "snapshot_raw", "clean", "validate"),
    *("stop_worker", "promote", "crawl", "publish", "plan", "reprocess", "report", "rollback", "plan_marts"),
)
"""Tasks of a dataset's DAGs, beside which each mart is one."""
DIGEST = "digest"
"""Task of the DAG `reconcile`, beside which each dataset is one."""


def load_contracts(folder: Path | None = None) -> dict[str, Contract]:
    """Return every contract in `folder` (`*.yaml`; the checkout's own if absent), by dataset, in alphabetical order.

    Raises:
        ContractError: naming every problem in every file, and every reference to what another does not have.
    """
    return together.load_contracts(folder or DATASETS, airflow_problems)


def sound_contracts(folder: Path | None = None) -> dict[str, Contract]:
    """Return the contracts in `folder` that can be run whatever is wrong with others, which `dags/contracts.py` says.

    Returns:
        By dataset, in alphabetical order, those without a problem that read no dataset with one.
    """
    return together.sound_contracts(folder or DATASETS, airflow_problems)[0]


def dataset_contract(dataset: str) -> Contract:
    """Return the contract of one dataset, whatever is wrong with others; what they say of it is not looked at.

    Raises:
        ContractError: when its file cannot be used.
    """
    return load_contract(DATASETS / f"{dataset}.yaml")


def airflow_problems(contract: Contract) -> Iterator[tuple[Location, str]]:
    """Yield what Airflow cannot run of a contract, each with its path."""
    if wrong := _cron_problem(contract.schedule):
        yield ("schedule",), f"{contract.schedule!r} is not a line of cron: {wrong}"
    if contract.dataset == DIGEST:
        yield ("dataset",), f"{DIGEST!r} is the name of a task of the DAG reconcile"
    for index, mart in enumerate(contract.marts):
        if mart.name in TASKS:
            yield ("marts", index, "name"), f"{mart.name!r} is the name of a task that every dataset has"


@cache
def _cron_problem(schedule: str) -> str:
    """What is wrong with a schedule, of which the contracts have few: nothing, or what croniter says."""
    try:
        # Only a next time shows that there is one: there is no 31 February.
        croniter(schedule, start_time=0).get_next()
    except (CroniterBadCronError, CroniterBadDateError) as error:
        return str(error)
    return ""
