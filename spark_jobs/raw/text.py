"""The lines of a text file, decoded, each with what is wrong with it; and what a file is by its first bytes."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from contract.dataset import FileType

from spark_jobs.errors import DataError

MAX_RECORD_CHARS = 1 << 20
"""A longer record is taken for a quote or a bracket that was never closed."""

MAX_LINE_BYTES = 16 << 20
"""A longer line is refused: it does not fit the memory of a worker that reads many files at once."""

UTF8_BOM = "\ufeff"
DAMAGES = (EOFError, gzip.BadGzipFile, zlib.error)
NOT_LATIN_1 = re.compile("[\x80-\x9f]")
"""ISO 8859-1 has no characters there: the file is Windows-1252 or UTF-8."""

WRONG_UTF_8 = "is not valid UTF-8"
WRONG_LATIN_1 = "is not Latin-1: it holds bytes from 80 to 9f, as Windows-1252 and UTF-8 do"

SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\x1f\x8b", "gzip (its name must end in .gz)"),
    (b"PAR1", "Parquet"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
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


def check_kind(stream: io.BufferedReader, name: str, file_type: FileType, encoding: str) -> None:
    """Refuse a file that is empty, or that is plainly something else, by its first bytes.

    :raises DataError: it is.
    """
    try:
        start = stream.peek(16)
    except DAMAGES as error:
        raise damaged(name, 1, error) from error
    if not start:
        raise DataError(f"{name}: the file is empty")
    kind = next((kind for signature, kind in SIGNATURES if start.startswith(signature)), None)
    if encoding == "latin-1" and start.startswith(UTF8_BOM.encode()):
        kind = "UTF-8 text with a byte-order mark"
    if kind and kind.lower() != file_type:
        raise DataError(f"{name}: is not {file_type} in {encoding} but {kind}")


def damaged(name: str, line: int, error: Exception) -> DataError:
    """The error of a gzip file that cannot be unpacked to its end."""
    return DataError(f"{name} line {line}: the gzip file is cut short or damaged: {error}")


def lines(stream: io.BufferedReader, name: str, encoding: str) -> Iterator[tuple[str, str | None]]:
    """Every line with its line break, and what is wrong where it is not text; bytes at fault are shown as `\\xNN`.

    :raises DataError: the gzip file is damaged, or a line is longer than `MAX_LINE_BYTES`.
    """
    number, latin_1 = 0, encoding == "latin-1"
    try:
        for number, data in enumerate(iter(partial(stream.readline, MAX_LINE_BYTES), b""), 1):
            if len(data) == MAX_LINE_BYTES:
                raise DataError(f"{name} line {number}: is longer than {MAX_LINE_BYTES:,} bytes")
            problem = None
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError:
                text, problem = data.decode(errors="backslashreplace"), WRONG_UTF_8
            if number == 1:
                text = text.removeprefix(UTF8_BOM)
            if latin_1 and NOT_LATIN_1.search(text):
                problem = WRONG_LATIN_1
            if "\0" in text:
                text, problem = text.replace("\0", "\\x00"), problem or "holds NUL bytes"
            yield text, problem
    except DAMAGES as error:
        raise damaged(name, number + 1, error) from error
