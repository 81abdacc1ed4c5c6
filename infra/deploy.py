"""Make a lake, take it away, and say where it is; on AWS and on the local AWS alike.

    python -m infra.deploy deploy --requirements FILE [--environment-file FILE] [--remove-dataset NAME ...]
    python -m infra.deploy env [--environment-file FILE]
    python -m infra.deploy teardown [--delete-data]

Credentials, region and endpoint are those of the environment (AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ...).
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra import one_stack
from infra.changes import ChangeSet, discard, execute, propose
from infra.lake import CATALOG, NEVER_CREATED, PARTS, TEMPLATES, DeployError, Lake, Stack, Template, in_parallel, say
from infra.teardown import teardown
from infra.uploads import upload_all

CHECKOUT = Path(__file__).resolve().parents[1]
DATASETS = CHECKOUT / "include" / "datasets"

WORKER_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
"""AWS's public parameter that names the newest Amazon Linux 2023 image of the region."""

NOT_YET_KNOWN = "not-yet-known"
"""Stands for the output of a stack that has none of that name yet, while changes are only looked at."""


def dataset_names(folder: Path) -> list[str]:
    """The datasets that have a contract.

    Raises:
        DeployError: when there is none, or one has a name that means something else elsewhere.
    """
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if not names:
        raise DeployError(f"there is no contract in {folder}: add one, such as orders.yaml, and deploy again")
    if ambiguous := [name for name in names if name.endswith(("_runs", "_quarantine"))]:
        raise DeployError(
            f"dataset {ambiguous[0]}: the worker could not write it, for names that end in _runs and _quarantine are "
            "those of folders whose permissions differ: rename it"
        )
    if ambiguous := [name for name in names if "__" in name]:
        raise DeployError(f"dataset {ambiguous[0]}: what is before __ in a name is another lake: rename it")
    return names


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


def zone_with(lake: Lake, instance_type: str) -> str:
    """An availability zone of the region that has an instance type, which not every zone does.

    Raises:
        DeployError: when none has it.
    """
    filters = [{"Name": "instance-type", "Values": [instance_type]}]
    pages = lake.ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=filters
    )
    region = re.escape(lake.ec2.meta.region_name)
    zones = [one["Location"] for page in pages for one in page["InstanceTypeOfferings"]]
    # Local zones, where there are any, are named after a city.
    if not (found := sorted(zone for zone in zones if re.fullmatch(f"{region}[a-z]", zone))):
        raise DeployError(f"no zone of the region has {instance_type}: choose another with -p WorkerInstanceType=...")
    return found[0]


@dataclass(frozen=True)
class Wanted:
    """A stack as it is to be.

    Args:
        name: the stack's name.
        template: what it runs.
        own: parameters that no other stack has.
        database: the database in it, which may exist before the stack does.
    """

    name: str
    template: Template
    own: Mapping[str, str] = field(default_factory=dict)
    database: str | None = None

    def parameters(self, known: Mapping[str, str]) -> dict[str, str]:
        """What is known of its parameters."""
        return {key: value for key, value in {**known, **self.own}.items() if key in self.template.parameters}


class Deployment:
    """One deploy of a lake: what is there, what is wanted, and what may go.

    Args:
        lake: the lake.
        parameters: parameters of the templates to set; stacks keep the others as they are.
        stage: value of the cost tag Environment; without it the lake keeps the one that it has.
        removed_datasets: deployed datasets without a contract whose crawlers may go.
        removed_resources: `STACK/LogicalId` of what else may be removed or replaced.

    Raises:
        DeployError: when a dataset would go that is not to be removed, or a parameter is unknown.
    """

    def __init__(
        self,
        lake: Lake,
        parameters: Mapping[str, str],
        stage: str | None,
        removed_datasets: Collection[str],
        removed_resources: Collection[str],
    ) -> None:
        self.lake = lake
        self.templates = {name: Template.read(TEMPLATES / f"{name}.yaml") for name in (*PARTS, CATALOG)}
        if unknown := sorted(parameters.keys() - {name for one in self.templates.values() for name in one.parameters}):
            raise DeployError(f"no template has a parameter {unknown[0]}")
        self.there, self.ruins = self._find()
        self.storage = self.there.get(lake.name)
        own = {"Lake": lake.name, "CatalogPrefix": lake.catalog_prefix}
        self.known = {**(self.storage.parameters if self.storage else {}), **parameters, **own}
        found = self.storage.tags if self.storage else {}
        self.tags = {"Project": "lake", "Environment": stage or found.get("Environment", "dev")}
        self.datasets = self._datasets(removed_datasets)
        self.removed = set(removed_resources)
        self.expected = {f"{lake.catalog(name)}/Crawler" for name in removed_datasets}
        if self.storage:
            self.expected |= one_stack.moves(self.storage, (self.templates[name] for name in PARTS[1:]))

    def _find(self) -> tuple[dict[str, Stack], dict[str, Stack]]:
        """The stacks that can be updated, and those that can only be deleted, once no operation is under way."""
        there = self.lake.stacks()
        for name, stack in there.items():
            if stack.status.endswith("_IN_PROGRESS") and stack.status not in NEVER_CREATED:
                say(f"{name} is {stack.status}; waiting for that to end")
                there[name] = self.lake.wait(stack.identifier)
        there = {name: stack for name, stack in there.items() if stack.status != "DELETE_COMPLETE"}
        for stack in there.values():
            if stack.status == "UPDATE_ROLLBACK_FAILED":
                raise DeployError(
                    f"{stack.name} could not be rolled back: {stack.reason}. Remove the cause, run "
                    f"`aws cloudformation continue-update-rollback --stack-name {stack.name}`, then deploy again"
                )
        ruins = {name: one for name, one in there.items() if one.status in NEVER_CREATED | {"DELETE_FAILED"}}
        return {name: one for name, one in there.items() if name not in ruins}, ruins

    def _datasets(self, removed: Collection[str]) -> dict[str, bool]:
        """Every dataset that has or had a contract, and whether it is to be crawled."""
        wanted = dataset_names(DATASETS)
        catalogs = (one.parameters for one in self.there.values() if "Dataset" in one.parameters)
        deployed = one_stack.datasets(self.storage) if self.storage else {}
        deployed |= {one["Dataset"]: one["Crawled"] == "true" for one in catalogs}
        gone = {name for name, crawled in deployed.items() if crawled} - set(wanted)
        if wrong := sorted(set(removed) - gone):
            raise DeployError(f"--remove-dataset {wrong[0]}: it has a contract in this checkout, or is not deployed")
        if unsaid := sorted(gone - set(removed)):
            crawlers = (f"the crawler {self.lake.names(name).crawler}" for name in unsaid)
            raise DeployError(
                f"deployed, but without a contract in this checkout: {', '.join(unsaid)}. Deploying would delete "
                f"{', '.join(crawlers)}. Nothing was changed. Bring the contract back, or deploy with "
                f"{' '.join(f'--remove-dataset {name}' for name in unsaid)}; databases, tables and files stay even then"
            )
        return {name: name in wanted for name in sorted({*wanted, *deployed})}

    def layers(self) -> list[list[Wanted]]:
        """The stacks that are wanted, in layers of which each needs those before it."""
        storage, *others = (Wanted(self.lake.part(name), self.templates[name]) for name in PARTS)
        catalogs = [
            Wanted(
                self.lake.catalog(dataset),
                self.templates[CATALOG],
                {"Dataset": dataset, "Crawled": str(crawled).lower()},
                self.lake.names(dataset).database,
            )
            for dataset, crawled in self.datasets.items()
        ]
        return [[storage], *([one] for one in others), catalogs]

    def run(self, fill: Callable[[str], bool]) -> bool:
        """Look at all that would change, then change it; returns whether anything did.

        Args:
            fill: puts what a worker needs at its first start into the artifacts bucket, when there is one; says whether
                anything was new.

        Raises:
            DeployError: when something would go that may not, before anything is changed; or when a change fails.
        """
        layers = self.layers()
        looked = self._look([one for layer in layers for one in layer if one.name in self.there])
        if self.lake.part("worker") not in self.there:
            self.known = self._of_a_new_worker() | self.known
        if self.storage and one_stack.datasets(self.storage):
            one_stack.tag_snapshots(self.lake, self.storage)
            one_stack.copy_records(self.lake, self.storage)
        changed = False
        for layer in layers:
            changed |= any(in_parallel(lambda one: self._apply(one, looked.get(one.name)), layer))
            self.known |= {key: value for one in layer for key, value in self.there[one.name].outputs.items()}
            if layer is layers[0]:
                changed |= fill(self.known["ArtifactsBucket"])
        if not changed:
            say(f"The lake {self.lake.name} is up to date")
        return changed

    def _of_a_new_worker(self) -> dict[str, str]:
        """What is found for a worker that is created, and kept ever after."""
        found = {}
        if "WorkerImageId" not in self.known:
            found["WorkerImageId"] = self.lake.ssm.get_parameter(Name=WORKER_IMAGE)["Parameter"]["Value"]
        if "WorkerZone" not in self.known:
            worker = {**self.templates["worker"].defaults, **self.known}
            found["WorkerZone"] = zone_with(self.lake, worker["WorkerInstanceType"])
        return found

    def _look(self, existing: Sequence[Wanted]) -> dict[str, ChangeSet]:
        """What would change in the stacks that are there, as far as that is known before any of them does."""
        known = self.known | {key: value for one in self.there.values() for key, value in one.outputs.items()}

        def look(wanted: Wanted) -> ChangeSet | None:
            needed = wanted.template.parameters - wanted.template.defaults.keys()
            unknown = needed - self.there[wanted.name].parameters.keys()
            return self._propose(wanted, wanted.parameters(dict.fromkeys(unknown, NOT_YET_KNOWN) | known))

        found = {one.stack: one for one in in_parallel(look, existing) if one}
        losses = {name: fate for one in found.values() for name, fate in one.losses().items()}
        try:
            self._require_allowed(losses, "Nothing was changed")
            if wrong := sorted(self.removed - losses.keys()):
                raise DeployError(f"--remove-resource {wrong[0]}: it would not go")
        except DeployError:
            in_parallel(lambda one: discard(self.lake, one), found.values())
            raise
        return found

    def _require_allowed(self, losses: Mapping[str, str], so_far: str) -> None:
        if unsaid := {name: fate for name, fate in losses.items() if name not in self.removed | self.expected}:
            raise DeployError(
                "deploying would take away what nobody asked to remove:\n"
                + "".join(f"  {name}: {fate}\n" for name, fate in sorted(unsaid.items()))
                + f"{so_far}. Bring it back, or deploy with "
                + " ".join(f"--remove-resource {name}" for name in sorted(unsaid))
            )

    def _propose(self, wanted: Wanted, parameters: dict[str, str]) -> ChangeSet | None:
        """What would change in a stack, or None when it is as it should be."""
        stack = self.there.get(wanted.name)
        tags = (stack.tags if stack else {}) | self.tags
        if (
            stack
            and stack.description == wanted.template.description
            and stack.parameters.items() >= parameters.items()
            and stack.tags == tags
        ):
            return None
        return propose(self.lake, wanted.name, wanted.template, parameters, stack=stack, tags=tags)

    def _apply(self, wanted: Wanted, looked: ChangeSet | None) -> bool:
        """Make a stack what it should be; returns whether it was not.

        Args:
            wanted: the stack.
            looked: what was looked at before any stack was changed. It is still right if nothing has changed since that
                it depends on.
        """
        if wanted.name not in self.there:
            self._make_room(wanted)
        parameters = wanted.parameters(self.known)
        change_set = looked
        if not looked or looked.parameters != parameters:
            if looked:
                discard(self.lake, looked)
            change_set = self._propose(wanted, parameters)
        if not change_set:
            return False
        self._require_allowed(change_set.losses(), f"{wanted.name} was not changed, what it depends on was")
        self._execute(change_set)
        return True

    def _make_room(self, wanted: Wanted) -> None:
        """Clear away what is left of a stack that was never completed, and take over a database that exists already."""
        if ruin := self.ruins.get(wanted.name):
            say(f"{ruin.name} is {ruin.status}: deleting what is left of it")
            self.lake.delete(ruin)
        if wanted.database and self._exists(wanted.database):
            say(f"{wanted.name} takes over the database {wanted.database}")
            imports = {"Database": ("AWS::Glue::Database", {"DatabaseName": wanted.database})}
            # An import makes nothing else.
            parameters = wanted.parameters(self.known) | {"Crawled": "false"}
            made = propose(self.lake, wanted.name, wanted.template, parameters, stack=None, tags={}, imports=imports)
            if made:
                self._execute(made)

    def _exists(self, database: str) -> bool:
        try:
            self.lake.glue.get_database(Name=database)
        except self.lake.glue.exceptions.EntityNotFoundException:
            return False
        return True

    def _execute(self, change_set: ChangeSet) -> None:
        self.there[change_set.stack] = execute(self.lake, change_set)


def deploy(
    lake: Lake,
    requirements: Path,
    *,
    parameters: Mapping[str, str] | None = None,
    stage: str | None = None,
    removed_datasets: Collection[str] = (),
    removed_resources: Collection[str] = (),
) -> bool:
    """Create or update the stacks, and upload what the worker installs and runs.

    Args:
        lake: the lake.
        requirements: the worker's locked, hashed packages (`uv export --only-group worker`).
        parameters: parameters of the templates to set; stacks keep the others as they are.
        stage: value of the cost tag Environment; without it the lake keeps the one that it has.
        removed_datasets: deployed datasets without a contract that may go; their databases and data stay.
        removed_resources: `STACK/LogicalId` of what else may be removed or replaced.

    Returns:
        Whether anything changed.

    Raises:
        DeployError: when something would go that may not, before anything is changed; or when a change fails, with the
            reasons that CloudFormation gives.
    """
    if not requirements.is_file():
        raise DeployError(f"{requirements} does not exist: the worker could not be set up")
    deployment = Deployment(lake, parameters or {}, stage, removed_datasets, removed_resources)
    return deployment.run(partial(upload_all, lake, requirements))


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _arguments(command_line: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)

    deploying = commands.add_parser("deploy", help="create or update the stacks")
    deploying.add_argument("--requirements", type=Path, required=True, help="the worker's locked packages, with hashes")
    deploying.add_argument("--environment", dest="stage", help="value of the cost tag Environment (dev when created)")
    deploying.add_argument(
        *("--parameter", "-p"),
        type=_assignment,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter of a template, such as WorkerInstanceType=m7i.xlarge or AlertEmail=me@example.com",
    )
    deploying.add_argument(
        "--remove-dataset",
        action="append",
        default=[],
        metavar="NAME",
        help="take away a dataset that has no contract any more; its database and data stay",
    )
    deploying.add_argument(
        "--remove-resource",
        action="append",
        default=[],
        metavar="STACK/LOGICAL-ID",
        help="let a resource be removed or replaced, as a refused deploy names it",
    )
    env = commands.add_parser("env", help="say where everything is, as shell exports")
    tearing = commands.add_parser("teardown", help="delete the stacks")
    tearing.add_argument("--delete-data", action="store_true", help="delete all objects in its buckets too")

    for command in (deploying, env, tearing):
        command.add_argument("--stack", default="lake", help="name of the lake, and of its storage stack (%(default)s)")
    for command in (deploying, env):
        command.add_argument("--environment-file", type=Path, help="file for the exports")
    return parser.parse_args(command_line)


def _run(arguments: argparse.Namespace) -> None:
    session = boto3.Session()
    lake = Lake(session, arguments.stack)
    if arguments.command == "teardown":
        teardown(lake, delete_data=arguments.delete_data)
        return
    if arguments.command == "deploy":
        deploy(
            lake,
            arguments.requirements,
            parameters=dict(arguments.parameter),
            stage=arguments.stage,
            removed_datasets=arguments.remove_dataset,
            removed_resources=arguments.remove_resource,
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
