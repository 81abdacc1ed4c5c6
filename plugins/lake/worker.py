"""The EC2 instance that several runs share, as one run uses it."""

from __future__ import annotations

import logging
from typing import Any

from airflow.providers.amazon.aws.hooks.ec2 import EC2Hook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError

from lake.lease import WorkerLease
from lake.settings import Settings

STOP_WORKER = "stop_worker"
"""The task that gives a run's lease back."""

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
NO_CAPACITY = "InsufficientInstanceCapacity"
WRONG_STATE = "IncorrectInstanceState"
log = logging.getLogger(__name__)


class Worker:
    """The worker in the hands of one run. Nothing here waits: what takes time returns None, and is to be tried again.

    Args:
        settings: the stack's names.
        context: the context of a task of the run.
        run_name: name of the run.
        aws_conn_id: Airflow connection.
    """

    def __init__(self, settings: Settings, context: Any, run_name: str, aws_conn_id: str | None) -> None:
        self.instance_id = settings.worker_instance_id
        self.holder = f"{context['ti'].dag_id}/{run_name}"
        self._context = context
        self._ec2 = EC2Hook(aws_conn_id=aws_conn_id, api_type="client_type").conn
        self._lease = WorkerLease(S3Hook(aws_conn_id=aws_conn_id).conn, settings.artifacts_bucket, self.instance_id)
        self._types = [name for name in settings.worker_instance_types.split(",") if name]
        self.why_not = ""

    def running(self, lease_seconds: float) -> dict[str, Any] | None:
        """Hold the worker from now on for at least so long, start it where it does not run, and describe it.

        Args:
            lease_seconds: how long the caller needs it.

        Returns:
            The instance, as EC2 describes one; None while it does not run, for what `why_not` then tells.

        Raises:
            AirflowException: when the task has ended, as one that was marked as failed has: it may start nothing more.
        """
        if not self._lease.acquire(self.holder, lease_seconds):
            self.why_not = "is being stopped"
            return None
        # In this order: stop_worker, which comes after the task's end, finds the lease, or this finds that end.
        if (ended := self._state_of(self._context["ti"].task_id)) in ENDED:
            self.left()
            raise AirflowException(f"the task was marked as {ended} while it waited for worker {self.instance_id}")
        instance = self._instance()
        state = instance["State"]["Name"]
        if state == "running":
            return instance
        reason = instance.get("StateReason", {}).get("Message", "")
        self.why_not = f"is {state}" + f" ({reason})" * bool(reason)
        if state == "stopped":
            self._start(instance["InstanceType"])
        return None

    def given_back(self, *, only_ask: bool = False) -> bool:
        """Give the worker back, and stop it when nobody else holds it; it need not have been held.

        Args:
            only_ask: whether it is enough that EC2 takes the request to stop it.

        Returns:
            Whether that is done. It is not before the instance has stopped; EC2 refuses to stop one that is pending.
        """
        others = self._lease.release(self.holder)
        if others is None:
            state = self._stop()
            done = state == "stopped" or (only_ask and state == "stopping")
            self._lease.asked_to_stop(self.holder, over=done)
            log.info("worker %s is %s", self.instance_id, state)
            return done
        if others:
            log.info("worker %s goes on: %s still hold it", self.instance_id, ", ".join(others))
        else:
            log.info("%s does not hold worker %s: there is nothing to stop", self.holder, self.instance_id)
        return True

    def instance_type(self) -> str:
        """Return the type that the worker has now."""
        return str(self._instance()["InstanceType"])

    def left(self) -> None:
        """Give the worker back at the end of a job, unless stop_worker of the run, which does that, is yet to come."""
        if self._state_of(STOP_WORKER) is not None:
            self.given_back(only_ask=True)

    def _state_of(self, task_id: str) -> str | None:
        """Return the state of a task of the run, None when it is yet to come."""
        ti, run_id = self._context["ti"], self._context["run_id"]
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[task_id], run_ids=[run_id])
        state: str | None = states.get(run_id, {}).get(task_id)
        return state

    def _instance(self) -> dict[str, Any]:
        (reservation,) = self._ec2.describe_instances(InstanceIds=[self.instance_id])["Reservations"]
        instance: dict[str, Any] = reservation["Instances"][0]
        return instance

    def _stop(self) -> str:
        try:
            (change,) = self._ec2.stop_instances(InstanceIds=[self.instance_id])["StoppingInstances"]
        except ClientError as error:
            if error.response["Error"]["Code"] != WRONG_STATE:
                raise
            return "pending"
        return str(change["CurrentState"]["Name"])

    def _start(self, has: str) -> None:
        """Ask for a start, with the first type of which AWS has one left."""
        for wanted in self._types or [has]:
            try:
                if wanted != has:
                    self._ec2.modify_instance_attribute(InstanceId=self.instance_id, InstanceType={"Value": wanted})
                    has = wanted
                self._ec2.start_instances(InstanceIds=[self.instance_id])
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code == NO_CAPACITY:
                    self.why_not = (
                        f"is stopped, as AWS has no capacity for {', '.join(self._types or [has])} in its zone"
                    )
                    continue
                # Another run's start came in between.
                if code != WRONG_STATE:
                    raise
            return
