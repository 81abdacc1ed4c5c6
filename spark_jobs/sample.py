"""The first records of a raw file of which no contract tells the columns, read as every job reads raw files.

    python -m spark_jobs.sample FILE LIMIT

`make dataset` learns from them what a contract may say. As a program it prints the records of a Parquet file as JSON
lines, for which it needs the worker's environment; records of texts need no more than Python.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from contract.columns import Column
from contract.dataset import Contract, Format, Retention, Wait

from spark_jobs import raw
from spark_jobs.errors import DataError
from spark_jobs.job import EX_DATAERR

NO_COLUMN = "\N{SYMBOL FOR NULL}"
"""The source of the one column of the contract: no file has it, so that all that a file has is kept beside it."""


class Sample(NamedTuple):
    """What was read of a file: the names in its header, if it has one; by column the values of each record; and why the
    other records could not be read, by rule."""

    header: list[str]
    records: list[dict[str, Any]]
    broken: dict[str, int]


def contract_of(wanted: Format) -> Contract:
    """A contract that keeps every column of a file written so."""
    return Contract(
        dataset="sample",
        description="a sample",
        owner="nobody",
        schedule="0 0 * * *",
        start_date=date(2020, 1, 1),
        format=wanted,
        load_mode="append",
        wait=Wait(timeout_hours=1),
        retention=Retention(days=1),
        additions="keep",
        columns=(Column(name="nothing", type="string", description="nothing", source=NO_COLUMN),),
    )


def read(path: Path, wanted: Format, limit: int) -> Sample:
    """Read the first `limit` records of a file.

    :raises DataError: it cannot be read so far, or is another kind of file.
    """
    records, broken = [], {}
    with path.open("rb") as stream:
        file = raw.open_file(stream, path.name, contract_of(wanted))
        for record in islice(file.records, limit):
            if record.values is None:
                broken[f"{record.rule}"] = broken.get(f"{record.rule}", 0) + 1
            else:
                records.append(json.loads(record.extra or "{}", parse_int=str, parse_float=str))
        return Sample(list(file.columns) if file.has_header else [], records, broken)


def main() -> None:
    """Print the records of a Parquet file, after one line with its columns; or what is wrong, and exit with EX_DATAERR."""
    path, limit = Path(sys.argv[1]), int(sys.argv[2])
    try:
        print(json.dumps(read(path, Format(type="parquet"), limit)))  # noqa: T201
    except DataError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EX_DATAERR)


if __name__ == "__main__":
    main()
