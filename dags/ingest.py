"""One DAG per dataset contract: raw files to validated, published tables and marts."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param
from lake.alerts import AlertNotifier
from lake.contract import Contract, load_contracts
from lake.documentation import dag_documentation
from lake.macros import lake_macros
from lake.operators.clean import CleanOperator
from lake.operators.crawl import CrawlOperator
from lake.operators.mart import MartOperator
from lake.operators.promote import PromoteOperator
from lake.operators.publish import PublishOperator
from lake.operators.snapshot_volume import SnapshotVolumeOperator
from lake.operators.start_worker import StartWorkerOperator
from lake.operators.stop_worker import StopWorkerOperator
from lake.operators.validate import ValidateOperator
from lake.operators.worker_job import WorkerJobOperator
from lake.sensors.raw_files import RawFilesSensor
from lake.settings import Settings

CONTRACTS = Path(__file__).resolve().parents[1] / "include" / "datasets"


def ingest_dag(contract: Contract, settings: Settings) -> DAG:
    """Wire the pipeline of one dataset."""
    with DAG(
        dag_id=f"ingest_{contract.dataset}",
        description=contract.description,
        doc_md=dag_documentation(contract),
        schedule=CronDataIntervalTimetable(contract.schedule, timezone="UTC"),
        start_date=datetime.combine(contract.start_date, datetime.min.time()),
        catchup=False,
        max_active_runs=3,
        tags={"ingest", contract.dataset, *contract.tags},
        params={
            "date": Param(
                None,
                type=["null", "string"],
                format="date",
                title="Date",
                description="The date to load, YYYY-MM-DD. Empty: the run's own logical date.",
            )
        },
        user_defined_macros=lake_macros(settings, contract),
        default_args={
            "owner": contract.owner,
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_exponential_backoff": True,
            "execution_timeout": timedelta(hours=2),
            "on_failure_callback": AlertNotifier(settings, contract),
        },
    ) as dag:
        worker: dict[str, Any] = {
            "instance_id": settings.worker_instance_id,
            "bucket": settings.artifacts_bucket,
            "holder": f"{dag.dag_id}/{{{{ run_id }}}}",
        }
        run: dict[str, Any] = {"settings": settings, "run_name": "{{ paths().run }}"}
        dates = {"dataset": contract.dataset, "ds": "{{ run_date() }}", "run": "{{ paths().run }}"}

        wait_for_raw = RawFilesSensor(
            task_id="wait_for_raw", contract=contract, bucket_key="{{ paths().raw_wildcard }}", poke_interval=60
        )
        start_worker = StartWorkerOperator(task_id="start_worker", **worker)
        stage_raw = WorkerJobOperator(
            task_id="stage_raw",
            job="stage_raw",
            program="python",
            arguments={**dates, "raw": "{{ paths().raw }}", "staged": "{{ paths().staged }}"},
            manifest="{{ paths().manifest('stage_raw') }}",
            **run,
        )
        snapshot_raw = SnapshotVolumeOperator(
            task_id="snapshot_raw",
            volume_id=settings.worker_data_volume_id,
            staged_manifest="{{ paths().manifest('stage_raw') }}",
            tags={**dates, "Name": f"{contract.dataset} {{{{ run_date() }}}}"},
        )
        clean = CleanOperator(
            task_id="clean",
            contract=contract,
            references="{{ paths().manifest('references') }}",
            arguments={
                **dates,
                "run-id": "${LAKE_RUN_ID}",
                "input": "{{ paths().staged }}",
                "output": "{{ paths().staging }}",
                "quarantine": "{{ paths().quarantine }}",
            },
            manifest="{{ paths().manifest('clean') }}",
            **run,
        )
        validate = ValidateOperator(
            task_id="validate",
            contract=contract,
            history="{{ paths().manifest('history') }}",
            arguments={
                **dates,
                "clean-manifest": "{{ paths().manifest('clean') }}",
                "docs": "{{ paths().data_docs }}",
            },
            manifest="{{ paths().manifest('validate') }}",
            **run,
        )
        stop_worker = StopWorkerOperator(task_id="stop_worker", **worker)
        promote = PromoteOperator(
            task_id="promote",
            clean_manifest="{{ paths().manifest('clean') }}",
            validate_manifest="{{ paths().manifest('validate') }}",
            destination="{{ paths().promoted }}",
            manifest="{{ paths().manifest('promote') }}",
        )
        crawl = CrawlOperator(task_id="crawl", contract=contract, promote_manifest="{{ paths().manifest('promote') }}")
        publish = PublishOperator(
            task_id="publish",
            settings=settings,
            contract=contract,
            promote_manifest="{{ paths().manifest('promote') }}",
            manifest="{{ paths().manifest('publish') }}",
        )
        marts = [
            MartOperator(
                task_id=mart.name,
                settings=settings,
                contract=contract,
                mart=mart,
                ds="{{ run_date() }}",
                doc_md=mart.description,
            )
            for mart in contract.marts
        ]

        wait_for_raw >> start_worker >> stage_raw >> snapshot_raw >> clean >> validate
        validate >> stop_worker.as_teardown(setups=start_worker, on_failure_fail_dagrun=True)
        validate >> promote >> crawl >> publish >> marts
    return dag


SETTINGS = Settings.from_environment()
for each in load_contracts(CONTRACTS).values():
    globals()[f"ingest_{each.dataset}"] = ingest_dag(each, SETTINGS)
