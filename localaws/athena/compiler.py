"""Trino expressions to typed DuckDB SQL: names resolved, types checked and coerced as Trino does."""

# ruff: noqa: S608, ARG002 - SQL is what this writes: names and values in it are quoted; every kind of expression has one signature
from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from sqlglot import exp

from localaws.athena import types, zones
from localaws.athena.calls import Calls
from localaws.athena.conversions import unless_nan
from localaws.athena.errors import QueryFailed, not_supported
from localaws.athena.expressions import Typed, add, combine, divide, failure, modulus, multiply
from localaws.athena.scope import AmbiguousNameError, Scope
from localaws.athena.syntax import extent, position
from localaws.athena.types import BIGINT, BOOLEAN, INTEGER, UNKNOWN, VARCHAR, Type, text

_COMPARISONS = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_EXTRACTED = (
    "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DAY_OF_MONTH", "DAY_OF_WEEK", "DOW", "DAY_OF_YEAR", "DOY",
    "YEAR_OF_WEEK", "YOW", "HOUR", "MINUTE", "SECOND", "TIMEZONE_MINUTE", "TIMEZONE_HOUR",
)  # fmt: skip
_MAX_INTEGER = 2**31 - 1


class ExpressionCompiler(Calls):
    """Compiles the expressions of one statement."""

    def compile(self, node: exp.Expr, scope: Scope) -> Typed:
        """Compile one expression.

        Raises:
            QueryFailed: when Trino would refuse it, or it cannot be run here.
        """
        method: Callable[[exp.Expr, Scope], Typed] | None = getattr(self, f"_{node.key}", None)
        if method is None:
            raise not_supported(f"{position(self.sql, node)}: expression {node.sql(dialect='trino')}")
        result = method(node, scope)
        return replace(result, bare=()) if result.sql in scope.keys else result

    # Literals and names

    def _literal(self, node: exp.Literal, scope: Scope) -> Typed:
        written = node.this
        if node.is_string:
            return Typed(text(written), Type("varchar", (len(written),)), literal=written)
        if re.fullmatch(r"\d+", written) and int(written) > 2**63 - (0 if isinstance(node.parent, exp.Neg) else 1):
            raise self.fail("SYNTAX_ERROR", node, f"Invalid numeric literal: {written}")
        if written == str(2**63):
            return Typed(f"CAST({written} AS HUGEINT)", BIGINT, literal=written)
        if re.fullmatch(r"\d+", written):
            kind = INTEGER if int(written) <= _MAX_INTEGER else BIGINT
            return Typed(f"CAST({written} AS {kind.duckdb})", kind, literal=written)
        if re.fullmatch(r"\d*\.\d*", written):
            whole, _, fraction = written.partition(".")
            digits = len(whole.lstrip("0")) + len(fraction)
            kind = Type("decimal", (max(digits, len(fraction), 1), len(fraction)))
            return Typed(f"CAST('{Decimal(written):f}' AS {kind.duckdb})", kind, literal=written)
        return Typed(f"CAST({written} AS DOUBLE)", types.DOUBLE, literal=written)

    def _unicodestring(self, node: exp.UnicodeString, scope: Scope) -> Typed:
        escape = node.args["escape"].name if node.args.get("escape") else "\\"
        mark = re.escape(escape)
        value = re.sub(rf"{mark}{mark}|{mark}(\+[0-9A-Fa-f]{{6}}|[0-9A-Fa-f]{{4}})",
                       lambda m: chr(int(m.group(1).lstrip("+"), 16)) if m.group(1) else escape, node.this)  # fmt: skip
        return Typed(text(value), Type("varchar", (len(value),)), literal=value)

    def _hexstring(self, node: exp.HexString, scope: Scope) -> Typed:
        start, _ = extent(node)
        if self.sql[start : start + 2].lower() == "0x":
            return self._literal(exp.Literal(this=str(int(str(node.this), 16)), is_string=False), scope)
        return Typed(f"unhex({text(str(node.this))})", types.VARBINARY)

    def _null(self, node: exp.Null, scope: Scope) -> Typed:
        return Typed("NULL", UNKNOWN)

    def _boolean(self, node: exp.Boolean, scope: Scope) -> Typed:
        return Typed("true" if node.this else "false", BOOLEAN)

    def _paren(self, node: exp.Paren, scope: Scope) -> Typed:
        return self.compile(node.this, scope)

    def _column(self, node: exp.Column, scope: Scope) -> Typed:
        parts = [part for part in node.parts if isinstance(part, exp.Identifier)]
        return self._name([part.name.lower() for part in parts], node, scope)

    def _identifier(self, node: exp.Identifier, scope: Scope) -> Typed:
        return self._name([node.name.lower()], node, scope)

    def _dot(self, node: exp.Dot, scope: Scope) -> Typed:
        if not isinstance(node.expression, exp.Identifier):
            raise not_supported(f"{position(self.sql, node)}: expression {node.sql(dialect='trino')}")
        return self._row_field(self.compile(node.this, scope), node.expression.name.lower(), node)

    def _name(self, names: list[str], node: exp.Expr, scope: Scope) -> Typed:
        if names[0] in scope.lambdas:
            value = Typed(types.quote(names[0]), scope.lambdas[names[0]])
            for name in names[1:]:
                value = self._row_field(value, name, node)
            return value
        if len(names) == 1 and names[0] in scope.aliases:
            return scope.aliases[names[0]]
        level: Scope | None = scope
        while level is not None:
            try:
                found = level.find(names)
            except AmbiguousNameError:
                raise self.fail("AMBIGUOUS_NAME", node, f"Column '{'.'.join(names)}' is ambiguous") from None
            if found:
                column, used = found
                own = level is scope
                value = Typed(
                    column.sql, column.type, column.uses,
                    fields=frozenset({column}) if own else frozenset(), bare=(node,) if own else (), pure=own,
                )  # fmt: skip
                if value.sql in level.keys:
                    value = replace(value, bare=())
                for name in names[used:]:
                    value = self._row_field(value, name, node)
                return value
            level = level.parent
        raise self.fail("COLUMN_NOT_FOUND", node, f"Column '{'.'.join(names)}' cannot be resolved")

    def _row_field(self, value: Typed, name: str, node: exp.Expr) -> Typed:
        if value.type.base == "row":
            for index, (field, kind) in enumerate(value.type.args):
                if field == name:
                    sql = f"struct_extract({value.sql}, {text(field or f'field{index}')})"
                    return combine(sql, kind, (value,))
        raise self.fail("COLUMN_NOT_FOUND", node, f"Column '{node.sql(dialect='trino')}' cannot be resolved")

    # Operators

    def _arithmetic(self, node: exp.Binary, scope: Scope, symbol: str) -> Typed:
        left, right = self.compile(node.left, scope), self.compile(node.right, scope)
        if symbol in "+-" and (left.type.is_temporal or right.type.is_temporal):
            return self._date_arithmetic(left, right, node, symbol)
        if left.type.base == "unknown" and right.type.base == "unknown":
            return combine("NULL", UNKNOWN, (left, right))
        left = left.cast(right.type) if left.type.base == "unknown" else left
        right = right.cast(left.type) if right.type.base == "unknown" else right
        interval = next((side for side in (left, right) if side.type.base.startswith("interval")), None)
        if interval is not None:
            number = right if interval is left else left
            fits = (
                left.type == right.type
                if symbol in "+-"
                else number.type.is_numeric and (symbol == "*" or (symbol == "/" and interval is left))
            )
            if not fits:
                raise self._cannot_apply(symbol, left, right, node)
            if symbol in "*/" and interval.type == types.INTERVAL_DAY:
                seconds = f"(epoch({interval.sql}) {symbol} CAST({number.sql} AS DOUBLE))"
                return combine(f"to_milliseconds(round({seconds} * 1000))", interval.type, (left, right))
            return combine(f"({left.sql} {symbol} {right.sql})", interval.type, (left, right))
        if not (left.type.is_numeric and right.type.is_numeric):
            raise self._cannot_apply(symbol, left, right, node)
        kind = types.common_number(left.type, right.type)
        if kind.is_decimal:
            if symbol in "+-":
                return add(left, right, symbol)
            return {"*": multiply, "/": divide, "%": modulus}[symbol](left, right)
        operator = "//" if symbol == "/" and kind.is_integer else symbol
        return combine(f"({left.cast(kind).sql} {operator} {right.cast(kind).sql})", kind, (left, right))

    def _date_arithmetic(self, left: Typed, right: Typed, node: exp.Binary, symbol: str) -> Typed:
        if symbol == "-" and left.type.is_temporal and right.type.is_temporal:
            sql = f"(CAST({left.sql} AS TIMESTAMP) - CAST({right.sql} AS TIMESTAMP))"
            return combine(sql, types.INTERVAL_DAY, (left, right))
        date = left if left.type.is_temporal else right
        interval = right if date is left else left
        if not interval.type.base.startswith("interval") or (symbol == "-" and date is right):
            raise self._cannot_apply(symbol, left, right, node)
        kind = date.type
        if kind.base == "date" and interval.type == types.INTERVAL_DAY:
            wrong = failure("'INVALID_FUNCTION_ARGUMENT: Cannot add hour, minutes or seconds to a date'")
            seconds = f"epoch({interval.sql})"
            days = f"CASE WHEN {seconds} % 86400 <> 0 THEN {wrong} ELSE CAST({seconds} // 86400 AS BIGINT) END"
            return combine(f"CAST({date.sql} {symbol} to_days(CAST({days} AS INTEGER)) AS DATE)", kind, (left, right))
        if kind.base.startswith("timestamp") and interval.type == types.INTERVAL_DAY:
            kind = Type(kind.base, (max(3, int(kind.args[0])), *kind.args[1:]))
        elif kind.zone != types.UTC:
            sql = zones.instant_sql(f"({zones.local(date).sql} {symbol} {interval.sql})", kind.zone)
            return combine(sql, kind, (left, right))
        return combine(f"CAST({date.sql} {symbol} {interval.sql} AS {kind.duckdb})", kind, (left, right))

    def _cannot_apply(self, symbol: str, left: Typed, right: Typed, node: exp.Expr) -> QueryFailed:
        return self.fail("TYPE_MISMATCH", node, f"Cannot apply operator: {left.type} {symbol} {right.type}")

    def _add(self, node: exp.Add, scope: Scope) -> Typed:
        return self._arithmetic(node, scope, "+")

    def _sub(self, node: exp.Sub, scope: Scope) -> Typed:
        return self._arithmetic(node, scope, "-")

    def _mul(self, node: exp.Mul, scope: Scope) -> Typed:
        return self._arithmetic(node, scope, "*")

    def _div(self, node: exp.Div, scope: Scope) -> Typed:
        return self._arithmetic(node, scope, "/")

    def _mod(self, node: exp.Mod, scope: Scope) -> Typed:
        return self._arithmetic(node, scope, "%")

    def _neg(self, node: exp.Neg, scope: Scope) -> Typed:
        value = self.compile(node.this, scope)
        if not (value.type.is_numeric or value.type.base.startswith("interval")):
            raise self.fail("TYPE_MISMATCH", node, f"Cannot negate {value.type}")
        literal = None if value.literal is None else f"-{value.literal}"
        return combine(f"(-{value.sql})", value.type, (value,), literal=literal)

    def _dpipe(self, node: exp.DPipe, scope: Scope) -> Typed:
        return self.concatenate([node.left, node.right], node, scope)

    def _compare(self, node: exp.Binary, scope: Scope) -> Typed:
        symbol = _COMPARISONS[type(node)]
        if isinstance(node.right, (exp.Any, exp.All)):
            return self._quantified(node, scope, symbol)
        word = node.right.name.upper() if isinstance(node.right, exp.Anonymous) else ""
        if word in ("ALL", "ANY", "SOME") and [type(part) for part in node.right.expressions] == [exp.Values]:
            quantifier = exp.All if word == "ALL" else exp.Any
            values = exp.Subquery(this=node.right.expressions[0].copy())
            return self._quantified(
                type(node)(this=node.left.copy(), expression=quantifier(this=values)), scope, symbol
            )
        return self._compared(node, scope, symbol)

    def _compared(self, node: exp.Binary, scope: Scope, symbol: str) -> Typed:
        left, right = self.compile(node.left, scope), self.compile(node.right, scope)
        kind = types.common(left.type, right.type)
        if kind is None:
            raise self._cannot_apply(symbol, left, right, node)
        if kind.base in ("array", "map", "row") and symbol in ("=", "<>"):
            equal = self._equal(left.cast(kind).sql, right.cast(kind).sql, kind)
            return combine(equal if symbol == "=" else f"(NOT {equal})", BOOLEAN, (left, right))
        sql = f"({left.cast(kind).sql} {symbol} {right.cast(kind).sql})"
        greater, other = (right, left) if symbol in ("<", "<=") else (left, right)
        if symbol in _COMPARISONS.values() and greater.type.is_floating and greater.literal is None:
            # To DuckDB NaN is greater than all numbers, and equal to itself.
            sql = unless_nan(sql, symbol, greater.sql, other.sql)
        return combine(sql, BOOLEAN, (left, right))

    _eq = _neq = _lt = _lte = _gt = _gte = _compare

    def _quantified(self, node: exp.Binary, scope: Scope, symbol: str) -> Typed:
        left = self.compile(node.left, scope)
        subquery = self.queries.subquery(node.right.this, scope)
        kind = types.common(left.type, subquery.type)
        if kind is None:
            raise self._cannot_apply(symbol, left, subquery, node)
        word = "ANY" if isinstance(node.right, exp.Any) else "ALL"
        sql = f"({left.cast(kind).sql} {symbol} {word} (SELECT CAST(x AS {kind.duckdb}) FROM ({subquery.sql}) AS q(x)))"
        return combine(sql, BOOLEAN, (left, subquery), pure=False)

    def _nullsafeeq(self, node: exp.NullSafeEQ, scope: Scope) -> Typed:
        return self._compared(node, scope, "IS NOT DISTINCT FROM")

    def _nullsafeneq(self, node: exp.NullSafeNEQ, scope: Scope) -> Typed:
        return self._compared(node, scope, "IS DISTINCT FROM")

    def _is(self, node: exp.Is, scope: Scope) -> Typed:
        value = self.compile(node.this, scope)
        if not isinstance(node.expression, exp.Null):
            raise not_supported(f"{position(self.sql, node)}: {node.sql(dialect='trino')}")
        return combine(f"({value.sql} IS NULL)", BOOLEAN, (value,))

    def _not(self, node: exp.Not, scope: Scope) -> Typed:
        value = self.boolean(node.this, scope)
        return combine(f"(NOT {value.sql})", BOOLEAN, (value,))

    def _and(self, node: exp.And, scope: Scope) -> Typed:
        parts = [self.boolean(part, scope) for part in node.flatten()]
        return combine("(" + " AND ".join(part.sql for part in parts) + ")", BOOLEAN, parts)

    def _or(self, node: exp.Or, scope: Scope) -> Typed:
        parts = [self.boolean(part, scope) for part in node.flatten()]
        return combine("(" + " OR ".join(part.sql for part in parts) + ")", BOOLEAN, parts)

    def _between(self, node: exp.Between, scope: Scope) -> Typed:
        parts = [self.compile(part, scope) for part in (node.this, node.args["low"], node.args["high"])]
        kinds = [str(part.type) for part in parts]
        message = f"Cannot check if {kinds[0]} is BETWEEN {kinds[1]} and {kinds[2]}"
        value, low, high = self.alike(parts, node, message)
        return combine(f"({value.sql} BETWEEN {low.sql} AND {high.sql})", BOOLEAN, parts)

    def _tuple(self, node: exp.Tuple, scope: Scope) -> Typed:
        return self._call_row(node.expressions, node, scope)

    def _rows_in(self, node: exp.In, query: exp.Expr, scope: Scope) -> Typed:
        """``(a, b) IN (SELECT x, y ...)``."""
        values = [self.compile(part, scope) for part in node.this.expressions]
        relation = self.queries.query(query, scope)
        kinds = [types.common(value.type, out.type) for value, out in zip(values, relation.columns, strict=False)]
        if len(values) != len(relation.columns) or None in kinds:
            raise self.fail(
                "TYPE_MISMATCH", node, "value and result of subquery must be of the same type for IN expression"
            )
        known = [kind for kind in kinds if kind is not None]
        left = ", ".join(value.cast(kind).sql for value, kind in zip(values, known, strict=True))
        right = ", ".join(
            f"CAST({types.quote(out.column)} AS {kind.duckdb})"
            for out, kind in zip(relation.columns, known, strict=True)
        )
        uses = relation.required.union(*(out.uses for out in relation.columns), *(value.uses for value in values))
        sql = f"(({left}) IN (SELECT {right} FROM ({relation.sql})))"
        return combine(sql, BOOLEAN, values, uses=uses, pure=False)

    def _in(self, node: exp.In, scope: Scope) -> Typed:
        if isinstance(node.this, exp.Tuple) and node.args.get("query"):
            return self._rows_in(node, node.args["query"], scope)
        value = self.compile(node.this, scope)
        if query := node.args.get("query"):
            subquery = self.queries.subquery(query, scope)
            kind = types.common(value.type, subquery.type)
            if kind is None:
                message = (
                    "value and result of subquery must be of the same type for IN expression: "
                    f"{value.type} vs {subquery.type}"
                )
                raise self.fail("TYPE_MISMATCH", node, message)
            rows = f"SELECT CAST(x AS {kind.duckdb}) FROM ({subquery.sql}) AS q(x)"
            return combine(f"({value.cast(kind).sql} IN ({rows}))", BOOLEAN, (value, subquery), pure=False)
        options = [self.compile(option, scope) for option in node.expressions]
        message = f"IN value and list items must be the same type: {value.type}"
        first, *rest = self.alike([value, *options], node, message)
        return combine(f"({first.sql} IN ({', '.join(option.sql for option in rest)}))", BOOLEAN, [first, *rest])

    def _like(self, node: exp.Like, scope: Scope, escape: str = "") -> Typed:
        value, pattern = self.compile(node.this, scope), self.compile(node.expression, scope)
        for side in (value, pattern):
            if not (side.type.is_text or side.type.base == "unknown"):
                raise self.fail(
                    "TYPE_MISMATCH",
                    node,
                    f"Left side of LIKE expression must evaluate to a varchar (actual: {side.type})",
                )
        word = "NOT LIKE" if node.args.get("negate") else "LIKE"
        return combine(f"({value.sql} {word} {pattern.sql}{escape})", BOOLEAN, (value, pattern))

    def _escape(self, node: exp.Escape, scope: Scope) -> Typed:
        escape = node.expression
        if not isinstance(node.this, exp.Like) or not (isinstance(escape, exp.Literal) and escape.is_string):
            raise not_supported(f"{position(self.sql, node)}: {node.sql(dialect='trino')}")
        if len(escape.name) != 1:
            raise self.fail("INVALID_FUNCTION_ARGUMENT", node, "Escape string must be a single character")
        return self._like(node.this, scope, f" ESCAPE {text(escape.name)}")

    # Conditionals

    def _case(self, node: exp.Case, scope: Scope) -> Typed:
        branches: list[exp.If] = node.args["ifs"]
        conditions = []
        for branch in branches:
            if node.this is None:
                conditions.append(self.boolean(branch.this, scope, "CASE WHEN clause"))
            else:
                conditions.append(
                    self._compared(exp.EQ(this=node.this.copy(), expression=branch.this.copy()), scope, "=")
                )
        results = [self.compile(branch.args["true"], scope) for branch in branches]
        default = node.args.get("default")
        results.append(self.compile(default, scope) if default is not None else Typed("NULL", UNKNOWN))
        *values, otherwise = self.alike(results, node, "All CASE results must be the same type")
        sql = " ".join(f"WHEN {c.sql} THEN {v.sql}" for c, v in zip(conditions, values, strict=True))
        return combine(f"CASE {sql} ELSE {otherwise.sql} END", values[0].type, [*conditions, *values, otherwise])

    def _if(self, node: exp.If, scope: Scope) -> Typed:
        condition = self.boolean(node.this, scope, "IF condition")
        results = [self.compile(node.args["true"], scope)]
        otherwise = node.args.get("false")
        results.append(self.compile(otherwise, scope) if otherwise is not None else Typed("NULL", UNKNOWN))
        yes, no = self.alike(results, node, "Result types for IF must be the same")
        return combine(f"CASE WHEN {condition.sql} THEN {yes.sql} ELSE {no.sql} END", yes.type, (condition, yes, no))

    # Conversions as written

    def _cast(self, node: exp.Cast, scope: Scope) -> Typed:
        return self._cast_as(node, scope, safe=False)

    def _trycast(self, node: exp.TryCast, scope: Scope) -> Typed:
        return self._cast_as(node, scope, safe=True)

    def _cast_as(self, node: exp.Cast, scope: Scope, safe: bool) -> Typed:
        kind = types.from_sql(node.to)
        if kind is None:
            raise self.fail("TYPE_MISMATCH", node, f"Unknown type: {node.to.sql(dialect='trino').lower()}")
        if kind.is_decimal and not 1 <= kind.precision <= types.MAX_PRECISION:
            message = f"DECIMAL precision must be in range [1, 38]: {kind.precision}"
            raise self.fail("INVALID_FUNCTION_ARGUMENT", node, message)
        if kind.is_decimal and kind.scale > kind.precision:
            message = f"DECIMAL scale must be in range [0, precision ({kind.precision})]: {kind.scale}"
            raise self.fail("INVALID_FUNCTION_ARGUMENT", node, message)
        if self._is_literal_of_type(node) and not _is_moment(node.this.name, kind):
            named = kind.base.partition(" ")[0].upper()
            raise self.fail("INVALID_LITERAL", node, f"'{node.this.name}' is not a valid {named} literal")
        return self.convert(self.compile(node.this, scope), kind, node, safe)

    def _is_literal_of_type(self, node: exp.Cast) -> bool:
        """Whether it is written DATE '...' or the like, and no CAST: then what is wrong is found before it runs."""
        if not (isinstance(node.this, exp.Literal) and node.this.is_string):
            return False
        start, _ = extent(node.this)
        return re.search(r"\b(date|timestamp)\s*$", self.sql[:start], re.IGNORECASE) is not None

    def _parsejson(self, node: exp.ParseJSON, scope: Scope) -> Typed:
        return self._scalar("json_parse", [node.this], node, scope)

    def _interval(self, node: exp.Interval, scope: Scope) -> Typed:
        written, sign = node.this, ""
        if isinstance(written, exp.Neg):
            written, sign = written.this, "-"
        if isinstance(node.args.get("unit"), exp.IntervalSpan):
            return self._interval_span(node, written, sign)
        unit = node.args["unit"].name.upper() if node.args.get("unit") else ""
        kind = types.INTERVAL_YEAR if unit in ("YEAR", "MONTH") else types.INTERVAL_DAY
        if unit not in ("YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND") or not isinstance(
            written, exp.Literal
        ):
            raise not_supported(f"{position(self.sql, node)}: {node.sql(dialect='trino')}")
        return Typed(f"({sign}INTERVAL {text(written.name)} {unit})", kind)

    def _interval_span(self, node: exp.Interval, written: exp.Expr, sign: str) -> Typed:
        """``INTERVAL '1 02:03' DAY TO MINUTE``: as many numbers as there are units from the first to the last."""
        span = node.args["unit"]
        first, last = span.name.upper(), span.expression.name.upper()
        units = next(
            (u for u in (("YEAR", "MONTH"), ("DAY", "HOUR", "MINUTE", "SECOND")) if {first, last} <= set(u)), ()
        )
        between = units[units.index(first) : units.index(last) + 1] if units else ()
        numbers = re.split(r"[-: ]", written.name.lstrip("-+"))
        if (
            len(between) < 2
            or len(numbers) != len(between)
            or not all(map(re.compile(r"\d+(\.\d+)?").fullmatch, numbers))
        ):
            raise self.fail("INVALID_LITERAL", node, f"'{written.name}' is not a valid INTERVAL literal")
        negative = (sign == "-") != written.name.startswith("-")
        parts = " + ".join(f"INTERVAL {text(n)} {unit}" for n, unit in zip(numbers, between, strict=True))
        kind = types.INTERVAL_YEAR if between[0] == "YEAR" else types.INTERVAL_DAY
        return Typed(f"({'-' if negative else ''}({parts}))", kind)

    # Functions with a syntax of their own

    def _extract(self, node: exp.Extract, scope: Scope) -> Typed:
        if node.name.upper() not in _EXTRACTED:
            raise self.fail(
                "SYNTAX_ERROR", node, f"Invalid EXTRACT field {node.name}, valid fields are: {', '.join(_EXTRACTED)}"
            )
        if (
            node.name.upper() in ("HOUR", "MINUTE", "SECOND")
            and self.compile(node.expression, scope).type.base == "date"
        ):
            raise self.fail("TYPE_MISMATCH", node, f"Cannot extract {node.name.upper()} from date")
        name = {"DOW": "day_of_week", "DOY": "day_of_year", "YOW": "year_of_week"}.get(
            node.name.upper(), node.name.lower()
        )
        return self._scalar(name, [node.expression], node, scope)

    def _trim(self, node: exp.Trim, scope: Scope) -> Typed:
        side = (node.args.get("position") or "BOTH").upper()
        name = {"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}[side]
        if node.args.get("expression") is None:
            return self._scalar(name, [node.this], node, scope)
        value, characters = (self.compile(part, scope) for part in (node.this, node.expression))
        written = value.type if value.type.is_text else VARCHAR
        value, characters = (self.coerce(part, VARCHAR, node, "TRIM needs text") for part in (value, characters))
        return combine(f"{name}({value.sql}, {characters.sql})", written, (value, characters))

    def _substring(self, node: exp.Substring, scope: Scope) -> Typed:
        parts = [node.this, node.args.get("start"), node.args.get("length")]
        return self._scalar("substring", [part for part in parts if part is not None], node, scope)

    def _strposition(self, node: exp.StrPosition, scope: Scope) -> Typed:
        return self._scalar("strpos", [node.this, node.args["substr"]], node, scope)

    def _groupconcat(self, node: exp.GroupConcat, scope: Scope) -> Typed:
        separator = node.args.get("separator")
        return self.call("listagg", [node.this, *([separator] if separator is not None else [])], node, scope)

    def _array(self, node: exp.Array, scope: Scope) -> Typed:
        values = [self.compile(part, scope) for part in node.expressions]
        values = self.alike(values, node, "All ARRAY elements must be the same type")
        kind = types.array(values[0].type if values else UNKNOWN)
        return combine(f"[{', '.join(value.sql for value in values)}]", kind, values)

    def _bracket(self, node: exp.Bracket, scope: Scope) -> Typed:
        if len(node.expressions) != 1:
            raise not_supported(f"{position(self.sql, node)}: {node.sql(dialect='trino')}")
        value, index = self.compile(node.this, scope), self.compile(node.expressions[0], scope)
        if value.type.base == "map":
            key = self.coerce(index, value.type.args[0], node, f"Cannot use {index.type} for subscript of {value.type}")
            missing = failure(f"'INVALID_FUNCTION_ARGUMENT: Key not present in map: ' || CAST({key.sql} AS VARCHAR)")
            element = f"map_extract_value({value.sql}, {key.sql})"
            known = f"{value.sql} IS NULL OR map_contains({value.sql}, {key.sql})"
            sql = f"CASE WHEN {known} THEN {element} ELSE list_extract([{element}], {missing}) END"
            return combine(sql, value.type.args[1], (value, key))
        if value.type.base == "row" and index.literal:
            if not (index.type.is_integer and 1 <= int(index.literal) <= len(value.type.args)):
                raise self.fail("INVALID_FUNCTION_ARGUMENT", node, f"ROW index out of bounds: {index.literal}")
            name, kind = value.type.args[int(index.literal) - 1]
            return combine(
                f"struct_extract({value.sql}, {text(name or f'field{int(index.literal) - 1}')})", kind, (value,)
            )
        if value.type.base != "array" or not index.type.is_integer:
            raise self.fail("TYPE_MISMATCH", node, f"Cannot use {index.type} for subscript of {value.type}")
        outside = failure("'INVALID_FUNCTION_ARGUMENT: Array subscript must be less than or equal to array length'")
        checked = f"CASE WHEN {index.sql} < 1 OR {index.sql} > len({value.sql}) THEN {outside} ELSE {index.sql} END"
        sql = f"list_extract({value.sql}, {checked})"
        return combine(sql, value.type.args[0], (value, index))

    # Subqueries

    def _subquery(self, node: exp.Expr, scope: Scope) -> Typed:
        subquery = self.queries.subquery(node, scope)
        return replace(subquery, sql=f"({subquery.sql})")

    _select = _subquery

    def _exists(self, node: exp.Exists, scope: Scope) -> Typed:
        subquery = self.queries.subquery(node.this, scope, columns=None)
        return replace(subquery, sql=f"EXISTS ({subquery.sql})", type=BOOLEAN)


def _is_moment(written: str, kind: Type) -> bool:
    """Whether text is a day, and maybe a time, that exists."""
    found = zones.divided(written)
    numbers = [int(number) for number in re.findall(r"\d+", found[0].partition(".")[0])] if found else []
    try:
        year, month, day, hour, minute, second, *_ = [*numbers, 0, 0, 0] if len(numbers) >= 3 else []
        # Of a year as long as it, as Python's end with 9999.
        dt.datetime(year % 400 or 400, month, day, hour, minute, second)
    except ValueError:
        return False
    return kind.base != "date" or len(numbers) == 3
