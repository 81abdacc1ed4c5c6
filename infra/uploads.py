"""What a deploy puts into the artifacts bucket: what the worker installs, and the code that it runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

from botocore.exceptions import ClientError
from lake.bundle import build_bundle, bundle_key

from infra.lake import Lake, say

WORKER_FILES = Path(__file__).parent / "worker"
WORKER_PREFIX, CODE_PREFIX = "worker/", "code/"


def upload_all(lake: Lake, requirements: Path, bucket: str) -> bool:
    """Upload what is not there yet; code of before stays, as another checkout may still name it.

    Args:
        lake: the lake.
        requirements: the worker's locked, hashed packages.
        bucket: the artifacts bucket.

    Returns:
        Whether anything was new.
    """
    files = {WORKER_PREFIX + path.name: path.read_bytes() for path in sorted(WORKER_FILES.iterdir())}
    files[f"{WORKER_PREFIX}requirements.txt"] = requirements.read_bytes()
    worker = [_upload(lake, bucket, key, content) for key, content in files.items()]
    if any(worker):
        say("The worker's set-up is uploaded; an instance takes it up when it next starts")
    digest, content = build_bundle()
    code = _upload(lake, bucket, bundle_key(digest), content)
    if code:
        say(f"The jobs, contracts and suites of this checkout are uploaded as {bundle_key(digest)}")
    return any(worker) or code


def _upload(lake: Lake, bucket: str, key: str, content: bytes) -> bool:
    """Put an object unless it is there already; returns whether it was put."""
    digest = hashlib.sha256(content).hexdigest()
    try:
        if lake.s3.head_object(Bucket=bucket, Key=key)["Metadata"].get("sha256") == digest:
            return False
    except ClientError as problem:
        if problem.response["Error"]["Code"] not in ("404", "NoSuchKey"):
            raise
    lake.s3.put_object(Bucket=bucket, Key=key, Body=content, Metadata={"sha256": digest})
    return True
