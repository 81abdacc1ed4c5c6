"""Retention under Airflow's own role: what goes, and above all what stays."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.providers.amazon.aws.hooks.ec2 import EC2Hook
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from contract.columns import QUARANTINE_COLUMNS
from contract.dataset import load_contract
from contract.files import split_s3
from contract.names import Names
from lake.catalog import PartitionedTable
from lake.operators.apply_retention import ApplyRetentionOperator
from lake.operators.publish import public_table
from lake.paths import Paths
from lake.retention import Retention

REPOSITORY = Path(__file__).resolve().parents[3]
CONTRACT = load_contract(REPOSITORY / "include" / "datasets" / "orders.yaml")
NAMES = Names(CONTRACT.dataset)
OLD, NEW, OTHER = "old-00000001", "new-00000002", "other-00000003"


class Lake:
    """What runs leave in the buckets and the catalog, written as an administrator."""

    def __init__(self, aws, settings):
        self.s3, self.glue, self.ec2, self.settings = aws("s3"), aws("glue"), aws("ec2"), settings
        self.public = public_table(self.glue, settings, CONTRACT)
        self.quarantine = self._table(NAMES.quarantine_table, settings.processed_bucket)
        self.mart = self._table(CONTRACT.marts[0].name, settings.enriched_bucket)
        self.public.ensure()
        self.quarantine.ensure()
        self.mart.ensure()

    def _table(self, name, bucket):
        return PartitionedTable(
            self.glue,
            database=NAMES.database,
            name=name,
            columns=QUARANTINE_COLUMNS,
            location=f"s3://{bucket}/{name}/",
            description=name,
        )

    def folder(self, kind, ds, run, files=2):
        """Write a folder and return its URI."""
        processed, enriched = self.settings.processed_bucket, self.settings.enriched_bucket
        uri = {
            "run": f"s3://{processed}/{NAMES.runs_table}/ds={ds}/run={run}/",
            "quarantine": f"s3://{processed}/{NAMES.quarantine_table}/ds={ds}/run={run}/",
            "mart": f"s3://{enriched}/{CONTRACT.dataset}/{CONTRACT.marts[0].name}/run={run}/ds={ds}/",
        }[kind]
        bucket, key = split_s3(uri)
        for number in range(files):
            self.s3.put_object(Bucket=bucket, Key=f"{key}part-{number:05}.parquet", Body=b"x" * 10)
        return uri

    def publish(self, ds, uri, name="published", table=None):
        (table or self.public).point(ds, uri, {"numRows": "1", "submission": "x-0123abcd"})
        bucket, key = split_s3(Paths(self.settings, CONTRACT, ds, "").record(name))
        self.s3.put_object(Bucket=bucket, Key=key, Body=json.dumps({"uri": uri}))

    def files(self, uri):
        bucket, key = split_s3(uri)
        return self.s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"]

    def snapshot(self, run, dataset="orders", volume=None, **more):
        tags = {"lake": self.settings.name, "dataset": dataset, "ds": "2025-01-01", "run": run, "staged": "0", **more}
        made = self.ec2.create_snapshot(
            VolumeId=volume or self.settings.worker_data_volume_id,
            TagSpecifications=[
                {
                    "ResourceType": "snapshot",
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items() if value],
                }
            ],
        )["SnapshotId"]
        self.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[made], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        return made


@pytest.fixture
def lake(aws, settings):
    made = Lake(aws, settings)
    yield made
    for bucket, prefix in (
        (settings.processed_bucket, ""),
        (settings.enriched_bucket, ""),
        (settings.artifacts_bucket, NAMES.records),
    ):
        for page in made.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                made.s3.delete_object(Bucket=bucket, Key=entry["Key"])
    for table in (made.public, made.quarantine, made.mart):
        made.glue.delete_table(DatabaseName=table.database, Name=table.name)
    for snapshot in made.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
        made.ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])


@pytest.fixture
def retention(settings):
    """The dataset's retention in so many days from now, with Airflow's permissions."""

    def make(days):
        return Retention(
            S3Hook().conn,
            GlueCatalogHook().conn,
            EC2Hook(api_type="client_type").conn,
            settings=settings,
            contract=CONTRACT,
            now=datetime.now(UTC) + timedelta(days=days),
        )

    return make


def uris(expired):
    return {folder.uri for folder in expired.folders}


def test_only_what_was_replaced_long_enough_ago_goes(lake, retention):
    gone, kept = [], []
    for ds in ("2025-01-01", "2025-01-02"):
        for kind, name, table in (
            ("run", "published", lake.public),
            ("quarantine", "quarantined", lake.quarantine),
            ("mart", "mart", lake.mart),
        ):
            gone.append(lake.folder(kind, ds, OLD))
            kept.append(lake.folder(kind, ds, NEW))
            lake.publish(ds, kept[-1], name, table)
    # Of this date nothing is published: what is there may be the only copy.
    kept.append(lake.folder("run", "2025-01-03", OLD))
    before, after = CONTRACT.retention.days - 1, CONTRACT.retention.days + 1
    assert uris(retention(before).expired()) == set()
    expired = retention(after).expired()
    assert uris(expired) == set(gone)
    assert {(len(folder.keys), folder.bytes) for folder in expired.folders} == {(2, 20)}
    retention(after).delete(expired)
    assert [lake.files(uri) for uri in gone] == [0] * len(gone)
    assert [lake.files(uri) for uri in kept] == [2] * len(kept)
    assert len(retention(after).expired()) == 0


def test_a_deleted_run_leaves_the_table_of_runs(lake, retention):
    old, new = (lake.folder("run", "2025-01-01", run) for run in (OLD, NEW))
    lake.publish("2025-01-01", new)
    keys = [{"Name": "ds", "Type": "string"}, {"Name": "run", "Type": "string"}]
    where = {"DatabaseName": NAMES.database, "TableName": NAMES.runs_table}
    with contextlib.suppress(lake.glue.exceptions.EntityNotFoundException):  # another test's crawl may have made it
        lake.glue.delete_table(DatabaseName=NAMES.database, Name=NAMES.runs_table)
    lake.glue.create_table(DatabaseName=NAMES.database, TableInput={"Name": NAMES.runs_table, "PartitionKeys": keys})
    for run, uri in ((OLD, old), (NEW, new)):
        descriptor = {"Columns": [], "Location": uri}
        lake.glue.create_partition(
            **where, PartitionInput={"Values": ["2025-01-01", run], "StorageDescriptor": descriptor}
        )
    later = retention(CONTRACT.retention.days + 1)
    later.delete(later.expired())
    left = lake.glue.get_partitions(**where)["Partitions"]
    assert [partition["Values"] for partition in left] == [["2025-01-01", NEW]]
    lake.glue.delete_table(DatabaseName=NAMES.database, Name=NAMES.runs_table)


def test_what_is_used_again_stays(lake, retention):
    old, new = (lake.folder("run", "2025-01-01", run) for run in (OLD, NEW))
    lake.publish("2025-01-01", new)
    later = retention(CONTRACT.retention.days + 1)
    expired = later.expired()
    assert uris(expired) == {old}
    # Somebody goes back to the earlier run while retention is under way.
    lake.public.point("2025-01-01", old, {"numRows": "1", "submission": OLD})
    later.delete(expired)
    assert (lake.files(old), lake.files(new)) == (2, 2)
    # And what the record of the newest run names stays too, though no partition points there.
    assert uris(later.expired()) == set()


def test_snapshots_of_runs_that_are_not_published_go_and_nobody_elses(lake, retention, aws):
    lake.publish("2025-01-01", lake.folder("run", "2025-01-01", NEW))
    superseded, other = lake.snapshot("old"), lake.snapshot("other")
    published = lake.snapshot("new")
    foreign = [
        lake.snapshot("old", lake="lake-staging"),
        lake.snapshot("old", dataset="sales"),
        lake.snapshot("old", staged=""),
        lake.snapshot(""),
    ]
    volume = aws("ec2").create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    aws("ec2").get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    foreign.append(aws("ec2").create_snapshot(VolumeId=volume)["SnapshotId"])
    assert retention(CONTRACT.retention.days - 1).expired().snapshots == ()
    later = retention(CONTRACT.retention.days + 1)
    expired = later.expired()
    assert set(expired.snapshots) == {superseded, other}
    later.delete(expired)
    left = {one["SnapshotId"] for one in aws("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert left == {published, *foreign}


def test_one_run_deletes_so_many_and_the_oldest_first(lake, retention):
    for number in range(5):
        lake.folder("run", "2025-01-01", f"old-0000000{number}", files=1)
    lake.publish("2025-01-01", lake.folder("run", "2025-01-01", NEW))
    lake.snapshot("old")
    expired = retention(CONTRACT.retention.days + 1).expired()
    assert len(expired) == 6
    first = expired.first(3)
    assert (len(first), len(first.folders)) == (3, 3)
    assert list(first.folders) == sorted(expired.folders, key=lambda folder: folder.newest)[:3]
    assert (len(expired.first(6)), len(expired.first(6).snapshots)) == (6, 1)


@pytest.mark.parametrize(("dry_run", "deleted", "left"), [(True, 0, 2), (False, 1, 0)])
def test_a_dry_run_says_the_same_and_deletes_nothing(lake, settings, dry_run, deleted, left):
    old, new = (lake.folder("run", "2025-01-01", run) for run in (OLD, NEW))
    lake.publish("2025-01-01", new)
    long_ago = CONTRACT.model_copy(update={"retention": SimpleNamespace(days=-1)})
    task = ApplyRetentionOperator(task_id="orders", settings=settings, contract=long_ago)
    said = task.execute({"params": {"dry_run": dry_run}})
    assert said == {"folders": 1, "snapshots": 0, "bytes": 20, "deleted": deleted}
    assert (lake.files(old), lake.files(new)) == (left, 2)
