"""One DAG per dataset contract that makes what was published before count again."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, Param
from contract.dataset import Contract
from lake.documentation import rollback_documentation
from lake.operators.rollback import RollbackOperator
from lake.parsing import contracts_of_dags
from lake.settings import Settings
from lake.wiring import marts_of, task_defaults


def rollback_dag(contract: Contract, settings: Settings) -> DAG:
    """Wire the way back of one dataset."""
    with DAG(
        dag_id=f"rollback_{contract.dataset}",
        description=f"Go back to what was published of {contract.dataset} before",
        doc_md=rollback_documentation(contract),
        schedule=None,
        start_date=datetime.combine(contract.start_date, datetime.min.time()),
        catchup=False,
        max_active_runs=1,
        tags={"rollback", contract.dataset, *contract.tags},
        default_args=task_defaults(settings, contract),
    ) as dag:
        rollback = RollbackOperator(task_id="rollback", settings=settings, contract=contract)
        rollback >> marts_of(settings, contract, "{{ ti.xcom_pull(task_ids='rollback') | join(' ') }}")
        # Last, or each task has a copy of its own, validated and serialized with it: most of what a DAG costs.
        dag.params["start"] = Param(type="string", format="date", title="First date")
        dag.params["end"] = Param(type="string", format="date", title="Last date", description="This date is included.")
        dag.params["submission"] = Param(
            None,
            type=["null", "string"],
            title="Submission",
            description="What to go back to, or the run that made it. Empty: what was published last before.",
        )
        dag.params["dry_run"] = Param(
            True,
            type="boolean",
            title="Dry run",
            description="Only say, in the log of the task rollback, what would change. Nothing is written.",
        )
    return dag


SETTINGS = Settings.from_environment()
for each in contracts_of_dags("rollback"):
    globals()[f"rollback_{each.dataset}"] = rollback_dag(each, SETTINGS)
