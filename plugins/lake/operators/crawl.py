"""Let the Glue crawler register the promoted submissions, and compare what it found with the contract."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from airflow.sdk.exceptions import AirflowFailException
from contract.dataset import Contract
from contract.submission import Submission

from lake.catalog import crawl_begins, crawl_has_ended, describe_difference
from lake.manifest import read_manifest
from lake.paths import paths_of
from lake.patience import wait
from lake.settings import Settings
from lake.sql import Dates


class CrawlOperator(GlueCrawlerRunOperator):
    """Run a crawl that began after the run was promoted, wait for it, and check its result.

    The provider's operator fails when a crawl is running already, or joins it: that may have begun before the run's
    folder existed. This one waits for it and starts another.

    Args:
        settings: the stack's names.
        contract: the dataset; its crawler runs, and its columns are what the crawler must find.
        run_name: name of this run; templated.
        dates: the dates that were promoted, separated by spaces; templated.
        timeout: bound of the wait for another's crawl, and of that for our own, in seconds.

    Raises:
        AirflowException: when the crawl failed.
        AirflowFailException: when it has not ended within `timeout`, the crawler did not register a run, or found other
            columns than the contract's.
    """

    template_fields = (*GlueCrawlerRunOperator.template_fields, "run_name", "dates")

    def __init__(
        self,
        *,
        settings: Settings,
        contract: Contract,
        run_name: str,
        dates: str,
        timeout: float = 1800,
        **kwargs: Any,
    ) -> None:
        self.names = settings.names(contract.dataset)
        super().__init__(crawler_name=self.names.crawler, **kwargs)
        self.settings = settings
        self.contract = contract
        self.run_name = run_name
        self.dates = dates
        self.timeout = timeout

    def execute(self, context: Any) -> str:
        """Start a crawl of our own, wait for it, check the partitions and their columns."""
        return self.begin(context, None, time.time())

    def begin(self, context: Any, event: Any, since: float) -> str:
        """Start a crawl, once none is running."""
        self._wait(lambda: crawl_begins(self.hook.glue_client, self.crawler_name), since, "begin")
        return self.end(context, None, time.time())

    def end(self, context: Any, event: Any, since: float) -> str:
        """Go on once the crawl is over."""
        self._wait(lambda: crawl_has_ended(self.hook.glue_client, self.crawler_name), since, "end")
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        paths = paths_of(self.settings, self.contract, self.run_name, self.dates)
        self._check([read_manifest(s3, place.manifest("promote")) for place in paths])
        return self.crawler_name

    def _wait(self, look: Callable[[], bool], since: float, resume: str) -> None:
        wait(
            self,
            lambda: look() or None,
            since=since,
            bound=self.timeout,
            resume=resume,
            told=lambda: f"crawler {self.crawler_name} is still running",
        )

    def _check(self, promoted: list[dict[str, Any]]) -> None:
        first, last = promoted[0]["ds"], promoted[-1]["ds"]
        pages = self.hook.glue_client.get_paginator("get_partitions").paginate(
            DatabaseName=self.names.database,
            TableName=self.names.runs_table,
            Expression=Dates(first, last).condition,
        )
        try:
            found = {tuple(partition["Values"]): partition for page in pages for partition in page["Partitions"]}
        except self.hook.glue_client.exceptions.EntityNotFoundException:
            found = {}
        for run in promoted:
            self._check_run(run, found.get((run["ds"], str(Submission.told(run)))))

    def _check_run(self, run: dict[str, Any], partition: dict[str, Any] | None) -> None:
        table = self.names.runs_table
        if partition is None:
            raise AirflowFailException(f"crawler {self.crawler_name} did not register {run['uri']} in {table}")
        difference = describe_difference(partition["StorageDescriptor"]["Columns"], self.contract.published_columns)
        if difference:
            raise AirflowFailException(f"{table} ds={run['ds']} differs from the contract: {'; '.join(difference)}")
