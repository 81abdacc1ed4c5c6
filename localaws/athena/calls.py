"""Calls: Trino's functions by their table, and those that are compiled in a way of their own."""

# ruff: noqa: ARG002 - every kind of expression has one signature
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from localaws.athena import dates, functions, types, zones
from localaws.athena.conversions import Conversions
from localaws.athena.errors import QueryFailed, not_supported
from localaws.athena.expressions import Typed, combine
from localaws.athena.failed import Failed
from localaws.athena.functions import Aggregate, Scalar
from localaws.athena.scope import Scope
from localaws.athena.syntax import position
from localaws.athena.types import BIGINT, BOOLEAN, DATE, INTEGER, TIMESTAMP, TIMESTAMP_TZ, UNKNOWN, VARCHAR, Type, text


class Calls(Conversions, ABC):
    """Compiles calls; what they are of is compiled by `compile`."""

    @abstractmethod
    def compile(self, node: exp.Expr, scope: Scope) -> Typed:
        """Compile one expression of any kind."""

    def boolean(self, node: exp.Expr, scope: Scope, where: str = "Logical expression term") -> Typed:
        """Compile a condition."""
        result = self.compile(node, scope)
        if result.type.base not in ("boolean", "unknown"):
            raise self.fail("TYPE_MISMATCH", node, f"{where} must evaluate to a boolean (actual: {result.type})")
        return result.cast(BOOLEAN)

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
        return self.concatenate(nodes, node, scope)

    def concatenate(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        """Compile ``||`` or ``concat`` of texts, binaries, or arrays and their elements."""
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

    def _call_parse_datetime(self, nodes: list[exp.Expr], node: exp.Expr, scope: Scope) -> Typed:
        values = [self.compile(part, scope) for part in nodes]
        if len(values) != 2 or not all(value.type.is_text for value in values):
            raise self._unexpected("parse_datetime", nodes, node, scope)
        value, pattern = values
        if value.literal is not None and pattern.literal is not None:
            try:
                moment, zone = dates.parse_joda(value.literal, pattern.literal)
            except Failed as failed:
                raise QueryFailed(f"{failed}") from None
            return zones.constant(moment, zones.named(zone) or types.UTC, 3)
        sql = f"timezone('UTC', athena_parse_datetime({value.sql}, {pattern.sql}))"
        return combine(sql, TIMESTAMP_TZ, values)

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
        entry = self.part()
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
        at = self.part()
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

    # The clock, and time zones

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
