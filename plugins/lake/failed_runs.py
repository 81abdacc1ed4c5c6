"""Let a run that somebody marks as failed end failed, whatever it still has to tidy up.

Airflow leaves a run with teardowns running when it is marked as failed, skips all that was not done, and then takes the
skipped tasks and the teardown for a success: a day that was not loaded would be green. Here what was not done counts as
*upstream failed* instead. So the run ends failed once the worker has been given back, and clearing its failed tasks
clears all that is missing.

The api-server runs this within the request that marks the run. A DAG alone cannot: none of its tasks is sure to run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun


class FailedRuns:
    """Listen for runs that fail."""

    @hookimpl
    def on_dag_run_failed(self, dag_run: DagRun, msg: str) -> None:
        """Fail what was skipped in a run that was marked as failed and goes on for its teardowns.

        Args:
            dag_run: the run; the scheduler's own failures, and runs without a teardown to come, are failed by now.
            msg: Airflow's reason.
        """
        from airflow.utils.state import DagRunState, TaskInstanceState
        from sqlalchemy.orm import object_session

        if dag_run.state == DagRunState.FAILED:
            return
        session = object_session(dag_run)
        if session is None:
            raise RuntimeError(f"run {dag_run.run_id} would end as success: it came without its session")
        for instance in dag_run.get_task_instances(state=[TaskInstanceState.SKIPPED], session=session):
            instance.set_state(TaskInstanceState.UPSTREAM_FAILED, session=session)


class LakePlugin(AirflowPlugin):
    """What this repository adds to Airflow itself."""

    name = "lake"
    listeners = [FailedRuns()]  # noqa: RUF012 - as the base class declares it
