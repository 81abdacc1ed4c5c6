"""Dates and timestamps in the patterns of contracts: Python and Spark read the same values of the same texts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from contract.columns import Column
from contract.date_patterns import EXPRESSIONS, spark_pattern, variants
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs import transforms
from spark_jobs.raw import dates

NOON = datetime(2025, 6, 30, 12)
SECONDS = "yyyy-MM-dd HH:mm:ss"
READ = {
    f"{SECONDS}.SSSSSS": {
        "2025-06-30 12:00:00.123456": NOON.replace(microsecond=123456),
        "2025-06-30 12:00:00.12": NOON.replace(microsecond=120000),
        "2025-06-30 12:00:00.000001": NOON.replace(microsecond=1),
        "2025-06-30 12:00:00": None,
        "2025-06-30 12:00:00.": None,
        "2025-06-30 12:00:00.1234567": None,
    },
    f"{SECONDS}[.SSSSSS]": {
        "2025-06-30 12:00:00": NOON,
        "2025-06-30 12:00:00.1": NOON.replace(microsecond=100000),
        "2025-06-30 12:00:00.": None,
    },
    f"{SECONDS}.SSSSSSSSS": {
        "2025-06-30 12:00:00.123456000": NOON.replace(microsecond=123456),
        "2025-06-30 12:00:00.123456789": None,
        "2025-06-30 12:00:00.1234567": None,
        "2025-06-30 12:00:00.5": NOON.replace(microsecond=500000),
    },
    "yyyyMMddHHmmssSSS": {
        "20250630120000": None,
        "20250630120000.007": None,
        "20250630120000007": NOON.replace(microsecond=7000),
    },
    f"{SECONDS} Z": {
        "2025-06-30 23:30:00 -0400": datetime(2025, 7, 1, 3, 30),
        "2025-06-30 12:00:00 +0000": NOON,
        "2025-06-30 12:00:00 -00:00": None,
        "2025-06-30 12:00:00 Z": None,
        "2025-06-30 12:00:00 +2500": None,
        "9999-12-31 23:30:00 -0400": None,
        "0001-01-01 00:30:00 +0400": None,
        "1900-01-01 00:00:00 +0019": datetime(1899, 12, 31, 23, 41),
    },
    "yyyy-MM-dd'T'HH:mm:ss[.SSSSSS]XXX": {
        "2025-06-30T12:00:00Z": NOON,
        "2025-06-30T14:00:00.25+02:00": NOON.replace(microsecond=250000),
        "2025-06-30T17:45:00+05:45": NOON,
        "2025-06-30T12:00:00+00:00": NOON,
        "2025-06-30T12:00:00-00:00": NOON,
        "2025-06-30T12:00:00+0000": None,
        "2025-06-30T12:00:00": None,
        "2025-06-30T12:00:00z": None,
        "2025-02-29T12:00:00Z": None,
    },
    f"{SECONDS}[XXX][x]": {
        "2025-06-30 14:00:00+02": NOON,
        "2025-06-30 17:45:00+05:45": NOON,
        "2025-06-30 17:45:00+0545": NOON,
        "2025-06-30 12:00:00": NOON,
        "2025-06-30 12:00:00Z": NOON,
        "2025-06-30 12:00:00ZZ": None,
    },
    f"{SECONDS}xxxxx": {
        "1890-01-01 00:19:32+00:19:32": datetime(1890, 1, 1),
        "1890-01-01 00:19:32+00:19": datetime(1890, 1, 1, 0, 0, 32),
    },
    f"{SECONDS} 'UTC'": {"2025-06-30 12:00:00 UTC": NOON, "2025-06-30 12:00:00 utc": None},
    "yyyy-MM-dd[ HH[:mm[:ss]]]": {
        "2025-06-30": datetime(2025, 6, 30),
        "2025-06-30 12": NOON,
        "2025-06-30 12:00": NOON,
        "2025-06-30 ": None,
        "2025-06-30 12:": None,
    },
    "[yyyy-MM-dd HH:mm][dd.MM.yyyy HH:mm]": {
        "30.06.2025 12:00": NOON,
        "2025-06-30 12:00": NOON,
        "2025-06-30 12:0030.06.2025 12:00": None,
    },
    "MM/dd/yyyy hh:mm:ss a": {
        "06/30/2025 12:00:00 PM": NOON,
        "06/30/2025 12:00:00 AM": datetime(2025, 6, 30),
        "06/30/2025 11:22:00 PM": datetime(2025, 6, 30, 23, 22),
        "06/30/2025 13:00:00 PM": None,
        "06/30/2025 00:00:00 AM": None,
        "06/30/2025 12:00:00 pm": None,
    },
    "M/d/yyyy K:mm a": {"6/30/2025 0:00 PM": NOON, "6/30/2025 12:00 PM": None, "06/30/2025 0:00 PM": None},
    "yyyy-MM-dd kk:mm": {"2025-06-30 24:00": datetime(2025, 6, 30), "2025-06-30 12:00": NOON, "2025-06-30 00:00": None},
    "d MMMM y, H 'o''clock'": {"30 June 2025, 12 o'clock": NOON, "30 JUNE 2025, 12 o'clock": None},
    "yyyy-DDD HH": {
        "2025-181 12": NOON,
        "2024-366 00": datetime(2024, 12, 31),
        "2025-366 00": None,
        "2025-000 00": None,
    },
    "yyyy-MM": {"2025-06": datetime(2025, 6, 1), "2025-13": None},
}
DATES = {
    "dd-MMM-yy": {"30-Jun-25": date(2025, 6, 30), "30-JUN-25": None, "01-Jul-99": date(2099, 7, 1), "31-Jun-25": None},
    "dd LLL yyyy": {"30 Sep 2025": date(2025, 9, 30), "30 Sept 2025": None},
    "yyyy-MM": {"2025-06": date(2025, 6, 1), "2025-6": None},
    "yyyy": {"2025": date(2025, 1, 1), "0000": None},
    "yyyyMMdd": {"20250630": date(2025, 6, 30), "20250631": None, "2025063": None},
    "yyyyDDD": {"2025181": date(2025, 6, 30)},
    "yyyy-D": {"2025-181": date(2025, 6, 30), "2025-1": date(2025, 1, 1), "2025-001": None, "2025-367": None},
    "G yyyy-MM-dd": {"AD 2025-06-30": date(2025, 6, 30), "BC 2025-06-30": None},
    "yyyy-MM-dd' 00:00:00'": {"2025-06-30 00:00:00": date(2025, 6, 30), "2025-06-30 00:00:01": None},
    "[yyyy-MM-dd][dd/MM/yyyy]": {"2025-06-30": date(2025, 6, 30), "30/06/2025": date(2025, 6, 30), "": None},
    "yyyy-MM-dd": {"1582-10-10": date(1582, 10, 10), "0001-01-01": date(1, 1, 1), "9999-12-31": date(9999, 12, 31)},
}
CASES = [("timestamp", *case) for case in READ.items()] + [("date", *case) for case in DATES.items()]
"""Patterns with texts and what they are; None where a text is no value."""


def column(type_name: str, pattern: str) -> Column:
    return Column(name="x", source="x", description="x", type=type_name, format=pattern)


@pytest.mark.parametrize(("kind", "pattern", "texts"), CASES, ids=[f"{kind} {pattern}" for kind, pattern, _ in CASES])
def test_texts_in_the_pattern_are_read_and_no_others(kind: str, pattern: str, texts: dict[str, Any]) -> None:
    read = dates.reader(column(kind, pattern).date_format)
    found = {
        text: moment and (moment.date() if kind == "date" else moment)
        for text in texts
        if (moment := read(text)) or True
    }
    assert found == texts


def test_spark_reads_the_same(spark: SparkSession) -> None:
    """All at once, and as constants, which Spark computes without compiling them."""
    given = [(kind, pattern, text) for kind, pattern, texts in CASES for text in texts]
    values = [transforms.parsed(F.lit(text), column(kind, pattern)) for kind, pattern, text in given]
    found = spark.range(1).select(*values).first()
    assert dict(zip(given, found, strict=True)) == {
        (kind, pattern, text): value for kind, pattern, texts in CASES for text, value in texts.items()
    }


def test_spark_knows_every_letter(spark: SparkSession) -> None:
    text = F.lit("x")
    read = [F.call_function("try_to_timestamp", text, F.lit(f"{letters} ")) for letters in EXPRESSIONS]
    assert spark.range(1).select(*read).first() == (None,) * len(EXPRESSIONS)


@given(
    st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59, 999999)),
    st.sampled_from([*READ, *DATES]),
)
def test_what_is_written_reads_the_same(moment: datetime, pattern: str) -> None:
    text = dates.written(moment, pattern)
    assert (dates.reader(pattern)(text) or datetime.fromisoformat(text)) == moment


def test_a_moment_is_written_in_the_fullest_form_that_keeps_it() -> None:
    assert dates.written(NOON, f"{SECONDS}[.SSS]XXX") == "2025-06-30 12:00:00.000Z"
    assert dates.written(NOON, "dd MMM yyyy h a") == "30 Jun 2025 12 PM"
    assert dates.written(NOON.replace(second=1), "yyyy-MM-dd[ HH:mm]") == "2025-06-30 12:00:01"
    assert [spark_pattern(variant) for variant in variants("y[-M[-d]]")] == ["y-M-d", "y-M", "y"]
