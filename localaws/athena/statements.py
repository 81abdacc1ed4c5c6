"""What kind of statement a text is, and its parts. Queries inside are parsed; catalog statements are read here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ministack.services import athena as ministack_athena
from sqlglot import exp

from localaws.athena.errors import MalformedQuery
from localaws.athena.syntax import blank, parse_query

# ministack's reader of SQL tokens, and its reader of CREATE TABLE and DROP TABLE.
Cursor = ministack_athena._Cursor
Name = tuple[str | None, str]
"""Database (None for the query's own) and table, in lower case."""

PartitionSpec = dict[str, str]


@dataclass(frozen=True)
class Statement:
    """A statement: its text, and the two types that GetQueryExecution reports."""

    type: ClassVar[str] = "DDL"
    substatement: ClassVar[str] = ""
    sql: str


@dataclass(frozen=True)
class Select(Statement):
    type: ClassVar[str] = "DML"
    substatement: ClassVar[str] = "SELECT"
    query: exp.Expr


@dataclass(frozen=True)
class Explain(Statement):
    type: ClassVar[str] = "UTILITY"
    substatement: ClassVar[str] = "EXPLAIN"
    query: exp.Expr
    validate: bool


@dataclass(frozen=True)
class CreateTableAs(Statement):
    substatement: ClassVar[str] = "CREATE_TABLE_AS_SELECT"
    name: Name
    if_not_exists: bool
    properties: dict[str, Any]
    query: exp.Expr
    with_data: bool


@dataclass(frozen=True)
class Insert(Statement):
    type: ClassVar[str] = "DML"
    substatement: ClassVar[str] = "INSERT"
    name: Name
    columns: list[str]
    query: exp.Expr


@dataclass(frozen=True)
class Unload(Statement):
    type: ClassVar[str] = "DML"
    substatement: ClassVar[str] = "UNLOAD"
    query: exp.Expr
    location: str
    properties: dict[str, Any]


@dataclass(frozen=True)
class CreateView(Statement):
    substatement: ClassVar[str] = "CREATE_VIEW"
    name: Name
    replace: bool
    text: str
    query: exp.Expr


@dataclass(frozen=True)
class DropView(Statement):
    substatement: ClassVar[str] = "DROP_VIEW"
    name: Name
    if_exists: bool


@dataclass(frozen=True)
class CreateTable(Statement):
    substatement: ClassVar[str] = "CREATE_TABLE"
    name: Name
    if_not_exists: bool
    table_input: dict[str, Any]


@dataclass(frozen=True)
class DropTable(Statement):
    substatement: ClassVar[str] = "DROP_TABLE"
    name: Name
    if_exists: bool


@dataclass(frozen=True)
class CreateDatabase(Statement):
    substatement: ClassVar[str] = "CREATE_DATABASE"
    name: str
    if_not_exists: bool
    comment: str
    location: str | None
    properties: dict[str, str]


@dataclass(frozen=True)
class DropDatabase(Statement):
    substatement: ClassVar[str] = "DROP_DATABASE"
    name: str
    if_exists: bool
    cascade: bool


@dataclass(frozen=True)
class RepairTable(Statement):
    substatement: ClassVar[str] = "MSCK_REPAIR_TABLE"
    name: Name


@dataclass(frozen=True)
class AddPartitions(Statement):
    substatement: ClassVar[str] = "ALTER_TABLE_ADD_PARTITION"
    name: Name
    if_not_exists: bool
    partitions: list[tuple[PartitionSpec, str | None]]


@dataclass(frozen=True)
class DropPartitions(Statement):
    substatement: ClassVar[str] = "ALTER_TABLE_DROP_PARTITION"
    name: Name
    if_exists: bool
    partitions: list[PartitionSpec]


@dataclass(frozen=True)
class SetLocation(Statement):
    """Of a partition, or of the table itself when `partition` is None."""

    substatement: ClassVar[str] = "ALTER_TABLE_SET_LOCATION"
    name: Name
    partition: PartitionSpec | None
    location: str


@dataclass(frozen=True)
class SetProperties(Statement):
    substatement: ClassVar[str] = "ALTER_TABLE_SET_TBLPROPERTIES"
    name: Name
    properties: dict[str, str]


@dataclass(frozen=True)
class AddColumns(Statement):
    substatement: ClassVar[str] = "ALTER_TABLE_ADD_COLUMNS"
    name: Name
    columns: list[dict[str, str]]


@dataclass(frozen=True)
class Show(Statement):
    """`what` is DATABASES, TABLES, VIEWS, PARTITIONS, COLUMNS, CREATE TABLE, CREATE VIEW or TBLPROPERTIES."""

    type: ClassVar[str] = "UTILITY"
    what: str
    name: Name | None = None
    pattern: str | None = None

    @property
    def substatement(self) -> str:  # type: ignore[override]
        return f"SHOW_{self.what.replace(' ', '_')}"


@dataclass(frozen=True)
class Describe(Statement):
    type: ClassVar[str] = "UTILITY"
    substatement: ClassVar[str] = "DESCRIBE_TABLE"
    name: Name


@dataclass(frozen=True)
class Prepare(Statement):
    substatement: ClassVar[str] = "PREPARE"
    name: str
    text: str


@dataclass(frozen=True)
class Execute(Statement):
    type: ClassVar[str] = "DML"
    substatement: ClassVar[str] = "EXECUTE"
    name: str
    parameters: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Deallocate(Statement):
    substatement: ClassVar[str] = "DEALLOCATE"
    name: str


@dataclass(frozen=True)
class Unsupported(Statement):
    """A statement that Athena has for other table formats, and that fails when it runs."""

    type: ClassVar[str] = "DML"
    reason: str


def parse(sql: str) -> Statement:
    """The statement that a text is.

    Raises:
        MalformedQuery: when it is none, with the place where it stops making sense.
    """
    sql = re.sub(r"[;\s]+$", "", sql)
    cursor = Cursor(sql)
    if not cursor.tokens:
        raise MalformedQuery("line 1:1: mismatched input '<EOF>'. Expecting a statement")
    word = cursor.tokens[0][1].lower()
    reader = _READERS.get(word)
    if reader is not None and cursor.tokens[0][0] == "name":
        return reader(cursor, sql)
    if cursor.tokens[0][0] == "name" and word not in ("select", "with", "values", "table"):
        raise _mismatch(cursor, sql)
    return Select(sql, parse_query(sql))


def _mismatch(cursor: Any, sql: str) -> MalformedQuery:
    _, text, start, _ = cursor.peek()
    start = len(sql) if start is None else start
    line = sql.count("\n", 0, start) + 1
    column = start - sql.rfind("\n", 0, start)
    return MalformedQuery(f"line {line}:{column}: mismatched input '{text or '<EOF>'}'")


def _need(found: Any, cursor: Any, sql: str) -> Any:
    if found is None or found is False or found == []:
        raise _mismatch(cursor, sql)
    return found


def _end(cursor: Any, sql: str) -> None:
    if not cursor.at_end():
        raise _mismatch(cursor, sql)


def _table_name(cursor: Any, sql: str) -> Name:
    _, database, table = _need(cursor.dotted_name(3), cursor, sql)
    return (database.lower() if database else None), table.lower()


def _query_from(cursor: Any, sql: str, end: int | None = None) -> exp.Expr:
    """The query that begins at the cursor, with its place in the whole text kept."""
    start = cursor.peek()[2]
    if start is None:
        raise _mismatch(cursor, sql)
    text = blank(sql, 0, start)
    return parse_query(text if end is None else blank(text, end, len(text)))


def _properties(cursor: Any, sql: str) -> dict[str, Any]:
    """``( name = 'value' | number | true | ARRAY['a', ...], ... )``."""
    _need(cursor.punct("("), cursor, sql)
    properties: dict[str, Any] = {}
    while True:
        name = _need(cursor.identifier(), cursor, sql).lower()
        _need(cursor.punct("="), cursor, sql)
        if cursor.keywords("array"):
            _need(cursor.punct("["), cursor, sql)
            values = []
            while not cursor.punct("]"):
                values.append(_need(cursor.string(), cursor, sql))
                cursor.punct(",")
            properties[name] = values
        else:
            kind, text, _, _ = cursor.peek()
            value = cursor.string() if kind == "str" else text
            if kind != "str":
                cursor.advance()
            properties[name] = _need(value, cursor, sql)
        if cursor.punct(")"):
            return properties
        _need(cursor.punct(","), cursor, sql)


def _create(cursor: Any, sql: str) -> Statement:
    cursor.advance()
    replace = cursor.keywords("or", "replace")
    if cursor.keywords("view") or cursor.keywords("protected", "multi", "dialect", "view"):
        name = _table_name(cursor, sql)
        _need(cursor.keywords("as"), cursor, sql)
        query = _query_from(cursor, sql)
        return CreateView(sql, name, replace, sql[cursor.peek()[2] :], query)
    if replace:
        raise _mismatch(cursor, sql)
    if cursor.keywords("database") or cursor.keywords("schema"):
        return _create_database(cursor, sql)
    if cursor.keywords("table"):
        if_not_exists = cursor.keywords("if", "not", "exists")
        name = _table_name(cursor, sql)
        properties = _properties(cursor, sql) if cursor.keywords("with") else {}
        if cursor.keywords("as"):
            tail = re.search(r"\bwith\s+(no\s+)?data$", sql, re.IGNORECASE)
            query = _query_from(cursor, sql, tail.start() if tail else None)
            return CreateTableAs(sql, name, if_not_exists, properties, query, not (tail and tail.group(1)))
    return _create_table(sql)


def _create_database(cursor: Any, sql: str) -> Statement:
    if_not_exists = cursor.keywords("if", "not", "exists")
    name = _need(cursor.identifier(), cursor, sql).lower()
    comment, location = "", None
    properties: dict[str, str] = {}
    while not cursor.at_end():
        if cursor.keywords("comment"):
            comment = _need(cursor.string(), cursor, sql)
        elif cursor.keywords("location"):
            location = _need(cursor.string(), cursor, sql)
        elif cursor.keywords("with", "dbproperties"):
            properties = _properties_of_hive(cursor, sql)
        else:
            raise _mismatch(cursor, sql)
    return CreateDatabase(sql, name, if_not_exists, comment, location, properties)


def _properties_of_hive(cursor: Any, sql: str) -> dict[str, str]:
    """``( 'name' = 'value', ... )``."""
    return dict(_need(ministack_athena._property_list(cursor), cursor, sql))


def _create_table(sql: str) -> Statement:
    created = ministack_athena._parse_ddl(sql)
    if not isinstance(created, ministack_athena._CreateTable):
        raise MalformedQuery(f"line 1:8: mismatched input in CREATE TABLE: {sql}")
    if not created.external and not created.iceberg:
        raise MalformedQuery("External keyword required for table type HIVE")
    table_input = ministack_athena._create_table_input(created)
    table_input["Name"] = created.table.lower()
    for column in [*table_input["StorageDescriptor"]["Columns"], *table_input["PartitionKeys"]]:
        column["Name"] = column["Name"].lower()
    database = created.database.lower() if created.database else None
    return CreateTable(sql, (database, created.table.lower()), created.if_not_exists, table_input)


def _drop(cursor: Any, sql: str) -> Statement:
    cursor.advance()
    kind = _need(cursor.name(), cursor, sql)
    if_exists = cursor.keywords("if", "exists")
    statement: Statement
    if kind in ("database", "schema"):
        name = _need(cursor.identifier(), cursor, sql).lower()
        cascade = cursor.keywords("cascade")
        cursor.keywords("restrict")
        statement = DropDatabase(sql, name, if_exists, cascade)
    elif kind == "view":
        statement = DropView(sql, _table_name(cursor, sql), if_exists)
    elif kind == "table":
        statement = DropTable(sql, _table_name(cursor, sql), if_exists)
    else:
        raise _mismatch(cursor, sql)
    _end(cursor, sql)
    return statement


def _insert(cursor: Any, sql: str) -> Statement:
    cursor.advance()
    _need(cursor.keywords("into"), cursor, sql)
    name = _table_name(cursor, sql)
    columns: list[str] = []
    here = cursor.i
    if cursor.punct("("):
        if cursor.peek()[1] in ("select", "with", "values", "("):
            cursor.i = here
        else:
            while not cursor.punct(")"):
                columns.append(_need(cursor.identifier(), cursor, sql).lower())
                cursor.punct(",")
    return Insert(sql, name, columns, _query_from(cursor, sql))


def _unload(cursor: Any, sql: str) -> Statement:
    cursor.advance()
    _need(cursor.punct("("), cursor, sql)
    first = cursor.i
    cursor.skip_group()
    end = cursor.tokens[cursor.i - 1][2]
    _need(cursor.keywords("to"), cursor, sql)
    location = _need(cursor.string(), cursor, sql)
    _need(cursor.keywords("with"), cursor, sql)
    properties = _properties(cursor, sql)
    _end(cursor, sql)
    cursor.i = first
    return Unload(sql, _query_from(cursor, sql, end), location, properties)


def _msck(cursor: Any, sql: str) -> Statement:
    _need(cursor.keywords("msck", "repair", "table"), cursor, sql)
    statement = RepairTable(sql, _table_name(cursor, sql))
    _end(cursor, sql)
    return statement


def _partition_spec(cursor: Any, sql: str) -> PartitionSpec:
    _need(cursor.keywords("partition"), cursor, sql)
    _need(cursor.punct("("), cursor, sql)
    spec: PartitionSpec = {}
    while True:
        name = _need(cursor.identifier(), cursor, sql).lower()
        _need(cursor.punct("="), cursor, sql)
        kind, text, _, _ = cursor.peek()
        value = cursor.string()
        if value is None and kind == "number":
            cursor.advance()
            value = text
        spec[name] = _need(value, cursor, sql)
        if cursor.punct(")"):
            return spec
        _need(cursor.punct(","), cursor, sql)


def _alter(cursor: Any, sql: str) -> Statement:
    _need(cursor.keywords("alter", "table"), cursor, sql)
    name = _table_name(cursor, sql)
    statement: Statement
    if cursor.keywords("add", "columns"):
        statement = AddColumns(sql, name, _need(ministack_athena._column_list(cursor), cursor, sql))
    elif cursor.keywords("add"):
        if_not_exists = cursor.keywords("if", "not", "exists")
        partitions = []
        while not cursor.at_end():
            spec = _partition_spec(cursor, sql)
            partitions.append((spec, _need(cursor.string(), cursor, sql) if cursor.keywords("location") else None))
        statement = AddPartitions(sql, name, if_not_exists, _need(partitions, cursor, sql))
    elif cursor.keywords("drop"):
        if_exists = cursor.keywords("if", "exists")
        specs = [_partition_spec(cursor, sql)]
        while cursor.punct(","):
            specs.append(_partition_spec(cursor, sql))
        statement = DropPartitions(sql, name, if_exists, specs)
    elif cursor.keywords("set", "tblproperties"):
        statement = SetProperties(sql, name, _properties_of_hive(cursor, sql))
    else:
        moved = _partition_spec(cursor, sql) if cursor.peek()[1] == "partition" else None
        _need(cursor.keywords("set", "location"), cursor, sql)
        statement = SetLocation(sql, name, moved, _need(cursor.string(), cursor, sql))
    _end(cursor, sql)
    return statement


def _pattern(cursor: Any, sql: str) -> str | None:
    return _need(cursor.string(), cursor, sql) if cursor.keywords("like") else cursor.string()


def _show(cursor: Any, sql: str) -> Statement:
    cursor.advance()
    word = _need(cursor.name(), cursor, sql)
    name: Name | None = None
    if word in ("databases", "schemas"):
        statement = Show(sql, "DATABASES", None, _pattern(cursor, sql))
    elif word in ("tables", "views"):
        if cursor.keywords("in") or cursor.keywords("from"):
            name = (_need(cursor.identifier(), cursor, sql).lower(), "")
        statement = Show(sql, word.upper(), name, _pattern(cursor, sql))
    elif word == "columns":
        _need(cursor.keywords("in") or cursor.keywords("from"), cursor, sql)
        name = _table_name(cursor, sql)
        if cursor.keywords("in") or cursor.keywords("from"):
            name = (_need(cursor.identifier(), cursor, sql).lower(), name[1])
        statement = Show(sql, "COLUMNS", name)
    elif word == "create":
        kind = _need(cursor.name() in ("table", "view") and cursor.tokens[cursor.i - 1][1], cursor, sql)
        statement = Show(sql, f"CREATE {kind.upper()}", _table_name(cursor, sql))
    elif word in ("partitions", "tblproperties"):
        statement = Show(sql, word.upper(), _table_name(cursor, sql))
    else:
        cursor.i -= 1
        raise _mismatch(cursor, sql)
    _end(cursor, sql)
    return statement


def _describe(cursor: Any, sql: str) -> Statement:
    cursor.advance()
    if cursor.keywords("formatted") or cursor.keywords("extended"):
        return Unsupported(sql, "DESCRIBE EXTENDED and DESCRIBE FORMATTED")
    statement = Describe(sql, _table_name(cursor, sql))
    _end(cursor, sql)
    return statement


def _explain(cursor: Any, sql: str) -> Statement:
    cursor.advance()
    if cursor.keywords("analyze"):
        return Unsupported(sql, "EXPLAIN ANALYZE")
    validate = False
    if cursor.punct("("):
        here = cursor.i
        cursor.skip_group()
        options = [text for _, text, _, _ in cursor.tokens[here : cursor.i - 1]]
        validate = options == ["type", "validate"]
        if not validate and options not in (["type", "logical"], ["type", "distributed"], ["format", "text"]):
            return Unsupported(sql, f"EXPLAIN ({' '.join(options)})")
    return Explain(sql, _query_from(cursor, sql), validate)


def _prepare(cursor: Any, sql: str) -> Statement:
    cursor.advance()
    name = _need(cursor.identifier(), cursor, sql)
    _need(cursor.keywords("from"), cursor, sql)
    return Prepare(sql, name, sql[_need(cursor.peek()[2], cursor, sql) :])


def _execute(cursor: Any, sql: str) -> Statement:
    cursor.advance()
    name = _need(cursor.identifier(), cursor, sql)
    if not cursor.keywords("using"):
        _end(cursor, sql)
        return Execute(sql, name)
    start = _need(cursor.peek()[2], cursor, sql)
    listed = parse_query(f"SELECT {sql[start:]}")
    if not isinstance(listed, exp.Select) or [part for part, value in listed.args.items() if value] != ["expressions"]:
        raise MalformedQuery(f"line 1:1: USING takes values only: {sql}")
    return Execute(sql, name, [part.sql(dialect="trino") for part in listed.expressions])


def _deallocate(cursor: Any, sql: str) -> Statement:
    _need(cursor.keywords("deallocate", "prepare"), cursor, sql)
    statement = Deallocate(sql, _need(cursor.identifier(), cursor, sql))
    _end(cursor, sql)
    return statement


def _row_change(_: Any, sql: str) -> Statement:
    return Unsupported(sql, "Modifying Hive table rows is only supported for transactional tables")


def _maintenance(cursor: Any, sql: str) -> Statement:
    return Unsupported(sql, f"{cursor.peek()[1].upper()} is only supported for Iceberg tables")


_READERS: dict[str, Callable[[Any, str], Statement]] = {
    "create": _create, "drop": _drop, "insert": _insert, "unload": _unload, "msck": _msck, "alter": _alter,
    "show": _show, "describe": _describe, "desc": _describe, "explain": _explain, "prepare": _prepare,
    "execute": _execute, "deallocate": _deallocate, "delete": _row_change, "update": _row_change,
    "merge": _row_change, "optimize": _maintenance, "vacuum": _maintenance,
}  # fmt: skip
