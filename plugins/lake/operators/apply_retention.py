"""Delete what the contract of a dataset does not keep any longer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.ec2 import EC2Hook
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from contract.dataset import Contract

from lake.retention import Retention
from lake.settings import Settings


class ApplyRetentionOperator(AwsBaseOperator[S3Hook]):
    """Find superseded runs, quarantine, marts and snapshots of a dataset, name them, and delete them.

    Args:
        settings: the stack's names.
        contract: the dataset.
        limit: how many folders and snapshots to delete at most; the next run goes on with the rest.
    """

    aws_hook_class = S3Hook
    ui_color = "#e0e0e0"

    def __init__(self, *, settings: Settings, contract: Contract, limit: int = 1000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.contract = contract
        self.limit = limit

    def execute(self, context: Any) -> dict[str, int]:
        """Delete, unless the run's parameter `dry_run` says only to look.

        Returns:
            How many folders and snapshots there were, of how many bytes in folders, and how many of them are deleted.
        """
        retention = Retention(
            self.hook.conn,
            GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn,
            EC2Hook(aws_conn_id=self.aws_conn_id, api_type="client_type").conn,
            settings=self.settings,
            contract=self.contract,
            now=datetime.now(UTC),
        )
        expired = retention.expired()
        doomed = expired.first(self.limit)
        for folder in doomed.folders:
            self.log.info("%s, %d bytes, written %s", folder.uri, folder.bytes, folder.newest)
        for snapshot in doomed.snapshots:
            self.log.info("%s", snapshot)
        dry = bool(context["params"].get("dry_run"))
        if not dry:
            retention.delete(doomed)
        self.log.info(
            "%d of %d that are superseded for more than %d days %s",
            len(doomed),
            len(expired),
            self.contract.retention.days,
            "would be deleted: this is a dry run" if dry else "are deleted",
        )
        return {
            "folders": len(expired.folders),
            "snapshots": len(expired.snapshots),
            "bytes": sum(folder.bytes for folder in expired.folders),
            "deleted": 0 if dry else len(doomed),
        }
