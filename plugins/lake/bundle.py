"""The jobs' code as one archive named by its content, so that a worker always runs what the DAGs were written with."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = (
    "spark_jobs/**/*.py",
    "spark_jobs/templates/*",
    "plugins/contract/*.py",
    "include/datasets/*.yaml",
    "expectations/*.json",
)
EPOCH = (1980, 1, 1, 0, 0, 0)


def build_bundle(repository: Path = REPOSITORY) -> tuple[str, bytes]:
    """Zip what a job needs, the same bytes for the same files.

    Args:
        repository: root of the checkout.

    Returns:
        The archive's SHA-256 in hex, and its bytes.

    Raises:
        FileNotFoundError: when a part of the bundle is missing from the checkout.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in PARTS:
            files = sorted(repository.glob(part))
            if not files:
                raise FileNotFoundError(f"{part} matches no file in the repository: the jobs cannot run without it")
            for file in files:
                archive.writestr(zipfile.ZipInfo(file.relative_to(repository).as_posix(), EPOCH), file.read_bytes())
    content = buffer.getvalue()
    return hashlib.sha256(content).hexdigest(), content


@cache
def bundle_of_this_process() -> tuple[str, bytes]:
    """`build_bundle`, once per process: a task runs the code that stood there when it started."""
    return build_bundle()


def upload_bundle(s3: Any, bucket: str) -> str:
    """Make sure that the bundle of this checkout is on S3.

    Args:
        s3: boto3 S3 client.
        bucket: the artifacts bucket.

    Returns:
        Its URI, `s3://<bucket>/code/<sha256>.zip`.
    """
    digest, content = bundle_of_this_process()
    key = f"code/{digest}.zip"
    try:
        s3.put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
    except ClientError as error:
        # The name is the content's hash, so what is there already is the same.
        if error.response["Error"]["Code"] not in {"PreconditionFailed", "ConditionalRequestConflict"}:
            raise
    return f"s3://{bucket}/{key}"
