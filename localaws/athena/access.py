"""What the caller may do: Athena acts with the caller's own permissions on Glue and S3."""

from __future__ import annotations

from dataclasses import dataclass

from ministack.core import iam_evaluator
from ministack.core.iam_actions import identity_denial_message
from ministack.core.responses import get_account_id, get_region

from localaws.athena.errors import QueryFailed

_VIA_ATHENA = {"aws:CalledVia": ["athena.amazonaws.com"], "aws:ViaAWSService": "true"}


@dataclass(frozen=True)
class Caller:
    """The identity that started a query, and what it is allowed.

    Source: https://docs.aws.amazon.com/athena/latest/ug/security-iam-athena.html
    """

    access_key: str

    @classmethod
    def of_this_request(cls) -> Caller:
        """The verified identity of the API request being served."""
        return cls(iam_evaluator._verified_key.get() or "")

    def denial(self, action: str, resource: str, **conditions: str) -> str | None:
        """Why the caller may not do `action` on `resource`, or None when it may.

        Args:
            action: such as ``s3:GetObject``.
            resource: an ARN.
            conditions: values of condition keys of the service, such as ``prefix`` for ``s3:prefix``.
        """
        service = action.split(":")[0]
        context = {**_VIA_ATHENA, **{f"{service}:{key}": value for key, value in conditions.items()}}
        # Athena reaches S3 and Glue over TLS, whatever the caller used to reach Athena.
        iam_evaluator.pin_request_origin("athena.amazonaws.com", True)
        denied = iam_evaluator.enforce(self.access_key, action, service, get_region(), resource, context)
        if denied is None:
            return None
        if isinstance(denied, iam_evaluator.AuthError):
            return denied.message
        return identity_denial_message(action, denied.principal_arn, resource, denied.decision == "Deny")

    def may_see(self, action: str, resource: str) -> bool:
        """Whether the caller has a Glue permission on a resource of the catalog, such as ``database/orders_db``."""
        return self.denial(f"glue:{action}", f"arn:aws:glue:{get_region()}:{get_account_id()}:{resource}") is None

    def require_glue(self, action: str, database: str | None = None, table: str | None = None) -> None:
        """Refuse the query unless the caller has a Glue permission on the catalog, and on what is named in it.

        Raises:
            QueryFailed: with Athena's text, when one of them is missing.
        """
        arn = f"arn:aws:glue:{get_region()}:{get_account_id()}"
        resources = [f"{arn}:catalog"]
        if database is not None:
            resources.append(f"{arn}:database/{database}")
        if table is not None:
            resources.append(f"{arn}:table/{database}/{table}")
        for resource in resources:
            if reason := self.denial(f"glue:{action}", resource):
                raise QueryFailed(f"PERMISSION_DENIED: Insufficient permissions to execute the query. {reason}")

    def require_s3(self, action: str, bucket: str, key: str | None = None, **conditions: str) -> None:
        """Refuse the query unless the caller has an S3 permission on a bucket or on an object.

        Raises:
            QueryFailed: with Athena's text, when it has not.
        """
        resource = f"arn:aws:s3:::{bucket}" + ("" if key is None else f"/{key}")
        if reason := self.denial(f"s3:{action}", resource, **conditions):
            path = f"s3://{bucket}/{conditions.get('prefix', '') if key is None else key}"
            raise QueryFailed(f"PERMISSION_DENIED: Permission denied on S3 path: {path}. Access Denied: {reason}")
