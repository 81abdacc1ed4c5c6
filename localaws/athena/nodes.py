"""What the compiler reads of each kind of syntax node; whatever else a statement puts on one is refused."""

from __future__ import annotations

from sqlglot import exp

from localaws.athena.errors import not_supported
from localaws.athena.syntax import position, written

_BINARY = "this expression"
_CALL = "this expressions"
_QUERY = "with_ order limit offset"

READ: dict[type[exp.Expr], str] = {
    # Queries
    exp.Select: f"{_QUERY} distinct expressions from_ joins where group having windows",
    exp.Union: f"{_QUERY} this expression distinct",
    exp.Except: f"{_QUERY} this expression distinct",
    exp.Intersect: f"{_QUERY} this expression distinct",
    exp.Subquery: f"{_QUERY} this alias",
    exp.Values: "expressions alias order limit offset",
    exp.With: "expressions recursive",
    exp.CTE: "this alias",
    exp.From: "this",
    exp.Table: "this db catalog alias",
    exp.TableAlias: "this columns",
    exp.Unnest: "expressions alias offset",
    exp.Join: "this side kind on using",
    exp.Where: "this",
    exp.Having: "this",
    exp.Group: "expressions",
    exp.Rollup: "expressions",
    exp.Cube: "expressions",
    exp.GroupingSets: "expressions",
    exp.Distinct: "expressions",
    exp.Order: "this expressions",
    exp.Ordered: "this desc nulls_first",
    exp.Limit: "expression",
    exp.Fetch: "direction count limit_options",
    exp.LimitOptions: "rows percent? with_ties?",
    exp.Offset: "expression",
    exp.Alias: "this alias",
    exp.Star: "except_ replace",
    # Names and literals
    exp.Identifier: "this quoted",
    exp.Column: "this table db catalog",
    exp.Dot: _BINARY,
    exp.Var: "this",
    exp.Literal: "this is_string",
    exp.UnicodeString: "this escape",
    exp.HexString: "this",
    exp.Null: "",
    exp.Boolean: "this",
    exp.Interval: "this unit",
    exp.IntervalSpan: _BINARY,
    exp.Lateral: "this alias view? outer? cross_apply?",
    exp.CurrentDate: "",
    exp.CurrentTimestamp: "",
    exp.Localtimestamp: "",
    # Operators; `typed` is always there and says that integers divide to integers
    **dict.fromkeys((exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.And, exp.Or), _BINARY),
    exp.Div: f"{_BINARY} typed safe?",
    exp.DPipe: f"{_BINARY} safe?",
    **dict.fromkeys((exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ), _BINARY),
    exp.Any: "this",
    exp.All: "this",
    exp.Is: _BINARY,
    exp.Like: f"{_BINARY} negate",
    exp.Escape: _BINARY,
    exp.Between: "this low high symmetric?",
    exp.In: "this expressions query",
    exp.Exists: "this",
    exp.Not: "this",
    exp.Neg: "this",
    exp.Paren: "this",
    exp.Tuple: "expressions",
    exp.Array: "expressions value_constructor?",
    exp.Bracket: _CALL,
    exp.AtTimeZone: "this zone",
    exp.Case: "this ifs default",
    exp.If: "this true false",
    # Types and conversions
    exp.Cast: "this to",
    exp.TryCast: "this to safe",
    exp.DataType: "this expressions nested",
    exp.DataTypeParam: "this",
    exp.ColumnDef: "this kind",
    exp.ParseJSON: "this is_literal",
    # Calls
    exp.Anonymous: _CALL,
    exp.Lambda: _CALL,
    exp.Extract: _BINARY,
    exp.Trim: f"{_BINARY} position",
    exp.Substring: "this start length",
    exp.StrPosition: "this substr",
    exp.GroupConcat: "this separator",
    exp.Filter: _BINARY,
    exp.IgnoreNulls: "this",
    exp.RespectNulls: "this",
    exp.Window: "this partition_by order spec alias over",
    exp.WindowSpec: "kind start start_side end end_side",
}
"""The arguments of each class that its handler reads, or that change nothing.

After a name, ``?`` says that the parser writes False there for what is not written; anything else is refused. Other
arguments may not be there at all, not even as False: in GROUP BY DISTINCT the parser keeps DISTINCT as ``all=False``.
"""


def refuse_unread(sql: str, tree: exp.Expr) -> None:
    """Refuse a statement of which a part would be dropped.

    Args:
        sql: the statement's text.
        tree: what it was parsed to.

    Raises:
        QueryFailed: when a node is of a class, or has an argument, that no handler reads.
    """
    for node in tree.walk():
        names = READ.get(type(node))
        if names is None:
            raise not_supported(f"{position(sql, node)}: {node.key.upper()}: {written(sql, node)}")
        read = names.split()
        for name, value in node.args.items():
            unwritten = value is None or value == [] or (value is False and f"{name}?" in read)
            if not unwritten and name not in read:
                words = f"{name.strip('_').upper()} of {node.key.upper()}"
                raise not_supported(f"{position(sql, node)}: {words}: {written(sql, node)}")
