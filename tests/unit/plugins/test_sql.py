from pathlib import Path

import pytest
from lake.contract import load_contracts
from lake.sql import SQL_FOLDER, latest_versions, render_sql

CONTRACTS = load_contracts(Path(__file__).resolve().parents[3] / "include" / "datasets")
MARTS = [(contract, mart.name) for contract in CONTRACTS.values() for mart in contract.marts]


@pytest.mark.parametrize(("contract", "mart"), MARTS, ids=[mart for _, mart in MARTS])
def test_a_mart_reads_no_date_after_its_own(contract, mart):
    sql = render_sql(contract, mart, "2025-06-30")
    assert "ds <= '2025-06-30'" in sql
    assert "{{" not in sql


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=list(CONTRACTS))
def test_every_sql_file_is_a_mart_or_the_view(contract):
    expected = {mart.name for mart in contract.marts}
    expected |= {contract.current_view} if contract.load_mode == "upsert" else set()
    assert {file.stem for file in (SQL_FOLDER / contract.dataset).glob("*.sql")} == expected


def test_the_latest_version_of_each_key_counts():
    sql = latest_versions(CONTRACTS["orders"], "2025-06-30")
    assert "PARTITION BY order_id ORDER BY ds DESC" in sql
    assert "WHERE ds <=" not in latest_versions(CONTRACTS["orders"], None)
