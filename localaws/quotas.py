"""How large IAM's policies may be, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ministack.services import iam
from ministack.services.cloudformation import provisioners

from localaws.overlay import register, replace

MANAGED = 6144
TRUST = 2048
INLINE = {"role": 10_240, "user": 2048, "group": 5120}
"""Of all inline policies of one principal together."""


def characters(document: Any) -> int:
    """The size of a policy as IAM counts it, without white space."""
    return len(re.sub(r"\s", "", document if isinstance(document, str) else json.dumps(document)))


def managed_problem(document: Any) -> str | None:
    """Why a document is too large for a managed policy, or None."""
    return f"Cannot exceed quota for PolicySize: {MANAGED}" if characters(document) > MANAGED else None


def trust_problem(document: Any) -> str | None:
    """Why a document is too large for a role's trust policy, or None."""
    return f"Cannot exceed quota for ACLSizePerRole: {TRUST}" if characters(document) > TRUST else None


def inline_problem(kind: str, name: str, documents: dict[str, Any]) -> str | None:
    """Why the inline policies of a role, user or group are too large together, or None."""
    if sum(map(characters, documents.values())) <= INLINE[kind]:
        return None
    return f"Maximum policy size of {INLINE[kind]} bytes exceeded for {kind} {name}"


def _inline_of(kind: str, name: str) -> dict[str, Any]:
    if kind == "role":
        return dict(iam._roles.get(name, {}).get("InlinePolicies", {}))
    return dict((iam._user_inline_policies if kind == "user" else iam._group_inline_policies).get(name, {}))


Parameters = dict[str, Any]


def put_problem(kind: str) -> Callable[[Parameters], str | None]:
    """What is wrong with a request that puts an inline policy on a role, user or group."""

    def problem(request: Parameters) -> str | None:
        name = iam._p(request, f"{kind.capitalize()}Name")
        documents = _inline_of(kind, name)
        documents[iam._p(request, "PolicyName")] = iam._p(request, "PolicyDocument")
        return inline_problem(kind, name, documents)

    return problem


ACTIONS: dict[str, tuple[str, Callable[[Parameters], str | None]]] = {
    "CreatePolicy": ("_create_policy", lambda request: managed_problem(iam._p(request, "PolicyDocument"))),
    "CreatePolicyVersion": (
        "_create_policy_version",
        lambda request: managed_problem(iam._p(request, "PolicyDocument")),
    ),
    "CreateRole": ("_create_role", lambda request: trust_problem(iam._p(request, "AssumeRolePolicyDocument"))),
    "UpdateAssumeRolePolicy": (
        "_update_assume_role_policy",
        lambda request: trust_problem(iam._p(request, "PolicyDocument")),
    ),
    "PutRolePolicy": ("_put_role_policy", put_problem("role")),
    "PutUserPolicy": ("_put_user_policy", put_problem("user")),
    "PutGroupPolicy": ("_put_group_policy", put_problem("group")),
}
"""Each action that takes a policy, ministack's function for it, and what would be too large."""


def within(problem: Callable[[Parameters], str | None], action: Callable[[Parameters], Any]) -> Any:
    """An action of IAM that refuses a document that is too large."""

    def limited(request: Parameters) -> Any:
        if found := problem(request):
            return iam._error(409, "LimitExceeded", found, ns="iam")
        return action(request)

    return limited


def role_problem(name: str, properties: Parameters) -> str | None:
    """What of a role in a template is too large, or None."""
    documents = {one["PolicyName"]: one["PolicyDocument"] for one in properties.get("Policies", [])}
    return trust_problem(properties["AssumeRolePolicyDocument"]) or inline_problem("role", name, documents)


def require(problem: str | None) -> None:
    """Fail a resource of a stack with IAM's reason.

    Raises:
        ValueError: when there is a problem.
    """
    if problem:
        raise ValueError(f"{problem} (Service: Iam, Status Code: 409)")


def create_role(logical_id: str, properties: Parameters, stack_name: str) -> Any:
    """Create a role of a stack, within the quotas."""
    require(role_problem(logical_id, properties))
    return provisioners._iam_role_create(logical_id, properties, stack_name)


def update_role(name: str, old: Parameters, new: Parameters, stack_name: str, logical_id: str) -> Any:
    """Update a role of a stack, within the quotas."""
    require(role_problem(name, new))
    return provisioners._iam_role_update(name, old, new, stack_name, logical_id)


def create_managed(logical_id: str, properties: Parameters, stack_name: str) -> Any:
    """Create a managed policy of a stack, within the quota."""
    require(managed_problem(properties["PolicyDocument"]))
    return provisioners._iam_managed_policy_create(logical_id, properties, stack_name)


def install() -> None:
    """Refuse what is too large, through IAM's API and in a stack."""
    for action, (name, problem) in ACTIONS.items():
        limited = within(problem, getattr(iam, name))
        replace(iam.__name__, name, limited)
        register(iam.__name__, "_IAM_HANDLERS", action, limited, existing=True)
    handlers: dict[str, dict[str, Any]] = {
        "AWS::IAM::Role": {"create": create_role, "update": update_role},
        "AWS::IAM::ManagedPolicy": {"create": create_managed},
    }
    for resource_type, ours in handlers.items():
        theirs = provisioners._RESOURCE_HANDLERS[resource_type]
        register(provisioners.__name__, "_RESOURCE_HANDLERS", resource_type, {**theirs, **ours}, existing=True)
