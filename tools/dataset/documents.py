"""The contract and the suite that a dataset begins with, as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

import yaml

from tools import dataset_docs
from tools.dataset.columns import ColumnGuess, guess_key
from tools.dataset.mart import FirstMart
from tools.dataset.sample import Sample

MAX_PLAIN = 120
PRIVACY = "columns are marked as personal by their names and values; judge each, and say why the others are not"
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


def contract_text(name: str, sample_name: str, sample: Sample, columns: Sequence[ColumnGuess], mart: FirstMart) -> str:
    """Return the first contract of dataset `name`, as YAML."""
    left_out = [f"# Left out: {scalar(column)} {why}." for column, why in sample.left_out.items()]
    lines = [
        f"# yaml-language-server: $schema={dataset_docs.SCHEMA.name}",
        f"# Written by `make dataset` from {plain(sample_name)}:",
        "# what it says holds for that file. Read it, and correct it.",
        f"dataset: {scalar(name)}",
        f"description: {scalar(f'{name} as received; say what a row is, and who sends it')}",
        "owner: data-platform",
        f"privacy: {scalar(PRIVACY)}",
        'schedule: "0 0 * * *"',
        "start_date: 2020-01-01",
        "",
        "format:",
        *_format_lines(sample),
        *(f"# Doubtful: {doubt}." for doubt in sample.doubts),
        "",
        "# append: a date's files hold facts of that date. upsert: new versions of keys. snapshot: the whole truth.",
        f"# The last two need include/sql/{name}/{name}_current.sql, which says what a reader sees as current.",
        "load_mode: append",
        *_key_lines(name, columns),
        "",
        "wait:",
        "  timeout_hours: 6",
        "retention:",
        "  days: 90",
        "",
        *left_out,
        "columns:",
        *(line for column in columns for line in _column_lines(column)),
        "",
        "# Rows to keep apart, leave out, or count: name, condition (Spark SQL), action, description.",
        "rules: []",
        "",
        "marts:",
        f"  - name: {scalar(mart.name)}",
        f"    description: {scalar(mart.description)}",
        "    scope: date",
        "    columns:",
        *(
            f"      - {{name: {scalar(column)}, type: {scalar(type_name)}, description: {scalar(description)}}}"
            for column, type_name, description in mart.columns
        ),
    ]
    return "\n".join(lines) + "\n"


def _format_lines(sample: Sample) -> list[str]:
    """The contract's `format`, with what speaks for each field."""
    lines = []
    for name, value in sample.format.model_dump(exclude_unset=True).items():
        given = (
            json.dumps(value) if isinstance(value, int) else scalar(value) if isinstance(value, str) else _list(value)
        )
        why = f"  # {plain(sample.evidence[name])}" if name in sample.evidence else ""
        lines.append(f"  {name}: {given}{why}")
    return lines


def _key_lines(name: str, columns: Sequence[ColumnGuess]) -> list[str]:
    """The key, where one is proved, or which columns may be one."""
    if key := guess_key(name, columns):
        return [
            f"# Unique in all {key.rows:,} rows. Of rows with the same key in one date, one counts.",
            f"key: [{key.name}]",
        ]
    return ["# No column is proved to be a key, so every row counts. Equal rows that count once: dedupe: {by: row}"]


def _column_lines(column: ColumnGuess) -> list[str]:
    lines = [f"  - name: {scalar(column.name)}", f"    source: {scalar(column.source)}"]
    lines.append(f"    type: {column.type}" + (f"  # doubtful: {column.doubt}" if column.doubt else ""))
    if column.format:
        doubt = f"  # or {' or '.join(column.other_formats)}: the sample does not tell" if column.other_formats else ""
        lines.append(f"    format: {scalar(column.format)}{doubt}")
    if column.trimmed:
        lines.append("    normalize: trim(value)")
    if column.required:
        lines.append("    required: true")
    if column.personal:
        doubt = "doubtful: " if column.personal.doubtful else ""
        lines.append(f"    personal: true  # {doubt}{column.personal.why}: published as a keyed hash only")
    if column.allowed:
        lines.append(f"    allowed: {_list(column.allowed)}")
    return [*lines, f"    description: {scalar(f'{plain(column.source)} as received')}"]


def scalar(text: str) -> str:
    """`text` as a YAML string, in a flow collection too: with quotes where it needs them, and nothing unseen in it."""
    bare = re.fullmatch(r"[A-Za-z_(][\w ().'/;-]*", text, re.ASCII) and not text.endswith(" ")
    # Other readers of YAML than ours take these for true and false.
    bare = bare and text not in ("y", "Y", "n", "N")
    return text if bare and yaml.safe_load(text) == text else f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(scalar, texts))}]"


def plain(text: str) -> str:
    """`text` for people, on one line: unseen characters are blanks, and what is long is cut."""
    seen = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return seen if len(seen) <= MAX_PLAIN else f"{seen[:MAX_PLAIN]}..."


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
