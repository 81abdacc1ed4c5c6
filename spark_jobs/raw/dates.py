"""Dates and timestamps written in the Spark patterns that contracts use.

Source: https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from functools import cache

PART = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']")
LIMITS = {"y": (2, 4), "M": (1, 2), "d": (1, 2), "H": (1, 2), "m": (1, 2), "s": (1, 2), "S": (1, 6)}
"""How many times a letter may stand in a row for us to read it; names of months and the like Spark alone reads."""


@cache
def _parts(pattern: str) -> tuple[tuple[str, int], ...] | None:
    """The letters of a pattern with their number, `("", n)` never; literals as `(text, 0)`. None: not for us."""
    parts: list[tuple[str, int]] = []
    at = 0
    for found in PART.finditer(pattern):
        if found.start() != at:
            return None
        at, text = found.end(), found[0]
        if found[1]:
            least, most = LIMITS.get(found[1], (1, 0))
            if not least <= len(text) <= most or (found[1] == "y" and len(text) == 3):
                return None
            parts.append((found[1], len(text)))
        else:
            literal = "'" if text == "''" else text[1:-1].replace("''", "'") if text.startswith("'") else text
            parts.append((literal, 0))
    letters = [letter for letter, count in parts if count]
    unique = len(letters) == len(set(letters)) and {"y", "M", "d"} <= set(letters)
    return tuple(parts) if at == len(pattern) and unique else None


@cache
def _expression(pattern: str) -> re.Pattern[str] | None:
    parts = _parts(pattern)
    if parts is None:
        return None
    # A number of one letter has no leading zero: Spark's must read the same when written again.
    return re.compile(
        "".join(
            re.escape(letter)
            if not count
            else f"(?P<{letter}>0|[1-9][0-9]?)"
            if count == 1 and letter != "S"
            else f"(?P<{letter}>[0-9]{{{count}}})"
            for letter, count in parts
        )
    )


def reader(pattern: str) -> Callable[[str], datetime | None] | None:
    """What reads a text written exactly in `pattern`, and gives None for any other; None: only Spark can tell."""
    expression = _expression(pattern)
    if expression is None:
        return None

    def read(text: str) -> datetime | None:
        found = expression.fullmatch(text)
        if not found:
            return None
        parts = found.groupdict()
        year = int(parts["y"]) + (2000 if len(parts["y"]) == 2 else 0)
        month, day, hour, minute, second = (int(parts.get(letter) or 0) for letter in "MdHms")
        try:
            return datetime(year, month, day, hour, minute, second, int((parts.get("S") or "0").ljust(6, "0")))
        except ValueError:
            return None

    return read


def written(value: date, pattern: str | None) -> str:
    """`value` in the pattern where that keeps it whole, else in ISO 8601 (a timestamp with a blank in place of T)."""
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    parts = _parts(pattern) if pattern else None
    if pattern and parts:
        numbers = {letter: getattr(moment, name) for letter, name in NAMES.items()}
        text = "".join(
            letter
            if not count
            else f"{moment.microsecond:06}"[:count]
            if letter == "S"
            else f"{numbers[letter] % 100:02}"
            if (letter, count) == ("y", 2)
            else f"{numbers[letter]:0{count}}"
            for letter, count in parts
        )
        read = reader(pattern)
        if read and read(text) == moment:
            return text
    return str(value)


NAMES = {"y": "year", "M": "month", "d": "day", "H": "hour", "m": "minute", "s": "second"}
