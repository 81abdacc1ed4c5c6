"""The pool in which tasks queue for the worker's Sparks, there before the first of them is scheduled.

Airflow leaves tasks of a pool that does not exist queued for ever. So whatever starts with Airflow's database makes it,
the scheduler among them, and no set-up can forget to.
"""

from __future__ import annotations

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

WORKER_POOL = "lake_worker"
SLOTS = 2
"""How many Sparks the default worker runs at once: see `slots` in infra/worker/lake-worker."""


class WorkerPool:
    """Listen for what starts."""

    @hookimpl
    def on_starting(self, component: object) -> None:
        """Make the pool, or see that deferred tasks count in it; how many slots it has then is for people to say.

        Args:
            component: what starts; processes of tasks, which have no database, are not among Airflow's jobs.
        """
        from airflow.jobs.job import Job
        from airflow.models.pool import Pool
        from airflow.utils.session import create_session
        from sqlalchemy import select

        if not isinstance(component, Job):
            return
        with create_session() as session:
            pool = session.scalar(select(Pool).where(Pool.pool == WORKER_POOL))
            if pool is None:
                pool = Pool(pool=WORKER_POOL, slots=SLOTS, description="Sparks of the lake's worker")
                session.add(pool)
            # A job is awaited deferred, and has its Spark all the while.
            pool.include_deferred = True


class WorkerPoolPlugin(AirflowPlugin):
    """What makes the pool."""

    name = "lake_worker_pool"
    listeners = [WorkerPool()]  # noqa: RUF012 - as the base class declares it
