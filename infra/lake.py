"""The stacks that a lake is made of: their names, templates and states.

They stand beside each other. Storage bears the lake's name, the others add theirs to it, and each dataset has a catalog
of its own. The outputs of one are the parameters of those after it that have the same name.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import boto3
import yaml
from botocore.config import Config
from contract.names import Names

TEMPLATES = Path(__file__).parent / "stacks"

TEMPLATE_BYTES = 51_200
"""The most that CloudFormation takes in a request: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""

PARTS = ("storage", "worker", "query", "access")
"""The templates that a lake has once, in the order of their needs."""

CATALOG = "catalog"
"""The template that a lake has once for each dataset."""

PLAIN = "lake"
"""The lake whose databases and crawlers are named by their dataset alone; those of all others have a prefix."""

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""Names of lakes: with two hyphens in a row, one lake's prefix could begin with another's."""

NEVER_CREATED = frozenset({"CREATE_FAILED", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})
"""States of a stack whose creation failed or never began: it can only be deleted."""

STACK_SECONDS = 3600
"""How long CloudFormation may take over one operation."""

PROGRESS_SECONDS = 30
"""At most this much time passes between two lines of progress."""

PARALLEL = 16
"""How many stacks are worked on at a time."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class DeployError(RuntimeError):
    """Something the operator has to know; the message says what happened and what to do."""


def say(line: str) -> None:
    """Write one line to the terminal at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Do the same with each item, several at a time, to the end even if some fail.

    Raises:
        DeployError: what was wrong with all that failed.
    """
    with ThreadPoolExecutor(PARALLEL) as pool:
        done = [pool.submit(work, item) for item in items]
    problems = [problem for one in done if (problem := one.exception())]
    if problems and all(isinstance(problem, DeployError) for problem in problems):
        raise DeployError("\n".join(map(str, problems)))
    return [one.result() for one in done]


class _Loader(yaml.CSafeLoader):
    """Reads templates; what is behind a tag such as !Ref is of no interest here."""


_Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)


@dataclass(frozen=True)
class Template:
    """A template, ready to be sent.

    Args:
        body: its text.
        description: what a stack that runs it is described as; it ends in a digest of the whole template.
        parameters: names of its parameters.
        defaults: the defaults of those that have one.
        resources: types of its resources by logical id.
    """

    body: str
    description: str
    parameters: frozenset[str]
    defaults: Mapping[str, str]
    resources: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Template:
        """Read a file, without the lines that are comments, also those of scripts in it.

        Larger templates would need a bucket before there is one; and the worker is not restarted for a comment.

        Raises:
            DeployError: when it is too large all the same.
        """
        text = re.sub(r"^ *# .*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        body = re.sub(r"^Description: .*", rf"\g<0> [{digest}]", text, count=1, flags=re.MULTILINE)
        if (size := len(body.encode())) > TEMPLATE_BYTES:
            raise DeployError(f"{path} has {size} bytes without its comments, CloudFormation takes {TEMPLATE_BYTES}")
        parsed = yaml.load(body, _Loader)  # noqa: S506  a safe one
        parameters = parsed.get("Parameters", {})
        return cls(
            body,
            parsed["Description"],
            frozenset(parameters),
            {name: str(one["Default"]) for name, one in parameters.items() if "Default" in one},
            {name: one["Type"] for name, one in parsed["Resources"].items() if "Type" in one},
        )


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation describes it."""

    name: str
    identifier: str
    status: str
    reason: str
    description: str
    parameters: dict[str, str]
    outputs: dict[str, str]
    tags: dict[str, str]

    @classmethod
    def of(cls, described: dict[str, Any]) -> Stack:
        """Take over an answer of DescribeStacks."""

        def pairs(kind: str, of: str) -> dict[str, str]:
            return {one[f"{of}Key"]: one[f"{of}Value"] for one in described.get(kind, [])}

        return cls(
            described["StackName"],
            described["StackId"],
            described["StackStatus"],
            described.get("StackStatusReason", "no reason given"),
            described.get("Description", ""),
            pairs("Parameters", "Parameter"),
            pairs("Outputs", "Output"),
            {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])},
        )


class Lake:
    """One lake, through the clients of one boto3 session.

    Args:
        session: whose credentials and region are used; the endpoint comes from the environment.
        name: what the lake is called, which is the name of its storage stack.

    Raises:
        DeployError: when a lake cannot have that name.
    """

    def __init__(self, session: boto3.Session, name: str) -> None:
        if not NAME.fullmatch(name):
            raise DeployError(f"{name!r} is no name for a lake: small letters, digits and single hyphens between them")
        self.name = name
        client: Callable[..., Any] = session.client
        config = Config(retries={"mode": "adaptive", "total_max_attempts": 4}, max_pool_connections=PARALLEL)
        self.cloudformation = client("cloudformation", config=config)
        self.s3 = client("s3", config=config)
        self.ssm = client("ssm", config=config)
        self.ec2 = client("ec2", config=config)
        self.glue = client("glue", config=config)
        self.secrets = client("secretsmanager", config=config)

    # ---------------------------------------------------------------- names

    @property
    def catalog_prefix(self) -> str:
        """What the names of the lake's databases and crawlers begin with, so that two lakes can share an account."""
        return "" if self.name == PLAIN else f"{self.name.replace('-', '_')}__"

    def part(self, template: str) -> str:
        """The name of the stack of a template that the lake has once."""
        return self.name if template == PARTS[0] else f"{self.name}-{template}"

    def catalog(self, dataset: str) -> str:
        """The name of a dataset's catalog stack."""
        return f"{self.name}-{CATALOG}-{dataset.replace('_', '-')}"

    def names(self, dataset: str) -> Names:
        """What everything of a dataset is called in this lake."""
        return Names(dataset, self.catalog_prefix)

    # --------------------------------------------------------------- states

    def stacks(self) -> dict[str, Stack]:
        """The lake's stacks by name.

        Raises:
            DeployError: when one of their names is taken by a stack that is not of this lake.
        """
        pages = self.cloudformation.get_paginator("describe_stacks").paginate()
        every = {one["StackName"]: Stack.of(one) for page in pages for one in page["Stacks"]}
        parts = [self.part(template) for template in PARTS]
        for name in parts:
            if name in every and every[name].parameters.get("Lake") != (None if name == self.name else self.name):
                raise DeployError(f"there is a stack {name} that is not of the lake {self.name}: give it another name")
        return {name: one for name, one in every.items() if name in parts or one.parameters.get("Lake") == self.name}

    def outputs(self) -> dict[str, str]:
        """The outputs of all stacks by name, with the lake's own.

        Raises:
            DeployError: when there is no stack, or one was never completed.
        """
        stacks = self.stacks()
        for name in map(self.part, PARTS):
            if name not in stacks or stacks[name].status in NEVER_CREATED:
                status = f"is {stacks[name].status}" if name in stacks else "does not exist"
                raise DeployError(f"the stack {name} {status}: deploy it first")
        own = {"Name": self.name} | ({"CatalogPrefix": self.catalog_prefix} if self.catalog_prefix else {})
        return own | {key: value for stack in stacks.values() for key, value in stack.outputs.items()}

    def describe(self, identifier: str) -> Stack:
        """One stack.

        Args:
            identifier: the stack's name, or its id, by which a deleted stack is still found.
        """
        return Stack.of(self.cloudformation.describe_stacks(StackName=identifier)["Stacks"][0])

    def delete(self, stack: Stack) -> None:
        """Delete a stack, and wait for its end.

        Raises:
            DeployError: when that fails.
        """
        say(f"Deleting the stack {stack.name}")
        token = uuid.uuid4().hex
        self.cloudformation.delete_stack(StackName=stack.identifier, ClientRequestToken=token)
        self.finish(stack.identifier, "DELETE_COMPLETE", token)

    def finish(self, identifier: str, wanted: str, token: str) -> Stack:
        """Wait for the end of an operation and return the stack.

        Args:
            identifier: the stack's name, or its id.
            wanted: the state in which it succeeded.
            token: the request token that its events bear.

        Raises:
            DeployError: when it ended in another state, or took too long.
        """
        started = time.monotonic()
        stack = self.wait(identifier)
        if stack.status == wanted:
            say(f"{stack.name}: {wanted} after {time.monotonic() - started:.0f} s")
            return stack
        pages = self.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack.identifier)
        failed = [
            event
            for page in pages
            for event in page["StackEvents"]
            if event.get("ClientRequestToken") == token and event["ResourceStatus"].endswith("_FAILED")
        ]
        raise DeployError(f"{stack.name} is {stack.status}, not {wanted}.\n{_failures(failed[::-1])}{_advice(stack)}")

    def wait(self, identifier: str) -> Stack:
        """Wait until no operation is under way, saying how far it is, and return the stack.

        Raises:
            DeployError: when it takes too long.
        """
        started = said = time.monotonic()
        pause = 0.1
        while (stack := self.describe(identifier)).status.endswith("_IN_PROGRESS"):
            now = time.monotonic()
            if now - started > STACK_SECONDS:
                raise DeployError(
                    f"{stack.name} is still {stack.status} after {STACK_SECONDS} s: look at its events, then try again"
                )
            if now - said > PROGRESS_SECONDS:
                said = now
                say(f"{stack.name}: {stack.status} for {now - started:.0f} s")
            time.sleep(pause)
            pause = min(1.5 * pause, 5)
        return stack


def _failures(events: list[dict[str, Any]]) -> str:
    """What failed, in order, with the time since the first failure; what that merely cancelled is left out."""
    if not events:
        return ""
    first = events[0]["Timestamp"]
    return "".join(
        f"  +{(event['Timestamp'] - first).total_seconds():.0f} s  "
        f"{event['LogicalResourceId']} ({event['ResourceType']}): "
        f"{event.get('ResourceStatusReason', event['ResourceStatus'])}\n"
        for event in events
        if "cancelled" not in event.get("ResourceStatusReason", "")
    )


def _advice(stack: Stack) -> str:
    """What to do about a stack that ended in the wrong state."""
    if stack.status in NEVER_CREATED:
        return "Remove the cause and deploy again: what is left of the stack is cleared away first."
    if stack.status.startswith("UPDATE_ROLLBACK"):
        return "The stack is as it was before. Remove the cause and deploy again."
    if stack.status == "DELETE_FAILED":
        return "Remove the cause and run teardown again."
    return f"See `aws cloudformation describe-stack-events --stack-name {stack.name}`."
