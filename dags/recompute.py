"""One DAG per dataset with marts that computes their pictures again where they do not fit, and cleans nothing."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import DAG, Param
from contract.dataset import Contract
from lake.documentation import recompute_documentation
from lake.operators.plan_marts import PlanMartsOperator
from lake.parsing import contracts_of_dags
from lake.settings import Settings
from lake.wiring import marts_of, task_defaults


def recompute_dag(contract: Contract, settings: Settings) -> DAG:
    """Wire the marts of one dataset."""
    with DAG(
        dag_id=f"recompute_{contract.dataset}",
        description=f"Bring every picture of the marts of {contract.dataset} up to date",
        doc_md=recompute_documentation(contract),
        schedule=None,
        start_date=datetime.combine(contract.start_date, datetime.min.time()),
        catchup=False,
        max_active_runs=1,
        tags={"recompute", contract.dataset, *contract.tags},
        default_args=task_defaults(settings, contract),
    ) as dag:
        plan_marts = PlanMartsOperator(task_id="plan_marts", settings=settings, contract=contract)
        plan_marts >> marts_of(settings, contract, "{{ ti.xcom_pull(task_ids='plan_marts') | join(' ') }}")
        # Last, or each task has a copy of its own, validated and serialized with it: most of what a DAG costs.
        dag.params["dry_run"] = Param(
            True,
            type="boolean",
            title="Dry run",
            description="Only say, in the log of the task plan_marts, how many pictures would be computed.",
        )
    return dag


SETTINGS = Settings.from_environment()
for each in contracts_of_dags("recompute"):
    if each.marts:
        globals()[f"recompute_{each.dataset}"] = recompute_dag(each, SETTINGS)
