"""Clean and validate many dates in one Spark session."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from lake.manifest import write_manifest
from lake.operators.clean import CleanOperator
from lake.published import published_rows

LOADED = "loaded"


class ReprocessOperator(CleanOperator):
    """Run the job `reprocess`, show what it quarantined on any date, and return the dates that are valid, in order.

    Args:
        history: where to write how many rows the dates before have; templated.
    """

    def __init__(self, *, history: str, arguments: dict[str, str], **kwargs: Any) -> None:
        super().__init__(job="reprocess", arguments={**arguments, "history": history}, **kwargs)

    def execute(self, context: Any) -> Any:
        """Write what is published, then submit."""
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn
        rows = published_rows(glue, self.settings.names(self.contract.dataset), self.last_date)
        write_manifest(S3Hook(aws_conn_id=self.aws_conn_id).conn, self.arguments["history"], rows)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Return the dates that are valid."""
        manifest = super().execute_complete(context, event)
        return sorted(ds for ds, entry in manifest["dates"].items() if entry["outcome"] == LOADED)

    def quarantined(self, manifest: dict[str, Any]) -> dict[str, tuple[str, str]]:
        """Run id and folder of bad rows for each date that was cleaned, valid or not."""
        return {
            ds: (entry["submission"], entry["quarantine"])
            for ds, entry in manifest["dates"].items()
            if "quarantine" in entry
        }
