"""Patterns of dates and timestamps: which ones a contract may have, and what texts follow them.

They are Spark's (https://spark.apache.org/docs/latest/sql-ref-datetime-pattern.html), those of which it can be known
without Spark what they read. A pattern with optional parts, `[...]`, stands for several without: its variants.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise, product
from typing import NamedTuple

MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
FIELDS = {
    "G": "era",
    "y": "year",
    "M": "month",
    "L": "month",
    "d": "day",
    "D": "day of the year",
    "a": "AM or PM",
    **dict.fromkeys("HkhK", "hour"),
    "m": "minute",
    "s": "second",
    "S": "fraction",
    **dict.fromkeys("XxZ", "offset"),
}
"""What the letters stand for."""
DATES = ({"year"}, {"year", "month"}, {"year", "month", "day"}, {"year", "day of the year"})
"""What a pattern may have of a date: what is not there is the first month, the first day."""
MAX_VARIANTS = 16

_ONE, _TWO = "0|[1-9][0-9]?", "[0-9]{2}"
_HOURS, _SIXTY = "[+-](?:0[0-9]|1[0-7])", "[0-5][0-9]"
_OFFSETS = {
    1: f"{_HOURS}(?:{_SIXTY})?",
    2: f"{_HOURS}{_SIXTY}",
    3: f"{_HOURS}:{_SIXTY}",
    4: f"{_HOURS}{_SIXTY}(?:{_SIXTY})?",
    5: f"{_HOURS}:{_SIXTY}(?::{_SIXTY})?",
}
EXPRESSIONS = {
    "y": "[1-9][0-9]{0,3}",
    "yy": _TWO,
    "yyyy": "[0-9]{4}",
    "D": "[1-9][0-9]{0,2}",
    "DDD": "[0-9]{3}",
    # A number of one letter has no leading zero.
    **dict.fromkeys("MLdHkhKms", _ONE),
    **{letter * 2: _TWO for letter in "MLdHkhKms"},
    **{letter * 3: "|".join(name[:3] for name in MONTHS) for letter in "ML"},
    **{letter * 4: "|".join(MONTHS) for letter in "ML"},
    # Spark reads from one digit to as many as there are letters; a timestamp holds six.
    **{"S" * count: f"[0-9]{{1,{min(count, 6)}}}" + f"0{{0,{count - 6}}}" * (count > 6) for count in range(1, 10)},
    **{"x" * count: offset for count, offset in _OFFSETS.items()},
    **{"X" * count: f"Z|{offset}" for count, offset in _OFFSETS.items()},
    **{"Z" * count: _OFFSETS[2] for count in (1, 2, 3)},
    "ZZZZZ": f"Z|{_OFFSETS[5]}",
    "a": "AM|PM",
    "G": "AD",
    "GG": "AD",
    "GGG": "AD",
}
"""How each row of letters is written: regular expressions of the syntax that Java and Python share, without groups."""
SPELLINGS = (
    *("1" * count for count in range(1, 7)),
    *("1" * 6 + "0" * count for count in range(1, 4)),
    *(sign + offset for sign in "+-" for offset in ("11", "1111", "11:11", "111111", "11:11:11")),
    *("Z", "Jan", "January", "May", "AM", "PM", "AD"),
)
"""Texts of every shape that one of `EXPRESSIONS` can have."""
_FRACTIONS = frozenset("S" * count for count in range(1, 10))
_VARYING = frozenset("yMLdDHkhKms") | _FRACTIONS
_NUMBERS = {letters for letters, written in EXPRESSIONS.items() if written.startswith(("[0", "[1", "0"))}

REASONS = {
    **dict.fromkeys("YwWu", "Spark reads no years of weeks"),
    **dict.fromkeys("EceF", "Spark reads no days of the week; `normalize` can take them away"),
    **dict.fromkeys(
        "VzvO", "the name of a zone can mean two times; offsets are XXX, xx or Z, and 'UTC' in quotes a text"
    ),
}
_PART = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z'#{}]")


class Part(NamedTuple):
    """A part of a pattern as it is written there: a row of letters, or `literal`, a text that stands for itself."""

    text: str
    literal: str | None = None

    @property
    def field(self) -> str | None:
        """What its letters stand for; None for a literal."""
        return None if self.literal is not None else FIELDS.get(self.text[0])


Variant = tuple[Part, ...]


class PatternError(ValueError):
    """What is wrong with a pattern."""


def _parts(pattern: str) -> list[Part]:
    """The parts of a pattern; brackets are literals of it.

    :raises PatternError: Spark could not read a part.
    """
    found = list(_PART.finditer(pattern))
    if "".join(part[0] for part in found) != pattern:
        raise PatternError("has a quote that is not closed, or one of # { } outside quotes")
    parts = []
    for text, letter in ((part[0], part[1]) for part in found):
        if letter and text not in EXPRESSIONS:
            raise PatternError(f"has {text}, which cannot be read" + f": {REASONS.get(letter)}" * (letter in REASONS))
        literal = "'" if text == "''" else text[1:-1].replace("''", "'") if text.startswith("'") else text
        parts.append(Part(text, None if letter else literal))
    return parts


def _expanded(parts: list[Part]) -> list[Variant]:
    """All that a pattern stands for, with and without each optional part, those with the most first."""
    outer: list[list[Variant]] = []
    variants: list[Variant] = [()]
    for part in parts:
        if part.text == "[":
            outer.append(variants)
            variants = [()]
        elif part.text == "]":
            if not outer:
                raise PatternError("has a bracket that is not opened")
            variants = [before + optional for before in outer.pop() for optional in (*variants, ())]
        else:
            variants = [(*variant, part) for variant in variants]
        if len(variants) > MAX_VARIANTS:
            raise PatternError(f"has too many optional parts: it stands for more than {MAX_VARIANTS} patterns")
    if outer:
        raise PatternError("has a bracket that is not closed")
    return variants


def _repeated(variant: Variant) -> list[str]:
    return [field for field, count in Counter(part.field for part in variant).items() if field and count > 1]


@cache
def variants(pattern: str) -> tuple[Variant, ...]:
    """The patterns without optional parts that a pattern stands for, those with the most parts first.

    One that gives a field twice is left out: of `[yyyy-MM-dd][dd.MM.yyyy]` only one part can be there.

    :raises PatternError: it is not a pattern, or there is none but such as give a field twice.
    """
    expanded = _expanded(_parts(pattern))
    single = tuple(variant for variant in expanded if variant and not _repeated(variant))
    if not single:
        repeated = _repeated(expanded[0])
        raise PatternError(f"gives the {repeated[0]} twice" if repeated else "is empty")
    return single


def spark_pattern(variant: Variant) -> str:
    """The variant as Spark wants it."""
    return "".join(part.text for part in variant)


def apart(variant: Variant) -> tuple[str, str] | None:
    """Where a fraction follows a number directly, which Spark cannot read: how to put blanks between all rows of
    letters by `expression`, and the pattern then.
    """
    letters = [part.text for part in variant if part.literal is None]
    touching = any(first.literal is None and second.text in _FRACTIONS for first, second in pairwise(variant))
    return (" ".join(f"${at}" for at in range(1, len(letters) + 1)), " ".join(letters)) if touching else None


def expression(variant: Variant) -> str:
    """The regular expression of the texts that follow the variant; a group for each row of letters."""
    return "".join(
        f"({EXPRESSIONS[part.text]})" if part.literal is None else re.escape(part.literal) for part in variant
    )


def _date_problem(fields: set[str]) -> str:
    """Why these fields of a pattern are no date."""
    if "year" not in fields:
        return "has no year"
    return "has the day of the year beside month or day" if "day of the year" in fields else "has no month"


def _no_end(variant: Variant) -> str | None:
    """A number of which it cannot be told where it ends, as the next one follows directly."""
    for first, second in pairwise(variant):
        numbers = first.text in _NUMBERS and second.text in _NUMBERS
        if numbers and (first.text in _VARYING or second.text in _VARYING - _FRACTIONS):
            return first.text + second.text
    return None


def _texts(variant: Variant) -> Iterator[str]:
    """Texts that follow the variant: one of each length that its numbers may have."""
    spellings = (
        [part.literal]
        if part.literal is not None
        else [text for text in SPELLINGS if re.fullmatch(EXPRESSIONS[part.text], text)]
        for part in variant
    )
    return map("".join, product(*spellings))


def _read_alike(one: Variant, other: Variant) -> bool:
    """Whether every text means the same by both: they have the same fields in the same order."""
    meanings = [
        [part.text if part.text == "yy" else part.field for part in variant if part.field] for variant in (one, other)
    ]
    return meanings[0] == meanings[1]


def _can_be_told(one: Variant, other: Variant) -> bool:
    """Whether no text follows both variants."""
    pairs = ((one, re.compile(expression(other))), (other, re.compile(expression(one))))
    return not any(form.fullmatch(text) for variant, form in pairs for text in _texts(variant))


def check(pattern: str, type_name: str) -> None:
    """Refuse a pattern that cannot be read as values of the type, date or timestamp.

    :raises PatternError: it cannot; with the pattern that was meant, where that can be told.
    """
    try:
        _check(pattern, type_name)
    except PatternError as error:
        meant = _meant(pattern, type_name)
        told = f"; did you mean {meant!r}?" if meant else ""
        raise PatternError(f"{pattern!r} {error}{told}") from None


def _check(pattern: str, type_name: str) -> None:
    if re.search("%[A-Za-z]", pattern):
        raise PatternError("is a pattern of strftime, not of Spark")
    for one, other in combinations(variants(pattern), 2):
        if not (_read_alike(one, other) or _can_be_told(one, other)):
            told = f"{spark_pattern(one)!r} and {spark_pattern(other)!r}"
            raise PatternError(f"stands for both {told}, which cannot be told from each other")
    for variant in variants(pattern):
        fields = {part.field for part in variant if part.field}
        told = "" if "[" not in pattern else f", where it is {spark_pattern(variant)!r}"
        of_date = fields & set().union(*DATES)
        if of_date not in DATES:
            raise PatternError(f"{_date_problem(of_date)}{told}")
        if touching := _no_end(variant):
            raise PatternError(f"has {touching}, of which it cannot be told where the first number ends{told}")
        if fields - of_date - {"era"} and type_name == "date":
            raise PatternError(
                f"has a time of day or an offset, which a date cannot hold{told}: the type is timestamp, or they are a "
                "text in quotes"
            )
        twelve = any(part.text[0] in "hK" for part in variant if part.field == "hour")
        if twelve != ("AM or PM" in fields):
            raise PatternError(f"has {'hh without a' if twelve else 'a without hh'}, AM or PM{told}")
        for needed, field in pairwise(("hour", "minute", "second", "fraction")):
            if field in fields and needed not in fields:
                raise PatternError(f"has the {field} without the {needed}{told}")


STRFTIME = {
    "Y": "yyyy",
    "y": "yy",
    "m": "MM",
    "c": "M",
    "d": "dd",
    "e": "d",
    "j": "DDD",
    "b": "MMM",
    "h": "MMM",
    "B": "MMMM",
    "H": "HH",
    "k": "H",
    "I": "hh",
    "l": "h",
    "p": "a",
    "M": "mm",
    "i": "mm",
    "S": "ss",
    "s": "ss",
    "f": "SSSSSS",
    "z": "xx",
    "F": "yyyy-MM-dd",
    "T": "HH:mm:ss",
    "R": "HH:mm",
    "D": "MM/dd/yy",
    "%": "%",
}
OTHERS = {
    "HH24": "HH",
    "HH12": "hh",
    "MI": "mm",
    "MONTH": "MMMM",
    "MON": "MMM",
    "AM/PM": "a",
    "AM": "a",
    "PM": "a",
    "TZH:TZM": "XXX",
    "TT": "a",
    "T": "'T'",
}
"""What SQL, .NET and the libraries of JavaScript write."""
_STRFTIME = re.compile(r"%-?([A-Za-z%])|([A-Za-z]+)")
_DIALECT = re.compile(rf"'[^']*'|(?i:FF[0-9]|{'|'.join(OTHERS)})|([A-Za-z])\1*|.", re.DOTALL)


def _meant(pattern: str, type_name: str) -> str | None:
    """The pattern that was probably meant: by its words of other languages, and by the order of its fields."""
    if "%" in pattern:
        meant = _STRFTIME.sub(lambda found: STRFTIME.get(found[1], "?") if found[1] else f"'{found[2]}'", pattern)
    else:
        meant = _in_order(pattern)
    try:
        _check(meant, type_name)
    except PatternError:
        return None
    return meant


def _in_order(pattern: str) -> str:
    """A pattern with letters of other languages: what `mm`, `SS` and `DD` are follows from what they stand behind."""
    found = [part[0] for part in _DIALECT.finditer(pattern)]
    half = any(text.upper() in ("A", "AM", "PM", "AM/PM", "TT") for text in found)
    iso = "T" in found
    given: list[str] = []
    written: list[str] = []
    for at, text in enumerate(found):
        letter, count = text[0].lower(), len(text)
        behind = next((field for field in reversed(given) if field), None)
        following = next((later[0].lower() for later in found[at + 1 :] if later[0].isalpha()), "")
        if not text[0].isalpha():
            meant = text
        elif text.upper() in OTHERS:
            meant = OTHERS[text.upper()]
        elif letter in "yu":
            meant = "y" * (2 if count == 2 else 4)
        elif letter == "d":
            meant = "d" * min(count, 2)
        elif letter == "h":
            meant = ("h" if half else "H") * count
        elif letter == "m":
            minutes = count < 3 and (behind == "hour" or following == "s")
            meant = ("m" if minutes else "M") * count
        elif text[-1].isdigit():
            meant = "S" * int(text[-1])
        elif letter in "sf":
            meant = ("S" if "second" in given or letter == "f" else "s") * count
        elif text == "zzz" or (text == "Z" and iso):
            meant = "XXX"
        else:
            meant = "a" if letter == "a" else text
        written.append(meant)
        given.append(FIELDS.get(meant[0], ""))
    return "".join(written)
