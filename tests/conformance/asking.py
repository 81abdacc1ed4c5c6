"""Statements asked of the local Athena's compiler and engine, without a server, and set beside Trino's answers.

`python -m tests.conformance.asking` prints how many of each corpus are answered how, and what differs; with `--keep` it
writes differences.json, by which the test knows a regression. `statements/` has 1,988 statements with the answers of a
real Trino 476, whose session zone was UTC, and `tables/` the tables they are about.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from localaws.athena import engine, types
from localaws.athena.catalog import Table
from localaws.athena.errors import QueryFailed, RequestRefused, from_engine
from localaws.athena.queries import QueryCompiler, Session
from localaws.athena.results import as_text
from localaws.athena.runs import readable
from localaws.athena.syntax import parse_query
from localaws.classifiers import arrow_type

HERE = Path(__file__).parent
DIFFERENCES = HERE / "differences.json"
NOW = dt.datetime(2026, 1, 15, 12, 30, 15)
DATABASES = ("default", "bi", "tpch")

SAME, WRONG, TOO_LAX, REFUSED, ERROR_DIFFERS = "SAME", "WRONG", "TOO_LAX", "REFUSED", "ERROR_DIFFERS"
CLASSES = (SAME, WRONG, TOO_LAX, REFUSED, ERROR_DIFFERS)
"""How our answer stands to Trino's: the same; another; one where Trino refuses; none where Trino answers; a refusal of
another kind."""


@dataclass(frozen=True)
class Statement:
    """A statement, and Trino's answer: either columns, types and rows as text, or the name of an error."""

    id: str
    schema: str
    sql: str
    columns: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    rows: list[list[str | None]] = field(default_factory=list)
    error: str = ""
    message: str = ""

    @property
    def corpus(self) -> str:
        return self.id.rpartition("-")[0]


@dataclass(frozen=True)
class Judged:
    """A statement, the class of our answer, and what differs."""

    statement: Statement
    judgement: str
    why: str = ""


def statements() -> Iterator[Statement]:
    """All statements of the corpus."""
    for file in sorted((HERE / "statements").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            yield Statement(**json.loads(line))


class Tables:
    """A catalog of the corpus' tables, one Parquet file each."""

    def has_database(self, name: str) -> bool:
        return name in DATABASES

    @cache  # noqa: B019 - one for the whole run
    def table(self, database: str, name: str) -> Table | None:
        file = HERE / "tables" / database / f"{name}.parquet"
        if not file.exists():
            return None
        columns = [
            (column.name.lower(), types.from_hive(str(arrow_type(column.type)))) for column in pq.read_schema(file)
        ]
        return Table(database, name, columns, [], {})


class Athena:
    """One engine for all statements."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.connection = duckdb.connect(config={"threads": 2})
        engine.prepare(self.connection)

    def ask(self, sql: str, schema: str) -> tuple[list[str], list[str], list[list[str | None]]]:
        """Names, types and rows as text.

        Raises:
            QueryFailed: as the query would.
            RequestRefused: as the request would be.
        """
        session = Session(self.tables, NOW)  # type: ignore[arg-type] - what of a catalog a query asks for
        relation = QueryCompiler(sql, schema, session).compile(parse_query(sql))
        try:
            for scan in session.scans:
                file = HERE / "tables" / scan.table.database / f"{scan.table.name}.parquet"
                casts = ", ".join(f'CAST("{name}" AS {kind.duckdb}) AS "{name}"' for name, kind in scan.table.columns)
                view = f"CREATE OR REPLACE TEMP VIEW {scan.name} AS SELECT {casts} FROM read_parquet('{file}')"
                self.connection.execute(view)
            rows = self.connection.execute(readable(relation)).fetchall()
        except duckdb.Error as error:
            raise from_engine(error) from error
        kinds = [out.type for out in relation.columns]
        names = [out.name if out.name is not None else f"_col{i}" for i, out in enumerate(relation.columns)]
        texts = [[as_text(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in rows]
        return names, [str(kind) for kind in kinds], texts

    def judge(self, statement: Statement) -> Judged:
        """Ask a statement, and set the answer beside Trino's."""
        try:
            names, kinds, rows = self.ask(statement.sql, statement.schema)
        except Exception as refusal:
            expected = isinstance(refusal, (QueryFailed, RequestRefused))
            text = f"{refusal}" if expected else f"GENERIC_INTERNAL_ERROR: {type(refusal).__name__}: {refusal}"
            code = "SYNTAX_ERROR" if isinstance(refusal, RequestRefused) else text.partition(":")[0]
            if not statement.error:
                return Judged(statement, REFUSED, text)
            why = "" if code == statement.error else f"{refusal} for {statement.error}: {statement.message}"
            return Judged(statement, ERROR_DIFFERS if why else SAME, why)
        if statement.error:
            return Judged(statement, TOO_LAX, f"{rows[:3]} for {statement.error}: {statement.message}")
        if names != statement.columns:
            return Judged(statement, WRONG, f"{names} for {statement.columns}")
        if list(map(_shared, kinds)) != list(map(_shared, statement.types)):
            return Judged(statement, WRONG, f"{kinds} for {statement.types}")
        sides = [[_comparable(row, statement.types) for row in each] for each in (rows, statement.rows)]
        if not _ordered(statement.sql):
            sides = [sorted(side, key=repr) for side in sides]
        ours, right = sides
        if len(ours) != len(right):
            return Judged(statement, WRONG, f"{len(ours)} rows for {len(right)}")
        for one, other in zip(ours, right, strict=True):
            if not all(map(_equal, one, other)):
                return Judged(statement, WRONG, f"{one} for {other}")
        return Judged(statement, SAME)


def _shared(kind: str) -> str:
    """A type without what Athena does not tell of it: the length of text, and the digits of a time."""
    return re.sub(r"\b(varchar|time)\(\d+\)", r"\1", kind)


def _comparable(row: list[str | None], kinds: list[str]) -> list[str | float | None]:
    """A row, with doubles as numbers, as the last digits of a sum depend on its order, and maps in one order."""
    found: list[str | float | None] = []
    for value, kind in zip(row, kinds, strict=True):
        if value is not None and kind in ("double", "real"):
            found.append(float(value))
        elif value is not None and kind.startswith("map("):
            found.append(", ".join(sorted(value.strip("{}").split(", "))))
        else:
            found.append(value)
    return found


def _equal(one: str | float | None, other: str | float | None) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))
    return one == other


def _ordered(sql: str) -> bool:
    query = parse_query(sql)
    return query.args.get("order") is not None


def known_differences() -> dict[str, str]:
    """The class of each statement that is not answered as Trino does, by its id."""
    found: dict[str, str] = json.loads(DIFFERENCES.read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Print the classes by corpus, and what differs; with `--keep`, keep that as what is known."""
    athena = Athena()
    judged = [athena.judge(statement) for statement in statements()]
    lines = []
    for corpus in [*sorted({each.statement.corpus for each in judged}), ""]:
        found = Counter(each.judgement for each in judged if corpus in ("", each.statement.corpus))
        lines.append(f"{corpus or 'all':<10} " + " ".join(f"{name} {found[name]:<5}" for name in CLASSES))
    differing = [each for each in judged if each.judgement != SAME]
    lines += [f"{each.judgement} {each.statement.id}: {each.statement.sql}\n    {each.why}" for each in differing]
    sys.stdout.write("\n".join(lines) + "\n")
    if "--keep" in sys.argv:
        known = {each.statement.id: each.judgement for each in differing}
        DIFFERENCES.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
