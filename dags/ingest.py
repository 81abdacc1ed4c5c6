"""One DAG per dataset contract: raw files to validated, published tables and marts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, chain
from contract.dataset import Contract
from lake.documentation import dag_documentation
from lake.macros import lake_macros
from lake.operators.clean import CleanOperator
from lake.operators.crawl import CrawlOperator
from lake.operators.promote import PromoteOperator
from lake.operators.publish import PublishOperator
from lake.operators.snapshot_volume import SnapshotVolumeOperator
from lake.operators.start_worker import StartWorkerOperator
from lake.operators.stop_worker import StopWorkerOperator
from lake.operators.validate import ValidateOperator
from lake.operators.worker_job import WorkerJobOperator
from lake.parsing import contracts_of_dags
from lake.sensors.raw_files import RawFilesSensor
from lake.sensors.references import ReferencesSensor
from lake.settings import Settings
from lake.wiring import CLEAN, DATA_DOCS, RUN_NAME, STAGE_RAW, dates_of, marts_of, task_defaults
from lake.worker import STOP_WORKER


def ingest_dag(contract: Contract, settings: Settings) -> DAG:
    """Wire the pipeline of one dataset."""
    with DAG(
        dag_id=f"ingest_{contract.dataset}",
        description=contract.description,
        doc_md=dag_documentation(contract, settings.names(contract.dataset)),
        schedule=CronDataIntervalTimetable(contract.schedule, timezone="UTC"),
        start_date=datetime.combine(contract.start_date, datetime.min.time()),
        catchup=False,
        max_active_runs=2,
        tags={"ingest", contract.dataset, *contract.tags},
        user_defined_macros=lake_macros(settings, contract),
        default_args=task_defaults(settings, contract),
    ) as dag:
        job: dict[str, Any] = {"settings": settings, "run_name": RUN_NAME}
        dates = dates_of(contract)
        valid: dict[str, Any] = {**job, "contract": contract, "dates": "{{ run_date() }}"}

        wait_for_raw = RawFilesSensor(
            task_id="wait_for_raw", contract=contract, bucket_key="{{ paths().raw_wildcard }}", poke_interval=60
        )
        waits: list[Any] = [wait_for_raw]
        if contract.wait.references:
            waits.append(
                ReferencesSensor(task_id="wait_for_references", settings=settings, contract=contract, poke_interval=30)
            )
        start_worker = StartWorkerOperator(task_id="start_worker", settings=settings, run_name=RUN_NAME)
        stage_raw = WorkerJobOperator(
            task_id="stage_raw",
            job="stage_raw",
            program="python",
            arguments={**dates, **STAGE_RAW},
            manifest="{{ paths().manifest('stage_raw') }}",
            **job,
        )
        snapshot_raw = SnapshotVolumeOperator(
            task_id="snapshot_raw",
            volume_id=settings.worker_data_volume_id,
            staged_manifest="{{ paths().manifest('stage_raw') }}",
            tags={"lake": settings.name, **dates, "Name": f"{contract.dataset} {{{{ run_date() }}}}"},
        )
        clean = CleanOperator(
            task_id="clean",
            contract=contract,
            references="{{ paths().manifest('references') }}",
            arguments={**dates, **CLEAN},
            manifest="{{ paths().manifest('clean') }}",
            **job,
        )
        validate = ValidateOperator(
            task_id="validate",
            contract=contract,
            history="{{ paths().manifest('history') }}",
            arguments={**dates, **DATA_DOCS, "clean-manifest": "{{ paths().manifest('clean') }}"},
            manifest="{{ paths().manifest('validate') }}",
            **job,
        )
        stop_worker = StopWorkerOperator(task_id=STOP_WORKER, settings=settings, run_name=RUN_NAME)
        promote = PromoteOperator(task_id="promote", **valid)
        crawl = CrawlOperator(task_id="crawl", **valid)
        publish = PublishOperator(task_id="publish", **valid)
        marts = marts_of(settings, contract, valid["dates"])

        # No worker idles while a run waits.
        chain(*waits, start_worker, stage_raw, clean, validate, promote, crawl, publish)
        stage_raw >> snapshot_raw >> publish >> marts
        validate >> stop_worker.as_teardown(on_failure_fail_dagrun=True)
        # Last, or each task has a copy of its own, validated and serialized with it: most of what a DAG costs.
        dag.params["date"] = Param(
            None,
            type=["null", "string"],
            format="date",
            title="Date",
            description="The date to load, YYYY-MM-DD. Empty: the run's own logical date.",
        )
    return dag


SETTINGS = Settings.from_environment()
for each in contracts_of_dags("ingest"):
    globals()[f"ingest_{each.dataset}"] = ingest_dag(each, SETTINGS)
