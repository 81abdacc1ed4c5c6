"""Where a command's output goes besides its invocation: S3 when it ended, CloudWatch Logs while it runs.

Both are written with the instance role's credentials, as the SSM agent does: what the role may not write is lost,
and the server's log says so. Keys, stream names and the lines added on failure are those of the agent
(https://github.com/aws/amazon-ssm-agent).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localaws.roles import Credentials
from localaws.settings import ENDPOINT

logger = logging.getLogger("localaws.output")

STDOUT_LIMIT, STDERR_LIMIT = 24_000, 8_000
"""Characters of each stream that an invocation keeps (GetCommandInvocation's API reference)."""

CUT = "--output truncated--"
BATCH_EVENTS, BATCH_BYTES, EVENT_BYTES = 10_000, 1_000_000, 250_000


def client(service: str, credentials: Credentials, region: str) -> Any:
    """A client of this server with a role's credentials."""
    return boto3.session.Session(
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.token,
        region_name=region,
    ).client(service, endpoint_url=ENDPOINT, config=Config(retries={"total_max_attempts": 2}))


def head(path: Path, limit: int) -> str:
    """The first `limit` characters of a file, the last of which say that it was cut when it was."""
    if not path.exists():
        return ""
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        text = stream.read(limit + 1)
    return text if len(text) <= limit else text[: limit - len(CUT)] + CUT


def upload(path: Path, bucket: str, key: str, credentials: Credentials, region: str) -> None:
    """Put a stream's whole content into S3, unless there is none."""
    if not path.exists() or not path.stat().st_size:
        return
    try:
        client("s3", credentials, region).upload_file(str(path), bucket, key)
    except (BotoCoreError, ClientError, boto3.exceptions.S3UploadFailedError) as error:
        logger.error("Output to s3://%s/%s is lost: %s", bucket, key, error)


@dataclass
class LogStream:
    """One output file that is sent to CloudWatch Logs line by line as it grows."""

    path: Path
    group: str
    name: str
    logs: Any
    position: int = 0
    lost: bool = False
    created: bool = field(default=False, init=False)

    def publish(self, *, ended: bool) -> None:
        """Send the lines written since the last call; the unfinished last line only when the command has ended."""
        if self.lost or not self.path.exists():
            return
        with self.path.open("rb") as stream:
            stream.seek(self.position)
            new = stream.read()
        complete = len(new) if ended else new.rfind(b"\n") + 1
        if not complete:
            return
        try:
            self._create()
            for batch in _batches(new[:complete]):
                self.logs.put_log_events(logGroupName=self.group, logStreamName=self.name, logEvents=batch)
        except (BotoCoreError, ClientError) as error:
            self.lost = True
            logger.error("Output to the log stream %s %s is lost: %s", self.group, self.name, error)
        self.position += complete

    def _create(self) -> None:
        if self.created:
            return
        try:
            self.logs.create_log_stream(logGroupName=self.group, logStreamName=self.name)
        except self.logs.exceptions.ResourceNotFoundException:
            self.logs.create_log_group(logGroupName=self.group)
            self.logs.create_log_stream(logGroupName=self.group, logStreamName=self.name)
        self.created = True


def _batches(text: bytes) -> list[list[dict[str, Any]]]:
    """Lines as log events, in batches of the size that PutLogEvents takes."""
    batches: list[list[dict[str, Any]]] = [[]]
    size = 0
    for line in text.decode("utf-8", errors="replace").splitlines():
        # CloudWatch Logs takes no empty event.
        message = line[:EVENT_BYTES] or " "
        size += len(message.encode()) + 26
        if size > BATCH_BYTES or len(batches[-1]) == BATCH_EVENTS:
            batches.append([])
            size = len(message.encode()) + 26
        batches[-1].append({"timestamp": int(time.time() * 1000), "message": message})
    return batches
