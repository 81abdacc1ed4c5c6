"""What all generators share: rows that are made to have an outcome, and the counting of outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

PUBLISHED, DUPLICATE, DROPPED, QUARANTINED = "published", "duplicates", "dropped", "quarantined"


@dataclass(frozen=True)
class Row:
    """A record of a raw file and what must become of it.

    `text` is its bytes without the line break. `rule` is the rule that decides where the outcome is `dropped` or
    `quarantined`; `warnings` are the rules that a published row breaks all the same. `amount` is what it adds to the
    day's published amount.
    """

    text: bytes
    outcome: str = PUBLISHED
    rule: str = ""
    amount: Decimal = Decimal(0)
    warnings: tuple[str, ...] = ()


class Day(NamedTuple):
    """One day of a dataset: its date, the file's name and bytes, and the right answers (`answers`)."""

    date: date
    name: str
    content: bytes
    answers: dict[str, Any]


def quoted(value: str) -> str:
    """A CSV field, in quotes where it needs them."""
    return '"' + value.replace('"', '""') + '"' if set(value) & set(',"\n') else value


def csv_line(*fields: object) -> str:
    """A record of CSV without its line break; None is an empty field."""
    return ",".join("" if field is None else quoted(str(field)) for field in fields)


def csv_file(header: str, rows: Iterable[Row]) -> bytes:
    """A CSV file of `rows`, lines ending in LF."""
    return b"\n".join([header.encode(), *(row.text for row in rows)]) + b"\n"


def json_array(rows: Iterable[Row]) -> bytes:
    """A file of one JSON array, with an object on each line."""
    return b"[\n" + b",\n".join(b"  " + row.text for row in rows) + b"\n]\n"


def json_lines(rows: Iterable[Row]) -> bytes:
    """A file with an object on each line."""
    return b"".join(row.text + b"\n" for row in rows)


def shuffled(random: Random, rows: list[Row]) -> list[Row]:
    """The rows in another order, the same for the same state of `random`."""
    places = [random.random() for _ in rows]
    return [row for _, row in sorted(zip(places, rows, strict=True), key=lambda pair: pair[0])]


def answers(rows: list[Row]) -> dict[str, Any]:
    """What the pipeline must count for one day."""
    outcomes = Counter(row.outcome for row in rows)
    by_rule = {
        outcome: dict(sorted(Counter(row.rule for row in rows if row.outcome == outcome).items()))
        for outcome in (DROPPED, QUARANTINED)
    }
    return {
        "read": len(rows),
        "published": outcomes[PUBLISHED],
        "quarantined": outcomes[QUARANTINED],
        "duplicates": outcomes[DUPLICATE],
        "dropped": by_rule[DROPPED],
        "quarantined_by_rule": by_rule[QUARANTINED],
        "warned_by_rule": dict(sorted(Counter(rule for row in rows for rule in row.warnings).items())),
        "published_amount": f"{sum((row.amount for row in rows), Decimal(0))}",
    }
