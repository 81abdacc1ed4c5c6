"""Partitions in the Glue Data Catalog, pointed at many at once."""

from datetime import date, timedelta

import pytest
from airflow.sdk.exceptions import AirflowException
from contract.evolution import types_of
from lake.contracts import load_contracts
from lake.tables import mart_table

CONTRACT = load_contracts()["sales"]
MART = CONTRACT.marts[0]
DATES = [f"{date(2024, 1, 1) + timedelta(number)}" for number in range(120)]


@pytest.fixture
def table(settings, aws):
    """The mart's table, in the hands of Airflow's role; it has no partition."""
    from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook

    table = mart_table(GlueCatalogHook().conn, settings, CONTRACT, MART)
    table.ensure()
    yield table
    aws("glue").delete_table(DatabaseName=table.database, Name=table.name)


def place(ds, folder, columns=None):
    location = f"s3://anywhere/{folder}/ds={ds}/"
    return {"location": location, "parameters": {"of": folder}, "columns": columns or types_of(MART.columns)}


def seen(table):
    found = table.partitions(with_columns=True)
    return {p["Values"][0]: (p["StorageDescriptor"]["Location"], p["Parameters"]["of"]) for p in found}


def told(dates, folder):
    return {ds: (f"s3://anywhere/{folder}/ds={ds}/", folder) for ds in dates}


def test_more_partitions_than_a_call_takes_new_and_known_ones(table):
    table.point_all({ds: place(ds, "old") for ds in DATES[::2]})
    assert seen(table) == told(DATES[::2], "old")
    table.point_all({ds: place(ds, "new") for ds in DATES[10:]})
    assert seen(table) == told(DATES[:10:2], "old") | told(DATES[10:], "new")


def test_partitions_are_described_by_the_columns_of_their_own_files(table):
    table.point_all({DATES[0]: place(DATES[0], "any", {"region": "string"})})
    table.point_all({ds: place(ds, "any", {"revenue": "bigint"}) for ds in DATES[:2]})
    columns = [[*p["StorageDescriptor"]["Columns"]] for p in table.partitions(with_columns=True)]
    assert columns == [[{"Name": "revenue", "Type": "bigint"}]] * 2


def test_a_partition_that_glue_refuses_is_named(table, monkeypatch):
    table.point_all({DATES[0]: place(DATES[0], "old")})
    monkeypatch.setattr(table, "_partition", lambda ds, **_: {"Values": [ds, "more"]})
    with pytest.raises(AirflowException, match=DATES[1]):
        table.point_all({DATES[1]: place(DATES[1], "new")})


def test_nothing_to_point_asks_nothing(table):
    table.point_all({})
    assert seen(table) == {}
