"""A worker to try things on: an instance with a data volume, whose role may do little."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import eventually

IMAGE = "ami-0c2023a1b2c3d4e5f"
EC2_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
AGENT = {"Effect": "Allow", "Action": ["ssm:UpdateInstanceInformation", "ssmmessages:*"], "Resource": "*"}


@dataclass(frozen=True)
class Worker:
    """An instance, and what tests do with one."""

    server: Any
    instance_id: str
    volume_id: str
    role: str

    @property
    def data(self) -> Path:
        """Its data volume's folder, as the processes on it see it."""
        return self.server.state / "volumes" / self.volume_id

    def state(self) -> str:
        found = self.server.client("ec2").describe_instances(InstanceIds=[self.instance_id])
        return found["Reservations"][0]["Instances"][0]["State"]["Name"]

    def ping(self) -> str:
        filters = [{"Key": "InstanceIds", "Values": [self.instance_id]}]
        found = self.server.client("ssm").describe_instance_information(Filters=filters)["InstanceInformationList"]
        return found[0]["PingStatus"] if found else ""

    def wait_online(self) -> None:
        eventually(lambda: self.ping() == "Online")

    def send(self, *commands: str, seconds: int = 60, **options: Any) -> str:
        parameters = {"commands": list(commands), "executionTimeout": [str(seconds)]}
        parameters |= options.pop("parameters", {})
        sent = self.server.client("ssm").send_command(
            InstanceIds=[self.instance_id], DocumentName="AWS-RunShellScript", Parameters=parameters, **options
        )
        return sent["Command"]["CommandId"]

    def invocation(self, command_id: str) -> dict[str, Any]:
        ssm = self.server.client("ssm")
        try:
            return ssm.get_command_invocation(CommandId=command_id, InstanceId=self.instance_id)
        except ssm.exceptions.InvocationDoesNotExist:
            return {"Status": ""}

    def wait_status(self, command_id: str, *statuses: str) -> dict[str, Any]:
        eventually(lambda: self.invocation(command_id)["Status"] in statuses)
        return self.invocation(command_id)

    def run(self, *commands: str, **options: Any) -> dict[str, Any]:
        """Run a command to its end."""
        return self.wait_status(self.send(*commands, **options), "Success", "Failed", "TimedOut", "Cancelled")


@pytest.fixture(scope="session")
def make_worker() -> Callable[..., Worker]:
    """`make_worker(server, statement, …)` starts an instance whose role has the given policy statements."""

    def make(server: Any, *statements: dict[str, Any]) -> Worker:
        iam, ec2 = server.client("iam"), server.client("ec2")
        name = f"worker-{uuid.uuid4().hex[:8]}"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(EC2_TRUST))
        policy = {"Version": "2012-10-17", "Statement": [AGENT, *statements]}
        iam.put_role_policy(RoleName=name, PolicyName="worker", PolicyDocument=json.dumps(policy))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        started = ec2.run_instances(
            ImageId=IMAGE,
            InstanceType="m6i.large",
            MinCount=1,
            MaxCount=1,
            IamInstanceProfile={"Name": name},
            BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 10, "VolumeType": "gp3"}}],
        )["Instances"][0]
        mappings = {one["DeviceName"]: one["Ebs"]["VolumeId"] for one in started["BlockDeviceMappings"]}
        worker = Worker(server, started["InstanceId"], mappings["/dev/sdf"], name)
        eventually(lambda: worker.state() == "running")
        return worker

    return make


@pytest.fixture(scope="module")
def worker(localaws: Any, make_worker: Callable[..., Worker]) -> Worker:
    """A worker that is online, of this test file's own."""
    made = make_worker(localaws)
    made.wait_online()
    return made
