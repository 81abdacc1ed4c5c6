"""Airflow's REST API, as far as the tools need it: what runs, what failed, and why.

The `airflow` command would answer the same, but takes seconds of processor time to start, each time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any

import requests

from tools.processes import StackError

PAGE = 100
"""Airflow's own limit of one page."""


class AirflowApi:
    """A client of the api-server, which knows no passwords here (all users are admins, on loopback).

    Args:
        address: such as ``http://127.0.0.1:8080``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy on the way to loopback
        token = self._request("GET", "/auth/token").json()["access_token"]
        self.session.headers["Authorization"] = f"Bearer {token}"

    def wait_for_dag(self, dag_id: str, timeout: float = 120) -> dict[str, Any]:
        """Return DAG `dag_id` as soon as it has been parsed.

        Raises:
            StackError: when its file cannot be imported, with the traceback, or it is not there in `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if errors := self._get("importErrors")["import_errors"]:
                raise StackError(f"{errors[0]['filename']} cannot be imported:\n{errors[0]['stack_trace']}")
            if dags := self._get("dags", dag_id_pattern=dag_id, exclude_stale=True)["dags"]:
                return dags[0]
            time.sleep(0.5)
        raise StackError(f"no DAG {dag_id} after {timeout:.0f} s: see .local/logs/dag-processor.log")

    def pause(self, dag_id: str, paused: bool) -> None:
        """Pause or unpause a DAG."""
        self._request("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": paused})

    def backfill_runs(self, dag_id: str, first: date, last: date) -> list[dict[str, Any]]:
        """Return the runs that backfills made for the dates from `first` to `last`, by date."""
        runs = self._pages(
            f"dags/{dag_id}/dagRuns",
            "dag_runs",
            logical_date_gte=f"{first}T00:00:00Z",
            logical_date_lte=f"{last}T23:59:59Z",
            run_type="backfill",
            order_by="logical_date",
        )
        return list(runs)

    def create_backfill(self, dag_id: str, first: date, last: date, active_runs: int) -> None:
        """Create a run for each date from `first` to `last`, `active_runs` at a time; finished ones run again."""
        backfill = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            # A date's run is of a time within it.
            "to_date": f"{last}T23:59:59Z",
            "max_active_runs": active_runs,
            "reprocess_behavior": "completed",
        }
        self._request("POST", "/api/v2/backfills", json=backfill)

    def cancel_backfills(self, dag_id: str) -> None:
        """Cancel the backfills of a DAG that are under way: Airflow refuses a second one beside them."""
        for each in self._get("backfills", dag_id=dag_id)["backfills"]:
            if not each["completed_at"]:
                self._request("PUT", f"/api/v2/backfills/{each['id']}/cancel")

    def trigger(self, dag_id: str, conf: dict[str, Any], logical_date: str | None = None) -> str:
        """Start a run with parameters `conf`, by default without a date, and return its id."""
        run = {"logical_date": logical_date, "conf": conf}
        answer: dict[str, Any] = self._request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=run).json()
        return str(answer["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return a run."""
        return self._get(f"dags/{dag_id}/dagRuns/{run_id}")

    def fail(self, dag_id: str, run_id: str) -> None:
        """Mark a run as failed; it ends once its teardown tasks have run."""
        self._request("PATCH", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}", json={"state": "failed"})

    def end_runs(self, runs: Callable[[], list[dict[str, Any]]], timeout: float = 90) -> None:
        """Fail the unfinished ones of `runs`, and wait until they have ended.

        Teardown tasks still run, so their DAGs must not be paused.

        Raises:
            StackError: when a run has not ended after `timeout` seconds.
        """
        for each in _unfinished(runs()):
            self.fail(each["dag_id"], each["dag_run_id"])
        deadline = time.monotonic() + timeout
        while unfinished := _unfinished(runs()):
            if time.monotonic() > deadline:
                names = ", ".join(each["dag_run_id"] for each in unfinished)
                raise StackError(f"these runs do not end: {names}. See .local/logs/scheduler.log")
            time.sleep(1)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the task instances of a run."""
        return list(self._pages(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances"))

    def log_lines(self, instance: dict[str, Any], count: int) -> list[str]:
        """Return the last `count` lines of the log of a task instance's last try."""
        path = f"dags/{instance['dag_id']}/dagRuns/{instance['dag_run_id']}/taskInstances/{instance['task_id']}"
        content = self._get(f"{path}/logs/{instance['try_number']}", full_content=True)["content"]
        lines = [line for entry in content for line in _text(entry).splitlines() if not line.startswith("::")]
        return lines[-count:]

    def _get(self, path: str, **parameters: Any) -> dict[str, Any]:
        return self._request("GET", f"/api/v2/{path}", params=parameters).json()

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            answer = self.session.request(method, f"{self.address}{path}", timeout=30, **options)
            answer.raise_for_status()
        except requests.RequestException as error:
            raise StackError(f"Airflow's API: {error}. See .local/logs/api-server.log") from error
        return answer

    def _pages(self, path: str, key: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self._get(path, limit=PAGE, offset=offset, **parameters)
            yield from page[key]
            offset += PAGE
            if offset >= page["total_entries"]:
                return


def _unfinished(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in runs if each["state"] in ("queued", "running")]


def _text(entry: dict[str, Any] | str) -> str:
    """Return a log entry as text, with the exception that it reports and the causes of that."""
    if isinstance(entry, str):
        return entry
    causes = [f"{error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or []]
    return "\n".join([str(entry["event"]), *causes])


def seconds(instance: dict[str, Any]) -> float | None:
    """Return how long a run or task instance has taken from start to end, in seconds, or None when it has not ended."""
    if not instance["start_date"] or not instance["end_date"]:
        return None
    return (moment(instance["end_date"]) - moment(instance["start_date"])).total_seconds()


def moment(text: str) -> datetime:
    """Parse a time of the API."""
    return datetime.fromisoformat(text)
