"""Raw files as a stream of records, each with its place, its text as received, and its values or what is wrong with it.

Pure Python: it runs in Spark's Python workers, one file at a time, in constant memory. What it decides for CSV:

- The header is the first line that is not empty. It must name the wanted columns, each once, in any order; anything
  else is a `DataError`, and so is a file without a header (an empty file: upstream failed to write even that).
- Empty lines are not records and are not counted. A header alone is a file of zero records.
- A record may span lines inside quotes. A quote that is never closed, or closed by something other than a delimiter
  or the end of a line, breaks the line it opens on (`malformed_record`); reading goes on with the line after it.
  A record longer than `MAX_RECORD_CHARS` counts as never closed.
- A record with more or fewer fields than the header breaks `wrong_field_count`.
- A record with bytes that are not UTF-8 breaks `not_text`; its raw text shows them as `\\xNN`.
- A byte-order mark is not data. Lines may end in LF or CRLF. Values are never trimmed or changed.
- `.gz` files are unpacked on the fly; one that is cut short or damaged is a `DataError`.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from spark_jobs.errors import DataError

MAX_RECORD_CHARS = 1 << 20
UTF8_BOM = "\ufeff"


class Record(NamedTuple):
    """One record of a raw file.

    `line` is the physical line (from 1) on which it starts and `raw` its text without the final line break. Either
    `values` holds its text by wanted column, in the order asked for, and `rule` and `reason` are None, or `values` is
    None and they say what is wrong.
    """

    line: int
    raw: str
    values: tuple[str | None, ...] | None
    rule: str | None = None
    reason: str | None = None


class _Lines:
    """The physical lines of a binary stream as text, which remembers those handed out since `take` and can go back.

    `csv.reader` pulls lines from it, as many as a record needs.
    """

    def __init__(self, stream: Iterable[bytes], name: str) -> None:
        self._stream = iter(stream)
        self._name = name
        self._waiting: list[tuple[str, bool]] = []
        self._given: list[tuple[str, bool]] = []
        self._chars = 0
        self._first = True
        self.line = 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._chars > MAX_RECORD_CHARS:
            raise csv.Error(f"a quoted value does not end within {MAX_RECORD_CHARS:,} characters")
        text, is_text = self._waiting.pop() if self._waiting else self._read()
        self._given.append((text, is_text))
        self._chars += len(text)
        return text

    def _read(self) -> tuple[str, bool]:
        try:
            data = next(self._stream)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            line = self.line + len(self._given)
            raise DataError(f"{self._name} line {line}: the gzip file is cut short or damaged: {error}") from error
        try:
            text, is_text = data.decode(), True
        except UnicodeDecodeError:
            text, is_text = data.decode(errors="backslashreplace"), False
        if self._first:
            self._first = False
            text = text.removeprefix(UTF8_BOM)
        return text, is_text

    def take(self, count: int | None = None) -> tuple[int, str, bool]:
        """The first `count` lines given out (by default all) as one text; the others will be given out again.

        :return: the line on which the text starts, the text without its final line break, whether it was UTF-8.
        """
        taken, again = self._given[:count], [] if count is None else self._given[count:]
        start = self.line
        self._waiting.extend(reversed(again))
        self._given = []
        self._chars = 0
        self.line += len(taken)
        if len(taken) == 1:
            text, is_text = taken[0]
        else:
            text, is_text = "".join(line for line, _ in taken), all(flag for _, flag in taken)
        return start, text.removesuffix("\n").removesuffix("\r"), is_text


def _csv_rows(lines: _Lines, delimiter: str) -> Iterator[tuple[int, str, list[str] | None, str | None, str | None]]:
    """Every record of `lines` that is not empty: start line, raw text, fields or None, broken rule, reason."""
    csv.field_size_limit(2 * MAX_RECORD_CHARS)
    while True:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        try:
            for fields in reader:
                line, raw, is_text = lines.take()
                if not is_text:
                    yield line, raw, None, "not_text", "is not valid UTF-8"
                elif fields:
                    yield line, raw, fields, None, None
            return
        except csv.Error as error:
            line, raw, is_text = lines.take(1)
            if is_text:
                yield line, raw, None, "malformed_record", f"quotes or line breaks are broken: {error}"
            else:
                yield line, raw, None, "not_text", "is not valid UTF-8"


def _header_positions(found: Sequence[str], wanted: Sequence[str], where: str) -> list[int]:
    """Where in the header `found` each of the `wanted` columns is.

    :raises DataError: the header does not name exactly the wanted columns, each once.
    """
    problems = [
        f"{what} {', '.join(map(repr, names))}"
        for what, names in (
            ("missing", [name for name in wanted if name not in found]),
            ("not in the contract", [name for name in dict.fromkeys(found) if name not in wanted]),
            ("given twice", [name for name in dict.fromkeys(found) if found.count(name) > 1]),
        )
        if names
    ]
    if problems:
        raise DataError(
            f"{where}: the header does not fit the contract: {'; '.join(problems)} "
            f"(expected {', '.join(wanted)}; found {_shortened(', '.join(found))})"
        )
    return [found.index(name) for name in wanted]


def _shortened(text: str, limit: int = 500) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."


def read_csv(stream: Iterable[bytes], name: str, columns: Sequence[str], delimiter: str) -> Iterator[Record]:
    """The records of a CSV file.

    :param stream: the file's bytes, already unpacked; iterated by line.
    :param name: the file's name, for messages.
    :param columns: the header names wanted, in the order in which `Record.values` shall hold them.
    :raises DataError: the header does not fit, or the file cannot be unpacked.
    """
    rows = _csv_rows(_Lines(stream, name), delimiter)
    line, raw, header, _, reason = next(rows, (1, "", None, None, "the file is empty"))
    where = f"{name} line {line}"
    if header is None:
        raise DataError(f"{where}: no header: {reason} (expected {', '.join(columns)}; found {_shortened(repr(raw))})")
    positions = _header_positions(header, columns, where)
    width = len(header)
    in_order = positions == list(range(width))
    for line, raw, fields, rule, reason in rows:
        if fields is None:
            yield Record(line, raw, None, rule, reason)
        elif len(fields) != width:
            yield Record(line, raw, None, "wrong_field_count", f"has {len(fields)} fields, the header has {width}")
        else:
            yield Record(line, raw, tuple(fields) if in_order else tuple(fields[at] for at in positions))


READERS = {"csv": read_csv}


def read_records(
    stream: BinaryIO, name: str, columns: Sequence[str], file_type: str, delimiter: str
) -> Iterator[Record]:
    """The records of the raw file `name`, unpacked first when the name ends in `.gz`.

    :param file_type: the contract's `format.type`.
    :raises DataError: the file as a whole cannot be read.
    """
    unpacked = gzip.GzipFile(fileobj=stream) if name.endswith(".gz") else stream
    return READERS[file_type](unpacked, name, columns, delimiter)


def check_header(stream: BinaryIO, name: str, columns: Sequence[str], file_type: str, delimiter: str) -> None:
    """Read as far as the first record, so that a file whose header does not fit fails before Spark starts to work.

    :raises DataError: see `read_records`.
    """
    next(read_records(stream, name, columns, file_type, delimiter), None)
