"""Trino expressions to typed DuckDB SQL: names resolved, types checked and coerced as Trino does."""

# ruff: noqa: S608, ARG002 - SQL is what this writes: names and values in it are quoted; every kind of expression has one signature
from __future__ import annotations

import datetime as dt
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlglot import exp

from localaws.athena import functions, types, zones
from localaws.athena.errors import QueryFailed, not_supported
from localaws.athena.expressions import Typed, add, combine, divide, failure, modulus, multiply
from localaws.athena.functions import Aggregate, Scalar
from localaws.athena.scope import AmbiguousNameError, Scope
from localaws.athena.syntax import extent, position
from localaws.athena.types import BIGINT, BOOLEAN, DATE, INTEGER, TIMESTAMP, TIMESTAMP_TZ, UNKNOWN, VARCHAR, Type, text

if TYPE_CHECKING:
    from localaws.athena.queries import QueryCompiler

_COMPARISONS = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_EXTRACTED = (
    "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DAY_OF_MONTH", "DAY_OF_WEEK", "DOW", "DAY_OF_YEAR", "DOY",
    "YEAR_OF_WEEK", "YOW", "HOUR", "MINUTE", "SECOND", "TIMEZONE_MINUTE", "TIMEZONE_HOUR",
)  # fmt: skip
_MAX_INTEGER = 2**31 - 1


class ExpressionCompiler:
    """Compiles the expressions of one statement.

    Args:
        sql: the statement's text, for positions in messages.
        queries: compiles subqueries.
        now: when the query started, in UTC; ``current_date`` and ``now()`` stand for it.
    """

    def __init__(self, sql: str, queries: QueryCompiler, now: dt.datetime) -> None:
        self.sql, self.queries, self.now = sql, queries, now
        self._parts = itertools.count()

    def fail(self, code: str, node: exp.Expr | None, message: str) -> QueryFailed:
        """The failure `code` at the place of `node`."""
        return QueryFailed(f"{code}: {position(self.sql, node)}: {message}")

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

    def boolean(self, node: exp.Expr, scope: Scope, where: str = "Logical expression term") -> Typed:
        """Compile a condition."""
        result = self.compile(node, scope)
        if result.type.base not in ("boolean", "unknown"):
            raise self.fail("TYPE_MISMATCH", node, f"{where} must evaluate to a boolean (actual: {result.type})")
        return result.cast(BOOLEAN)

    # Conversions

    def coerce(self, value: Typed, kind: Type, node: exp.Expr | None, operation: str) -> Typed:
        """`value` as `kind` where Trino converts by itself; a TYPE_MISMATCH where it does not."""
        shared = types.common(value.type, kind)
        if shared is None or (shared != kind and not (kind.is_text and value.type.is_text)):
            raise self.fail("TYPE_MISMATCH", node, operation)
        return value.cast(kind)

    def alike(self, values: list[Typed], node: exp.Expr, message: str) -> list[Typed]:
        """All values in their common type."""
        kind = UNKNOWN
        for value in values:
            shared = types.common(kind, value.type)
            if shared is None:
                raise self.fail("TYPE_MISMATCH", node, message)
            kind = shared
        return [value.cast(kind) for value in values]

    def convert(self, value: Typed, kind: Type, node: exp.Expr, safe: bool = False) -> Typed:
        """CAST or, when `safe`, TRY_CAST.

        Text becomes a number or date only when all of it is one; numbers round half away from zero.
        """
        source, function = value.type, "TRY_CAST" if safe else "CAST"
        sql = value.sql
        if source.base == "unknown" or source == kind:
            return replace(value.cast(kind), type=kind)
        if not _castable(source, kind):
            raise self.fail("TYPE_MISMATCH", node, f"Cannot cast {source} to {kind}")
        if source.base == "json" or kind.base == "json":
            return self._convert_json(value, kind, safe)
        if kind.base == "timestamp with time zone" and source.is_text:
            return self._text_with_zone(value, kind, node, safe)
        if source.base == "timestamp with time zone" and kind.is_text:
            return combine(self._zoned_text(value), kind, (value,))
        if source.base == "timestamp with time zone" and kind.base != source.base:
            return self.convert(zones.local(value), kind, node, safe)
        if source.base == kind.base == "timestamp with time zone":
            return replace(value, type=types.zoned(int(kind.args[0]), source.zone))
        computed = self._computed_cast(value, kind)
        if computed:
            sql = f"CAST({computed} AS {kind.duckdb})"
            return combine(f"TRY({sql})" if safe else sql, kind, (value,))
        if source.is_text and kind.base == "timestamp":
            sql = f"athena_text_timestamp({sql})"
            sql = f"TRY({sql})" if safe else sql
        elif not source.is_text and source.base != "char" and kind.base == "varchar" and kind.args:
            whole = self.convert(value, VARCHAR, node, safe)
            fitting = f"athena_fitting({whole.sql}, {kind.args[0]})"
            return combine(f"TRY({fitting})" if safe else fitting, kind, (value,))
        elif source.is_text and kind.base == "date" and not safe:
            sql = f"athena_date_text({sql})"
        elif source.is_text and kind.base == "date":
            sql = f"CASE WHEN regexp_full_match({sql}, '\\s*[0-9]{{4,}}-[0-9]{{1,2}}-[0-9]{{1,2}}\\s*') THEN {sql} END"
        elif source.is_floating and kind.is_integer:
            sql = f"round({sql})"
        elif source == types.INTERVAL_DAY:
            return combine(f"athena_interval_text({sql})", kind, (value,))
        elif kind.is_text and source.base.startswith("timestamp"):
            sql = _timestamp_text(sql, source)
        elif source.base == kind.base == "timestamp" and kind.args < source.args:
            sql = _fewer_digits(sql, int(kind.args[0]))
        elif source.base == kind.base and kind.base in ("row", "array", "map"):
            parts = self._convert_parts(value, kind, node)
            return combine(f"TRY({parts})" if safe else parts, kind, (value,))
        sql = f"{function}({sql} AS {kind.duckdb})"
        if kind.is_text and kind.args:
            sql = f"left({sql}, {kind.args[0]})"
        if kind.base == "char":
            sql = types.padded(sql, kind)
        return combine(sql, kind, (value,))

    def _text_with_zone(self, value: Typed, kind: Type, node: exp.Expr, safe: bool) -> Typed:
        digits = int(kind.args[0])
        if value.literal is None:
            # Of a column of text every value may have a zone of its own.
            sql = f"timezone('UTC', CAST(athena_text_utc({value.sql}) AS TIMESTAMP))"
            return combine(f"TRY({sql})" if safe else sql, types.zoned(digits, types.UTC), (value,))
        found = zones.divided(value.literal)
        if found is None and not safe:
            message = f"Value cannot be cast to timestamp with time zone: {value.literal}"
            raise QueryFailed(f"INVALID_CAST_ARGUMENT: {message}")
        if found is None:
            return Typed(f"CAST(NULL AS {kind.duckdb})", kind)
        written, zone = found
        sql = zones.instant_sql(f"{'TRY_CAST' if safe else 'CAST'}({text(written)} AS TIMESTAMP)", zone)
        return Typed(sql, types.zoned(digits, zone))

    def _zoned_text(self, value: Typed) -> str:
        if value.type.zone == types.SEVERAL_ZONES:
            raise not_supported("text of values of several time zones")
        return f"({_timestamp_text(zones.local(value).sql, value.type)} || {text(' ' + value.type.zone)})"

    def _computed_cast(self, value: Typed, kind: Type) -> str:
        """SQL that computes a CAST as Trino does where DuckDB does otherwise; nothing where they agree."""
        source, sql = value.type, value.sql
        if source.is_text:
            bits = {"tinyint": 8, "smallint": 16, "integer": 32, "bigint": 64}
            if kind.is_integer:
                return f"athena_text_integer({sql}, {text(kind.base)}, {bits[kind.base]})"
            if kind.is_decimal:
                return f"athena_text_decimal({sql}, {kind.precision}, {kind.scale})"
            if kind.base in ("double", "real", "boolean"):
                return f"athena_text_{kind.base}({sql})"
        if source.is_floating and kind.is_text and not kind.args:
            return f"athena_{source.base}_text({sql})"
        if source.is_floating and kind.is_decimal:
            number = sql if source.base == "double" else f"CAST(CAST({sql} AS VARCHAR) AS DOUBLE)"
            return f"athena_double_decimal({number}, {kind.precision}, {kind.scale})"
        return ""

    def _convert_json(self, value: Typed, kind: Type, safe: bool) -> Typed:
        if kind.base == "json":
            return combine(self._as_json(value), kind, (value,))
        if kind.is_text:
            sql = f"athena_json_text(CAST({value.sql} AS VARCHAR))"
            return combine(f"TRY({sql})" if safe else sql, kind, (value,))
        return combine(f"{'TRY_CAST' if safe else 'CAST'}({value.sql} AS {kind.duckdb})", kind, (value,))

    def _as_json(self, value: Typed) -> str:
        """A value as JSON: DuckDB names the fields of a row that has no names."""
        if value.type.base != "row":
            return f"to_json({value.sql})"
        members = []
        for index, (name, kind) in enumerate(value.type.args):
            part = Typed(f"struct_extract({value.sql}, {text(name or f'field{index}')})", kind)
            quoted = text(json.dumps(name, ensure_ascii=False) + ":")
            members.append(f"{quoted} || coalesce(CAST({self._as_json(part)} AS VARCHAR), 'null')")
        written = " || ',' || ".join(members)
        return f"CASE WHEN {value.sql} IS NOT NULL THEN CAST('{{' || {written} || '}}' AS JSON) END"

    def _convert_parts(self, value: Typed, kind: Type, node: exp.Expr) -> str:
        """A row, array or map whose parts are cast, one by one."""
        if kind.base == "row":
            return self._row_by_position(value, kind, node, safe=False)
        name = types.quote(f"part {next(self._parts)}")
        if kind.base == "array":
            part = self.convert(Typed(name, value.type.args[0]), kind.args[0], node)
            return f"CAST(list_transform({value.sql}, lambda {name}: {part.sql}) AS {kind.duckdb})"
        key, item = (
            self.convert(Typed(f"struct_extract({name}, '{which}')", old), new, node).sql
            for which, old, new in zip(("key", "value"), value.type.args, kind.args, strict=True)
        )
        entries = f"list_transform(map_entries({value.sql}), lambda {name}: struct_pack(k := {key}, v := {item}))"
        return f"CAST(map_from_entries({entries}) AS {kind.duckdb})"

    def _row_by_position(self, value: Typed, kind: Type, node: exp.Expr, safe: bool) -> str:
        if len(kind.args) != len(value.type.args):
            raise self.fail("TYPE_MISMATCH", node, f"Cannot cast {value.type} to {kind}")
        parts = []
        for index, ((old, source), (new, target)) in enumerate(zip(value.type.args, kind.args, strict=True)):
            part = Typed(f"struct_extract({value.sql}, {text(old or f'field{index}')})", source)
            parts.append(f"{types.quote(new or f'field{index}')} := {self.convert(part, target, node, safe).sql}")
        return f"CASE WHEN {value.sql} IS NOT NULL THEN struct_pack({', '.join(parts)}) END"

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
        return self._concatenate([node.left, node.right], node, scope)

    def _concatenate(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        values = [self.compile(part, scope) for part in nodes]
        kinds = ", ".join(str(value.type) for value in values)
        refused = self.fail("FUNCTION_NOT_FOUND", node, f"Unexpected parameters ({kinds}) for function concat")
        if all(value.type.base == "varbinary" for value in values):
            return combine("(" + " || ".join(value.sql for value in values) + ")", types.VARBINARY, values)
        lists = [value for value in values if value.type.base == "array"]
        if not lists and not any(value.type.base == "unknown" for value in values):
            if not all(value.type.is_text for value in values):
                raise refused
            return combine("(" + " || ".join(value.sql for value in values) + ")", VARCHAR, values)
        # What is no array is an element of one; to Trino a NULL beside no array is one too, of what is beside it.
        element = UNKNOWN
        if not lists and any(value.type == VARCHAR for value in values):
            message = "Could not choose a best candidate operator. Explicit type casts must be added."
            raise self.fail("AMBIGUOUS_FUNCTION_CALL", node, message)
        for value in values:
            shared = types.common(element, value.type.args[0] if value in lists else value.type)
            if shared is None:
                raise refused
            element = shared
        kind = types.array(element)
        parts = [
            self.convert(value, kind, node).sql
            if value in lists or value.type.base == "unknown"
            else f"[{value.cast(element).sql}]"
            for value in values
        ]
        return combine("(" + " || ".join(parts) + ")", kind, values)

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
            sql = _unless_nan(sql, symbol, greater.sql, other.sql)
        return combine(sql, BOOLEAN, (left, right))

    def _equal(self, left: str, right: str, kind: Type) -> str:
        """Whether two values are equal; NULL where a part that is NULL decides."""
        missing = f"{left} IS NULL OR {right} IS NULL"
        if kind.base == "array":
            at = types.quote(f"part {next(self._parts)}")
            each = self._equal(f"list_extract({left}, {at})", f"list_extract({right}, {at})", kind.args[0])
            pairs = f"list_transform(range(1, len({left}) + 1), lambda {at}: {each})"
            same = f"WHEN len({left}) <> len({right}) THEN false ELSE NOT athena_contains({pairs}, false)"
        elif kind.base == "row":
            names = (text(name or f"field{index}") for index, (name, _) in enumerate(kind.args))
            fields = (
                self._equal(f"struct_extract({left}, {name})", f"struct_extract({right}, {name})", part)
                for name, (_, part) in zip(names, kind.args, strict=True)
            )
            same = f"ELSE {' AND '.join(fields)}"
        elif kind.base == "map":
            key = types.quote(f"part {next(self._parts)}")
            value, other = (f"map_extract_value({side}, {key})" for side in (left, right))
            each = (
                f"CASE WHEN map_contains({right}, {key}) THEN {self._equal(value, other, kind.args[1])} ELSE false END"
            )
            pairs = f"list_transform(map_keys({left}), lambda {key}: {each})"
            same = (
                f"WHEN cardinality({left}) <> cardinality({right}) THEN false ELSE NOT athena_contains({pairs}, false)"
            )
        else:
            equal = f"({left} = {right})"
            return _unless_nan(equal, "=", left, right) if kind.is_floating else equal
        return f"CASE WHEN {missing} THEN NULL {same} END"

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

    def _currentdate(self, node: exp.CurrentDate, scope: Scope) -> Typed:
        return Typed(f"DATE '{self.now:%Y-%m-%d}'", DATE)

    def _currenttimestamp(self, node: exp.CurrentTimestamp, scope: Scope) -> Typed:
        return Typed(f"TIMESTAMPTZ '{self._milliseconds()}+00'", TIMESTAMP_TZ)

    def _localtimestamp(self, node: exp.Localtimestamp, scope: Scope) -> Typed:
        return Typed(f"TIMESTAMP '{self._milliseconds()}'", TIMESTAMP)

    def _milliseconds(self) -> str:
        return self.now.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    def _attimezone(self, node: exp.AtTimeZone, scope: Scope) -> Typed:
        value = self.compile(node.this, scope)
        zone = node.args["zone"]
        return self._in_zone(value, zone, node)

    def _in_zone(self, value: Typed, zone: exp.Expr, node: exp.Expr) -> Typed:
        """An instant with the zone that a text constant names; a timestamp without one is of UTC."""
        if not (isinstance(zone, exp.Literal) and zone.is_string):
            raise not_supported(f"{position(self.sql, node)}: a time zone that is not a constant")
        name = zones.named(zone.name)
        if name is None:
            raise self.fail("INVALID_FUNCTION_ARGUMENT", node, f"'{zone.name}' is not a valid time zone")
        if not value.type.base.startswith("timestamp"):
            raise self.fail(
                "TYPE_MISMATCH", node, "Type of value must be a time or timestamp with or without time zone"
            )
        digits = int(value.type.args[0])
        return replace(value.cast(types.zoned(digits, types.UTC)), type=types.zoned(digits, name), literal=None)

    def _call_at_timezone(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if len(nodes) != 2:
            raise self._unexpected("at_timezone", nodes, node, scope)
        return self._in_zone(self.compile(nodes[0], scope), nodes[1], node)

    def _call_with_timezone(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if len(nodes) != 2:
            raise self._unexpected("with_timezone", nodes, node, scope)
        value = self.compile(nodes[0], scope)
        zoned = self._in_zone(value, nodes[1], node)
        return replace(zoned, sql=zones.instant_sql(value.sql, zoned.type.zone))

    def _call_from_unixtime(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        moment = self._scalar("from_unixtime", nodes[:1], node, scope)
        return moment if len(nodes) == 1 else self._in_zone(moment, nodes[1], node)

    def _call_from_iso8601_timestamp(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        value = self.compile(nodes[0], scope) if len(nodes) == 1 else None
        if value is None or not value.type.is_text:
            raise self._unexpected("from_iso8601_timestamp", nodes, node, scope)
        if value.literal is None:
            return combine(f"timezone('UTC', athena_iso_utc({value.sql}))", TIMESTAMP_TZ, (value,))
        found = zones.iso_8601(value.literal)
        if found is None:
            raise self.fail("INVALID_FUNCTION_ARGUMENT", node, f'Invalid format: "{value.literal}"')
        return zones.constant(*found, 3)

    def _call_timezone_hour(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        return self._offset(nodes, node, scope, "timezone_hour", "({0} // 60)")

    def _call_timezone_minute(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        return self._offset(nodes, node, scope, "timezone_minute", "({0} % 60)")

    def _offset(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope, name: str, part: str) -> Typed:
        value = self.compile(nodes[0], scope) if len(nodes) == 1 else None
        if value is None or value.type.base != "timestamp with time zone":
            raise self._unexpected(name, nodes, node, scope)
        return combine(part.format(zones.offset_of(value)), BIGINT, (value,))

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

    # Calls

    def _anonymous(self, node: exp.Anonymous, scope: Scope) -> Typed:
        return self.call(node.name.lower(), node.expressions, node, scope)

    def _filter(self, node: exp.Filter, scope: Scope) -> Typed:
        condition = self.boolean(node.expression.this, scope)
        return self._call_of(node.this, scope, condition=condition)

    def _ignorenulls(self, node: exp.IgnoreNulls, scope: Scope) -> Typed:
        raise self.fail("SYNTAX_ERROR", node, "IGNORE NULLS needs a window")

    def _window(self, node: exp.Window, scope: Scope) -> Typed:
        call, nulls = node.this, ""
        if isinstance(call, (exp.IgnoreNulls, exp.RespectNulls)):
            nulls, call = (" IGNORE NULLS" if isinstance(call, exp.IgnoreNulls) else ""), call.this
        if isinstance(call, exp.Filter):
            raise not_supported(f"{position(self.sql, node)}: FILTER is not yet supported for window functions")
        over, parts = self.queries.window(node, scope)
        result = self._call_of(call, scope, over=over, nulls=nulls)
        return combine(result.sql, result.type, (result, *parts), window=True, pure=False)

    def _call_of(self, node: exp.Expr, scope: Scope, **modifiers: object) -> Typed:
        if isinstance(node, exp.Anonymous):
            return self.call(node.name.lower(), node.expressions, node, scope, **modifiers)  # type: ignore[arg-type]
        if isinstance(node, exp.GroupConcat) and "over" not in modifiers:
            arguments = [node.this, *([node.args["separator"]] if node.args.get("separator") else [])]
            return self.call("listagg", arguments, node, scope, **modifiers)  # type: ignore[arg-type]
        raise not_supported(f"{position(self.sql, node)}: {node.sql(dialect='trino')}")

    def call(
        self,
        name: str,
        nodes: list[exp.Expr],
        node: exp.Expr,
        scope: Scope,
        *,
        condition: Typed | None = None,
        over: str = "",
        nulls: str = "",
    ) -> Typed:
        """Compile a call by its name.

        Args:
            condition: its FILTER.
            over: its window, as DuckDB SQL with OVER.
            nulls: `` IGNORE NULLS`` or nothing.
        """
        if name in functions.AGGREGATE or (over and name in functions.WINDOW):
            return self._aggregate(name, nodes, node, scope, condition, over, nulls)
        if name in functions.WINDOW:
            raise self.fail("MISSING_OVER", node, f"Window function {name} requires an OVER clause")
        if over or condition is not None:
            raise self.fail(
                "FUNCTION_NOT_AGGREGATE", node, f"Filter and OVER are only valid for aggregation functions: {name}"
            )
        if any(isinstance(part, (exp.Distinct, exp.Order)) for part in nodes):
            message = f"DISTINCT and ORDER BY are only valid for aggregation functions: {name}"
            raise self.fail("FUNCTION_NOT_AGGREGATE", node, message)
        special: Callable[[list[exp.Expr], exp.Expr, Scope], Typed] | None
        special = getattr(self, f"_call_{name}", None)
        return special(nodes, node, scope) if special else self._scalar(name, nodes, node, scope)

    def _call_coalesce(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if len(nodes) < 2:
            raise self.fail("SYNTAX_ERROR", node, "The 'coalesce' function must have at least two arguments")
        values = [self.compile(part, scope) for part in nodes]
        values = self.alike(values, node, "All COALESCE operands must be the same type")
        return combine(f"coalesce({', '.join(value.sql for value in values)})", values[0].type, values)

    def _call_nullif(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if len(nodes) != 2:
            raise self.fail("SYNTAX_ERROR", node, "Invalid number of arguments for 'nullif' function")
        left, right = (self.compile(part, scope) for part in nodes)
        kind = types.common(left.type, right.type)
        if kind is None:
            raise self.fail("TYPE_MISMATCH", node, f"Types are not comparable with NULLIF: {left.type} vs {right.type}")
        sql = f"CASE WHEN {left.cast(kind).sql} = {right.cast(kind).sql} THEN NULL ELSE {left.sql} END"
        return combine(sql, left.type, (left, right))

    def _call_try(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if len(nodes) != 1:
            raise self.fail("SYNTAX_ERROR", node, "The 'try' function must have exactly one argument")
        value = self.compile(nodes[0], scope)
        return combine(f"TRY({value.sql})", value.type, (value,))

    def _call_concat(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if len(nodes) < 2:
            message = "There must be two or more concatenation arguments to concat"
            raise self.fail("INVALID_FUNCTION_ARGUMENT", node, message)
        return self._concatenate(nodes, node, scope)

    def _call_now(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if nodes:
            raise self._unexpected("now", nodes, node, scope)
        return self._currenttimestamp(exp.CurrentTimestamp(), scope)

    def _call_row(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if not nodes:
            raise self.fail("SYNTAX_ERROR", node, "ROW needs at least one value")
        values = [self.compile(part, scope) for part in nodes]
        packed = ", ".join(f'"field{index}" := {value.sql}' for index, value in enumerate(values))
        return combine(f"struct_pack({packed})", Type("row", tuple(("", value.type) for value in values)), values)

    def _call_map(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if not nodes:
            return Typed("MAP {}", Type("map", (UNKNOWN, UNKNOWN)))
        if len(nodes) != 2:
            raise self._unexpected("map", nodes, node, scope)
        keys, values = (self.compile(part, scope) for part in nodes)
        if keys.type.base != "array" or values.type.base != "array":
            raise self.fail(
                "TYPE_MISMATCH", node, f"Unexpected parameters ({keys.type}, {values.type}) for function map"
            )
        kind = Type("map", (keys.type.args[0], values.type.args[0]))
        return combine(f"map({keys.sql}, {values.sql})", kind, (keys, values))

    def _call_reduce(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        """``reduce(array, initial, (state, element) -> state, state -> result)``."""
        lambdas = [part for part in nodes if isinstance(part, exp.Lambda)]
        if len(nodes) != 4 or [len(part.expressions) for part in lambdas] != [2, 1]:
            raise self.fail("FUNCTION_NOT_FOUND", node, "Unexpected parameters for function reduce")
        values, initial = (self.compile(part, scope) for part in nodes[:2])
        if values.type.base != "array":
            raise self.fail("FUNCTION_NOT_FOUND", node, f"Unexpected parameters ({values.type}) for function reduce")
        state, element = (part.name.lower() for part in lambdas[0].expressions)
        final = lambdas[1].expressions[0].name.lower()
        inner = {**scope.lambdas, state: initial.type, element: values.type.args[0]}
        step = self.compile(lambdas[0].this, replace(scope, lambdas=inner))
        step = self.coerce(step, initial.type, node, f"reduce: {step.type} is no {initial.type}")
        result = self.compile(lambdas[1].this, replace(scope, lambdas={**scope.lambdas, final: initial.type}))
        folded = (
            f"list_reduce({values.sql}, lambda {types.quote(state)}, {types.quote(element)}: {step.sql}, {initial.sql})"
        )
        sql = f"list_extract(list_transform([{folded}], lambda {types.quote(final)}: {result.sql}), 1)"
        return combine(sql, result.type, (values, initial, step, result))

    def _call_format(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if len(nodes) < 2:
            raise self._unexpected("format", nodes, node, scope)
        pattern, *values = [self.compile(part, scope) for part in nodes]
        letters, texts = "", []
        for value in values:
            kind = value.type
            if kind.base in ("array", "map", "row"):
                raise self.fail("NOT_SUPPORTED", node, f"Type not supported for formatting: {kind}")
            letters += "i" if kind.is_integer else "m" if kind.is_decimal else "d" if kind.is_floating else "s"
            texts.append(f"CAST({value.sql} AS VARCHAR)" if kind.is_numeric else self.convert(value, VARCHAR, node).sql)
        sql = f"athena_format({pattern.sql}, [{', '.join(texts)}], {text(letters)})"
        return combine(sql, VARCHAR, (pattern, *values))

    def _call_normalize(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        form = nodes[1].name.upper() if len(nodes) == 2 and isinstance(nodes[1], exp.Column) else "NFC"
        if len(nodes) not in (1, 2) or form not in ("NFC", "NFD", "NFKC", "NFKD"):
            raise self.fail("SYNTAX_ERROR", node, "normalize takes a text and NFC, NFD, NFKC or NFKD")
        value = self.coerce(self.compile(nodes[0], scope), VARCHAR, node, "normalize needs text")
        return combine(f"athena_normalize({value.sql}, '{form}')", VARCHAR, (value,))

    def _call_current_timestamp(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        return replace(
            self._currenttimestamp(exp.CurrentTimestamp(), scope),
            type=types.zoned(self._digits(nodes, node), types.UTC),
        )

    def _call_localtimestamp(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        return replace(
            self._localtimestamp(exp.Localtimestamp(), scope), type=Type("timestamp", (self._digits(nodes, node),))
        )

    def _digits(self, nodes: list[exp.Expr], node: exp.Expr) -> int:
        if len(nodes) != 1 or not isinstance(nodes[0], exp.Literal) or nodes[0].is_string or int(nodes[0].name) > 6:
            raise not_supported(f"{position(self.sql, node)}: {node.sql(dialect='trino')}")
        return int(nodes[0].name)

    def _call_format_datetime(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if len(nodes) != 2:
            raise self._unexpected("format_datetime", nodes, node, scope)
        value, pattern = (self.compile(part, scope) for part in nodes)
        if not value.type.is_temporal or not pattern.type.is_text:
            raise self._unexpected("format_datetime", nodes, node, scope)
        zoned = value.type.base == "timestamp with time zone"
        zone, offset = (value.type.zone, zones.offset_of(value)) if zoned else ("", "0")
        moment = f"CAST({zones.local(value).sql} AS TIMESTAMP)"
        sql = f"athena_format_datetime({moment}, {pattern.sql}, {text(zone)}, {offset})"
        return combine(sql, VARCHAR, (value, pattern))

    def _call_to_iso8601(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        value = self.compile(nodes[0], scope) if len(nodes) == 1 else None
        if value is None or not value.type.is_temporal:
            raise self._unexpected("to_iso8601", nodes, node, scope)
        if value.type.base == "date":
            return combine(f"strftime({value.sql}, '%Y-%m-%d')", VARCHAR, (value,))
        sql = f"replace(athena_timestamp_text({zones.local(value).sql}, {value.type.args[0]}), ' ', 'T')"
        if value.type.base == "timestamp with time zone":
            sql = f"({sql} || athena_offset_text({zones.offset_of(value)}))"
        return combine(sql, VARCHAR, (value,))

    def _call_reverse(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        value = self.compile(nodes[0], scope) if len(nodes) == 1 else None
        if value is not None and value.type.base == "array":
            return combine(f"list_reverse({value.sql})", value.type, (value,))
        return self._scalar("reverse", nodes, node, scope)

    def _entries(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope, name: str) -> tuple[Typed, str, Typed]:
        """A map, a name for one of its entries, and the body of a lambda of key and value for that entry."""
        value = self.compile(nodes[0], scope) if len(nodes) == 2 else None
        wanted = isinstance(nodes[-1], exp.Lambda) and len(nodes[-1].expressions) == 2
        if value is None or value.type.base != "map" or not wanted:
            raise self._unexpected(name, nodes, node, scope)
        entry = types.quote(f"part {next(self._parts)}")
        sides = zip(nodes[1].expressions, ("key", "value"), value.type.args, strict=True)
        bound = {part.name.lower(): Typed(f"struct_extract({entry}, '{side}')", kind) for part, side, kind in sides}
        return value, entry, self.compile(nodes[1].this, replace(scope, aliases={**scope.aliases, **bound}))

    def _call_map_filter(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        value, entry, body = self._entries(nodes, node, scope, "map_filter")
        sql = f"map_from_entries(list_filter(map_entries({value.sql}), lambda {entry}: {body.sql}))"
        return combine(sql, value.type, (value, body))

    def _call_transform_values(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        value, entry, body = self._entries(nodes, node, scope, "transform_values")
        pair = f"struct_pack(k := struct_extract({entry}, 'key'), v := {body.sql})"
        kind = Type("map", (value.type.args[0], body.type))
        sql = f"map_from_entries(list_transform(map_entries({value.sql}), lambda {entry}: {pair}))"
        return combine(f"CAST({sql} AS {kind.duckdb})", kind, (value, body))

    def _call_transform_keys(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        value, entry, body = self._entries(nodes, node, scope, "transform_keys")
        pair = f"struct_pack(k := {body.sql}, v := struct_extract({entry}, 'value'))"
        kind = Type("map", (body.type, value.type.args[1]))
        sql = f"map_from_entries(list_transform(map_entries({value.sql}), lambda {entry}: {pair}))"
        return combine(f"CAST({sql} AS {kind.duckdb})", kind, (value, body))

    def _call_zip_with(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        values = [self.compile(part, scope) for part in nodes[:2]]
        wanted = len(nodes) == 3 and isinstance(nodes[2], exp.Lambda) and len(nodes[2].expressions) == 2
        if not wanted or any(value.type.base != "array" for value in values):
            raise self._unexpected("zip_with", nodes, node, scope)
        at = types.quote(f"part {next(self._parts)}")
        bound = {
            part.name.lower(): Typed(f"list_extract({value.sql}, {at})", value.type.args[0])
            for part, value in zip(nodes[2].expressions, values, strict=True)
        }
        body = self.compile(nodes[2].this, replace(scope, aliases={**scope.aliases, **bound}))
        first, second = values
        positions = f"range(1, greatest(len({first.sql}), len({second.sql})) + 1)"
        known = f"{first.sql} IS NOT NULL AND {second.sql} IS NOT NULL"
        sql = f"CASE WHEN {known} THEN list_transform({positions}, lambda {at}: {body.sql}) END"
        return combine(sql, types.array(body.type), (*values, body))

    def _call_zip(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        values = [self.compile(part, scope) for part in nodes]
        if len(values) < 2 or any(value.type.base != "array" for value in values):
            raise self._unexpected("zip", nodes, node, scope)
        kind = types.array(Type("row", tuple(("", value.type.args[0]) for value in values)))
        return combine(f"CAST(list_zip({', '.join(value.sql for value in values)}) AS {kind.duckdb})", kind, values)

    def _call_array_join(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        values = [self.compile(part, scope) for part in nodes]
        if len(values) not in (2, 3) or values[0].type.base != "array":
            raise self._unexpected("array_join", nodes, node, scope)
        listed, separator, *missing = values
        texts = self.convert(listed, types.array(VARCHAR), node).sql
        if missing:
            texts = f"list_transform({texts}, lambda x: coalesce(x, {missing[0].sql}))"
        return combine(
            f"coalesce(array_to_string({texts}, {separator.sql}), CASE WHEN {texts} IS NOT NULL THEN '' END)",
            VARCHAR,
            values,
        )

    def _call_grouping(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        if not nodes:
            raise self.fail("SYNTAX_ERROR", node, "The 'grouping' function must have at least one argument")
        values = [self.compile(part, scope) for part in nodes]
        sql = f"CAST(grouping({', '.join(value.sql for value in values)}) AS INTEGER)"
        return combine(sql, INTEGER, values, bare=(), aggregate=True, pure=False)

    def _scalar(self, name: str, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        function = functions.SCALAR.get(name)
        if function is None:
            raise self.fail("FUNCTION_NOT_FOUND", node, f"Function '{name}' not registered")
        arguments = self._arguments(name, function, nodes, node, scope)
        kind = function.returns(arguments) if callable(function.returns) else function.returns
        local = arguments
        if name not in functions.OF_INSTANTS and not functions.of_hours(name, arguments):
            local = [zones.local(argument) if argument.type.zone != types.UTC else argument for argument in arguments]
        if callable(function.sql):
            sql = function.sql(local)
        else:
            sql = function.sql.format(*(argument.sql for argument in local))
        if kind.base == "timestamp with time zone" and kind.zone != types.UTC and local is not arguments:
            sql = zones.instant_sql(sql, kind.zone)
        sql = f"CAST({sql} AS {kind.duckdb})"
        return combine(sql, kind, arguments, pure=function.pure and all(argument.pure for argument in arguments))

    def _aggregate(
        self,
        name: str,
        nodes: list[exp.Expr],
        node: exp.Expr,
        scope: Scope,
        condition: Typed | None,
        over: str,
        nulls: str,
    ) -> Typed:
        function = functions.WINDOW[name] if name in functions.WINDOW else functions.AGGREGATE[name]
        distinct, order = "", ""
        ordering: list[Typed] = []
        if len(nodes) == 1 and isinstance(nodes[0], exp.Distinct):
            distinct, nodes = "DISTINCT ", nodes[0].expressions
        if not distinct and [type(part) for part in nodes] == [exp.Star]:
            if name != "count":
                raise self.fail("FUNCTION_NOT_FOUND", node, f"Unexpected parameters () for function {name}")
            nodes = []
        for index, part in enumerate(nodes):
            if isinstance(part, exp.Order):
                value, values = part.this, [part.this]
                if isinstance(value, exp.Distinct):
                    distinct, values = "DISTINCT ", value.expressions
                nodes = [*nodes[:index], *values, *nodes[index + 1 :]]
                order, ordering = self.queries.ordering(part, scope)
        if name in functions.NEEDS_ORDER and "ORDER BY" not in over:
            raise self.fail("MISSING_ORDER_BY", node, f"{name} function requires an ORDER BY window clause")
        if name in ("sum", "avg") and [type(part) for part in nodes] == [exp.Null]:
            message = "Could not choose a best candidate operator. Explicit type casts must be added."
            raise self.fail("AMBIGUOUS_FUNCTION_CALL", node, message)
        if over and order:
            raise not_supported(f"{position(self.sql, node)}: Window function with ORDER BY is not supported")
        if name in functions.WINDOW and distinct:
            raise not_supported(f"{position(self.sql, node)}: DISTINCT in window function {name}")
        if nulls and name not in functions.NULL_TREATMENT:
            message = f"Cannot specify null treatment clause for {name} function"
            raise self.fail("NULL_TREATMENT_NOT_ALLOWED", node, message)
        if name == "listagg" and len(nodes) == 1:
            nodes = [*nodes, exp.Literal.string("")]
        inner = replace(scope, keys=frozenset())
        arguments = self._arguments(name, function, nodes, node, inner)
        if not over and any(argument.aggregate or argument.window for argument in arguments):
            raise self.fail("NESTED_AGGREGATION", node, f"Cannot nest aggregations inside aggregation '{name}'")
        if over:  # the arguments of a window function are computed after grouping
            arguments = self._arguments(name, function, nodes, node, scope)
        filtered = f" FILTER (WHERE {condition.sql})" if condition else ""

        def render(called: str, *sql: str) -> str:
            once = distinct if not (sql and sql[0].startswith("DISTINCT ")) else ""
            inside = f"{once}{', '.join(sql) or ('*' if called == 'count' else '')}{order}"
            return f"{called}({inside}{nulls}){filtered}{over}"

        kind = function.returns(arguments) if callable(function.returns) else function.returns
        if callable(function.sql):
            sql = function.sql(arguments, render)
        else:
            sql = render(function.sql, *(argument.sql for argument in arguments))
        parts = [*arguments, *ordering, *([condition] if condition else [])]
        result = combine(f"CAST({sql} AS {kind.duckdb})", kind, parts, pure=False)
        return result if over else replace(result, bare=(), aggregate=True)

    def _arguments(
        self,
        name: str,
        function: Scalar | Aggregate,
        nodes: list[exp.Expr],
        node: exp.Expr,
        scope: Scope,
    ) -> list[Typed]:
        """The arguments of a call, converted to what its parameters take."""
        letters = function.parameters.split()
        required = [letter for letter in letters if letter[-1] not in "?*"]
        if letters and letters[-1].endswith("*"):
            letters = letters[:-1] + [letters[-1][0]] * max(0, len(nodes) - len(letters) + 1)
        if not len(required) <= len(nodes) <= len(letters):
            raise self._unexpected(name, nodes, node, scope)
        compiled: list[Typed] = []
        for letter, part in zip(letters[: len(nodes)], nodes, strict=True):
            if letter[0] == "f":
                compiled.append(self._lambda_of(part, compiled[0], scope))
            else:
                compiled.append(self.compile(part, scope))
        kinds = ", ".join(str(argument.type) for argument in compiled)
        accepted = [_accept(letter[0], value) for letter, value in zip(letters[: len(nodes)], compiled, strict=True)]
        if any(argument is None for argument in accepted):
            raise self.fail("FUNCTION_NOT_FOUND", node, f"Unexpected parameters ({kinds}) for function {name}")
        arguments = [argument for argument in accepted if argument is not None]
        if "L" in function.parameters:
            arguments = self._of_one_element(
                arguments, letters, node, f"Unexpected parameters ({kinds}) for function {name}"
            )
        if "c" in function.parameters and arguments:
            arguments = self.alike(arguments, node, f"Unexpected parameters ({kinds}) for function {name}")
        return arguments

    def _of_one_element(self, values: list[Typed], letters: list[str], node: exp.Expr, message: str) -> list[Typed]:
        """Arrays and elements of one type."""
        element = UNKNOWN
        for value, letter in zip(values, letters, strict=False):
            shared = types.common(element, value.type.args[0] if letter[0] == "L" and value.type.args else value.type)
            if shared is None:
                raise self.fail("FUNCTION_NOT_FOUND", node, message)
            element = shared
        return [
            self.convert(value, types.array(element), node) if letter[0] == "L" else value.cast(element)
            for value, letter in zip(values, letters, strict=False)
        ]

    def _unexpected(self, name: str, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> QueryFailed:
        """The failure of a call with too few or too many arguments."""
        kinds = ("function" if isinstance(part, exp.Lambda) else str(self.compile(part, scope).type) for part in nodes)
        return self.fail("FUNCTION_NOT_FOUND", node, f"Unexpected parameters ({', '.join(kinds)}) for function {name}")

    def _lambda_of(self, node: exp.Expr, over: Typed, scope: Scope) -> Typed:
        if not isinstance(node, exp.Lambda) or len(node.expressions) != 1 or over.type.base != "array":
            raise not_supported(f"{position(self.sql, node)}: {node.sql(dialect='trino')}")
        name = node.expressions[0].name.lower()
        inner = replace(scope, lambdas={**scope.lambdas, name: over.type.args[0]})
        body = self.compile(node.this, inner)
        return replace(body, sql=f"lambda {types.quote(name)}: {body.sql}")


def _accept(letter: str, value: Typed) -> Typed | None:
    """`value` as a parameter of this kind takes it, or None when it does not."""
    kind = value.type
    if kind.base == "unknown":
        wanted = {
            "w": TIMESTAMP,
            "q": BIGINT,
            "n": BIGINT,
            "i": BIGINT,
            "d": types.DOUBLE,
            "s": VARCHAR,
            "t": TIMESTAMP,
            "b": BOOLEAN,
        }
        return value.cast(wanted[letter]) if letter in wanted else value
    accepts = {
        "n": kind.is_numeric, "i": kind.is_integer, "d": kind.is_numeric,
        "s": kind.is_text, "k": kind.is_text, "t": kind.is_temporal, "b": kind.base == "boolean",
        "l": kind.base == "array", "L": kind.base == "array", "m": kind.base == "map", "x": kind.base == "varbinary",
        "j": kind.base == "json" or kind.is_text, "v": kind.base in types.INTERVALS,
        "q": kind.is_numeric or kind.base in types.INTERVALS, "w": kind.is_temporal or kind.base in types.INTERVALS,
    }  # fmt: skip
    if not accepts.get(letter, True):
        return None
    if letter == "i":
        return value.cast(BIGINT)
    return value.cast(types.DOUBLE) if letter == "d" else value


def _unless_nan(sql: str, symbol: str, greater: str, other: str) -> str:
    """A comparison that is false (`<>`: true) when its greater side is NaN, and NULL when the other is NULL."""
    if symbol == "<>":
        return f"({sql} OR ({other} IS NOT NULL AND isnan({greater})))"
    return f"({sql} AND ({other} IS NULL OR NOT isnan({greater})))"


def _castable(source: Type, kind: Type) -> bool:
    if source.base == "unknown":
        return True
    if source.base == kind.base and source.base not in ("array", "map"):
        return True
    if source.base == kind.base:
        return all(_castable(a, b) for a, b in zip(source.args, kind.args, strict=True))
    simple = ("boolean",)
    if "json" in (source.base, kind.base):
        return True
    if source.is_text and kind.base == "uuid":
        return True
    if source.base in types.INTERVALS or source.base == "uuid":
        return kind.base == "varchar"
    if source.is_text:
        return kind.is_numeric or kind.is_temporal or kind.is_text or kind.base in (*simple, "time")
    if kind.is_text:
        return source.is_numeric or source.is_temporal or source.base in (*simple, "time")
    if source.is_temporal:
        return kind.is_temporal or (kind.base == "time" and source.base != "date")
    if source.base in types.INTERVALS:
        return kind.base == "varchar"
    if "uuid" in (source.base, kind.base):
        return kind.is_text or source.is_text
    return (source.is_numeric or source.base in simple) and (kind.is_numeric or kind.base in simple)


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


def _fewer_digits(sql: str, digits: int) -> str:
    """A timestamp rounded to so many digits of a second."""
    unit = 10 ** (6 - digits)
    return f"make_timestamp(CAST(floor((epoch_us({sql}) + {unit // 2}) / {unit}) AS BIGINT) * {unit})"


def _timestamp_text(sql: str, kind: Type) -> str:
    """The clock time of a timestamp as text, without a zone."""
    return f"athena_timestamp_text({sql}, {int(kind.args[0]) if kind.args else 3})"
