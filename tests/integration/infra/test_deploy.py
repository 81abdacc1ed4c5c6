"""`infra.deploy`: what it makes, and what it refuses to begin with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lake.bundle import build_bundle

from infra import deploy
from infra.lake import DeployError, Lake, Template
from infra.uploads import WORKER_FILES
from tests.integration.infra.callers import Client

MakeLake = Callable[[str], Lake]

OUTPUTS = {
    *("RawBucket", "ProcessedBucket", "EnrichedBucket", "ArtifactsBucket"),
    *("AthenaWorkgroup", "AnalystWorkgroup", "WorkerInstanceId", "WorkerInstanceTypes", "WorkerDataVolumeId"),
    *("WorkerDocument", "WorkerLogGroup"),
    *("Name", "PersonalDataKeyArn"),
    *("AlertKeyArn", "AlertTopicArn", "AirflowRoleArn", "AnalystRoleArn", "WorkerRoleArn", "CrawlerRoleArn"),
}


def describe_instance(aws: Client, instance: str) -> dict[str, Any]:
    found: dict[str, Any] = aws("ec2").describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return found


# ── What it makes ─────────────────────────────────────────────────────────────


def test_every_output_is_there(outputs: dict[str, str]) -> None:
    assert outputs.keys() == OUTPUTS


def test_deploying_again_changes_nothing(
    make_lake: MakeLake, outputs: dict[str, str], requirements: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deploy.deploy(make_lake("lake"), requirements) is False
    assert "up to date" in capsys.readouterr().out
    assert make_lake("lake").outputs() == outputs


@pytest.mark.parametrize("bucket", ["RawBucket", "ProcessedBucket", "EnrichedBucket", "ArtifactsBucket"])
def test_buckets_are_private_encrypted_versioned_and_cleaned(aws: Client, outputs: dict[str, str], bucket: str) -> None:
    s3, name = aws("s3"), outputs[bucket]
    rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert set(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values()) == {True}
    assert s3.get_bucket_ownership_controls(Bucket=name)["OwnershipControls"]["Rules"] == [
        {"ObjectOwnership": "BucketOwnerEnforced"}
    ]
    statement = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"][0]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Resource"] == [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    lifecycle = {rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]}
    assert lifecycle["abort-multipart-uploads"]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 2
    assert lifecycle["drop-noncurrent-versions"]["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    tags = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=name)["TagSet"]}
    assert tags.items() >= {"Component": "storage", "Project": "lake", "Environment": "dev"}.items()


def test_only_what_is_worth_nothing_expires(aws: Client, outputs: dict[str, str]) -> None:
    expiring: dict[tuple[str, str], int] = {}
    for bucket in ("RawBucket", "ProcessedBucket", "EnrichedBucket", "ArtifactsBucket"):
        rules = aws("s3").get_bucket_lifecycle_configuration(Bucket=outputs[bucket])["Rules"]
        expiring |= {
            (bucket, rule["Filter"]["Prefix"]): rule["Expiration"]["Days"]
            for rule in rules
            if "Days" in rule.get("Expiration", {})
        }
    assert expiring == {
        ("ProcessedBucket", "_staging/"): 7,
        ("ArtifactsBucket", "athena-results/"): 7,
        ("ArtifactsBucket", "ssm/"): 90,
    }


def test_the_worker_is_where_its_instance_type_is(aws: Client, make_lake: MakeLake, outputs: dict[str, str]) -> None:
    # Zone a, the region's first, has no m7i.
    assert describe_instance(aws, outputs["WorkerInstanceId"])["Placement"]["AvailabilityZone"] == "us-east-1b"
    volume = aws("ec2").describe_volumes(VolumeIds=[outputs["WorkerDataVolumeId"]])["Volumes"][0]
    assert volume["AvailabilityZone"] == "us-east-1b"
    with pytest.raises(DeployError, match=r"no zone of the region has m99\.large"):
        deploy.zone_with(make_lake("lake"), "m99.large")


def test_the_worker_has_an_encrypted_volume_and_no_way_in(aws: Client, outputs: dict[str, str]) -> None:
    instance = describe_instance(aws, outputs["WorkerInstanceId"])
    volume = aws("ec2").describe_volumes(VolumeIds=[outputs["WorkerDataVolumeId"]])["Volumes"][0]
    assert volume["Encrypted"] is True
    assert volume["Attachments"][0]["InstanceId"] == outputs["WorkerInstanceId"]
    assert {tag["Key"]: tag["Value"] for tag in instance["Tags"]}["Name"] == "lake-worker"
    groups = {group["GroupId"] for group in instance["SecurityGroups"]}
    security = [one for one in aws("ec2").describe_security_groups()["SecurityGroups"] if one["GroupId"] in groups]
    assert [one["IpPermissions"] for one in security] == [[]]
    assert instance["IamInstanceProfile"]["Arn"].startswith("arn:aws:iam::000000000000:instance-profile/lake-")


def test_each_dataset_has_its_database_and_crawler(aws: Client, outputs: dict[str, str]) -> None:
    assert "ProcessedBucket" in outputs
    for dataset in deploy.dataset_names(deploy.DATASETS):
        assert aws("glue").get_database(Name=f"{dataset}_db")
        crawler = aws("glue").get_crawler(Name=f"{dataset}_processed_crawler")["Crawler"]
        targets = [target["Path"] for target in crawler["Targets"]["S3Targets"]]
        assert targets == [f"s3://{outputs['ProcessedBucket']}/{dataset}_runs/"]
        assert crawler["SchemaChangePolicy"] == {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
        assert crawler["RecrawlPolicy"] == {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"}


def test_workgroups_enforce_where_results_go_and_how_much_is_scanned(aws: Client, outputs: dict[str, str]) -> None:
    for workgroup, prefix in (("AthenaWorkgroup", ""), ("AnalystWorkgroup", "analyst/")):
        settings = aws("athena").get_work_group(WorkGroup=outputs[workgroup])["WorkGroup"]["Configuration"]
        assert settings["EnforceWorkGroupConfiguration"] is True
        assert int(settings["BytesScannedCutoffPerQuery"]) == 10_000_000_000
        expected = f"s3://{outputs['ArtifactsBucket']}/athena-results/{prefix}"
        assert settings["ResultConfiguration"]["OutputLocation"] == expected


def test_the_topic_is_encrypted_with_a_key_of_its_own(aws: Client, outputs: dict[str, str]) -> None:
    attributes = aws("sns").get_topic_attributes(TopicArn=outputs["AlertTopicArn"])["Attributes"]
    key = aws("kms").describe_key(KeyId=attributes["KmsMasterKeyId"])["KeyMetadata"]
    assert key["KeyManager"] == "CUSTOMER"


def test_the_worker_finds_what_it_installs_and_runs(aws: Client, outputs: dict[str, str], requirements: Path) -> None:
    bucket = outputs["ArtifactsBucket"]
    for source in (requirements, *WORKER_FILES.iterdir()):
        assert aws("s3").get_object(Bucket=bucket, Key=f"worker/{source.name}")["Body"].read() == source.read_bytes()
    digest, content = build_bundle()
    assert aws("s3").get_object(Bucket=bucket, Key=f"code/{digest}.zip")["Body"].read() == content


def test_the_environment_file_can_be_sourced(tmp_path: Path, outputs: dict[str, str]) -> None:
    path = tmp_path / "env"
    deploy.write_environment(path, {**outputs, "OddValue": 'it\'s $HOME; `x` "y"'}, "eu-west-1")
    shown_names = '"$AWS_REGION" "$LAKE_RAW_BUCKET" "$LAKE_WORKER_INSTANCE_ID" "$LAKE_ODD_VALUE"'
    script = f'. "{path}" && printf "%s|%s|%s|%s" {shown_names}'
    shown = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True, timeout=10).stdout
    assert shown == f'eu-west-1|{outputs["RawBucket"]}|{outputs["WorkerInstanceId"]}|it\'s $HOME; `x` "y"'


# ── Many ──────────────────────────────────────────────────────────────────────


def test_five_hundred_contracts_deploy_and_no_policy_grows_with_them(
    make_lake: MakeLake, requirements: Path, aws: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(500):
        (tmp_path / f"dataset_{number:03}.yaml").touch()
    monkeypatch.setattr(deploy, "DATASETS", tmp_path)
    lake = make_lake("many")
    assert deploy.deploy(lake, requirements) is True
    pages = aws("glue").get_paginator("get_crawlers").paginate()
    crawlers = [one["Name"] for page in pages for one in page["Crawlers"]]
    assert sum(name.startswith("many__dataset_") for name in crawlers) == 500
    iam, outputs = aws("iam"), lake.outputs()
    for role in ("AirflowRoleArn", "AnalystRoleArn", "WorkerRoleArn", "CrawlerRoleArn"):
        name = outputs[role].rpartition("/")[2]
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        managed = [
            iam.get_policy_version(PolicyArn=one["PolicyArn"], VersionId="v1")["PolicyVersion"]["Document"]
            for one in attached
        ]
        assert len(attached) <= 10
        assert all(_size(document) <= 6144 for document in managed)
        inline = [
            iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        ]
        assert sum(map(_size, inline)) <= 10_240
        assert _size(iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]) <= 2048
        assert "dataset_" not in json.dumps([*managed, *inline])
    # What is as it should be is not even looked at.
    cloudformation = aws("cloudformation")
    before = cloudformation.list_change_sets(StackName="many-catalog-dataset-000")["Summaries"]
    assert deploy.deploy(lake, requirements) is False
    assert cloudformation.list_change_sets(StackName="many-catalog-dataset-000")["Summaries"] == before


def _size(document: dict[str, Any]) -> int:
    return len(json.dumps(document, separators=(",", ":")))


# ── What is refused before anything happens ───────────────────────────────────


def test_a_template_that_is_too_large_is_refused_before_anything_happens(tmp_path: Path) -> None:
    path = tmp_path / "storage.yaml"
    path.write_text("# a comment\n" * 10_000 + "Description: all\nResources:\n  Key: {Type: 'AWS::KMS::Key'}\n")
    template = Template.read(path)
    assert template.body.startswith(f"Description: {template.description}\nResources:\n")
    assert template.description.startswith("all [")
    path.write_text("Resources: {}\n" * 10_000)
    with pytest.raises(DeployError, match="has 140000 bytes without its comments"):
        Template.read(path)


def test_contracts_must_be_there_and_have_names_that_mean_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="no contract"):
        deploy.dataset_names(tmp_path)
    contract = tmp_path / "marathon_runs.yaml"
    contract.touch()
    with pytest.raises(DeployError, match=r"marathon_runs.*rename"):
        deploy.dataset_names(tmp_path)
    contract.rename(tmp_path / "lake_staging__orders.yaml")
    with pytest.raises(DeployError, match=r"another lake: rename"):
        deploy.dataset_names(tmp_path)


@pytest.mark.parametrize("name", ["Lake", "lake--staging", "lake-", "lake_staging", "-p"])
def test_a_lake_has_a_name_that_no_other_can_be_taken_for(make_lake: MakeLake, name: str) -> None:
    with pytest.raises(DeployError, match="no name for a lake"):
        make_lake(name)


def test_no_lake_takes_what_is_anothers(make_lake: MakeLake, outputs: dict[str, str], requirements: Path) -> None:
    assert outputs
    with pytest.raises(DeployError, match="a stack lake-worker that is not of the lake lake-worker"):
        deploy.deploy(make_lake("lake-worker"), requirements)


def test_a_parameter_that_no_template_has_is_refused(
    make_lake: MakeLake, outputs: dict[str, str], requirements: Path
) -> None:
    assert outputs
    with pytest.raises(DeployError, match="no template has a parameter WorkerInstanceSize"):
        deploy.deploy(make_lake("lake"), requirements, parameters={"WorkerInstanceSize": "m7i.xlarge"})


def test_the_command_line_reports_instead_of_a_traceback(
    make_lake: MakeLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_lake("unused")
    assert deploy.main(["deploy", "--requirements", str(tmp_path / "absent.txt"), "--stack", "none"]) == 1
    assert "absent.txt does not exist" in capsys.readouterr().err
    assert deploy.main(["env", "--stack", "none"]) == 1
    assert "deploy it first" in capsys.readouterr().err
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert deploy.main(["env", "--stack", "none"]) == 1
    assert "AWS_ENDPOINT_URL" in capsys.readouterr().err
