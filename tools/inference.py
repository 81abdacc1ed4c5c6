"""What a sample file tells of its dataset: format, columns, types, what is required, allowed, a key, or personal.

Everything inferred holds for every row of the sample; whether it holds for the next file, the reader must judge.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from contract.columns import DOUBLE, INTEGER, RESERVED_COLUMNS, SQL_KEYWORDS, decimal_pattern

from tools.processes import StackError

MAX_ROWS = 100_000
"""Rows that are looked at; a sample needs no more."""

DELIMITERS = ",;\t|"
DATE_FORMATS = {
    "yyyy-MM-dd": "%Y-%m-%d",
    "yyyy/MM/dd": "%Y/%m/%d",
    "dd/MM/yyyy": "%d/%m/%Y",
    "MM/dd/yyyy": "%m/%d/%Y",
    "dd.MM.yyyy": "%d.%m.%Y",
    "dd-MM-yyyy": "%d-%m-%Y",
}
TIMESTAMP_FORMATS = {
    "yyyy-MM-dd HH:mm:ss": "%Y-%m-%d %H:%M:%S",
    "yyyy-MM-dd'T'HH:mm:ss": "%Y-%m-%dT%H:%M:%S",
    "yyyy-MM-dd'T'HH:mm:ss'Z'": "%Y-%m-%dT%H:%M:%SZ",
    "yyyy-MM-dd HH:mm": "%Y-%m-%d %H:%M",
    "dd/MM/yyyy HH:mm": "%d/%m/%Y %H:%M",
    "MM/dd/yyyy HH:mm": "%m/%d/%Y %H:%M",
}
IDENTIFIER = re.compile(r"(.*_)?(id|no|nr|number|code|key|sku|zip|postcode)")
PERSONAL = re.compile(
    r"(.*_)?(e_?mail|(tele)?phone|tel|mobile|fax|address|street|birth_?day|birth_?date|date_of_birth|dob|ssn|iban|passport)"
    r"(_.*)?|((first|last|full|family|given|middle|sur|maiden)_?|"
    r"(customer|person|user|member|patient|employee|student|contact|holder)_)name"
)
MAX_ALLOWED, ROWS_PER_ALLOWED = 12, 4
"""A column has a list of allowed values when it has few, each on several rows."""


@dataclass(frozen=True)
class Sample:
    """A sample file: how it is written, and by source column the text of each row, None where there is none."""

    file_type: Literal["csv", "json", "jsonl"]
    encoding: Literal["utf-8", "latin-1"]
    delimiter: str
    columns: dict[str, list[str | None]]
    multiline: bool = False


@dataclass(frozen=True)
class ColumnGuess:
    """A column as the sample suggests it; `other_formats` would fit its dates as well."""

    name: str
    source: str
    type: str
    required: bool
    unique: bool
    personal: bool
    format: str | None = None
    other_formats: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


def read_sample(path: Path) -> Sample:
    """Read a sample file: CSV, a JSON array of objects, or JSON lines, each also as .gz.

    Raises:
        StackError: when it cannot be read, has another ending, or holds no row; or a header names a column twice.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error}") from None
    encoding, text = _decode(data)
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    delimiter, multiline = ",", False
    match kind:
        case ".csv":
            delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
            columns, multiline = _csv_columns(path, text, delimiter)
        case ".json" | ".jsonl":
            columns = _object_columns(path, _objects(path, text, lines=kind == ".jsonl"))
        case _:
            raise StackError(f"{path}: a sample must end in .csv, .json or .jsonl, and may have .gz behind it")
    if not any(columns.values()):
        raise StackError(f"{path} holds no row to learn from")
    file_type: Any = kind.removeprefix(".")
    return Sample(file_type, encoding, delimiter, columns, multiline)


def _decode(data: bytes) -> tuple[Literal["utf-8", "latin-1"], str]:
    try:
        return "utf-8", data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "latin-1", data.decode("latin-1")


def _csv_columns(path: Path, text: str, delimiter: str) -> tuple[dict[str, list[str | None]], bool]:
    """The columns of a CSV file, and whether values have line breaks."""
    read = partial(csv.reader, delimiter=delimiter)
    rows = [row for row in read(io.StringIO(text, newline="")) if row]
    header = rows[0] if rows else []
    broken = [value.split("\n") for row in rows for value in row if "\n" in value]
    # Whole rows inside a value are rows between two stray quotes.
    multiline = bool(broken) and not any(len(row) == len(header) for lines in broken for row in read(lines[1:-1]))
    if broken and not multiline:
        rows = [row for line in text.split("\n") for row in read([line]) if row]
    twice = {name for name in header if header.count(name) > 1}
    if twice or not all(name.strip() for name in header):
        problem = f"names {', '.join(sorted(twice))} twice" if twice else "has a column without a name"
        raise StackError(f"{path}: the header {problem}")
    whole = [row for row in rows[1 : MAX_ROWS + 1] if len(row) == len(header)]
    return {name: [row[index] for row in whole] for index, name in enumerate(header)}, multiline


def _objects(path: Path, text: str, *, lines: bool) -> list[dict[str, Any]]:
    # Numbers keep the digits with which they are written: 1.10 is not 1.1.
    decoder = json.JSONDecoder(parse_int=str, parse_float=str)
    try:
        if lines:
            objects = [decoder.decode(line) for line in text.splitlines() if line.strip()]
        else:
            objects = decoder.decode(text.strip())
    except json.JSONDecodeError as error:
        raise StackError(f"{path} is not {'JSON lines' if lines else 'JSON'}: {error}") from None
    if not isinstance(objects, list) or not all(isinstance(item, dict) for item in objects):
        raise StackError(f"{path} is not {'one object a line' if lines else 'one array of objects'}")
    return objects[:MAX_ROWS]


def _object_columns(path: Path, objects: Sequence[dict[str, Any]]) -> dict[str, list[str | None]]:
    names = dict.fromkeys(name for item in objects for name in item)
    nested = sorted(name for name in names if any(isinstance(item.get(name), dict | list) for item in objects))
    if nested:
        raise StackError(f"{path}: {', '.join(nested)} holds objects or arrays, a column one value: flatten it first")
    return {name: [_text(item.get(name)) for item in objects] for name in names}


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def guess_columns(sample: Sample) -> list[ColumnGuess]:
    """Infer every column of a sample, in the file's order."""
    names = column_names(sample.columns)
    columns = [_guess(name, *column) for name, column in zip(names, sample.columns.items(), strict=True)]
    if any(column.personal for column in columns):
        # Where there is an e-mail address or the like, the name is a person's.
        columns = [replace(c, personal=True, allowed=()) if c.name == "name" else c for c in columns]
    return columns


def column_names(sources: Iterable[str]) -> list[str]:
    """Return for each source column a name that a contract accepts: `OrderID` becomes `order_id`.

    A name that is taken, reserved or a word of SQL gets something behind it.
    """
    names: list[str] = []
    for place, source in enumerate(sources, 1):
        ascii_only = unicodedata.normalize("NFKD", source).encode("ascii", "ignore").decode()
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", ascii_only)
        name = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")[:50]
        if not name or not name[0].isalpha():
            name = f"column_{name or place}"
        if name in RESERVED_COLUMNS | SQL_KEYWORDS:
            name = f"{name}_value"
        names.append(name if name not in names else f"{name}_{place}")
    return names


def _guess(name: str, source: str, values: Sequence[str | None]) -> ColumnGuess:
    present = [value for value in values if value is not None and value.strip()]
    type_name, formats = _type(name, present)
    personal = type_name != "boolean" and (
        PERSONAL.fullmatch(name) is not None or any(re.fullmatch(r"\S+@\S+\.\S+", value) for value in present)
    )
    if personal:
        # A hash takes its place, so that it is a string whatever it is written like.
        type_name, formats = "string", []
    distinct = sorted(set(present))
    listed = type_name == "string" and not personal and not IDENTIFIER.fullmatch(name)
    few = 0 < len(distinct) <= min(MAX_ALLOWED, len(present) // ROWS_PER_ALLOWED)
    return ColumnGuess(
        name=name,
        source=source,
        type=type_name,
        required=len(present) == len(values),
        unique=len(distinct) == len(values) > 1,
        personal=personal,
        format=formats[0] if formats else None,
        other_formats=tuple(formats[1:]),
        allowed=tuple(distinct) if listed and few and all(value == value.strip() for value in distinct) else (),
    )


def _type(name: str, values: Sequence[str]) -> tuple[str, list[str]]:
    """The narrowest type that every value has, and for a date or timestamp the formats that fit all of them."""

    def every(fits: Callable[[str], object]) -> bool:
        return all(fits(value) for value in values)

    if not values or IDENTIFIER.fullmatch(name):
        return "string", []
    if every(lambda value: value.lower() in ("true", "false")):
        return "boolean", []
    # Numbers with leading zeros name something: what was written could not be told from the value.
    bare = not any(re.match(r"[+-]?0[0-9]", value) for value in values)
    if bare and every(re.compile(INTEGER).fullmatch):
        widest = max(abs(int(value)) for value in values)
        return ("int" if widest < 2**31 else "bigint" if widest < 2**63 else "string"), []
    if bare and every(re.compile(decimal_pattern(38)).fullmatch):
        return _decimal(values), []
    if every(re.compile(DOUBLE).fullmatch) and any("e" in value.lower() for value in values):
        return "double", []
    for type_name, patterns in (("date", DATE_FORMATS), ("timestamp", TIMESTAMP_FORMATS)):
        formats = [ours for ours, theirs in patterns.items() if every(lambda value, f=theirs: _is_date(value, f))]  # type: ignore[misc]
        if formats:
            return type_name, formats
    return "string", []


def _decimal(values: Iterable[str]) -> str:
    """A decimal type with two digits of room before the point, and at least two after it."""
    parts = [value.lstrip("+-").partition(".") for value in values]
    scale = max(2, *(len(fraction) for _, _, fraction in parts))
    precision = max(12, max(len(whole) for whole, _, _ in parts) + scale + 2)
    return f"decimal({precision},{scale})" if precision <= 38 else "double"


def _is_date(value: str, pattern: str) -> bool:
    try:
        return datetime.strptime(value, pattern).strftime(pattern) == value
    except ValueError:
        return False


def guess_key(columns: Iterable[ColumnGuess]) -> ColumnGuess | None:
    """Return the first column that looks like a key: named as an identifier, required, unique, not personal."""
    candidates = (c for c in columns if c.required and c.unique and not c.personal and IDENTIFIER.fullmatch(c.name))
    return next(candidates, None)
