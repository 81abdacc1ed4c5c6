"""Waiting for files that come, that do not, and that should have come long ago."""

import asyncio
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferralError,
    TaskDeferred,
)
from contract.dataset import Complete, Wait, load_contract
from lake.paths import Paths
from lake.sensors.raw_files import RawFilesSensor, expected_since

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACT = load_contract(REPOSITORY / "include" / "datasets" / "orders.yaml")
OVER_THE_TIME = {"next_method": "__fail__", "next_kwargs": {"error": "Trigger timeout"}}
TODAY = datetime.now(UTC).date()


@pytest.fixture
def sensor(settings):
    def make(ds, missing, **complete):
        wait = Wait(timeout_hours=6, missing=missing, complete=Complete(**complete) if complete else None)
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


def fires(deferral, seconds=2):
    """Whether the trigger of a deferred task fires within that time."""

    async def look():
        try:
            event = await asyncio.wait_for(anext(deferral.value.trigger.run()), seconds)
        except TimeoutError:
            return False
        return event.payload == {"status": "success"}

    return asyncio.run(look())


@pytest.mark.parametrize("name", ["", "incoming/", "incoming/deep/", "incoming/.part/orders.csv", "incoming/_SUCCESS"])
def test_what_staging_ignores_ends_no_wait_neither_at_its_start_nor_later(aws, settings, sensor, name):
    folder = {"Bucket": settings.raw_bucket, "Key": f"orders/ds={TODAY}/{name}"}
    aws("s3").put_object(**folder, Body=b"" if not name or name.endswith("/") else b"x")
    waiting = sensor(TODAY, "fail")
    waiting.poke_interval = 0.2
    with pytest.raises(TaskDeferred) as deferral:
        waiting.execute(run_on(TODAY))
    assert not fires(deferral)
    aws("s3").put_object(Bucket=settings.raw_bucket, Key=f"orders/ds={TODAY}/incoming/a.csv", Body=b"x")
    assert fires(deferral, seconds=20)
    for key in (folder["Key"], f"orders/ds={TODAY}/incoming/a.csv"):
        aws("s3").delete_object(Bucket=settings.raw_bucket, Key=key)


def test_a_name_that_staging_refuses_ends_the_wait_so_that_somebody_is_told(aws, settings, sensor):
    aws("s3").put_object(Bucket=settings.raw_bucket, Key="orders/ds=2024-05-07//orders.csv", Body=b"x")
    assert sensor("2024-05-07", "fail").execute(run_on("2024-05-07")) is None


@pytest.mark.parametrize(
    ("complete", "lacks", "last"),
    [
        ({"files": 2}, "only 1 of at least 2 files are there", "b.csv"),
        ({"marker": "_DONE"}, "the marker _DONE is missing", "_DONE"),
        ({"settled_minutes": 1}, "no 1 min have passed since the last file", None),
    ],
)
def test_a_date_is_read_when_its_files_are_complete(aws, settings, sensor, complete, lacks, last):
    def put(name):
        aws("s3").put_object(Bucket=settings.raw_bucket, Key=f"orders/ds={TODAY}/{name}", Body=b"x")

    # A file that never becomes complete is an error, even where a date without files is skipped.
    waiting = sensor(TODAY, "skip", **complete)
    waiting.poke_interval = 0.2
    put("a.csv")
    put("_OTHER")
    with pytest.raises(TaskDeferred) as deferral:
        waiting.execute(run_on(TODAY))
    assert deferral.value.timeout == timedelta(hours=6)
    assert not fires(deferral)
    said = rf"are not complete after 6 h: {lacks}.* There: a\.csv\. Bring what is missing"
    with pytest.raises(AirflowSensorTimeout, match=said):
        waiting.resume_execution(**OVER_THE_TIME, context=run_on(TODAY))
    if last:
        put(last)
        assert fires(deferral, seconds=20)
        assert waiting.resume_execution(**OVER_THE_TIME, context=run_on(TODAY)) is None
    for name in ("a.csv", "_OTHER", last or "a.csv"):
        aws("s3").delete_object(Bucket=settings.raw_bucket, Key=f"orders/ds={TODAY}/{name}")


def test_of_a_date_long_over_only_settling_is_waited_for(aws, settings, sensor):
    aws("s3").put_object(Bucket=settings.raw_bucket, Key="orders/ds=2024-05-08/a.csv", Body=b"x")
    for complete in ({"files": 2}, {"marker": "_DONE"}):
        with pytest.raises(AirflowFailException, match=r"not complete though it was expected on 2024-05-09"):
            sensor("2024-05-08", "skip", **complete).execute(run_on("2024-05-08"))
    with pytest.raises(TaskDeferred):
        sensor("2024-05-08", "skip", settled_minutes=5).execute(run_on("2024-05-08"))


@pytest.mark.parametrize(("missing", "outcome"), [("skip", AirflowSkipException), ("fail", AirflowFailException)])
def test_a_date_that_is_long_over_ends_at_once_and_says_why(sensor, missing, outcome):
    said = r"no file to load at s3://.*orders/ds=2024-01-06/.*expected on 2024-01-07 .* more than the wait of 6 h ago"
    with pytest.raises(outcome, match=said):
        sensor("2024-01-06", missing).execute(run_on("2024-01-06"))


@pytest.mark.parametrize(("ds", "missing"), [(TODAY, "skip"), (TODAY + timedelta(days=2), "skip"), (TODAY, "fail")])
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
    foreign.bucket_key = "s3://somebody-elses/orders/ds=2024-01-06/*"
    with pytest.raises(Exception, match=r"(?i)denied|exist|forbidden"):
        foreign.execute(run_on("2024-01-06"))


def test_files_are_expected_when_both_the_day_and_its_interval_are_over():
    scheduled = {"ds": "2025-06-30", "run_id": "a-run"}
    early, late = (datetime(2025, 7, 1, hour, tzinfo=UTC) for hour in (0, 6))
    assert expected_since(run_on("2025-06-30")) == early
    assert expected_since({**scheduled, "data_interval_end": late}) == late
    assert expected_since({**scheduled, "data_interval_end": early - timedelta(hours=18)}) == early
    assert expected_since({**run_on("2025-06-30"), "data_interval_end": late}) == early


def test_a_day_without_a_file_succeeds_skipping_all_and_starts_no_worker(aws, airflow_command, settings, tmp_path):
    instances = {"InstanceIds": [settings.worker_instance_id]}
    before = aws("ec2").describe_instances(**instances)["Reservations"][0]["Instances"][0]["State"]["Name"]
    run = airflow_command("dags", "test", "ingest_online_retail", "2010-12-25")
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "there is no file to load at s3://" in run.stdout + run.stderr
    database = sqlite3.connect(tmp_path / "airflow.db")
    assert database.execute("SELECT state FROM dag_run").fetchall() == [("success",)]
    states = dict(database.execute("SELECT task_id, state FROM task_instance"))
    assert set(states) >= {"wait_for_raw", "start_worker", "validate", "stop_worker", "publish"}
    assert states.pop("stop_worker") == "success", "it looks whether there is anything to give back"
    assert set(states.values()) == {"skipped"}
    after = aws("ec2").describe_instances(**instances)["Reservations"][0]["Instances"][0]["State"]["Name"]
    assert after == before
