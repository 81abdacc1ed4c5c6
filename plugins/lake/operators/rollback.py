"""Make an earlier submission of a date count again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException
from contract.dataset import Contract
from contract.evolution import types_of, unreadable
from contract.files import split_s3
from contract.submission import Submission

from lake.catalog import PartitionedTable
from lake.dry_run import skip_all_after
from lake.macros import days, resolve_dates, run_slug
from lake.manifest import Record, read_manifest_if_present
from lake.objects import keys_under
from lake.paths import Paths
from lake.published import Kind, earlier_submissions, point_back
from lake.settings import Settings
from lake.tables import public_table, quarantine_table


@dataclass(frozen=True)
class Step:
    """What a rollback does to a date: the record of what is published, and that of what is to be published again."""

    paths: Paths
    published: Record
    target: Record

    def __str__(self) -> str:
        now, then = (Submission.told(record) for record in (self.published, self.target))
        return f"{self.paths.ds}: {now} ({self.published['rows']} rows) -> {then} ({self.target['rows']} rows)"


class RollbackOperator(AwsBaseOperator[S3Hook]):
    """Point the dates `start` to `end` at what was published before, and return those that changed, in order.

    That is the submission published last before the one that is published now, or, where the parameter `submission`
    names one (or the Airflow run that made it), that one. The record, the partition with its parameters and the
    quarantine follow. Only a run that looks at the raw files after this counts again: one that is cleared does not undo
    it. Dates of which nothing else was published stay as they are, and are named. A date that this run has taken back
    before is left alone.

    A dry run, which is the default, only shows what would change, in its log.

    Args:
        settings: the stack's names.
        contract: the dataset.

    Raises:
        AirflowFailException: when no date can go back, or the files of one are not there any more, or have a column
            that the contract's cannot show.
    """

    aws_hook_class = S3Hook
    template_fields = aws_template_fields()
    ui_color = "#f5c6c6"

    def __init__(self, *, settings: Settings, contract: Contract, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.contract = contract

    def execute(self, context: Any) -> list[str]:
        """Show what would change; unless it is a dry run, change it."""
        s3, wanted, by = self.hook.conn, context["params"].get("submission") or "", run_slug(context["run_id"])
        steps = []
        for ds in days(*resolve_dates(context)):
            paths = Paths(self.settings, self.contract, ds, by)
            published = read_manifest_if_present(s3, paths.record("published"))
            if published is None:
                self.log.info("%s: nothing is published", ds)
            elif published.get("rolled_back_by") == by:
                steps.append(Step(paths, published, published))  # by an earlier try
            elif any(record.get("rolled_back_by") == by for record in earlier_submissions(published).values()):
                self.log.warning("%s stays: a newer run has published it since this one went back", ds)
            elif target := _target(published, wanted):
                steps.append(Step(paths, published, target))
            else:
                known = ", ".join(map(str, earlier_submissions(published))) or "nothing else"
                self.log.warning("%s stays: %s was published before %s", ds, known, Submission.told(published))
        if not steps:
            raise AirflowFailException(
                f"no date can go back to {wanted or 'what was published before'}: "
                "the log of this task says what there is"
            )
        for step in steps:
            self._check_files(s3, step)
            self.log.info("%s", step)
        if context["params"]["dry_run"]:
            self.log.info("nothing is done: this is a dry run")
            skip_all_after(context)
        for step in steps:
            self._go_back(s3, step, by)
        return [step.paths.ds for step in steps]

    def _check_files(self, s3: Any, step: Step) -> None:
        # Records of older lakes tell no columns: then nothing is known against it.
        types, wanted = step.target.get("columns", {}), types_of(self.contract.published_columns)
        if hidden := [
            f"column {name} is {types[name]} there, {wanted[name]} now" for name in unreadable(types, wanted)
        ]:
            raise AirflowFailException(
                f"{step}: the contract has changed too much since: {'; '.join(hidden)}. Nothing was changed"
            )
        bucket, prefix = split_s3(step.target["uri"])
        found = len(keys_under(s3, bucket, prefix))
        if found != step.target["files"]:
            raise AirflowFailException(
                f"{step}: {step.target['uri']} has {found} of its {step.target['files']} files. Retention deletes what "
                f"was superseded for {self.contract.retention.days} days: load the date again instead, or bring the "
                "versions of these objects back. Nothing was changed"
            )

    def _go_back(self, s3: Any, step: Step, by: str) -> None:
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn
        decision = {"listed": datetime.now(UTC).isoformat(), "rolled_back_by": by}
        self._point_back(s3, step, "published", public_table(glue, self.settings, self.contract), decision)
        self._point_back(s3, step, "quarantined", quarantine_table(glue, self.settings, self.contract), decision)
        self.log.info("%s ds=%s reads %s", self.contract.dataset, step.paths.ds, step.target["uri"])

    def _point_back(self, s3: Any, step: Step, kind: Kind, table: PartitionedTable, decision: Record) -> None:
        """Go back to the submission, unless a table is there already, or never knew it."""
        submission = Submission.told(step.target)
        known = read_manifest_if_present(s3, step.paths.record(kind))
        if known and submission in earlier_submissions(known):
            point_back(s3, step.paths, kind, table, submission, decision)


def _target(published: Record, wanted: str) -> Record | None:
    """What to publish again: the submission or run that is wanted by name, or what was published last before."""
    for submission, record in earlier_submissions(published).items():
        if wanted in ("", str(submission), submission.run):
            return record
    return None
