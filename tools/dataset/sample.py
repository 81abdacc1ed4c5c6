"""A sample file, read by the code with which the jobs read raw files: what is learned is what they will find."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from contract.columns import BLANKS
from contract.dataset import FILE_ENDINGS, Encoding, FileType, Format

from spark_jobs import raw
from spark_jobs import sample as job
from spark_jobs.errors import DataError
from spark_jobs.raw import text
from tools.dataset import values
from tools.dataset.layout import Layout, csv_layout
from tools.environment import CHECKOUT, python_of
from tools.processes import StackError

MAX_ROWS = 100_000
"""Rows that are looked at; a sample needs no more."""
SECOND_HEADER_ROWS, COMPARED_ROWS = 3, 1000
"""How many rows below a header may belong to it, and with how many others they are compared."""
HEAD_LINES, TAIL_LINES = 10_000, 200
"""Lines at both ends of a CSV file from which its layout is told."""
CHUNK = 1 << 20
C1 = re.compile(rb"[\x80-\x9f]")
NON_ASCII = re.compile(rb"[\x80-\xff]")


@dataclass(frozen=True)
class Sample:
    """A sample file: how it is written, and by source column the text of each row, None where there is no value.

    `evidence` says what speaks for each field of `format`, `left_out` why a column of the file is none of the dataset,
    `broken` how many records could not be read, by rule, `types` of Parquet what columns are stored as, and `doubts`
    what it does not prove.
    """

    format: Format
    columns: dict[str, list[str | None]]
    evidence: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return max(map(len, self.columns.values()), default=0)


def read_sample(path: Path) -> Sample:
    """Read a sample file: CSV, a JSON array of objects or JSON lines, each also as .gz, or Parquet.

    Raises:
        StackError: when the jobs could not read such a file, or it holds no row, or no header.
    """
    file_type = _type_of(path.name)
    try:
        wanted, layout = _format(path, file_type)
        header, evidence, doubts = layout.header, dict(layout.evidence), layout.doubts
        read = _read_parquet(path) if file_type == "parquet" else job.read(path, wanted, header, MAX_ROWS)
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror or error}") from None
    except DataError as error:
        raise StackError(f"{error}") from None
    columns, left_out = _columns(read)
    if not any(columns.values()):
        broken = "".join(f"; {count:,} records are {rule}" for rule, count in read.broken.items())
        raise StackError(f"{path} holds no row to learn from{broken}")
    if file_type == "csv" and (count := _second_header(columns)):
        columns = {name: column[count:] for name, column in columns.items()}
        told = "row is" if count == 1 else f"{count} rows are"
        doubts += (f"the first {told} unlike all others, as units and types are: not learned from, and quarantined",)
    texts = [
        [value for value in column if value is not None and not values.is_blank(value)] for column in columns.values()
    ]
    if markers := values.null_markers(texts):
        wanted = wanted.model_copy(update={"null_values": tuple(markers)})
        evidence["null_values"] = "they stand where there is no value"
        columns = {name: [_without(markers, value) for value in column] for name, column in columns.items()}
    return Sample(wanted, columns, evidence, left_out, read.broken, read.types, doubts)


def _type_of(name: str) -> FileType:
    endings = [(ending, file_type) for file_type, known in FILE_ENDINGS.items() for ending in known]
    found = next((file_type for ending, file_type in endings if name.lower().endswith(ending)), None)
    if found is None:
        raise StackError(f"{name}: a sample must end in {', '.join(ending for ending, _ in endings)}")
    return found


def _format(path: Path, file_type: FileType) -> tuple[Format, Layout]:
    """How the file is written, and what speaks for it; of a CSV file with the names in its header.

    Raises:
        StackError: when its first line is a record.
        DataError: when it is damaged.
    """
    if file_type == "parquet":
        return Format(type="parquet"), Layout()
    encoding, why = _encoding(path)
    evidence = {"encoding": why}
    if file_type != "csv":
        return Format(type=file_type, encoding=encoding), Layout(evidence=evidence)
    with path.open("rb") as stream:
        content = raw.bytes_of(stream, path.name, file_type, encoding)
        lines = (line for line, _ in text.lines(content, path.name, encoding))
        head = list(islice(lines, HEAD_LINES))
        tail = list(deque(lines, TAIL_LINES))
    layout = csv_layout(head, not tail, [*head, *tail][-TAIL_LINES:])
    if layout.headerless is not None:
        raise StackError(f"{path}: {layout.headerless}: is the header missing? A first line must name the columns")
    wanted = Format(type="csv", encoding=encoding, **layout.options)  # type: ignore[arg-type]
    return wanted, replace(layout, evidence=evidence | layout.evidence)


def _encoding(path: Path) -> tuple[Encoding, str]:
    """The encoding in which most lines are text that are more than ASCII."""
    good = bad = c1 = 0
    with path.open("rb") as stream:
        unpacked = text.unpacked(stream, path.name)
        try:
            if unpacked.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
                return "utf-16", "it begins with a byte-order mark"
            for line in iter(lambda: unpacked.readline(CHUNK), b""):
                if NON_ASCII.search(line):
                    try:
                        line.decode()
                        good += 1
                    except UnicodeDecodeError:
                        bad += 1
                        c1 += bool(C1.search(line))
        except text.DAMAGES as error:
            raise text.damaged(path.name, 1, error) from error
    if good >= bad:
        return "utf-8", f"{good:,} lines have other letters than ASCII's" if good else "it is ASCII"
    if c1:
        return "windows-1252", f"{bad:,} lines are not UTF-8, and {c1:,} hold bytes that Latin-1 has no letters for"
    return "latin-1", f"{bad:,} lines are not UTF-8; or windows-1252, which the sample does not tell from it"


def _read_parquet(path: Path) -> job.Sample:
    """What a job reads of a Parquet file, in the worker's environment: only that has a reader of them.

    Raises:
        DataError: when it cannot be read.
        StackError: when the reader fails.
    """
    command = [str(python_of("worker")), "-m", "spark_jobs.sample", str(path.resolve()), str(MAX_ROWS)]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT}{os.pathsep}{CHECKOUT / 'plugins'}"}
    result = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    if result.returncode == job.EX_DATAERR:
        raise DataError(result.stderr.strip().splitlines()[-1])
    if result.returncode:
        raise StackError(f"{path} cannot be read: {result.stderr.strip()[-500:]}")
    return job.Sample(*json.loads(result.stdout))


def _columns(read: job.Sample) -> tuple[dict[str, list[str | None]], dict[str, str]]:
    """The texts of each column that a dataset can have, and why the others are none."""
    names = dict.fromkeys(read.header) | {name: None for record in read.records for name in record}
    columns: dict[str, list[str | None]] = {}
    left_out = {}
    for name in names:
        given = [record.get(name) for record in read.records]
        if not name.strip(BLANKS):
            left_out[name] = "has no name"
        elif any(isinstance(value, dict | list) for value in given):
            left_out[name] = "holds objects or lists, and a column one value"
        else:
            columns[name] = [_text(value) for value in given]
    return columns, left_out


def _second_header(columns: Mapping[str, Sequence[str | None]]) -> int:
    """How many of the first rows tell of the columns rather than have their values: units, types, descriptions."""
    for count in range(SECOND_HEADER_ROWS, 0, -1):
        parts = [(texts[:count], texts[count : count + COMPARED_ROWS]) for texts in columns.values()]
        typed = [
            (first, others)
            for first, below in parts
            if len(others := _filled(below)) > 1 and values.type_of((), others)[0] != "string"
        ]
        if typed and all(_tells([(first[at], others) for first, others in typed]) for at in range(count)):
            return count
    return 0


def _tells(typed: Sequence[tuple[str | None, Sequence[str]]]) -> bool:
    """Whether each of the texts is no value of the type of those beside it, and they are several or in brackets."""
    texts = [(text, others) for text, others in typed if text is not None and _filled([text])]
    several = len(texts) > 1 or any(re.fullmatch(r"\s*[\[(<{].*[\])>}]\s*", text) for text, _ in texts)
    return several and all(values.type_of((), [text, *others])[0] == "string" for text, others in texts)


def _filled(texts: Iterable[str | None]) -> list[str]:
    """The texts that are values, without the blanks around them."""
    return [text.strip(BLANKS) for text in texts if text is not None and not values.is_marker(text)]


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _without(markers: list[str], value: str | None) -> str | None:
    return None if value is not None and value.strip(BLANKS) in markers else value
