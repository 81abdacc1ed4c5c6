"""IAM checks on the resources that AWS checks.

ministack evaluates policies well, but derives one resource from each request, and for several services not the one
that AWS names: a crawler is looked for among the tables, a command has no resource, a query no workgroup. A
least-privilege role would fail here and work on AWS, or the reverse. This module lists, for the actions of EC2, SSM,
Glue, Athena and CloudWatch Logs, the resources (and condition keys) that the Service Authorization Reference gives,
https://docs.aws.amazon.com/service-authorization/latest/reference/; a request must be allowed on every one of them.
"""

from __future__ import annotations

import contextvars
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region, json_response
from ministack.services import athena, ec2, glue, tagging

from localaws.overlay import register, replace
from localaws.query import indexed, value, values


@dataclass(frozen=True)
class Check:
    """One question to the caller's policies: may this action be done to this resource?"""

    action: str
    resource: str
    context: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a request's resources are."""

    region: str
    account: str

    def arn(self, service: str, resource: str, *, account: str | None = None) -> str:
        """An ARN in this region and account, or in another account (the empty one for what AWS shares)."""
        return f"arn:aws:{service}:{self.region}:{self.account if account is None else account}:{resource}"


# ── EC2 ───────────────────────────────────────────────────────────────────────

EC2_KINDS = {"i": "instance", "vol": "volume", "snap": "snapshot", "ami": "image", "sg": "security-group"}
EC2_CREATED = {
    "CreateSnapshot": ("snapshot",),
    "CreateSnapshots": ("snapshot",),
    "CopySnapshot": ("snapshot",),
    "CreateVolume": ("volume",),
    "RunInstances": ("instance", "volume", "network-interface"),
}
"""Kinds of resources that an action makes: a policy must allow it on any of them."""

EC2_NAMED = {
    "StartInstances": ("InstanceId",),
    "StopInstances": ("InstanceId",),
    "ModifyInstanceAttribute": ("InstanceId",),
    "RebootInstances": ("InstanceId",),
    "TerminateInstances": ("InstanceId",),
    "CreateSnapshot": ("VolumeId",),
    "CreateSnapshots": ("InstanceSpecification.InstanceId",),
    "DeleteSnapshot": ("SnapshotId",),
    "CreateVolume": ("SnapshotId",),
    "DeleteVolume": ("VolumeId",),
    "ModifyVolume": ("VolumeId",),
    "AttachVolume": ("InstanceId", "VolumeId"),
    "DetachVolume": ("InstanceId", "VolumeId"),
    "CreateTags": ("ResourceId",),
    "DeleteTags": ("ResourceId",),
    "RunInstances": ("ImageId", "SecurityGroupId"),
}
"""Parameters, single or numbered, whose ids are the resources of an action."""


def _ec2_arn(place: Place, kind: str, identifier: str) -> str:
    # Snapshots and images have no account in their ARN.
    return place.arn("ec2", f"{kind}/{identifier}", account="" if kind in ("snapshot", "image") else None)


def ec2_checks(action: str, parameters: dict[str, Any], place: Place) -> Iterator[Check]:
    """The checks of an EC2 action; one that only describes is checked on `*`."""
    if action not in EC2_NAMED and action not in EC2_CREATED:
        if action.startswith("Describe"):
            yield Check(f"ec2:{action}", "*")
        return
    identifiers = [
        identifier
        for name in EC2_NAMED.get(action, ())
        for identifier in [value(parameters, name), *values(parameters, name)]
        if identifier
    ]
    if action == "CreateSnapshots":
        attached = ec2._instances.get(value(parameters, "InstanceSpecification.InstanceId"), {})
        identifiers += [mapping["Ebs"]["VolumeId"] for mapping in attached.get("BlockDeviceMappings", ())]
    for identifier in identifiers:
        kind = EC2_KINDS.get(identifier.partition("-")[0], "*")
        tags = {f"ec2:ResourceTag/{tag['Key']}": tag["Value"] for tag in ec2._tags.get(identifier, ())}
        context = tags | _tag_context(indexed(parameters, "Tag")) | _attribute_context(action, parameters)
        yield Check(f"ec2:{action}", _ec2_arn(place, kind, identifier), context)
    given = {value(one, "ResourceType"): indexed(one, "Tag") for one in indexed(parameters, "TagSpecification")}
    for kind in EC2_CREATED.get(action, ()):
        context = _tag_context(given.get(kind, []))
        yield Check(f"ec2:{action}", _ec2_arn(place, kind, "*"), context)
        if kind in given:
            yield Check("ec2:CreateTags", _ec2_arn(place, kind, "*"), context | {"ec2:CreateAction": action})


def _attribute_context(action: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """The condition keys for the attributes that a request sets, of those that are one value."""
    if not action.startswith("Modify") or not action.endswith("Attribute"):
        return {}
    given = (key.removesuffix(".Value") for key in parameters if key.endswith(".Value"))
    return {f"ec2:Attribute/{name}": value(parameters, f"{name}.Value") for name in given}


def _tag_context(tags: list[dict[str, Any]]) -> dict[str, Any]:
    """The condition keys for the tags that a request sets."""
    found = {value(tag, "Key"): value(tag, "Value") for tag in tags}
    keys = {"aws:TagKeys": list(found)} if found else {}
    return {f"aws:RequestTag/{key}": content for key, content in found.items()} | keys


def ec2_resource_tags(original: Callable[[str], Any]) -> Callable[[str], Any]:
    """Give `aws:ResourceTag` the tags of EC2's resources, which ministack leaves out."""

    def resource_tags(arn: str) -> Any:
        if not arn.startswith("arn:aws:ec2:"):
            return original(arn)
        return {tag["Key"]: tag["Value"] for tag in ec2._tags.get(arn.rpartition("/")[2], ())}

    return resource_tags


# ── SSM, Glue, Athena, CloudWatch Logs ────────────────────────────────────────


def _document_arn(reference: str, place: Place) -> str:
    """The ARN of a document that is given by name or ARN; those named AWS-… belong to AWS."""
    if reference.startswith("arn:"):
        return reference
    return place.arn("ssm", f"document/{reference}", account="" if reference.startswith("AWS-") else None)


def ssm_checks(action: str, request: dict[str, Any], place: Place) -> Iterator[Check]:
    """Run Command: sending is checked on the document and each instance, the rest on `*`; documents each on itself."""
    if action == "SendCommand":
        yield Check("ssm:SendCommand", _document_arn(str(request.get("DocumentName", "")), place))
        for identifier in request.get("InstanceIds") or ["*"]:
            tags = {f"ssm:resourceTag/{tag['Key']}": tag["Value"] for tag in ec2._tags.get(identifier, ())}
            yield Check("ssm:SendCommand", place.arn("ec2", f"instance/{identifier}"), tags)
    elif "Command" in action or action in ("DescribeInstanceInformation", "ListDocuments"):
        yield Check(f"ssm:{action}", "*")
    elif "Document" in action:
        yield Check(f"ssm:{action}", _document_arn(str(request.get("Name", "")), place))


GLUE_DATABASE_ACTIONS = re.compile("(Get|Create|Update|Delete)Databases?")
GLUE_TABLE_ACTIONS = re.compile("(Batch)?(Get|Create|Update|Delete|Search)(Tables?|TableVersions?|Partitions?)")


def glue_checks(action: str, request: dict[str, Any], place: Place) -> Iterator[Check]:
    """The catalog, the database and the table of a catalog action, and the crawler of a crawler action."""
    resources: list[str] = []
    if action.endswith(("Crawler", "CrawlerSchedule")):
        resources = [f"crawler/{request.get('Name') or request.get('CrawlerName')}"]
    elif action.endswith(("Crawlers", "CrawlerMetrics")):
        yield Check(f"glue:{action}", "*")
    elif action == "GetDatabases":
        resources = ["catalog"]
    elif action == "GetTables":
        resources = ["catalog", f"database/{request.get('DatabaseName')}"]
    elif GLUE_DATABASE_ACTIONS.fullmatch(action):
        name = request.get("Name") or (request.get("DatabaseInput") or {}).get("Name") or "*"
        resources = ["catalog", f"database/{name}"]
    elif GLUE_TABLE_ACTIONS.fullmatch(action):
        database = request.get("DatabaseName") or "*"
        named = request.get("TableName") or request.get("Name") or (request.get("TableInput") or {}).get("Name")
        tables = request.get("TablesToDelete") or [named or "*"]
        resources = ["catalog", f"database/{database}", *(f"table/{database}/{table}" for table in tables)]
    for resource in resources:
        yield Check(f"glue:{action}", place.arn("glue", resource))


def is_allowed(action: str, resource: str) -> bool:
    """Whether the caller of the request being served may do an action of Glue to a resource of its catalog."""
    place = Place(get_region(), get_account_id())
    caller = iam_evaluator._verified_key.get() or ""
    return iam_evaluator.enforce(caller, action, "glue", place.region, place.arn("glue", resource)) is None


def _table_resource(table: dict[str, Any]) -> str:
    return f"table/{table['DatabaseName']}/{table['Name']}"


def listing(operation: Callable[[Any], Any], key: str, is_visible: Callable[[dict[str, Any]], bool]) -> Any:
    """A list operation that leaves out what its caller may not see, as Glue does.

    Args:
        operation: what lists all.
        key: where the list is in its answer.
        is_visible: whether one of the list is for the caller.
    """

    def list_visible(request: dict[str, Any]) -> Any:
        response = operation(request)
        answer = json.loads(response[2])
        if key not in answer:
            return response
        return json_response({**answer, key: [one for one in answer[key] if is_visible(one)]})

    return list_visible


def athena_checks(action: str, request: dict[str, Any], place: Place) -> Iterator[Check]:
    """The workgroup that a query or statement is, or was, in; the catalog where one is asked about."""
    if action in ("ListWorkGroups", "ListDataCatalogs", "ListEngineVersions"):
        yield Check(f"athena:{action}", "*")
        return
    catalog = request.get("CatalogName") or (request.get("Name") if action.endswith("DataCatalog") else None)
    if catalog:
        yield Check(f"athena:{action}", place.arn("athena", f"datacatalog/{catalog}"))
        return
    queries = [request["QueryExecutionId"]] if "QueryExecutionId" in request else request.get("QueryExecutionIds", [])
    named = [request["NamedQueryId"]] if "NamedQueryId" in request else request.get("NamedQueryIds", [])
    records = [athena._executions.get(one) for one in queries] + [athena._named_queries.get(one) for one in named]
    groups = {record["WorkGroup"] for record in records if record}
    for group in groups or {request.get("WorkGroup") or request.get("Name") or "primary"}:
        yield Check(f"athena:{action}", place.arn("athena", f"workgroup/{group}"))


def logs_checks(action: str, request: dict[str, Any], place: Place) -> Iterator[Check]:
    """The stream of a log group, empty where an action is about the group, as AWS's own denials name it."""
    if action == "DescribeLogGroups":
        yield Check("logs:DescribeLogGroups", place.arn("logs", "log-group::log-stream:"))
    elif name := request.get("logGroupName"):
        stream = request.get("logStreamName", "")
        yield Check(f"logs:{action}", place.arn("logs", f"log-group:{name}:log-stream:{stream}"))


JSON_SERVICES: dict[str, Callable[[str, dict[str, Any], Place], Iterator[Check]]] = {
    "ssm": ssm_checks,
    "glue": glue_checks,
    "athena": athena_checks,
    "logs": logs_checks,
}


def checks(service: str, headers: dict[str, str], body: bytes, parameters: dict[str, Any], place: Place) -> list[Check]:
    """Every check that a request needs, or none when it is left to ministack."""
    if service == "ec2":
        return list(ec2_checks(value(parameters, "Action"), parameters, place))
    if service in JSON_SERVICES:
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            return []
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        return list(JSON_SERVICES[service](action, request, place))
    return []


_pending: contextvars.ContextVar[list[Check]] = contextvars.ContextVar("localaws_checks", default=[])  # noqa: B039
_denied: contextvars.ContextVar[Check | None] = contextvars.ContextVar("localaws_denied", default=None)


def install() -> None:
    """Ask every check of a request where ministack asks one, and name the one that failed."""
    extract: Any = iam_actions.extract_resource_arn
    enforce_one: Any = iam_evaluator.enforce
    deny: Any = iam_actions.access_denied_response

    def extract_resource_arn(
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query_params: dict[str, Any],
        region: str,
        account_id: str,
    ) -> str:
        needed = checks(service, headers, body, query_params, Place(region, account_id))
        _pending.set(needed)
        _denied.set(None)
        if needed:
            return needed[0].resource
        return extract(service, method, path, headers, body, query_params, region, account_id)

    def enforce(
        access_key_id: str,
        iam_action: str,
        service: str,
        region: str,
        resource_arn: str = "*",
        service_context: dict[str, Any] | None = None,
    ) -> Any:
        needed = _pending.get() or [Check(iam_action, resource_arn)]
        _pending.set([])
        for check in needed:
            context = {**(service_context or {}), **check.context}
            denied = enforce_one(access_key_id, check.action, service, region, check.resource, context)
            if denied:
                _denied.set(check)
                return denied
        return None

    def access_denied_response(service: str, action: str, *arguments: Any, **options: Any) -> Any:
        check = _denied.get()
        if check and service in ("ec2", *JSON_SERVICES):
            action, options["resource_arn"] = check.action, check.resource
        return deny(service, action, *arguments, **options)

    replace(iam_actions.__name__, "extract_resource_arn", extract_resource_arn)
    replace(iam_evaluator.__name__, "enforce", enforce)
    replace(iam_actions.__name__, "access_denied_response", access_denied_response)
    replace(tagging.__name__, "resource_tags", ec2_resource_tags(tagging.resource_tags))
    for operation, key, is_visible in (
        ("_get_databases", "DatabaseList", lambda one: is_allowed("glue:GetDatabases", f"database/{one['Name']}")),
        ("_get_tables", "TableList", lambda one: is_allowed("glue:GetTables", _table_resource(one))),
    ):
        replace(glue.__name__, operation, listing(getattr(glue, operation), key, is_visible))
    register(iam_actions.__name__, "_DENIED_CODES", "ec2", "UnauthorizedOperation")
