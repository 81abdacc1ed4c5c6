"""The generators are repeatable, and what they say about their files is true of them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.e2e import expected_online_retail, expected_sales
from tools import samples
from tools.samples.orders import orders
from tools.samples.rows import quoted

START = date(2025, 6, 1)


@pytest.mark.parametrize("dataset", samples.GENERATORS)
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(dataset: str, tmp_path: Path) -> None:
    def files(name: str, seed: int) -> list[bytes]:
        samples.write(dataset, START, 3, 60, seed, tmp_path / name)
        return [path.read_bytes() for path in sorted((tmp_path / name).glob("*/ds=*/*"))]

    a, b, c = files("a", 1), files("b", 1), files("c", 2)
    assert a == b
    assert len(a) == 3
    assert all(of_a != of_c for of_a, of_c in zip(a, c, strict=True))


@pytest.mark.parametrize("dataset", samples.GENERATORS)
def test_more_days_do_not_change_the_first(dataset: str) -> None:
    generate = samples.GENERATORS[dataset]
    assert list(generate(START, 5, 50, 1))[:3] == list(generate(START, 3, 50, 1))


@pytest.mark.parametrize("dataset", samples.GENERATORS)
@pytest.mark.parametrize("rows", [1, 2, 10])
def test_any_number_of_rows_will_do(dataset: str, rows: int) -> None:
    reads = [day.answers["read"] for day in samples.GENERATORS[dataset](START, 2, rows, 1)]
    assert reads == [rows, rows] or dataset in ("customers", "products")


def test_every_row_has_one_outcome(tmp_path: Path) -> None:
    samples.write("orders", START, 40, 300, 1, tmp_path)
    expected = json.loads((tmp_path / "orders" / "expected.json").read_text())
    assert len(expected["days"]) == 40
    for ds, day in expected["days"].items():
        parts = day["published"] + day["quarantined"] + day["duplicates"] + sum(day["dropped"].values())
        lines = (tmp_path / "orders" / f"ds={ds}" / "orders.csv").read_bytes().splitlines()
        assert day["read"] == parts == len(lines) - 1 == 300
        assert sum(day["quarantined_by_rule"].values()) == day["quarantined"]


def test_orders_come_again_with_a_new_status_and_some_twice_a_day(tmp_path: Path) -> None:
    days = samples.write("orders", START, 3, 500, 1, tmp_path)["days"]
    versions: Counter[str] = Counter()
    for ds, expected in days.items():
        with (tmp_path / "orders" / f"ds={ds}" / "orders.csv").open(encoding="latin-1", newline="") as file:
            ids = Counter(line.split(",")[0] for line in file if line.startswith("O0"))
        assert sum(count - 1 for count in ids.values()) == expected["duplicates"]
        versions.update(ids.keys())
    assert max(versions.values()) == 3


def test_a_customer_with_a_comma_stays_one_field() -> None:
    assert next(csv.reader([quoted('Joe "Fixit", Smith')])) == ['Joe "Fixit", Smith']


def test_orders_are_named_like_their_dataset() -> None:
    assert {day.name for day in orders(START, 2, 5, 1)} == {"orders.csv"}


def test_an_independent_reading_of_online_retail_agrees(tmp_path: Path) -> None:
    answers = samples.write("online_retail", START, 30, 400, 1, tmp_path)["days"]
    days = expected_online_retail.read_days(tmp_path / "online_retail")
    assert {ds: day.counts for ds, day in days.items()} == {
        ds: {name: value for name, value in right.items() if name not in ("warned_by_rule", "published_amount")}
        for ds, right in answers.items()
    }
    totals = expected_online_retail.totals(days)
    assert totals["net"] == sum(Decimal(right["published_amount"]) for right in answers.values())
    assert {date.fromisoformat(ds).isoweekday() for ds in days} == {1, 2, 3, 4, 5, 7}
    assert set(totals["quarantined_by_rule"]) >= {"price_not_positive", "quantity_invalid", "not_text"}
    lines = [line for day in days.values() for line in day.published]
    assert 0 < totals["returns"] < totals["guests"] < len(lines) / 2
    assert len({line.kind for line in lines}) == 10
    assert {line.kind for line in lines if line.is_return} > {"product", "discount"}


def test_an_independent_reading_of_sales_and_dimensions_agrees(tmp_path: Path) -> None:
    answers = {
        dataset: samples.write(dataset, START, 12, rows, 1, tmp_path)["days"]
        for dataset, rows in (("customers", 50), ("products", 30), ("sales", 400))
    }
    customers = expected_sales.read_customers(tmp_path / "customers")
    products = expected_sales.read_products(tmp_path / "products")
    sales = expected_sales.read_sales(tmp_path / "sales", customers, products)
    for dataset, days in (("customers", customers), ("products", products), ("sales", sales)):
        for ds, right in answers[dataset].items():
            assert days[ds].counts == {name: right[name] for name in days[ds].counts}, f"{dataset} {ds}"
    for ds, day in sales.items():
        assert sum(row["total_amount"] for row in day.published) == Decimal(answers["sales"][ds]["published_amount"])
    rules = {rule for days in answers.values() for right in days.values() for rule in right["warned_by_rule"]}
    assert rules == {
        *("amount_mismatch", "customer_unknown", "price_zero", "product_unknown", "sale_in_future", "signup_in_future")
    }
    for mart, rows in expected_sales.marts(sales, "2025-06-12").items():
        assert rows, mart
