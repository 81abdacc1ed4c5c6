"""What every reader of raw files gives: records, the file's own columns, and what is said when those do not fit."""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from contract.columns import BLANKS
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

    `physical` is the sum of the others and of the `lines` of all its records. `header` counts the header wherever it
    stands again. `blank` are lines without a record: empty ones, those of delimiters only, and those on which a JSON
    array has only brackets and commas. `skipped`, `comment` and `footer` are not read because the contract says so;
    lines `sep=;` are skipped without that.
    """

    physical: int = 0
    header: int = 0
    blank: int = 0
    skipped: int = 0
    comment: int = 0
    footer: int = 0


class RawFile(NamedTuple):
    """A raw file opened: `columns` are the names in its header or schema, which stands on `line`, without the blanks at
    their edges; those that have none are an empty text.

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


def without_null_values(records: Iterable[Record], null_values: Collection[str]) -> Iterator[Record]:
    """Records in which each of the texts `null_values`, with or without blanks around it, is no value."""

    def valued(value: Any) -> Any:
        return None if isinstance(value, str) and value.strip(BLANKS) in null_values else value

    for record in records:
        if record.values is None:
            yield record
            continue
        extra = record.extra
        if extra:
            others = json.loads(extra, parse_int=Number, parse_float=Number)
            extra = json_text({name: valued(value) for name, value in others.items()})
        yield record._replace(values=tuple(map(valued, record.values)), extra=extra)


def check_unique(found: Sequence[str], contract: Contract, where: str) -> None:
    """Refuse a header that names a column twice.

    :raises DataError: it does.
    """
    twice = [name for name, count in Counter(found).items() if count > 1 and name]
    if twice:
        told = f"given twice {_names(twice)}" if _knows(found, contract) else difference(found, contract)
        raise DataError(misfit(where, told))


def _knows(found: Collection[str], contract: Contract) -> bool:
    """Whether one of the names found is a column: else they may be values."""
    return any(name in found for name in sources(contract))


def missing_columns(found: Collection[str], contract: Contract, has_header: bool = True) -> list[str]:
    """The sources of the contract's columns that a file must have and that are not among the names found.

    An optional column is not missing; nor, without a header, in JSON, is one that no row needs, unless there is no
    column at all. Either is where a new name is its own in another spelling: its values would be lost.
    """
    all_needed = has_header or not _knows(found, contract)
    new = {_plain(name) for name in new_columns(found, contract)}
    return [
        column.source
        for column in contract.columns
        if column.source not in found
        and (_plain(column.source) in new or ((all_needed or column.required) and not column.optional))
    ]


def absent_columns(found: Collection[str], contract: Contract, has_header: bool = True) -> list[str]:
    """The sources of the contract's columns that are not among the names found, and not missing either."""
    missing = missing_columns(found, contract, has_header)
    return [name for name in sources(contract) if name not in found and name not in missing]


def new_columns(found: Collection[str], contract: Contract) -> list[str]:
    """The names found, each once, that are no source of a column of the contract."""
    known = sources(contract)
    return [name for name in dict.fromkeys(found) if name not in known]


def difference(found: Collection[str], contract: Contract, has_header: bool = True) -> str:
    """How the names found differ from the contract's columns, in words: `missing 'a' (renamed to 'A'?); new 'A'`.

    Names that may be personal values are not shown.
    """
    missing = missing_columns(found, contract, has_header)
    new = [name for name in new_columns(found, contract) if name]
    shown = _knows(found, contract) or not contract.personal_columns
    likely = {name: _closest(name, new) if shown else None for name in missing[:MAX_NAMES]}
    told = [
        f"{name!r} (renamed to {shortened(other, 80)!r}?)" if other else repr(name) for name, other in likely.items()
    ]
    more = f" and {len(missing) - MAX_NAMES} more" if len(missing) > MAX_NAMES else ""
    parts = [f"missing {', '.join(told)}{more}"] if told else []
    if new and shown:
        parts.append(f"new {_names(new)}")
    if not _knows(found, contract) and not any(likely.values()):
        parts.append("none of the names in the file is a column: is the header missing?")
    return "; ".join(parts)


def misfit(where: str, told: str) -> str:
    """What is said of a file whose columns are not the contract's, which `told` describes."""
    return f"{where}: the columns do not fit the contract: {told}"


def check_fits(found: Collection[str], line: int, name: str, contract: Contract) -> None:
    """Refuse a file whose header, on that line, lacks a column of the contract.

    :raises DataError: it does.
    """
    if missing_columns(found, contract):
        raise DataError(misfit(f"{name} line {line}", difference(found, contract)))


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(repr(shortened(name, 80)) for name in names[:MAX_NAMES]) + more


def _plain(name: str) -> str:
    """A name without what its spellings differ in: case, accents, and signs where it has letters or digits."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKD", name)).casefold() or name


def _closest(name: str, candidates: Sequence[str]) -> str | None:
    """The candidate that is most like `name`, where one is."""
    by_plain = {_plain(candidate): candidate for candidate in candidates}
    likely = difflib.get_close_matches(_plain(name), by_plain, n=1)
    return by_plain[likely[0]] if likely else None
