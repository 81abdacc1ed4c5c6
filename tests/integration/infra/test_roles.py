"""Every role of the template, tried: what it is for works, and what it is not for is refused by AWS."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from tests.integration.infra.callers import Client, assumed, client_factory, require_refused
from tests.waiting import eventually

DS = "ds=2025-06-30/run=r1"
TAGS = [
    {"Key": key, "Value": value}
    for key, value in {"lake": "lake", "dataset": "orders", "ds": "2025-06-30", "run": "r1"}.items()
]
RECORD = "records/orders/ds=2025-06-30/published.json"


@pytest.fixture(scope="module")
def lake(aws: Client, outputs: dict[str, str]) -> dict[str, str]:
    """The outputs of a lake that holds an object under every prefix."""
    content = io.BytesIO()
    pq.write_table(pa.table({"order_id": ["1"]}), content)
    for bucket, keys in {
        "RawBucket": ("orders/ds=2025-06-30/orders.csv",),
        "ProcessedBucket": (
            f"_staging/orders/{DS}/part-0.parquet",
            f"_staging/orders/{DS}/orders_runs/part-0.parquet",
            f"orders_runs/{DS}/part-0.parquet",
            f"orders_quarantine/{DS}/part-0.parquet",
            f"orders_quarantine/{DS}/orders_runs/part-0.parquet",
        ),
        "EnrichedBucket": ("orders/status_summary/ds=2025-06-30/run=t/part-0.parquet",),
        "ArtifactsBucket": (
            "code/abc.zip",
            "manifests/orders/ds=2025-06-30/run=r1/clean.json",
            RECORD,
            "athena-results/query.csv",
            "athena-results/analyst/query.csv",
            "ssm/command/stdout",
            "data-docs/orders/index.html",
            "leases/i-1.json",
        ),
    }.items():
        for key in keys:
            aws("s3").put_object(Bucket=outputs[bucket], Key=key, Body=content.getvalue())
    return outputs


@pytest.fixture(scope="module")
def airflow(localaws: Any, lake: dict[str, str]) -> Client:
    return assumed(localaws, lake["AirflowRoleArn"])


@pytest.fixture(scope="module")
def analyst(localaws: Any, lake: dict[str, str]) -> Client:
    return assumed(localaws, lake["AnalystRoleArn"])


def run_on_worker(client: Client, lake: dict[str, str], document: str, **parameters: str) -> dict[str, Any]:
    """Send a document to the worker, its output where Airflow has it, and return the finished invocation."""
    ssm, instance = client("ssm"), lake["WorkerInstanceId"]

    def online() -> bool:
        filters = [{"Key": "InstanceIds", "Values": [instance]}]
        found = ssm.describe_instance_information(Filters=filters)["InstanceInformationList"]
        return bool(found) and found[0]["PingStatus"] == "Online"

    eventually(online)
    sent = ssm.send_command(
        InstanceIds=[instance],
        DocumentName=document,
        Parameters={name: [value] for name, value in parameters.items()},
        OutputS3BucketName=lake["ArtifactsBucket"],
        OutputS3KeyPrefix="ssm",
        CloudWatchOutputConfig={"CloudWatchLogGroupName": lake["WorkerLogGroup"], "CloudWatchOutputEnabled": True},
    )["Command"]["CommandId"]

    def ended() -> dict[str, Any] | None:
        try:
            found = ssm.get_command_invocation(CommandId=sent, InstanceId=instance)
        except ssm.exceptions.InvocationDoesNotExist:
            return None
        return found if found["Status"] not in ("Pending", "InProgress", "Delayed") else None

    return dict(eventually(ended))


def run_query(client: Client, workgroup: str, sql: str) -> dict[str, Any]:
    """Run a query to its end and return its execution."""
    athena = client("athena")
    started = athena.start_query_execution(QueryString=sql, WorkGroup=workgroup)["QueryExecutionId"]

    def ended() -> dict[str, Any] | None:
        execution = athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]
        return dict(execution) if execution["Status"]["State"] in ("SUCCEEDED", "FAILED", "CANCELLED") else None

    return dict(eventually(ended))


def query_rows(analyst: Client, lake: dict[str, str], sql: str) -> list[dict[str, Any]]:
    """The rows of an analyst's query."""
    execution = run_query(analyst, lake["AnalystWorkgroup"], sql)
    assert execution["Status"]["State"] == "SUCCEEDED", execution
    rows = analyst("athena").get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    return list(rows["ResultSet"]["Rows"])


@pytest.fixture(scope="module")
def worker(localaws: Any, aws: Client, lake: dict[str, str]) -> Client:
    """Clients with the credentials that the worker's processes find."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    command = f"printf '%s\\n' {' '.join(f'${name}' for name in names)} | base64 -w0"
    invocation = run_on_worker(aws, lake, "AWS-RunShellScript", commands=command)
    assert invocation["Status"] == "Success", invocation
    found = base64.b64decode(invocation["StandardOutputContent"]).decode().split()
    return client_factory(localaws, dict(zip(("AccessKeyId", "SecretAccessKey", "SessionToken"), found, strict=True)))


# ── Analyst ───────────────────────────────────────────────────────────────────


def test_an_analyst_reads_what_is_published(analyst: Client, lake: dict[str, str]) -> None:
    s3, processed = analyst("s3"), lake["ProcessedBucket"]
    for bucket, key in (
        (processed, f"orders_runs/{DS}/part-0.parquet"),
        (processed, f"orders_quarantine/{DS}/part-0.parquet"),
        (lake["EnrichedBucket"], "orders/status_summary/ds=2025-06-30/run=t/part-0.parquet"),
        (lake["ArtifactsBucket"], "athena-results/analyst/query.csv"),
    ):
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert s3.list_objects_v2(Bucket=processed, Prefix=f"orders_runs/{DS}/part-0")["KeyCount"] == 1
    glue = analyst("glue")
    assert glue.get_database(Name="orders_db")
    assert glue.get_tables(DatabaseName="orders_db")["TableList"] is not None


def test_an_analyst_browses_as_athenas_console_and_drivers_do(
    analyst: Client, aws: Client, lake: dict[str, str]
) -> None:
    athena, catalog, group = (
        analyst("athena"),
        {"CatalogName": "AwsDataCatalog"},
        {"WorkGroup": lake["AnalystWorkgroup"]},
    )
    aws("glue").create_database(DatabaseInput={"Name": "payroll"})
    aws("glue").create_table(DatabaseName="payroll", TableInput={"Name": "salaries"})
    aws("glue").create_table(DatabaseName="orders_db", TableInput={"Name": "browsed"})
    assert lake["AnalystWorkgroup"] in [one["Name"] for one in athena.list_work_groups()["WorkGroups"]]
    assert athena.list_data_catalogs()["DataCatalogsSummary"][0]["CatalogName"] == "AwsDataCatalog"
    assert athena.list_engine_versions()["EngineVersions"]
    assert athena.get_data_catalog(Name="AwsDataCatalog")["DataCatalog"]["Type"] == "GLUE"
    assert athena.get_database(**catalog, DatabaseName="orders_db")["Database"]["Name"] == "orders_db"
    tables = athena.list_table_metadata(**catalog, DatabaseName="orders_db")["TableMetadataList"]
    assert "browsed" in [one["Name"] for one in tables]
    assert athena.get_table_metadata(**catalog, DatabaseName="orders_db", TableName="browsed")["TableMetadata"]
    assert athena.list_named_queries(**group)["NamedQueryIds"] == []
    assert athena.list_prepared_statements(**group)["PreparedStatements"] == []
    # Of the account's other databases not even the names.
    shown = [row["Data"][0]["VarCharValue"] for row in query_rows(analyst, lake, "SHOW DATABASES")]
    for listed in (
        [one["Name"] for one in athena.list_databases(**catalog)["DatabaseList"]],
        [one["Name"] for one in analyst("glue").get_databases()["DatabaseList"]],
        shown,
    ):
        assert "orders_db" in listed
        assert "payroll" not in listed
    with pytest.raises(ClientError, match="not authorized to perform: glue:GetDatabase "):
        athena.get_database(**catalog, DatabaseName="payroll")
    with pytest.raises(ClientError, match="not authorized to perform: glue:GetTables "):
        athena.list_table_metadata(**catalog, DatabaseName="payroll")
    with pytest.raises(ClientError, match="not authorized to perform: glue:GetTable "):
        athena.get_table_metadata(**catalog, DatabaseName="payroll", TableName="salaries")
    require_refused(athena.list_named_queries, WorkGroup=lake["AthenaWorkgroup"])
    require_refused(athena.list_prepared_statements, WorkGroup=lake["AthenaWorkgroup"])
    require_refused(athena.list_query_executions, WorkGroup=lake["AthenaWorkgroup"])
    require_refused(athena.create_prepared_statement, **group, StatementName="mine", QueryStatement="SELECT 1")
    require_refused(athena.create_work_group, Name="mine")


def test_an_analyst_queries_in_the_workgroup_of_analysts(analyst: Client, lake: dict[str, str]) -> None:
    athena = analyst("athena")
    execution = run_query(analyst, lake["AnalystWorkgroup"], "SELECT 1")
    assert execution["Status"]["State"] == "SUCCEEDED", execution
    assert athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])["ResultSet"]["Rows"]
    require_refused(athena.start_query_execution, QueryString="SELECT 1", WorkGroup=lake["AthenaWorkgroup"])
    require_refused(athena.start_query_execution, QueryString="SELECT 1", WorkGroup="primary")


def test_an_analyst_neither_sees_the_rest_nor_writes(analyst: Client, lake: dict[str, str]) -> None:
    s3, glue = analyst("s3"), analyst("glue")
    raw, processed, enriched, artifacts = (
        lake[name] for name in ("RawBucket", "ProcessedBucket", "EnrichedBucket", "ArtifactsBucket")
    )
    for bucket, key in (
        (raw, "orders/ds=2025-06-30/orders.csv"),
        (processed, f"_staging/orders/{DS}/part-0.parquet"),
        (processed, f"_staging/orders/{DS}/orders_runs/part-0.parquet"),
        (artifacts, "code/abc.zip"),
        (artifacts, "manifests/orders/ds=2025-06-30/run=r1/clean.json"),
        (artifacts, RECORD),
        (artifacts, "athena-results/query.csv"),
        (artifacts, "ssm/command/stdout"),
    ):
        require_refused(s3.get_object, Bucket=bucket, Key=key)
    for bucket, prefix in ((raw, "orders/"), (processed, "_staging/"), (processed, ""), (artifacts, "manifests/")):
        require_refused(s3.list_objects_v2, Bucket=bucket, Prefix=prefix)
    for bucket, key in ((processed, f"orders_runs/{DS}/mine"), (enriched, "orders/mine"), (artifacts, "code/mine.zip")):
        require_refused(s3.put_object, Bucket=bucket, Key=key, Body=b"x")
    require_refused(s3.delete_object, Bucket=processed, Key=f"orders_runs/{DS}/part-0.parquet")
    require_refused(glue.create_table, DatabaseName="orders_db", TableInput={"Name": "mine"})
    require_refused(glue.delete_table, DatabaseName="orders_db", Name="orders")
    require_refused(glue.start_crawler, Name="orders_processed_crawler")
    require_refused(analyst("ec2").start_instances, InstanceIds=[lake["WorkerInstanceId"]])
    require_refused(analyst("ec2").describe_instances)
    require_refused(analyst("sns").publish, TopicArn=lake["AlertTopicArn"], Message="x")
    require_refused(analyst("secretsmanager").get_secret_value, SecretId=lake["PersonalDataKeyArn"])
    require_refused(glue.get_tables, DatabaseName="default")
    require_refused(analyst("sts").assume_role, RoleArn=lake["AirflowRoleArn"], RoleSessionName="up")


# ── Worker ────────────────────────────────────────────────────────────────────


def test_the_worker_reads_raw_and_writes_what_is_not_published(worker: Client, lake: dict[str, str]) -> None:
    s3, processed, artifacts = worker("s3"), lake["ProcessedBucket"], lake["ArtifactsBucket"]
    assert s3.list_objects_v2(Bucket=lake["RawBucket"], Prefix="orders/ds=2025-06-30/")["KeyCount"] == 1
    assert s3.get_object(Bucket=lake["RawBucket"], Key="orders/ds=2025-06-30/orders.csv")
    for bucket, key in (
        (processed, f"_staging/orders/{DS}/part-1.parquet"),
        (processed, f"orders_quarantine/{DS}/part-1.parquet"),
        (artifacts, "manifests/orders/ds=2025-06-30/run=r1/validate.json"),
        (artifacts, "data-docs/orders/ds=2025-06-30/run=r1/index.html"),
    ):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    for bucket, key in (
        (processed, f"_staging/orders/{DS}/part-0.parquet"),
        (artifacts, "code/abc.zip"),
        (artifacts, "worker/requirements.txt"),
        (artifacts, "manifests/orders/ds=2025-06-30/run=r1/clean.json"),
        (processed, f"orders_runs/{DS}/part-0.parquet"),
    ):
        assert s3.get_object(Bucket=bucket, Key=key)
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=artifacts, Key="code/absent.zip")


def test_the_worker_publishes_nothing_and_commands_nobody(worker: Client, lake: dict[str, str]) -> None:
    s3, processed, artifacts = worker("s3"), lake["ProcessedBucket"], lake["ArtifactsBucket"]
    for bucket, key in (
        (processed, f"orders_runs/{DS}/part-1.parquet"),
        (processed, f"orders_runs/{DS}/x_quarantine/part-1.parquet"),
        (processed, "x"),
        (lake["EnrichedBucket"], "orders/x"),
        (lake["RawBucket"], "orders/ds=2025-06-30/x.csv"),
        (artifacts, "code/evil.zip"),
        (artifacts, "worker/lake-worker"),
        (artifacts, "leases/i-1.json"),
        (artifacts, RECORD),
        (artifacts, "records/orders/ds=2025-07-01/published.json"),
    ):
        require_refused(s3.put_object, Bucket=bucket, Key=key, Body=b"x")
    for bucket, key in (
        (artifacts, RECORD),
        (processed, f"orders_quarantine/{DS}/part-0.parquet"),
        (lake["EnrichedBucket"], "orders/status_summary/ds=2025-06-30/run=t/part-0.parquet"),
        (artifacts, "ssm/command/stdout"),
        (artifacts, "athena-results/query.csv"),
    ):
        require_refused(s3.get_object, Bucket=bucket, Key=key)
    require_refused(s3.delete_object, Bucket=processed, Key=f"_staging/orders/{DS}/part-0.parquet")
    require_refused(worker("ec2").stop_instances, InstanceIds=[lake["WorkerInstanceId"]])
    require_refused(worker("glue").get_tables, DatabaseName="orders_db")
    require_refused(worker("ssm").get_parameter, Name="/some/secret")
    require_refused(worker("sns").publish, TopicArn=lake["AlertTopicArn"], Message="x")
    require_refused(
        worker("ssm").send_command,
        InstanceIds=[lake["WorkerInstanceId"]],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": ["true"]},
    )


def test_the_worker_alone_reads_the_key_of_personal_data(
    worker: Client, airflow: Client, aws: Client, lake: dict[str, str]
) -> None:
    key = {"SecretId": lake["PersonalDataKeyArn"]}
    assert len(worker("secretsmanager").get_secret_value(**key)["SecretString"]) == 64
    other = aws("secretsmanager").create_secret(Name="other", SecretString="x")["ARN"]
    require_refused(worker("secretsmanager").get_secret_value, SecretId=other)
    require_refused(worker("secretsmanager").put_secret_value, **key, SecretString="x")
    require_refused(worker("secretsmanager").delete_secret, **key)
    require_refused(airflow("secretsmanager").get_secret_value, **key)


# ── Airflow ───────────────────────────────────────────────────────────────────


def test_airflow_runs_commands_and_reads_their_output(airflow: Client, lake: dict[str, str]) -> None:
    # There is no lake-worker on this one's instances: tests/integration/plugins/test_worker.py runs jobs.
    job = {"program": "python", "job": "stage_raw", "submission": "r1-0123abcd", "arguments": "--ds 2025-06-30"}
    invocation = run_on_worker(airflow, lake, lake["WorkerDocument"], bundle="a" * 64, timeout="60", **job)
    assert "lake-worker" in invocation["StandardErrorContent"]
    prefix = f"ssm/{invocation['CommandId']}/"
    keys = airflow("s3").list_objects_v2(Bucket=lake["ArtifactsBucket"], Prefix=prefix)["Contents"]
    assert b"lake-worker" in airflow("s3").get_object(Bucket=lake["ArtifactsBucket"], Key=keys[0]["Key"])["Body"].read()
    logs = airflow("logs")
    streams = logs.describe_log_streams(logGroupName=lake["WorkerLogGroup"])["logStreams"]
    stream = next(one["logStreamName"] for one in streams if invocation["CommandId"] in one["logStreamName"])
    events = logs.get_log_events(logGroupName=lake["WorkerLogGroup"], logStreamName=stream)["events"]
    assert "lake-worker" in events[0]["message"]


def test_airflow_promotes_publishes_and_alerts(airflow: Client, aws: Client, lake: dict[str, str]) -> None:
    s3, glue, processed = airflow("s3"), airflow("glue"), lake["ProcessedBucket"]
    s3.copy_object(
        Bucket=processed,
        Key="orders_runs/ds=2025-06-30/run=r2/part-0.parquet",
        CopySource={"Bucket": processed, "Key": f"_staging/orders/{DS}/part-0.parquet"},
        IfNoneMatch="*",
    )
    s3.put_object(Bucket=lake["ArtifactsBucket"], Key="leases/i-2.json", Body=b"{}", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=lake["ArtifactsBucket"], Key="leases/i-2.json", Body=b"{}", IfNoneMatch="*")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=lake["ArtifactsBucket"], Key="code/absent.zip")
    s3.put_object(Bucket=lake["ArtifactsBucket"], Key=RECORD, Body=b"{}")
    assert s3.get_object(Bucket=lake["ArtifactsBucket"], Key=RECORD)["Body"].read() == b"{}"
    where = {"DatabaseName": "orders_db", "TableName": "published"}
    keys = [{"Name": "ds", "Type": "string"}]
    glue.create_table(DatabaseName="orders_db", TableInput={"Name": "published", "PartitionKeys": keys})
    partition = {"Values": ["2025-06-30"], "StorageDescriptor": {"Location": f"s3://{processed}/orders_runs/{DS}/"}}
    glue.create_partition(**where, PartitionInput=partition)
    glue.update_partition(**where, PartitionValueList=["2025-06-30"], PartitionInput=partition)
    assert glue.get_partitions(**where, Expression="ds = '2025-06-30'")["Partitions"]
    glue.delete_partition(**where, PartitionValues=["2025-06-30"])
    assert airflow("sns").publish(TopicArn=lake["AlertTopicArn"], Message="hello")
    require_refused(glue.delete_table, DatabaseName="orders_db", Name="published")
    require_refused(glue.create_table, DatabaseName="default", TableInput={"Name": "x"})
    for name in ("somebody_elses", "lake_other__orders_db"):
        aws("glue").create_database(DatabaseInput={"Name": name})
        require_refused(glue.create_table, DatabaseName=name, TableInput={"Name": "x"})
        require_refused(glue.get_tables, DatabaseName=name)
    require_refused(glue.delete_database, Name="orders_db")


def test_airflow_moves_files_and_never_looks_at_what_arrived_or_was_refused(
    airflow: Client, lake: dict[str, str]
) -> None:
    s3 = airflow("s3")
    assert s3.list_objects_v2(Bucket=lake["RawBucket"], Prefix="orders/")["KeyCount"] == 1
    for bucket, key in (
        ("RawBucket", "orders/ds=2025-06-30/orders.csv"),
        ("ProcessedBucket", f"orders_quarantine/{DS}/part-0.parquet"),
        ("ProcessedBucket", f"orders_quarantine/{DS}/orders_runs/part-0.parquet"),
        ("ArtifactsBucket", "data-docs/orders/index.html"),
    ):
        require_refused(s3.get_object, Bucket=lake[bucket], Key=key)
        require_refused(
            s3.copy_object,
            Bucket=lake["ProcessedBucket"],
            Key=f"orders_runs/{DS}/copied",
            CopySource={"Bucket": lake[bucket], "Key": key},
        )


def test_airflow_crawls_with_a_role_that_can_do_just_that(airflow: Client, aws: Client, lake: dict[str, str]) -> None:
    glue, crawler = airflow("glue"), "orders_processed_crawler"

    def crawl() -> dict[str, Any]:
        glue.start_crawler(Name=crawler)
        eventually(lambda: glue.get_crawler(Name=crawler)["Crawler"]["State"] == "READY")
        return dict(glue.get_crawler(Name=crawler)["Crawler"]["LastCrawl"])

    assert crawl()["Status"] == "SUCCEEDED"
    table = glue.get_table(DatabaseName="orders_db", Name="orders_runs")["Table"]
    assert [key["Name"] for key in table["PartitionKeys"]] == ["ds", "run"]
    require_refused(glue.update_crawler, Name=crawler, TablePrefix="x")
    require_refused(glue.delete_crawler, Name=crawler)
    original = glue.get_crawler(Name=crawler)["Crawler"]["Targets"]
    # One that crawls new folders only keeps its targets.
    aws("glue").update_crawler(Name=crawler, RecrawlPolicy={"RecrawlBehavior": "CRAWL_EVERYTHING"})
    for path in (f"s3://{lake['RawBucket']}/orders/", f"s3://{lake['ProcessedBucket']}/_staging/orders/"):
        aws("glue").update_crawler(Name=crawler, Targets={"S3Targets": [{"Path": path}]})
        last = crawl()
        assert (last["Status"], "AccessDenied" in last["ErrorMessage"]) == ("FAILED", True)
    # It may write no database but the lake's.
    aws("glue").update_crawler(Name=crawler, Targets=original, DatabaseName="default")
    assert "glue:" in crawl()["ErrorMessage"]
    new_only = {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"}
    aws("glue").update_crawler(Name=crawler, DatabaseName="orders_db", RecrawlPolicy=new_only)


def test_airflow_queries_in_its_workgroup(airflow: Client, lake: dict[str, str]) -> None:
    athena = airflow("athena")
    execution = run_query(airflow, lake["AthenaWorkgroup"], "SELECT 1")
    assert execution["Status"]["State"] == "SUCCEEDED", execution
    location = execution["ResultConfiguration"]["OutputLocation"]
    assert location.startswith(f"s3://{lake['ArtifactsBucket']}/athena-results/")
    require_refused(athena.start_query_execution, QueryString="SELECT 1", WorkGroup="primary")
    require_refused(athena.start_query_execution, QueryString="SELECT 1", WorkGroup=lake["AnalystWorkgroup"])
    require_refused(athena.update_work_group, WorkGroup=lake["AthenaWorkgroup"], State="DISABLED")


def test_queries_act_with_the_permissions_of_who_asks(airflow: Client, analyst: Client, lake: dict[str, str]) -> None:
    def table(name: str, location: str) -> None:
        columns = [{"Name": "order_id", "Type": "string"}]
        library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
        descriptor = {
            "Columns": columns,
            "Location": location,
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "SerdeInfo": {"SerializationLibrary": library},
        }
        given = {"Name": name, "TableType": "EXTERNAL_TABLE", "StorageDescriptor": descriptor}
        airflow("glue").create_table(DatabaseName="orders_db", TableInput=given)

    table("readable", f"s3://{lake['ProcessedBucket']}/orders_runs/{DS}/")
    table("staged", f"s3://{lake['ProcessedBucket']}/_staging/orders/{DS}/")
    pipeline, analysts = lake["AthenaWorkgroup"], lake["AnalystWorkgroup"]
    enriched, processed = lake["EnrichedBucket"], lake["ProcessedBucket"]

    def unload(name: str) -> str:
        return f"UNLOAD (SELECT * FROM orders_db.readable) TO 's3://{enriched}/orders/{name}/' WITH (format='PARQUET')"

    for client, workgroup, sql, state in (
        (airflow, pipeline, unload("mart"), "SUCCEEDED"),
        (airflow, pipeline, unload("mart").replace(f"{enriched}/orders", f"{processed}/_staging"), "FAILED"),
        (analyst, analysts, "SELECT order_id FROM orders_db.readable", "SUCCEEDED"),
        (analyst, analysts, "SELECT order_id FROM orders_db.staged", "FAILED"),
        (analyst, analysts, unload("mine"), "FAILED"),
        (analyst, analysts, "DROP TABLE orders_db.readable", "FAILED"),
    ):
        execution = run_query(client, workgroup, sql)
        assert execution["Status"]["State"] == state, execution
    assert airflow("s3").list_objects_v2(Bucket=enriched, Prefix="orders/mart/")["KeyCount"] == 1


def test_airflow_snapshots_only_the_data_volume_and_only_with_tags(
    airflow: Client, aws: Client, lake: dict[str, str]
) -> None:
    ec2, volume = airflow("ec2"), lake["WorkerDataVolumeId"]

    def snapshot(volume: str, tags: list[dict[str, str]]) -> str:
        specification = [{"ResourceType": "snapshot", "Tags": tags}] if tags else []
        return str(ec2.create_snapshot(VolumeId=volume, TagSpecifications=specification)["SnapshotId"])

    made = snapshot(volume, TAGS)
    eventually(lambda: ec2.describe_snapshots(SnapshotIds=[made])["Snapshots"][0]["State"] == "completed")
    require_refused(snapshot, volume, [])
    for missing in range(len(TAGS)):
        require_refused(snapshot, volume, [*TAGS[:missing], *TAGS[missing + 1 :]])
    require_refused(snapshot, volume, [{"Key": "lake", "Value": "lake-staging"}, *TAGS[1:]])
    other = aws("ec2").create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    eventually(lambda: aws("ec2").describe_volumes(VolumeIds=[other])["Volumes"][0]["State"] == "available")
    require_refused(snapshot, other, TAGS)
    untagged = aws("ec2").create_snapshot(VolumeId=other)["SnapshotId"]
    require_refused(ec2.delete_snapshot, SnapshotId=untagged)
    others = [{"ResourceType": "snapshot", "Tags": [{"Key": "lake", "Value": "lake-staging"}, *TAGS[1:]]}]
    foreign = aws("ec2").create_snapshot(VolumeId=other, TagSpecifications=others)["SnapshotId"]
    require_refused(ec2.delete_snapshot, SnapshotId=foreign)
    # Not by claiming it either.
    require_refused(ec2.create_tags, Resources=[untagged], Tags=TAGS)
    ec2.delete_snapshot(SnapshotId=made)


def test_airflow_touches_no_other_instance_and_destroys_nothing(
    airflow: Client, aws: Client, lake: dict[str, str]
) -> None:
    ec2, ssm, s3, worker = airflow("ec2"), airflow("ssm"), airflow("s3"), lake["WorkerInstanceId"]
    assert ec2.describe_instances(InstanceIds=[worker])["Reservations"]
    other = aws("ec2").run_instances(ImageId="ami-0c2023a1b2c3d4e5f", MinCount=1, MaxCount=1)["Instances"][0]
    for call in (ec2.start_instances, ec2.stop_instances, ec2.terminate_instances):
        require_refused(call, InstanceIds=[other["InstanceId"]])
    require_refused(ec2.start_instances, InstanceIds=[worker, other["InstanceId"]])
    require_refused(ec2.terminate_instances, InstanceIds=[worker])
    require_refused(ec2.delete_volume, VolumeId=lake["WorkerDataVolumeId"])
    require_refused(ec2.detach_volume, VolumeId=lake["WorkerDataVolumeId"])
    require_refused(ec2.run_instances, ImageId="ami-0c2023a1b2c3d4e5f", MinCount=1, MaxCount=1)
    for target, document in (
        (other["InstanceId"], lake["WorkerDocument"]),
        (worker, "AWS-RunShellScript"),
        (worker, "AWS-RunPatchBaseline"),
    ):
        require_refused(
            ssm.send_command, InstanceIds=[target], DocumentName=document, Parameters={"commands": ["true"]}
        )
    for bucket, key in (
        ("RawBucket", "orders/ds=2025-06-30/orders.csv"),
        ("ProcessedBucket", f"_staging/orders/{DS}/part-0.parquet"),
        ("ProcessedBucket", f"_staging/orders/{DS}/orders_runs/part-0.parquet"),
        ("ArtifactsBucket", "manifests/orders/ds=2025-06-30/run=r1/clean.json"),
    ):
        require_refused(s3.delete_object, Bucket=lake[bucket], Key=key)
    for bucket, key in (
        ("RawBucket", "orders/ds=2025-06-30/x.csv"),
        ("ProcessedBucket", "_staging/orders/x"),
        ("ProcessedBucket", f"_staging/orders/{DS}/orders_runs/x"),
        ("ProcessedBucket", f"orders_quarantine/{DS}/orders_runs/x"),
        ("ArtifactsBucket", "worker/lake-worker"),
        ("ArtifactsBucket", "code/abc.zip"),
    ):
        require_refused(s3.put_object, Bucket=lake[bucket], Key=key, Body=b"x")
    for bucket in ("RawBucket", "ArtifactsBucket"):
        require_refused(s3.delete_bucket_policy, Bucket=lake[bucket])
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    role = lake["AirflowRoleArn"].rpartition("/")[2]
    require_refused(
        airflow("iam").put_role_policy, RoleName=role, PolicyName="up", PolicyDocument=json.dumps(everything)
    )
    require_refused(airflow("cloudformation").delete_stack, StackName="lake")


def test_airflow_deletes_what_is_superseded_but_no_version_of_it(
    airflow: Client, aws: Client, lake: dict[str, str]
) -> None:
    s3 = airflow("s3")
    for bucket, key in (
        ("ProcessedBucket", f"orders_runs/{DS}/part-0.parquet"),
        ("ProcessedBucket", f"orders_quarantine/{DS}/part-0.parquet"),
        ("EnrichedBucket", "orders/status_summary/ds=2025-06-30/run=t/part-0.parquet"),
    ):
        version = aws("s3").head_object(Bucket=lake[bucket], Key=key)["VersionId"]
        require_refused(s3.delete_object, Bucket=lake[bucket], Key=key, VersionId=version)
        s3.delete_object(Bucket=lake[bucket], Key=key)


def test_airflow_stops_and_starts_the_worker(airflow: Client, lake: dict[str, str]) -> None:
    ec2, worker = airflow("ec2"), lake["WorkerInstanceId"]

    def state() -> str:
        return str(ec2.describe_instances(InstanceIds=[worker])["Reservations"][0]["Instances"][0]["State"]["Name"])

    ec2.stop_instances(InstanceIds=[worker])
    eventually(lambda: state() == "stopped")
    # Only to a type that the stack names, and no other attribute.
    ec2.modify_instance_attribute(InstanceId=worker, InstanceType={"Value": "m7i.large"})
    require_refused(ec2.modify_instance_attribute, InstanceId=worker, InstanceType={"Value": "m7i.8xlarge"})
    require_refused(ec2.modify_instance_attribute, InstanceId=worker, UserData={"Value": b"#!/bin/sh"})
    ec2.start_instances(InstanceIds=[worker])
    eventually(lambda: state() == "running")


# ── Trust ─────────────────────────────────────────────────────────────────────


def test_only_services_assume_the_roles_of_services(localaws: Any, aws: Client, lake: dict[str, str]) -> None:
    iam = aws("iam")
    iam.create_user(UserName="administrator")
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="administrator", PolicyName="sts", PolicyDocument=json.dumps(allowed))
    key = iam.create_access_key(UserName="administrator")["AccessKey"]
    sts = localaws.client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    assert sts.assume_role(RoleArn=lake["AirflowRoleArn"], RoleSessionName="test")
    for role in ("WorkerRoleArn", "CrawlerRoleArn"):
        require_refused(sts.assume_role, RoleArn=lake[role], RoleSessionName="test")
