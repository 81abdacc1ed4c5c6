"""The server as a whole: who is root, what IAM asks, what storage keeps, what is refused."""

import json
import uuid
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from botocore.exceptions import ClientError

TRUST_ACCOUNT = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture
def assume(localaws):
    """`assume(statement, …)` is a client factory with a role that has these policy statements only."""

    def make(*statements):
        name = f"role-{uuid.uuid4().hex[:8]}"
        iam = localaws.client("iam")
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST_ACCOUNT))["Role"]["Arn"]
        policy = {"Version": "2012-10-17", "Statement": list(statements)}
        iam.put_role_policy(RoleName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
        made = localaws.client("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
        return lambda service: localaws.client(
            service,
            aws_access_key_id=made["AccessKeyId"],
            aws_secret_access_key=made["SecretAccessKey"],
            aws_session_token=made["SessionToken"],
        )

    return make


@pytest.fixture
def bucket(aws):
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    aws("s3").create_bucket(Bucket=name)
    return name


def allow(*actions, resource="*", **more):
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **more}


def refusal(call, **arguments):
    """The error code of a call that must be refused."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


def test_test_is_root_and_other_keys_are_nobody(aws, localaws, bucket):
    assert aws("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    assert refusal(localaws.client("s3", aws_access_key_id="AKIANOBODY", aws_secret_access_key="x").list_buckets)
    with pytest.raises(HTTPError, match="403"):
        urlopen(f"{localaws.endpoint}/{bucket}", timeout=10)  # unsigned


def test_a_role_may_do_what_its_policy_says_and_no_more(assume, bucket):
    s3 = assume(allow("s3:PutObject", resource=f"arn:aws:s3:::{bucket}/in/*"))("s3")
    s3.put_object(Bucket=bucket, Key="in/a", Body=b"")
    assert refusal(s3.put_object, Bucket=bucket, Key="out/a", Body=b"") == "AccessDenied"
    assert refusal(s3.get_object, Bucket=bucket, Key="in/a") == "AccessDenied"


def test_signatures_of_roles_are_checked(aws, localaws):
    iam = aws("iam")
    arn = iam.create_role(RoleName="signs", AssumeRolePolicyDocument=json.dumps(TRUST_ACCOUNT))["Role"]["Arn"]
    made = aws("sts").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
    forged = localaws.client(
        "sts",
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key="guessed",
        aws_session_token=made["SessionToken"],
    )
    assert refusal(forged.get_caller_identity) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("service", "call"), [("redshift", "describe_clusters"), ("dlm", "get_lifecycle_policies"), ("emr", "list_studios")]
)
def test_what_is_not_here_says_so(aws, service, call):
    with pytest.raises(ClientError) as refused:
        getattr(aws(service), call)()
    error = refused.value.response["Error"]
    assert error["Code"] in ("UnsupportedOperation", "InvalidAction")
    assert error["Message"]


def test_ec2_is_checked_on_the_resources_it_names(assume, aws, make_worker, localaws):
    worker = make_worker(localaws)
    other = make_worker(localaws)
    base = "arn:aws:ec2:us-east-1"
    ec2 = assume(
        allow("ec2:Describe*"),
        allow("ec2:StartInstances", "ec2:StopInstances", resource=f"{base}:*:instance/{worker.instance_id}"),
        allow("ec2:CreateSnapshot", resource=f"{base}:*:volume/{worker.volume_id}"),
        allow(
            "ec2:CreateSnapshot",
            resource=f"{base}::snapshot/*",
            Condition={"StringEquals": {"aws:RequestTag/dataset": "orders"}},
        ),
        allow(
            "ec2:CreateTags",
            resource=f"{base}::snapshot/*",
            Condition={"StringEquals": {"ec2:CreateAction": "CreateSnapshot"}},
        ),
        allow(
            "ec2:DeleteSnapshot",
            resource=f"{base}::snapshot/*",
            Condition={"StringEquals": {"aws:ResourceTag/dataset": "orders"}},
        ),
    )("ec2")
    assert ec2.describe_instances(InstanceIds=[worker.instance_id])["Reservations"]
    ec2.start_instances(InstanceIds=[worker.instance_id])
    assert refusal(ec2.start_instances, InstanceIds=[other.instance_id]) == "UnauthorizedOperation"
    both = [worker.instance_id, other.instance_id]
    assert refusal(ec2.start_instances, InstanceIds=both) == "UnauthorizedOperation"
    assert refusal(ec2.terminate_instances, InstanceIds=[worker.instance_id]) == "UnauthorizedOperation"

    tagged = [{"ResourceType": "snapshot", "Tags": [{"Key": "dataset", "Value": "orders"}]}]
    snapshot = ec2.create_snapshot(VolumeId=worker.volume_id, TagSpecifications=tagged)["SnapshotId"]
    assert refusal(ec2.create_snapshot, VolumeId=worker.volume_id) == "UnauthorizedOperation"
    assert refusal(ec2.create_snapshot, VolumeId=other.volume_id, TagSpecifications=tagged) == "UnauthorizedOperation"
    assert refusal(ec2.create_tags, Resources=[snapshot], Tags=[{"Key": "a", "Value": "b"}]) == "UnauthorizedOperation"
    somebody_elses = aws("ec2").create_snapshot(VolumeId=worker.volume_id)["SnapshotId"]
    assert refusal(ec2.delete_snapshot, SnapshotId=somebody_elses) == "UnauthorizedOperation"
    ec2.delete_snapshot(SnapshotId=snapshot)


def test_a_command_is_checked_on_its_document_and_its_instance(assume, make_worker, localaws):
    worker, other = make_worker(localaws), make_worker(localaws)
    worker.wait_online()
    other.wait_online()
    instance = f"arn:aws:ec2:us-east-1:*:instance/{worker.instance_id}"
    document = "arn:aws:ssm:us-east-1::document/AWS-RunShellScript"
    request = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
    ssm = assume(allow("ssm:SendCommand", resource=[instance, document]))("ssm")
    ssm.send_command(InstanceIds=[worker.instance_id], **request)
    assert refusal(ssm.send_command, InstanceIds=[other.instance_id], **request) == "AccessDeniedException"
    for half in (instance, document):
        ssm = assume(allow("ssm:SendCommand", resource=half))("ssm")
        assert refusal(ssm.send_command, InstanceIds=[worker.instance_id], **request) == "AccessDeniedException"
    assert refusal(ssm.list_commands) == "AccessDeniedException"


def test_glue_athena_and_logs_are_checked_on_the_resources_they_name(assume, aws):
    glue, logs = aws("glue"), aws("logs")
    for name in ("mine", "other"):
        glue.create_database(DatabaseInput={"Name": name})
        glue.create_table(DatabaseName=name, TableInput={"Name": "table"})
        logs.create_log_group(logGroupName=f"/checked/{name}")
        aws("athena").create_work_group(Name=name)
    aws("s3").create_bucket(Bucket="checked-results")
    base = "arn:aws:glue:us-east-1:000000000000"
    role = assume(
        allow("glue:*", resource=[f"{base}:catalog", f"{base}:database/mine", f"{base}:table/mine/*"]),
        allow("glue:StartCrawler", resource=f"{base}:crawler/mine"),
        allow("athena:StartQueryExecution", resource="arn:aws:athena:us-east-1:000000000000:workgroup/mine"),
        allow("s3:GetBucketLocation", resource="arn:aws:s3:::checked-results"),
        allow("logs:*", resource="arn:aws:logs:us-east-1:000000000000:log-group:/checked/mine:*"),
    )
    glue, athena, logs = role("glue"), role("athena"), role("logs")
    assert glue.get_table(DatabaseName="mine", Name="table")
    assert glue.get_partitions(DatabaseName="mine", TableName="table")["Partitions"] == []
    assert refusal(glue.get_table, DatabaseName="other", Name="table") == "AccessDeniedException"
    assert refusal(glue.delete_database, Name="other") == "AccessDeniedException"
    assert refusal(glue.start_crawler, Name="mine") == "EntityNotFoundException"
    assert refusal(glue.start_crawler, Name="other") == "AccessDeniedException"
    started = athena.start_query_execution(
        QueryString="select 1", WorkGroup="mine", ResultConfiguration={"OutputLocation": "s3://checked-results/"}
    )
    assert refusal(athena.get_query_execution, QueryExecutionId=started["QueryExecutionId"]) == "AccessDeniedException"
    assert refusal(athena.start_query_execution, QueryString="x", WorkGroup="other") == "AccessDeniedException"
    logs.create_log_stream(logGroupName="/checked/mine", logStreamName="s")
    assert refusal(logs.create_log_stream, logGroupName="/checked/other", logStreamName="s") == "AccessDeniedException"


def test_a_bucket_policy_that_demands_tls_holds_over_loopback(aws, bucket):
    """The endpoint speaks plain http, and the template's policy may not differ from the one on AWS."""
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    s3 = aws("s3")
    insecure = [deny | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": insecure}))
    s3.put_object(Bucket=bucket, Key="k", Body=b"secure enough")


def test_a_bucket_policy_is_enforced_on_roles(assume, aws, bucket):
    role = assume(allow("s3:*"))
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "true"}},
    }
    role("s3").put_object(Bucket=bucket, Key="k", Body=b"")
    aws("s3").put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert refusal(role("s3").put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied"


def test_conditional_writes(aws, bucket):
    s3 = aws("s3")
    first = s3.put_object(Bucket=bucket, Key="lease", Body=b"1", IfNoneMatch="*")["ETag"]
    assert refusal(s3.put_object, Bucket=bucket, Key="lease", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    second = s3.put_object(Bucket=bucket, Key="lease", Body=b"3", IfMatch=first)["ETag"]
    assert refusal(s3.put_object, Bucket=bucket, Key="lease", Body=b"4", IfMatch=first) == "PreconditionFailed"
    assert refusal(s3.delete_object, Bucket=bucket, Key="lease", IfMatch=first) == "PreconditionFailed"
    assert s3.get_object(Bucket=bucket, Key="lease", IfMatch=second)["Body"].read() == b"3"
    s3.delete_object(Bucket=bucket, Key="lease", IfMatch=second)
    assert refusal(s3.put_object, Bucket=bucket, Key="lease", Body=b"5", IfMatch=second) in (
        "NoSuchKey",
        "PreconditionFailed",
    )


def test_conditional_copies(aws, bucket):
    s3 = aws("s3")
    for key in ("source", "other"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    source, where = {"Bucket": bucket, "Key": "source"}, {"Bucket": bucket, "Key": "copy"}
    assert refusal(s3.copy_object, **where, CopySource=source, IfMatch='"absent"') == "NoSuchKey"
    copied = s3.copy_object(**where, CopySource=source, IfNoneMatch="*")["CopyObjectResult"]["ETag"]
    other = {"Bucket": bucket, "Key": "other"}
    assert refusal(s3.copy_object, **where, CopySource=other, IfNoneMatch="*") == "PreconditionFailed"
    assert s3.get_object(**where)["Body"].read() == b"source"
    s3.copy_object(**where, CopySource=other, IfMatch=copied)
    assert refusal(s3.copy_object, **where, CopySource=source, IfMatch=copied) == "PreconditionFailed"
    upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    part = s3.upload_part_copy(**upload, PartNumber=1, CopySource=source)["CopyPartResult"]["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    assert refusal(s3.complete_multipart_upload, **upload, MultipartUpload=parts, IfNoneMatch="*") == (
        "PreconditionFailed"
    )
    assert s3.get_object(**where)["Body"].read() == b"other"
    # Where it was deleted there is nothing to overwrite.
    s3.delete_object(**where)
    assert s3.copy_object(**where, CopySource=source, IfNoneMatch="*")


def test_versions_encryption_and_public_access_block(aws, bucket):
    s3 = aws("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    s3.delete_object(Bucket=bucket, Key="k")
    assert refusal(s3.get_object, Bucket=bucket, Key="k") == "NoSuchKey"
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=first)["Body"].read() == b"1"
    told = s3.put_object(Bucket=bucket, Key="d", Body=b""), s3.head_object(Bucket=bucket, Key="d")
    assert [answer["ServerSideEncryption"] for answer in told] == ["AES256"] * 2, "of a bucket that asks for nothing"
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert s3.put_object(Bucket=bucket, Key="e", Body=b"")["ServerSideEncryption"] == "AES256"
    every = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=every)
    public = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [public]})
    assert refusal(s3.put_bucket_policy, Bucket=bucket, Policy=policy) == "AccessDenied"
