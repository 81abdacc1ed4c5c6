"""What the pipeline must make of sales, customers and products, worked out from their raw files by date."""

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from tests.e2e.expected import csv_lines, days_of, is_date, money, month_of, ratio, rounded, rows, sum_of

HEADER = [
    *("transaction_id", "date", "customer_id", "product_id", "quantity", "unit_price", "total_amount", "region"),
    "payment_method",
]
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TIERS = {"bronze", "silver", "gold", "platinum"}
AMOUNT = r"[+-]?[0-9]+([.][0-9]{1,2})?"


@dataclass(frozen=True)
class Day:
    """One date of a dataset: its published rows, and what became of the others."""

    published: list
    quarantined: Counter
    duplicates: int
    warned: Counter

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
            "warned_by_rule": dict(sorted(self.warned.items())),
        }


def day_of(records, key, warnings):
    """A date of `(row, rule)` records: of the good ones with the same key the last counts."""
    quarantined = Counter(rule for _, rule in records if rule)
    good = [row for row, rule in records if not rule]
    published = list({row[key]: row for row in good}.values())
    warned = Counter(rule for row in published for rule in warnings(row))
    return Day(published, quarantined, len(good) - len(published), warned)


# ── Customers and products ────────────────────────────────────────────────────


def blank(value):
    return value is None or not str(value).strip()


def json_records(paths):
    """The objects of JSON arrays, and of files with an object on each line; numbers as they are written."""
    for path in paths:
        content = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            yield from (json.loads(line, parse_float=str, parse_int=str) for line in content.splitlines() if line)
        else:
            yield from json.loads(content, parse_float=str, parse_int=str)


def customer_problem(row):
    """The first rule that a customer breaks, or None."""
    if blank(row.get("customer_id")):
        return "customer_id_missing"
    if blank(row.get("name")):
        return "name_missing"
    if not blank(row.get("email")) and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", row["email"].strip()):
        return "email_pattern"
    if blank(row.get("country")):
        return "country_missing"
    if blank(row.get("signup_date")):
        return "signup_date_missing"
    if not is_date(row["signup_date"]):
        return "signup_date_invalid"
    if blank(row.get("customer_tier")):
        return "customer_tier_missing"
    return None if row["customer_tier"] in TIERS else "customer_tier_not_allowed"


def product_problem(row):
    """The first rule that a product breaks, or None."""
    for name in ("product_id", "name", "category", "price"):
        if blank(row.get(name)):
            return f"{name}_missing"
        if name == "price" and not re.fullmatch(AMOUNT, row["price"]):
            return "price_invalid"
    if Decimal(row["price"]) < 0:
        return "price_out_of_range"
    return None if row.get("in_stock") in (None, True, False) else "in_stock_invalid"


def read_customers(folder):
    """Customers by date."""
    return {
        ds: day_of(
            [(row, customer_problem(row)) for row in json_records(paths)],
            "customer_id",
            lambda row, ds=ds: ["signup_in_future"] if row["signup_date"] > ds else [],
        )
        for ds, paths in days_of(folder).items()
    }


def read_products(folder):
    """Products by date."""
    return {
        ds: day_of(
            [(row, product_problem(row)) for row in json_records(paths)],
            "product_id",
            lambda row: [] if Decimal(row["price"]) else ["price_zero"],
        )
        for ds, paths in days_of(folder).items()
    }


def as_of(dimension, ds, key):
    """The rows, by key, of a dimension's latest date up to `ds`; none before its first."""
    latest = max((day for day in dimension if day <= ds), default=None)
    return {row[key]: row for row in dimension[latest].published} if latest else {}


# ── Sales ─────────────────────────────────────────────────────────────────────


def sale_problem(fields):
    """The first rule that a sale breaks, or None."""
    values = dict(zip(HEADER, fields, strict=True))
    kinds = {"date": "date", "quantity": r"[+-]?[0-9]+", "unit_price": AMOUNT, "total_amount": AMOUNT}
    least = {"quantity": 1, "unit_price": 0, "total_amount": 0}
    for source, value in values.items():
        column = "sale_date" if source == "date" else source
        if blank(value):
            return f"{column}_missing"
        kind = kinds.get(source)
        if kind and not (is_date(value) if kind == "date" else re.fullmatch(kind, value)):
            return f"{column}_invalid"
        if source in least and Decimal(value) < least[source]:
            return f"{column}_out_of_range"
    return None


def enriched(fields, customers, products):
    """A sale with what is known of its customer and product, and what follows from that."""
    row = dict(zip(HEADER, fields, strict=True))
    customer, product = customers.get(row["customer_id"], {}), products.get(row["product_id"], {})
    quantity, price, total = int(row["quantity"]), Decimal(row["unit_price"]), Decimal(row["total_amount"])
    listed = Decimal(product["price"]) if product else None
    day = date.fromisoformat(row["date"]).weekday()
    size = next(name for least, name in ((10, "bulk"), (4, "medium"), (2, "small"), (1, "single")) if quantity >= least)
    return {
        **row,
        "quantity": quantity,
        "unit_price": price,
        "total_amount": total,
        "tier": customer.get("customer_tier"),
        "country": customer.get("country"),
        "category": product.get("category"),
        "list_price": listed,
        "weekday_number": day + 1,
        "weekday": WEEKDAYS[day],
        "is_weekend": day >= 5,
        "order_size": size,
        "revenue_class": "low" if total < 50 else "medium" if total < 100 else "high",
        "discount_percent": rounded(100 * Fraction(listed - price) / Fraction(listed), 2) if listed else None,
        "amount_matches": quantity * price == total,
        "unknown": [
            rule
            for rule, found in (("customer_unknown", customer), ("product_unknown", product))
            if not found
        ],
    }  # fmt: skip


def sale_warnings(row, ds):
    return [
        *row["unknown"],
        *([] if row["amount_matches"] else ["amount_mismatch"]),
        *(["sale_in_future"] if row["date"] > ds else []),
    ]


def read_sales(folder, customers, products):
    """Sales by date, enriched with the dimensions (`read_customers`, `read_products`) as of their date."""
    days = {}
    for ds, paths in days_of(folder).items():
        who, what = as_of(customers, ds, "customer_id"), as_of(products, ds, "product_id")
        records = []
        for fields, broken in csv_lines(paths, HEADER):
            rule = broken or sale_problem(fields)
            records.append((None if rule else enriched(fields, who, what), rule))
        days[ds] = day_of(records, "transaction_id", lambda row, ds=ds: sale_warnings(row, ds))
    return days


def marts(days, ds):
    """Every mart as of the date `ds`: rows of text, the columns in the contract's order."""
    dated = [(day, {**row, "ds": day}) for day, found in days.items() if day <= ds for row in found.published]
    so_far = [row for _, row in dated]
    this_month = [row for day, row in dated if day >= month_of(ds)]
    today = [row for day, row in dated if day == ds]
    return {
        "revenue_by_region_and_payment": rows(revenue_by_region_and_payment(this_month)),
        "weekend_against_weekday": rows(weekend_against_weekday(so_far)),
        "revenue_class_distribution": rows(revenue_class_distribution(this_month)),
        "order_size_analysis": rows(order_size_analysis(this_month)),
        "discount_analysis": rows(discount_analysis(this_month)),
        "top_customers": rows(top_customers(so_far)),
        "product_performance": rows(product_performance(so_far)),
        "amount_validation": rows(amount_validation(today)),
        "weekday_pattern": rows(weekday_pattern(so_far)),
        "payment_preference_by_region": rows(payment_preference_by_region(this_month)),
    }


def grouped(sales, *columns):
    groups = defaultdict(list)
    for row in sales:
        groups[tuple(row[column] for column in columns)].append(row)
    return sorted(groups.items(), key=str)


def total(sales, column):
    return money(sum_of(row[column] for row in sales))


def items(sales):
    return sum(row["quantity"] for row in sales)


def mean(sales, column):
    return ratio(total(sales, column), len(sales), 2)


def dates(sales):
    return len({row["date"] for row in sales})


def latest(sales):
    return max(sales, key=lambda row: (row["date"], row["ds"], row["transaction_id"]))


def revenue_by_region_and_payment(sales):
    for (region, method), group in grouped(sales, "region", "payment_method"):
        yield region, method, len(group), items(group), total(group, "total_amount"), mean(group, "total_amount")


def weekend_against_weekday(sales):
    for (weekend,), group in grouped(sales, "is_weekend"):
        revenue = total(group, "total_amount")
        kind = "weekend" if weekend else "weekday"
        per_day = ratio(revenue, dates(group), 2)
        yield kind, dates(group), len(group), revenue, per_day, mean(group, "total_amount")


def revenue_class_distribution(sales):
    everything = total(sales, "total_amount")
    for (name,), group in grouped(sales, "revenue_class"):
        revenue = total(group, "total_amount")
        yield name, len(group), revenue, ratio(100 * len(group), len(sales), 2), ratio(100 * revenue, everything, 2)


def order_size_analysis(sales):
    for (size,), group in grouped(sales, "order_size"):
        yield size, len(group), items(group), total(group, "total_amount"), mean(group, "total_amount")


def discount_class(percent):
    if percent is None:
        return "unknown"
    if percent <= 0:
        return "surcharge" if percent else "none"
    return "up_to_10" if percent <= 10 else "up_to_25" if percent <= 25 else "above_25"


def discount_analysis(sales):
    classified = [{**row, "class": discount_class(row["discount_percent"])} for row in sales]
    for (name,), group in grouped(classified, "class"):
        paid = money(sum_of(row["quantity"] * row["unit_price"] for row in group))
        if name == "unknown":
            yield name, len(group), items(group), paid, None, None, None
            continue
        listed = money(sum_of(row["quantity"] * row["list_price"] for row in group))
        yield name, len(group), items(group), paid, listed, listed - paid, mean(group, "discount_percent")


def top_customers(sales):
    customers = [
        (-total(group, "total_amount"), customer, group) for (customer,), group in grouped(sales, "customer_id")
    ]
    customers.sort(key=lambda entry: entry[:2])
    for rank, (revenue, customer, group) in enumerate(customers[:10], 1):
        yield rank, customer, latest(group)["tier"], latest(group)["country"], len(group), -revenue


def product_performance(sales):
    for (product,), group in grouped(sales, "product_id"):
        customers = len({row["customer_id"] for row in group})
        revenue, price = total(group, "total_amount"), mean(group, "unit_price")
        yield product, latest(group)["category"], len(group), customers, items(group), revenue, price


def amount_validation(sales):
    for (matches,), group in grouped(sales, "amount_matches"):
        amount = total(group, "total_amount")
        right = money(sum_of(row["quantity"] * row["unit_price"] for row in group))
        yield matches, len(group), amount, right, amount - right


def weekday_pattern(sales):
    for (number, name), group in grouped(sales, "weekday_number", "weekday"):
        revenue = total(group, "total_amount")
        yield number, name, dates(group), len(group), revenue, ratio(revenue, dates(group), 2)


def payment_preference_by_region(sales):
    for (region,), group in grouped(sales, "region"):
        methods = Counter(row["payment_method"] for row in group)
        ranked = sorted(methods.items(), key=lambda entry: (-entry[1], entry[0]))
        for rank, (method, count) in enumerate(ranked, 1):
            yield region, rank, method, count, ratio(100 * count, len(group), 2)
