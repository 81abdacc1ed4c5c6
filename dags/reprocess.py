"""One DAG per dataset contract that loads a range of dates again, in one Spark session."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param
from contract.dataset import Contract
from lake.documentation import reprocess_documentation
from lake.macros import reprocess_macros
from lake.operators.crawl import CrawlOperator
from lake.operators.plan_reprocess import PlanReprocessOperator
from lake.operators.promote import PromoteOperator
from lake.operators.publish import PublishOperator
from lake.operators.report_reprocess import ReportReprocessOperator
from lake.operators.reprocess import ReprocessOperator
from lake.operators.snapshot_volume import SnapshotVolumeOperator
from lake.operators.start_worker import StartWorkerOperator
from lake.operators.stop_worker import StopWorkerOperator
from lake.operators.worker_job import WorkerJobOperator
from lake.parsing import contracts_of_dags
from lake.settings import Settings
from lake.wiring import CLEAN, DATA_DOCS, RUN_NAME, STAGE_RAW, dates_of, marts_of, task_defaults
from lake.worker import STOP_WORKER

LONGEST = timedelta(hours=12)


def reprocess_dag(contract: Contract, settings: Settings) -> DAG:
    """Wire the pipeline of one dataset for many dates."""
    with DAG(
        dag_id=f"reprocess_{contract.dataset}",
        description=f"Load a range of dates of {contract.dataset} again",
        doc_md=reprocess_documentation(contract),
        schedule=None,
        start_date=datetime.combine(contract.start_date, datetime.min.time()),
        catchup=False,
        max_active_runs=1,
        tags={"reprocess", contract.dataset, *contract.tags},
        user_defined_macros=reprocess_macros(settings, contract),
        default_args={**task_defaults(settings, contract), "execution_timeout": LONGEST},
    ) as dag:
        job: dict[str, Any] = {"settings": settings, "run_name": RUN_NAME, "timeout": LONGEST.total_seconds() / 2}
        dates = {**dates_of(contract), "date-manifest": "{{ paths().manifest('{step}') }}"}
        valid: dict[str, Any] = {
            "settings": settings,
            "contract": contract,
            "run_name": RUN_NAME,
            "dates": "{{ ti.xcom_pull(task_ids='reprocess') | join(' ') }}",
        }

        plan = PlanReprocessOperator(task_id="plan", settings=settings, contract=contract)
        start_worker = StartWorkerOperator(task_id="start_worker", settings=settings, run_name=RUN_NAME)
        stage_raw = WorkerJobOperator(
            task_id="stage_raw",
            job="reprocess_stage_raw",
            program="python",
            arguments={**dates, **STAGE_RAW, "dates": "{{ paths().reprocess_manifest('plan') }}"},
            manifest="{{ paths().reprocess_manifest('stage_raw') }}",
            do_xcom_push=False,  # it lists the files of all dates
            **job,
        )
        snapshot_raw = SnapshotVolumeOperator(
            task_id="snapshot_raw",
            volume_id=settings.worker_data_volume_id,
            staged_manifest="{{ paths().reprocess_manifest('stage_raw') }}",
            tags={"lake": settings.name, **dates_of(contract), "Name": f"{contract.dataset} {{{{ run_date() }}}}"},
        )
        reprocess = ReprocessOperator(
            task_id="reprocess",
            contract=contract,
            references="{{ paths().reprocess_manifest('references') }}",
            history="{{ paths().reprocess_manifest('history') }}",
            arguments={**dates, **CLEAN, **DATA_DOCS, "dates": "{{ paths().reprocess_manifest('stage_raw') }}"},
            manifest="{{ paths().reprocess_manifest('reprocess') }}",
            **job,
        )
        stop_worker = StopWorkerOperator(task_id=STOP_WORKER, settings=settings, run_name=RUN_NAME)
        promote = PromoteOperator(task_id="promote", **valid)
        crawl = CrawlOperator(task_id="crawl", **valid)
        publish = PublishOperator(task_id="publish", **valid)
        marts = marts_of(settings, contract, valid["dates"])
        # Without a valid date all of publishing is skipped, and the report still says why.
        report = ReportReprocessOperator(
            task_id="report",
            reprocess_manifest="{{ paths().reprocess_manifest('reprocess') }}",
            trigger_rule="none_failed",
        )

        plan >> start_worker >> stage_raw >> reprocess >> promote >> crawl >> publish
        stage_raw >> snapshot_raw >> publish
        publish >> [*marts, report]
        reprocess >> stop_worker.as_teardown(on_failure_fail_dagrun=True)
        # Last, or each task has a copy of its own, validated and serialized with it: most of what a DAG costs.
        dag.params["start"] = Param(type="string", format="date", title="First date")
        dag.params["end"] = Param(type="string", format="date", title="Last date", description="This date is included.")
        dag.params["dates"] = Param(
            None,
            type=["null", "array"],
            items={"type": "string", "format": "date"},
            title="Dates",
            description="Only these dates of the range. Empty: all of them.",
        )
        dag.params["dry_run"] = Param(
            True,
            type="boolean",
            title="Dry run",
            description="Only say, in the log of the task plan, what would change. Nothing is written.",
        )
    return dag


SETTINGS = Settings.from_environment()
for each in contracts_of_dags("reprocess"):
    globals()[f"reprocess_{each.dataset}"] = reprocess_dag(each, SETTINGS)
