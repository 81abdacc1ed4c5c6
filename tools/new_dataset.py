"""`python -m tools.new_dataset NAME SAMPLE`: a first contract, suite, mart, SQL test and page from a sample file.

What it writes holds for the sample and is meant to be edited. Nothing is overwritten. The sample itself is not kept;
of its values only those of columns with few, and not personal, ones are.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import yaml
from contract.columns import decimal_parts
from contract.dataset import Contract, load_contract
from contract.reading import ContractError

from tools import dataset_docs
from tools.console import console, run
from tools.environment import CHECKOUT
from tools.inference import ColumnGuess, Sample, guess_columns, guess_key, read_sample
from tools.processes import StackError

TEST_DATES = ("2025-01-30", "2025-01-31", "2025-02-01")
"""Dates of the SQL test's rows: several, in several months, so that a mart can be seen to read its own only."""
TEST_ROWS = 12

PRIVACY = "columns are marked as personal by their names only; judge each, and say why the others are not"
WHOLE_NUMBERS = ("int", "bigint")
ADDS_UP = re.compile(r"amount|total|value|revenue|cost|sum")
"""Names of numbers whose sum says something; the sum of unit prices does not."""

RUN_CHECKS = (
    (
        *("quarantined_share", {"max_value": 0.2}, "critical"),
        "Above one row in five, the file is at fault rather than its rows.",
    ),
    ("quarantined_share", {"max_value": 0.05}, "warning", "Early notice, long before the batch fails."),
    (
        *("rows_ratio_to_previous", {"min_value": 0.33, "max_value": 3}, "warning"),
        "Few days differ so much from those before: look before others ask.",
    ),
    ("rows_read", {"min_value": 1}, "warning", "A file without rows is published as such, and reported."),
)
"""Metric of the run, bounds, severity and reason of each check that the suite begins with."""


@dataclass(frozen=True)
class FirstMart:
    """The mart to begin with: how many rows a date has, and the sum of a number, by the values of a column.

    `group` is a column with few values or None, `measure` a column of numbers or None.
    """

    group: ColumnGuess | None
    measure: ColumnGuess | None

    @property
    def name(self) -> str:
        """The mart's name."""
        return f"rows_by_{self.group.name}" if self.group else "daily_rows"

    @property
    def description(self) -> str:
        """What the mart says."""
        total = f" and their {self.measure.name}" if self.measure else ""
        by = f", by {self.group.name}" if self.group else ""
        return f"How many rows the date has{total}{by}"

    @property
    def columns(self) -> list[tuple[str, str, str]]:
        """Name, type and description of each column."""
        columns = [("number_of_rows", "bigint", "Number of rows")]
        if self.group:
            columns.insert(0, (self.group.name, self.group.type, f"As in the column {self.group.name}"))
        if self.measure:
            columns.append((f"total_{self.measure.name}", self.total_type, f"Sum of {self.measure.name}"))
        return columns

    @property
    def total_type(self) -> str:
        """The type that a sum of the measure has."""
        parts = decimal_parts(self.measure.type) if self.measure else None
        return f"decimal(38,{parts[1]})" if parts else "bigint"

    def sql(self) -> str:
        """The mart's SQL."""
        # Of a query that names no column Athena does not say which partitions it read.
        columns = [f"COUNT({'*' if self.group or self.measure else 'source_line'}) AS number_of_rows"]
        if self.group:
            columns.insert(0, self.group.name)
        if self.measure:
            columns.append(f"SUM({self.measure.name}) AS total_{self.measure.name}")
        lines = ["SELECT", ",\n".join(f"    {column}" for column in columns), "FROM {{ current }}"]
        return "\n".join([*lines, *([f"GROUP BY {self.group.name}"] if self.group else [])]) + "\n"

    def test(self, sample: Sample) -> tuple[str, str]:
        """The SQL test: its input, and what the mart says of the second of `TEST_DATES`, both as CSV."""
        used = [column for column in (self.group, self.measure) if column]
        rows = zip(*([_value(column, text) for text in sample.columns[column.source]] for column in used), strict=True)
        lines = ((f"{number}",) for number in range(1, TEST_ROWS + 1))
        chosen = islice(cycle([row for row in rows if all(row)] if used else lines), TEST_ROWS)
        dated = sorted(zip(cycle(TEST_DATES), chosen, strict=False))
        received = [("ds", *([column.name for column in used] or ["source_line"])), *((ds, *row) for ds, row in dated)]

        groups: dict[tuple[str, ...], list[Decimal]] = {}
        for ds, row in dated:
            if ds == TEST_DATES[1]:
                group = row[: int(self.group is not None)]
                groups.setdefault(group, []).append(Decimal(row[-1]) if self.measure else Decimal(0))
        expected = [tuple(name for name, _, _ in self.columns)]
        for group, numbers in groups.items():
            total = (f"{sum(numbers, Decimal(0)).quantize(self._unit())}",) if self.measure else ()
            expected.append((*group, f"{len(numbers)}", *total))
        return _as_csv(received), _as_csv(expected)

    def _unit(self) -> Decimal:
        parts = decimal_parts(self.total_type)
        return Decimal(1).scaleb(-parts[1]) if parts else Decimal(1)


def first_mart(columns: Sequence[ColumnGuess], sample: Sample) -> FirstMart:
    """Choose the columns of the mart to begin with."""
    filled = [column for column in columns if any(_value(column, text) for text in sample.columns[column.source])]
    groups = [column for column in filled if column.allowed or column.type == "boolean"]
    group = min(groups, key=lambda column: len(column.allowed) or 2, default=None)
    numbers = [column for column in filled if decimal_parts(column.type)]
    numbers.sort(key=lambda column: not ADDS_UP.search(column.name))
    numbers += [column for column in filled if column.type in WHOLE_NUMBERS]
    if group and numbers:
        # The test's rows need both.
        both = zip(sample.columns[group.source], sample.columns[numbers[0].source], strict=True)
        numbers = numbers if any(_value(group, one) and _value(numbers[0], other) for one, other in both) else []
    return FirstMart(group, numbers[0] if numbers else None)


def _value(column: ColumnGuess, text: str | None) -> str:
    """The text as Athena writes the value, empty where there is none."""
    present = text if text and text.strip() else ""
    return present.lower() if column.type == "boolean" else present


def _as_csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _scalar(text: str) -> str:
    """`text` as a YAML string, with quotes where it needs them, in a flow collection too."""
    plain = re.fullmatch(r"[A-Za-z_(][\w ().'/;-]*", text) and not text.endswith(" ") and yaml.safe_load(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)


def contract_text(name: str, sample_name: str, sample: Sample, columns: Sequence[ColumnGuess], mart: FirstMart) -> str:
    """Return the first contract of dataset `name`, as YAML."""
    key = guess_key(columns)
    csv_only = [f"  delimiter: {json.dumps(sample.delimiter)}"] if sample.file_type == "csv" else []
    csv_only += ["  multiline: true"] if sample.multiline else []
    lines = [
        f"# yaml-language-server: $schema={dataset_docs.SCHEMA.name}",
        f"# Written by `make dataset` from {sample_name}: what it says holds for that file. Read it, and correct it.",
        f"dataset: {name}",
        f"description: {_scalar(f'{name} as received; say what a row is, and who sends it')}",
        "owner: data-platform",
        f"privacy: {_scalar(PRIVACY)}",
        'schedule: "0 0 * * *"',
        "start_date: 2020-01-01",
        "",
        "format:",
        f"  type: {sample.file_type}",
        *csv_only,
        f"  encoding: {sample.encoding}",
        "",
        "# append: a date's files hold facts of that date. upsert: new versions of keys. snapshot: the whole truth.",
        f"# The last two need include/sql/{name}/{name}_current.sql, which says what a reader sees as current.",
        "load_mode: append",
        *(
            [f"key: [{key.name}]"]
            if key
            else ["# No column of the sample is a key. Equal rows that count once: dedupe: {by: row}"]
        ),
        "",
        "wait:",
        "  timeout_hours: 6",
        "retention:",
        "  days: 90",
        "",
        "columns:",
        *(line for column in columns for line in _column_lines(column)),
        "",
        "# Rows to keep apart, leave out, or count: name, condition (Spark SQL), action, description.",
        "rules: []",
        "",
        "marts:",
        f"  - name: {mart.name}",
        f"    description: {_scalar(mart.description)}",
        "    scope: date",
        "    columns:",
        *(
            f"      - {{name: {column}, type: {_scalar(type_name)}, description: {_scalar(description)}}}"
            for column, type_name, description in mart.columns
        ),
    ]
    return "\n".join(lines) + "\n"


def _column_lines(column: ColumnGuess) -> list[str]:
    lines = [f"  - name: {column.name}", f"    source: {_scalar(column.source)}", f"    type: {column.type}"]
    if column.format:
        doubt = f"  # or {' or '.join(column.other_formats)}" if column.other_formats else ""
        lines.append(f"    format: {_scalar(column.format)}{doubt}")
    if column.required:
        lines.append("    required: true")
    if column.personal:
        lines.append("    personal: true  # looks like personal data: published as a keyed hash only")
    if column.allowed:
        lines.append(f"    allowed: [{', '.join(_scalar(value) for value in column.allowed)}]")
    return [*lines, f"    description: {_scalar(f'{column.source} as received')}"]


def suite_text(name: str) -> str:
    """Return the first suite of dataset `name`, as JSON: what can be said of any batch."""
    expectations = [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": metric, **bounds},
            "severity": severity,
            "meta": {"batch": "run", "notes": notes},
        }
        for metric, bounds, severity, notes in RUN_CHECKS
    ]
    return json.dumps({"name": name, "expectations": expectations}, indent=2) + "\n"


def first_files(name: str, sample_path: Path) -> dict[Path, str]:
    """Return what a new dataset begins with, by path in the repository.

    Raises:
        StackError: when the sample cannot be used, or the name is not one.
    """
    if not name.isidentifier():
        raise StackError(f"{name!r} is not a name for a dataset: it may have lower case letters, digits and _")
    sample = read_sample(sample_path)
    columns = guess_columns(sample)
    mart = first_mart(columns, sample)
    contract = contract_text(name, sample_path.name, sample, columns, mart)
    _checked(name, contract)
    received, expected = mart.test(sample)
    tests = Path("tests/integration/sql") / name
    return {
        Path("include/datasets") / f"{name}.yaml": contract,
        Path("expectations") / f"{name}.json": suite_text(name),
        Path("include/sql") / name / f"{mart.name}.sql": mart.sql(),
        tests / "input.csv": received,
        tests / mart.name / f"{TEST_DATES[1]}.csv": expected,
    }


def _checked(name: str, contract: str) -> Contract:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        try:
            path.write_text(contract, encoding="utf-8")
            return load_contract(path)
        except (ContractError, OSError) as error:
            raise StackError(f"{error}".replace(f"{folder}/", "")) from None


def create(name: str, sample_path: Path, repository: Path) -> list[Path]:
    """Write a new dataset's first files and its page, and return their paths in the repository.

    Raises:
        StackError: when one of them is there already, or the sample or the name cannot be used.
    """
    files = first_files(name, sample_path)
    taken = [f"{path}" for path in files if (repository / path).exists()]
    if taken:
        raise StackError(f"{name} is there already: {', '.join(taken)}. Nothing was written")
    for path, content in files.items():
        file = repository / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return [*files, *dataset_docs.write(repository)]


def report(name: str, sample_path: Path, repository: Path) -> None:
    """Create the dataset, and say what was written and what comes next."""
    for path in create(name, sample_path, repository):
        console.print(f"  [green]✓[/] {path}")
    console.print(
        f"""
  Next:
    edit include/datasets/{name}.yaml and run `make docs`
    make up                                         makes its database and crawler; the DAG ingest_{name} appears
    . .local/env
    aws s3 cp {shlex.quote(str(sample_path))} s3://$LAKE_RAW_BUCKET/{name}/ds=2025-06-30/
    airflow dags test ingest_{name} 2025-06-30
                                                    loads it here; tests have a metadata database of their own
""",
        markup=False,
    )


def main(repository: Path = CHECKOUT) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="tools.new_dataset", description=__doc__)
    parser.add_argument("name", help="the dataset: lower case letters, digits and _")
    parser.add_argument("sample", type=Path, help="a file as it will be received: .csv, .json or .jsonl, also .gz")
    arguments = parser.parse_args()
    return run(partial(report, arguments.name, arguments.sample, repository))


if __name__ == "__main__":
    sys.exit(main())
