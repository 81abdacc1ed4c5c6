"""Promote what passed validation to folders of its submission, which never change again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from contract.dataset import Contract
from contract.files import split_s3
from contract.submission import Submission

from lake.manifest import read_manifest, write_manifest
from lake.paths import Paths, paths_of
from lake.settings import Settings

PARALLEL_CALLS = 8


class PromoteOperator(AwsBaseOperator[S3Hook]):
    """Copy a run's cleaned files on the server side into immutable folders, one per date.

    Running it again copies only what is missing; a file that is there already must have the size of the cleaned one.

    Args:
        settings: the stack's names.
        contract: the dataset.
        run_name: name of this run; templated.
        dates: the dates to promote, separated by spaces; templated. Of each the validation must have passed.

    Raises:
        AirflowFailException: when a validation did not pass or judged another submission's files.
        AirflowSkipException: when there is no date to promote.
    """

    aws_hook_class = S3Hook
    template_fields = aws_template_fields("run_name", "dates")
    ui_color = "#cfe8d5"

    def __init__(self, *, settings: Settings, contract: Contract, run_name: str, dates: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.contract = contract
        self.run_name = run_name
        self.dates = dates

    def execute(self, context: Any) -> None:
        """Check the verdicts, copy, report."""
        s3 = self.hook.conn
        paths = paths_of(self.settings, self.contract, self.run_name, self.dates)
        if not paths:
            raise AirflowSkipException("no date is valid: there is nothing to promote")
        with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
            cleaned = list(pool.map(partial(self._judged, s3), paths))
            copies = [
                pool.submit(self._copy, s3, file, _folder(place, clean))
                for place, clean in zip(paths, cleaned, strict=True)
                for file in clean["output"]["files"]
            ]
            for copy in copies:
                copy.result()
            list(pool.map(partial(self._report, s3), paths, cleaned))

    def _judged(self, s3: Any, paths: Paths) -> dict[str, Any]:
        """Return the manifest of `clean` for a date whose rows are valid."""
        cleaned = read_manifest(s3, paths.manifest("clean"))
        verdict = read_manifest(s3, paths.manifest("validate"))
        submission, judged = Submission.told(cleaned), Submission.told(verdict)
        if not verdict["success"] or judged != submission:
            raise AirflowFailException(
                f"{paths.manifest('validate')} does not say that submission {submission} is valid "
                f"(it says {judged}: {'passed' if verdict['success'] else 'failed'}): run validate again"
            )
        return cleaned

    def _report(self, s3: Any, paths: Paths, cleaned: dict[str, Any]) -> None:
        manifest = {
            "step": "promote",
            "ds": paths.ds,
            "submission": str(Submission.told(cleaned)),
            "uri": _folder(paths, cleaned),
            "rows": cleaned["rows"]["published"],
            "profile": read_manifest(s3, paths.manifest("validate")).get("profile", {}),
            "files": len(cleaned["output"]["files"]),
            "listed": read_manifest(s3, paths.manifest("stage_raw"))["listed"],
        }
        write_manifest(s3, paths.manifest("promote"), manifest)
        self.log.info("%d files, %d rows in %s", manifest["files"], manifest["rows"], manifest["uri"])

    def _copy(self, s3: Any, file: dict[str, Any], target: str) -> None:
        bucket, folder = split_s3(target)
        key = folder + file["key"].rpartition("/")[2]
        if s3.list_objects_v2(Bucket=bucket, Prefix=key).get("KeyCount"):
            present = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
            if present != file["bytes"]:
                raise AirflowFailException(f"s3://{bucket}/{key} has {present} bytes, {file['bytes']} were cleaned")
            return
        # boto3's managed copy splits what CopyObject cannot take in one call (above 5 GB).
        s3.copy({"Bucket": self.settings.processed_bucket, "Key": file["key"]}, bucket, key)


def _folder(paths: Paths, cleaned: dict[str, Any]) -> str:
    return f"{paths.promoted}run={Submission.told(cleaned)}/"
