"""Text as dates and times, as Trino's Joda-Time reads it by a pattern."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import regex

from localaws.athena.failed import Failed

_MONTHS = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
]  # fmt: skip
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_PIVOT = 2020
"""The year in the middle of those that two digits may stand for."""


def _names(whole: list[str]) -> str:
    return "|".join(sorted([*whole, *(name[:3] for name in whole)], key=len, reverse=True))


_FIELDS: dict[str, tuple[str, str]] = {
    "%Y": ("year", r"[+-]?\d{1,9}"), "%y": ("two_digits", r"\d{2}"), "%m": ("month", r"\d{1,2}"),
    "%c": ("month", r"\d{1,2}"), "%d": ("day", r"\d{1,2}"), "%e": ("day", r"\d{1,2}"), "%H": ("hour", r"\d{1,2}"),
    "%k": ("hour", r"\d{1,2}"), "%h": ("hour12", r"\d{1,2}"), "%I": ("hour12", r"\d{1,2}"),
    "%l": ("hour12", r"\d{1,2}"),
    "%i": ("minute", r"\d{1,2}"), "%s": ("second", r"\d{1,2}"), "%S": ("second", r"\d{1,2}"),
    "%f": ("fraction", r"\d{1,9}"), "%p": ("half", "am|pm"), "%j": ("day_of_year", r"\d{1,3}"),
    "%M": ("month_name", _names(_MONTHS)), "%b": ("month_name", _names(_MONTHS)), "%W": ("day_name", _names(_DAYS)),
    "%a": ("day_name", _names(_DAYS)), "%v": ("week", r"\d{1,2}"), "%x": ("week_year", r"[+-]?\d{1,9}"),
}  # fmt: skip
_SHORT = {"%r": "%h:%i:%s %p", "%T": "%H:%i:%s"}
_JODA_PIECE = regex.compile(r"'((?:[^']|'')*)'|(([A-Za-z])\3*)|[^A-Za-z']+")
"""Quoted text, letters of one kind, or other text."""
_REFUSED = ("%D", "%U", "%u", "%V", "%w", "%X")


@lru_cache(maxsize=1000)
def _compiled(pattern: str) -> tuple[Any, list[str]]:
    """A regular expression for a pattern, and the fields that its groups are."""
    for short, long in _SHORT.items():
        pattern = pattern.replace(short, long)
    fields: list[str] = []

    def part(found: regex.Match[str]) -> str:
        code = found[0]
        if code in _REFUSED:
            raise Failed("INVALID_FUNCTION_ARGUMENT", f"{code} not supported in date format string")
        if code in _FIELDS:
            name, written = _FIELDS[code]
            fields.append(name)
            # Where digits follow digits, each field has its own number of them.
            if r"\d" in written and _FIELDS.get(pattern[found.end() : found.end() + 2], ("", ""))[1].count(r"\d"):
                written = {"%Y": r"\d{4}", "%x": r"\d{4}", "%j": r"\d{3}"}.get(code, r"\d{2}")
            return f"({written})"
        return regex.escape(code[1:] if code.startswith("%") and len(code) > 1 else code)

    return regex.compile(regex.sub(r"%.|[^%]+|%", part, pattern, flags=regex.DOTALL), regex.IGNORECASE), fields


def parse_mysql(text: str, pattern: str) -> dt.datetime:
    """Text by MySQL's specifiers as a timestamp; what it does not tell is that of 1970-01-01 00:00.

    Raises:
        Failed: when it does not fit.
    """
    return _moment(_told(text, *_compiled(pattern)), text)


def _invalid(text: str) -> Failed:
    return Failed("INVALID_FUNCTION_ARGUMENT", f'Invalid format: "{text}"')


def _told(text: str, expression: Any, fields: list[str]) -> dict[str, str]:
    """What text tells of each field."""
    found = expression.fullmatch(text)
    if not found:
        raise _invalid(text)
    return dict(zip(fields, found.groups(), strict=True))


def _moment(told: dict[str, str], text: str) -> dt.datetime:
    """The moment of the fields that `text` tells."""
    try:
        return _existing_moment(told)
    except ValueError:
        raise _invalid(text) from None


def _existing_moment(told: dict[str, str]) -> dt.datetime:
    year = 1970
    if "year" in told:
        year = int(told["year"])
    elif "two_digits" in told:
        year = _PIVOT - 50 + (int(told["two_digits"]) - (_PIVOT - 50)) % 100
    elif any(name in told for name in ("month", "month_name", "day", "day_of_year", "day_name")):
        # Joda takes a leap year where only a part of the year is told.
        year = 2000
    if "week" in told or "week_year" in told:
        day = dt.date.fromisocalendar(int(told.get("week_year", year)), int(told.get("week", 1)), 1)
    elif "day_of_year" in told:
        day = dt.date(year, 1, 1) + dt.timedelta(int(told["day_of_year"]) - 1)
        if day.year != year or told["day_of_year"] == "0":
            raise ValueError(told["day_of_year"])
    else:
        month = int(told["month"]) if "month" in told else 1
        if "month_name" in told:
            month = 1 + next(i for i, name in enumerate(_MONTHS) if name.startswith(told["month_name"].lower()[:3]))
        day = dt.date(year, month, int(told.get("day", 1)))
    if "day_name" in told:
        wanted = next(i for i, name in enumerate(_DAYS) if name.startswith(told["day_name"].lower()[:3]))
        day += dt.timedelta(wanted - day.weekday())
    hour = int(told.get("hour", 0))
    if "hour12" in told:
        if not 1 <= int(told["hour12"]) <= 12:
            raise ValueError(told["hour12"])
        hour = int(told["hour12"]) % 12
    if told.get("half", "").lower() == "pm":
        hour = hour % 12 + 12
    fraction = int(told.get("fraction", "0").ljust(6, "0")[:6]) // 1000 * 1000
    return dt.datetime.combine(day, dt.time(hour, int(told.get("minute", 0)), int(told.get("second", 0)), fraction))


_JODA = {
    "y": "year", "Y": "year", "d": "day", "D": "day_of_year", "H": "hour", "k": "hour24", "h": "hour12", "K": "hour11",
    "m": "minute", "s": "second", "S": "fraction", "a": "half", "E": "day_name", "M": "month", "Z": "zone",
}  # fmt: skip
"""The letters that text is read by, each once; the others only write."""


@lru_cache(maxsize=1000)
def _joda_compiled(pattern: str) -> tuple[Any, list[str]]:
    expression, fields = "", []
    pieces = list(_JODA_PIECE.finditer(pattern))
    for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
        letter, count = piece[3], len(piece[2] or "")
        if not letter:
            literal = (piece[1] or "").replace("''", "'") or "'" if piece[0].startswith("'") else piece[0]
            expression += regex.escape(literal)
            continue
        if letter not in _JODA:
            raise Failed("NOT_SUPPORTED", f"reading a date by the letter {letter}")
        name, written = _JODA[letter], r"\d{1,9}"
        if letter in "ME" and count > 2:
            name, written = ("month_name", _names(_MONTHS)) if letter == "M" else ("day_name", _names(_DAYS))
        elif letter in "Ea":
            written = _names(_DAYS) if letter == "E" else "am|pm"
        elif letter == "Z":
            written = r"Z|[+-]\d{2}:?\d{2}"
        elif letter in "yY" and count == 2:
            name, written = "two_digits", r"\d{2}"
        elif following and following[3] and following[3] not in "aEZ":
            # Where digits follow digits, each field has its own number of them.
            written = rf"\d{{{count}}}"
        fields.append(name)
        expression += f"({written})"
    return regex.compile(expression, regex.IGNORECASE), fields


def parse_joda(text: str, pattern: str) -> tuple[dt.datetime, str]:
    """Text by Joda-Time's letters as a local time, and its zone as it is written (`UTC` where none is).

    Raises:
        Failed: when it does not fit.
    """
    told = _told(text, *_joda_compiled(pattern))
    if "hour24" in told:
        told["hour"] = str(int(told["hour24"]) % 24)
    if "hour11" in told:
        told["hour12"] = str(int(told["hour11"]) or 12)
    return _moment(told, text), told.get("zone", "UTC")


_MYSQL: dict[str, Callable[[dt.datetime], str]] = {
    "%a": lambda t: _DAYS[t.weekday()][:3].title(), "%b": lambda t: _MONTHS[t.month - 1][:3].title(),
    "%c": lambda t: str(t.month), "%d": lambda t: f"{t.day:02d}", "%e": lambda t: str(t.day),
    "%f": lambda t: f"{t.microsecond:06d}", "%H": lambda t: f"{t.hour:02d}", "%h": lambda t: f"{_hour12(t):02d}",
    "%I": lambda t: f"{_hour12(t):02d}", "%i": lambda t: f"{t.minute:02d}", "%j": lambda t: f"{_day_of_year(t):03d}",
    "%k": lambda t: str(t.hour), "%l": lambda t: str(_hour12(t)), "%M": lambda t: _MONTHS[t.month - 1].title(),
    "%m": lambda t: f"{t.month:02d}", "%p": lambda t: "PM" if t.hour >= 12 else "AM",
    "%S": lambda t: f"{t.second:02d}", "%s": lambda t: f"{t.second:02d}", "%v": lambda t: f"{t.isocalendar().week:02d}",
    "%W": lambda t: _DAYS[t.weekday()].title(), "%x": lambda t: f"{t.isocalendar().year:04d}",
    "%Y": lambda t: f"{t.year:04d}", "%y": lambda t: f"{t.year % 100:02d}",
}  # fmt: skip


def _hour12(moment: dt.datetime) -> int:
    return moment.hour % 12 or 12


def _day_of_year(moment: dt.datetime) -> int:
    return moment.timetuple().tm_yday


def format_mysql(moment: dt.datetime, pattern: str) -> str:
    """A timestamp by MySQL's specifiers.

    Raises:
        Failed: for a specifier that Trino does not take.
    """
    for short, long in _SHORT.items():
        pattern = pattern.replace(short, long)

    def part(found: regex.Match[str]) -> str:
        if found[0] in _REFUSED:
            raise Failed("INVALID_FUNCTION_ARGUMENT", f"{found[0]} not supported in date format string")
        write = _MYSQL.get(found[0])
        return write(moment) if write else found[0][1:]

    return str(regex.sub(r"%.", part, pattern, flags=regex.DOTALL))


def format_joda(moment: dt.datetime, pattern: str, zone: str, offset: int) -> str:
    """What clocks show, by Joda-Time's letters.

    Args:
        moment: what they show.
        pattern: letters; text in apostrophes stands for itself.
        zone: the zone's name; none for a timestamp without one.
        offset: minutes by which the zone is ahead of UTC.

    Raises:
        Failed: for a letter that Joda-Time does not have.

    Source: https://www.joda.org/joda-time/apidocs/org/joda/time/format/DateTimeFormat.html
    """
    result = []
    at = 0
    for found in _JODA_PIECE.finditer(pattern):
        at = found.end()
        if found[2]:
            result.append(_joda_field(moment, found[3], len(found[2]), zone, offset))
        elif found[0].startswith("'"):
            result.append(found[1].replace("''", "'") or "'")
        else:
            result.append(found[0])
    if at != len(pattern):
        raise Failed("INVALID_FUNCTION_ARGUMENT", f"Illegal pattern component: {pattern[at:]}")
    return "".join(result)


def _joda_field(moment: dt.datetime, letter: str, count: int, zone: str, offset: int) -> str:
    week = moment.isocalendar()
    numbers = {
        "C": moment.year // 100, "y": moment.year, "Y": moment.year, "x": week.year, "w": week.week, "e": week.weekday,
        "D": _day_of_year(moment), "d": moment.day, "K": moment.hour % 12, "h": _hour12(moment), "H": moment.hour,
        "k": moment.hour or 24, "m": moment.minute, "s": moment.second,
    }  # fmt: skip
    if letter in "yYx" and count == 2:
        return f"{numbers[letter] % 100:02d}"
    if letter == "M":
        name = _MONTHS[moment.month - 1].title()
        return str(moment.month).zfill(count) if count < 3 else name if count > 3 else name[:3]
    if letter == "E":
        name = _DAYS[moment.weekday()].title()
        return name if count > 3 else name[:3]
    if letter in numbers:
        return str(numbers[letter]).zfill(count)
    if letter == "S":
        return f"{moment.microsecond:06d}".ljust(count, "0")[:count]
    if letter == "a":
        return "PM" if moment.hour >= 12 else "AM"
    if letter == "G":
        return "AD" if moment.year > 0 else "BC"
    if letter in "zZ":
        if not zone:
            raise Failed(
                "INVALID_FUNCTION_ARGUMENT",
                "format_datetime for TIMESTAMP type, cannot use 'Z' nor 'z' in format, as this type does not contain "
                "TZ information",
            )
        if letter == "z" or count > 2:
            return zone
        sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
        return f"{sign}{hours:02d}{':' * (count == 2)}{minutes:02d}"
    raise Failed("INVALID_FUNCTION_ARGUMENT", f"Illegal pattern component: {letter * count}")
