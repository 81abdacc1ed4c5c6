"""A second lake beside the first: what a deploy changes, refuses and repairs in it, and what its teardown leaves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra import deploy
from infra.lake import TEMPLATES, DeployError, Lake
from infra.teardown import teardown
from tests.integration.infra.callers import Client, assumed, require_refused

MakeLake = Callable[[str], Lake]

LAKE, STAGING = "lake", "lake-staging"


def instance_of(aws: Client, outputs: dict[str, str]) -> dict[str, Any]:
    """The worker, as EC2 describes it."""
    found: dict[str, Any] = aws("ec2").describe_instances(InstanceIds=[outputs["WorkerInstanceId"]])
    return dict(found["Reservations"][0]["Instances"][0])


@dataclass
class Staging:
    """The lake `lake-staging`, with contracts and templates of its own to change."""

    lake: Lake
    requirements: Path
    contracts: Path
    templates: Path

    def deploy(self, **options: Any) -> bool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deploy, "DATASETS", self.contracts)
            patch.setattr(deploy, "TEMPLATES", self.templates)
            # Only what is given changes; the image, were there a newer one, would not.
            if self.lake.stacks():
                patch.setattr(deploy, "WORKER_IMAGE", "/no/such/parameter")
            return deploy.deploy(self.lake, self.requirements, **options)

    def edit(self, template: str, old: str, new: str) -> None:
        path = self.templates / f"{template}.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def restore(self) -> None:
        shutil.copytree(TEMPLATES, self.templates, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def staging(
    make_lake: MakeLake, outputs: dict[str, str], requirements: Path, tmp_path_factory: pytest.TempPathFactory
) -> Staging:
    """It is deployed after the lake `lake`, of which it knows nothing."""
    assert outputs
    folder = tmp_path_factory.mktemp("staging")
    made = Staging(make_lake(STAGING), requirements, folder / "datasets", folder / "stacks")
    made.contracts.mkdir()
    for name in ("orders", "web_shop"):
        (made.contracts / f"{name}.yaml").touch()
    made.restore()
    made.deploy(parameters={"WorkerInstanceType": "m7i.large"}, stage="test")
    return made


@pytest.fixture
def crawlers(aws: Client) -> Callable[[], set[str]]:
    def names() -> set[str]:
        found = aws("glue").get_crawlers()["Crawlers"]
        return {one["Name"] for one in found if one["Name"].startswith("lake_staging__")}

    return names


@pytest.fixture
def changes(staging: Staging) -> Iterator[Staging]:
    """The lake, for a test that edits its templates: they are as they were afterwards."""
    yield staging
    staging.restore()


def test_two_lakes_share_an_account_and_neither_reaches_into_the_other(
    staging: Staging, outputs: dict[str, str], aws: Client, localaws: Any
) -> None:
    both = {LAKE: ("", outputs), STAGING: ("lake_staging__", staging.lake.outputs())}
    assert "CatalogPrefix" not in outputs
    assert both[STAGING][1]["CatalogPrefix"] == "lake_staging__"
    for prefix, where in both.values():
        aws("s3").put_object(Bucket=where["RawBucket"], Key="orders/ds=2025-06-30/orders.csv", Body=b"OrderID")
        aws("s3").put_object(Bucket=where["ProcessedBucket"], Key="orders_runs/ds=2025-06-30/x", Body=b"x")
        aws("glue").create_table(DatabaseName=f"{prefix}orders_db", TableInput={"Name": "orders"})
    for mine, other in ((LAKE, STAGING), (STAGING, LAKE)):
        (prefix, where), (foreign, there) = both[mine], both[other]
        airflow, analyst = (assumed(localaws, where[role]) for role in ("AirflowRoleArn", "AnalystRoleArn"))
        glue, s3 = airflow("glue"), airflow("s3")
        for client in (glue, analyst("glue")):
            assert client.get_table(DatabaseName=f"{prefix}orders_db", Name="orders")
            require_refused(client.get_table, DatabaseName=f"{foreign}orders_db", Name="orders")
            require_refused(client.get_tables, DatabaseName=f"{foreign}orders_db")
        assert glue.get_crawler(Name=f"{prefix}orders_processed_crawler")
        require_refused(glue.get_crawler, Name=f"{foreign}orders_processed_crawler")
        require_refused(glue.start_crawler, Name=f"{foreign}orders_processed_crawler")
        require_refused(glue.create_table, DatabaseName=f"{foreign}orders_db", TableInput={"Name": "x"})
        assert s3.list_objects_v2(Bucket=where["RawBucket"])["KeyCount"] == 1
        require_refused(s3.list_objects_v2, Bucket=there["RawBucket"])
        require_refused(s3.get_object, Bucket=there["ProcessedBucket"], Key="orders_runs/ds=2025-06-30/x")
        require_refused(s3.put_object, Bucket=there["ArtifactsBucket"], Key="records/orders/x", Body=b"x")
        require_refused(airflow("ec2").start_instances, InstanceIds=[there["WorkerInstanceId"]])
        require_refused(
            airflow("athena").start_query_execution, QueryString="SELECT 1", WorkGroup=there["AthenaWorkgroup"]
        )
        seen = {one["Name"] for one in analyst("glue").get_databases()["DatabaseList"]}
        assert f"{prefix}orders_db" in seen
        assert f"{foreign}orders_db" not in seen


def test_only_what_is_given_changes_and_it_does_in_place(staging: Staging, aws: Client) -> None:
    before = staging.lake.outputs()
    key = aws("secretsmanager").get_secret_value(SecretId=before["PersonalDataKeyArn"])["SecretString"]
    assert staging.deploy(parameters={"WorkerInstanceType": "m7i.xlarge", "WorkerDataVolumeGiB": "60"})
    after = {**before, "WorkerInstanceTypes": "m7i.xlarge"}
    assert staging.lake.outputs() == after
    assert instance_of(aws, before)["InstanceType"] == "m7i.xlarge"
    assert instance_of(aws, before)["State"]["Name"] == "running"
    assert aws("ec2").describe_volumes(VolumeIds=[before["WorkerDataVolumeId"]])["Volumes"][0]["Size"] == 60
    assert aws("secretsmanager").get_secret_value(SecretId=before["PersonalDataKeyArn"])["SecretString"] == key
    assert staging.deploy() is False

    # What cannot be done says why, and leaves everything as it was.
    with pytest.raises(DeployError, match=r"(?s)WorkerDataVolume .*cannot shrink.*deploy again"):
        staging.deploy(parameters={"WorkerDataVolumeGiB": "10"})
    assert staging.lake.outputs() == after


def test_the_stage_reaches_every_stack_and_replaces_nothing(staging: Staging) -> None:
    """A volume takes its zone from a subnet whose tags change, and yet is no other volume."""
    assert {one.tags["Environment"] for one in staging.lake.stacks().values()} == {"test"}
    assert staging.deploy(stage="prod") is True
    assert {one.tags["Environment"] for one in staging.lake.stacks().values()} == {"prod"}
    assert staging.deploy() is False


def test_a_dataset_whose_contract_is_missing_stays_until_it_is_removed_by_name(
    staging: Staging, aws: Client, crawlers: Callable[[], set[str]]
) -> None:
    contract, crawler = staging.contracts / "returns.yaml", "lake_staging__returns_processed_crawler"
    contract.touch()
    staging.deploy()
    tables = {"DatabaseName": "lake_staging__returns_db"}
    aws("glue").create_table(**tables, TableInput={"Name": "returns"})

    contract.unlink()
    with pytest.raises(DeployError, match=rf"{crawler}.*Nothing was changed"):
        staging.deploy()
    with pytest.raises(DeployError, match="--remove-dataset orders: it has a contract"):
        staging.deploy(removed_datasets=["orders", "returns"])
    assert crawler in crawlers()
    assert staging.deploy(removed_datasets=["returns"]) is True
    assert crawler not in crawlers()
    assert aws("glue").get_table(**tables, Name="returns")
    assert staging.deploy() is False
    contract.touch()
    assert staging.deploy() is True
    assert crawler in crawlers()
    assert aws("glue").get_table(**tables, Name="returns")


def test_nothing_of_any_kind_is_taken_away_by_omission(changes: Staging, aws: Client) -> None:
    names = {stack: changes.lake.part(stack) for stack in ("storage", "worker", "query", "access")}
    before = changes.lake.outputs()
    stacks = changes.lake.stacks()
    # One stack changes harmlessly, the others lose something: none may begin.
    changes.edit("storage", "Alerts of ${AWS::StackName}", "Alarms of ${AWS::StackName}")
    changes.edit("worker", "/${Lake}/worker", "/${Lake}/spark")
    workgroups = (changes.templates / "query.yaml").read_text()
    analyst = workgroups[workgroups.index("  # Analysts have") : workgroups.index("\nOutputs:")]
    changes.edit("query", analyst, "")
    changes.edit("query", "  AnalystWorkgroup:\n    Value: !Ref AnalystWorkgroup\n", "")
    with pytest.raises(DeployError) as refusal:
        changes.deploy()
    message = str(refusal.value)
    assert f"{names['query']}/AnalystWorkgroup: AWS::Athena::WorkGroup {STAGING}-analyst would be removed" in message
    log = f"AWS::Logs::LogGroup /{STAGING}/worker"
    assert f"{names['worker']}/WorkerLogGroup: {log} would be replaced by a new one" in message
    assert f"--remove-resource {names['query']}/AnalystWorkgroup --remove-resource" in message
    assert changes.lake.outputs() == before
    assert changes.lake.stacks() == stacks
    cloudformation = aws("cloudformation")
    left = [one for name in names.values() for one in cloudformation.list_change_sets(StackName=name)["Summaries"]]
    assert {one["ExecutionStatus"] for one in left} <= {"EXECUTE_COMPLETE", "EXECUTE_FAILED"}

    allowed = [f"{names['query']}/AnalystWorkgroup", f"{names['worker']}/WorkerLogGroup"]
    with pytest.raises(DeployError, match="lake-staging-worker/WorkerLogGroup"):
        changes.deploy(removed_resources=allowed[:1])
    with pytest.raises(DeployError, match="lake-staging/RawBucket: it would not go"):
        changes.deploy(removed_resources=[*allowed, "lake-staging/RawBucket"])
    changes.edit("worker", "/${Lake}/spark", "/${Lake}/worker")
    changes.edit("access", "workgroup/${AnalystWorkgroup}", "workgroup/none")
    assert changes.deploy(removed_resources=allowed[:1]) is True
    with pytest.raises(ClientError, match="not found"):
        aws("athena").get_work_group(WorkGroup=f"{STAGING}-analyst")
    changes.restore()
    assert changes.deploy() is True
    assert changes.lake.outputs() == before


def test_what_a_parameter_takes_away_is_refused_as_well(staging: Staging) -> None:
    assert staging.deploy(parameters={"AlertEmail": "lake@example.com"}) is True
    assert staging.deploy() is False
    with pytest.raises(DeployError, match=r"lake-staging/AlertSubscription: .* would be removed"):
        staging.deploy(parameters={"AlertEmail": ""})
    assert staging.deploy(parameters={"AlertEmail": ""}, removed_resources=["lake-staging/AlertSubscription"]) is True


def test_what_holds_nothing_may_be_replaced(changes: Staging, aws: Client) -> None:
    changes.edit("access", "See the tables of ${Lake}", "Look at the tables of ${Lake}")
    assert changes.deploy() is True
    policies = aws("iam").list_policies(Scope="Local")["Policies"]
    found = [one["Description"] for one in policies if one["PolicyName"].startswith(f"{STAGING}-")]
    assert found == [f"Look at the tables of {STAGING}"]


def test_a_database_that_exists_already_is_taken_over_with_its_tables(
    staging: Staging, aws: Client, crawlers: Callable[[], set[str]]
) -> None:
    glue, database = aws("glue"), "lake_staging__parcels_db"
    (staging.contracts / "parcels.yaml").touch()
    glue.create_database(DatabaseInput={"Name": database})
    glue.create_table(DatabaseName=database, TableInput={"Name": "parcels"})

    def require_taken_over() -> None:
        assert staging.deploy() is True
        assert glue.get_table(DatabaseName=database, Name="parcels")
        assert "lake_staging__parcels_processed_crawler" in crawlers()
        assert staging.deploy() is False

    require_taken_over()
    # A stack that somebody deletes leaves its database, too.
    staging.lake.delete(staging.lake.stacks()["lake-staging-catalog-parcels"])
    require_taken_over()


def test_a_stack_that_failed_says_why_and_the_next_deploy_clears_it_away(
    staging: Staging, aws: Client, crawlers: Callable[[], set[str]]
) -> None:
    glue, name = aws("glue"), "lake_staging__visits_processed_crawler"
    role = staging.lake.outputs()["CrawlerRoleArn"]
    for contract in ("visits", "zones"):
        (staging.contracts / f"{contract}.yaml").touch()
    glue.create_crawler(Name=name, Role=role, DatabaseName="x", Targets={"S3Targets": [{"Path": "s3://x/"}]})
    with pytest.raises(DeployError, match=r"(?s)lake-staging-catalog-visits is .*Crawler .*deploy again"):
        staging.deploy()
    assert staging.lake.stacks()["lake-staging-catalog-visits"].status == "ROLLBACK_COMPLETE"
    # The others are done all the same.
    assert "lake_staging__zones_processed_crawler" in crawlers()
    glue.delete_crawler(Name=name)
    assert staging.deploy() is True
    assert name in crawlers()


def test_taking_one_lake_away_leaves_no_trace_of_it_and_the_other_whole(
    staging: Staging, outputs: dict[str, str], make_lake: MakeLake, aws: Client
) -> None:
    lake, before = staging.lake, staging.lake.outputs()
    aws("s3").put_object(Bucket=before["RawBucket"], Key="orders/x", Body=b"x")
    with pytest.raises(DeployError, match="--delete-data"):
        teardown(lake)
    assert lake.outputs() == before
    assert teardown(lake, delete_data=True) is True
    require_nothing_left(aws, before)
    # Whatever was hashed with it may live on elsewhere.
    secrets, key = aws("secretsmanager"), before["PersonalDataKeyArn"]
    assert secrets.describe_secret(SecretId=key)["DeletedDate"]
    assert secrets.restore_secret(SecretId=key)["ARN"] == key
    assert teardown(lake) is False
    with pytest.raises(DeployError, match="does not exist"):
        lake.outputs()

    assert make_lake(LAKE).outputs() == outputs
    assert aws("glue").get_database(Name="orders_db")
    assert aws("glue").get_crawler(Name="orders_processed_crawler")
    assert aws("s3").head_bucket(Bucket=outputs["RawBucket"])
    assert instance_of(aws, outputs)["State"]["Name"] == "running"


def require_nothing_left(aws: Client, outputs: dict[str, str]) -> None:
    """Of the lake, nothing but the snapshot that its data volume leaves."""
    ec2 = aws("ec2")
    names = [bucket["Name"] for bucket in aws("s3").list_buckets()["Buckets"]]
    names += [database["Name"] for database in aws("glue").get_databases()["DatabaseList"]]
    names += [crawler["Name"] for crawler in aws("glue").get_crawlers()["Crawlers"]]
    names += [role["RoleName"] for role in aws("iam").list_roles()["Roles"]]
    names += [policy["PolicyName"] for policy in aws("iam").list_policies(Scope="Local")["Policies"]]
    names += [one["InstanceProfileName"] for one in aws("iam").list_instance_profiles()["InstanceProfiles"]]
    names += [group["Name"] for group in aws("athena").list_work_groups()["WorkGroups"]]
    names += [topic["TopicArn"].rpartition(":")[2] for topic in aws("sns").list_topics()["Topics"]]
    names += [group["logGroupName"].strip("/") for group in aws("logs").describe_log_groups()["logGroups"]]
    names += [alarm["AlarmName"] for alarm in aws("cloudwatch").describe_alarms()["MetricAlarms"]]
    assert [name for name in names if name.replace("_", "-").startswith(STAGING)] == []
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
        tagged += [one for one in found[kind] if f"stack/{STAGING}" in str(one.get("Tags"))]
    assert tagged == []
    left = ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [outputs["WorkerDataVolumeId"]]}])
    assert len(left["Snapshots"]) == 1
