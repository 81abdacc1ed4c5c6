"""Wait for one Athena query."""

from __future__ import annotations

from airflow.providers.amazon.aws.triggers.athena import AthenaTrigger


class AthenaQueryTrigger(AthenaTrigger):
    """The provider's trigger, which lets a killed task's query run on, and cancels it."""

    async def on_kill(self) -> None:
        """Cancel the query."""
        async with await self.hook().get_async_conn() as athena:
            await athena.stop_query_execution(QueryExecutionId=self.serialized_fields["query_execution_id"])
