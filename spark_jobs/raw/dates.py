"""Dates and timestamps read from texts, without Spark but as spark_jobs/transforms.py does, and written to texts.

Patterns are those of plugins/contract/date_patterns.py. A value with an offset is the wall clock reading in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from functools import cache

from contract.date_patterns import MONTHS, Part, Variant, expression, variants


@cache
def reader(pattern: str) -> Callable[[str], datetime | None]:
    """What reads a text written exactly in `pattern`, and gives None for any other."""
    readers = [
        (re.compile(expression(variant)), [part for part in variant if part.field]) for variant in variants(pattern)
    ]

    def read(text: str) -> datetime | None:
        for pattern_of_text, parts in readers:
            found = pattern_of_text.fullmatch(text)
            if found:
                with suppress(ValueError, OverflowError):
                    return _moment(
                        {part.field: (part, value) for part, value in zip(parts, found.groups(), strict=True)}
                    )
        return None

    return read


def _moment(given: dict[str | None, tuple[Part, str]]) -> datetime:
    """The moment that the texts of the fields stand for.

    :raises ValueError: there is no such day or time of day.
    :raises OverflowError: in UTC it is not in the years 1 to 9999.
    """

    def number(field: str, otherwise: int) -> int:
        return int(given[field][1]) if field in given else otherwise

    year = number("year", 0) + (2000 if given["year"][0].text == "yy" else 0)
    month = given["month"][1] if "month" in given else "1"
    hour = number("hour", 0)
    if "hour" in given:
        # k counts from 1 to 24, h from 1 to 12, K from 0 to 11.
        letter = given["hour"][0].text[0]
        least, most = {"H": (0, 23), "k": (1, 24), "h": (1, 12), "K": (0, 11)}[letter]
        if not least <= hour <= most:
            raise ValueError(hour)
        hour %= 24 if letter in "Hk" else 12
        hour += 12 if "AM or PM" in given and given["AM or PM"][1] == "PM" else 0
    microsecond = int(given["fraction"][1][:6].ljust(6, "0")) if "fraction" in given else 0
    moment = datetime(
        year,
        MONTH_NUMBERS.get(month[:3]) or int(month),
        number("day", 1),
        hour,
        number("minute", 0),
        number("second", 0),
        microsecond,
    )
    if "day of the year" in given:
        moment += timedelta(days=number("day of the year", 1) - 1)
        if moment.year != year:
            raise ValueError(year)
    return moment - _offset(given["offset"][1]) if "offset" in given else moment


def _offset(text: str) -> timedelta:
    """`Z`, or sign, hours, minutes and seconds, of which the last may be missing."""
    hours, minutes, seconds = (int(pair) for pair in [*re.findall("[0-9]{2}", text), 0, 0, 0][:3])
    offset = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return -offset if text.startswith("-") else offset


def written(value: date, pattern: str | None) -> str:
    """`value` in the pattern where that keeps it whole, else in ISO 8601 (a timestamp with a blank in place of T)."""
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    if pattern:
        read = reader(pattern)
        for variant in variants(pattern):
            text = _written(moment, variant)
            if read(text) == moment:
                return text
    return str(value)


def _written(moment: datetime, variant: Variant) -> str:
    """What is written of a moment by one variant of a pattern."""
    return "".join(_part(moment, part) if part.literal is None else part.literal for part in variant)


def _part(moment: datetime, part: Part) -> str:
    letter, count = part.text[0], len(part.text)
    match letter:
        case "y" if count == 2:
            return f"{moment.year % 100:02}"
        case "M" | "L" if count > 2:
            return MONTHS[moment.month - 1][: 3 if count == 3 else None]
        case "D":
            return f"{moment.timetuple().tm_yday:0{count}}"
        case "k":
            return f"{moment.hour or 24:0{count}}"
        case "h":
            return f"{moment.hour % 12 or 12:0{count}}"
        case "K":
            return f"{moment.hour % 12:0{count}}"
        case "a":
            return "PM" if moment.hour >= 12 else "AM"
        case "G":
            return "AD"
        case "S":
            return f"{moment.microsecond:06}".ljust(count, "0")[:count]
        case "X":
            return "Z"
        case "x" | "Z":
            return OFFSETS_OF_UTC.get(part.text, "+0000")
    return f"{getattr(moment, NAMES[letter]):0{count}}"


NAMES = {"y": "year", "M": "month", "L": "month", "d": "day", "H": "hour", "m": "minute", "s": "second"}
OFFSETS_OF_UTC = {"x": "+00", "xxx": "+00:00", "xxxxx": "+00:00", "ZZZZZ": "Z"}
MONTH_NUMBERS = {name[:3]: number for number, name in enumerate(MONTHS, 1)}
