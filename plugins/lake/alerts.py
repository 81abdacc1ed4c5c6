"""Tell people what failed: one SNS message per failed task, written for somebody who was asleep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.sns import SnsHook
from airflow.sdk.bases.notifier import BaseNotifier

from lake.contract import Contract
from lake.macros import run_slug
from lake.paths import Paths
from lake.settings import Settings

# SNS takes ASCII subjects of up to 100 characters: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
SUBJECT_LENGTH = 100


def describe_failure(settings: Settings, contract: Contract, context: Mapping[str, Any]) -> tuple[str, str]:
    """Write the alert of a failed task.

    Args:
        settings: the stack's names.
        contract: the dataset.
        context: the callback's context: `ti`, `run_id`, `ds` or the parameter `date`, and `exception`.

    Returns:
        Subject and text.
    """
    ti, run_id = context["ti"], context["run_id"]
    params = context.get("params") or {}
    many = "start" in params
    ds = f"{params['start']}..{params['end']}" if many else params.get("date") or context.get("ds") or "no date"
    paths = Paths(settings, contract, ds, run_slug(run_id))
    manifests = paths.range_manifest("*") if many else paths.manifest("*")
    quarantined = f"where ds BETWEEN '{params['start']}' AND '{params['end']}'" if many else f"where ds = '{ds}'"
    if ti.task_id in {mart.name for mart in contract.marts}:
        visible = f"{contract.table} ds={ds} is published, the mart {ti.task_id} still shows its previous picture."
    elif ti.task_id == "report":
        visible = f"{contract.table} as it was before this run on the dates named, the new rows on all others."
    else:
        visible = f"{contract.table} ds={ds} as it was before this run, unless its task publish succeeded."
    subject = f"{ti.dag_id} {ds}: {ti.task_id} failed"[:SUBJECT_LENGTH]
    text = "\n".join(
        [
            f"{ti.task_id} failed for {contract.dataset} on {ds}.",
            "",
            f"Why: {context.get('exception') or 'the task was killed or lost; its log has the last it said'}",
            "",
            f"What readers see: {visible}",
            "What was received is safe: the raw files are untouched, and bad rows with their reason are in "
            f"{contract.database}.{contract.quarantine_table} {quarantined}.",
            "",
            f"Log: {getattr(ti, 'log_url', 'see the task in the Airflow UI')}",
            f"Run: {run_id}, try {ti.try_number}",
            f"Manifests: {manifests}",
            f"Owner: {contract.owner}. What to do: docs/runbook.md#{ti.task_id}",
        ]
    )
    return subject, text


class AlertNotifier(BaseNotifier):
    """Publish a failed task to the alert topic.

    Args:
        settings: the stack's names.
        contract: the dataset whose task it is.
        aws_conn_id: Airflow connection.
    """

    def __init__(self, settings: Settings, contract: Contract, aws_conn_id: str | None = "aws_default") -> None:
        super().__init__()
        self.settings = settings
        self.contract = contract
        self.aws_conn_id = aws_conn_id

    def notify(self, context: Any) -> None:
        """Send one message."""
        subject, text = describe_failure(self.settings, self.contract, context)
        SnsHook(aws_conn_id=self.aws_conn_id).publish_to_target(
            target_arn=self.settings.alert_topic_arn, message=text, subject=subject
        )
