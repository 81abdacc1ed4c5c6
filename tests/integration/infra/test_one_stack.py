"""A lake of before there was a stack for each concern is taken over: what readers and writers have stays theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra import deploy
from infra.lake import DeployError, Lake
from infra.teardown import teardown

TEMPLATE = Path(__file__).parent / "one_stack.yaml"
STAYS = ("RawBucket", "ProcessedBucket", "EnrichedBucket", "ArtifactsBucket", "PersonalDataKeyArn", "AlertTopicArn")
PARAMETERS = {
    "Datasets": "orders,web_shop",
    "Databases": "orders,returns,web_shop",
    "WorkerImageId": "ami-0c2023a1b2c3d4e5f",
    "WorkerInstanceType": "m6i.xlarge",
    "AlertEmail": "lake@example.com",
}


def test_a_lake_of_one_stack_is_taken_over_without_loss(
    make_localaws: Callable[..., Any], requirements: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_localaws()
    cloudformation, glue, s3, ec2, secrets = map(
        server.client, ("cloudformation", "glue", "s3", "ec2", "secretsmanager")
    )
    for name, value in {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    cloudformation.create_stack(
        StackName="lake",
        TemplateBody=TEMPLATE.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Tags=[{"Key": "Project", "Value": "lake"}, {"Key": "Environment", "Value": "prod"}],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName="lake", WaiterConfig={"Delay": 0.2})
    described = cloudformation.describe_stacks(StackName="lake")["Stacks"][0]
    before = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
    s3.put_object(Bucket=before["RawBucket"], Key="orders/ds=2025-06-30/orders.csv", Body=b"OrderID")
    key = secrets.get_secret_value(SecretId=before["PersonalDataKeyArn"])["SecretString"]
    for dataset in ("orders", "returns"):
        glue.create_table(DatabaseName=f"{dataset}_db", TableInput={"Name": dataset})
    artifacts, of_date = before["ArtifactsBucket"], "manifests/orders/ds=2025-06-30"
    for name, body in {
        f"{of_date}/published.json": b"which submission counts",
        f"{of_date}/run=a-run/published.json": b"what a task reported",
        f"{of_date}/quarantined.json": b"an older one",
        "records/orders/ds=2025-06-30/quarantined.json": b"a later one",
    }.items():
        s3.put_object(Bucket=artifacts, Key=name, Body=body)
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "dataset", "Value": "orders"}]}]
    old = ec2.create_snapshot(VolumeId=before["WorkerDataVolumeId"], TagSpecifications=tags)["SnapshotId"]

    (tmp_path / "orders.yaml").touch()
    monkeypatch.setattr(deploy, "DATASETS", tmp_path)
    lake = Lake(boto3.Session(), "lake")
    with pytest.raises(DeployError, match="without a contract in this checkout: web_shop"):
        deploy.deploy(lake, requirements)
    assert cloudformation.describe_stacks(StackName="lake")["Stacks"][0] == described
    assert deploy.deploy(lake, requirements, removed_datasets=["web_shop"]) is True

    after = lake.outputs()
    assert {name: after[name] for name in STAYS} == {name: before[name] for name in STAYS}
    assert s3.get_object(Bucket=after["RawBucket"], Key="orders/ds=2025-06-30/orders.csv")["Body"].read() == b"OrderID"
    assert secrets.get_secret_value(SecretId=after["PersonalDataKeyArn"])["SecretString"] == key
    records = {
        one["Key"]: s3.get_object(Bucket=artifacts, Key=one["Key"])["Body"].read()
        for one in s3.list_objects_v2(Bucket=artifacts, Prefix="records/")["Contents"]
    }
    assert records == {
        "records/orders/ds=2025-06-30/published.json": b"which submission counts",
        "records/orders/ds=2025-06-30/quarantined.json": b"a later one",
    }
    for dataset in ("orders", "returns"):
        assert glue.get_table(DatabaseName=f"{dataset}_db", Name=dataset)
    assert [one["Name"] for one in glue.get_crawlers()["Crawlers"]] == ["orders_processed_crawler"]
    # What was set stays set.
    worker = ec2.describe_instances(InstanceIds=[after["WorkerInstanceId"]])["Reservations"][0]["Instances"][0]
    assert (worker["InstanceType"], worker["ImageId"]) == ("m6i.xlarge", PARAMETERS["WorkerImageId"])
    subscribed = server.client("sns").list_subscriptions_by_topic(TopicArn=after["AlertTopicArn"])["Subscriptions"]
    assert [one["Endpoint"] for one in subscribed] == ["lake@example.com"]
    assert {one.tags["Environment"] for one in lake.stacks().values()} == {"prod"}
    # The volume left its snapshot, and retention may delete the older ones.
    left = ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [before["WorkerDataVolumeId"]]}])
    assert len(left["Snapshots"]) == 2
    assert {"Key": "lake", "Value": "lake"} in ec2.describe_snapshots(SnapshotIds=[old])["Snapshots"][0]["Tags"]

    assert deploy.deploy(lake, requirements) is False
    teardown(lake, delete_data=True)
    assert [one["Name"] for one in glue.get_databases()["DatabaseList"] if one["Name"].endswith("_db")] == []
