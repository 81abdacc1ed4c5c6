"""`infra.deploy`: what it makes, changes, refuses, repairs and takes away."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra import deploy

Client = Callable[[str], Any]
MakeLake = Callable[[str], deploy.Lake]

OUTPUTS = {
    *("RawBucket", "ProcessedBucket", "EnrichedBucket", "ArtifactsBucket"),
    *("AthenaWorkgroup", "AnalystWorkgroup", "WorkerInstanceId", "WorkerDataVolumeId", "WorkerLogGroup"),
    "PersonalDataKeyArn",
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
    assert make_lake("lake").deploy(requirements) is False
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
    for dataset in deploy.dataset_names():
        assert aws("glue").get_database(Name=f"{dataset}_db")
        crawler = aws("glue").get_crawler(Name=f"{dataset}_processed_crawler")["Crawler"]
        targets = [target["Path"] for target in crawler["Targets"]["S3Targets"]]
        assert targets == [f"s3://{outputs['ProcessedBucket']}/{dataset}_runs/"]
        assert crawler["SchemaChangePolicy"] == {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG"}


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


def test_the_worker_finds_what_it_installs(aws: Client, outputs: dict[str, str], requirements: Path) -> None:
    for name, source in (("requirements.txt", requirements), ("lake-worker", deploy.WORKER_COMMAND)):
        stored = aws("s3").get_object(Bucket=outputs["ArtifactsBucket"], Key=f"worker/{name}")
        assert stored["Body"].read() == source.read_bytes()


def test_the_environment_file_can_be_sourced(tmp_path: Path, outputs: dict[str, str]) -> None:
    path = tmp_path / "env"
    deploy.write_environment(path, {**outputs, "OddValue": 'it\'s $HOME; `x` "y"'}, "eu-west-1")
    shown_names = '"$AWS_REGION" "$LAKE_RAW_BUCKET" "$LAKE_WORKER_INSTANCE_ID" "$LAKE_ODD_VALUE"'
    script = f'. "{path}" && printf "%s|%s|%s|%s" {shown_names}'
    shown = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True, timeout=10).stdout
    assert shown == f'eu-west-1|{outputs["RawBucket"]}|{outputs["WorkerInstanceId"]}|it\'s $HOME; `x` "y"'


# ── What it changes ───────────────────────────────────────────────────────────


def test_a_stack_is_updated_in_place_and_taken_away_without_a_trace(
    make_lake: MakeLake, requirements: Path, aws: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contracts = tmp_path / "datasets"
    contracts.mkdir()
    (contracts / "web_shop.yaml").touch()
    monkeypatch.setattr(deploy.dataset_names, "__defaults__", (contracts,))
    lake = make_lake("second")
    lake.deploy(requirements, parameters={"WorkerInstanceType": "m7i.large"}, stage="test")
    before = lake.outputs()
    assert aws("glue").get_database(Name="web_shop_db")
    aws("s3").put_object(Bucket=before["RawBucket"], Key="web_shop/x", Body=b"x")

    # Only what is given changes; the image, were there a newer one, would not.
    monkeypatch.setattr(deploy, "WORKER_IMAGE", "/no/such/parameter")
    assert lake.deploy(requirements, parameters={"WorkerInstanceType": "m7i.xlarge", "WorkerDataVolumeGiB": "60"})
    assert lake.outputs() == before
    assert describe_instance(aws, before["WorkerInstanceId"])["InstanceType"] == "m7i.xlarge"
    assert describe_instance(aws, before["WorkerInstanceId"])["State"]["Name"] == "running"
    assert aws("ec2").describe_volumes(VolumeIds=[before["WorkerDataVolumeId"]])["Volumes"][0]["Size"] == 60
    assert lake.deploy(requirements) is False
    tags = {tag["Key"]: tag["Value"] for tag in (lake.describe("second-worker") or {})["Tags"]}
    assert tags["Environment"] == "test"

    # What cannot be done says why, and leaves everything as it was.
    with pytest.raises(deploy.DeployError, match=r"(?s)WorkerDataVolume .*cannot shrink.*deploy again"):
        lake.deploy(requirements, parameters={"WorkerDataVolumeGiB": "10"})
    assert lake.outputs() == before

    # A dataset comes, and goes.
    (contracts / "returns.yaml").touch()
    lake.deploy(requirements)
    assert aws("glue").get_crawler(Name="returns_processed_crawler")
    (contracts / "returns.yaml").unlink()
    lake.deploy(requirements, removed=["returns"])
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        aws("glue").get_crawler(Name="returns_processed_crawler")
    assert aws("glue").get_database(Name="returns_db")

    with pytest.raises(deploy.DeployError, match="--delete-data"):
        lake.teardown()
    assert lake.outputs() == before
    assert lake.teardown(delete_data=True) is True
    require_nothing_left(aws, before)
    # Whatever was hashed with it may live on elsewhere.
    secrets, key = aws("secretsmanager"), before["PersonalDataKeyArn"]
    assert secrets.describe_secret(SecretId=key)["DeletedDate"]
    assert secrets.restore_secret(SecretId=key)["ARN"] == key
    assert lake.teardown() is False
    with pytest.raises(deploy.DeployError, match="does not exist"):
        lake.outputs()


def require_nothing_left(aws: Client, outputs: dict[str, str]) -> None:
    """Of the stack `second`, nothing but the snapshot that its data volume leaves."""
    ec2 = aws("ec2")
    names = [bucket["Name"] for bucket in aws("s3").list_buckets()["Buckets"]]
    names += [
        database["Name"] for database in aws("glue").get_databases()["DatabaseList"] if "web_shop" in str(database)
    ]
    names += [crawler["Name"] for crawler in aws("glue").get_crawlers()["Crawlers"] if "web_shop" in crawler["Name"]]
    names += [role["RoleName"] for role in aws("iam").list_roles()["Roles"]]
    names += [policy["PolicyName"] for policy in aws("iam").list_policies(Scope="Local")["Policies"]]
    names += [one["InstanceProfileName"] for one in aws("iam").list_instance_profiles()["InstanceProfiles"]]
    names += [group["Name"] for group in aws("athena").list_work_groups()["WorkGroups"]]
    names += [topic["TopicArn"].rpartition(":")[2] for topic in aws("sns").list_topics()["Topics"]]
    names += [group["logGroupName"].strip("/") for group in aws("logs").describe_log_groups()["logGroups"]]
    names += [alarm["AlarmName"] for alarm in aws("cloudwatch").describe_alarms()["MetricAlarms"]]
    assert [name for name in names if name.startswith("second") or "web_shop" in name] == []
    tagged = []
    for kind, found in {
        "Volumes": ec2.describe_volumes(),
        "Vpcs": ec2.describe_vpcs(),
        "Subnets": ec2.describe_subnets(),
        "SecurityGroups": ec2.describe_security_groups(),
        "RouteTables": ec2.describe_route_tables(),
        "InternetGateways": ec2.describe_internet_gateways(),
        "VpcEndpoints": ec2.describe_vpc_endpoints(),
    }.items():
        tagged += [one for one in found[kind] if "stack/second" in str(one.get("Tags"))]
    assert tagged == []
    left = ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [outputs["WorkerDataVolumeId"]]}])
    assert len(left["Snapshots"]) == 1


def test_a_dataset_whose_contract_is_missing_stays_until_it_is_removed_by_name(
    make_lake: MakeLake, requirements: Path, aws: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("old_returns", "web_orders"):
        (tmp_path / f"{name}.yaml").touch()
    monkeypatch.setattr(deploy.dataset_names, "__defaults__", (tmp_path,))
    lake, glue = make_lake("omission"), aws("glue")
    lake.deploy(requirements)
    glue.create_table(DatabaseName="old_returns_db", TableInput={"Name": "old_returns"})

    def there() -> tuple[list[str], list[str]]:
        crawlers = [one["Name"] for one in glue.get_crawlers()["Crawlers"] if "old_returns" in one["Name"]]
        return crawlers, [one["Name"] for one in glue.get_tables(DatabaseName="old_returns_db")["TableList"]]

    (tmp_path / "old_returns.yaml").unlink()
    with pytest.raises(deploy.DeployError, match=r"old_returns_processed_crawler.*old_returns_db.*Nothing was changed"):
        lake.deploy(requirements)
    with pytest.raises(deploy.DeployError, match="--remove-dataset web_orders: it has a contract"):
        lake.deploy(requirements, removed=["web_orders", "old_returns"])
    assert there() == (["old_returns_processed_crawler"], ["old_returns"])
    assert lake.deploy(requirements, removed=["old_returns"]) is True
    assert there() == ([], ["old_returns"])
    assert lake.deploy(requirements) is False
    (tmp_path / "old_returns.yaml").touch()
    assert lake.deploy(requirements) is True
    assert there() == (["old_returns_processed_crawler"], ["old_returns"])
    lake.teardown()
    assert "old_returns_db" not in [one["Name"] for one in glue.get_databases()["DatabaseList"]]


# ── What goes wrong ───────────────────────────────────────────────────────────


def test_a_failed_creation_says_why_and_the_next_one_clears_it_away(
    make_lake: MakeLake, requirements: Path, aws: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "third_set.yaml").touch()
    monkeypatch.setattr(deploy.dataset_names, "__defaults__", (tmp_path,))
    lake = make_lake("third")
    aws("glue").create_database(DatabaseInput={"Name": "third_set_db"})
    with pytest.raises(deploy.DeployError, match=r"(?s)third-catalog-third-set is .*Database .*deploy again"):
        lake.deploy(requirements)
    assert (lake.describe("third-catalog-third-set") or {})["StackStatus"] == "ROLLBACK_COMPLETE"
    aws("glue").delete_database(Name="third_set_db")
    assert lake.deploy(requirements) is True
    assert lake.outputs().keys() == OUTPUTS
    # Empty but for what deploying put there, so nothing has to be said about data.
    assert lake.teardown() is True


def test_sixty_datasets_fit_into_the_policies_that_iam_allows(
    make_lake: MakeLake, requirements: Path, aws: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(60):
        (tmp_path / f"dataset_{number:02}.yaml").touch()
    monkeypatch.setattr(deploy.dataset_names, "__defaults__", (tmp_path,))
    lake = make_lake("many")
    lake.deploy(requirements)
    iam, outputs = aws("iam"), lake.outputs()
    for role in ("AirflowRoleArn", "AnalystRoleArn", "WorkerRoleArn", "CrawlerRoleArn"):
        name = outputs[role].rpartition("/")[2]
        attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
        assert len(attached) <= 10
        for one in attached:
            document = iam.get_policy_version(PolicyArn=one["PolicyArn"], VersionId="v1")["PolicyVersion"]["Document"]
            assert len(json.dumps(document, separators=(",", ":"))) <= 6144
            assert "dataset_59_" in json.dumps(document)
        inline = [
            iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
        ]
        # Airflow may tag the snapshots of each dataset.
        assert sum(len(json.dumps(document, separators=(",", ":"))) for document in inline) <= 10_240
    key = aws("secretsmanager").get_secret_value(SecretId=outputs["PersonalDataKeyArn"])["SecretString"]
    lake.deploy(requirements, parameters={"WorkerInstanceType": "m7i.xlarge"})
    assert aws("secretsmanager").get_secret_value(SecretId=outputs["PersonalDataKeyArn"])["SecretString"] == key
    lake.teardown()


def test_a_template_that_is_too_large_is_refused_before_anything_happens(tmp_path: Path) -> None:
    template = tmp_path / "storage.yaml"
    template.write_text("# a comment\n" * 10_000 + "Resources: {}\n")
    assert deploy.template_body(template) == "Resources: {}\n"
    template.write_text("Resources: {}\n" * 10_000)
    with pytest.raises(deploy.DeployError, match="has 140000 bytes without its comments"):
        deploy.template_body(template)


def test_contracts_must_be_there_and_not_end_as_folders_do(tmp_path: Path) -> None:
    with pytest.raises(deploy.DeployError, match="no contract"):
        deploy.dataset_names(tmp_path)
    (tmp_path / "marathon_runs.yaml").touch()
    with pytest.raises(deploy.DeployError, match=r"marathon_runs.*rename"):
        deploy.dataset_names(tmp_path)


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
