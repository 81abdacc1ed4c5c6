"""Tables that describe the catalog: information_schema and ``"table$partitions"``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from localaws.athena.catalog import Catalog, Columns, Table
from localaws.athena.errors import QueryFailed
from localaws.athena.types import BIGINT, VARCHAR, text


@dataclass(frozen=True)
class Rows:
    """Columns, and rows of SQL literals."""

    columns: Columns
    values: list[list[str]]


def information_schema(
    catalog: Catalog, name: str, fail: Callable[[str, exp.Expr | None, str], QueryFailed], node: exp.Expr
) -> Rows:
    """``information_schema.schemata``, ``tables``, ``views`` or ``columns``.

    Raises:
        QueryFailed: for another name.
    """
    databases = catalog.databases()
    if name == "schemata":
        columns = [("catalog_name", VARCHAR), ("schema_name", VARCHAR)]
        return Rows(columns, [_texts("awsdatacatalog", database) for database in databases])
    tables = [(database, raw) for database in databases for raw in catalog.tables(database)]
    named = [("table_catalog", VARCHAR), ("table_schema", VARCHAR), ("table_name", VARCHAR)]
    if name in ("tables", "views"):
        values = []
        for database, raw in tables:
            view = raw.get("TableType") == "VIRTUAL_VIEW"
            if name == "tables":
                values.append(_texts("awsdatacatalog", database, raw["Name"], "VIEW" if view else "BASE TABLE"))
            elif view:
                described = catalog.table(database, raw["Name"])
                sql = described.view()["originalSql"] if described is not None else ""
                values.append(_texts("awsdatacatalog", database, raw["Name"], sql))
        return Rows([*named, ("table_type" if name == "tables" else "view_definition", VARCHAR)], values)
    if name == "columns":
        values = []
        for database, raw in tables:
            described = catalog.table(database, raw["Name"])
            for index, (column, kind) in enumerate(described.all_columns if described else [], start=1):
                place = _texts("awsdatacatalog", database, raw["Name"], column)
                values.append([*place, str(index), "NULL", *_texts("YES", str(kind))])
        extra = [("column_name", VARCHAR), ("ordinal_position", BIGINT), ("column_default", VARCHAR)]
        return Rows([*named, *extra, ("is_nullable", VARCHAR), ("data_type", VARCHAR)], values)
    raise fail("TABLE_NOT_FOUND", node, f"Table 'awsdatacatalog.information_schema.{name}' does not exist")


def partitions(catalog: Catalog, table: Table) -> Rows:
    """``"table$partitions"``: one row for each registered partition."""
    values = [
        [text(value) for value in partition.values]
        for partition in catalog.partitions(table)
    ]  # fmt: skip
    return Rows(table.keys, values)


def _texts(*values: str) -> list[str]:
    return [text(value) for value in values]
