"""Values that can be read in one way only, by Arrow, many at once; others are left to spark_jobs/transforms.py.

A plain value is one that `transforms.parsed` reads too, and as the same: tests/unit/spark_jobs/test_plain_values.py. A
record whose values are all plain has none of the problems of form that `transforms.form_problems` looks for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from contract.columns import BLANKS, DEFAULT_FORMATS, DOUBLE, Column, decimal_parts
from contract.dataset import Contract

Read = tuple[pa.Array, pa.Array]
"""Values, and which of them are plain; a value that is not is any or null."""

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Integers = np.ndarray[Any, np.dtype[np.int64]]

ARROW_TYPES = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}
TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
DIGITS = {"int": 9, "bigint": 18}
"""As many digits always fit."""

MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
DAY_SECONDS, MICROSECONDS = 86_400, 1_000_000


def arrow_type(type_name: str) -> pa.DataType:
    """How Arrow holds the values of a contract type; a timestamp is a wall clock reading without a zone."""
    if parts := decimal_parts(type_name):
        return pa.decimal128(*parts)
    return ARROW_TYPES[type_name]


def reader(column: Column) -> Callable[[pa.Array], Read] | None:
    """What reads the texts of a column that are not blank; None where only Spark can."""
    if column.normalize:
        return None
    if parts := decimal_parts(column.type):
        precision, scale = parts
        if precision == scale:
            return None
        fraction = rf"([.][0-9]{{1,{scale}}})?" if scale else ""
        return partial(_cast, arrow_type(column.type), rf"\A-?[0-9]{{1,{precision - scale}}}{fraction}\z")
    match column.type:
        case "string":
            return lambda texts: (texts, pc.is_valid(texts))
        case "int" | "bigint":
            return partial(_cast, arrow_type(column.type), rf"\A-?[0-9]{{1,{DIGITS[column.type]}}}\z")
        case "double":
            return _doubles
        case "boolean":
            return _truths
        case "date" | "timestamp" if column.date_format == DEFAULT_FORMATS[column.type]:
            return _dates if column.type == "date" else _timestamps
    return None


def _cast(kind: pa.DataType, pattern: str, texts: pa.Array) -> Read:
    """Values of the texts that match: Arrow reads each of them, and it reads more than those."""
    plain = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
    return pc.cast(_only(texts, plain), kind), plain


def _only(values: pa.Array, wanted: pa.Array) -> pa.Array:
    return pc.if_else(wanted, values, pa.scalar(None, values.type))


def _doubles(texts: pa.Array) -> Read:
    values, plain = _cast(pa.float64(), rf"\A(?:{DOUBLE})\z", texts)
    finite = pc.fill_null(pc.is_finite(values), False)
    return values, pc.and_(plain, finite)


def _truths(texts: pa.Array) -> Read:
    places = pc.index_in(texts, pa.array(list(TRUTHS)))
    return pa.array(list(TRUTHS.values())).take(places), pc.is_valid(places)


def _dates(texts: pa.Array) -> Read:
    """Values written yyyy-MM-dd."""
    written, rows, plain = _of_length(texts, "0000-00-00")
    days, good = _days(written)
    plain[rows[~good]] = False
    return _at(rows, days, len(texts), np.int32, plain).cast(pa.date32()), pa.array(plain)


def _timestamps(texts: pa.Array) -> Read:
    """Values written yyyy-MM-dd HH:mm:ss."""
    written, rows, plain = _of_length(texts, "0000-00-00 00:00:00")
    days, good = _days(written)
    hour, minute, second = (_number(written, at, 2) for at in (11, 14, 17))
    good &= (hour < 24) & (minute < 60) & (second < 60)
    plain[rows[~good]] = False
    seconds = days * DAY_SECONDS + hour * 3600 + minute * 60 + second
    values = _at(rows, seconds * MICROSECONDS, len(texts), np.int64, plain)
    return values.cast(pa.timestamp("us")), pa.array(plain)


def _of_length(texts: pa.Array, shape: str) -> tuple[Bytes, Integers, Mask]:
    """The texts that are written like `shape`, where 0 is any digit: their bytes, one a row, and their places; and of
    each text whether it is one.
    """
    like = pc.fill_null(pc.equal(pc.binary_length(texts), len(shape)), False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(like)
    offsets, data = _buffers(texts if like.all() else texts.take(pa.array(rows)))
    written = data[offsets[0] : offsets[-1]].reshape(-1, len(shape))
    good = np.ones(len(rows), bool)
    for at, sign in enumerate(shape.encode()):
        good &= written[:, at] - np.uint8(ord("0")) < 10 if sign == ord("0") else written[:, at] == sign
    plain = np.zeros(len(texts), bool)
    plain[rows[good]] = True
    return written[good], rows[good], plain


def _buffers(texts: pa.Array) -> tuple[Integers, Bytes]:
    """Where each text begins and ends in the bytes of all."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return bounds.astype(np.int64), np.frombuffer(data or b"", np.uint8)


def _number(written: Bytes, at: int, digits: int) -> Integers:
    number = np.zeros(len(written), np.int64)
    for place in range(at, at + digits):
        number = number * 10 + (written[:, place] - ord("0"))
    return number


def _days(written: Bytes) -> tuple[Integers, Mask]:
    """Days since 1970-01-01 of texts that begin with yyyy-MM-dd, and which of them are dates.

    By http://howardhinnant.github.io/date_algorithms.html#days_from_civil.
    """
    year, month, day = _number(written, 0, 4), _number(written, 5, 2), _number(written, 8, 2)
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    good = (year > 0) & (month >= 1) & (month <= 12) & (day >= 1)
    good &= day <= MONTH_DAYS[np.clip(month, 0, 12)] + (is_leap & (month == 2))
    year = year - (month <= 2)
    era, of_era = year // 400, year % 400
    of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468, good


def _at(rows: Integers, values: Integers, count: int, kind: type, plain: Mask) -> pa.Array:
    """`values` at the places `rows` of an array, which is null where it is not plain."""
    placed: np.ndarray[Any, Any] = np.zeros(count, kind)
    placed[rows] = values
    return pa.array(placed, mask=~plain)


def _are_blank(texts: pa.Array) -> Mask:
    """Of each text whether it is null, empty or only what nobody sees."""
    offsets, data = _buffers(texts)
    starts, lengths = offsets[:-1], np.diff(offsets)
    blank = lengths == 0
    unsure = ~blank
    # Most begin with a character that is seen.
    begin = data[starts[unsure]]
    unsure[unsure] = (begin <= ord(" ")) | (begin > ord("~"))
    rows = np.flatnonzero(unsure)
    if len(rows):
        bare = pc.utf8_trim(texts.take(pa.array(rows)), BLANKS)
        blank[rows] = pc.fill_null(pc.equal(pc.binary_length(bare), 0), True).to_numpy(zero_copy_only=False)
    return blank


class PlainValues:
    """What reads the plain values of a dataset's records."""

    def __init__(self, contract: Contract) -> None:
        """Read values of this contract's columns."""
        self._columns = contract.columns
        readers = {at: reader(column) for at, column in enumerate(contract.columns)}
        self._readers = {at: read for at, read in readers.items() if read}

    @property
    def types(self) -> dict[Column, pa.DataType]:
        """The columns whose values can be plain, and how Arrow holds them."""
        return {self._columns[at]: arrow_type(self._columns[at].type) for at in self._readers}

    def of(self, texts: Sequence[pa.Array], readable: pa.Array) -> tuple[list[pa.Array], pa.Array]:
        """The values of the columns of `types`, blank ones null, and of each record whether all of them are plain.

        :param texts: the texts of records by the contract's columns.
        :param readable: which records have texts at all.
        :return: values, to be looked at only where all of a record's are plain, and an array of booleans.
        """
        values, all_plain = [], readable.to_numpy(zero_copy_only=False)
        for at, read in self._readers.items():
            column, blank = self._columns[at], _are_blank(texts[at])
            found, plain = read(texts[at])
            if column.allowed:
                plain = pc.and_(plain, pc.is_in(found, pa.array(column.allowed)))
            good = plain.to_numpy(zero_copy_only=False)
            all_plain = all_plain & (~blank & good if column.required else blank | good)
            values.append(_only(found, pa.array(~blank)) if blank.any() else found)
        return values, pa.array(all_plain)
