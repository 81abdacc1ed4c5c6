"""Time zones: a value is an instant to DuckDB, and its zone a part of its type here, as a query mostly writes it out.

Where the zone of a value is known only when it is read, and is not UTC, the query is refused.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo, available_timezones

import regex

from localaws.athena import types
from localaws.athena.expressions import Typed
from localaws.athena.types import Type

_OFFSET = regex.compile(r"([+-])(\d{1,2}):?(\d{2})?")


def named(written: str) -> str | None:
    """A zone by the name that Trino shows it with; None when there is none."""
    if written.upper() in ("UTC", "Z", "GMT", "+00:00", "-00:00"):
        return types.UTC
    if found := _OFFSET.fullmatch(written):
        minutes = int(found[2]) * 60 + int(found[3] or 0)
        return f"{found[1]}{minutes // 60:02d}:{minutes % 60:02d}" if minutes <= 14 * 60 else None
    return next((zone for zone in available_timezones() if zone.lower() == written.lower()), None)


def offset_minutes(zone: str) -> int | None:
    """Of a zone that is an offset, that; None for one that has a name."""
    found = _OFFSET.fullmatch(zone)
    return None if not found else (-1 if found[1] == "-" else 1) * (int(found[2]) * 60 + int(found[3] or 0))


def local(value: Typed) -> Typed:
    """A value with a zone as what its clocks show; any other as it is."""
    if value.type.base != "timestamp with time zone":
        return value
    return replace(value, sql=local_sql(value.sql, value.type.zone), type=Type("timestamp", value.type.args[:1]))


def local_sql(sql: str, zone: str) -> str:
    """The SQL of an instant as what the clocks of a zone show."""
    minutes = offset_minutes(zone)
    if minutes is None:
        return f"timezone({types.text(zone)}, {sql})"
    return f"(timezone('UTC', {sql}) + to_minutes({minutes}))"


def instant_sql(sql: str, zone: str) -> str:
    """The SQL of what the clocks of a zone show as an instant."""
    minutes = offset_minutes(zone)
    if minutes is None:
        return f"timezone({types.text(zone)}, {sql})"
    return f"timezone('UTC', {sql} - to_minutes({minutes}))"


def offset_of(value: Typed) -> str:
    """SQL of the minutes by which a value's zone is ahead of UTC."""
    return f"CAST((epoch({local(value).sql}) - epoch({value.sql})) // 60 AS BIGINT)"


_TEXT = regex.compile(
    r"\s*([+-]?\d{4,}-\d{1,2}-\d{1,2}(?: \d{1,2}:\d{1,2}(?::\d{1,2}(?:\.\d+)?)?)?)"
    r"(?: ?([A-Za-z][\w/+-]*|[+-]\d{1,2}:\d{2}))?\s*"
)


def divided(written: str) -> tuple[str, str] | None:
    """A timestamp as it is written and its zone (UTC where none is); None where it is none."""
    found = _TEXT.fullmatch(written)
    zone = named(found[2] or types.UTC) if found else None
    return (found[1], zone) if found and zone else None


_ISO = regex.compile(
    r"""(?P<year>[+-]?\d{4,})
        (?:-(?P<month>\d{1,2})(?:-(?P<day>\d{1,2}))?|-W(?P<week>\d{1,2})(?:-(?P<weekday>\d))?|-(?P<yearday>\d{3}))?
        (?:T(?:(?P<hour>\d{1,2})(?::?(?P<minute>\d{1,2})(?::?(?P<second>\d{1,2})(?:[.,](?P<fraction>\d+))?)?)?)?
            (?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?""",
    regex.VERBOSE,
)


def iso_8601(written: str) -> tuple[dt.datetime, str] | None:
    """What ISO 8601 text says: the local time and the zone (UTC where none is told); None where it is none."""
    found = _ISO.fullmatch(written)
    if not found:
        return None
    part = found.groupdict()
    year = int(part["year"])
    try:
        if part["week"]:
            day = dt.date.fromisocalendar(year, int(part["week"]), int(part["weekday"] or 1))
        elif part["yearday"]:
            day = dt.date(year, 1, 1) + dt.timedelta(int(part["yearday"]) - 1)
        else:
            day = dt.date(year, int(part["month"] or 1), int(part["day"] or 1))
        clock = dt.time(int(part["hour"] or 0), int(part["minute"] or 0), int(part["second"] or 0))
    except ValueError:
        return None
    fraction = int((part["fraction"] or "0").ljust(3, "0")[:3]) * 1000
    return dt.datetime.combine(day, clock.replace(microsecond=fraction)), named(part["zone"] or types.UTC) or types.UTC


def constant(moment: dt.datetime, zone: str, digits: int) -> Typed:
    """A local time of a zone as a value."""
    minutes = offset_minutes(zone)
    ahead = dt.timedelta(minutes=minutes) if minutes is not None else ZoneInfo(zone).utcoffset(moment) or dt.timedelta()
    return Typed(f"TIMESTAMPTZ '{moment - ahead}+00'", types.zoned(digits, zone))
