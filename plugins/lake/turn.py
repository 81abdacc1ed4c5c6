"""Turns: one process at a time changes what readers see of a date or of a mart.

What counts stands in a record on S3, changed by compare-and-swap, and Glue's partitions, which follow it, have no such
thing. A process that was overtaken between the two could point a partition back to what no longer counts, and be killed
before it sees that. So the record also tells whose turn it is. The turn of a killed process ends by itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lake.manifest import Record, RecordError, change_record

SECONDS = 180.0
"""After so long a turn is over even if nobody ended it."""
LOOK_SECONDS = 0.2
FIELD = "turn"


def unchanged(known: Record | None) -> Record:
    """Return the record as it is: what `in_turn` does where only the turn matters."""
    return known or {}


@contextmanager
def in_turn(s3: Any, uri: str, change: Callable[[Record | None], Record] = unchanged) -> Iterator[Record]:
    """Change a record and hold its turn for as long as the block runs.

    Args:
        s3: boto3 S3 client.
        uri: `s3://bucket/key` of the record.
        change: takes the record (None when there is none yet), and returns what to write.

    Yields:
        The record as changed.

    Raises:
        RecordError: when others had their turns for twice as long as one may take.
    """
    turn: Record = {"of": secrets.token_hex(8)}

    def begin(known: Record | None) -> Record | None:
        now = time.time()
        if known and FIELD in known and known[FIELD]["until"] > now:
            return None
        turn["until"] = now + SECONDS
        return {**change(known), FIELD: turn}

    deadline = time.monotonic() + 2 * SECONDS
    while (record := change_record(s3, uri, begin) or {})[FIELD] != turn:
        if time.monotonic() > deadline:
            raise RecordError(f"{uri}: it has been the turn of others for {2 * SECONDS:.0f} s")
        time.sleep(LOOK_SECONDS)
    try:
        yield record
    finally:
        _end(s3, uri, turn)


def _end(s3: Any, uri: str, turn: Record) -> None:
    def end(known: Record | None) -> Record | None:
        if known is None or known.get(FIELD) != turn:
            return None
        return {name: value for name, value in known.items() if name != FIELD}

    change_record(s3, uri, end)
