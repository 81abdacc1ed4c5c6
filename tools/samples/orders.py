"""Orders of a shop: a day's file holds new orders, new versions of earlier ones as they are confirmed, shipped or
cancelled, open orders that have gone stale, orders that came twice, and about one row in sixty with something wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from random import Random

from tools.samples.rows import DROPPED, DUPLICATE, PUBLISHED, QUARANTINED, Day, Row, answers, csv_file, csv_line, quoted

HEADER = "OrderID,Customer,Amount,Status,OrderDate"
CUSTOMERS = (
    *("Alice", "Bob", "Charlie", "Diana", "Edward", "Fatima", "Grace", "Hiro", "Ines", "Jamal", "Kateryna", "Liam"),
    *("Mei", "Noor", "Oluwaseun", "Priya", "Quentin", "Rosa", "Søren", "Tomás", "Uma", "Věra", "Wanda", "Xiomara"),
    *("Brown, Ada", "García Núñez, Luis", 'Joe "Fixit" Smith', "O'Hara", "Zoë & Sons"),
)
NEXT_STATUSES = {"pending": ("confirmed", "confirmed", "confirmed", "cancelled"), "confirmed": ("shipped", "cancelled")}
STALE_AFTER_DAYS = 30
UPDATED, STALE, REPEATED, BAD = 0.2, 0.04, 0.01, 0.015
"""Mean shares of a day's rows; the others are new orders."""
LEAST, MOST = 0.5, 1.5
"""Between which multiples of its mean a day's share lies: no day is like the other."""


@dataclass(frozen=True)
class Order:
    """One version of an order."""

    order_id: str
    customer: str
    amount: Decimal
    status: str
    order_date: date

    def line(self) -> str:
        """The order as a line of CSV, without its end."""
        return csv_line(self.order_id, self.customer, self.amount, self.status, self.order_date)


class Shop:
    """A business whose orders live on from day to day."""

    def __init__(self, random: Random, start: date) -> None:
        self.random = random
        self.last_number = 0
        self.open: list[Order] = [self.new_order(start - timedelta(days=random.randint(1, 9))) for _ in range(50)]

    def new_order(self, day: date) -> Order:
        """An order placed on `day`."""
        self.last_number += 1
        amount = Decimal(round(self.random.lognormvariate(4.6, 0.9) * 100) + 100) / 100
        return Order(
            f"O{self.last_number:07}", self.random.choice(CUSTOMERS), amount.quantize(Decimal("0.01")), "pending", day
        )

    def new_version(self) -> Order:
        """One of the open orders with its next status."""
        place = self.random.randrange(len(self.open))
        self.open[place], self.open[-1] = self.open[-1], self.open[place]
        order = self.open.pop()
        return replace(order, status=self.random.choice(NEXT_STATUSES[order.status]))

    def keep(self, order: Order) -> None:
        """Remember an order that may change again."""
        if order.status in NEXT_STATUSES:
            self.open.append(order)

    def stale_order(self, day: date) -> Order:
        """An order that has been open, or cancelled, for too long."""
        order = self.new_order(day - timedelta(days=self.random.randint(STALE_AFTER_DAYS + 1, 120)))
        return replace(order, status=self.random.choice(("pending", "cancelled")))

    def bad_row(self, day: date, kind: int) -> Row:
        """A row with one thing wrong; `kind` chooses what, and any number will do."""
        order = self.new_order(day)
        fields = [order.order_id, quoted(order.customer), f"{order.amount}", order.status, f"{order.order_date}"]
        defects = bad_fields(order)
        place, value, rule = defects[kind % len(defects)]
        fields[place] = value
        return Row(",".join(fields).encode("latin-1" if rule == "not_text" else "utf-8"), QUARANTINED, rule)


def bad_fields(order: Order) -> list[tuple[int, str, str]]:
    """What can be wrong with an order: the field at fault, its text instead, the rule it breaks."""
    day = order.order_date
    return [
        (0, "", "order_id_missing"),
        (1, "   ", "customer_missing"),
        (2, f"{order.amount}5", "amount_invalid"),
        (2, f"-{order.amount}", "amount_negative"),
        (3, "returned", "status_not_allowed"),
        (4, f"{day:%d/%m/%Y}", "order_date_invalid"),
        (1, '"Never closed', "malformed_record"),
        (2, f"{order.amount},USD", "wrong_field_count"),
        (2, "1e3", "amount_invalid"),
        (1, "José", "not_text"),
        (4, f"{day.year}-02-30", "order_date_invalid"),
        (2, "", "amount_missing"),
        (3, "Shipped", "status_not_allowed"),
        (2, f'"1,{order.amount}"', "amount_invalid"),
        (4, "", "order_date_missing"),
    ]


def good_row(order: Order, day: date) -> Row:
    """The row of an order that has nothing wrong: published, unless it was open or cancelled for too long."""
    if order.status in ("pending", "cancelled") and (day - order.order_date).days > STALE_AFTER_DAYS:
        return Row(order.line().encode(), DROPPED, "stale_open_order")
    return Row(order.line().encode(), PUBLISHED, amount=order.amount)


def day_rows(shop: Shop, day: date, count: int, first_defect: int) -> list[Row]:
    """The `count` rows of one day's file, in order; `first_defect` is where in the list of defects the day begins."""
    random = shop.random
    bad, stale, updated, repeated = (
        round(count * share * random.uniform(LEAST, MOST)) for share in (BAD, STALE, UPDATED, REPEATED)
    )
    rows = [shop.bad_row(day, first_defect + number) for number in range(bad)]
    rows += [good_row(shop.stale_order(day), day) for _ in range(stale)]
    orders = [shop.new_version() for _ in range(min(updated, len(shop.open)))]
    orders += [shop.new_order(day) for _ in range(count - len(rows) - len(orders) - repeated)]
    # As old as a pending order may be without being stale.
    orders[-1:] = [replace(order, order_date=day - timedelta(days=STALE_AFTER_DAYS)) for order in orders[-1:]]
    for order in orders:
        shop.keep(order)
    rows += [good_row(order, day) for order in orders]
    places = [random.random() for _ in rows]
    # `rows` ends with the rows of `orders`: the latest of them came before, with another amount.
    latest = list(islice(zip(reversed(orders), reversed(places), strict=False), repeated))
    for order, place in latest:
        rows.append(Row(replace(order, amount=order.amount + 1).line().encode(), DUPLICATE))
        places.append(random.uniform(0, place))
    return [row for _, row in sorted(zip(places, rows, strict=True), key=lambda pair: pair[0])]


def orders(start: date, days: int, rows: int, seed: int) -> Iterator[Day]:
    """Each day's `orders.csv`.

    :param rows: lines of each file, not counting the header; at least 1.
    """
    shop = Shop(Random(seed), start)  # noqa: S311  sample data, not secrets
    defects_made = 0
    for number in range(days):
        day = start + timedelta(days=number)
        made = day_rows(shop, day, rows, defects_made)
        defects_made += sum(row.outcome == QUARANTINED for row in made)
        yield Day(day, "orders.csv", csv_file(HEADER, made), answers(made))
