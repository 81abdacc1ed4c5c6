"""Publish promoted submissions: for each date, the atomic step after which readers see it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from contract.dataset import Contract
from contract.submission import Submission

from lake.catalog import PartitionedTable
from lake.evolution import require_readable, told_of_files
from lake.manifest import Record, write_manifest
from lake.parallel import in_parallel
from lake.paths import Paths, paths_of
from lake.published import point_at_newest, promoted_runs
from lake.settings import Settings
from lake.tables import create_current_view, public_table


class PublishOperator(AwsBaseOperator[GlueCatalogHook]):
    """Point the public table's partitions at promoted submissions, date by date, and keep the current view up to date.

    Of several runs of one date, that counts which looked at the raw files last (`point_at_newest`). Each partition is
    described by the columns of its own files. The table has those of the contract, so nothing is published as long as
    a date that is or will be there could not be read by them (`require_readable`).

    Args:
        settings: the stack's names.
        contract: the dataset.
        run_name: name of this run; templated.
        dates: the dates that were promoted, separated by spaces; templated.
        timeout: bound of the view's creation, in seconds.

    Raises:
        AirflowFailException: when the contract cannot take effect.
        AirflowException: when Athena did not create the view.
    """

    aws_hook_class = GlueCatalogHook
    template_fields = aws_template_fields("run_name", "dates")
    ui_color = "#9ed5ab"

    def __init__(
        self,
        *,
        settings: Settings,
        contract: Contract,
        run_name: str,
        dates: str,
        timeout: float = 120,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.contract = contract
        self.run_name = run_name
        self.dates = dates
        self.timeout = timeout

    def execute(self, context: Any) -> None:
        """Make the table if needed, flip the partitions, refresh the view, report."""
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        dates = paths_of(self.settings, self.contract, self.run_name, self.dates)
        promoted = promoted_runs(s3, dates)
        require_readable(self.hook.conn, self.settings, self.contract, promoted)
        table = public_table(self.hook.conn, self.settings, self.contract)
        table.ensure()
        in_parallel(partial(self._publish, s3, table), dates, promoted)
        if self.contract.has_current_view:
            create_current_view(AthenaHook(aws_conn_id=self.aws_conn_id), self.settings, self.contract, self.timeout)

    def _publish(self, s3: Any, table: PartitionedTable, paths: Paths, promoted: Record) -> None:
        submission = str(Submission.told(promoted))
        parameters = {
            "submission": submission,
            "numRows": str(promoted["rows"]),
            "profile": json.dumps(promoted.get("profile", {}), allow_nan=False),
            "made_from": json.dumps(promoted.get("made_from", {})),
            **told_of_files(promoted),
        }
        published, replaced = point_at_newest(s3, paths, "published", table, {**promoted, "parameters": parameters})
        manifest = {
            "step": "publish",
            "ds": paths.ds,
            "submission": submission,
            "uri": published["uri"],
            "replaced": replaced,
            "rows": published["rows"],
            "published": str(Submission.told(published)),
        }
        write_manifest(s3, paths.manifest("publish"), manifest)
        self.log.info("%s ds=%s reads %s (before: %s)", table.name, paths.ds, published["uri"], replaced)
        if manifest["published"] != submission:
            self.log.warning("ds=%s stays with %s, which saw the raw files later", paths.ds, manifest["published"])
