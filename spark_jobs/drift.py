"""Whether raw files are what the contract says, told before Spark starts, from the beginning of each file.

- A column is missing when it is not in the header, or in JSON when none of the records looked at has it.
- It is retyped when not one of its first `VALUES` values that are not blank is a value of its type, and there are at
  least `LEAST`: a single wrong value is a bad row, not another type.
- A file is unreadable when not one of the records looked at can be read, and there are at least `LEAST`.

Any of these fails the batch. New columns do not: they are reported, and kept or left out as the contract says. Nor do
absent ones, which the contract calls optional: they are reported, and null in all rows of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from contract.columns import BLANKS, DOUBLE, INTEGER, Column, decimal_parts, decimal_pattern
from contract.dataset import Contract

from spark_jobs import raw, storage
from spark_jobs.errors import DataError
from spark_jobs.raw import dates, model

RECORDS, VALUES, LEAST = 10_000, 1_000, 2
EXAMPLES = 3

BITS = {"int": 32, "bigint": 64}


def type_check(column: Column) -> Callable[[str], bool] | None:
    """What tells whether a text that is not blank is a value of the column's type, as spark_jobs/transforms.py has it.

    None where every text is one, or where only Spark can tell, as `normalize` is Spark SQL.
    """
    if column.normalize or column.type == "string":
        return None
    parts = decimal_parts(column.type)
    if parts:
        return lambda text: _is_decimal(text, *parts)
    match column.type:
        case "int" | "bigint":
            return lambda text: _is_integer(text, BITS[column.type])
        case "double":
            return lambda text: bool(re.fullmatch(DOUBLE, text)) and abs(float(text)) < float("inf")
        case "boolean":
            return lambda text: text.lower() in ("true", "false")
    read = dates.reader(column.date_format)
    return lambda text: read(text) is not None


def _is_decimal(text: str, precision: int, scale: int) -> bool:
    whole = text.partition(".")[0].lstrip("+-0")
    return bool(re.fullmatch(decimal_pattern(scale), text)) and len(whole) <= precision - scale


def _is_integer(text: str, bits: int) -> bool:
    # Longer than any integer of 64 bits that has no leading zeros, which Python would take long to read.
    if not re.fullmatch(INTEGER, text) or len(text.lstrip("+-0")) > 19:
        return False
    return -(1 << bits - 1) <= int(text) < 1 << bits - 1


def check(files: Iterable[storage.StoredFile], contract: Contract) -> dict[str, Any]:
    """Look at the beginning of every file.

    :return: `additions` (the contract's), `new_columns` and `absent_columns` {name: [file]}: the manifest's `drift`.
    :raises DataError: files differ from the contract; every difference of every file is told.
    """
    new_columns: dict[str, list[str]] = {}
    absent_columns: dict[str, list[str]] = {}
    problems = []
    for stored in files:
        with storage.open_stream(stored.uri) as stream:
            file = raw.open_file(stream, stored.name, contract)
            problem = difference(file, contract)
        if problem:
            problems.append(problem)
        for name in model.new_columns(file.columns, contract):
            new_columns.setdefault(name, []).append(stored.name)
        if file.has_header or file.columns:
            for name in model.absent_columns(file.columns, contract, file.has_header):
                absent_columns.setdefault(name, []).append(stored.name)
    if problems:
        raise DataError("; ".join(problems))
    return {"additions": contract.additions, "new_columns": new_columns, "absent_columns": absent_columns}


def difference(file: raw.RawFile, contract: Contract) -> str | None:
    """How a file that has just been opened differs from the contract, or None when it fits."""
    checks = {at: check for at, column in enumerate(contract.columns) if (check := type_check(column))}
    wrong: dict[int, list[str]] = {at: [] for at in checks}
    looked_at = broken = 0
    first_problem = ""
    for record in file.records:
        looked_at += 1
        if record.values is None:
            broken += 1
            first_problem = first_problem or f"line {record.line} {record.reason}"
        else:
            _compare(record.values, checks, wrong)
        unsure = any(len(texts) < VALUES for texts in wrong.values())
        if looked_at >= (RECORDS if unsure else VALUES):
            break
    if broken == looked_at >= LEAST:
        return f"{file.name}: not one of its first {looked_at:,} records can be read: {first_problem}"
    told = []
    if (file.has_header or looked_at > broken) and model.missing_columns(file.columns, contract, file.has_header):
        told.append(model.difference(file.columns, contract, file.has_header))
    shown = not contract.personal_columns
    told += [_retyped(contract.columns[at], texts, shown) for at, texts in sorted(wrong.items()) if len(texts) >= LEAST]
    return model.misfit(f"{file.name} line {file.line}", "; ".join(told)) if told else None


def _compare(
    values: tuple[str | None, ...], checks: dict[int, Callable[[str], bool]], wrong: dict[int, list[str]]
) -> None:
    """Note the values in `wrong`, by column; a column of which one is right is no longer in question."""
    for at, texts in list(wrong.items()):
        text = values[at]
        if text is not None and text.strip(BLANKS) and len(texts) < VALUES:
            if checks[at](text):
                del wrong[at]
            else:
                texts.append(text)


def _retyped(column: Column, texts: list[str], shown: bool) -> str:
    like = f" ({column.date_format})" if column.type in ("date", "timestamp") else ""
    examples = ", ".join(repr(model.shortened(text, 40)) for text in list(dict.fromkeys(texts))[:EXAMPLES])
    found = f"; found {examples}" if shown else ""
    return f"retyped {column.source!r} (expected {column.type}{like}{found})"
