"""How tasks wait: for seconds in place, for longer with the executor's slot given back, and ever less often."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

Found = TypeVar("Found")

IN_PLACE_SECONDS = 30.0
"""How long a task waits in its process: what takes no longer is not worth another one."""

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 120.0


def pause(waited: float) -> float:
    """Return how long to wait until the next look, in seconds, after so many seconds of waiting."""
    return min(max(waited / 3, SHORTEST_PAUSE), LONGEST_PAUSE)


def wait(
    task: BaseOperator,
    look: Callable[[], Found | None],
    *,
    since: float,
    bound: float,
    resume: str,
    told: Callable[[], str],
) -> Found:
    """Look until there is something, and return it.

    After `IN_PLACE_SECONDS` the task is deferred until it is time for the next look: then Airflow calls its method
    `resume` with the context, an event that says nothing, and `since`. So nothing is awaited in two ways, the looks
    are made where all else is done, and a task that is killed while it waits has nothing under way.

    Args:
        task: the task that waits.
        look: returns None when it is too early; what it raises ends the wait.
        since: when the wait began, in seconds since the epoch.
        bound: how long it may take, in seconds.
        resume: name of the method that goes on with the wait.
        told: says what is missing, in words that "after 5 s" may follow.

    Raises:
        AirflowFailException: when there is nothing after `bound` seconds; a retry would only wait on.
        TaskDeferred: as Airflow wants it.
    """
    while (found := look()) is None:
        now = time.time()
        if now > since + bound:
            raise AirflowFailException(f"{told()} after {bound:.0f} s")
        seconds = pause(now - since)
        if now < since + IN_PLACE_SECONDS:
            time.sleep(seconds)
            continue
        task.defer(
            trigger=DateTimeTrigger(moment=datetime.now(UTC) + timedelta(seconds=seconds)),
            method_name=resume,
            kwargs={"since": since},
            # A bound that holds even when the triggerer is gone.
            timeout=timedelta(seconds=max(since + bound - now, seconds) + LONGEST_PAUSE),
        )
    return found
