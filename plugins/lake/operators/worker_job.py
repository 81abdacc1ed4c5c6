"""Run a job of `spark_jobs/` on the worker, over SSM."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.hooks.ssm import SsmHook
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError
from contract.files import split_s3
from contract.submission import Submission

from lake.bundle import bundle_key, digest_of_this_process
from lake.manifest import read_manifest, read_manifest_if_present, write_manifest
from lake.patience import wait
from lake.settings import Settings
from lake.triggers.ssm_command import RUNNING, SsmCommandTrigger
from lake.worker import Worker
from lake.worker_pool import WORKER_POOL

# Exit code of a job that finds the data at fault (EX_DATAERR of sysexits.h): running it again changes nothing.
DATA_ERROR = 65
# That of a job whose memory ran out (EX_OSERR): see infra/worker/lake-worker.
NO_MEMORY = 71
POLL_SECONDS = 1.0
LOG_TAIL_LINES = 60
# How long SSM may take to deliver a command to an agent that is online.
DELIVERY_SECONDS = 120
# How much longer than its job a lease lasts: until the wait for the job is over, and the next task prolongs it.
AFTER_JOB_SECONDS = 900


class WorkerJobOperator(AwsBaseOperator[SsmHook]):
    """Submit a job to the worker and return what its manifest says.

    - It names the code of its own checkout, which must have been deployed: Airflow may not upload any.
    - It holds the worker for as long as it may take, whoever else gives it back meanwhile, and starts one that does not
      run. Where nobody will stop the worker afterwards, it gives it back itself.
    - It waits until the worker's SSM agent answers: a running instance is not yet a reachable one.
    - Sending is idempotent: a retry that finds its command still running waits for that one.
    - With Spark it queues in a pool: only `airflow dags test` knows none, and then it queues on the worker.
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
        reach_timeout: how long the worker may take to start and to answer, in seconds; after its boot it sets itself up
            first.

    Raises:
        AirflowFailException: when the checkout's code is not deployed, the worker is not reached in time, the data is
            at fault (exit code 65), or memory ran out for the second time (71).
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
        reach_timeout: float = 5400,
        **kwargs: Any,
    ) -> None:
        if program == "spark-submit":
            kwargs.setdefault("pool", WORKER_POOL)
        super().__init__(**kwargs)
        self.settings = settings
        self.job = job
        self.program = program
        self.arguments = dict(arguments)
        self.run_name = run_name
        self.manifest = manifest
        self.timeout = timeout
        self.defer_after = defer_after
        self.reach_timeout = reach_timeout
        self.command_id: str | None = None

    @property
    def instance_id(self) -> str:
        """The worker."""
        return self.settings.worker_instance_id

    def execute(self, context: Any) -> Any:
        """Send the command, or find that of an earlier try, and wait."""
        return self.resume(context, None, time.time())

    def resume(self, context: Any, event: Any, since: float) -> Any:
        """Go on once the worker is reached, for which this began to wait at `since`."""
        try:
            bundle = self._deployed_bundle()
            self._reach(context, since)
            comment = self._comment(context)
            command_id = self._running_command(comment) or self._send(bundle, comment)
        except Exception:
            self._worker(context).left()
            raise
        return self._follow(context, command_id)

    def _follow(self, context: Any, command_id: str) -> Any:  # noqa: RET503 - defer() raises
        """Wait for the command."""
        self.command_id = command_id
        self.log.info("SSM command %s on %s; its output: %s", command_id, self.instance_id, self._output_uri)
        deadline = time.time() + DELIVERY_SECONDS + self.timeout + 60
        in_place_until = time.time() + self.defer_after
        while time.time() < in_place_until:
            status = self._status(command_id)
            if status not in RUNNING:
                return self.execute_complete(context, {"command_id": command_id, "status": status})
            time.sleep(POLL_SECONDS)
        self.defer(
            trigger=SsmCommandTrigger(
                command_id=command_id,
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
        self._worker(context).left()
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
        if invocation["ResponseCode"] == NO_MEMORY:
            self._check_memory(message, self._worker(context).instance_type())
        raise AirflowException(message)

    def _check_memory(self, message: str, instance_type: str) -> None:
        """Note that memory ran out, and see that it is not tried a third time with as much of it.

        Raises:
            AirflowFailException: when it ran out in an earlier try of this run, too.
        """
        uri = self.manifest.removesuffix(".json") + ".no_memory.json"
        tried = {"instance_type": instance_type, "bundle": digest_of_this_process()}
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        if read_manifest_if_present(s3, uri) == tried:
            raise AirflowFailException(
                f"memory ran out twice on {instance_type}, and a third try would be no other. Start a larger worker "
                "(`make deploy ARGUMENTS='--parameter WorkerInstanceType=…'`, docs/runbook.md#a-larger-worker), load "
                f"fewer dates, or have the files split; then clear the task. {message}"
            )
        write_manifest(s3, uri, tried)

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

    def _worker(self, context: Any) -> Worker:
        return Worker(self.settings, context, self.run_name, self.aws_conn_id)

    def _reach(self, context: Any, since: float) -> None:
        """Hold the worker for as long as the job may take, start it if it does not run, and wait until it answers."""
        worker = self._worker(context)

        def look() -> bool | None:
            instance = worker.running(DELIVERY_SECONDS + self.timeout + AFTER_JOB_SECONDS)
            if instance and not self._is_online(instance):
                worker.why_not = "runs but is not reachable over SSM"
                return None
            return True if instance else None

        wait(
            self,
            look,
            since=since,
            bound=self.reach_timeout,
            resume="resume",
            told=lambda: f"worker {self.instance_id} {worker.why_not}",
        )

    def _is_online(self, instance: dict[str, Any]) -> bool:
        """Return whether there is a sign of life since the start: after a stop SSM calls it online for a while."""
        filters = [{"Key": "InstanceIds", "Values": [self.instance_id]}]
        known = self.hook.conn.describe_instance_information(Filters=filters)["InstanceInformationList"]
        return any(
            agent["PingStatus"] == "Online" and agent["LastPingDateTime"] >= instance["LaunchTime"] for agent in known
        )

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
