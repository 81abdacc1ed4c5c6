"""Compare a dataset's last dates with what is published, and have loaded again what its contract allows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.standard.triggers.external_task import DagStateTrigger
from airflow.sdk.exceptions import TaskDeferralTimeout
from airflow.utils.state import DagRunState
from contract.dataset import Contract

from lake.comparison import Compared, compare
from lake.macros import run_slug
from lake.manifest import read_manifest_if_present, write_manifest
from lake.parallel import in_parallel
from lake.paths import Paths
from lake.reconciliation import Finding, Run, dates_before, findings, report, to_load
from lake.settings import Settings

UNFINISHED, FINISHED = [DagRunState.QUEUED, DagRunState.RUNNING], [DagRunState.SUCCESS, DagRunState.FAILED]
POLL_SECONDS = 5
PREFIX = "reconcile__"
"""What the names of the runs that are started begin with; the day follows."""


def moment_of(context: Any) -> datetime:
    """Return the time that a run of `reconcile` counts from: the end of its data interval, else when it was asked for.

    Args:
        context: the task's context.
    """
    moment: datetime = context.get("data_interval_end") or context["dag_run"].run_after
    return moment.astimezone(UTC)


class ReconcileOperator(TriggerDagRunOperator):
    """Say what is wrong with a dataset's last dates, and start one run of its DAG `reprocess` for those to load again.

    That run has a name of the day, so there is one a day at most; none is started while another is under way. Before
    it looks, the runs that were started today for datasets which this one reads end, or `patience` is over: what comes
    of them later is found the next day. What is found is in the reprocess manifest `reconcile` of this run. With the
    parameter `dry_run` nothing is started.

    Args:
        settings: the stack's names.
        contract: the dataset.
        patience: how long to wait for each of those runs.
        aws_conn_id: Airflow connection.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        contract: Contract,
        patience: timedelta = timedelta(hours=6),
        aws_conn_id: str | None = "aws_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(trigger_dag_id=f"reprocess_{contract.dataset}", logical_date=None, **kwargs)
        self.settings = settings
        self.contract = contract
        self.patience = patience
        self.aws_conn_id = aws_conn_id

    def execute(self, context: Any, event: Any = None) -> None:
        """Wait for what this dataset reads, then compare and start."""
        run_id = _run_id(moment_of(context))
        for other in self.contract.other_datasets:
            dag_id = f"reprocess_{other}"
            if context["ti"].get_dr_count(dag_id=dag_id, run_ids=[run_id], states=UNFINISHED):
                trigger = DagStateTrigger(dag_id=dag_id, states=FINISHED, run_ids=[run_id], poll_interval=POLL_SECONDS)
                self.defer(trigger=trigger, method_name="execute", timeout=self.patience)
        self._reconcile(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Go on when those runs have ended, and also when they have not in time."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            self.log.warning("datasets that this one reads are not loaded after %s", self.patience)
            return self._reconcile(context)

    def _reconcile(self, context: Any) -> None:
        moment, ti = moment_of(context), context["ti"]
        s3 = S3Hook(aws_conn_id=self.aws_conn_id).conn
        glue = GlueCatalogHook(aws_conn_id=self.aws_conn_id).conn
        compared = compare(s3, glue, self.settings, self.contract, dates_before(moment, self.contract.reconcile.days))
        ingest = f"ingest_{self.contract.dataset}"

        def under_way(logical_dates: list[datetime]) -> bool:
            return bool(logical_dates) and ti.get_dr_count(ingest, logical_dates=logical_dates, states=UNFINISHED) > 0

        found = list(findings(self.contract, compared, moment, self._earlier(s3, moment), under_way))
        dates, left = to_load(self.contract, found)
        run_id = _run_id(moment)
        held = self._held(ti, run_id, dry_run=context["params"]["dry_run"]) if dates else ""
        is_started = bool(ti.get_dr_count(self.trigger_dag_id, run_ids=[run_id]))
        starts = bool(dates) and not held and not is_started
        started = {"dag_id": self.trigger_dag_id, "run_id": run_id, "dates": dates}
        warned = self._warnings(s3, compared, moment)
        told = report(found, started if starts else None, held, left, warned)
        paths = Paths(self.settings, self.contract, "{ds}", run_slug(context["run_id"]))
        frame = {"step": "reconcile", "dataset": self.contract.dataset, "ds": f"{moment:%Y-%m-%d}", "run": paths.run}
        uri = paths.reprocess_manifest("reconcile")
        if is_started and (before := read_manifest_if_present(s3, uri)):
            # A second try of this task: it must not forget what the first one has started.
            told["started"], told["held"] = before["started"], before["held"]
        write_manifest(s3, uri, {**frame, **told})
        self._log(found, told)
        if starts:
            self.trigger_run_id = run_id
            self.conf = {"start": dates[0], "end": dates[-1], "dates": dates, "dry_run": False}
            super().execute(context)

    def _held(self, ti: Any, run_id: str, *, dry_run: bool) -> str:
        """Why no run may be started; empty when one may."""
        if dry_run:
            return "this is a dry run"
        if ti.get_dag(self.trigger_dag_id).is_paused:
            return f"{self.trigger_dag_id} is paused"
        if ti.get_dr_count(self.trigger_dag_id, states=UNFINISHED):
            return f"a run of {self.trigger_dag_id} is under way"
        if ti.get_dr_count(self.trigger_dag_id, run_ids=[run_id]):
            return f"the run of today, {run_id}, has ended"
        return ""

    def _earlier(self, s3: Any, moment: datetime) -> list[Run]:
        """What was planned in runs that were started here before, and what became of the dates."""
        days = dates_before(moment, self.contract.reconcile.days)
        return [run for run in in_parallel(partial(self._started_on, s3), days) if run]

    def _started_on(self, s3: Any, day: str) -> Run | None:
        paths = Paths(self.settings, self.contract, "{ds}", run_slug(f"{PREFIX}{day}"))
        if not (plan := read_manifest_if_present(s3, paths.reprocess_manifest("plan"))):
            return None
        became = read_manifest_if_present(s3, paths.reprocess_manifest("reprocess"))
        became = became or read_manifest_if_present(s3, paths.reprocess_manifest("stage_raw"))
        return {"plan": plan["dates"], "became": became["dates"]} if became else None

    def _warnings(self, s3: Any, compared: list[Compared], moment: datetime) -> list[str]:
        """What the suites of the dates that were loaded in the day before `moment` warned of, and no value of a row."""
        first, last = ((moment - timedelta(days=days)).isoformat() for days in (1, 0))
        lines = []
        for each in compared:
            if each.published and each.listed and first <= each.listed < last:
                paths = Paths(self.settings, self.contract, each.ds, each.published.submission.run)
                verdict = read_manifest_if_present(s3, paths.manifest("validate"))
                for failed in verdict["failed"] if verdict else []:
                    column = f" of {failed['column']}" if failed["column"] else ""
                    rows = (
                        f", {failed['rows_failed']} of {failed['rows_checked']} rows" if failed["rows_failed"] else ""
                    )
                    lines.append(f"{each.ds} {failed['severity']}: {failed['expectation']}{column}{rows}")
        return lines

    def _log(self, found: list[Finding], told: dict[str, Any]) -> None:
        for each in found:
            self.log.info("%s %s %s %s", each.ds, each.kind, each.since, each.why)
        for name in ("started", "held", "left", "warnings"):
            if told[name]:
                self.log.info("%s: %s", name, told[name])


def _run_id(moment: datetime) -> str:
    """The name of the one run that is started on a day."""
    return f"{PREFIX}{moment:%Y-%m-%d}"
