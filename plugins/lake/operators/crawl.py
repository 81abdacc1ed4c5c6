"""Let the Glue crawler register the promoted run, and compare what it found with the contract."""

from __future__ import annotations

import time
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.glue_crawler import GlueCrawlerRunOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError

from lake.catalog import describe_difference
from lake.contract import Contract
from lake.manifest import read_manifest

POLL_SECONDS = 1


class CrawlOperator(GlueCrawlerRunOperator):
    """Run a crawl that began after the run was promoted, wait for it, and check its result.

    A crawl that is already running may have begun before the run's folder existed. So this operator waits for that
    one to end and starts another, where the provider's fails or joins it.

    Args:
        contract: the dataset; its crawler runs, and its columns are what the crawler must find.
        promote_manifest: manifest of the promotion; templated.
        timeout: bound of all waiting, in seconds.

    Raises:
        AirflowException: when the crawl failed, or has not ended within `timeout`.
        AirflowFailException: when the crawler did not register the run, or found other columns than the contract's.
    """

    template_fields = (*GlueCrawlerRunOperator.template_fields, "promote_manifest")

    def __init__(self, *, contract: Contract, promote_manifest: str, timeout: float = 1800, **kwargs: Any) -> None:
        super().__init__(crawler_name=contract.crawler, poll_interval=POLL_SECONDS, **kwargs)
        self.contract = contract
        self.promote_manifest = promote_manifest
        self.timeout = timeout

    def execute(self, context: Any) -> str:
        """Start a crawl of our own, wait for it, check the partition and its columns."""
        deadline = time.monotonic() + self.timeout
        promoted = read_manifest(S3Hook(aws_conn_id=self.aws_conn_id).conn, self.promote_manifest)
        while not self._started():
            self._pause(deadline)
        while (crawler := self.hook.get_crawler(self.crawler_name))["State"] != "READY":
            self._pause(deadline)
        last = crawler["LastCrawl"]
        if last["Status"] != "SUCCEEDED":
            raise AirflowException(f"crawler {self.crawler_name} {last['Status']}: {last.get('ErrorMessage', '')}")
        self._check(promoted)
        return self.crawler_name

    def _started(self) -> bool:
        try:
            self.hook.glue_client.start_crawler(Name=self.crawler_name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "CrawlerRunningException":
                return False
            raise
        return True

    def _pause(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise AirflowException(f"crawler {self.crawler_name} is still running after {self.timeout:.0f} s")
        time.sleep(POLL_SECONDS)

    def _check(self, promoted: dict[str, Any]) -> None:
        glue, table = self.hook.glue_client, self.contract.runs_table
        try:
            partition = glue.get_partition(
                DatabaseName=self.contract.database,
                TableName=table,
                PartitionValues=[promoted["ds"], promoted["run_id"]],
            )["Partition"]
        except glue.exceptions.EntityNotFoundException:
            raise AirflowFailException(
                f"crawler {self.crawler_name} did not register {promoted['uri']} in {table}"
            ) from None
        difference = describe_difference(partition["StorageDescriptor"]["Columns"], self.contract.published_columns)
        if difference:
            raise AirflowFailException(
                f"{table} ds={promoted['ds']} differs from the contract: {'; '.join(difference)}"
            )
