"""Who calls AWS in these tests: roles of a lake, and what AWS answers when it does not let them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]

REFUSALS = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403"}


def require_refused(operation: Callable[..., Any], *arguments: Any, **parameters: Any) -> None:
    """Call an operation that AWS must not allow the caller."""
    with pytest.raises(ClientError) as refusal:
        operation(*arguments, **parameters)
    assert refusal.value.response["Error"]["Code"] in REFUSALS, refusal.value


def client_factory(localaws: Any, credentials: dict[str, str]) -> Client:
    """Clients with temporary credentials."""
    names = {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }
    return lambda service: localaws.client(service, **names)


def assumed(localaws: Any, role: str) -> Client:
    """Clients in a role."""
    sts = localaws.client("sts")
    return client_factory(localaws, sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"])
