"""Lakes of before there was a stack for each concern: one stack held everything, and listed the datasets.

A deploy takes such a lake over. Buckets, key and topic stay where they are. Everything else moves to another stack: it
is deleted in the one and made in the other, except databases, which are kept; the worker's volume leaves its snapshot.
Records of what readers see move away from where the worker may write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from botocore.exceptions import ClientError
from contract.names import Names

from infra.lake import Lake, Stack, Template

POLICIES = ("PublishTables", "RegisterRuns", "RunCrawlers")
"""Policies that are part of the roles now."""

RECORD = re.compile(r"manifests/(?P<dataset>[^/]+)/ds=(?P<ds>[^/]+)/(?P<kind>published|quarantined)\.json")
"""Where the records of such a lake lie, among what the worker may write."""


def datasets(storage: Stack) -> dict[str, bool]:
    """The datasets that such a lake has a database for, and whether they are crawled; none for any other lake."""
    databases, crawled = (storage.parameters.get(name, "").split(",") for name in ("Databases", "Datasets"))
    return {name: name in crawled for name in databases if name}


def moves(storage: Stack, templates: Iterable[Template]) -> set[str]:
    """`STACK/LogicalId` of all that moves out of such a lake's one stack.

    Args:
        storage: the stack.
        templates: those of the stacks that it moves to.
    """
    found = datasets(storage)
    if not found:
        return set()
    of_datasets = {f"{kind}{name.replace('_', '')}" for name in found for kind in ("Database", "Crawler")}
    moving = {*POLICIES, *of_datasets, *(name for template in templates for name in template.resources)}
    return {f"{storage.name}/{name}" for name in moving}


def tag_snapshots(lake: Lake, storage: Stack) -> None:
    """Give the snapshots of such a lake's volume the tag by which retention knows them for its own."""
    wanted = [
        {"Name": "volume-id", "Values": [storage.outputs["WorkerDataVolumeId"]]},
        {"Name": "tag-key", "Values": ["dataset"]},
    ]
    for page in lake.ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=wanted):
        if found := [one["SnapshotId"] for one in page["Snapshots"]]:
            lake.ec2.create_tags(Resources=found, Tags=[{"Key": "lake", "Value": lake.name}])


def copy_records(lake: Lake, storage: Stack) -> None:
    """Copy such a lake's records to where the worker cannot write; one that is there is of later and stays."""
    bucket = storage.outputs["ArtifactsBucket"]
    for page in lake.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="manifests/"):
        for match in filter(None, (RECORD.fullmatch(one["Key"]) for one in page.get("Contents", []))):
            target = Names(match["dataset"]).record(match["ds"], match["kind"])
            try:
                lake.s3.copy_object(
                    Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": match[0]}, IfNoneMatch="*"
                )
            except ClientError as problem:
                if problem.response["Error"]["Code"] != "PreconditionFailed":
                    raise
