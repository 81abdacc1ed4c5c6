"""Give the lease on the worker back, and stop it when nobody else holds one."""

from __future__ import annotations

import time
from typing import Any

from airflow.providers.amazon.aws.links.ec2 import EC2InstanceLink
from airflow.providers.amazon.aws.operators.ec2 import EC2StopInstanceOperator

from lake.patience import wait
from lake.settings import Settings
from lake.worker import Worker


class StopWorkerOperator(EC2StopInstanceOperator):
    """Stop an EC2 instance unless another run still needs it; running it again does no harm.

    It runs after whatever end of the tasks before it, also when the start failed, was killed or never began: what there
    is to do, it reads in the lease.

    Args:
        settings: the stack's names.
        run_name: name of this run; templated.
        timeout: bound of the stop, in seconds.

    Raises:
        AirflowFailException: when the instance has not stopped within `timeout`.
    """

    template_fields = (*EC2StopInstanceOperator.template_fields, "run_name")

    def __init__(self, *, settings: Settings, run_name: str, timeout: float = 900, **kwargs: Any) -> None:
        super().__init__(instance_id=settings.worker_instance_id, **kwargs)
        self.settings = settings
        self.run_name = run_name
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
        self.resume(context, None, time.time())

    def resume(self, context: Any, event: Any, since: float) -> None:
        """Go on with the wait."""
        worker = Worker(self.settings, context, self.run_name, self.aws_conn_id)
        wait(
            self,
            lambda: worker.given_back() or None,
            since=since,
            bound=self.timeout,
            resume="resume",
            told=lambda: f"worker {self.instance_id} has not stopped",
        )
