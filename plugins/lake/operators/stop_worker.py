"""Give the lease on the worker back, and stop it when nobody else holds one."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.links.ec2 import EC2InstanceLink
from airflow.providers.amazon.aws.operators.ec2 import EC2StopInstanceOperator
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import WaiterError

from lake.lease import WorkerLease

POLL_SECONDS = 1


class StopWorkerOperator(EC2StopInstanceOperator):
    """Stop an EC2 instance unless another run still needs it; running it again does no harm.

    Args:
        instance_id: the worker.
        bucket: artifacts bucket, where leases are kept.
        holder: name under which this run holds the worker; templated.
        timeout: bound of the stop, in seconds.

    Raises:
        AirflowException: when the instance has not stopped within `timeout`.
    """

    template_fields = (*EC2StopInstanceOperator.template_fields, "bucket", "holder")

    def __init__(self, *, bucket: str, holder: str, timeout: float = 600, **kwargs: Any) -> None:
        super().__init__(check_interval=POLL_SECONDS, **kwargs)
        self.bucket = bucket
        self.holder = holder
        self.timeout = timeout

    def execute(self, context: Any) -> None:
        """Release the lease; stop the instance and wait when it was the last."""
        EC2InstanceLink.persist(
            context=context,
            operator=self,
            aws_partition=self.hook.conn_partition,
            instance_id=self.instance_id,
            region_name=self.hook.conn_region_name,
        )
        lease = WorkerLease(S3Hook(aws_conn_id=self.aws_conn_id).conn, self.bucket, self.instance_id)
        others = lease.release(self.holder)
        if others:
            self.log.info("worker %s goes on: %s still hold it", self.instance_id, ", ".join(others))
            return
        ec2 = self.hook.conn.meta.client
        ec2.stop_instances(InstanceIds=[self.instance_id])
        try:
            ec2.get_waiter("instance_stopped").wait(
                InstanceIds=[self.instance_id],
                WaiterConfig={"Delay": POLL_SECONDS, "MaxAttempts": max(1, int(self.timeout / POLL_SECONDS))},
            )
        except WaiterError as error:
            raise AirflowException(
                f"worker {self.instance_id} has not stopped after {self.timeout:.0f} s: {error}"
            ) from error
        lease.stopped(self.holder)
        self.log.info("worker %s has stopped", self.instance_id)
