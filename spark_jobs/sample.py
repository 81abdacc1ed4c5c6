"""The first records of a raw file of which no contract tells the columns, read as every job reads raw files.

    python -m spark_jobs.sample FILE LIMIT

`make dataset` learns from them what a contract may say. As a program it prints those of a Parquet file, as JSON, for
which it needs the worker's environment; files of text need no more than Python.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from contract.columns import BLANKS, Column
from contract.dataset import Contract, Format, Retention, Wait

from spark_jobs import raw
from spark_jobs.errors import DataError
from spark_jobs.job import EX_DATAERR
from spark_jobs.raw import model

NO_COLUMN = "the names of columns"
"""The source of the one column of the contract: no file has it, so that all that a file has is kept beside it."""


class Sample(NamedTuple):
    """What was read of a file: the names in its header, if it has one; by column the values of each record; how many
    others could not be read, by rule; and of Parquet the types that its columns are stored as.
    """

    header: list[str]
    records: list[dict[str, Any]]
    broken: dict[str, int]
    types: Mapping[str, str] = MappingProxyType({})


def contract_of(wanted: Format, names: Sequence[str]) -> Contract:
    """A contract of the named columns that keeps all others of a file written so."""
    sources = dict.fromkeys(name.strip(BLANKS) for name in names)
    sources.pop("", None)
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
        columns=tuple(
            Column(name=f"column_{place}", type="string", description="of a sample", source=source)
            for place, source in enumerate(sources or [NO_COLUMN])
        ),
    )


def read(path: Path, wanted: Format, names: Sequence[str], limit: int) -> Sample:
    """Read the first `limit` records of a file.

    :param names: those in its header, as far as they are known before it is read.
    :raises DataError: it cannot be read so far, or is another kind of file.
    """
    contract = contract_of(wanted, names)
    sources = model.sources(contract) if names else ()
    records: list[dict[str, Any]] = []
    broken: dict[str, int] = {}
    with path.open("rb") as stream:
        file = raw.open_file(stream, path.name, contract)
        for record in islice(file.records, limit):
            if record.values is None:
                broken[f"{record.rule}"] = broken.get(f"{record.rule}", 0) + 1
            else:
                others = json.loads(record.extra or "{}", parse_int=model.Number, parse_float=model.Number)
                records.append({**dict(zip(sources, record.values, strict=False)), **others})
        return Sample(list(file.columns) if file.has_header else [], records, broken)


def stored_types(path: Path) -> dict[str, str]:
    """The contract's type of each column of a Parquet file that holds every value which the column can."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def of(kind: pa.DataType) -> str | None:
        if pa.types.is_dictionary(kind):
            return of(kind.value_type)
        if pa.types.is_boolean(kind):
            return "boolean"
        if pa.types.is_date(kind):
            return "date"
        if pa.types.is_timestamp(kind):
            return "timestamp"
        if pa.types.is_floating(kind):
            return "double"
        if kind == pa.uint64():
            return "decimal(20,0)"
        if pa.types.is_integer(kind):
            return "int" if kind in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16()) else "bigint"
        if pa.types.is_decimal(kind) and 0 <= kind.scale <= kind.precision <= 38:
            return f"decimal({kind.precision},{kind.scale})"
        return None

    return {field.name: name for field in pq.read_schema(path) if (name := of(field.type))}


def main() -> None:
    """Print what was read of a Parquet file as JSON; or what is wrong with it, and exit with EX_DATAERR."""
    path, limit = Path(sys.argv[1]), int(sys.argv[2])
    try:
        found = read(path, Format(type="parquet"), (), limit)._replace(types=stored_types(path))
        print(json.dumps(found))  # noqa: T201
    except DataError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(EX_DATAERR)


if __name__ == "__main__":
    main()
