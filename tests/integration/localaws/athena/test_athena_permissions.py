"""Athena acts with its caller's permissions: on results, on each file it reads, on what it writes, on Glue."""

from __future__ import annotations

import json
import uuid

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def lake(athena):
    """Two tables: one of published data, one that points at staging."""
    for name, place in (("published", "published/"), ("staged", "_staging/")):
        athena.external_table(name, {"a": "bigint"}, {}, Location=athena.uri(place))
        athena.put_parquet(f"{place}a.parquet", pa.table({"a": [1]}))
    return athena


@pytest.fixture
def caller(aws, localaws, lake):
    """`caller(statements)` is an Athena in the name of a new role with those policy statements."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }

    def make(*statements):
        name = f"caller-{uuid.uuid4().hex[:8]}"
        role = aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]
        document = {"Version": "2012-10-17", "Statement": list(statements)}
        aws("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(document))
        session = aws("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="someone")["Credentials"]
        credentials = {
            "aws_access_key_id": session["AccessKeyId"], "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        }  # fmt: skip
        return type(lake)(lambda service: localaws.client(service, **credentials), lake.database, lake.bucket)

    return make


def allow(actions, *resources, **condition):
    statement = {"Effect": "Allow", "Action": actions, "Resource": list(resources) or "*"}
    return {**statement, "Condition": condition} if condition else statement


def analyst(lake, *more):
    """What an analyst of published data may do."""
    bucket = f"arn:aws:s3:::{lake.bucket}"
    return [
        allow("athena:*"),
        allow(["glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables", "glue:GetPartitions"]),
        allow("s3:GetBucketLocation", bucket),
        allow(["s3:GetObject", "s3:PutObject"], f"{bucket}/results/*"),
        allow("s3:ListBucket", bucket, StringLike={"s3:prefix": ["published/*", "results/*"]}),
        allow("s3:GetObject", f"{bucket}/published/*"),
        *more,
    ]


def test_an_analyst_reads_what_is_published_and_not_what_is_staged(lake, caller):
    someone = caller(*analyst(lake))
    assert someone.rows("SELECT a FROM published") == [["1"]]
    reason = someone.fails("SELECT a FROM staged")
    assert reason.startswith(f"PERMISSION_DENIED: Permission denied on S3 path: s3://{lake.bucket}/_staging/")
    assert "s3:ListBucket" in reason


def test_every_file_is_asked_for(lake, caller):
    bucket = f"arn:aws:s3:::{lake.bucket}"
    someone = caller(*analyst(lake, allow("s3:ListBucket", bucket)))
    reason = someone.fails("SELECT a FROM staged")
    assert f"s3://{lake.bucket}/_staging/a.parquet" in reason
    assert "is not authorized to perform: s3:GetObject" in reason
    denied = {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"{bucket}/published/*"}
    someone = caller(*analyst(lake, denied))
    assert "with an explicit deny" in someone.fails("SELECT a FROM published")


def test_a_view_does_not_lend_its_makers_permissions(lake, caller):
    lake.run("CREATE OR REPLACE VIEW window_on_staging AS SELECT a FROM staged")
    someone = caller(*analyst(lake))
    assert someone.fails("SELECT * FROM window_on_staging").startswith("PERMISSION_DENIED: ")


def test_bucket_policies_count_as_requests_over_tls(lake, caller):
    bucket = f"arn:aws:s3:::{lake.bucket}"
    only_tls = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [bucket, f"{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }  # fmt: skip
    lake.s3.put_bucket_policy(Bucket=lake.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [only_tls]}))
    try:
        assert caller(*analyst(lake)).rows("SELECT a FROM published") == [["1"]]
    finally:
        lake.s3.delete_bucket_policy(Bucket=lake.bucket)


def test_writing_needs_the_permission_to_write(lake, caller):
    someone = caller(*analyst(lake, allow("s3:ListBucket", f"arn:aws:s3:::{lake.bucket}")))
    reason = someone.fails(f"UNLOAD (SELECT 1 AS a) TO '{lake.uri('stolen/')}' WITH (format = 'PARQUET')")
    assert reason.startswith(f"PERMISSION_DENIED: Access denied when writing output to url: s3://{lake.bucket}/stolen/")
    assert lake.keys("stolen/") == []
    assert "glue:CreateTable" in someone.fails("CREATE TABLE mine AS SELECT 1 AS a")
    assert "glue:DeleteTable" in someone.fails("DROP TABLE published")
    assert "glue:UpdateTable" in someone.fails("CREATE OR REPLACE VIEW window_on_staging AS SELECT 1 AS a")


def test_glue_permissions_are_needed(lake, caller):
    bucket = f"arn:aws:s3:::{lake.bucket}"
    base = [allow("athena:*"), allow("s3:*", bucket, f"{bucket}/*")]
    reason = caller(*base, allow("glue:GetDatabase")).fails("SELECT a FROM published")
    assert "Insufficient permissions to execute the query" in reason
    assert "glue:GetTable" in reason
    catalog = allow("glue:GetDatabase", "arn:aws:glue:us-east-1:000000000000:catalog")
    assert "database/default" in caller(*base, catalog).fails("SELECT 1")


def test_results_can_be_read_by_those_who_may(lake, caller):
    query_id = lake.run("SELECT 1 AS secret").execution["QueryExecutionId"]
    bucket = f"arn:aws:s3:::{lake.bucket}"
    blind = caller(allow("athena:*"), allow("s3:GetBucketLocation", bucket))
    with pytest.raises(ClientError, match="Access denied when reading query result"):
        blind.api.get_query_results(QueryExecutionId=query_id)
    assert blind.fails("SELECT 1").startswith("PERMISSION_DENIED: ")


def test_a_caller_who_cannot_see_the_results_bucket_is_refused_at_once(caller):
    with pytest.raises(ClientError, match="Unable to verify/create output bucket"):
        caller(allow("athena:*")).start("SELECT 1")
