"""Files of orders of any size, the same for the same seed, and what must become of their rows.

What a row is follows from the seed and its place alone: so a form of the files is another writing of the same rows, and
each row has the same outcome in all of them. Of 10,000 rows about

- 100 are bad, each of one kind of `Kind`; in Parquet, whose columns have the contract's types, a null stands for what
  is no amount and no date;
- 60 come again: a good row from anywhere before, half of them to the byte, the others with another status and amount;
- 100 are pending or cancelled, and so old that they are dropped.

The others are new orders. One customer in fifty has a comma in the name, so quotes in CSV; one in ten is not ASCII.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Form = Literal["csv", "files", "gzip", "jsonl", "parquet"]
Numbers = npt.NDArray[Any]

DS = date(2025, 6, 30)
ROWS_OF_A_FILE = 10_000
CHUNK_ROWS = 50 * ROWS_OF_A_FILE
STALE_AFTER_DAYS = 30
OLDEST_DAYS = 120
HEADER = "OrderID,Customer,Amount,Status,OrderDate"
STATUSES = ("pending", "confirmed", "shipped", "cancelled")
FIRST_NAMES = ("Alice", "Bob", "Chloé", "Diana", "Edward", "Fatima", "Grace", "Hiro", "Ines", "Jamal")
OF_10_000_BAD, OF_10_000_REPEATED, OF_10_000_STALE = 100, 60, 100
LARGEST_CENTS = 100_000


class Kind(IntEnum):
    """What a row is; `REPEATED` and `CHANGED` are those that come again. Those from `NEGATIVE` on are bad."""

    GOOD = 0
    STALE = 1
    REPEATED = 2
    CHANGED = 3
    NEGATIVE = 4
    UNKNOWN_STATUS = 5
    NO_ID = 6
    ANOTHER_FIELD = 7
    NO_DATE = 8
    NO_NUMBER = 9


BAD = [kind for kind in Kind if kind >= Kind.NEGATIVE]
RULES = {
    Kind.NEGATIVE: "amount_negative",
    Kind.UNKNOWN_STATUS: "status_not_allowed",
    Kind.NO_ID: "order_id_missing",
    Kind.ANOTHER_FIELD: "wrong_field_count",
    Kind.NO_DATE: "order_date_invalid",
    Kind.NO_NUMBER: "amount_invalid",
}
"""The rule that each kind of bad row breaks."""
OTHER_RULES: dict[Form, dict[Kind, str]] = {
    "jsonl": {Kind.ANOTHER_FIELD: "malformed_record"},
    "parquet": {
        Kind.ANOTHER_FIELD: "amount_missing",
        Kind.NO_DATE: "order_date_missing",
        Kind.NO_NUMBER: "amount_missing",
    },
}
"""Those that it breaks in a form that has no such values."""


@dataclass(frozen=True)
class Rows:
    """Rows in the order of their places: what each is, and where in `Values` its values are."""

    kind: Numbers
    order: Numbers
    customer: Numbers
    amount: Numbers
    status: Numbers
    day: Numbers


def noise(seed: int, salt: int, places: Numbers) -> Numbers:
    """A number from 0 to 2^64 - 1 for each place, by SplitMix64."""
    mixed = places.astype(np.uint64) + np.uint64((seed * 0x632BE59BD9B4E019 + salt * 0x9E3779B97F4A7C15) % (1 << 64))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def below(limit: int, seed: int, salt: int, places: Numbers) -> Numbers:
    """A number from 0 to `limit` - 1 for each place."""
    return (noise(seed, salt, places) % np.uint64(limit)).astype(np.int64)


def kinds(seed: int, places: Numbers) -> Numbers:
    """The kind of each place, before it is known whether there is something that can come again."""
    drawn, kind = below(10_000, seed, 1, places), below(len(BAD), seed, 2, places)
    repeated = np.where(kind % 2, Kind.REPEATED, Kind.CHANGED)
    ends = np.cumsum([OF_10_000_BAD, OF_10_000_REPEATED, OF_10_000_STALE])
    return np.select([drawn < end for end in ends], [kind + Kind.NEGATIVE, repeated, Kind.STALE], Kind.GOOD)


def originals(seed: int, places: Numbers) -> Numbers:
    """For each place that comes again a good one before it, or -1 where there is none."""
    found = (noise(seed, 3, places) % np.maximum(places, 1).astype(np.uint64)).astype(np.int64)
    found[places == 0] = -1
    while (unfit := (found >= 0) & (kinds(seed, found) != Kind.GOOD)).any():
        found[unfit] -= 1
    return found


def rows_at(seed: int, first: int, count: int) -> Rows:
    """The rows from the place `first` on."""
    places = np.arange(first, first + count, dtype=np.int64)
    kind, source = kinds(seed, places), places.copy()
    again = np.isin(kind, (Kind.REPEATED, Kind.CHANGED))
    source[again] = originals(seed, places[again])
    kind[source < 0] = Kind.GOOD
    source = np.where(source < 0, places, source)
    changed, stale = kind == Kind.CHANGED, kind == Kind.STALE
    amount = 100 + below(LARGEST_CENTS - 200, seed, 4, source) + 100 * changed
    amount += LARGEST_CENTS * np.select([kind == Kind.NEGATIVE, kind == Kind.ANOTHER_FIELD], [1, 2], 0)
    amount[kind == Kind.NO_NUMBER] = 3 * LARGEST_CENTS
    status = (below(len(STATUSES), seed, 5, source) + changed) % len(STATUSES)
    status[stale & (status % 3 > 0)] = 0
    status[kind == Kind.UNKNOWN_STATUS] = len(STATUSES)
    day = below(STALE_AFTER_DAYS + 1, seed, 6, source)
    day[stale] += STALE_AFTER_DAYS + 1
    day[kind == Kind.NO_DATE] = OLDEST_DAYS
    customer = below(LARGEST_CENTS, seed, 7, source)
    return Rows(kind, source + 1, customer, amount, status, day)


def chunks(rows: int, seed: int) -> Iterator[Rows]:
    """All rows, `CHUNK_ROWS` at a time."""
    for first in range(0, rows, CHUNK_ROWS):
        yield rows_at(seed, first, min(CHUNK_ROWS, rows - first))


def answers(rows: int, seed: int, form: Form) -> dict[str, Any]:
    """What `clean` must count, in the shape of its manifest: `rows` and `quarantined_by_rule`."""
    counts: Counter[int] = Counter()
    for chunk in chunks(rows, seed):
        counts.update(dict(enumerate(np.bincount(chunk.kind, minlength=len(Kind)).tolist())))
    by_rule: Counter[str] = Counter()
    for kind, rule in (RULES | OTHER_RULES.get(form, {})).items():
        by_rule[rule] += counts[kind]
    return {
        "rows": {
            "read": rows,
            "published": counts[Kind.GOOD],
            "quarantined": by_rule.total(),
            "duplicates": counts[Kind.REPEATED] + counts[Kind.CHANGED],
            "dropped": {"stale_open_order": counts[Kind.STALE]} if counts[Kind.STALE] else {},
        },
        "quarantined_by_rule": dict(sorted((+by_rule).items())),
    }


class Values:
    """The values that a form of the files has, of which rows tell the places."""

    def __init__(self, form: Form) -> None:
        names = [f"{FIRST_NAMES[number % 10]} {number:06}" for number in range(LARGEST_CENTS)]
        with_comma = [f"Brown, {name}" if number % 50 == 0 else name for number, name in enumerate(names)]
        cents = [f"{number // 100}.{number % 100:02}" for number in range(LARGEST_CENTS)]
        days = [DS - timedelta(days=number) for number in range(OLDEST_DAYS)]
        self.statuses = pa.array([*STATUSES, "returned"])
        if form == "parquet":
            self.customers = pa.array(with_comma)
            amounts = [Decimal(amount) for amount in cents]
            none = [None] * (LARGEST_CENTS + 1)
            self.amounts = pa.array([*amounts, *(-amount for amount in amounts), *none], pa.decimal128(12, 2))
            self.days = pa.array([*days, None], pa.date32())
            return
        quotes = '"' if form != "jsonl" else ""
        self.customers = pa.array([f"{quotes}{name}{quotes}" if "," in name else name for name in with_comma])
        wrong = "n/a" if form != "jsonl" else '"n/a"'
        more = ',"USD"' if form == "jsonl" else ",USD"
        self.amounts = pa.array(
            [*cents, *(f"-{amount}" for amount in cents), *(f"{amount}{more}" for amount in cents), wrong]
        )
        self.days = pa.array([*map(str, days), f"{DS.year}-02-30"])

    def of(self, rows: Rows) -> list[pa.Array]:
        """The values of each column of rows."""
        numbers = pc.utf8_lpad(pa.array(rows.order).cast(pa.string()), 8, "0")
        orders = pc.binary_join_element_wise("O", numbers, "")
        return [
            pc.if_else(pa.array(rows.kind == Kind.NO_ID), "", orders),
            self.customers.take(pa.array(rows.customer)),
            self.amounts.take(pa.array(rows.amount)),
            self.statuses.take(pa.array(rows.status)),
            self.days.take(pa.array(rows.day)),
        ]


def csv_lines(columns: list[pa.Array]) -> pa.Array:
    """The rows as lines of CSV with their ends."""
    return pc.binary_join_element_wise(pc.binary_join_element_wise(*columns, ","), "\n", "")


def json_lines(columns: list[pa.Array]) -> pa.Array:
    """The rows as lines of JSON with their ends."""
    order, customer, amount, status, day = columns
    texts = ('{"OrderID":"', order, '","Customer":"', customer, '","Amount":', amount)
    more = (',"Status":"', status, '","OrderDate":"', day, '"}\n')
    return pc.binary_join_element_wise(*texts, *more, "")


def text_of(lines: pa.Array) -> memoryview:
    """The texts one behind the other, as bytes."""
    first, end = (np.frombuffer(lines.buffers()[1], np.int32)[lines.offset + at] for at in (0, len(lines)))
    return memoryview(lines.buffers()[2])[first:end]


def write(form: Form, rows: int, seed: int, folder: Path) -> list[Path]:
    """Write the files of a form into a new folder, and return them in the order of their names.

    `csv` and `gzip` are one file, `files` are CSV files of `ROWS_OF_A_FILE` rows, `jsonl` is a file with an object a
    line, `parquet` one with columns of the contract's types.
    """
    folder.mkdir(parents=True)
    values = Values(form)
    columns = (values.of(chunk) for chunk in chunks(rows, seed))
    match form:
        case "parquet":
            path = folder / "orders.parquet"
            tables = (pa.table(dict(zip(HEADER.split(","), each, strict=True))) for each in columns)
            first = next(tables)
            with pq.ParquetWriter(path, first.schema) as writer:
                for table in (first, *tables):
                    writer.write_table(table)
        case "jsonl":
            path = folder / "orders.jsonl"
            with path.open("wb") as file:
                for each in columns:
                    file.write(text_of(json_lines(each)))
        case "files":
            for number, lines in enumerate(slices(map(csv_lines, columns))):
                content = f"{HEADER}\n".encode() + text_of(lines)
                (folder / f"orders-{number:05}.csv").write_bytes(content)
        case "csv" | "gzip":
            path = folder / ("orders.csv" if form == "csv" else "orders.csv.gz")
            # Level 1: how long it takes to compress is not measured.
            with path.open("wb") if form == "csv" else gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file:
                file.write(f"{HEADER}\n".encode())
                for each in columns:
                    file.write(text_of(csv_lines(each)))
    return sorted(folder.iterdir())


def slices(chunked: Iterator[pa.Array]) -> Iterator[pa.Array]:
    """Each chunk in slices of `ROWS_OF_A_FILE`."""
    for lines in chunked:
        for first in range(0, len(lines), ROWS_OF_A_FILE):
            yield lines.slice(first, ROWS_OF_A_FILE)
