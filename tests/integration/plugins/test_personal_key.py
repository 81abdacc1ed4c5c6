"""Airflow's role tries to read the key of personal data, by every way that it has, and never does.

What the role must not do at all is in tests/integration/infra/test_roles.py; here it uses what it may.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from lake.bundle import build_bundle

from tests.waiting import eventually

REFUSALS = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
RUN = "ds=2025-06-30/run=r1"
ANSWERED = ("Success", "Failed", "TimedOut", "Cancelled")


@pytest.fixture(scope="module")
def stack(outputs: dict[str, str]) -> Callable[[str], str]:
    """`stack("RAW_BUCKET")` is an output of the stack."""
    return lambda name: outputs[f"LAKE_{name}"]


@pytest.fixture(scope="module")
def airflow(localaws: Any, stack: Callable[[str], str]) -> Callable[[str], Any]:
    """`airflow("s3")` is a client of Airflow's role."""
    assumed = localaws.client("sts").assume_role(RoleArn=stack("AIRFLOW_ROLE_ARN"), RoleSessionName="test")
    given = assumed["Credentials"]
    return lambda service: localaws.client(
        service,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


@pytest.fixture(scope="module")
def key(aws: Callable[[str], Any], stack: Callable[[str], str]) -> str:
    secret = aws("secretsmanager").get_secret_value(SecretId=stack("PERSONAL_DATA_KEY_ARN"))
    return str(secret["SecretString"])


def require_refused(operation: Callable[..., Any], **parameters: Any) -> None:
    with pytest.raises(ClientError) as refusal:
        operation(**parameters)
    assert refusal.value.response["Error"]["Code"] in REFUSALS, refusal.value


def job(stack: Callable[[str], str], **changes: str) -> dict[str, Any]:
    """A request to start a job, of which some parameters are not Airflow's own."""
    parameters = {
        "bundle": build_bundle()[0],
        "program": "python",
        "job": "stage_raw",
        "submission": "r1-0123abcd",
        "arguments": "",
        "timeout": "60",
    }
    return {
        "InstanceIds": [stack("WORKER_INSTANCE_ID")],
        "DocumentName": stack("WORKER_DOCUMENT"),
        "Parameters": {name: [value] for name, value in (parameters | changes).items()},
        "OutputS3BucketName": stack("ARTIFACTS_BUCKET"),
        "OutputS3KeyPrefix": "ssm",
    }


def test_it_may_not_ask_for_the_key(airflow: Callable[[str], Any], stack: Callable[[str], str]) -> None:
    secrets, secret = airflow("secretsmanager"), {"SecretId": stack("PERSONAL_DATA_KEY_ARN")}
    for operation in (secrets.get_secret_value, secrets.describe_secret, secrets.delete_secret):
        require_refused(operation, **secret)
    require_refused(secrets.batch_get_secret_value, SecretIdList=[secret["SecretId"]])
    require_refused(secrets.put_secret_value, **secret, SecretString="mine")
    require_refused(secrets.put_resource_policy, **secret, ResourcePolicy="{}")
    name = f"/aws/reference/secretsmanager/{secret['SecretId']}"
    require_refused(airflow("ssm").get_parameter, Name=name, WithDecryption=True)


@pytest.mark.usefixtures("running_worker")
def test_it_has_no_shell_on_the_worker(airflow: Callable[[str], Any], stack: Callable[[str], str]) -> None:
    ssm, instance = airflow("ssm"), stack("WORKER_INSTANCE_ID")
    for document in ("AWS-RunShellScript", "arn:aws:ssm:us-east-1::document/AWS-RunShellScript", "AWS-RunRemoteScript"):
        commands = {"commands": ["aws secretsmanager get-secret-value"]}
        require_refused(ssm.send_command, InstanceIds=[instance], DocumentName=document, Parameters=commands)
    step = {"action": "aws:runShellScript", "name": "x", "inputs": {"runCommand": ["env"]}}
    content = {"Content": json.dumps({"schemaVersion": "2.2", "mainSteps": [step]})}
    require_refused(ssm.create_document, Name="mine", **content)
    require_refused(ssm.update_document, Name=stack("WORKER_DOCUMENT"), DocumentVersion="$LATEST", **content)
    require_refused(ssm.update_document_default_version, Name=stack("WORKER_DOCUMENT"), DocumentVersion="1")
    require_refused(ssm.create_association, Name=stack("WORKER_DOCUMENT"), InstanceId=instance)
    require_refused(ssm.start_automation_execution, DocumentName="AWS-RunShellScript")
    require_refused(ssm.start_session, Target=instance)


HOSTILE = (
    "'; env; '",
    '"; env; "',
    "$(env)",
    "`env`",
    "x; env",
    "x\nenv",
    "x'",
    "\\",
    "{{ssm:key}}",
    "{{ commands }}",
    "${IFS}'",
    "x & env",
    "x | env",
    "x > /etc/passwd",
    "*",
    "",
)


@pytest.mark.usefixtures("running_worker")
@pytest.mark.parametrize("parameter", ["bundle", "program", "job", "submission", "arguments", "timeout"])
def test_no_value_ends_its_quotes(parameter: str, airflow: Callable[[str], Any], stack: Callable[[str], str]) -> None:
    ssm = airflow("ssm")
    for value in HOSTILE:
        if (parameter, value) != ("arguments", ""):
            with pytest.raises(ssm.exceptions.InvalidParameters):
                ssm.send_command(**job(stack, **{parameter: value}))


def test_it_cannot_deploy_code(airflow: Callable[[str], Any], stack: Callable[[str], str]) -> None:
    digest = build_bundle()[0]
    for name in (f"code/{digest}.zip", f"code/{'a' * 64}.zip", "worker/lake-worker", "worker/lake-worker-setup"):
        where = {"Bucket": stack("ARTIFACTS_BUCKET"), "Key": name}
        require_refused(airflow("s3").put_object, **where, Body=b"mine")
        source = {"Bucket": stack("ARTIFACTS_BUCKET"), "Key": "manifests/mine.zip"}
        require_refused(airflow("s3").copy_object, **where, CopySource=source)
        require_refused(airflow("s3").create_multipart_upload, **where)
        require_refused(airflow("s3").delete_object, **where)


def test_it_can_be_nobody_else(airflow: Callable[[str], Any], stack: Callable[[str], str]) -> None:
    role = stack("WORKER_ROLE_ARN")
    name, instance = role.rpartition("/")[2], stack("WORKER_INSTANCE_ID")
    require_refused(airflow("sts").assume_role, RoleArn=role, RoleSessionName="mine")
    iam, ec2 = airflow("iam"), airflow("ec2")
    require_refused(iam.update_assume_role_policy, RoleName=name, PolicyDocument="{}")
    require_refused(iam.put_role_policy, RoleName=name, PolicyName="mine", PolicyDocument="{}")
    require_refused(
        ec2.run_instances,
        ImageId="ami-0c2023a1b2c3d4e5f",
        MinCount=1,
        MaxCount=1,
        IamInstanceProfile={"Name": name},
        UserData="#!/bin/sh\nenv",
    )
    require_refused(ec2.modify_instance_attribute, InstanceId=instance, UserData={"Value": b"#!/bin/sh\nenv"})
    require_refused(
        airflow("lambda").create_function,
        FunctionName="mine",
        Role=role,
        Code={"ZipFile": b""},
        Runtime="python3.13",
        Handler="x",
    )
    require_refused(airflow("glue").create_job, Name="mine", Role=role, Command={"Name": "pythonshell"})


def test_a_snapshot_goes_nowhere(
    airflow: Callable[[str], Any], aws: Callable[[str], Any], stack: Callable[[str], str]
) -> None:
    ec2 = airflow("ec2")
    tags = {"lake": stack("NAME"), "dataset": "orders", "ds": "2025-06-30", "run": "r1"}
    wanted = [
        {"ResourceType": "snapshot", "Tags": [{"Key": name, "Value": value} for name, value in tags.items()]},
    ]
    made = ec2.create_snapshot(VolumeId=stack("WORKER_DATA_VOLUME_ID"), TagSpecifications=wanted)["SnapshotId"]
    require_refused(ec2.create_volume, SnapshotId=made, AvailabilityZone="us-east-1a")
    require_refused(
        ec2.modify_snapshot_attribute, SnapshotId=made, OperationType="add", GroupNames=["all"], Attribute="x"
    )
    require_refused(ec2.copy_snapshot, SourceSnapshotId=made, SourceRegion="us-east-1")
    described = aws("ec2").describe_instances(InstanceIds=[stack("WORKER_INSTANCE_ID")])
    devices = described["Reservations"][0]["Instances"][0]["BlockDeviceMappings"]
    (root,) = [one["Ebs"]["VolumeId"] for one in devices if one["DeviceName"] == "/dev/xvda"]
    require_refused(ec2.create_snapshot, VolumeId=root, TagSpecifications=wanted)


def hostile_jobs(stack: Callable[[str], str]) -> Iterator[tuple[dict[str, str], str]]:
    """Jobs that are to give away what the worker knows, each with what it ends with."""
    artifacts, processed = f"s3://{stack('ARTIFACTS_BUCKET')}", f"s3://{stack('PROCESSED_BUCKET')}"
    told = f"--dataset customers --ds 2025-06-30 --run r1 --manifest {artifacts}/manifests/customers/{RUN}/evil.json"
    staged = f"file://${{LAKE_DATA_DIR}}/customers/{RUN}/raw"
    nowhere = "neither on the data volume nor among the temporary files"
    yield {"bundle": "a" * 64, "arguments": told}, "ERROR lake-worker python stage_raw: ClientError"
    for name in ("launch", "personal", "raw", "storage"):
        yield {"job": name, "arguments": "clean /proc/self/environ"}, ""
    # Whoever can have texts of their own hashed needs no key.
    for raw in (f"{processed}/customers_runs/", f"{artifacts}/manifests/"):
        yield {"arguments": f"{told} --raw {raw} --staged {staged}"}, "is not in the raw bucket"
        written = f"--output {processed}/_staging/x/ --quarantine {processed}/customers_quarantine/x/"
        cleaning = f"{told} --submission r1-0123abcd --personal-key {stack('PERSONAL_DATA_KEY_ARN')} {written}"
        yield {"job": "clean", "arguments": f"{cleaning} --input {raw}"}, "is not in the raw bucket"
    for place in ("/proc/self", "${LAKE_DATA_DIR}/../../../../proc/self", "/var/lib/lake-worker/code"):
        yield {"job": "clean", "arguments": f"{cleaning} --input file://{place}"}, nowhere
        staging = f"{told} --raw s3://{stack('RAW_BUCKET')}/x/ --staged"
        yield {"arguments": f"{staging} file://{place}/customers/{RUN}/raw"}, nowhere
        judging = f"{told} --docs {artifacts}/data-docs/x/ --clean-manifest"
        yield {"job": "validate", "arguments": f"{judging} file://{place}/environ"}, nowhere
    forged = f"{artifacts}/manifests/forged.json"
    yield {"job": "validate", "arguments": f"{judging} {forged}"}, nowhere
    elsewhere = told.replace("customers", "../../spark_jobs/x", 1)
    yield {"arguments": f"{elsewhere} --raw {forged} --staged {staged}"}, "there is no contract"
    written = told.replace(f"{artifacts}/manifests/customers", "file:///etc/cron.d")
    yield {"job": "reprocess_stage_raw", "arguments": written}, ""


@pytest.mark.usefixtures("running_worker")
def test_no_job_gives_it_away(
    airflow: Callable[[str], Any], aws: Callable[[str], Any], stack: Callable[[str], str], key: str
) -> None:
    ssm, instance = airflow("ssm"), stack("WORKER_INSTANCE_ID")
    files = [{"key": "environ", "bytes": 1, "sha256": "0" * 64}]
    forged = {"output": {"uri": "file:///proc/self", "files": files}}
    airflow("s3").put_object(
        Bucket=stack("ARTIFACTS_BUCKET"), Key="manifests/forged.json", Body=json.dumps(forged).encode()
    )
    filters = [{"Key": "InstanceIds", "Values": [instance]}]
    eventually(lambda: "Online" in str(ssm.describe_instance_information(Filters=filters)))
    sent = {
        ssm.send_command(**job(stack, **changes), Comment=uuid.uuid4().hex)["Command"]["CommandId"]: (changes, end)
        for changes, end in hostile_jobs(stack)
    }

    def ended(command: str) -> dict[str, Any]:
        try:
            found = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
        except ssm.exceptions.InvocationDoesNotExist:
            return {}
        return dict(found) if found["Status"] in ANSWERED else {}

    for command, (changes, end) in sent.items():
        answer = eventually(lambda command=command: ended(command), seconds=240)
        assert end in answer["StandardErrorContent"], (changes, answer)
        assert answer["Status"] == "Failed" or not end, (changes, answer)
        assert key not in str(answer)
        assert "AWS_SECRET_ACCESS_KEY" not in str(answer)
    readable = 0
    for name in ("RAW", "PROCESSED", "ENRICHED", "ARTIFACTS"):
        bucket = stack(f"{name}_BUCKET")
        for item in aws("s3").list_objects_v2(Bucket=bucket).get("Contents", []):
            try:
                content = airflow("s3").get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
            except ClientError:
                continue
            readable += 1
            assert key.encode() not in content, item["Key"]
            assert b"AWS_SECRET_ACCESS_KEY=" not in content, item["Key"]
    assert readable
