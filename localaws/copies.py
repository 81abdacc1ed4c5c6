"""CopyObject's conditions on the object that it would write, which ministack passes over.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from __future__ import annotations

from typing import Any

from ministack.services import s3

from localaws.overlay import replace


def install() -> None:
    """Have CopyObject answer as PutObject does where its destination exists."""
    original: Any = s3._copy_object

    def copy_object(bucket_name: str, key: str, headers: dict[str, str]) -> Any:
        bucket = s3._ensure_bucket(bucket_name)
        destination = bucket["objects"].get(key) if bucket else None
        if refused := s3._check_put_preconditions(headers, destination):
            return refused
        return original(bucket_name, key, headers)

    replace(s3.__name__, "_copy_object", copy_object)
