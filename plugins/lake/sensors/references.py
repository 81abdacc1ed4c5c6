"""Wait for the same date of the datasets that a dataset reads."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from contract.dataset import Contract

from lake.macros import resolve_date
from lake.published import is_published
from lake.raw import received_by_date
from lake.sensors.raw_files import expected_since
from lake.settings import Settings
from lake.triggers.published import PublishedTrigger


class ReferencesSensor(AwsBaseSensor[GlueCatalogHook]):
    """Wait, deferred, until the run's date of each dataset in the contract's `wait.for` is published.

    After `wait.for_hours` the run goes on with what counts as of the date, and says so: once the missing date is
    published, the run's date is stale, and is loaded again. A date that is over for longer than that waits only for
    datasets that have raw files of it; nobody will bring the others while the sensor looks on.

    Args:
        settings: the stack's names.
        contract: the dataset that reads.
    """

    aws_hook_class = GlueCatalogHook
    template_fields = aws_template_fields()

    def __init__(self, *, settings: Settings, contract: Contract, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.contract = contract

    def execute(self, context: Any) -> None:
        """Look once, then defer, or go on."""
        ds = resolve_date(context)
        missing = [name for name in self.contract.wait.references if not self._is_published(name, ds)]
        awaited = missing
        patience = timedelta(hours=self.contract.wait.for_hours)
        if datetime.now(UTC) - expected_since(context) > patience:
            awaited = [name for name in missing if self._has_files(name, ds)]
        if not awaited:
            self._go_on(missing, ds)
            return
        self.log.info("waiting up to %s for %s of ds=%s", patience, ", ".join(awaited), ds)
        self.defer(
            trigger=PublishedTrigger(
                tables={self.settings.names(name).table: self.settings.names(name).database for name in awaited},
                ds=ds,
                deadline=time.time() + patience.total_seconds(),
                poll_seconds=self.poke_interval,
                aws_conn_id=self.aws_conn_id,
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> None:
        """Go on, whether all are published or the time is over."""
        self._go_on(event["missing"], resolve_date(context))

    def _is_published(self, dataset: str, ds: str) -> bool:
        return is_published(self.hook.conn, self.settings.names(dataset), ds)

    def _has_files(self, dataset: str, ds: str) -> bool:
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        found = received_by_date(s3, self.settings.raw_bucket, dataset, ds, ds)
        return ds in found and bool(found[ds].files)

    def _go_on(self, missing: Iterable[str], ds: str) -> None:
        for dataset in missing:
            self.log.warning(
                "%s ds=%s is not published: %s is loaded with what counts of it as of the date; once it is published, "
                "the date is stale, and is loaded again",
                *(dataset, ds, self.contract.dataset),
            )
