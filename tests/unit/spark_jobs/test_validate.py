"""Great Expectations on a real Spark: what passes, what fails, and what the manifest says about it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lake.contract import Contract
from pyspark.sql import SparkSession

from spark_jobs import transforms, validate

DS = date(2025, 6, 30)
GOOD = ("O0001", "Bob", Decimal("12.50"), "shipped", DS, "orders.csv", 2, "run-1")


def judge(
    spark: SparkSession, orders: Contract, site: Path, rows: list[tuple[Any, ...]], **counts: int
) -> list[dict[str, Any]]:
    """The failures of a batch of published rows in a run with the given counts."""
    validate.import_great_expectations()
    schema = ", ".join(f"{column.name} {transforms.spark_type(column.type)}" for column in orders.published_columns)
    frame = spark.createDataFrame(rows, schema)
    manifest = {
        "rows": {
            "read": len(rows),
            "published": len(rows),
            "quarantined": 0,
            "duplicates": 0,
            "dropped": {},
            **counts,
        }
    }
    metrics = validate.run_metrics(manifest, frame)
    results = validate.evaluate(frame, metrics, validate.suite_of(orders), DS, site)
    return [
        validate.failure(batch, result, metrics)
        for batch, found in results.items()
        for result in found
        if not result.success
    ]


def test_a_good_batch_passes_and_has_its_page(spark: SparkSession, orders: Contract, tmp_path: Path) -> None:
    assert judge(spark, orders, tmp_path, [GOOD]) == []
    assert (tmp_path / "index.html").is_file()


def test_too_many_quarantined_rows_fail_the_batch(spark: SparkSession, orders: Contract, tmp_path: Path) -> None:
    failed = judge(spark, orders, tmp_path, [GOOD], read=4, quarantined=3)
    critical = [item for item in failed if item["severity"] == "critical"]
    assert critical == [
        {
            "expectation": "expect_column_values_to_be_between",
            "column": "quarantined_share",
            "severity": "critical",
            "batch": "run",
            "rows_failed": 3,
            "rows_checked": 4,
            "observed": 0.75,
            "kwargs": {"max_value": 0.2},
            "notes": "Above one row in five, the file is at fault rather than its rows.",
        }
    ]
    assert "quarantined_share" in validate.explained(critical[0])
    assert "(observed 0.75, 3 of 4 rows)" in validate.explained(critical[0])


def test_rows_that_break_an_expectation_are_counted(spark: SparkSession, orders: Contract, tmp_path: Path) -> None:
    future = ("O0002", "Bob", Decimal("12.50"), "lost", date(2025, 7, 1), "orders.csv", 3, "run-1")
    failed = {item["column"]: item for item in judge(spark, orders, tmp_path, [GOOD, future])}
    assert set(failed) == {"status", "order_date"}
    assert (failed["status"]["severity"], failed["order_date"]["severity"]) == ("critical", "warning")
    assert (failed["status"]["rows_failed"], failed["status"]["rows_checked"]) == (1, 2)
    assert failed["order_date"]["observed"] == ["2025-07-01"]


def test_a_repeated_key_is_critical(spark: SparkSession, orders: Contract, tmp_path: Path) -> None:
    failed = judge(spark, orders, tmp_path, [GOOD, GOOD])
    assert [(item["column"], item["rows_failed"], item["severity"]) for item in failed] == [("order_id", 2, "critical")]


def test_a_day_without_orders_passes_with_a_warning(spark: SparkSession, orders: Contract, tmp_path: Path) -> None:
    failed = judge(spark, orders, tmp_path, [])
    assert [(item["column"], item["severity"], item["observed"]) for item in failed] == [("rows_read", "warning", 0)]


def test_another_type_than_the_contract_says_is_critical(spark: SparkSession, orders: Contract, tmp_path: Path) -> None:
    validate.import_great_expectations()
    schema = ", ".join(f"{column.name} {transforms.spark_type(column.type)}" for column in orders.published_columns)
    frame = spark.createDataFrame([GOOD], schema).withColumn("amount", transforms.F.col("amount").cast("decimal(14,2)"))
    rows = {"read": 1, "published": 1, "quarantined": 0, "duplicates": 0, "dropped": {}}
    metrics = validate.run_metrics({"rows": rows}, frame)
    results = validate.evaluate(frame, metrics, validate.suite_of(orders), DS, tmp_path)
    failed = [result for result in results["run"] if not result.success]
    assert [result.expectation_config.kwargs["column"] for result in failed] == ["schema"]


def test_an_expectation_that_cannot_be_evaluated_is_an_error_of_ours(spark: SparkSession, tmp_path: Path) -> None:
    validate.import_great_expectations()
    suite = {"rows": [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "nowhere"}}], "run": []}
    frame = spark.createDataFrame(
        [GOOD], "a string, b string, c decimal(12,2), d string, e date, f string, g int, h string"
    )
    results = validate.evaluate(frame, {"rows_read": 1}, suite, DS, tmp_path)
    with pytest.raises(RuntimeError, match="column nowhere cannot be evaluated"):
        validate.failure("rows", results["rows"][0], {"rows_read": 1})
