"""Lakes of before there was a stack for each concern: one stack held everything, and listed the datasets.

A deploy takes such a lake over. Buckets, key and topic stay where they are. Everything else moves to another stack: it
is deleted in the one and made in the other, except databases, which are kept; the worker's volume leaves its snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable

from infra.lake import Lake, Stack, Template

POLICIES = ("PublishTables", "RegisterRuns", "RunCrawlers")
"""Policies that are part of the roles now."""


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
