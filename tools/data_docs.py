"""Serve the Data Docs of the artifacts bucket to a browser on this machine: `python -m tools.data_docs --port 5001`.

Read-only, on loopback, and nothing but the objects below `data-docs/`; the list of them also says verdicts, from the
manifests. The bucket is $LAKE_ARTIFACTS_BUCKET; where and as whom it is read, boto3 takes from the environment.
"""

from __future__ import annotations

import argparse
import html
import json
import mimetypes
import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from contract.names import Names
from contract.submission import PATTERN, Submission

PREFIX = "data-docs/"
INDEX = re.compile(rf"{PREFIX}(?P<dataset>[^/]+)/ds=(?P<ds>[^/]+)/run=(?P<submission>{PATTERN})/index\.html")
SHOWN = 200
PARALLEL_READS = 8
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost"})
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; form-action 'none'"
    ),
}
STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
nav a { margin-right: .75rem } nav a[aria-current] { font-weight: 600; text-decoration: none; color: inherit }
table { border-collapse: collapse; width: 100%; margin-top: 1rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .4rem .75rem .4rem 0; border-bottom: 1px solid #8884 }
td.failed { color: #c0392b; font-weight: 600 }
td.submission { overflow-wrap: anywhere; font-size: .87em; opacity: .8 } td.written, td.ds { white-space: nowrap }
"""


@dataclass(frozen=True)
class Validation:
    """One validation that has Data Docs: its dataset, date and submission, and when they were written."""

    dataset: str
    ds: str
    submission: str
    written: datetime

    @property
    def page(self) -> str:
        """Its first page, below `data-docs/`."""
        return f"{self.dataset}/ds={self.ds}/run={self.submission}/index.html"

    @property
    def href(self) -> str:
        """Path of its first page on this server."""
        return quote(f"/{self.page}", safe="/=")

    @property
    def manifest(self) -> str:
        """Key of the manifest in which its job says what came out."""
        return Names(self.dataset).manifest(self.ds, Submission.parse(self.submission).run, "validate")


class DataDocs:
    """The Data Docs in one bucket.

    Args:
        s3: boto3 S3 client; only lists and reads.
        bucket: the artifacts bucket.
    """

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._verdicts: dict[Validation, str] = {}

    def validations(self) -> list[Validation]:
        """Every validation, the newest first."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=PREFIX)
        found = (
            Validation(**match.groupdict(), written=entry["LastModified"])
            for page in pages
            for entry in page.get("Contents", [])
            if (match := INDEX.fullmatch(entry["Key"]))
        )
        return sorted(found, key=lambda each: (each.written, each.ds, each.submission), reverse=True)

    def verdicts(self, validations: Sequence[Validation]) -> dict[Validation, str]:
        """What came out of each: `passed`, `passed, 2 warnings` or `failed`; nothing where a later try replaced it."""
        unknown = [each for each in validations if each not in self._verdicts]
        with ThreadPoolExecutor(PARALLEL_READS) as pool:
            found = zip(unknown, pool.map(self._verdict, unknown), strict=True)
            self._verdicts |= {validation: verdict for validation, verdict in found if verdict}
        return self._verdicts

    def _verdict(self, validation: Validation) -> str:
        try:
            manifest = json.load(self._s3.get_object(Bucket=self._bucket, Key=validation.manifest)["Body"])
        except self._s3.exceptions.NoSuchKey:
            return ""
        if manifest["docs"] != f"s3://{self._bucket}/{PREFIX}{validation.page}":
            return ""
        if not manifest["success"]:
            return "failed"
        warnings = len(manifest["failed"])
        return f"passed, {warnings} warning{'s' if warnings > 1 else ''}" if warnings else "passed"

    def read(self, path: str) -> bytes | None:
        """Content of the object at a URL's path, or None when there is none.

        Args:
            path: decoded, with its leading slash. A path with empty, `.` or `..` segments names nothing.
        """
        segments = path.removeprefix("/").split("/")
        if any(segment in ("", ".", "..") for segment in segments) or re.search(r"[\x00-\x1f\\]", path):
            return None
        try:
            content: bytes = self._s3.get_object(Bucket=self._bucket, Key=PREFIX + "/".join(segments))["Body"].read()
        except self._s3.exceptions.NoSuchKey:
            return None
        return content


def index_page(docs: DataDocs, dataset: str | None) -> str:
    """The page that lists validations.

    Args:
        docs: where they are.
        dataset: show only this dataset's; all datasets' if None.
    """
    everything = docs.validations()
    chosen = [each for each in everything if dataset in (None, each.dataset)]
    verdicts = docs.verdicts(chosen[:SHOWN])
    rows = "".join(
        f'<tr><td><a href="{html.escape(each.href)}">{html.escape(each.dataset)}</a></td>'
        f'<td class="ds"><a href="{html.escape(each.href)}">{html.escape(each.ds)}</a></td>'
        f'<td class="{verdicts.get(each, "").partition(",")[0]}">{verdicts.get(each, "")}</td>'
        f'<td class="submission">{html.escape(each.submission)}</td>'
        f'<td class="written">{each.written:%Y-%m-%d %H:%M:%S}</td></tr>'
        for each in chosen[:SHOWN]
    )
    names = [None, *sorted({each.dataset for each in everything})]
    links = "".join(
        f'<a href="{f"/?dataset={quote(name)}" if name else "/"}"{" aria-current=page" if name == dataset else ""}>'
        f"{html.escape(name or 'all datasets')}</a>"
        for name in names
    )
    if not chosen:
        told = "There are no Data Docs yet: the task <code>validate</code> of a run writes them."
    elif len(chosen) > SHOWN:
        told = f"The newest {SHOWN} of {len(chosen)} validations."
    else:
        told = f"{len(chosen)} validation{'s' if len(chosen) > 1 else ''}, the newest first."
    table = f"<table><tr><th>dataset<th>date<th>verdict<th>run<th>written (UTC)</tr>{rows}</table>" if rows else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Data Docs</title><style>{STYLE}</style><h1>Data Docs</h1>"
        f"<nav>{links}</nav><p>{told}</p>{table}</html>"
    )


class Handler(BaseHTTPRequestHandler):
    """Answer GET and HEAD; every other method is unknown to it.

    Args:
        docs: what to serve.
    """

    server_version, sys_version = "data-docs", ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def __init__(self, *arguments: Any, docs: DataDocs) -> None:
        self._docs = docs
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Serve the list or one object."""
        # A page elsewhere may have its own name resolve to this machine, and must not read what is here.
        if (urlsplit(f"//{self.headers.get('Host', '')}").hostname or "") not in LOCAL_HOSTS:
            self.send_error(HTTPStatus.FORBIDDEN, "only for this machine")
            return
        url = urlsplit(self.path)
        path = unquote(url.path)
        try:
            if path == "/":
                dataset = parse_qs(url.query).get("dataset", [None])[0]
                content: bytes | None = index_page(self._docs, dataset).encode()
                kind = "text/html; charset=utf-8"
            else:
                content = self._docs.read(path)
                kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
        except (BotoCoreError, ClientError) as error:
            self.send_error(HTTPStatus.BAD_GATEWAY, explain=f"{error}")
            return
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND, explain="There are no such Data Docs.")
            return
        self.send_response(HTTPStatus.OK)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls


def server(docs: DataDocs, port: int) -> ThreadingHTTPServer:
    """A server of `docs` on 127.0.0.1:`port` (0 for any free one), to be run with `serve_forever`."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, docs=docs))


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="tools.data_docs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    bucket = os.environ.get("LAKE_ARTIFACTS_BUCKET")
    if not bucket:
        sys.exit("LAKE_ARTIFACTS_BUCKET is not set: . .local/env")
    server(DataDocs(boto3.client("s3"), bucket), parser.parse_args().port).serve_forever()


if __name__ == "__main__":
    main()
