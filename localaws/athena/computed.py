"""What DuckDB computes otherwise than Trino: functions in Python that the engine calls for each value.

Each raises `Failed` for a value that Trino fails on; TRY gives NULL for it. With a NULL among its arguments none is
called, and the answer is NULL. `functions.py` says which of Trino's functions use which.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import inspect
import json
import math
import struct
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache, wraps
from typing import Any, get_type_hints
from urllib.parse import parse_qsl, quote_plus, unquote, unquote_plus, urlsplit

import duckdb
import regex

from localaws.athena import dates, zones
from localaws.athena.failed import Failed

_SQL_TYPES = {
    str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN", bytes: "BLOB", list[str]: "VARCHAR[]",
    list[str | None]: "VARCHAR[]", dt.datetime: "TIMESTAMP", dt.date: "DATE",
}  # fmt: skip


@dataclass(frozen=True)
class Computed:
    """A function of the engine.

    Attributes:
        name: by which SQL calls it.
        parameters: DuckDB's types.
        returns: DuckDB's type.
    """

    name: str
    function: Callable[..., Any]
    parameters: list[str]
    returns: str


FUNCTIONS: list[Computed] = []
"""All of them, by their place in this file."""


def computed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let the engine call a function, as `athena_` and its name; its annotations give the types."""
    hints = get_type_hints(function)
    names = list(inspect.signature(function).parameters)
    returns = _sql_type(hints["return"])
    FUNCTIONS.append(Computed(f"athena_{function.__name__}", function, [_sql_type(hints[n]) for n in names], returns))
    return function


def _sql_type(hint: Any) -> str:
    # What is not in it is one of them, or None.
    return _SQL_TYPES.get(hint) or _SQL_TYPES[hint.__args__[0]]


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Make all of them known to an engine."""
    for one in FUNCTIONS:
        connection.create_function(
            one.name, _unless_missing(one.function), one.parameters, one.returns, null_handling="special"
        )  # type: ignore[call-overload]


def _unless_missing(function: Callable[..., Any]) -> Callable[..., Any]:
    """NULL where an argument is; DuckDB itself does so only for functions that never give NULL."""

    @wraps(function)
    def wrapped(*values: Any) -> Any:
        return None if None in values else function(*values)

    return wrapped


# Numbers as text, and text as numbers


@computed
def double_text(value: float) -> str:
    """A double as CAST to varchar writes it: the shortest digits that are the value, in scientific notation."""
    return _scientific(repr(value), value)


@computed
def real_text(value: float) -> str:
    """A real, in the same way."""
    packed = struct.pack("f", value)
    shortest = (f"{value:.{digits}g}" for digits in range(1, 10))
    return _scientific(next(text for text in shortest if struct.pack("f", float(text)) == packed), value)


def _scientific(shortest: str, value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = Decimal(shortest).as_tuple()
    written = "".join(map(str, digits)).rstrip("0") or "0"
    power = int(exponent) + len(digits) - 1 if value else 0
    return f"{'-' * sign}{written[0]}.{written[1:] or '0'}E{power}"


def _java_trimmed(text: str) -> str:
    return text.strip("".join(map(chr, range(33))))


_DOUBLE = regex.compile(
    r"[+-]?(?:NaN|Infinity|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fFdD]?)|[+-]?0[xX][0-9a-fA-F.]+[pP][+-]?[0-9]+[fFdD]?"
)


@computed
def text_double(text: str) -> str:
    """Text as Java's Double.parseDouble reads it; as text, for DuckDB takes a NaN from Python for NULL."""
    return repr(_parsed_double(text))


def _parsed_double(text: str) -> float:
    trimmed = _java_trimmed(text)
    if not _DOUBLE.fullmatch(trimmed):
        raise Failed("INVALID_CAST_ARGUMENT", f"Cannot cast '{text}' to DOUBLE")
    if "x" in trimmed.lower():
        return float.fromhex(trimmed.rstrip("fFdD") if "p" in trimmed.lower() else trimmed)
    return float(trimmed.rstrip("fFdD"))


@computed
def text_real(text: str) -> str:
    """Text as a real; beyond its range it is infinite."""
    try:
        value = _parsed_double(text)
    except Failed:
        raise Failed("INVALID_CAST_ARGUMENT", f"Cannot cast '{text}' to REAL") from None
    try:
        struct.pack("f", value)
    except OverflowError:
        value = math.copysign(math.inf, value)
    return repr(value)


_DECIMAL = regex.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@computed
def text_decimal(text: str, precision: int, scale: int) -> str:
    """Text as Java's BigDecimal reads it, rounded half up to `scale` digits, as digits that DuckDB casts."""
    if not _DECIMAL.fullmatch(text):
        raise Failed(
            "INVALID_CAST_ARGUMENT",
            f"Cannot cast VARCHAR '{text}' to DECIMAL({precision}, {scale}). Value is not a number.",
        )
    return _decimal(Decimal(text), f"VARCHAR '{text}'", precision, scale)


@computed
def double_decimal(value: float, precision: int, scale: int) -> str:
    """A double as a decimal, by its shortest digits."""
    if not math.isfinite(value):
        raise Failed("INVALID_CAST_ARGUMENT", f"Cannot cast DOUBLE '{value}' to DECIMAL({precision}, {scale})")
    return _decimal(Decimal(repr(value)), f"DOUBLE '{value}'", precision, scale)


_WIDE = Context(prec=400)


def _decimal(value: Decimal, told: str, precision: int, scale: int) -> str:
    try:
        rounded = value.quantize(Decimal(1).scaleb(-scale), rounding="ROUND_HALF_UP", context=_WIDE)
    except InvalidOperation:
        rounded = None
    if rounded is None or abs(rounded) >= Decimal(10) ** (precision - scale):
        why = "Value too large." if told.startswith("VARCHAR") else ""
        raise Failed("INVALID_CAST_ARGUMENT", f"Cannot cast {told} to DECIMAL({precision}, {scale}). {why}".rstrip(" "))
    return f"{rounded:f}"


@computed
def text_boolean(text: str) -> bool:
    """Text as a boolean."""
    known = {"t": True, "true": True, "1": True, "f": False, "false": False, "0": False}
    if text.lower() not in known:
        raise Failed("INVALID_CAST_ARGUMENT", f"Cannot cast '{text}' to BOOLEAN")
    return known[text.lower()]


@computed
def text_integer(text: str, kind: str, bits: int) -> int:
    """Text as an integer of so many bits."""
    trimmed = _java_trimmed(text)
    if regex.fullmatch(r"[+-]?\d+", trimmed) and -(1 << bits - 1) <= int(trimmed) < 1 << bits - 1:
        return int(trimmed)
    raise Failed("INVALID_CAST_ARGUMENT", f"Cannot cast '{text}' to {kind.upper()}")


# Text


@computed
def upper(text: str) -> str:
    """Each character in upper case, where that is one character."""
    return text.upper() if text.isascii() else "".join(c.upper() if len(c.upper()) == 1 else c for c in text)


@computed
def lower(text: str) -> str:
    """Each character in lower case, where that is one character."""
    return text.lower() if text.isascii() else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


@computed
def url_encode(text: str) -> str:
    """Text as a value of a query string."""
    return quote_plus(text, safe="-_.*").replace("~", "%7E")


@computed
def url_decode(text: str) -> str:
    """The value that a query string stands for."""
    if regex.search(r"%(?![0-9a-fA-F]{2})", text):
        raise Failed("INVALID_FUNCTION_ARGUMENT", f"Invalid URL encoding: {text}")
    return unquote_plus(text)


@computed
def normalize(text: str, form: str) -> str:
    """Text in a normal form of Unicode."""
    return unicodedata.normalize(form, text)  # type: ignore[arg-type]


# Regular expressions, in Java's syntax


MATCH_SECONDS = 60.0
"""How long one search may take: a pattern can need more than a life."""


@lru_cache(maxsize=1000)
def _pattern(written: str) -> regex.Pattern[str]:
    try:
        return regex.compile(_python_syntax(written), regex.VERSION0)
    except regex.error as error:
        raise Failed("INVALID_FUNCTION_ARGUMENT", f"{error}: {written}") from None


_CLASSES = {"w": "a-zA-Z0-9_", "d": "0-9", "s": r" \t\n\x0B\f\r"}
"""What stands for these of Java, whose classes know ASCII only."""


def _python_syntax(written: str) -> str:
    """A pattern of Java as one of Python."""
    result, inside, at = "", False, 0
    while at < len(written):
        character, following = written[at], written[at + 1 : at + 2]
        if character == "\\" and following:
            if following.lower() in _CLASSES and not (inside and following.isupper()):
                listed = _CLASSES[following.lower()]
                result += listed if inside else f"[{'^' * following.isupper()}{listed}]"
            else:
                result += {"Z": r"(?=\n?\Z)", "z": r"\Z"}.get(following, f"\\{following}")
            at += 2
            continue
        inside = character == "[" or (inside and character != "]")
        result += character
        at += 1
    return result


def _matches(text: str, pattern: str, start: int = 0) -> Iterator[regex.Match[str]]:
    """The matches in turn; after an empty one Java goes on a character further, Python tries there again."""
    while start <= len(text) and (found := _search(text, pattern, start)):
        yield found
        start = found.end() + (found.end() == found.start())


def _search(text: str, pattern: str, start: int = 0) -> regex.Match[str] | None:
    """The first match from a place on, looked for while other threads go on."""
    try:
        return _pattern(pattern).search(text, pos=start, concurrent=True, timeout=MATCH_SECONDS)
    except TimeoutError:
        message = f"a search for {pattern} took more than {MATCH_SECONDS:.0f} s"
        raise Failed("EXCEEDED_CPU_LIMIT", message) from None


def _require_group(pattern: str, group: int) -> None:
    groups = _pattern(pattern).groups
    if group < 0:
        raise Failed("INVALID_FUNCTION_ARGUMENT", "Group cannot be negative")
    if group > groups:
        raise Failed("INVALID_FUNCTION_ARGUMENT", f"Pattern has {groups} groups. Cannot access group {group}")


@computed
def regexp_like(text: str, pattern: str) -> bool:
    """Whether a pattern occurs."""
    return _search(text, pattern) is not None


@computed
def regexp_extract(text: str, pattern: str, group: int) -> str | None:
    """A group of the first match; NULL where it took no part."""
    _require_group(pattern, group)
    found = _search(text, pattern)
    return None if found is None else found.group(group)


@computed
def regexp_extract_all(text: str, pattern: str, group: int) -> list[str]:
    """A group of every match."""
    _require_group(pattern, group)
    return [found.group(group) for found in _matches(text, pattern)]


@computed
def regexp_split(text: str, pattern: str) -> list[str]:
    """The text between matches."""
    pieces, end = [], 0
    for found in _matches(text, pattern):
        pieces.append(text[end : found.start()])
        end = found.end()
    return [*pieces, text[end:]]


@computed
def regexp_count(text: str, pattern: str) -> int:
    """The number of matches."""
    return sum(1 for _ in _matches(text, pattern))


@computed
def regexp_position(text: str, pattern: str, start: int, occurrence: int) -> int:
    """Where the n-th match from a position on begins, counted from 1; -1 where there is none."""
    if start < 1:
        raise Failed("INVALID_FUNCTION_ARGUMENT", "start position cannot be smaller than 1")
    if occurrence < 1:
        raise Failed("INVALID_FUNCTION_ARGUMENT", "occurrence cannot be smaller than 1")
    found = list(_matches(text, pattern, start - 1))
    return found[occurrence - 1].start() + 1 if len(found) >= occurrence else -1


@computed
def regexp_replace(text: str, pattern: str, replacement: str) -> str:
    """Every match replaced; `$1` and `${name}` stand for groups, and a backslash takes the next character as it is."""
    compiled = _pattern(pattern)
    parts = _replacement(replacement)

    def replaced(found: regex.Match[str]) -> str:
        written = ""
        for literal, group in parts:
            written += literal
            if group is not None:
                if (isinstance(group, int) and group > compiled.groups) or (
                    isinstance(group, str) and group not in compiled.groupindex
                ):
                    raise Failed(
                        "INVALID_FUNCTION_ARGUMENT", f"Illegal replacement sequence: unknown group {{ {group} }}"
                    )
                written += found.group(group) or ""
        return written

    pieces, end = [], 0
    for found in _matches(text, pattern):
        pieces += [text[end : found.start()], replaced(found)]
        end = found.end()
    return "".join([*pieces, text[end:]])


@lru_cache(maxsize=1000)
def _replacement(written: str) -> list[tuple[str, int | str | None]]:
    parts: list[tuple[str, int | str | None]] = []
    literal, at = "", 0
    while at < len(written):
        if written[at] == "\\":
            if at + 1 == len(written):
                raise Failed("INVALID_FUNCTION_ARGUMENT", f"Illegal replacement sequence: {written}")
            literal += written[at + 1]
            at += 2
        elif written[at] == "$":
            found = regex.match(r"\$(?:(\d)|\{(\w+)\})", written, pos=at)
            if not found:
                raise Failed("INVALID_FUNCTION_ARGUMENT", f"Illegal replacement sequence: {written}")
            parts.append((literal, int(found[1]) if found[1] else found[2]))
            literal, at = "", found.end()
        else:
            literal += written[at]
            at += 1
    return [*parts, (literal, None)]


# JSON


class _Number(str):
    """A number of a JSON text, as it is written."""


def _first_of_each(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in members:
        found.setdefault(name, value)
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_first_of_each,
    parse_float=_Number,
    parse_int=_Number,
    parse_constant=lambda name: _refuse(name),
)


def _refuse(name: str) -> Any:
    raise ValueError(name)


@lru_cache(maxsize=200)
def _parsed(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise Failed("INVALID_FUNCTION_ARGUMENT", f"Cannot convert value to JSON: '{text}'") from None


def _written(value: Any, *, ordered: bool) -> str:
    """JSON without blanks; members in order where they are of type json, numbers as Java writes them."""
    if isinstance(value, _Number):
        if regex.fullmatch(r"-?[0-9]+", value):
            return str(int(value))
        number = float(value)
        return _java_double(number)
    if isinstance(value, dict):
        members = sorted(value.items()) if ordered else value.items()
        return "{" + ",".join(f"{_quoted(k)}:{_written(v, ordered=ordered)}" for k, v in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_written(item, ordered=ordered) for item in value) + "]"
    if isinstance(value, str):
        return _quoted(value)
    return {True: "true", False: "false", None: "null"}[value]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _java_double(value: float) -> str:
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        plain = f"{Decimal(repr(value)).normalize():f}"
        return plain if "." in plain else f"{plain}.0"
    return _scientific(repr(value), value)


@lru_cache(maxsize=1000)
def _path(written: str) -> tuple[str | int, ...]:
    """The steps of a JSON path.

    Source: Trino's JsonPathTokenizer.
    """
    steps: list[str | int] = []
    at = 1
    if not written.startswith("$"):
        raise Failed("INVALID_FUNCTION_ARGUMENT", f"Invalid JSON path: '{written}'")
    step = regex.compile(r"""\.([\w:]+)|\[(-?\d+)\]|\["((?:[^"\\]|\\["\\])*)"\]|\.?\[?'([^']*)'\]?|\[([\w:-]+)\]""")
    while at < len(written):
        found = step.match(written, pos=at)
        if not found or found[4] is not None:
            raise Failed("INVALID_FUNCTION_ARGUMENT", f"Invalid JSON path: '{written}'")
        if found[2] is not None:
            steps.append(int(found[2]))
        else:
            steps.append(found[1] or found[5] or regex.sub(r"\\(.)", r"\1", found[3] or ""))
        at = found.end()
    return tuple(steps)


_MISSING = object()


def _extracted(text: str, path: str) -> Any:
    """What a path leads to; `_MISSING` where there is nothing, and where the text is no JSON."""
    steps = _path(path)
    try:
        value = _parsed(text)
    except Failed:
        return _MISSING
    for step in steps:
        if isinstance(value, dict):
            value = value.get(str(step), _MISSING)
        elif isinstance(value, list) and str(step).lstrip("-").isdigit():
            value = value[int(step)] if -len(value) <= int(step) < len(value) else _MISSING
        else:
            return _MISSING
        if value is _MISSING:
            return _MISSING
    return value


@computed
def json_parse(text: str) -> str:
    """Text as a value of type json, whose members are in order."""
    return _written(_parsed(text), ordered=True)


@computed
def json_extract(text: str, path: str) -> str | None:
    """What a path leads to, as JSON."""
    value = _extracted(text, path)
    return None if value is _MISSING else _written(value, ordered=False)


@computed
def json_extract_scalar(text: str, path: str) -> str | None:
    """The text, number (as written) or boolean that a path leads to, as text."""
    value = _extracted(text, path)
    if value is _MISSING or value is None or isinstance(value, (dict, list)):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


@computed
def json_array_length(text: str) -> int | None:
    """How many elements an array has; NULL of anything else."""
    value = _extracted(text, "$")
    return len(value) if isinstance(value, list) else None


@computed
def json_size(text: str, path: str) -> int | None:
    """How many members or elements lie where a path leads; 0 of anything that has none."""
    value = _extracted(text, path)
    if value is _MISSING:
        return None
    return len(value) if isinstance(value, (dict, list)) else 0


@computed
def json_text(text: str) -> str | None:
    """A value of type json as CAST to varchar gives it."""
    value = _parsed(text)
    if isinstance(value, (dict, list)):
        raise Failed("INVALID_CAST_ARGUMENT", f"Cannot cast '{text}' to VARCHAR")
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


@computed
def is_json_scalar(text: str) -> bool:
    """Whether JSON is neither an array nor an object."""
    return not isinstance(_parsed(text), (dict, list))


@computed
def json_array_contains(text: str, wanted: str) -> bool | None:
    """Whether an array has an element, which is given as JSON."""
    value, sought = _extracted(text, "$"), _parsed(wanted)
    if not isinstance(value, list):
        return None
    if isinstance(sought, _Number):
        return any(isinstance(item, _Number) and float(item) == float(sought) for item in value)
    return any(type(item) is type(sought) and item == sought for item in value)


def _sql_json(text: str, path: str) -> Any:
    """What a path of SQL/JSON leads to, of which the plain steps are known; `_MISSING` where there is nothing."""
    found = regex.fullmatch(r"(lax|strict)\s+(\$.*)", path)
    if not found:
        raise Failed("SYNTAX_ERROR", "missing {'lax', 'strict'}")
    if regex.search(r"[*?@()]", found[2]):
        raise Failed("NOT_SUPPORTED", f"the JSON path {path}")
    return _extracted(text, found[2])


@computed
def sql_json_value(text: str, path: str) -> str | None:
    """The scalar that a path leads to, as text."""
    value = _sql_json(text, path)
    if value is _MISSING or value is None or isinstance(value, (dict, list)):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


@computed
def sql_json_exists(text: str, path: str) -> bool:
    """Whether a path leads to anything."""
    return _sql_json(text, path) is not _MISSING


@computed
def sql_json_query(text: str, path: str) -> str | None:
    """What a path leads to, as JSON."""
    value = _sql_json(text, path)
    return None if value is _MISSING else _written(value, ordered=False)


# Dates


@computed
def text_utc(text: str) -> str:
    """Text as a timestamp of UTC, without the zone."""
    found = zones.divided(text)
    if found is None:
        raise Failed("INVALID_CAST_ARGUMENT", f"Value cannot be cast to timestamp with time zone: {text}")
    return _of_utc(*found, text)


@computed
def iso_utc(text: str) -> dt.datetime:
    """ISO 8601 text as a timestamp of UTC."""
    found = zones.iso_8601(text)
    if found is None:
        raise Failed("INVALID_FUNCTION_ARGUMENT", f'Invalid format: "{text}"')
    return _of_utc(*found, text)


def _of_utc(moment: Any, zone: str, text: str) -> Any:
    if zone != "UTC":
        raise Failed("NOT_SUPPORTED", f"a zone in text that is not a constant: {text}")
    return moment


@computed
def date_parse(text: str, pattern: str) -> dt.datetime:
    """Text by MySQL's specifiers as a timestamp."""
    return dates.parse_mysql(text, pattern)


@computed
def date_format(moment: dt.datetime, pattern: str) -> str:
    """A timestamp by MySQL's specifiers."""
    return dates.format_mysql(moment, pattern)


@computed
def format_datetime(moment: dt.datetime, pattern: str, zone: str, offset: int) -> str:
    """What clocks show, by Joda-Time's letters; a zone of no name is that of a timestamp without one."""
    return dates.format_joda(moment, pattern, zone, offset)


@computed
def human_readable_seconds(seconds: float) -> str:
    """Seconds as weeks, days and so on."""
    left = abs(int(seconds))
    parts = []
    for unit, size in (("week", 604800), ("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}{'s' * (count != 1)}")
    return ", ".join(parts) or "0 seconds"


@computed
def parse_datetime(text: str, pattern: str) -> dt.datetime:
    """Text by Joda-Time's letters as a timestamp of UTC."""
    moment, zone = dates.parse_joda(text, pattern)
    return _of_utc(moment, zones.named(zone) or zone, text)


@computed
def iso_date(text: str) -> dt.date:
    """ISO 8601 text as a date."""
    found = zones.iso_8601(text)
    if found is None or "T" in text:
        raise Failed("INVALID_FUNCTION_ARGUMENT", f'Invalid format: "{text}"')
    return found[0].date()


@computed
def text_timestamp(text: str) -> str:
    """Text as CAST to timestamp takes it: a date and maybe a time, between which there is a blank, in any zone."""
    found = zones.divided(text)
    if found is None:
        raise Failed("INVALID_CAST_ARGUMENT", f"Value cannot be cast to timestamp: {text}")
    return found[0]


# More text


@computed
def fitting(text: str, length: int) -> str:
    """The text of a value that is no text, where a type has room for it."""
    if len(text) > length:
        raise Failed("INVALID_CAST_ARGUMENT", f"Value {text} cannot be represented as varchar({length})")
    return text


@computed
def format(pattern: str, values: list[str | None], kinds: str) -> str:  # noqa: A001 - the name that Trino gives it
    """Values by a pattern of Java's Formatter.

    Args:
        pattern: with specifiers such as `%,.2f`.
        values: as text.
        kinds: a letter for each: i integer, m decimal, d double, s anything else.

    Source: https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/util/Formatter.html
    """
    used = iter(range(len(values)))

    def written(found: regex.Match[str]) -> str:
        position, flags, width, precision, letter = found.groups()
        if letter in "%n":
            return "%" if letter == "%" else "\n"
        index = int(position[:-1]) - 1 if position else next(used, len(values))
        if index >= len(values):
            raise Failed(
                "INVALID_FUNCTION_ARGUMENT",
                f"Invalid format string: {pattern} (MissingFormatArgument: Format specifier '{found[0]}')",
            )
        value, kind = values[index], kinds[index]
        digits = int(precision[1:]) if precision else None
        fits = {"d": "i", "x": "i", "o": "i", "f": "md", "e": "md", "g": "md"}.get(letter.lower(), "imds")
        if kind not in fits:
            java = {
                "m": "java.math.BigDecimal",
                "d": "java.lang.Double",
                "i": "java.lang.Long",
                "s": "java.lang.String",
            }
            raise Failed(
                "INVALID_FUNCTION_ARGUMENT",
                f"Invalid format string: {pattern} (IllegalFormatConversion: {letter} != {java[kind]})",
            )
        grouped, signed = "," * ("," in flags), "+" if "+" in flags else " " if " " in flags else ""
        if value is None:
            text = "null"
        elif letter in "dxo":
            text = f"{int(value):{signed}{grouped}{letter}}"
        elif letter in "feg":
            number = (
                Decimal(value).quantize(Decimal(1).scaleb(-(6 if digits is None else digits)), "ROUND_HALF_UP", _WIDE)
                if letter == "f"
                else Decimal(value)
            )
            text = f"{number:{signed}{grouped}.{6 if digits is None else digits}{letter}}"
        else:
            text = value if digits is None else value[:digits]
        text = text.upper() if letter.isupper() else text
        size = int(width) if width else 0
        if "-" in flags:
            return text.ljust(size)
        return text.zfill(size) if "0" in flags and letter in "dfxo" else text.rjust(size)

    return str(regex.sub(r"%(\d+\$)?([-#+ 0,(]*)(\d+)?(\.\d+)?([a-zA-Z%])", written, pattern))


@computed
def format_number(number: int) -> str:
    """A number with a unit of thousands."""
    for unit, size in (("Q", 10**15), ("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if abs(number) >= size:
            value = Decimal(number) / size
            digits = max(0, 2 - value.adjusted())
            rounded = value.quantize(Decimal(1).scaleb(-digits), rounding="ROUND_HALF_UP")
            return f"{rounded.normalize():f}{unit}"
    return str(number)


@computed
def split_limited(text: str, separator: str, limit: int) -> list[str]:
    """Text split into so many pieces at most."""
    if limit < 1:
        raise Failed("INVALID_FUNCTION_ARGUMENT", "Limit must be positive")
    if not separator:
        raise Failed("INVALID_FUNCTION_ARGUMENT", "The delimiter may not be the empty string")
    return text.split(separator, limit - 1)


@computed
def split(text: str, separator: str) -> list[str]:
    """Text split at every separator."""
    return split_limited(text, separator, 1 << 31)


@computed
def strpos(text: str, sought: str, instance: int) -> int:
    """Where the n-th occurrence begins, counted from the end for a negative n; 0 where there is none."""
    if instance == 0:
        raise Failed("INVALID_FUNCTION_ARGUMENT", "'instance' must be a positive or negative number.")
    at = -1 if instance > 0 else len(text)
    for _ in range(abs(instance)):
        at = text.find(sought, at + 1) if instance > 0 else text.rfind(sought, 0, max(at + len(sought) - 1, 0))
        if at < 0:
            return 0
    return at + 1


@computed
def soundex(text: str) -> str:
    """How English text sounds, as a letter and three digits."""
    if not text.isascii() or not text.isalpha():
        raise Failed("INVALID_FUNCTION_ARGUMENT", f"The character is not mapped: {text}")
    digits = {
        letter: digit
        for digit, letters in enumerate(["BFPV", "CGJKQSXZ", "DT", "L", "MN", "R"], 1)
        for letter in letters
    }
    codes = [digits.get(letter, 0 if letter not in "HW" else None) for letter in text.upper()]
    found, before = "", codes[0]
    for code in codes[1:]:
        if code is not None:
            found += str(code) if code and code != before else ""
            before = code
    return f"{text[0].upper()}{found[:3]:<03}"


@computed
def luhn_check(text: str) -> bool:
    """Whether the last digit is the check digit of the others."""
    if not text.isdigit():
        raise Failed("INVALID_FUNCTION_ARGUMENT", "Input contains non-digit characters")
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(text))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


@computed
def url_part(url: str, part: str) -> str | None:
    """The protocol, host, path, query or fragment of a URL."""
    try:
        found = urlsplit(url)
    except ValueError:
        return None
    if regex.search(r"[\s<>\"{}|\\^`]", url):
        return None
    known = {"protocol": found.scheme, "host": found.hostname or "", "path": unquote(found.path)}
    return known[part] if part in known else unquote({"query": found.query, "fragment": found.fragment}[part])


@computed
def url_port(url: str) -> int | None:
    """The port of a URL that tells one."""
    try:
        return urlsplit(url).port
    except ValueError:
        return None


@computed
def url_parameter(url: str, name: str) -> str | None:
    """The first parameter of that name in a URL's query."""
    return next((value for key, value in parse_qsl(urlsplit(url).query, keep_blank_values=True) if key == name), None)


@computed
def from_base(text: str, base: int) -> int:
    """A number by its digits of a base."""
    try:
        return int(text, base)
    except ValueError:
        raise Failed("INVALID_FUNCTION_ARGUMENT", f"Not a valid base-{base} number: {text}") from None


@computed
def to_base(number: int, base: int) -> str:
    """The digits of a number in a base."""
    if not 2 <= base <= 36:
        raise Failed("INVALID_FUNCTION_ARGUMENT", "Radix must be between 2 and 36")
    digits, left = "", abs(number)
    while left or not digits:
        left, digit = divmod(left, base)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return "-" * (number < 0) + digits


@computed
def decoded(binary: bytes, replacement: str) -> str:
    """Bytes as text, with a replacement for each that is none."""
    return binary.decode("utf-8", errors="replace").replace("\ufffd", replacement)


@computed
def crc32(binary: bytes) -> int:
    """The checksum of ZIP."""
    return zlib.crc32(binary)


@computed
def digest(binary: bytes, name: str) -> bytes:
    """A hash by its name."""
    return hashlib.new(name, binary).digest()


@computed
def hmac_digest(binary: bytes, key: bytes, name: str) -> bytes:
    """A keyed hash by its name."""
    return hmac.new(key, binary, name).digest()
