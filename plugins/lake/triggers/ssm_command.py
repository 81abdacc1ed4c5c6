"""Wait for one SSM command on one instance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.providers.amazon.aws.hooks.ssm import SsmHook
from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import ClientError

# https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html
RUNNING = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})


class SsmCommandTrigger(BaseTrigger):
    """Fire when a command has ended, whatever its result, or when its time is over.

    The provider's trigger reports success while the invocation is not visible yet, and lets a killed task's command
    run on; this one does neither.

    Args:
        command_id: the SSM command.
        instance_id: the instance on which it runs.
        deadline: when to give up, in seconds since the epoch.
        poll_seconds: seconds between two looks.
        aws_conn_id: Airflow connection.
    """

    def __init__(
        self, *, command_id: str, instance_id: str, deadline: float, poll_seconds: float, aws_conn_id: str | None
    ) -> None:
        super().__init__()
        self.command_id = command_id
        self.instance_id = instance_id
        self.deadline = deadline
        self.poll_seconds = poll_seconds
        self.aws_conn_id = aws_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the constructor's arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "command_id": self.command_id,
            "instance_id": self.instance_id,
            "deadline": self.deadline,
            "poll_seconds": self.poll_seconds,
            "aws_conn_id": self.aws_conn_id,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: the command's id, and its status or `DeadlineExceeded`."""
        async with await SsmHook(aws_conn_id=self.aws_conn_id).get_async_conn() as ssm:
            status = "Pending"
            while status in RUNNING:
                if time.time() > self.deadline:
                    await ssm.cancel_command(CommandId=self.command_id, InstanceIds=[self.instance_id])
                    status = "DeadlineExceeded"
                    break
                await asyncio.sleep(self.poll_seconds)
                try:
                    invocation = await ssm.get_command_invocation(
                        CommandId=self.command_id, InstanceId=self.instance_id
                    )
                except ClientError as error:
                    # Right after SendCommand the invocation may not be visible yet.
                    if error.response["Error"]["Code"] != "InvocationDoesNotExist":
                        raise
                else:
                    status = invocation["Status"]
        yield TriggerEvent({"command_id": self.command_id, "status": status})

    async def on_kill(self) -> None:
        """Cancel the command when a user ends the deferred task."""
        async with await SsmHook(aws_conn_id=self.aws_conn_id).get_async_conn() as ssm:
            await ssm.cancel_command(CommandId=self.command_id, InstanceIds=[self.instance_id])
