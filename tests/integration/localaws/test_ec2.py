"""Instances: states that take time, honest answers, refusals in place of pretence."""

import pytest
from botocore.exceptions import ClientError

from tests.waiting import eventually

IMAGE = "ami-0c2023a1b2c3d4e5f"


@pytest.fixture
def ec2(aws):
    return aws("ec2")


@pytest.fixture
def instance_id(ec2):
    started = ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][0]
    assert started["State"]["Name"] == "pending"
    yield started["InstanceId"]
    ec2.terminate_instances(InstanceIds=[started["InstanceId"]])


def describe(ec2, instance_id):
    return ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]


def state(ec2, instance_id):
    return describe(ec2, instance_id)["State"]["Name"]


def test_an_instance_passes_through_every_state(ec2, instance_id):
    assert state(ec2, instance_id) == "pending"
    eventually(lambda: state(ec2, instance_id) == "running")

    stopping = ec2.stop_instances(InstanceIds=[instance_id])["StoppingInstances"][0]
    assert (stopping["PreviousState"]["Name"], stopping["CurrentState"]["Name"]) == ("running", "stopping")
    assert state(ec2, instance_id) == "stopping"
    assert describe(ec2, instance_id)["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    eventually(lambda: state(ec2, instance_id) == "stopped")

    starting = ec2.start_instances(InstanceIds=[instance_id])["StartingInstances"][0]
    assert (starting["PreviousState"]["Name"], starting["CurrentState"]["Name"]) == ("stopped", "pending")
    eventually(lambda: state(ec2, instance_id) == "running")

    ec2.terminate_instances(InstanceIds=[instance_id])
    assert state(ec2, instance_id) == "shutting-down"
    eventually(lambda: state(ec2, instance_id) == "terminated")


def test_a_type_of_which_there_is_none_left_does_not_start_and_another_does(localaws, ec2, instance_id):
    eventually(lambda: state(ec2, instance_id) == "running")
    ec2.stop_instances(InstanceIds=[instance_id])
    eventually(lambda: state(ec2, instance_id) == "stopped")
    file = localaws.state / "no-capacity"
    file.write_text("t3.micro\nm5.large\n")
    try:
        with pytest.raises(ClientError) as refusal:
            ec2.start_instances(InstanceIds=[instance_id])
        with pytest.raises(ClientError, match="InsufficientInstanceCapacity"):
            ec2.run_instances(ImageId=IMAGE, InstanceType="m5.large", MinCount=1, MaxCount=1)
        assert refusal.value.response["Error"]["Code"] == "InsufficientInstanceCapacity"
        assert state(ec2, instance_id) == "stopped"
        ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "t3.small"})
        assert describe(ec2, instance_id)["InstanceType"] == "t3.small"
        ec2.start_instances(InstanceIds=[instance_id])
    finally:
        file.unlink()
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.modify_instance_attribute(InstanceId=instance_id, InstanceType={"Value": "t3.micro"})
    with pytest.raises(ClientError, match="localaws modifies InstanceType alone, not UserData"):
        ec2.modify_instance_attribute(InstanceId=instance_id, UserData={"Value": b"x"})


def test_waiters_work(ec2, instance_id):
    quick = {"Delay": 1, "MaxAttempts": 10}
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance_id], WaiterConfig=quick)
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[instance_id], WaiterConfig=quick)
    ec2.stop_instances(InstanceIds=[instance_id])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance_id], WaiterConfig=quick)
    ec2.terminate_instances(InstanceIds=[instance_id])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id], WaiterConfig=quick)


def test_an_instance_that_is_stopping_cannot_be_started(ec2, instance_id):
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.stop_instances(InstanceIds=[instance_id])  # it is still pending
    eventually(lambda: state(ec2, instance_id) == "running")
    ec2.stop_instances(InstanceIds=[instance_id])
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.start_instances(InstanceIds=[instance_id])
    ec2.stop_instances(InstanceIds=[instance_id])  # stopping again changes nothing


def test_starting_what_runs_changes_nothing(ec2, instance_id):
    eventually(lambda: state(ec2, instance_id) == "running")
    again = ec2.start_instances(InstanceIds=[instance_id])["StartingInstances"][0]
    assert (again["PreviousState"]["Name"], again["CurrentState"]["Name"]) == ("running", "running")


def test_status_is_honest(ec2, instance_id):
    assert ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"] == []
    everything = ec2.describe_instance_status(InstanceIds=[instance_id], IncludeAllInstances=True)["InstanceStatuses"]
    assert everything[0]["InstanceStatus"]["Status"] == "not-applicable"
    eventually(lambda: state(ec2, instance_id) == "running")
    seen = {ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"][0]["InstanceStatus"]["Status"]}
    eventually(
        lambda: (
            ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"][0]["InstanceStatus"]["Status"]
            == "ok"
        )
    )
    assert seen <= {"initializing", "ok"}


def test_filters_tags_and_metadata_options(ec2):
    tags = [{"ResourceType": kind, "Tags": [{"Key": "dataset", "Value": "orders"}]} for kind in ("instance", "volume")]
    started = ec2.run_instances(
        ImageId=IMAGE,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=tags,
        MetadataOptions={"HttpTokens": "required"},
    )["Instances"][0]
    instance_id = started["InstanceId"]
    assert started["MetadataOptions"]["HttpTokens"] == "required"
    by_tag = [{"Name": "tag:dataset", "Values": ["orders"]}, {"Name": "instance-state-name", "Values": ["pending"]}]
    found = ec2.describe_instances(Filters=by_tag)["Reservations"]
    assert [one["Instances"][0]["InstanceId"] for one in found] == [instance_id]
    volumes = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}])["Volumes"]
    assert volumes[0]["Tags"] == [{"Key": "dataset", "Value": "orders"}]
    ec2.delete_tags(Resources=[instance_id], Tags=[{"Key": "dataset"}])
    assert ec2.describe_instances(Filters=by_tag)["Reservations"] == []
    with pytest.raises(ClientError, match="filter 'hypervisor' is invalid"):
        ec2.describe_instances(Filters=[{"Name": "hypervisor", "Values": ["xen"]}])
    ec2.terminate_instances(InstanceIds=[instance_id])
    of_instance = [{"Name": "attachment.instance-id", "Values": [instance_id]}]
    eventually(lambda: not ec2.describe_volumes(Filters=of_instance)["Volumes"])


def test_attributes_are_those_given(ec2, instance_id):
    def attribute(name):
        return ec2.describe_instance_attribute(InstanceId=instance_id, Attribute=name)

    assert attribute("instanceType")["InstanceType"]["Value"] == "t3.micro"
    mapped = [one["Ebs"]["VolumeId"] for one in attribute("blockDeviceMapping")["BlockDeviceMappings"]]
    assert mapped == [one["Ebs"]["VolumeId"] for one in describe(ec2, instance_id)["BlockDeviceMappings"]]
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        attribute("kernel")


def test_the_same_client_token_starts_one_instance(ec2):
    request = {"ImageId": IMAGE, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1, "ClientToken": "once"}
    first, second = (ec2.run_instances(**request)["Instances"][0]["InstanceId"] for _ in range(2))
    assert first == second
    ec2.terminate_instances(InstanceIds=[first])


@pytest.mark.parametrize(
    ("call", "arguments", "code"),
    [
        ("start_instances", {"InstanceIds": ["i-0123456789abcdef0"]}, "InvalidInstanceID.NotFound"),
        ("describe_instances", {"InstanceIds": ["i-nonsense"]}, "InvalidInstanceID.Malformed"),
        ("create_image", {"InstanceId": "i-0123456789abcdef0", "Name": "backup"}, "UnsupportedOperation"),
        ("describe_instances", {"DryRun": True}, "DryRunOperation"),
        ("describe_account_attributes", {}, "InvalidAction"),
        ("create_tags", {"Resources": ["vol-0123456789abcdef0"], "Tags": [{"Key": "a"}]}, "InvalidVolume.NotFound"),
        (
            "run_instances",
            {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1, "CreditSpecification": {"CpuCredits": "standard"}},
            "UnsupportedOperation",
        ),
        (
            "run_instances",
            {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1, "IamInstanceProfile": {"Name": "absent"}},
            "InvalidParameterValue",
        ),
        (
            "run_instances",
            {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1, "SubnetId": "subnet-absent"},
            "InvalidSubnetID.NotFound",
        ),
    ],
)
def test_refusals_are_aws_errors(ec2, call, arguments, code):
    with pytest.raises(ClientError) as refused:
        getattr(ec2, call)(**arguments)
    assert refused.value.response["Error"]["Code"] == code


def test_not_every_zone_has_every_instance_type(ec2):
    def zones(*types):
        wanted = [{"Name": "instance-type", "Values": list(types)}]
        offered = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=wanted)
        return sorted(one["Location"][-1] for one in offered["InstanceTypeOfferings"])

    assert (zones("m6i.large"), zones("m7i.large"), zones("m99.large")) == (["a", "b", "c"], ["b", "c"], [])
    everywhere = ec2.describe_instance_type_offerings(Filters=[{"Name": "instance-type", "Values": ["m7i.*"]}])
    assert {one["Location"] for one in everywhere["InstanceTypeOfferings"]} == {"us-east-1"}
    subnets = {one["AvailabilityZone"][-1]: one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]}
    request = {"ImageId": IMAGE, "InstanceType": "m7i.large", "MinCount": 1, "MaxCount": 1}
    with pytest.raises(ClientError, match=r"Unsupported.*us-east-1a"):
        ec2.run_instances(**request, SubnetId=subnets["a"])
    (started,) = ec2.run_instances(**request, SubnetId=subnets["b"])["Instances"]
    assert started["Placement"]["AvailabilityZone"] == "us-east-1b"
    ec2.terminate_instances(InstanceIds=[started["InstanceId"]])
