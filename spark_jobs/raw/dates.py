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
    forms = [(re.compile(expression(variant)), _letters(variant)) for variant in variants(pattern)]

    def read(text: str) -> datetime | None:
        for form, letters in forms:
            found = form.fullmatch(text)
            if found:
                with suppress(ValueError, OverflowError):
                    return _moment(dict(zip(letters, found.groups(), strict=True)), letters)
        return None

    return read


def _letters(variant: Variant) -> dict[str, str]:
    """The letters of each field, in the variant's order."""
    return {part.field: part.text for part in variant if part.field}


def _moment(given: dict[str, str], letters: dict[str, str]) -> datetime:
    """The moment that the texts of the fields stand for.

    :raises ValueError: there is no such day or time of day.
    :raises OverflowError: in UTC it is not in the years 1 to 9999.
    """
    year = int(given["year"]) + (2000 if letters["year"] == "yy" else 0)
    month = given.get("month", "1")
    hour = _hour(int(given["hour"]), letters["hour"][0], given.get("AM or PM")) if "hour" in given else 0
    moment = datetime(
        year,
        MONTH_NUMBERS.get(month[:3]) or int(month),
        int(given.get("day", 1)),
        hour,
        int(given.get("minute", 0)),
        int(given.get("second", 0)),
        int(given["fraction"][:6].ljust(6, "0")) if "fraction" in given else 0,
    )
    if "day of the year" in given:
        moment += timedelta(days=int(given["day of the year"]) - 1)
        if moment.year != year:
            raise ValueError(year)
    return moment - _offset(given["offset"]) if "offset" in given else moment


def _hour(number: int, letter: str, half: str | None) -> int:
    """The hour of the day; `H` counts from 0 to 23, `k` from 1 to 24, and with AM or PM `h` from 1 to 12, `K` to 11.

    :raises ValueError: there is no such hour.
    """
    most = 24 if letter in "Hk" else 12
    least = 0 if letter in "HK" else 1
    if not least <= number < least + most:
        raise ValueError(number)
    return number % most + (12 if half == "PM" else 0)


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
