"""What Great Expectations finds in a batch: in the shape of a manifest, and as a page of Data Docs.

Most of the time that a validation takes is Spark looking for examples of unexpected values, one query for each
expectation, found or not. So every expectation about rows is first only asked whether it holds without exception, all
in one query; those that do not are evaluated again, with their own tolerance and with examples. What holds without
exception for the rows of many dates holds for each date, and need not be asked of it.
"""

from __future__ import annotations

import copy
import gc
import html
import json
import math
import os
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from contract.submission import Submission
from pyspark.sql import DataFrame

SHARES = {f"{outcome}_share": f"rows_{outcome}" for outcome in ("quarantined", "dropped", "duplicates")}
"""Metrics of a run that are shares of the rows read, by the metric they are a share of."""
OUTCOMES = {"published": "good", "quarantined": "quarantined", "duplicates": "duplicates"}
EXAMPLES = 5
MIN_SECONDS = 0.05
"""Phases that take less are not told on a page."""
OF_MANY_ROWS = re.compile("_(mean|stdev|sum|count|proportion_of_[a-z_]+)_to_")
"""Expectations that observe a number about many rows. Others, such as of a maximum, observe the value of one."""

Suite = dict[str, list[dict[str, Any]]]
"""Expectations as in a suite's JSON, by the batch they are about: `rows` or `run`."""


def import_great_expectations() -> None:
    """Load the library, which takes seconds: in a thread, while Spark starts in another process."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    gc.disable()
    import great_expectations
    import great_expectations.expectations.core
    import great_expectations.render.view  # noqa: F401

    # All that was loaded stays: Python would look through it again and again, and for a second before it ends.
    gc.freeze()
    gc.enable()


@cache
def _batch_definitions() -> dict[str, Any]:
    """Where batches go in: Spark frames as `rows`, a pandas frame of one row as `run`."""
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    sources: dict[str, Any] = {
        "rows": context.data_sources.add_spark(name="spark", persist=False),
        "run": context.data_sources.add_pandas(name="pandas"),
    }
    return {
        name: source.add_dataframe_asset(name=name).add_batch_definition_whole_dataframe(name)
        for name, source in sources.items()
    }


def evaluate(
    rows: DataFrame,
    metrics: dict[str, Any],
    suite: Suite,
    ds: date,
    examples: int = EXAMPLES,
    held_before: Mapping[int, Any] | None = None,
) -> dict[str, list[Any]]:
    """Evaluate a suite for the published rows and the metrics of a run.

    :param rows: read a few times.
    :param metrics: the run's; `rows_published` is the number of `rows`.
    :param examples: how many unexpected values a result shows at most.
    :param held_before: what `held_by_all` found of rows among which these are.
    :return: Great Expectations' results by batch, in the order of the suite.
    """
    frames = {"rows": rows, "run": pd.DataFrame([metrics])}
    results = {}
    for name, frame in frames.items():
        asked = dict(enumerate(suite[name]))
        held = {}
        if name == "rows":
            held = {place: copy.deepcopy(result) for place, result in (held_before or {}).items()}
            held |= _without_exception(frame, {place: asked[place] for place in asked if place not in held}, ds)
            for place, result in held.items():
                _tell_of(result, asked[place], metrics["rows_published"])
        others = {place: expectation for place, expectation in asked.items() if place not in held}
        form = {"result_format": "BASIC", "partial_unexpected_count": examples}
        found = held | _evaluated(name, frame, others, ds, form)
        results[name] = [found[place] for place in asked]
    return results


def held_by_all(rows: DataFrame, suite: Suite) -> dict[int, Any]:
    """The results, by place in the suite, of those expectations that hold for each of the rows of several dates.

    Left out are those that are another one on each date, and those about what rows of a date have in common.
    """
    asked = {
        place: expectation
        for place, expectation in enumerate(suite["rows"])
        if "$PARAMETER" not in json.dumps(plain(expectation["kwargs"])) and "unique" not in expectation["type"]
    }
    return _without_exception(rows, asked, date.min)


def _without_exception(rows: DataFrame, asked: dict[int, dict[str, Any]], ds: date) -> dict[int, Any]:
    """The results of those expectations about single rows that hold for each row."""
    strict = {
        place: {**expectation, "kwargs": {**expectation["kwargs"], "mostly": 1.0}}
        for place, expectation in asked.items()
        if _is_about_rows(expectation["type"])
    }
    found = _evaluated("rows", rows, strict, ds, {"result_format": "BOOLEAN_ONLY"})
    return {place: result for place, result in found.items() if result.success}


def _tell_of(result: Any, expectation: dict[str, Any], count: int) -> None:
    """Let the result of an expectation that holds without exception tell of `count` rows, and of its own tolerance."""
    if "mostly" in expectation["kwargs"]:
        result.expectation_config.kwargs["mostly"] = expectation["kwargs"]["mostly"]
    result.result = {
        "element_count": count,
        "unexpected_count": 0,
        "unexpected_percent": 0.0,
        "partial_unexpected_list": [],
    }


def _is_about_rows(type_name: str) -> bool:
    """Whether an expectation is judged row by row, so that it can be said how many rows do not meet it."""
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )
    from great_expectations.expectations.registry import get_expectation_impl

    kind = get_expectation_impl(type_name)
    return issubclass(kind, ColumnMapExpectation | ColumnPairMapExpectation | MulticolumnMapExpectation)


def _evaluated(
    name: str, frame: Any, asked: dict[int, dict[str, Any]], ds: date, result_format: dict[str, Any]
) -> dict[int, Any]:
    """Great Expectations' results by the place that each expectation has in its suite.

    :param name: where the frame goes in, `rows` or `run`.
    """
    from great_expectations.core.expectation_suite import ExpectationSuite

    if not asked:
        return {}
    batch = _batch_definitions()[name].get_batch(batch_parameters={"dataframe": frame})
    # Results come in another order than expectations when one cannot be evaluated.
    numbered = [{**expectation, "id": f"{place}"} for place, expectation in asked.items()]
    found = batch.validate(
        ExpectationSuite(name="suite", expectations=numbered),
        result_format=result_format,
        expectation_parameters={"ds": ds.isoformat()},
    )
    return {int(result.expectation_config.id): result for result in found.results}


@cache
def _template() -> Any:
    """Our page around Great Expectations' sections, compiled once."""
    from great_expectations.render.view import DefaultJinjaPageView

    folder = str(Path(__file__).parent / "templates")
    view = DefaultJinjaPageView(custom_styles_directory=folder, custom_views_directory=folder)
    return view.env.get_template("validation.j2")


def page(
    results: dict[str, list[Any]],
    failed: list[dict[str, Any]],
    rows: dict[str, Any],
    seconds: Mapping[str, Mapping[str, float]],
    dataset: str,
    ds: date,
    submission: Submission,
) -> str:
    """All results as one page of Data Docs, which stands alone: HTML.

    :param results: what `evaluate` found.
    :param failed: those of them that failed, as `failure` tells them.
    :param rows: numbers of rows, as in the manifest of clean.
    :param seconds: by step those of each of its phases, as in the manifests.
    """
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.render.renderer import ValidationResultsPageRenderer

    found = [result for batch in results.values() for result in batch]
    good = sum(bool(result.success) for result in found)
    document = ExpectationSuiteValidationResult(
        suite_name=dataset,
        success=good == len(found),
        results=found,
        statistics={
            "evaluated_expectations": len(found),
            "successful_expectations": good,
            "unsuccessful_expectations": len(found) - good,
            "success_percent": 100 * good / len(found) if found else None,
        },
        meta={"run_id": {"run_name": str(submission), "run_time": ds.isoformat()}},
    )
    rendered = _escaped(ValidationResultsPageRenderer().render(document).to_json_dict())
    # The overview is of the site that this page is not part of; what it counts stands in the page's head.
    rendered["sections"] = [part for part in rendered["sections"] if part["section_name"] != "Overview"]
    text: str = _template().render(
        rendered,
        dataset=dataset,
        ds=ds.isoformat(),
        submission=submission,
        verdict=verdict_of(failed),
        expectations=len(found),
        rows=accounted(rows),
        times=[timed(step, phases) for step, phases in seconds.items()],
        failed=[{"severity": item["severity"], "text": explained(item)} for item in failed],
    )
    return text


def _escaped(content: Any) -> Any:
    """What Great Expectations has rendered, its tables' plain cells escaped: values of the data are markup to it."""
    match content:
        case dict():
            return {
                name: [[html.escape(cell) if isinstance(cell, str) else _escaped(cell) for cell in row] for row in item]
                if name == "table"
                else _escaped(item)
                for name, item in content.items()
            }
        case list():
            return [_escaped(item) for item in content]
        case _:
            return content


def verdict_of(failed: list[dict[str, Any]]) -> str:
    """What came out of a validation: `passed`, `passed, 2 warnings`, or `failed` with what that means."""
    if any(item["severity"] == "critical" for item in failed):
        return "failed, nothing of this run is published"
    return f"passed, {len(failed)} warning{'s' if len(failed) > 1 else ''}" if failed else "passed"


def accounted(rows: dict[str, Any]) -> str:
    """Every row read, by what became of it, in one line."""
    dropped = [f"{number:,} dropped by {rule}" for rule, number in rows["dropped"].items()]
    outcomes = [f"{rows[name]:,} {told}" for name, told in OUTCOMES.items()]
    return f"{rows['read']:,} rows read = {' + '.join([*outcomes, *dropped])}"


def timed(step: str, phases: Mapping[str, float]) -> str:
    """How long a step took, and each of its phases that can be told, in one line."""
    told = ", ".join(
        f"{phase.replace('_', ' ')} {taken:.1f}" for phase, taken in phases.items() if taken >= MIN_SECONDS
    )
    return f"{step} took {sum(phases.values()):.1f} s{f': {told}' if told else ''}"


def failure(batch: str, result: Any, metrics: dict[str, Any], *, shown: bool) -> dict[str, Any]:
    """One failed expectation as the manifest shows it.

    :param shown: whether values of rows may be told, such as the least one of a column.
    :raises RuntimeError: it could not be evaluated at all.
    """
    configuration, found = result.expectation_config, result.result
    kwargs = {name: value for name, value in configuration.kwargs.items() if name not in ("batch_id", "column")}
    column = configuration.kwargs.get("column")
    if not found:
        problem = result.exception_info.get("exception_message") or result.exception_info
        raise RuntimeError(f"expectation {configuration.type} of column {column} cannot be evaluated: {problem}")
    failed, checked = found.get("unexpected_count"), found.get("element_count")
    observed = found.get("observed_value", found.get("partial_unexpected_list"))
    if batch == "run":
        observed = metrics[column]
        failed, checked = metrics.get(SHARES.get(column, "")), metrics["rows_read"]
    elif not shown and "observed_value" in found and not OF_MANY_ROWS.search(configuration.type):
        observed = "withheld, it may be personal data"
    return plain(
        {
            "expectation": configuration.type,
            "column": column,
            "severity": configuration.severity.value,
            "batch": batch,
            "rows_failed": failed,
            "rows_checked": checked,
            "observed": observed,
            "kwargs": kwargs,
            "notes": (configuration.meta or {}).get("notes"),
        }
    )


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: dates and decimals as text."""
    match value:
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set():
            return [plain(item) for item in value]
        case Decimal() | date() | datetime():
            return str(value)
        case float() if not math.isfinite(value):
            return str(value)
    return value


def explained(failed: dict[str, Any]) -> str:
    """One failure in a few words, for the job's last line."""
    subject = failed["column"] or "table"
    rows = f", {failed['rows_failed']} of {failed['rows_checked']} rows" if failed["rows_failed"] is not None else ""
    return f"{subject} {failed['expectation']} {failed['kwargs']} (observed {failed['observed']}{rows})"
