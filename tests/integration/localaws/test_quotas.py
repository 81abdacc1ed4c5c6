"""How large policies and templates may be: AWS's limits, with AWS's codes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]

SERVICE = {"Service": "ec2.amazonaws.com"}


def policy(size: int) -> dict[str, Any]:
    """A policy of so many characters, white space aside."""

    def of(resource: str) -> dict[str, Any]:
        statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource}
        return {"Version": "2012-10-17", "Statement": [statement]}

    def length(document: dict[str, Any]) -> int:
        return len(json.dumps(document, separators=(",", ":")))

    prefix = "arn:aws:s3:::"
    return of(prefix + "x" * (size - length(of(prefix))))


def trust(size: int) -> dict[str, Any]:
    statement = {"Sid": "", "Effect": "Allow", "Principal": SERVICE, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    statement["Sid"] = "x" * (size - len(json.dumps(document, separators=(",", ":"))))
    return document


def spread(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=8)


def require_limit(message: str, operation: Callable[..., Any], **parameters: Any) -> None:
    with pytest.raises(ClientError, match=message) as refusal:
        operation(**parameters)
    response = refusal.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == ("LimitExceeded", 409)


@pytest.fixture
def role(aws: Client) -> Iterator[str]:
    name = f"role-{uuid.uuid4().hex[:8]}"
    aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust(200)))
    yield name
    for one in aws("iam").list_role_policies(RoleName=name)["PolicyNames"]:
        aws("iam").delete_role_policy(RoleName=name, PolicyName=one)
    aws("iam").delete_role(RoleName=name)


def test_a_managed_policy_has_6144_characters_without_white_space(aws: Client) -> None:
    iam, name, message = aws("iam"), f"policy-{uuid.uuid4().hex[:8]}", "Cannot exceed quota for PolicySize: 6144"
    require_limit(message, iam.create_policy, PolicyName=name, PolicyDocument=json.dumps(policy(6145)))
    made = iam.create_policy(PolicyName=name, PolicyDocument=spread(policy(6144)))["Policy"]["Arn"]
    require_limit(message, iam.create_policy_version, PolicyArn=made, PolicyDocument=json.dumps(policy(6145)))
    iam.create_policy_version(PolicyArn=made, PolicyDocument=json.dumps(policy(6144)))


def test_the_inline_policies_of_a_role_have_10240_characters_together(aws: Client, role: str) -> None:
    put = aws("iam").put_role_policy
    put(RoleName=role, PolicyName="one", PolicyDocument=spread(policy(5000)))
    put(RoleName=role, PolicyName="two", PolicyDocument=spread(policy(5240)))
    message = f"Maximum policy size of 10240 bytes exceeded for role {role}"
    require_limit(message, put, RoleName=role, PolicyName="three", PolicyDocument=json.dumps(policy(200)))
    require_limit(message, put, RoleName=role, PolicyName="two", PolicyDocument=json.dumps(policy(5241)))
    put(RoleName=role, PolicyName="two", PolicyDocument=json.dumps(policy(5239)))


def test_a_trust_policy_has_2048_characters(aws: Client, role: str) -> None:
    iam, message = aws("iam"), "Cannot exceed quota for ACLSizePerRole: 2048"
    large = json.dumps(trust(2049))
    require_limit(message, iam.create_role, RoleName="large", AssumeRolePolicyDocument=large)
    require_limit(message, iam.update_assume_role_policy, RoleName=role, PolicyDocument=large)
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=spread(trust(2048)))


@pytest.mark.parametrize(
    ("kind", "properties", "message"),
    [
        ("AWS::IAM::ManagedPolicy", {"PolicyDocument": policy(6145)}, "PolicySize: 6144"),
        ("AWS::IAM::Role", {"AssumeRolePolicyDocument": trust(2049)}, "ACLSizePerRole: 2048"),
        (
            "AWS::IAM::Role",
            {
                "AssumeRolePolicyDocument": trust(200),
                "Policies": [{"PolicyName": name, "PolicyDocument": policy(5121)} for name in ("one", "two")],
            },
            "10240 bytes exceeded for role",
        ),
    ],
)
def test_a_stack_with_a_larger_one_fails(aws: Client, kind: str, properties: dict[str, Any], message: str) -> None:
    cloudformation, name = aws("cloudformation"), f"stack-{uuid.uuid4().hex[:8]}"
    template = {"Resources": {"It": {"Type": kind, "Properties": properties}}}
    body = {"TemplateBody": json.dumps(template), "Capabilities": ["CAPABILITY_IAM"]}
    cloudformation.create_stack(StackName=name, **body)
    with pytest.raises(Exception, match="ROLLBACK_COMPLETE"):
        cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.1})
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    assert any(message in one.get("ResourceStatusReason", "") for one in events)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ({"Description": "x" * 51_200}, "less than or equal to 51200"),
        ({"Parameters": {f"P{n}": {"Type": "String", "Default": ""} for n in range(201)}}, "201, is greater than"),
        ({"Resources": {f"T{n}": {"Type": "AWS::SNS::Topic"} for n in range(501)}}, "501, is greater than"),
    ],
)
def test_a_change_set_takes_no_larger_template(aws: Client, template: dict[str, Any], message: str) -> None:
    whole = {"Resources": {"It": {"Type": "AWS::SNS::Topic"}}, **template}
    with pytest.raises(ClientError, match=message) as refusal:
        aws("cloudformation").create_change_set(
            StackName="large", ChangeSetName="x", ChangeSetType="CREATE", TemplateBody=json.dumps(whole)
        )
    assert refusal.value.response["Error"]["Code"] == "ValidationError"
