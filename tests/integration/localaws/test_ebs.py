"""Volumes hold files, snapshots hold what a volume held at one moment."""

import hashlib
import os

import pytest
from botocore.exceptions import ClientError

from tests.waiting import eventually

ZONE = "us-east-1a"


@pytest.fixture
def ec2(aws):
    return aws("ec2")


@pytest.fixture
def volumes(localaws):
    return localaws.state / "volumes"


def contents(folder):
    """Every file below a folder with its mode and bytes, every link with its target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = (path.stat().st_mode, path.stat().st_mtime, hashlib.sha256(path.read_bytes()).hexdigest())
        else:
            found[name] = "folder"
    return found


def volume_state(ec2, volume_id):
    return ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"]


def snapshot_state(ec2, snapshot_id):
    return ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]["State"]


def new_volume(ec2, **options):
    volume = ec2.create_volume(AvailabilityZone=ZONE, **options)
    assert volume["State"] == "creating"
    eventually(lambda: volume_state(ec2, volume["VolumeId"]) == "available")
    return volume["VolumeId"]


def test_a_restored_snapshot_has_the_same_bytes(ec2, volumes):
    source = new_volume(ec2, Size=1)
    folder = volumes / source
    (folder / "staged" / "empty").mkdir(parents=True)
    (folder / "staged" / "orders.csv").write_bytes(os.urandom(300_000))
    (folder / "staged" / "run me").write_text("#!/bin/sh\n")
    (folder / "staged" / "run me").chmod(0o755)
    (folder / "latest").symlink_to("staged/orders.csv")
    os.mkfifo(folder / "pipe")
    before = {name: entry for name, entry in contents(folder).items() if name != "pipe"}

    snapshot = ec2.create_snapshot(VolumeId=source, Description="before")
    assert (snapshot["State"], snapshot["VolumeSize"]) == ("pending", 1)
    (folder / "staged" / "orders.csv").write_text("changed since")
    (folder / "new").write_text("came later")
    with pytest.raises(ClientError, match="IncorrectState"):
        ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot["SnapshotId"])
    ec2.get_waiter("snapshot_completed").wait(
        SnapshotIds=[snapshot["SnapshotId"]], WaiterConfig={"Delay": 1, "MaxAttempts": 5}
    )

    restored = new_volume(ec2, SnapshotId=snapshot["SnapshotId"])
    assert contents(volumes / restored) == before
    (volumes / restored / "staged" / "orders.csv").write_text("the copy is a copy")
    again = new_volume(ec2, SnapshotId=snapshot["SnapshotId"], Size=5)
    assert contents(volumes / again) == before
    copied = ec2.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=snapshot["SnapshotId"])["SnapshotId"]
    ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    eventually(lambda: snapshot_state(ec2, copied) == "completed")
    from_copy = new_volume(ec2, SnapshotId=copied)
    assert contents(volumes / from_copy) == before


def test_a_volume_moves_between_instances(ec2, make_worker, localaws, volumes):
    first, second = make_worker(localaws), make_worker(localaws)
    volume_id = new_volume(ec2, Size=2)
    ec2.attach_volume(VolumeId=volume_id, InstanceId=first.instance_id, Device="/dev/sdg")
    assert volume_state(ec2, volume_id) == "in-use"
    attached = ec2.describe_instances(InstanceIds=[first.instance_id])["Reservations"][0]["Instances"][0]
    assert volume_id in [one["Ebs"]["VolumeId"] for one in attached["BlockDeviceMappings"]]
    for call, code in (
        (lambda: ec2.delete_volume(VolumeId=volume_id), "VolumeInUse"),
        (
            lambda: ec2.attach_volume(VolumeId=volume_id, InstanceId=second.instance_id, Device="/dev/sdg"),
            "VolumeInUse",
        ),
    ):
        with pytest.raises(ClientError, match=code):
            call()
    (volumes / volume_id / "kept").write_text("here")
    ec2.detach_volume(VolumeId=volume_id)
    eventually(lambda: volume_state(ec2, volume_id) == "available")
    ec2.attach_volume(VolumeId=volume_id, InstanceId=second.instance_id, Device="/dev/sdh")
    assert (volumes / volume_id / "kept").read_text() == "here"

    # The volume it was started with goes with the instance, the one attached later stays.
    ec2.terminate_instances(InstanceIds=[first.instance_id, second.instance_id])
    eventually(lambda: volume_state(ec2, volume_id) == "available")
    assert not second.data.exists()
    ec2.delete_volume(VolumeId=volume_id)
    assert not (volumes / volume_id).exists()


def test_snapshots_of_an_instance_and_their_tags(ec2, make_worker, localaws):
    worker = make_worker(localaws)
    (worker.data / "file").write_text("content")
    tags = [{"Key": "dataset", "Value": "orders"}, {"Key": "ds", "Value": "2025-06-30"}]
    made = ec2.create_snapshots(
        InstanceSpecification={"InstanceId": worker.instance_id, "ExcludeBootVolume": True},
        Description="staged",
        TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}],
    )["Snapshots"]
    assert [(one["VolumeId"], one["State"], one["Tags"]) for one in made] == [(worker.volume_id, "pending", tags)]
    everything = ec2.create_snapshots(InstanceSpecification={"InstanceId": worker.instance_id})["Snapshots"]
    assert len(everything) == 2

    snapshot_id = made[0]["SnapshotId"]
    by_tag = [{"Name": "tag:ds", "Values": ["2025-06-*"]}, {"Name": "volume-id", "Values": [worker.volume_id]}]
    found = ec2.describe_snapshots(OwnerIds=["self"], Filters=by_tag)["Snapshots"]
    assert [one["SnapshotId"] for one in found] == [snapshot_id]
    eventually(lambda: snapshot_state(ec2, snapshot_id) == "completed")
    completed = [{"Name": "status", "Values": ["completed"]}, *by_tag]
    assert ec2.describe_snapshots(Filters=completed)["Snapshots"][0]["Progress"] == "100%"
    ec2.create_tags(Resources=[snapshot_id], Tags=[{"Key": "ds", "Value": "2025-07-01"}])
    assert ec2.describe_snapshots(Filters=by_tag)["Snapshots"] == []
    ec2.delete_tags(Resources=[snapshot_id], Tags=[{"Key": "ds"}])
    assert ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]["Tags"] == tags[:1]
    ec2.delete_snapshot(SnapshotId=snapshot_id)
    with pytest.raises(ClientError, match=r"InvalidSnapshot\.NotFound"):
        ec2.describe_snapshots(SnapshotIds=[snapshot_id])
    assert not (localaws.state / "snapshots" / snapshot_id).exists()


def test_snapshots_come_in_pages(ec2):
    volume_id = new_volume(ec2, Size=1)
    made = set()
    for _ in range(7):
        made.add(snapshot_id := ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"])
        eventually(lambda snapshot_id=snapshot_id: snapshot_state(ec2, snapshot_id) == "completed")
    of_volume = [{"Name": "volume-id", "Values": [volume_id]}]
    pages = list(ec2.get_paginator("describe_snapshots").paginate(Filters=of_volume, PaginationConfig={"PageSize": 5}))
    assert [len(page["Snapshots"]) for page in pages] == [5, 2]
    assert {one["SnapshotId"] for page in pages for one in page["Snapshots"]} == made


def test_a_snapshot_is_one_moment_of_a_running_writer(ec2, worker, volumes):
    """Two files that are always written one after the other never differ by more than that write."""
    command = worker.send(
        "n=0; while :; do n=$((n+1)); echo $n > $LAKE_DATA_DIR/a; echo $n > $LAKE_DATA_DIR/b; done", seconds=30
    )
    eventually((worker.data / "b").exists)
    for _ in range(5):
        snapshot_id = ec2.create_snapshot(VolumeId=worker.volume_id)["SnapshotId"]
        eventually(lambda snapshot_id=snapshot_id: snapshot_state(ec2, snapshot_id) == "completed")
        copy = new_volume(ec2, SnapshotId=snapshot_id)
        first, second = ((volumes / copy / name).read_text().strip() or "-1" for name in ("a", "b"))
        assert "-1" in (first, second) or int(first) - int(second) in (0, 1)
    before = (worker.data / "a").read_text()
    eventually(lambda: (worker.data / "a").read_text() not in ("", before))  # it goes on afterwards
    worker.server.client("ssm").cancel_command(CommandId=command)
    worker.wait_status(command, "Cancelled")


@pytest.mark.parametrize(
    ("call", "arguments", "code"),
    [
        ("create_volume", {"AvailabilityZone": ZONE}, "MissingParameter"),
        ("create_volume", {"AvailabilityZone": "eu-west-1a", "Size": 1}, "InvalidZone.NotFound"),
        ("create_volume", {"AvailabilityZone": ZONE, "SnapshotId": "snap-0"}, "InvalidSnapshot.NotFound"),
        ("create_snapshot", {"VolumeId": "vol-0"}, "InvalidVolume.NotFound"),
        ("create_snapshots", {"InstanceSpecification": {"InstanceId": "i-0"}}, "InvalidInstanceID.NotFound"),
        ("delete_snapshot", {"SnapshotId": "snap-0"}, "InvalidSnapshot.NotFound"),
        ("describe_volumes", {"Filters": [{"Name": "fast-restored", "Values": ["true"]}]}, "InvalidParameterValue"),
    ],
)
def test_refusals_are_aws_errors(ec2, call, arguments, code):
    with pytest.raises(ClientError) as refused:
        getattr(ec2, call)(**arguments)
    assert refused.value.response["Error"]["Code"] == code
