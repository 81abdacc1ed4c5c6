"""Run a job of `spark_jobs/` on the worker, over SSM."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

from airflow.providers.amazon.aws.hooks.ec2 import EC2Hook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.ssm import SsmHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError
from contract.files import split_s3
from contract.submission import Submission

from lake.bundle import bundle_key, digest_of_this_process
from lake.manifest import read_manifest
from lake.settings import Settings
from lake.triggers.ssm_command import RUNNING, SsmCommandTrigger

# Exit code of a job that finds the data at fault (EX_DATAERR of sysexits.h): running it again changes nothing.
DATA_ERROR = 65
POLL_SECONDS = 1.0
LOG_TAIL_LINES = 60
# How long SSM may take to deliver a command to an agent that is online.
DELIVERY_SECONDS = 120


class WorkerJobOperator(AwsBaseOperator[SsmHook]):
    """Submit a job to the worker and return what its manifest says.

    - It names the code of its own checkout, which must have been deployed: Airflow may not upload any.
    - It waits until the worker's SSM agent answers: a running instance is not yet a reachable one.
    - Sending is idempotent: a retry that finds its command still running waits for that one.
    - A short job is awaited in place, a longer one by a trigger, and each wait has a bound.
    - A killed task cancels its command.

    Args:
        settings: the stack's names.
        job: module in `spark_jobs/`.
        program: what runs it on the worker.
        arguments: the job's options, without dashes; templated. A value may hold `${LAKE_DATA_DIR}` and
            `${LAKE_SUBMISSION}`, which the worker fills in, and no space: the stack's document says what else.
        run_name: name of this run, the first part of `LAKE_SUBMISSION`; templated.
        manifest: URI at which the job reports its result; templated, handed to the job as `--manifest`.
        timeout: bound of the job itself, in seconds.
        defer_after: how long to wait in place before the trigger takes over, in seconds.
        online_timeout: how long the worker may take to answer, in seconds; after its boot it sets itself up first.

    Raises:
        AirflowFailException: when the checkout's code is not deployed, or the job says that the data is at fault
            (exit code 65).
        AirflowException: for every other end than success, with the job's last error line.
    """

    aws_hook_class = SsmHook
    template_fields = aws_template_fields("arguments", "run_name", "manifest")
    template_fields_renderers: ClassVar = {"arguments": "json"}
    ui_color = "#e8d5f5"

    def __init__(
        self,
        *,
        settings: Settings,
        job: str,
        program: Literal["spark-submit", "python"],
        arguments: Mapping[str, str],
        run_name: str,
        manifest: str,
        timeout: float = 3600,
        defer_after: float = 30,
        online_timeout: float = 1800,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings = settings
        self.job = job
        self.program = program
        self.arguments = dict(arguments)
        self.run_name = run_name
        self.manifest = manifest
        self.timeout = timeout
        self.defer_after = defer_after
        self.online_timeout = online_timeout
        self.command_id: str | None = None

    @property
    def instance_id(self) -> str:
        """The worker."""
        return self.settings.worker_instance_id

    def execute(self, context: Any) -> dict[str, Any]:  # noqa: RET503 - defer() raises
        """Send the command, or find that of an earlier try, and wait."""
        bundle = self._deployed_bundle()
        self._wait_until_online()
        comment = self._comment(context)
        self.command_id = self._running_command(comment) or self._send(bundle, comment)
        self.log.info("SSM command %s on %s; its output: %s", self.command_id, self.instance_id, self._output_uri)
        deadline = time.time() + DELIVERY_SECONDS + self.timeout + 60
        in_place_until = time.time() + self.defer_after
        while time.time() < in_place_until:
            status = self._status(self.command_id)
            if status not in RUNNING:
                return self.execute_complete(context, {"command_id": self.command_id, "status": status})
            time.sleep(POLL_SECONDS)
        self.defer(
            trigger=SsmCommandTrigger(
                command_id=self.command_id,
                instance_id=self.instance_id,
                deadline=deadline,
                poll_seconds=POLL_SECONDS,
                aws_conn_id=self.aws_conn_id,
            ),
            method_name="execute_complete",
            # The trigger keeps the deadline itself; this bound holds even when the triggerer is gone.
            timeout=timedelta(seconds=DELIVERY_SECONDS + self.timeout + 180),
        )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Show the job's log; return its manifest, or fail with its last error line."""
        self.command_id, status = event["command_id"], event["status"]
        output = {stream: self._output(stream) for stream in ("stdout", "stderr")}
        for stream, text in output.items():
            for line in text.splitlines()[-LOG_TAIL_LINES:]:
                self.log.info("%s | %s", stream, line)
        if status == "Success":
            return read_manifest(S3Hook(aws_conn_id=self.aws_conn_id).conn, self.manifest)
        invocation = self.hook.conn.get_command_invocation(CommandId=self.command_id, InstanceId=self.instance_id)
        errors = [line for line in output["stderr"].splitlines() if line.startswith("ERROR ")]
        message = (
            f"{errors[-1].removeprefix('ERROR ') if errors else f'job {self.job} ended without saying why'} "
            f"[{status}, exit code {invocation['ResponseCode']}; full output: {self._output_uri}]"
        )
        if invocation["ResponseCode"] == DATA_ERROR:
            raise AirflowFailException(message)
        raise AirflowException(message)

    def on_kill(self) -> None:
        """Cancel the command of a killed task."""
        if self.command_id:
            self.hook.conn.cancel_command(CommandId=self.command_id, InstanceIds=[self.instance_id])

    def _deployed_bundle(self) -> str:
        """Return the digest of this checkout's bundle, which is on S3."""
        digest = digest_of_this_process()
        bucket, key = self.settings.artifacts_bucket, bundle_key(digest)
        if not S3Hook(aws_conn_id=self.aws_conn_id).check_for_key(key, bucket):
            raise AirflowFailException(
                f"there is no s3://{bucket}/{key}: the jobs, contracts or suites of this checkout are not deployed. "
                "Deploy them with `make deploy`, to the local AWS with `make up`; then clear this task"
            )
        return digest

    def _wait_until_online(self) -> None:
        """Wait for a sign of life since the worker was started: after a stop SSM calls it online for a while."""
        deadline = time.monotonic() + self.online_timeout
        ec2 = EC2Hook(aws_conn_id=self.aws_conn_id, api_type="client_type").conn
        (reservation,) = ec2.describe_instances(InstanceIds=[self.instance_id])["Reservations"]
        (instance,) = reservation["Instances"]
        if instance["State"]["Name"] not in ("pending", "running"):
            raise AirflowException(
                f"worker {self.instance_id} is {instance['State']['Name']}: task start_worker starts it"
            )
        filters = [{"Key": "InstanceIds", "Values": [self.instance_id]}]
        while True:
            known = self.hook.conn.describe_instance_information(Filters=filters)["InstanceInformationList"]
            if any(
                agent["PingStatus"] == "Online" and agent["LastPingDateTime"] >= instance["LaunchTime"]
                for agent in known
            ):
                return
            if time.monotonic() > deadline:
                raise AirflowException(
                    f"worker {self.instance_id} runs but is not reachable over SSM after {self.online_timeout:.0f} s: "
                    "see the setup in its system log"
                )
            time.sleep(POLL_SECONDS)

    def _comment(self, context: Any) -> str:
        """Name that is the same for every try of this task in this run, within SSM's 100 characters for a comment."""
        ti = context["ti"]
        digest = hashlib.sha256(f"{ti.dag_id}/{self.run_name}/{ti.task_id}".encode()).hexdigest()[:16]
        return f"{ti.dag_id}.{ti.task_id}"[:80] + f" {digest}"

    def _running_command(self, comment: str) -> str | None:
        # SSM does not list the pending commands of one instance, only those of all.
        for status in ("Pending", "InProgress"):
            pages = self.hook.conn.get_paginator("list_commands").paginate(Filters=[{"key": "Status", "value": status}])
            for page in pages:
                for command in page["Commands"]:
                    if command["Comment"] == comment and self.instance_id in command["InstanceIds"]:
                        self.log.info("an earlier try's command still runs: waiting for that one")
                        return str(command["CommandId"])
        return None

    def _send(self, bundle: str, comment: str) -> str:
        options = {**self.arguments, "manifest": self.manifest}
        parameters = {
            "bundle": bundle,
            "program": self.program,
            "job": self.job,
            # A new one each time: nothing that an earlier one wrote is ever overwritten.
            "submission": str(Submission.new(self.run_name)),
            "arguments": " ".join(f"--{option} {value}" for option, value in options.items()),
            "timeout": str(int(self.timeout)),
        }
        response = self.hook.conn.send_command(
            InstanceIds=[self.instance_id],
            DocumentName=self.settings.worker_document,
            DocumentVersion="$LATEST",
            Comment=comment,
            TimeoutSeconds=DELIVERY_SECONDS,
            Parameters={name: [value] for name, value in parameters.items()},
            OutputS3BucketName=self.settings.artifacts_bucket,
            OutputS3KeyPrefix="ssm",
            CloudWatchOutputConfig={
                "CloudWatchLogGroupName": self.settings.worker_log_group,
                "CloudWatchOutputEnabled": True,
            },
        )
        self.log.info("submitted: %s", parameters)
        return str(response["Command"]["CommandId"])

    def _status(self, command_id: str) -> str:
        try:
            invocation = self.hook.conn.get_command_invocation(CommandId=command_id, InstanceId=self.instance_id)
        except ClientError as error:
            # Right after SendCommand the invocation may not be visible yet.
            if error.response["Error"]["Code"] == "InvocationDoesNotExist":
                return "Pending"
            raise
        return str(invocation["Status"])

    @property
    def _output_uri(self) -> str:
        return f"s3://{self.settings.artifacts_bucket}/ssm/{self.command_id}/{self.instance_id}/"

    def _output(self, stream: str) -> str:
        """Full output of the command; SSM itself keeps only its first 24,000 characters."""
        bucket, prefix = split_s3(self._output_uri)
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        listing = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        keys = [entry["Key"] for entry in listing if entry["Key"].rpartition("/")[2] == stream]
        return "".join(
            s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8", "replace") for key in sorted(keys)
        )
