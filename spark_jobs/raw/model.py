"""What every reader of raw files gives: records, the file's own columns, and what is said when those do not fit."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from contract.dataset import Contract

from spark_jobs.errors import DataError

NOT_TEXT, MALFORMED, WRONG_FIELD_COUNT = "not_text", "malformed_record", "wrong_field_count"
"""The rules a record can break before it has columns: `contract.dataset.RECORD_RULES`."""

MAX_NAMES = 20
UNPRINTABLE = re.compile("[\0\ud800-\udfff]")
"""What JSON can escape and no table can hold: NUL, and half of a surrogate pair."""


class Record(NamedTuple):
    """One record of a raw file.

    `line` is the physical line (from 1) on which it starts, in Parquet the row, and `raw` its text without the final
    line break; a row of Parquet is shown as JSON. Either `values` holds its text by the contract's columns, in their
    order, and `rule` and `reason` are None, or `values` is None and they say what is wrong. `extra` is a JSON object of
    the columns that the contract does not name, where it wants them and the record has any. `lines` is how many
    physical lines it takes, less those on which an earlier record stands too.
    """

    line: int
    raw: str
    values: tuple[str | None, ...] | None
    rule: str | None = None
    reason: str | None = None
    extra: str | None = None
    lines: int = 1


@dataclass
class LineCounts:
    """What a file's physical lines are, complete once its records have been read to the end; in Parquet its rows.

    `physical` = `header` + `blank` + the `lines` of all its records. `blank` are lines without a record: empty ones,
    and those on which a JSON array has only brackets and commas.
    """

    physical: int = 0
    header: int = 0
    blank: int = 0


class RawFile(NamedTuple):
    """A raw file opened: `columns` are the names in its header or schema, which stands on `line`.

    JSON has neither: its `columns` are the keys of the records read so far, and `has_header` is False.
    """

    name: str
    line: int
    columns: Collection[str]
    records: Iterator[Record]
    counts: LineCounts
    has_header: bool = True


class Number(str):
    """The text of a number in a JSON document: money must not go through a float."""

    __slots__ = ()


def sources(contract: Contract) -> tuple[str, ...]:
    """The names that the contract's columns have in the raw file."""
    return tuple(column.source for column in contract.columns)


def has_personal(contract: Contract) -> bool:
    """Whether a column of the dataset is personal."""
    return any(column.personal for column in contract.columns)


def shortened(text: str, limit: int = 500) -> str:
    """`text` cut at `limit` characters."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def unprintable(values: Sequence[str | None]) -> str | None:
    """What is wrong where one of the values holds characters that no table can hold."""
    if any(value is not None and UNPRINTABLE.search(value) for value in values):
        return "holds NUL or half of a surrogate pair"
    return None


def json_text(value: Any) -> str:
    """A JSON document with the text of its numbers as it was received."""
    match value:
        case Number():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{json_text(str(key))}: {json_text(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(json_text(item) for item in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def record_of(line: int, raw: str, given: Mapping[str, Any], wanted: Sequence[str], keep: bool) -> Record:
    """A record from values by name, each a text, a boolean, None, or something that no column can hold.

    :param wanted: the names of the contract's columns.
    :param keep: whether the other names are wanted too.
    """
    values: list[str | None] = []
    for name in wanted:
        value = given.get(name)
        if value is None or isinstance(value, str):
            values.append(value)
        elif isinstance(value, bool):
            values.append("true" if value else "false")
        else:
            kind = "an object" if isinstance(value, dict) else "a list"
            return Record(line, raw, None, MALFORMED, f"{name!r} is {kind}, not a single value")
    extra = None
    if keep and len(given) > len(values) - values.count(None):
        others = {name: value for name, value in given.items() if name not in wanted}
        extra = json_text(others) if others else None
    if problem := unprintable([*values, extra]):
        return Record(line, raw.encode(errors="backslashreplace").decode(), None, NOT_TEXT, problem)
    return Record(line, raw, tuple(values), extra=extra)


def check_unique(found: Sequence[str], contract: Contract, where: str) -> None:
    """Refuse a header that names a column twice.

    :raises DataError: it does.
    """
    twice = [name for name, count in Counter(found).items() if count > 1]
    if twice:
        named = _names(twice) if is_header(found, contract) else f"{len(twice)} names"
        raise DataError(f"{where}: the columns do not fit the contract: given twice {named}")


def is_header(found: Collection[str], contract: Contract) -> bool:
    """Whether names found may be shown: without a single known column they may be values, and those may be personal."""
    return not has_personal(contract) or any(name in found for name in sources(contract))


def missing_columns(found: Collection[str], contract: Contract) -> list[str]:
    """The sources of the contract's columns that every file must have and that are not among the names found."""
    return [column.source for column in contract.columns if not column.optional and column.source not in found]


def absent_columns(found: Collection[str], contract: Contract) -> list[str]:
    """The sources of the contract's optional columns that are not among the names found."""
    return [column.source for column in contract.columns if column.optional and column.source not in found]


def new_columns(found: Collection[str], contract: Contract) -> list[str]:
    """The names found that are no source of a column of the contract."""
    known = sources(contract)
    return [name for name in found if name not in known]


def difference(found: Collection[str], contract: Contract) -> str:
    """How the names found differ from the contract's columns, in words: `missing 'a' (renamed to 'A'?); new 'A'`."""
    missing, new = missing_columns(found, contract), new_columns(found, contract)
    if not is_header(found, contract):
        return f"missing {_names(missing)}; none of the names in the file is a column: is the header missing?"
    told = []
    for name in missing[:MAX_NAMES]:
        likely = _closest(name, new)
        told.append(f"{name!r} (renamed to {shortened(likely, 80)!r}?)" if likely else repr(name))
    parts = [f"missing {', '.join(told)}"] if told else []
    if new:
        parts.append(f"new {_names(new)}")
    return "; ".join(parts)


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(repr(shortened(name, 80)) for name in names[:MAX_NAMES]) + more


def _closest(name: str, candidates: Sequence[str]) -> str | None:
    """The candidate that is most like `name`, where one is: case and punctuation do not count."""

    def plain(text: str) -> str:
        return re.sub(r"[\W_]", "", text).casefold()

    by_plain = {plain(candidate): candidate for candidate in candidates}
    likely = difflib.get_close_matches(plain(name), by_plain, n=1)
    return by_plain[likely[0]] if likely else None
