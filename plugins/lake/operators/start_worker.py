"""Take a lease on the worker and start it."""

from __future__ import annotations

import time
from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.links.ec2 import EC2InstanceLink
from airflow.providers.amazon.aws.operators.ec2 import EC2StartInstanceOperator
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError, WaiterError

from lake.lease import LeaseError, WorkerLease

POLL_SECONDS = 1


class StartWorkerOperator(EC2StartInstanceOperator):
    """Start an EC2 instance that several runs share, and return when it runs.

    Unlike the provider's operator it counts users (`WorkerLease`), copes with an instance that is still stopping,
    and its wait has a bound. A start that fails or is killed gives the worker back: stop_worker does not run after it.

    Args:
        instance_id: the worker.
        bucket: artifacts bucket, where leases are kept.
        holder: name under which this run holds the worker; templated.
        lease_seconds: after so long a lease that nobody gave back no longer counts.
        timeout: bound of the whole start, in seconds.

    Raises:
        AirflowException: when the instance does not run within `timeout`, or the task was failed meanwhile.
        LeaseError: when somebody's stop does not end within `timeout`.
    """

    template_fields = (*EC2StartInstanceOperator.template_fields, "bucket", "holder")

    def __init__(
        self, *, bucket: str, holder: str, lease_seconds: float = 4 * 3600, timeout: float = 900, **kwargs: Any
    ) -> None:
        super().__init__(check_interval=POLL_SECONDS, **kwargs)
        self.bucket = bucket
        self.holder = holder
        self.lease_seconds = lease_seconds
        self.timeout = timeout
        self._ended = False

    def execute(self, context: Any) -> None:
        """Acquire the lease, start the instance, wait until it runs."""
        try:
            self._execute(context)
        finally:
            self._ended = True

    def on_kill(self) -> None:
        """Break off the start. Nothing else would: Airflow only calls this, and goes on until it kills the process."""
        if not self._ended:
            self._ended = True
            raise SystemExit(f"killed while it started worker {self.instance_id}")

    def _execute(self, context: Any) -> None:
        EC2InstanceLink.persist(
            context=context,
            operator=self,
            aws_partition=self.hook.conn_partition,
            instance_id=self.instance_id,
            region_name=self.hook.conn_region_name,
        )
        deadline = time.monotonic() + self.timeout
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        lease = WorkerLease(s3, self.bucket, self.instance_id)
        try:
            lease.acquire(self.holder, lease_seconds=self.lease_seconds, timeout=self.timeout)
            self.log.info("%s holds worker %s", self.holder, self.instance_id)
            self._start(deadline)
            if _failed_meanwhile(context):
                raise AirflowException(f"the task was marked as failed while it started worker {self.instance_id}")
        except LeaseError:
            raise
        except BaseException:
            self._give_back(lease)
            raise

    def _give_back(self, lease: WorkerLease) -> None:
        """Release the lease, and stop the instance when it was the last, without waiting."""
        if not lease.release(self.holder):
            try:
                self.hook.conn.meta.client.stop_instances(InstanceIds=[self.instance_id])
            finally:
                lease.stopped(self.holder)

    def _start(self, deadline: float) -> None:
        """Start the instance, and wait until it runs."""
        ec2 = self.hook.conn.meta.client
        while not self._asked_to_start(ec2):
            if time.monotonic() > deadline:
                raise AirflowException(f"worker {self.instance_id} is still stopping after {self.timeout:.0f} s")
            time.sleep(POLL_SECONDS)
        attempts = max(1, int((deadline - time.monotonic()) / POLL_SECONDS))
        try:
            ec2.get_waiter("instance_running").wait(
                InstanceIds=[self.instance_id], WaiterConfig={"Delay": POLL_SECONDS, "MaxAttempts": attempts}
            )
        except WaiterError as error:
            raise AirflowException(
                f"worker {self.instance_id} does not run after {self.timeout:.0f} s: {error}"
            ) from error
        self.log.info("worker %s runs", self.instance_id)

    def _asked_to_start(self, ec2: Any) -> bool:
        """Ask for a start; False when the instance is still stopping, which EC2 refuses."""
        try:
            ec2.start_instances(InstanceIds=[self.instance_id])
        except ClientError as error:
            if error.response["Error"]["Code"] == "IncorrectInstanceState":
                return False
            raise
        return True


def _failed_meanwhile(context: Any) -> bool:
    """Return whether somebody has failed this task since Airflow last looked after its process."""
    ti, run_id = context["ti"], context["run_id"]
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[run_id])
    return bool(states[run_id][ti.task_id] == "failed")
