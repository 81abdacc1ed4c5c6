"""Great Expectations on a real Spark: what passes, what fails, and what the manifest says about it."""

from __future__ import annotations

import re
import sys
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from contract.dataset import Contract
from pyspark.sql import DataFrame, SparkSession

from spark_jobs import transforms, validate, verdict
from spark_jobs.errors import DataError
from tests.unit.spark_jobs.contracts import contract_of

DS = date(2025, 6, 30)
SECONDS = {"clean": {"check": 0.004, "start_spark": 1.826, "classify": 2.24}, "validate": {"docs": 0.04}}
COUNTS = {"read": 1003, "published": 1, "quarantined": 1000, "duplicates": 0, "dropped": {}}
GOOD = ("O0001", "Bob", Decimal("12.50"), "shipped", DS, "orders.csv", 2, "run-1")


def metrics_of(rows: DataFrame, contract: Contract, history: list[dict[str, Any]] | None = None, **counts: int) -> Any:
    """The metrics of a run that published `rows`, with the given counts in the manifest of clean."""
    of_rows = validate.row_metrics(rows, contract)
    count = of_rows["rows"]
    told = {"read": count, "published": count, "quarantined": 0, "duplicates": 0, "dropped": {}, **counts}
    clean = {"rows": told, "seconds": SECONDS["clean"]}
    return validate.run_metrics(clean, of_rows, validate.schema_text(rows.dtypes), history or [], DS)


def frame_of(spark: SparkSession, contract: Contract, rows: list[tuple[Any, ...]]) -> DataFrame:
    schema = ", ".join(f"{column.name} {transforms.spark_type(column.type)}" for column in contract.published_columns)
    return spark.createDataFrame(rows, schema)


def judge(spark: SparkSession, orders: Contract, rows: list[tuple[Any, ...]], **counts: int) -> list[dict[str, Any]]:
    """The failures of a batch of published rows in a run with the given counts."""
    verdict.import_great_expectations()
    frame = frame_of(spark, orders, rows)
    metrics = metrics_of(frame, orders, **counts)
    results = verdict.evaluate(frame, metrics, validate.suite_of(orders), DS)
    return [
        verdict.failure(batch, result, metrics, shown=True)
        for batch, found in results.items()
        for result in found
        if not result.success
    ]


def test_a_good_batch_passes_and_has_its_page(spark: SparkSession, orders: Contract) -> None:
    verdict.import_great_expectations()
    frame = frame_of(spark, orders, [GOOD])
    results = verdict.evaluate(frame, metrics_of(frame, orders), validate.suite_of(orders), DS)
    assert all(result.success for found in results.values() for result in found)
    html = verdict.page(results, [], {**COUNTS, "dropped": {"stale": 2}}, SECONDS, "orders", DS, "run-1")
    assert "<title>orders 2025-06-30: passed</title>" in html
    assert "1,003 rows read = 1 good + 1,000 quarantined + 0 duplicates + 2 dropped by stale" in html
    assert "<p>clean took 4.1 s: start spark 1.8, classify 2.2</p>" in html
    assert "<p>validate took 0.0 s</p>" in html
    assert all(column in html for column in ("order_id", "amount", "quarantined_share"))


def test_the_page_says_what_failed_and_loads_nothing(spark: SparkSession, orders: Contract) -> None:
    verdict.import_great_expectations()
    frame = frame_of(spark, orders, [(*GOOD[:1], "<b>Bob</b>", Decimal("-1.00"), "<i>lost</i>", *GOOD[4:])])
    metrics = metrics_of(frame, orders)
    results = verdict.evaluate(frame, metrics, validate.suite_of(orders), DS)
    failed = [
        verdict.failure(batch, result, metrics, shown=True)
        for batch, found in results.items()
        for result in found
        if not result.success
    ]
    html = verdict.page(results, failed, COUNTS, SECONDS, "orders", DS, "run-1")
    assert "<title>orders 2025-06-30: failed, nothing of this run is published</title>" in html
    assert "status expect_column_values_to_be_in_set" in html
    assert "&lt;i&gt;lost&lt;/i&gt;" in html
    assert "<i>lost" not in html
    assert re.findall(r"<script|<link|<img|<iframe|@import|url\(|(?:src|href)=.?[^#\"]\S*", html) == []


def test_too_many_quarantined_rows_fail_the_batch(spark: SparkSession, orders: Contract) -> None:
    failed = judge(spark, orders, [GOOD], read=4, quarantined=3)
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
    assert "quarantined_share" in verdict.explained(critical[0])
    assert "(observed 0.75, 3 of 4 rows)" in verdict.explained(critical[0])


def test_rows_that_break_an_expectation_are_counted(spark: SparkSession, orders: Contract) -> None:
    future = ("O0002", "Bob", Decimal("12.50"), "lost", date(2025, 7, 1), "orders.csv", 3, "run-1")
    failed = {item["column"]: item for item in judge(spark, orders, [GOOD, future])}
    assert set(failed) == {"status", "order_date"}
    assert (failed["status"]["severity"], failed["order_date"]["severity"]) == ("critical", "warning")
    assert (failed["status"]["rows_failed"], failed["status"]["rows_checked"]) == (1, 2)
    assert failed["order_date"]["observed"] == ["2025-07-01"]


def test_a_repeated_key_is_critical(spark: SparkSession, orders: Contract) -> None:
    failed = judge(spark, orders, [GOOD, GOOD])
    assert [(item["column"], item["rows_failed"], item["severity"]) for item in failed] == [("order_id", 2, "critical")]


def test_a_day_without_orders_passes_with_a_warning(spark: SparkSession, orders: Contract) -> None:
    failed = judge(spark, orders, [])
    assert [(item["column"], item["severity"], item["observed"]) for item in failed] == [("rows_read", "warning", 0)]


def test_another_type_than_the_contract_says_is_critical(spark: SparkSession, orders: Contract) -> None:
    verdict.import_great_expectations()
    frame = frame_of(spark, orders, [GOOD]).withColumn("amount", transforms.F.col("amount").cast("decimal(14,2)"))
    results = verdict.evaluate(frame, metrics_of(frame, orders), validate.suite_of(orders), DS)
    failed = [result for result in results["run"] if not result.success]
    assert [result.expectation_config.kwargs["column"] for result in failed] == ["schema"]


def test_an_expectation_that_cannot_be_evaluated_is_an_error_of_ours(spark: SparkSession, orders: Contract) -> None:
    verdict.import_great_expectations()
    not_null = "expect_column_values_to_not_be_null"
    suite = {
        "rows": [
            {"type": not_null, "kwargs": {"column": "customer"}},
            {"type": not_null, "kwargs": {"column": "nowhere"}},
            {"type": not_null, "kwargs": {"column": "status"}},
        ],
        "run": [],
    }
    frame = frame_of(spark, orders, [GOOD])
    results = verdict.evaluate(frame, {"rows_read": 1, "rows_published": 1}, suite, DS)
    assert [result.success for result in results["rows"]] == [True, False, True]
    with pytest.raises(RuntimeError, match="column nowhere cannot be evaluated"):
        verdict.failure("rows", results["rows"][1], {"rows_read": 1}, shown=True)


def test_a_tolerance_is_kept_and_examples_are_told(spark: SparkSession, orders: Contract) -> None:
    verdict.import_great_expectations()
    rows = [(f"O{number:04}", "Bob", Decimal(number), "shipped", DS, "a.csv", number, "r") for number in range(10)]
    frame = frame_of(spark, orders, rows)

    def at_most(mostly: float) -> dict[str, Any]:
        kwargs = {"column": "amount", "max_value": 7, "mostly": mostly}
        return {"type": "expect_column_values_to_be_between", "kwargs": kwargs, "severity": "warning"}

    mean = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "amount", "max_value": 5}}
    asked = [at_most(0.8), at_most(0.9), mean]
    results = verdict.evaluate(frame, metrics_of(frame, orders), {"rows": asked, "run": []}, DS)["rows"]
    assert [result.success for result in results] == [True, False, True]
    assert [result.result["unexpected_count"] for result in results[:2]] == [2, 2]
    assert results[2].result["observed_value"] == 4.5
    failed = verdict.failure("rows", results[1], {}, shown=True)
    assert (failed["rows_failed"], failed["rows_checked"], failed["observed"]) == (2, 10, ["8.00", "9.00"])
    assert failed["kwargs"] == {"max_value": 7, "mostly": 0.9}


def test_a_value_of_a_row_is_not_told_where_it_may_be_personal(spark: SparkSession, orders: Contract) -> None:
    verdict.import_great_expectations()
    frame = frame_of(spark, orders, [GOOD])
    kwargs = {"column": "amount", "max_value": 5}
    asked = [{"type": f"expect_column_{what}_to_be_between", "kwargs": kwargs} for what in ("max", "min", "mean")]
    count = {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 7}}
    results = verdict.evaluate(frame, metrics_of(frame, orders), {"rows": [*asked, count], "run": []}, DS)["rows"]

    def observed(shown: bool) -> list[Any]:
        return [verdict.failure("rows", result, {}, shown=shown)["observed"] for result in results]

    assert observed(True) == [12.5, 12.5, 12.5, 1]
    assert observed(False) == ["withheld, it may be personal data"] * 2 + [12.5, 1]


def test_numbers_that_are_none_are_left_out_of_comparisons() -> None:
    """As dates have them that were published when a derived value could still be NaN."""
    history = [
        {"ds": f"2025-06-0{n}", "mean_x": float(value)} for n, value in enumerate(("1", "nan", "3", "5", "inf"), 1)
    ]
    assert validate.compared({"mean_x": 6.0}, history, DS)["mean_x_ratio_to_previous"] == 2.0


def test_a_drift_beyond_a_double_is_the_greatest_there_is() -> None:
    def ratio(value: float, *means: float) -> Any:
        history = [{"ds": f"2025-06-0{day}", "mean_x": mean} for day, mean in enumerate(means, 1)]
        return validate.compared({"mean_x": value}, history, DS)["mean_x_ratio_to_previous"]

    assert ratio(1e300, *[1e-300] * 3) == sys.float_info.max
    assert ratio(1.0, *[1.7e308] * 4) == pytest.approx(0.0)
    assert verdict.plain([float("nan"), 1.5]) == ["nan", 1.5]


def test_a_mean_that_is_beyond_a_double_is_refused(spark: SparkSession) -> None:
    contract = contract_of({"name": "x", "type": "double"})
    rows = frame_of(spark, contract, [(1.5e308, "a.csv", 2, "run-1"), (1.5e308, "a.csv", 3, "run-1")])
    with pytest.raises(DataError, match="mean_x cannot be computed"):
        validate.row_metrics(rows, contract)


def test_a_date_is_compared_with_those_before_it() -> None:
    history = [{"ds": f"2025-06-{day:02}", "rows": 100 + day} for day in range(1, 30)]
    later = [{"ds": "2025-06-30", "rows": 1}, {"ds": "2025-07-01", "rows": 1}]
    found = validate.compared({"rows": 61, "mean_amount": 3.0}, [*later, *reversed(history)], DS)
    assert found == {
        "previous_days": 14,
        "rows_previous_median": 122.5,
        "rows_ratio_to_previous": 61 / 122.5,
        "mean_amount_previous_median": None,
        "mean_amount_ratio_to_previous": None,
    }
    assert validate.compared({"rows": 5}, history[:2], DS)["rows_ratio_to_previous"] is None
    assert validate.compared({"rows": 5}, [{"ds": f"2025-06-0{n}", "rows": 0} for n in (1, 2, 3)], DS) == {
        "previous_days": 3,
        "rows_previous_median": 0,
        "rows_ratio_to_previous": None,
    }


@pytest.mark.parametrize(
    ("before", "seconds", "at_once", "warned"),
    [
        ([100.0, 120.0, 110.0], 331.0, 1, True),
        ([100.0, 120.0, 110.0], 330.0, 1, False),
        ([100.0, 120.0], 9000.0, 1, False),
        ([5.0, 5.0, 5.0], 179.0, 1, False),
        ([5.0, 5.0, None, 5.0], 181.0, 1, True),
        ([100.0, 120.0, 110.0], 9000.0, 2, False),
    ],
    ids=["slow", "just not", "nothing to compare with", "still quick", "slow for a small one", "beside others"],
)
def test_a_run_that_takes_much_longer_than_those_before_has_a_warning(
    before: list[float | None], seconds: float, at_once: int, warned: bool
) -> None:
    verdict.import_great_expectations()
    clean = {"rows": COUNTS, "seconds": {"read": 1.0, "classify": seconds - 1}, "dates_at_once": at_once}
    history = [{"ds": f"2025-06-0{day}", "rows": 1, "clean_seconds": took} for day, took in enumerate(before, 1)]
    metrics = validate.run_metrics(clean, {"rows": 1}, "", history, DS)
    asked: verdict.Suite = {"rows": [], "run": validate.pipeline_expectations()}
    (result,) = verdict.evaluate(None, metrics, asked, DS)["run"]
    assert result.success is not warned
    assert asked["run"][0]["severity"] == "warning"


@pytest.mark.parametrize(("days", "success"), [(2, True), (3, False)])
def test_half_as_many_rows_as_usual_fail_once_it_is_known_what_is_usual(
    spark: SparkSession, orders: Contract, days: int, success: bool
) -> None:
    verdict.import_great_expectations()
    volume = {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "rows_ratio_to_previous", "min_value": 0.5},
        "severity": "warning",
    }
    frame = frame_of(spark, orders, [GOOD])
    history = [{"ds": f"2025-06-2{day}", "rows": 4} for day in range(days)]
    metrics = metrics_of(frame, orders, history)
    (result,) = verdict.evaluate(frame, metrics, {"rows": [], "run": [volume]}, DS)["run"]
    assert result.success is success
    if not success:
        assert verdict.failure("run", result, metrics, shown=True)["observed"] == 0.25


def test_means_and_shares_of_nulls_are_measured(spark: SparkSession, orders: Contract) -> None:
    without_customer = ("O0002", None, Decimal("7.50"), "shipped", DS, "orders.csv", 3, "run-1")
    found = validate.row_metrics(frame_of(spark, orders, [GOOD, without_customer]), orders)
    assert (found["rows"], found["mean_amount"], found["null_share_customer"]) == (2, 10.0, 0.5)
    assert "mean_source_line" not in found
    empty = validate.row_metrics(frame_of(spark, orders, []), orders)
    assert (empty["rows"], empty["mean_amount"], empty["null_share_customer"]) == (0, None, None)


def test_what_holds_for_the_rows_of_all_dates_is_told_as_if_it_had_been_asked_of_each(
    spark: SparkSession, orders: Contract
) -> None:
    verdict.import_great_expectations()
    expensive = ("O0002", "Bob", Decimal("20000.00"), "shipped", DS, "orders.csv", 3, "run-1")
    suite = validate.suite_of(orders)
    dates = [[GOOD], [GOOD, expensive]]
    held = verdict.held_by_all(frame_of(spark, orders, [row for rows in dates for row in rows]), suite)
    types = [suite["rows"][place]["type"] for place in held]
    assert len(types) > 5
    assert "expect_column_values_to_be_unique" not in types, "the key is on both dates, and once on each"
    for rows in dates:
        frame = frame_of(spark, orders, rows)
        told = [
            verdict.evaluate(frame, metrics_of(frame, orders), suite, DS, held_before=before)["rows"]
            for before in (None, held)
        ]
        at_once, alone = ([_as_told(result) for result in results] for results in told)
        assert at_once == alone
    assert [result["result"]["unexpected_count"] for result in alone if not result["success"]] == [1]


def _as_told(result: Any) -> dict[str, Any]:
    told: dict[str, Any] = result.to_json_dict()
    told["expectation_config"]["kwargs"].pop("batch_id")
    return told
