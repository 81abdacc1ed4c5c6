"""Text as dates and times, as Trino's Joda-Time reads it by a pattern."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Any

import regex

from localaws.athena.failed import Failed

_MONTHS = ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"]  # fmt: skip
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_PIVOT = 2020
"""The year in the middle of those that two digits may stand for."""


def _names(whole: list[str]) -> str:
    return "|".join(sorted([*whole, *(name[:3] for name in whole)], key=len, reverse=True))


_FIELDS: dict[str, tuple[str, str]] = {
    "%Y": ("year", r"[+-]?\d{1,9}"), "%y": ("two_digits", r"\d{2}"), "%m": ("month", r"\d{1,2}"),
    "%c": ("month", r"\d{1,2}"), "%d": ("day", r"\d{1,2}"), "%e": ("day", r"\d{1,2}"), "%H": ("hour", r"\d{1,2}"),
    "%k": ("hour", r"\d{1,2}"), "%h": ("hour12", r"\d{1,2}"), "%I": ("hour12", r"\d{1,2}"), "%l": ("hour12", r"\d{1,2}"),
    "%i": ("minute", r"\d{1,2}"), "%s": ("second", r"\d{1,2}"), "%S": ("second", r"\d{1,2}"),
    "%f": ("fraction", r"\d{1,9}"), "%p": ("half", "am|pm"), "%j": ("day_of_year", r"\d{1,3}"),
    "%M": ("month_name", _names(_MONTHS)), "%b": ("month_name", _names(_MONTHS)), "%W": ("day_name", _names(_DAYS)),
    "%a": ("day_name", _names(_DAYS)), "%v": ("week", r"\d{1,2}"), "%x": ("week_year", r"[+-]?\d{1,9}"),
}  # fmt: skip
_SHORT = {"%r": "%h:%i:%s %p", "%T": "%H:%i:%s"}
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
            fields.append(_FIELDS[code][0])
            return f"({_FIELDS[code][1]})"
        return regex.escape(code[1:] if code.startswith("%") and len(code) > 1 else code)

    return regex.compile(regex.sub(r"%.|[^%]+|%", part, pattern, flags=regex.DOTALL), regex.IGNORECASE), fields


def parse_mysql(text: str, pattern: str) -> dt.datetime:
    """Text by MySQL's specifiers as a timestamp; what it does not tell is that of 1970-01-01 00:00.

    Raises:
        Failed: when it does not fit.
    """
    expression, fields = _compiled(pattern)
    found = expression.fullmatch(text)
    if not found:
        raise _invalid(text)
    told = dict(zip(fields, found.groups(), strict=True))
    try:
        return _moment(told)
    except ValueError:
        raise _invalid(text) from None


def _invalid(text: str) -> Failed:
    return Failed("INVALID_FUNCTION_ARGUMENT", f'Invalid format: "{text}"')


def _moment(told: dict[str, str]) -> dt.datetime:
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
