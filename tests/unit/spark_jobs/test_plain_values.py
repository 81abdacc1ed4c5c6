"""What Arrow reads as a plain value, Spark reads as the same; and what is plain is what most files are made of."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs import transforms
from spark_jobs.plain_values import PlainValues
from tests.unit.spark_jobs.contracts import contract_of

COLUMNS: list[dict[str, Any]] = [
    {"name": "text", "type": "string"},
    {"name": "word", "type": "string", "allowed": ("one", "two")},
    {"name": "must", "type": "string", "required": True},
    {"name": "small", "type": "int"},
    {"name": "large", "type": "bigint"},
    {"name": "money", "type": "decimal(12,2)"},
    {"name": "units", "type": "decimal(38,0)"},
    {"name": "share", "type": "decimal(4,4)"},
    {"name": "ratio", "type": "double"},
    {"name": "flag", "type": "boolean"},
    {"name": "day", "type": "date"},
    {"name": "moment", "type": "timestamp"},
    {"name": "european", "type": "date", "format": "dd.MM.yyyy"},
]
CONTRACTS = {column["name"]: contract_of(column) for column in COLUMNS}

WRITTEN = {
    "text": ["a", "é", "  a ", "x\ny"],
    "word": ["one", "two"],
    "must": ["a"],
    "small": ["0", "-12", "0012", "999999999"],
    "large": ["999999999999999999", "-7"],
    "money": ["12.5", "-0.01", "9999999999.99", "007.10", "-0"],
    "units": ["1" * 38, "-5"],
    "ratio": ["1.5", "-2e10", ".5", "1.", "+1E-300", "0.1", "-0.0"],
    "flag": ["true", "FALSE"],
    "day": ["2025-06-30", "2024-02-29", "0001-01-01", "9999-12-31", "1582-10-10", "1900-03-01"],
    "moment": ["2025-06-30 23:59:59", "1969-12-31 00:00:00", "0001-01-01 00:00:00"],
}
OTHERS = """+1 1e3 12.345 ٣ NaN inf 1e999 three tRuE --1 . 2025-02-29 2025-13-01 0000-01-01 2025-06-3x 20250630
30.06.2025
2147483648 9223372036854775808 10000000000.00 0.1234 /025-06-30 :025-06-30
""".split()  # noqa: SIM905 - a page of quotes says no more
OTHERS += ["", " ", "\u3000", "\ufeff", "1 ", "2025-06-30 24:00:00", "2025-06-30 23:59:60", "1" * 39]


def read(name: str, texts: list[str | None]) -> tuple[list[Any], list[bool]]:
    values, plain = PlainValues(CONTRACTS[name]).of([pa.array(texts, pa.string())], pa.array([True] * len(texts)))
    return values[0].to_pylist(), plain.to_pylist()


@pytest.mark.parametrize("name", WRITTEN)
def test_values_as_they_are_mostly_written_are_plain(name: str) -> None:
    assert read(name, WRITTEN[name])[1] == [True] * len(WRITTEN[name])


def test_what_arrow_would_read_otherwise_is_left_to_spark() -> None:
    assert list(PlainValues(contract_of(*COLUMNS)).types) == [
        column for column in contract_of(*COLUMNS).columns if column.name not in ("share", "european")
    ]
    assert read("must", ["a", "", None, " "])[1] == [True, False, False, False]
    assert read("text", ["a", "", None, " "]) == (["a", None, None, None], [True] * 4)
    assert read("day", ["2025-06-30", "", "2025-02-30"]) == ([date(2025, 6, 30), None, None], [True, True, False])
    assert read("moment", ["2025-06-30 01:02:03"])[0] == [datetime(2025, 6, 30, 1, 2, 3)]
    assert read("money", ["1.5", "x"]) == ([Decimal("1.50"), None], [True, False])


def test_parts_of_an_array_are_read_as_the_whole() -> None:
    for name, texts in WRITTEN.items():
        whole = pa.array(["x", None, *texts, "y"], pa.string())
        values, plain = PlainValues(CONTRACTS[name]).of([whole.slice(2, len(texts))], pa.array([True] * len(texts)))
        assert (values[0].to_pylist(), plain.to_pylist()) == read(name, texts)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_spark_reads_the_same(spark: SparkSession, data: st.DataObject) -> None:
    """In one query for all columns: the texts are the rows, and each column reads each text."""
    texts = data.draw(st.lists(st.text("0123456789-+.:eE tf\u3000", max_size=20), max_size=200))
    texts = [*texts, *OTHERS, *(text for written in WRITTEN.values() for text in written)]
    frame = spark.createDataFrame([(text,) for text in texts], "text string")
    contracts = {name: contract for name, contract in CONTRACTS.items() if PlainValues(contract).types}
    parsed = {name: transforms.parsed(F.col("text"), contract.columns[0]) for name, contract in contracts.items()}
    blank = transforms.is_blank(F.col("text"))
    rows = frame.select(*(F.when(~blank, value).alias(name) for name, value in parsed.items()), blank.alias("blank"))
    expected = rows.collect()
    for name, contract in contracts.items():
        values, plain = read(name, texts)
        column = contract.columns[0]
        for text, value, is_plain, row in zip(texts, values, plain, expected, strict=True):
            if is_plain:
                assert value == row[name], (name, text)
                assert value is not None or (row["blank"] and not column.required), (name, text)
                assert not column.allowed or value is None or value in column.allowed
