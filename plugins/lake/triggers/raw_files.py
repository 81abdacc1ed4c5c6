"""Wait for the raw files of a date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.triggers.base import BaseTrigger, TriggerEvent
from contract.dataset import Complete
from contract.files import split_s3

from lake.raw import received


class RawFilesTrigger(BaseTrigger):
    """Fire when the raw files in a folder are complete; the deferred task has the bound.

    The provider's trigger fires for markers and folders too, or wants to read the files that it is to tell apart.

    Args:
        folder: URI of the folder, which ends with a slash.
        complete: the contract's `wait.complete`; None when one file is enough.
        poll_seconds: seconds between two looks.
        aws_conn_id: Airflow connection.
    """

    def __init__(
        self, *, folder: str, complete: dict[str, Any] | None, poll_seconds: float, aws_conn_id: str | None
    ) -> None:
        super().__init__()
        self.folder = folder
        self.complete = complete
        self.poll_seconds = poll_seconds
        self.aws_conn_id = aws_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the constructor's arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "folder": self.folder,
            "complete": self.complete,
            "poll_seconds": self.poll_seconds,
            "aws_conn_id": self.aws_conn_id,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        bucket, prefix = split_s3(self.folder)
        complete = Complete(**self.complete) if self.complete else None
        async with await S3Hook(aws_conn_id=self.aws_conn_id).get_async_conn() as s3:
            while True:
                pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
                items = [item async for page in pages for item in page.get("Contents", [])]
                if received(prefix, items).lacks(complete, datetime.now(UTC)) is None:
                    break
                await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent({"status": "success"})
