"""Compute a mart's pictures with Athena, and whatever later ones a late date has made stale."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException
from contract.dataset import Contract, Mart
from contract.evolution import types_of

from lake.catalog import PartitionedTable
from lake.manifest import Record
from lake.pictures import hides_pictures, point_at_pictures, stale_pictures
from lake.settings import Settings
from lake.sql import mart_select
from lake.tables import mart_table, public_table

POLL_SECONDS = 1
ROUNDS = 20
# UNLOAD writes up to 100 partitions, but a query of Athena may have up to 150 stages, of which a picture takes several.
DATES_PER_QUERY = 25


class MartOperator(AthenaOperator):
    """Write a mart's pictures as of one or many dates to new folders, then point the mart's partitions there.

    The mart's scope says which dates the picture of a date is made from: that date, the month up to it, or everything
    up to it. Each partition records a digest of what it was made from: the SQL, and the folder of every source
    partition in the scope. So a date that is published late, or again, makes later pictures stale that it is in, and
    this operator computes those again too; what is up to date already it leaves alone. It looks once more after it
    has written: two runs at the same time end in the same tables as one after the other. One query computes up to
    `DATES_PER_QUERY` pictures.

    Where the contract's columns of the mart cannot show a picture, of whatever date, that one is stale too; then the
    table gets those columns, and the partitions their new folders, when all that is stale has been computed.

    Args:
        settings: the stack's names.
        contract: the dataset.
        mart: the mart; its SQL is `include/sql/<dataset>/<mart>.sql`.
        dates: the dates that were published, separated by spaces; templated.
        timeout: bound of one query, in seconds.

    Raises:
        AirflowException: when a query fails, or the sources keep changing under it.
    """

    template_fields = aws_template_fields("dates")

    def __init__(
        self, *, settings: Settings, contract: Contract, mart: Mart, dates: str, timeout: float = 1800, **kwargs: Any
    ) -> None:
        self.names = settings.names(contract.dataset)
        super().__init__(
            query="",
            database=self.names.database,
            workgroup=settings.athena_workgroup,
            sleep_time=POLL_SECONDS,
            max_polling_attempts=int(timeout / POLL_SECONDS),
            deferrable=False,  # a query of seconds is not worth a deferral, and a killed task cancels it
            **kwargs,
        )
        self.settings = settings
        self.contract = contract
        self.mart = mart
        self.dates = dates

    def execute(self, context: Any) -> Any:
        """Compute the dates' pictures and every other stale one; return their dates."""
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn
        source = public_table(glue, self.settings, self.contract)
        target = mart_table(glue, self.settings, self.contract, self.mart)
        computed: list[str] = []
        for _ in range(ROUNDS):
            stale = stale_pictures(self.contract, self.mart, source, target, self.dates.split())
            self.log.info("to be computed: %s", ", ".join(stale) or "nothing")
            queries: Iterable[Record] = (
                self._compute(context, dict(list(stale.items())[start : start + DATES_PER_QUERY]), target)
                for start in range(0, len(stale), DATES_PER_QUERY)
            )
            if stale and hides_pictures(self.mart, target):
                queries = list(queries)
            target.ensure()
            if not stale:
                return computed
            for made in queries:
                point_at_pictures(s3, self.settings, self.contract, self.mart, source, target, made)
            computed.extend(stale)
        raise AirflowException(f"the sources of {self.mart.name} changed under each of {ROUNDS} rounds: {list(stale)}")

    def _compute(self, context: Any, pictures: dict[str, str], target: PartitionedTable) -> Record:
        """Compute pictures, given as digest by date, and return what is to be recorded of it.

        The digests were taken before: what changes after that makes a picture stale, and another round sees it.
        """
        folder = f"{target.location}run={secrets.token_hex(8)}/"
        selects = "\nUNION ALL\n".join(
            f"SELECT *, '{ds}' AS ds FROM (\n{mart_select(self.contract, self.mart, ds)}\n)"  # noqa: S608 - dates of partitions
            for ds in pictures
        )
        self.query = (
            f"UNLOAD (\n{selects}\n)\nTO '{folder}' "
            "WITH (format = 'PARQUET', compression = 'ZSTD', partitioned_by = ARRAY['ds'])"
        )
        query_id = super().execute(context)
        columns = types_of(self.mart.columns)
        return {"folder": folder, "query_id": str(query_id), "columns": columns, "pictures": pictures}
