"""Small JSON files on S3: manifests, in which tasks report to those after them, and records, which several change.

A record changes by compare-and-swap, with conditional writes:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError
from contract.files import split_s3

# S3's answers to a conditional write that lost: somebody else wrote between our read and our write.
LOST_RACE = {"PreconditionFailed", "ConditionalRequestConflict"}
ATTEMPTS = 50
Record = dict[str, Any]


def read_manifest(s3: Any, uri: str) -> dict[str, Any]:
    """Return the manifest at `uri`.

    Args:
        s3: boto3 S3 client.
        uri: `s3://bucket/key`.

    Raises:
        AirflowException: when there is none: the task that writes it has not succeeded in this run.
    """
    manifest = read_manifest_if_present(s3, uri)
    if manifest is None:
        task = uri.rpartition("/")[2].removesuffix(".json")
        raise AirflowException(f"no manifest at {uri}: run task {task} of this run first")
    return manifest


def read_manifest_if_present(s3: Any, uri: str) -> dict[str, Any] | None:
    """Return the manifest at `uri`, or None when there is none.

    Args:
        s3: boto3 S3 client.
        uri: `s3://bucket/key`.
    """
    bucket, key = split_s3(uri)
    try:
        manifest: dict[str, Any] = parsed(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except s3.exceptions.NoSuchKey:
        return None
    return manifest


def parsed(text: str | bytes) -> Any:
    """Return the document in a JSON text; NaN and infinities, which JSON has not but older manifests had, are None."""
    return json.loads(text, parse_constant=lambda _: None)


def write_manifest(s3: Any, uri: str, manifest: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Write `manifest` to `uri`.

    Args:
        s3: boto3 S3 client.
        uri: `s3://bucket/key`.
        manifest: what to write; must be JSON.

    Raises:
        ValueError: when it holds NaN or an infinity, which JSON has not.
    """
    bucket, key = split_s3(uri)
    body = json.dumps(manifest, indent=2, allow_nan=False).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


class RecordError(RuntimeError):
    """The record changed under every attempt to write it."""


def change_record(s3: Any, uri: str, change: Callable[[Record | None], Record | None]) -> Record | None:
    """Change the record at `uri`; when somebody else did so meanwhile, begin again from theirs.

    Args:
        s3: boto3 S3 client.
        uri: `s3://bucket/key`.
        change: takes the record (None when there is none yet) and returns what to write, or None to leave it.

    Returns:
        The record as it stands afterwards, as far as this call knows.

    Raises:
        RecordError: when others wrote under each of `ATTEMPTS` attempts.
    """
    bucket, key = split_s3(uri)
    for _ in range(ATTEMPTS):
        try:
            response = s3.get_object(Bucket=bucket, Key=key)
            known, condition = json.loads(response["Body"].read()), {"IfMatch": response["ETag"]}
        except s3.exceptions.NoSuchKey:
            known, condition = None, {"IfNoneMatch": "*"}
        changed = change(known)
        if changed is None:
            return known
        try:
            body = json.dumps(changed, allow_nan=False).encode()
            s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] not in LOST_RACE:
                raise
            time.sleep(0.05)
            continue
        return changed
    raise RecordError(f"{uri} changed under each of {ATTEMPTS} attempts to write it")
