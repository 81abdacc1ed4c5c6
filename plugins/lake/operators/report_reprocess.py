"""Say what became of each date of a range, and fail when some could not be loaded."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException

from lake.manifest import read_manifest

FINE = frozenset({"loaded", "skipped"})


class ReportReprocessOperator(AwsBaseOperator[S3Hook]):
    """Read the reprocess manifest of a run and show the outcome of each date.

    Args:
        reprocess_manifest: manifest of the job that loaded the dates; templated.

    Raises:
        AirflowFailException: when a date was refused or crashed; it names each, and why.
    """

    aws_hook_class = S3Hook
    template_fields = aws_template_fields("reprocess_manifest")
    ui_color = "#dbe9f5"

    def __init__(self, *, reprocess_manifest: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reprocess_manifest = reprocess_manifest

    def execute(self, context: Any) -> dict[str, int]:
        """Return how many dates had each outcome."""
        dates = read_manifest(self.hook.conn, self.reprocess_manifest)["dates"]
        outcomes = [entry["outcome"] for entry in dates.values()]
        for ds, entry in sorted(dates.items()):
            self.log.info("%s %s %s", ds, entry["outcome"], entry.get("why", entry.get("rows", "")))
        failed = [
            f"{ds} {entry['outcome']}: {entry['why']}"
            for ds, entry in sorted(dates.items())
            if entry["outcome"] not in FINE
        ]
        if failed:
            raise AirflowFailException(
                f"{len(failed)} of {len(dates)} dates could not be loaded, the others are published:\n"
                + "\n".join(failed)
            )
        return {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
