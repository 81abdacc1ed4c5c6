"""Snapshot the volume on which the raw files are staged."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from airflow.providers.amazon.aws.hooks.ec2 import EC2Hook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError, WaiterError
from contract.files import content_digest

from lake.manifest import read_manifest

POLL_SECONDS = 1
# EBS allows one snapshot of a volume in 15 seconds, and few at once; runs of several datasets share the volume.
TOO_MANY = ("SnapshotCreationPerVolumeRateExceeded", "ConcurrentSnapshotLimitExceeded")
TOO_MANY_SECONDS = 15


class SnapshotVolumeOperator(AwsBaseOperator[EC2Hook]):
    """Create a snapshot of an EBS volume, wait for it and return its id.

    The snapshot is tagged with a digest of the staged files, too. A try that finds one with all the same tags waits
    for that one instead of making another.

    Args:
        volume_id: the volume.
        staged_manifest: manifest of the job that staged files on the volume; templated.
        tags: tags of the snapshot; templated.
        timeout: how long it may take until the snapshot is complete, in seconds.

    Raises:
        AirflowException: when the snapshot failed, or is not complete within `timeout`.
    """

    aws_hook_class = EC2Hook
    template_fields = aws_template_fields("volume_id", "staged_manifest", "tags")
    template_fields_renderers: ClassVar = {"tags": "json"}
    ui_color = "#f5e6c8"

    def __init__(
        self,
        *,
        volume_id: str,
        staged_manifest: str,
        tags: Mapping[str, str],
        timeout: float = 3600,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.volume_id = volume_id
        self.staged_manifest = staged_manifest
        self.tags = dict(tags)
        self.timeout = timeout

    @property
    def _hook_parameters(self) -> dict[str, Any]:
        return {**super()._hook_parameters, "api_type": "client_type"}

    def execute(self, context: Any) -> str:
        """Find or create the snapshot and wait until it is complete."""
        deadline = time.monotonic() + self.timeout
        ec2 = self.hook.conn
        staged = read_manifest(S3Hook(aws_conn_id=self.aws_conn_id).conn, self.staged_manifest)
        tags = {**self.tags, "staged": content_digest(staged["files"])}
        snapshot_id = self._existing(ec2, tags) or self._create(ec2, tags, deadline)
        attempts = max(1, int((deadline - time.monotonic()) / POLL_SECONDS))
        try:
            ec2.get_waiter("snapshot_completed").wait(
                SnapshotIds=[snapshot_id], WaiterConfig={"Delay": POLL_SECONDS, "MaxAttempts": attempts}
            )
        except WaiterError as error:
            raise AirflowException(
                f"snapshot {snapshot_id} of volume {self.volume_id} is not complete after {self.timeout:.0f} s: {error}"
            ) from error
        self.log.info("snapshot %s of volume %s is complete", snapshot_id, self.volume_id)
        return snapshot_id

    def _existing(self, ec2: Any, tags: Mapping[str, str]) -> str | None:
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]
        filters += [
            {"Name": "volume-id", "Values": [self.volume_id]},
            {"Name": "status", "Values": ["pending", "completed"]},
        ]
        found = ec2.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]
        return str(found[0]["SnapshotId"]) if found else None

    def _create(self, ec2: Any, tags: Mapping[str, str], deadline: float) -> str:
        """Create it, once EBS takes another of this volume."""
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        while True:
            try:
                response = ec2.create_snapshot(
                    VolumeId=self.volume_id,
                    Description=" ".join(f"{key}={value}" for key, value in tags.items())[:255],
                    TagSpecifications=[{"ResourceType": "snapshot", "Tags": listed}],
                )
            except ClientError as error:
                if error.response["Error"]["Code"] not in TOO_MANY or time.monotonic() > deadline:
                    raise
                self.log.info("waiting for other snapshots of volume %s: %s", self.volume_id, error)
                time.sleep(TOO_MANY_SECONDS * random.uniform(1, 1.5))  # noqa: S311  runs that wait must not meet again
            else:
                return str(response["SnapshotId"])
