"""One DAG that compares raw with what is published, has loaded again what it may, and tells what is missing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param
from contract.dataset import Contract
from lake.contracts import DIGEST
from lake.operators.reconcile import ReconcileOperator
from lake.operators.send_digest import SendDigestOperator
from lake.parsing import contracts_of_tasks
from lake.settings import Settings
from lake.wiring import common_defaults, task_defaults

DOCUMENTATION = """\
# reconcile

Each task looks at the last dates of one dataset, as many as `reconcile.days` in its contract says, and finds those

- of which files have come, but nothing is published (*new*),
- whose files are others than those that were loaded (*changed*),
- that were made from other folders of other datasets than count now (*stale*),
- that were *refused*, and are what they were then,
- of which no file has come, though the schedule expects one and the wait is over (*missing*), or not all of them
  (*incomplete*).

It starts one run of `reprocess_<dataset>` for those that `reconcile.load` names, at most `reconcile.dates_per_day` of
them, the earliest first; never beside another run of that DAG, and none for a date that was refused from the same
files, other datasets and code. A dataset that reads others comes after them. At the end `digest` sends one message,
unless there is nothing to tell: what is missing and since when, what was started, and what the suites of the last day
warned of.

Trigger it with `{"dry_run": true}` to see, in the tasks' logs, what it would do.
"""


def reconcile_dag(contracts: list[Contract], settings: Settings) -> DAG:
    """Make one task per dataset, each after those of the datasets that it reads, and one that tells of all."""
    with DAG(
        dag_id="reconcile",
        description="Find dates that are missing, late, changed, refused or stale; load again what may be",
        doc_md=DOCUMENTATION,
        # Later than the schedules of the datasets and most of their waits.
        schedule=CronDataIntervalTimetable("0 8 * * *", timezone="UTC"),
        start_date=datetime(2025, 1, 1),
        catchup=False,
        max_active_runs=1,
        tags={"maintenance"},
    ) as dag:
        tasks: dict[str, Any] = {
            contract.dataset: ReconcileOperator(
                task_id=contract.dataset, settings=settings, contract=contract, **task_defaults(settings, contract)
            )
            for contract in contracts
        }
        for contract in contracts:
            # Where one task starts, the others are not there.
            for other in set(contract.other_datasets) & set(tasks):
                tasks[other] >> tasks[contract.dataset]
        send_digest = SendDigestOperator(
            task_id=DIGEST, settings=settings, contracts=contracts, **common_defaults(settings, contracts)
        )
        list(tasks.values()) >> send_digest
        # Last, or each task has a copy of its own, validated and serialized with it: most of what a DAG costs.
        dag.params["dry_run"] = Param(
            False, type="boolean", title="Dry run", description="Only say, in the tasks' logs, what would be done."
        )
    return dag


if asked := contracts_of_tasks("reconcile", DIGEST):
    reconcile = reconcile_dag(asked, Settings.from_environment())
