"""One DAG that keeps what the contracts say to keep, and deletes what newer runs have replaced for longer than that."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, CronDataIntervalTimetable, Param
from contract.dataset import Contract
from lake.operators.apply_retention import ApplyRetentionOperator
from lake.parsing import contracts_of_tasks
from lake.settings import Settings
from lake.wiring import task_defaults

DOCUMENTATION = """\
# retention

Each task deletes, of one dataset, the folders of promoted submissions, quarantine and marts that a newer one has
replaced, and the snapshots of runs that are not published, once they are older than `retention.days` in the contract.
What is published, and any date of which nothing is published, stays whatever its age. Deleted files can be brought back
for 30 days, as the buckets are versioned; a snapshot cannot.

Trigger it with `{"dry_run": true}` to see, in the tasks' logs, what it would delete.
"""


def retention_dag(contracts: list[Contract], settings: Settings) -> DAG:
    """Make one task per dataset; they do not wait for each other."""
    with DAG(
        dag_id="retention",
        description="Delete what newer runs have replaced for longer than the contracts keep it",
        doc_md=DOCUMENTATION,
        schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
        start_date=datetime(2025, 1, 1),
        catchup=False,
        max_active_runs=1,
        tags={"maintenance"},
    ) as dag:
        for contract in contracts:
            ApplyRetentionOperator(
                task_id=contract.dataset, settings=settings, contract=contract, **task_defaults(settings, contract)
            )
        # Last, or each task has a copy of its own, validated and serialized with it: most of what a DAG costs.
        dag.params["dry_run"] = Param(
            False, type="boolean", title="Dry run", description="Only say, in the tasks' logs, what would be deleted."
        )
    return dag


if asked := contracts_of_tasks("retention"):
    retention = retention_dag(asked, Settings.from_environment())
