"""Tell people what failed: one SNS message per failed task, written for somebody who was asleep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.sns import SnsHook
from airflow.sdk.bases.notifier import BaseNotifier
from contract.dataset import Contract

from lake.macros import run_slug
from lake.paths import Paths
from lake.settings import Settings

# SNS takes ASCII subjects of up to 100 characters, and messages of 262,144 bytes:
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
SUBJECT_LENGTH = 100
REASON_BYTES = 100_000
"""How much of a reason an alert tells; nobody reads more, and the task's log has all of it."""

OF_ALL_DATASETS = {
    "retention": "What was deleted before the failure had been replaced by newer runs.",
    "reconcile": "Dates that are missing, changed or stale may not be told today, nor loaded again.",
}
"""What a failure means of DAGs that are about all datasets; their sections of the runbook have their names."""
READ_ROWS = frozenset({"ingest", "reprocess"})
"""Kinds of DAGs that read rows, and leave manifests; the others move pointers and compute marts only."""
BEFORE_ROWS = frozenset({"wait_for_raw", "wait_for_references", "plan", "start_worker", "stage_raw", "snapshot_raw"})
"""Tasks of those before anything is known of rows."""


def cut(text: str, limit: int) -> str:
    """Return `text`, of which only the beginning, and a word on the rest, where it has more than `limit` bytes."""
    encoded = text.encode(errors="backslashreplace")
    if len(encoded) <= limit:
        return encoded.decode()
    kept = encoded[:limit].decode(errors="ignore")
    return f"{kept}\n[cut here: {len(encoded):,} bytes in all; the task's log has the rest]"


def runbook_section(contract: Contract | None, dag_id: str, task_id: str) -> str:
    """Return the heading of docs/runbook.md that says what to do about a failed task, as a link has it."""
    if contract is None or dag_id in OF_ALL_DATASETS:
        return dag_id
    return "marts" if task_id in {mart.name for mart in contract.marts} else task_id


def visible(contract: Contract, task_id: str, ds: str, many: bool) -> str:
    """Return what readers see while a task has failed of a DAG of one date or, like `reprocess_*`, of `many`."""
    table = f"{contract.dataset} on all dates" if many else f"{contract.dataset} ds={ds}"
    if task_id in {mart.name for mart in contract.marts}:
        return (
            f"{table} as this run's other tasks left it; the mart {task_id} shows its previous picture of dates that "
            "were not computed yet."
        )
    if task_id == "rollback":
        return f"{contract.dataset} on each date either as it was before this run or rolled back, whole in both cases."
    if task_id == "report":
        return f"{contract.dataset} as it was before this run on the dates named, the new rows on all others."
    if task_id == "publish":
        each = f"{contract.dataset} on each date" if many else table
        return f"{each} either as it was before this run or the new rows, whole in both cases."
    if task_id == "stop_worker":
        return f"{table} as this run's other tasks leave it: the new rows once publish has succeeded."
    return f"{table} as it was before this run."


def describe_failure(settings: Settings, contract: Contract | None, context: Mapping[str, Any]) -> tuple[str, str]:
    """Write the alert of a failed task, as SNS takes it however much there is to say.

    Args:
        settings: the stack's names.
        contract: the dataset; None when the task is about all.
        context: the callback's context: `ti`, `run_id`, `ds` or the parameter `date`, and `exception`.

    Returns:
        Subject and text.
    """
    ti, run_id = context["ti"], context["run_id"]
    params = context.get("params") or {}
    kind = ti.dag_id.partition("_")[0]
    many = "start" in params or kind == "recompute"
    if "start" in params:
        ds = f"{params['start']}..{params['end']}"
    else:
        ds = "all dates" if many else params.get("date") or context.get("ds") or "no date"
    ds = cut(ds, SUBJECT_LENGTH)
    reason = context.get("exception") or "the task was killed or lost; its log has the last it said"
    dataset = contract.dataset if contract else "all datasets"
    lines = [f"{ti.task_id} failed for {dataset} on {ds}.", "", f"Why: {cut(f'{reason}', REASON_BYTES)}", ""]
    if contract is None or ti.dag_id in OF_ALL_DATASETS:
        lines += [f"What readers see: everything that is published, as before. {OF_ALL_DATASETS[ti.dag_id]}"]
    else:
        paths = Paths(settings, contract, ds, run_slug(run_id))
        lines += [
            f"What readers see: {visible(contract, ti.task_id, ds, many)}",
            "What was received is safe: the raw files are untouched.",
        ]
        if kind in READ_ROWS and ti.task_id not in BEFORE_ROWS:
            names = settings.names(contract.dataset)
            dates = f"BETWEEN '{params['start']}' AND '{params['end']}'" if many else f"= '{ds}'"
            lines.append(
                "Bad rows with their reason, as far as rows were read, are in "
                f"{names.database}.{names.quarantine_table} where ds {dates}."
            )
        if kind in READ_ROWS:
            lines += ["", f"Manifests: {paths.reprocess_manifest('*') if many else paths.manifest('*')}"]
    owner = contract.owner if contract else ti.task.owner
    lines += [
        "",
        f"Log: {getattr(ti, 'log_url', 'see the task in the Airflow UI')}",
        f"Run: {run_id}, try {ti.try_number}",
        f"Owner: {owner}. What to do: docs/runbook.md#{runbook_section(contract, ti.dag_id, ti.task_id)}",
    ]
    subject = re.sub(r"[^ -~]", "?", f"{ti.dag_id} {ds}: {ti.task_id} failed")
    return subject[:SUBJECT_LENGTH], "\n".join(lines)


class AlertNotifier(BaseNotifier):
    """Publish a failed task to the alert topic.

    Args:
        settings: the stack's names.
        contract: the dataset whose task it is; None when it is about all.
        aws_conn_id: Airflow connection.
    """

    def __init__(self, settings: Settings, contract: Contract | None, aws_conn_id: str | None = "aws_default") -> None:
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
