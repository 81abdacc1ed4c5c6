"""CloudFormation: the resource types our template needs that ministack lacks, and what it gets wrong in others.

EC2 instances, volumes and attachments are made through EC2's own actions, looked up at each call, so that whatever
serves the EC2 API serves the stack as well. A property that is not handled fails the stack: none is quietly ignored.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree import ElementTree

from ministack.services import ec2, iam, sns, ssm
from ministack.services.cloudformation import provisioners, stacks

from localaws import buckets, documents
from localaws import ec2 as instances
from localaws.overlay import register, replace
from localaws.query import Refused

Properties = dict[str, Any]
Created = tuple[str, Properties]
"""What a create handler returns: the physical id (`Ref`) and the attributes (`Fn::GetAtt`)."""

WAIT_SECONDS = 300
"""How long a resource may take to reach the state that ends its creation or deletion."""

INSTANCE, VOLUME, ATTACHMENT = "AWS::EC2::Instance", "AWS::EC2::Volume", "AWS::EC2::VolumeAttachment"
DOCUMENT = "AWS::SSM::Document"

QUERY_NAMES = {
    "SecurityGroupIds": "SecurityGroupId",
    "BlockDeviceMappings": "BlockDeviceMapping",
    "IamInstanceProfile": "IamInstanceProfile.Name",
}
"""Template properties whose EC2 request parameter has another name."""

INSTANCE_PROPERTIES = {
    "BlockDeviceMappings",
    "IamInstanceProfile",
    "ImageId",
    "InstanceInitiatedShutdownBehavior",
    "InstanceType",
    "MetadataOptions",
    "SecurityGroupIds",
    "SubnetId",
    "UserData",
}
VOLUME_PROPERTIES = {"AvailabilityZone", "Encrypted", "Iops", "Size", "SnapshotId", "Throughput", "VolumeType"}
ATTACHMENT_PROPERTIES = {"Device", "InstanceId", "VolumeId"}
DOCUMENT_VERSION_PROPERTIES = {"Content", "DocumentFormat", "TargetType", "VersionName"}
"""Those of a document that UpdateDocument changes; with `UpdateMethod: Replace`, the default, they replace it."""
DOCUMENT_PROPERTIES = {"DocumentType", "Name", "UpdateMethod", *DOCUMENT_VERSION_PROPERTIES}

REPLACING_PROPERTIES = {
    INSTANCE: ("BlockDeviceMappings", "ImageId", "SubnetId"),
    VOLUME: ("AvailabilityZone", "Encrypted", "SnapshotId"),
    ATTACHMENT: ("Device", "InstanceId", "VolumeId"),
    DOCUMENT: ("DocumentType", "Name"),
}
"""Properties whose change makes a new resource, from "Update requires: Replacement" in the CloudFormation reference."""


def _flatten(name: str, setting: Any) -> Iterator[tuple[str, str]]:
    """A nested property as the dotted, numbered parameters of EC2's query protocol."""
    if isinstance(setting, dict):
        for key, inner in setting.items():
            yield from _flatten(f"{name}.{key}", inner)
    elif isinstance(setting, list):
        for number, inner in enumerate(setting, start=1):
            yield from _flatten(f"{name}.{number}", inner)
    else:
        yield name, str(setting).lower() if isinstance(setting, bool) else str(setting)


def _parameters(resource_type: str, properties: Properties, supported: set[str]) -> dict[str, str]:
    """The request parameters for a resource's properties, its tags aside.

    Raises:
        ValueError: for a property that is not supported.
    """
    unknown = sorted(properties.keys() - supported - {"Tags", "PropagateTagsToVolumeOnCreation"})
    if unknown:
        raise ValueError(f"localaws cannot set {', '.join(unknown)} of {resource_type}")
    return {
        key: value
        for name in sorted(properties.keys() & supported)
        for key, value in _flatten(QUERY_NAMES.get(name, name), properties[name])
    }


def _tag_parameters(kinds: list[str], properties: Properties) -> dict[str, str]:
    """A TagSpecification with the resource's tags for each kind of thing the request makes."""
    tags = properties.get("Tags", [])
    if not tags:
        return {}
    return dict(_flatten("TagSpecification", [{"ResourceType": kind, "Tag": tags} for kind in kinds]))


def _request(action: str, parameters: dict[str, str]) -> ElementTree.Element:
    """Call an EC2 action as a client would.

    Raises:
        ValueError: with EC2's error code and message when it refuses.
    """
    status, _headers, body = ec2._ACTION_MAP[action]({"Action": action, **parameters})
    answer = ElementTree.fromstring(body)  # noqa: S314 - written by this process
    for element in answer.iter():
        element.tag = element.tag.rpartition("}")[2]
    if status >= 400:
        raise ValueError(f"{action}: {answer.findtext('.//Code')}: {answer.findtext('.//Message')}")
    return answer


def _wait(what: str, state: Callable[[], str | None], wanted: str) -> None:
    """Wait until `state()` is `wanted`.

    Raises:
        ValueError: when that takes longer than WAIT_SECONDS.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    while (current := state()) != wanted:
        if time.monotonic() > deadline:
            raise ValueError(f"{what} is still {current} after {WAIT_SECONDS} seconds instead of {wanted}")
        time.sleep(0.1)


def _describe_instance(instance_id: str) -> ElementTree.Element:
    answer = _request("DescribeInstances", {"InstanceId.1": instance_id})
    instance = answer.find(".//instancesSet/item")
    if instance is None:
        raise ValueError(f"the instance {instance_id} does not exist")
    return instance


def _instance_state(instance_id: str) -> str | None:
    return _describe_instance(instance_id).findtext("instanceState/name")


def _wait_for_instance(instance_id: str, wanted: str) -> None:
    _wait(instance_id, lambda: _instance_state(instance_id), wanted)


def _instance_attributes(instance_id: str) -> Properties:
    described = _describe_instance(instance_id)
    return {
        "InstanceId": instance_id,
        "AvailabilityZone": described.findtext("placement/availabilityZone"),
        "PrivateDnsName": described.findtext("privateDnsName"),
        "PrivateIp": described.findtext("privateIpAddress"),
        "PublicDnsName": described.findtext("dnsName"),
        "PublicIp": described.findtext("ipAddress"),
        "VpcId": described.findtext("vpcId"),
    }


def create_instance(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    """Run an instance and wait until it is running."""
    kinds = ["instance"]
    if provisioners._cfn_bool(properties.get("PropagateTagsToVolumeOnCreation", False)):
        kinds.append("volume")
    parameters = _parameters(INSTANCE, properties, INSTANCE_PROPERTIES) | _tag_parameters(kinds, properties)
    answer = _request("RunInstances", {"MinCount": "1", "MaxCount": "1", **parameters})
    instance_id = answer.findtext(".//instancesSet/item/instanceId") or ""
    try:
        _wait_for_instance(instance_id, "running")
    except ValueError:
        # The stack does not know the instance yet and could not roll it back.
        _request("TerminateInstances", {"InstanceId.1": instance_id})
        raise
    return instance_id, _instance_attributes(instance_id)


def update_instance(instance_id: str, old: Properties, new: Properties, _stack_name: str) -> Created:
    """Apply what changed in place; a new type or new user data stops and starts the instance, as on AWS.

    Raises:
        ValueError: for a property whose change is not supported.
    """
    changed = {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    changed -= {"Tags", "PropagateTagsToVolumeOnCreation"}
    if refused := sorted(changed - {"InstanceType", "UserData"}):
        raise ValueError(f"localaws cannot change {', '.join(refused)} of an instance in place")
    try:
        instances.require_offered(new["InstanceType"], ec2._instances[instance_id]["Placement"]["AvailabilityZone"])
    except Refused as refusal:
        raise ValueError(f"ModifyInstanceAttribute: {refusal.code}: {refusal.message}") from refusal
    provisioners._ec2_apply_tags(instance_id, new, old)
    if changed:
        was_running = _instance_state(instance_id) == "running"
        if was_running:
            _request("StopInstances", {"InstanceId.1": instance_id})
        _wait_for_instance(instance_id, "stopped")
        # ministack has no ModifyInstanceAttribute.
        ec2._instances[instance_id].update({name: new.get(name, "") for name in changed})
        if was_running:
            _request("StartInstances", {"InstanceId.1": instance_id})
            _wait_for_instance(instance_id, "running")
    return instance_id, _instance_attributes(instance_id)


def delete_instance(instance_id: str, _properties: Properties) -> None:
    """Terminate an instance and wait for its end; one that is already gone is fine."""
    if instance_id not in ec2._instances:
        return
    _request("TerminateInstances", {"InstanceId.1": instance_id})
    _wait_for_instance(instance_id, "terminated")


def _volume_status(volume_id: str) -> str | None:
    return _request("DescribeVolumes", {"VolumeId.1": volume_id}).findtext(".//volumeSet/item/status")


def create_volume(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    """Create a volume and wait until it can be attached."""
    parameters = _parameters(VOLUME, properties, VOLUME_PROPERTIES) | _tag_parameters(["volume"], properties)
    volume_id = _request("CreateVolume", parameters).findtext("volumeId") or ""
    _wait(volume_id, lambda: _volume_status(volume_id), "available")
    return volume_id, {"VolumeId": volume_id}


def update_volume(volume_id: str, old: Properties, new: Properties, _stack_name: str) -> Created:
    """Change a volume's size, type or performance in place.

    Raises:
        ValueError: for a smaller size, which EBS refuses.
    """
    if int(new["Size"]) < int(old["Size"]):
        raise ValueError(f"InvalidParameterValue: the volume {volume_id} cannot shrink to {new['Size']} GiB")
    changed = {
        name: new[name] for name in ("Iops", "Size", "Throughput", "VolumeType") if new.get(name) != old.get(name)
    }
    if changed:
        _request("ModifyVolume", {"VolumeId": volume_id, **_parameters(VOLUME, changed, VOLUME_PROPERTIES)})
    provisioners._ec2_apply_tags(volume_id, new, old)
    return volume_id, {"VolumeId": volume_id}


def snapshot_volume(volume_id: str, properties: Properties) -> None:
    """Take the snapshot that `DeletionPolicy: Snapshot` leaves behind; it holds the volume's content of this moment."""
    parameters = {"VolumeId": volume_id, "Description": f"Left by CloudFormation when it deleted {volume_id}"}
    _request("CreateSnapshot", parameters | _tag_parameters(["snapshot"], properties))


def delete_volume(volume_id: str, _properties: Properties) -> None:
    """Delete a volume; one that is already gone is fine."""
    if volume_id in ec2._volumes:
        _request("DeleteVolume", {"VolumeId": volume_id})


def create_attachment(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    """Attach a volume and wait until it is attached."""
    _request("AttachVolume", _parameters(ATTACHMENT, properties, ATTACHMENT_PROPERTIES))
    _wait(properties["VolumeId"], lambda: _volume_status(properties["VolumeId"]), "in-use")
    return f"{properties['Device']}|{properties['VolumeId']}|{properties['InstanceId']}", {}


def delete_attachment(_physical_id: str, properties: Properties) -> None:
    """Detach a volume and wait until it is free; one that is no longer attached there is fine."""
    volume_id = properties["VolumeId"]
    volume = ec2._volumes.get(volume_id)
    if volume and any(one["InstanceId"] == properties["InstanceId"] for one in volume["Attachments"]):
        _request("DetachVolume", {"VolumeId": volume_id, "InstanceId": properties["InstanceId"]})
        _wait(volume_id, lambda: _volume_status(volume_id), "available")


def _document_request(properties: Properties) -> dict[str, Any]:
    """What CreateDocument and UpdateDocument take of a document's properties.

    Raises:
        ValueError: for a property that is not supported.
    """
    if unknown := sorted(properties.keys() - DOCUMENT_PROPERTIES - {"Tags"}):
        raise ValueError(f"localaws cannot set {', '.join(unknown)} of {DOCUMENT}")
    content = properties["Content"]
    text = content if isinstance(content, str) else json.dumps(content)
    return {name: properties[name] for name in DOCUMENT_VERSION_PROPERTIES & properties.keys()} | {"Content": text}


def _ssm(action: str, **request: Any) -> Any:
    """Call an action on documents as a client would.

    Raises:
        ValueError: with SSM's error code and message when it refuses.
    """
    try:
        return documents.HANDLERS[action](request)
    except documents.Refused as refusal:
        raise ValueError(f"{action}: {refusal.code}: {refusal.message}") from refusal


def create_document(logical_id: str, properties: Properties, stack_name: str) -> Created:
    """Create a document."""
    name = properties.get("Name") or f"{stack_name}-{logical_id}-{secrets.token_hex(6)}"
    chosen = {key: properties[key] for key in ("DocumentType", "Tags") if key in properties}
    _ssm("CreateDocument", Name=name, **chosen, **_document_request(properties))
    return name, {}


def replaces_document(old: Properties, new: Properties) -> bool:
    """Whether a changed document becomes another one, which AWS refuses for one with a name of its own."""
    changed = any(old.get(name) != new.get(name) for name in DOCUMENT_VERSION_PROPERTIES)
    return changed and new.get("UpdateMethod", "Replace") == "Replace"


def update_document(name: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Created:
    """Make a changed document a new version, the default one, or another document."""
    request = _document_request(new)
    if replaces_document(old, new):
        return create_document(logical_id, new, stack_name)
    if request != _document_request(old):
        made = _ssm("UpdateDocument", Name=name, DocumentVersion="$LATEST", **request)["DocumentDescription"]
        _ssm("UpdateDocumentDefaultVersion", Name=name, DocumentVersion=made["DocumentVersion"])
    ssm._tags[name] = {tag["Key"]: tag["Value"] for tag in new.get("Tags", [])}
    return name, {}


def delete_document(name: str, _properties: Properties) -> None:
    """Delete a document; one that is already gone is fine."""
    if name in documents._documents:
        _ssm("DeleteDocument", Name=name)


def _with_profile_name(created: tuple[str, Properties]) -> Created:
    """What ministack made of an instance profile, with its name as the physical id: ministack takes the ARN."""
    arn, attributes = created
    return arn.rpartition("/")[2], attributes


def _profile_arn(name: str) -> str:
    return str(iam._instance_profiles[name]["Arn"]) if name in iam._instance_profiles else name


def create_profile(logical_id: str, properties: Properties, stack_name: str) -> Created:
    """Create an instance profile."""
    return _with_profile_name(provisioners._iam_ip_create(logical_id, properties, stack_name))


def update_profile(name: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Created:
    """Change an instance profile's role."""
    return _with_profile_name(provisioners._iam_ip_update(_profile_arn(name), old, new, stack_name, logical_id))


def delete_profile(name: str, properties: Properties) -> None:
    """Delete an instance profile."""
    provisioners._iam_ip_delete(_profile_arn(name), properties)


def _encrypt_topic(created: Created, properties: Properties) -> Created:
    """Set a topic's key, which ministack's CloudFormation drops."""
    attributes = sns._topics[created[0]]["attributes"]
    attributes.pop("KmsMasterKeyId", None)
    if "KmsMasterKeyId" in properties:
        attributes["KmsMasterKeyId"] = properties["KmsMasterKeyId"]
    return created


def create_topic(logical_id: str, properties: Properties, stack_name: str) -> Created:
    """Create a topic with its key."""
    return _encrypt_topic(provisioners._sns_create(logical_id, properties, stack_name), properties)


def update_topic(arn: str, old: Properties, new: Properties, stack_name: str, logical_id: str) -> Created:
    """Update a topic and its key."""
    return _encrypt_topic(provisioners._sns_update(arn, old, new, stack_name, logical_id), new)


def install() -> None:
    """Register the resource types, and put our deletions in ministack's place."""
    module = provisioners.__name__
    handlers: dict[str, dict[str, Any]] = {
        INSTANCE: {"create": create_instance, "update": update_instance, "delete": delete_instance},
        VOLUME: {
            "create": create_volume,
            "update": update_volume,
            "snapshot": snapshot_volume,
            "delete": delete_volume,
        },
        ATTACHMENT: {"create": create_attachment, "delete": delete_attachment},
        DOCUMENT: {
            "create": create_document,
            "update": update_document,
            "update_with_logical_id": True,
            "delete": delete_document,
        },
    }
    for resource_type, handler in handlers.items():
        register(module, "_RESOURCE_HANDLERS", resource_type, handler)
        register(module, "_REPLACING_PROPERTIES", resource_type, REPLACING_PROPERTIES[resource_type])
    for resource_type, shape in {
        INSTANCE: "list",
        VOLUME: "list",
        DOCUMENT: "list",
        "AWS::Athena::WorkGroup": "list",
        "AWS::Glue::Crawler": "map",
    }.items():
        register(module, "_STACK_TAG_PROPERTY", resource_type, ("Tags", shape))
    named = {"name": "Name", "requires_replacement": replaces_document}
    register(module, "_CUSTOM_NAME_REPLACEMENT", DOCUMENT, named)
    corrected: dict[str, dict[str, Any]] = {
        "AWS::IAM::InstanceProfile": {"create": create_profile, "update": update_profile, "delete": delete_profile},
        "AWS::SNS::Topic": {"create": create_topic, "update": update_topic},
    }
    for resource_type, handler in corrected.items():
        theirs = provisioners._RESOURCE_HANDLERS[resource_type]
        register(module, "_RESOURCE_HANDLERS", resource_type, {**theirs, **handler}, existing=True)
    buckets.install()

    runs_on_worker_thread = stacks._runs_on_worker_thread
    replace(
        stacks.__name__,
        "_runs_on_worker_thread",
        # These wait for states that change while the server serves.
        lambda resource_type: resource_type in handlers or runs_on_worker_thread(resource_type),
    )
