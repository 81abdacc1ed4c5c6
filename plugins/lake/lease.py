"""Who uses the worker: a small record on S3, changed by compare-and-swap, so that it stops only when nobody does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from lake.manifest import Record, change_record


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
        stop_seconds: how long it may take to ask EC2 for a stop before others treat that as abandoned.
        clock: source of the time, in seconds since the epoch.
    """

    def __init__(
        self, s3: Any, bucket: str, worker: str, *, stop_seconds: float = 600, clock: Callable[[], float] = time.time
    ) -> None:
        self._s3, self._uri = s3, f"s3://{bucket}/leases/{worker}.json"
        self._stop_seconds, self._clock = stop_seconds, clock

    def acquire(self, holder: str, lease_seconds: float) -> bool:
        """Hold the worker for at least so long, unless it is being stopped; never shortens what is held already.

        Args:
            holder: who needs the worker.
            lease_seconds: after so long the lease no longer counts, should `release` never come.

        Returns:
            Whether the worker is held. It is not while a stop is being asked for, which takes seconds.
        """

        def hold(record: LeaseRecord) -> bool:
            now = self._clock()
            if record.stopping and record.stopping_until > now:
                return False
            record.holders[holder] = max(record.holders.get(holder, 0), now + lease_seconds)
            record.stopping = None
            return True

        return self._change(hold)

    def release(self, holder: str) -> list[str] | None:
        """Give the lease back, unless it is the last: then the caller must stop the worker, and call `asked_to_stop`.

        Until then nobody takes the worker, and the last one remains a holder: who tries again finds what is to be done.

        Args:
            holder: who no longer needs the worker.

        Returns:
            The others that hold the worker, or nobody where `holder` never did; None when the caller must stop it.
        """
        others: list[str] = []
        last = False

        def give_back(record: LeaseRecord) -> bool:
            nonlocal last
            now = self._clock()
            others[:] = sorted(name for name, end in record.holders.items() if name != holder and end > now)
            last = holder in record.holders and not others
            record.holders = {name: record.holders[name] for name in [*others, *([holder] if last else [])]}
            if last:
                record.stopping, record.stopping_until = holder, now + self._stop_seconds
            return True

        self._change(give_back)
        return None if last else others

    def asked_to_stop(self, holder: str, *, over: bool) -> None:
        """Say that EC2 knows of the stop which `release` asked `holder` for, so that others may take the worker again.

        Args:
            holder: who asked EC2.
            over: whether that ends the holder's lease; else it asks again later.
        """

        def clear(record: LeaseRecord) -> bool:
            if record.stopping != holder:
                return False
            record.stopping = None
            if over:
                record.holders.pop(holder, None)
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
