"""Clean a date's raw files, and show the rows that broke a rule."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from lake.catalog import PartitionedTable
from lake.contract import QUARANTINE_COLUMNS, Contract
from lake.manifest import write_manifest
from lake.operators.worker_job import WorkerJobOperator
from lake.published import folders_of_other_datasets
from lake.settings import Settings


class CleanOperator(WorkerJobOperator):
    """Run the job `clean` and point the quarantine table's partition at the rows it refused.

    That happens here, not when the run is published, because the quarantine is needed most when it will not be.
    The job is told where the rows of other datasets are, and which key hashes personal data, if its contract needs it.

    Args:
        settings: the stack's names.
        contract: the dataset.
        references: where to write what other datasets have published; templated.
    """

    def __init__(
        self, *, settings: Settings, contract: Contract, references: str, arguments: dict[str, str], **kwargs: Any
    ) -> None:
        needed = {"references": references} if contract.other_datasets else {}
        if contract.personal_columns:
            needed["personal-key"] = settings.personal_data_key_arn
        super().__init__(
            settings=settings, job="clean", program="spark-submit", arguments={**arguments, **needed}, **kwargs
        )
        self.contract = contract

    def execute(self, context: Any) -> dict[str, Any]:
        """Write what other datasets have published, then submit."""
        if self.contract.other_datasets:
            glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn
            folders = folders_of_other_datasets(glue, self.contract, self.arguments["ds"])
            write_manifest(S3Hook(aws_conn_id=self.aws_conn_id).conn, self.arguments["references"], folders)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Return the manifest, with the quarantine table up to date."""
        manifest = super().execute_complete(context, event)
        quarantine = PartitionedTable(
            GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn,
            database=self.contract.database,
            name=self.contract.quarantine_table,
            columns=QUARANTINE_COLUMNS,
            location=f"s3://{self.settings.processed_bucket}/{self.contract.quarantine_table}/",
            description=f"Rows of {self.contract.dataset} that broke a rule in the latest run of each date",
        )
        quarantine.ensure()
        quarantine.point(manifest["ds"], manifest["quarantine"]["uri"], {"run_id": manifest["run_id"]})
        return manifest
