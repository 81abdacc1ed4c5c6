"""Records of CSV files. See docs/inputs.md for what becomes of every kind of file."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property

from contract.columns import BLANKS
from contract.dataset import Contract, Format

from spark_jobs.errors import DataError
from spark_jobs.raw import model, text
from spark_jobs.raw.model import RawFile, Record

DELIMITERS = ",;\t|^~\x01\x1f"
OTHER_DELIMITERS = f"{DELIMITERS}:"
SEPARATOR = re.compile(r"""\ufeff*["']?sep=["']?([^\r\n])(?:\1|[\s"',;|])*+""", re.IGNORECASE)
"""The line with which spreadsheets are told the delimiter, also where one saved it again as a row of empty columns."""

CR_ALONE = re.compile(r"\r(?![\r\n])")

Line = tuple[str, str | None]
"""The text of a line with its line break, and what is wrong where it is not text."""


class _Lines:
    """The lines of a text file, which remembers those handed out since `take` and can go back.

    `csv.reader` pulls lines from it, as many as a record needs: one, unless records may have several. It is handed them
    without what means nothing: blanks between a quoted value and its delimiters, and byte-order marks where a record
    begins, as files that were put one behind the other have them. `take` gives them as they are.
    """

    def __init__(self, source: Iterator[Line], wanted: Format, counts: model.LineCounts, line: int = 1) -> None:
        self._counts = counts
        self._source = _without_footer(source, wanted, counts) if wanted.footer_lines else source
        self._record_lines = wanted.record_lines if wanted.multiline else 1
        self._comment = wanted.comment
        self._quote = wanted.quote
        self._blank_before, self._blank_behind = f" {self._quote}", f"{self._quote} "
        self._padding = _padding(wanted.delimiter, wanted.quote)
        self._waiting: list[Line] = []
        self._given: list[Line] = []
        self._chars = 0
        self.line = line

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self._given:
            return self._continued()
        given = self._next()
        whole = given[0]
        if whole.startswith(text.BOM):
            whole = whole.lstrip(text.BOM)
        while self._comment and whole.startswith(self._comment):
            self._counts.comment += 1
            self.line += 1
            given = self._next()
            whole = given[0].lstrip(text.BOM)
        self._given.append(given)
        return self._without_padding(whole) if self._quote in whole else whole

    def _continued(self) -> str:
        """The next line of a record that has not ended: it begins inside a quoted value."""
        if len(self._given) == self._record_lines:
            raise csv.Error(self._too_long())
        self._chars += len(self._given[-1][0])
        if self._chars > text.MAX_RECORD_CHARS:
            raise csv.Error(f"a quoted value does not end within {text.MAX_RECORD_CHARS:,} characters")
        given = self._next()
        self._given.append(given)
        return self._without_padding(self._quote + given[0]).removeprefix(self._quote)

    def _without_padding(self, line: str) -> str:
        if self._blank_before in line or self._blank_behind in line:
            return self._padding.sub(r"\1\2", line)
        return line

    def skip(self, count: int) -> None:
        """Pass by the first `count` lines."""
        with suppress(StopIteration):
            for _ in range(count):
                self._next()
                self._counts.skipped += 1
                self.line += 1

    def _next(self) -> Line:
        if self._waiting:
            return self._waiting.pop()
        new = next(self._source)
        self._counts.physical += 1
        return new

    def _too_long(self) -> str:
        if self._record_lines == 1:
            return "a quoted value does not end on its line (the contract has no `multiline: true`)"
        return f"a quoted value does not end within {self._record_lines} lines (the contract's `record_lines`)"

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


def _padding(delimiter: str, quote: str) -> re.Pattern[str]:
    """A quoted value with the blanks around it; its groups are what stands before it, and itself. Where a blank is the
    delimiter or the quote there is none.
    """
    d, q = re.escape(delimiter), re.escape(quote)
    if " " in (delimiter, quote):
        return re.compile("(?!)()()")
    return re.compile(rf"(^|{d}) *({q}(?:[^{q}]+|{q}{q})*+(?:{q}|\Z))(?: *(?={d}|[\r\n]|\Z))")


def _without_footer(source: Iterator[Line], wanted: Format, counts: model.LineCounts) -> Iterator[Line]:
    """The lines of `source` but for the footer, with which they end: it is counted, and so are blank lines in it."""
    nothing = BLANKS + wanted.delimiter + wanted.quote
    held: deque[tuple[Line, bool]] = deque()
    full = 0
    for line in source:
        is_full = bool(line[0].strip(nothing))
        held.append((line, is_full))
        full += is_full
        while full > wanted.footer_lines:
            line, is_full = held.popleft()
            full -= is_full
            yield line
    counts.physical += len(held)
    counts.footer += full
    counts.blank += len(held) - full


Row = tuple[int, int, str, list[str] | None, str | None, str | None]
"""A record before its fields have names: start line, lines, raw text, fields or None, broken rule, reason."""


def _rows(lines: _Lines, contract: Contract) -> Iterator[Row]:
    """Every record of `lines`; an empty line is one without fields."""
    csv.field_size_limit(text.MAX_RECORD_CHARS)
    delimiter, quote = contract.format.delimiter, contract.format.quote
    while True:
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=True)
        try:
            for fields in reader:
                line, count, raw, problem = lines.take()
                if problem:
                    yield line, count, raw, None, model.NOT_TEXT, problem
                else:
                    yield line, count, raw, fields, None, None
            return
        except csv.Error as error:
            line, count, raw, problem = lines.take(1)
            if problem:
                yield line, count, raw, None, model.NOT_TEXT, problem
            else:
                yield line, count, raw, None, model.MALFORMED, f"quotes or line breaks are broken: {error}"


def rows_of(lines: Iterable[str], contract: Contract) -> Iterator[Row]:
    """The records of lines as a file of the contract's format has them, before one is told to be the header."""
    source = ((line, None) for line in lines)
    return _rows(_Lines(source, contract.format, model.LineCounts()), contract)


class _OpenQuote:
    """Whether a quoted value may still be open that a line before has opened, where records are lines.

    A line that may be the end of one is broken as the one that opens it: whether both have a stray quote or are the
    ends of one value with line breaks cannot be told from the file, and what looks like a row in the last of its lines
    must not be published as one. None is open for longer than `text.MAX_RECORD_CHARS`.
    """

    def __init__(self, quote: str) -> None:
        self._quote = quote
        self._left = 0
        self.line = 0
        """The line that has opened it, or 0."""

    def judged(self, rows: Iterable[Row]) -> Iterator[Row]:
        """`rows`, of which those are broken that may be such an end."""
        for row in rows:
            line, count, raw, fields, rule, _ = row
            odd = (self.line or fields is None) and raw.count(self._quote) % 2
            if self.line and fields is not None and odd:
                told = f"may be the end of the quoted value that line {self.line} opens"
                yield line, count, raw, None, model.MALFORMED, told
                self.line = 0
            else:
                yield row
                self.passed(len(raw) + 1)
                if rule == model.MALFORMED and odd:
                    self.line, self._left = line, text.MAX_RECORD_CHARS

    def passed(self, chars: int) -> None:
        """So many characters, line breaks counted as one, are good lines in which quotes are even."""
        self._left -= chars
        if self._left < 0:
            self.line = 0


class CsvFile:
    """A CSV file read as far as its header, which is its first line that is not blank."""

    def __init__(self, stream: io.BufferedReader, name: str, contract: Contract) -> None:
        """Read the header.

        :raises DataError: there is none, it names a column twice, or another delimiter is told.
        """
        self.name = name
        self.contract = contract
        self.counts = model.LineCounts()
        self.open_quote = _OpenQuote(contract.format.quote)
        self._lines = _Lines(text.lines(stream, name, contract.format.encoding), contract.format, self.counts)
        self._lines.skip(contract.format.skip_lines)
        self._rows = _rows(self._lines, contract)
        self.line, self.header = _header(self._rows, self.counts, name, contract)
        where = f"{name} line {self.line}"
        if len(self.header) == 1:
            _check_delimiter(self.header[0], contract, where)
        model.check_unique(self.header, contract, where)

    @property
    def next_line(self) -> int:
        """The number of the line below those that have been read."""
        return self._lines.line

    def records(self) -> Iterator[Record]:
        """All records below the header.

        :raises DataError: the file cannot be read to its end, or the header stands there again in another order.
        """
        return self._records(self._rows)

    def records_of(self, lines: Iterator[Line], first: int) -> Iterator[Record]:
        """The records of lines from further below, of which the first has that number.

        :raises DataError: as `records`.
        """
        return self._records(_rows(_Lines(lines, self.contract.format, self.counts, first), self.contract))

    @cached_property
    def positions(self) -> list[int]:
        """Of each of the contract's columns the place in the header, or -1."""
        return [self.header.index(name) if name in self.header else -1 for name in model.sources(self.contract)]

    @cached_property
    def others(self) -> list[tuple[int, str]]:
        """Place and name of the header's columns that the contract wants beside its own."""
        wanted = model.sources(self.contract)
        keep = self.contract.additions == "keep"
        return [(at, name) for at, name in enumerate(self.header) if keep and name and name not in wanted]

    @cached_property
    def no_record(self) -> frozenset[str]:
        """What the first field of a line is, without blanks at its edges, that may be something else than a record."""
        told = ("", self.contract.format.delimiter)
        return frozenset({"", *self.header, *(f"{word}={mark}" for word in ("sep", "SEP") for mark in told)})

    def _records(self, rows: Iterator[Row]) -> Iterator[Record]:
        """The records of rows; a column that is not in the header is null in all of them."""
        counts, wanted, no_record = self.counts, self.contract.format, self.no_record
        named, header_names = _named(self.header), sorted(filter(None, self.header))
        least, width = len(named), len(self.header)
        positions, others = self.positions, self.others
        in_order = positions == list(range(width))
        extra = None
        if not wanted.multiline:
            rows = self.open_quote.judged(rows)
        for line, lines, raw, fields, rule, reason in rows:
            if fields is None:
                yield Record(line, raw, None, rule, reason, lines=lines)
                continue
            if not fields or fields[0].strip(BLANKS) in no_record:
                bare = _named(fields)
                if not bare and not (width == 1 and wanted.quote in raw):
                    counts.blank += lines
                    continue
                if bare == named:
                    counts.header += lines
                    continue
                if (mark := SEPARATOR.fullmatch(raw)) and mark[1] == wanted.delimiter:
                    counts.skipped += lines
                    continue
                if sorted(filter(None, bare)) == header_names:
                    again = "the header stands here again with its columns in another order"
                    raise DataError(f"{self.name} line {line}: {again}")
            if not least <= len(fields) <= width:
                told = f"has {len(fields)} fields, the header has {width}"
                yield Record(line, raw, None, model.WRONG_FIELD_COUNT, told, lines=lines)
            elif in_order:
                yield Record(line, raw, tuple(fields), lines=lines)
            else:
                if others:
                    extra = model.json_text({source: fields[at] for at, source in others})
                given = [*fields, None]
                yield Record(line, raw, tuple([given[at] for at in positions]), extra=extra, lines=lines)


def open_csv(stream: io.BufferedReader, name: str, contract: Contract) -> RawFile:
    """A CSV file as `raw.open_file` gives it.

    :raises DataError: as `CsvFile`.
    """
    file = CsvFile(stream, name, contract)
    return RawFile(name, file.line, file.header, file.records(), file.counts)


def _header(rows: Iterator[Row], counts: model.LineCounts, name: str, contract: Contract) -> tuple[int, list[str]]:
    """The first line that is not blank and does not tell the delimiter, and the names on it without the blanks at their
    edges.

    :raises DataError: there is none, it cannot be read, or another delimiter is told.
    """
    wanted = contract.format
    line, raw, reason = 1, "", None
    for line, count, raw, fields, _, problem in rows:
        if told := SEPARATOR.fullmatch(raw):
            if told[1] != wanted.delimiter:
                raise _other_delimiter(f"{name} line {line}", told[1], wanted)
            counts.skipped += count
        elif problem:
            reason = "its lines end in CR alone, not in LF or CR LF" if CR_ALONE.search(raw) else problem
            break
        elif any(names := [field.strip(BLANKS) for field in fields or ()]):
            counts.header += count
            return line, names
        else:
            counts.blank += count
        line, raw = 1, ""
    if reason is None:
        unread = counts.skipped or wanted.comment or wanted.footer_lines
        reason = "there are only empty lines" + ", and those that are not read" * bool(unread)
    found = "" if contract.personal_columns else f"; found {model.shortened(raw)!r}"
    raise DataError(f"{name} line {line}: no header: {reason} (expected {', '.join(model.sources(contract))}{found})")


def _check_delimiter(header: str, contract: Contract, where: str) -> None:
    for delimiter in OTHER_DELIMITERS:
        names = [name.strip(BLANKS + contract.format.quote) for name in header.split(delimiter)]
        if len(names) > 1 and not model.missing_columns(names, contract):
            raise _other_delimiter(where, delimiter, contract.format)


def _other_delimiter(where: str, delimiter: str, wanted: Format) -> DataError:
    return DataError(f"{where}: the delimiter is {delimiter!r}, and {wanted.delimiter!r} in the contract")


def _named(names: Sequence[str]) -> list[str]:
    """The names of a header without the blanks at their edges, as far as the last column that has one."""
    bare = [name.strip(BLANKS) for name in names]
    while bare and not bare[-1]:
        bare.pop()
    return bare
