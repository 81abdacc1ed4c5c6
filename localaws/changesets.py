"""CloudFormation's look ahead: what ministack's change sets leave out, and the imports it does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from ministack.services import cloudformation, glue
from ministack.services.cloudformation import changesets, engine, handlers, provisioners

from localaws.overlay import register, replace

DATABASE = "AWS::Glue::Database"

REPLACING_PROPERTIES: dict[str, tuple[str, ...]] = {
    "AWS::CloudWatch::Alarm": ("AlarmName",),
    "AWS::EC2::InternetGateway": (),
    "AWS::EC2::Route": ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId", "RouteTableId"),
    "AWS::EC2::RouteTable": ("VpcId",),
    "AWS::EC2::SecurityGroup": ("GroupDescription", "GroupName", "VpcId"),
    "AWS::EC2::Subnet": ("AvailabilityZone", "AvailabilityZoneId", "CidrBlock", "Ipv6Native", "OutpostArn", "VpcId"),
    "AWS::EC2::SubnetRouteTableAssociation": ("SubnetId",),
    "AWS::EC2::VPC": ("CidrBlock", "Ipv4IpamPoolId", "Ipv4NetmaskLength"),
    "AWS::EC2::VPCEndpoint": ("ServiceName", "VpcEndpointType", "VpcId"),
    "AWS::EC2::VPCGatewayAttachment": ("VpcId",),
    "AWS::KMS::Key": (),
    "AWS::Logs::LogGroup": ("LogGroupName",),
    "AWS::S3::Bucket": ("BucketName",),
    "AWS::S3::BucketPolicy": ("Bucket",),
    "AWS::SNS::Subscription": ("Endpoint", "Protocol", "TopicArn"),
    "AWS::SNS::TopicPolicy": (),
    "AWS::SecretsManager::Secret": ("Name",),
}
"""Properties whose change makes a new resource, from "Update requires: Replacement" in the CloudFormation reference."""


class TemplateLoader(yaml.CSafeLoader):
    """Reads templates as ministack does, in a tenth of the time."""

    yaml_constructors = engine.CfnLoader.yaml_constructors


def of_conditions(resolve: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Leave resources whose condition is false out of a template that is compared with another.

    A condition that turns is a resource that comes or goes; ministack compares the templates' whole text.
    """

    def resolved(template: dict[str, Any], parameters: dict[str, Any], *names: str) -> dict[str, Any]:
        found = resolve(template, parameters, *names)
        if not found:
            return found
        conditions = engine._evaluate_conditions(template, parameters)
        wanted = {name: one for name, one in found["Resources"].items() if conditions.get(one.get("Condition"), True)}
        return {**found, "Resources": wanted}

    return resolved


def describing_itself(describe: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """Give each stack the description of the template it runs, which ministack takes at its creation alone."""

    def described(parameters: dict[str, Any]) -> Any:
        name = handlers._p(parameters, "StackName")
        for stack in filter(None, [handlers._resolve_stack(name)] if name else cloudformation._stacks.values()):
            stack["Description"] = stack.get("_template", {}).get("Description", "")
        return describe(parameters)

    return described


def database_problem(name: str) -> str | None:
    """Why a Glue database cannot be imported, or None."""
    return None if name in glue._databases else changesets._IMPORT_NOT_FOUND.format(type=DATABASE, value=name)


def import_database(identifier: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """The physical id and attributes of a database that a stack takes over."""
    return identifier["DatabaseName"], {}


def install() -> None:
    """Compare what is there, describe what runs, and import databases."""
    replace(engine.__name__, "CfnLoader", TemplateLoader)
    replace(changesets.__name__, "_resolve_props_for_diff", of_conditions(changesets._resolve_props_for_diff))
    describe = describing_itself(handlers._describe_stacks)
    register(handlers.__name__, "_ACTION_HANDLERS", "DescribeStacks", describe, existing=True)
    register(changesets.__name__, "_IMPORT_LOOKUPS", DATABASE, (("DatabaseName",), database_problem))
    for resource_type, properties in REPLACING_PROPERTIES.items():
        register(provisioners.__name__, "_REPLACING_PROPERTIES", resource_type, properties)
    theirs = provisioners._RESOURCE_HANDLERS[DATABASE]
    register(
        provisioners.__name__, "_RESOURCE_HANDLERS", DATABASE, {**theirs, "import": import_database}, existing=True
    )
