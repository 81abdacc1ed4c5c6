"""Objects on S3, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

KEYS_PER_CALL = 1000


def keys_under(s3: Any, bucket: str, prefix: str) -> list[str]:
    """Return the keys in a bucket that begin with `prefix`, in order."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def delete_objects(s3: Any, bucket: str, keys: Sequence[str]) -> None:
    """Delete objects of a bucket; one that is versioned keeps their versions.

    Raises:
        OSError: when S3 refuses one; those after it may be there still.
    """
    for start in range(0, len(keys), KEYS_PER_CALL):
        doomed = [{"Key": key} for key in keys[start : start + KEYS_PER_CALL]]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
        if errors := answer.get("Errors"):
            raise OSError(f"cannot delete s3://{bucket}/{errors[0]['Key']}: {errors[0]['Message']}")
