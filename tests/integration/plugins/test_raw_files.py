"""Waiting for files that come, that do not, and that should have come long ago."""

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException, TaskDeferralError, TaskDeferred
from contract.dataset import Wait, load_contract
from lake.paths import Paths
from lake.sensors.raw_files import RawFilesSensor, expected_since

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACT = load_contract(REPOSITORY / "include" / "datasets" / "orders.yaml")
OVER_THE_TIME = {"next_method": "__fail__", "next_kwargs": {"error": "Trigger timeout"}}
TODAY = datetime.now(UTC).date()


@pytest.fixture
def sensor(settings):
    def make(ds, missing):
        wait = Wait(timeout_hours=6, missing=missing)
        return RawFilesSensor(
            task_id="wait_for_raw",
            contract=CONTRACT.model_copy(update={"wait": wait}),
            bucket_key=Paths(settings, CONTRACT, ds, "any").raw_wildcard,
            poke_interval=60,
        )

    return make


def run_on(ds):
    return {"params": {"date": f"{ds}"}, "run_id": "a-run"}


@pytest.mark.parametrize("missing", ["fail", "skip"])
def test_a_file_that_is_there_ends_the_wait_at_once(aws, settings, sensor, missing):
    aws("s3").put_object(Bucket=settings.raw_bucket, Key="orders/ds=2024-05-05/part 1.csv.gz", Body=b"x")
    assert sensor("2024-05-05", missing).execute(run_on("2024-05-05")) is None


def test_a_file_of_another_ending_ends_the_wait_so_that_its_staging_fails_and_a_marker_does_not(aws, settings, sensor):
    for name in ("_SUCCESS", ".orders.csv.part", "_temporary/0/part-0.csv"):
        aws("s3").put_object(Bucket=settings.raw_bucket, Key=f"orders/ds=2024-05-06/{name}", Body=b"x")
    with pytest.raises(AirflowSkipException):
        sensor("2024-05-06", "skip").execute(run_on("2024-05-06"))
    aws("s3").put_object(Bucket=settings.raw_bucket, Key="orders/ds=2024-05-06/ORDERS.CSV", Body=b"x")
    assert sensor("2024-05-06", "skip").execute(run_on("2024-05-06")) is None


def test_a_date_that_is_long_over_is_skipped_at_once_and_says_why(sensor):
    with pytest.raises(AirflowSkipException, match=r"no file at s3://.*orders/ds=2024-01-06/.*expected on 2024-01-07"):
        sensor("2024-01-06", "skip").execute(run_on("2024-01-06"))


@pytest.mark.parametrize(
    ("ds", "missing"), [(TODAY, "skip"), (TODAY + timedelta(days=2), "skip"), (TODAY, "fail"), ("2024-01-06", "fail")]
)
def test_a_file_that_may_still_come_is_waited_for_within_bounds(sensor, ds, missing):
    with pytest.raises(TaskDeferred) as deferral:
        sensor(ds, missing).execute(run_on(ds))
    assert deferral.value.timeout == timedelta(hours=6)


@pytest.mark.parametrize(
    ("missing", "outcome", "message"),
    [("skip", AirflowSkipException, "after 6 h.*to skip"), ("fail", AirflowSensorTimeout, "after 6 h.*clear this")],
)
def test_the_contract_says_what_the_end_of_the_wait_means(sensor, missing, outcome, message):
    with pytest.raises(outcome, match=message):
        sensor(TODAY, missing).resume_execution(**OVER_THE_TIME, context=run_on(TODAY))


def test_what_cannot_be_looked_for_is_not_skipped(sensor):
    with pytest.raises(TaskDeferralError):
        sensor(TODAY, "skip").resume_execution("__fail__", {"error": "Trigger failure"}, run_on(TODAY))
    foreign = sensor("2024-01-06", "skip")
    foreign.bucket_key = "s3://somebody-elses/orders/ds=2024-01-06/[!_.]*"
    with pytest.raises(Exception, match=r"(?i)denied|exist|forbidden"):
        foreign.execute(run_on("2024-01-06"))


def test_files_are_expected_when_both_the_day_and_its_interval_are_over():
    scheduled = {"ds": "2025-06-30", "run_id": "a-run"}
    early, late = (datetime(2025, 7, 1, hour, tzinfo=UTC) for hour in (0, 6))
    assert expected_since(run_on("2025-06-30")) == early
    assert expected_since({**scheduled, "data_interval_end": late}) == late
    assert expected_since({**scheduled, "data_interval_end": early - timedelta(hours=18)}) == early
    assert expected_since({**run_on("2025-06-30"), "data_interval_end": late}) == early


def test_a_run_on_a_day_without_a_file_succeeds_skipping_all_and_starts_no_worker(aws, outputs, settings, tmp_path):
    environment = {
        **os.environ,
        **outputs,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }

    def airflow(*words):
        return subprocess.run(
            [sys.executable, "-m", "airflow", *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
        )

    assert airflow("db", "migrate").returncode == 0
    instances = {"InstanceIds": [settings.worker_instance_id]}
    before = aws("ec2").describe_instances(**instances)["Reservations"][0]["Instances"][0]["State"]["Name"]
    run = airflow("dags", "test", "ingest_online_retail", "2010-12-25")
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "there is no file at s3://" in run.stdout + run.stderr
    database = sqlite3.connect(tmp_path / "airflow.db")
    assert database.execute("SELECT state FROM dag_run").fetchall() == [("success",)]
    states = dict(database.execute("SELECT task_id, state FROM task_instance"))
    assert set(states) >= {"wait_for_raw", "start_worker", "validate", "stop_worker", "publish"}
    assert states.pop("stop_worker") == "success", "it looks whether there is anything to give back"
    assert set(states.values()) == {"skipped"}
    after = aws("ec2").describe_instances(**instances)["Reservations"][0]["Instances"][0]["State"]["Name"]
    assert after == before
