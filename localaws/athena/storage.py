"""Objects of the local S3: listed and written through ministack's S3, read as the plain files it keeps."""

from __future__ import annotations

import asyncio
import bisect
import itertools
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ministack.services import s3

from localaws.athena.access import Caller
from localaws.athena.errors import QueryFailed, RequestRefused

Result = TypeVar("Result")


@dataclass(frozen=True)
class StoredObject:
    """One object: its address, its size in bytes and the file that holds its current version."""

    bucket: str
    key: str
    size: int
    path: Path

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def split_uri(uri: str) -> tuple[str, str]:
    """The bucket and key of an ``s3://`` URI.

    Raises:
        RequestRefused: when it is not one.
    """
    matched = re.fullmatch(r"s3[an]?://([^/]+)(?:/(.*))?", uri)
    if not matched:
        raise RequestRefused(f"outputLocation is not a valid S3 path: {uri}")
    return matched.group(1), matched.group(2) or ""


def folder(location: str) -> tuple[str, str]:
    """The bucket of a location, and the key prefix of what lies in it (with its final slash)."""
    bucket, key = split_uri(location)
    return bucket, key.rstrip("/") + "/" if key.strip("/") else ""


class Storage:
    """S3 as one caller may use it for one query, which sees each bucket as it was when it first looked.

    Args:
        caller: whose permissions count.
        loop: the server's event loop, on which S3 changes are made, as those of ordinary requests.
    """

    def __init__(self, caller: Caller, loop: asyncio.AbstractEventLoop) -> None:
        self.caller, self.loop = caller, loop
        self._listed: dict[str, list[str]] = {}

    def list(self, location: str) -> list[StoredObject]:
        """The data files below a location, by key; names that begin with ``_`` or ``.`` are not data.

        Raises:
            QueryFailed: when the bucket does not exist or the caller may not list it.
        """
        bucket, prefix = folder(location)
        entry = s3._buckets.get(bucket)
        if entry is None:
            raise QueryFailed(f"HIVE_FILESYSTEM_ERROR: The specified bucket does not exist: {location}")
        self.caller.require_s3("ListBucket", bucket, prefix=prefix)
        keys = self._listed.setdefault(bucket, sorted(list(entry["objects"])))  # noqa: C414 - others write meanwhile
        found = []
        for key in itertools.takewhile(lambda key: key.startswith(prefix), keys[bisect.bisect_left(keys, prefix) :]):
            parts = key[len(prefix) :].split("/")
            record = entry["objects"].get(key)
            if record and parts[-1] and not any(part.startswith(("_", ".")) for part in parts):
                found.append(StoredObject(bucket, key, record["size"], self._path(bucket, key)))
        return found

    def occupied(self, location: str) -> bool:
        """Whether anything at all lies below a location.

        Raises:
            QueryFailed: when the bucket does not exist or the caller may not list it.
        """
        bucket, prefix = folder(location)
        entry = s3._buckets.get(bucket)
        if entry is None:
            raise QueryFailed(f"HIVE_FILESYSTEM_ERROR: The specified bucket does not exist: {location}")
        self.caller.require_s3("ListBucket", bucket, prefix=prefix)
        return any(key.startswith(prefix) for key in list(entry["objects"]))

    def read(self, uri: str) -> bytes:
        """The bytes of an object.

        Raises:
            RequestRefused: when it does not exist or the caller may not read it.
        """
        bucket, key = split_uri(uri)
        if reason := self.caller.denial("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}"):
            raise RequestRefused(f"Access denied when reading query result {uri}: {reason}")
        entry = s3._buckets.get(bucket)
        if entry is None or key not in entry["objects"]:
            raise RequestRefused(f"Could not find results: {uri}")
        return self._path(bucket, key).read_bytes()

    def require_writable(self, bucket: str, key: str) -> None:
        """Refuse the query unless the caller may write this object.

        Raises:
            QueryFailed: when it may not, or there is no such bucket.
        """
        uri = f"s3://{bucket}/{key}"
        if s3._buckets.get(bucket) is None:
            raise QueryFailed(f"HIVE_FILESYSTEM_ERROR: The specified bucket does not exist: {uri}")
        if reason := self.caller.denial("s3:PutObject", f"arn:aws:s3:::{bucket}/{key}"):
            raise QueryFailed(
                f"PERMISSION_DENIED: Access denied when writing output to url: {uri} . Please ensure you are allowed "
                f"to access the S3 bucket. {reason}"
            )

    def write(self, uri: str, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        """Put an object, as an ordinary PutObject does: versions, events and encryption included.

        Raises:
            QueryFailed: when the caller may not, or S3 refuses.
        """
        bucket, key = split_uri(uri)
        self.require_writable(bucket, key)
        all_headers = {"content-type": content_type, "content-length": str(len(body)), **(headers or {})}
        status, _, answer = self._on_loop(lambda: s3._put_object(bucket, key, body, all_headers))
        if status >= 300:
            raise QueryFailed(f"HIVE_WRITER_CLOSE_ERROR: {answer.decode()}")

    def _path(self, bucket: str, key: str) -> Path:
        path = s3._object_disk_path(bucket, key)
        if path is None:
            raise QueryFailed(f"HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split s3://{bucket}/{key}")
        return Path(path)

    def _on_loop(self, function: Callable[[], Result]) -> Result:
        async def call() -> Result:
            return function()

        task: Coroutine[Any, Any, Result] = call()
        return asyncio.run_coroutine_threadsafe(task, self.loop).result()
