"""An online shop in the shape of the UCI Online Retail data: lines of invoices, by day.

Closed on Saturdays: such a day has no file. A day's file holds invoices of registered customers and of guests, returns
of what was sold before (invoices `C…`), lines that are no products (postage, fees, vouchers), lines that came twice,
and about one row in sixty with something wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from tools.samples.rows import DUPLICATE, PUBLISHED, QUARANTINED, Day, Row, answers, csv_file, csv_line

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
SATURDAY = 5
COLOURS = ("RED", "WHITE", "PINK", "BLUE", "VINTAGE", "RETROSPOT", "IVORY", 'LARGE 12"')
THINGS = ("LUNCH BAG", "CAKE STAND", "TEA TOWEL", "CANDLE, SCENTED", "PARTY BUNTING", "ALARM CLOCK", "MUG", "DOORMAT")
COUNTRIES = ("United Kingdom",) * 16 + ("Germany", "France", "EIRE", "Spain", "Netherlands", "Norway")
QUANTITIES = (1, 1, 2, 3, 6, 12, 24)
SERVICES = (
    ("POST", "POSTAGE", "18.0", 1),
    ("DOT", "DOTCOM POSTAGE", "111.64", 1),
    ("C2", "CARRIAGE", "50.0", 1),
    ("M", "Manual", "1.25", 2),
    ("gift_0001_20", "Dotcomgiftshop Gift Voucher £20.00", "16.67", 1),
    ("S", "SAMPLES", "9.58", -1),
    ("D", "Discount", "24.9", -1),
    ("BANK CHARGES", "Bank Charges", "15.0", -1),
    ("AMAZONFEE", "AMAZON FEE", "13.99", -1),
    ("CRUK", "CRUK Commission", "7.5", -1),
)
"""Lines that are no products: code, description, price, quantity. Negative quantities are on returns' invoices."""

GUESTS, RETURNS, SERVICE_LINES, REPEATED, BAD = 0.25, 0.02, 0.01, 0.01, 0.015
"""Shares: guests of invoices, the others of a day's rows."""


@dataclass(frozen=True)
class Line:
    """One line of an invoice as the raw file has it: everything is text but for the quantity."""

    invoice: str
    code: str
    description: str
    quantity: int
    moment: datetime
    price: str
    customer: str
    country: str

    def text(self) -> str:
        """The line as CSV, without its end."""
        fields = (self.invoice, self.code, self.description, self.quantity, self.moment, self.price)
        return csv_line(*fields, self.customer, self.country)

    def row(self) -> Row:
        """The row of a line that has nothing wrong."""
        return Row(self.text().encode(), PUBLISHED, amount=self.quantity * Decimal(self.price))


class Shop:
    """A shop whose customers bring things back."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.last_invoice = 536364
        self.products = [
            (f"{20000 + 7 * number}{random.choice(('', '', '', 'A', 'B'))}", f"{colour} {thing}", self.new_price())
            for number, (colour, thing) in enumerate((colour, thing) for colour in COLOURS for thing in THINGS)
        ]
        self.customers = [(f"{12346 + 3 * number}.0", random.choice(COUNTRIES)) for number in range(120)]
        self.sold: list[Line] = []

    def new_price(self) -> str:
        """A price written as the data has it: without needless zeros, but for one decimal."""
        return str(round(self.random.lognormvariate(0.9, 0.9) + 0.1, 2))

    def new_invoice(self, prefix: str = "") -> str:
        """The next invoice number."""
        self.last_invoice += 1
        return f"{prefix}{self.last_invoice}"

    def moment(self, day: date) -> datetime:
        """A minute of the day's opening hours."""
        return datetime.combine(day, time(8)) + timedelta(minutes=self.random.randrange(10 * 60))

    def sale(self, day: date, most: int) -> list[Line]:
        """The lines of a new invoice, at most `most`, no product twice."""
        customer, country = self.random.choice(self.customers)
        if self.random.random() < GUESTS:
            customer = ""
        invoice, moment = self.new_invoice(), self.moment(day)
        products = self.random.sample(self.products, min(most, self.random.randint(1, 20)))
        lines = [
            Line(invoice, code, text, self.random.choice(QUANTITIES), moment, price, customer, country)
            for code, text, price in products
        ]
        self.sold += lines
        return lines

    def back(self, day: date) -> Line:
        """A line of an earlier sale, or some of it, brought back; each line once."""
        line = self.sold.pop(self.random.randrange(len(self.sold)))
        quantity = -self.random.randint(1, line.quantity)
        return replace(line, invoice=self.new_invoice("C"), quantity=quantity, moment=self.moment(day))

    def service(self, day: date, kind: int) -> Line:
        """A line that is no product; `kind` chooses which, and any number will do."""
        code, description, price, quantity = SERVICES[kind % len(SERVICES)]
        invoice = self.new_invoice("C" if quantity < 0 else "")
        customer, country = self.random.choice(self.customers)
        return Line(invoice, code, description, quantity, self.moment(day), price, customer, country)

    def bad_row(self, day: date, kind: int) -> Row:
        """A row with one thing wrong; `kind` chooses what, and any number will do."""
        line = Line(self.new_invoice(), "22423", "REGENCY CAKESTAND", 2, self.moment(day), "12.75", "17850.0", "France")
        fields = line.text().split(",")
        defects = bad_fields(line)
        place, value, rule = defects[kind % len(defects)]
        fields[place] = value
        return Row(",".join(fields).encode("latin-1" if rule == "not_text" else "utf-8"), QUARANTINED, rule)


def bad_fields(line: Line) -> list[tuple[int, str, str]]:
    """What can be wrong with a line: the field at fault, its text instead, the rule it breaks."""
    return [
        (5, "0.0", "price_not_positive"),
        (3, "2.5", "quantity_invalid"),
        (5, "-11062.06", "price_not_positive"),
        (1, "", "stock_code_missing"),
        (4, f"{line.moment:%d/%m/%Y %H:%M}", "invoice_date_invalid"),
        (5, "0.0", "price_not_positive"),
        (3, "", "quantity_missing"),
        (2, '"NEVER CLOSED', "malformed_record"),
        (0, " ", "invoice_no_missing"),
        (5, "12.75,GBP", "wrong_field_count"),
        (5, "£12.75", "unit_price_invalid"),
        (2, "CAFÉ SET", "not_text"),
        (5, "", "unit_price_missing"),
    ]


def day_rows(shop: Shop, day: date, count: int, first_defect: int, first_service: int) -> tuple[list[Row], int]:
    """The `count` rows of one day's file, by time.

    :param first_defect: where in the list of defects the day begins.
    :param first_service: where in the list of services the day begins.
    :return: the rows, and how many of them are services.
    """
    bad = [shop.bad_row(day, first_defect + number) for number in range(round(count * BAD))]
    services = [shop.service(day, first_service + number) for number in range(round(count * SERVICE_LINES))]
    returns = [shop.back(day) for _ in range(min(round(count * RETURNS), len(shop.sold)))]
    repeated = round(count * REPEATED)
    wanted = count - len(bad) - len(services) - len(returns) - repeated
    sales: list[Line] = []
    while len(sales) < wanted:
        sales += shop.sale(day, wanted - len(sales))
    lines = sorted(sales + returns + services, key=lambda line: line.moment)
    again = set(shop.random.sample(range(len(lines)), min(repeated, len(lines))))
    rows: list[Row] = []
    for place, line in enumerate(lines):
        rows.append(line.row())
        if place in again:
            rows.append(Row(line.text().encode(), DUPLICATE))
    for row in bad:
        rows.insert(shop.random.randrange(len(rows) + 1), row)
    return rows, len(services)


def online_retail(start: date, days: int, rows: int, seed: int) -> Iterator[Day]:
    """Each day's `online_retail.csv`; none on Saturdays.

    :param rows: lines of each file, not counting the header; at least 1.
    """
    shop = Shop(Random(seed))  # noqa: S311  sample data, not secrets
    defects_made = services_made = 0
    for number in range(days):
        day = start + timedelta(days=number)
        if day.weekday() == SATURDAY:
            continue
        made, services = day_rows(shop, day, rows, defects_made, services_made)
        defects_made += sum(row.outcome == QUARANTINED for row in made)
        services_made += services
        yield Day(day, "online_retail.csv", csv_file(HEADER, made), answers(made))
