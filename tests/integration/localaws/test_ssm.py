"""Run Command: real processes on running instances, with the role's credentials and nothing of the server's."""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.waiting import eventually

BUCKET = "command-output"
GROUP = "/ssm-tests/worker"
OUTPUT = [
    {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/ssm/*"},
    {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": f"arn:aws:logs:*:*:log-group:{GROUP}:*",
    },
]


@pytest.fixture
def ssm(aws):
    return aws("ssm")


def is_alive(pid):
    """Whether a process exists and is not merely waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def start_tree(worker, **options):
    """Start a command with a child, a grandchild and one that left its session; return its id and their pids."""
    pids = worker.data / "pids"
    pids.unlink(missing_ok=True)
    command = worker.send(
        "cd $LAKE_DATA_DIR",
        "sh -c 'sleep 300 & echo $! >> pids; echo $$ >> pids; wait' &",
        "setsid sleep 300 & echo $! >> pids; echo $$ >> pids; wait",
        **options,
    )
    eventually(lambda: pids.exists() and len(pids.read_text().split()) == 4)
    return command, [int(pid) for pid in pids.read_text().split()]


def test_an_instance_is_online_only_a_moment_after_it_runs(make_localaws, make_worker):
    worker = make_worker(make_localaws(LOCALAWS_ONLINE_SECONDS="10"))
    assert worker.ping() == ""
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        worker.send("true")
    worker.wait_online()
    assert worker.run("true")["Status"] == "Success"


def test_exit_code_output_and_environment(worker, localaws):
    done = worker.run("echo out; echo err >&2", "cd $LAKE_DATA_DIR && pwd", "exit 65", Comment="try")
    assert (done["Status"], done["StatusDetails"], done["ResponseCode"]) == ("Failed", "Failed", 65)
    assert done["StandardOutputContent"] == f"out\n{worker.data}\n"
    # The agent adds this line; whoever looks for a job's own last line must know.
    assert done["StandardErrorContent"] == "err\nfailed to run commands: exit status 65"
    assert done["Comment"] == "try"

    environment = worker.run("env")["StandardOutputContent"]
    variables = dict(line.split("=", 1) for line in environment.splitlines())
    assert variables["LAKE_DATA_DIR"] == str(worker.data)
    assert variables["AWS_ENDPOINT_URL"] == localaws.endpoint
    assert variables["AWS_SSM_REGION_NAME"] == "us-east-1"
    assert set(variables) == {
        *("PATH", "HOME", "LANG", "PWD", "LAKE_DATA_DIR", "AWS_SSM_INSTANCE_ID", "AWS_SSM_REGION_NAME"),
        "SSM_COMMAND_ID",
        *("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    }


def test_the_operator_adds_variables_and_the_callers_stay_out(make_localaws, make_worker, tmp_path):
    given = {"PATH": str(tmp_path), "LAKE_WORKER_VENV": "/somewhere"}
    worker = make_worker(make_localaws(LOCALAWS_INSTANCE_ENV=json.dumps(given), PASSWORD="of the caller"))
    worker.wait_online()
    (tmp_path / "lake-worker").write_text("#!/bin/sh\necho $LAKE_WORKER_VENV\n")
    (tmp_path / "lake-worker").chmod(0o755)
    done = worker.run("lake-worker; env")
    assert done["StandardOutputContent"].startswith("/somewhere\n")
    assert "PASSWORD" not in done["StandardOutputContent"]


def test_scripts_run_as_the_agent_runs_them(worker, tmp_path):
    assert worker.run("#!/bin/cat", "this script prints itself")["StandardOutputContent"].endswith("prints itself\n")
    inside = worker.run("pwd", parameters={"workingDirectory": [str(tmp_path)]})
    assert inside["StandardOutputContent"] == f"{tmp_path}\n"
    nowhere = worker.run("pwd", parameters={"workingDirectory": ["/does/not/exist"]})
    assert (nowhere["Status"], nowhere["ResponseCode"]) == ("Failed", 1)


def test_a_process_has_the_permissions_of_the_role_and_no_more(localaws, make_worker, aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket="role-may-write")
    s3.create_bucket(Bucket="role-may-not-write")
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::role-may-write/*"}
    worker = make_worker(localaws, allowed)
    worker.wait_online()
    (worker.data / "put.py").write_text(
        "import boto3, sys\n"
        "print(boto3.client('sts').get_caller_identity()['Arn'])\n"
        "boto3.client('s3').put_object(Bucket=sys.argv[1], Key='k', Body=b'from the instance')\n"
    )
    python = f"AWS_DEFAULT_REGION=$AWS_SSM_REGION_NAME {Path(__file__).parents[3]}/.venvs/localaws/bin/python"
    done = worker.run(f"{python} $LAKE_DATA_DIR/put.py role-may-write")
    assert done["Status"] == "Success", done["StandardErrorContent"]
    assert f"assumed-role/{worker.role}/{worker.instance_id}" in done["StandardOutputContent"]
    assert s3.get_object(Bucket="role-may-write", Key="k")["Body"].read() == b"from the instance"
    refused = worker.run(f"{python} $LAKE_DATA_DIR/put.py role-may-not-write")
    assert refused["Status"] == "Failed"
    assert "AccessDenied" in refused["StandardErrorContent"]


def test_an_instance_whose_role_does_not_let_it_register_is_not_managed(localaws, aws, make_worker):
    worker = make_worker(localaws)
    aws("iam").delete_role_policy(RoleName=worker.role, PolicyName="worker")
    status = {"Name": "instance-status.status", "Values": ["ok"]}
    eventually(
        lambda: aws("ec2").describe_instance_status(Filters=[status], InstanceIds=[worker.instance_id])[
            "InstanceStatuses"
        ]
    )
    assert worker.ping() == ""


@pytest.fixture(scope="module")
def far_worker(start_localaws, make_worker):
    """A worker that commands take long to reach."""
    worker = make_worker(start_localaws(LOCALAWS_DELIVERY_SECONDS="3"))
    worker.wait_online()
    return worker


def test_the_invocation_appears_when_the_command_is_delivered(far_worker):
    ssm = far_worker.server.client("ssm")
    command = far_worker.send("true")
    with pytest.raises(ssm.exceptions.InvocationDoesNotExist):
        ssm.get_command_invocation(CommandId=command, InstanceId=far_worker.instance_id)
    assert far_worker.wait_status(command, "Success")["ResponseCode"] == 0


def test_a_command_cancelled_before_it_arrives_does_not_run(far_worker):
    command = far_worker.send("touch $LAKE_DATA_DIR/ran")
    far_worker.server.client("ssm").cancel_command(CommandId=command)
    far_worker.wait_status(command, "Cancelled")
    assert not (far_worker.data / "ran").exists()


def test_a_command_that_takes_too_long_is_killed_with_all_it_started(worker):
    command, pids = start_tree(worker, seconds=5)
    done = worker.wait_status(command, "TimedOut")
    assert (done["StatusDetails"], done["ResponseCode"]) == ("ExecutionTimedOut", 137)
    # What left the session outlives its command, as on EC2, but not the instance.
    eventually(lambda: len([pid for pid in pids if is_alive(pid)]) == 1)


def test_cancelling_kills_the_process_group(worker, ssm):
    command, pids = start_tree(worker)
    ssm.cancel_command(CommandId=command)
    done = worker.wait_status(command, "Cancelled")
    assert (done["StatusDetails"], done["ResponseCode"]) == ("Cancelled", 137)
    eventually(lambda: len([pid for pid in pids if is_alive(pid)]) == 1)
    assert ssm.list_commands(CommandId=command)["Commands"][0]["Status"] == "Cancelled"
    ssm.cancel_command(CommandId=command)  # cancelling what ended changes nothing


def test_stopping_the_instance_ends_what_runs_on_it(localaws, make_worker, aws):
    worker = make_worker(localaws)
    worker.wait_online()
    command, pids = start_tree(worker)
    aws("ec2").stop_instances(InstanceIds=[worker.instance_id])
    done = worker.wait_status(command, "Failed")
    assert (done["StatusDetails"], done["ResponseCode"]) == ("Terminated", -1)
    assert "The instance was stopped while the command ran." in done["StandardErrorContent"]
    assert worker.ping() == "ConnectionLost"
    eventually(lambda: worker.state() == "stopped")
    assert [pid for pid in pids if is_alive(pid)] == []
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        worker.send("true")

    aws("ec2").start_instances(InstanceIds=[worker.instance_id])
    worker.wait_online()
    assert worker.run("cat $LAKE_DATA_DIR/pids | wc -l")["StandardOutputContent"].strip() == "4"


def test_a_command_whose_instance_stops_before_it_arrives_is_undeliverable(far_worker):
    command = far_worker.send("true")
    far_worker.server.client("ec2").stop_instances(InstanceIds=[far_worker.instance_id])
    assert far_worker.wait_status(command, "Failed")["StatusDetails"] == "Undeliverable"


def test_long_output_is_cut_in_the_invocation_and_whole_in_s3_and_logs(localaws, make_worker, aws):
    s3, logs = aws("s3"), aws("logs")
    s3.create_bucket(Bucket=BUCKET)
    logs.create_log_group(logGroupName=GROUP)
    worker = make_worker(localaws, *OUTPUT)
    worker.wait_online()
    command = worker.send(
        "echo first; while [ ! -e $LAKE_DATA_DIR/go ]; do sleep 0.05; done",
        "seq 1 20000; seq 1 20000 >&2",
        OutputS3BucketName=BUCKET,
        OutputS3KeyPrefix="ssm",
        CloudWatchOutputConfig={"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": GROUP},
    )
    stream = f"{command}/{worker.instance_id}/aws-runShellScript/stdout"

    def logged():
        try:
            return logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []

    assert eventually(logged)[0]["message"] == "first"  # while the command runs
    assert worker.invocation(command)["Status"] == "InProgress"
    (worker.data / "go").touch()

    done = worker.wait_status(command, "Success")
    expected = "first\n" + "".join(f"{number}\n" for number in range(1, 20001))
    content = done["StandardOutputContent"]
    assert len(content) == 24_000
    assert content.endswith("--output truncated--")
    assert expected.startswith(content.removesuffix("--output truncated--"))
    assert len(done["StandardErrorContent"]) == 8_000
    key = f"ssm/{command}/{worker.instance_id}/awsrunShellScript/0.awsrunShellScript/stdout"
    assert done["StandardOutputUrl"] == f"https://s3.us-east-1.amazonaws.com/{BUCKET}/{key}"
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().decode() == expected
    events, token = [], {}
    while page := logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True, **token):
        if page["nextForwardToken"] == token.get("nextToken"):
            break
        events, token = events + page["events"], {"nextToken": page["nextForwardToken"]}
    assert "".join(f"{event['message']}\n" for event in events) == expected


def test_output_that_the_role_may_not_write_is_lost_and_the_log_says_so(worker, localaws, aws):
    aws("s3").create_bucket(Bucket="not-for-the-worker")
    done = worker.run(
        "echo out",
        OutputS3BucketName="not-for-the-worker",
        CloudWatchOutputConfig={"CloudWatchOutputEnabled": True},
    )
    assert (done["Status"], done["StandardOutputContent"]) == ("Success", "out\n")
    assert "Contents" not in aws("s3").list_objects_v2(Bucket="not-for-the-worker")
    log = localaws.log.read_text()
    assert "Output to s3://not-for-the-worker/" in log
    assert f"Output to the log stream /aws/ssm/AWS-RunShellScript {done['CommandId']}" in log


def test_commands_are_listed_by_filter(worker, ssm):
    before = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    good, bad = worker.run("echo out; echo err >&2")["CommandId"], worker.run("exit 1")["CommandId"]
    failed = [{"key": "InvokedAfter", "value": before}, {"key": "Status", "value": "Failed"}]
    listed = ssm.list_commands(InstanceId=worker.instance_id, Filters=failed)["Commands"]
    assert [one["CommandId"] for one in listed] == [bad]
    assert (listed[0]["CompletedCount"], listed[0]["ErrorCount"], listed[0]["TargetCount"]) == (1, 1, 1)
    everything = ssm.list_commands(InstanceId=worker.instance_id, Filters=failed[:1])["Commands"]
    assert [one["CommandId"] for one in everything[:2]] == [bad, good]
    details = ssm.list_command_invocations(CommandId=good, Details=True)["CommandInvocations"][0]
    assert details["CommandPlugins"][0]["ResponseCode"] == 0
    assert details["CommandPlugins"][0]["Output"] == "out\n\n----------ERROR-------\nerr\n"
    assert ssm.list_command_invocations(CommandId=good)["CommandInvocations"][0]["CommandPlugins"] == []
    first = ssm.list_commands(InstanceId=worker.instance_id, MaxResults=1)
    assert len(first["Commands"]) == 1
    assert ssm.list_commands(NextToken=first["NextToken"])["Commands"]
    with pytest.raises(ClientError, match="InvalidFilterKey"):
        ssm.list_commands(Filters=[{"key": "Nothing", "value": "x"}])
    with pytest.raises(ClientError, match="Status = Pending"):
        ssm.list_commands(InstanceId=worker.instance_id, Filters=[{"key": "Status", "value": "Pending"}])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"DocumentName": "AWS-RunPowerShellScript"}, "InvalidDocument"),
        ({"DocumentName": "arn:aws:ssm:us-east-1:000000000000:document/AWS-RunShellScript"}, "InvalidDocument"),
        ({"Parameters": {}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["true"], "command": ["true"]}}, "InvalidParameters"),
        ({"Parameters": {"commands": ["true"], "executionTimeout": ["0"]}}, "InvalidParameters"),
        ({"InstanceIds": ["i-0123456789abcdef0"]}, "InvalidInstanceId"),
        (
            {"NotificationConfig": {"NotificationArn": "arn:aws:sns:us-east-1:000000000000:t"}},
            "InvalidNotificationConfig",
        ),
    ],
)
def test_refusals_are_aws_errors(worker, ssm, changes, code):
    request = {
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["true"]},
        "InstanceIds": [worker.instance_id],
    }
    with pytest.raises(ClientError) as refused:
        ssm.send_command(**request | changes)
    assert refused.value.response["Error"]["Code"] == code


# ── Documents ─────────────────────────────────────────────────────────────────


def content_of(*commands, parameters=None, **inputs):
    """A document that runs a script, as text."""
    step = {"action": "aws:runShellScript", "name": "shown", "inputs": {"runCommand": list(commands), **inputs}}
    return json.dumps({"schemaVersion": "2.2", "parameters": parameters or {}, "mainSteps": [step]})


@pytest.fixture
def make_document(ssm):
    """`make_document("echo x", parameters={...})` creates a document and returns its name."""
    made = []

    def make(*commands, **options):
        made.append(f"try-{uuid.uuid4().hex[:8]}")
        ssm.create_document(Name=made[-1], Content=content_of(*commands, **options), DocumentType="Command")
        return made[-1]

    yield make
    for name in made:
        ssm.delete_document(Name=name)


def run_document(worker, name, *, end=("Success", "Failed", "TimedOut"), **request):
    sent = worker.server.client("ssm").send_command(InstanceIds=[worker.instance_id], DocumentName=name, **request)
    return worker.wait_status(sent["Command"]["CommandId"], *end)


def test_a_document_runs_with_its_parameters_filled_in(worker, make_document, tmp_path):
    name = make_document(
        "echo '{{ what }}' {{what}} '{{ many }}' {{ other }}",
        parameters={
            "what": {"type": "String", "default": "this"},
            "many": {"type": "StringList", "default": ["a", "b"]},
        },
        workingDirectory="{{ what }}",
    )
    done = run_document(worker, name, Parameters={"what": [str(tmp_path)]})
    # What is no parameter stays as it is, and lists are JSON within a text.
    assert done["StandardOutputContent"] == f'{tmp_path} {tmp_path} ["a","b"] {{{{ other }}}}\n'.replace(",", ", ")
    assert done["DocumentName"] == name
    assert done["PluginName"] == "shown"


def test_a_list_alone_is_the_lines_of_the_script(worker, make_document):
    name = make_document("{{ lines }}", parameters={"lines": {"type": "StringList"}})
    assert run_document(worker, name, Parameters={"lines": ["x=1", "echo $x"]})["StandardOutputContent"] == "1\n"


def test_a_document_says_how_long_it_may_take(worker, ssm, make_document):
    parameters = {"seconds": {"type": "String", "allowedPattern": "^[0-9]+$"}}
    name = make_document("true", parameters=parameters, timeoutSeconds="{{ seconds }}")
    request = {"InstanceIds": [worker.instance_id], "DocumentName": name, "TimeoutSeconds": 30}
    for given, taken in (("7", 7), ("172800", 172_800), ("4", 3600), ("172801", 3600)):
        sent = ssm.send_command(**request, Parameters={"seconds": [given]})["Command"]
        bound = sent["ExpiresAfter"] - sent["RequestedDateTime"]
        assert bound.total_seconds() == pytest.approx(30 + taken)


def test_a_value_that_goes_by_a_variable_is_data(worker, make_document):
    parameters = {"text": {"type": "String", "interpolationType": "ENV_VAR"}}
    name = make_document('printf %s "$SSM_text"', parameters=parameters)
    hostile = "'; echo $(id) `id` \"\n"
    assert run_document(worker, name, Parameters={"text": [hostile]})["StandardOutputContent"] == hostile


def test_a_documents_output_is_where_the_agent_puts_it(localaws, aws, make_worker, make_document):
    aws("s3").create_bucket(Bucket="document-output")
    writes = {"Effect": "Allow", "Action": ["s3:PutObject", "logs:*"], "Resource": "*"}
    worker = make_worker(localaws, writes)
    worker.wait_online()
    aws("logs").create_log_group(logGroupName="/document/output")
    done = run_document(
        worker,
        make_document("echo out"),
        OutputS3BucketName="document-output",
        OutputS3KeyPrefix="ssm",
        CloudWatchOutputConfig={"CloudWatchOutputEnabled": True, "CloudWatchLogGroupName": "/document/output"},
    )
    base = f"{done['CommandId']}/{worker.instance_id}"
    (key,) = [one["Key"] for one in aws("s3").list_objects_v2(Bucket="document-output")["Contents"]]
    assert key == f"ssm/{base}/awsrunShellScript/shown/stdout"
    streams = aws("logs").describe_log_streams(logGroupName="/document/output")["logStreams"]
    assert [one["logStreamName"] for one in streams] == [f"{base}/shown/stdout"]


@pytest.mark.parametrize(
    ("definition", "given"),
    [
        ({}, None),
        ({"allowedPattern": "^[a-z]+$"}, ["A"]),
        ({"allowedPattern": "^[a-z]+$"}, [""]),
        ({"allowedPattern": "^[a-z]+$", "default": "x"}, ["a b"]),
        ({"allowedValues": ["python", "spark-submit"]}, ["bash"]),
        ({"minChars": 2}, ["a"]),
        ({"maxChars": 2}, ["abc"]),
        ({}, ["one", "two"]),
        ({}, ["{{ssm:/aws/reference/secretsmanager/key}}"]),
        ({"type": "StringList", "maxItems": 1}, ["one", "two"]),
    ],
)
def test_parameters_that_a_document_does_not_allow_are_refused(worker, ssm, make_document, definition, given):
    name = make_document("echo '{{ text }}'", parameters={"text": {"type": "String", **definition}})
    request = {"Parameters": {"text": given}} if given else {}
    with pytest.raises(ssm.exceptions.InvalidParameters):
        ssm.send_command(InstanceIds=[worker.instance_id], DocumentName=name, **request)
    with pytest.raises(ssm.exceptions.InvalidParameters, match="has no parameter commands"):
        ssm.send_command(InstanceIds=[worker.instance_id], DocumentName=name, Parameters={"commands": ["id"]})


def test_a_document_has_versions_of_which_one_is_the_default(worker, ssm):
    name = f"versions-{uuid.uuid4().hex[:8]}"
    made = ssm.create_document(Name=name, Content=content_of("echo one"), Tags=[{"Key": "a", "Value": "b"}])
    assert made["DocumentDescription"]["Tags"] == [{"Key": "a", "Value": "b"}]
    with pytest.raises(ssm.exceptions.DocumentAlreadyExists):
        ssm.create_document(Name=name, Content=content_of("echo one"))
    with pytest.raises(ssm.exceptions.DuplicateDocumentContent):
        ssm.update_document(Name=name, Content=content_of("echo one"), DocumentVersion="$LATEST")
    made = ssm.update_document(Name=name, Content=content_of("echo two"), DocumentVersion="$LATEST")
    assert made["DocumentDescription"]["DocumentVersion"] == "2"

    def output(**version):
        return run_document(worker, name, **version)["StandardOutputContent"]

    assert (output(), output(DocumentVersion="$LATEST")) == ("one\n", "two\n")
    ssm.update_document_default_version(Name=name, DocumentVersion="2")
    assert (output(), output(DocumentVersion="1")) == ("two\n", "one\n")
    described = ssm.describe_document(Name=name)["Document"]
    assert (described["DefaultVersion"], described["LatestVersion"]) == ("2", "2")
    assert json.loads(ssm.get_document(Name=name)["Content"]) == json.loads(content_of("echo two"))
    listed = ssm.list_documents(Filters=[{"Key": "Name", "Values": [name]}])["DocumentIdentifiers"]
    assert [(one["Name"], one["DocumentVersion"]) for one in listed] == [(name, "2")]
    with pytest.raises(ssm.exceptions.InvalidDocumentOperation):
        ssm.delete_document(Name=name, DocumentVersion="2")
    ssm.delete_document(Name=name, DocumentVersion="1")
    with pytest.raises(ssm.exceptions.InvalidDocumentVersion):
        ssm.send_command(InstanceIds=[worker.instance_id], DocumentName=name, DocumentVersion="1")
    ssm.delete_document(Name=name)
    with pytest.raises(ssm.exceptions.InvalidDocument):
        ssm.get_document(Name=name)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Name": "AWS-Mine"}, "ValidationException"),
        ({"Content": "{"}, "InvalidDocumentContent"),
        ({"Content": json.dumps({"schemaVersion": "1.2"})}, "InvalidDocumentSchemaVersion"),
        ({"Content": content_of()}, "InvalidDocumentContent"),
        ({"Content": content_of("id", parameters={"a_b": {"type": "String"}})}, "InvalidDocumentContent"),
        ({"Content": content_of("id", parameters={"a": {"type": "Boolean"}})}, "InvalidDocumentContent"),
        ({"Content": content_of("id", runAs="root")}, "InvalidDocumentContent"),
        ({"Content": content_of("x" * (1 << 16))}, "MaxDocumentSizeExceeded"),
        ({"DocumentType": "Automation"}, "InvalidDocumentType"),
    ],
)
def test_documents_that_cannot_run_here_are_refused(ssm, changes, code):
    with pytest.raises(ClientError) as refused:
        ssm.create_document(**{"Name": "refused", "Content": content_of("id"), "DocumentType": "Command"} | changes)
    assert refused.value.response["Error"]["Code"] == code


def test_sending_needs_permission_for_the_document_and_the_instance(worker, localaws, aws, make_document):
    mine, other = make_document("echo mine"), make_document("echo other")
    iam, user = aws("iam"), f"sender-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=user)
    documents = "arn:aws:ssm:us-east-1:000000000000:document"
    resources = [f"{documents}/{mine}", f"arn:aws:ec2:us-east-1:000000000000:instance/{worker.instance_id}"]
    statement = {"Effect": "Allow", "Action": "ssm:SendCommand", "Resource": resources}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_user_policy(UserName=user, PolicyName="send", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    sender = localaws.client("ssm", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    for name in (mine, f"{documents}/{mine}"):
        assert (
            sender.send_command(InstanceIds=[worker.instance_id], DocumentName=name)["Command"]["DocumentName"] == mine
        )
    for name in (
        other,
        f"{documents}/{other}",
        "AWS-RunShellScript",
        "arn:aws:ssm:us-east-1::document/AWS-RunShellScript",
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            sender.send_command(InstanceIds=[worker.instance_id], DocumentName=name, Parameters={"commands": ["id"]})
    with pytest.raises(ClientError, match="AccessDenied"):
        sender.send_command(InstanceIds=["i-0123456789abcdef0"], DocumentName=mine)
    for change in (
        lambda: sender.update_document(Name=mine, Content=content_of("id")),
        lambda: sender.create_document(Name="new", Content=content_of("id")),
        lambda: sender.get_document(Name=mine),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            change()
