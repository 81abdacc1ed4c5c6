"""Let the Glue crawler register the promoted submissions, for audit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from airflow.sdk.exceptions import AirflowFailException
from contract.dataset import Contract
from contract.submission import Submission

from lake.catalog import crawl_begins, crawl_has_ended, set_columns
from lake.paths import paths_of
from lake.patience import wait
from lake.published import promoted_runs
from lake.settings import Settings
from lake.sql import Dates


class CrawlOperator(GlueCrawlerRunOperator):
    """Run a crawl that began after the run was promoted, wait for it, and check that it registered the run.

    The provider's operator fails when a crawl is running already, or joins it: that may have begun before the run's
    folder existed. This one waits for it and starts another. The crawler looks at new folders only, and leaves out for
    ever what has other columns than its table, which it does not change: so the table gets the columns of the run's
    files first. Whether those are right is `validate`'s to say.

    Args:
        settings: the stack's names.
        contract: the dataset; its crawler runs.
        run_name: name of this run; templated.
        dates: the dates that were promoted, separated by spaces; templated.
        timeout: bound of the wait for another's crawl, and of that for our own, in seconds.

    Raises:
        AirflowException: when the crawl failed.
        AirflowFailException: when it has not ended within `timeout`, or the crawler did not register a run.
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
        """Give the table the run's columns, start a crawl of our own, wait for it, check the partitions."""
        columns = self._promoted()[-1]["columns"]
        set_columns(self.hook.glue_client, self.names.database, self.names.runs_table, columns)
        return self.begin(context, None, time.time())

    def begin(self, context: Any, event: Any, since: float) -> str:
        """Start a crawl, once none is running."""
        self._wait(lambda: crawl_begins(self.hook.glue_client, self.crawler_name), since, "begin")
        return self.end(context, None, time.time())

    def end(self, context: Any, event: Any, since: float) -> str:
        """Go on once the crawl is over."""
        self._wait(lambda: crawl_has_ended(self.hook.glue_client, self.crawler_name), since, "end")
        self._check(self._promoted())
        return self.crawler_name

    def _promoted(self) -> list[dict[str, Any]]:
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        return promoted_runs(s3, paths_of(self.settings, self.contract, self.run_name, self.dates))

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
            ExcludeColumnSchema=True,
        )
        try:
            found = {tuple(partition["Values"]) for page in pages for partition in page["Partitions"]}
        except self.hook.glue_client.exceptions.EntityNotFoundException:
            found = set()
        if missing := [run["uri"] for run in promoted if (run["ds"], str(Submission.told(run))) not in found]:
            raise AirflowFailException(
                f"crawler {self.crawler_name} did not register in {self.names.runs_table}: {', '.join(missing)}. "
                "Its log says why; `make rebuild-catalog` lets it look at everything again, then clear this task"
            )
