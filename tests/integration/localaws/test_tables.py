"""Tables in the Glue catalog: what is told of them, and their versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

DATABASE = "tables_db"
COLUMNS = [{"Name": "a", "Type": "int"}]
PLAIN = {"Name": "things", "StorageDescriptor": {"Columns": COLUMNS, "Location": "s3://nowhere/things/"}}


@pytest.fixture
def glue(aws: Callable[..., Any]) -> Iterator[Any]:
    client = aws("glue")
    client.create_database(DatabaseInput={"Name": DATABASE})
    yield client
    client.delete_database(Name=DATABASE)


def table(glue: Any) -> dict[str, Any]:
    return glue.get_table(DatabaseName=DATABASE, Name="things")["Table"]


def versions(glue: Any) -> list[tuple[str, str | None]]:
    """The versions, the newest first, each with its description."""
    pages = glue.get_paginator("get_table_versions").paginate(
        DatabaseName=DATABASE, TableName="things", PaginationConfig={"PageSize": 2}
    )
    found = [version for page in pages for version in page["TableVersions"]]
    assert all(version["VersionId"] == version["Table"]["VersionId"] for version in found)
    return [(version["VersionId"], version["Table"].get("Description")) for version in found]


def test_only_what_was_given_is_told(glue: Any) -> None:
    assert {"Description", "LocationUri"}.isdisjoint(glue.get_database(Name=DATABASE)["Database"])
    glue.create_table(DatabaseName=DATABASE, TableInput=PLAIN)
    told = table(glue)
    assert {"Description", "Owner", "ViewOriginalText", "ViewExpandedText", "TableType"}.isdisjoint(told)
    assert (told["PartitionKeys"], told["Parameters"], told["Retention"]) == ([], {}, 0)
    assert told["StorageDescriptor"] == PLAIN["StorageDescriptor"]
    assert glue.get_tables(DatabaseName=DATABASE)["TableList"] == [told]


def test_an_update_takes_the_place_of_all_that_was_given_before(glue: Any) -> None:
    given = {**PLAIN, "Description": "Things", "Owner": "me", "Parameters": {"classification": "csv"}}
    glue.create_table(DatabaseName=DATABASE, TableInput=given)
    created = table(glue)
    glue.update_table(DatabaseName=DATABASE, TableInput={**PLAIN, "Parameters": {"x": "y"}})
    told = table(glue)
    assert {"Description", "Owner"}.isdisjoint(told)
    assert (told["Parameters"], told["CreateTime"]) == ({"x": "y"}, created["CreateTime"])


def test_versions_are_kept_until_they_are_deleted(glue: Any) -> None:
    def update(description: str, **request: Any) -> None:
        glue.update_table(DatabaseName=DATABASE, TableInput={**PLAIN, "Description": description}, **request)

    glue.create_table(DatabaseName=DATABASE, TableInput={**PLAIN, "Description": "one"})
    update("two")
    update("not kept")
    update("four", SkipArchive=True)
    update("five")
    assert versions(glue) == [("5", "five"), ("4", "four"), ("2", "two"), ("1", "one")]
    one = glue.get_table_version(DatabaseName=DATABASE, TableName="things", VersionId="2")["TableVersion"]
    assert one["Table"]["Description"] == "two"
    newest = glue.get_table_version(DatabaseName=DATABASE, TableName="things")["TableVersion"]
    assert newest["VersionId"] == "5"

    glue.delete_table_version(DatabaseName=DATABASE, TableName="things", VersionId="1")
    with pytest.raises(glue.exceptions.EntityNotFoundException):
        glue.delete_table_version(DatabaseName=DATABASE, TableName="things", VersionId="1")
    errors = glue.batch_delete_table_version(DatabaseName=DATABASE, TableName="things", VersionIds=["2", "5", "77"])
    assert {error["VersionId"]: error["ErrorDetail"]["ErrorCode"] for error in errors["Errors"]} == {
        "5": "InvalidInputException",
        "77": "EntityNotFoundException",
    }
    assert versions(glue) == [("5", "five"), ("4", "four")]


def test_a_table_made_again_has_no_versions_of_the_one_before(glue: Any) -> None:
    for _ in range(2):
        glue.create_table(DatabaseName=DATABASE, TableInput=PLAIN)
        glue.update_table(DatabaseName=DATABASE, TableInput=PLAIN)
        assert [number for number, _ in versions(glue)] == ["2", "1"]
        glue.batch_delete_table(DatabaseName=DATABASE, TablesToDelete=["things"])
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        versions(glue)
