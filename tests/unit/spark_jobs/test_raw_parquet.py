"""Values of Parquet files become the text that the contract's columns are read from, exactly."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
import subprocess
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from spark_jobs.errors import DataError
from spark_jobs.raw import Record, open_file, open_fitting
from tests.unit.spark_jobs.contracts import contract_of
from tools.environment import python_of

PARQUET = {"format": {"type": "parquet"}}
CONTRACT = contract_of("a", "b", **PARQUET)
KEEP = contract_of("a", "b", additions="keep", **PARQUET)


def stored(columns: dict[str, Any], **options: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target, **options)
    return target.getvalue()


def read(content: bytes, contract: Any = CONTRACT) -> list[Record]:
    return list(open_fitting(io.BytesIO(content), "x.parquet", contract).records)


def one(values: pa.Array, contract: Any = CONTRACT) -> tuple[str | None, str | None]:
    """The text of the one value of column a, or the rule its record breaks."""
    (record,) = read(stored({"a": values, "b": pa.array(["x"])}), contract)
    return (record.values[0] if record.values else None), record.rule


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("Zoë", pa.string(), "Zoë"),
        ("Zoë", pa.large_string(), "Zoë"),
        ("x", pa.dictionary(pa.int8(), pa.string()), "x"),
        ("Zoë".encode(), pa.binary(), "Zoë"),
        (-7, pa.int8(), "-7"),
        (2**64 - 1, pa.uint64(), "18446744073709551615"),
        (True, pa.bool_(), "true"),
        (Decimal("-1.10"), pa.decimal128(12, 2), "-1.10"),
        (Decimal("0.0000001"), pa.decimal128(12, 7), "0.0000001"),
        (29.99, pa.float64(), "29.99"),
        (29.99, pa.float32(), "29.99"),
        (1e22, pa.float64(), "10000000000000000000000"),
        (1e-7, pa.float64(), "0.0000001"),
        (math.nan, pa.float64(), "NaN"),
        (-math.inf, pa.float64(), "-Infinity"),
        (date(2025, 1, 2), pa.date32(), "2025-01-02"),
        (datetime(2025, 1, 2, 3, 4, 5), pa.timestamp("us"), "2025-01-02 03:04:05"),
        (datetime(2025, 1, 2, 3, 4, 5, 678), pa.timestamp("ns"), "2025-01-02 03:04:05.000678"),
        (datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC), pa.timestamp("ms", "Asia/Tokyo"), "2025-01-02 03:04:05"),
        (time(3, 4, 5), pa.time64("us"), "03:04:05"),
        (None, pa.int32(), None),
        (None, pa.list_(pa.int32()), None),
        (Decimal("-1.50"), pa.decimal32(5, 2), "-1.50"),
        (Decimal("-1.50"), pa.decimal64(15, 2), "-1.50"),
        (2**32 - 1, pa.uint32(), "4294967295"),
        (b"\x12\x34" + bytes(13) + b"\x01", pa.uuid(), "12340000-0000-0000-0000-000000000001"),
        ("Zoë", pa.string_view(), "Zoë"),
        ("Zoë".encode(), pa.binary(4), "Zoë"),
    ],
)
def test_a_value_becomes_exact_text(value: Any, kind: pa.DataType, text: str | None) -> None:
    values = pa.array([value], kind if not pa.types.is_dictionary(kind) else pa.string()).cast(kind)
    assert one(values) == (text, None)


def test_dates_are_written_in_the_format_of_their_column_where_that_keeps_them_whole() -> None:
    contract = contract_of({"name": "a", "type": "timestamp", "format": "dd/MM/yyyy HH:mm"}, "b", **PARQUET)
    whole = pa.array([datetime(2025, 1, 2, 3, 4)])
    assert one(whole, contract) == ("02/01/2025 03:04", None)
    assert one(pa.array([datetime(2025, 1, 2, 3, 4, 5)]), contract) == ("2025-01-02 03:04:05", None)
    assert one(pa.array([date(2025, 1, 2)]), contract) == ("02/01/2025 00:00", None)


def test_lists_objects_and_bytes_are_not_values() -> None:
    assert one(pa.array([[1, 2]])) == (None, "malformed_record")
    assert one(pa.array([{"x": Decimal("1.50")}])) == (None, "malformed_record")
    assert one(pa.array([b"\xff"])) == (None, "not_text")


def test_a_record_is_its_row_shown_as_json() -> None:
    content = stored({"c": [[date(2025, 1, 2)], None], "b": ["é", None], "a": [1, 2]}, row_group_size=1)
    assert read(content, KEEP) == [
        Record(1, '{"c": ["2025-01-02"], "b": "é", "a": "1"}', ("1", "é"), extra='{"c": ["2025-01-02"]}'),
        Record(2, '{"c": null, "b": null, "a": "2"}', ("2", None), extra='{"c": null}'),
    ]
    assert read(stored({"a": pa.array([], pa.string()), "b": pa.array([], pa.string())})) == []


def test_damage_is_told() -> None:
    content = stored({"a": ["x" * 50] * 1000, "b": [f"{number}" for number in range(1000)]}, write_page_checksum=True)
    flipped = content[:1000] + bytes([content[1000] ^ 0xFF]) + content[1001:]
    with pytest.raises(DataError, match=r"x\.parquet: the file is empty"):
        read(b"")
    for damaged in (b"a,b\n1,2\n", content[:-20], content[200:], flipped):
        with pytest.raises(DataError, match=r"x\.parquet: cannot be read as Parquet"):
            read(damaged)


def test_columns_are_known_without_reading_a_row() -> None:
    file = open_file(io.BytesIO(stored({"c": ["1"], "a": ["2"]})), "x.parquet", CONTRACT)
    assert list(file.columns) == ["c", "a"]
    with pytest.raises(
        DataError, match=r"x\.parquet line 1: the columns do not fit the contract: missing 'b'; new 'c'"
    ):
        read(stored({"c": ["1"], "a": ["2"]}))


def test_a_column_named_twice_is_refused() -> None:
    target = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(["1"]), pa.array(["2"]), pa.array(["3"])], ["a", "b", "a"]), target)
    with pytest.raises(DataError, match="given twice 'a'"):
        read(target.getvalue())


def test_a_stream_that_cannot_go_back_is_copied_first() -> None:
    class OneWay(io.BytesIO):
        def seekable(self) -> bool:
            return False

    content = stored({"a": ["1"], "b": ["2"]})
    stream = io.BufferedReader(OneWay(content))  # type: ignore[arg-type]
    assert [record.values for record in open_fitting(stream, "x.parquet", CONTRACT).records] == [("1", "2")]


def of_counts(kind: pa.DataType, *counts: int) -> pa.Array:
    """Values of a temporal type, by what is stored of them."""
    return pa.array(counts, pa.int32() if kind.bit_width == 32 else pa.int64()).view(kind)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (of_counts(pa.timestamp("ns"), 1_735_787_045_000_000_678), "2025-01-02 03:04:05.000000678"),
        (of_counts(pa.time64("ns"), 1), "00:00:00.000000001"),
        (of_counts(pa.timestamp("us"), 253_402_300_800_000_000), "10000-01-01 00:00:00.000000"),
        (of_counts(pa.timestamp("us", "UTC"), 253_402_300_800_000_000), "10000-01-01 00:00:00.000000"),
        (of_counts(pa.timestamp("ms", "Mars/Olympus"), 0), "1970-01-01 00:00:00"),
        (of_counts(pa.timestamp("ms"), -(2**62)), "<value out of range: -4611686018427387904>"),
        (of_counts(pa.date32(), 2_932_897), "10000-01-01"),
        (of_counts(pa.date32(), -800_000), "-0221-09-04"),
        (of_counts(pa.duration("ms"), 2**62), "4611686018427387904 ms"),
        (of_counts(pa.time32("ms"), -5), "<value out of range: -5 ms>"),
        (of_counts(pa.time32("ms"), 86_400_000), "<value out of range: 86400000 ms>"),
        (of_counts(pa.time64("us"), 2**60), "<value out of range: 1152921504606846976 us>"),
        (pa.array([Decimal("1" * 60 + ".5")], pa.decimal256(76, 1)), "1" * 60 + ".5"),
        (pa.array([0.1], pa.float16()), "0.099975586"),
    ],
)
def test_what_python_cannot_hold_is_told_to_the_last_digit(values: pa.Array, text: str) -> None:
    assert one(values) == (text, None)
    others = pa.concat_arrays([values.slice(0, 0), *[values] * 3])
    records = read(stored({"a": others, "b": pa.array(["x"] * 3)}))
    assert [record.values for record in records] == [(text, "x")] * 3


def test_a_text_that_is_none_costs_its_own_record() -> None:
    broken = pa.StringArray.from_buffers(2, pa.py_buffer(b"\x00\0\0\0\x01\0\0\0\x02\0\0\0"), pa.py_buffer(b"\xffx"))
    first, second = read(stored({"a": broken, "b": ["1", "2"]}))
    assert (first.rule, second.values) == ("not_text", ("x", "2"))


def test_what_is_kept_of_a_list_is_json_and_exact() -> None:
    (record,) = read(stored({"c": [[math.nan, -math.inf]], "a": ["1"], "b": ["2"]}), KEEP)
    assert json.loads(record.extra or "", parse_constant=pytest.fail) == {"c": ["NaN", "-Infinity"]}
    moments = pa.array([[datetime(2025, 1, 2)]])
    content = stored({"c": moments, "a": ["1"], "b": ["2"]}, use_deprecated_int96_timestamps=True)
    assert read(content)[0].values == ("1", "2")
    with pytest.raises(DataError, match=r"c\.list\.element is INT96 within a list or object"):
        read(content, KEEP)


@pytest.mark.parametrize("day", ["9999-12-31", "2262-04-12", "1970-01-01", "1677-09-20", "0001-01-01"])
def test_int96_is_read_in_every_year(day: str) -> None:
    moment = datetime.fromisoformat(f"{day} 12:34:56.789012")
    content = stored({"a": pa.array([moment, None]), "b": ["x", "y"]}, use_deprecated_int96_timestamps=True)
    assert pq.ParquetFile(io.BytesIO(content)).schema.column(0).physical_type == "INT96"
    assert [record.values for record in read(content)] == [(f"{day} 12:34:56.789012", "x"), (None, "y")]


def test_int96_tells_its_nanoseconds() -> None:
    exact = pa.array([1_735_787_045_000_000_678, 1_735_787_045_000_000_000], pa.int64()).view(pa.timestamp("ns"))
    content = stored({"a": exact, "b": ["x", "y"]}, use_deprecated_int96_timestamps=True)
    assert [record.values for record in read(content)] == [
        ("2025-01-02 03:04:05.000000678", "x"),
        ("2025-01-02 03:04:05", "y"),
    ]


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.timestamp("ns"), pa.duration("s")])
def test_a_column_that_nobody_named_costs_nothing(kind: pa.DataType) -> None:
    far = of_counts(kind, 2**31 - 1 if kind.bit_width == 32 else 2**62 + 1)
    nested = pa.StructArray.from_arrays([far], ["x"])
    content = stored({"far": far, "nested": nested, "a": ["1"], "b": ["2"]})
    assert read(content) == [Record(1, '{"a": "1", "b": "2"}', ("1", "2"))]
    (kept,) = read(content, KEEP)
    assert kept.values == ("1", "2")
    assert set(json.loads(kept.extra or "")) == {"far", "nested"}


def test_no_variant_is_kept_by_its_storage() -> None:
    parts = {"metadata": pa.array([b"\x01\0\0"]), "value": pa.array([b"\x0c\x01"]), "typed_value": pa.array([1])}
    for names in (["metadata", "value"], ["value", "metadata"], ["metadata", "value", "typed_value"]):
        variant = pa.StructArray.from_arrays([parts[name] for name in names], names)
        for column in (variant, pa.ListArray.from_arrays([0, 1], variant)):
            content = stored({"v": column, "a": ["1"], "b": ["2"]})
            assert read(content)[0].values == ("1", "2")
            with pytest.raises(DataError, match=r"x\.parquet: the column 'v' is or holds a VARIANT"):
                read(content, KEEP)


def test_an_object_with_two_members_of_a_name_is_not_kept_as_one_of_them() -> None:
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["k", "k"])
    content = stored({"v": twice, "a": ["1"], "b": ["2"]})
    assert read(content)[0].values == ("1", "2")
    with pytest.raises(DataError, match="the column 'v' is or holds an object that names a member twice"):
        read(content, KEEP)


def test_old_dates_of_another_calendar_are_told() -> None:
    days, moments = [date(1582, 10, 14), date(1582, 10, 15)], [datetime(1899, 12, 31), datetime(1900, 1, 1)]
    table = pa.table({"a": pa.array([*days, None]), "b": pa.array([*moments, None])})
    for metadata, told in (({}, ""), ({"org.apache.spark.legacyDateTime": ""}, "<of the calendar before 1582: {}>")):
        target = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(metadata), target)
        first, second, third = (record.values for record in read(target.getvalue()))
        assert first == ((told or "{}").format("1582-10-14"), (told or "{}").format("1899-12-31 00:00:00"))
        assert (second, third) == (("1582-10-15", "1900-01-01 00:00:00"), (None, None))


def test_names_are_compared_without_blanks_at_their_edges_and_columns_without_one_are_left_out() -> None:
    content = stored({" a": ["1"], "b\u00a0": ["2"], " ": ["3"], "c.d": ["4"]})
    assert list(open_file(io.BytesIO(content), "x.parquet", CONTRACT).columns) == ["a", "b", "", "c.d"]
    assert read(content, KEEP) == [Record(1, '{"a": "1", "b": "2", "c.d": "4"}', ("1", "2"), extra='{"c.d": "4"}')]
    with pytest.raises(DataError, match="given twice 'a'"):
        read(stored({"a": ["1"], "a ": ["2"], "b": ["3"]}))


def values_of_all_kinds() -> dict[str, list[Any]]:
    """Columns of values that are the same in every engine, at and between the edges."""
    chance, numbers = random.Random(7), range(40)  # noqa: S311 - the same ones every time
    days = [date(1, 1, 1), date(1582, 10, 10), date(1900, 1, 1), date(9999, 12, 31)]
    days += [date.fromordinal(chance.randrange(1, 3_652_059)) for _ in numbers]
    return {
        "small": [Decimal(chance.randrange(-9999, 10_000)).scaleb(-2) for _ in days],
        "money": [Decimal(chance.randrange(-(10**12), 10**12)).scaleb(-2) for _ in days],
        "wide": [Decimal(chance.randrange(-(10**37), 10**37)).scaleb(-10, Context(prec=38)) for _ in days],
        "big": [-(2**63), 2**63 - 1, 0, 1, *(chance.randrange(-(2**63), 2**63) for _ in numbers)],
        "ratio": [0.1, -0.0, 5e-324, 1.7976931348623157e308, *(chance.uniform(-1e9, 1e9) for _ in numbers)],
        "day": days,
        "moment": [datetime.combine(day, time(23, 59, 59, chance.randrange(10**6))) for day in days],
    }


TYPES = {
    "small": "decimal(4,2)",
    "money": "decimal(12,2)",
    "wide": "decimal(38,10)",
    "big": "bigint",
    "ratio": "double",
    "day": "date",
    "moment": "timestamp",
}
BY_DUCKDB = """
import sys, duckdb
texts, target, columns = sys.argv[1:]
for version in ("v1", "v2"):
    query = f"select {columns} from read_csv('{texts}', all_varchar = true)"
    duckdb.sql(f"copy ({query}) to '{target}/duckdb-{version}.parquet' (format parquet, parquet_version '{version}')")
"""


def test_what_other_engines_write_comes_back_equal(spark: SparkSession, tmp_path: Path) -> None:
    values = values_of_all_kinds()
    kinds = {"small": pa.decimal128(4, 2), "money": pa.decimal128(12, 2), "wide": pa.decimal128(38, 10)}
    table = pa.table({name: pa.array(given, kinds.get(name)) for name, given in values.items()})
    for number, as_integer in enumerate((False, True)):
        pq.write_table(table, tmp_path / f"arrow-{number}.parquet", store_decimal_as_integer=as_integer)
    spark.createDataFrame(table).coalesce(1).write.parquet(f"{tmp_path}/spark")
    with (tmp_path / "texts.csv").open("w", encoding="utf-8") as file:
        csv.writer(file).writerows([values, *zip(*values.values(), strict=True)])
    columns = ", ".join(f"{name}::{kind} as {name}" for name, kind in TYPES.items())
    command = [python_of("localaws"), "-c", BY_DUCKDB, tmp_path / "texts.csv", tmp_path, columns]
    subprocess.run(command, check=True, timeout=120)

    described = [{"name": name, "type": kind} for name, kind in TYPES.items()]
    contract = contract_of(*described, **PARQUET)
    written = [*tmp_path.glob("*.parquet"), *tmp_path.glob("spark/*.parquet")]
    assert len(written) == 5
    back = (Decimal, Decimal, Decimal, int, float, date.fromisoformat, datetime.fromisoformat)
    for path in written:
        records = read(path.read_bytes(), contract)
        found = [[kind(text) for kind, text in zip(back, record.values, strict=True)] for record in records]
        assert found == [list(row) for row in zip(*values.values(), strict=True)], path.name


MOMENTS = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31, 23, 59, 59, 999999))


@given(st.lists(st.one_of(st.none(), MOMENTS), min_size=1, max_size=20), st.booleans())
def test_moments_come_back_as_they_were_written(moments: list[datetime | None], old: bool) -> None:
    columns = {"a": pa.array(moments, pa.timestamp("us")), "b": pa.array(["x"] * len(moments))}
    records = read(stored(columns, use_deprecated_int96_timestamps=old))
    assert [record.values[0] if record.values else "" for record in records] == [
        None if moment is None else str(moment) for moment in moments
    ]


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20), st.sampled_from(["ms", "us", "ns"]))
def test_a_count_of_any_unit_comes_back_or_is_told(counts: list[int], unit: str) -> None:
    """The text of a stored count stands for that count and no other."""
    per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    values = of_counts(pa.timestamp(unit), *counts)
    for count, record in zip(counts, read(stored({"a": values, "b": ["x"] * len(counts)})), strict=True):
        text = record.values[0] if record.values else ""
        assert text is not None
        if match := re.fullmatch(r"(\d{4})(-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d+))?", text):
            moment = datetime.fromisoformat(f"{match[1]}{match[2]}+00:00") - datetime(1970, 1, 1, tzinfo=UTC)
            fraction = int((match[3] or "").ljust(9, "0"))
            seconds = moment.days * 86_400 + moment.seconds
            assert (seconds * 10**9 + fraction) * per_second == count * 10**9
        else:
            assert text.startswith(("<value out of range: ", "-", "1", "2", "3"))
