"""The Athena SQL of a dataset: read from `include/sql/<dataset>/` and rendered for a date."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

import jinja2
from contract.dataset import Contract, Mart
from contract.names import Names

SQL_FOLDER = Path(__file__).resolve().parents[2] / "include" / "sql"

Scope = Literal["date", "month", "history"]


@dataclass(frozen=True)
class Dates:
    """The dates (`YYYY-MM-DD`) from `first` to `last`, both included; an end that is None is open."""

    first: str | None
    last: str | None

    def __contains__(self, ds: str) -> bool:
        return (self.first is None or self.first <= ds) and (self.last is None or ds <= self.last)

    @property
    def condition(self) -> str:
        """The same as a condition on the partition `ds`, in words that Athena and Glue's GetPartitions understand."""
        if self.first == self.last:
            return f"ds = '{self.first}'"
        ends = ((">=", self.first), ("<=", self.last))
        return " AND ".join(f"ds {comparison} '{end}'" for comparison, end in ends if end)


def dates_read(scope: Scope, as_of: str) -> Dates:
    """Return the dates that the picture as of `as_of` is made from.

    Args:
        scope: a mart's `scope`: only its own date, the month up to it, or everything up to it.
        as_of: date, `YYYY-MM-DD`.
    """
    first = {"date": as_of, "month": f"{as_of[:7]}-01", "history": None}[scope]
    return Dates(first, as_of)


def dates_affected(scope: Scope, ds: str) -> Dates:
    """Return the dates whose pictures are made from `ds` too, for a mart of that `scope`: `dates_read` turned round."""
    day = date.fromisoformat(ds)
    month_end = day.replace(day=calendar.monthrange(day.year, day.month)[1]).isoformat()
    last = {"date": ds, "month": month_end, "history": None}[scope]
    return Dates(ds, last)


def current_rows(contract: Contract, dates: Dates | None) -> str:
    """Subquery of the rows of a dataset that count, as its load mode has it.

    Args:
        contract: the dataset.
        dates: those that count, or None for all.

    Returns:
        SQL in parentheses, to stand where a table may stand: of an upsert dataset the latest version of each key, of
        a snapshot the latest date, of others every row; the published columns and `ds`.
    """
    where = f" WHERE {dates.condition}" if dates else ""
    columns = ", ".join([column.name for column in contract.published_columns] + ["ds"])
    table = Names(contract.dataset).table
    match contract.load_mode:
        case "append":
            return f"(SELECT {columns} FROM {table}{where})"  # noqa: S608 - names checked by the contract
        case "snapshot":
            # Of the partitions, not of the rows: a snapshot of no rows is a whole truth too.
            latest = f'(SELECT MAX(ds) FROM "{table}$partitions"{where})'  # noqa: S608 - names checked by the contract
            return f"(SELECT {columns} FROM {table} WHERE ds = {latest})"  # noqa: S608 - names checked by the contract
        case "upsert":
            key = ", ".join(contract.key)
            version = f"ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY ds DESC) AS version"
            ranked = f"(SELECT {columns}, {version} FROM {table}{where})"  # noqa: S608 - names checked by the contract
            return f"(SELECT {columns} FROM {ranked} WHERE version = 1)"  # noqa: S608 - built above


@cache
def _templates(folder: Path) -> jinja2.Environment:
    """The SQL files of a folder, each compiled once: that of a mart is rendered for every date, again and again."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - SQL, not HTML
    )


def render_sql(contract: Contract, name: str, as_of: str | None) -> str:
    """Render `include/sql/<dataset>/<name>.sql`.

    Args:
        contract: the dataset.
        name: file name without `.sql`: a mart, or the view of what is current.
        as_of: date `YYYY-MM-DD` that a mart's picture is of, or None for the view, which is of all dates.

    Returns:
        A SELECT for Athena. In the file, `{{ current }}` stands for the rows that count (`current_rows`) of the dates
        in the mart's scope, and `{{ ds }}` for the date.

    Raises:
        jinja2.UndefinedError: when the file uses a name that is not defined.
        jinja2.TemplateNotFound: when there is no such file.
        KeyError: when `as_of` is given and there is no such mart.
    """
    if as_of is None:
        variables = {"current": current_rows(contract, None)}
    else:
        scope = {mart.name: mart.scope for mart in contract.marts}[name]
        variables = {"current": current_rows(contract, dates_read(scope, as_of)), "ds": as_of}
    return _templates(SQL_FOLDER).get_template(f"{contract.dataset}/{name}.sql").render(variables).strip().rstrip(";")


def athena_type(hive_type: str) -> str:
    """Return the name that Athena's SQL (Trino) has for a type of the catalog (Hive).

    Source: https://docs.aws.amazon.com/athena/latest/ug/data-types.html
    """
    return {"string": "varchar", "int": "integer"}.get(hive_type, hive_type)


def mart_select(contract: Contract, mart: Mart, as_of: str) -> str:
    """Return the SELECT of a mart's rows as of a date (`YYYY-MM-DD`), with the columns and types of the contract."""
    columns = ", ".join(
        f"CAST({column.name} AS {athena_type(column.type)}) AS {column.name}" for column in mart.columns
    )
    return f"SELECT {columns}\nFROM (\n{render_sql(contract, mart.name, as_of)}\n)"
