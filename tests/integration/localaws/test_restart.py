"""What a stop, a crash and a damaged file leave behind: the same state, no process, and a message."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.waiting import eventually


def processes_of(server):
    """Processes that work below a server's state folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            variables = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            continue
        if alive and str(server.state).encode() in variables:
            found.append(int(entry.name))
    return found


def machine_processes(server):
    """The machines that a server has started."""
    children = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    return [int(pid) for task in children for pid in task.read_text().split()]


@pytest.fixture
def server(make_localaws):
    return make_localaws()


def populate(server, make_worker):
    """A stopped worker, one that runs a command, a snapshot, and what other services keep; returns what to look for."""
    aws = server.client
    aws("s3").create_bucket(Bucket="kept")
    aws("s3").put_object(Bucket="kept", Key="a/b", Body=b"object")
    aws("sqs").create_queue(QueueName="kept")
    aws("logs").create_log_group(logGroupName="kept")
    step = {"action": "aws:runShellScript", "name": "work", "inputs": {"runCommand": ["true"]}}
    aws("ssm").create_document(Name="kept", Content=json.dumps({"schemaVersion": "2.2", "mainSteps": [step]}))
    stopped, running = make_worker(server), make_worker(server)
    (stopped.data / "file").write_text("in a volume")
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "ds", "Value": "2025-06-30"}]}]
    snapshot = aws("ec2").create_snapshot(VolumeId=stopped.volume_id, TagSpecifications=tags)["SnapshotId"]
    aws("ec2").stop_instances(InstanceIds=[stopped.instance_id])
    eventually(lambda: stopped.state() == "stopped")
    running.wait_online()
    done = running.run("echo done")["CommandId"]
    command = running.send("echo begun; setsid sleep 300 & sleep 300; wait")
    eventually(lambda: running.invocation(command)["Status"] == "InProgress")
    stdout = server.state / "commands" / command / running.instance_id / "stdout"
    eventually(lambda: stdout.exists() and stdout.read_text())
    for service, name in (("ssm", command), ("ec2", snapshot), ("sqs", "kept"), ("cloudwatch_logs", "kept")):
        eventually(lambda service=service, name=name: name in server.saved(service))
    return stopped, running, snapshot, done, command


def check_everything_is_there(server, populated):
    stopped, running, snapshot, done, command = populated
    aws = server.client
    assert aws("s3").get_object(Bucket="kept", Key="a/b")["Body"].read() == b"object"
    assert aws("sqs").get_queue_url(QueueName="kept")
    assert [one["logGroupName"] for one in aws("logs").describe_log_groups()["logGroups"]] == ["kept"]
    assert aws("ssm").describe_document(Name="kept")["Document"]["DefaultVersion"] == "1"
    assert stopped.state() == "stopped"
    assert (stopped.data / "file").read_text() == "in a volume"
    found = aws("ec2").describe_snapshots(Filters=[{"Name": "tag:ds", "Values": ["2025-06-30"]}])["Snapshots"]
    assert [(one["SnapshotId"], one["State"]) for one in found] == [(snapshot, "completed")]

    assert running.invocation(done)["StandardOutputContent"] == "done\n"
    lost = running.invocation(command)
    assert (lost["Status"], lost["StatusDetails"], lost["StandardOutputContent"]) == ("Failed", "Terminated", "begun\n")
    assert "The instance was lost while the command ran." in lost["StandardErrorContent"]
    assert aws("ssm").list_commands(CommandId=command)["Commands"][0]["Status"] == "Failed"
    assert running.state() == "running"
    running.wait_online()
    assert running.run("echo again")["StandardOutputContent"] == "again\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_keeps_everything_and_leaves_no_process(server, make_worker, number):
    populated = populate(server, make_worker)
    server.stop(number)
    assert server.process.returncode == 0
    assert processes_of(server) == []
    server.start()
    check_everything_is_there(server, populated)


def test_a_crash_keeps_everything_and_leaves_no_process(server, make_worker):
    populated = populate(server, make_worker)
    server.kill()
    eventually(lambda: processes_of(server) == [])
    server.start()
    check_everything_is_there(server, populated)


def test_a_machine_that_is_killed_takes_its_command_with_it(server, make_worker):
    worker = make_worker(server)
    worker.wait_online()
    command = worker.send("sleep 300")
    eventually(lambda: worker.invocation(command)["Status"] == "InProgress")
    for machine in machine_processes(server):
        os.kill(machine, signal.SIGKILL)
    lost = worker.wait_status(command, "Failed")
    assert "The instance was lost" in lost["StandardErrorContent"]
    assert worker.run("echo again")["StandardOutputContent"] == "again\n"


def test_an_instance_on_its_way_arrives_after_a_restart(make_localaws, make_worker):
    server = make_localaws()
    worker = make_worker(server)
    server.client("ec2").stop_instances(InstanceIds=[worker.instance_id])
    server.stop()
    server.start()
    eventually(lambda: worker.state() == "stopped")


def test_temporary_credentials_outlive_a_restart(server):
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}],
    }
    role = server.client("iam").create_role(RoleName="kept", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    made = server.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    session = server.client(
        "sts",
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
        aws_session_token=made["SessionToken"],
    )
    server.stop()
    server.start()
    assert session.get_caller_identity()["Arn"].endswith("assumed-role/kept/session")


def test_a_damaged_state_file_is_set_aside_loudly(server):
    server.client("sqs").create_queue(QueueName="lost")
    server.client("sns").create_topic(Name="kept")
    server.stop()
    damaged = server.state / "services" / "sqs.json"
    damaged.write_text(damaged.read_text()[:-20])
    server.start()
    assert server.client("sns").list_topics()["Topics"]
    with pytest.raises(ClientError, match="NonExistentQueue"):
        server.client("sqs").get_queue_url(QueueName="lost")
    assert len(list(damaged.parent.glob("sqs.json.corrupt-*"))) == 1
    assert "THE STATE OF SQS COULD NOT BE READ" in server.log.read_text()


def test_a_taken_port_and_a_state_folder_in_use_are_named(server, tmp_path):
    python, *_ = server.process.args
    for port, state, message in (
        (server.port, tmp_path / "other", f"127.0.0.1:{server.port}"),
        (0, server.state, f"another localaws uses {server.state}"),
    ):
        refused = subprocess.run(
            [python, "-m", "localaws", "--port", str(port), "--state", str(state)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert refused.returncode == 1
        assert message in refused.stderr
