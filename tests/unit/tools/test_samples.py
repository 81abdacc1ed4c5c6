"""The generator is repeatable, and what it says about its files is true of them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import date
from pathlib import Path

from tools import samples
from tools.samples.orders import orders
from tools.samples.rows import quoted

START = date(2025, 6, 1)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        samples.write("orders", START, 2, 100, seed, tmp_path / name)
    a, b, c = ((tmp_path / name / "orders" / "ds=2025-06-02" / "orders.csv").read_bytes() for name in "abc")
    assert a == b != c


def test_more_days_do_not_change_the_first() -> None:
    assert list(orders(START, 5, 50, 1))[:3] == list(orders(START, 3, 50, 1))


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


def test_any_number_of_rows_will_do() -> None:
    assert [day.answers["read"] for rows in (1, 2, 10) for day in orders(START, 2, rows, 1)] == [
        1,
        1,
        2,
        2,
        10,
        10,
    ]
