"""The lines of a text file, decoded, each with what is wrong with it; and what a file is by its first bytes."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from contract.dataset import Encoding, FileType

from spark_jobs.errors import DataError

MAX_RECORD_CHARS = 1 << 20
"""A longer record is taken for a quote or a bracket that was never closed."""

MAX_LINE_BYTES = 16 << 20
"""A longer line is refused: it does not fit the memory of a worker that reads many files at once."""

BOM = "\ufeff"
BOMS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
DAMAGES = (EOFError, gzip.BadGzipFile, zlib.error)
CODECS: dict[Encoding, str] = {"utf-8": "utf-8", "latin-1": "latin-1", "windows-1252": "cp1252", "utf-16": "utf-8"}
"""What the lines of a file are decoded with; UTF-16 has become UTF-8 before: see `as_utf8`."""

NOT_LATIN_1 = re.compile("[\x80-\x9f]")
"""ISO 8859-1 has no characters there: the file is Windows-1252 or UTF-8."""

WRONG: dict[Encoding, str] = {
    "utf-8": "is not valid UTF-8",
    "latin-1": "is not Latin-1: it holds bytes from 80 to 9f, as Windows-1252 and UTF-8 do",
    "windows-1252": "is not Windows-1252: it holds a byte that has no character there (81, 8d, 8f, 90 or 9d)",
    "utf-16": "is not valid UTF-16",
}
WRONG_MARK = "begins with the byte-order mark of UTF-8"

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\x1f\x8b", "gzip (its name must end in .gz)"),
    (b"PAR1", "Parquet"),
    (codecs.BOM_UTF32_LE, "UTF-32 text"),
    (codecs.BOM_UTF16_LE, "UTF-16 text"),
    (codecs.BOM_UTF16_BE, "UTF-16 text"),
    (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3\0", "an SQLite database"),
)


def unpacked(stream: BinaryIO, name: str) -> io.BufferedReader:
    """The bytes of the raw file `name`, which is gzip when its name ends in `.gz`, in whatever case."""
    if name.lower().endswith(".gz"):
        # A buffer around it: GzipFile reads lines in Python, a BufferedReader in C.
        return io.BufferedReader(gzip.GzipFile(fileobj=stream), 1 << 16)
    return stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[arg-type]


class _Utf8(io.RawIOBase):
    """A stream of UTF-16 as UTF-8. Half of a surrogate pair, which is text in neither, becomes bytes that are no UTF-8.

    Lines end at the byte 0a in UTF-8 only: in UTF-16 that is a half of other characters too.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = b"more"
        while data and not self._ready:
            data = self._stream.read(1 << 16)
            try:
                self._ready = self._decoder.decode(data, final=not data).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise EOFError("it ends within a character of UTF-16") from error
        given = self._ready[: len(buffer)]
        self._ready = self._ready[len(given) :]
        buffer[: len(given)] = given
        return len(given)


def as_utf8(stream: io.BufferedReader) -> io.BufferedReader:
    """A stream of UTF-16 with a byte-order mark as one of UTF-8."""
    return io.BufferedReader(_Utf8(stream), 1 << 16)


def check_kind(stream: io.BufferedReader, name: str, file_type: FileType, encoding: Encoding) -> None:
    """Refuse a file that is empty, or that is plainly something else, by its first bytes.

    :raises DataError: it is.
    """
    try:
        start = stream.peek(16)
    except DAMAGES as error:
        raise damaged(name, 1, error) from error
    if start in (b"", *BOMS):
        raise DataError(f"{name}: the file is empty")
    kind = next((kind for signature, kind in SIGNATURES if start.startswith(signature)), None)
    if encoding in ("latin-1", "windows-1252") and start.startswith(codecs.BOM_UTF8):
        kind = "UTF-8 text with a byte-order mark"
    if encoding == "utf-16":
        kind = None if kind == "UTF-16 text" else kind or "text without the byte-order mark that UTF-16 has"
    if kind and kind.lower() != file_type:
        raise DataError(f"{name}: is not {file_type} in {encoding} but {kind}")


def damaged(name: str, line: int, error: Exception) -> DataError:
    """The error of a file that cannot be unpacked or decoded to its end."""
    kind = "gzip file" if name.lower().endswith(".gz") else "file"
    return DataError(f"{name} line {line}: the {kind} is cut short or damaged: {error}")


def too_long(name: str, line: int) -> DataError:
    """The error of a line of `MAX_LINE_BYTES` or more."""
    return DataError(f"{name} line {line}: is longer than {MAX_LINE_BYTES:,} bytes")


def decoded(data: bytes, encoding: Encoding) -> tuple[str, str | None]:
    """The text of a line, and what is wrong where it is not text; bytes at fault are shown as `\\xNN`."""
    codec, problem = CODECS[encoding], None
    try:
        text = data.decode(codec)
    except UnicodeDecodeError:
        text, problem = data.decode(codec, "backslashreplace"), WRONG[encoding]
    if data.startswith(codecs.BOM_UTF8) and codec != "utf-8":
        problem = WRONG_MARK
    if encoding == "latin-1" and NOT_LATIN_1.search(text):
        problem = WRONG[encoding]
    if "\0" in text:
        text, problem = text.replace("\0", "\\x00"), problem or "holds NUL bytes"
    return text, problem


def lines(stream: io.BufferedReader, name: str, encoding: Encoding, first: int = 1) -> Iterator[tuple[str, str | None]]:
    """Every line with its line break, as `decoded` gives it, the file's first one without a byte-order mark.

    :param first: the number of the stream's first line.
    :raises DataError: the gzip file is damaged, or a line is longer than `MAX_LINE_BYTES`.
    """
    number = first - 1
    try:
        for number, data in enumerate(iter(partial(stream.readline, MAX_LINE_BYTES), b""), first):
            if len(data) == MAX_LINE_BYTES:
                raise too_long(name, number)
            line, problem = decoded(data, encoding)
            yield (line.removeprefix(BOM) if number == 1 else line), problem
    except DAMAGES as error:
        raise damaged(name, number + 1, error) from error
