"""The real template deployed to a local AWS, and Airflow's connection to it, under Airflow's own role."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
WORKER = REPOSITORY / ".venvs" / "worker"

# As in `.local/env`; the provider reads it when it is imported.
os.environ["AIRFLOW__AWS__SESSION_FACTORY"] = "lake.session_factory.SessionFactory"


@pytest.fixture(scope="session")
def localaws(start_localaws, tmp_path_factory):
    """A local AWS whose instances find the worker's environment, and stand-ins for slow and failing jobs."""
    instance = {
        "PATH": f"{Path(__file__).parent / 'bin'}:{WORKER / 'bin'}:{os.environ['PATH']}",
        "LAKE_WORKER_VENV": str(WORKER),
        "LAKE_WORKER_HOME": str(tmp_path_factory.mktemp("worker")),
        "REAL_LAKE_WORKER": str(REPOSITORY / "infra" / "worker" / "lake-worker"),
    }
    return start_localaws(LOCALAWS_INSTANCE_ENV=json.dumps(instance))


@pytest.fixture(scope="session")
def aws(localaws):
    """`aws("s3")` is a boto3 client of the local AWS, as its administrator."""
    return localaws.client


@pytest.fixture(scope="session")
def outputs(localaws, tmp_path_factory):
    """The outputs of the deployed stack, as LAKE_ variables."""
    folder = tmp_path_factory.mktemp("deploy")
    (folder / "requirements.txt").write_text("")
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY / "plugins"),
        "AWS_ENDPOINT_URL": localaws.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    command = [sys.executable, "-m", "infra.deploy", "deploy", "--stack", "lake"]
    command += ["--environment-file", str(folder / "env"), "--requirements", str(folder / "requirements.txt")]
    result = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = (line.removeprefix("export ") for line in (folder / "env").read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line.startswith("LAKE_"))
    return {name: value.strip("'\"") for name, _, value in pairs}


@pytest.fixture
def settings(outputs, localaws, monkeypatch):
    """The lake's settings, with Airflow's connection under Airflow's role."""
    from lake.settings import Settings

    connection = {"conn_type": "aws", "extra": {"role_arn": outputs["LAKE_AIRFLOW_ROLE_ARN"]}}
    for name, value in {
        "AWS_ENDPOINT_URL": localaws.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
    }.items():
        monkeypatch.setenv(name, value)
    return Settings.from_environment(outputs)


@pytest.fixture
def context():
    """What operators here read of a task's context; each test is a run of its own."""
    run_id = f"manual__{uuid.uuid4().hex}"

    def make(task_id, state="running", stop_worker=None):
        ti = SimpleNamespace(dag_id="ingest_orders", task_id=task_id, try_number=1, xcom_push=lambda **_: None)
        states = {task_id: state, "stop_worker": stop_worker}
        ti.get_task_states = lambda *, task_ids, **_: {run_id: {name: states[name] for name in task_ids}}
        return {"ti": ti, "task_instance": ti, "run_id": run_id, "ds": "2025-06-30", "params": {}}

    return make


@pytest.fixture
def running_worker(aws, settings):
    """The worker, running; stopped again afterwards."""
    ec2, instances = aws("ec2"), [settings.worker_instance_id]
    ec2.start_instances(InstanceIds=instances)
    ec2.get_waiter("instance_running").wait(InstanceIds=instances, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    yield settings.worker_instance_id
    ec2.stop_instances(InstanceIds=instances)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=instances, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


@pytest.fixture(scope="module")
def hooks():
    """Airflow's clients by service and connection: making one takes longer than what a task here does with it."""
    return {}


@pytest.fixture
def shared_clients(monkeypatch, hooks):
    """Let the hooks of all tasks of a test share their clients."""
    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

    make = AwsGenericHook.get_client_type

    def client(hook, *arguments, **options):
        if options.get("deferrable"):
            return make(hook, *arguments, **options)
        who = (hook.client_type, hook.aws_conn_id)
        if who not in hooks:
            hooks[who] = make(hook, *arguments, **options)
        return hooks[who]

    monkeypatch.setattr(AwsGenericHook, "get_client_type", client)


@pytest.fixture
def lake(aws, settings, context, monkeypatch, shared_clients):  # noqa: ARG001 - it must be in place
    """The part of the lake that publishes, without a date."""
    from tests.integration.plugins.publishing import Lake

    for module in ("lake.catalog", "lake.operators.mart", "lake.tables"):
        monkeypatch.setattr(f"{module}.POLL_SECONDS", 0.02)
    monkeypatch.setattr("lake.patience.SHORTEST_PAUSE", 0.02)
    made = Lake(aws, settings, context)
    made.clear()
    yield made
    made.clear()


@pytest.fixture
def inbox(aws, settings):
    """The messages that the alert topic sends from now on."""
    sqs, sns, topic = aws("sqs"), aws("sns"), settings.alert_topic_arn
    queue = sqs.create_queue(QueueName="digests-of-this-test")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sender = {"Principal": {"Service": "sns.amazonaws.com"}, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn, **sender}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]

    def received():
        messages = []
        while found := sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2).get("Messages", []):
            messages += [json.loads(message["Body"]) for message in found]
            for message in found:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return messages

    yield received
    sns.unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=queue)


@pytest.fixture
def airflow_command(outputs, settings, tmp_path):  # noqa: ARG001 - the connection must be set
    """Runs the command `airflow` of this lake, with a metadata database of its own in `tmp_path`."""
    environment = {
        **os.environ,
        **outputs,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "airflow", *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    assert run("db", "migrate").returncode == 0
    return run
