"""Policy: the DAG that compares, has loaded again, and tells."""

from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from lake.alerts import AlertNotifier
from lake.contracts import load_contracts

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACTS = load_contracts()


@pytest.fixture(scope="module")
def dag():
    bag = DagBag(dag_folder=REPOSITORY / "dags" / "reconcile.py")
    assert bag.import_errors == {}
    return bag.dags["reconcile"]


def test_every_dataset_has_a_bounded_task_and_one_tells_of_all(dag):
    assert set(dag.task_ids) == {*CONTRACTS, "digest"}
    for task in dag.tasks:
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=2)
        assert any(isinstance(callback, AlertNotifier) for callback in task.on_failure_callback)
        assert task.retries >= 1
    for dataset, contract in CONTRACTS.items():
        task = dag.get_task(dataset)
        assert task.contract == contract
        assert task.owner == contract.owner
        assert task.trigger_dag_id == f"reprocess_{dataset}"
    assert dag.get_task("digest").contracts == list(CONTRACTS.values())
    assert dag.get_task("digest").upstream_task_ids == set(CONTRACTS)


def test_dimensions_come_before_facts(dag):
    for dataset, contract in CONTRACTS.items():
        assert dag.get_task(dataset).upstream_task_ids == set(contract.other_datasets)


def test_it_runs_daily_one_at_a_time_and_can_be_asked_only_to_look(dag):
    assert type(dag.timetable).__name__ == "CronDataIntervalTimetable"
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.params.get_param("dry_run").value is False
    assert "dry_run" in dag.doc_md
