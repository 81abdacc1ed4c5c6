"""How a run ends that only says what it would do."""

from __future__ import annotations

from typing import Any, NoReturn

from airflow.sdk.exceptions import DownstreamTasksSkipped


def skip_all_after(context: Any) -> NoReturn:
    """End a task as success, with all tasks after it skipped.

    Args:
        context: the task's context.

    Raises:
        DownstreamTasksSkipped: which tells Airflow so.
    """
    after = context["task"].get_flat_relatives(upstream=False)
    raise DownstreamTasksSkipped(tasks=[task.task_id for task in after if not task.is_teardown])
