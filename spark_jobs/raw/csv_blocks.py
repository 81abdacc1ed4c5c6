"""Records of CSV files by the block: plain lines are read by Arrow, all others by the exact reader, csv_file.py.

A line is plain when it can be read in one way only: its block is text without NUL, byte-order marks and CR but in CR
LF, it has as many fields as the header, its quotes enclose whole fields, and it is neither blank, nor a comment, nor
the header again. Both readers give the same records of any bytes (tests/unit/spark_jobs/test_pieces.py).
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from contract.columns import BLANKS
from contract.dataset import Contract
from pyarrow import csv

from spark_jobs.raw import model, text
from spark_jobs.raw.csv_file import CsvFile
from spark_jobs.raw.model import Record

BLOCK_BYTES = 4 << 20
"""What is read at once. No quoted value is held for open over as many bytes: four are a character at most."""

MAX_QUOTED_FIELDS = 100
"""Lines with quotes and more fields are left to the exact reader: the expression for them would be too large."""


class PlainLines(NamedTuple):
    """Records that are plain lines: `numbers` is int64, `raw` their text, and `values` the texts by the contract's
    columns.
    """

    numbers: pa.Array
    raw: pa.Array
    values: list[pa.Array]

    def records(self) -> Iterator[Record]:
        """The records one by one."""
        values = zip(*(texts.to_pylist() for texts in self.values), strict=True)
        return map(Record, self.numbers.to_pylist(), self.raw.to_pylist(), values)


def blocks(stream: io.BufferedReader, bytes_left: int | None = None) -> Iterator[bytes]:
    """The next lines of a stream, whole, about `BLOCK_BYTES` at a time.

    :param bytes_left: how much of the stream is wanted, to the end of a line; None for all of it.
    :raises Exception: what the stream raises, after what it gave before was given.
    """
    failure = None
    while not failure:
        data = bytearray()
        wanted = BLOCK_BYTES if bytes_left is None else min(BLOCK_BYTES, bytes_left)
        try:
            # By small steps, so that what could be unpacked before a damage is not lost.
            while len(data) < wanted and (step := stream.read1(wanted - len(data))):
                data += step
            if data and not data.endswith(b"\n"):
                data += stream.readline(text.MAX_LINE_BYTES)
        except text.DAMAGES as error:
            failure = error
            del data[data.rfind(b"\n") + 1 :]
        if data:
            yield bytes(data)
        elif not failure:
            return
        if bytes_left is not None:
            bytes_left -= len(data)
            if bytes_left <= 0 and not failure:
                return
    raise failure


class BlockReader:
    """What reads blocks of lines below the header of a CSV file."""

    def __init__(self, file: CsvFile, first_line: int) -> None:
        """Read on from the line of that number."""
        self._file = file
        self._contract: Contract = file.contract
        self._format = file.contract.format
        self.next_line = first_line
        width = len(file.header)
        single_bytes = self._format.delimiter.isascii() and self._format.quote.isascii()
        self._is_readable = single_bytes and not file.others
        self._width = width
        self._no_record = pa.array(sorted(file.no_record))
        self._null_values = pa.array(self._format.null_values, pa.string())
        self._quote = self._format.quote.encode()
        self._columns = [f"{at}" for at in range(width)]
        self._quoted_line = _quoted_line(self._format.delimiter, self._format.quote, width)

    def records(self, data: bytes) -> Iterator[PlainLines | Iterator[Record]]:
        """The records of a block, in any order.

        :raises DataError: a line is too long, or the header stands in it again in another order.
        """
        starts = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
        ends = starts if data.endswith(b"\n") else np.append(starts, len(data))
        offsets = np.concatenate(([0], ends))
        first, self.next_line = self.next_line, self.next_line + len(ends)
        lengths = np.diff(offsets)
        if lengths.max() >= text.MAX_LINE_BYTES:
            raise text.too_long(self._file.name, first + int(np.argmax(lengths >= text.MAX_LINE_BYTES)))
        plain, odd = self._divided(data, offsets, lengths)
        if plain is not None and len(plain.numbers):
            self._file.counts.physical += len(plain.numbers)
            numbers = pc.add(plain.numbers, first)
            yield plain._replace(numbers=numbers)
        yield self._odd_records(data, offsets, odd, first)

    def _divided(
        self, data: bytes, offsets: np.ndarray[Any, Any], lengths: np.ndarray[Any, Any]
    ) -> tuple[PlainLines | None, np.ndarray[Any, Any]]:
        """The plain lines, numbered from 0, and the places of all others."""
        every = np.arange(len(lengths))
        utf8 = self._as_text(data)
        if utf8 is None:
            return None, every
        if utf8 is not data:
            ends = np.flatnonzero(np.frombuffer(utf8, np.uint8) == ord("\n")) + 1
            offsets = np.concatenate(([0], ends if utf8.endswith(b"\n") else np.append(ends, len(utf8))))
            lengths = np.diff(offsets)
        buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(utf8)]
        lines = pa.StringArray.from_buffers(len(lengths), *buffers[1:])
        is_plain = self._are_plain(lines, utf8, lengths)
        places = np.flatnonzero(is_plain)
        if not len(places):
            return None, every
        given = lines if len(places) == len(lengths) else lines.take(pa.array(places))
        table = self._parsed(given)
        if table is None:
            return None, every
        other = pc.is_in(pc.utf8_trim(table.column(0), BLANKS), self._no_record).to_numpy(zero_copy_only=False)
        if other.any():
            chosen = pa.array(np.flatnonzero(~other))
            places, given, table = places[~other], given.take(chosen), table.take(chosen)
        odd = np.setdiff1d(every, places, assume_unique=True)
        values = [self._valued(table, at) for at in self._file.positions]
        return PlainLines(pa.array(places, pa.int64()), pc.ascii_rtrim(given, "\r\n"), values), odd

    def _as_text(self, data: bytes) -> bytes | None:
        """The block as UTF-8, or None where it holds what only the exact reader knows."""
        encoding = self._format.encoding
        if not self._is_readable or b"\0" in data or b"\xef\xbb\xbf" in data:
            return None
        if b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
            return None
        try:
            decoded = data.decode(text.CODECS[encoding])
        except UnicodeDecodeError:
            return None
        if encoding == "latin-1" and text.NOT_LATIN_1.search(decoded):
            return None
        return data if text.CODECS[encoding] == "utf-8" else decoded.encode()

    def _are_plain(self, lines: pa.Array, utf8: bytes, lengths: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Of each line whether it has as many fields as the header, each of which can be read in one way."""
        counts = pc.count_substring(lines, self._format.delimiter).to_numpy()
        plain = (counts == self._width - 1) & (lengths < text.MAX_RECORD_CHARS)
        if self._quote in utf8:
            quoted = np.flatnonzero(pc.match_substring(lines, self._format.quote).to_numpy(zero_copy_only=False))
            plain[quoted] = False
            if self._quoted_line:
                given = lines.take(pa.array(quoted))
                whole = pc.match_substring_regex(given, self._quoted_line).to_numpy(zero_copy_only=False)
                plain[quoted] = whole & (lengths[quoted] < text.MAX_RECORD_CHARS)
        if self._format.comment:
            plain &= ~pc.starts_with(lines, self._format.comment).to_numpy(zero_copy_only=False)
        return plain

    def _parsed(self, lines: pa.Array) -> pa.RecordBatch | None:
        """The fields of plain lines; None where Arrow does not find a row in each."""
        offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset : lines.offset + len(lines) + 1]
        data = lines.buffers()[2][int(offsets[0]) : int(offsets[-1])]
        try:
            table = csv.read_csv(
                pa.BufferReader(data),
                csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=self._columns),
                csv.ParseOptions(
                    delimiter=self._format.delimiter,
                    quote_char=self._format.quote,
                    double_quote=True,
                    ignore_empty_lines=False,
                ),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(self._columns, pa.string()),
                    strings_can_be_null=False,
                    check_utf8=False,
                ),
            )
        except pa.ArrowInvalid:
            return None
        return table.combine_chunks().to_batches()[0] if table.num_rows == len(lines) else None

    def _valued(self, table: pa.RecordBatch, at: int) -> pa.Array:
        """The texts of the column at that place, or of one that is not there; those that mean no value are null."""
        if at < 0:
            return pa.nulls(table.num_rows, pa.string())
        values = table.column(at)
        if not len(self._null_values):
            return values
        means_none = pc.is_in(pc.utf8_trim(values, BLANKS), self._null_values)
        return pc.if_else(means_none, pa.scalar(None, pa.string()), values)

    def _odd_records(
        self, data: bytes, offsets: np.ndarray[Any, Any], odd: np.ndarray[Any, Any], first: int
    ) -> Iterator[Record]:
        """The records of the lines at the places `odd`, by the exact reader."""
        file, end = self._file, 0
        # Neighbours differ from their rank by the same number.
        for _, run in groupby(enumerate(odd.tolist()), key=lambda ranked: ranked[1] - ranked[0]):
            places = [place for _, place in run]
            self._pass_by(data[offsets[end] : offsets[places[0]]])
            end = places[-1] + 1
            lines = (text.decoded(data[offsets[place] : offsets[place + 1]], self._format.encoding) for place in places)
            records = file.records_of(lines, first + places[0])
            yield from model.without_null_values(records, self._format.null_values)
        self._pass_by(data[offsets[end] :])

    def _pass_by(self, plain: bytes) -> None:
        """Note that these plain lines stand between others."""
        if self._file.open_quote.line:
            self._file.open_quote.passed(len(plain.decode(text.CODECS[self._format.encoding])) - plain.count(b"\r"))

    def look_back(self, data: bytes) -> None:
        """Note what lines just before the first one leave open.

        :param data: whole lines, all there are below the header, or at least `BLOCK_BYTES`.
        """
        if not any(line.count(self._quote) % 2 for line in data.split(b"\n")):
            return
        counts, file = self._file.counts, self._file
        before = vars(counts).copy()
        lines = list(io.BytesIO(data))
        for number, line in enumerate(lines, self.next_line - len(lines)):
            decoded = text.decoded(line, self._format.encoding)
            if decoded[0].count(self._format.quote) % 2:
                deque(file.records_of(iter([decoded]), number), maxlen=0)
            else:
                file.open_quote.passed(len(decoded[0].removesuffix("\n").removesuffix("\r")) + 1)
        vars(counts).update(before)


def _quoted_line(delimiter: str, quote: str, width: int) -> str | None:
    """The expression of lines all of whose quotes enclose a whole field, or stand twice in such a one."""
    if width > MAX_QUOTED_FIELDS:
        return None
    d, q = (f"\\x{ord(character):02x}" for character in (delimiter, quote))
    field = rf"(?:[^{q}{d}\r\n]*|{q}(?:[^{q}\r\n]|{q}{q})*{q})"
    return rf"\A{field}(?:{d}{field}){{{width - 1}}}\r?\n?\z"
