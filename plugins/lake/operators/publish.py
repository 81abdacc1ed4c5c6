"""Publish a promoted run: the atomic step after which readers see it."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException

from lake.catalog import PartitionedTable
from lake.contract import Contract
from lake.manifest import read_manifest, write_manifest
from lake.settings import Settings
from lake.sql import render_sql

POLL_SECONDS = 1


def public_table(glue: Any, settings: Settings, contract: Contract) -> PartitionedTable:
    """Return the table that readers of the dataset use.

    Args:
        glue: boto3 Glue client.
        settings: the stack's names.
        contract: the dataset.
    """
    return PartitionedTable(
        glue,
        database=contract.database,
        name=contract.table,
        columns=contract.published_columns,
        location=f"s3://{settings.processed_bucket}/{contract.runs_table}/",
        description=contract.description,
    )


class PublishOperator(AwsBaseOperator[GlueCatalogHook]):
    """Point the public table's partition at the promoted run, and keep the view of latest versions up to date.

    Args:
        settings: the stack's names.
        contract: the dataset.
        promote_manifest: manifest of the promotion; templated.
        manifest: where to report the result; templated.
        timeout: bound of the view's creation, in seconds.

    Raises:
        AirflowException: when Athena did not create the view.
    """

    aws_hook_class = GlueCatalogHook
    template_fields = aws_template_fields("promote_manifest", "manifest")
    ui_color = "#9ed5ab"

    def __init__(
        self,
        *,
        settings: Settings,
        contract: Contract,
        promote_manifest: str,
        manifest: str,
        timeout: float = 120,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.contract = contract
        self.promote_manifest = promote_manifest
        self.manifest = manifest
        self.timeout = timeout

    def execute(self, context: Any) -> dict[str, Any]:
        """Make the table if needed, flip the partition, refresh the view, report."""
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        promoted = read_manifest(s3, self.promote_manifest)
        table = public_table(self.hook.conn, self.settings, self.contract)
        table.ensure()
        before = table.point(
            promoted["ds"],
            promoted["uri"],
            {"run_id": promoted["run_id"], "numRows": str(promoted["rows"])},
        )
        if self.contract.load_mode == "upsert":
            self._refresh_view()
        manifest = {
            "step": "publish",
            "ds": promoted["ds"],
            "run_id": promoted["run_id"],
            "uri": promoted["uri"],
            "replaced": before,
            "rows": promoted["rows"],
        }
        write_manifest(s3, self.manifest, manifest)
        self.log.info("%s ds=%s reads %s (before: %s)", self.contract.table, promoted["ds"], promoted["uri"], before)
        return manifest

    def _refresh_view(self) -> None:
        view = self.contract.current_view
        athena = AthenaHook(aws_conn_id=self.aws_conn_id)
        query_id = athena.run_query(
            f"CREATE OR REPLACE VIEW {view} AS\n{render_sql(self.contract, view, None)}",
            {"Database": self.contract.database},
            {},
            workgroup=self.settings.athena_workgroup,
        )
        state = athena.poll_query_status(
            query_id, max_polling_attempts=int(self.timeout / POLL_SECONDS), sleep_time=POLL_SECONDS
        )
        if state != "SUCCEEDED":
            raise AirflowException(f"view {view}: {state}: {athena.get_state_change_reason(query_id)}")
