"""Starting, sharing and stopping the worker, and what it runs."""

import json
import threading
import time
from dataclasses import replace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from botocore.exceptions import ClientError
from lake import patience
from lake.lease import WorkerLease
from lake.operators import worker_job
from lake.operators.snapshot_volume import SnapshotVolumeOperator
from lake.operators.start_worker import LEASE_SECONDS, StartWorkerOperator
from lake.operators.stop_worker import StopWorkerOperator
from lake.operators.worker_job import WorkerJobOperator
from lake.worker import Worker

from tests.waiting import eventually


@pytest.fixture(scope="module", autouse=True)
def stopped_worker(aws, outputs):
    """The worker as it is between runs: a deployment leaves it running."""
    ec2, instances = aws("ec2"), [outputs["LAKE_WORKER_INSTANCE_ID"]]
    ec2.stop_instances(InstanceIds=instances)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=instances, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def state(aws, settings):
    answer = aws("ec2").describe_instances(InstanceIds=[settings.worker_instance_id])
    return answer["Reservations"][0]["Instances"][0]["State"]["Name"]


def start(settings, run_name, context, **states):
    StartWorkerOperator(task_id="start_worker", settings=settings, run_name=run_name).execute(
        context("start_worker", **states)
    )


def stop(settings, run_name, context):
    StopWorkerOperator(task_id="stop_worker", settings=settings, run_name=run_name).execute(context("stop_worker"))


def holders(aws, settings):
    record = aws("s3").get_object(Bucket=settings.artifacts_bucket, Key=f"leases/{settings.worker_instance_id}.json")
    lease = json.load(record["Body"])
    assert lease["stopping"] is None
    return {name.removeprefix("ingest_orders/"): end - time.time() for name, end in lease["holders"].items()}


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


class Killed(BaseException):
    """Ends a task as SIGKILL does: nothing of it runs afterwards."""


@pytest.mark.parametrize("moment", ["before it begins", "before the lease", "before the start", "while it waits"])
def test_a_start_that_is_killed_leaves_neither_lease_nor_instance(aws, settings, context, monkeypatch, moment):
    def killed(*_args, **_options):
        raise Killed

    if moment != "before it begins":
        where = {
            "before the lease": (WorkerLease, "acquire"),
            "before the start": (Worker, "_start"),
            "while it waits": (patience.time, "sleep"),
        }[moment]
        with monkeypatch.context() as patched:
            patched.setattr(*where, killed)
            with pytest.raises(Killed):
                start(settings, "one", context)
    assert state(aws, settings) in (["pending", "running"] if moment == "while it waits" else ["stopped"])
    stop(settings, "one", context)
    assert state(aws, settings) == "stopped"
    assert holders(aws, settings) == {}


@pytest.mark.parametrize("stop_worker", ["running", "success"])
def test_a_start_that_was_marked_as_failed_starts_nothing_after_stop_worker(aws, settings, context, stop_worker):
    with pytest.raises(AirflowException, match="was marked as failed while it waited for worker"):
        start(settings, "one", context, state="failed", stop_worker=stop_worker)
    assert (state(aws, settings), holders(aws, settings)) == ("stopped", {})


def test_a_start_whose_process_is_lost_holds_the_worker_for_a_short_while(aws, settings, context):
    start(settings, "one", context)
    assert 0 < holders(aws, settings)["one"] <= LEASE_SECONDS <= 1200
    stop(settings, "one", context)


def test_a_start_while_the_worker_is_stopping_waits_and_starts_it(aws, settings, context):
    start(settings, "one", context)
    stopping = threading.Thread(target=stop, args=(settings, "one", context))
    stopping.start()
    start(settings, "two", context)
    stopping.join()
    assert state(aws, settings) == "running"
    stop(settings, "two", context)


@pytest.fixture
def no_capacity(localaws):
    """Have the local AWS run out of instance types."""
    file = localaws.state / "no-capacity"

    def run_out_of(*types):
        file.write_text("\n".join(types))

    yield run_out_of
    file.unlink(missing_ok=True)


def test_a_start_without_capacity_gives_the_slot_back_and_is_tried_again_until_its_bound(
    settings, context, no_capacity, monkeypatch
):
    monkeypatch.setattr(patience, "IN_PLACE_SECONDS", 0)
    no_capacity("m7i.large")
    operator = StartWorkerOperator(task_id="start_worker", settings=settings, run_name="one")
    assert operator.timeout == 3600
    with pytest.raises(TaskDeferred) as deferral:
        operator.execute(context("start_worker"))
    since = deferral.value.kwargs["since"]
    json.dumps(deferral.value.kwargs)
    assert deferral.value.timeout.total_seconds() > 3600
    resumed = getattr(operator, deferral.value.method_name)
    with pytest.raises(
        AirflowFailException, match=r"is stopped, as AWS has no capacity for m7i.large in its zone after 3600 s"
    ):
        resumed(context("start_worker"), None, since - 3601)
    no_capacity()
    monkeypatch.setattr(patience, "IN_PLACE_SECONDS", 60)
    resumed(context("start_worker"), None, since)
    stop(settings, "one", context)


def test_a_start_without_capacity_takes_another_type_and_later_its_own(aws, outputs, settings, context, no_capacity):
    def instance_type():
        answer = aws("ec2").describe_instances(InstanceIds=[settings.worker_instance_id])
        return answer["Reservations"][0]["Instances"][0]["InstanceType"]

    types = ["m7i.large", "m6i.large", "m5.large"]
    role = outputs["LAKE_AIRFLOW_ROLE_ARN"].rpartition("/")[2]
    policy = aws("iam").get_role_policy(RoleName=role, PolicyName="worker")["PolicyDocument"]
    (statement,) = [one for one in policy["Statement"] if one["Sid"] == "ChangeWorkerType"]
    statement["Condition"]["StringEquals"]["ec2:Attribute/InstanceType"] = types
    aws("iam").put_role_policy(RoleName=role, PolicyName="worker", PolicyDocument=json.dumps(policy))
    several = replace(settings, worker_instance_types=",".join(types))
    no_capacity("m7i.large", "m6i.large")
    start(several, "one", context)
    assert instance_type() == "m5.large"
    stop(several, "one", context)
    no_capacity()
    start(several, "one", context)
    assert instance_type() == "m7i.large"
    stop(several, "one", context)


def test_a_job_holds_the_worker_by_its_own_bound_whatever_became_of_the_start(aws, settings, context, monkeypatch):
    monkeypatch.setattr("lake.operators.start_worker.LEASE_SECONDS", 0.001)
    start(settings, "one", context)
    with pytest.raises(TaskDeferred):
        job(settings, "slow", run_name="one", defer_after=1, timeout=7200).execute(context("slow"))
    assert holders(aws, settings)["one"] > 7200
    start(settings, "two", context)
    stop(settings, "two", context)
    assert state(aws, settings) == "running"
    stop(settings, "one", context)


def test_a_job_whose_worker_does_not_run_starts_it(aws, settings, context):
    with pytest.raises(AirflowException, match="the disk is full"):
        job(settings, "crash").execute(context("crash"))
    assert state(aws, settings) == "running", "stop_worker of the run is yet to come"
    stop(settings, "a-run", context)
    assert (state(aws, settings), holders(aws, settings)) == ("stopped", {})


@pytest.mark.parametrize("others", [[], ["two"]])
def test_a_job_that_nobody_stops_the_worker_after_gives_it_back_itself(aws, settings, context, others):
    for run_name in others:
        start(settings, run_name, context)
    with pytest.raises(AirflowException, match="the disk is full"):
        job(settings, "crash").execute(context("crash", stop_worker="success"))
    assert list(holders(aws, settings)) == others
    assert state(aws, settings) in (["running"] if others else ["stopping", "stopped"])
    for run_name in others:
        stop(settings, run_name, context)
    eventually(lambda: state(aws, settings) == "stopped")


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
def test_a_snapshot_waits_while_the_volume_has_as_many_pending_as_it_may(aws, settings, context):
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


def test_memory_that_ran_out_twice_is_not_tried_a_third_time(aws, settings, context, running_worker):
    any_type = replace(settings, worker_instance_types="")

    def tried():
        with pytest.raises(AirflowException, match="memory ran out") as failure:
            job(any_type, "hungry", run_name="hungry").execute(context("hungry"))
        return failure.value

    assert not isinstance(tried(), AirflowFailException)
    second = tried()
    assert isinstance(second, AirflowFailException)
    for told in ("twice on m7i.large", "WorkerInstanceType", "clear the task", "exit code 71"):
        assert told in str(second)
    ec2, instances = aws("ec2"), [running_worker]
    ec2.stop_instances(InstanceIds=instances)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=instances, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    ec2.modify_instance_attribute(InstanceId=running_worker, InstanceType={"Value": "m7i.xlarge"})
    try:
        assert not isinstance(tried(), AirflowFailException), "with more memory it is another try"
    finally:
        ec2.stop_instances(InstanceIds=instances)
        ec2.get_waiter("instance_stopped").wait(InstanceIds=instances, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        ec2.modify_instance_attribute(InstanceId=running_worker, InstanceType={"Value": "m7i.large"})


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
