"""A run that somebody marks as failed, by the REST API as the UI does: it ends failed and gives the worker back."""

import pytest

from tests.waiting import eventually

DS = "2025-07-07"
FILE = f"OrderID,Customer,Amount,Status,OrderDate\nO7001,Ann,1.00,shipped,{DS}\n".encode()
RANGE = {"start": DS, "end": DS, "dry_run": False}
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def api(stack):
    """The REST API, with both DAGs of orders unpaused."""
    api = stack.api
    dags = ("ingest_orders", "reprocess_orders")
    for dag_id in dags:
        api.wait_for_dag(dag_id)
        api.pause(dag_id, False)
    yield api
    for dag_id in dags:
        api.pause(dag_id, True)


def states(api, dag_id, run_id):
    return {instance["task_id"]: instance["state"] for instance in api.task_instances(dag_id, run_id)}


def assert_failed_and_given_back(stack, api, dag_id, run_id):
    """The run ends failed, clearing its failed tasks would leave nothing out, and it no longer holds the worker."""
    eventually(lambda: api.dag_run(dag_id, run_id)["state"] in ("failed", "success"), seconds=120, every=0.5)
    ended = states(api, dag_id, run_id)
    assert api.dag_run(dag_id, run_id)["state"] == "failed", ended
    assert "skipped" not in ended.values(), ended
    assert not [holder for holder in stack.lease_holders() if holder.startswith(dag_id)]
    return ended


@pytest.mark.parametrize(
    ("dag_id", "conf", "task_id"),
    [
        ("ingest_orders", {"date": "2025-07-06"}, "wait_for_raw"),
        ("ingest_orders", {"date": DS}, "stage_raw"),
        ("reprocess_orders", RANGE, "stage_raw"),
    ],
)
def test_a_run_marked_as_failed_ends_failed_and_gives_the_worker_back(stack, api, dag_id, conf, task_id):
    stack.upload(DS, FILE)
    run_id = api.trigger(dag_id, conf)
    eventually(lambda: states(api, dag_id, run_id).get(task_id) in ("running", "deferred"), seconds=180, every=0.2)
    api.fail(dag_id, run_id)
    ended = assert_failed_and_given_back(stack, api, dag_id, run_id)
    assert ended[task_id] == "failed"
    if task_id != "wait_for_raw":
        assert ended["stop_worker"] == "success"
        # A job that was killed may have asked for the stop before; then stop_worker has nothing to wait for.
        eventually(lambda: stack.worker_state() == "stopped")


def test_a_run_marked_as_failed_before_it_began_ends_failed(stack, api):
    api.pause("ingest_orders", True)
    run_id = api.trigger("ingest_orders", {"date": DS})
    api.fail("ingest_orders", run_id)
    api.pause("ingest_orders", False)
    assert_failed_and_given_back(stack, api, "ingest_orders", run_id)
