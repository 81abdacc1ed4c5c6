"""Snapshot the volume on which the raw files are staged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar

from airflow.providers.amazon.aws.hooks.ec2 import EC2Hook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError
from contract.files import content_digest

from lake.manifest import read_manifest
from lake.patience import wait

# EBS allows one snapshot of a volume in 15 seconds, and few at once; runs of several datasets share the volume.
TOO_MANY = ("SnapshotCreationPerVolumeRateExceeded", "ConcurrentSnapshotLimitExceeded")


class SnapshotVolumeOperator(AwsBaseOperator[EC2Hook]):
    """Create a snapshot of an EBS volume, wait for it and return its id.

    What is on the volume when it is created is what it holds, so the volume may be worked on while it is awaited.

    The snapshot is tagged with a digest of the staged files, too. A try that finds one with all the same tags waits
    for that one instead of making another.

    Args:
        volume_id: the volume.
        staged_manifest: manifest of the job that staged files on the volume; templated.
        tags: tags of the snapshot; templated.
        timeout: how long it may take until the snapshot is complete, in seconds.

    Raises:
        AirflowException: when the snapshot failed.
        AirflowFailException: when it is not complete within `timeout`.
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
        return self.resume(context, None, time.time())

    def resume(self, context: Any, event: Any, since: float) -> str:
        """Go on with the wait."""
        staged = read_manifest(S3Hook(aws_conn_id=self.aws_conn_id).conn, self.staged_manifest)
        tags = {**self.tags, "staged": content_digest(staged["files"])}
        made: list[str] = []

        def look() -> str | None:
            snapshot = self._found(tags, made)
            if snapshot is None:
                made.extend(self._created(tags) if not made else [])
                return None
            if snapshot["State"] == "error":
                raise AirflowException(f"{self._told(snapshot)} failed: {snapshot.get('StateMessage', '')}")
            if snapshot["State"] != "completed":
                return None
            self.log.info("%s is complete", self._told(snapshot))
            return str(snapshot["SnapshotId"])

        return wait(
            self,
            look,
            since=since,
            bound=self.timeout,
            resume="resume",
            told=lambda: f"the snapshot of volume {self.volume_id} is not complete",
        )

    def _told(self, snapshot: Mapping[str, Any]) -> str:
        return f"snapshot {snapshot['SnapshotId']} of volume {self.volume_id}"

    def _found(self, tags: Mapping[str, str], made: list[str]) -> dict[str, Any] | None:
        """Return the snapshot that was made here, or one with all the same tags; EC2 may not tell of it at once."""
        wanted = {"snapshot-id": made} if made else {f"tag:{key}": [value] for key, value in tags.items()}
        if not made:
            wanted |= {"volume-id": [self.volume_id], "status": ["pending", "completed"]}
        filters = [{"Name": name, "Values": values} for name, values in wanted.items()]
        found: list[dict[str, Any]] = self.hook.conn.describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]
        return found[0] if found else None

    def _created(self, tags: Mapping[str, str]) -> list[str]:
        """Create it, if EBS takes another of this volume now."""
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        try:
            response = self.hook.conn.create_snapshot(
                VolumeId=self.volume_id,
                Description=" ".join(f"{key}={value}" for key, value in tags.items())[:255],
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": listed}],
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in TOO_MANY:
                raise
            self.log.info("waiting for other snapshots of volume %s: %s", self.volume_id, error)
            return []
        return [str(response["SnapshotId"])]
