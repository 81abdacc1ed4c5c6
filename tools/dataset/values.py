"""What the values of a column are: the narrowest type that gives every one of them back as it was written.

Whether a text is a value of a type is asked of the jobs' own code, so that the tool accepts what the jobs read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from contract.columns import BLANKS, DOUBLE, INTEGER, decimal_pattern

from spark_jobs.raw import dates

NULL_MARKERS = (
    *("NULL", "null", "Null", "(null)", "[NULL]", "<null>", "NIL", "nil", "None", "none", "\\N"),
    *("NA", "N/A", "n/a", "N.A.", "n.a.", "#N/A", "#NV", "<NA>", "NaN", "nan", "NaT", "k.A.", "n.d.", "nd"),
    *(
        "-",
        "--",
        "---",
        "\N{EN DASH}",
        "\N{EM DASH}",
        "..",
        "...",
        ".",
        ":",
        "?",
        "*",
        "x",
        "X",
        "missing",
        "MISSING",
        "unknown",
    ),
    *("0000-00-00", "0000-00-00 00:00:00"),
)
"""Texts by which senders say that there is no value."""
MACHINE_MARKERS = frozenset({"\\N", "(null)", "[NULL]", "<null>", "NULL", "#N/A", "<NA>", "NaN", "NaT"})
"""Those that are no word of any language: no value even where the others of the column are words."""

DATES = (
    *("yyyy-MM-dd", "yyyy/MM/dd", "yyyy.MM.dd", "dd/MM/yyyy", "MM/dd/yyyy", "dd.MM.yyyy", "dd-MM-yyyy", "MM-dd-yyyy"),
    *("d/M/yyyy", "M/d/yyyy", "d.M.yyyy", "d-M-yyyy"),
    *("dd/MM/yy", "MM/dd/yy", "dd.MM.yy", "dd-MM-yy", "d/M/yy", "M/d/yy", "d.M.yy"),
    *("dd MMM yyyy", "d MMM yyyy", "dd-MMM-yyyy", "d-MMM-yyyy", "dd-MMM-yy", "MMM dd, yyyy", "MMM d, yyyy"),
    *("dd MMMM yyyy", "d MMMM yyyy", "MMMM d, yyyy", "dd/MMM/yyyy", "dd MMM yy"),
)
COMPACT_DATE = "yyyyMMdd"
TIMESTAMP = re.compile(
    r"(?P<date>.*?[0-9])(?P<join>T| |, |:)(?P<hour>[0-9]{1,2}):[0-9]{2}(?P<seconds>:[0-9]{2})?"
    r"((?P<mark>[.,])(?P<fraction>[0-9]{1,9}))?(?P<noon> [AP]M)?"
    r"(?P<gap> ?)(?P<zone>Z|UTC|[+-][0-9]{2}((?P<colon>:?)[0-9]{2})?)?"
)
COMPACT_TIMESTAMPS = (
    "yyyyMMddHHmmss",
    "yyyyMMdd HHmmss",
    "yyyyMMdd'T'HHmmss",
    "yyyyMMdd'T'HHmmssXX",
    "yyyyMMdd HH:mm:ss",
)
DATE_WORDS = frozenset(
    """
    date dates day dt datum data fecha jour dia giorno dag dzien tag am on at ymd yyyymmdd since until from von bis
    """.split()  # noqa: SIM905
)
COMPACT_VALUES = 3
"""How many days a column of numbers must have, all of them plausible, for it to be one of dates whatever its name."""
SAFE_DIGITS = 9
"""Decimals with more places than this are what a computer's floating point leaves, if they read back as the same."""

IDENTIFIER = re.compile(r"(.*_)?(id|no|nr|num|number|code|key|sku|zip|postcode|uuid|guid|ean|gtin|isbn|barcode|ref)")
"""Names of columns that tell things apart, in small letters: what is written in digits there is no number."""
EMAIL = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+\.[A-Za-z]{2,}")
NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)*([eE][+-]?[0-9]+)?|[+-]?[.,][0-9]+")
DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|"
    r"\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})|\d{1,2}[- ][A-Za-z]{3,9}[- ]\d{2,4})([T ].*)?"
)
LETTERS = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "æ": "ae", "Æ": "AE", "đ": "d", "Đ": "D"})
"""Letters that do not come apart into one of ASCII and a mark."""
HUMPS = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def kind(text: str) -> str:
    """Tell roughly what a text is: `number`, `date`, `email` or `text`."""
    text = text.strip()
    if DATE.fullmatch(text):
        return "date"
    if NUMBER.fullmatch(text):
        return "number"
    return "email" if EMAIL.fullmatch(text) else "text"


def is_year(text: str) -> bool:
    """Whether a text is a year, as columns of tables are called after them."""
    return bool(re.fullmatch("(1[89]|20|21)[0-9]{2}", text.strip()))


def shape(text: str) -> str:
    """How a text is built: `AB-12` is `A-9`."""
    return re.sub(r"[0-9]+", "9", re.sub(r"[^\W\d_]+", "a", text.strip()))


def loose_number(text: str) -> Decimal | None:
    """A number as people write it, with separators of thousands, or None."""
    plain = re.sub(r"[\s'\u00a0$€£%]", "", text)
    if re.fullmatch(r"[+-]?[0-9]{1,3}(,[0-9]{3})+([.][0-9]+)?", plain):
        plain = plain.replace(",", "")
    elif re.fullmatch(r"[+-]?[0-9]{1,3}([.][0-9]{3})*,[0-9]+", plain):
        plain = plain.replace(".", "").replace(",", ".")
    try:
        return Decimal(plain) if re.fullmatch(r"[+-]?[0-9]+([.][0-9]+)?", plain) else None
    except InvalidOperation:
        return None


def is_blank(text: str | None) -> bool:
    """Whether there is no value."""
    return text is None or not text.strip(BLANKS)


def is_marker(text: str) -> bool:
    """Whether a text may say that there is no value."""
    return is_blank(text) or text.strip() in NULL_MARKERS


def null_markers(columns: Iterable[Sequence[str]]) -> list[str]:
    """Find the texts by which the values of these columns say that there is none.

    One that stands among numbers or dates is such a text, and one that only programs write; not one that is a word, or
    looks like the others, in a column of texts: in a contract it holds for every column.
    """
    found: dict[str, None] = {}
    words: set[str] = set()
    for texts in columns:
        distinct = {text.strip() for text in texts}
        marked = [marker for marker in NULL_MARKERS if marker in distinct]
        if not marked:
            continue
        others = [text for text in texts if text.strip() not in NULL_MARKERS]
        if len(set(others)) > 1 and type_of((), others)[0] != "string":
            found |= dict.fromkeys(marked)
        else:
            found |= dict.fromkeys(marker for marker in marked if marker in MACHINE_MARKERS)
            words |= {
                marker
                for marker in set(marked) - MACHINE_MARKERS
                if not others or any(shape(text) == shape(marker) and len(text) == len(marker) for text in others)
            }
    return [marker for marker in found if marker not in words]


def type_of(name: Sequence[str], texts: Sequence[str]) -> tuple[str, list[str]]:
    """Return the type that every text has, and for a date or timestamp the patterns that fit all of them."""
    if not texts:
        return "string", []
    if all(text.lower() in ("true", "false") for text in texts):
        return "boolean", []
    if compact := _compact_dates(name, texts):
        return compact
    if number := _number(texts):
        return number, []
    return _moment(texts)


def _number(texts: Sequence[str]) -> str | None:
    # Leading zeros and signs name something, an article or a telephone: the value would not tell what was written.
    if any(re.match(r"[+-]?0[0-9]|[+][0-9]{6}", text) for text in texts):
        return None
    if _all(re.compile(INTEGER).fullmatch, texts):
        digits = max(len(text.lstrip("+-")) for text in texts)
        widest = max(abs(int(text)) for text in texts) if digits < 20 else 1 << 64
        if widest < 1 << 31:
            return "int"
        if widest < 1 << 63:
            return "bigint"
        return "decimal(38,0)" if digits <= 38 else None
    if _all(re.compile(decimal_pattern(400)).fullmatch, texts):
        return _decimal(texts)
    # Without a sign or a point it is a name, such as 12E4.
    exponents = [text for text in texts if "e" in text.lower()]
    written = re.compile(r"[+-]?[0-9]([.][0-9]+)?[eE][+-]?[0-9]{1,3}")
    if not exponents or not all(written.fullmatch(text) and re.search("[.]|[eE][+-]", text) for text in exponents):
        return None
    return "double" if _all(_is_double, texts) else None


def may_be_thousands(texts: Sequence[str]) -> bool:
    """Whether all points in these decimals may part thousands, as many languages write them: `1.000` beside `250`."""
    pointed = [text for text in texts if "." in text]
    grouped = re.compile("[+-]?[1-9][0-9]{0,2}[.][0-9]{3}|[+-]?[0-9]{1,3}")
    return bool(pointed) and _all(grouped.fullmatch, texts)


def _decimal(texts: Sequence[str]) -> str | None:
    """A decimal with two digits of room before the point, and at least two after it, or a double that is as exact."""
    parts = [text.lstrip("+-").partition(".") for text in texts]
    places = [len(fraction) for _, _, fraction in parts]
    scale = max(2, *places)
    if scale > SAFE_DIGITS and min(places) != scale and _all(_is_double, texts):
        return "double"
    whole = max(len(whole) for whole, _, _ in parts)
    if whole + scale > 38:
        return "double" if _all(_is_double, texts) else None
    return f"decimal({min(38, max(12, whole + scale + 2))},{scale})"


def _is_double(text: str) -> bool:
    """Whether a double gives the number back that was written."""
    if not re.fullmatch(DOUBLE, text):
        return False
    number = float(text)
    return number - number == 0 and Decimal(repr(number)) == Decimal(text)


def _compact_dates(name: Sequence[str], texts: Sequence[str]) -> tuple[str, list[str]] | None:
    """Dates and timestamps of digits only, where the name or all of the values say that they are none of numbers."""
    if not _all(re.compile(r"[0-9]{8}([0-9]{6})?|[0-9]{8}[ T][0-9].*").fullmatch, texts):
        return None
    named = bool(DATE_WORDS & set(name))
    plausible = all("1900" <= text[:4] < "2100" for text in texts) and len(set(texts)) >= COMPACT_VALUES
    if not named and not plausible:
        return None
    for type_name, patterns in (("date", (COMPACT_DATE,)), ("timestamp", COMPACT_TIMESTAMPS)):
        if fitting := _fitting(patterns, texts):
            return type_name, fitting
    return None


def _moment(texts: Sequence[str]) -> tuple[str, list[str]]:
    """The patterns of dates, or of timestamps, that all texts are written in."""
    if fitting := _fitting(DATES, texts):
        return "date", fitting
    fitting = _fitting(_timestamps(texts), texts)
    return ("timestamp" if fitting else "string"), fitting


def _timestamps(texts: Sequence[str]) -> Iterator[str]:
    """The patterns in which timestamps like these may be written."""
    found = [TIMESTAMP.fullmatch(text) for text in texts]
    parts = [match.groupdict() for match in found if match]
    if len(parts) < len(texts):
        return
    first = parts[0]
    hours = "hh" if first["noon"] else "HH"
    if any(len(part["hour"]) == 1 for part in parts):
        hours = hours[0]
    places = {len(part["fraction"] or "") for part in parts}
    mark = next((part["mark"] for part in parts if part["mark"]), "")
    digits = "S" * (max(places) if len(places) == 1 else max(6, *places))
    fraction = f"[{mark}{digits}]" if mark and 0 in places else f"{mark}{digits}"
    zones = {part["zone"] for part in parts}
    zone = ""
    if zones == {"UTC"}:
        zone = f"{first['gap']}'UTC'"
    elif first["zone"]:
        hours_only = all(len(offset or "") == 3 for offset in zones - {"Z"})
        colon = zones == {"Z"} or any(part["colon"] for part in parts)
        zone = f"{first['gap']}{'XXX' if colon else 'X' if hours_only else 'XX'}"
    join = "'T'" if first["join"] == "T" else first["join"]
    time = f"{hours}:mm{':ss' if first['seconds'] else ''}{fraction}{' a' if first['noon'] else ''}{zone}"
    for date in _fitting(DATES, [part["date"] for part in parts]):
        yield f"{date}{join}{time}"


def _span(pattern: str, texts: Sequence[str]) -> timedelta:
    """The time between the first and the last of these dates."""
    read = dates.reader(pattern)
    moments = [moment for text in texts if (moment := read(text))]
    return max(moments) - min(moments)


def _fitting(patterns: Iterable[str], texts: Sequence[str]) -> list[str]:
    """The patterns that every text is written in, one for each order of day, month and year: the first."""
    by_order: dict[str, str] = {}
    for pattern in patterns:
        read = dates.reader(pattern)
        # Most patterns are ruled out by the first text.
        if all(map(read, texts)):
            order = re.sub(r"'[^']*'|[^yMd]", "", pattern)
            by_order.setdefault(re.sub(r"(.)\1*", r"\1", order), pattern)
    found = list(by_order.values())
    # Where days and months could change places, what puts the dates closer together is likelier.
    return sorted(found, key=lambda pattern: _span(pattern, texts)) if len(found) > 1 else found


def _all(fits: Callable[[str], object], texts: Iterable[str]) -> bool:
    return all(fits(text) for text in texts)


def as_ascii(text: str) -> str:
    """The text in the letters of ASCII: `Größe` is `Grosse`."""
    plain = text.translate(LETTERS)
    return unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()


def words(name: str) -> list[str]:
    """The words of a name in small letters of ASCII: those of `ShipAddress2` are `ship, address, 2`."""
    return re.findall("[a-z]+|[0-9]+", HUMPS.sub(" ", as_ascii(name)).lower())
