"""What differs from the contract is told before Spark starts, and what Spark would accept is no difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract.dataset import Contract
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs import drift, storage, transforms
from spark_jobs.errors import DataError
from tests.unit.spark_jobs.contracts import contract_of

AMOUNT = {"name": "amount", "type": "decimal(5,2)"}
DAY = {"name": "day", "type": "date"}
CSV = contract_of("id", AMOUNT, DAY)
JSON = contract_of("id", AMOUNT, DAY, format={"type": "json"})


def check(folder: Path, files: dict[str, str], contract: Contract) -> dict[str, Any]:
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return drift.check(storage.list_files(folder.as_uri()), contract)


def refusal(folder: Path, files: dict[str, str], contract: Contract) -> str:
    with pytest.raises(DataError) as refused:
        check(folder, files, contract)
    return str(refused.value)


def test_files_that_fit_are_no_difference(tmp_path: Path) -> None:
    files = {"a.csv": "day,id,amount\n2025-01-01,1,1.5\n", "b.csv": "id,amount,day\n"}
    assert check(tmp_path, files, CSV) == {"additions": "refuse", "new_columns": {}, "absent_columns": {}}


def test_an_optional_column_may_be_absent_and_is_reported(tmp_path: Path) -> None:
    columns = ("id", AMOUNT, {**DAY, "optional": True})
    files = {"a.csv": "id,amount\n1,1.5\n", "b.csv": "id,amount,day\n1,1.5,2025-01-01\n", "c.csv": "id,amount\n"}
    assert check(tmp_path, files, contract_of(*columns))["absent_columns"] == {"day": ["a.csv", "c.csv"]}
    assert "missing 'amount'" in refusal(tmp_path, {"d.csv": "id\n1\n"}, contract_of(*columns))
    records = {"a.json": '[{"id": 1, "amount": 2}]', "b.json": "[]", "c.json": '[{"id": 1, "amount": 2, "day": null}]'}
    folder = tmp_path / "json"
    folder.mkdir()
    contract = contract_of(*columns, format={"type": "json"})
    assert check(folder, records, contract)["absent_columns"] == {"day": ["a.json"]}


@pytest.mark.parametrize("spelling", ["Note", "NOTE ", "no_te", "note:", "nóte", "no\u0301te"])
@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_an_optional_column_that_is_there_in_another_spelling_is_missing(
    tmp_path: Path, kind: str, spelling: str
) -> None:
    contract = contract_of("id", {"name": "note", "optional": True}, format={"type": kind})
    row = {"id": "1", spelling: "x"}
    path = tmp_path / f"a.{kind}"
    match kind:
        case "csv":
            path.write_text(f"{','.join(row)}\n{','.join(row.values())}\n", encoding="utf-8")
        case "parquet":
            pq.write_table(pa.Table.from_pylist([row]), path)
        case _:
            path.write_text(json.dumps([row] if kind == "json" else row), encoding="utf-8")
    told = f"missing 'note' (renamed to {spelling.strip()!r}?); new {spelling.strip()!r}"
    assert told in refusal(tmp_path, {}, contract)


def test_columns_of_signs_alone_are_not_spellings_of_each_other(tmp_path: Path) -> None:
    contract = contract_of("id", {"name": "percent", "source": "%", "optional": True})
    assert check(tmp_path, {"a.csv": "id,#,\n1,x,\n"}, contract)["absent_columns"] == {"%": ["a.csv"]}


def test_another_delimiter_is_told_though_an_optional_column_is_absent(tmp_path: Path) -> None:
    contract = contract_of("id", AMOUNT, {**DAY, "optional": True})
    assert "the delimiter is ';'" in refusal(tmp_path, {"a.csv": "id;amount\n1;2\n"}, contract)


def test_new_columns_are_reported_with_the_files_they_are_in(tmp_path: Path) -> None:
    files = {"a.csv": "id,amount,day,coupon\n", "b.csv": "id,amount,day,coupon,shop\n", "c.csv": "id,amount,day\n"}
    assert check(tmp_path, files, CSV)["new_columns"] == {"coupon": ["a.csv", "b.csv"], "shop": ["b.csv"]}


def test_every_difference_of_every_file_is_told(tmp_path: Path) -> None:
    rows = "".join(f"{number},abc{number},01/02/2025\n" for number in range(5))
    files = {"a.csv": "ID,day\n1,2025-01-01\n", "b.csv": f"id,amount,day\n{rows}"}
    assert refusal(tmp_path, files, CSV) == (
        "a.csv line 1: the columns do not fit the contract: missing 'id' (renamed to 'ID'?), 'amount'; new 'ID'; "
        "b.csv line 1: the columns do not fit the contract: "
        "retyped 'amount' (expected decimal(5,2); found 'abc0', 'abc1', 'abc2'); "
        "retyped 'day' (expected date (yyyy-MM-dd); found '01/02/2025')"
    )


@pytest.mark.parametrize(
    "amounts",
    [["x"], ["x", "1.00"], ["x"] * 999 + ["1.00"], ["", " ", "x"], ["x"] * 3000 + ["1.00"]],
    ids=["one", "one of two", "the thousandth", "blanks do not count", "all of the first thousand"],
)
def test_wrong_values_are_another_type_only_when_there_is_no_right_one(tmp_path: Path, amounts: list[str]) -> None:
    files = {"a.csv": "id,amount,day\n" + "".join(f"1,{amount},2025-01-01\n" for amount in amounts)}
    if len(amounts) > drift.VALUES:
        assert "retyped 'amount' (expected decimal(5,2); found 'x')" in refusal(tmp_path, files, CSV)
    else:
        check(tmp_path, files, CSV)


def test_json_lacks_a_column_when_no_record_has_it(tmp_path: Path) -> None:
    rows = [{"id": "1", "amount": 1.5, "day": None}, {"id": "2", "Day": "2025-01-01", "shop": "x"}]
    assert check(tmp_path, {"a.json": json.dumps(rows)}, JSON)["new_columns"] == {"Day": ["a.json"], "shop": ["a.json"]}
    told = refusal(tmp_path, {"a.json": json.dumps(rows[1:])}, JSON)
    assert "missing 'day' (renamed to 'Day'?); new 'Day', 'shop'" in told
    assert check(tmp_path, {"a.json": "[]"}, JSON)["new_columns"] == {}


def test_a_file_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    for name in ("csv", "json"):
        (tmp_path / name).mkdir()
    told = refusal(tmp_path / "csv", {"a.csv": "id,amount,day\n1,2\n3,4\n"}, CSV)
    assert told == "a.csv: not one of its first 2 records can be read: line 2 has 2 fields, the header has 3"
    nested = json.dumps([{"id": {"no": 1}, "amount": 1, "day": None}] * 3)
    told = refusal(tmp_path / "json", {"a.json": nested}, JSON)
    assert "not one of its first 3 records can be read: line 1 'id' is an object" in told


def test_nothing_personal_is_shown(tmp_path: Path) -> None:
    contract = contract_of({"name": "email", "personal": True}, AMOUNT, DAY)
    secret = "ann@example.com"
    files = [
        f"{secret},1.00,2025-01-01\nben@example.com,2.00,2025-01-01\n",
        f'"{secret},1.00\n',
        f"{secret},{secret},2025-01-01\n",
        f"email,amount,day\nx,{secret},2025-01-01\ny,{secret},2025-01-01\n",
        f"email,amount,day\n{secret}\n{secret}\n",
        f'email,amount,day\n"{secret},x\n"{secret}",z"\n',
    ]
    for content in files:
        assert secret not in refusal(tmp_path, {"a.csv": content}, contract)


TEXTS = {
    "decimal(5,2)": "1 -1.5 +1.50 999.99 1000.00 1.505 1e3 .5 5. 0001.10 0099999.10 1,5 abc ٣ --1 1_000 NaN 1.50\n",
    "decimal(5,5)": "0.12345 .1 1.0 00.1 0 -0.00000",
    "decimal(38,0)": f"{'9' * 38} {'9' * 39} 1.0 1 {'0' * 60}1",
    "int": "1 -1 +1 2147483647 2147483648 -2147483648 -2147483649 1.0 1e3 0001 00000000000002147483647 abc 1_0 ٣",
    "bigint": "9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 1 x",
    "double": "1 1. .5 1e3 1E-3 -1.5e+300 1e309 -1e309 1e-400 NaN Infinity 1d 1f 0x1p3 . e5 1_0 ٣",
    "boolean": "true false TRUE False t 1 yes on",
    "date": "2025-01-31 2025-02-29 2024-02-29 2025-1-31 2025-01-31T00:00 0000-01-01 0001-01-01 9999-12-31 31/01/2025 "
    "20250131 +2025-01-31 ٢٠٢٥-01-31",
}
PATTERNS = {
    "dd/MM/yyyy": "31/01/2025 31/02/2025 1/1/2025 31-01-2025",
    "d/M/yyyy": "31/1/2025 1/1/2025 01/01/2025 0/1/2025 1/13/2025",
    "yyyyMMdd": "20250131 20250231 2025-01-31",
    "dd.MM.yy": "31.01.25 31.01.99 31.01.2025",
    "yyyy'-W'MM'-'dd": "2025-W01-31 2025-01-31",
    "d MMM yyyy": "1 Jan 2025 31",
}
TIMESTAMPS = {
    "yyyy-MM-dd HH:mm:ss": "2025-01-31|10:11:12 2025-01-31|24:00:00 2025-01-31|10:11:60 "
    "2025-01-31|10:11 2025-01-31|1:1:1 0000-12-31|23:59:59 "
    "2025-01-31|10:11:12.5 2025-01-31T10:11:12",
    "yyyy-MM-dd'T'HH:mm:ss.SSS": "2025-01-31T10:11:12.123 2025-01-31T10:11:12.1 2025-01-31T10:11:12.123456",
    "dd/MM/yyyy H:mm": "31/01/2025|1:05 31/01/2025|01:05 31/01/2025|23:59 31/01/2025|0:00",
    "yyyy-MM-dd HH:mm:ss.SSSSSS": "2025-01-31|10:11:12.123456 2025-01-31|10:11:12.123",
}
CASES = [
    *(({"type": kind}, texts) for kind, texts in TEXTS.items()),
    *(({"type": "date", "format": pattern}, texts) for pattern, texts in PATTERNS.items()),
    *(({"type": "timestamp", "format": pattern}, texts) for pattern, texts in TIMESTAMPS.items()),
]


@pytest.mark.parametrize(("column", "texts"), CASES, ids=[" ".join(column.values()) for column, _ in CASES])
def test_python_and_spark_agree_on_what_a_value_is(spark: SparkSession, column: dict[str, str], texts: str) -> None:
    described = contract_of({"name": "a", **column}).columns[0]
    values = [text.replace("|", " ") for text in texts.split(" ") if text]
    frame = spark.createDataFrame(pa.table({"text": values}))
    parsed = transforms.parsed(F.col("text"), described).isNotNull()
    by_spark = [bool(row[0]) for row in frame.select(parsed).collect()]
    by_python = drift.type_check(described)
    assert by_python is not None
    assert dict(zip(values, map(by_python, values), strict=True)) == dict(zip(values, by_spark, strict=True))


def test_what_only_spark_can_tell_is_left_to_it() -> None:
    columns = [{"name": "a", "type": "int", "normalize": "trim(value)"}, "b"]
    assert [drift.type_check(column) for column in contract_of(*columns).columns] == [None, None]


def test_json_may_lack_all_day_what_no_row_needs_but_not_every_column(tmp_path: Path) -> None:
    contract = contract_of({"name": "id", "required": True}, "coupon", "note", format={"type": "jsonl"})
    given = {"a.jsonl": '{"id": "1", "shop": "x"}\n', "b.jsonl": '{"id": "2", "note": "y"}\n'}
    assert check(tmp_path, given, contract)["absent_columns"] == {"coupon": ["a.jsonl", "b.jsonl"], "note": ["a.jsonl"]}
    told = refusal(tmp_path, {"a.jsonl": '{"coupon": "1"}\n'}, contract)
    assert "missing 'id'" in told
    assert "note" not in told
    assert "is the header missing" not in told
    optional = contract_of({"name": "id"}, "coupon", format={"type": "jsonl"})
    assert "missing 'id', 'coupon'" in refusal(tmp_path, {"a.jsonl": '{"shop": "1"}\n'}, optional)
    assert "missing 'coupon' (renamed to 'Cou_Pon'?)" in refusal(
        tmp_path, {"a.jsonl": '{"id": "1", "Cou_Pon": "x"}\n'}, optional
    )
