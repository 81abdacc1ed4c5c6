"""The credentials of an instance: those of the role in its instance profile, as EC2 would vend them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import iam, sts

REGISTRATION_ACTION = "ssm:UpdateInstanceInformation"
"""What a role must allow for the SSM agent to register its instance (it is in AmazonSSMManagedInstanceCore)."""


@dataclass(frozen=True)
class Credentials:
    """Temporary credentials of a role."""

    access_key: str
    secret_key: str
    token: str

    def as_environment(self) -> dict[str, str]:
        """The variables by which AWS clients find them."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": self.token,
        }


def trusts(role: dict[str, Any], service: str) -> bool:
    """Whether a role's trust policy lets a service assume it.

    Args:
        role: the role's record.
        service: the service's principal, such as ``ec2.amazonaws.com``.
    """
    document = role["AssumeRolePolicyDocument"]
    if isinstance(document, str):
        document = json.loads(document)
    statements = document.get("Statement", [])
    return any(
        statement.get("Effect") == "Allow"
        and iam_evaluator._service_principal_matches(statement.get("Principal"), service)
        for statement in ([statements] if isinstance(statements, dict) else statements)
    )


def role_of(instance: dict[str, Any]) -> dict[str, Any] | None:
    """The role in an instance's profile, when it has one that EC2 may assume."""
    profile = iam._lookup_instance_profile(arn=(instance.get("IamInstanceProfile") or {}).get("Arn", ""))
    for name in profile["Roles"] if profile else ():
        role = iam._roles.get(name)
        if role and trusts(role, "ec2.amazonaws.com"):
            return role
    return None


def assume(role: dict[str, Any], session_name: str, seconds: float) -> Credentials:
    """Temporary credentials of a role, for a service that acts in its name.

    Args:
        role: the role's record; whether it trusts the service is for the caller to check.
        session_name: how the session shows in ARNs.
        seconds: how long they are valid.
    """
    made = Credentials(iam._gen_session_access_key(), iam._gen_secret(), iam._gen_session_token())
    sts.register_session(
        made.access_key,
        {
            "Arn": f"arn:aws:sts::{get_account_id()}:assumed-role/{role['RoleName']}/{session_name}",
            "UserId": f"{role['RoleId']}:{session_name}",
            "SecretAccessKey": made.secret_key,
            "SessionToken": made.token,
            "Expiration": time.time() + seconds,
            "AccountId": get_account_id(),
            "PrincipalType": "AssumedRole",
        },
    )
    return made


def credentials(instance: dict[str, Any], seconds: float) -> Credentials | None:
    """Temporary credentials of an instance's role, or None when it has no role.

    Args:
        instance: the instance's record.
        seconds: how long they are valid. On EC2 they rotate; a process here gets them once, so for all of its time.
    """
    role = role_of(instance)
    return None if role is None else assume(role, instance["InstanceId"], seconds)


def may_register(instance: dict[str, Any]) -> bool:
    """Whether an instance's role lets its SSM agent register, without which AWS does not know it as managed."""
    role = role_of(instance)
    if role is None:
        return False
    context = iam_evaluator.EvalContext(
        principal_arn=role["Arn"],
        principal_type="AssumedRole",
        principal_account=get_account_id(),
        action=REGISTRATION_ACTION,
        resource_arn=f"arn:aws:ec2:{get_region()}:{get_account_id()}:instance/{instance['InstanceId']}",
        region=get_region(),
    )
    policies = iam_evaluator._gather_role_policies(role["RoleName"], get_account_id())
    boundary = iam_evaluator._permissions_boundary(iam._roles, role["RoleName"], get_account_id())
    return iam_evaluator.evaluate(context, policies, *boundary).decision == "Allow"
