"""The generator of the bulk benchmark is repeatable, and what it promises of its rows is true, as others count them."""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, get_args

import pyarrow.parquet as pq
import pytest

from benchmarks import orders
from tools.environment import CHECKOUT, python_of

ROWS, SEED = 20_500, 7
FORMS = get_args(orders.Form)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The files of each form."""
    folder = tmp_path_factory.mktemp("orders")
    return {form: orders.write(form, ROWS, SEED, folder / form) for form in FORMS}


def records(file: Path) -> Iterator[list[Any] | None]:
    """The values of each record of a file; None where it has none."""
    if file.suffix == ".parquet":
        yield from (list(row.values()) for row in pq.read_table(file).to_pylist())
        return
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        if file.suffix == ".jsonl":
            for line in lines:
                try:
                    yield list(json.loads(line, parse_float=str).values())
                except ValueError:
                    yield None
            return
        rows = csv.reader(lines, strict=True)
        assert next(rows) == orders.HEADER.split(",")
        yield from (row if len(row) == 5 else None for row in rows)


def judged(values: list[Any] | None) -> str:
    """What becomes of a record, but for those that come again."""
    if values is None or not all(values):
        return "bad"
    _, _, amount, status, day = values
    try:
        amount, day = Decimal(amount), date.fromisoformat(str(day))
    except (InvalidOperation, ValueError):
        return "bad"
    if amount < 0 or status not in orders.STATUSES:
        return "bad"
    old = day < orders.DS - timedelta(days=orders.STALE_AFTER_DAYS)
    return "stale" if old and status in ("pending", "cancelled") else "good"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_rows_that_are_promised(form: orders.Form, files: dict[str, list[Path]]) -> None:
    found = [values for file in files[form] for values in records(file)]
    by_outcome: dict[str, list[Any]] = {"bad": [], "stale": [], "good": []}
    for values in found:
        by_outcome[judged(values)].append(values)
    numbers = {values[0] for values in by_outcome["good"]}
    assert orders.answers(ROWS, SEED, form)["rows"] == {
        "read": len(found),
        "published": len(numbers),
        "quarantined": len(by_outcome["bad"]),
        "duplicates": len(by_outcome["good"]) - len(numbers),
        "dropped": {"stale_open_order": len(by_outcome["stale"])},
    }


@pytest.mark.parametrize("form", FORMS)
def test_duckdb_counts_the_same_for_each_rule(form: orders.Form, files: dict[str, list[Path]], tmp_path: Path) -> None:
    kind = "csv" if form in ("files", "gzip") else form
    command = [python_of("localaws"), "-m", "benchmarks.peer_duckdb", kind, f"{files[form][0].parent}/*", tmp_path]
    said = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert json.loads(said) == orders.answers(ROWS, SEED, form)
    assert pq.read_metadata(tmp_path / "published.parquet").num_rows == json.loads(said)["rows"]["published"]


def test_rows_are_bad_and_come_again_as_often_as_they_should() -> None:
    rows = orders.answers(1_000_000, 1, "csv")["rows"]
    assert rows["quarantined"] == pytest.approx(10_000, rel=0.05)
    assert rows["duplicates"] == pytest.approx(6_000, rel=0.05)
    assert rows["dropped"]["stale_open_order"] == pytest.approx(10_000, rel=0.05)


def test_some_come_again_to_the_byte_and_some_with_another_status(files: dict[str, list[Path]]) -> None:
    versions: dict[str, list[list[Any]]] = {}
    for values in records(files["csv"][0]):
        if values is not None and judged(values) == "good":
            versions.setdefault(values[0], []).append(values)
    twice = [found for found in versions.values() if len(found) > 1]
    equal = [found for found in twice if found[0] == found[1]]
    assert 0 < len(equal) < len(twice)
    assert all(found[0][3] != found[1][3] for found in twice if found not in equal)


def test_files_hold_the_rows_of_the_one_file(files: dict[str, list[Path]]) -> None:
    assert [file.name for file in files["files"]] == ["orders-00000.csv", "orders-00001.csv", "orders-00002.csv"]
    lines = [line for file in files["files"] for line in file.read_bytes().splitlines()[1:]]
    assert lines == files["csv"][0].read_bytes().splitlines()[1:]


def test_rows_do_not_depend_on_how_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (whole,) = orders.write("csv", 3_000, SEED, tmp_path / "whole")
    monkeypatch.setattr(orders, "CHUNK_ROWS", 700)
    (parts,) = orders.write("csv", 3_000, SEED, tmp_path / "parts")
    (other,) = orders.write("csv", 3_000, SEED + 1, tmp_path / "other")
    assert whole.read_bytes() == parts.read_bytes() != other.read_bytes()
