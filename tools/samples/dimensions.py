"""Customers and products: every day's file lists all of them as they are on that day.

Who and what they are follows from their number, the day and the seed alone, so that sales can refer to them. There is
one more customer every day; tiers rise once, prices every ten days. Files are JSON arrays and JSON lines in turn. Each
has one row that came twice, and about one row in thirty with something wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any

from tools.samples.rows import DUPLICATE, PUBLISHED, QUARANTINED, Day, Row, answers, json_array, json_lines

Record = dict[str, Any]

TIERS = ("bronze", "silver", "gold", "platinum")
COUNTRIES = ("USA", "USA", "UK", "India", "France", "Brazil")
FIRST_NAMES = ("Ada", "Bo", "Chloë", "Dmitri", "Emeka", "Fatima", "Gül", "Hiro", "Inês", "Jürgen", "Kofi", "Leila")
LAST_NAMES = ("Ng", "O'Neill", "García Núñez", "Smith", "van Dyk", "Øster", "Kumar", "Lefèvre")
CATEGORIES = ("Electronics", "Accessories", "Hardware")
MAKERS = ("TechCorp", "GadgetCo", "DeviceCorp", "ToolWorks", None)
FREE_PRODUCT = 5
"""The number of the product whose list price is zero."""
BAD = 0.03
CENT = Decimal("0.01")


def customer(number: int, age: int, start: date, first: int, seed: int) -> Record:
    """A customer as of a day.

    :param number: from 1.
    :param age: days from `start` to that day.
    :param first: how many customers there are on the first day; those after them come one a day.
    """
    random = Random(f"{seed} customer {number}")  # noqa: S311  sample data, not secrets
    name = f"{random.choice(FIRST_NAMES)} {random.choice(LAST_NAMES)}"
    email: str | None = f"{name.split()[0].lower()}.{number}@example.com"
    signup = start - timedelta(days=random.randint(1, 700))
    tier = random.randrange(len(TIERS) - 1) + (age >= random.randint(1, 60))
    country = random.choice(COUNTRIES)
    if number > first:
        joined = number - first
        # Every third signs up for the next day.
        signup = start + timedelta(days=joined + (joined % 3 == 0))
    if number % 20 == 0:
        email = None
    elif number % 7 == 0:
        email = f" {str(email).upper()} "
    return {
        "customer_id": f"CUST{number:03}",
        "name": name,
        "email": email,
        "country": country,
        "signup_date": f"{signup}",
        "customer_tier": TIERS[tier],
    }


def product(number: int, age: int, seed: int) -> Record:
    """A product as of the day `age` days after the first; its price is a Decimal."""
    random = Random(f"{seed} product {number}")  # noqa: S311  sample data, not secrets
    base = Decimal(round(random.lognormvariate(3.6, 0.8) * 100) + 200) / 100
    category, maker = random.choice(CATEGORIES), random.choice(MAKERS)
    price = (base * Decimal("1.03") ** (age // 10)).quantize(CENT, ROUND_HALF_UP)
    found = {
        "product_id": f"PROD{100 + number}",
        "name": f"{category} item {number}",
        "category": category,
        "price": Decimal(0) if number == FREE_PRODUCT else price,
        "in_stock": random.random() < 0.85,
        "manufacturer": maker,
    }
    return {**found, "colour": random.choice(("red", "blue"))} if number % 5 == 0 else found


def bad_customers(record: Record) -> list[tuple[Record, str]]:
    """What can be wrong with a customer, and the rule it breaks."""
    return [
        ({**record, "signup_date": "2023-02-30"}, "signup_date_invalid"),
        ({**record, "customer_id": None}, "customer_id_missing"),
        ({**record, "customer_tier": "diamond"}, "customer_tier_not_allowed"),
        ({**record, "email": "no address"}, "email_pattern"),
        ({**record, "name": " "}, "name_missing"),
        ({**record, "country": ""}, "country_missing"),
    ]


def bad_products(record: Record) -> list[tuple[Record, str]]:
    """What can be wrong with a product, and the rule it breaks."""
    return [
        ({**record, "price": "12,50"}, "price_invalid"),
        ({**record, "price": -1}, "price_out_of_range"),
        ({**record, "product_id": ""}, "product_id_missing"),
        ({**record, "in_stock": "maybe"}, "in_stock_invalid"),
        ({**record, "category": None}, "category_missing"),
        ({**record, "price": None}, "price_missing"),
    ]


def as_json(record: Record) -> bytes:
    """An object of JSON on one line; decimals as numbers."""
    return json.dumps(record, ensure_ascii=False, default=float).encode()


def snapshot(name: str, day: date, age: int, good: list[Row], first: Row, bad: list[tuple[Record, str]]) -> Day:
    """One day's file.

    :param name: of the dataset.
    :param good: the rows that are published.
    :param first: an earlier version of one of them.
    :param bad: what may be wrong; how many of them the file holds follows from how many are `good`.
    """
    wrong = [bad[(age + number) % len(bad)] for number in range(max(1, round(len(good) * BAD)))]
    middle = len(good) // 2
    rows = [first, *good[:middle], *(Row(as_json(record), QUARANTINED, rule) for record, rule in wrong), *good[middle:]]
    content, ending = (json_lines(rows), "jsonl") if age % 2 else (json_array(rows), "json")
    return Day(day, f"{name}.{ending}", content, answers(rows))


def customers(start: date, days: int, rows: int, seed: int) -> Iterator[Day]:
    """Each day's `customers.json` or `customers.jsonl`.

    :param rows: customers on the first day; at least 1.
    """
    for age in range(days):
        day = start + timedelta(days=age)
        known = [customer(number, age, start, rows, seed) for number in range(1, rows + age + 1)]
        good = [
            Row(as_json(one), PUBLISHED, warnings=("signup_in_future",) if one["signup_date"] > f"{day}" else ())
            for one in known
        ]
        earlier = Row(as_json({**known[0], "customer_tier": "bronze", "country": "Atlantis"}), DUPLICATE)
        yield snapshot("customers", day, age, good, earlier, bad_customers({**known[0], "customer_id": "CUST999"}))


def products(start: date, days: int, rows: int, seed: int) -> Iterator[Day]:
    """Each day's `products.json` or `products.jsonl`.

    :param rows: products of every day; at least 1.
    """
    for age in range(days):
        known = [product(number, age, seed) for number in range(1, rows + 1)]
        good = [Row(as_json(one), PUBLISHED, warnings=() if one["price"] else ("price_zero",)) for one in known]
        earlier = Row(as_json({**known[0], "price": 1.5}), DUPLICATE)
        day = start + timedelta(days=age)
        yield snapshot("products", day, age, good, earlier, bad_products({**known[0], "product_id": "PROD999"}))
