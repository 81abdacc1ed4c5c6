"""Policy: what every DAG of this repository must be."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.serialization.serialized_objects import DagSerialization
from lake.alerts import AlertNotifier
from lake.contract import load_contracts

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACTS = load_contracts(REPOSITORY / "include" / "datasets")
PIPELINE = [
    "wait_for_raw",
    "start_worker",
    "stage_raw",
    "snapshot_raw",
    "clean",
    "validate",
    "stop_worker",
    "promote",
    "crawl",
    "publish",
]


@pytest.fixture(scope="module")
def bag():
    return DagBag(dag_folder=REPOSITORY / "dags")


@pytest.fixture(params=sorted(CONTRACTS))
def ingest(request, bag):
    return bag.dags[f"ingest_{request.param}"], CONTRACTS[request.param]


def test_every_file_loads_and_every_contract_has_its_dag(bag):
    assert bag.import_errors == {}
    assert {f"ingest_{dataset}" for dataset in CONTRACTS} <= set(bag.dags)
    assert CONTRACTS, "a lake without datasets would pass every other test of this file"


def test_tasks_are_the_pipeline_then_the_marts(ingest):
    dag, contract = ingest
    marts = [mart.name for mart in contract.marts]
    assert set(dag.task_ids) == {*PIPELINE, *marts}
    assert {task.task_id for task in dag.get_task("publish").downstream_list} == set(marts)


def test_a_failed_validation_publishes_nothing_and_stops_the_worker(ingest):
    dag, _ = ingest
    stop = dag.get_task("stop_worker")
    assert stop.is_teardown
    assert stop.on_failure_fail_dagrun
    assert {task.task_id for task in stop.upstream_list} == {"start_worker", "validate"}
    for task_id in ("promote", "crawl", "publish"):
        task = dag.get_task(task_id)
        assert task.trigger_rule == "all_success"
        assert "validate" in {upstream.task_id for upstream in task.get_flat_relatives(upstream=True)}


def test_runs_have_a_real_data_interval_and_no_catchup(ingest):
    dag, contract = ingest
    assert type(dag.timetable).__name__ == "CronDataIntervalTimetable"
    assert dag.catchup is False
    assert dag.start_date.date() == contract.start_date
    # A run timeout would skip the teardown that stops the worker.
    assert dag.dagrun_timeout is None


def test_dags_explain_themselves(ingest):
    dag, contract = ingest
    assert dag.description == contract.description
    for column in contract.columns:
        assert f"`{column.name}`" in dag.doc_md
    for rule in contract.rules:
        assert rule.name in dag.doc_md
    assert contract.dataset in dag.tags
    assert dag.params.get_param("date").schema["format"] == "date"


def test_every_task_has_an_owner_an_alert_a_bound_and_retries(ingest):
    dag, contract = ingest
    for task in dag.tasks:
        assert task.owner == contract.owner, task.task_id
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=24), task.task_id
        callbacks = task.on_failure_callback
        assert any(isinstance(callback, AlertNotifier) for callback in callbacks), task.task_id
        if task.task_id != "wait_for_raw":
            assert task.retries >= 1, task.task_id


def test_the_wait_for_raw_files_is_deferred_and_bounded(ingest):
    dag, contract = ingest
    sensor = dag.get_task("wait_for_raw")
    assert isinstance(sensor, S3KeySensor)
    assert sensor.deferrable
    assert sensor.timeout == contract.wait.timeout_hours * 3600
    # A sensor that fails softly would take a forbidden bucket for a day without files.
    assert not sensor.soft_fail
    assert not sensor.never_fail


def test_jobs_get_what_their_contract_needs_and_no_more(ingest):
    dag, contract = ingest
    clean = dag.get_task("clean").arguments
    assert ("references" in clean) == bool(contract.references or contract.lookups)
    assert clean.get("personal-key") == ("personal-data-key-arn" if contract.personal_columns else None)


def test_the_validation_links_to_its_data_docs(ingest):
    dag, _ = ingest
    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("validate")
    assert "Data Docs" in task.extra_links


def test_crawl_and_marts_stand_on_the_providers_operators(ingest):
    dag, contract = ingest
    assert isinstance(dag.get_task("crawl"), GlueCrawlerRunOperator)
    for mart in contract.marts:
        assert isinstance(dag.get_task(mart.name), AthenaOperator)


def test_loading_a_dag_imports_neither_spark_nor_great_expectations():
    code = (
        "import sys; sys.path.insert(0, 'plugins'); sys.path.insert(0, 'dags'); import ingest;"
        "sys.exit(1 if {'pyspark', 'great_expectations', 'localaws'} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
