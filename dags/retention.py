"""One DAG that keeps what the contracts say to keep, and deletes what newer runs have replaced for longer than that."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, CronDataIntervalTimetable, Param
from lake.contracts import sound_contracts
from lake.operators.apply_retention import ApplyRetentionOperator
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

SETTINGS = Settings.from_environment()
with DAG(
    dag_id="retention",
    description="Delete what newer runs have replaced for longer than the contracts keep it",
    doc_md=DOCUMENTATION,
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags={"maintenance"},
    params={
        "dry_run": Param(
            False, type="boolean", title="Dry run", description="Only say, in the tasks' logs, what would be deleted."
        )
    },
) as retention:
    for contract in sound_contracts().values():
        ApplyRetentionOperator(
            task_id=contract.dataset, settings=SETTINGS, contract=contract, **task_defaults(SETTINGS, contract)
        )
