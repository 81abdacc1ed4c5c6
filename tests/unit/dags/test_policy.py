"""Policy: what every DAG of this repository must be."""

import itertools
import os
import re
import shutil
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
from lake.alerts import AlertNotifier, runbook_section
from lake.contracts import DATASETS, TASKS, load_contracts
from lake.worker_pool import WORKER_POOL

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACTS = load_contracts()
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
REPROCESS_PIPELINE = [
    "plan",
    "start_worker",
    "stage_raw",
    "snapshot_raw",
    "reprocess",
    "stop_worker",
    "promote",
    "crawl",
    "publish",
    "report",
]


@pytest.fixture(scope="module")
def bag():
    return DagBag(dag_folder=REPOSITORY / "dags")


@pytest.fixture(params=sorted(CONTRACTS))
def ingest(request, bag):
    return bag.dags[f"ingest_{request.param}"], CONTRACTS[request.param]


@pytest.fixture(params=sorted(CONTRACTS))
def reprocess(request, bag):
    return bag.dags[f"reprocess_{request.param}"], CONTRACTS[request.param]


def dags_of(datasets):
    """The DAGs of datasets: all have three, those with marts a fourth one."""
    kinds = [(kind, name) for kind in ("ingest", "reprocess", "rollback") for name in datasets]
    return [f"{kind}_{name}" for kind, name in (*kinds, *(("recompute", n) for n in datasets if CONTRACTS[n].marts))]


@pytest.fixture(params=dags_of(sorted(CONTRACTS)))
def any_dag(request, bag):
    return bag.dags[request.param], CONTRACTS[request.param.split("_", 1)[1]]


@pytest.fixture(params=[dag_id for dag_id in dags_of(sorted(CONTRACTS)) if dag_id.startswith(("roll", "recompute"))])
def mending(request, bag):
    """A DAG that reads no raw file."""
    return bag.dags[request.param], CONTRACTS[request.param.split("_", 1)[1]]


def test_every_file_loads_and_every_contract_has_its_dag(bag):
    assert bag.import_errors == {}
    assert set(dags_of(CONTRACTS)) <= set(bag.dags)
    assert CONTRACTS, "a lake without datasets would pass every other test of this file"


def test_a_wrong_contract_is_an_import_error_and_stops_no_other_dataset(tmp_path, monkeypatch):
    shutil.copytree(DATASETS, tmp_path / "datasets")
    monkeypatch.setattr("lake.contracts.DATASETS", tmp_path / "datasets")
    contract = tmp_path / "datasets" / "customers.yaml"
    contract.write_text(contract.read_text().replace('schedule: "0 0', 'schedule: "0 25'))
    bag = DagBag(dag_folder=REPOSITORY / "dags")
    ((at, message),) = bag.import_errors.items()
    assert Path(at).name == "contracts.py"
    assert f"{contract}:" in message
    assert "schedule: '0 25 * * *' is not a line of cron" in message
    others = set(CONTRACTS) - {"customers", "sales"}  # sales look up their customers
    assert set(bag.dags) == {"retention", "reconcile", *dags_of(others)}
    assert set(bag.dags["retention"].task_ids) == others
    assert set(bag.dags["reconcile"].task_ids) == {*others, "digest"}


def test_no_mart_can_have_the_name_of_a_task(bag):
    for dataset, contract in CONTRACTS.items():
        tasks = {task_id for dag_id in dags_of([dataset]) for task_id in bag.dags[dag_id].task_ids}
        of_marts = {*tasks} & {"plan_marts", *(mart.name for mart in contract.marts)}
        optional = set() if contract.wait.references else {"wait_for_references"}
        assert tasks - of_marts == set(TASKS) - {"plan_marts"} - optional
        assert ("plan_marts" in of_marts) == bool(contract.marts)


def test_tasks_are_the_pipeline_then_the_marts(ingest):
    dag, contract = ingest
    marts = [mart.name for mart in contract.marts]
    waits = {"wait_for_references"} if contract.wait.references else set()
    assert set(dag.task_ids) == {*PIPELINE, *marts, *waits}
    assert {task.task_id for task in dag.get_task("publish").downstream_list} == set(marts)


def test_a_failed_validation_publishes_nothing_and_stops_the_worker(ingest):
    dag, _ = ingest
    stop = dag.get_task("stop_worker")
    assert stop.is_teardown
    assert stop.on_failure_fail_dagrun
    # No setup, for a killed one would take its teardown with it, and the worker would run on.
    assert not dag.get_task("start_worker").is_setup
    assert {task.task_id for task in stop.upstream_list} == {"validate"}
    for task_id in ("promote", "crawl", "publish"):
        task = dag.get_task(task_id)
        assert task.trigger_rule == "all_success"
        assert "validate" in {upstream.task_id for upstream in task.get_flat_relatives(upstream=True)}


def test_the_snapshot_is_awaited_beside_the_work_and_complete_before_anything_is_published(bag):
    dags = [dag for dag in bag.dags.values() if "stage_raw" in dag.task_ids]
    assert len(dags) == 2 * len(CONTRACTS)
    for dag in dags:
        snapshot = dag.get_task("snapshot_raw")
        assert {task.task_id for task in snapshot.upstream_list} == {"stage_raw"}
        assert {task.task_id for task in snapshot.downstream_list} == {"publish"}
        assert snapshot not in dag.get_task("stop_worker").get_flat_relatives(upstream=True)


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


def test_every_task_has_an_owner_an_alert_a_bound_and_retries(any_dag):
    dag, contract = any_dag
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


def test_facts_wait_for_their_dimensions_before_a_worker_starts(bag):
    dag = bag.dags["ingest_sales"]
    wait = dag.get_task("wait_for_references")
    assert wait.contract.wait.references == ("customers", "products")
    assert wait.upstream_task_ids == {"wait_for_raw"}
    assert wait.downstream_task_ids == {"start_worker"}
    assert dag.get_task("start_worker").upstream_task_ids == {"wait_for_references"}


def test_jobs_get_what_their_contract_needs_and_no_more(ingest):
    dag, contract = ingest
    clean, validate = (dag.get_task(name).arguments for name in ("clean", "validate"))
    assert ("references" in clean) == bool(contract.references or contract.lookups)
    assert clean.get("personal-key") == ("personal-data-key-arn" if contract.personal_columns else None)
    assert validate["history"] == "{{ paths().manifest('history') }}"


def test_the_validation_links_to_its_data_docs(ingest):
    dag, _ = ingest
    task = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("validate")
    assert "Data Docs" in task.extra_links


def test_crawl_and_marts_stand_on_the_providers_operators(any_dag):
    dag, contract = any_dag
    assert all(isinstance(task, GlueCrawlerRunOperator) for task in dag.tasks if task.task_id == "crawl")
    for mart in contract.marts:
        assert isinstance(dag.get_task(mart.name), AthenaOperator)


def test_a_range_goes_through_the_same_tasks(reprocess):
    dag, contract = reprocess
    marts = [mart.name for mart in contract.marts]
    assert set(dag.task_ids) == {*REPROCESS_PIPELINE, *marts}
    assert {task.task_id for task in dag.get_task("publish").downstream_list} == {"report", *marts}
    for before, after in itertools.pairwise(
        task for task in REPROCESS_PIPELINE if task not in {"snapshot_raw", "stop_worker", "report"}
    ):
        assert after in {task.task_id for task in dag.get_task(before).downstream_list}


def test_a_range_starts_by_hand_one_at_a_time_and_dry(reprocess):
    dag, contract = reprocess
    assert dag.timetable.can_be_scheduled is False
    assert dag.max_active_runs == 1
    assert dag.dagrun_timeout is None
    params = {name: dag.params.get_param(name) for name in ("start", "end", "dates", "dry_run")}
    assert params["dates"].value is None
    assert params["dry_run"].value is True
    for name in ("start", "end"):
        assert params[name].schema["format"] == "date"
        assert not params[name].has_value, "a range must be asked for"
    assert contract.dataset in dag.tags
    assert "dry_run" in dag.doc_md


def test_a_range_stops_its_worker_publishes_valid_dates_only_and_says_which_were_not(reprocess):
    dag, _ = reprocess
    stop = dag.get_task("stop_worker")
    assert stop.is_teardown
    assert stop.on_failure_fail_dagrun
    assert not dag.get_task("start_worker").is_setup
    assert {task.task_id for task in stop.upstream_list} == {"reprocess"}
    for task_id in ("promote", "crawl", "publish"):
        task = dag.get_task(task_id)
        assert task.trigger_rule == "all_success"
        assert "reprocess" in task.dates
    # When no date is valid publishing is skipped, and the run must fail and say why all the same.
    assert dag.get_task("report").trigger_rule == "none_failed"
    assert dag.get_task("report").downstream_list == []


def test_both_dags_of_a_dataset_run_the_same_operators_with_the_same_arguments(bag, ingest):
    dag, contract = ingest
    other = bag.dags[f"reprocess_{contract.dataset}"]
    for task_id in ("snapshot_raw", "promote", "crawl", "publish", *(mart.name for mart in contract.marts)):
        assert type(dag.get_task(task_id)) is type(other.get_task(task_id)), task_id
    one, many = dag.get_task("clean"), other.get_task("reprocess")
    assert isinstance(many, type(one))
    differing = {"references", "ds"}
    assert {k: v for k, v in one.arguments.items() if k not in differing}.items() <= many.arguments.items()
    assert one.arguments.keys() <= many.arguments.keys()
    assert dag.get_task("validate").arguments["docs"] == many.arguments["docs"]


def test_what_reads_no_raw_file_starts_by_hand_and_dry_then_the_marts_follow(mending):
    dag, contract = mending
    assert dag.timetable.can_be_scheduled is False
    assert dag.max_active_runs == 1
    assert dag.params.get_param("dry_run").value is True
    assert "dry_run" in dag.doc_md
    (first,) = dag.roots
    assert {task.task_id for task in first.downstream_list} == {mart.name for mart in contract.marts}
    for mart in contract.marts:
        assert f"task_ids='{first.task_id}'" in dag.get_task(mart.name).dates


def test_no_run_ends_green_with_work_undone(bag):
    for dag in bag.dags.values():
        # A run timeout skips the teardown, and leaves the worker running.
        assert dag.dagrun_timeout is None, dag.dag_id
        for task in dag.tasks:
            name = f"{dag.dag_id}.{task.task_id}"
            if task.is_teardown:
                assert task.on_failure_fail_dagrun, name
            else:
                assert task.trigger_rule in ("all_success", "none_failed"), name


def test_what_needs_a_spark_queues_for_it_in_the_pool(any_dag):
    dag, _ = any_dag
    queueing = {task.task_id for task in dag.tasks if task.pool == WORKER_POOL}
    assert queueing == {"clean", "validate", "reprocess"} & set(dag.task_ids)


def test_airflow_makes_the_pool_as_it_starts_and_leaves_what_people_have_set(tmp_path):
    code = (
        "from airflow.jobs.job import Job; from airflow.models.pool import Pool;"
        "from airflow.utils.session import create_session\n"
        "def pools():\n"
        "    with create_session() as session:\n"
        "        found = session.query(Pool).filter(Pool.pool == 'lake_worker')\n"
        "        return [(pool.slots, pool.include_deferred) for pool in found]\n"
        "before = pools(); Job(); made = pools()\n"
        "Pool.create_or_update_pool('lake_worker', 5, '', include_deferred=False); Job()\n"
        "print(before, made, pools())"
    )
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    airflow = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(airflow, env=environment, cwd=REPOSITORY, capture_output=True, check=True)
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.stdout.splitlines()[-1:] == ["[] [(2, True)] [(5, True)]"], result.stdout + result.stderr


def test_airflow_finds_the_listener_that_fails_runs_marked_as_failed():
    code = (
        "from airflow.listeners.listener import get_listener_manager; from airflow import plugins_manager;"
        "found = get_listener_manager().hook.on_dag_run_failed.get_hookimpls();"
        "print([type(each.plugin).__name__ for each in found], plugins_manager.get_import_errors())"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[-1:] == ["['FailedRuns'] {}"], result.stdout + result.stderr


def test_loading_a_dag_imports_neither_spark_nor_great_expectations():
    code = (
        "import sys; sys.path.insert(0, 'plugins'); sys.path.insert(0, 'dags'); import ingest, reprocess;"
        "sys.exit(1 if {'pyspark', 'great_expectations', 'localaws'} & set(sys.modules) else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


def test_the_alert_of_every_task_leads_to_a_section_of_the_runbook(bag):
    headings = re.findall(r"^#+ (.+)$", (REPOSITORY / "docs" / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE)
    sections = {heading.lower().replace(" ", "-") for heading in headings}
    walked = 0
    for dag in bag.dags.values():
        for task in dag.tasks:
            (notifier,) = [call for call in task.on_failure_callback if isinstance(call, AlertNotifier)]
            section = runbook_section(notifier.contract, dag.dag_id, task.task_id)
            assert section in sections, f"{dag.dag_id}.{task.task_id}: docs/runbook.md#{section}"
            walked += 1
    assert walked > len(CONTRACTS) * (len(PIPELINE) + len(REPROCESS_PIPELINE))
