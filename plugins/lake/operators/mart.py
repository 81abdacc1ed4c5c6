"""Compute a mart with Athena, and whatever later picture of it a late date has made stale."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException

from lake.catalog import PartitionedTable
from lake.contract import Contract, Mart
from lake.operators.publish import public_table
from lake.settings import Settings
from lake.sql import Dates, dates_affected, dates_read, mart_select

POLL_SECONDS = 1
ROUNDS = 20


class MartOperator(AthenaOperator):
    """Write a mart's picture as of a date to a new folder, then point the mart's partition there.

    The mart's scope says which dates the picture of a date is made from: that date, the month up to it, or everything
    up to it. Each partition records a digest of what it was made from: the SQL, and the folder of every source
    partition in the scope. So a date that is published late, or again, makes later pictures stale that it is in, and
    this operator computes those again too. It looks once more after it has written: two runs at the same time end in
    the same tables as one after the other.

    Args:
        settings: the stack's names.
        contract: the dataset.
        mart: the mart; its SQL is `include/sql/<dataset>/<mart>.sql`.
        ds: date of the picture, `YYYY-MM-DD`; templated.
        timeout: bound of one query, in seconds.

    Raises:
        AirflowException: when a query fails, or the sources keep changing under it.
    """

    template_fields = aws_template_fields("ds")

    def __init__(
        self, *, settings: Settings, contract: Contract, mart: Mart, ds: str, timeout: float = 1800, **kwargs: Any
    ) -> None:
        super().__init__(
            query="",
            database=contract.database,
            workgroup=settings.athena_workgroup,
            sleep_time=POLL_SECONDS,
            max_polling_attempts=int(timeout / POLL_SECONDS),
            deferrable=False,  # a query of seconds is not worth a deferral, and a killed task cancels it
            **kwargs,
        )
        self.settings = settings
        self.contract = contract
        self.mart = mart
        self.ds = ds

    def execute(self, context: Any) -> list[str]:
        """Compute the date's picture and every stale later one; return their dates."""
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn
        source = public_table(glue, self.settings, self.contract)
        target = PartitionedTable(
            glue,
            database=self.contract.database,
            name=self.mart.name,
            columns=self.mart.columns,
            location=f"s3://{self.settings.enriched_bucket}/{self.contract.dataset}/{self.mart.name}/",
            description=self.mart.description,
        )
        target.ensure()
        computed: list[str] = []
        stale = [self.ds]
        for _ in range(ROUNDS):
            for ds in stale:
                self._compute(context, ds, source, target)
                computed.append(ds)
            stale = self._stale(source, target)
            if not stale:
                return computed
            self.log.info("made stale by %s: %s", self.ds, ", ".join(stale))
        raise AirflowException(f"the sources of {self.mart.name} changed under each of {ROUNDS} rounds: {stale}")

    def _compute(self, context: Any, ds: str, source: PartitionedTable, target: PartitionedTable) -> None:
        # The digest is taken first: what changes after it makes the partition stale, and another round sees that.
        digest = self._digest(ds, _folders(source, dates_read(self.mart.scope, ds).condition))
        folder = (
            f"s3://{self.settings.enriched_bucket}/{self.contract.dataset}/{self.mart.name}"
            f"/ds={ds}/run={secrets.token_hex(8)}/"
        )
        select = mart_select(self.contract, self.mart, ds)
        self.query = f"UNLOAD (\n{select}\n)\nTO '{folder}' WITH (format = 'PARQUET', compression = 'ZSTD')"
        query_id = super().execute(context)
        target.point(ds, folder, {"source_digest": digest, "query_id": str(query_id)})

    def _stale(self, source: PartitionedTable, target: PartitionedTable) -> list[str]:
        """Dates whose picture is made from `ds`, and was made from other sources than those of now."""
        pictures = {
            partition["Values"][0]: partition["Parameters"].get("source_digest")
            for partition in target.partitions(dates_affected(self.mart.scope, self.ds).condition)
        }
        read = Dates(dates_read(self.mart.scope, min(pictures)).first, max(pictures))
        folders = _folders(source, read.condition)
        return sorted(ds for ds, digest in pictures.items() if digest != self._digest(ds, folders))

    def _digest(self, ds: str, folders: dict[str, str]) -> str:
        digest = hashlib.sha256(mart_select(self.contract, self.mart, ds).encode())
        read = dates_read(self.mart.scope, ds)
        for date in sorted(folders):
            if date in read:
                digest.update(f"{date} {folders[date]}\n".encode())
        return digest.hexdigest()


def _folders(table: PartitionedTable, expression: str) -> dict[str, str]:
    return {p["Values"][0]: p["StorageDescriptor"]["Location"] for p in table.partitions(expression)}
