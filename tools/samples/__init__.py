"""Raw files to try things on: `python -m tools.samples orders --start 2025-06-24 --days 7 --rows 1000 --out DIR`.

Writes `DIR/<dataset>/ds=D/<file>` for each day that has a file, and `DIR/<dataset>/expected.json`, which says what the
pipeline must make of them: `{"dataset", "seed", "days": {ds: {"read", "published", "quarantined", "duplicates",
"dropped": {rule: rows}, "quarantined_by_rule": {rule: rows}, "warned_by_rule": {rule: rows}, "published_amount":
"123.45"}}}`. The answers are not computed from the files: each row is made to have an outcome, and counted as it is
made. The same arguments give the same bytes. `sales` refer to `customers` and `products` of the same start and seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from tools.samples.dimensions import customers, products
from tools.samples.online_retail import online_retail
from tools.samples.orders import orders
from tools.samples.rows import Day
from tools.samples.sales import sales

GENERATORS: dict[str, Callable[[date, int, int, int], Iterator[Day]]] = {
    "customers": customers,
    "online_retail": online_retail,
    "orders": orders,
    "products": products,
    "sales": sales,
}
"""By dataset: a function of the first day, the number of days, the rows of a day's file, and the seed."""


def write(dataset: str, start: date, days: int, rows: int, seed: int, out: Path) -> dict[str, Any]:
    """Write a dataset's files and `expected.json` below `out`, and return what the latter says."""
    expected: dict[str, Any] = {"dataset": dataset, "seed": seed, "days": {}}
    for day in GENERATORS[dataset](start, days, rows, seed):
        folder = out / dataset / f"ds={day.date}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / day.name).write_bytes(day.content)
        expected["days"][f"{day.date}"] = day.answers
    (out / dataset / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")
    return expected
