"""Wait for the raw files of a date, or find that there are none, or not all."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from contract.dataset import Contract
from contract.files import split_s3

from lake.macros import resolve_date
from lake.raw import Received, received
from lake.triggers.raw_files import RawFilesTrigger

NAMES = 20
"""How many names of files a message tells."""


def expected_since(context: Any) -> datetime:
    """Return since when the files of a run's date are expected: since its day and its data interval are over.

    Args:
        context: the task's context. Without a data interval, or with a date of its own, the day alone counts.
    """
    day_after = date.fromisoformat(resolve_date(context)) + timedelta(days=1)
    over = datetime.combine(day_after, time(), UTC)
    interval_end = None if (context.get("params") or {}).get("date") else context.get("data_interval_end")
    return max(over, interval_end) if interval_end else over


class RawFilesSensor(S3KeySensor):
    """Wait, deferred, until the raw files of the run's date are complete, by the contract's `wait.complete`.

    Without it the first file counts. What staging ignores, markers and folders, is none; what it refuses is one, so
    that somebody is told.

    When none comes in time, the contract's `wait.missing` decides: `fail` fails the run, `skip` skips the date, so that
    no task after it runs. Files that are not complete in time fail the run in any case. Where the date is overdue by
    the whole wait already, that happens at once: nobody will bring files while the sensor looks on, and a backfill over
    days without files must not wait for each of them. Files that need only settle are waited for then too.
    Files that cannot be looked for are never taken for files that are not there.

    Args:
        contract: the dataset.
        bucket_key: URI of the date's folder and an asterisk; templated.

    Raises:
        AirflowFailException: when there is no file, the date is overdue and the contract says `fail`; or they are not
            complete.
        AirflowSensorTimeout: the same, after the wait.
        AirflowSkipException: when there is none and the contract says `skip`.
    """

    def __init__(self, *, contract: Contract, bucket_key: str, **kwargs: Any) -> None:
        super().__init__(
            bucket_key=bucket_key,
            wildcard_match=True,
            deferrable=True,
            timeout=contract.wait.timeout_hours * 3600,
            **kwargs,
        )
        self.contract = contract

    @property
    def folder(self) -> str:
        """URI of the date's folder."""
        return str(self.bucket_key).removesuffix("*")

    def poke(self, context: Any) -> bool:
        """Return whether the date can be read."""
        return self._lacks(self._look()) is None

    def execute(self, context: Any) -> None:
        """Look once, then end with an overdue date, or defer."""
        found = self._look()
        if self._lacks(found) is None:
            return
        expected = expected_since(context)
        settles = found.files and self.contract.wait.complete and self.contract.wait.complete.settled_minutes
        if not settles and datetime.now(UTC) - expected > timedelta(hours=self.contract.wait.timeout_hours):
            raise self._end(
                found,
                AirflowFailException,
                f"though it was expected on {expected:%Y-%m-%d at %H:%M} UTC, more than the wait of "
                f"{self.contract.wait.timeout_hours} h ago",
            )
        self._defer()

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """End the wait: a file is there, or the contract says what its absence means."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout:
            found = self._look()
            if self._lacks(found) is None:
                return None
            raise self._end(found, AirflowSensorTimeout, f"after {self.contract.wait.timeout_hours} h") from None

    def _look(self) -> Received:
        bucket, prefix = split_s3(self.folder)
        found = received(prefix, self.hook.iter_file_metadata(prefix, bucket))
        self.log.info("%s: %d raw files; %s", self.bucket_key, len(found.files), self._lacks(found) or "complete")
        return found

    def _lacks(self, found: Received) -> str | None:
        return found.lacks(self.contract.wait.complete, datetime.now(UTC))

    def _defer(self) -> None:
        complete = self.contract.wait.complete
        self.defer(
            timeout=timedelta(seconds=self.timeout),
            trigger=RawFilesTrigger(
                folder=self.folder,
                complete=complete.model_dump(exclude_none=True) if complete else None,
                poll_seconds=self.poke_interval,
                aws_conn_id=self.aws_conn_id,
            ),
            method_name="execute_complete",
        )

    def _end(self, found: Received, failure: type[Exception], since: str) -> Exception:
        """How a wait without files, or without all of them, ends."""
        if found.files:
            names = sorted(key.removeprefix(split_s3(self.folder)[1]) for key, _ in found.files)
            more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
            return failure(
                f"the files at {self.bucket_key} are not complete {since}: {self._lacks(found)}. "
                f"There: {', '.join(names[:NAMES])}{more}. Bring what is missing and clear this task, or load what is "
                f"there with reprocess_{self.contract.dataset}"
            )
        skip = self.contract.wait.missing == "skip"
        outcome = (
            "the contract says to skip such a date, nothing was loaded"
            if skip
            else "bring the file and clear this task"
        )
        message = f"there is no file to load at {self.bucket_key} {since}: {outcome}"
        return AirflowSkipException(message) if skip else failure(message)
