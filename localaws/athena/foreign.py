"""What the parser takes from other dialects, and Trino's grammar does not have: refused where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp
from sqlglot.tokens import Token, TokenType

from localaws.athena.errors import MalformedQuery, QueryFailed

_OPERATORS = ("::", "<=>", "==", "~", "|", "&", "^")
_UNITS = ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
_TYPES = frozenset(
    [
        "numeric",
        "number",
        "dec",
        "long",
        "text",
        "string",
        "datetime",
        "datetime2",
        "timestamptz",
        "timestamp_ntz",
        "unsigned",
        "signed",
        "float",
        "float4",
        "float8",
        "int2",
        "int4",
        "int8",
        "int64",
        "float64",
        "byte",
        "bytes",
        "blob",
        "clob",
        "bool",
        "bit",
        "nvarchar",
        "nchar",
        "varchar2",
        "character",
        "variant",
        "object",
        "money",
        "serial",
        "mediumint",
        "mediumtext",
        "longtext",
        "tinytext",
        "struct",
        "list",
        "bignumeric",
        "hugeint",
    ]
)
"""Names of types that the parser knows, and Trino does not."""

_NODES = (
    exp.ILike, exp.RegexpLike, exp.RegexpILike, exp.Glob, exp.IntDiv, exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor,
    exp.BitwiseNot, exp.BitwiseLeftShift, exp.BitwiseRightShift, exp.JSONExtract, exp.JSONExtractScalar, exp.PropertyEQ,
    exp.WithinGroup, exp.Concat, exp.Pivot, exp.Lock, exp.SimilarTo,
)  # fmt: skip
_ARGUMENTS = {
    exp.Select: ("locks", "kind", "hint"), exp.Union: ("by_name",), exp.Distinct: ("on",), exp.CTE: ("materialized",),
    exp.Between: ("symmetric",), exp.In: ("unnest",), exp.Limit: ("this",), exp.Group: ("rollup", "cube"),
}  # fmt: skip
_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Is)


def refuse(sql: str, tokens: Sequence[Token], tree: exp.Expr) -> None:
    """Refuse a statement with a part that is not of Trino's grammar.

    Raises:
        MalformedQuery: with the place of it.
    """
    for token in _out_of_place(tokens):
        raise MalformedQuery(f"{_place(sql, token.start)}: mismatched input '{sql[token.start : token.end + 1]}'")
    for end in _joins_without_condition(tokens):
        place = _place(sql, len(sql) if end is None else end.start)
        raise MalformedQuery(
            f"{place}: mismatched input '{'<EOF>' if end is None else end.text}'. Expecting: 'ON', 'USING'"
        )
    for _, following in _unknown_types(tokens):
        if following.text == "<":
            raise MalformedQuery(f"{_place(sql, following.start)}: mismatched input '<'. Expecting: '(', ')', 'ARRAY'")
    for node in tree.walk():
        if isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier):
            raise MalformedQuery(f"{_place(sql, _start(node))}: mismatched input in '{_written(sql, node)}'")
        names = _ARGUMENTS.get(type(node), ())
        foreign = isinstance(node, _NODES) or any(node.args.get(name) for name in names)
        # CORRESPONDING is Trino's word for what the parser keeps as BY NAME.
        foreign = foreign and not (isinstance(node, exp.Union) and "CORRESPONDING" in sql.upper())
        if foreign or (isinstance(node, _COMPARISONS) and isinstance(node.this, _COMPARISONS)):
            raise MalformedQuery(f"{_place(sql, _start(node))}: mismatched input in '{_written(sql, node)}'")
        if isinstance(node, exp.Select) and not node.expressions:
            raise MalformedQuery(f"{_place(sql, len(sql))}: mismatched input '<EOF>'")


def refuse_types(sql: str, tokens: Sequence[Token]) -> None:
    """Refuse a statement that names a type which Trino does not have; it parses, and fails when it is run.

    Raises:
        QueryFailed: with the place of it.
    """
    for token in _intervals_without_unit(tokens):
        raise QueryFailed(f"TYPE_NOT_FOUND: {_place(sql, token.start)}: Unknown resolvedType: interval")
    for token, _ in _unknown_types(tokens):
        raise QueryFailed(f"TYPE_MISMATCH: {_place(sql, token.start)}: Unknown type: {token.text.lower()}")


def _place(sql: str, start: int) -> str:
    return f"line {sql.count(chr(10), 0, start) + 1}:{start - sql.rfind(chr(10), 0, start)}"


def _start(node: exp.Expr) -> int:
    return min((part.meta["start"] for part in node.walk() if "start" in part.meta), default=0)


def _written(sql: str, node: exp.Expr) -> str:
    end = max((part.meta["end"] for part in node.walk() if "end" in part.meta), default=len(sql))
    return sql[_start(node) : end + 1]


def _out_of_place(tokens: Sequence[Token]) -> Iterator[Token]:
    """The first token of each thing that Trino does not take."""
    words = [token.text.upper() if token.token_type != TokenType.STRING else "" for token in tokens]
    for index, (token, word) in enumerate(zip(tokens, words, strict=True)):
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        ends = following is None or words[index + 1] in ("FROM", ")")
        text_follows = following is not None and following.token_type == TokenType.STRING
        if word in _OPERATORS and token.token_type not in (TokenType.IDENTIFIER, TokenType.VAR):
            yield token
        elif word == "," and ends:
            yield following or token
        elif word in ("AS", "FROM", "JOIN") and text_follows and following and not _is_no_table(words, index):
            yield following
        elif word in ("LEFT", "RIGHT", "UNNEST") and following and words[index + 1] == "(" and _is_call(words, index):
            yield token
        elif word == "IS" and following:
            after = index + 2 if words[index + 1] == "NOT" else index + 1
            if words[after : after + 1] not in (["NULL"], ["DISTINCT"]):
                yield tokens[min(after, len(tokens) - 1)]
        elif (word == "LIMIT" and words[index + 2 : index + 3] == [","]) or (
            word == "EXTRACT"
            and words[index + 1 : index + 2] == ["("]
            and tokens[index + 2].token_type == TokenType.STRING
        ):
            yield tokens[index + 2]


def _intervals_without_unit(tokens: Sequence[Token]) -> Iterator[Token]:
    """The words INTERVAL that a text follows, and then none of the units."""
    for index, token in enumerate(tokens[:-1]):
        value = index + 2 if tokens[index + 1].text in ("-", "+") else index + 1
        written = [one.token_type for one in tokens[value : value + 1]] == [TokenType.STRING]
        unit = [one.text.upper() for one in tokens[value + 1 : value + 2]]
        if token.token_type == TokenType.INTERVAL and written and not set(unit) & set(_UNITS):
            yield token


def _unknown_types(tokens: Sequence[Token]) -> Iterator[tuple[Token, Token]]:
    """The names of foreign types in CASTs, and what follows each."""
    opened: list[bool] = []
    for before, token, following in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if token.token_type == TokenType.L_PAREN:
            opened.append(before.text.upper() in ("CAST", "TRY_CAST"))
        elif token.token_type == TokenType.R_PAREN and opened:
            opened.pop()
        elif before.token_type == TokenType.ALIAS and opened and opened[-1] and token.text.lower() in _TYPES:
            yield token, following


def _is_no_table(words: Sequence[str], index: int) -> bool:
    """Whether a FROM is of IS DISTINCT FROM, or of a call such as TRIM(x FROM y)."""
    if words[index] != "FROM" or words[index - 1] == "DISTINCT":
        return words[index] == "FROM"
    depth = 0
    for at in range(index - 1, 0, -1):
        depth += (words[at] == ")") - (words[at] == "(")
        if depth < 0:
            return words[at - 1] in ("TRIM", "EXTRACT", "SUBSTRING", "OVERLAY", "POSITION")
    return False


def _is_call(words: Sequence[str], index: int) -> bool:
    """Whether a name is called where an expression may stand: UNNEST also stands where a table does."""
    return words[index] != "UNNEST" or words[index - 1] not in ("FROM", "JOIN", ",") or words[:index].count("FROM") == 0


_ENDS_JOINS = (
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "WINDOW",
    ",",
)


def _joins_without_condition(tokens: Sequence[Token]) -> Iterator[Token | None]:
    """What stands where the ON or USING of a JOIN should."""
    waiting = [0]
    for index, token in enumerate(tokens):
        word = "" if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER) else token.text.upper()
        if word == "(":
            waiting.append(0)
        elif word == "JOIN" and tokens[index - 1].text.upper() not in ("CROSS", "NATURAL"):
            waiting[-1] += 1
        elif word in ("ON", "USING"):
            waiting[-1] -= 1
        elif word in (*_ENDS_JOINS, ")"):
            if waiting[-1] > 0:
                yield token
            if word == ")" and len(waiting) > 1:
                waiting.pop()
            else:
                waiting[-1] = 0
    if waiting[-1] > 0:
        yield None
