"""What the pipeline must make of the lines of an online shop, worked out from its raw files by date."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal

from tests.e2e.expected import csv_lines, days_of, money, month_of, ratio, rows, sum_of

HEADER = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
NO_PRODUCTS = {
    "POST": "postage",
    "DOT": "postage",
    "C2": "carriage",
    "M": "manual",
    "D": "discount",
    "S": "samples",
    "B": "bad_debt_adjustment",
    "BANK CHARGES": "bank_charges",
    "AMAZONFEE": "amazon_fee",
    "CRUK": "charity_commission",
}


@dataclass(frozen=True)
class Line:
    """A published line. `customer` is None for a guest."""

    invoice: str
    code: str
    description: str | None
    quantity: int
    moment: str
    price: Decimal
    customer: str | None
    country: str

    @property
    def is_return(self):
        return self.invoice.startswith("C")

    @property
    def kind(self):
        code = self.code.upper()
        if code.startswith("GIFT"):
            return "gift_voucher"
        number, letters = code[:5], code[5:]
        if re.fullmatch("[0-9]{5}", number) and len(letters) <= 2 and (not letters or re.fullmatch("[A-Z]+", letters)):
            return "product"
        if (code.startswith("DCGS") and len(code) > 4) or code == "PADS":
            return "product"
        return NO_PRODUCTS.get(code, "other")

    @property
    def amount(self):
        return self.quantity * self.price


def problem(fields):
    """The first rule that a line breaks, or None."""
    invoice, code, _, quantity, moment, price, _, country = fields
    if not invoice.strip():
        return "invoice_no_missing"
    if not code.strip():
        return "stock_code_missing"
    if not quantity.strip():
        return "quantity_missing"
    if not re.fullmatch(r"[+-]?[0-9]+", quantity):
        return "quantity_invalid"
    if not moment.strip():
        return "invoice_date_missing"
    if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", moment):
        return "invoice_date_invalid"
    if not price.strip():
        return "unit_price_missing"
    if not re.fullmatch(r"[+-]?[0-9]+([.][0-9]{1,4})?", price):
        return "unit_price_invalid"
    if not country.strip():
        return "country_missing"
    return "price_not_positive" if Decimal(price) <= 0 else None


@dataclass(frozen=True)
class Day:
    """One date: the lines that are published, and what became of the others."""

    published: list[Line]
    quarantined: Counter
    duplicates: int

    @property
    def counts(self):
        """The counts as the manifest of `clean` and the samples' answers have them."""
        bad = sum(self.quarantined.values())
        return {
            "read": len(self.published) + bad + self.duplicates,
            "published": len(self.published),
            "quarantined": bad,
            "duplicates": self.duplicates,
            "dropped": {},
            "quarantined_by_rule": dict(sorted(self.quarantined.items())),
        }


def read_day(paths):
    """The date whose raw files these are."""
    quarantined, lines = Counter(), []
    for fields, rule in csv_lines(paths, HEADER):
        if rule := rule or problem(fields):
            quarantined[rule] += 1
            continue
        invoice, code, description, quantity, moment, price, customer, country = fields
        number = customer.removesuffix(".0").strip() or None
        description = description if description.strip() else None
        lines.append(Line(invoice, code, description, int(quantity), moment, Decimal(price), number, country))
    published = list(dict.fromkeys(lines))
    return Day(published, quarantined, len(lines) - len(published))


def read_days(folder):
    """Every date below a folder (see `days_of`)."""
    return {ds: read_day(paths) for ds, paths in days_of(folder).items()}


def totals(days):
    """What all dates together hold."""
    lines = [line for day in days.values() for line in day.published]
    quarantined = sum((day.quarantined for day in days.values()), Counter())
    return {
        "read": sum(day.counts["read"] for day in days.values()),
        "published": len(lines),
        "quarantined_by_rule": dict(quarantined),
        "duplicates": sum(day.duplicates for day in days.values()),
        "returns": sum(line.is_return for line in lines),
        "guests": sum(line.customer is None for line in lines),
        "net": money(sum_of(line.amount for line in lines), 4),
    }


def marts(days, as_of):
    """Every mart as of a date: rows of text, the columns in the contract's order."""
    today = days[as_of].published if as_of in days else []
    this_month = [line for ds, day in days.items() if month_of(as_of) <= ds <= as_of for line in day.published]
    so_far = [line for ds, day in days.items() if ds <= as_of for line in day.published]
    return {
        "daily_revenue": rows(daily_revenue(today)),
        "top_products": rows(top_products(this_month)),
        "revenue_by_country": rows(revenue_by_country(this_month)),
        "returning_customers_by_month": rows(returning_customers_by_month(so_far)),
        "basket_size": rows(basket_size(today)),
    }


def grouped(lines, key):
    groups = defaultdict(list)
    for line in lines:
        groups[key(line)].append(line)
    return groups.items()


def gross_returns_net(lines):
    gross = sum_of(line.amount for line in lines if not line.is_return)
    returns = -sum_of(line.amount for line in lines if line.is_return)
    return money(gross, 4), money(returns, 4), money(gross - returns, 4)


def invoices(lines, returns=False):
    return len({line.invoice for line in lines if line.is_return == returns})


def daily_revenue(lines):
    for kind, group in grouped(lines, lambda line: line.kind):
        yield (kind, invoices(group), invoices(group, returns=True), *gross_returns_net(group))


def top_products(lines):
    products = [
        (-sum_of(line.amount for line in group), code, group)
        for code, group in grouped((line for line in lines if line.kind == "product"), lambda line: line.code.upper())
    ]
    products.sort(key=lambda product: product[:2])
    for rank, (revenue, code, group) in enumerate(products[:10], 1):
        description = max((line.description for line in group if line.description is not None), default=None)
        yield rank, code, description, sum(line.quantity for line in group), money(-revenue, 4)


def revenue_by_country(lines):
    for country, group in grouped((line for line in lines if line.kind == "product"), lambda line: line.country):
        customers = {line.customer for line in group if not line.is_return} - {None}
        yield (country, invoices(group), len(customers), *gross_returns_net(group))


def returning_customers_by_month(lines):
    active = defaultdict(set)
    for line in lines:
        if line.kind == "product" and not line.is_return and line.customer:
            active[month_of(line.moment)].add(line.customer)
    seen = set()
    for month, customers in sorted(active.items()):
        returning = len(customers & seen)
        yield month, len(customers), len(customers) - returning, returning, ratio(100 * returning, len(customers), 2)
        seen |= customers


def basket_size(lines):
    sold = [line for line in lines if line.kind == "product" and not line.is_return]
    baskets, quantity, revenue = (
        invoices(sold),
        sum(line.quantity for line in sold),
        sum_of(line.amount for line in sold),
    )
    averages = [ratio(part, baskets, 2) for part in (len(sold), quantity, revenue)]
    yield (baskets, len(sold), quantity, money(revenue, 4), *averages)
