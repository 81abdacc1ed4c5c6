"""Change sets: what CloudFormation would do to a stack, looked at before it is done."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.lake import DeployError, Lake, Stack, Template, say

HOLDS_NOTHING = re.compile(
    r"AWS::(EC2::(?!Volume$).+|IAM::.+|CloudWatch::Alarm|Glue::Crawler|S3::BucketPolicy|SNS::TopicPolicy|SSM::Document)"
)
"""Types of which another one does as well as the one it replaces."""

NOTHING_TO_DO = ("didn't contain changes", "No updates are to be performed")
"""What CloudFormation says of a change set that would change nothing."""

LOOK_SECONDS = 600
"""How long CloudFormation may take to find out what would change."""

SUCCEEDED = {"CREATE": "CREATE_COMPLETE", "UPDATE": "UPDATE_COMPLETE", "IMPORT": "IMPORT_COMPLETE"}


@dataclass(frozen=True)
class ChangeSet:
    """What would happen to a stack.

    Args:
        stack: the stack's name.
        identifier: the change set's own id.
        kind: CREATE, UPDATE or IMPORT.
        parameters: those that the stack would get; it keeps its others.
        changes: what would happen to each resource, as CloudFormation describes it.
    """

    stack: str
    identifier: str
    kind: str
    parameters: Mapping[str, str]
    changes: tuple[dict[str, Any], ...]

    def losses(self) -> dict[str, str]:
        """What would be gone or begin anew, by `STACK/LogicalId`, in words."""
        replaced = set(_replaced({one["LogicalResourceId"]: one for one in self.changes}))
        found = {}
        for one in self.changes:
            name, kind = one["LogicalResourceId"], one["ResourceType"]
            if one["Action"] == "Remove":
                fate = "removed"
            elif name in replaced and not HOLDS_NOTHING.fullmatch(kind):
                fate = "replaced by a new one"
            else:
                continue
            found[f"{self.stack}/{name}"] = f"{kind} {one['PhysicalResourceId']} would be {fate}"
        return found


def _replaced(changes: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """The resources that would, or might, be replaced.

    CloudFormation says "perhaps" of whatever takes an attribute of something that changes. It counts only if that is
    itself replaced: attributes such as a subnet's zone stay when its tags change.
    """

    def is_replaced(name: str) -> bool:
        if name not in changes or changes[name]["Action"] != "Modify":
            return False
        return changes[name]["Replacement"] == "True" or any(
            detail["Target"].get("RequiresRecreation", "Never") != "Never"
            and (detail["Evaluation"] == "Static" or is_replaced(detail.get("CausingEntity", "").partition(".")[0]))
            for detail in changes[name].get("Details", [])
        )

    return filter(is_replaced, changes)


def propose(
    lake: Lake,
    name: str,
    template: Template,
    parameters: Mapping[str, str],
    *,
    stack: Stack | None,
    tags: Mapping[str, str],
    imports: Mapping[str, tuple[str, dict[str, str]]] | None = None,
) -> ChangeSet | None:
    """Make a change set and look at it, or None when nothing would change.

    Args:
        lake: whose stack it is.
        name: the stack's name.
        template: the template it is to run.
        parameters: those to set.
        stack: what is there, whose other parameters stay; None when the stack is to be created.
        tags: the stack's tags.
        imports: type and identifier of each resource that exists already and is to be the stack's, by logical id.

    Raises:
        DeployError: with the reason of CloudFormation, when it finds none possible.
    """
    kind = "IMPORT" if imports else "UPDATE" if stack else "CREATE"
    # Among them the worker's image: a newer one would replace the instance.
    kept = (stack.parameters.keys() if stack else set()) & template.parameters - parameters.keys()
    options: dict[str, Any] = {}
    if imports:
        options["ResourcesToImport"] = [
            {"LogicalResourceId": logical, "ResourceType": resource, "ResourceIdentifier": identifier}
            for logical, (resource, identifier) in imports.items()
        ]
    made = lake.cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=f"deploy-{uuid.uuid4().hex}",
        ChangeSetType=kind,
        TemplateBody=template.body,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        + [{"ParameterKey": key, "UsePreviousValue": True} for key in sorted(kept)],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        **options,
    )
    changes = _look(lake, made["Id"], name)
    if changes is None:
        lake.cloudformation.delete_change_set(ChangeSetName=made["Id"])
        return None
    return ChangeSet(name, made["Id"], kind, parameters, tuple(changes))


def _look(lake: Lake, identifier: str, stack: str) -> list[dict[str, Any]] | None:
    """The changes of a change set once CloudFormation knows them, or None when there are none."""
    deadline, pause = time.monotonic() + LOOK_SECONDS, 0.1
    while True:
        pages = list(lake.cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=identifier))
        status, reason = pages[0]["Status"], pages[0].get("StatusReason", "")
        if status == "CREATE_COMPLETE":
            return [change["ResourceChange"] for page in pages for change in page["Changes"]]
        if status == "FAILED" and any(words in reason for words in NOTHING_TO_DO):
            return None
        if status == "FAILED" or time.monotonic() > deadline:
            raise DeployError(f"{stack} cannot be changed: its change set is {status}: {reason}")
        time.sleep(pause)
        pause = min(1.5 * pause, 5)


def execute(lake: Lake, change_set: ChangeSet) -> Stack:
    """Do what was looked at, wait for its end, and return the stack.

    Raises:
        DeployError: when it fails, with the reasons that CloudFormation gives.
    """
    say(f"{change_set.stack}: {change_set.kind.lower()}")
    token = uuid.uuid4().hex
    lake.cloudformation.execute_change_set(ChangeSetName=change_set.identifier, ClientRequestToken=token)
    return lake.finish(change_set.stack, SUCCEEDED[change_set.kind], token)


def discard(lake: Lake, change_set: ChangeSet) -> None:
    """Forget a change set that is not to be done."""
    lake.cloudformation.delete_change_set(ChangeSetName=change_set.identifier)
