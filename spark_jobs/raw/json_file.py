"""Records of JSON arrays and JSON lines. See docs/inputs.md for what becomes of every kind of file.

Standard: RFC 8259. What Python's parser accepts beyond it (NaN, Infinity, names given twice) is refused.
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from contract.columns import BLANKS
from contract.dataset import Contract, Encoding

from spark_jobs.errors import DataError
from spark_jobs.raw import model, text
from spark_jobs.raw.model import Number, RawFile, Record

CHUNK_BYTES = 1 << 20
MAX_NEW_NAMES = 200
BLANK = re.compile(r"[ \t\n\r]*")
TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[\[\]{},:]|[^"\[\]{},:\s]+')
"""What decides where a broken element ends. A string ends on its line: JSON has no line breaks in strings."""

BYTES = re.compile("[\udc80-\udcff]")
"""Bytes that are not of the encoding, as the error handler `surrogateescape` shows them."""


TWICE = "an object names a member twice"


class _BrokenError(ValueError):
    """Why an element is not JSON."""


def _constant(name: str) -> NoReturn:
    raise _BrokenError(f"{name} is no number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _BrokenError(TWICE)
    return members


DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_constant, object_pairs_hook=_object)
OPENED_BY = {"}": "{", "]": "["}
KINDS = {str: "a text", Number: "a number", bool: "true or false", type(None): "null", list: "a list"}


def _reason(error: Exception, start: int = 0) -> str:
    """What is wrong with the element that begins at `start`, without the values at fault: they may be personal."""
    match error:
        case json.JSONDecodeError():
            return f"is not JSON: {error.msg.removesuffix(' at')} at character {error.pos - start + 1}"
        case RecursionError():
            return "is not JSON: it is nested too deeply"
        case _:
            return f"is not JSON: {error}"


class _Reader:
    """Turns an element into a record, and remembers the names that records have had: of new ones, `MAX_NEW_NAMES`.

    Names are told without the blanks at their edges.
    """

    def __init__(self, contract: Contract) -> None:
        self._wanted = model.sources(contract)
        self._keep = contract.additions == "keep"
        self.names: dict[str, None] = {}

    def record(self, line: int, raw: str, element: Any) -> Record:
        if type(element) is not dict:
            return Record(line, raw, None, model.MALFORMED, f"is {KINDS[type(element)]}, not an object")
        if not element.keys() <= self.names.keys():
            bare = {name.strip(BLANKS): value for name, value in element.items()}
            if len(bare) < len(element):
                return Record(line, raw, None, model.MALFORMED, _reason(_BrokenError(TWICE)))
            element = bare
            self._remember(element)
        try:
            return model.record_of(line, raw, element, self._wanted, self._keep)
        except RecursionError as error:
            return Record(line, raw, None, model.MALFORMED, _reason(error))

    def _remember(self, element: dict[str, Any]) -> None:
        for name in element:
            if name in self._wanted or (len(self.names) < MAX_NEW_NAMES and not model.UNPRINTABLE.search(name)):
                self.names[name] = None


def open_json_lines(stream: io.BufferedReader, name: str, contract: Contract) -> RawFile:
    """A file of one JSON object a line; blank lines are no records.

    :raises DataError: while it is read: it begins as an array, or cannot be unpacked.
    """
    reader, counts = _Reader(contract), model.LineCounts()
    records = _of_lines(stream, name, contract, reader, counts)
    return RawFile(name, 1, reader.names.keys(), records, counts, has_header=False)


def _of_lines(
    stream: io.BufferedReader, name: str, contract: Contract, reader: _Reader, counts: model.LineCounts
) -> Iterator[Record]:
    first = True
    for line, (raw, problem) in enumerate(text.lines(stream, name, contract.format.encoding), 1):
        counts.physical = line
        raw = raw.strip(BLANKS)
        if not raw:
            counts.blank += 1
            continue
        if first and raw.startswith("["):
            raise DataError(f"{name} line {line}: is a JSON array, not one object a line (it should end in .json)")
        first = False
        if problem:
            yield Record(line, raw, None, model.NOT_TEXT, problem)
        elif len(raw) > text.MAX_RECORD_CHARS:
            yield Record(line, raw, None, model.MALFORMED, f"is longer than {text.MAX_RECORD_CHARS:,} characters")
        else:
            try:
                element = DECODER.decode(raw)
            except (ValueError, RecursionError) as error:
                yield Record(line, raw, None, model.MALFORMED, _reason(error))
            else:
                yield reader.record(line, raw, element)


def open_json_array(stream: io.BufferedReader, name: str, contract: Contract) -> RawFile:
    """A file that is one JSON array of objects, in constant memory.

    :raises DataError: while it is read: it is no array, it is not closed, something follows it, an element does not
        end, or it cannot be unpacked.
    """
    reader, counts = _Reader(contract), model.LineCounts()
    records = _of_array(stream, name, contract, reader, counts)
    return RawFile(name, 1, reader.names.keys(), records, counts, has_header=False)


def _of_array(
    stream: io.BufferedReader, name: str, contract: Contract, reader: _Reader, counts: model.LineCounts
) -> Iterator[Record]:
    array, last = _Array(stream, name, contract.format.encoding), 0
    for element, record in _of_elements(array, contract, reader):
        end = element.line + element.raw.count("\n")
        lines = max(0, end - max(element.line - 1, last))
        counts.blank += max(0, element.line - 1 - last)
        last = max(last, end)
        yield record._replace(lines=lines)
    counts.physical = array.lines()
    counts.blank += counts.physical - last


def _of_elements(array: _Array, contract: Contract, reader: _Reader) -> Iterator[tuple[_Element, Record]]:
    encoding = contract.format.encoding
    not_text = text.NOT_LATIN_1 if encoding == "latin-1" else BYTES
    for element in array.elements():
        line, raw, value, problem = element
        if not raw.isascii() and not_text.search(raw):
            shown = raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            yield element, Record(line, shown, None, model.NOT_TEXT, text.WRONG[encoding])
        elif problem:
            yield element, Record(line, raw.replace("\0", "\\x00"), None, model.MALFORMED, problem)
        else:
            yield element, reader.record(line, raw, value)


class _Element(NamedTuple):
    """An element of an array: the line on which it begins, its text, and its value or what is wrong with it."""

    line: int
    raw: str
    value: Any
    problem: str | None = None


class _Array:
    """Finds the elements of a JSON array in a stream of which only a window is in memory.

    A broken element ends before the comma or bracket that follows it once all that it opened is closed, and before a
    brace that no object can have in that place, which is the next element's.
    """

    def __init__(self, stream: io.BufferedReader, name: str, encoding: Encoding) -> None:
        self._stream = stream
        self._name = name
        self._decoder = codecs.getincrementaldecoder(text.CODECS[encoding])(errors="surrogateescape")
        self._window = ""
        self._at = 0
        self._line = 1
        self._counted = 0
        self._ended = False
        self._last = ""

    def elements(self) -> Iterator[_Element]:
        """Every element, in order.

        :raises DataError: see `open_json_array`.
        """
        first = self._next()
        if first == text.BOM:
            self._at += 1
            first = self._next()
        if first != "[":
            hint = " (one object a line must end in .jsonl)" if first == "{" else ""
            raise self._error(f"does not begin with '[': expected one JSON array of objects{hint}")
        self._at += 1
        closed = self._next() == "]"
        while not closed:
            yield self._element()
            match self._next():
                case ",":
                    self._at += 1
                    self._next()
                case "]":
                    closed = True
                case "":
                    raise self._not_closed()
        self._at += 1
        if self._next():
            raise self._error("there is more after the end of the array")

    def lines(self) -> int:
        """How many physical lines the file has, once all of it has been read."""
        return self._current_line() - (self._last == "\n")

    def _error(self, problem: str) -> DataError:
        return DataError(f"{self._name} line {self._current_line()}: {problem}")

    def _not_closed(self) -> DataError:
        return self._error("the file ends before its array does: it is cut short, or a bracket or quote is missing")

    def _current_line(self) -> int:
        self._line += self._window.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _more(self) -> bool:
        """Move the window on to where we are and add to it; False at the end of the file."""
        if self._ended:
            return False
        self._current_line()
        try:
            data = self._stream.read(CHUNK_BYTES)
        except text.DAMAGES as error:
            raise text.damaged(self._name, self._line, error) from error
        self._ended = not data
        self._last = self._window[-1:] or self._last
        self._window = self._window[self._at :] + self._decoder.decode(data, final=self._ended)
        self._at = self._counted = 0
        return not self._ended

    def _next(self) -> str:
        """The next character that is not blank, or nothing at the end."""
        while True:
            end = BLANK.match(self._window, self._at).end()  # type: ignore[union-attr]
            self._at = end
            if end < len(self._window):
                return self._window[end]
            if not self._more():
                return ""

    def _element(self) -> _Element:
        """The element at the current place, which moves on behind it."""
        line = self._current_line()
        while True:
            problem, value, end = None, None, len(self._window)
            try:
                value, end = DECODER.raw_decode(self._window, self._at)
            except (ValueError, RecursionError) as error:
                problem = _reason(error, self._at)
            after = BLANK.match(self._window, end).end()  # type: ignore[union-attr]
            whole = problem is None and after < len(self._window)
            # What the window cuts off may look broken, or be whole but for what must follow it.
            if whole or len(self._window) - self._at > text.MAX_RECORD_CHARS or not self._more():
                break
        if whole and self._window[after] not in ",]":
            problem = "is not followed by a comma"
        if problem is not None:
            end = after = self._end_of_broken()
        raw = self._window[self._at : end]
        self._at = after
        return _Element(line, raw.rstrip(), value, problem)

    def _end_of_broken(self) -> int:
        """Where in the window the broken element at the current place ends."""
        opened: list[str] = []
        mark = ""
        for found in TOKEN.finditer(self._window, self._at):
            before, mark, at = mark, found[0], found.start()
            closes = OPENED_BY.get(mark)
            # No object has a brace in such a place: it is the next element's.
            if mark == "{" and at > self._at and (not opened or (opened[-1] == "{" and before != ":")):
                return at
            if mark in OPENED_BY.values():
                opened.append(mark)
            elif closes in opened:
                while opened.pop() != closes:
                    pass
            elif mark == "]" or (mark == "," and not opened):
                return at
        if self._ended:
            raise self._not_closed()
        raise self._error(f"an element is broken and does not end within {text.MAX_RECORD_CHARS:,} characters")
