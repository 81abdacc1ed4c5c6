"""Promote what passed validation to folders of its submission, which never change again."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from botocore.exceptions import ClientError
from contract.dataset import Contract
from contract.files import split_s3
from contract.submission import Submission

from lake.manifest import read_manifest, write_manifest
from lake.parallel import in_parallel
from lake.paths import Paths, paths_of
from lake.settings import Settings

COPY_BYTES = 5 << 30
"""The most that S3 copies in one call."""


class PromoteOperator(AwsBaseOperator[S3Hook]):
    """Copy a run's cleaned files on the server side into immutable folders, one per date.

    What is there is never overwritten. Running it again copies only what is missing; a file that is there already must
    have the content of the cleaned one.

    Args:
        settings: the stack's names.
        contract: the dataset.
        run_name: name of this run; templated.
        dates: the dates to promote, separated by spaces; templated. Of each the validation must have passed.

    Raises:
        AirflowFailException: when a validation did not pass, judged another submission's files or does not tell their
            columns, or a folder has other files than it should.
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
        cleaned = in_parallel(partial(self._judged, s3), paths)
        copies = [
            (file, _folder(place, clean))
            for place, clean in zip(paths, cleaned, strict=True)
            for file in clean["output"]["files"]
        ]
        in_parallel(lambda copy: self._copy(s3, *copy), copies)
        in_parallel(partial(self._report, s3), paths, cleaned)

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
        if "columns" not in verdict:
            raise AirflowFailException(
                f"{paths.manifest('validate')} does not tell the columns of the files: it was written by jobs of an "
                "earlier version. Clear from start_worker"
            )
        return cleaned

    def _report(self, s3: Any, paths: Paths, cleaned: dict[str, Any]) -> None:
        verdict = read_manifest(s3, paths.manifest("validate"))
        manifest = {
            "step": "promote",
            "ds": paths.ds,
            "submission": str(Submission.told(cleaned)),
            "uri": _folder(paths, cleaned),
            "rows": cleaned["rows"]["published"],
            "made_from": cleaned.get("made_from", {}),
            "profile": verdict.get("profile", {}),
            **{name: verdict[name] for name in ("columns", "sources", "contract_version")},
            "files": len(cleaned["output"]["files"]),
            "listed": read_manifest(s3, paths.manifest("stage_raw"))["listed"],
        }
        write_manifest(s3, paths.manifest("promote"), manifest)
        self.log.info("%d files, %d rows in %s", manifest["files"], manifest["rows"], manifest["uri"])

    def _copy(self, s3: Any, file: dict[str, Any], target: str) -> None:
        bucket, folder = split_s3(target)
        where = {"Bucket": bucket, "Key": folder + file["key"].rpartition("/")[2]}
        source = {"Bucket": self.settings.processed_bucket, "Key": file["key"]}
        try:
            if file["bytes"] <= COPY_BYTES:
                s3.copy_object(**where, CopySource=source, IfNoneMatch="*")
            else:
                _copy_in_parts(s3, where, source, file["bytes"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            if _sha256(s3, where) != file["sha256"]:
                raise AirflowFailException(
                    f"s3://{bucket}/{where['Key']} is there with another content than s3://{source['Bucket']}/"
                    f"{source['Key']}: promoted folders never change, so nothing was overwritten"
                ) from error


def _copy_in_parts(s3: Any, where: dict[str, str], source: dict[str, str], size: int) -> None:
    """Copy what is too large for one call; the parts of a copy that fails are removed by the bucket's lifecycle."""
    upload = {**where, "UploadId": s3.create_multipart_upload(**where)["UploadId"]}
    parts = []
    for number, first in enumerate(range(0, size, COPY_BYTES), start=1):
        span = f"bytes={first}-{min(first + COPY_BYTES, size) - 1}"
        copied = s3.upload_part_copy(**upload, PartNumber=number, CopySource=source, CopySourceRange=span)
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*")


def _sha256(s3: Any, where: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for chunk in s3.get_object(**where)["Body"].iter_chunks(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _folder(paths: Paths, cleaned: dict[str, Any]) -> str:
    return f"{paths.promoted}run={Submission.told(cleaned)}/"
