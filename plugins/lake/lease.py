"""Who uses the worker: a small record on S3, changed by compare-and-swap, so that it stops only when nobody does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from lake.manifest import Record, change_record


class LeaseError(RuntimeError):
    """The lease could not be taken or given back within its bound."""


@dataclass
class LeaseRecord:
    """Content of the record.

    Args:
        holders: name of each holder and when its lease ends, in seconds since the epoch.
        stopping: holder that is stopping the worker now, if any.
        stopping_until: when that stop counts as abandoned, in seconds since the epoch.
    """

    holders: dict[str, float] = field(default_factory=dict)
    stopping: str | None = None
    stopping_until: float = 0.0


class WorkerLease:
    """Leases of one worker, kept at `leases/<worker>.json` in the artifacts bucket.

    Args:
        s3: boto3 S3 client.
        bucket: the artifacts bucket.
        worker: instance id.
        stop_seconds: how long a stop may take before others treat it as abandoned.
        clock: source of the time, in seconds since the epoch.
    """

    def __init__(
        self, s3: Any, bucket: str, worker: str, *, stop_seconds: float = 600, clock: Callable[[], float] = time.time
    ) -> None:
        self._s3, self._uri = s3, f"s3://{bucket}/leases/{worker}.json"
        self._stop_seconds, self._clock = stop_seconds, clock

    def acquire(self, holder: str, *, lease_seconds: float, timeout: float, poll: float = 1.0) -> None:
        """Hold the worker until `release` or the end of the lease; again by the same holder prolongs it.

        Args:
            holder: who needs the worker.
            lease_seconds: after so long the lease no longer counts, should `release` never come.
            timeout: how long to wait for somebody's stop to end, in seconds.
            poll: seconds between two looks.

        Raises:
            LeaseError: when the worker is still being stopped after `timeout`.
        """

        def hold(record: LeaseRecord) -> bool:
            if record.stopping and record.stopping != holder and record.stopping_until > self._clock():
                return False
            record.holders[holder] = self._clock() + lease_seconds
            record.stopping = None
            return True

        deadline = time.monotonic() + timeout
        while not self._change(hold):
            if time.monotonic() > deadline:
                raise LeaseError(f"the worker is still being stopped after {timeout:.0f} s: see {self._uri}")
            time.sleep(poll)

    def release(self, holder: str) -> list[str]:
        """Give the lease back. When nobody else holds one, the caller must stop the worker and then call `stopped`.

        Args:
            holder: who no longer needs the worker.

        Returns:
            The other holders; empty when the caller must stop the worker.
        """
        others: list[str] = []

        def give_back(record: LeaseRecord) -> bool:
            now = self._clock()
            record.holders = {name: end for name, end in record.holders.items() if name != holder and end > now}
            others[:] = sorted(record.holders)
            if not others:
                record.stopping, record.stopping_until = holder, now + self._stop_seconds
            return True

        self._change(give_back)
        return others

    def stopped(self, holder: str) -> None:
        """Say that the stop which `release` asked `holder` for is over."""

        def clear(record: LeaseRecord) -> bool:
            if record.stopping == holder:
                record.stopping = None
            return True

        self._change(clear)

    def _change(self, change: Callable[[LeaseRecord], bool]) -> bool:
        """Change the record; what `change` refuses (False) is not written."""
        accepted = False

        def changed(known: Record | None) -> Record | None:
            nonlocal accepted
            record = LeaseRecord(**known) if known else LeaseRecord()
            accepted = change(record)
            return asdict(record) if accepted else None

        change_record(self._s3, self._uri, changed)
        return accepted
