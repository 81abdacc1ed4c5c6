"""The contract of orders is what the design says, and a wrong contract is refused with file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from lake.contract import Contract, ContractError, decimal_parts, load_contract, load_contracts

DATASETS = Path(__file__).resolve().parents[3] / "include" / "datasets"
ORDERS = (DATASETS / "orders.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def orders() -> Contract:
    return load_contract(DATASETS / "orders.yaml")


def test_orders_is_published_as_designed(orders: Contract) -> None:
    assert [f"{column.name} {column.type}" for column in orders.published_columns] == [
        "order_id string",
        "customer string",
        "amount decimal(12,2)",
        "status string",
        "order_date date",
        "source_file string",
        "source_line bigint",
        "run_id string",
    ]
    assert [mart.name for mart in orders.marts] == [
        "total_sales_by_customer",
        "monthly_volume_and_revenue",
        "status_summary",
        "average_order_value_by_customer",
        "top_10_orders_of_month",
    ]


def test_names_in_the_catalog_and_the_raw_bucket(orders: Contract) -> None:
    names = (orders.database, orders.table, orders.runs_table, orders.quarantine_table, orders.current_view)
    assert names == ("orders_db", "orders", "orders_runs", "orders_quarantine", "orders_current")
    assert orders.crawler == "orders_processed_crawler"
    assert orders.raw_wildcard("2025-06-30") == "orders/ds=2025-06-30/*.csv*"


def test_every_contract_in_the_repository_loads() -> None:
    assert "orders" in load_contracts(DATASETS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("owner: data-platform\n", "", ":2: owner: is required"),
        ("  days: 90", "  day: 90", ":21: retention.day: is not a field; allowed: days"),
        ("  days: 90", "  days: '90'", ":21: retention.days: '90': Input should be a valid integer"),
        ("type: decimal(12,2)", "type: money", "columns[2].type: 'money' is not a type; allowed: string, int,"),
        ("type: decimal(12,2)", "type: decimal(2,12)", "columns[2].type: 'decimal(2,12)' is out of range"),
        (
            "load_mode: upsert",
            "load_mode: merge",
            ":15: load_mode: 'merge' is not allowed; allowed: 'append', 'upsert'",
        ),
        ("key: [order_id]", "key: [id]", ":16: key[0]: 'id' is not a required column; allowed: order_id, customer,"),
        ("key: [order_id]\n", "", ": key: is required when load_mode is upsert"),
        ("owner: data-platform", "owner: a\nowner: b", ":5: owner: is given twice"),
        ("name: customer\n", "name: ds\n", "columns[1].name: 'ds' is reserved"),
        ("name: customer\n", "name: order_id\n", "columns[1].name: 'order_id' is given twice"),
        ("name: amount_negative", "name: amount_missing", "rules[0].name: 'amount_missing' is a rule that every"),
        ("name: status_summary", "name: orders_current", "marts[2].name: 'orders_current' is a table of the dataset"),
        ("action: drop", "action: ignore", "rules[1].action: 'ignore' is not allowed"),
        ("dataset: orders", "dataset: ordered", ":2: dataset: 'ordered' is not the file's name: 'orders'"),
        ('schedule: "', 'schedule: "every ', ": schedule: 'every "),
        ("start_date: 2025-01-01", "start_date: soon", ":7: start_date: 'soon': Input should be a valid date"),
        ("tags: [orders,", "tags: [orders,,", ":5: contract: is not valid YAML"),
    ],
)
def test_a_wrong_contract_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "orders.yaml"
    assert old in ORDERS
    path.write_text(ORDERS.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ContractError) as refused:
        load_contract(path)
    assert any(line.startswith(f"{path}:") and message in line for line in str(refused.value).splitlines())


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for name in ("orders", "returns"):
        (tmp_path / f"{name}.yaml").write_text(f"dataset: {name}\nowner: 3\n", encoding="utf-8")
    with pytest.raises(ContractError) as refused:
        load_contracts(tmp_path)
    lines = str(refused.value).splitlines()
    assert sum("owner: 3: Input should be a valid string" in line for line in lines) == 2
    assert sum("columns: is required" in line for line in lines) == 2


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    with pytest.raises(ContractError, match="cannot be read"):
        load_contract(path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(ContractError, match=":1: contract: None"):
        load_contract(path)


def test_decimal_parts() -> None:
    assert decimal_parts("decimal(12,2)") == (12, 2)
    assert decimal_parts("bigint") is None
