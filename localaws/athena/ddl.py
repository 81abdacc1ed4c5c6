"""Catalog statements: databases, tables, views, partitions, SHOW and DESCRIBE."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from localaws.athena import statements
from localaws.athena.catalog import Catalog, Table
from localaws.athena.errors import QueryFailed
from localaws.athena.results import Column, text_columns
from localaws.athena.storage import Storage, folder
from localaws.athena.types import Type
from localaws.athena.writing import partition_location


@dataclass(frozen=True)
class Answer:
    """Lines of text under columns; a line's fields are separated by tabs."""

    columns: list[Column]
    lines: list[str]


NOTHING = Answer([], [])


class CatalogStatements:
    """Runs catalog statements for one query.

    Args:
        database: the query's own, for unqualified names.
    """

    def __init__(self, catalog: Catalog, storage: Storage, database: str) -> None:
        self.catalog, self.storage, self.database = catalog, storage, database
        self._runners: dict[type, Callable[[Any], Answer]] = {
            statements.CreateDatabase: self._create_database,
            statements.DropDatabase: self._drop_database,
            statements.CreateTable: self._create_table,
            statements.DropTable: self._drop_table,
            statements.DropView: self._drop_view,
            statements.RepairTable: self._repair,
            statements.AddPartitions: self._add_partitions,
            statements.DropPartitions: self._drop_partitions,
            statements.SetLocation: self._set_location,
            statements.SetProperties: self._set_properties,
            statements.AddColumns: self._add_columns,
            statements.Show: self._show,
            statements.Describe: self._describe,
        }

    def handles(self, statement: statements.Statement) -> bool:
        return type(statement) in self._runners

    def run(self, statement: statements.Statement) -> Answer:
        """Run one statement.

        Raises:
            QueryFailed: when it cannot be done, or the caller may not.
        """
        return self._runners[type(statement)](statement)

    def qualified(self, name: statements.Name) -> tuple[str, str]:
        return name[0] or self.database, name[1]

    def require_table(self, name: statements.Name) -> Table:
        """The table of that name.

        Raises:
            QueryFailed: when there is none.
        """
        database, table_name = self.qualified(name)
        self.catalog.require_database(database)
        table = self.catalog.table(database, table_name)
        if table is None:
            raise QueryFailed(f"TABLE_NOT_FOUND: Table '{database}.{table_name}' does not exist")
        return table

    # Databases

    def _create_database(self, statement: statements.CreateDatabase) -> Answer:
        if self.catalog.has_database(statement.name):
            if statement.if_not_exists:
                return NOTHING
            raise QueryFailed(
                f"FAILED: Execution Error: AlreadyExistsException: Database {statement.name} already exists"
            )
        self.catalog.create_database(statement.name, statement.comment, statement.location, statement.properties)
        return NOTHING

    def _drop_database(self, statement: statements.DropDatabase) -> Answer:
        if not self.catalog.has_database(statement.name):
            if statement.if_exists:
                return NOTHING
            raise QueryFailed(f"FAILED: SemanticException: Database does not exist: {statement.name}")
        if self.catalog.tables(statement.name) and not statement.cascade:
            raise QueryFailed(
                f"FAILED: Execution Error: InvalidOperationException: Database {statement.name} is not empty. "
                "One or more tables exist."
            )
        self.catalog.drop_database(statement.name)
        return NOTHING

    # Tables and views

    def _create_table(self, statement: statements.CreateTable) -> Answer:
        database, name = self.qualified(statement.name)
        self.catalog.require_database(database)
        if str(statement.table_input["Parameters"].get("table_type", "")).lower() == "iceberg":
            raise QueryFailed("NOT_SUPPORTED: Iceberg tables")
        if not statement.table_input["StorageDescriptor"].get("Location"):
            raise QueryFailed("FAILED: SemanticException: No location specified for external table")
        if self.catalog.table(database, name) is not None:
            if statement.if_not_exists:
                return NOTHING
            raise QueryFailed(f"FAILED: Execution Error: AlreadyExistsException: Table {name} already exists")
        self.catalog.create_table(database, statement.table_input)
        return NOTHING

    def _drop_table(self, statement: statements.DropTable) -> Answer:
        return self._drop(statement.name, statement.if_exists, view=False)

    def _drop_view(self, statement: statements.DropView) -> Answer:
        return self._drop(statement.name, statement.if_exists, view=True)

    def _drop(self, written: statements.Name, if_exists: bool, view: bool) -> Answer:
        database, name = self.qualified(written)
        table = self.catalog.table(database, name) if self.catalog.has_database(database) else None
        kind = "View" if view else "Table"
        if table is None:
            if if_exists:
                return NOTHING
            raise QueryFailed(
                f"{kind.upper()}_NOT_FOUND: {kind} '{database}.{name}' does not exist".replace("VIEW_", "TABLE_")
            )
        if table.is_view != view:
            raise QueryFailed(
                f"TABLE_NOT_FOUND: '{database}.{name}' is a {'view' if table.is_view else 'table'}: "
                f"use DROP {'VIEW' if table.is_view else 'TABLE'}"
            )
        self.catalog.drop_table(database, name)
        return NOTHING

    def _set_properties(self, statement: statements.SetProperties) -> Answer:
        table = self.require_table(statement.name)
        parameters = {**(table.raw.get("Parameters") or {}), **statement.properties}
        self.catalog.update_table(table.database, {**_input(table), "Parameters": parameters})
        return NOTHING

    def _add_columns(self, statement: statements.AddColumns) -> Answer:
        table = self.require_table(statement.name)
        known = {name for name, _ in table.all_columns}
        added = [{**column, "Name": column["Name"].lower()} for column in statement.columns]
        if repeated := [column["Name"] for column in added if column["Name"] in known]:
            raise QueryFailed(f"FAILED: Execution Error: Duplicate column name: {repeated[0]}")
        storage = table.raw["StorageDescriptor"]
        changed = {**storage, "Columns": [*storage["Columns"], *added]}
        self.catalog.update_table(table.database, {**_input(table), "StorageDescriptor": changed})
        return NOTHING

    # Partitions

    def _values(self, table: Table, spec: statements.PartitionSpec) -> tuple[str, ...]:
        keys = [name for name, _ in table.keys]
        if sorted(spec) != sorted(keys):
            raise QueryFailed(
                f"FAILED: SemanticException: partition spec {spec} does not match the partition keys {keys}"
            )
        return tuple(spec[key] for key in keys)

    def _add_partitions(self, statement: statements.AddPartitions) -> Answer:
        table = self.require_table(statement.name)
        known = {partition.values for partition in self.catalog.partitions(table)}
        names = tuple(name for name, _ in table.keys)
        added = []
        for spec, location in statement.partitions:
            values = self._values(table, spec)
            if values in known:
                if statement.if_not_exists:
                    continue
                raise QueryFailed("FAILED: Execution Error: AlreadyExistsException: Partition already exists")
            added.append((values, location or partition_location(table.location, names, values)))
        if added:
            self.catalog.add_partitions(table, added)
        return NOTHING

    def _drop_partitions(self, statement: statements.DropPartitions) -> Answer:
        table = self.require_table(statement.name)
        known = {partition.values for partition in self.catalog.partitions(table)}
        for spec in statement.partitions:
            values = self._values(table, spec)
            if values in known:
                self.catalog.drop_partition(table, values)
            elif not statement.if_exists:
                raise QueryFailed(f"FAILED: SemanticException: Partition not found {spec}")
        return NOTHING

    def _set_location(self, statement: statements.SetLocation) -> Answer:
        table = self.require_table(statement.name)
        folder(statement.location)
        if statement.partition is None:
            storage = {**table.raw["StorageDescriptor"], "Location": statement.location}
            self.catalog.update_table(table.database, {**_input(table), "StorageDescriptor": storage})
            return NOTHING
        values = self._values(table, statement.partition)
        if values not in {partition.values for partition in self.catalog.partitions(table)}:
            raise QueryFailed(f"FAILED: SemanticException: Partition not found {statement.partition}")
        self.catalog.move_partition(table, values, statement.location)
        return NOTHING

    def _repair(self, statement: statements.RepairTable) -> Answer:
        """Register the Hive-style folders below the table's location that are not registered yet."""
        table = self.require_table(statement.name)
        known = {partition.values for partition in self.catalog.partitions(table)}
        bucket, prefix = folder(table.location)
        found: dict[tuple[str, ...], str] = {}
        for stored in self.storage.list(table.location):
            parts = stored.key[len(prefix) :].split("/")[:-1]
            named = [part.partition("=") for part in parts[: len(table.keys)]]
            if [name.lower() for name, _, _ in named] == [name for name, _ in table.keys]:
                path = "/".join(parts[: len(table.keys)])
                found[tuple(unquote(value) for _, _, value in named)] = f"s3://{bucket}/{prefix}{path}"
        missing = [(values, location) for values, location in sorted(found.items()) if values not in known]
        if missing:
            self.catalog.add_partitions(table, missing)
        names = [f"{table.name}:{_path(table, values)}" for values, _ in missing]
        if not names:
            return Answer(text_columns("result"), [])
        lines = [f"Partitions not in metastore:\t{' '.join(names)}"]
        return Answer(
            text_columns("result"), lines + [f"Repair: Added partition to metastore {name}" for name in names]
        )

    # SHOW and DESCRIBE

    def _show(self, statement: statements.Show) -> Answer:
        what = statement.what
        if what == "DATABASES":
            return Answer(text_columns("database_name"), _matching(self.catalog.databases(), statement.pattern))
        if what in ("TABLES", "VIEWS"):
            database = statement.name[0] if statement.name else self.database
            self.catalog.require_database(database or "")
            raws = self.catalog.tables(database or "")
            names = [raw["Name"] for raw in raws if what == "TABLES" or raw.get("TableType") == "VIRTUAL_VIEW"]
            return Answer(
                text_columns("tab_name" if what == "TABLES" else "views"), _matching(names, statement.pattern)
            )
        table = self.require_table(statement.name or (None, ""))
        if what == "COLUMNS":
            return Answer(text_columns("field"), [f"{name:<20}" for name, _ in table.all_columns])
        if what == "PARTITIONS":
            if not table.keys:
                raise QueryFailed(f"FAILED: Execution Error: Table {table.name} is not a partitioned table")
            paths = [_path(table, partition.values) for partition in self.catalog.partitions(table)]
            return Answer(text_columns("partition"), paths)
        if what == "TBLPROPERTIES":
            parameters = table.raw.get("Parameters") or {}
            return Answer(text_columns("prpt_name", "prpt_value"), [f"{k}\t{v}" for k, v in sorted(parameters.items())])
        if (what == "CREATE VIEW") != table.is_view:
            raise QueryFailed(
                f"NOT_SUPPORTED: SHOW {what} of '{table.name}', which is a {'view' if table.is_view else 'table'}"
            )
        if table.is_view:
            sql = f"CREATE VIEW {table.database}.{table.name} AS\n{table.view()['originalSql']}"
            return Answer(text_columns("Create View"), sql.split("\n"))
        return Answer(text_columns("createtab_stmt"), _create_statement(table))

    def _describe(self, statement: statements.Describe) -> Answer:
        table = self.require_table(statement.name)

        def line(name: str, kind: Type) -> str:
            spelled = str(kind) if table.is_view else kind.hive
            return f"{name:<20}\t{spelled:<20}\t{_comment(table, name):<20}"

        lines = [line(name, kind) for name, kind in table.all_columns]
        if table.keys:
            lines += ["", "# Partition Information", f"{'# col_name':<20}\t{'data_type':<20}\t{'comment':<20}", ""]
            lines += [line(name, kind) for name, kind in table.keys]
        return Answer(text_columns("col_name", "data_type", "comment"), lines)


def _input(table: Table) -> dict[str, Any]:
    """The table as the input of an UpdateTable."""
    fields = ("Name", "Description", "Owner", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")
    return {field: table.raw[field] for field in fields if field in table.raw}


def _comment(table: Table, name: str) -> str:
    columns = [*table.raw["StorageDescriptor"].get("Columns", []), *(table.raw.get("PartitionKeys") or [])]
    return next((str(column.get("Comment") or "") for column in columns if column["Name"].lower() == name), "")


def _path(table: Table, values: tuple[str, ...]) -> str:
    return "/".join(f"{name}={value}" for (name, _), value in zip(table.keys, values, strict=True))


def _matching(names: list[str], pattern: str | None) -> list[str]:
    """Names that match a Hive pattern: ``*`` is anything, ``|`` separates alternatives."""
    if pattern is None:
        return names
    expression = "|".join(
        ".*".join(re.escape(part) for part in alternative.replace("%", "*").split("*"))
        for alternative in pattern.split("|")
    )
    return [name for name in names if re.fullmatch(expression, name, re.IGNORECASE)]


def _create_statement(table: Table) -> list[str]:
    storage = table.raw["StorageDescriptor"]
    serde = storage.get("SerdeInfo") or {}
    lines = [f"CREATE EXTERNAL TABLE `{table.database}.{table.name}`("]
    lines += _column_lines(table, table.columns)
    if table.keys:
        lines += ["PARTITIONED BY ( ", *_column_lines(table, table.keys)]
    lines += ["ROW FORMAT SERDE ", f"  '{serde.get('SerializationLibrary', '')}' "]
    if serde.get("Parameters"):
        pairs = [f"  '{name}'='{value}'" for name, value in sorted(serde["Parameters"].items())]
        lines += ["WITH SERDEPROPERTIES ( ", *_joined(pairs)]
    lines += ["STORED AS INPUTFORMAT ", f"  '{storage.get('InputFormat', '')}' "]
    lines += ["OUTPUTFORMAT ", f"  '{storage.get('OutputFormat', '')}'", "LOCATION", f"  '{table.location}'"]
    properties = [f"  '{name}'='{value}'" for name, value in sorted((table.raw.get("Parameters") or {}).items())]
    return [*lines, "TBLPROPERTIES (", *_joined(properties)]


def _column_lines(table: Table, columns: list[tuple[str, Type]]) -> list[str]:
    def line(name: str, kind: Type) -> str:
        comment = _comment(table, name)
        return f"  `{name}` {kind.hive}" + (f" COMMENT '{comment}'" if comment else "")

    return _joined([line(name, kind) for name, kind in columns])


def _joined(lines: list[str]) -> list[str]:
    return [f"{line}{')' if index == len(lines) - 1 else ', '}" for index, line in enumerate(lines)]
