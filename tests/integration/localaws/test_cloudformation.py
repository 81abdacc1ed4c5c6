"""The resource types that localaws adds to CloudFormation, through boto3."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.waiting import eventually

IMAGE = "ami-0c2023a1b2c3d4e5f"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def worker(**instance: Any) -> dict[str, Any]:
    """An instance with a role, and a data volume of 2 GiB that it mounts."""
    return {
        "Role": resource("AWS::IAM::Role", AssumeRolePolicyDocument=TRUST),
        "Profile": resource("AWS::IAM::InstanceProfile", Roles=[{"Ref": "Role"}]),
        "Instance": resource(
            "AWS::EC2::Instance",
            **{
                "ImageId": IMAGE,
                "InstanceType": "t3.micro",
                "IamInstanceProfile": {"Ref": "Profile"},
                "PropagateTagsToVolumeOnCreation": True,
                "Tags": [{"Key": "Name", "Value": "worker"}],
                **instance,
            },
        ),
        "Volume": resource(
            "AWS::EC2::Volume",
            AvailabilityZone={"Fn::GetAtt": ["Instance", "AvailabilityZone"]},
            Size=2,
            VolumeType="gp3",
            Encrypted=True,
            Tags=[{"Key": "Name", "Value": "data"}],
        ),
        "Attachment": resource(
            "AWS::EC2::VolumeAttachment",
            InstanceId={"Ref": "Instance"},
            VolumeId={"Ref": "Volume"},
            Device="/dev/sdf",
        ),
    }


@dataclass
class Stack:
    """A stack of one test's own."""

    aws: Callable[..., Any]
    name: str

    @property
    def client(self) -> Any:
        return self.aws("cloudformation")

    def template(self, resources: dict[str, Any]) -> dict[str, Any]:
        outputs = {name: {"Value": {"Ref": name}} for name in resources}
        return {"TemplateBody": json.dumps({"Resources": resources, "Outputs": outputs})}

    def create(self, resources: dict[str, Any], **options: Any) -> str:
        self.client.create_stack(
            StackName=self.name, Capabilities=["CAPABILITY_IAM"], **self.template(resources), **options
        )
        return self.end()

    def update(self, resources: dict[str, Any]) -> str:
        self.client.update_stack(StackName=self.name, Capabilities=["CAPABILITY_IAM"], **self.template(resources))
        return self.end()

    def delete(self) -> str:
        identifier = self.client.describe_stacks(StackName=self.name)["Stacks"][0]["StackId"]
        self.client.delete_stack(StackName=self.name)
        return self.end(identifier)

    def end(self, identifier: str = "") -> str:
        """Wait until nothing is under way, and return the stack's state."""

        def status() -> str:
            found = self.client.describe_stacks(StackName=identifier or self.name)["Stacks"][0]["StackStatus"]
            return "" if found.endswith("_IN_PROGRESS") else str(found)

        return str(eventually(status))

    def outputs(self) -> dict[str, str]:
        stack = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def reasons(self) -> str:
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(one.get("ResourceStatusReason", "") for one in events)

    def instance(self, identifier: str) -> dict[str, Any]:
        found: dict[str, Any] = self.aws("ec2").describe_instances(InstanceIds=[identifier])
        return dict(found["Reservations"][0]["Instances"][0])

    def volumes(self) -> list[dict[str, Any]]:
        """The volumes that bear the stack's tags."""
        wanted = [{"Name": "tag:aws:cloudformation:stack-name", "Values": [self.name]}]
        return list(self.aws("ec2").describe_volumes(Filters=wanted)["Volumes"])


@pytest.fixture
def stack(aws: Callable[..., Any]) -> Stack:
    return Stack(aws, f"stack-{uuid.uuid4().hex[:8]}")


def test_an_instance_and_its_volume_are_made_and_deleted(stack: Stack, aws: Callable[..., Any]) -> None:
    tags = [{"Key": "Project", "Value": "lake"}]
    assert stack.create(worker(MetadataOptions={"HttpTokens": "required"}), Tags=tags) == "CREATE_COMPLETE"
    made = stack.outputs()
    instance = stack.instance(made["Instance"])
    assert instance["State"]["Name"] == "running"
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]}.items() >= {
        "Name": "worker",
        "Project": "lake",
    }.items()
    # The physical id of a profile is its name, from which its ARN follows.
    assert instance["IamInstanceProfile"]["Arn"].endswith(f":instance-profile/{made['Profile']}")
    volume = aws("ec2").describe_volumes(VolumeIds=[made["Volume"]])["Volumes"][0]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (2, "gp3", True)
    assert volume["Attachments"][0]["InstanceId"] == made["Instance"]
    assert len(stack.volumes()) == 2, "the root volume has the tags too"

    assert stack.delete() == "DELETE_COMPLETE"
    assert stack.instance(made["Instance"])["State"]["Name"] == "terminated"
    assert stack.volumes() == []
    assert made["Profile"] not in str(aws("iam").list_instance_profiles()["InstanceProfiles"])


def test_what_can_change_in_place_does(stack: Stack, aws: Callable[..., Any]) -> None:
    resources = worker()
    stack.create(resources)
    before = stack.outputs()
    resources["Instance"]["Properties"] |= {"InstanceType": "t3.large", "Tags": [{"Key": "Name", "Value": "other"}]}
    resources["Volume"]["Properties"]["Size"] = 3
    assert stack.update(resources) == "UPDATE_COMPLETE"
    assert stack.outputs() == before
    instance = stack.instance(before["Instance"])
    assert (instance["InstanceType"], instance["State"]["Name"]) == ("t3.large", "running")
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]}["Name"] == "other"
    volume = aws("ec2").describe_volumes(VolumeIds=[before["Volume"]])["Volumes"][0]
    assert (volume["Size"], volume["State"]) == (3, "in-use")


def test_what_cannot_change_in_place_is_replaced(stack: Stack) -> None:
    resources = worker()
    del resources["Attachment"]
    stack.create(resources)
    before = stack.outputs()
    resources["Volume"]["Properties"]["Encrypted"] = False
    assert stack.update(resources) == "UPDATE_COMPLETE"
    after = stack.outputs()
    assert after["Volume"] != before["Volume"]
    assert after["Instance"] == before["Instance"]
    assert before["Volume"] not in [volume["VolumeId"] for volume in stack.volumes()]


def test_a_volume_leaves_a_snapshot_when_the_template_says_so(stack: Stack, aws: Callable[..., Any]) -> None:
    volume = resource("AWS::EC2::Volume", AvailabilityZone="us-east-1a", Size=1)
    stack.create({"Volume": {**volume, "DeletionPolicy": "Snapshot"}})
    identifier = stack.outputs()["Volume"]
    assert stack.delete() == "DELETE_COMPLETE"
    wanted = [{"Name": "volume-id", "Values": [identifier]}]
    assert len(aws("ec2").describe_snapshots(Filters=wanted)["Snapshots"]) == 1
    with pytest.raises(ClientError, match=r"InvalidVolume\.NotFound"):
        aws("ec2").describe_volumes(VolumeIds=[identifier])


def test_a_failure_rolls_back_what_was_made(stack: Stack) -> None:
    resources = worker()
    resources["Attachment"]["Properties"]["VolumeId"] = "vol-00000000000000000"
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    assert "InvalidVolume.NotFound" in stack.reasons()
    assert stack.volumes() == []


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (resource("AWS::EC2::Instance", ImageId=IMAGE, InstanceType="t3.micro", HibernationOptions={}), "Hibernation"),
        (resource("AWS::EC2::Volume", AvailabilityZone="us-east-1a", Size=1, OutpostArn="x"), "OutpostArn"),
        (resource("AWS::SSM::Document", Content={}, Requires=[{"Name": "x"}]), "Requires"),
        (resource("AWS::S3::Bucket", ReplicationConfiguration={"Role": "x", "Rules": []}), "ReplicationConfiguration"),
        (
            resource(
                "AWS::S3::Bucket",
                LifecycleConfiguration={"Rules": [{"Id": "x", "Status": "Enabled", "ExpirationDate": "2030-01-01"}]},
            ),
            "ExpirationDate",
        ),
    ],
)
def test_a_property_that_is_not_supported_fails_the_stack(stack: Stack, made: dict[str, Any], word: str) -> None:
    assert stack.create({"It": made}) == "ROLLBACK_COMPLETE"
    assert f"localaws cannot set {word}" in stack.reasons()


def test_a_type_that_is_not_supported_is_refused_at_once(stack: Stack) -> None:
    with pytest.raises(ClientError, match="Unrecognized resource types"):
        stack.create({"It": resource("AWS::SageMaker::Domain", DomainName="x")})
    with pytest.raises(ClientError, match="does not exist"):
        stack.client.describe_stacks(StackName=stack.name)


def test_a_bucket_that_holds_data_is_not_deleted(stack: Stack, aws: Callable[..., Any]) -> None:
    stack.create({"Bucket": resource("AWS::S3::Bucket", VersioningConfiguration={"Status": "Enabled"})})
    bucket = stack.outputs()["Bucket"]
    aws("s3").put_object(Bucket=bucket, Key="x", Body=b"x")
    aws("s3").delete_object(Bucket=bucket, Key="x")
    assert stack.delete() == "DELETE_FAILED"
    assert "not empty" in stack.reasons()
    versions = aws("s3").list_object_versions(Bucket=bucket)
    for one in [*versions["Versions"], *versions["DeleteMarkers"]]:
        aws("s3").delete_object(Bucket=bucket, Key="x", VersionId=one["VersionId"])
    assert stack.delete() == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="404"):
        aws("s3").head_bucket(Bucket=bucket)


def test_a_buckets_properties_come_and_go(stack: Stack, aws: Callable[..., Any]) -> None:
    s3 = aws("s3")
    rule = {
        "Id": "all",
        "Status": "Enabled",
        "Prefix": "old/",
        "ExpirationInDays": 9,
        "Transitions": [{"StorageClass": "STANDARD_IA", "TransitionInDays": 30}],
        "NoncurrentVersionExpiration": {"NoncurrentDays": 3},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    bucket = resource("AWS::S3::Bucket", LifecycleConfiguration={"Rules": [rule]}, Tags=[{"Key": "a", "Value": "b"}])
    stack.create({"Bucket": bucket})
    name = stack.outputs()["Bucket"]
    stored = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"][0]
    assert stored["Expiration"] == {"Days": 9}
    assert stored["Transitions"] == [{"Days": 30, "StorageClass": "STANDARD_IA"}]
    del bucket["Properties"]["LifecycleConfiguration"]
    assert stack.update({"Bucket": bucket}) == "UPDATE_COMPLETE"
    assert stack.outputs()["Bucket"] == name
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket=name)


def test_an_alarm_stops_the_instance_it_watches(stack: Stack, aws: Callable[..., Any]) -> None:
    resources = worker()
    resources["Alarm"] = resource(
        "AWS::CloudWatch::Alarm",
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        Dimensions=[{"Name": "InstanceId", "Value": {"Ref": "Instance"}}],
        Statistic="Maximum",
        Period=300,
        EvaluationPeriods=12,
        ComparisonOperator="LessThanThreshold",
        Threshold=5,
        TreatMissingData="notBreaching",
        AlarmActions=["arn:aws:automate:us-east-1:ec2:stop"],
    )
    stack.create(resources)
    made = stack.outputs()
    aws("cloudwatch").set_alarm_state(AlarmName=made["Alarm"], StateValue="ALARM", StateReason="idle")
    eventually(lambda: stack.instance(made["Instance"])["State"]["Name"] == "stopped")
    assert stack.delete() == "DELETE_COMPLETE"


def document(command: str, **properties: Any) -> dict[str, Any]:
    step = {"action": "aws:runShellScript", "name": "work", "inputs": {"runCommand": [command]}}
    content = {"schemaVersion": "2.2", "mainSteps": [step]}
    return {"Document": resource("AWS::SSM::Document", Content=content, DocumentType="Command", **properties)}


def test_a_changed_document_becomes_a_new_version_where_the_template_says_so(
    stack: Stack, aws: Callable[..., Any]
) -> None:
    named = {"Name": f"{stack.name}-job", "UpdateMethod": "NewVersion"}
    assert stack.create(document("echo one", **named)) == "CREATE_COMPLETE", stack.reasons()
    assert stack.outputs() == {"Document": named["Name"]}
    assert stack.update(document("echo two", **named, Tags=[{"Key": "a", "Value": "b"}])) == "UPDATE_COMPLETE"
    described = aws("ssm").describe_document(Name=named["Name"])["Document"]
    assert (described["DefaultVersion"], described["LatestVersion"]) == ("2", "2")
    assert {"Key": "a", "Value": "b"} in described["Tags"]
    # Without the method it would have to be replaced, which cannot be under the same name.
    assert stack.update(document("echo three", Name=named["Name"])) == "UPDATE_ROLLBACK_COMPLETE"
    assert "custom-named resource requires replacing" in stack.reasons()
    assert "echo two" in aws("ssm").get_document(Name=named["Name"])["Content"]
    assert stack.delete() == "DELETE_COMPLETE"
    with pytest.raises(ClientError, match="InvalidDocument"):
        aws("ssm").get_document(Name=named["Name"])


def test_a_changed_document_without_a_name_is_replaced(stack: Stack, aws: Callable[..., Any]) -> None:
    assert stack.create(document("echo one")) == "CREATE_COMPLETE", stack.reasons()
    before = stack.outputs()["Document"]
    assert before.startswith(f"{stack.name}-Document-")
    assert stack.update(document("echo two")) == "UPDATE_COMPLETE"
    after = stack.outputs()["Document"]
    names = [one["Name"] for one in aws("ssm").list_documents()["DocumentIdentifiers"]]
    assert (before in names, after in names, before == after) == (False, True, False)
    broken = document("echo three")
    broken["Document"]["Properties"]["Content"] = {"schemaVersion": "2.2", "mainSteps": []}
    assert stack.update(broken) == "UPDATE_ROLLBACK_COMPLETE"
    assert "InvalidDocumentContent" in stack.reasons()


# ── Change sets ───────────────────────────────────────────────────────────────


def propose(stack: Stack, template: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Make a change set and return its description."""
    made = stack.client.create_change_set(
        StackName=stack.name,
        ChangeSetName=f"look-{uuid.uuid4().hex}",
        Capabilities=["CAPABILITY_IAM"],
        TemplateBody=json.dumps(template),
        **options,
    )
    return dict(stack.client.describe_change_set(ChangeSetName=made["Id"]))


def execute(stack: Stack, change_set: dict[str, Any]) -> str:
    stack.client.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
    return stack.end()


def seen(change_set: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Action, resource and replacement of each change."""
    changes = [change["ResourceChange"] for change in change_set["Changes"]]
    return [(one["Action"], one["LogicalResourceId"], one.get("Replacement", "")) for one in changes]


def test_a_change_set_tells_what_a_condition_brings_and_takes(stack: Stack) -> None:
    template = {
        "Description": "One or two topics",
        "Parameters": {"Two": {"Type": "String", "Default": "no"}},
        "Conditions": {"HasTwo": {"Fn::Equals": [{"Ref": "Two"}, "yes"]}},
        "Resources": {
            "One": {"Type": "AWS::SNS::Topic"},
            "Two": {"Type": "AWS::SNS::Topic", "Condition": "HasTwo"},
        },
    }
    yes = {"Parameters": [{"ParameterKey": "Two", "ParameterValue": "yes"}]}
    created = propose(stack, template, ChangeSetType="CREATE")
    assert seen(created) == [("Add", "One", "")]
    assert stack.client.describe_stacks(StackName=stack.name)["Stacks"][0]["StackStatus"] == "REVIEW_IN_PROGRESS"
    assert execute(stack, created) == "CREATE_COMPLETE"
    # DescribeStacks tells the description of the template that runs.
    assert stack.client.describe_stacks(StackName=stack.name)["Stacks"][0]["Description"] == "One or two topics"
    empty = propose(stack, template)
    assert (empty["Status"], empty["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "didn't contain changes" in empty["StatusReason"]

    added = propose(stack, template, **yes)
    assert seen(added) == [("Add", "Two", "")]
    assert execute(stack, added) == "UPDATE_COMPLETE"
    removed = propose(stack, template | {"Description": "One"})
    assert seen(removed) == [("Remove", "Two", "")]
    assert removed["Changes"][0]["ResourceChange"]["PolicyAction"] == "Delete"
    assert execute(stack, removed) == "UPDATE_COMPLETE"
    assert stack.client.describe_stacks(StackName=stack.name)["Stacks"][0]["Description"] == "One"


def test_a_change_set_tells_what_is_replaced_and_what_perhaps(stack: Stack) -> None:
    def template(group: str, text: str) -> dict[str, Any]:
        return {
            "Resources": {
                "Group": resource("AWS::Logs::LogGroup", LogGroupName=f"/{stack.name}/{group}"),
                "Key": resource("AWS::KMS::Key", Description=text, KeyPolicy={"Version": "2012-10-17"}),
                "Topic": resource("AWS::SNS::Topic", KmsMasterKeyId={"Fn::GetAtt": ["Key", "Arn"]}),
            }
        }

    execute(stack, propose(stack, template("one", "one"), ChangeSetType="CREATE"))
    changed = propose(stack, template("two", "two"))
    assert seen(changed) == [
        ("Modify", "Group", "True"),
        ("Modify", "Key", "False"),
        ("Modify", "Topic", "False"),
    ]
    group, _, topic = (change["ResourceChange"] for change in changed["Changes"])
    assert group["PolicyAction"] == "ReplaceAndDelete"
    assert (topic["Details"][0]["Evaluation"], topic["Details"][0]["CausingEntity"]) == ("Dynamic", "Key.Arn")


def test_a_stack_imports_a_database_that_exists(stack: Stack, aws: Callable[..., Any]) -> None:
    name = stack.name.replace("-", "_")
    database = resource("AWS::Glue::Database", CatalogId="000000000000", DatabaseInput={"Name": name})
    template = {"Resources": {"Database": {**database, "DeletionPolicy": "Retain"}}}
    wanted = {"ResourceType": "AWS::Glue::Database", "LogicalResourceId": "Database"}
    importing = {
        "ChangeSetType": "IMPORT",
        "ResourcesToImport": [{**wanted, "ResourceIdentifier": {"DatabaseName": name}}],
    }
    absent = propose(stack, template, **importing)
    assert (absent["Status"], name in absent["StatusReason"]) == ("FAILED", True)
    aws("glue").create_database(DatabaseInput={"Name": name, "Description": "mine"})
    assert execute(stack, propose(stack, template, **importing)) == "IMPORT_COMPLETE"
    assert aws("glue").get_database(Name=name)["Database"]["Description"] == "mine"
    assert stack.delete() == "DELETE_COMPLETE"
    assert aws("glue").get_database(Name=name)
