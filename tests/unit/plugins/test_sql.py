import pytest
from contract.dataset import Mart
from contract.names import Names
from lake.contracts import load_contracts
from lake.sql import SQL_FOLDER, Dates, current_rows, dates_affected, dates_read, render_sql

CONTRACTS = load_contracts()
MARTS = [(contract, mart) for contract in CONTRACTS.values() for mart in contract.marts]
READ = {
    "date": "ds = '2024-02-10'",
    "month": "ds >= '2024-02-01' AND ds <= '2024-02-10'",
    "history": "ds <= '2024-02-10'",
}
AFFECTED = {
    "date": "ds = '2024-02-10'",
    "month": "ds >= '2024-02-10' AND ds <= '2024-02-29'",
    "history": "ds >= '2024-02-10'",
}


@pytest.mark.parametrize(("contract", "mart"), MARTS, ids=[f"{c.dataset}-{m.name}" for c, m in MARTS])
def test_a_mart_reads_the_dates_of_its_scope_only(contract, mart):
    sql = render_sql(contract, mart.name, "2024-02-10")
    assert f"WHERE {READ[mart.scope]})" in sql
    assert "{{" not in sql


@pytest.mark.parametrize("scope", READ)
def test_conditions_on_dates(scope):
    assert dates_read(scope, "2024-02-10").condition == READ[scope]
    assert dates_affected(scope, "2024-02-10").condition == AFFECTED[scope]


@pytest.mark.parametrize("scope", READ)
def test_a_picture_is_affected_by_the_dates_it_reads_and_by_no_other(scope):
    days = ["2023-12-31", "2024-01-01", "2024-01-31", "2024-02-01", "2024-02-10", "2024-02-29", "2024-03-01"]
    for picture in days:
        for ds in days:
            assert (ds in dates_read(scope, picture)) == (picture in dates_affected(scope, ds))


@pytest.mark.parametrize(
    ("dates", "inside", "outside"),
    [
        (Dates("2024-02-10", "2024-02-10"), {"2024-02-10"}, {"2024-02-09", "2024-02-11"}),
        (Dates(None, "2024-02-10"), {"1999-01-01", "2024-02-10"}, {"2024-02-11"}),
        (Dates("2024-02-10", None), {"2024-02-10", "2031-01-01"}, {"2024-02-09"}),
    ],
)
def test_a_range_of_dates_includes_its_ends(dates, inside, outside):
    assert all(ds in dates for ds in inside)
    assert not any(ds in dates for ds in outside)


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_every_sql_file_is_a_mart_or_the_view(contract):
    expected = {mart.name for mart in contract.marts}
    expected |= {Names(contract.dataset).current_view} if contract.has_current_view else set()
    assert {file.stem for file in (SQL_FOLDER / contract.dataset).glob("*.sql")} == expected


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_a_mart_whose_sql_is_missing_is_refused(contract):
    with pytest.raises(KeyError):
        render_sql(contract, "no_such_mart", "2024-02-10")


def with_mode(mode, **more):
    return CONTRACTS["orders"].model_copy(update={"load_mode": mode, **more})


def test_of_an_upsert_dataset_the_latest_version_of_each_key_counts():
    sql = current_rows(with_mode("upsert"), Dates(None, "2025-06-30"))
    assert "PARTITION BY order_id ORDER BY ds DESC" in sql
    assert "FROM orders WHERE ds <= '2025-06-30')" in sql
    assert "WHERE ds <=" not in current_rows(with_mode("upsert"), None)


def test_of_a_snapshot_the_latest_date_counts_even_one_without_rows():
    assert current_rows(with_mode("snapshot"), None).endswith(
        """FROM orders WHERE ds = (SELECT MAX(ds) FROM "orders$partitions"))"""
    )
    assert current_rows(with_mode("snapshot"), Dates(None, "2025-06-30")).endswith(
        """WHERE ds = (SELECT MAX(ds) FROM "orders$partitions" WHERE ds <= '2025-06-30'))"""
    )


def test_of_an_append_dataset_every_row_counts():
    marts = [Mart.model_validate({**mart.model_dump(), "scope": "date"}) for mart in CONTRACTS["orders"].marts]
    sql = render_sql(with_mode("append", marts=tuple(marts)), "status_summary", "2025-06-30")
    assert "FROM orders WHERE ds = '2025-06-30')" in sql
    assert "version" not in sql
