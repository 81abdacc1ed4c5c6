"""Athena's SQL as sqlglot parses it, with every function left as it was written, and where in the text each part is."""

from __future__ import annotations

import re
from typing import ClassVar

from sqlglot import exp
from sqlglot.dialects.trino import Trino
from sqlglot.errors import ParseError, TokenError
from sqlglot.parsers.trino import TrinoParser
from sqlglot.tokens import TokenType

from localaws.athena import foreign
from localaws.athena.errors import MalformedQuery
from localaws.athena.types import text

_KEPT_PARSERS = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "POSITION", "LISTAGG")


def _decimal_literal(_parser: TrinoParser, this: exp.Expr, to: exp.DataType) -> exp.Expr:
    """``DECIMAL '1.10'`` is a decimal(3,2); a CAST to decimal is one to decimal(38,0)."""
    whole, _, fraction = this.name.lstrip("+-").partition(".")
    if not to.expressions:
        digits = max(1, len(whole.lstrip("0")) + len(fraction))
        to = exp.DataType.build(f"decimal({digits}, {len(fraction)})", dialect="trino")
    return exp.Cast(this=this, to=to)


class AthenaSql(Trino):
    """Trino's syntax; functions stay calls by their written name, and subscripts the numbers that were written."""

    INDEX_OFFSET = 0

    class Parser(TrinoParser):
        FUNCTIONS: ClassVar = {}
        TYPE_LITERAL_PARSERS: ClassVar = {**TrinoParser.TYPE_LITERAL_PARSERS, exp.DType.DECIMAL: _decimal_literal}
        FUNCTION_PARSERS: ClassVar = {
            name: TrinoParser.FUNCTION_PARSERS[name] for name in _KEPT_PARSERS if name in TrinoParser.FUNCTION_PARSERS
        }


def parse_query(sql: str) -> exp.Expr:
    """The syntax tree of one SELECT, VALUES, TABLE or WITH statement.

    Raises:
        MalformedQuery: when it does not parse, with line and column.
    """
    try:
        tokens = AthenaSql().tokenize(sql)
        statements = [statement for statement in AthenaSql().parser().parse(tokens, sql) if statement is not None]
    except ParseError as error:
        first = error.errors[0]
        near = first.get("highlight") or ""
        column = max(1, int(first.get("col") or 1) - len(near) + 1)
        raise MalformedQuery(
            f"line {first.get('line')}:{column}: mismatched input '{near}'. {first.get('description')}"
        ) from error
    except TokenError as error:
        raise MalformedQuery(f"line 1:1: {error}") from error
    if len(statements) != 1:
        raise MalformedQuery("Only one sql statement is allowed. Got: " + sql)
    if not isinstance(statements[0], (exp.Query, exp.Values)):
        raise MalformedQuery(f"Queries of this type are not supported: {sql.split()[0].upper()}")
    foreign.refuse(sql, tokens, statements[0])
    return statements[0]


def blank(sql: str, start: int, end: int) -> str:
    """`sql` with a stretch of it overwritten by blanks, so that what is left keeps its line and column."""
    return sql[:start] + re.sub(r"[^\n]", " ", sql[start:end]) + sql[end:]


def fill_parameters(sql: str, parameters: list[str]) -> str:
    """`sql` with each ``?`` replaced by the literal given for it.

    Raises:
        MalformedQuery: when their number differs.
    """
    try:
        marks = [token for token in AthenaSql().tokenize(sql) if token.token_type == TokenType.PLACEHOLDER]
    except TokenError as error:
        raise MalformedQuery(f"line 1:1: {error}") from error
    if len(marks) != len(parameters):
        raise MalformedQuery(f"Incorrect number of parameters: expected {len(marks)} but found {len(parameters)}")
    for mark, value in reversed(list(zip(marks, parameters, strict=True))):
        sql = sql[: mark.start] + value + sql[mark.end + 1 :]
    return sql


def literal(value: str) -> str:
    """A parameter of a request as SQL: one constant expression, or else the text that it is."""
    try:
        query = parse_query(f"SELECT {value}")
    except MalformedQuery:
        return text(value)
    given = {name for name, part in query.args.items() if part}
    parts = [part for projection in query.expressions for part in projection.walk()]
    constant = not any(part.comments or isinstance(part, (exp.Column, exp.Star, exp.Query)) for part in parts)
    return f"({value})" if given == {"expressions"} and len(query.expressions) == 1 and constant else text(value)


def position(sql: str, node: exp.Expr | None) -> str:
    """Where a part of the statement begins, as ``line 1:8``."""
    start, _ = extent(node)
    line = sql.count("\n", 0, start) + 1
    return f"line {line}:{start - sql.rfind(chr(10), 0, start)}"


def written(sql: str, node: exp.Expr) -> str:
    """A part of the statement as it was written, from its first name or literal to its last."""
    start, end = extent(node)
    return sql[start:end] or sql


def extent(node: exp.Expr | None) -> tuple[int, int]:
    """Offsets of a part's first name or literal, and of the end of its last; its parent's when it has none."""
    while node is not None:
        places = [part.meta for part in node.walk() if "start" in part.meta]
        if places:
            return min(place["start"] for place in places), max(place["end"] for place in places) + 1
        node = node.parent
    return 0, 0
