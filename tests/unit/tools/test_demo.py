"""What the demo prints is right, and what it asks of the lake is there."""

from __future__ import annotations

import re

import pytest
from lake.contracts import load_contracts

from tools import demo
from tools.samples.sales import CUSTOMERS, PRODUCTS

CONTRACTS = load_contracts()


def day(read: int, published: int, dropped: dict[str, int], quarantined: dict[str, int], duplicates: int = 0) -> dict:
    return {
        "read": read,
        "published": published,
        "dropped": dropped,
        "quarantined": sum(quarantined.values()),
        "quarantined_by_rule": quarantined,
        "duplicates": duplicates,
    }


FOUND = {
    "orders": {
        "2025-06-24": day(20, 9, {"stale": 3}, {"a": 1, "b": 2, "c": 1, "d": 1, "e": 2}, 1),
        "2025-06-25": day(10, 7, {"stale": 1}, {"a": 2}),
    },
    "sales": {"2025-06-24": day(5, 5, {}, {})},
}


def test_rows_are_summed_by_dataset_and_over_all() -> None:
    assert demo.sums(FOUND) == [
        ["orders", 2, 30, 16, 9, 4, 1],
        ["sales", 1, 5, 5, 0, 0, 0],
        ["all", 3, 35, 21, 9, 4, 1],
    ]


def test_the_tables_fit_a_terminal_of_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    demo.show_rows({"online_retail": FOUND["orders"]})
    demo.show_rules({"online_retail": FOUND["orders"]})
    assert max(len(line) for line in capsys.readouterr().out.splitlines()) <= 80


def test_the_most_frequent_rules_come_first_and_none_is_lost() -> None:
    assert demo.reasons("orders", FOUND["orders"]) == [
        ["orders", "stale", "dropped", 4],
        ["orders", "a", "quarantined", 3],
        ["orders", "b", "quarantined", 2],
        ["orders", "e", "quarantined", 2],
        ["orders", "2 other rules", "", 2],
    ]
    assert demo.reasons("sales", FOUND["sales"]) == []


def test_a_run_is_named_by_its_data() -> None:
    one = {"dag_id": "ingest_online_retail", "logical_date": "2025-06-24T00:00:00Z", "conf": {}}
    conf = {"start": "2025-06-24", "end": "2025-06-30", "dry_run": False}
    assert demo.data_of(one) == "online_retail 2025-06-24"
    assert demo.data_of({**one, "dag_id": "reprocess_orders", "logical_date": None, "conf": conf}) == (
        "orders 2025-06-24..30"
    )


@pytest.mark.parametrize("extract", demo.EXTRACTS, ids=lambda each: each.title)
def test_extracts_are_of_columns_that_the_contracts_have(extract: demo.Extract) -> None:
    name = re.match(r"FROM (\w+)", extract.rest)
    assert name
    marts = {mart.name: mart for mart in CONTRACTS[extract.dataset].marts}
    types = {"ds": "string"} | {column.name: column.type for column in marts[name[1]].columns}
    assert set(extract.columns) <= set(types)
    numbers = extract.columns[extract.texts :]
    assert all(types[column].startswith(("decimal", "bigint", "int")) for column in numbers)


def test_every_dataset_is_shown_and_sales_find_their_customers_and_products() -> None:
    assert demo.CUSTOMERS >= CUSTOMERS
    assert demo.PRODUCTS >= PRODUCTS
    assert set(demo.sizes(demo.WEEK)) == set(CONTRACTS)
