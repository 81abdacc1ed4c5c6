"""The Glue crawler and the partition operations, through boto3."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from tests.waiting import eventually

GLUE_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ORDERS = pa.table(
    {
        "order_id": ["1", "2"],
        "amount": pa.array([Decimal("1.25"), None], pa.decimal128(12, 2)),
        "order_date": pa.array([datetime.date(2025, 6, 1)] * 2),
        "seen_at": pa.array([datetime.datetime(2025, 6, 1)] * 2),
        "source_line": pa.array([2, 3], pa.int64()),
        "extra": [{"a": 1, "b": ["x"]}] * 2,
    }
)
INHERIT = {"Version": 1.0, "CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}}}
ONE_TABLE = {"Version": 1.0, "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"}}


def parquet(table: pa.Table) -> bytes:
    content = io.BytesIO()
    pq.write_table(table, content)
    return content.getvalue()


@dataclass
class Lake:
    """A bucket, a database and a role of one test's own, and crawlers on them."""

    server: Any
    name: str
    role: str

    def put(self, key: str, content: bytes) -> None:
        self.server.client("s3").put_object(Bucket=self.name, Key=key, Body=content)

    def remove(self, key: str) -> None:
        self.server.client("s3").delete_object(Bucket=self.name, Key=key)

    def create(self, *paths: str, exclusions: list[str] | None = None, **settings: Any) -> str:
        name = f"crawler-{uuid.uuid4().hex[:8]}"
        targets = [{"Path": f"s3://{self.name}/{path}", "Exclusions": exclusions or []} for path in paths]
        self.glue.create_crawler(
            Name=name, DatabaseName=self.name, Targets={"S3Targets": targets}, **{"Role": self.role, **settings}
        )
        return name

    @property
    def glue(self) -> Any:
        return self.server.client("glue")

    def crawl(self, crawler: str) -> dict[str, Any]:
        """Run a crawler to its end and return its LastCrawl."""
        self.glue.start_crawler(Name=crawler)
        eventually(lambda: self.glue.get_crawler(Name=crawler)["Crawler"]["State"] == "READY")
        return self.glue.get_crawler(Name=crawler)["Crawler"]["LastCrawl"]

    def tables(self) -> dict[str, dict[str, Any]]:
        return {table["Name"]: table for table in self.glue.get_tables(DatabaseName=self.name)["TableList"]}

    def columns(self, table: str) -> dict[str, str]:
        found = self.tables()[table]["StorageDescriptor"]["Columns"]
        return {column["Name"]: column["Type"] for column in found}

    def partitions(self, table: str, **options: Any) -> list[list[str]]:
        pages = self.glue.get_paginator("get_partitions").paginate(DatabaseName=self.name, TableName=table, **options)
        return [partition["Values"] for page in pages for partition in page["Partitions"]]


@pytest.fixture
def grant(aws: Callable[..., Any]) -> Callable[..., str]:
    """`grant("s3:*", trust={...})` makes a role that may do these actions, and returns its ARN."""

    def make(*actions: str, trust: dict[str, Any] = GLUE_TRUST) -> str:
        name = f"role-{uuid.uuid4().hex[:8]}"
        made = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        aws("iam").put_role_policy(RoleName=name, PolicyName="grant", PolicyDocument=document)
        return made["Role"]["Arn"]

    return make


@pytest.fixture
def lake(localaws: Any, aws: Callable[..., Any], grant: Callable[..., str]) -> Lake:
    name = f"lake-{uuid.uuid4().hex[:8]}"
    aws("s3").create_bucket(Bucket=name)
    aws("glue").create_database(DatabaseInput={"Name": name})
    return Lake(localaws, name, grant("s3:*", "glue:*", "logs:*"))


def test_parquet_in_hive_partitions_becomes_one_table(lake: Lake) -> None:
    for day in ("2025-06-01", "2025-06-02"):
        lake.put(f"orders_runs/ds={day}/run=r1/part-0.parquet", parquet(ORDERS))
    lake.put("orders_runs/_SUCCESS", b"done")
    lake.put("orders_runs/ds=2025-06-02/run=r1/.part-0.parquet.crc", b"crc")
    lake.put("orders_runs/ds=2025-06-03/_temporary/part-0.parquet", parquet(ORDERS))

    last = lake.crawl(lake.create("orders_runs/", Configuration=json.dumps(INHERIT)))

    assert last["Status"] == "SUCCEEDED"
    table = lake.tables()["orders_runs"]
    assert lake.columns("orders_runs") == {
        "order_id": "string",
        "amount": "decimal(12,2)",
        "order_date": "date",
        "seen_at": "timestamp",
        "source_line": "bigint",
        "extra": "struct<a:bigint,b:array<string>>",
    }
    assert table["PartitionKeys"] == [{"Name": "ds", "Type": "string"}, {"Name": "run", "Type": "string"}]
    assert table["StorageDescriptor"]["Location"] == f"s3://{lake.name}/orders_runs/"
    assert table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].endswith("ParquetHiveSerDe")
    assert table["Parameters"].items() >= {"classification": "parquet", "recordCount": "4", "objectCount": "2"}.items()
    assert lake.partitions("orders_runs") == [["2025-06-01", "r1"], ["2025-06-02", "r1"]]
    partition = lake.glue.get_partition(
        DatabaseName=lake.name, TableName="orders_runs", PartitionValues=["2025-06-02", "r1"]
    )["Partition"]
    assert partition["StorageDescriptor"]["Location"] == f"s3://{lake.name}/orders_runs/ds=2025-06-02/run=r1/"
    assert partition["StorageDescriptor"]["Columns"] == table["StorageDescriptor"]["Columns"]


def test_a_second_crawl_adds_partitions_and_columns(lake: Lake) -> None:
    crawler = lake.create("t/", Configuration=json.dumps(INHERIT))
    lake.put("t/ds=1/a.parquet", parquet(pa.table({"x": [1]})))
    lake.crawl(crawler)
    lake.put("t/ds=2/a.parquet", parquet(pa.table({"x": [1], "y": ["b"]})))
    lake.crawl(crawler)
    assert lake.columns("t") == {"x": "bigint", "y": "string"}
    assert lake.partitions("t") == [["1"], ["2"]]
    metrics = lake.glue.get_crawler_metrics(CrawlerNameList=[crawler])["CrawlerMetricsList"][0]
    assert (metrics["TablesCreated"], metrics["TablesUpdated"]) == (0, 1)
    assert [crawl["State"] for crawl in lake.glue.list_crawls(CrawlerName=crawler)["Crawls"]] == ["COMPLETED"] * 2
    assert int(lake.tables()["t"]["VersionId"]) == 2


def test_csv_header_types_and_delimiter(lake: Lake) -> None:
    lake.put("plain/x.csv", b'OrderID,Customer,Amount,Empty\n1,"A, B",2.5,\n2,C,3,\n')
    lake.put("bare/x.csv", b"a|b\nc|d\n")
    lake.put("zipped/x.csv.gz", gzip.compress(b"name;count\nx;1\ny;2\n"))
    lake.crawl(lake.create("plain", "bare", "zipped", TablePrefix="raw_"))
    assert lake.columns("raw_plain") == {
        "orderid": "bigint",
        "customer": "string",
        "amount": "double",
        "empty": "string",
    }
    assert lake.tables()["raw_plain"]["Parameters"]["skip.header.line.count"] == "1"
    # All text, so nothing tells the first line from the others.
    assert lake.columns("raw_bare") == {"col0": "string", "col1": "string"}
    assert lake.tables()["raw_bare"]["StorageDescriptor"]["SerdeInfo"]["Parameters"] == {"field.delim": "|"}
    assert lake.tables()["raw_zipped"]["Parameters"]["compressionType"] == "gzip"
    assert lake.columns("raw_zipped") == {"name": "string", "count": "bigint"}


def test_json_lines_and_arrays(lake: Lake) -> None:
    lake.put("lines/x.json", b'{"A":1,"b":[{"c":"x"}]}\n{"a":2.5,"d":true}\n')
    lake.put("array/x.json", json.dumps([{"big": 2**40, "none": None}, {"none": "x"}]).encode())
    lake.crawl(lake.create("lines/", "array/"))
    assert lake.columns("lines") == {"a": "double", "b": "array<struct<c:string>>", "d": "boolean"}
    assert lake.columns("array") == {"big": "bigint", "none": "string"}
    assert lake.tables()["lines"]["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].endswith("JsonSerDe")


def test_folders_that_differ_become_tables_of_their_own(lake: Lake) -> None:
    lake.put("all/orders/x.parquet", parquet(pa.table({"a": [1], "b": [1]})))
    lake.put("all/people/x.parquet", parquet(pa.table({"c": [1], "d": [1]})))
    lake.crawl(lake.create("all/"))
    assert lake.tables().keys() == {"orders", "people"}
    assert lake.columns("people") == {"c": "bigint", "d": "bigint"}


def test_folders_that_are_alike_become_partitions(lake: Lake) -> None:
    for month in ("january", "february"):
        lake.put(f"sales/{month}/x.parquet", parquet(pa.table({"a": [1]})))
    lake.crawl(lake.create("sales/"))
    assert lake.tables()["sales"]["PartitionKeys"] == [{"Name": "partition_0", "Type": "string"}]
    assert lake.partitions("sales") == [["february"], ["january"]]


def test_grouping_combines_and_sets_the_level_of_the_table(lake: Lake) -> None:
    lake.put("deep/t/one/x.parquet", parquet(pa.table({"a": [1]})))
    lake.put("deep/t/two/x.parquet", parquet(pa.table({"b": [1]})))
    leveled = {**ONE_TABLE, "Grouping": {**ONE_TABLE["Grouping"], "TableLevelConfiguration": 3}}  # type: ignore[dict-item]
    lake.crawl(lake.create("deep/", Configuration=json.dumps(leveled)))
    assert lake.tables().keys() == {"t"}
    assert lake.columns("t") == {"a": "bigint", "b": "bigint"}


def test_exclusions(lake: Lake) -> None:
    lake.put("t/a.parquet", parquet(pa.table({"a": [1]})))
    lake.put("t/b.tmp", b"half written")
    lake.put("t/old/c.parquet", parquet(pa.table({"z": [1]})))
    lake.crawl(lake.create("t/", exclusions=["*.{tmp,bak}", "old/**"]))
    assert lake.columns("t") == {"a": "bigint"}
    assert lake.tables()["t"]["Parameters"]["objectCount"] == "1"


def test_the_name_of_another_table_is_not_taken(lake: Lake) -> None:
    elsewhere = {"Columns": [{"Name": "mine", "Type": "string"}], "Location": "s3://elsewhere/t/"}
    lake.glue.create_table(DatabaseName=lake.name, TableInput={"Name": "t", "StorageDescriptor": elsewhere})
    lake.put("t/a.parquet", parquet(pa.table({"a": [1]})))
    lake.crawl(lake.create("t/"))
    assert lake.columns("t") == {"mine": "string"}
    assert len(lake.tables()) == 2


@pytest.mark.parametrize(
    ("behaviour", "left"),
    [("LOG", "unchanged"), ("DEPRECATE_IN_DATABASE", "deprecated"), ("DELETE_FROM_DATABASE", "deleted")],
)
def test_delete_behaviour(lake: Lake, behaviour: str, left: str) -> None:
    policy = {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": behaviour}
    crawler = lake.create("a/", "b/", SchemaChangePolicy=policy)
    for key in ("a/p=1/x.parquet", "a/p=2/x.parquet", "b/x.parquet"):
        lake.put(key, parquet(pa.table({"v": [1]})))
    lake.crawl(crawler)
    lake.remove("a/p=1/x.parquet")
    lake.remove("b/x.parquet")
    assert lake.crawl(crawler)["Status"] == "SUCCEEDED"
    assert ("b" in lake.tables()) == (left != "deleted")
    if left != "deleted":
        assert ("DEPRECATED_BY_CRAWLER" in lake.tables()["b"]["Parameters"]) == (left == "deprecated")
    assert lake.partitions("a") == ([["2"]] if left == "deleted" else [["1"], ["2"]])


def test_update_behaviour_log_leaves_the_schema(lake: Lake) -> None:
    crawler = lake.create("t/", SchemaChangePolicy={"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"})
    lake.put("t/p=1/x.parquet", parquet(pa.table({"a": [1]})))
    lake.crawl(crawler)
    lake.put("t/p=2/x.parquet", parquet(pa.table({"a": [1], "b": [1]})))
    lake.crawl(crawler)
    assert lake.columns("t") == {"a": "bigint"}
    assert lake.partitions("t") == [["1"], ["2"]]


def test_new_folders_only(lake: Lake) -> None:
    new_only = {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"}
    with pytest.raises(ClientError, match="can have only LOG"):
        lake.create("t/", RecrawlPolicy=new_only)
    policy = {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
    crawler = lake.create("t/", RecrawlPolicy=new_only, SchemaChangePolicy=policy)
    lake.put("t/p=1/x.parquet", parquet(pa.table({"a": [1]})))
    lake.crawl(crawler)
    # Not looked at again, or it would fail the crawl.
    lake.put("t/p=1/y.parquet", b"broken PAR1")
    lake.put("t/p=2/x.parquet", parquet(pa.table({"a": [1]})))
    assert lake.crawl(crawler)["Status"] == "SUCCEEDED"
    assert lake.partitions("t") == [["1"], ["2"]]


NEW_FOLDERS = {
    "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"},
    "SchemaChangePolicy": {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"},
}


def test_an_incremental_crawl_adds_no_table_and_no_partition_that_differs_from_its_table(lake: Lake) -> None:
    crawler = lake.create("runs/", "others/", **NEW_FOLDERS)
    lake.put("runs/p=1/x.parquet", parquet(pa.table({"a": [1]})))
    assert lake.crawl(crawler)["Status"] == "SUCCEEDED"
    lake.put("runs/p=2/x.parquet", parquet(pa.table({"a": [1], "b": ["x"]})))
    lake.put("runs/p=3/x.parquet", parquet(pa.table({"a": [1]})))
    lake.put("others/p=1/x.parquet", parquet(pa.table({"a": [1]})))
    assert lake.crawl(crawler)["Status"] == "SUCCEEDED"
    assert lake.tables().keys() == {"runs"}
    assert lake.columns("runs") == {"a": "bigint"}
    assert lake.partitions("runs") == [["1"], ["3"]]


def test_an_incremental_crawl_follows_a_table_whose_columns_were_changed(lake: Lake) -> None:
    crawler = lake.create("runs/", **NEW_FOLDERS)
    lake.put("runs/p=1/x.parquet", parquet(pa.table({"a": pa.array([1], pa.int32())})))
    lake.crawl(crawler)
    table = lake.tables()["runs"]
    columns = [{"Name": "a", "Type": "bigint"}, {"Name": "b", "Type": "string"}]
    kept = {part: table[part] for part in ("Name", "Owner", "TableType", "PartitionKeys", "Parameters")}
    changed = {**kept, "StorageDescriptor": {**table["StorageDescriptor"], "Columns": columns}}
    lake.glue.update_table(DatabaseName=lake.name, TableInput=changed)
    lake.put("runs/p=2/x.parquet", parquet(pa.table({"b": ["x"], "a": [1]})))
    lake.crawl(crawler)
    found = lake.glue.get_partitions(DatabaseName=lake.name, TableName="runs")["Partitions"]
    types = {
        one["Values"][0]: {column["Name"]: column["Type"] for column in one["StorageDescriptor"]["Columns"]}
        for one in found
    }
    assert types == {"1": {"a": "int"}, "2": {"a": "bigint", "b": "string"}}
    assert lake.columns("runs") == {"a": "bigint", "b": "string"}


def test_what_an_incremental_crawl_has_seen_comes_back_by_a_full_one_only(lake: Lake) -> None:
    crawler = lake.create("runs/", **NEW_FOLDERS)
    lake.put("runs/p=1/x.parquet", parquet(pa.table({"a": [1]})))
    lake.crawl(crawler)
    lake.glue.delete_table(DatabaseName=lake.name, Name="runs")
    lake.crawl(crawler)
    assert lake.tables() == {}
    lake.glue.update_crawler(Name=crawler, RecrawlPolicy={"RecrawlBehavior": "CRAWL_EVERYTHING"})
    lake.crawl(crawler)
    assert lake.partitions("runs") == [["1"]]
    lake.glue.update_crawler(Name=crawler, RecrawlPolicy=NEW_FOLDERS["RecrawlPolicy"])
    with pytest.raises(ClientError, match="cannot be changed"):
        lake.glue.update_crawler(Name=crawler, Targets={"S3Targets": [{"Path": f"s3://{lake.name}/else/"}]})


def test_what_the_role_may_not_do_fails_the_crawl(lake: Lake, grant: Callable[..., str]) -> None:
    lake.put("t/x.parquet", parquet(pa.table({"a": [1]})))
    ec2_trust = json.loads(json.dumps(GLUE_TRUST).replace("glue.", "ec2."))
    for role, reason in {
        grant("s3:GetObject", "glue:*"): "s3:ListBucket",
        grant("s3:ListBucket", "glue:*"): "s3:GetObject",
        grant("s3:*", "glue:Get*"): "glue:CreateTable",
        grant("s3:*", "glue:*", trust=ec2_trust): "TrustPolicy",
    }.items():
        last = lake.crawl(lake.create("t/", Role=role))
        assert (last["Status"], reason in last["ErrorMessage"]) == ("FAILED", True), last
    assert lake.tables() == {}


def test_a_broken_file_or_a_missing_bucket_fails_the_crawl(lake: Lake) -> None:
    lake.put("t/x.parquet", b"not really \x00PAR1")
    last = lake.crawl(lake.create("t/"))
    assert last["Status"] == "FAILED"
    assert "t/x.parquet cannot be read" in last["ErrorMessage"]
    crawler = lake.create("t/")
    lake.glue.update_crawler(Name=crawler, Targets={"S3Targets": [{"Path": "s3://no-such-bucket/t/"}]})
    assert "bucket does not exist" in lake.crawl(crawler)["ErrorMessage"]


def test_a_running_crawler_refuses_and_can_be_stopped(make_localaws: Any) -> None:
    server = make_localaws(LOCALAWS_CRAWL_SECONDS="30")
    iam, glue = server.client("iam"), server.client("glue")
    role = iam.create_role(RoleName="crawler", AssumeRolePolicyDocument=json.dumps(GLUE_TRUST))["Role"]["Arn"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="crawler", PolicyName="all", PolicyDocument=json.dumps(everything))
    server.client("s3").create_bucket(Bucket="bucket")
    glue.create_database(DatabaseInput={"Name": "db"})
    targets = {"S3Targets": [{"Path": "s3://bucket/t/"}]}
    glue.create_crawler(Name="slow", Role=role, DatabaseName="db", Targets=targets)

    with pytest.raises(glue.exceptions.CrawlerNotRunningException):
        glue.stop_crawler(Name="slow")
    glue.start_crawler(Name="slow")
    with pytest.raises(glue.exceptions.CrawlerRunningException, match="has already started"):
        glue.start_crawler(Name="slow")
    with pytest.raises(glue.exceptions.CrawlerRunningException):
        glue.update_crawler(Name="slow", Description="x")
    with pytest.raises(glue.exceptions.CrawlerRunningException):
        glue.delete_crawler(Name="slow")
    glue.stop_crawler(Name="slow")
    eventually(lambda: glue.get_crawler(Name="slow")["Crawler"]["State"] == "READY")
    assert glue.get_crawler(Name="slow")["Crawler"]["LastCrawl"]["Status"] == "CANCELLED"

    # A crash while it runs leaves a crawler that starts again.
    glue.start_crawler(Name="slow")
    eventually(lambda: '"RUNNING"' in server.saved("glue") and role in server.saved("iam"))
    server.kill()
    server.start()
    after = server.client("glue").get_crawler(Name="slow")["Crawler"]
    assert (after["State"], after["LastCrawl"]["Status"]) == ("READY", "FAILED")
    server.client("glue").start_crawler(Name="slow")


def test_what_it_cannot_do_is_refused(lake: Lake) -> None:
    for settings, word in (
        ({"Classifiers": ["mine"]}, "Classifiers"),
        ({"Schedule": "cron(0 1 * * ? *)"}, "Schedule"),
        ({"Configuration": '{"Version": 1.0, "Surprise": {}}'}, "Surprise"),
        ({"Configuration": "{"}, "malformed"),
        ({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVENT_MODE"}}, "CRAWL_EVENT_MODE"),
    ):
        with pytest.raises(ClientError, match=word):
            lake.create("t/", **settings)
    with pytest.raises(ClientError, match="JdbcTargets"):
        lake.glue.create_crawler(
            Name="jdbc", Role=lake.role, DatabaseName=lake.name, Targets={"JdbcTargets": [{"Path": "db/x"}]}
        )
    with pytest.raises(lake.glue.exceptions.EntityNotFoundException):
        lake.glue.start_crawler(Name="no-such-crawler")


def test_crawls_are_logged(lake: Lake, aws: Callable[..., Any]) -> None:
    lake.put("t/x.parquet", parquet(pa.table({"a": [1]})))
    crawler = lake.create("t/")
    last = lake.crawl(crawler)
    events = aws("logs").get_log_events(logGroupName=last["LogGroup"], logStreamName=last["LogStream"])["events"]
    assert [last["MessagePrefix"] in event["message"] for event in events] == [True] * len(events)
    assert "READY" in events[-1]["message"]


# ── Partitions ────────────────────────────────────────────────────────────────


@pytest.fixture
def days(lake: Lake) -> Lake:
    """A table `days` with partitions ds (string), hour (int) and day (date)."""
    keys = [("ds", "string"), ("hour", "int"), ("day", "date")]
    lake.glue.create_table(
        DatabaseName=lake.name,
        TableInput={"Name": "days", "PartitionKeys": [{"Name": name, "Type": kind} for name, kind in keys]},
    )
    values = [[f"2025-06-0{day}", str(hour), f"2025-06-0{day}"] for day in range(1, 6) for hour in (9, 10)]
    descriptor = {"Columns": [{"Name": "a", "Type": "string"}], "Location": "s3://x/"}
    answer = lake.glue.batch_create_partition(
        DatabaseName=lake.name,
        TableName="days",
        PartitionInputList=[{"Values": one, "StorageDescriptor": descriptor} for one in values],
    )
    assert answer["Errors"] == []
    return lake


@pytest.mark.parametrize(
    ("expression", "count"),
    [
        ("ds = '2025-06-01'", 2),
        ("ds <> '2025-06-01'", 8),
        ("ds != '2025-06-01' AND hour < 10", 4),
        ("hour >= 10", 5),
        ("hour = 9", 5),
        ("'2025-06-04' <= ds", 4),
        ("day > '2025-06-03' and day <= '2025-06-04'", 2),
        ("ds BETWEEN '2025-06-02' AND '2025-06-03'", 4),
        ("ds NOT BETWEEN '2025-06-02' AND '2025-06-03'", 6),
        ("ds IN ('2025-06-01', '2025-06-05', 'never')", 4),
        ("hour NOT IN (9)", 5),
        ("ds LIKE '%-03'", 2),
        ("ds NOT LIKE '2025-06-0_'", 0),
        ("NOT (ds = '2025-06-01' OR (ds = '2025-06-02' AND hour = 9))", 7),
        ("DS = '2025-06-01'", 2),
        ("", 10),
    ],
)
def test_expressions(days: Lake, expression: str, count: int) -> None:
    assert len(days.partitions("days", Expression=expression)) == count


@pytest.mark.parametrize(
    "expression", ["ds =", "other = 'x'", "upper(ds) = 'X'", "hour = 'nine'", "1 = 1", "ds = hour"]
)
def test_expressions_that_are_refused(days: Lake, expression: str) -> None:
    with pytest.raises(days.glue.exceptions.InvalidInputException):
        days.partitions("days", Expression=expression)


def test_pages_and_segments(days: Lake) -> None:
    where = {"DatabaseName": days.name, "TableName": "days"}
    first = days.glue.get_partitions(**where, MaxResults=4)
    assert len(first["Partitions"]) == 4
    assert len(days.partitions("days", PaginationConfig={"PageSize": 3})) == 10
    halves = [days.partitions("days", Segment={"SegmentNumber": number, "TotalSegments": 2}) for number in (0, 1)]
    assert sorted(halves[0] + halves[1]) == days.partitions("days")
    bare = days.glue.get_partitions(**where, ExcludeColumnSchema=True)["Partitions"][0]
    assert "Columns" not in bare["StorageDescriptor"]


def test_partitions_are_created_updated_and_deleted_once(days: Lake) -> None:
    glue, where = days.glue, {"DatabaseName": days.name, "TableName": "days"}
    values = ["2025-06-01", "9", "2025-06-01"]
    moved = {"Values": values, "StorageDescriptor": {"Columns": [], "Location": "s3://x/other/"}}
    glue.update_partition(**where, PartitionValueList=values, PartitionInput=moved)
    found = glue.get_partition(**where, PartitionValues=values)["Partition"]
    assert found["StorageDescriptor"]["Location"] == "s3://x/other/"
    with pytest.raises(glue.exceptions.AlreadyExistsException):
        glue.create_partition(**where, PartitionInput=moved)
    with pytest.raises(glue.exceptions.InvalidInputException):
        glue.create_partition(**where, PartitionInput={"Values": ["too few"]})
    glue.delete_partition(**where, PartitionValues=values)
    for again in (
        lambda: glue.delete_partition(**where, PartitionValues=values),
        lambda: glue.get_partition(**where, PartitionValues=values),
        lambda: glue.update_partition(**where, PartitionValueList=values, PartitionInput=moved),
        lambda: glue.get_partitions(DatabaseName=days.name, TableName="none"),
        lambda: glue.create_partition(DatabaseName=days.name, TableName="none", PartitionInput=moved),
    ):
        with pytest.raises(glue.exceptions.EntityNotFoundException):
            again()
    others = [{"Values": one} for one in (values, ["2025-06-02", "9", "2025-06-02"])]
    errors = glue.batch_delete_partition(**where, PartitionsToDelete=others)["Errors"]
    assert [error["PartitionValues"] for error in errors] == [values]
    assert len(days.partitions("days")) == 8
