"""Nothing that a statement says is dropped: what no handler reads is refused, whatever kind of node it is on."""

from __future__ import annotations

import datetime as dt

import duckdb
import pytest
from sqlglot import exp

from localaws.athena import engine
from localaws.athena.compiler import ExpressionCompiler
from localaws.athena.errors import MalformedQuery, QueryFailed, from_engine
from localaws.athena.nodes import READ, refuse_unread
from localaws.athena.queries import QueryCompiler, Session
from localaws.athena.statements import parse
from localaws.athena.syntax import parse_query


def all_classes(base=exp.Expr):
    for one in base.__subclasses__():
        yield one
        yield from all_classes(one)


CLASSES = sorted({one for one in all_classes() if issubclass(one, exp.Expression)}, key=lambda one: one.__name__)


@pytest.fixture(scope="module")
def rows():
    """`rows(sql)` runs a statement that needs no table."""
    connection = duckdb.connect(config={"threads": 1})
    engine.prepare(connection)

    def run(sql):
        relation = QueryCompiler(sql, "shop", Session(None, dt.datetime(2025, 7, 1))).compile(parse_query(sql))
        try:
            return connection.execute(relation.sql).fetchall()
        except duckdb.Error as error:
            raise from_engine(error) from error

    return run


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_argument_of_every_class_is_read_or_refused(kind):
    if kind not in READ:
        with pytest.raises(QueryFailed, match=r"^NOT_SUPPORTED: line 1:1: "):
            refuse_unread("SELECT 1", kind())
        return
    read = READ[kind].split()
    refuse_unread("SELECT 1", kind())
    refuse_unread("SELECT 1", kind(**{name.removesuffix("?"): False for name in read}))
    for name in kind.arg_types:
        if name in read:
            refuse_unread("SELECT 1", kind(**{name: True}))
            continue
        for value in (True, exp.null(), [exp.null()], "word", *([] if f"{name}?" in read else [False])):
            with pytest.raises(QueryFailed, match=rf"^NOT_SUPPORTED: line 1:1: {name.strip('_').upper()} of "):
                refuse_unread("SELECT 1", kind(**{name: value}))


def test_only_arguments_that_exist_are_said_to_be_read():
    for kind, names in READ.items():
        assert {name.removesuffix("?") for name in names.split()} <= set(kind.arg_types), kind


def test_every_class_with_a_handler_says_what_it_reads():
    handled = {kind for kind in CLASSES if hasattr(ExpressionCompiler, f"_{kind.key}")}
    assert handled <= set(READ)


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 1 BETWEEN SYMMETRIC 2 AND 0", "line 1:8: mismatched input in '1 BETWEEN SYMMETRIC 2 AND 0'"),
        ("SELECT x FROM (VALUES 1) AS t(x) GROUP BY DISTINCT x, ROLLUP (x)",
         "NOT_SUPPORTED: line 1:52: ALL of GROUP: "),
        ("SELECT x FROM (VALUES 1) AS t(x) GROUP BY ALL x", "NOT_SUPPORTED: line 1:47: ALL of GROUP: x"),
        ("SELECT x FROM (VALUES 1) AS t(x) GROUP BY x WITH ROLLUP", "line 1:43: mismatched input in 'x'"),
        ("SELECT x FROM (VALUES 1) AS t(x) GROUP BY AUTO", "COLUMN_NOT_FOUND: line 1:43: "),
        ("SELECT 1 AS x UNION BY NAME SELECT 2 AS x", "line 1:8: mismatched input in "),
        ("SELECT 1 AS x EXCEPT ALL CORRESPONDING SELECT 2 AS x", "NOT_SUPPORTED: line 1:8: BY_NAME of EXCEPT: "),
        ("SELECT 1 AS x UNION CORRESPONDING BY (x) SELECT 2 AS x", "NOT_SUPPORTED: line 1:8: BY_NAME of UNION: "),
        ("SELECT * FROM (VALUES 1) AS t(x) NATURAL JOIN (VALUES 1) AS u(x)",
         "NOT_SUPPORTED: line 1:55: METHOD of JOIN: "),
        ("SELECT * FROM (VALUES 1) AS t(x) JOIN (VALUES 1) AS u(y) JOIN (VALUES 1) AS v(z) ON y = z ON x = y",
         "NOT_SUPPORTED: line 1:47: JOINS of VALUES: "),
        ("SELECT * FROM (VALUES 1) AS t(x) LEFT JOIN (VALUES 2) AS u(y)", "line 1:62: mismatched input '<EOF>'"),
        ("SELECT * FROM (VALUES 1) AS t(x) INNER JOIN (VALUES 2) AS u(y)",
         "line 1:63: mismatched input '<EOF>'"),
        ("SELECT * FROM (VALUES 1) AS t(x) CROSS JOIN (VALUES 2) AS u(y) ON x = y", "SYNTAX_ERROR: line 1:53: CROSS "),
        ("SELECT * FROM (VALUES 1) AS t(x) LEFT JOIN UNNEST(ARRAY[2]) AS u(y) ON x = y",
         "NOT_SUPPORTED: line 1:57: LEFT JOIN involving UNNEST is only supported with condition ON TRUE"),
        ("SELECT * FROM UNNEST(ARRAY[1]) AS t(x, y)",
         "MISMATCHED_COLUMN_ALIASES: line 1:28: Column alias list has 2 entries but 't' has 1 columns available"),
        ("SELECT * FROM UNNEST(ARRAY[1]) WITH OFFSET AS o", "NOT_SUPPORTED: line 1:28: UNNEST WITH OFFSET"),
        ("SELECT x IN UNNEST(ARRAY[1]) FROM (VALUES 1) AS t(x)", "line 1:13: mismatched input 'UNNEST'"),
        ("SELECT sum(x) OVER (ORDER BY x ROWS 1 PRECEDING EXCLUDE TIES) FROM (VALUES 1) AS t(x)",
         "NOT_SUPPORTED: line 1:37: EXCLUDE of WINDOWSPEC: "),
        ("SELECT max(x) IGNORE NULLS FROM (VALUES 1) AS t(x)", "SYNTAX_ERROR: line 1:8: IGNORE NULLS needs a window"),
        ("SELECT max(x) RESPECT NULLS FROM (VALUES 1) AS t(x)", "NOT_SUPPORTED: line 1:8: "),
        ("SELECT max(x) IGNORE NULLS OVER () FROM (VALUES 1) AS t(x)", "NULL_TREATMENT_NOT_ALLOWED: line 1:8: "),
        ("SELECT sum(x) FILTER (WHERE x > 1) OVER () FROM (VALUES 1) AS t(x)",
         "NOT_SUPPORTED: line 1:8: FILTER is not yet supported for window functions"),
        ("SELECT array_agg(x ORDER BY x) OVER () FROM (VALUES 1) AS t(x)",
         "NOT_SUPPORTED: line 1:8: Window function with ORDER BY is not supported"),
        ("SELECT lag(DISTINCT x) OVER (ORDER BY x) FROM (VALUES 1) AS t(x)", "NOT_SUPPORTED: line 1:8: DISTINCT in "),
        ("SELECT sum(x) OVER (w PARTITION BY x) FROM (VALUES 1) AS t(x) WINDOW w AS (ORDER BY x)",
         "INVALID_PARTITION_BY: line 1:8: "),
        ("SELECT sum(x) OVER (w ORDER BY x) FROM (VALUES 1) AS t(x) WINDOW w AS (ORDER BY x)",
         "INVALID_ORDER_BY: line 1:8: "),
        ("SELECT sum(x) OVER (w ROWS 1 PRECEDING) FROM (VALUES 1) AS t(x) WINDOW w AS (ORDER BY x ROWS 2 PRECEDING)",
         "INVALID_WINDOW_REFERENCE: line 1:8: Cannot reference named WINDOW containing frame specification"),
        ("SELECT sum(x) OVER a FROM (VALUES 1) AS t(x) WINDOW a AS (b), b AS (a)",
         "INVALID_WINDOW_REFERENCE: line 1:8: Cannot resolve WINDOW name b"),
        ("SELECT upper('a') FILTER (WHERE true)", "FUNCTION_NOT_AGGREGATE: line 1:8: "),
        ("SELECT coalesce(DISTINCT 1, 2)", "FUNCTION_NOT_AGGREGATE: line 1:8: DISTINCT and ORDER BY "),
        ("SELECT concat_ws(',', 'a' ORDER BY 1)", "FUNCTION_NOT_AGGREGATE: line 1:8: DISTINCT and ORDER BY "),
        ("SELECT count(*, 1)", "NOT_SUPPORTED: line 1:14: "),
        ("SELECT count(DISTINCT *)", "NOT_SUPPORTED: line 1:23: "),
        ("SELECT max(*)", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters () for function max"),
        ("SELECT row_number(*) OVER ()", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters () for "),
        ("SELECT array_agg(DISTINCT x, y ORDER BY x) FROM (VALUES (1, 2)) AS t(x, y)",
         "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (integer, integer) for function array_agg"),
        ("SELECT listagg(x, ',' ON OVERFLOW TRUNCATE '...' WITH COUNT) WITHIN GROUP (ORDER BY x)"
         " FROM (VALUES 'a') AS t(x)",
         "NOT_SUPPORTED: line 1:16: ON_OVERFLOW of GROUPCONCAT: "),
        ("SELECT array_agg(x) WITHIN GROUP (ORDER BY x) FROM (VALUES 'a') AS t(x)",
         "line 1:8: mismatched input in 'array_agg(x) WITHIN GROUP (ORDER BY x'"),
        ("SELECT 1 FETCH FIRST 1 ROW WITH TIES", "NOT_SUPPORTED: line 1:22: WITH_TIES of LIMITOPTIONS: "),
        ("SELECT 1 LIMIT 50 PERCENT", "NOT_SUPPORTED: line 1:16: LIMIT_OPTIONS of LIMIT: "),
        ("SELECT 1 LIMIT 1 BY 1", "NOT_SUPPORTED: line 1:16: EXPRESSIONS of LIMIT: "),
        ("SELECT 1 FOR UPDATE", "line 1:8: mismatched input in "),
        ("SELECT DISTINCT ON (x) x FROM (VALUES 1) AS t(x)", "line 1:21: mismatched input in "),
        ("WITH a AS MATERIALIZED (SELECT 1) SELECT * FROM a", "line 1:6: mismatched input in "),
        ("SELECT * EXCEPT (x) FROM (VALUES 1) AS t(x)", "SYNTAX_ERROR: line 1:"),
        ("SELECT t.* EXCEPT (x) FROM (VALUES 1) AS t(x)", "SYNTAX_ERROR: line 1:8: "),
        ("SELECT t.* AS (y) FROM (VALUES 1) AS t(x)", "NOT_SUPPORTED: line 1:8: ALIASES: t.* AS (y"),
        ("SELECT CAST(1 AS varchar FORMAT 'x')", "NOT_SUPPORTED: line 1:13: FORMAT of CAST: "),
        ("SELECT CAST(1 AS integer(3))", "TYPE_MISMATCH: line 1:13: Unknown type: integer(3)"),
        ("SELECT CAST(1 AS decimal(5, 2, 1))", "TYPE_MISMATCH: line 1:13: Unknown type: decimal(5, 2, 1)"),
        ("SELECT CAST(NULL AS array(integer, varchar))", "TYPE_MISMATCH: line 1:1: Unknown type: "),
        ("SELECT substring('abc', 1, 2, 3)", "NOT_SUPPORTED: line 1:18: ZERO_START of SUBSTRING: "),
        ("SELECT position('a', 'banana', 3)", "NOT_SUPPORTED: line 1:17: POSITION of STRPOSITION: "),
        ("SELECT ARRAY[1, 2][1, 2]", "NOT_SUPPORTED: line 1:14: "),
        ("SELECT ARRAY[1, 2][1:2]", "NOT_SUPPORTED: line 1:20: SLICE: 1:2"),
        ("SELECT ROW(1, 2)[3]", "INVALID_FUNCTION_ARGUMENT: line 1:8: ROW index out of bounds: 3"),
        ("SELECT 'a' LIKE 'a' ESCAPE ''",
         "INVALID_FUNCTION_ARGUMENT: line 1:8: Escape string must be a single character"),
        ("SELECT 'a' ILIKE 'A' ESCAPE '!'", "line 1:8: mismatched input in "),
        ("SELECT INTERVAL '1 02:03' DAY TO SECOND", "INVALID_LITERAL: line 1:17: "),
        ("SELECT INTERVAL '1'", "TYPE_NOT_FOUND: line 1:8: Unknown resolvedType: interval"),
        ("SELECT TIMESTAMP '2025-01-01 00:00:00' AT TIME ZONE utc FROM (VALUES 'Europe/Zurich') AS t(utc)",
         "NOT_SUPPORTED: line 1:18: a time zone that is not a constant"),
        ("SELECT coalesce(1)", "SYNTAX_ERROR: line 1:8: The 'coalesce' function must have at least two arguments"),
        ("SELECT nullif(1)", "SYNTAX_ERROR: line 1:8: Invalid number of arguments for 'nullif' function"),
        ("SELECT nullif(1, 2, 3)", "SYNTAX_ERROR: line 1:8: Invalid number of arguments for 'nullif' function"),
        ("SELECT try()", "SYNTAX_ERROR: line 1:8: The 'try' function must have exactly one argument"),
        ("SELECT try(1, 2)", "SYNTAX_ERROR: line 1:8: The 'try' function must have exactly one argument"),
        ("SELECT concat('a')",
         "INVALID_FUNCTION_ARGUMENT: line 1:8: There must be two or more concatenation arguments"),
        ("SELECT now(3)", "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (integer) for function now"),
        ("SELECT row()", "SYNTAX_ERROR: line 1:8: "),
        ("SELECT map(ARRAY[1])",
         "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (array(integer)) for function map"),
        ("SELECT grouping()", "SYNTAX_ERROR: line 1:8: "),
        ("SELECT reduce(ARRAY[1], 0, (s, x) -> s)", "FUNCTION_NOT_FOUND: line 1:8: "),
        ("SELECT upper('a', 1)",
         "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (varchar(1), integer) for function upper"),
        ("SELECT filter(ARRAY[1], x -> true, 2)",
         "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (array(integer), function, integer) for function filter"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_refused_with_its_place(rows, sql, reason):
    with pytest.raises((QueryFailed, MalformedQuery)) as refused:
        rows(sql)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT x FROM (VALUES 'abc', 'xyz', NULL) AS t(x) WHERE x NOT LIKE 'a%'", [("xyz",)]),
        ("SELECT x FROM (VALUES 'a%b', 'abc') AS t(x) WHERE x NOT LIKE 'a!%%' ESCAPE '!'", [("abc",)]),
        ("SELECT x FROM (VALUES 'a%b', 'abc') AS t(x) WHERE NOT x LIKE 'a!%%' ESCAPE '!'", [("abc",)]),
        ("SELECT NOT 'a' NOT LIKE 'a', 'a' NOT LIKE 'b' AND true, 'a' NOT LIKE NULL", [(True, True, None)]),
        ("SELECT x FROM (VALUES 1, 2, 3) AS t(x) WHERE x NOT BETWEEN 2 AND 5", [(1,)]),
        ("SELECT 2 BETWEEN ASYMMETRIC 1 AND 3", [(True,)]),
        ("SELECT 1 NOT IN (2, 3), 1 IS NOT NULL, 1 IS NOT DISTINCT FROM 1, NOT EXISTS (SELECT 1)",
         [(True, True, True, False)]),
        ("SELECT INTERVAL -'1' DAY = INTERVAL '-1' DAY, INTERVAL '2' DAY - INTERVAL -'1' DAY = INTERVAL '3' DAY",
         [(True, True)]),
        ("SELECT U&'!0041b!!c' UESCAPE '!', U&'\\0041'", [("Ab!c", "A")]),
        ("SELECT sum(x) OVER v FROM (VALUES (1, 'a'), (2, 'a'), (4, 'b')) AS t(x, p)"
         " WINDOW w AS (PARTITION BY p), v AS (w ORDER BY x) ORDER BY 1", [(1,), (3,), (4,)]),
        ("SELECT sum(DISTINCT x) OVER () FROM (VALUES 1, 1) AS t(x)", [(1,), (1,)]),
        ("SELECT lag(x) RESPECT NULLS OVER (ORDER BY y), lag(x) IGNORE NULLS OVER (ORDER BY y)"
         " FROM (VALUES (1, 1), (NULL, 2), (3, 3)) AS t(x, y) ORDER BY y", [(None, None), (1, 1), (None, 1)]),
        ("SELECT x, y, n FROM UNNEST(ARRAY[1], ARRAY[2, 3]) WITH ORDINALITY AS t(x, y, n) ORDER BY n",
         [(1, 2, 1), (None, 3, 2)]),
        ("SELECT k, v, n FROM UNNEST(map(ARRAY['a', 'b'], ARRAY[1, 2])) WITH ORDINALITY AS t(k, v, n) ORDER BY n",
         [("a", 1, 1), ("b", 2, 2)]),
        ("SELECT x, y FROM (VALUES 1) AS t(x) LEFT JOIN UNNEST(ARRAY[2]) AS u(y) ON TRUE", [(1, 2)]),
        ("SELECT x, y FROM (VALUES 1, 2) AS t(x) CROSS JOIN LATERAL (SELECT x * 10) AS u(y) ORDER BY 1",
         [(1, 10), (2, 20)]),
        ("SELECT INTERVAL '1 02:03:04.5' DAY TO SECOND = INTERVAL '93784.5' SECOND, INTERVAL '2-3' YEAR TO MONTH ="
         " INTERVAL '27' MONTH, INTERVAL -'1:30' HOUR TO MINUTE = INTERVAL '-90' MINUTE", [(True, True, True)]),
        ("SELECT 5 <> ALL (VALUES 1, 2), 1 = ANY (VALUES 1, 2), 3 = SOME (VALUES 1, 2)", [(True, True, False)]),
        ("SELECT 1 LIMIT ALL", [(1,)]),
        ("SELECT x FROM (VALUES 1, 2) AS t(x) ORDER BY x FETCH FIRST ROW ONLY", [(1,)]),
        ("SELECT map_agg(DISTINCT x, y) FROM (VALUES (1, 1), (2, 1), (2, 1)) AS t(x, y)", [({1: 1, 2: 1},)]),
        ("SELECT map_agg(x, y) FROM (VALUES (1, 2)) AS t(x, y) WHERE false", [(None,)]),
        ("SELECT count(ALL x), count(*) FROM (VALUES 1, NULL) AS t(x)", [(1, 2)]),
        # https://trino.io/docs/current/functions/aggregate.html: count_if counts; what is not there counts 0.
        ("SELECT count_if(x), count_if(x) FILTER (WHERE false) FROM (VALUES true) AS t(x) WHERE false", [(0, 0)]),
        ("SELECT count_if(x), count_if(DISTINCT x), count_if(NOT x) FROM (VALUES true, true, NULL) AS t(x)",
         [(2, 1, 0)]),
        ("SELECT count_if(x > 1) OVER (ORDER BY x) FROM (VALUES 1, 2, 3) AS t(x) ORDER BY x", [(0,), (1,), (2,)]),
        # The ranks that Trino 476 gives.
        ("SELECT approx_percentile(x, 0e0), approx_percentile(x, 0.5), approx_percentile(x, 0.9),"
         " approx_percentile(x, 1)"
         " FROM (VALUES 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, NULL) AS t(x)", [(1, 6, 10, 10)]),
        ("SELECT approx_percentile(x, 0.5) FROM (VALUES 30, 10, 20) AS t(x)", [(20,)]),
        ("SELECT approx_percentile(x, 0.95) FROM UNNEST(sequence(1, 100)) AS t(x)", [(96,)]),
        ("SELECT approx_percentile(x, ARRAY[0.25, 0.5]) FROM (VALUES 1e0, 2e0, 3e0, 4e0) AS t(x)", [([2.0, 3.0],)]),
        ("SELECT approx_percentile(x, 0.5), approx_percentile(x, ARRAY[0.5]) FROM (VALUES 1) AS t(x) WHERE false",
         [(None, None)]),
        ("SELECT approx_percentile(DISTINCT x, 0.5), approx_percentile(x, 0.5) FILTER (WHERE x > 1)"
         " FROM (VALUES 1, 1, 1, 2, 3) AS t(x)", [(2, 3)]),
        ("SELECT approx_percentile(x, 0.5) OVER (PARTITION BY p), p FROM (VALUES (1, 1), (2, 1), (3, 2)) AS t(x, p)"
         " ORDER BY p", [(2, 1), (2, 1), (3, 2)]),
    ],
)  # fmt: skip
def test_what_is_read_counts(rows, sql, expected):
    assert rows(sql) == expected


@pytest.mark.parametrize(
    ("argument", "kind"),
    [("1", "bigint"), ("CAST(1.5 AS decimal(5,2))", "real"), ("1e0", "double"), ("REAL '1.5'", "real")],
)
def test_percentiles_have_the_types_that_trino_has_them_for(argument, kind):
    sql = f"SELECT approx_percentile({argument}, 0.5), approx_percentile({argument}, ARRAY[0.5])"
    relation = QueryCompiler(sql, "shop", Session(None, dt.datetime(2025, 7, 1))).compile(parse_query(sql))
    assert [str(column.type) for column in relation.columns] == [kind, f"array({kind})"]


def test_a_share_beyond_1_is_no_percentile(rows):
    with pytest.raises(QueryFailed, match=r"^INVALID_FUNCTION_ARGUMENT: Percentile must be between 0 and 1$"):
        rows("SELECT approx_percentile(x, 1.5) FROM (VALUES 1, 2) AS t(x)")


@pytest.mark.parametrize(
    "sql",
    [
        "EXECUTE p USING 1 FROM t", "EXECUTE p USING 1 LIMIT 1", "EXECUTE p USING DISTINCT 1", "EXECUTE p x",
        "SHOW TABLES LIKE", "SHOW DATABASES LIKE", "SHOW TABLES 'a' 'b'", "SHOW PARTITIONS t WHERE x = 1",
        "SHOW COLUMNS FROM t LIKE 'a'", "DESCRIBE t x", "DROP TABLE t PURGE", "DROP VIEW v CASCADE",
        "DROP DATABASE d CASCADE x", "MSCK REPAIR TABLE t SYNC PARTITIONS", "DEALLOCATE PREPARE p x",
        "CREATE VIEW v (a) AS SELECT 1", "CREATE VIEW v COMMENT 'c' AS SELECT 1", "CREATE DATABASE d x",
        "CREATE EXTERNAL TABLE t (a int) LOCATION 's3://b/t/' SORTED", "CREATE TABLE t (a) AS SELECT 1",
        "CREATE TABLE t WITH (format = 'JSON') SORTED AS SELECT 1", "INSERT INTO t PARTITION (a = 1) SELECT 1",
        "INSERT OVERWRITE t SELECT 1", "UNLOAD (SELECT 1) TO 's3://b/t/' WITH (format = 'JSON') x",
        "ALTER TABLE t ADD COLUMNS (a int) CASCADE", "ALTER TABLE t DROP PARTITION (a = '1') PURGE",
        "ALTER TABLE t SET LOCATION 's3://b/t/' x", "ALTER TABLE t SET TBLPROPERTIES ('a' = 'b') x",
    ],
)  # fmt: skip
def test_what_is_left_of_a_catalog_statement_is_refused(sql):
    with pytest.raises(MalformedQuery):
        parse(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t AS SELECT x FROM u GROUP BY ALL x", "INSERT INTO t SELECT x FROM u GROUP BY ALL x",
        "UNLOAD (SELECT x FROM u GROUP BY ALL x) TO 's3://b/t/' WITH (format = 'JSON')",
        "CREATE VIEW v AS SELECT x FROM u GROUP BY ALL x", "EXPLAIN SELECT x FROM u GROUP BY ALL x",
    ],
)  # fmt: skip
def test_queries_inside_other_statements_are_held_to_the_same(sql):
    statement = parse(sql)
    with pytest.raises(QueryFailed, match=r"^NOT_SUPPORTED: line 1:[0-9]+: ALL of GROUP"):
        QueryCompiler(statement.sql, "shop", Session(None, dt.datetime(2025, 7, 1))).compile(statement.query)
