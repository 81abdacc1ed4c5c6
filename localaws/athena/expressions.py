"""A compiled expression or query: its DuckDB SQL, its Trino types, and what it depends on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sqlglot import exp

from localaws.athena import types
from localaws.athena.scans import Scan
from localaws.athena.types import Type

Uses = frozenset[tuple[Scan, str]]


@dataclass(frozen=True, eq=False)
class Field:
    """A column in sight of an expression.

    Attributes:
        name: its name, in lower case.
        relations: the names it can be qualified by, such as ``("db.t", "t")``; empty for one that cannot.
        alias, column: where DuckDB finds it; for a column computed from others, `alias` is empty and `column` is SQL.
        uses: the table columns that must be read to compute it.
        origin: the scan and partition key it stands for, when a predicate on it can choose partitions.
    """

    name: str
    relations: tuple[str, ...]
    alias: str
    column: str
    type: Type
    uses: Uses = frozenset()
    origin: tuple[Scan, str] | None = None

    @property
    def sql(self) -> str:
        return f"{types.quote(self.alias)}.{types.quote(self.column)}" if self.alias else self.column


@dataclass(frozen=True)
class Output:
    """A column that a query returns.

    Attributes:
        name: as written, or None for an expression without an alias.
        column: the column of the query's DuckDB SQL that holds it.
        uses: what must be read for it, beyond what the query needs anyway.
        origin: see `Field.origin`.
    """

    name: str | None
    column: str
    type: Type
    uses: Uses
    origin: tuple[Scan, str] | None = None


@dataclass(frozen=True)
class Relation:
    """A compiled query: its DuckDB SQL, its columns, and what must be read whichever of them are used."""

    sql: str
    columns: list[Output]
    required: Uses = frozenset()


@dataclass(frozen=True)
class Typed:
    """A compiled expression.

    Attributes:
        fields: columns of the enclosing FROM that it reads.
        bare: the columns among them that stand outside any aggregate, as written.
        pure: False when it holds a subquery, an aggregate, a window or something random.
    """

    sql: str
    type: Type
    uses: Uses = frozenset()
    fields: frozenset[Field] = frozenset()
    bare: tuple[exp.Expr, ...] = ()
    pure: bool = True
    aggregate: bool = False
    window: bool = False
    literal: str | None = field(default=None, compare=False)

    def cast(self, kind: Type) -> Typed:
        """Itself as `kind`; the caller knows that the conversion is allowed."""
        if self.type == kind:
            return self
        if kind.base == "char" and self.type != kind:
            return replace(self, type=kind, sql=types.padded(self.sql, kind))
        if self.type.duckdb == kind.duckdb:
            return replace(self, type=kind)
        return replace(self, sql=f"CAST({self.sql} AS {kind.duckdb})", type=kind)


def combine(sql: str, kind: Type, parts: Iterable[Typed], **overrides: object) -> Typed:
    """An expression made of `parts`, which depends on what they depend on."""
    parts = list(parts)
    result = Typed(
        sql,
        kind,
        uses=frozenset().union(*(part.uses for part in parts)),
        fields=frozenset().union(*(part.fields for part in parts)),
        bare=tuple(column for part in parts for column in part.bare),
        pure=all(part.pure for part in parts),
        aggregate=any(part.aggregate for part in parts),
        window=any(part.window for part in parts),
    )
    return replace(result, **overrides)  # type: ignore[arg-type]


def unscaled(sql: str, kind: Type) -> str:
    """A decimal's digits as an integer: 1.25 is 125. Fails, never rounds, beyond 38 digits."""
    if kind.scale == 0:
        return f"CAST({sql} AS HUGEINT)"
    return f"CAST({sql} * CAST(1{'0' * kind.scale} AS DECIMAL({kind.scale + 1},0)) AS HUGEINT)"


def scaled(sql: str, kind: Type) -> str:
    """The decimal of type `kind` whose digits are the integer `sql`: the inverse of `unscaled`."""
    if kind.scale == 0:
        return f"CAST({sql} AS {kind.duckdb})"
    unit = f"CAST(0.{'0' * (kind.scale - 1)}1 AS DECIMAL({kind.scale},{kind.scale}))"
    return f"CAST(CAST({sql} AS DECIMAL(38,0)) * {unit} AS {kind.duckdb})"


def divide(left: Typed, right: Typed) -> Typed:
    """``left / right`` of exact numbers, by Trino's rules: integers truncate, decimals round half up.

    The result has scale ``max(s1, s2)`` and precision ``p1 + s2 + max(s2 - s1, 0)``, at most 38. Trino computes with
    256 bits; here a dividend that needs more than 38 digits before it is divided fails as out of range.
    Source: Trino's DecimalOperators.
    """
    a, b = types.as_decimal(left.type), types.as_decimal(right.type)
    result = types.decimal(a.precision + b.scale + max(b.scale - a.scale, 0), max(a.scale, b.scale))
    shift = result.scale - a.scale + b.scale
    dividend = unscaled(left.cast(a).sql, a)
    if shift:
        dividend = f"({dividend} * CAST(1{'0' * shift} AS HUGEINT))"
    quotient = f"athena_divide({dividend}, {unscaled(right.cast(b).sql, b)})"
    return combine(scaled(quotient, result), result, (left, right))


def multiply(left: Typed, right: Typed) -> Typed:
    """``left * right`` of decimals: precision ``p1 + p2`` (at most 38), scale ``s1 + s2``."""
    a, b = types.as_decimal(left.type), types.as_decimal(right.type)
    result = types.decimal(a.precision + b.precision, a.scale + b.scale)
    return combine(f"CAST({left.cast(a).sql} * {right.cast(b).sql} AS {result.duckdb})", result, (left, right))


def add(left: Typed, right: Typed, operator: str) -> Typed:
    """``left + right`` or ``left - right`` of decimals."""
    a, b = types.as_decimal(left.type), types.as_decimal(right.type)
    scale = max(a.scale, b.scale)
    result = types.decimal(max(a.precision - a.scale, b.precision - b.scale) + scale + 1, scale)
    return combine(f"CAST({left.cast(a).sql} {operator} {right.cast(b).sql} AS {result.duckdb})", result, (left, right))


def modulus(left: Typed, right: Typed) -> Typed:
    """``left % right`` of decimals."""
    a, b = types.as_decimal(left.type), types.as_decimal(right.type)
    scale = max(a.scale, b.scale)
    result = types.decimal(min(a.precision - a.scale, b.precision - b.scale) + scale, scale)
    shared = types.common_number(a, b)
    digits = f"{unscaled(left.cast(shared).sql, shared)} % {unscaled(right.cast(shared).sql, shared)}"
    return combine(scaled(f"({digits})", result), result, (left, right))


def failure(message: str) -> str:
    """SQL that fails the query with the text that the SQL expression `message` gives, and that TRY can catch.

    DuckDB's own ``error()`` cannot be caught by its TRY; the cast of a text that is no number can.
    """
    return f"CAST({message} AS BIGINT)"


MACROS = (
    # Rounds half away from zero. DuckDB itself fails on a zero divisor.
    """CREATE MACRO athena_divide(a, b) AS (a // b) + CASE
       WHEN a % b <> 0 AND abs(a % b) >= abs(b) - abs(a % b) THEN CASE WHEN (a < 0) = (b < 0) THEN 1 ELSE -1 END
       ELSE 0 END""",
    # Trino's rank: the value after the first floor(n * share), and the last one for a share of 1.
    f"""CREATE MACRO athena_percentile(listed, n, share) AS list_extract(list_sort(listed, 'ASC', 'NULLS LAST'), CASE
       WHEN share BETWEEN 0 AND 1 THEN CAST(least(floor(n * share) + 1, n) AS BIGINT) WHEN share IS NOT NULL
       THEN {failure("'INVALID_FUNCTION_ARGUMENT: Percentile must be between 0 and 1'")} END)""",
    """CREATE MACRO athena_timestamp_text(t, digits) AS CASE WHEN t IS NOT NULL THEN
       CASE WHEN year(t) > 9999 THEN '+' || year(t) WHEN year(t) < 0 THEN '-' || lpad(CAST(-year(t) AS VARCHAR), 4, '0')
       ELSE lpad(CAST(year(t) AS VARCHAR), 4, '0') END || strftime(t, '-%m-%d %H:%M:%S')
       || CASE WHEN digits > 0 THEN '.' || rpad(left(strftime(t, '%f'), digits), digits, '0') ELSE '' END END""",
    # Of a population, as Trino's is; DuckDB's is of a sample.
    """CREATE MACRO athena_skewness(x) AS skewness(x) * (count(x) - 2) / sqrt(count(x) * (count(x) - 1))""",
    # Of equal keys the first counts; a key that is NULL does not.
    """CREATE MACRO athena_map_agg(entries) AS map_from_entries(list_filter(entries, lambda e, i:
       list_position(list_transform(entries, lambda x: x.k), e.k) = i))""",
    "CREATE MACRO athena_entries(m) AS list_transform(map_entries(m), lambda e: struct_pack(k := e.key, v := e.value))",
    """CREATE MACRO athena_multimap_agg(entries) AS map_from_entries(list_transform(
       list_filter(entries, lambda e, i: list_position(list_transform(entries, lambda x: x.k), e.k) = i),
       lambda e: struct_pack(k := e.k,
                             v := list_transform(list_filter(entries, lambda x: x.k = e.k), lambda x: x.v))))""",
    """CREATE MACRO athena_interval_text(v) AS CASE WHEN epoch(v) < 0 THEN '-' ELSE '' END
       || CAST(abs(epoch(v)) // 86400 AS BIGINT)
       || strftime(make_timestamp(CAST(abs(epoch(v)) * 1000000 AS BIGINT)), ' %H:%M:%S.%g')""",
    """CREATE MACRO athena_offset_text(minutes) AS CASE WHEN minutes = 0 THEN 'Z' ELSE
       CASE WHEN minutes < 0 THEN '-' ELSE '+' END || lpad(CAST(abs(minutes) // 60 AS VARCHAR), 2, '0')
       || ':' || lpad(CAST(abs(minutes) % 60 AS VARCHAR), 2, '0') END""",
    # Arrays: NULL where an element that is NULL may be the one.
    """CREATE MACRO athena_contains(l, x) AS CASE WHEN list_contains(l, x) THEN true
       WHEN l IS NULL OR x IS NULL OR list_count(l) < len(l) THEN NULL ELSE false END""",
    "CREATE MACRO athena_has(l, x) AS CASE WHEN x IS NULL THEN list_count(l) < len(l) ELSE list_contains(l, x) END",
    """CREATE MACRO athena_distinct(l) AS list_filter(l, lambda x, i: CASE WHEN x IS NULL
       THEN list_count(l[1:i - 1]) = i - 1 ELSE list_position(l, x) = i END)""",
    """CREATE MACRO athena_overlap(a, b) AS CASE WHEN list_has_any(list_filter(a, lambda x: x IS NOT NULL), b) THEN true
       WHEN a IS NULL OR b IS NULL OR list_count(a) < len(a) OR list_count(b) < len(b) THEN NULL ELSE false END""",
    """CREATE MACRO athena_date_text(x) AS
       CASE WHEN x IS NULL OR regexp_full_match(x, '\\s*[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}\\s*') THEN x
       ELSE 'INVALID_CAST_ARGUMENT: Value cannot be cast to date: ' || x END""",
)
