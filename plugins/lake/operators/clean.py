"""Clean a date's raw files, and show the rows that broke a rule."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook

from lake.catalog import PartitionedTable
from lake.contract import QUARANTINE_COLUMNS, Contract
from lake.operators.worker_job import WorkerJobOperator


class CleanOperator(WorkerJobOperator):
    """Run the job `clean` and point the quarantine table's partition at the rows it refused.

    That happens here, not when the run is published, because the quarantine is needed most when it will not be.

    Args:
        contract: the dataset.
    """

    def __init__(self, *, contract: Contract, **kwargs: Any) -> None:
        super().__init__(job="clean", program="spark-submit", **kwargs)
        self.contract = contract

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
