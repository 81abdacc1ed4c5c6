"""Files of every format, option and defect: none overturns a reader, loses a line, or becomes another value.

`FUZZ_FILES` says how many: 500 without it, 20,000 in `make chaos`. Hypothesis makes the same ones every time, and knows
what they hold; each is read in Python and compared, and all records of a batch then go through one job of Spark.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pyspark.sql import SparkSession

from spark_jobs import drift, raw, records
from spark_jobs.errors import DataError
from tests.classifying import outcomes_of
from tests.fuzz.files import COLUMNS, FIELDS, NAMES, NOTHING, File, Line, files
from tests.unit.spark_jobs.contracts import contract_of

FILES = int(os.environ.get("FUZZ_FILES", "500"))
BATCH = 2_000
ALL = contract_of(*COLUMNS, additions="keep", **FIELDS)
RUN_DATE = date(2025, 6, 30)
INVALID = object()


def value_of(name: str, text: str | None) -> Any:
    """What the text of a column is, by the simplest means; `INVALID` where it is no value."""
    if text is None or not text.strip(NOTHING):
        return None
    try:
        match name:
            case "amount":
                value = Decimal(text) if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]{1,2})?", text) else INVALID
                return value if value is INVALID or abs(value) < 10**8 else INVALID
            case "count" | "big":
                bits = 31 if name == "count" else 63
                number = int(text) if re.fullmatch("[+-]?[0-9]+", text) else 1 << 64
                return number if -(1 << bits) <= number < 1 << bits else INVALID
            case "ratio":
                number_like = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text)
                return float(text) if number_like and math.isfinite(float(text)) else INVALID
            case "day":
                return date.fromisoformat(text) if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else INVALID
            case "at":
                shape = r"([0-9]{4}(?:-[0-9]{2}){2} [0-9]{2}(?::[0-9]{2}){2})(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})?"
                found = re.fullmatch(shape, text)
                if not found or found[1][11:13] == "24":
                    return INVALID
                whole = f"{found[1]}{(found[2] or '.').ljust(7, '0')}{found[3] or ''}"
                moment = datetime.fromisoformat(whole)
                return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
            case "flag":
                return {"true": True, "false": False}.get(text.lower(), INVALID)
    except (ValueError, OverflowError):
        return INVALID
    return text


def typed(values: tuple[str | None, ...]) -> dict[str, Any]:
    """The values of a record."""
    return {name: value_of(name, text) for name, text in zip(NAMES, values, strict=True)}


def judged(values: dict[str, Any]) -> tuple[str, str | None]:
    """Outcome and rule of a record, before duplicates."""
    if values["id"] is None:
        return "quarantined", "id_missing"
    if wrong := next((name for name, value in values.items() if value is INVALID), None):
        return "quarantined", f"{wrong}_invalid"
    if values["amount"] is not None and values["amount"] > 1_000_000:
        return "quarantined", "large"
    if values["count"] is not None and values["count"] < 0:
        return "dropped", "negative"
    return "published", None


def differs(lines: list[Line]) -> bool:
    """Whether the beginning of the file is not what the contract says: nothing can be read, or a column is retyped."""
    good = [line.values for line in lines if line.values is not None]
    if len(lines) >= 2 and not good:
        return True
    for at, name in enumerate(NAMES):
        known = [value_of(name, values[at]) for values in good]
        present = [value for value in known if value is not None]
        if len(present) >= 2 and all(value is INVALID for value in present):
            return True
    return False


def read(file: File) -> list[raw.Record] | None:
    """The file's records; None where it is refused. Compared with what is known of it."""
    try:
        difference = drift.difference(raw.open_file(io.BytesIO(file.content), file.name, file.contract), file.contract)
        opened = raw.open_fitting(io.BytesIO(file.content), file.name, file.contract)
        found = list(opened.records)
    except DataError as refused:
        if file.lines is not None and not file.fails:
            pytest.fail(f"refused: {refused}")
        return None
    counts = opened.counts
    every = vars(counts).items()
    assert counts.physical == sum(count for kind, count in every if kind != "physical") + sum(
        record.lines for record in found
    )
    starts = [record.line for record in found]
    assert starts == sorted(starts)
    if file.lines is not None:
        compare(file, found, counts)
        expected = [line for line in file.lines if line.kind == "record"]
        assert bool(difference) == differs(expected), difference
    return None if difference else found


def compare(file: File, found: list[raw.Record], counts: raw.LineCounts) -> None:
    """Every record is what was written, and every line of CSV of the kind it was written as."""
    assert not file.fails
    assert file.lines is not None
    expected = [line for line in file.lines if line.kind == "record"]
    known = typed if file.contract.format.type == "parquet" else tuple
    assert [(record.values and known(record.values), record.rule) for record in found] == [
        (line.values and known(line.values), line.rule) for line in expected
    ]
    assert [json.loads(record.extra) if record.extra else None for record in found] == [line.extra for line in expected]
    if file.contract.format.type == "csv":
        assert [record.lines for record in found] == [line.lines for line in expected]
        told = {kind: getattr(counts, kind) for kind in ("header", "blank", "skipped", "comment", "footer")}
        assert told == {kind: sum(line.kind == kind for line in file.lines) for kind in told}


def check_with_spark(spark: SparkSession, batch: dict[str, list[raw.Record]]) -> None:
    """Rows in are rows out, each with the outcome and the values that Python finds."""
    with tempfile.TemporaryDirectory() as folder:
        tables = [records.Batches(name, ALL).of_records(found) for name, found in batch.items() if found]
        of_date = Path(folder) / f"run_date={RUN_DATE}"
        of_date.mkdir()
        pq.write_table(pa.Table.from_batches(tables), of_date / "0.parquet", store_decimal_as_integer=True)
        rows = outcomes_of(records.kept(spark, ALL, Path(folder), [RUN_DATE]), ALL).collect()
    given = [(name, record) for name, found in batch.items() for record in found]
    latest: dict[str, int] = {}
    expected = []
    for at, (name, record) in enumerate(given):
        values = typed(record.values) if record.values else {}
        outcome, rule = judged(values) if record.values else ("quarantined", record.rule)
        if outcome == "published":
            latest[values["id"]] = at
        expected.append(((name, record.line), outcome, rule, values, record.extra))
    rows.sort(key=lambda row: (row["source_file"], row["_place"]))
    assert len(rows) == len(expected)
    for at, (row, (place, outcome, rule, values, extra)) in enumerate(zip(rows, expected, strict=True)):
        if outcome == "published" and latest[values["id"]] != at:
            outcome = "duplicate"
        assert ((row["source_file"], row["source_line"]), row["_outcome"], row["_rule"]) == (place, outcome, rule)
        if outcome in ("published", "duplicate"):
            assert {name: row[name] for name in (*NAMES, "extra")} == {**values, "extra": extra}, place


@pytest.mark.timeout(7200)
def test_no_file_overturns_a_reader_loses_a_line_or_becomes_another_value(spark: SparkSession) -> None:
    made: dict[str, list[raw.Record]] = {}
    count = refused = 0

    @settings(
        max_examples=FILES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(files())
    def read_and_compare(file: File) -> None:
        nonlocal count, refused
        count += 1
        file.name = f"{count:06}.{file.name}"
        found = read(file)
        if found is None:
            refused += 1
        else:
            made[file.name] = found

    read_and_compare()
    names = list(made)
    for start in range(0, len(names), BATCH):
        check_with_spark(spark, {name: made[name] for name in names[start : start + BATCH]})
    print(f"{count} files, {refused} refused, {sum(map(len, made.values()))} records")  # noqa: T201
