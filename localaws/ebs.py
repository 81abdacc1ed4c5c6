"""EBS volumes that hold files, and snapshots that hold what a volume held at that moment.

A volume is the folder `volumes/<volume id>` and a snapshot `snapshots/<snapshot id>` under the state folder.
The processes of the instance are stopped while its volume is copied, so that a snapshot is one moment's content.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import ec2 as service

from localaws import machines
from localaws.overlay import register
from localaws.query import (
    Parameters,
    Refused,
    Response,
    action,
    flag,
    lower,
    matching,
    page,
    required,
    value,
    values,
)
from localaws.settings import STATE, TRANSITION_SECONDS

logger = logging.getLogger("localaws.ebs")

VOLUMES = STATE / "volumes"
SNAPSHOTS = STATE / "snapshots"

MAX_PENDING_SNAPSHOTS = 5
"""Of one volume; AWS also wants 15 seconds between two, which is not kept here."""

COPYING_ACTIONS = frozenset(
    {"CreateVolume", "DeleteVolume", "CreateSnapshot", "CreateSnapshots", "CopySnapshot", "DeleteSnapshot"}
)
"""Actions that read or write whole folders, and so must not hold up the event loop."""

VOLUME_FILTERS = {
    "volume-id": lambda volume: volume["VolumeId"],
    "size": lambda volume: volume["Size"],
    "status": lambda volume: volume["State"],
    "volume-type": lambda volume: volume["VolumeType"],
    "availability-zone": lambda volume: volume["AvailabilityZone"],
    "snapshot-id": lambda volume: volume["SnapshotId"],
    "create-time": lambda volume: volume["CreateTime"],
    "encrypted": lambda volume: lower(volume["Encrypted"]),
    "multi-attach-enabled": lambda volume: lower(volume["MultiAttachEnabled"]),
    "attachment.instance-id": lambda volume: [one["InstanceId"] for one in volume["Attachments"]],
    "attachment.device": lambda volume: [one["Device"] for one in volume["Attachments"]],
    "attachment.status": lambda volume: [one["State"] for one in volume["Attachments"]],
    "attachment.delete-on-termination": lambda volume: [
        lower(one["DeleteOnTermination"]) for one in volume["Attachments"]
    ],
}

SNAPSHOT_FILTERS = {
    "snapshot-id": lambda snapshot: snapshot["SnapshotId"],
    "volume-id": lambda snapshot: snapshot["VolumeId"],
    "volume-size": lambda snapshot: snapshot["VolumeSize"],
    "status": lambda snapshot: snapshot["State"],
    "start-time": lambda snapshot: snapshot["StartTime"],
    "progress": lambda snapshot: snapshot["Progress"],
    "owner-id": lambda snapshot: snapshot["OwnerId"],
    "description": lambda snapshot: snapshot["Description"],
    "storage-tier": lambda snapshot: snapshot["StorageTier"],
    "encrypted": lambda snapshot: lower(snapshot["Encrypted"]),
}


def volume_folder(volume_id: str) -> Path:
    """The folder with a volume's content."""
    return VOLUMES / volume_id


def snapshot_folder(snapshot_id: str) -> Path:
    """The folder with a snapshot's content."""
    return SNAPSHOTS / snapshot_id


def _special_files(folder: str, names: list[str]) -> list[str]:
    """Sockets, pipes and devices: a copy of one means nothing, and opening a pipe would wait forever."""
    wanted = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
    return [name for name in names if not any(kind((Path(folder) / name).lstat().st_mode) for kind in wanted)]


def copy_content(source: Path, target: Path) -> None:
    """Copy a folder's bytes, permissions, times and links; the target appears whole or not at all.

    Raises:
        shutil.Error: when something in the source cannot be read.
    """
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(source, partial, symlinks=True, ignore=_special_files)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def remove_content(folder: Path) -> None:
    """Remove a folder; it disappears whole, and only then are its files deleted."""
    if folder.exists():
        doomed = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
        folder.rename(doomed)
        shutil.rmtree(doomed)


def settle(now: float) -> None:
    """Complete the volumes and snapshots whose time has come."""
    for volume in service._volumes.all_values():
        if volume["State"] == "creating" and now >= volume["_available_at"]:
            volume["State"] = "available"
    for snapshot in service._snapshots.all_values():
        if snapshot["State"] == "pending" and now >= snapshot["_completed_at"]:
            snapshot["State"], snapshot["Progress"] = "completed", "100%"


def find_volume(volume_id: str) -> dict[str, Any]:
    """The record of a volume.

    Raises:
        Refused: InvalidVolume.NotFound.
    """
    volume = service._volumes.get(volume_id)
    if volume is None:
        raise Refused("InvalidVolume.NotFound", f"The volume '{volume_id}' does not exist.")
    return volume


def find_snapshot(snapshot_id: str, region: str | None = None) -> dict[str, Any]:
    """The record of a snapshot, of this region or the given one.

    Raises:
        Refused: InvalidSnapshot.NotFound.
    """
    snapshot = service._snapshots.get_scoped(get_account_id(), region or get_region(), snapshot_id)
    if snapshot is None:
        raise Refused("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
    return snapshot


def new_volume(
    specification: Parameters, zone: str, *, available_at: float, volume_id: str | None = None
) -> dict[str, Any]:
    """Make a volume and its folder, with a snapshot's content when one is named.

    Args:
        specification: Size (GiB), VolumeType, SnapshotId, Iops, Throughput, Encrypted, as in CreateVolume.
        zone: availability zone.
        available_at: epoch second at which it stops being `creating`.
        volume_id: id to use, for the root volume that an instance's record already names.

    Raises:
        Refused: for a snapshot that does not exist or is pending, or a size that is missing or too small.
    """
    snapshot_id = value(specification, "SnapshotId")
    snapshot = find_snapshot(snapshot_id) if snapshot_id else None
    if snapshot and snapshot["State"] != "completed":
        raise Refused("IncorrectState", f"Snapshot is in invalid state - {snapshot['State']}")
    size = value(specification, "Size") or value(specification, "VolumeSize")
    if not size and snapshot is None:
        raise Refused("MissingParameter", "The request must contain the parameter size/snapshot")
    gigabytes = int(size or snapshot["VolumeSize"])  # type: ignore[index]  # one of the two is there
    if gigabytes < 1:
        raise Refused("InvalidParameterValue", f"Volume of {gigabytes}GiB is too small; minimum is 1GiB.")
    if snapshot and gigabytes < snapshot["VolumeSize"]:
        raise Refused(
            "InvalidParameterValue",
            f"The size of a volume cannot be smaller than its snapshot: {gigabytes} < {snapshot['VolumeSize']} GiB",
        )
    kind = value(specification, "VolumeType", "gp2")
    volume_id = volume_id or service._new_volume_id()
    if snapshot:
        copy_content(snapshot_folder(snapshot_id), volume_folder(volume_id))
    else:
        volume_folder(volume_id).mkdir(parents=True)
    volume = {
        "VolumeId": volume_id,
        "Size": gigabytes,
        "AvailabilityZone": zone,
        "State": "creating",
        "VolumeType": kind,
        "SnapshotId": snapshot_id,
        "Iops": int(value(specification, "Iops") or (3000 if kind in ("gp3", "io1", "io2") else 0)),
        "Encrypted": flag(specification, "Encrypted") or bool(snapshot and snapshot["Encrypted"]),
        "CreateTime": service._now_ts(),
        "Attachments": [],
        "MultiAttachEnabled": False,
        "Throughput": int(value(specification, "Throughput") or (125 if kind == "gp3" else 0)),
        "_available_at": available_at,
    }
    service._volumes[volume_id] = volume
    return volume


def attach(volume: dict[str, Any], instance: dict[str, Any], device: str, *, delete_on_termination: bool) -> None:
    """Record that a volume is the given device of an instance, on both."""
    now = service._now_ts()
    volume["State"] = "in-use"
    volume["Attachments"] = [
        {
            "VolumeId": volume["VolumeId"],
            "InstanceId": instance["InstanceId"],
            "Device": device,
            "State": "attached",
            "AttachTime": now,
            "DeleteOnTermination": delete_on_termination,
        }
    ]
    instance["BlockDeviceMappings"].append(
        {
            "DeviceName": device,
            "Ebs": {
                "VolumeId": volume["VolumeId"],
                "Status": "attached",
                "AttachTime": now,
                "DeleteOnTermination": delete_on_termination,
            },
        }
    )


def detach(volume: dict[str, Any], instance: dict[str, Any]) -> None:
    """Record that a volume is no longer attached."""
    volume["State"], volume["Attachments"] = "available", []
    instance["BlockDeviceMappings"] = [
        mapping for mapping in instance["BlockDeviceMappings"] if mapping["Ebs"]["VolumeId"] != volume["VolumeId"]
    ]


def release_volumes(instance: dict[str, Any]) -> None:
    """At the end of an instance, delete the volumes that go with it and detach the others."""
    for mapping in list(instance["BlockDeviceMappings"]):
        volume_id = mapping["Ebs"]["VolumeId"]
        volume = service._volumes.get(volume_id)
        if volume is None:
            continue
        detach(volume, instance)
        if mapping["Ebs"]["DeleteOnTermination"]:
            service._volumes.pop(volume_id)
            remove_content(volume_folder(volume_id))


def data_volume(instance: dict[str, Any]) -> str | None:
    """The id of the volume an instance keeps its data on: of those not its root, the first by device name."""
    mappings = sorted(instance["BlockDeviceMappings"], key=lambda mapping: mapping["DeviceName"])
    data = [mapping for mapping in mappings if mapping["DeviceName"] != instance["RootDeviceName"]]
    return data[0]["Ebs"]["VolumeId"] if data else None


def root_volume(instance: dict[str, Any]) -> str:
    """The id of the volume an instance boots from."""
    return next(
        mapping["Ebs"]["VolumeId"]
        for mapping in instance["BlockDeviceMappings"]
        if mapping["DeviceName"] == instance["RootDeviceName"]
    )


@action
def create_volume(parameters: Parameters) -> Response:
    zone = required(parameters, "AvailabilityZone")
    if not zone.startswith(get_region()):
        raise Refused("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
    volume = new_volume(parameters, zone, available_at=time.time() + TRANSITION_SECONDS)
    service._parse_tag_specs(parameters, "volume", volume["VolumeId"])
    return service._xml(200, "CreateVolumeResponse", service._volume_inner_xml(volume))


@action
def delete_volume(parameters: Parameters) -> Response:
    volume = find_volume(required(parameters, "VolumeId"))
    volume_id = volume["VolumeId"]
    if volume["Attachments"]:
        instance_id = volume["Attachments"][0]["InstanceId"]
        raise Refused("VolumeInUse", f"Volume {volume_id} is currently attached to {instance_id}")
    service._volumes.pop(volume_id)
    service._tags.pop(volume_id, None)
    remove_content(volume_folder(volume_id))
    return service._xml(200, "DeleteVolumeResponse", "<return>true</return>")


@action
def describe_volumes(parameters: Parameters) -> Response:
    wanted = values(parameters, "VolumeId")
    candidates = [find_volume(volume_id) for volume_id in wanted] if wanted else service._volumes.values()
    found, token = page(parameters, matching(parameters, candidates, "VolumeId", VOLUME_FILTERS))
    items = "".join(f"<item>{service._volume_inner_xml(volume)}</item>" for volume in found)
    return service._xml(200, "DescribeVolumesResponse", f"<volumeSet>{items}</volumeSet>{token}")


def _attachment_xml(attachment: dict[str, Any], status: str) -> str:
    return (
        f"<volumeId>{attachment['VolumeId']}</volumeId><instanceId>{attachment['InstanceId']}</instanceId>"
        f"<device>{attachment['Device']}</device><status>{status}</status>"
        f"<attachTime>{attachment['AttachTime']}</attachTime>"
        f"<deleteOnTermination>{lower(attachment['DeleteOnTermination'])}</deleteOnTermination>"
    )


@action
def attach_volume(parameters: Parameters) -> Response:
    volume = find_volume(required(parameters, "VolumeId"))
    instance_id, device = required(parameters, "InstanceId"), required(parameters, "Device")
    instance = service._instances.get(instance_id)
    if instance is None:
        raise Refused("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    if volume["Attachments"]:
        raise Refused("VolumeInUse", f"{volume['VolumeId']} is already attached to an instance")
    if volume["State"] != "available":
        raise Refused("IncorrectState", f"{volume['VolumeId']} is not 'available'.")
    if instance["State"]["Name"] not in ("running", "stopped"):
        raise Refused(
            "IncorrectState", f"Instance '{instance_id}' is not 'running' or 'stopped': {instance['State']['Name']}"
        )
    zone = instance["Placement"]["AvailabilityZone"]
    if volume["AvailabilityZone"] != zone:
        raise Refused(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume['VolumeId']}' is not in the same availability zone as instance '{instance_id}'",
        )
    if device in [mapping["DeviceName"] for mapping in instance["BlockDeviceMappings"]]:
        raise Refused("InvalidParameterValue", f"Invalid value '{device}' for unixDevice. It is already in use")
    attach(volume, instance, device, delete_on_termination=False)
    return service._xml(200, "AttachVolumeResponse", _attachment_xml(volume["Attachments"][0], "attaching"))


@action
def detach_volume(parameters: Parameters) -> Response:
    volume = find_volume(required(parameters, "VolumeId"))
    if not volume["Attachments"]:
        raise Refused("IncorrectState", f"Volume '{volume['VolumeId']}' is in the 'available' state.")
    attachment = volume["Attachments"][0]
    for key in ("InstanceId", "Device"):
        if value(parameters, key, attachment[key]) != attachment[key]:
            raise Refused(
                "InvalidAttachment.NotFound",
                f"The volume '{volume['VolumeId']}' is not attached as '{value(parameters, key)}'",
            )
    instance = service._instances[attachment["InstanceId"]]
    if attachment["Device"] == instance["RootDeviceName"] and instance["State"]["Name"] != "stopped":
        raise Refused("OperationNotPermitted", f"Unable to detach root volume '{volume['VolumeId']}' from instance")
    detach(volume, instance)
    return service._xml(200, "DetachVolumeResponse", _attachment_xml(attachment, "detaching"))


def new_snapshot(volume: dict[str, Any], description: str) -> dict[str, Any]:
    """Copy a volume's content into a snapshot that is pending for a moment; its content is that of now.

    Raises:
        Refused: IncorrectState for a volume that is still being created.
    """
    if volume["State"] == "creating":
        raise Refused("IncorrectState", f"The volume '{volume['VolumeId']}' is in the 'creating' state.")
    snapshot_id = service._new_snapshot_id()
    started = service._now_ts()
    copy_content(volume_folder(volume["VolumeId"]), snapshot_folder(snapshot_id))
    snapshot = {
        "SnapshotId": snapshot_id,
        "VolumeId": volume["VolumeId"],
        "VolumeSize": volume["Size"],
        "Description": description,
        "State": "pending",
        "StartTime": started,
        "Progress": "0%",
        "OwnerId": get_account_id(),
        "Encrypted": volume["Encrypted"],
        "StorageTier": "standard",
        "_completed_at": time.time() + TRANSITION_SECONDS,
    }
    service._snapshots[snapshot_id] = snapshot
    return snapshot


@action
def create_snapshot(parameters: Parameters) -> Response:
    volume = find_volume(required(parameters, "VolumeId"))
    same = (one for one in service._snapshots.values() if one["VolumeId"] == volume["VolumeId"])
    if sum(one["_completed_at"] > time.time() for one in same) >= MAX_PENDING_SNAPSHOTS:
        raise Refused(
            "ConcurrentSnapshotLimitExceeded",
            f"Maximum allowed in-progress snapshots for a single volume exceeded: {MAX_PENDING_SNAPSHOTS}",
        )
    with ExitStack() as stopped:
        for attachment in volume["Attachments"]:
            stopped.enter_context(machines.frozen(attachment["InstanceId"]))
        snapshot = new_snapshot(volume, value(parameters, "Description"))
    service._parse_tag_specs(parameters, "snapshot", snapshot["SnapshotId"])
    return service._xml(200, "CreateSnapshotResponse", service._snapshot_inner_xml(snapshot))


def _snapshot_info_xml(snapshot: dict[str, Any]) -> str:
    # CreateSnapshots alone names the state "state" where the other calls say "status".
    return service._snapshot_inner_xml(snapshot).replace("<status>", "<state>").replace("</status>", "</state>")


@action
def create_snapshots(parameters: Parameters) -> Response:
    instance_id = required(parameters, "InstanceSpecification.InstanceId")
    instance = service._instances.get(instance_id)
    if instance is None:
        raise Refused("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    if value(parameters, "CopyTagsFromSource", "volume") != "volume":
        raise Refused("InvalidParameterValue", "CopyTagsFromSource must be 'volume'")
    attached = [mapping["Ebs"]["VolumeId"] for mapping in instance["BlockDeviceMappings"]]
    excluded = set(values(parameters, "InstanceSpecification.ExcludeDataVolumeId"))
    if unknown := excluded - set(attached):
        raise Refused("InvalidVolume.NotFound", f"Not attached to {instance_id}: {', '.join(sorted(unknown))}")
    if flag(parameters, "InstanceSpecification.ExcludeBootVolume"):
        excluded.add(root_volume(instance))
    chosen = [find_volume(volume_id) for volume_id in attached if volume_id not in excluded]
    if not chosen:
        raise Refused("InvalidParameterCombination", f"No volume of {instance_id} is left to take a snapshot of")
    made = []
    with machines.frozen(instance_id):
        for volume in chosen:
            snapshot = new_snapshot(volume, value(parameters, "Description"))
            service._parse_tag_specs(parameters, "snapshot", snapshot["SnapshotId"])
            if value(parameters, "CopyTagsFromSource"):
                _copy_tags(volume["VolumeId"], snapshot["SnapshotId"])
            made.append(snapshot)
    items = "".join(f"<item>{_snapshot_info_xml(snapshot)}</item>" for snapshot in made)
    return service._xml(200, "CreateSnapshotsResponse", f"<snapshotSet>{items}</snapshotSet>")


def _copy_tags(source_id: str, target_id: str) -> None:
    own = service._tags.get(target_id, [])
    given = {tag["Key"] for tag in own}
    service._tags[target_id] = own + [dict(tag) for tag in service._tags.get(source_id, []) if tag["Key"] not in given]


@action
def describe_snapshots(parameters: Parameters) -> Response:
    wanted = values(parameters, "SnapshotId")
    candidates = [find_snapshot(snapshot_id) for snapshot_id in wanted] if wanted else service._snapshots.values()
    owners = values(parameters, "Owner")
    owned = [one for one in candidates if not owners or "self" in owners or one["OwnerId"] in owners]
    found, token = page(parameters, matching(parameters, owned, "SnapshotId", SNAPSHOT_FILTERS))
    items = "".join(f"<item>{service._snapshot_inner_xml(snapshot)}</item>" for snapshot in found)
    return service._xml(200, "DescribeSnapshotsResponse", f"<snapshotSet>{items}</snapshotSet>{token}")


@action
def copy_snapshot(parameters: Parameters) -> Response:
    source = find_snapshot(required(parameters, "SourceSnapshotId"), required(parameters, "SourceRegion"))
    if source["State"] != "completed":
        raise Refused("IncorrectState", f"Snapshot is in invalid state - {source['State']}")
    snapshot_id = service._new_snapshot_id()
    copy_content(snapshot_folder(source["SnapshotId"]), snapshot_folder(snapshot_id))
    service._snapshots[snapshot_id] = {
        **source,
        "SnapshotId": snapshot_id,
        "Description": value(parameters, "Description"),
        "StartTime": service._now_ts(),
        "State": "pending",
        "Progress": "0%",
        "Encrypted": source["Encrypted"] or flag(parameters, "Encrypted"),
        "_completed_at": time.time() + TRANSITION_SECONDS,
    }
    service._parse_tag_specs(parameters, "snapshot", snapshot_id)
    return service._xml(200, "CopySnapshotResponse", f"<snapshotId>{snapshot_id}</snapshotId>")


@action
def delete_snapshot(parameters: Parameters) -> Response:
    snapshot_id = required(parameters, "SnapshotId")
    find_snapshot(snapshot_id)
    service._snapshots.pop(snapshot_id)
    service._tags.pop(snapshot_id, None)
    remove_content(snapshot_folder(snapshot_id))
    return service._xml(200, "DeleteSnapshotResponse", "<return>true</return>")


def remove_leftovers() -> None:
    """Delete what a crash left of copies and deletions that were under way."""
    for parent in (VOLUMES, SNAPSHOTS):
        parent.mkdir(parents=True, exist_ok=True)
        for entry in os.scandir(parent):
            if entry.name.startswith("."):
                shutil.rmtree(entry.path)


def install() -> None:
    """Put these handlers in ministack's place."""
    remove_leftovers()
    for name, handler in {
        "CreateVolume": create_volume,
        "DeleteVolume": delete_volume,
        "DescribeVolumes": describe_volumes,
        "AttachVolume": attach_volume,
        "DetachVolume": detach_volume,
        "CreateSnapshot": create_snapshot,
        "DescribeSnapshots": describe_snapshots,
        "CopySnapshot": copy_snapshot,
        "DeleteSnapshot": delete_snapshot,
    }.items():
        register(service.__name__, "_ACTION_MAP", name, handler, existing=True)
    register(service.__name__, "_ACTION_MAP", "CreateSnapshots", create_snapshots)
