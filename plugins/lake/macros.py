"""What templates of the lake's DAGs can say: `{{ run_date() }}` and `{{ paths().raw }}`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import jinja2
from airflow.sdk.exceptions import AirflowFailException
from contract.dataset import Contract

from lake.paths import Paths
from lake.settings import Settings

# `airflow tasks test` makes a new temporary run for every task: one name for all lets them find each other's results.
TEMPORARY_RUN = re.compile(r"__airflow_temporary_run_.*")


def run_slug(run_id: str) -> str:
    """Make an Airflow run id safe for an S3 key and a partition value: `[A-Za-z0-9_-]` only."""
    if TEMPORARY_RUN.fullmatch(run_id):
        return "tasks-test"
    return re.sub(r"[^A-Za-z0-9_]+", "-", run_id).strip("-")


def resolve_date(context: Any) -> str:
    """Return the date (`YYYY-MM-DD`) that a run is about: the `date` parameter, else the logical date.

    Raises:
        AirflowFailException: when the run has neither, as manual and asset-triggered runs may.
    """
    given = (context.get("params") or {}).get("date") or context.get("ds")
    if not given:
        raise AirflowFailException(
            f"run {context['run_id']} has no date: it was triggered without a logical date. "
            'Trigger it again with {"date": "YYYY-MM-DD"}'
        )
    try:
        return date.fromisoformat(given).isoformat()
    except ValueError:
        raise AirflowFailException(f"parameter date is {given!r}: it must be a date, YYYY-MM-DD") from None


def resolve_dates(context: Any) -> tuple[str, str]:
    """Return the first and the last date (`YYYY-MM-DD`) that a run over many dates is about.

    Raises:
        AirflowFailException: when the parameters `start` and `end` are not dates in order.
    """
    given = context["params"]
    try:
        start, end = (date.fromisoformat(given[name]).isoformat() for name in ("start", "end"))
    except ValueError as error:
        raise AirflowFailException(f"parameters start and end must be dates, YYYY-MM-DD: {error}") from None
    if start > end:
        raise AirflowFailException(f"parameter start, {start}, is after end, {end}")
    return start, end


def days(start: str, end: str) -> list[str]:
    """Return every date from `start` to `end`, both included, as `YYYY-MM-DD`."""
    first, last = date.fromisoformat(start), date.fromisoformat(end)
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def asked_dates(context: Any) -> list[str]:
    """Return the dates (`YYYY-MM-DD`) that a run over many dates is to load: those of `dates`, else the whole range.

    Raises:
        AirflowFailException: when the parameters `start` and `end` are not dates in order, or `dates` are not of them.
    """
    all_dates = days(*resolve_dates(context))
    asked = set(context["params"].get("dates") or all_dates)
    if outside := sorted(asked - set(all_dates)):
        raise AirflowFailException(f"parameter dates: {', '.join(outside)} are not from start to end")
    return [ds for ds in all_dates if ds in asked]


def reprocess_macros(settings: Settings, contract: Contract) -> dict[str, Callable[..., Any]]:
    """Return the `user_defined_macros` of a DAG whose runs are about many dates of a dataset.

    Args:
        settings: the stack's names.
        contract: the dataset.

    Returns:
        `run_date()`, the dates as text `START..END`, and `paths()`, where `{ds}` stands for each of them.
    """

    @jinja2.pass_context
    def run_date(context: jinja2.runtime.Context) -> str:
        return "..".join(resolve_dates(context))

    @jinja2.pass_context
    def paths(context: jinja2.runtime.Context) -> Paths:
        return Paths(settings, contract, "{ds}", run_slug(context["run_id"]))

    return {"run_date": run_date, "paths": paths}


def lake_macros(settings: Settings, contract: Contract) -> dict[str, Callable[..., Any]]:
    """Return the `user_defined_macros` of a dataset's DAG.

    Args:
        settings: the stack's names.
        contract: the dataset.

    Returns:
        `run_date()`, the run's date as text, and `paths()`, its `Paths`.
    """

    @jinja2.pass_context
    def run_date(context: jinja2.runtime.Context) -> str:
        return resolve_date(context)

    @jinja2.pass_context
    def paths(context: jinja2.runtime.Context) -> Paths:
        return Paths(settings, contract, resolve_date(context), run_slug(context["run_id"]))

    return {"run_date": run_date, "paths": paths}
