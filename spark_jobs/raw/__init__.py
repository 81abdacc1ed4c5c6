"""Raw files as a stream of records, each with its place, its text as received, and its values or what is wrong with it.

Pure Python: it runs in Spark's Python workers, one file at a time, in constant memory. docs/inputs.md says what becomes
of every kind of file; in short, for all formats:

- A file that cannot be read to its end, or whose columns cannot be told, is a `DataError`: the batch fails.
- A record that cannot be read breaks a rule (`malformed_record`, `wrong_field_count`, `not_text`) and costs no other.
- Values are never trimmed or changed. The numbers of JSON keep their text.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from contract.dataset import Contract, Encoding, FileType

from spark_jobs.errors import DataError
from spark_jobs.raw import model, text
from spark_jobs.raw.csv_file import open_csv
from spark_jobs.raw.json_file import open_json_array, open_json_lines
from spark_jobs.raw.model import LineCounts, RawFile, Record

__all__ = ["LineCounts", "RawFile", "Record", "bytes_of", "open_file", "open_fitting"]


def _open_parquet(stream: io.BufferedReader, name: str, contract: Contract) -> RawFile:
    """As `open_parquet`, which only the worker's environment can import: tools read samples of text elsewhere."""
    from spark_jobs.raw.parquet_file import open_parquet

    return open_parquet(stream, name, contract)


OPENERS = {"csv": open_csv, "json": open_json_array, "jsonl": open_json_lines, "parquet": _open_parquet}


def open_file(stream: BinaryIO, name: str, contract: Contract) -> RawFile:
    """The raw file `name`, unpacked when its name ends in `.gz`, whatever columns it has.

    :raises DataError: it is empty, of another kind, has another ending, or its header cannot be used.
    """
    file_type = contract.format.type_of(name)
    if file_type is None:
        raise DataError(f"{name}: {contract.format.expected_name}")
    bytes_in = bytes_of(stream, name, file_type, contract.format.encoding)
    file = OPENERS[file_type](bytes_in, name, contract)
    if contract.format.null_values:
        file = file._replace(records=model.without_null_values(file.records, contract.format.null_values))
    return file


def bytes_of(stream: BinaryIO, name: str, file_type: FileType, encoding: Encoding) -> io.BufferedReader:
    """The bytes of the raw file `name`, unpacked, and those of UTF-16 as UTF-8.

    :raises DataError: it is empty, or of another kind.
    """
    unpacked = text.unpacked(stream, name)
    text.check_kind(unpacked, name, file_type, encoding)
    return text.as_utf8(unpacked) if encoding == "utf-16" else unpacked


def open_fitting(stream: BinaryIO, name: str, contract: Contract) -> RawFile:
    """The raw file `name`, which has the contract's columns.

    :raises DataError: the file cannot be read to its end, or its header lacks a column of the contract.
    """
    file = open_file(stream, name, contract)
    if file.has_header:
        model.check_fits(file.columns, file.line, name, contract)
    return file
