"""Many dates of a dataset in one job: what the jobs of `reprocess_<dataset>` do alike.

Such a job reads which dates there are from the reprocess manifest of the step before it, and writes one of its own:
`step, dataset, ds (START..END), run, dates {ds: {outcome, why, ...}}`. A URI among its arguments names the date as
`{ds}`, and where it is a manifest's, the step as `{step}`. What goes wrong with one date is that date's outcome, not
the job's.
"""

from __future__ import annotations

import argparse
import re
import traceback
from collections.abc import Callable
from typing import Any

from spark_jobs import job
from spark_jobs.errors import DataError, NotReadyError

STAGED, LOADED, REFUSED, CRASHED = "staged", "loaded", "refused", "crashed"
"""Outcomes of a date. A refused one needs other data, a crashed one another try."""

SPAN = re.compile(r"\d{4}-\d{2}-\d{2}\.\.\d{4}-\d{2}-\d{2}")


def span(text: str) -> str:
    """The dates of a range as text, both ends included: `2025-06-01..2025-06-30`.

    :raises ValueError: it is not written so.
    """
    if not SPAN.fullmatch(text):
        raise ValueError(text)
    return text


def parser(step: str, **uris: str) -> argparse.ArgumentParser:
    """The arguments of a job for many dates: those of a job, `--ds START..END`, and the manifest of the step before.

    :param uris: help by the name of an argument.
    """
    uris["dates"] = "reprocess manifest of the step before"
    uris["date_manifest"] = "JSON to write for a step of a date, with {ds} and {step}"
    uris["manifest"] = "reprocess manifest to write"
    return job.parser(step, ds_type=span, **uris)


def outcome_of(work: Callable[[dict[str, Any]], None], good: str) -> dict[str, Any]:
    """Do the work for a date and say how it ended.

    :param work: fills the dict it is given with what is known of the date, so that a failure tells that much.
    :param good: the outcome when nothing is raised.
    :return: `outcome`, `why` unless it is good, and what `work` has found.
    """
    found: dict[str, Any] = {}
    try:
        work(found)
    except (DataError, NotReadyError) as error:
        return {"outcome": REFUSED, "why": job.one_line(f"{error}"), **found}
    except Exception as error:
        traceback.print_exc()
        return {"outcome": CRASHED, "why": job.one_line(f"{type(error).__name__}: {error}"), **found}
    return {"outcome": good, **found}


def with_outcome(dates: dict[str, dict[str, Any]], outcome: str) -> list[str]:
    """The dates of a reprocess manifest that ended so, in order."""
    return sorted(ds for ds, entry in dates.items() if entry["outcome"] == outcome)


def told(dates: dict[str, dict[str, Any]]) -> str:
    """How many dates had each outcome, `3 loaded, 1 refused`."""
    outcomes = [entry["outcome"] for entry in dates.values()]
    return ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in dict.fromkeys(outcomes))
