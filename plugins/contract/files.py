"""What Airflow and the jobs say alike of files: how a URI is split, which objects are raw files, the digest of many."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


def split_s3(uri: str) -> tuple[str, str]:
    """`(bucket, key)` of `s3://bucket/key`.

    :raises ValueError: it is not of that form.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ValueError(f"{uri!r} is not of the form s3://bucket/key")
    return bucket, key


def is_hidden(name: str) -> bool:
    """Whether a name is that of a marker rather than of data: a part of it starts with `_` or `.`, and is more."""
    return any(part.startswith(("_", ".")) and part not in (".", "..") for part in name.split("/"))


def is_raw_file(name: str, size: int) -> bool:
    """Whether an object in a date's folder of the raw bucket is a file to load, or to refuse; else staging ignores it.

    What it ignores are markers, and empty objects whose names end in a slash, which are folders. Whatever else there is
    must not pass for no file, so a name that staging refuses is that of a raw file.

    :param name: its key below the folder.
    :param size: in bytes.
    """
    is_folder = (not name or name.endswith("/")) and size == 0
    return not (is_folder or is_hidden(name))


def content_digest(files: Iterable[Mapping[str, Any]]) -> str:
    """One digest for the keys and contents of files that `stage_raw` describes, in whatever order."""
    lines = sorted(f"{file['sha256']} {file['key']}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()
