"""Wait for the raw files of a date, or find that there are none."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException
from contract.dataset import Contract

from lake.macros import resolve_date


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

    When none comes in time, the contract's `wait.missing` decides: `fail` fails the run, `skip` skips the date, so that
    no task after it runs. A date whose files are overdue by the whole wait already is skipped at once: nobody will
    bring them while the sensor looks on, and a backfill over days without files must not wait for each of them.
    Files that cannot be looked for are never taken for files that are not there.

    Args:
        contract: the dataset.

    Raises:
        AirflowSensorTimeout: when there is no file in time and the contract says `fail`.
        AirflowSkipException: when there is none and the contract says `skip`.
    """

    def __init__(self, *, contract: Contract, **kwargs: Any) -> None:
        super().__init__(wildcard_match=True, deferrable=True, timeout=contract.wait.timeout_hours * 3600, **kwargs)
        self.contract = contract

    def execute(self, context: Any) -> None:
        """Look once, then skip an overdue date or defer."""
        if self.poke(context):
            return
        expected = expected_since(context)
        patience = timedelta(hours=self.contract.wait.timeout_hours)
        if self.contract.wait.missing == "skip" and datetime.now(UTC) - expected > patience:
            raise AirflowSkipException(self._nothing(f"though it was expected on {expected:%Y-%m-%d at %H:%M} UTC"))
        self._defer()

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """End the wait: a file is there, or the contract says what its absence means."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout:
            message = self._nothing(f"after {self.contract.wait.timeout_hours} h")
            if self.contract.wait.missing == "skip":
                raise AirflowSkipException(message) from None
            raise AirflowSensorTimeout(message) from None

    def _nothing(self, since: str) -> str:
        outcome = {
            "skip": "the contract says to skip such a date, nothing was loaded",
            "fail": "bring the file and clear this task",
        }[self.contract.wait.missing]
        return f"there is no file at {self.bucket_key} {since}: {outcome}"
