"""Take a lease on the worker and start it."""

from __future__ import annotations

import time
from typing import Any

from airflow.providers.amazon.aws.links.ec2 import EC2InstanceLink
from airflow.providers.amazon.aws.operators.ec2 import EC2StartInstanceOperator

from lake.patience import wait
from lake.settings import Settings
from lake.worker import Worker

LEASE_SECONDS = 900.0
"""Enough until the next look, and until the first job prolongs it; a job that comes later starts the worker again."""


class StartWorkerOperator(EC2StartInstanceOperator):
    """Start an EC2 instance that several runs share, and return when it runs.

    Unlike the provider's operator it counts users (`WorkerLease`), copes with an instance that is still stopping, and
    its wait has a bound and holds no executor slot for long. Whatever becomes of this task, it leaves the rest to
    stop_worker, which runs after every end: nothing could be cleaned up by a process that is killed.

    Args:
        settings: the stack's names.
        run_name: name of this run; templated.
        timeout: bound of the whole start, in seconds.

    Raises:
        AirflowFailException: when the instance does not run within `timeout`.
        AirflowException: when the task was ended meanwhile.
    """

    template_fields = (*EC2StartInstanceOperator.template_fields, "run_name")

    def __init__(self, *, settings: Settings, run_name: str, timeout: float = 3600, **kwargs: Any) -> None:
        super().__init__(instance_id=settings.worker_instance_id, **kwargs)
        self.settings = settings
        self.run_name = run_name
        self.timeout = timeout

    def execute(self, context: Any) -> None:
        """Hold the worker, and wait until it runs."""
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
            lambda: worker.running(LEASE_SECONDS),
            since=since,
            bound=self.timeout,
            resume="resume",
            told=lambda: f"worker {self.instance_id} {worker.why_not}",
        )
        self.log.info("worker %s runs", self.instance_id)
