"""Manifests: the small JSON files on S3 in which tasks report their results to those after them."""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk.exceptions import AirflowException

from lake.paths import split_s3


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
