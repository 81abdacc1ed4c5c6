"""Say what loading a range of dates again would change, and plan it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from contract.dataset import Contract
from contract.submission import Submission

from lake.bundle import digest_of_this_process
from lake.dry_run import skip_all_after
from lake.macros import days, resolve_dates, run_slug
from lake.manifest import read_manifest_if_present, write_manifest
from lake.paths import Paths
from lake.published import folders_of_other_datasets, published_submissions
from lake.raw import received_by_date
from lake.settings import Settings

PLANNED, SKIPPED = "planned", "skipped"
PARALLEL_CALLS = 8
Folders = Mapping[str, Mapping[str, str]]
"""Folder by date by dataset."""


class PlanReprocessOperator(AwsBaseOperator[S3Hook]):
    """Compare the raw files of each date with what is published for it, and plan every date that has a file.

    A dry run shows the comparison, writes nothing, and skips all tasks after this one. So does a range without files.
    The comparison is in the log, and, as dates by what would change, in the XCom `plan`.

    Args:
        settings: the stack's names.
        contract: the dataset.

    Raises:
        AirflowFailException: when the parameters `start` and `end` are not dates in order.
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
        raw = received_by_date(s3, self.settings.raw_bucket, self.contract.dataset, start, end)
        files = {ds: found.files for ds, found in raw.items() if found.files}
        published = published_submissions(glue, self.settings.names(self.contract.dataset), start, end)
        others = folders_of_other_datasets(glue, self.settings, self.contract, end)
        dates = days(start, end)
        compare = partial(self._entry, s3, others)
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            entries = list(pool.map(compare, dates, map(files.get, dates), map(published.get, dates)))
        for ds, entry in zip(dates, entries, strict=True):
            self.log.info("%s %s: %s (published: %s)", ds, entry["outcome"], entry["why"], entry["published"])
        by_reason = {
            why: [ds for ds, entry in zip(dates, entries, strict=True) if entry["why"] == why]
            for why in sorted({entry["why"] for entry in entries})
        }
        for why, found in by_reason.items():
            self.log.info("%d dates: %s", len(found), why)
        context["ti"].xcom_push(key="plan", value=by_reason)
        if context["params"]["dry_run"] or not files:
            self.log.info("nothing is done: %s", "this is a dry run" if files else "no date has a raw file")
            skip_all_after(context)
        paths = Paths(self.settings, self.contract, "{ds}", run_slug(context["run_id"]))
        manifest = {
            "step": self.task_id,
            "dataset": self.contract.dataset,
            "ds": f"{start}..{end}",
            "run": paths.run,
            "dates": dict(zip(dates, entries, strict=True)),
        }
        write_manifest(s3, paths.reprocess_manifest(self.task_id), manifest)

    def _entry(
        self, s3: Any, others: Folders, ds: str, files: set[tuple[str, str]] | None, published: Submission | None
    ) -> dict[str, Any]:
        name = str(published) if published else None
        if not files:
            stays = ", what is published stays" if published else ""
            return {"outcome": SKIPPED, "why": f"there is no raw file{stays}", "published": name}
        changed = self._changed(s3, others, ds, files, published) if published else "is new"
        return {"outcome": PLANNED, "why": changed, "published": name}

    def _changed(self, s3: Any, others: Folders, ds: str, files: set[tuple[str, str]], published: Submission) -> str:
        """What is not as it was when the submission that is published was made."""
        paths = Paths(self.settings, self.contract, ds, published.run)
        staged = read_manifest_if_present(s3, paths.manifest("stage_raw"))
        cleaned = read_manifest_if_present(s3, paths.manifest("clean"))
        if staged is None or cleaned is None:
            return "it is not known from what it was made"
        read = None
        if self.contract.other_datasets:
            read = read_manifest_if_present(s3, paths.manifest("references"))
            read = read or read_manifest_if_present(s3, paths.reprocess_manifest("references"))
        was = {(file["key"], file["etag"]) for file in (*staged["files"], *staged["duplicate_files"])}
        changes: Mapping[str, bool] = {
            "raw files": was != files,
            "other datasets": _as_of(read or {}, ds) != _as_of(others, ds),
            "code": cleaned["versions"].get("bundle") != digest_of_this_process(),
        }
        found = [name for name, changed in changes.items() if changed]
        return f"{' and '.join(found)} changed since" if found else "nothing changed since"


def _as_of(others: Folders, ds: str) -> Folders:
    """What of other datasets counts on a date."""
    return {name: {day: folder for day, folder in found.items() if day <= ds} for name, found in others.items()}
