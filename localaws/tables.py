"""Tables and databases of Glue: only what was given of them, and versions of tables, which ministack lacks.

Sources: https://docs.aws.amazon.com/glue/latest/webapi/API_UpdateTable.html and API_GetTableVersions.html beside it.
"""

from __future__ import annotations

import functools
from typing import Any

from ministack.core.responses import AccountRegionScopedDict, get_account_id
from ministack.services import glue

from localaws.overlay import replace
from localaws.partitions import Refused, Request, Response, Values, action, add_actions, each, page, table_key

OPTIONAL = (
    "Description",
    "Owner",
    "LastAccessTime",
    "LastAnalyzedTime",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "ViewDefinition",
    "TableType",
    "Parameters",
    "TargetTable",
)
"""What a table has only if it was given: readers take an empty text for an answer (of a view's comment, for one)."""

ALWAYS: Values = {"Retention": 0, "StorageDescriptor": {}, "PartitionKeys": [], "Parameters": {}}
"""What a table has of these anyway."""

_versions = AccountRegionScopedDict()
"""By table, its versions before the present one, the oldest first."""


def _described(record: Values, given: Values) -> Values:
    """A table's record with what was given of it, and nothing of what it was before."""
    own = {name: value for name, value in record.items() if name not in OPTIONAL and name != "IsMultiDialectView"}
    described = {name: given[name] for name in OPTIONAL if given.get(name) is not None}
    return {**own, **ALWAYS, **described, "IsMultiDialectView": bool(given.get("ViewDefinition"))}


def _key(request: Request) -> str:
    return f"{request.get('DatabaseName')}/{request.get('TableInput', {}).get('Name')}"


def create_database(request: Request) -> Response:
    """CreateDatabase."""
    response: Response = _theirs["_create_database"](request)
    if response[0] == 200:
        record = glue._databases[request["DatabaseInput"]["Name"]]
        for name in ("Description", "LocationUri"):
            if not record[name]:
                del record[name]
    return response


def create_table(request: Request) -> Response:
    """CreateTable."""
    response: Response = _theirs["_create_table"](request)
    if response[0] == 200:
        key = _key(request)
        glue._tables[key] = _described(glue._tables[key], request["TableInput"])
        _versions.pop(key, None)
    return response


def update_table(request: Request) -> Response:
    """UpdateTable: what the input does not have the table has no longer; the version before is kept, unless told."""
    key = _key(request)
    before = dict(glue._tables.get(key) or {})
    response: Response = _theirs["_update_table"](request)
    if response[0] == 200:
        glue._tables[key] = _described(glue._tables[key], request["TableInput"])
        if not request.get("SkipArchive"):
            _versions[key] = [*_versions.get(key, []), before]
    return response


def delete_table(request: Request) -> Response:
    """DeleteTable, with all versions."""
    response: Response = _theirs["_delete_table"](request)
    if response[0] == 200:
        _versions.pop(f"{request.get('DatabaseName')}/{request.get('Name')}", None)
    return response


def _known(request: Request) -> list[Values]:
    """All versions of the table that a request names, the newest first.

    Raises:
        Refused: EntityNotFoundException when there is no such table.
    """
    key = table_key(request)
    return [glue._tables[key], *reversed(_versions.get(key, []))]


def _told(table: Values) -> Values:
    return {"Table": {**table, "CatalogId": get_account_id()}, "VersionId": table["VersionId"]}


@action
def get_table_versions(request: Request) -> Request:
    """GetTableVersions."""
    return page(request, "TableVersions", list(map(_told, _known(request))))


@action
def get_table_version(request: Request) -> Request:
    """GetTableVersion: the newest where none is named."""
    found = _known(request)
    wanted = request.get("VersionId") or found[0]["VersionId"]
    for table in found:
        if table["VersionId"] == wanted:
            return {"TableVersion": _told(table)}
    raise Refused("EntityNotFoundException", f"Version {wanted} not found.")


def _forget(request: Request, version: str) -> None:
    """Delete a version of a table.

    Raises:
        Refused: there is none, or it is the present one.
    """
    present, *before = _known(request)
    if version == present["VersionId"]:
        raise Refused("InvalidInputException", f"Version {version} is the table's present one.")
    if version not in [table["VersionId"] for table in before]:
        raise Refused("EntityNotFoundException", f"Version {version} not found.")
    _versions[table_key(request)] = [table for table in reversed(before) if table["VersionId"] != version]


@action
def delete_table_version(request: Request) -> Request:
    """DeleteTableVersion."""
    _forget(request, request["VersionId"])
    return {}


@action
def batch_delete_table_version(request: Request) -> Request:
    """BatchDeleteTableVersion: those that cannot be deleted are told."""
    table_key(request)
    entries = [(version, functools.partial(_forget, request, version)) for version in request["VersionIds"]]
    errors = each("VersionId", entries)["Errors"]
    return {"Errors": [{"TableName": request["TableName"], **error} for error in errors]}


ADDED = {
    "GetTableVersion": get_table_version,
    "GetTableVersions": get_table_versions,
    "DeleteTableVersion": delete_table_version,
    "BatchDeleteTableVersion": batch_delete_table_version,
}
_theirs: dict[str, Any] = {}


def install() -> None:
    """Put these operations in ministack's place, and versions among what is saved."""
    for name, handler in {
        "_create_database": create_database,
        "_create_table": create_table,
        "_update_table": update_table,
        "_delete_table": delete_table,
    }.items():
        _theirs[name] = replace(glue.__name__, name, handler)
    glue._ALL_STATE["table_versions"] = _versions
    add_actions(ADDED)
