"""Trino SQL compiled to DuckDB: values, types and failures, over one small table."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal, localcontext

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localaws.athena import engine, types
from localaws.athena.catalog import Table
from localaws.athena.errors import QueryFailed, RequestRefused, from_engine
from localaws.athena.queries import QueryCompiler, Session
from localaws.athena.syntax import parse_query

CENTS = st.decimals(min_value=-(10**8), max_value=10**8, places=2)
NOW = dt.datetime(2025, 7, 1, 12, 30, 15)
COLUMNS = [
    ("order_id", types.VARCHAR),
    ("customer", types.VARCHAR),
    ("amount", types.decimal(12, 2)),
    ("quantity", types.INTEGER),
    ("order_date", types.DATE),
]
KEYS = [("ds", types.VARCHAR)]
ROWS = """
    ('o1', 'ann', 1.25, 1, DATE '2025-06-30', '2025-06-30'),
    ('o2', 'bob', 2.26, 2, DATE '2025-06-29', '2025-06-30'),
    ('o3', 'ann', -1.01, 3, DATE '2025-05-29', '2025-06-29')
"""


class OneTable:
    """A catalog with the table shop.orders in it."""

    def has_database(self, name):
        return name == "shop"

    def table(self, database, name):
        return Table("shop", "orders", COLUMNS, KEYS, {}) if (database, name) == ("shop", "orders") else None


@pytest.fixture(scope="module")
def connection():
    connection = duckdb.connect(config={"threads": 1})
    engine.prepare(connection)
    names = ", ".join(name for name, _ in COLUMNS + KEYS)
    casts = ", ".join(f"CAST({name} AS {kind.duckdb}) AS {name}" for name, kind in COLUMNS + KEYS)
    for number in range(6):
        connection.execute(f"CREATE VIEW scan_{number} AS SELECT {casts} FROM (VALUES {ROWS}) AS t({names})")
    return connection


@pytest.fixture(scope="module")
def run(connection):
    """`run(sql)` gives the rows, the types and the names; each DuckDB type must be the one that was inferred."""

    def execute(sql):
        session = Session(OneTable(), NOW)
        relation = QueryCompiler(sql, "shop", session).compile(parse_query(sql))
        try:
            cursor = connection.execute(relation.sql)
            rows = cursor.fetchall()
        except duckdb.Error as error:
            raise from_engine(error) from error
        actual = [str(column[1]) for column in cursor.description]
        for column, kind in zip(relation.columns, actual, strict=True):
            assert column.type.base in ("unknown", "row") or column.type.duckdb == kind, (sql, column, kind)
        return rows, [str(column.type) for column in relation.columns], [column.name for column in relation.columns]

    return execute


@pytest.fixture(scope="module")
def value(run):
    """`value(expression)` gives its value and type, over no table."""

    def evaluate(expression):
        rows, kinds, _ = run(f"SELECT {expression}")
        return rows[0][0], kinds[0]

    return evaluate


@pytest.mark.parametrize(
    ("expression", "expected", "kind"),
    [
        # Trino's result types: https://trino.io/docs/current/functions/decimal.html
        ("DECIMAL '1.10' + DECIMAL '2.2'", Decimal("3.30"), "decimal(4,2)"),
        ("DECIMAL '1.10' - 1", Decimal("0.10"), "decimal(13,2)"),
        ("CAST(2.5 AS decimal(12,2)) * CAST(1.25 AS decimal(10,4))", Decimal("3.125000"), "decimal(22,6)"),
        ("CAST(10 AS decimal(12,2)) / CAST(3 AS decimal(12,2))", Decimal("3.33"), "decimal(14,2)"),
        ("CAST(20 AS decimal(12,2)) / CAST(3 AS decimal(12,2))", Decimal("6.67"), "decimal(14,2)"),
        ("CAST(-20 AS decimal(12,2)) / 3", Decimal("-6.67"), "decimal(12,2)"),
        ("CAST(0.05 AS decimal(12,2)) / 2", Decimal("0.03"), "decimal(12,2)"),
        ("CAST(-0.05 AS decimal(12,2)) / 2", Decimal("-0.03"), "decimal(12,2)"),
        ("1.0 / 3", Decimal("0.3"), "decimal(2,1)"),
        ("CAST(5.5 AS decimal(5,2)) % 2", Decimal("1.50"), "decimal(5,2)"),
        ("DECIMAL '12345678901234567890123456789012345678' / 7",
         Decimal("1763668414462081127160493827001763668"), "decimal(38,0)"),
        ("7 / 2", 3, "integer"),
        ("-7 / 2", -3, "integer"),
        ("-7 % 3", -1, "integer"),
        ("7e0 / 2", 3.5, "double"),
        ("1e0 / 0", float("inf"), "double"),
        ("1.5 + 1e0", 2.5, "double"),
        ("round(DECIMAL '2.345', 2)", Decimal("2.350"), "decimal(5,3)"),
        ("round(-2.5)", Decimal("-3"), "decimal(2,0)"),
        ("round(123.456, -1)", Decimal("120.000"), "decimal(7,3)"),
        ("truncate(2.59, 1)", Decimal("2.50"), "decimal(3,2)"),
        ("ceil(1.2)", Decimal("2"), "decimal(2,0)"),
        ("abs(DECIMAL '-1.20')", Decimal("1.20"), "decimal(3,2)"),
        ("CAST(1.005 AS decimal(10,2))", Decimal("1.01"), "decimal(10,2)"),
        ("CAST('1.005' AS decimal(10,2))", Decimal("1.01"), "decimal(10,2)"),
        ("CAST(2.5e0 AS bigint)", 3, "bigint"),
        ("CAST(2.5 AS integer)", 3, "integer"),
        ("2147483648", 2147483648, "bigint"),
        ("greatest(1, 2.5)", Decimal("2.5"), "decimal(11,1)"),
        ("least(1, CAST(NULL AS integer))", None, "integer"),
        ("coalesce(NULL, 1, 2.5)", Decimal("1.0"), "decimal(11,1)"),
        ("mod(7, 3)", 1, "integer"),
    ],
)  # fmt: skip
def test_numbers_are_exact_and_typed_as_in_trino(value, expression, expected, kind):
    assert value(expression) == (expected, kind)


def half_up(number, places=2):
    return number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


@settings(max_examples=150, deadline=None)
@given(amounts=st.lists(CENTS, min_size=1, max_size=12))
def test_averages_are_exact_and_round_half_up(run, amounts):
    rows = ", ".join(f"(CAST({amount} AS decimal(12,2)))" for amount in amounts)
    found, kinds, _ = run(f"SELECT avg(x), sum(x) FROM (VALUES {rows}) AS t (x)")
    with localcontext(prec=60):
        assert found == [(half_up(sum(amounts) / len(amounts)), sum(amounts))]
    assert kinds == ["decimal(12,2)", "decimal(38,2)"]


@settings(max_examples=150, deadline=None)
@given(dividend=CENTS, divisor=st.decimals(min_value=-1000, max_value=1000, places=4).filter(bool))
def test_divisions_are_exact_and_round_half_up(value, dividend, divisor):
    found, kind = value(f"CAST({dividend} AS decimal(12,2)) / CAST({divisor} AS decimal(8,4))")
    with localcontext(prec=60):
        assert (found, kind) == (half_up(dividend / divisor, 4), "decimal(18,4)")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("date_trunc('month', DATE '2025-06-30')", dt.date(2025, 6, 1)),
        ("date_trunc('hour', TIMESTAMP '2025-06-30 10:11:12')", dt.datetime(2025, 6, 30, 10)),
        ("date_add('month', 1, DATE '2025-01-31')", dt.date(2025, 2, 28)),
        ("DATE '2025-01-31' + INTERVAL '1' DAY", dt.date(2025, 2, 1)),
        ("TIMESTAMP '2025-01-01 00:00:00' - INTERVAL '1' HOUR", dt.datetime(2024, 12, 31, 23)),
        ("date_diff('month', DATE '2025-01-31', DATE '2025-02-27')", 0),
        ("date_diff('day', DATE '2025-01-01', DATE '2025-03-01')", 59),
        ("day_of_week(DATE '2025-06-29')", 7),
        ("week(DATE '2025-12-29')", 1),
        ("extract(YEAR FROM DATE '2025-06-30')", 2025),
        ("quarter(DATE '2025-06-30')", 2),
        ("last_day_of_month(DATE '2025-02-03')", dt.date(2025, 2, 28)),
        ("date_format(TIMESTAMP '2025-06-03 14:05:06', '%Y-%m-%e %H:%i:%s %M')", "2025-06-3 14:05:06 June"),
        ("date_parse('2025-06-30 10:20', '%Y-%m-%d %H:%i')", dt.datetime(2025, 6, 30, 10, 20)),
        ("format_datetime(TIMESTAMP '2025-06-03 14:05:06', 'dd/MM/yyyy ''at'' HH:mm')", "03/06/2025 at 14:05"),
        ("from_iso8601_date('2025-06-30')", dt.date(2025, 6, 30)),
        ("date('2025-06-30')", dt.date(2025, 6, 30)),
        ("to_iso8601(DATE '2025-06-30')", "2025-06-30"),
        ("CAST(TIMESTAMP '2025-06-30 10:11:12.345' AS varchar)", "2025-06-30 10:11:12.345"),
        ("current_date", NOW.date()),
        ("localtimestamp", NOW),
        ("DATE '2025-01-03' - DATE '2025-01-01'", dt.timedelta(days=2)),
    ],
)
def test_dates(value, expression, expected):
    assert value(expression)[0] == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("upper('a') || 'b'", "Ab"),
        ("concat('a', 'b', 'c')", "abc"),
        ("substr('hello', 2)", "ello"),
        ("substr('hello', -3, 2)", "ll"),
        ("substr('hello', 0)", ""),
        ("split_part('a-b', '-', 3)", None),
        ("split('a,b', ',')", ["a", "b"]),
        ("strpos('banana', 'n')", 3),
        ("position('n' IN 'banana')", 3),
        ("lpad('7', 3, '0')", "007"),
        ("trim(BOTH 'x' FROM 'xax')", "a"),
        ("regexp_like('abc', 'b')", True),
        ("regexp_extract('abc', 'z')", None),
        ("regexp_extract('a12', '([a-z])(\\d+)', 2)", "12"),
        ("regexp_replace('a1b2', '([0-9])', '<$1>')", "a<1>b<2>"),
        ("replace('banana', 'an')", "ba"),
        ("length('größe')", 5),
        ("to_hex(md5(to_utf8('a')))", "0CC175B9C0F1B6A831C399E269772661"),
        ("CAST('hello' AS varchar(3))", "hel"),
        ("'it''s'", "it's"),
        ("'50%' LIKE '50\\%' ESCAPE '\\'", True),
        ("typeof(CAST(1 AS decimal(5,2)))", "decimal(5,2)"),
    ],
)
def test_text(value, expression, expected):
    assert value(expression)[0] == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("ARRAY[1, 2][2]", 2),
        ("element_at(ARRAY[1, 2], 5)", None),
        ("cardinality(ARRAY[1, 2])", 2),
        ("contains(ARRAY['a'], 'a')", True),
        ("transform(ARRAY[1, 2], x -> x + 1)", [2, 3]),
        ("filter(ARRAY[1, 2, 3], x -> x > 1)", [2, 3]),
        ("any_match(ARRAY[1, 2], x -> x = 2)", True),
        ("array_sort(ARRAY[3, NULL, 1])", [1, 3, None]),
        ("reduce(ARRAY[1, 2, 3], 10, (s, x) -> s + x, s -> s * 2)", 32),
        ("bitwise_and(6, 3)", 2),
        ("map(ARRAY['a'], ARRAY[1])['a']", 1),
        ("CAST(ROW(1, 'a') AS ROW(x bigint, y varchar)).y", "a"),
        ("json_extract_scalar('{\"a\": {\"b\": 1}}', '$.a.b')", "1"),
        ("json_extract_scalar('{\"a\": [1]}', '$.a')", None),
        ("json_extract_scalar('not json', '$.a')", None),
        ("json_array_length('[1, 2]')", 2),
        ("CAST(json_parse('[1, 2]') AS array(integer))", [1, 2]),
        ("IF(1 > 2, 'a')", None),
        ("nullif(1, 1)", None),
        ("CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END", "two"),
        ("TRY(1 / 0)", None),
        ("TRY(CAST('x' AS date))", None),
        ("TRY_CAST('1.5' AS integer)", None),
        ("TRY(ARRAY[1][2])", None),
        ("1 IS DISTINCT FROM NULL", True),
        ("NOT (1 BETWEEN 2 AND 3)", True),
    ],
)
def test_nested_values_and_conditions(value, expression, expected):
    assert value(expression)[0] == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT sum(amount), avg(amount), count(*), min(order_id) FROM orders",
         [(Decimal("2.50"), Decimal("0.83"), 3, "o1")]),
        ("SELECT customer, sum(amount) AS total FROM orders GROUP BY 1 ORDER BY total DESC",
         [("bob", Decimal("2.26")), ("ann", Decimal("0.24"))]),
        ("SELECT avg(quantity), sum(quantity), avg(CAST(quantity AS decimal(5,1))) FROM orders",
         [(2.0, 6, Decimal("2.0"))]),
        ("SELECT customer, avg(amount) OVER (PARTITION BY customer) FROM orders ORDER BY order_id",
         [("ann", Decimal("0.12")), ("bob", Decimal("2.26")), ("ann", Decimal("0.12"))]),
        ("SELECT order_id, row_number() OVER (PARTITION BY customer ORDER BY amount DESC, order_id) AS rank FROM orders"
         " ORDER BY 1", [("o1", 1), ("o2", 1), ("o3", 2)]),
        ("SELECT lag(amount) OVER w, first_value(order_id) OVER w FROM orders WINDOW w AS (ORDER BY order_id)"
         " ORDER BY 1", [(Decimal("1.25"), "o1"), (Decimal("2.26"), "o1"), (None, "o1")]),
        ("SELECT sum(amount) OVER (ORDER BY order_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM orders"
         " ORDER BY order_id", [(Decimal("1.25"),), (Decimal("3.51"),), (Decimal("1.25"),)]),
        ("SELECT sum(sum(amount)) OVER (ORDER BY customer), customer FROM orders GROUP BY customer ORDER BY 2",
         [(Decimal("0.24"), "ann"), (Decimal("2.50"), "bob")]),
        ("SELECT array_agg(order_id ORDER BY amount DESC), max_by(order_id, amount), count_if(amount > 0),"
         " approx_distinct(customer), listagg(customer, '/') WITHIN GROUP (ORDER BY order_id),"
         " sum(amount) FILTER (WHERE quantity > 1), count(DISTINCT customer) FROM orders",
         [(["o2", "o1", "o3"], "o2", 2, 2, "ann/bob/ann", Decimal("1.25"), 2)]),
        ("SELECT customer, sum(amount) FROM orders GROUP BY ROLLUP (customer) ORDER BY customer NULLS FIRST",
         [(None, Decimal("2.50")), ("ann", Decimal("0.24")), ("bob", Decimal("2.26"))]),
        ("SELECT customer FROM orders GROUP BY customer HAVING sum(amount) > 1", [("bob",)]),
        ("SELECT DISTINCT customer FROM orders ORDER BY customer", [("ann",), ("bob",)]),
        ("SELECT 1 AS n, 'a' UNION ALL SELECT 2.5, 'bb' ORDER BY n DESC",
         [(Decimal("2.5"), "bb"), (Decimal("1.0"), "a")]),
        ("SELECT quantity FROM orders INTERSECT SELECT 2", [(2,)]),
        ("SELECT quantity FROM orders EXCEPT SELECT 2 ORDER BY 1", [(1,), (3,)]),
        ("VALUES (1, 'a'), (2, 'b')", [(1, "a"), (2, "b")]),
        ("WITH a AS (SELECT * FROM orders WHERE amount > 0), b (c, s) AS"
         " (SELECT customer, sum(amount) FROM a GROUP BY 1)"
         " SELECT b.*, order_id FROM a JOIN b ON a.customer = b.c ORDER BY order_id",
         [("ann", Decimal("1.25"), "o1"), ("bob", Decimal("2.26"), "o2")]),
        ("SELECT order_id, o.customer FROM orders o JOIN orders p USING (order_id) ORDER BY 1 LIMIT 1",
         [("o1", "ann")]),
        ("SELECT o.order_id, p.order_id FROM orders o LEFT JOIN orders p ON o.order_id = p.order_id AND p.amount > 2"
         " ORDER BY 1", [("o1", None), ("o2", "o2"), ("o3", None)]),
        ("SELECT order_id FROM orders o WHERE EXISTS (SELECT 1 FROM orders p WHERE p.quantity = o.quantity + 1)"
         " ORDER BY 1",
         [("o1",), ("o2",)]),
        ("SELECT order_id FROM orders WHERE quantity IN (SELECT max(quantity) FROM orders)", [("o3",)]),
        ("SELECT (SELECT max(amount) FROM orders) - amount FROM orders WHERE order_id = 'o1'", [(Decimal("1.01"),)]),
        ("SELECT order_id FROM orders WHERE quantity >= ALL (SELECT quantity FROM orders)", [("o3",)]),
        ("SELECT word, n FROM orders CROSS JOIN UNNEST(split(customer, 'o')) WITH ORDINALITY AS u(word, n)"
         " WHERE customer = 'bob' ORDER BY n", [("b", 1), ("b", 2)]),
        ("SELECT order_id FROM orders ORDER BY amount DESC OFFSET 1 FETCH FIRST 1 ROW ONLY", [("o1",)]),
        ("SELECT ORDER_ID FROM Shop.Orders AS O WHERE o.Customer = 'bob'", [("o2",)]),
        ("SELECT count(*) FROM orders WHERE customer LIKE 'a%' AND order_date > DATE '2025-06-01'", [(1,)]),
        ("SELECT order_id FROM orders WHERE (customer, quantity) IN (SELECT 'ann', 3)", [("o3",)]),
        ("SELECT count(DISTINCT (customer, ds)), array_agg(DISTINCT customer ORDER BY customer DESC) FROM orders",
         [(3, ["bob", "ann"])]),
        ("SELECT amount / quantity FROM orders ORDER BY order_id",
         [(Decimal("1.25"),), (Decimal("1.13"),), (Decimal("-0.34"),)]),
    ],
)  # fmt: skip
def test_queries(run, sql, expected):
    assert run(sql)[0] == expected


def test_output_columns_are_named_as_written_or_not_at_all(run):
    assert run('SELECT order_id, amount + 1, amount AS "Total", count(*) OVER () FROM orders')[2] == [
        "order_id", None, "Total", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT x FROM orders", "COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved"),
        ("SELECT order_id,\n  o.nope FROM orders o", "COLUMN_NOT_FOUND: line 2:3: Column 'o.nope' cannot be resolved"),
        ("SELECT * FROM nope", "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.shop.nope' does not exist"),
        ("SELECT * FROM nope.t", "SCHEMA_NOT_FOUND: line 1:15: Schema 'nope' does not exist"),
        ("SELECT nope(1)", "FUNCTION_NOT_FOUND: line 1:8: Function 'nope' not registered"),
        ("SELECT strftime(order_date, '%Y') FROM orders",
         "FUNCTION_NOT_FOUND: line 1:8: Function 'strftime' not registered"),
        ("SELECT sum(customer) FROM orders",
         "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (varchar) for function sum"),
        ("SELECT * FROM orders WHERE ds = 20250630",
         "TYPE_MISMATCH: line 1:28: Cannot apply operator: varchar = integer"),
        ("SELECT order_id FROM orders o, orders p",
         "AMBIGUOUS_NAME: line 1:8: Column 'order_id' is ambiguous"),
        ("SELECT customer, amount FROM orders GROUP BY customer",
         "EXPRESSION_NOT_AGGREGATE: line 1:18: 'amount' must be an aggregate expression or appear in GROUP BY clause"),
        ("SELECT customer FROM orders WHERE count(*) > 1",
         "EXPRESSION_NOT_SCALAR: line 1:35: WHERE clause cannot contain aggregations, window functions or grouping "),
        ("SELECT DISTINCT customer FROM orders ORDER BY amount",
         "EXPRESSION_NOT_IN_DISTINCT: line 1:47: For SELECT DISTINCT, ORDER BY expressions must appear in select list"),
        ("SELECT CAST(1 AS string)", "TYPE_MISMATCH: line 1:18: Unknown type: string"),
        ("SELECT CAST(DATE '2025-01-01' AS integer)", "TYPE_MISMATCH: line 1:"),
        ("SELECT 1 UNION SELECT 'a'",
         "TYPE_MISMATCH: line 1:8: column 1 in UNION query has incompatible types: integer, varchar(1)"),
        ("SELECT rank()", "MISSING_OVER: line 1:8: Window function rank requires an OVER clause"),
        ("SELECT max(sum(amount)) FROM orders",
         "NESTED_AGGREGATION: line 1:8: Cannot nest aggregations inside aggregation 'max'"),
        ("SELECT 1 / 0", "DIVISION_BY_ZERO: Division by zero"),
        ("SELECT 1.0 / 0", "DIVISION_BY_ZERO: Division by zero"),
        ("SELECT sum(amount) / 0 FROM orders", "DIVISION_BY_ZERO: Division by zero"),
        ("SELECT 5 % 0", "DIVISION_BY_ZERO: Division by zero"),
        ("SELECT CAST('abc' AS integer)", "INVALID_CAST_ARGUMENT: Cannot cast 'abc' to INTEGER"),
        ("SELECT CAST('1.5' AS bigint)", "INVALID_CAST_ARGUMENT: Cannot cast '1.5' to BIGINT"),
        ("SELECT CAST('x' AS date)", "INVALID_CAST_ARGUMENT: Value cannot be cast to date: x"),
        ("SELECT CAST('x' AS decimal(5,2))", "INVALID_CAST_ARGUMENT: Cannot cast VARCHAR 'x' to DECIMAL(5, 2). "),
        ("SELECT CAST(12345 AS decimal(4,1))", "INVALID_CAST_ARGUMENT: "),
        ("SELECT 2147483647 + 1", "NUMERIC_VALUE_OUT_OF_RANGE: "),
        ("SELECT (SELECT quantity FROM orders)", "SUBQUERY_MULTIPLE_ROWS: Scalar sub-query has returned multiple rows"),
        ("SELECT ARRAY[1][2]", "INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array length"),
        ("SELECT map(ARRAY['a'], ARRAY[1])['b']", "INVALID_FUNCTION_ARGUMENT: Key not present in map: b"),
        ("SELECT date_parse('x', '%Y')", 'INVALID_FUNCTION_ARGUMENT: Invalid format: "x"'),
        ("SELECT * FROM orders TABLESAMPLE BERNOULLI (10)", "NOT_SUPPORTED: "),
        ("WITH RECURSIVE t(n) AS (SELECT 1) SELECT n FROM t", "NOT_SUPPORTED: WITH RECURSIVE"),
        ("SELECT order_date AT TIME ZONE 'Europe/Zurich' FROM orders", "TYPE_MISMATCH: line 1:8: "),
    ],
)  # fmt: skip
def test_failures_say_what_and_where(run, sql, reason):
    with pytest.raises(QueryFailed) as failure:
        run(sql)
    assert str(failure.value).startswith(reason)


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELECT 1 FRO t x", "line 1:"),
        ("SELECT 1 FROM", "line 1:"),
        ("SELECT a FROM t WHERE", "line 1:"),
        ("SELECT 'a", "line 1:"),
    ],
)
def test_what_does_not_parse_is_refused_with_its_place(sql, place):
    with pytest.raises(RequestRefused, match=place) as refused:
        parse_query(sql)
    assert refused.value.athena_code == "MALFORMED_QUERY"


def chosen(sql):
    """The partition conditions that a query gives to each of its scans."""
    session = Session(OneTable(), NOW)
    QueryCompiler(sql, "shop", session).compile(parse_query(sql))
    return [len(scan.predicates) for scan in session.scans]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM orders WHERE ds = '2025-06-30' AND amount > 0", [1]),
        ("SELECT * FROM orders WHERE ds >= 'a' AND ds <= 'b'", [2]),
        ("SELECT * FROM orders WHERE ds = 'a' OR amount > 0", [0]),
        ("SELECT * FROM orders WHERE ds = (SELECT max(ds) FROM orders)", [0, 0]),
        ("WITH o AS (SELECT ds AS day, amount FROM orders) SELECT * FROM o WHERE day = 'a'", [1]),
        ("SELECT * FROM (SELECT ds, sum(amount) AS s FROM orders GROUP BY ds) WHERE ds = 'a'", [0]),
        ("SELECT * FROM (SELECT ds, rank() OVER (ORDER BY amount) AS r FROM orders) WHERE ds = 'a'", [0]),
        ("SELECT * FROM (SELECT * FROM orders LIMIT 5) WHERE ds = 'a'", [0]),
        ("SELECT * FROM orders o LEFT JOIN orders p ON o.ds = p.ds AND p.ds = 'a' WHERE o.ds = 'b'", [1, 1]),
        ("SELECT * FROM orders o LEFT JOIN orders p ON o.order_id = p.order_id WHERE p.ds IS NULL", [0, 0]),
        ("SELECT * FROM orders o LEFT JOIN orders p ON o.ds = 'a'", [0, 0]),
        ("SELECT * FROM orders o JOIN orders p ON o.order_id = p.order_id AND p.ds = 'a' WHERE o.ds = 'a'", [1, 1]),
        ("SELECT * FROM orders o FULL JOIN orders p ON o.order_id = p.order_id WHERE o.ds = 'a'", [0, 0]),
    ],
)
def test_only_conditions_that_cannot_change_the_result_choose_partitions(sql, expected):
    assert chosen(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT count(*) FROM orders", set()),
        ("SELECT sum(amount) FROM orders", {"amount"}),
        ("SELECT amount FROM (SELECT * FROM orders) WHERE customer = 'a'", {"amount", "customer"}),
        ("WITH o AS (SELECT order_id, amount, rank() OVER (ORDER BY quantity) AS r FROM orders) SELECT order_id FROM o",
         {"order_id"}),
        ("SELECT DISTINCT customer FROM orders ORDER BY 1", {"customer"}),
        ("SELECT order_id FROM orders ORDER BY amount LIMIT 1", {"order_id", "amount"}),
        ("SELECT 1 FROM orders GROUP BY customer HAVING min(quantity) > 1", {"customer", "quantity"}),
    ],
)  # fmt: skip
def test_only_needed_columns_are_read(sql, expected):
    session = Session(OneTable(), NOW)
    relation = QueryCompiler(sql, "shop", session).compile(parse_query(sql))
    used = relation.required.union(*(column.uses for column in relation.columns))
    assert {column for _, column in used} == expected
