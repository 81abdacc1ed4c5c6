"""Say what loading a range of dates again would change, and plan it."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from contract.dataset import Contract

from lake.comparison import Compared, compare
from lake.dry_run import skip_all_after
from lake.evolution import require_readable
from lake.macros import asked_dates, resolve_dates, run_slug
from lake.manifest import write_manifest
from lake.paths import Paths
from lake.settings import Settings

PLANNED, SKIPPED = "planned", "skipped"


class PlanReprocessOperator(AwsBaseOperator[S3Hook]):
    """Compare the raw files of each date with what is published for it, and plan every date that has a file.

    Also one whose files are not complete, as somebody asks for it; the comparison says so.

    A dry run shows the comparison, writes nothing, and skips all tasks after this one. So does a range without files.
    The comparison is in the log, and, as dates by what would change, in the XCom `plan`.

    Args:
        settings: the stack's names.
        contract: the dataset.

    Raises:
        AirflowFailException: when the parameters `start` and `end` are not dates in order, `dates` are not of them, or
            the contract cannot take effect (`require_readable`).
    """

    aws_hook_class = S3Hook
    template_fields = aws_template_fields()
    ui_color = "#dbe9f5"

    def __init__(self, *, settings: Settings, contract: Contract, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.contract = contract

    def execute(self, context: Any) -> None:
        """Compare, show, and write the plan unless it is a dry run."""
        start, end = resolve_dates(context)
        s3 = self.hook.conn
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn
        require_readable(glue, self.settings, self.contract)
        found = compare(s3, glue, self.settings, self.contract, asked_dates(context))
        entries = {each.ds: _entry(each) for each in found}
        for ds, entry in entries.items():
            self.log.info("%s %s: %s (published: %s)", ds, entry["outcome"], entry["why"], entry["published"])
        by_reason = {
            why: [ds for ds, entry in entries.items() if entry["why"] == why]
            for why in sorted({entry["why"] for entry in entries.values()})
        }
        for why, dates in by_reason.items():
            self.log.info("%d dates: %s", len(dates), why)
        context["ti"].xcom_push(key="plan", value=by_reason)
        planned = any(entry["outcome"] == PLANNED for entry in entries.values())
        if context["params"]["dry_run"] or not planned:
            self.log.info("nothing is done: %s", "this is a dry run" if planned else "no date has a raw file")
            skip_all_after(context)
        paths = Paths(self.settings, self.contract, "{ds}", run_slug(context["run_id"]))
        manifest = {
            "step": self.task_id,
            "dataset": self.contract.dataset,
            "ds": f"{start}..{end}",
            "run": paths.run,
            "dates": entries,
        }
        write_manifest(s3, paths.reprocess_manifest(self.task_id), manifest)


def _entry(found: Compared) -> dict[str, Any]:
    """What the plan says of a date."""
    return {
        "outcome": PLANNED if found.received.files else SKIPPED,
        "why": found.why,
        "content": found.content,
        "published": str(found.published.submission) if found.published else None,
    }
