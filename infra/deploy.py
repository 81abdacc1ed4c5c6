"""Make the lake, take it away, and say where it is; on AWS and on the local AWS alike.

    python -m infra.deploy deploy --requirements FILE [--environment-file FILE] [--remove-dataset NAME ...]
    python -m infra.deploy env [--environment-file FILE]
    python -m infra.deploy teardown [--delete-data]

Credentials, region and endpoint are those of the environment (AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ...).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

CHECKOUT = Path(__file__).resolve().parents[1]
TEMPLATES = CHECKOUT / "infra" / "stacks"
DATASETS = CHECKOUT / "include" / "datasets"
WORKER_COMMAND = CHECKOUT / "infra" / "worker" / "lake-worker"

WORKER_PREFIX = "worker/"
"""Where in the artifacts bucket the worker finds what it installs."""

WORKER_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
"""AWS's public parameter that names the newest Amazon Linux 2023 image of the region."""

TEMPLATE_BYTES = 51_200
"""The most that CloudFormation takes in a request: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""

COMMENT = re.compile(r"^ *# .*\n", re.MULTILINE)

STACK_SECONDS = 3600
"""How long CloudFormation may take over one operation."""

SECRET_DAYS = 30
"""How long the key of personal data can be brought back after a teardown: the most that Secrets Manager gives."""

INSTANCE_SECONDS = 600
"""How long the worker may take to stop."""

PROGRESS_SECONDS = 10
"""At most this much time passes between two lines of progress."""

NEVER_CREATED = frozenset({"CREATE_FAILED", "REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"})
"""States of a stack whose creation failed: it can only be deleted."""


class DeployError(RuntimeError):
    """Something the operator has to know; the message says what happened and what to do."""


def say(line: str) -> None:
    """Write one line to the terminal at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def dataset_names(folder: Path = DATASETS) -> list[str]:
    """The datasets that have a contract.

    Raises:
        DeployError: when there is none, or one ends like a folder of another.
    """
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if not names:
        raise DeployError(f"there is no contract in {folder}: add one, such as orders.yaml, and deploy again")
    if ambiguous := [name for name in names if name.endswith(("_runs", "_quarantine"))]:
        raise DeployError(
            f"dataset {ambiguous[0]}: the worker could not write it, for names that end in _runs and _quarantine are "
            "those of folders whose permissions differ: rename it"
        )
    return names


def check_removal(deployed: Collection[str], wanted: Collection[str], removed: Collection[str]) -> None:
    """Refuse to leave a dataset out that nobody asked to remove.

    Args:
        deployed: the datasets that have a crawler.
        wanted: the datasets that have a contract.
        removed: those that are to be taken away.

    Raises:
        DeployError: when a dataset would go that is not to be removed, or one is to be removed that cannot go.
    """
    gone = set(deployed) - set(wanted)
    if wrong := sorted(set(removed) - gone):
        raise DeployError(f"--remove-dataset {wrong[0]}: it has a contract in this checkout, or is not deployed")
    if unsaid := sorted(gone - set(removed)):
        raise DeployError(
            f"deployed, but without a contract in this checkout: {', '.join(unsaid)}. Deploying would delete "
            f"{', '.join(f'the crawler {name}_processed_crawler' for name in unsaid)} and the roles' permissions on "
            f"{', '.join(f'the database {name}_db' for name in unsaid)}. Nothing was changed. Bring the contract back, "
            f"or deploy with {' '.join(f'--remove-dataset {name}' for name in unsaid)}; databases, tables and files "
            "stay even then"
        )


def template_body(path: Path) -> str:
    """A template without the lines that are comments, also those of the worker's start script.

    Larger templates would need a bucket before there is one; and the worker is not restarted for a comment.

    Raises:
        DeployError: when it is too large all the same.
    """
    body = COMMENT.sub("", path.read_text(encoding="utf-8"))
    if (size := len(body.encode())) > TEMPLATE_BYTES:
        raise DeployError(f"{path} has {size} bytes without its comments, CloudFormation takes {TEMPLATE_BYTES}")
    return body


def output_variable(output: str) -> str:
    """The environment variable of a stack output: `RawBucket` is `LAKE_RAW_BUCKET`."""
    return "LAKE_" + re.sub(r"(?<!^)(?=[A-Z])", "_", output).upper()


def environment_lines(outputs: dict[str, str], region: str) -> str:
    """Shell lines that export the region and each output, quoted so that any value is safe to source."""
    variables = {"AWS_DEFAULT_REGION": region, "AWS_REGION": region}
    variables |= {output_variable(name): value for name, value in sorted(outputs.items())}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def write_environment(path: Path, outputs: dict[str, str], region: str) -> None:
    """Write the region and the outputs to a file that a shell can source; it is replaced whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(environment_lines(outputs, region), encoding="utf-8")
    partial.replace(path)


class Lake:
    """The stacks of one lake, through the clients of one boto3 session.

    They stand beside each other: storage bears the lake's name, the others add theirs to it, and each dataset has a
    catalog of its own. The outputs of one are the parameters of those after it that have the same name.

    Args:
        session: whose credentials and region are used; the endpoint comes from the environment.
        stack: name of the lake, which is that of its storage stack.
        poll_seconds: pause between two looks at an operation.
    """

    def __init__(self, session: boto3.Session, stack: str, *, poll_seconds: float = 1.0) -> None:
        self.stack, self.poll_seconds = stack, poll_seconds
        client: Callable[..., Any] = session.client
        config = Config(retries={"mode": "standard", "total_max_attempts": 4})
        self.cloudformation = client("cloudformation", config=config)
        self.s3 = client("s3", config=config)
        self.ssm = client("ssm", config=config)
        self.ec2 = client("ec2", config=config)
        self.glue = client("glue", config=config)
        self.secrets = client("secretsmanager", config=config)

    @property
    def parts(self) -> dict[str, str]:
        """The template of each stack but the catalogs, by the stack's name, in the order of their needs."""
        return {self.stack: "storage"} | {f"{self.stack}-{part}": part for part in ("worker", "query", "access")}

    def catalog_of(self, dataset: str) -> str:
        """The name of a dataset's catalog stack."""
        return f"{self.stack}-catalog-{dataset.replace('_', '-')}"

    def catalogs(self) -> dict[str, dict[str, Any]]:
        """The catalog stacks of the lake as CloudFormation describes them, by dataset."""
        pages = self.cloudformation.get_paginator("describe_stacks").paginate()
        found = {}
        for stack in (one for page in pages for one in page["Stacks"]):
            parameters = _parameters(stack)
            if parameters.get("Lake") == self.stack and "Dataset" in parameters:
                found[parameters["Dataset"]] = stack
        return found

    def describe(self, identifier: str) -> dict[str, Any] | None:
        """A stack as CloudFormation describes it, or None when there is none.

        Args:
            identifier: the stack's name, or its id, by which a deleted stack is still found.
        """
        try:
            answer = self.cloudformation.describe_stacks(StackName=identifier)
        except ClientError as problem:
            if "does not exist" in str(problem):
                return None
            raise
        stack: dict[str, Any] = answer["Stacks"][0]
        return stack

    def outputs(self) -> dict[str, str]:
        """The stacks' outputs by name.

        Raises:
            DeployError: when there is no stack, or one was never completed.
        """
        return {name: value for stack in self.parts for name, value in self._outputs(stack).items()}

    def _outputs(self, name: str) -> dict[str, str]:
        stack = self.describe(name)
        if stack is None or stack["StackStatus"] in NEVER_CREATED or "Outputs" not in stack:
            status = "does not exist" if stack is None else f"is {stack['StackStatus']}"
            raise DeployError(f"the stack {name} {status}: deploy it first")
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    # ------------------------------------------------------------------ deploy

    def deploy(
        self,
        requirements: Path,
        *,
        parameters: dict[str, str] | None = None,
        stage: str | None = None,
        removed: Collection[str] = (),
    ) -> bool:
        """Create or update the stacks, then upload what the worker installs.

        Args:
            requirements: the worker's locked, hashed packages (`uv export --only-group worker`).
            parameters: parameters of the templates to set; an update keeps the others as they are.
            stage: value of the cost tag Environment; an update without it keeps the stack's tags.
            removed: deployed datasets without a contract that may go; their databases and data stay.

        Returns:
            Whether anything changed.

        Raises:
            DeployError: when a dataset would go that is not among `removed`, or it fails, with the reasons that
                CloudFormation gives.
        """
        for path in (requirements, WORKER_COMMAND):
            if not path.is_file():
                raise DeployError(f"{path} does not exist: the worker could not be set up")
        wanted, catalogs = dataset_names(), self.catalogs()
        check_removal([name for name in catalogs if _parameters(catalogs[name])["Crawled"] == "true"], wanted, removed)
        templates = {template: self._template(template) for template in (*self.parts.values(), "catalog")}
        known = {**(parameters or {}), "Lake": self.stack, "Datasets": ",".join(wanted)}
        if unknown := sorted(
            (parameters or {}).keys() - set().union(*(declared for _, declared in templates.values()))
        ):
            raise DeployError(f"no template has a parameter {unknown[0]}")
        changed = False
        for name, template in self.parts.items():
            changed |= self._apply(name, *templates[template], known, stage)
            known |= self._outputs(name)
        for dataset in (*wanted, *removed):
            given = known | {"Dataset": dataset, "Crawled": str(dataset in wanted).lower()}
            changed |= self._apply(self.catalog_of(dataset), *templates["catalog"], given, stage)
        bucket = self.outputs()["ArtifactsBucket"]
        uploaded = [self._upload(bucket, "requirements.txt", requirements)]
        uploaded.append(self._upload(bucket, "lake-worker", WORKER_COMMAND))
        if any(uploaded):
            say("The worker's setup is uploaded; an instance takes it up when it next starts.")
        return changed or any(uploaded)

    def _template(self, name: str) -> tuple[str, set[str]]:
        """A template, and the names of its parameters."""
        body = template_body(TEMPLATES / f"{name}.yaml")
        summary = self.cloudformation.get_template_summary(TemplateBody=body)
        return body, {parameter["ParameterKey"] for parameter in summary["Parameters"]}

    def _apply(self, name: str, body: str, declared: set[str], known: dict[str, str], stage: str | None) -> bool:
        """Create or update one stack with what is known of its parameters; returns whether anything changed."""
        given = {key: value for key, value in known.items() if key in declared}
        existing = self._settled(name)
        if existing:
            return self._update(existing, body, declared, given, stage)
        if "WorkerImageId" in declared - given.keys():
            given["WorkerImageId"] = self.ssm.get_parameter(Name=WORKER_IMAGE)["Parameter"]["Value"]
        return self._create(name, body, given, stage)

    def _settled(self, name: str) -> dict[str, Any] | None:
        """The stack when no operation is under way, after clearing away one that was never completed."""
        stack = self.describe(name)
        if stack and stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != "REVIEW_IN_PROGRESS":
            say(f"{name} is {stack['StackStatus']}; waiting for that to end")
            self._wait(stack, set())
            stack = self.describe(name)
        if stack and stack["StackStatus"] in NEVER_CREATED | {"DELETE_FAILED"}:
            say(f"{name} is {stack['StackStatus']}: deleting what is left of it")
            self._delete(stack)
            return None
        if stack and stack["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
            raise DeployError(
                f"{name} could not be rolled back: {stack.get('StackStatusReason', 'no reason given')}. "
                f"Remove the cause, run `aws cloudformation continue-update-rollback --stack-name {name}`, then deploy "
                "again"
            )
        return stack

    def _create(self, name: str, body: str, given: dict[str, str], stage: str | None) -> bool:
        say(f"Creating the stack {name}")
        made = self.cloudformation.create_stack(
            StackName=name,
            TemplateBody=body,
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Tags=[{"Key": "Project", "Value": "lake"}, {"Key": "Environment", "Value": stage or "dev"}],
        )
        self._finish({"StackName": name, "StackId": made["StackId"]}, "CREATE_COMPLETE", set())
        return True

    def _update(
        self, existing: dict[str, Any], body: str, declared: set[str], given: dict[str, str], stage: str | None
    ) -> bool:
        # Among them the worker's image: a newer one would replace the instance.
        kept = _parameters(existing).keys() & declared - given.keys()
        tags = {tag["Key"]: tag["Value"] for tag in existing.get("Tags", [])}
        if stage:
            tags["Environment"] = stage
        seen = {event["EventId"] for event in self._events(existing)}
        try:
            self.cloudformation.update_stack(
                StackName=existing["StackName"],
                TemplateBody=body,
                Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]
                + [{"ParameterKey": key, "UsePreviousValue": True} for key in sorted(kept)],
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
                Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            )
        except ClientError as problem:
            if "No updates are to be performed" in str(problem):
                say(f"The stack {existing['StackName']} is up to date")
                return False
            raise
        say(f"Updating the stack {existing['StackName']}")
        self._finish(existing, "UPDATE_COMPLETE", seen)
        return True

    def _upload(self, bucket: str, name: str, source: Path) -> bool:
        """Put a file among the worker's unless it is there already; returns whether it was put."""
        content = source.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        key = WORKER_PREFIX + name
        try:
            if self.s3.head_object(Bucket=bucket, Key=key)["Metadata"].get("sha256") == digest:
                return False
        except ClientError as problem:
            if problem.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
        self.s3.put_object(Bucket=bucket, Key=key, Body=content, Metadata={"sha256": digest})
        return True

    # ---------------------------------------------------------------- teardown

    def teardown(self, *, delete_data: bool = False) -> bool:
        """Delete the stacks; the data volume leaves a snapshot.

        Args:
            delete_data: empty the buckets first, all versions. Without it nothing is deleted while one holds data.

        Returns:
            Whether there was a stack.

        Raises:
            DeployError: when buckets hold data that may not be deleted, or the deletion fails.
        """
        catalogs = {self.catalog_of(name): stack for name, stack in self.catalogs().items()}
        stacks = [*catalogs.values(), *filter(None, map(self.describe, reversed(self.parts)))]
        if not stacks:
            say(f"There is no stack {self.stack}")
            return False
        paginator = self.cloudformation.get_paginator("list_stack_resources")
        present = [
            one
            for stack in stacks
            for page in paginator.paginate(StackName=stack["StackName"])
            for one in page["StackResourceSummaries"]
            if one["ResourceStatus"] != "DELETE_COMPLETE" and "PhysicalResourceId" in one
        ]
        buckets = [one["PhysicalResourceId"] for one in present if one["ResourceType"] == "AWS::S3::Bucket"]
        holding = [bucket for bucket in buckets if self._holds_data(bucket)]
        if holding and not delete_data:
            raise DeployError(
                f"these buckets hold data, so nothing was deleted: {', '.join(holding)}. Copy what you need, then run "
                "teardown with --delete-data to delete it all, every version"
            )
        self._stop_instances(
            [one["PhysicalResourceId"] for one in present if one["ResourceType"] == "AWS::EC2::Instance"]
        )
        for bucket in buckets:
            self._empty(bucket)
        self._delete_databases(
            [one["PhysicalResourceId"] for one in present if one["ResourceType"] == "AWS::Glue::Database"]
        )
        for stack in stacks:
            say(f"Deleting the stack {stack['StackName']}")
            self._delete(stack)
        for secret in [one for one in present if one["ResourceType"] == "AWS::SecretsManager::Secret"]:
            arn = secret["PhysicalResourceId"]
            self.secrets.delete_secret(SecretId=arn, RecoveryWindowInDays=SECRET_DAYS)
            say(f"{arn} can be restored for {SECRET_DAYS} days (aws secretsmanager restore-secret)")
        volumes = [one["PhysicalResourceId"] for one in present if one["ResourceType"] == "AWS::EC2::Volume"]
        self._report_snapshots(volumes)
        return True

    def _holds_data(self, bucket: str) -> bool:
        """Whether there is anything in a bucket but what `deploy` itself put there."""
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        try:
            versions = (one for page in pages for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])])
            return any(not version["Key"].startswith(WORKER_PREFIX) for version in versions)
        except self.s3.exceptions.NoSuchBucket:
            return False

    def _empty(self, bucket: str) -> None:
        """Delete every version and delete marker of every object; a bucket that is gone is fine.

        Raises:
            DeployError: when S3 refuses to delete one.
        """
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
        with contextlib.suppress(self.s3.exceptions.NoSuchBucket):
            for page in pages:
                versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                if not versions:
                    continue
                say(f"Deleting {len(versions)} object versions from {bucket}")
                doomed = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in versions]
                answer = self.s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
                if errors := answer.get("Errors"):
                    raise DeployError(f"cannot delete {errors[0]['Key']} from {bucket}: {errors[0]['Message']}")

    def _stop_instances(self, instances: list[str]) -> None:
        """Stop what runs, so that the data volume is unmounted before it is detached and its snapshot is whole."""
        for instance in instances:
            found = self.ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [instance]}])["Reservations"]
            states = [one["State"]["Name"] for reservation in found for one in reservation["Instances"]]
            if states and states[0] in ("pending", "running", "stopping"):
                say(f"Stopping {instance}")
                self.ec2.stop_instances(InstanceIds=[instance])
                waiter = self.ec2.get_waiter("instance_stopped")
                waiter.wait(InstanceIds=[instance], WaiterConfig=_pace(self.poll_seconds, INSTANCE_SECONDS))

    def _delete_databases(self, databases: list[str]) -> None:
        """Delete what the template retains, with the tables in it."""
        for database in databases:
            say(f"Deleting the database {database}")
            with contextlib.suppress(self.glue.exceptions.EntityNotFoundException):
                self.glue.delete_database(Name=database)

    def _delete(self, stack: dict[str, Any]) -> None:
        seen = {event["EventId"] for event in self._events(stack)}
        self.cloudformation.delete_stack(StackName=stack["StackId"])
        self._finish(stack, "DELETE_COMPLETE", seen)

    def _report_snapshots(self, volumes: list[str]) -> None:
        if not volumes:
            return
        wanted = [{"Name": "volume-id", "Values": volumes}]
        left = self.ec2.describe_snapshots(OwnerIds=["self"], Filters=wanted)["Snapshots"]
        if left:
            names = " ".join(sorted(snapshot["SnapshotId"] for snapshot in left))
            say(f"{len(left)} snapshots of the data volume are left and cost storage until deleted: {names}")

    # ---------------------------------------------------------------- progress

    def _events(self, stack: dict[str, Any]) -> list[dict[str, Any]]:
        pages = self.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack["StackId"])
        return [event for page in pages for event in page["StackEvents"]]

    def _finish(self, stack: dict[str, Any], wanted: str, seen: set[str]) -> None:
        """Wait for the end of an operation.

        Args:
            stack: the stack as it is described, its name and id at least.
            wanted: the state in which it succeeded.
            seen: ids of the events from before.

        Raises:
            DeployError: when it ended in another state, or took too long.
        """
        started = time.monotonic()
        status = self._wait(stack, seen)
        if status == wanted:
            say(f"{wanted} after {time.monotonic() - started:.0f} s")
            return
        failed = [
            event
            for event in reversed(self._events(stack))
            if event["EventId"] not in seen and event["ResourceStatus"].endswith("_FAILED")
        ]
        name = stack["StackName"]
        raise DeployError(f"{name} is {status}, not {wanted}.\n{_failures(failed)}{_advice(status, name)}")

    def _wait(self, stack: dict[str, Any], seen: set[str]) -> str:
        """Wait until no operation is under way, saying how far it is, and return the stack's state."""
        started = said = time.monotonic()
        while True:
            found = self.describe(stack["StackId"])
            status = "DELETE_COMPLETE" if found is None else str(found["StackStatus"])
            if not status.endswith("_IN_PROGRESS"):
                return status
            now = time.monotonic()
            if now - started > STACK_SECONDS:
                raise DeployError(
                    f"{stack['StackName']} is still {status} after {STACK_SECONDS} s: look at its events, then "
                    "try again"
                )
            if now - said > PROGRESS_SECONDS:
                said = now
                done = {
                    event["LogicalResourceId"]
                    for event in self._events(stack)
                    if event["EventId"] not in seen and event["ResourceStatus"].endswith("_COMPLETE")
                }
                say(f"  {now - started:4.0f} s  {status}, {len(done)} resources done")
            time.sleep(self.poll_seconds)


def _parameters(stack: dict[str, Any]) -> dict[str, str]:
    """The parameters of a stack that CloudFormation described."""
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}


def _pace(poll_seconds: float, limit_seconds: float) -> dict[str, float]:
    """A waiter's pace: how often to look, and how many times at most."""
    return {"Delay": poll_seconds, "MaxAttempts": int(limit_seconds / poll_seconds)}


def _failures(events: Sequence[dict[str, Any]]) -> str:
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


def _advice(status: str, stack: str) -> str:
    """What to do about a stack that ended in the wrong state."""
    if status in NEVER_CREATED:
        return "Remove the cause and deploy again: what is left of the stack is cleared away first."
    if status.startswith("UPDATE_ROLLBACK"):
        return "The stack is as it was before. Remove the cause and deploy again."
    if status == "DELETE_FAILED":
        return "Remove the cause and run teardown again."
    return f"See `aws cloudformation describe-stack-events --stack-name {stack}`."


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _arguments(command_line: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    deploy = commands.add_parser("deploy", help="create or update the stacks")
    deploy.add_argument("--requirements", type=Path, required=True, help="the worker's locked packages, with hashes")
    deploy.add_argument("--environment", dest="stage", help="value of the cost tag Environment (dev when created)")
    deploy.add_argument(
        *("--parameter", "-p"),
        type=_assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter of a template, such as WorkerInstanceType=m7i.xlarge or AlertEmail=me@example.com",
    )
    deploy.add_argument(
        "--remove-dataset",
        action="append",
        default=[],
        metavar="NAME",
        help="take away a dataset that has no contract any more; its database and data stay",
    )
    env = commands.add_parser("env", help="say where everything is, as shell exports")
    teardown = commands.add_parser("teardown", help="delete the stacks")
    teardown.add_argument("--delete-data", action="store_true", help="delete all objects in its buckets too")

    for command in (deploy, env, teardown):
        command.add_argument("--stack", default="lake", help="name of the lake, and of its storage stack (%(default)s)")
    for command in (deploy, env):
        command.add_argument("--environment-file", type=Path, help="file for the exports")
    return parser.parse_args(command_line)


def _run(arguments: argparse.Namespace) -> None:
    session = boto3.Session()
    lake = Lake(session, arguments.stack)
    if arguments.command == "teardown":
        lake.teardown(delete_data=arguments.delete_data)
        return
    if arguments.command == "deploy":
        lake.deploy(
            arguments.requirements,
            parameters=dict(arguments.parameter),
            stage=arguments.stage,
            removed=arguments.remove_dataset,
        )
    if arguments.environment_file:
        write_environment(arguments.environment_file, lake.outputs(), session.region_name)
    elif arguments.command == "env":
        say(environment_lines(lake.outputs(), session.region_name).rstrip())


def main(command_line: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, or 1 with the reason on stderr."""
    arguments = _arguments(command_line)
    try:
        _run(arguments)
    except DeployError as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    except (BotoCoreError, ClientError) as problem:
        sys.stderr.write(f"error: AWS says: {problem}\nCheck the credentials, the region and AWS_ENDPOINT_URL.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
