"""Records of CSV files. See docs/inputs.md for what becomes of every kind of file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from contract.dataset import Contract

from spark_jobs.errors import DataError
from spark_jobs.raw import model, text
from spark_jobs.raw.model import RawFile, Record

OTHER_DELIMITERS = ",;\t|"


class _Lines:
    """The lines of a text file, which remembers those handed out since `take` and can go back.

    `csv.reader` pulls lines from it, as many as a record needs: one, unless records may have several.
    """

    def __init__(self, source: Iterator[tuple[str, str | None]], record_lines: int) -> None:
        self._source = source
        self._record_lines = record_lines
        self.counts = model.LineCounts()
        self._waiting: list[tuple[str, str | None]] = []
        self._given: list[tuple[str, str | None]] = []
        self._chars = 0
        self.line = 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if len(self._given) == self._record_lines:
            raise csv.Error(self._too_long())
        if self._chars > text.MAX_RECORD_CHARS:
            raise csv.Error(f"a quoted value does not end within {text.MAX_RECORD_CHARS:,} characters")
        given = self._waiting.pop() if self._waiting else self._new()
        self._given.append(given)
        self._chars += len(given[0])
        return given[0]

    def _too_long(self) -> str:
        if self._record_lines == 1:
            return "a quoted value does not end on its line (the contract has no `multiline: true`)"
        return f"a quoted value does not end within {self._record_lines} lines (the contract's `record_lines`)"

    def _new(self) -> tuple[str, str | None]:
        new = next(self._source)
        self.counts.physical += 1
        return new

    def take(self, count: int | None = None) -> tuple[int, int, str, str | None]:
        """The first `count` lines given out (by default all) as one text; the others will be given out again.

        :return: the line on which the text starts, of how many it is made, the text without its final line break, what
            is wrong with it.
        """
        taken, start = self._given, self.line
        self._given = []
        self._chars = 0
        if len(taken) == 1:
            whole, problem = taken[0]
            self.line += 1
        else:
            if count is not None:
                self._waiting.extend(reversed(taken[count:]))
                taken = taken[:count]
            whole = "".join(line for line, _ in taken)
            problem = next((problem for _, problem in taken if problem), None)
            self.line += len(taken)
        return start, self.line - start, whole.removesuffix("\n").removesuffix("\r"), problem


Row = tuple[int, int, str, list[str] | None, str | None, str | None]
"""A record before its fields have names: start line, lines, raw text, fields or None, broken rule, reason."""


def _rows(lines: _Lines, contract: Contract) -> Iterator[Row]:
    """Every record of `lines` that is not empty."""
    csv.field_size_limit(text.MAX_RECORD_CHARS)
    delimiter, quote = contract.format.delimiter, contract.format.quote
    while True:
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=True)
        try:
            for fields in reader:
                line, count, raw, problem = lines.take()
                if problem:
                    yield line, count, raw, None, model.NOT_TEXT, problem
                elif fields:
                    yield line, count, raw, fields, None, None
                else:
                    lines.counts.blank += count
            return
        except csv.Error as error:
            line, count, raw, problem = lines.take(1)
            if problem:
                yield line, count, raw, None, model.NOT_TEXT, problem
            else:
                yield line, count, raw, None, model.MALFORMED, f"quotes or line breaks are broken: {error}"


def _without_ends(rows: Iterator[Row], quote: str) -> Iterator[Row]:
    """`rows`, each of one line, of which one that may be the end of a quoted value is broken as the one that opens it.

    Whether both have a stray quote or are the ends of one value with line breaks cannot be told from the file: what
    looks like a row in the last of its lines must not be published as one.
    """
    opened, left = 0, 0
    for row in rows:
        line, count, raw, fields, rule, _ = row
        odd = (opened or fields is None) and raw.count(quote) % 2
        if opened and fields is not None and odd:
            told = f"may be the end of the quoted value that line {opened} opens"
            yield line, count, raw, None, model.MALFORMED, told
            opened = 0
        else:
            yield row
            left -= len(raw)
            if rule == model.MALFORMED and odd:
                opened, left = line, text.MAX_RECORD_CHARS
            elif left < 0:
                opened = 0


def open_csv(stream: io.BufferedReader, name: str, contract: Contract) -> RawFile:
    """A CSV file read as far as its header, which is its first line that is not empty.

    :raises DataError: there is no header, or it names a column twice.
    """
    wanted = contract.format
    lines = _Lines(text.lines(stream, name, wanted.encoding), wanted.record_lines if wanted.multiline else 1)
    rows = _rows(lines, contract)
    line, lines.counts.header, raw, header, _, reason = next(rows, (1, 0, "", None, None, "there are only empty lines"))
    where = f"{name} line {line}"
    if header is None:
        found = "" if model.has_personal(contract) else f"; found {model.shortened(raw)!r}"
        raise DataError(f"{where}: no header: {reason} (expected {', '.join(model.sources(contract))}{found})")
    model.check_unique(header, contract, where)
    if len(header) == 1:
        _check_delimiter(header[0], contract, where)
    if not wanted.multiline:
        rows = _without_ends(rows, wanted.quote)
    return RawFile(name, line, header, _records(rows, header, contract), lines.counts)


def _check_delimiter(header: str, contract: Contract, where: str) -> None:
    for delimiter in OTHER_DELIMITERS:
        names = header.split(delimiter)
        if len(names) > 1 and not model.missing_columns(names, contract):
            raise DataError(
                f"{where}: the delimiter is {delimiter!r}, and {contract.format.delimiter!r} in the contract"
            )


def _records(rows: Iterator[Row], header: list[str], contract: Contract) -> Iterator[Record]:
    """The records below the header; a column that is not in it is null in all of them."""
    wanted = model.sources(contract)
    width = len(header)
    positions = [header.index(name) if name in header else width for name in wanted]
    in_order = positions == list(range(width))
    others = [(at, name) for at, name in enumerate(header) if name not in wanted]
    keep = bool(others) and contract.additions == "keep"
    padding: list[str | None] = [None] if width in positions else []
    extra = None
    for line, lines, raw, fields, rule, reason in rows:
        if fields is None:
            yield Record(line, raw, None, rule, reason, lines=lines)
        elif len(fields) != width:
            told = f"has {len(fields)} fields, the header has {width}"
            yield Record(line, raw, None, model.WRONG_FIELD_COUNT, told, lines=lines)
        elif in_order:
            yield Record(line, raw, tuple(fields), lines=lines)
        else:
            if keep:
                extra = model.json_text({name: fields[at] for at, name in others})
            given = [*fields, *padding]
            yield Record(line, raw, tuple(given[at] for at in positions), extra=extra, lines=lines)
