"""Policy: the DAG that deletes."""

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
    bag = DagBag(dag_folder=REPOSITORY / "dags" / "retention.py")
    assert bag.import_errors == {}
    return bag.dags["retention"]


def test_every_dataset_has_a_bounded_task_with_an_owner_an_alert_and_retries(dag):
    assert set(dag.task_ids) == set(CONTRACTS)
    for task in dag.tasks:
        assert task.contract == CONTRACTS[task.task_id]
        assert 0 < task.limit <= 1000
        assert task.owner == CONTRACTS[task.task_id].owner
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=2)
        assert any(isinstance(callback, AlertNotifier) for callback in task.on_failure_callback)
        assert task.retries >= 1


def test_it_runs_daily_one_at_a_time_and_can_be_asked_only_to_look(dag):
    assert type(dag.timetable).__name__ == "CronDataIntervalTimetable"
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert dag.params.get_param("dry_run").value is False
    assert "dry_run" in dag.doc_md
