"""Compute a mart's pictures with Athena, and whatever later ones a late date has made stale."""

from __future__ import annotations

import secrets
from datetime import timedelta
from functools import cached_property
from typing import Any

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.links.athena import AthenaQueryResultsLink
from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException
from contract.dataset import Contract, Mart
from contract.evolution import types_of

from lake.catalog import PartitionedTable
from lake.manifest import Record
from lake.patience import IN_PLACE_SECONDS
from lake.pictures import hides_pictures, point_at_pictures, stale_pictures
from lake.settings import Settings
from lake.sql import mart_select
from lake.tables import mart_table, public_table
from lake.triggers.athena_query import AthenaQueryTrigger

POLL_SECONDS = 1
DEFERRED_POLL_SECONDS = 10
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
    `DATES_PER_QUERY` pictures; a longer one is awaited deferred, and cancelled when the task is killed.

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
            **kwargs,
        )
        self.settings = settings
        self.contract = contract
        self.mart = mart
        self.dates = dates
        self.timeout = timeout

    def execute(self, context: Any) -> Any:
        """Compute the dates' pictures and every other stale one; return their dates."""
        return self._compute(context, [], [])

    def go_on(self, context: Any, event: Any, made: Record, held: list[Record], computed: list[str]) -> list[str]:
        """Go on after a query that was awaited deferred."""
        self.query_execution_id = made["query_id"]
        self._require_success(made)
        return self._compute(context, [*held, made], [*computed, *made["pictures"]])

    def _compute(self, context: Any, held: list[Record], computed: list[str]) -> list[str]:
        """Compute what is stale, query by query.

        Args:
            context: the task's context.
            held: what queries have made that readers are not shown yet.
            computed: the dates so far, each as often as it was computed.
        """
        while True:
            stale = self._stale(held)
            if held and not (stale and hides_pictures(self.mart, self._target)):
                self._show(held)
                held = []
                continue
            self.log.info("to be computed: %s", ", ".join(stale) or "nothing")
            if not stale:
                self._target.ensure()
                return computed
            pictures = dict(list(stale.items())[:DATES_PER_QUERY])
            if max(map(computed.count, pictures)) >= ROUNDS:
                raise AirflowException(f"the sources of {self.mart.name} changed under {ROUNDS} queries: {list(stale)}")
            made = self._started(context, pictures)
            self._wait(made, held, computed)
            self._require_success(made)
            held, computed = [*held, made], [*computed, *pictures]

    def _started(self, context: Any, pictures: dict[str, str]) -> Record:
        """Start the query of pictures, given as digest by date, and say what it makes.

        The digests were taken before: what changes after that makes a picture stale, and the next look sees it.
        """
        folder = f"{self._target.location}run={secrets.token_hex(8)}/"
        selects = "\nUNION ALL\n".join(
            f"SELECT *, '{ds}' AS ds FROM (\n{mart_select(self.contract, self.mart, ds)}\n)"  # noqa: S608 - dates of partitions
            for ds in pictures
        )
        self.query = (
            f"UNLOAD (\n{selects}\n)\nTO '{folder}' "
            "WITH (format = 'PARQUET', compression = 'ZSTD', partitioned_by = ARRAY['ds'])"
        )
        where = {"Database": self.names.database, "Catalog": self.catalog}
        self.query_execution_id = query_id = self.hook.run_query(self.query, where, {}, None, self.workgroup)
        AthenaQueryResultsLink.persist(
            context=context,
            operator=self,
            region_name=self.hook.conn_region_name,
            aws_partition=self.hook.conn_partition,
            query_execution_id=query_id,
        )
        return {"folder": folder, "query_id": query_id, "columns": types_of(self.mart.columns), "pictures": pictures}

    def _wait(self, made: Record, held: list[Record], computed: list[str]) -> None:
        """Wait for a query: for seconds in place, for longer by a trigger."""
        attempts = max(1, int(IN_PLACE_SECONDS / self.sleep_time))
        state = self.hook.poll_query_status(made["query_id"], max_polling_attempts=attempts, sleep_time=self.sleep_time)
        if state in AthenaHook.TERMINAL_STATES:
            return
        self.defer(
            trigger=AthenaQueryTrigger(
                query_execution_id=made["query_id"],
                waiter_delay=DEFERRED_POLL_SECONDS,
                waiter_max_attempts=max(1, int(self.timeout / DEFERRED_POLL_SECONDS)),
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="go_on",
            kwargs={"made": made, "held": held, "computed": computed},
            # The trigger keeps the bound itself; this one holds even when the triggerer is gone.
            timeout=timedelta(seconds=self.timeout + 180),
        )

    def _require_success(self, made: Record) -> None:
        """Check that a query has succeeded.

        Raises:
            AirflowException: when it has not; one that still runs is cancelled.
        """
        query_id = made["query_id"]
        state = self.hook.check_query_status(query_id)
        if state not in AthenaHook.TERMINAL_STATES:
            self.hook.stop_query(query_id)
            raise AirflowException(f"query {query_id} has not ended after {self.timeout:.0f} s, and is cancelled")
        if state not in AthenaHook.SUCCESS_STATES:
            raise AirflowException(f"query {query_id} is {state}: {self.hook.get_state_change_reason(query_id)}")

    def _show(self, held: list[Record]) -> None:
        """Give the table the contract's columns, and point its partitions at what queries have made."""
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        self._target.ensure()
        for made in held:
            point_at_pictures(s3, self.settings, self.contract, self.mart, self._source, self._target, made)

    @cached_property
    def _target(self) -> PartitionedTable:
        return mart_table(self._glue, self.settings, self.contract, self.mart)

    @cached_property
    def _source(self) -> PartitionedTable:
        return public_table(self._glue, self.settings, self.contract)

    @cached_property
    def _glue(self) -> Any:
        """One client for all looks: for each new one AWS is asked for credentials again."""
        return GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn

    def _stale(self, held: list[Record]) -> dict[str, str]:
        """Pictures to compute, as digest by date: those that do not fit and are not `held`."""
        stale = stale_pictures(self.contract, self.mart, self._source, self._target, self.dates.split())
        ready = {(ds, digest) for made in held for ds, digest in made["pictures"].items()}
        return {ds: digest for ds, digest in stale.items() if (ds, digest) not in ready}
