"""Trino queries to DuckDB SQL: SELECT, set operations, joins, views, and what of the tables they need."""

# ruff: noqa: S608 - SQL is what this writes: names and values in it are quoted
from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sqlglot import exp

from localaws.athena import metadata, types
from localaws.athena.catalog import Catalog, Table
from localaws.athena.compiler import ExpressionCompiler
from localaws.athena.errors import QueryFailed, not_supported
from localaws.athena.expressions import Field, Output, Relation, Typed, Uses, combine
from localaws.athena.foreign import refuse_types
from localaws.athena.nodes import refuse_unread
from localaws.athena.relations import HIDDEN_COLUMNS
from localaws.athena.scans import Predicate, Scan
from localaws.athena.scope import Scope
from localaws.athena.syntax import AthenaSql, parse_query, position
from localaws.athena.types import BIGINT, Type, quote

_MAX_VIEW_DEPTH = 20


@dataclass(frozen=True)
class _Cte:
    query: exp.Query
    columns: list[str]
    ctes: dict[str, _Cte]


@dataclass
class _From:
    """The FROM clause being compiled."""

    sql: str = ""
    fields: list[Field] = field(default_factory=list)
    required: Uses = frozenset()


@dataclass
class Session:
    """What the compilers of one statement and of the views in it share."""

    catalog: Catalog
    now: dt.datetime
    scans: list[Scan] = field(default_factory=list)
    aliases: int = 0

    def alias(self, name: str) -> str:
        """A DuckDB alias that no other relation of the statement has."""
        self.aliases += 1
        return f"{name} {self.aliases}"


class QueryCompiler:
    """Compiles the queries of one text: a statement's, or a view's.

    Args:
        sql: the text.
        database: where unqualified table names are looked up.
        depth: how many views are around it.
    """

    def __init__(self, sql: str, database: str, session: Session, depth: int = 0) -> None:
        self.sql, self.database, self.session, self.depth = sql, database, session, depth
        self.expressions = ExpressionCompiler(sql, self, session.now)
        self._ctes: dict[str, _Cte] = {}

    def compile(self, node: exp.Expr) -> Relation:
        """Compile the query that the text is, or has in it.

        Raises:
            QueryFailed: when Athena would refuse it, or it cannot be run here as a whole.
        """
        refuse_types(self.sql, AthenaSql().tokenize(self.sql))
        refuse_unread(self.sql, node)
        return self.query(node)

    def query(self, node: exp.Expr, parent: Scope | None = None) -> Relation:
        """Compile one query of the text, in sight of the columns of `parent`.

        Raises:
            QueryFailed: when Athena would refuse it, or it cannot be run here.
        """
        saved = self._ctes
        try:
            self._ctes = self._with(node, saved)
            if isinstance(node, exp.SetOperation):
                return self._set_operation(node, parent)
            if isinstance(node, exp.Select):
                return self._select(node, parent)
            if isinstance(node, exp.Values):
                return self._values(node, parent)
            if isinstance(node, exp.Subquery):
                return self._ordered(self.query(node.this, parent), node)
            raise not_supported(f"{position(self.sql, node)}: {node.sql(dialect='trino')}")
        finally:
            self._ctes = saved

    def subquery(self, node: exp.Expr, scope: Scope, columns: int | None = 1) -> Typed:
        """A subquery of an expression, as the values of its one column."""
        relation = self.query(node, scope)
        if columns is not None and len(relation.columns) != columns:
            raise self._fail(
                "SYNTAX_ERROR",
                node,
                f"Multiple columns returned by subquery are not yet supported. Found {len(relation.columns)}",
            )
        uses = relation.required.union(*(column.uses for column in relation.columns))
        return Typed(relation.sql, relation.columns[0].type, uses, pure=False)

    def _fail(self, code: str, node: exp.Expr | None, message: str) -> QueryFailed:
        return self.expressions.fail(code, node, message)

    def _with(self, node: exp.Expr, known: dict[str, _Cte]) -> dict[str, _Cte]:
        clause = node.args.get("with_")
        if clause is None:
            return known
        if clause.args.get("recursive"):
            raise not_supported("WITH RECURSIVE")
        ctes = dict(known)
        for cte in clause.expressions:
            columns = [column.name.lower() for column in cte.args["alias"].columns]
            ctes[cte.alias.lower()] = _Cte(cte.this, columns, dict(ctes))
        return ctes

    # SELECT

    def _select(self, node: exp.Select, parent: Scope | None) -> Relation:
        source = self._from(node, parent)
        scope = Scope(source.fields, parent)
        windows = {window.name.lower(): window for window in node.args.get("windows") or []}
        with _Windows(self, windows):
            return self._select_from(node, source, scope)

    def _select_from(self, node: exp.Select, source: _From, scope: Scope) -> Relation:
        required = source.required
        where = []
        if clause := node.args.get("where"):
            for condition in _conjuncts(clause.this):
                typed = self.expressions.boolean(condition, scope, "WHERE clause")
                if typed.aggregate or typed.window:
                    raise self._fail(
                        "EXPRESSION_NOT_SCALAR",
                        condition,
                        "WHERE clause cannot contain aggregations, window functions or grouping operations",
                    )
                where.append(typed)
                required |= typed.uses
            _choose_partitions(where, scope.fields)
        grouping, keys = self._group_by(node, scope)
        scope = replace(scope, keys=frozenset(key.sql for key in keys))
        required = required.union(*(key.uses for key in keys))
        items = self._items(node, scope)
        having = (
            self.expressions.boolean(node.args["having"].this, scope, "HAVING clause")
            if node.args.get("having")
            else None
        )
        values = [item for _, item in items]
        distinct = node.args.get("distinct")
        order, ordering = self._order_by(node, scope, items, distinct is not None)
        grouped = (
            bool(keys)
            or bool(node.args.get("group"))
            or having is not None
            or any(value.aggregate for value in [*values, *ordering])
        )
        for value in [*values, *ordering, *([having] if having else [])] if grouped else []:
            if value.bare:
                written = value.bare[0].sql(dialect="trino")
                raise self._fail(
                    "EXPRESSION_NOT_AGGREGATE",
                    value.bare[0],
                    f"'{written}' must be an aggregate expression or appear in GROUP BY clause",
                )
        limit = self._limit(node)
        for value in [*ordering, *([having] if having else []), *(values if distinct is not None else [])]:
            required |= value.uses
        plain = not grouped and distinct is None and not limit and not any(value.window for value in values)
        outputs = _outputs(items, plain)
        selected = ", ".join(f"{value.sql} AS {quote(out.column)}" for value, out in zip(values, outputs, strict=True))
        sql = f"SELECT {'DISTINCT ' if distinct is not None else ''}{selected}"
        sql += f" FROM {source.sql}" if source.sql else ""
        sql += f" WHERE {' AND '.join(condition.sql for condition in where)}" if where else ""
        sql += f" GROUP BY {grouping}" if grouping else ""
        sql += f" HAVING {having.sql}" if having else ""
        return Relation(sql + order + limit, outputs, required)

    def _items(self, node: exp.Select, scope: Scope) -> list[tuple[str | None, Typed]]:
        items: list[tuple[str | None, Typed]] = []
        for item in node.expressions:
            star = item.this if isinstance(item, exp.Column) else item
            if isinstance(star, exp.Star) and (star.args.get("except_") or star.args.get("replace")):
                raise self._fail("SYNTAX_ERROR", item, "* takes neither EXCEPT nor REPLACE")
            if isinstance(item, exp.Star):
                if not scope.fields:
                    raise self._fail("COLUMN_NOT_FOUND", item, "SELECT * not allowed in queries without FROM clause")
                items += [(one.name or None, self._field(one, scope)) for one in scope.fields if not _hidden(one)]
            elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
                qualifier = ".".join(part.name.lower() for part in item.parts[:-1])
                found = [one for one in scope.fields if qualifier in one.relations and not _hidden(one)]
                if not found:
                    raise self._fail("TABLE_NOT_FOUND", item, f"Unable to resolve reference {qualifier}")
                items += [(one.name or None, self._field(one, scope)) for one in found]
            else:
                items.append((_name_of(item), self.expressions.compile(item.unalias(), scope)))
        return items

    def _field(self, one: Field, scope: Scope) -> Typed:
        bare = () if one.sql in scope.keys else (exp.column(one.name),)
        return Typed(one.sql, one.type, one.uses, frozenset({one}), bare)

    def _group_by(self, node: exp.Select, scope: Scope) -> tuple[str, list[Typed]]:
        clause = node.args.get("group")
        if clause is None:
            return "", []
        keys: list[Typed] = []

        def key(part: exp.Expr, of_sets: bool = False) -> str:
            if isinstance(part, exp.Tuple) or (isinstance(part, exp.Paren) and not of_sets):
                inner = [part.this] if isinstance(part, exp.Paren) else part.expressions
                return f"({', '.join(key(each, of_sets) for each in inner)})"
            for kind, word in ((exp.GroupingSets, "GROUPING SETS"), (exp.Rollup, "ROLLUP"), (exp.Cube, "CUBE")):
                if isinstance(part, kind):
                    return f"{word} ({', '.join(key(each, True) for each in part.expressions)})"
            if of_sets and isinstance(part, exp.Paren):
                return f"({key(part.this, True)})"
            if of_sets and not isinstance(part, (exp.Column, exp.Dot)):
                written = part.sql(dialect="trino")
                message = f"GROUP BY expression must be a column reference: {written}"
                raise self._fail("INVALID_COLUMN_REFERENCE", part, message)
            if isinstance(part, exp.Literal) and not part.is_string:
                part = self._ordinal(part, node.expressions, "GROUP BY").unalias()
            typed = self.expressions.compile(part, scope)
            if typed.aggregate or typed.window:
                raise self._fail(
                    "EXPRESSION_NOT_SCALAR",
                    part,
                    "GROUP BY clause cannot contain aggregations, window functions or grouping operations",
                )
            keys.append(typed)
            return typed.sql

        grouping = ", ".join(key(part) for part in clause.expressions)
        return grouping, keys

    def _ordinal(self, literal: exp.Literal, items: list[exp.Expr], clause: str) -> exp.Expr:
        number = int(literal.name)
        if not 1 <= number <= len(items):
            raise self._fail("INVALID_COLUMN_REFERENCE", literal, f"{clause} position {number} is not in select list")
        return items[number - 1]

    def _order_by(
        self, node: exp.Expr, scope: Scope, items: list[tuple[str | None, Typed]], distinct: bool
    ) -> tuple[str, list[Typed]]:
        clause = node.args.get("order")
        if clause is None:
            return "", []
        aliases: dict[str, Typed] = {}
        for name, item in items:
            if name is not None:
                aliases.setdefault(name.lower(), item)
        scope = replace(scope, aliases=aliases)
        terms, parts = [], []
        for term in clause.expressions:
            written = term.this
            if isinstance(written, exp.Literal) and not written.is_string:
                number = int(written.name)
                if not 1 <= number <= len(items):
                    raise self._fail(
                        "INVALID_COLUMN_REFERENCE", written, f"ORDER BY position {number} is not in select list"
                    )
                typed = items[number - 1][1]
            else:
                typed = self.expressions.compile(written, scope)
            chosen = next((index for index, (_, item) in enumerate(items, 1) if item.sql == typed.sql), None)
            if chosen is None and distinct:
                raise self._fail(
                    "EXPRESSION_NOT_IN_DISTINCT",
                    written,
                    "For SELECT DISTINCT, ORDER BY expressions must appear in select list",
                )
            terms.append(f"{chosen or typed.sql}{_direction(term)}")
            parts.append(typed)
        return f" ORDER BY {', '.join(terms)}", parts

    def _limit(self, node: exp.Expr) -> str:
        sql = ""
        limit, offset = node.args.get("limit"), node.args.get("offset")
        if isinstance(limit, exp.Fetch):
            sql = f" LIMIT {self._count(limit.args.get('count') or exp.Literal.number(1))}"
        elif limit is not None and not (isinstance(limit.expression, exp.Var) and limit.expression.name == "ALL"):
            sql = f" LIMIT {self._count(limit.expression)}"
        return sql + (f" OFFSET {self._count(offset.expression)}" if offset is not None else "")

    def _count(self, node: exp.Expr) -> int:
        if not isinstance(node, exp.Literal) or not node.name.isdigit():
            raise self._fail("SYNTAX_ERROR", node, "LIMIT and OFFSET must be whole numbers")
        return int(node.name)

    # Windows and ordering inside calls

    def window(self, node: exp.Window, scope: Scope) -> tuple[str, list[Typed]]:
        """The OVER clause of a window call as DuckDB SQL, and the expressions in it."""
        partition, order, spec = node.args.get("partition_by") or [], node.args.get("order"), node.args.get("spec")
        name = node.alias.lower() if node.args.get("alias") is not None else ""
        known = self._windows
        while name:
            if name not in known:
                raise self._fail("INVALID_WINDOW_REFERENCE", node, f"Cannot resolve WINDOW name {name}")
            named = known[name]
            # A named window may begin with another one, of those written before it.
            known = {one: known[one] for one in list(known)[: list(known).index(name)]}
            if partition:
                message = "WINDOW specification with named WINDOW reference cannot specify PARTITION BY"
                raise self._fail("INVALID_PARTITION_BY", node, message)
            if order and named.args.get("order"):
                message = "Cannot specify ORDER BY if referenced named WINDOW specifies ORDER BY"
                raise self._fail("INVALID_ORDER_BY", node, message)
            if (order or spec) and named.args.get("spec"):
                message = "Cannot reference named WINDOW containing frame specification"
                raise self._fail("INVALID_WINDOW_REFERENCE", node, message)
            partition = named.args.get("partition_by") or []
            order, spec = order or named.args.get("order"), spec or named.args.get("spec")
            name = named.alias.lower() if named.args.get("alias") is not None else ""
        parts = [self.expressions.compile(part, scope) for part in partition]
        sql = f"PARTITION BY {', '.join(part.sql for part in parts)}" if parts else ""
        if order is not None:
            terms, ordering = self.ordering(order, scope)
            sql, parts = sql + terms, [*parts, *ordering]
        if spec is not None:
            sql += self._frame(spec, scope)
        return f" OVER ({sql.strip()})", parts

    _windows: dict[str, exp.Window] = {}  # noqa: RUF012 - replaced as a whole by _Windows

    def _frame(self, spec: exp.WindowSpec, scope: Scope) -> str:
        def bound(side: str) -> str:
            value, direction = spec.args[side], spec.args.get(f"{side}_side") or ""
            amount = value if isinstance(value, str) else self.expressions.compile(value, scope).sql
            return f"{amount} {direction}".strip()

        end = bound("end") if spec.args.get("end") else "CURRENT ROW"
        return f" {spec.args['kind']} BETWEEN {bound('start')} AND {end}"

    def ordering(self, clause: exp.Order, scope: Scope) -> tuple[str, list[Typed]]:
        """An ORDER BY inside a call or window as DuckDB SQL, and the expressions in it."""
        parts = [self.expressions.compile(term.this, scope) for term in clause.expressions]
        terms = [f"{part.sql}{_direction(term)}" for part, term in zip(parts, clause.expressions, strict=True)]
        return f" ORDER BY {', '.join(terms)}", parts

    # FROM

    def _from(self, node: exp.Select, parent: Scope | None) -> _From:
        clause = node.args.get("from_")
        if clause is None:
            return _From()
        source = self._item(clause.this, parent, _From())
        for join in node.args.get("joins") or []:
            source = self._join(source, join, parent)
        return source

    def _join(self, left: _From, join: exp.Join, parent: Scope | None) -> _From:
        side, kind = (join.side or "").upper(), (join.kind or "").upper()
        if kind not in (("", "OUTER") if side else ("", "INNER", "CROSS")):
            raise not_supported(f"{position(self.sql, join)}: {side} {kind} JOIN")
        right = self._item(join.this, parent, left)
        required = left.required | right.required
        on, using = join.args.get("on"), join.args.get("using")
        fields = left.fields + right.fields
        conditional = on is not None or bool(using)
        if conditional == (kind == "CROSS") and (conditional or side or kind == "INNER"):
            message = "CROSS JOIN takes no condition" if conditional else f"{side or kind} JOIN needs ON or USING"
            raise self._fail("SYNTAX_ERROR", join, message)
        if isinstance(join.this, exp.Unnest):
            if conditional and on != exp.true():
                words = f"{side or 'INNER'} JOIN involving UNNEST is only supported with condition ON TRUE"
                raise not_supported(f"{position(self.sql, join)}: {words}")
            keyword = f"{side} JOIN" if side else "CROSS JOIN"
            condition = " ON true" if side else ""
            return _From(f"{left.sql} {keyword} {right.sql}{condition}", fields, required)
        if not conditional:
            return _From(f"{left.sql} CROSS JOIN {right.sql}", fields, required)
        if on is None:
            condition, fields, uses = self._using(left, right, [name.name.lower() for name in using or []], join, side)
            required |= uses
        else:
            conditions = [
                self.expressions.boolean(part, Scope(fields, parent), "JOIN ON clause") for part in _conjuncts(on)
            ]
            required = required.union(*(part.uses for part in conditions))
            _choose_partitions(conditions, {"": fields, "LEFT": right.fields, "RIGHT": left.fields}.get(side, []))
            condition = " AND ".join(part.sql for part in conditions)
        optional = {"LEFT": right.fields, "RIGHT": left.fields, "FULL": left.fields + right.fields}.get(side, [])
        fields = [replace(one, origin=None) if one in optional else one for one in fields]
        return _From(f"{left.sql} {side} JOIN {right.sql} ON {condition}", fields, required)

    def _using(
        self, left: _From, right: _From, names: list[str], join: exp.Join, side: str
    ) -> tuple[str, list[Field], Uses]:
        merged: list[Field] = []
        conditions: list[str] = []
        uses: Uses = frozenset()
        for name in names:
            pair = []
            for source in (left, right):
                found = Scope(source.fields).find([name])
                if found is None:
                    raise self._fail("COLUMN_NOT_FOUND", join, f"Column '{name}' is missing from one side of the join")
                pair.append(found[0])
            a, b = pair
            kind = types.common(a.type, b.type)
            if kind is None:
                raise self._fail(
                    "TYPE_MISMATCH", join, f"Column types of '{name}' cannot be compared: {a.type} vs {b.type}"
                )
            conditions.append(f"CAST({a.sql} AS {kind.duckdb}) = CAST({b.sql} AS {kind.duckdb})")
            value = {"RIGHT": b.sql, "FULL": f"coalesce({a.sql}, {b.sql})"}.get(side, a.sql)
            uses |= a.uses | b.uses
            merged.append(Field(name, (), "", f"CAST({value} AS {kind.duckdb})", kind, a.uses | b.uses))
        rest = [one for one in left.fields + right.fields if one.name not in names]
        return " AND ".join(conditions), merged + rest, uses

    def _item(self, node: exp.Expr, parent: Scope | None, left: _From) -> _From:
        if isinstance(node, exp.Table):
            return self._table(node)
        if isinstance(node, exp.Unnest):
            return self._unnest(node, Scope(left.fields, parent))
        if isinstance(node, exp.Subquery) and isinstance(node.this, (exp.Query, exp.Values)):
            inner = self.query(node)
            return self._derived(inner, node.alias.lower(), node)
        if isinstance(node, exp.Values):
            return self._derived(self._values(node, None), node.alias.lower(), node)
        if isinstance(node, exp.Lateral) and isinstance(node.this, exp.Subquery):
            beside = self._derived(self.query(node.this, Scope(left.fields, parent)), node.alias.lower(), node)
            return replace(beside, sql=f"LATERAL {beside.sql}")
        raise not_supported(f"{position(self.sql, node)}: {node.sql(dialect='trino')} in FROM")

    def _derived(self, relation: Relation, name: str, node: exp.Expr, database: str = "") -> _From:
        columns = [column.name.lower() for column in _column_aliases(node)]
        if columns and len(columns) != len(relation.columns):
            raise self._fail(
                "MISMATCHED_COLUMN_ALIASES",
                node,
                f"Column alias list has {len(columns)} entries but '{name}' has {len(relation.columns)} columns "
                "available",
            )
        alias = self.session.alias(name or "subquery")
        qualifiers = (name, f"{database}.{name}", f"awsdatacatalog.{database}.{name}") if database else (name,)
        fields = [
            Field(
                columns[index] if columns else (out.name or "").lower(),
                qualifiers if name else (), alias, out.column, out.type, out.uses, out.origin,
            )
            for index, out in enumerate(relation.columns)
        ]  # fmt: skip
        return _From(f"({relation.sql}) AS {quote(alias)}", fields, relation.required)

    def _table(self, node: exp.Table) -> _From:
        if not isinstance(node.this, exp.Identifier):
            raise not_supported(f"{position(self.sql, node)}: table function {node.sql(dialect='trino')}")
        database, name = (node.db or self.database).lower(), node.name.lower()
        alias = node.alias.lower()
        if node.catalog and node.catalog.lower() != "awsdatacatalog":
            raise self._fail("CATALOG_NOT_FOUND", node, f"Catalog '{node.catalog.lower()}' not found")
        cte = None if node.db else self._ctes.get(name)
        if cte is not None:
            return self._cte(cte, alias or name, node)
        qualified = "" if alias else database
        if database == "information_schema":
            return self._derived(
                _literal(metadata.information_schema(self.session.catalog, name, self._fail, node)),
                alias or name,
                node,
                qualified,
            )
        if name.endswith("$partitions"):
            table = self._require(database, name.removesuffix("$partitions"), node)
            return self._derived(
                _literal(metadata.partitions(self.session.catalog, table)), alias or name, node, qualified
            )
        table = self._require(database, name, node)
        if table.is_view:
            return self._derived(self._view(table, node), alias or name, node, qualified)
        scan = Scan(table, f"scan_{len(self.session.scans)}")
        self.session.scans.append(scan)
        keys = {key for key, _ in table.keys}
        outputs = [
            Output(column, column, kind, frozenset({(scan, column)}), (scan, column) if column in keys else None)
            for column, kind in table.all_columns
        ]
        source = self._derived(Relation(f"SELECT * FROM {scan.name}", outputs), alias or name, node, qualified)
        first = source.fields[0]
        hidden = [
            Field(column, first.relations, first.alias, column, kind, frozenset({(scan, column)}))
            for column, kind in HIDDEN_COLUMNS
        ]  # fmt: skip
        return replace(source, fields=source.fields + hidden)

    def _cte(self, cte: _Cte, name: str, node: exp.Expr) -> _From:
        saved, self._ctes = self._ctes, cte.ctes
        try:
            relation = self.query(cte.query)
        finally:
            self._ctes = saved
        if cte.columns:
            if len(cte.columns) != len(relation.columns):
                raise self._fail(
                    "MISMATCHED_COLUMN_ALIASES",
                    node,
                    f"WITH column list has {len(cte.columns)} entries but query returns {len(relation.columns)}",
                )
            named = [replace(out, name=alias) for out, alias in zip(relation.columns, cte.columns, strict=True)]
            relation = replace(relation, columns=named)
        return self._derived(relation, name, node)

    def _require(self, database: str, name: str, node: exp.Expr) -> Table:
        if not database:
            raise self._fail("MISSING_SCHEMA_NAME", node, "Schema must be specified when session schema is not set")
        if not self.session.catalog.has_database(database):
            raise self._fail("SCHEMA_NOT_FOUND", node, f"Schema '{database}' does not exist")
        table = self.session.catalog.table(database, name)
        if table is None:
            raise self._fail("TABLE_NOT_FOUND", node, f"Table 'awsdatacatalog.{database}.{name}' does not exist")
        return table

    def _view(self, view: Table, node: exp.Expr) -> Relation:
        if self.depth >= _MAX_VIEW_DEPTH:
            raise self._fail("VIEW_IS_RECURSIVE", node, f"Statement stack is too deep: '{view.database}.{view.name}'")
        definition = view.view()
        sql, declared = definition["originalSql"], definition["columns"]
        inner = QueryCompiler(sql, definition.get("schema") or view.database, self.session, self.depth + 1)
        relation = inner.compile(parse_query(sql))
        stale = f"View 'awsdatacatalog.{view.database}.{view.name}' is stale or in invalid state"
        if len(declared) != len(relation.columns):
            raise self._fail("VIEW_IS_STALE", node, f"{stale}: column count has changed")
        casts, columns = [], []
        for column, out in zip(declared, relation.columns, strict=True):
            kind = types.from_sql(exp.DataType.build(column["type"], dialect="trino"))
            if kind is None or types.common(out.type, kind) is None:
                raise self._fail(
                    "VIEW_IS_STALE",
                    node,
                    f"{stale}: column [{column['name']}] of type {out.type} projected from query view cannot be "
                    f"coerced to column [{column['name']}] of type {column['type']} stored in view definition",
                )
            casts.append(f"CAST({quote(out.column)} AS {kind.duckdb}) AS {quote(column['name'])}")
            columns.append(replace(out, name=column["name"], column=column["name"], type=kind))
        return Relation(f"SELECT {', '.join(casts)} FROM ({relation.sql})", columns, relation.required)

    def _unnest(self, node: exp.Unnest, scope: Scope) -> _From:
        alias_node, ordinality = node.args.get("alias"), node.args.get("offset")
        name = node.alias.lower()
        names = [column.name.lower() for column in (alias_node.columns if alias_node is not None else [])]
        if isinstance(ordinality, exp.Identifier):
            if alias_node is None:
                raise not_supported(f"{position(self.sql, node)}: UNNEST WITH OFFSET")
            names.append(ordinality.name.lower())
        selected, kinds = [], []
        values = [self.expressions.compile(part, scope) for part in node.expressions]
        for value in values:
            if value.type.base == "array" and value.type.args[0].base == "row":
                for number, (field, kind) in enumerate(value.type.args[0].args):
                    member = f"struct_extract(x, {types.text(field or f'field{number}')})"
                    selected.append(f"unnest(list_transform({value.sql}, lambda x: {member}))")
                    kinds.append(kind)
            elif value.type.base == "array":
                selected.append(f"unnest({value.sql})")
                kinds.append(value.type.args[0])
            elif value.type.base == "map":
                selected += [f"unnest(map_keys({value.sql}))", f"unnest(map_values({value.sql}))"]
                kinds += value.type.args
            else:
                raise self._fail("TYPE_MISMATCH", node, f"Cannot unnest type: {value.type}")
        if ordinality:
            sizes = (f"{'cardinality' if one.type.base == 'map' else 'len'}({one.sql})" for one in values)
            selected.append(f"unnest(range(1, CAST(greatest({', '.join(sizes)}) AS BIGINT) + 1))")
            kinds.append(BIGINT)
        if names and len(names) != len(kinds):
            raise self._fail(
                "MISMATCHED_COLUMN_ALIASES",
                node,
                f"Column alias list has {len(names)} entries but '{name}' has {len(kinds)} columns available",
            )
        alias = self.session.alias(name or "unnest")
        columns = [f"c{index}" for index in range(len(kinds))]
        uses: Uses = combine("", BIGINT, values).uses
        fields = [
            Field(
                names[index] if index < len(names) else f"_col{index}",
                (name,) if name else (),
                alias,
                column,
                kind,
                uses,
            )
            for index, (column, kind) in enumerate(zip(columns, kinds, strict=True))
        ]
        items = ", ".join(f"{sql} AS {column}" for sql, column in zip(selected, columns, strict=True))
        return _From(f"LATERAL (SELECT {items}) AS {quote(alias)}", fields, uses)

    # VALUES and set operations

    def _values(self, node: exp.Values, parent: Scope | None) -> Relation:
        scope = Scope([], parent)
        rows = []
        for row in node.expressions:
            is_row = isinstance(row, exp.Tuple) or (isinstance(row, exp.Anonymous) and row.name.lower() == "row")
            inside = row.expressions if is_row else [row.this if isinstance(row, exp.Paren) else row]
            rows.append([self.expressions.compile(part, scope) for part in inside])
        if len({len(row) for row in rows}) != 1:
            raise self._fail("TYPE_MISMATCH", node, "Values rows have mismatched sizes")
        columns = [
            self.expressions.alike(list(column), node, "Values rows have mismatched types")
            for column in zip(*rows, strict=True)
        ]
        names = [f"_col{index}" for index in range(len(columns))]
        listed = ", ".join("(" + ", ".join(value.sql for value in row) + ")" for row in zip(*columns, strict=True))
        outputs = [Output(None, name, column[0].type, frozenset()) for name, column in zip(names, columns, strict=True)]
        casts = ", ".join(f"CAST({quote(out.column)} AS {out.type.duckdb}) AS {quote(out.column)}" for out in outputs)
        sql = f"SELECT {casts} FROM (VALUES {listed}) AS v({', '.join(map(quote, names))})"
        return self._ordered(Relation(sql, outputs), node)

    def _set_operation(self, node: exp.SetOperation, parent: Scope | None) -> Relation:
        left, right = (self.query(side, parent) for side in (node.left, node.right))
        if len(left.columns) != len(right.columns):
            raise self._fail(
                "TYPE_MISMATCH",
                node,
                f"{node.key.upper()} query has different number of fields: {len(left.columns)}, {len(right.columns)}",
            )
        kinds = []
        for index, (a, b) in enumerate(zip(left.columns, right.columns, strict=True), start=1):
            kind = types.common(a.type, b.type)
            if kind is None:
                raise self._fail(
                    "TYPE_MISMATCH",
                    node,
                    f"column {index} in {node.key.upper()} query has incompatible types: {a.type}, {b.type}",
                )
            kinds.append(kind)
        word = node.key.upper() + ("" if node.args.get("distinct") else " ALL")
        sides = [_cast_all(side, kinds, left.columns) for side in (left, right)]
        everything = left.required | right.required
        if word != "UNION ALL":  # rows are compared, so every column is read
            everything = everything.union(*(out.uses for out in [*left.columns, *right.columns]))
        outputs = [
            Output(a.name, a.column, kind, a.uses | b.uses)
            for a, b, kind in zip(left.columns, right.columns, kinds, strict=True)
        ]
        return self._ordered(Relation(f"({sides[0]}) {word} ({sides[1]})", outputs, everything), node)

    def _ordered(self, relation: Relation, node: exp.Expr) -> Relation:
        """A query with the ORDER BY, LIMIT and OFFSET written after it."""
        if not _modified(node):
            return relation
        items = [(out.name, Typed(quote(out.column), out.type, out.uses)) for out in relation.columns]
        order, ordering = self._order_by(node, Scope(), items, distinct=False)
        required = relation.required.union(*(part.uses for part in ordering))
        columns = [replace(out, origin=None) for out in relation.columns]
        return Relation(f"SELECT * FROM ({relation.sql}){order}{self._limit(node)}", columns, required)


class _Windows:
    """The named windows of a SELECT, for as long as it is compiled."""

    def __init__(self, compiler: QueryCompiler, windows: dict[str, exp.Window]) -> None:
        self.compiler, self.windows = compiler, windows

    def __enter__(self) -> None:
        self.saved, self.compiler._windows = self.compiler._windows, self.windows

    def __exit__(self, *_: object) -> None:
        self.compiler._windows = self.saved


def _hidden(one: Field) -> bool:
    return one.name in dict(HIDDEN_COLUMNS)


def _modified(node: exp.Expr) -> bool:
    return any(node.args.get(part) is not None for part in ("order", "limit", "offset"))


def _conjuncts(node: exp.Expr) -> list[exp.Expr]:
    node = node.unnest()
    return (
        [part for side in (node.left, node.right) for part in _conjuncts(side)] if isinstance(node, exp.And) else [node]
    )


def _choose_partitions(conditions: Iterable[Typed], fields: list[Field]) -> None:
    """Give each scan the conditions that concern its partition keys alone."""
    for condition in conditions:
        origins = {one.origin[0] for one in condition.fields if one.origin is not None}
        if condition.pure and len(origins) == 1 and all(one.origin and one in fields for one in condition.fields):
            columns = {one.column: one.origin[1] for one in condition.fields if one.origin is not None}
            alias = next(iter(condition.fields)).alias
            origins.pop().predicates.append(Predicate(condition.sql, alias, columns))


def _direction(term: exp.Expr) -> str:
    first = isinstance(term, exp.Ordered) and term.args.get("nulls_first")
    return f"{' DESC' if term.args.get('desc') else ' ASC'} NULLS {'FIRST' if first else 'LAST'}"


def _name_of(item: exp.Expr) -> str | None:
    if isinstance(item, exp.Alias):
        return item.alias
    if isinstance(item, exp.Column):
        return item.name
    # A field of a row has a name where all that leads to it has one.
    if isinstance(item, exp.Dot) and _name_of(item.this) is not None:
        return item.expression.name
    return None


def _outputs(items: list[tuple[str | None, Typed]], plain: bool) -> list[Output]:
    outputs: list[Output] = []
    taken: set[str] = set()
    for index, (name, value) in enumerate(items):
        column = (name or f"_col{index}").lower()
        while column in taken:
            column += f" {index}"
        taken.add(column)
        only = next(iter(value.fields)) if len(value.fields) == 1 else None
        origin = only.origin if plain and only is not None and only.sql == value.sql else None
        outputs.append(Output(name, column, value.type, value.uses, origin))
    return outputs


def _column_aliases(node: exp.Expr) -> list[exp.Expr]:
    alias = node.args.get("alias")
    return list(alias.columns) if isinstance(alias, exp.TableAlias) else []


def _cast_all(relation: Relation, kinds: list[Type], names: list[Output]) -> str:
    columns = (
        f"CAST({quote(out.column)} AS {kind.duckdb}) AS {quote(name.column)}"
        for out, kind, name in zip(relation.columns, kinds, names, strict=True)
    )
    return f"SELECT {', '.join(columns)} FROM ({relation.sql})"


def _literal(rows: metadata.Rows) -> Relation:
    outputs = [Output(name, name, kind, frozenset()) for name, kind in rows.columns]
    casts = ", ".join(f"CAST({quote(name)} AS {kind.duckdb}) AS {quote(name)}" for name, kind in rows.columns)
    names = ", ".join(quote(name) for name, _ in rows.columns)
    blank = "(" + ", ".join("NULL" for _ in rows.columns) + ")"
    listed = ", ".join("(" + ", ".join(row) + ")" for row in rows.values) or blank
    empty = "" if rows.values else " WHERE false"
    return Relation(f"SELECT {casts} FROM (VALUES {listed}) AS v({names}){empty}", outputs)
