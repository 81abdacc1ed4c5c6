"""The Glue Data Catalog as a query sees it: databases, tables, views, partitions, with the caller's permissions."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ministack.services import glue

from localaws.athena import types
from localaws.athena.access import Caller
from localaws.athena.errors import QueryFailed, not_supported
from localaws.athena.types import Type

Columns = list[tuple[str, Type]]
_VIEW_PREFIX, _VIEW_SUFFIX = "/* Presto View: ", " */"


@dataclass(frozen=True)
class Serde:
    """How files are written: a format (``parquet``, ``json``, ``opencsv``, ``lazysimple``) and its parameters."""

    format: str
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str, default: str) -> str:
        return dict(self.parameters).get(name, default)


@dataclass(frozen=True)
class Partition:
    """A registered partition: its values, in the order of the table's keys, where its files are, and their columns."""

    values: tuple[str, ...]
    location: str
    serde: Serde
    columns: Columns = field(hash=False)


@dataclass(frozen=True)
class Table:
    """A table or view of the catalog."""

    database: str
    name: str
    columns: Columns = field(hash=False)
    keys: Columns = field(hash=False)
    raw: dict[str, Any] = field(hash=False, repr=False)

    @property
    def is_view(self) -> bool:
        return self.raw.get("TableType") == "VIRTUAL_VIEW"

    @property
    def location(self) -> str:
        return str((self.raw.get("StorageDescriptor") or {}).get("Location") or "")

    @property
    def serde(self) -> Serde:
        return serde_of(self.raw.get("StorageDescriptor") or {}, self.raw.get("Parameters") or {})

    @property
    def all_columns(self) -> Columns:
        """Columns of the files, then partition keys: the order of ``SELECT *``."""
        return [*self.columns, *self.keys]

    def view(self) -> dict[str, Any]:
        """The definition of a view: ``originalSql``, ``catalog``, ``schema`` and ``columns``.

        Raises:
            QueryFailed: when it is not a view that Athena can read.
        """
        encoded = str(self.raw.get("ViewOriginalText") or "")
        if not encoded.startswith(_VIEW_PREFIX):
            raise QueryFailed(f"INVALID_VIEW: View '{self.database}.{self.name}' was not created by Athena")
        definition: dict[str, Any] = json.loads(base64.b64decode(encoded[len(_VIEW_PREFIX) : -len(_VIEW_SUFFIX)]))
        return definition


_SERDES = (
    ("parquet", "parquet"), ("opencsv", "opencsv"), ("lazysimple", "lazysimple"), ("openx.data.jsonserde", "json"),
    ("hcatalog.data.jsonserde", "json"), ("hive.serde2.jsonserde", "json"),
)  # fmt: skip


_TEXT_PROPERTIES = ("skip.header.line.count", "skip.footer.line.count", "serialization.null.format")
"""What a table's properties may say of its text files, too."""


def serde_of(storage: dict[str, Any], table_parameters: dict[str, str]) -> Serde:
    """The format that a Glue storage descriptor names.

    Raises:
        QueryFailed: for a format that cannot be read here (ORC, Avro, Iceberg, ...).
    """
    info = storage.get("SerdeInfo") or {}
    if str(table_parameters.get("table_type", "")).lower() == "iceberg":
        raise not_supported("Iceberg tables")
    library = str(info.get("SerializationLibrary") or storage.get("InputFormat") or "").lower()
    for part, name in _SERDES:
        if part in library:
            own = {key: str(value) for key, value in (info.get("Parameters") or {}).items()}
            relevant = {key: str(value) for key, value in table_parameters.items() if key in _TEXT_PROPERTIES}
            properties = {**relevant, **own}
            if properties.get("skip.footer.line.count", "0") != "0":
                raise not_supported("skip.footer.line.count")
            return Serde(name, tuple(sorted(properties.items())))
    raise not_supported(f"table format {library or 'without a SerDe'}")


class Catalog:
    """Glue through the eyes of one caller."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def databases(self) -> list[str]:
        """The names of the databases that the caller may see."""
        self.caller.require_glue("GetDatabases")
        return sorted(name for name in glue._databases if self.caller.may_see("GetDatabases", f"database/{name}"))

    def has_database(self, name: str) -> bool:
        return name in glue._databases

    def require_database(self, name: str) -> None:
        """Raises QueryFailed when the database does not exist, or the caller may not see it."""
        self.caller.require_glue("GetDatabase", name)
        if not self.has_database(name):
            raise QueryFailed(f"SCHEMA_NOT_FOUND: Schema '{name}' does not exist")

    def table(self, database: str, name: str) -> Table | None:
        """A table or view by its name, or None."""
        self.caller.require_glue("GetTable", database, name)
        raw = glue._tables.get(f"{database}/{name}")
        if raw is None:
            return None
        return Table(
            database,
            name,
            _columns((raw.get("StorageDescriptor") or {}).get("Columns")),
            _columns(raw.get("PartitionKeys")),
            raw,
        )

    def tables(self, database: str) -> list[dict[str, Any]]:
        """Every table of a database that the caller may see, as Glue holds it, by name."""
        self.caller.require_glue("GetTables", database)
        prefix = f"{database}/"
        found = [
            raw
            for key, raw in list(glue._tables.items())
            if key.startswith(prefix) and self.caller.may_see("GetTables", f"table/{key}")
        ]
        return sorted(found, key=lambda raw: str(raw["Name"]))

    def partitions(self, table: Table) -> list[Partition]:
        """The registered partitions of a table, by value; a partition may lie anywhere.

        Raises:
            QueryFailed: when the table's are not registered but projected, from its properties.
        """
        self.caller.require_glue("GetPartitions", table.database, table.name)
        if str((table.raw.get("Parameters") or {}).get("projection.enabled", "")).lower() == "true":
            raise not_supported(f"partition projection, of {table.database}.{table.name}")
        found = []
        for raw in list(glue._partitions.get(f"{table.database}/{table.name}") or []):
            storage = raw.get("StorageDescriptor") or {}
            own_format = storage.get("SerdeInfo") or storage.get("InputFormat")
            serde = serde_of(storage, table.raw.get("Parameters") or {}) if own_format else table.serde
            location = storage.get("Location") or f"{table.location.rstrip('/')}/{self._path(table, raw['Values'])}"
            columns = _columns(storage.get("Columns"))
            found.append(Partition(tuple(map(str, raw["Values"])), location, serde, columns))
        return sorted(found, key=lambda partition: partition.values)

    def _path(self, table: Table, values: list[str]) -> str:
        return "/".join(f"{name}={value}" for (name, _), value in zip(table.keys, values, strict=True))

    def create_database(self, name: str, comment: str, location: str | None, properties: dict[str, str]) -> None:
        database = {"Name": name, "Description": comment, "LocationUri": location, "Parameters": properties}
        self._change("CreateDatabase", glue._create_database, {"DatabaseInput": database}, name)

    def drop_database(self, name: str) -> None:
        self._change("DeleteDatabase", glue._delete_database, {"Name": name}, name)

    def create_table(self, database: str, table_input: dict[str, Any]) -> None:
        request = {"DatabaseName": database, "TableInput": table_input}
        self._change("CreateTable", glue._create_table, request, database, table_input["Name"])

    def update_table(self, database: str, table_input: dict[str, Any]) -> None:
        request = {"DatabaseName": database, "TableInput": table_input}
        self._change("UpdateTable", glue._update_table, request, database, table_input["Name"])

    def drop_table(self, database: str, name: str) -> None:
        self._change("DeleteTable", glue._delete_table, {"DatabaseName": database, "Name": name}, database, name)

    def add_partitions(self, table: Table, partitions: list[tuple[tuple[str, ...], str]]) -> None:
        """Register (values, location) pairs; their format is the table's."""
        storage = table.raw["StorageDescriptor"]
        request = {
            "DatabaseName": table.database,
            "TableName": table.name,
            "PartitionInputList": [
                {"Values": list(values), "StorageDescriptor": {**storage, "Location": location}, "Parameters": {}}
                for values, location in partitions
            ],
        }
        self._change("BatchCreatePartition", glue._batch_create_partition, request, table.database, table.name)

    def move_partition(self, table: Table, values: tuple[str, ...], location: str) -> None:
        """Point a registered partition at another location; what else is known of it stays."""
        partitions = glue._partitions.get(f"{table.database}/{table.name}") or []
        (known,) = (raw for raw in list(partitions) if tuple(map(str, raw["Values"])) == values)
        storage = {**known["StorageDescriptor"], "Location": location}
        partition = {
            "Values": list(values),
            "StorageDescriptor": storage,
            "Parameters": known.get("Parameters") or {},
        }
        request = {
            "DatabaseName": table.database,
            "TableName": table.name,
            "Entries": [{"PartitionValueList": list(values), "PartitionInput": partition}],
        }
        self._change("UpdatePartition", glue._batch_update_partition, request, table.database, table.name)

    def drop_partition(self, table: Table, values: tuple[str, ...]) -> None:
        request = {"DatabaseName": table.database, "TableName": table.name, "PartitionValues": list(values)}
        self._change("DeletePartition", glue._delete_partition, request, table.database, table.name)

    def _change(
        self,
        action: str,
        handler: Callable[[dict[str, Any]], tuple[int, dict[str, str], bytes]],
        request: dict[str, Any],
        database: str,
        table: str | None = None,
    ) -> None:
        self.caller.require_glue(action, database, table)
        status, _, body = handler(request)
        answer = json.loads(body or b"{}")
        errors = [entry["ErrorDetail"]["ErrorMessage"] for entry in answer.get("Errors") or []]
        if status >= 300 or errors:
            raise QueryFailed(f"HIVE_METASTORE_ERROR: {answer.get('message') or '; '.join(errors)}")


def _columns(raw: list[dict[str, str]] | None) -> Columns:
    return [(column["Name"].lower(), types.from_hive(column.get("Type") or "string")) for column in raw or []]


def view_input(name: str, sql: str, database: str, columns: Columns) -> dict[str, Any]:
    """The Glue TableInput of a view, as Athena writes it.

    Source: Trino's ViewReaderUtil (encodeViewData), and https://docs.aws.amazon.com/athena/latest/ug/views.html
    """
    definition = {
        "originalSql": sql,
        "catalog": "awsdatacatalog",
        "schema": database,
        "columns": [{"name": column, "type": str(kind)} for column, kind in columns],
    }
    encoded = base64.b64encode(json.dumps(definition).encode()).decode()
    return {
        "Name": name,
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {"presto_view": "true", "comment": "Presto View"},
        "StorageDescriptor": {
            "Columns": [{"Name": column, "Type": _view_hive(kind)} for column, kind in columns],
            "SerdeInfo": {},
            "Location": "",
        },
        "PartitionKeys": [],
        "ViewOriginalText": f"{_VIEW_PREFIX}{encoded}{_VIEW_SUFFIX}",
        "ViewExpandedText": "/* Presto View */",
    }


def _view_hive(kind: Type) -> str:
    """A view may have columns that no Hive table can have; Glue then says what a reader gets: text."""
    try:
        return kind.hive
    except QueryFailed:
        return "string"
