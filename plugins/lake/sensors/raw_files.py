"""Wait for the raw files of a date, or find that there are none."""

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
    """Wait, deferred, until there is a raw file of the run's date; several files may come, the first one counts.

    What staging ignores, markers and folders, ends no wait; what it refuses does, so that somebody is told.

    When none comes in time, the contract's `wait.missing` decides: `fail` fails the run, `skip` skips the date, so that
    no task after it runs. Where the files are overdue by the whole wait already, that happens at once: nobody will
    bring them while the sensor looks on, and a backfill over days without files must not wait for each of them.
    Files that cannot be looked for are never taken for files that are not there.

    Args:
        contract: the dataset.
        bucket_key: URI of the date's folder and an asterisk; templated.

    Raises:
        AirflowFailException: when the files are overdue and the contract says `fail`.
        AirflowSensorTimeout: when there is no file in time and the contract says `fail`.
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
        """Return whether there is something to load."""
        found = self._look()
        self.log.info("%s: %d raw files", self.bucket_key, len(found.files))
        return bool(found.files)

    def execute(self, context: Any) -> None:
        """Look once, then end with an overdue date, or defer."""
        if self.poke(context):
            return
        expected = expected_since(context)
        if datetime.now(UTC) - expected > timedelta(hours=self.contract.wait.timeout_hours):
            raise self._end(
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
            raise self._end(AirflowSensorTimeout, f"after {self.contract.wait.timeout_hours} h") from None

    def _look(self) -> Received:
        bucket, prefix = split_s3(self.folder)
        return received(prefix, self.hook.iter_file_metadata(prefix, bucket))

    def _defer(self) -> None:
        self.defer(
            timeout=timedelta(seconds=self.timeout),
            trigger=RawFilesTrigger(folder=self.folder, poll_seconds=self.poke_interval, aws_conn_id=self.aws_conn_id),
            method_name="execute_complete",
        )

    def _end(self, failure: type[Exception], since: str) -> Exception:
        """How a wait without a file ends."""
        skip = self.contract.wait.missing == "skip"
        outcome = (
            "the contract says to skip such a date, nothing was loaded"
            if skip
            else "bring the file and clear this task"
        )
        message = f"there is no file to load at {self.bucket_key} {since}: {outcome}"
        return AirflowSkipException(message) if skip else failure(message)
