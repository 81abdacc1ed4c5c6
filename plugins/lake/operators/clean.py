"""Clean a date's raw files, and show the rows that broke a rule."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from contract.columns import QUARANTINE_COLUMNS
from contract.dataset import Contract
from contract.evolution import types_of

from lake.catalog import PartitionedTable
from lake.evolution import require_readable
from lake.manifest import read_manifest, write_manifest
from lake.operators.worker_job import WorkerJobOperator
from lake.parallel import in_parallel
from lake.paths import Paths
from lake.published import folders_of_other_datasets, point_at_newest
from lake.settings import Settings
from lake.tables import quarantine_table


class CleanOperator(WorkerJobOperator):
    """Run a job that cleans, and point the quarantine table's partitions at the rows it refused.

    That happens here, not when the run is published, because the quarantine is needed most when it will not be. A
    contract by which what is published could not be read is refused before the job is started.
    The job is told where the rows of other datasets are, and which key hashes personal data, if its contract needs it.

    Args:
        settings: the stack's names.
        contract: the dataset.
        references: where to write what other datasets have published; templated.
        job: the job.

    Raises:
        AirflowFailException: when the contract cannot take effect (`require_readable`).
    """

    def __init__(
        self,
        *,
        settings: Settings,
        contract: Contract,
        references: str,
        arguments: Mapping[str, str],
        job: str = "clean",
        **kwargs: Any,
    ) -> None:
        needed = {"references": references} if contract.other_datasets else {}
        if contract.personal_columns:
            needed["personal-key"] = settings.personal_data_key_arn
        super().__init__(
            settings=settings, job=job, program="spark-submit", arguments={**arguments, **needed}, **kwargs
        )
        self.contract = contract

    @property
    def last_date(self) -> str:
        """The date that the run is about, or the last of `START..END`."""
        return self.arguments["ds"].rpartition("..")[2]

    def execute(self, context: Any) -> Any:
        """Ask whether the contract may take effect, write what other datasets have published, then submit."""
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn
        require_readable(glue, self.settings, self.contract)
        if self.contract.other_datasets:
            folders = folders_of_other_datasets(glue, self.settings, self.contract, self.last_date)
            write_manifest(S3Hook(aws_conn_id=self.aws_conn_id).conn, self.arguments["references"], folders)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Return the manifest, with the quarantine table up to date."""
        manifest = super().execute_complete(context, event)
        self._show_quarantined(self.quarantined(manifest))
        return manifest

    def quarantined(self, manifest: dict[str, Any]) -> dict[str, tuple[str, str]]:
        """Submission and folder of bad rows for each date that the job's manifest says was cleaned."""
        return {manifest["ds"]: (manifest["submission"], manifest["quarantine"]["uri"])}

    def _show_quarantined(self, folders: Mapping[str, tuple[str, str]]) -> None:
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        table = quarantine_table(GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn, self.settings, self.contract)
        table.ensure()
        in_parallel(partial(self._show, s3, table), folders, folders.values())

    def _show(self, s3: Any, table: PartitionedTable, ds: str, folder: tuple[str, str]) -> None:
        submission, uri = folder
        paths = Paths(self.settings, self.contract, ds, self.run_name)
        listed = read_manifest(s3, paths.manifest("stage_raw"))["listed"]
        told = {"submission": submission}
        columns = types_of(QUARANTINE_COLUMNS)
        run = {"ds": ds, **told, "uri": uri, "listed": listed, "columns": columns, "parameters": told}
        point_at_newest(s3, paths, "quarantined", table, run)
