"""Sales to the customers, and of the products, that `tools.samples.dimensions` makes for the same start and seed.

There must be at least `CUSTOMERS` and `PRODUCTS` of them. A day's file holds that day's sales and some of earlier days,
at the list price, below and above it; sales to and of unknown ones; totals that are wrong; sales that came twice; and
about one row in sixty with something wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random

from tools.samples.dimensions import CENT, product
from tools.samples.rows import DUPLICATE, PUBLISHED, QUARANTINED, Day, Row, answers, csv_file, csv_line, shuffled

HEADER = "transaction_id,date,customer_id,product_id,quantity,unit_price,total_amount,region,payment_method"
CUSTOMERS, PRODUCTS = 40, 25
REGIONS = ("US-EAST", "US-EAST", "US-WEST", "EU-WEST", "AP-SOUTH")
METHODS = ("credit_card", "credit_card", "paypal", "debit_card")
QUANTITIES = (1, 1, 1, 2, 2, 3, 4, 5, 9, 10, 24)
DISCOUNTS = tuple(Decimal(percent) / 100 for percent in (0, 0, 0, 0, 5, 10, 12, 25, 30, -5))
REPEATED, BAD = 0.01, 0.015
"""Shares of a day's rows."""
UNKNOWN_CUSTOMER, UNKNOWN_PRODUCT, WRONG_TOTAL, LATE, EARLY = 0.03, 0.02, 0.01, 0.02, 0.004
"""Shares of the sales that have nothing wrong but this."""


@dataclass(frozen=True)
class Sale:
    """One sale."""

    number: int
    day: date
    customer: str
    product: str
    quantity: int
    price: Decimal
    total: Decimal
    region: str
    method: str

    def fields(self) -> list[str]:
        """The sale as the file has it."""
        return [
            *(f"TXN{self.number:06}", f"{self.day}", self.customer, self.product, f"{self.quantity}"),
            *(f"{self.price}", f"{self.total}", self.region, self.method),
        ]

    def text(self) -> bytes:
        """The sale as a line of CSV, without its end."""
        return csv_line(*self.fields()).encode()


def new_sale(random: Random, number: int, day: date, age: int, seed: int) -> tuple[Sale, tuple[str, ...]]:
    """A sale made for the file of `day`, and the rules that it breaks although it is published."""
    warnings = []
    customer, which = f"CUST{random.randint(1, CUSTOMERS):03}", random.randint(1, PRODUCTS)
    name, listed = f"PROD{100 + which}", product(which, age, seed)["price"]
    if random.random() < UNKNOWN_CUSTOMER:
        warnings.append("customer_unknown")
        customer = f"CUST{random.randint(5000, 5009)}"
    if random.random() < UNKNOWN_PRODUCT:
        warnings.append("product_unknown")
        name = f"PROD{random.randint(5000, 5004)}"
    quantity = random.choice(QUANTITIES)
    price = max((listed * (1 - random.choice(DISCOUNTS))).quantize(CENT, ROUND_HALF_UP), CENT)
    total = price * quantity
    if random.random() < WRONG_TOTAL:
        warnings.append("amount_mismatch")
        total += CENT
    chance = random.random()
    if chance < EARLY:
        warnings.append("sale_in_future")
        day += timedelta(days=1)
    elif chance < EARLY + LATE:
        day -= timedelta(days=random.randint(1, 5))
    sale = Sale(number, day, customer, name, quantity, price, total, random.choice(REGIONS), random.choice(METHODS))
    return sale, tuple(warnings)


def bad_fields(sale: Sale) -> list[tuple[int, str, str]]:
    """What can be wrong with a sale: the field at fault, its text instead, the rule it breaks."""
    return [
        (0, "", "transaction_id_missing"),
        (4, "0", "quantity_out_of_range"),
        (4, "two", "quantity_invalid"),
        (1, f"{sale.day:%d/%m/%Y}", "sale_date_invalid"),
        (5, f"-{sale.price}", "unit_price_out_of_range"),
        (5, f"{sale.price}1", "unit_price_invalid"),
        (6, "", "total_amount_missing"),
        (2, " ", "customer_id_missing"),
        (7, "EU-WEST,extra", "wrong_field_count"),
        (7, "MÉXICO", "not_text"),
        (8, '"never closed', "malformed_record"),
        (3, "", "product_id_missing"),
        (1, "", "sale_date_missing"),
    ]


def bad_row(sale: Sale, kind: int) -> Row:
    """The row of a sale with one thing wrong; `kind` chooses what, and any number will do."""
    defects = bad_fields(sale)
    place, value, rule = defects[kind % len(defects)]
    fields = sale.fields()
    fields[place] = value
    return Row(",".join(fields).encode("latin-1" if rule == "not_text" else "utf-8"), QUARANTINED, rule)


def sales(start: date, days: int, rows: int, seed: int) -> Iterator[Day]:
    """Each day's `sales.csv`.

    :param rows: lines of each file, not counting the header; at least 1.
    """
    random = Random(seed)  # noqa: S311  sample data, not secrets
    last = defects_made = 0
    for age in range(days):
        day = start + timedelta(days=age)
        bad, repeated = round(rows * BAD), round(rows * REPEATED)
        good = []
        for _ in range(rows - repeated):
            last += 1
            good.append(new_sale(random, last, day, age, seed))
        made = [bad_row(sale, defects_made + number) for number, (sale, _) in enumerate(good[:bad])]
        defects_made += bad
        made += [Row(sale.text(), PUBLISHED, amount=sale.total, warnings=warnings) for sale, warnings in good[bad:]]
        # The last of the good ones came before, with another quantity.
        again = [Row(replace(sale, quantity=sale.quantity + 1).text(), DUPLICATE) for sale, _ in good[bad:][-repeated:]]
        made = [*again[:repeated], *shuffled(random, made)]
        yield Day(day, "sales.csv", csv_file(HEADER, made), answers(made))
