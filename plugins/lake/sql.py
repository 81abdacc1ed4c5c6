"""The Athena SQL of a dataset: read from `include/sql/<dataset>/` and rendered for a date."""

from __future__ import annotations

from pathlib import Path

import jinja2

from lake.contract import Contract

SQL_FOLDER = Path(__file__).resolve().parents[2] / "include" / "sql"


def _sql_text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def latest_versions(contract: Contract, as_of: str | None) -> str:
    """Subquery of a dataset's rows: of an upsert dataset the latest version of each key, of others every row.

    Args:
        contract: the dataset.
        as_of: date `YYYY-MM-DD` up to which dates count, or None for all.

    Returns:
        SQL in parentheses, to stand where a table may stand.
    """
    until = f" WHERE ds <= {_sql_text(as_of)}" if as_of else ""
    columns = ", ".join([column.name for column in contract.published_columns] + ["ds"])
    if contract.load_mode != "upsert":
        return f"(SELECT {columns} FROM {contract.table}{until})"  # noqa: S608 - names checked by the contract
    key = ", ".join(contract.key)
    version = f"ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY ds DESC) AS version"
    ranked = f"(SELECT {columns}, {version} FROM {contract.table}{until})"  # noqa: S608 - names checked by the contract
    return f"(SELECT {columns} FROM {ranked} WHERE version = 1)"  # noqa: S608 - built above


def render_sql(contract: Contract, name: str, as_of: str | None) -> str:
    """Render `include/sql/<dataset>/<name>.sql`.

    Args:
        contract: the dataset.
        name: file name without `.sql`.
        as_of: date `YYYY-MM-DD` that the picture is of, or None for the view of today.

    Returns:
        A SELECT for Athena. In the file, `{{ current }}` stands for the rows that count (`latest_versions`), and
        `{{ ds }}` for the date.

    Raises:
        jinja2.UndefinedError: when the file uses a name that is not defined.
        jinja2.TemplateNotFound: when there is no such file.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SQL_FOLDER),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - SQL, not HTML
    )
    variables = {"current": latest_versions(contract, as_of)} | ({"ds": as_of} if as_of else {})
    return environment.get_template(f"{contract.dataset}/{name}.sql").render(variables).strip().rstrip(";")
