"""Values as other types, and whether values are equal: as Trino converts and compares them."""

# ruff: noqa: ARG002 - every kind of expression has one signature
from __future__ import annotations

import datetime as dt
import itertools
import json
from dataclasses import replace

from sqlglot import exp

from localaws.athena import types, zones
from localaws.athena.errors import QueryFailed, not_supported
from localaws.athena.expressions import Typed, combine
from localaws.athena.scope import Queries
from localaws.athena.syntax import position
from localaws.athena.types import UNKNOWN, VARCHAR, Type, text


class Conversions:
    """What every expression of a statement may need of the others.

    Args:
        sql: the statement's text, for positions in messages.
        queries: compiles subqueries.
        now: when the query started, in UTC; ``current_date`` and ``now()`` stand for it.
    """

    def __init__(self, sql: str, queries: Queries, now: dt.datetime) -> None:
        self.sql, self.queries, self.now = sql, queries, now
        self._parts = itertools.count()

    def fail(self, code: str, node: exp.Expr | None, message: str) -> QueryFailed:
        """The failure `code` at the place of `node`."""
        return QueryFailed(f"{code}: {position(self.sql, node)}: {message}")

    def part(self) -> str:
        """A name, quoted, for a part of a value in a lambda; no other has it."""
        return types.quote(f"part {next(self._parts)}")

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
            sql = timestamp_text(sql, source)
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
        return f"({timestamp_text(zones.local(value).sql, value.type)} || {text(' ' + value.type.zone)})"

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
        name = self.part()
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

    def _equal(self, left: str, right: str, kind: Type) -> str:
        """Whether two values are equal; NULL where a part that is NULL decides."""
        missing = f"{left} IS NULL OR {right} IS NULL"
        if kind.base == "array":
            at = self.part()
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
            key = self.part()
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
            return unless_nan(equal, "=", left, right) if kind.is_floating else equal
        return f"CASE WHEN {missing} THEN NULL {same} END"


def unless_nan(sql: str, symbol: str, greater: str, other: str) -> str:
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


def _fewer_digits(sql: str, digits: int) -> str:
    """A timestamp rounded to so many digits of a second."""
    unit = 10 ** (6 - digits)
    return f"make_timestamp(CAST(floor((epoch_us({sql}) + {unit // 2}) / {unit}) AS BIGINT) * {unit})"


def timestamp_text(sql: str, kind: Type) -> str:
    """The clock time of a timestamp as text, without a zone."""
    return f"athena_timestamp_text({sql}, {int(kind.args[0]) if kind.args else 3})"
