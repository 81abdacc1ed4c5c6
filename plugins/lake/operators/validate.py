"""Judge a cleaned batch, by its suite and by the dates before it, and link to the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk import WeightRule
from contract.dataset import Contract
from contract.files import split_s3

from lake.links import DataDocsLink
from lake.manifest import read_manifest, write_manifest
from lake.operators.worker_job import WorkerJobOperator
from lake.published import rows_before

# More than the tasks after `clean` can weigh together.
BEFORE_ANY_CLEAN = 1000


class ValidateOperator(WorkerJobOperator):
    """Tell the job `validate` how many rows the dates before have, and run it.

    In the pool it goes before every `clean`: the Spark of its run's waits for it, and only for a minute.

    Args:
        contract: the dataset.
        history: where to write those numbers; templated.
    """

    operator_extra_links = (DataDocsLink(),)

    def __init__(self, *, contract: Contract, history: str, arguments: Mapping[str, str], **kwargs: Any) -> None:
        kwargs = {"weight_rule": WeightRule.ABSOLUTE, "priority_weight": BEFORE_ANY_CLEAN, **kwargs}
        super().__init__(job="validate", program="spark-submit", arguments={**arguments, "history": history}, **kwargs)
        self.contract = contract

    def execute(self, context: Any) -> dict[str, Any]:
        """Write the history, then submit."""
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn
        history = rows_before(glue, self.settings.names(self.contract.dataset), self.arguments["ds"])
        write_manifest(S3Hook(aws_conn_id=self.aws_conn_id).conn, self.arguments["history"], history)
        return super().execute(context)

    def data_docs(self) -> str | None:
        """URI of the page that the job wrote, or None when it has written none."""
        s3 = S3Hook(aws_conn_id=self.aws_conn_id)
        bucket, key = split_s3(self.manifest)
        if not s3.check_for_key(key, bucket):
            return None
        docs: str = read_manifest(s3.conn, self.manifest)["docs"]
        return docs
