"""Raw files in pieces: what can be read alone, by one task of Spark."""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator
from dataclasses import asdict
from typing import BinaryIO, NamedTuple

from contract.dataset import Contract

from spark_jobs.raw import bytes_of, csv_blocks, model, open_fitting, text
from spark_jobs.raw.csv_file import CsvFile
from spark_jobs.raw.model import LineCounts, Record

Part = csv_blocks.PlainLines | Iterator[Record]
"""Some records of a piece. Each is to be read to its end before the next."""


class Piece(NamedTuple):
    """A part of a raw file that can be read alone: all of it, or whole lines below the header of a CSV file.

    `start` is its first byte and `line` its first line's number; a `size` of None is all that is left. So many bytes
    `before` it are lines that have to be looked at first; those of a file's first piece are none.
    """

    start: int = 0
    size: int | None = None
    line: int = 0
    before: int = 0


WHOLE = Piece()


def cut(stream: io.BufferedReader, name: str, contract: Contract, bytes_each: int) -> list[Piece]:
    """A raw file in pieces of about `bytes_each` bytes; whole where it is packed, or lines depend on those before.

    :param stream: a local file, at its beginning.
    :raises DataError: it is none of the contract's format, or has no header that can be read.
    """
    wanted = contract.format
    is_text = wanted.type_of(name) == "csv" and wanted.encoding != "utf-16" and not name.lower().endswith(".gz")
    if not is_text or wanted.multiline or wanted.footer_lines or wanted.comment:
        return [WHOLE]
    file = CsvFile(stream, name, contract)
    top, line, found = stream.tell(), file.next_line, []
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start, end = top, len(content)
        while start < end:
            cut = content.find(b"\n", min(start + bytes_each, end)) + 1 or end
            look = max(content.rfind(b"\n", 0, max(start - csv_blocks.BLOCK_BYTES, 0)) + 1, top)
            found.append(Piece(start, cut - start, line, start - look))
            line += content[start:cut].count(b"\n")
            start = cut
    return found or [WHOLE]


class OpenPiece(NamedTuple):
    """A piece opened: its records, and what its lines are, complete once they have been read to their end.

    A file's first piece has the lines above it too.
    """

    parts: Iterator[Part]
    counts: LineCounts


def open_piece(stream: BinaryIO, name: str, contract: Contract, piece: Piece) -> OpenPiece:
    """A piece of the raw file `name`, which has the contract's columns.

    :param stream: the file's, at its beginning.
    :raises DataError: the piece cannot be read to its end, or the file lacks a column of the contract.
    """
    if contract.format.type_of(name) != "csv":
        whole = open_fitting(stream, name, contract)
        return OpenPiece(iter([whole.records]), whole.counts)
    unpacked = bytes_of(stream, name, "csv", contract.format.encoding)
    file = CsvFile(unpacked, name, contract)
    model.check_fits(file.header, file.line, name, contract)
    return OpenPiece(_csv_parts(unpacked, file, piece), file.counts)


def _csv_parts(stream: io.BufferedReader, file: CsvFile, piece: Piece) -> Iterator[Part]:
    """The parts of a piece of a CSV file whose header has just been read from its stream."""
    wanted = file.contract.format
    if wanted.footer_lines:
        # Which lines are the footer is known at the end.
        yield model.without_null_values(file.records(), wanted.null_values)
        return
    reader = csv_blocks.BlockReader(file, piece.line or file.next_line)
    if piece.before:
        vars(file.counts).update(asdict(model.LineCounts()))
        stream.seek(piece.start - piece.before)
        reader.look_back(stream.read(piece.before))
    try:
        for data in csv_blocks.blocks(stream, piece.size):
            if wanted.multiline and wanted.quote.encode() in data:
                # From here on a line break may stand within a value.
                joined: io.BufferedReader = io.BufferedReader(_Joined(data, stream))
                lines = text.lines(joined, file.name, wanted.encoding, reader.next_line)
                yield model.without_null_values(file.records_of(lines, reader.next_line), wanted.null_values)
                return
            yield from reader.records(data)
    except text.DAMAGES as error:
        raise text.damaged(file.name, reader.next_line, error) from error


class _Joined(io.RawIOBase):
    """Bytes, and the stream that goes on behind them."""

    def __init__(self, data: bytes, stream: io.BufferedReader) -> None:
        self._parts: list[io.BufferedIOBase] = [io.BytesIO(data), stream]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = 0
        while self._parts and not count:
            count = self._parts[0].readinto1(buffer)
            if not count:
                self._parts.pop(0)
        return count
