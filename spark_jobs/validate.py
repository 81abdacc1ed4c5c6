"""spark-submit entry: judge a batch with Great Expectations before anything of it is published.

The suite is expectations/<dataset>.json plus what follows from the contract: columns and their exact types, required
values, allowed values, unique key. Expectations with `"meta": {"batch": "run"}` are about the run as a whole: a table
of one row with `rows_read, rows_published, rows_quarantined, rows_dropped, rows_duplicates`, the shares of rows read
`quarantined_share, dropped_share, duplicates_share` (0 to 1), and `schema`. `{"$PARAMETER": "ds"}` is the run's date.
A failed expectation of severity `critical` fails the batch; `warning` and `info` are reported.

Manifest: `step, dataset, ds, run, run_id, success, expectations (how many), failed [{expectation, column, severity,
batch, rows_failed, rows_checked, observed, kwargs, notes}], metrics {name: value}, docs (URI of index.html),
seconds {phase: s}, versions`. It is written whether the batch passes or fails.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import threading
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
from lake.contract import Contract
from pyspark.sql import DataFrame, SparkSession

from spark_jobs import job, storage, transforms
from spark_jobs.errors import DataError
from spark_jobs.session import spark_session

STEP = "validate"


@dataclass(frozen=True, kw_only=True)
class Arguments(job.Arguments):
    """What `validate` is told: the manifest of clean, and the folder for Data Docs."""

    clean_manifest: str
    docs: str


SHARES = {f"{outcome}_share": f"rows_{outcome}" for outcome in ("quarantined", "dropped", "duplicates")}


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


def run_metrics(clean: dict[str, Any], rows: DataFrame) -> dict[str, Any]:
    """The one row of the run batch; see the module's documentation."""
    counts = clean["rows"]
    metrics: dict[str, Any] = {
        f"rows_{name}": counts[name] for name in ("read", "published", "quarantined", "duplicates")
    }
    metrics["rows_dropped"] = sum(counts["dropped"].values())
    for share, part in SHARES.items():
        metrics[share] = metrics[part] / metrics["rows_read"] if metrics["rows_read"] else 0.0
    metrics["schema"] = schema_text(rows.dtypes)
    return metrics


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
    if len(contract.key) == 1:
        found.append(("expect_column_values_to_be_unique", {"column": contract.key[0]}, notes))
    elif contract.key:
        found.append(("expect_compound_columns_to_be_unique", {"column_list": list(contract.key)}, notes))
    return [{"type": t, "kwargs": kwargs, "meta": meta, "severity": "critical"} for t, kwargs, meta in found]


def suite_of(contract: Contract) -> dict[str, list[dict[str, Any]]]:
    """All expectations by the batch they are about, `rows` or `run`: the contract's, then the suite file's."""
    path = job.BUNDLE / "expectations" / f"{contract.dataset}.json"
    written = json.loads(path.read_text(encoding="utf-8"))["expectations"]
    suite: dict[str, list[dict[str, Any]]] = {"rows": [], "run": []}
    for expectation in (*contract_expectations(contract), *written):
        suite[expectation.get("meta", {}).get("batch", "rows")].append(expectation)
    return suite


def import_great_expectations() -> None:
    """Load the library, which takes seconds: in a thread, while Spark starts in another process."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations
    import great_expectations.expectations.core  # noqa: F401


def evaluate(
    rows: DataFrame, metrics: dict[str, Any], suite: dict[str, list[dict[str, Any]]], ds: date, site: Path
) -> dict[str, list[Any]]:
    """Validate both batches and build Data Docs in the folder `site`.

    :return: Great Expectations' results by batch, in the order of the suite.
    """
    import great_expectations as gx
    from great_expectations.core.expectation_suite import ExpectationSuite
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    docs: Any = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    context.add_data_docs_site(site_name="docs", site_config=docs)
    spark_source = context.data_sources.add_spark(name="spark", persist=False)
    pandas_source = context.data_sources.add_pandas(name="pandas")
    batches: dict[str, tuple[Any, Any]] = {
        "rows": (spark_source.add_dataframe_asset(name="rows"), rows),
        "run": (pandas_source.add_dataframe_asset(name="run"), pd.DataFrame([metrics])),
    }
    results = {}
    for name, (asset, frame) in batches.items():
        definition = gx.ValidationDefinition(
            name=name,
            data=asset.add_batch_definition_whole_dataframe(name),
            suite=context.suites.add(ExpectationSuite(name=name, expectations=suite[name])),
        )
        outcome = context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": frame},
            expectation_parameters={"ds": ds.isoformat()},
            result_format={"result_format": "BASIC", "partial_unexpected_count": 5},
        )
        results[name] = outcome.results
    context.build_data_docs()
    return results


def failure(batch: str, result: Any, metrics: dict[str, Any]) -> dict[str, Any]:
    """One failed expectation as the manifest shows it.

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
    return value


def explained(failed: dict[str, Any]) -> str:
    """One failure in a few words, for the job's last line."""
    subject = failed["column"] or "table"
    rows = f", {failed['rows_failed']} of {failed['rows_checked']} rows" if failed["rows_failed"] is not None else ""
    return f"{subject} {failed['expectation']} {failed['kwargs']} (observed {failed['observed']}{rows})"


def validate_date(
    spark: SparkSession,
    contract: Contract,
    arguments: Arguments,
    clean: dict[str, Any],
    files: list[str],
    phases: job.Phases,
) -> dict[str, Any]:
    """Validate one date in a session that may go on to others.

    :param clean: the manifest of clean.
    :param files: what `download` copied.
    :return: the manifest, which is also written.
    :raises DataError: a critical expectation failed.
    """
    suite = suite_of(contract)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        rows = spark.read.parquet(*files).cache()
        try:
            with phases("read"):
                metrics = run_metrics(clean, rows)
                if rows.count() != metrics["rows_published"]:
                    raise OSError(
                        f"{clean['output']['uri']} does not hold the {metrics['rows_published']} rows of clean"
                    )
            with phases("validate"):
                results = evaluate(rows, metrics, suite, arguments.ds, site)
        finally:
            rows.unpersist()
        with phases("upload"):
            # Animations, most of a site's bytes, belong to how-to buttons that are switched off.
            for page in sorted(path for path in site.rglob("*") if path.is_file() and path.suffix != ".gif"):
                storage.store(page, storage.join(arguments.docs, page.relative_to(site).as_posix()))
    failed = [
        failure(batch, result, metrics) for batch, found in results.items() for result in found if not result.success
    ]
    critical = [item for item in failed if item["severity"] == "critical"]
    evaluated = sum(len(found) for found in results.values())
    manifest = job.frame(
        STEP,
        arguments,
        run_id=clean["run_id"],
        success=not critical,
        expectations=evaluated,
        failed=failed,
        metrics=metrics,
        docs=storage.join(arguments.docs, "index.html"),
        seconds=phases.seconds,
        versions=job.versions("pyspark", "great-expectations"),
    )
    storage.write_json(manifest, arguments.manifest)
    for item in failed:
        job.say(f"{item['severity']}: {explained(item)}")
    if critical:
        raise DataError(f"{len(critical)} of {evaluated} expectations failed: {'; '.join(map(explained, critical))}")
    job.say(f"{evaluated} expectations, {len(failed)} warnings {phases.seconds}")
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
        with phases("start_spark"):
            spark = spark_session(f"{STEP} {arguments.dataset} {arguments.ds}")
        with phases("import"):
            importing.join()
        validate_date(spark, contract, arguments, clean, files, phases)
    spark.stop()


def main() -> None:
    """Run the job from the command line."""
    uris = {
        "clean_manifest": "manifest of the clean job",
        "docs": "folder for Data Docs",
        "manifest": "JSON to write",
    }
    job.main(STEP, job.parser(STEP, **uris), run)


if __name__ == "__main__":
    main()
