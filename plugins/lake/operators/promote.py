"""Promote what passed validation to the folder of its run, which never changes again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException

from lake.manifest import read_manifest, write_manifest
from lake.paths import split_s3

PARALLEL_COPIES = 8


class PromoteOperator(AwsBaseOperator[S3Hook]):
    """Copy a run's staged files on the server side into an immutable run folder.

    Running it again copies only what is missing; a file that is there already must have the size that was staged.

    Args:
        clean_manifest: manifest of the job that staged the files; templated.
        validate_manifest: manifest of the validation, which must have passed for the same files; templated.
        destination: folder in which the run's folder is made; templated.
        manifest: where to report the result; templated.

    Raises:
        AirflowFailException: when the validation did not pass or judged another submission's files.
    """

    aws_hook_class = S3Hook
    template_fields = aws_template_fields("clean_manifest", "validate_manifest", "destination", "manifest")
    ui_color = "#cfe8d5"

    def __init__(
        self, *, clean_manifest: str, validate_manifest: str, destination: str, manifest: str, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.clean_manifest = clean_manifest
        self.validate_manifest = validate_manifest
        self.destination = destination
        self.manifest = manifest

    def execute(self, context: Any) -> dict[str, Any]:
        """Check the verdict, copy, report."""
        s3 = self.hook.conn
        staged = read_manifest(s3, self.clean_manifest)
        verdict = read_manifest(s3, self.validate_manifest)
        if not verdict["success"] or verdict["run_id"] != staged["run_id"]:
            raise AirflowFailException(
                f"{self.validate_manifest} does not say that submission {staged['run_id']} is valid "
                f"(it says {verdict['run_id']}: {'passed' if verdict['success'] else 'failed'}): run validate again"
            )
        target = f"{self.destination}run={staged['run_id']}/"
        source_bucket, _ = split_s3(staged["output"]["uri"])
        with ThreadPoolExecutor(PARALLEL_COPIES) as pool:
            copies = [pool.submit(self._copy, s3, source_bucket, file, target) for file in staged["output"]["files"]]
            for copy in copies:
                copy.result()
        manifest = {
            "step": "promote",
            "ds": staged["ds"],
            "run_id": staged["run_id"],
            "uri": target,
            "rows": staged["rows"]["published"],
            "files": len(staged["output"]["files"]),
        }
        write_manifest(s3, self.manifest, manifest)
        self.log.info("%d files, %d rows in %s", manifest["files"], manifest["rows"], target)
        return {"uri": target, "rows": manifest["rows"]}

    def _copy(self, s3: Any, source_bucket: str, file: dict[str, Any], target: str) -> None:
        bucket, folder = split_s3(target)
        key = folder + file["key"].rpartition("/")[2]
        if s3.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount"):
            present = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
            if present != file["bytes"]:
                raise AirflowFailException(f"s3://{bucket}/{key} has {present} bytes, {file['bytes']} were staged")
            return
        # boto3's managed copy splits what CopyObject cannot take in one call (above 5 GB).
        s3.copy({"Bucket": source_bucket, "Key": file["key"]}, bucket, key)
