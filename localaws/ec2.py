"""EC2 instances that take time to start and stop, and whose processes end with them.

An instance that changes state carries where it is going and when it arrives; `settle` moves it there, at every request.
So a state follows from the clock alone, and one interrupted by a restart ends where it was going.
"""

from __future__ import annotations

import functools
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from ministack.core.concurrency import run_offloop
from ministack.core.responses import get_account_id, get_region, new_uuid
from ministack.services import ec2 as service

from localaws import ebs, machines
from localaws.overlay import register, replace
from localaws.query import (
    Parameters,
    Refused,
    Response,
    action,
    flag,
    indexed,
    matching,
    page,
    required,
    unsupported,
    value,
    values,
)
from localaws.settings import NO_CAPACITY, ONLINE_SECONDS, TRANSITION_SECONDS

STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

FILTERS = {
    "instance-id": lambda instance: instance["InstanceId"],
    "instance-state-name": lambda instance: instance["State"]["Name"],
    "instance-state-code": lambda instance: instance["State"]["Code"],
    "instance-type": lambda instance: instance["InstanceType"],
    "image-id": lambda instance: instance["ImageId"],
    "availability-zone": lambda instance: instance["Placement"]["AvailabilityZone"],
    "vpc-id": lambda instance: instance["VpcId"],
    "subnet-id": lambda instance: instance["SubnetId"],
    "private-ip-address": lambda instance: instance["PrivateIpAddress"],
    "iam-instance-profile.arn": lambda instance: (instance.get("IamInstanceProfile") or {}).get("Arn", ""),
    "block-device-mapping.volume-id": lambda instance: [
        mapping["Ebs"]["VolumeId"] for mapping in instance["BlockDeviceMappings"]
    ],
}

RUN_PARAMETERS = frozenset(
    {
        "Action",
        "BlockDeviceMapping",
        "ClientToken",
        "DryRun",
        "EbsOptimized",
        "IamInstanceProfile",
        "ImageId",
        "InstanceInitiatedShutdownBehavior",
        "InstanceType",
        "KeyName",
        "MaxCount",
        "MetadataOptions",
        "MinCount",
        "Monitoring",
        "Placement",
        "PrivateIpAddress",
        "SecurityGroupId",
        "SubnetId",
        "TagSpecification",
        "UserData",
        "Version",
    }
)
"""What RunInstances understands; anything else is refused rather than ignored."""

INSTANCE_TYPES = [
    f"{family}.{size}"
    for family in ("t3", "m5", "m6i", "m7i", "c5", "c6i", "c7i", "r5", "r6i", "r7i")
    for size in ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge")
]
"""Those that offerings are told of. What is not among them can be run all the same, as far as `is_offered`."""

_settling = threading.RLock()


def enter(instance: dict[str, Any], state: str, then: str | None = None) -> None:
    """Put an instance into a state, and name the state it goes on to after the transition time."""
    instance["State"] = {"Code": STATE_CODES[state], "Name": state}
    instance["_becomes"] = [then, time.time() + TRANSITION_SECONDS] if then else None


def settle() -> None:
    """Bring every instance, volume and snapshot to the state that it has reached by now."""
    now = time.time()
    with _settling:
        ebs.settle(now)
        for instance in service._instances.all_values():
            due = instance.get("_becomes") and now >= instance["_becomes"][1]
            if due and not machines.is_halting(instance["InstanceId"]):
                state, reached = instance["_becomes"]
                enter(instance, state)
                if state == "running":
                    instance["_online_at"] = reached + ONLINE_SECONDS
                if state == "terminated":
                    instance["_terminated_at"] = reached
                    ebs.release_volumes(instance)


def is_online(instance: dict[str, Any]) -> bool:
    """Whether an instance has been running for long enough to take commands."""
    return instance["State"]["Name"] == "running" and time.time() >= instance.get("_online_at", 0)


def settled(handler: Callable[[Parameters], Response]) -> Callable[[Parameters], Response]:
    """Have a handler find every state as it is by now, whoever calls it."""

    @functools.wraps(handler)
    def settle_first(parameters: Parameters) -> Response:
        settle()
        return handler(parameters)

    return settle_first


def find_instances(parameters: Parameters, *, at_least_one: bool = True) -> list[dict[str, Any]]:
    """The instances a request names.

    Raises:
        Refused: when an id is malformed or unknown, or none is named though one must be.
    """
    identifiers = values(parameters, "InstanceId")
    if at_least_one and not identifiers:
        raise Refused("MissingParameter", "The request must contain the parameter InstanceId")
    for identifier in identifiers:
        if not service._INSTANCE_ID_RE.match(identifier):
            raise Refused("InvalidInstanceID.Malformed", f'Invalid id: "{identifier}"')
        if identifier not in service._instances:
            raise Refused("InvalidInstanceID.NotFound", f"The instance ID '{identifier}' does not exist")
    return [service._instances[identifier] for identifier in identifiers]


async def handle_request(
    method: str, _path: str, _headers: dict[str, str], body: bytes, query_params: dict[str, Any]
) -> Response:
    """Answer an EC2 request, folder copies on a thread of their own."""
    service._ensure_defaults_initialized()
    parameters: Parameters = dict(query_params)
    if method == "POST" and body:
        parameters.update(parse_qs(body.decode("utf-8", errors="replace")))
    name = value(parameters, "Action")
    handler = service._ACTION_MAP.get(name)
    if handler is None:
        return service._error("InvalidAction", f"The action {escape(name)} is not valid for localaws.", 400)
    if flag(parameters, "DryRun"):
        return service._error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)
    if name in ebs.COPYING_ACTIONS or name == "RunInstances":
        return await run_offloop(handler, parameters)
    return handler(parameters)


def is_offered(instance_type: str, zone: str) -> bool:
    """Whether a zone has an instance type: as on AWS not every zone has the newest, here a has none of generation 7."""
    generation = re.match(r"[a-z]+(\d+)", instance_type)
    return not (zone.endswith("a") and generation and int(generation[1]) >= 7)


def require_offered(instance_type: str, zone: str) -> None:
    """Refuse an instance type in a zone that does not have it."""
    if not is_offered(instance_type, zone):
        raise Refused(
            "Unsupported",
            f"Your requested instance type ({instance_type}) is not supported in your requested Availability Zone "
            f"({zone}). Please retry your request by not specifying an Availability Zone or choosing another.",
        )


def require_capacity(instance_type: str, zone: str) -> None:
    """Refuse an instance type that has run out, as whoever runs this server wants it."""
    if NO_CAPACITY.exists() and instance_type in NO_CAPACITY.read_text(encoding="utf-8").split():
        raise Refused(
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you requested "
            f"({zone}). Our system will be working on provisioning additional capacity.",
            500,
        )


@action
def describe_instance_type_offerings(parameters: Parameters) -> Response:
    """Which instance types the region has, or each of its zones."""
    kind, region = value(parameters, "LocationType", "region"), get_region()
    if kind not in ("region", "availability-zone"):
        raise Refused("InvalidParameterValue", f"localaws tells no offerings by {kind}")
    zones = [region] if kind == "region" else [f"{region}{letter}" for letter in "abc"]
    every = [
        {"InstanceType": one, "Location": zone} for zone in zones for one in INSTANCE_TYPES if is_offered(one, zone)
    ]
    fields = {"instance-type": lambda one: one["InstanceType"], "location": lambda one: one["Location"]}
    found, more = page(parameters, matching(parameters, every, "InstanceType", fields))
    items = "".join(
        f"<item><instanceType>{one['InstanceType']}</instanceType><locationType>{kind}</locationType>"
        f"<location>{one['Location']}</location></item>"
        for one in found
    )
    offerings = f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>{more}"
    return service._xml(200, "DescribeInstanceTypeOfferingsResponse", offerings)


def _image(image_id: str) -> None:
    """Refuse an image whose id no image can have; which images exist, only AWS knows."""
    if not image_id:
        raise Refused("MissingParameter", "The request must contain the parameter ImageId")
    if not image_id.startswith("ami-"):
        raise Refused("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')


def _launch_volumes(instance: dict[str, Any], mappings: list[Parameters], tags: Parameters) -> None:
    """Make the volumes of a new instance: its root, 8 GiB unless mapped otherwise, and those that are mapped."""
    root = instance["RootDeviceName"]
    placeholder = instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    service._volumes.pop(placeholder)
    instance["BlockDeviceMappings"] = []
    by_device = {root: {"VolumeSize": "8", "VolumeType": "gp3"}} | {
        value(mapping, "DeviceName"): {
            key.removeprefix("Ebs."): given for key, given in mapping.items() if key.startswith("Ebs.")
        }
        for mapping in mappings
    }
    by_device[root].setdefault("VolumeSize", "8")
    for device, specification in by_device.items():
        volume = ebs.new_volume(specification, instance["Placement"]["AvailabilityZone"], available_at=0)
        ebs.attach(
            volume,
            instance,
            device,
            delete_on_termination=flag(specification, "DeleteOnTermination", default=True),
        )
        service._parse_tag_specs(tags, "volume", volume["VolumeId"])


def _reservation(instances: list[dict[str, Any]]) -> str:
    items = "".join(service._instance_xml(instance) for instance in instances)
    return (
        f"<reservationId>{instances[0]['_reservation']}</reservationId><ownerId>{get_account_id()}</ownerId>"
        f"<groupSet/><instancesSet>{items}</instancesSet>"
    )


@action
def run_instances(parameters: Parameters) -> Response:
    """Start instances. User data is kept but not run: there is no machine image that would run it."""
    if unknown := sorted({key.split(".")[0] for key in parameters} - RUN_PARAMETERS):
        raise Refused("UnsupportedOperation", f"localaws does not support RunInstances with {', '.join(unknown)}")
    token = value(parameters, "ClientToken")
    earlier = [one for one in service._instances.values() if token and one.get("_client_token") == token]
    if earlier:
        return service._xml(200, "RunInstancesResponse", _reservation(earlier))
    _image(value(parameters, "ImageId"))
    minimum, maximum = int(value(parameters, "MinCount", "1")), int(value(parameters, "MaxCount", "1"))
    if not 1 <= minimum <= maximum:
        raise Refused("InvalidParameterValue", f"MinCount {minimum} must be between 1 and MaxCount {maximum}")
    subnet = value(parameters, "SubnetId", service._DEFAULT_SUBNET_ID)
    if subnet not in service._subnets:
        raise Refused("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
    require_offered(value(parameters, "InstanceType"), service._subnets[subnet]["AvailabilityZone"])
    require_capacity(value(parameters, "InstanceType"), service._subnets[subnet]["AvailabilityZone"])
    groups = values(parameters, "SecurityGroupId")
    for group in groups:
        if group not in service._security_groups:
            raise Refused("InvalidGroup.NotFound", f"The security group '{group}' does not exist")
    profile, refusal = service._resolve_iam_instance_profile(
        iam_arn=value(parameters, "IamInstanceProfile.Arn"), iam_name=value(parameters, "IamInstanceProfile.Name")
    )
    if refusal:
        return refusal
    mappings = indexed(parameters, "BlockDeviceMapping")
    for mapping in mappings:
        if not value(mapping, "DeviceName") or not any(key.startswith("Ebs.") for key in mapping):
            raise Refused("UnsupportedOperation", "localaws supports EBS block device mappings only")
        if snapshot_id := value(mapping, "Ebs.SnapshotId"):
            ebs.find_snapshot(snapshot_id)
    created = service._launch_instances_internal(
        image_id=value(parameters, "ImageId"),
        instance_type=value(parameters, "InstanceType", "m1.small"),
        subnet_id=subnet,
        count=maximum,
        key_name=value(parameters, "KeyName"),
        user_data=value(parameters, "UserData"),
        sg_ids=groups,
        requested_private_ip=value(parameters, "PrivateIpAddress") or None,
        iam_profile=profile,
    )
    reservation = f"r-{new_uuid().replace('-', '')[:17]}"
    for instance in created:
        instance.update(
            {
                "Placement": {"AvailabilityZone": service._subnets[subnet]["AvailabilityZone"], "Tenancy": "default"},
                "_client_token": token,
                "_reservation": reservation,
                "_reason": "",
                "_metadata_options": {
                    "HttpTokens": value(parameters, "MetadataOptions.HttpTokens", "optional"),
                    "HttpPutResponseHopLimit": value(parameters, "MetadataOptions.HttpPutResponseHopLimit", "1"),
                    "HttpEndpoint": value(parameters, "MetadataOptions.HttpEndpoint", "enabled"),
                },
            }
        )
        service._parse_tag_specs(parameters, "instance", instance["InstanceId"])
        _launch_volumes(instance, mappings, parameters)
        enter(instance, "pending", then="running")
    return service._xml(200, "RunInstancesResponse", _reservation(created))


def _change(
    instances: list[dict[str, Any]], response: str, via: str, end: str, unchanged: set[str], reason: str
) -> Response:
    """Send instances to `end` by way of `via`, those excepted that are `unchanged`, and report both states of each."""
    items = ""
    for instance in instances:
        before = dict(instance["State"])
        if before["Name"] not in unchanged:
            enter(instance, via, then=end)
            if via == "pending":
                instance["LaunchTime"] = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
            instance["_reason"] = reason and f"{reason} ({time.strftime('%Y-%m-%d %H:%M:%S GMT', time.gmtime())})"
        after = instance["State"]
        items += (
            f"<item><instanceId>{instance['InstanceId']}</instanceId>"
            f"<currentState><code>{after['Code']}</code><name>{after['Name']}</name></currentState>"
            f"<previousState><code>{before['Code']}</code><name>{before['Name']}</name></previousState></item>"
        )
    return service._xml(200, response, f"<instancesSet>{items}</instancesSet>")


def _require_state(instances: list[dict[str, Any]], allowed: set[str], verb: str) -> None:
    for instance in instances:
        if instance["State"]["Name"] not in allowed:
            raise Refused(
                "IncorrectInstanceState",
                f"The instance '{instance['InstanceId']}' is not in a state from which it can be {verb}.",
            )


@action
def start_instances(parameters: Parameters) -> Response:
    instances = find_instances(parameters)
    _require_state(instances, {"stopped", "pending", "running"}, "started")
    for instance in instances:
        if instance["State"]["Name"] == "stopped":
            zone = instance["Placement"]["AvailabilityZone"]
            require_offered(instance["InstanceType"], zone)
            require_capacity(instance["InstanceType"], zone)
    return _change(instances, "StartInstancesResponse", "pending", "running", {"pending", "running"}, reason="")


def _power_off(instances: list[dict[str, Any]], why: str) -> None:
    for instance in instances:
        machines.power_off(instance["InstanceId"], why)


@action
def stop_instances(parameters: Parameters) -> Response:
    if flag(parameters, "Hibernate"):
        raise Refused("UnsupportedHibernationConfiguration", "localaws cannot hibernate an instance")
    instances = find_instances(parameters)
    _require_state(instances, {"running", "stopping", "stopped"}, "stopped")
    _power_off(instances, "stopped")
    return _change(
        instances, "StopInstancesResponse", "stopping", "stopped", {"stopping", "stopped"}, reason="User initiated"
    )


@action
def terminate_instances(parameters: Parameters) -> Response:
    instances = find_instances(parameters)
    _power_off(instances, "terminated")
    for instance in instances:
        if association := service._find_active_iam_instance_profile_association(instance["InstanceId"]):
            service._mark_iam_instance_profile_association_disassociated(association)
    return _change(
        instances,
        "TerminateInstancesResponse",
        "shutting-down",
        "terminated",
        {"shutting-down", "terminated"},
        reason="User initiated",
    )


@action
def reboot_instances(parameters: Parameters) -> Response:
    instances = find_instances(parameters)
    _require_state(instances, {"running"}, "rebooted")
    _power_off(instances, "rebooted")
    for instance in instances:
        instance["_online_at"] = time.time() + TRANSITION_SECONDS + ONLINE_SECONDS
    return service._xml(200, "RebootInstancesResponse", "<return>true</return>")


@action
def describe_instances(parameters: Parameters) -> Response:
    service._cleanup_terminated()
    candidates = find_instances(parameters, at_least_one=False) or service._instances.values()
    found, token = page(parameters, matching(parameters, candidates, "InstanceId", FILTERS))
    items = "".join(f"<item>{_reservation([instance])}</item>" for instance in found)
    return service._xml(200, "DescribeInstancesResponse", f"<reservationSet>{items}</reservationSet>{token}")


def _health(instance: dict[str, Any]) -> tuple[str, str]:
    """The status of an instance's checks, and of its reachability."""
    if instance["State"]["Name"] != "running":
        return "not-applicable", ""
    return ("ok", "passed") if is_online(instance) else ("initializing", "initializing")


@action
def describe_instance_status(parameters: Parameters) -> Response:
    candidates = find_instances(parameters, at_least_one=False) or service._instances.values()
    if not flag(parameters, "IncludeAllInstances"):
        candidates = [instance for instance in candidates if instance["State"]["Name"] == "running"]
    checks = {
        "instance-status.status": lambda instance: _health(instance)[0],
        "system-status.status": lambda instance: _health(instance)[0],
    }
    known = {name: FILTERS[name] for name in ("instance-state-name", "instance-state-code", "availability-zone")}
    found, token = page(parameters, matching(parameters, candidates, "InstanceId", known | checks))
    items = ""
    for instance in found:
        status, reachability = _health(instance)
        detail = f"<item><name>reachability</name><status>{reachability}</status></item>" if reachability else ""
        check = f"<status>{status}</status><details>{detail}</details>"
        items += (
            f"<item><instanceId>{instance['InstanceId']}</instanceId>"
            f"<availabilityZone>{instance['Placement']['AvailabilityZone']}</availabilityZone>"
            f"<instanceState><code>{instance['State']['Code']}</code><name>{instance['State']['Name']}</name>"
            f"</instanceState><systemStatus>{check}</systemStatus><instanceStatus>{check}</instanceStatus></item>"
        )
    return service._xml(200, "DescribeInstanceStatusResponse", f"<instanceStatusSet>{items}</instanceStatusSet>{token}")


def _with_details(instance_xml: Any) -> Any:
    """Add to ministack's picture of an instance why it is in its state, and its metadata options."""

    def render(instance: dict[str, Any]) -> str:
        head, _, tail = instance_xml(instance).rpartition("</item>")
        options = instance.get("_metadata_options", {})
        reason = instance.get("_reason", "")
        state_reason = (
            "<stateReason><code>Client.UserInitiatedShutdown</code>"
            "<message>Client.UserInitiatedShutdown: User initiated shutdown</message></stateReason>"
            if reason
            else ""
        )
        return (
            f"{head}<reason>{reason}</reason>{state_reason}"
            f"<clientToken>{escape(instance.get('_client_token', ''))}</clientToken>"
            f"<metadataOptions><state>applied</state><httpTokens>{options.get('HttpTokens', 'optional')}</httpTokens>"
            f"<httpPutResponseHopLimit>{options.get('HttpPutResponseHopLimit', 1)}</httpPutResponseHopLimit>"
            f"<httpEndpoint>{options.get('HttpEndpoint', 'enabled')}</httpEndpoint></metadataOptions></item>{tail}"
        )

    return render


@action
def describe_instance_attribute(parameters: Parameters) -> Response:
    """One attribute of an instance; those that ministack always leaves empty are refused."""
    identifier = value(parameters, "InstanceId")
    (instance,) = find_instances({"InstanceId.1": identifier})
    attribute = value(parameters, "Attribute")
    if attribute == "userData":
        inner = f"<userData><value>{escape(instance['UserData'])}</value></userData>"
    elif attribute == "blockDeviceMapping":
        inner = f"<blockDeviceMapping>{service._inst_bdm_xml(instance)}</blockDeviceMapping>"
    elif attribute in ("instanceType", "rootDeviceName", "groupSet", "disableApiTermination"):
        return service._describe_instance_attribute(parameters)
    else:
        raise Refused("UnsupportedOperation", f"localaws does not describe the attribute {attribute}")
    body = f"<instanceId>{identifier}</instanceId>{inner}"
    return service._xml(200, "DescribeInstanceAttributeResponse", body)


@action
def modify_instance_attribute(parameters: Parameters) -> Response:
    """Give a stopped instance another type, which is found out to be impossible when it starts; no other attribute."""
    (instance,) = find_instances({"InstanceId.1": required(parameters, "InstanceId")})
    given = {key for key in parameters if key not in ("Action", "Version", "InstanceId", "DryRun")}
    if given != {"InstanceType.Value"}:
        raise Refused("UnsupportedOperation", f"localaws modifies InstanceType alone, not {', '.join(sorted(given))}")
    if instance["State"]["Name"] != "stopped":
        raise Refused(
            "IncorrectInstanceState", f"The instance '{instance['InstanceId']}' is not in the 'stopped' state."
        )
    instance["InstanceType"] = value(parameters, "InstanceType.Value")
    return service._xml(200, "ModifyInstanceAttributeResponse", "<return>true</return>")


@action
def create_tags(parameters: Parameters) -> Response:
    """Tag resources, refusing ids of instances, volumes and snapshots that do not exist."""
    for identifier in values(parameters, "ResourceId"):
        if identifier.startswith("i-") and identifier not in service._instances:
            raise Refused("InvalidInstanceID.NotFound", f"The instance ID '{identifier}' does not exist")
        if identifier.startswith("vol-"):
            ebs.find_volume(identifier)
        if identifier.startswith("snap-"):
            ebs.find_snapshot(identifier)
    return service._create_tags(parameters)


def install() -> None:
    """Put these handlers in ministack's place, and refuse what would only pretend."""
    ebs.install()
    replace(service.__name__, "handle_request", handle_request)
    original_xml = service._instance_xml
    replace(service.__name__, "_instance_xml", _with_details(original_xml))
    for name, handler in {
        "RunInstances": run_instances,
        "StartInstances": start_instances,
        "StopInstances": stop_instances,
        "RebootInstances": reboot_instances,
        "TerminateInstances": terminate_instances,
        "DescribeInstances": describe_instances,
        "DescribeInstanceStatus": describe_instance_status,
        "DescribeInstanceAttribute": describe_instance_attribute,
        "CreateTags": create_tags,
        "RegisterImage": unsupported("RegisterImage", "no image of ours would boot"),
        "CreateFleet": unsupported("CreateFleet", "use RunInstances"),
    }.items():
        register(service.__name__, "_ACTION_MAP", name, handler, existing=True)
    for name, handler in {
        "CreateImage": unsupported("CreateImage", "take snapshots of its volumes"),
        "DescribeInstanceTypeOfferings": describe_instance_type_offerings,
        "ModifyInstanceAttribute": modify_instance_attribute,
    }.items():
        register(service.__name__, "_ACTION_MAP", name, handler)
    service._ACTION_MAP.update({name: settled(handler) for name, handler in service._ACTION_MAP.items()})
