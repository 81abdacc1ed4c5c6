"""The parts of Athena around the SQL: statements, types, result files, Parquet types, errors."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from localaws.athena import computed, dates, statements, types
from localaws.athena.errors import MalformedQuery, QueryFailed
from localaws.athena.failed import Failed
from localaws.athena.parquet import compatible
from localaws.athena.results import Column, as_text, read_csv, write_csv
from localaws.athena.statements import parse
from localaws.athena.syntax import blank, fill_parameters


@pytest.mark.parametrize(
    ("sql", "kind", "substatement"),
    [
        ("SELECT 1;", "DML", "SELECT"),
        ("-- a comment\n(SELECT 1) UNION (SELECT 2)", "DML", "SELECT"),
        ("WITH a AS (SELECT 1 AS x) SELECT * FROM a", "DML", "SELECT"),
        ("CREATE OR REPLACE VIEW d.v AS SELECT 1 AS x", "DDL", "CREATE_VIEW"),
        ("DROP VIEW IF EXISTS v", "DDL", "DROP_VIEW"),
        ("CREATE TABLE d.t WITH (format = 'PARQUET', partitioned_by = ARRAY['a', 'b']) AS SELECT 1 AS x", "DDL",
         "CREATE_TABLE_AS_SELECT"),
        ("CREATE EXTERNAL TABLE t (a int) LOCATION 's3://b/t/'", "DDL", "CREATE_TABLE"),
        ("DROP TABLE IF EXISTS `d`.`t`", "DDL", "DROP_TABLE"),
        ("CREATE SCHEMA IF NOT EXISTS d LOCATION 's3://b/d/'", "DDL", "CREATE_DATABASE"),
        ("DROP DATABASE d CASCADE", "DDL", "DROP_DATABASE"),
        ("INSERT INTO t (a, b) VALUES (1, 2)", "DML", "INSERT"),
        ("INSERT INTO t (SELECT 1)", "DML", "INSERT"),
        ("UNLOAD (SELECT ')' AS a) TO 's3://b/x/' WITH (format = 'PARQUET')", "DML", "UNLOAD"),
        ("MSCK REPAIR TABLE t", "DDL", "MSCK_REPAIR_TABLE"),
        ("ALTER TABLE t ADD IF NOT EXISTS PARTITION (ds='a') LOCATION 's3://b/a/'", "DDL", "ALTER_TABLE_ADD_PARTITION"),
        ("ALTER TABLE t DROP PARTITION (ds='a'), PARTITION (ds='b')", "DDL", "ALTER_TABLE_DROP_PARTITION"),
        ("ALTER TABLE t PARTITION (ds='a') SET LOCATION 's3://b/c/'", "DDL", "ALTER_TABLE_SET_LOCATION"),
        ("SHOW TABLES IN d 'a*'", "UTILITY", "SHOW_TABLES"),
        ("SHOW CREATE TABLE t", "UTILITY", "SHOW_CREATE_TABLE"),
        ("DESCRIBE d.t", "UTILITY", "DESCRIBE_TABLE"),
        ("EXPLAIN (TYPE VALIDATE) SELECT 1", "UTILITY", "EXPLAIN"),
        ("PREPARE p FROM SELECT ?", "DDL", "PREPARE"),
        ("EXECUTE p USING 1, 'a'", "DML", "EXECUTE"),
    ],
)  # fmt: skip
def test_statements_are_told_apart(sql, kind, substatement):
    statement = parse(sql)
    assert (statement.type, statement.substatement) == (kind, substatement)


def test_the_parts_of_statements():
    unload = parse("UNLOAD (SELECT ')' AS a FROM t) TO 's3://b/x/' WITH (format='PARQUET', compression='ZSTD')")
    assert isinstance(unload, statements.Unload)
    assert (unload.location, unload.properties) == ("s3://b/x/", {"format": "PARQUET", "compression": "ZSTD"})
    execute = parse("EXECUTE p USING 1, 'a,b', DATE '2025-01-01'")
    assert isinstance(execute, statements.Execute)
    assert execute.parameters == ["1", "'a,b'", "CAST('2025-01-01' AS DATE)"]
    made = parse("CREATE TABLE t WITH (partitioned_by = ARRAY['x']) AS SELECT 1 AS x WITH NO DATA")
    assert isinstance(made, statements.CreateTableAs)
    assert (made.with_data, made.properties) == (False, {"partitioned_by": ["x"]})
    view = parse("CREATE VIEW V AS\nSELECT 1 AS x")
    assert isinstance(view, statements.CreateView)
    assert (view.name, view.text, view.replace) == ((None, "v"), "SELECT 1 AS x", False)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "line 1:1"),
        ("GRANT x TO y", "line 1:1: mismatched input 'grant'"),
        ("DROP TABLE", "line 1:11: mismatched input '<EOF>'"),
        ("SHOW\n  NONSENSE", "line 2:3: mismatched input 'nonsense'"),
        ("CREATE TABLE t (a int) LOCATION 's3://b/t'", "External keyword required for table type HIVE"),
        ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
        ("INSERT INTO t", "mismatched input"),
    ],
)
def test_what_is_no_statement_is_refused(sql, message):
    with pytest.raises(MalformedQuery, match=message.replace("<", "<")):
        parse(sql)


def test_parameters_are_filled_in_where_they_stand():
    assert fill_parameters("SELECT '?', ? -- ?\n, ?", ["1", "'a?'"]) == "SELECT '?', 1 -- ?\n, 'a?'"
    with pytest.raises(MalformedQuery, match="expected 1 but found 0"):
        fill_parameters("SELECT ?", [])


def test_blanking_keeps_places():
    assert blank("ab\ncd", 0, 4) == "  \n d"


@pytest.mark.parametrize(
    ("hive", "trino"),
    [
        ("int", "integer"), ("string", "varchar"), ("decimal(12,2)", "decimal(12,2)"), ("decimal", "decimal(10,0)"),
        ("array<struct<a:int,b:map<string,decimal(10,2)>>>", "array(row(a integer, b map(varchar, decimal(10,2))))"),
        ("timestamp", "timestamp(3)"), ("varchar(10)", "varchar(10)"), ("binary", "varbinary"), ("float", "real"),
    ],
)  # fmt: skip
def test_hive_types(hive, trino):
    assert str(types.from_hive(hive)) == trino


def test_a_hive_type_that_is_unknown_is_refused():
    with pytest.raises(QueryFailed, match="NOT_SUPPORTED: Unsupported Hive type"):
        types.from_hive("uniontype<int,string>")


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, types.VARCHAR, None), (True, types.BOOLEAN, "true"), (Decimal("1.5"), types.decimal(5, 2), "1.50"),
        (1e10, types.DOUBLE, "1.0E10"), (0.5, types.DOUBLE, "0.5"), (100.0, types.DOUBLE, "100.0"),
        (1234567.125, types.DOUBLE, "1234567.125"), (12345678.5, types.DOUBLE, "1.23456785E7"),
        (0.0001, types.DOUBLE, "1.0E-4"), (float("nan"), types.DOUBLE, "NaN"), (-0.0, types.DOUBLE, "-0.0"),
        (0.10000000149011612, types.REAL, "0.1"), (float("-inf"), types.DOUBLE, "-Infinity"),
        (dt.date(2025, 6, 30), types.DATE, "2025-06-30"),
        (dt.datetime(2025, 6, 30, 1, 2, 3, 456789), types.TIMESTAMP, "2025-06-30 01:02:03.456"),
        (b"\xab\x01", types.VARBINARY, "ab 01"), ([1, None], types.array(types.BIGINT), "[1, null]"),
        ({"a": 1}, types.Type("map", (types.VARCHAR, types.BIGINT)), "{a=1}"),
        ({"x": 1, "y": "b"}, types.Type("row", (("x", types.BIGINT), ("y", types.VARCHAR))), "{x=1, y=b}"),
        (dt.timedelta(days=2, seconds=3), types.INTERVAL_DAY, "2 00:00:03.000"),
    ],
)  # fmt: skip
def test_values_are_written_as_athena_writes_them(value, kind, expected):
    assert as_text(value, kind) == expected


def test_a_result_file_tells_null_from_empty_and_is_read_in_pages():
    columns = [Column("a", types.VARCHAR), Column("b", types.BIGINT)]
    rows = [("x", 1), ("", None), (None, 2), ('quo"te, and\nline', 3)]
    body = write_csv(columns, rows)
    assert body.splitlines()[:3] == [b'"a","b"', b'"x","1"', b'"",']
    first, middle = read_csv(body, 0, 3)
    assert first == [["a", "b"], ["x", "1"], ["", None]]
    rest, end = read_csv(body, middle, 100)
    assert rest == [[None, "2"], ['quo"te, and\nline', "3"]]
    assert end == len(body)


@pytest.mark.parametrize(
    ("actual", "wanted", "fits"),
    [
        (pa.int32(), types.BIGINT, True), (pa.int64(), types.INTEGER, False), (pa.int32(), types.DOUBLE, False),
        (pa.float32(), types.DOUBLE, True), (pa.float64(), types.decimal(12, 2), False),
        (pa.decimal128(10, 2), types.decimal(12, 2), True), (pa.decimal128(12, 4), types.decimal(12, 2), False),
        (pa.string(), types.VARCHAR, True), (pa.string(), types.DATE, False), (pa.date32(), types.DATE, True),
        (pa.timestamp("us"), types.TIMESTAMP, True), (pa.null(), types.DATE, True), (pa.bool_(), types.VARCHAR, False),
        (pa.list_(pa.int32()), types.array(types.BIGINT), True),
        (pa.struct([("a", pa.int64())]), types.Type("row", (("a", types.INTEGER),)), False),
    ],
)  # fmt: skip
def test_which_parquet_types_a_column_may_have(actual, wanted, fits):
    assert compatible(actual, wanted) is fits


@pytest.mark.parametrize(
    ("text", "pattern", "moment", "zone"),
    [
        ("2025-06-30T07:08:09.5", "yyyy-MM-dd'T'HH:mm:ss.SSS", dt.datetime(2025, 6, 30, 7, 8, 9, 500000), "UTC"),
        ("30 Jun 25, 12:05 am", "d MMM yy, hh:mm a", dt.datetime(2025, 6, 30, 0, 5), "UTC"),
        ("20250630 +0200", "yyyyMMdd Z", dt.datetime(2025, 6, 30), "+0200"),
        ("24:00", "kk:mm", dt.datetime(1970, 1, 1), "UTC"),
        ("Monday 30", "EEEE dd", dt.datetime(2000, 1, 24), "UTC"),
    ],
)
def test_text_is_read_by_the_letters_of_joda(text, pattern, moment, zone):
    assert dates.parse_joda(text, pattern) == (moment, zone)


@pytest.mark.parametrize("read", [lambda: dates.parse_joda("2025", "yyyy G"), lambda: dates.parse_mysql("1", "%w")])
def test_what_dates_are_not_read_by_is_refused(read):
    with pytest.raises(Failed):
        read()


def test_a_search_has_a_bound(monkeypatch):
    monkeypatch.setattr(computed, "MATCH_SECONDS", 1e-6)
    with pytest.raises(Failed, match=r"^EXCEEDED_CPU_LIMIT: a search for a\+c took more than "):
        computed.regexp_like("a" * 300_000 + "b", "a+c")
