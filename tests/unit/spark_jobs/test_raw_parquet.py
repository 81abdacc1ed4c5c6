"""Values of Parquet files become the text that the contract's columns are read from, exactly."""

from __future__ import annotations

import io
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_jobs.errors import DataError
from spark_jobs.raw import Record, open_file, open_fitting
from tests.unit.spark_jobs.contracts import contract_of

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
