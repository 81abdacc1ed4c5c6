"""Send what was found in all datasets as one message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.sns import SnsHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from contract.dataset import Contract

from lake.alerts import REASON_BYTES, cut
from lake.macros import run_slug
from lake.manifest import read_manifest
from lake.operators.reconcile import moment_of
from lake.paths import Paths
from lake.reconciliation import digest
from lake.settings import Settings


class SendDigestOperator(AwsBaseOperator[SnsHook]):
    """Publish one digest of what the tasks of all datasets found to the alert topic, when there is something to tell.

    Args:
        settings: the stack's names.
        contracts: the datasets.
    """

    aws_hook_class = SnsHook
    ui_color = "#f5e6c8"

    def __init__(self, *, settings: Settings, contracts: Sequence[Contract], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.contracts = contracts

    def execute(self, context: Any) -> str | None:
        """Read what was found, and send it.

        Returns:
            The subject of the message; None when there was nothing to tell.
        """
        s3, run = S3Hook(aws_conn_id=self.aws_conn_id).conn, run_slug(context["run_id"])
        reports = {
            contract.dataset: read_manifest(
                s3, Paths(self.settings, contract, "{ds}", run).reprocess_manifest("reconcile")
            )
            for contract in self.contracts
        }
        message = digest(moment_of(context), reports)
        if message is None:
            self.log.info("there is nothing to tell")
            return None
        subject, text = message
        self.log.info("%s\n%s", subject, text)
        if not context["params"]["dry_run"]:
            self.hook.publish_to_target(
                target_arn=self.settings.alert_topic_arn, message=cut(text, REASON_BYTES), subject=subject
            )
        return subject
