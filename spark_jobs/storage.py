"""Files by URI: `file://` is this machine's disk, `s3://` is copied by boto3.

A URI of a folder may end in a slash or not. Names are relative to their folder.

Where the URIs come from, arguments, manifests and keys, is not always whom a worker should trust with its disk: a
`file://` URI reaches the data volume (LAKE_DATA_DIR) and temporary files only, and a name no other folder.
"""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

import boto3
from botocore.config import Config
from contract.files import is_hidden, split_s3

CHUNK = 1 << 20


class StoredFile(NamedTuple):
    """A file in a folder: `name` relative to it, `uri` complete, `size` in bytes."""

    name: str
    uri: str
    size: int


class Copied(NamedTuple):
    """What was copied: `size` in bytes and the hex digest of its SHA-256."""

    size: int
    sha256: str


@cache
def s3() -> Any:
    """The S3 client of this process, from the environment's region, endpoint and credentials."""
    return boto3.client("s3", config=Config(retries={"mode": "standard", "max_attempts": 6}))


def local_path(uri: str) -> Path:
    """The path of a `file://` URI.

    :raises ValueError: it is not one, not absolute, or elsewhere than a job's files may be.
    """
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc or not parts.path.startswith("/"):
        raise ValueError(f"{uri!r} is not a file:///absolute/path URI")
    path, temporary = Path(unquote(parts.path)), tempfile.gettempdir()
    allowed = {Path(folder).resolve() for folder in (os.environ.get("LAKE_DATA_DIR", temporary), temporary)}
    if not allowed & {*path.resolve().parents}:
        raise ValueError(f"{uri!r} is neither on the data volume nor among the temporary files")
    return path


def received(uri: str) -> str:
    """`uri`, of files that were received: from the raw bucket, where the worker is told it, or a copy on its volume.

    Who could have any text cleaned could find out whose hash a personal value is, by comparing.

    :raises ValueError: it is of other files.
    """
    if not is_local(uri) and split_s3(uri)[0] != os.environ.get("LAKE_RAW_BUCKET", split_s3(uri)[0]):
        raise ValueError(f"{uri!r} is not in the raw bucket")
    return uri


def is_local(uri: str) -> bool:
    """Whether `uri` names something on this machine's disk."""
    return urlsplit(uri).scheme == "file"


def join(folder: str, name: str) -> str:
    """The URI of `name` in the folder."""
    return f"{folder.rstrip('/')}/{name}"


def list_s3(uri: str) -> Iterator[dict[str, Any]]:
    """The objects below a folder as ListObjectsV2 describes them, in the order of their keys."""
    bucket, prefix = split_s3(uri.rstrip("/") + "/")
    for page in s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def list_files(uri: str) -> list[StoredFile]:
    """The data files below a folder (hidden ones left out), ordered by name.

    :raises ValueError: an object has a name that is no path below the folder.
    """
    if is_local(uri):
        folder = local_path(uri)
        found = [
            StoredFile(path.relative_to(folder).as_posix(), path.as_uri(), path.stat().st_size)
            for path in folder.rglob("*")
            if path.is_file()
        ]
    else:
        bucket, prefix = split_s3(uri.rstrip("/") + "/")
        found = [
            StoredFile(item["Key"].removeprefix(prefix), f"s3://{bucket}/{item['Key']}", item["Size"])
            for item in list_s3(uri)
            if not item["Key"].endswith("/")
        ]
    if beside := [file.uri for file in found if {"", ".", ".."} & {*file.name.split("/")}]:
        raise ValueError(f"{beside[0]!r} is no file below {uri}")
    return sorted(file for file in found if not is_hidden(file.name))


def open_stream(uri: str) -> BinaryIO:
    """The bytes of a file, buffered, without copying it to disk first."""
    if is_local(uri):
        return local_path(uri).open("rb")
    bucket, key = split_s3(uri)
    body = s3().get_object(Bucket=bucket, Key=key)["Body"]
    return io.BufferedReader(body, CHUNK)


def copy_hashed(source: BinaryIO, target: BinaryIO) -> Copied:
    """Copy a stream to its end."""
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        target.write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return Copied(size, digest.hexdigest())


def fetch(uri: str, path: Path) -> Copied:
    """Copy the file at `uri` to the local `path`, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_stream(uri) as source, path.open("wb") as target:
        return copy_hashed(source, target)


def sha256_of(path: Path) -> str:
    """The hex digest of a local file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def store(path: Path, uri: str) -> None:
    """Copy the local file `path` to `uri`, where it appears whole or not at all."""
    if is_local(uri):
        target = local_path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"_{target.name}.partial")
        shutil.copyfile(path, partial)
        partial.replace(target)
    else:
        bucket, key = split_s3(uri)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        s3().upload_file(str(path), bucket, key, ExtraArgs={"ContentType": kind})


def read_json(uri: str) -> Any:
    """The document in a JSON file; NaN and infinities, which JSON has not but older manifests had, are None."""
    with open_stream(uri) as stream:
        return json.load(stream, parse_constant=lambda _: None)


def read_json_if_present(uri: str) -> Any | None:
    """The document in a JSON file, or None when there is no such file."""
    try:
        return read_json(uri)
    except (FileNotFoundError, s3().exceptions.NoSuchKey):
        return None


def write_json(document: Any, uri: str) -> None:
    """Write a document as a JSON file, which appears whole or not at all.

    :raises ValueError: it holds NaN or an infinity, which JSON has not.
    """
    write_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", uri)


def write_text(text: str, uri: str) -> None:
    """Write a file of UTF-8 text, which appears whole or not at all; its type follows from its name."""
    if is_local(uri):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            store(Path(file.name), uri)
    else:
        bucket, key = split_s3(uri)
        kind = mimetypes.guess_type(key)[0] or "text/plain"
        s3().put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType=kind)


def key_of(uri: str) -> str:
    """The key of an S3 object in its bucket, or the path of a local file."""
    return str(local_path(uri)) if is_local(uri) else split_s3(uri)[1]
