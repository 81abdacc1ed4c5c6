"""A small JSON record on S3 that several may change at once, by compare-and-swap.

Conditional writes make each change atomic: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from lake.paths import split_s3

# S3's answers to a conditional write that lost: somebody else wrote between our read and our write.
LOST_RACE = {"PreconditionFailed", "ConditionalRequestConflict"}
ATTEMPTS = 50
Record = dict[str, Any]


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
