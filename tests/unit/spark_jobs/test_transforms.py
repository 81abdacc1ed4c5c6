"""What becomes of a record, on a real Spark: types, rules, precedence, duplicates."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from contract.columns import Column
from contract.dataset import Contract
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs import clean, transforms
from spark_jobs.outcomes import Outcomes, table_schema
from tests.classifying import records_of, rows_of
from tools import samples

RUN_DATE = date(2025, 6, 30)
HEADER = "OrderID,Customer,Amount,Status,OrderDate\n"
Classify = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def classify(spark: SparkSession, orders: Contract, tmp_path: Path) -> Classify:
    """Write files of order lines (without header), classify them, and return the rows by file and line."""

    def run(*files: str) -> list[dict[str, Any]]:
        for number, lines in enumerate(files):
            (tmp_path / f"{number}.csv").write_text(HEADER + lines, encoding="utf-8")
        rows = rows_of(spark, tmp_path, orders, RUN_DATE).orderBy("source_file", "source_line")
        return [row.asDict() for row in rows.collect()]

    return run


def parse(spark: SparkSession, texts: list[str], type_name: str, date_format: str | None = None) -> list[Any]:
    column = Column(name="x", source="x", description="x", type=type_name, format=date_format)
    frame = spark.createDataFrame([(text,) for text in texts], "text string")
    return [row[0] for row in frame.select(transforms.parsed(F.col("text"), column)).collect()]


def test_decimals_are_read_strictly(spark: SparkSession) -> None:
    good = {"12.5": "12.50", "-0.01": "-0.01", "+7": "7.00", "007.10": "7.10", "9999999999.99": "9999999999.99"}
    assert parse(spark, list(good), "decimal(12,2)") == [Decimal(value) for value in good.values()]
    bad = ["1e3", "1,234.50", "12.345", "10000000000.00", "12.", ".5", " 12.5", "$12", "NaN", "--1", "1 2", "٣", "1\n"]
    assert parse(spark, bad, "decimal(12,2)") == [None] * len(bad)
    assert parse(spark, ["12", "12.0"], "decimal(12,0)") == [Decimal(12), None]


def test_dates_are_read_strictly(spark: SparkSession) -> None:
    assert parse(spark, ["2025-06-30", "2024-02-29"], "date") == [RUN_DATE, date(2024, 2, 29)]
    bad = [
        "2025-6-4",
        "2025-02-30",
        "30/06/2025",
        "2025-06-30 10:00:00",
        "2025-06-30T",
        " 2025-06-30",
        "20250630",
        "25-06-30",
    ]
    assert parse(spark, bad, "date") == [None] * len(bad)
    assert parse(spark, ["1/2/2025", "01/02/2025"], "date", "M/d/yyyy") == [date(2025, 1, 2), None]


def test_other_types_are_read_strictly(spark: SparkSession) -> None:
    assert parse(spark, ["12", "-3", "2147483648", "1.0", "1L"], "int") == [12, -3, None, None, None]
    assert parse(spark, ["2147483648", "9223372036854775808"], "bigint") == [2147483648, None]
    assert parse(spark, ["1.5", "-2e3", "1d", "NaN", "1e999", "Infinity"], "double") == [
        1.5,
        -2000.0,
        None,
        None,
        None,
        None,
    ]
    assert parse(spark, ["true", "FALSE", "1", "yes"], "boolean") == [True, False, None, None]
    assert parse(spark, ["2025-06-30 10:11:12", "2025-06-30"], "timestamp") == [datetime(2025, 6, 30, 10, 11, 12), None]


@pytest.mark.parametrize(
    ("line", "rule", "reason"),
    [
        (",Bob,1.00,shipped,2025-06-30", "order_id_missing", "order_id_missing: a value is required"),
        ("O1,  ,1.00,shipped,2025-06-30", "customer_missing", "customer_missing: a value is required"),
        ("O1,Bob,1.005,shipped,2025-06-30", "amount_invalid", "amount_invalid: '1.005' is not decimal(12,2)"),
        (
            "O1,Bob,-0.01,shipped,2025-06-30",
            "amount_negative",
            "amount_negative: An order cannot have a negative total",
        ),
        (
            "O1,Bob,1.00,Shipped,2025-06-30",
            "status_not_allowed",
            "status_not_allowed: 'Shipped' is not one of pending, confirmed, shipped, cancelled",
        ),
        (
            "O1,Bob,1.00,shipped,2025-6-3",
            "order_date_invalid",
            "order_date_invalid: '2025-6-3' is not date (yyyy-MM-dd)",
        ),
        ("O1,Bob,1.00,shipped", "wrong_field_count", "wrong_field_count: has 4 fields, the header has 5"),
        (
            "O1,,-1,lost,2025-06-30",
            "customer_missing",
            "customer_missing: a value is required; "
            "status_not_allowed: 'lost' is not one of pending, confirmed, shipped, cancelled; "
            "amount_negative: An order cannot have a negative total",
        ),
    ],
)
def test_a_bad_row_is_quarantined_as_it_came_with_all_reasons(
    classify: Classify, line: str, rule: str, reason: str
) -> None:
    row, good = classify(f"{line}\nO2,Bob,1.00,shipped,2025-06-30\n")
    assert (row["_outcome"], row["_rule"], row["_reason"], row["_raw_row"]) == ("quarantined", rule, reason, line)
    assert (row["source_file"], row["source_line"], row["run_id"]) == ("0.csv", 2, "run-00000001")
    assert (good["_outcome"], good["_rule"], good["_reason"]) == ("published", None, None)


@pytest.mark.parametrize(
    ("status", "order_date", "outcome"),
    [
        ("pending", "2025-05-30", "dropped"),
        ("cancelled", "2025-05-30", "dropped"),
        ("pending", "2025-05-31", "published"),
        ("confirmed", "2025-05-30", "published"),
        ("shipped", "2020-01-01", "published"),
    ],
)
def test_open_orders_are_dropped_after_thirty_days(
    classify: Classify, status: str, order_date: str, outcome: str
) -> None:
    (row,) = classify(f"O1,Bob,1.00,{status},{order_date}\n")
    assert row["_outcome"] == outcome
    assert row["_rule"] == ("stale_open_order" if outcome == "dropped" else None)


def test_quarantine_goes_before_drop(classify: Classify) -> None:
    (row,) = classify("O1,Bob,-1.00,pending,2025-01-01\n")
    assert (row["_outcome"], row["_rule"]) == ("quarantined", "amount_negative")


def test_the_order_received_last_wins(classify: Classify) -> None:
    first = "O1,Bob,1.00,pending,2025-06-30\nO2,Eve,2.00,pending,2025-06-30\nO1,Bob,1.00,confirmed,2025-06-30\n"
    rows = classify(first, "O1,Bob,3.00,shipped,2025-06-30\n")
    assert [row["_outcome"] for row in rows] == ["duplicate", "published", "duplicate", "published"]
    assert [row["amount"] for row in rows if row["_outcome"] == "published"] == [Decimal("2.00"), Decimal("3.00")]


def test_neither_a_bad_nor_a_stale_row_displaces_a_good_one(classify: Classify) -> None:
    rows = classify("O1,Bob,1.00,shipped,2025-06-30\nO1,Bob,-1.00,shipped,2025-06-30\nO1,Bob,1.00,pending,2025-01-01\n")
    assert [row["_outcome"] for row in rows] == ["published", "quarantined", "dropped"]


def test_published_columns_have_the_types_of_the_contract(
    spark: SparkSession, orders: Contract, tmp_path: Path
) -> None:
    (tmp_path / "orders.csv").write_text(HEADER, encoding="utf-8")
    rows = rows_of(spark, tmp_path, orders, RUN_DATE)
    columns = orders.published_columns
    assert transforms.outcomes(rows, orders).dtypes[: len(columns)] == [
        (column.name, column.type) for column in columns
    ]
    files = Outcomes.of(rows, orders).published([RUN_DATE], tmp_path / "published")
    assert pq.read_table(*files[RUN_DATE]).equals(table_schema(columns).empty_table())


def test_a_file_damaged_halfway_fails_the_batch_and_names_itself(
    spark: SparkSession, orders: Contract, tmp_path: Path
) -> None:
    import gzip

    lines = "".join(f"O{number * 7919},Bob,1.00,shipped,2025-06-30\n" for number in range(500))
    (tmp_path / "orders.csv.gz").write_bytes(gzip.compress((HEADER + lines).encode())[:-30])
    _, (read,) = records_of(spark, tmp_path, orders, RUN_DATE)
    assert read.problem is not None
    assert "orders.csv.gz line" in read.problem


def test_generated_orders_end_as_the_generator_says(spark: SparkSession, orders: Contract, tmp_path: Path) -> None:
    expected = json.loads(json.dumps(samples.write("orders", date(2025, 6, 1), 3, 600, 7, tmp_path)))
    for ds, right in expected["days"].items():
        rows = Outcomes.of(rows_of(spark, tmp_path / "orders" / f"ds={ds}", orders, date.fromisoformat(ds)), orders)
        groups = rows.groups()
        read = sum(group["rows"] for group in groups)
        counts = clean.row_counts(groups, read, [])
        published = rows.published([date.fromisoformat(ds)], tmp_path / f"published {ds}")
        total = pc.sum(pq.read_table(*published[date.fromisoformat(ds)])["amount"])
        found = {
            **counts["rows"],
            "quarantined_by_rule": counts["quarantined_by_rule"],
            "warned_by_rule": counts["warned_by_rule"],
            "published_amount": f"{total}",
        }
        assert found == {name: right[name] for name in found}
