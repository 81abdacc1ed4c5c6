"""The mart that a dataset begins with, and its test."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import reduce

from contract.columns import decimal_parts
from contract.names import Names

from tools.dataset.columns import ColumnGuess

TEST_DATES = ("2025-01-30", "2025-01-31", "2025-02-01")
"""Dates of the SQL test's rows: several, in several months, so that a mart can be seen to read its own only."""
TEST_ROWS = 12

BOOLEANS = ("true", "false")
WHOLE_NUMBERS = ("int", "bigint")
ADDS_UP = re.compile(r"amount|total|value|revenue|cost|sum")
"""Names of numbers whose sum says something; the sum of unit prices does not."""
MAX_PRECISION, SUM_DIGITS = 38, 6
EXACT = Context(prec=2 * MAX_PRECISION)


@dataclass(frozen=True)
class FirstMart:
    """The mart to begin with: how many rows a date has, and the sum of a number, by the values of a column.

    `dataset` is whose it is, `group` a column with few values or None, `measure` a column of numbers or None.
    """

    dataset: str
    group: ColumnGuess | None
    measure: ColumnGuess | None

    @property
    def name(self) -> str:
        """The mart's name."""
        name = f"rows_by_{self.group.name}" if self.group else "daily_rows"
        return name if name not in Names(self.dataset).tables else f"{name}_counted"

    @property
    def description(self) -> str:
        """What the mart says."""
        total = f" and their {self.measure.name}" if self.measure else ""
        by = f", by {self.group.name}" if self.group else ""
        return f"How many rows the date has{total}{by}"

    @property
    def count(self) -> str:
        """The name of the column that says how many rows there are."""
        return "number_of_rows" if not self.group or self.group.name != "number_of_rows" else "counted_rows"

    @property
    def total(self) -> str:
        """The name of the column that holds the sum of the measure."""
        total = f"total_{self.measure.name}" if self.measure else ""
        return total if not self.group or self.group.name != total else f"sum_of_{total}"

    @property
    def columns(self) -> list[tuple[str, str, str]]:
        """Name, type and description of each column."""
        columns = [(self.count, "bigint", "Number of rows")]
        if self.group:
            columns.insert(0, (self.group.name, self.group.type, f"As in the column {self.group.name}"))
        if self.measure:
            columns.append((self.total, self.total_type, f"Sum of {self.measure.name}"))
        return columns

    @property
    def total_type(self) -> str:
        """The type that a sum of the measure has."""
        parts = decimal_parts(self.measure.type) if self.measure else None
        return f"decimal(38,{parts[1]})" if parts else "bigint"

    def sql(self) -> str:
        """The mart's SQL."""
        # Of a query that names no column Athena does not say which partitions it read.
        columns = [f"COUNT({'*' if self.group or self.measure else 'source_line'}) AS {self.count}"]
        if self.group:
            columns.insert(0, self.group.name)
        if self.measure:
            columns.append(f"SUM({self.measure.name}) AS {self.total}")
        start = "SELECT " if len(columns) == 1 else "SELECT\n    "
        lines = [start + ",\n    ".join(columns), "FROM {{ current }}"]
        return "\n".join([*lines, *([f"GROUP BY {self.group.name}"] if self.group else [])]) + "\n"

    def test(self) -> tuple[str, str]:
        """The SQL test: its input, and what the mart says of the second of `TEST_DATES`, both as CSV.

        Its numbers are made up: those of a sample are not for everybody.
        """
        used = [column.name for column in (self.group, self.measure) if column]
        groups = (self.group.allowed or BOOLEANS) if self.group else ()
        dated = []
        for at in range(TEST_ROWS):
            row = [groups[at // len(TEST_DATES) % len(groups)]] if groups else []
            row += [_made_up(self.measure.type, at + 1)] if self.measure else []
            dated.append((TEST_DATES[at % len(TEST_DATES)], *(row or [f"{at + 1}"])))
        dated.sort()
        received = [("ds", *(used or ["source_line"])), *dated]

        counted: dict[tuple[str, ...], list[Decimal]] = {}
        for ds, *row in dated:
            if ds == TEST_DATES[1]:
                group = tuple(row[: int(self.group is not None)])
                counted.setdefault(group, []).append(Decimal(row[-1]) if self.measure else Decimal(0))
        expected = [tuple(name for name, _, _ in self.columns)]
        for group, numbers in counted.items():
            total = (f"{EXACT.quantize(reduce(EXACT.add, numbers), self._unit())}",) if self.measure else ()
            expected.append((*group, f"{len(numbers)}", *total))
        return _as_csv(received), _as_csv(expected)

    def _unit(self) -> Decimal:
        parts = decimal_parts(self.total_type)
        return Decimal(1).scaleb(-parts[1]) if parts else Decimal(1)


def first_mart(dataset: str, columns: Sequence[ColumnGuess]) -> FirstMart:
    """Choose the columns of the mart to begin with."""
    filled = [column for column in columns if column.present]
    groups = [column for column in filled if column.allowed or column.type == "boolean"]
    group = min(groups, key=lambda column: len(column.allowed or BOOLEANS), default=None)
    numbers = [column for column in filled if _can_be_summed(column)]
    numbers.sort(key=lambda column: not ADDS_UP.search(column.name))
    numbers += [column for column in filled if column.type in WHOLE_NUMBERS]
    return FirstMart(dataset, group, numbers[0] if numbers else None)


def _can_be_summed(column: ColumnGuess) -> bool:
    """Whether a decimal leaves room for the sum of many, which has 38 digits at most."""
    parts = decimal_parts(column.type)
    return parts is not None and parts[0] <= MAX_PRECISION - SUM_DIGITS


def _made_up(type_name: str, number: int) -> str:
    """A number of the type, with up to two digits before the point and all of its places behind it."""
    precision, scale = decimal_parts(type_name) or (MAX_PRECISION, 0)
    whole = number * 7 % 10 ** min(2, precision - scale)
    return f"{whole}.{f'{number * 37}'.ljust(scale, '1')[:scale]}" if scale else f"{whole}"


def _as_csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
