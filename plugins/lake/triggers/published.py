"""Wait until a date of other datasets is published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.triggers.base import BaseTrigger, TriggerEvent


class PublishedTrigger(BaseTrigger):
    """Fire when every one of some tables has a partition of a date, or when the time is over.

    Args:
        tables: database by table.
        ds: the date, `YYYY-MM-DD`.
        deadline: when to give up, in seconds since the epoch.
        poll_seconds: seconds between two looks.
        aws_conn_id: Airflow connection.
    """

    def __init__(
        self, *, tables: dict[str, str], ds: str, deadline: float, poll_seconds: float, aws_conn_id: str | None
    ) -> None:
        super().__init__()
        self.tables = tables
        self.ds = ds
        self.deadline = deadline
        self.poll_seconds = poll_seconds
        self.aws_conn_id = aws_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the constructor's arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "tables": self.tables,
            "ds": self.ds,
            "deadline": self.deadline,
            "poll_seconds": self.poll_seconds,
            "aws_conn_id": self.aws_conn_id,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: whether all are published."""
        async with await GlueCatalogHook(aws_conn_id=self.aws_conn_id).get_async_conn() as glue:
            missing = dict(self.tables)
            while True:
                for table, database in list(missing.items()):
                    if await self._has_partition(glue, database, table):
                        del missing[table]
                if not missing or time.time() > self.deadline:
                    break
                await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent({"status": "success", "missing": sorted(missing)})

    async def _has_partition(self, glue: Any, database: str, table: str) -> bool:
        try:
            await glue.get_partition(DatabaseName=database, TableName=table, PartitionValues=[self.ds])
        except glue.exceptions.EntityNotFoundException:
            return False
        return True
