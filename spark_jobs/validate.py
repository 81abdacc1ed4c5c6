"""spark-submit entry: judge a batch with Great Expectations before anything of it is published.

The suite is expectations/<dataset>.json plus what follows from the contract: columns and their exact types, required
and allowed values, patterns, ranges, unique key. `{"$PARAMETER": "ds"}` is the run's date. A failed expectation of
severity `critical` fails the batch; `warning` and `info` are reported.

Expectations with `"meta": {"batch": "run"}` are about the run as a whole: a table of one row, whose columns are

- `rows_read, rows_published, rows_quarantined, rows_dropped, rows_duplicates`, and the shares of rows read
  `quarantined_share, dropped_share, duplicates_share` (0 to 1);
- `schema`, the columns and types as text;
- for every column but lineage, `null_share_<column>` (0 to 1), and if it is a number or boolean `mean_<column>` (of
  a boolean, the share that is true), null when there is no value;
- what the dates before the run's had, as far as `--history` tells (JSON `[{"ds": ..., "rows": ..., ...}]`; later dates
  are ignored, and so are all but the last 14): `previous_days`, how many there are; `rows_previous_median` and
  `rows_ratio_to_previous`, the rows published divided by that median; and the same of every `mean_<column>` and
  `null_share_<column>` that the history tells, as in `mean_amount_ratio_to_previous`. They are null with fewer than 3
  such dates, and a ratio also where the median is 0: an expectation about a null value passes;
- `clean_seconds`, how long the date took to clean, null where it was cleaned beside others, compared likewise; and
  `clean_slowdown`, that divided by the median of the dates before or a minute, whichever is more: a run that took
  `SLOW` times as long as usual has a warning.

Manifest: `step, dataset, ds, run, submission, success, expectations (how many), failed [{expectation, column, severity,
batch, rows_failed, rows_checked, observed, kwargs, notes}], metrics {name: value}, profile (those metrics that the
dates after this one are compared with), columns {name: type} (of the files, which are the contract's), sources {column:
source}, contract_version, docs (URI of index.html, one page of Data Docs), seconds {phase: s}, versions`. It is
written whether the batch passes or fails, unless the files are not what clean wrote, or have other columns than the
contract publishes: that fails it before anything is measured.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

from contract.columns import EXTRA, LINEAGE, TableColumn, decimal_parts
from contract.dataset import HISTORY_DATES, Contract
from contract.evolution import sources_of
from contract.submission import Submission
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs import footers, job, storage, transforms
from spark_jobs.errors import DataError
from spark_jobs.session import spark_session
from spark_jobs.verdict import (
    EXAMPLES,
    SHARES,
    Suite,
    evaluate,
    explained,
    failure,
    import_great_expectations,
    page,
    plain,
)

STEP = "validate"
MIN_PREVIOUS_DAYS = 3
SLOW = 3
SLOW_SECONDS = 60
"""A date that is usually cleaned in less is not slow before it takes `SLOW` times this."""


@dataclass(frozen=True, kw_only=True)
class Arguments(job.Arguments):
    """What `validate` is told: the manifest of clean, the folder for Data Docs, and what the dates before had."""

    clean_manifest: str
    docs: str
    history: str | None = None


def download(clean: dict[str, Any], folder: Path) -> list[str]:
    """Copy the rows that `clean` wrote to `folder`.

    :param clean: the manifest of clean.
    :return: the URIs of the copies.
    :raises OSError: a file is not the one that clean wrote.
    """
    output, copies = clean["output"], []
    for file in output["files"]:
        name = file["key"].rpartition("/")[2]
        copy = folder / name
        found = storage.fetch(storage.join(output["uri"], name), copy)
        if found != (file["bytes"], file["sha256"]):
            raise OSError(f"{file['key']} is not what clean wrote: {found}, expected {file['bytes']}, {file['sha256']}")
        copies.append(copy.as_uri())
    return copies


def schema_text(columns: list[tuple[str, str]]) -> str:
    """Names and types as one text, `order_id string, amount decimal(12,2)`."""
    return ", ".join(f"{name} {type_name}" for name, type_name in columns)


def published_schema(contract: Contract) -> str:
    """The schema that the contract's published columns have in Spark, as text."""
    return schema_text([(column.name, transforms.spark_type(column.type)) for column in contract.published_columns])


def is_number(column: TableColumn) -> bool:
    """Whether a column has a mean."""
    return column.type in ("int", "bigint", "double", "boolean") or decimal_parts(column.type) is not None


def row_metrics(rows: DataFrame, contract: Contract) -> dict[str, Any]:
    """The number of `rows`, and of every column its mean and share of nulls, in one pass; null where there is none.

    :raises DataError: a mean is no number: the sum of the column's values is beyond a double.
    """
    apart = {column.name for column in (EXTRA, *LINEAGE)}
    columns = [column for column in contract.published_columns if column.name not in apart]
    shares = [F.avg(F.col(c.name).isNull().cast("int")).alias(f"null_share_{c.name}") for c in columns]
    means = [F.avg(_as_number(c)).cast("double").alias(f"mean_{c.name}") for c in columns if is_number(c)]
    found = rows.agg(F.count(F.lit(1)).alias("rows"), *shares, *means).first()
    assert found is not None  # noqa: S101 - an aggregate without groups has one row
    metrics = found.asDict()
    if beyond := [name for name, value in metrics.items() if value is not None and not math.isfinite(value)]:
        raise DataError(
            f"{', '.join(beyond)} cannot be computed: the values are too large for their sum to be a number"
        )
    return metrics


def _as_number(column: TableColumn) -> Column:
    return F.col(column.name).cast("int") if column.type == "boolean" else F.col(column.name)


def run_metrics(
    clean: dict[str, Any], of_rows: dict[str, Any], schema: str, history: list[dict[str, Any]], ds: date
) -> dict[str, Any]:
    """All metrics of a run; see the module's documentation.

    :param clean: the manifest of clean.
    :param of_rows: what `row_metrics` gives of the rows that it published.
    :param history: see `compared`.
    """
    # A day on which nothing was received is no small day: it has no number to compare.
    received = of_rows if clean["rows"]["read"] else {**of_rows, "rows": None}
    seconds = seconds_of(clean)
    beside = compared({**received, "clean_seconds": seconds}, history, ds)
    usual = beside["clean_seconds_previous_median"]
    slowdown = seconds / max(usual, SLOW_SECONDS) if seconds is not None and usual is not None else None
    return {
        **count_metrics(clean["rows"]),
        "schema": schema,
        **beside,
        "clean_slowdown": slowdown,
        **_profile(of_rows, seconds),
    }


def _profile(of_rows: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    """Those metrics of a date that the dates after it are compared with, but the number of its rows."""
    return {name: value for name, value in of_rows.items() if name != "rows"} | {"clean_seconds": seconds}


def count_metrics(counts: dict[str, Any]) -> dict[str, Any]:
    """What the manifest of clean says of the numbers of rows."""
    metrics: dict[str, Any] = {
        f"rows_{name}": counts[name] for name in ("read", "published", "quarantined", "duplicates")
    }
    metrics["rows_dropped"] = sum(counts["dropped"].values())
    for share, part in SHARES.items():
        metrics[share] = metrics[part] / metrics["rows_read"] if metrics["rows_read"] else 0.0
    return metrics


def seconds_of(clean: dict[str, Any]) -> float | None:
    """How long a date took to clean, by the manifest; None where other dates were cleaned at once."""
    return None if clean.get("dates_at_once", 1) > 1 else round(sum(clean["seconds"].values()), 3)


def compared(metrics: dict[str, Any], history: list[dict[str, Any]], ds: date) -> dict[str, Any]:
    """The metrics of a date beside those of the dates before it; see the module's documentation.

    :param metrics: `rows` and others.
    :param history: entries with `ds` and any of the same metrics, in any order.
    """
    earlier = sorted((entry for entry in history if entry["ds"] < ds.isoformat()), key=lambda entry: entry["ds"])
    previous = earlier[-HISTORY_DATES:]
    found: dict[str, Any] = {"previous_days": len(previous)}
    for name, value in metrics.items():
        # NaN: of a date that was published when a derived value could still be one.
        values = [entry[name] for entry in previous if entry.get(name) is not None and math.isfinite(entry[name])]
        middle = _finite(median(values)) if len(values) >= MIN_PREVIOUS_DAYS else None
        found[f"{name}_previous_median"] = middle
        found[f"{name}_ratio_to_previous"] = _finite(value / middle) if middle and value is not None else None
    return found


def _finite(number: float) -> float:
    """`number`, or the greatest double where it is beyond: a drift as large as that must be judged, and written."""
    return max(-sys.float_info.max, min(sys.float_info.max, number))


def contract_expectations(contract: Contract) -> list[dict[str, Any]]:
    """The expectations that follow from the contract, all critical."""
    names = [column.name for column in contract.published_columns]
    notes = {"notes": "From the contract."}
    found: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("expect_table_columns_to_match_ordered_list", {"column_list": names}, notes),
        (
            "expect_column_values_to_be_in_set",
            {"column": "schema", "value_set": [published_schema(contract)]},
            {**notes, "batch": "run"},
        ),
    ]
    for column in contract.columns:
        if column.required:
            found.append(("expect_column_values_to_not_be_null", {"column": column.name}, notes))
        if column.allowed:
            kwargs = {"column": column.name, "value_set": list(column.allowed)}
            found.append(("expect_column_values_to_be_in_set", kwargs, notes))
        if column.pattern and not column.personal:
            kwargs = {"column": column.name, "regex": f"^(?:{column.pattern})$"}
            found.append(("expect_column_values_to_match_regex", kwargs, notes))
        bounds = {"min_value": column.min, "max_value": column.max}
        if given := {name: plain(bound) for name, bound in bounds.items() if bound is not None}:
            found.append(("expect_column_values_to_be_between", {"column": column.name, **given}, notes))
    if contract.dedupe_by == "key" and len(contract.key) == 1:
        found.append(("expect_column_values_to_be_unique", {"column": contract.key[0]}, notes))
    elif contract.dedupe_by == "key":
        found.append(("expect_compound_columns_to_be_unique", {"column_list": list(contract.key)}, notes))
    return [{"type": t, "kwargs": kwargs, "meta": meta, "severity": "critical"} for t, kwargs, meta in found]


def pipeline_expectations() -> list[dict[str, Any]]:
    """The expectations about any run."""
    notes = "From the pipeline: it took much longer than the 14 dates before; look at its phases."
    kwargs = {"column": "clean_slowdown", "max_value": SLOW}
    meta = {"batch": "run", "notes": notes}
    return [{"type": "expect_column_values_to_be_between", "kwargs": kwargs, "meta": meta, "severity": "warning"}]


def suite_of(contract: Contract) -> Suite:
    """All expectations by the batch they are about, `rows` or `run`: of the contract, the pipeline, the suite file."""
    path = job.BUNDLE / "expectations" / f"{contract.dataset}.json"
    written = json.loads(path.read_text(encoding="utf-8"))["expectations"]
    suite: Suite = {"rows": [], "run": []}
    for expectation in (*contract_expectations(contract), *pipeline_expectations(), *written):
        suite[expectation.get("meta", {}).get("batch", "rows")].append(expectation)
    return suite


def validate_date(
    spark: SparkSession,
    contract: Contract,
    arguments: Arguments,
    clean: dict[str, Any],
    files: list[str],
    history: list[dict[str, Any]],
    phases: job.Phases,
    held_before: Mapping[int, Any] | None = None,
) -> dict[str, Any]:
    """Validate one date in a session that may go on to others.

    :param clean: the manifest of clean.
    :param files: what `download` copied.
    :param history: what other dates have, as in `--history`.
    :param held_before: what `held_by_all` found of files among which these are.
    :return: the manifest, which is also written.
    :raises DataError: a critical expectation failed, or a file has other columns than the contract publishes.
    """
    # By Spark's reader a file of another type would be read as if it were of this one, or hidden behind the first.
    columns = footers.check(map(storage.local_path, files), contract)
    rows = spark.read.parquet(*files)
    with phases("read"):
        of_rows = row_metrics(rows, contract)
        metrics = run_metrics(clean, of_rows, schema_text(rows.dtypes), history, arguments.ds)
        count = of_rows["rows"]
        if count != metrics["rows_published"]:
            raise OSError(f"{clean['output']['uri']} holds {count} rows, clean wrote {metrics['rows_published']}")
    with phases("validate"):
        # What stands in the wrong column of a dataset with personal data may be a name.
        shown = not contract.personal_columns
        examples = EXAMPLES if shown else 0
        results = evaluate(rows, metrics, suite_of(contract), arguments.ds, examples, held_before)
    failed = [
        failure(batch, result, metrics, shown=shown)
        for batch, found in results.items()
        for result in found
        if not result.success
    ]
    with phases("docs"):
        docs = storage.join(arguments.docs, "index.html")
        at_once = clean.get("dates_at_once", 1)
        cleaning = "clean" if at_once == 1 else f"clean of {at_once} dates at once"
        seconds = {cleaning: clean["seconds"], STEP: phases.seconds}
        html = page(results, failed, clean["rows"], seconds, contract.dataset, arguments.ds, Submission.told(clean))
        storage.write_text(html, docs)
    critical = [item for item in failed if item["severity"] == "critical"]
    evaluated = sum(len(found) for found in results.values())
    manifest = job.frame(
        STEP,
        arguments,
        submission=str(Submission.told(clean)),
        success=not critical,
        expectations=evaluated,
        failed=failed,
        metrics=metrics,
        profile=_profile(of_rows, metrics["clean_seconds"]),
        columns=columns,
        sources=sources_of(contract),
        contract_version=contract.version,
        docs=docs,
        seconds=phases.seconds,
        versions=job.versions("pyspark", "great-expectations"),
    )
    storage.write_json(manifest, arguments.manifest)
    for item in failed:
        job.say(f"{arguments.ds}: {item['severity']}: {explained(item)}")
    if critical:
        raise DataError(f"{len(critical)} of {evaluated} expectations failed: {'; '.join(map(explained, critical))}")
    job.say(f"{arguments.ds}: {evaluated} expectations, {len(failed)} warnings {phases.seconds}")
    return manifest


def run(parsed: argparse.Namespace) -> None:
    """Validate what clean has staged; see the module's documentation.

    :raises DataError: a critical expectation failed.
    """
    phases = job.Phases()
    importing = threading.Thread(target=import_great_expectations)
    importing.start()
    arguments = Arguments(**vars(parsed))
    contract = job.contract_of(arguments.dataset)
    with tempfile.TemporaryDirectory() as scratch:
        with phases("download"):
            clean = storage.read_json(arguments.clean_manifest)
            files = download(clean, Path(scratch))
            history = storage.read_json(arguments.history) if arguments.history else []
        with phases("start_spark"):
            spark = spark_session()
        with phases("import"):
            importing.join()
        validate_date(spark, contract, arguments, clean, files, history, phases)
    spark.stop()


def main() -> None:
    """Run the job from the command line."""
    uris = {
        "clean_manifest": "manifest of the clean job",
        "docs": "folder for Data Docs",
        "manifest": "JSON to write",
    }
    arguments = job.parser(STEP, **uris)
    arguments.add_argument("--history", metavar="URI", help="JSON [{ds, rows, ...}] of earlier dates")
    job.main(STEP, arguments, run)


if __name__ == "__main__":
    main()
