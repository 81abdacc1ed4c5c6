"""Take a lake away: its data only when told to, and nothing that cannot be brought back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from infra.lake import PARTS, DeployError, Lake, Stack, in_parallel, say
from infra.uploads import CODE_PREFIX, WORKER_PREFIX

SECRET_DAYS = 30
"""How long the key of personal data can be brought back after a teardown: the most that Secrets Manager gives."""

STOP = {"Delay": 1, "MaxAttempts": 600}
"""How long the worker may take to stop."""


def teardown(lake: Lake, *, delete_data: bool = False) -> bool:
    """Delete the stacks; the data volume leaves a snapshot.

    Args:
        lake: the lake.
        delete_data: empty the buckets first, all versions. Without it nothing is deleted while one holds data.

    Returns:
        Whether there was a stack.

    Raises:
        DeployError: when buckets hold data that may not be deleted, or the deletion fails.
    """
    stacks = lake.stacks()
    if not stacks:
        say(f"There is no lake {lake.name}")
        return False
    parts = [stacks.pop(name) for name in map(lake.part, reversed(PARTS)) if name in stacks]
    catalogs = list(stacks.values())
    present = [one for stack in parts for one in _resources(lake, stack)]

    def of(kind: str) -> list[str]:
        return [identifier for resource, identifier in present if resource == kind]

    buckets = of("AWS::S3::Bucket")
    holding = [bucket for bucket in buckets if _holds_data(lake, bucket)]
    if holding and not delete_data:
        raise DeployError(
            f"these buckets hold data, so nothing was deleted: {', '.join(holding)}. Copy what you need, then run "
            "teardown with --delete-data to delete it all, every version"
        )
    _stop(lake, of("AWS::EC2::Instance"))
    for bucket in buckets:
        _empty(lake, bucket)
    _delete_databases(lake, [lake.names(one.parameters["Dataset"]).database for one in catalogs])
    in_parallel(lake.delete, catalogs)
    for stack in parts:
        lake.delete(stack)
    for secret in of("AWS::SecretsManager::Secret"):
        lake.secrets.delete_secret(SecretId=secret, RecoveryWindowInDays=SECRET_DAYS)
        say(f"{secret} can be restored for {SECRET_DAYS} days (aws secretsmanager restore-secret)")
    _report_snapshots(lake, of("AWS::EC2::Volume"))
    return True


def _resources(lake: Lake, stack: Stack) -> list[tuple[str, str]]:
    """Type and physical id of everything in a stack."""
    pages = lake.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack.identifier)
    return [
        (one["ResourceType"], one["PhysicalResourceId"])
        for page in pages
        for one in page["StackResourceSummaries"]
        if one["ResourceStatus"] != "DELETE_COMPLETE" and "PhysicalResourceId" in one
    ]


def _holds_data(lake: Lake, bucket: str) -> bool:
    """Whether there is anything in a bucket but what `deploy` itself puts there."""
    pages = lake.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    try:
        versions = (one for page in pages for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])])
        return any(not version["Key"].startswith((WORKER_PREFIX, CODE_PREFIX)) for version in versions)
    except lake.s3.exceptions.NoSuchBucket:
        return False


def _empty(lake: Lake, bucket: str) -> None:
    """Delete every version and delete marker of every object; a bucket that is gone is fine.

    Raises:
        DeployError: when S3 refuses to delete one.
    """
    pages = lake.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    with contextlib.suppress(lake.s3.exceptions.NoSuchBucket):
        for page in pages:
            versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if not versions:
                continue
            say(f"Deleting {len(versions)} object versions from {bucket}")
            doomed = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in versions]
            answer = lake.s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
            if errors := answer.get("Errors"):
                raise DeployError(f"cannot delete {errors[0]['Key']} from {bucket}: {errors[0]['Message']}")


def _stop(lake: Lake, instances: Iterable[str]) -> None:
    """Stop what runs, so that the data volume is unmounted before it is detached and its snapshot is whole."""
    for instance in instances:
        found = lake.ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [instance]}])["Reservations"]
        states = [one["State"]["Name"] for reservation in found for one in reservation["Instances"]]
        if states and states[0] in ("pending", "running", "stopping"):
            say(f"Stopping {instance}")
            lake.ec2.stop_instances(InstanceIds=[instance])
            lake.ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance], WaiterConfig=STOP)


def _delete_databases(lake: Lake, databases: Iterable[str]) -> None:
    """Delete what the templates retain, with the tables in it."""
    for database in databases:
        say(f"Deleting the database {database}")
        with contextlib.suppress(lake.glue.exceptions.EntityNotFoundException):
            lake.glue.delete_database(Name=database)


def _report_snapshots(lake: Lake, volumes: list[str]) -> None:
    if not volumes:
        return
    wanted = [{"Name": "volume-id", "Values": volumes}]
    left = lake.ec2.describe_snapshots(OwnerIds=["self"], Filters=wanted)["Snapshots"]
    if left:
        names = " ".join(sorted(snapshot["SnapshotId"] for snapshot in left))
        say(f"{len(left)} snapshots of the data volume are left and cost storage until deleted: {names}")
