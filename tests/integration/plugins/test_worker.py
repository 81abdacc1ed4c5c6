"""Starting, sharing and stopping the worker, and what it runs."""

import json
import threading

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from botocore.exceptions import ClientError
from lake.lease import WorkerLease
from lake.operators import snapshot_volume, worker_job
from lake.operators.snapshot_volume import SnapshotVolumeOperator
from lake.operators.start_worker import StartWorkerOperator
from lake.operators.stop_worker import StopWorkerOperator
from lake.operators.worker_job import WorkerJobOperator

from tests.waiting import eventually


def state(aws, settings):
    answer = aws("ec2").describe_instances(InstanceIds=[settings.worker_instance_id])
    return answer["Reservations"][0]["Instances"][0]["State"]["Name"]


def start(settings, holder, context):
    StartWorkerOperator(
        task_id="start_worker", instance_id=settings.worker_instance_id, bucket=settings.artifacts_bucket, holder=holder
    ).execute(context("start_worker"))


def stop(settings, holder, context):
    StopWorkerOperator(
        task_id="stop_worker", instance_id=settings.worker_instance_id, bucket=settings.artifacts_bucket, holder=holder
    ).execute(context("stop_worker"))


def job(settings, name, run_name="a-run", **options):
    arguments = options.pop("arguments", {})
    return WorkerJobOperator(
        task_id=name,
        settings=settings,
        job=name,
        program="python",
        arguments=arguments,
        run_name=run_name,
        manifest=f"s3://{settings.artifacts_bucket}/manifests/orders/ds=2025-06-30/run={run_name}/{name}.json",
        **options,
    )


def test_the_worker_stops_with_its_last_user(aws, settings, context):
    start(settings, "one", context)
    start(settings, "two", context)
    assert state(aws, settings) == "running"
    stop(settings, "one", context)
    assert state(aws, settings) == "running"
    stop(settings, "two", context)
    assert state(aws, settings) == "stopped"
    stop(settings, "two", context)
    assert state(aws, settings) == "stopped"


def test_a_worker_that_does_not_start_is_given_back(aws, settings, context):
    absent = StartWorkerOperator(
        task_id="start_worker", instance_id="i-0123456789abcdef0", bucket=settings.artifacts_bucket, holder="one"
    )
    with pytest.raises(ClientError):
        absent.execute(context("start_worker"))
    record = aws("s3").get_object(Bucket=settings.artifacts_bucket, Key="leases/i-0123456789abcdef0.json")
    lease = json.load(record["Body"])
    assert (lease["holders"], lease["stopping"]) == ({}, None)


def assert_given_back(aws, settings):
    record = aws("s3").get_object(Bucket=settings.artifacts_bucket, Key=f"leases/{settings.worker_instance_id}.json")
    lease = json.load(record["Body"])
    assert (lease["holders"], lease["stopping"]) == ({}, None)
    eventually(lambda: state(aws, settings) == "stopped")


def test_a_start_that_is_marked_as_failed_before_its_end_gives_the_worker_back(aws, settings, context):
    operator = StartWorkerOperator(
        task_id="start_worker", instance_id=settings.worker_instance_id, bucket=settings.artifacts_bucket, holder="one"
    )
    with pytest.raises(AirflowException, match="was marked as failed while it started worker"):
        operator.execute(context("start_worker", state="failed"))
    assert_given_back(aws, settings)


@pytest.mark.parametrize("step", ["acquire", "_start"])
def test_a_start_that_is_killed_gives_the_worker_back(aws, settings, context, monkeypatch, step):
    operator = StartWorkerOperator(
        task_id="start_worker", instance_id=settings.worker_instance_id, bucket=settings.artifacts_bucket, holder="one"
    )
    patched = operator if step == "_start" else WorkerLease
    original = getattr(patched, step)

    def killed_when_done(*args, **kwargs):
        original(*args, **kwargs)
        operator.on_kill()  # as Airflow's handler of SIGTERM does, in the midst of execute()

    monkeypatch.setattr(patched, step, killed_when_done)
    with pytest.raises(SystemExit, match="killed while it started worker"):
        operator.execute(context("start_worker"))
    assert_given_back(aws, settings)
    operator.on_kill()  # after the end, as Airflow does when a task has timed out: its own error must stand


def test_a_start_while_the_worker_is_stopping_waits_and_starts_it(aws, settings, context):
    start(settings, "one", context)
    stopping = threading.Thread(target=stop, args=(settings, "one", context))
    stopping.start()
    start(settings, "two", context)
    stopping.join()
    assert state(aws, settings) == "running"
    stop(settings, "two", context)


@pytest.mark.usefixtures("running_worker")
def test_a_job_returns_its_manifest(aws, settings, context):
    aws("s3").put_object(
        Bucket=settings.raw_bucket,
        Key="orders/ds=2025-06-30/orders.csv",
        Body=b"OrderID,Customer,Amount,Status,OrderDate\nO1,Ann,1.00,shipped,2025-06-30\n",
    )
    stage = job(
        settings,
        "stage_raw",
        arguments={
            "dataset": "orders",
            "ds": "2025-06-30",
            "run": "a-run",
            "raw": f"s3://{settings.raw_bucket}/orders/ds=2025-06-30/",
            "staged": "file://${LAKE_DATA_DIR}/orders/ds=2025-06-30/run=a-run/raw/",
        },
    )
    manifest = stage.execute(context("stage_raw"))
    assert [file["name"] for file in manifest["files"]] == ["orders.csv"]

    snapshot = SnapshotVolumeOperator(
        task_id="snapshot_raw",
        volume_id=settings.worker_data_volume_id,
        staged_manifest=stage.manifest,
        tags={"lake": settings.name, "dataset": "orders", "ds": "2025-06-30", "run": "a-run"},
    )
    snapshot_id = snapshot.execute(context("snapshot_raw"))
    described = aws("ec2").describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]
    assert described["State"] == "completed"
    tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
    assert tags["dataset"] == "orders"
    assert len(tags["staged"]) == 64
    assert snapshot.execute(context("snapshot_raw")) == snapshot_id, "the same content is not snapshotted twice"


@pytest.mark.usefixtures("running_worker")
def test_a_snapshot_waits_while_the_volume_has_as_many_pending_as_it_may(aws, settings, context, monkeypatch):
    monkeypatch.setattr(snapshot_volume, "TOO_MANY_SECONDS", 0.2)
    manifest = f"s3://{settings.artifacts_bucket}/manifests/orders/ds=2025-06-30/run=busy/stage_raw.json"
    files = [{"sha256": "0" * 64, "key": "orders/ds=2025-06-30/orders.csv"}]
    aws("s3").put_object(
        Bucket=settings.artifacts_bucket, Key=manifest.split("/", 3)[3], Body=json.dumps({"files": files}).encode()
    )
    volume = settings.worker_data_volume_id
    for _ in range(5):
        aws("ec2").create_snapshot(VolumeId=volume)
    with pytest.raises(ClientError, match="ConcurrentSnapshotLimitExceeded"):
        aws("ec2").create_snapshot(VolumeId=volume)
    tags = {"lake": settings.name, "dataset": "orders", "ds": "2025-06-30", "run": "busy"}
    operator = SnapshotVolumeOperator(task_id="snapshot_raw", volume_id=volume, staged_manifest=manifest, tags=tags)
    made = operator.execute(context("snapshot_raw"))
    assert aws("ec2").describe_snapshots(SnapshotIds=[made])["Snapshots"][0]["State"] == "completed"


@pytest.mark.usefixtures("running_worker")
def test_data_at_fault_fails_without_retry_and_names_the_file(settings, context):
    stage = job(
        settings,
        "stage_raw",
        arguments={
            "dataset": "orders",
            "ds": "1999-01-01",
            "run": "a-run",
            "raw": f"s3://{settings.raw_bucket}/orders/ds=1999-01-01/",
            "staged": "file://${LAKE_DATA_DIR}/orders/ds=1999-01-01/run=a-run/raw/",
        },
    )
    with pytest.raises(AirflowFailException, match=r"there is no raw file under s3://.*ds=1999-01-01"):
        stage.execute(context("stage_raw"))


@pytest.mark.usefixtures("running_worker")
def test_a_crash_is_worth_a_retry_and_says_why(settings, context):
    with pytest.raises(
        AirflowException, match=r"the disk is full \[Failed, exit code 1; full output: s3://"
    ) as failure:
        job(settings, "crash").execute(context("crash"))
    assert not isinstance(failure.value, AirflowFailException)


@pytest.mark.usefixtures("running_worker")
def test_the_reason_is_found_behind_more_output_than_ssm_keeps(settings, context):
    with pytest.raises(AirflowFailException, match="said at the very end"):
        job(settings, "talkative").execute(context("talkative"))


@pytest.mark.usefixtures("running_worker")
def test_a_retry_waits_for_the_command_that_still_runs(settings, context):
    first, second = (job(settings, "slow", run_name="attach", defer_after=1) for _ in range(2))
    for attempt in (first, second):
        with pytest.raises(TaskDeferred):
            attempt.execute(context("slow"))
    assert first.command_id == second.command_id
    second.on_kill()


def test_a_killed_task_cancels_its_command(aws, settings, context, running_worker):
    slow = job(settings, "slow", run_name="kill", defer_after=1)
    with pytest.raises(TaskDeferred) as deferral:
        slow.execute(context("slow"))
    slow.on_kill()
    sent = {"CommandId": slow.command_id, "InstanceId": running_worker}
    eventually(lambda: aws("ssm").get_command_invocation(**sent)["Status"] == "Cancelled")
    assert deferral.value.trigger.command_id == slow.command_id
    json.dumps(deferral.value.trigger.serialize())


def test_code_that_is_not_deployed_fails_at_once_and_says_how_to_deploy_it(settings, context, monkeypatch):
    monkeypatch.setattr(worker_job, "digest_of_this_process", lambda: "a" * 64)
    # Before anything is asked of the worker, which does not even run.
    with pytest.raises(AirflowFailException, match=r"code/a{64}\.zip: .* are not deployed.*`make deploy`.*`make up`"):
        job(settings, "stage_raw").execute(context("stage_raw"))


def test_a_worker_that_does_not_run_is_named(settings, context):
    with pytest.raises(AirflowException, match=r"is stopped: task start_worker starts it"):
        job(settings, "crash").execute(context("crash"))
