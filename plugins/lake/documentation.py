"""What a dataset's contract says, for people: on its DAG's page in the Airflow UI, and in docs/datasets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from contract.columns import EXTRA, LINEAGE, QUARANTINE_COLUMNS, Column, TableColumn
from contract.dataset import Contract, Mart
from contract.names import Names

LOAD_MODES = {
    "append": "a date's files hold facts of that date, which no other date has",
    "upsert": "a date's files hold new versions of keys; the latest date that has a key wins in `{view}`",
    "snapshot": "a date's files are the whole truth as of that date; `{view}` shows the latest date",
}
FORMATS = {
    "csv": "CSV with a header line, {records}, delimiter `{delimiter}`, quote `{quote}`, in {encoding}",
    "json": "JSON in {encoding}: one array of objects, or, in files that end in .jsonl, one object a line",
    "jsonl": "JSON lines in {encoding}: one object a line",
    "parquet": "Parquet",
}
CHANGES = """\
## Change a dataset

Dates that are published stay readable, whatever the contract becomes, or the change is refused. Files of before are
never written again, and each date is described by the columns of its own files. Every change of the published
columns needs the next `version` in the contract.

| change | dates published before | raw files of before |
|---|---|---|
| a column is added | null, until they are reprocessed | lack it: it must be `optional: true` to reprocess them |
| a column is dropped | no longer shown; their files keep it | its values are a new column, left out and reported |
| a column is widened: int to bigint, a decimal to more digits on either side | as the wider type | the same |
| another order, description, rule or `source` | the same | must have the new `source` |
| a column is renamed | refused, as long as a date has it by the old name only | |
| a column gets any other type | refused, as long as a date has it by the old type | |
| the same `version` with other columns, or an older one | refused: raise `version` | |

Refused is: `clean`, `reprocess`, `plan` and `publish` fail before anything is cleaned or shown, and say which column,
both types, which dates, and what to do. Readers see what they saw.

**Add a column.**

1. In the contract, raise `version`, and add the column, with `optional: true` where files of before lack it. Such a
   file is then loaded with nulls, and its manifest says so (`stage_raw.json`, `drift.absent_columns`). Take the
   word away when every file that you may still load has the column: a file that lacks it by mistake is then refused
   again.
2. `make docs`, `make check`, and deploy (`make up`). The next run publishes its date with the column; in all others
   it is null in Athena.
3. To fill them, trigger `reprocess_<dataset>` for their range.

**Rename or retype a column**, for which the old dates must have the new one first.

1. Raise `version`, and add the new column as a derived one beside the old, under another name: `{name: pieces,
   type: bigint, expression: "cast(count as bigint)"}`.
2. Deploy, and trigger `reprocess_<dataset>` for the range that the refusal named.
3. Raise `version` again. Put the new column in the place of the old one, under its own name, with its `source`, and
   drop the derived one. Deploy. The name that the old one had can have another type when no published date has it
   any more.

**Marts** are computed, so nothing of theirs is refused. The next run of a mart computes again what it would anyway,
and every earlier picture that its new columns cannot show; earlier ones that they can show get null in a new
column. Datasets that take a column from this one (`lookups`, `references`) read old dates as Athena does. The
quarantine's columns never change.
"""
SCOPES = {"date": "the date only", "month": "the month up to the date", "history": "every date up to the date"}


def dag_documentation(contract: Contract, names: Names) -> str:
    """Write the DAG's `doc_md` from the contract.

    Args:
        contract: the dataset.
        names: what everything of it is called in the stack.

    Returns:
        Markdown.
    """
    return f"""\
# {contract.dataset}

{contract.description}

**Owner** {contract.owner}. {_raw_files(contract)} The contract: `include/datasets/{contract.dataset}.yaml`; the suite:
`expectations/{contract.dataset}.json`; both explained, with the marts' SQL, in `docs/datasets/{contract.dataset}.md`.

{" → ".join(_waits(contract))} → `start_worker` → `stage_raw` → `snapshot_raw` → `clean` → `validate` → `stop_worker`,
and when the batch is valid → `promote` → `crawl` → `publish` → one task per mart. Until `publish` readers see the date
as it was.

To load a date again, clear its run or trigger one with `{{"date": "YYYY-MM-DD"}}`: same input, same tables. Rows
that break a rule are in `{names.database}.{names.quarantine_table}`. When a task fails: `docs/runbook.md`.

## `{names.database}.{names.table}`, partitioned by `ds`

{_columns(contract.published_columns)}

## Row rules

{_rules(contract)}

## Marts

{_table(("table", "what it says"), ((f"`{mart.name}`", mart.description) for mart in contract.marts))}
"""


def reprocess_documentation(contract: Contract) -> str:
    """Write the `doc_md` of the DAG that loads a range of dates again.

    Args:
        contract: the dataset.

    Returns:
        Markdown.
    """
    return f"""\
# {contract.dataset}, a range of dates again

Loads every date from `start` to `end`, both included, that has a raw file, in one Spark session; each exactly as
`ingest_{contract.dataset}` loads it. With `dry_run`, the default, the task `plan` only says in its log what would
change for each date: what is published, and whether raw files, other datasets or code changed since. Nothing is
written then. With `dates`, a list, only these dates of the range are loaded.

`plan` → `start_worker` → `stage_raw` → `snapshot_raw` → `reprocess` → `stop_worker`, then for the valid dates
`promote` → `crawl` → `publish` → one task per mart → and `report`.

A date whose files or rows are refused does not stop the others: it stays as it was, the others are published, and
`report` fails the run and names it. Days without a file are skipped. Marts are computed for the dates loaded and for
every later date that was made from them.
"""


def rollback_documentation(contract: Contract) -> str:
    """Write the `doc_md` of the DAG that goes back to what was published before.

    Args:
        contract: the dataset.

    Returns:
        Markdown.
    """
    return f"""\
# {contract.dataset}, back to what was published before

Points each date from `start` to `end`, both included, at the submission that was published last before the one that is
published now, or at the one that `submission` names; its quarantine and every mart made from it follow. No file is
copied or deleted. With `dry_run`, the default, the task `rollback` only says in its log what would change.

It holds until a run looks at the raw files again: clearing tasks of an old run does not undo it, a new run of
`ingest_{contract.dataset}` or `reprocess_{contract.dataset}` does. So does another rollback, which goes back to what
was published until this one.
"""


def recompute_documentation(contract: Contract) -> str:
    """Write the `doc_md` of the DAG that brings a dataset's marts up to date.

    Args:
        contract: the dataset.

    Returns:
        Markdown.
    """
    return f"""\
# {contract.dataset}, its marts again

Computes each picture of each mart of `{contract.dataset}` that is not there, or that was made by another SQL or from
other submissions than are published now: after a changed SQL, every one. Rows are not cleaned again. With `dry_run`,
the default, the task `plan_marts` only says in its log how many there are.

It also names the marts that the contract has no longer. They stay readable as they are, with a warning in the table's
description; `make remove-mart` takes one away.
"""


def dataset_page(contract: Contract, suite: Mapping[str, Any], sql: Mapping[str, str]) -> str:
    """Write the dataset's page of docs/datasets.

    Args:
        contract: the dataset.
        suite: its Great Expectations suite, as in expectations/<dataset>.json.
        sql: the text of each of its SQL files, by file name without `.sql`.

    Returns:
        Markdown.

    Raises:
        KeyError: when `sql` lacks a mart.
    """
    names = Names(contract.dataset)
    sections = (
        f"# {contract.dataset}\n\n<!-- Written by `make docs`, from the contract, the suite and the SQL. -->",
        contract.description,
        _table(("", ""), _facts(contract)),
        f"## Raw files\n\n{_raw_files(contract)}",
        f"## `{names.database}.{names.table}`\n\nPartitioned by `ds`, the run's date.\n\n{_origins(contract)}",
        f"## Row rules\n\n{_rules(contract)}",
        f"## Checks on the batch\n\n{_suite(suite)}",
        f"## Beside it in `{names.database}`\n\n{_side_tables(contract)}",
        f"## Marts\n\n{_marts_introduction(contract)}",
        *(_mart(mart, sql[mart.name]) for mart in contract.marts),
    )
    return "\n\n".join(sections) + "\n"


def index_page(contracts: Iterable[Contract]) -> str:
    """Write docs/datasets/README.md, which lists every dataset.

    Args:
        contracts: the datasets.

    Returns:
        Markdown.
    """
    rows = ((f"[{c.dataset}]({c.dataset}.md)", c.load_mode, c.description) for c in contracts)
    return f"""\
# Datasets

<!-- Written by `make docs`, from the contracts. -->

{_table(("dataset", "load mode", "what it is"), rows)}

## A new dataset

```console
$ make dataset NAME=returns SAMPLE=returns.csv
```

writes, from a sample file (CSV, a JSON array or JSON lines, also gzipped, or Parquet) that the jobs can read:

- `include/datasets/returns.yaml`, the contract: how the file is written, which of its lines are no records, which texts
  mean no value; columns and types, what is required, the few values that a column has. An editor that knows JSON Schema
  completes and checks it; what each field means is said in `plugins/contract/dataset.py`.
- `expectations/returns.json`, the Great Expectations suite, on top of what the contract implies.
- `include/sql/returns/`, the SQL of a first mart, and `tests/integration/sql/returns/`, its test.
- `docs/datasets/returns.md`, the page. `make docs` writes it again after a change; `make check` says when it is stale.

It says what speaks for each thing that it inferred, and runs the sample through `stage_raw`, `clean` and `validate`, on
this machine and without the local AWS: the account of its rows is the last that it prints. Where the jobs refuse the
sample it ends with an error, and the files stay for you to correct. The same sample again changes nothing; a file that
you have edited is not overwritten.

What it inferred holds for the sample: read the contract and correct it, these parts first.

- **Types.** A column is of numbers where each of them can be written back as it was: what has leading zeros, or
  commas, is text, and so are numbers whose points may part thousands. Where days and months may have changed places,
  the contract says so beside `format`.
- **Personal data** is told by the words of a name, in several languages, and by values (e-mail, IBAN, cards,
  telephones, addresses of computers). `doubtful` stands where a column may be about a thing; remove `personal` where
  it is.
- **The key** is written where 20 rows or more prove it unique and its name is the dataset's own: rows with the same key
  count once. Without one every row counts.
- **`footer_lines`** leaves out as many lines of every file: it is written where the sample ends with totals that add
  up, with a line that says that it ends, or with text below a blank line. What else may be no record stays one: it is
  told as doubtful, and where it fits no type the account shows it as quarantined.

`make up` then makes the dataset's database and crawler and gives contract and suite to the worker, and the DAGs appear.
No Python is needed. After each later change of a contract or suite, `make up` again: until then the dataset's tasks say
that they are not deployed.

{CHANGES}"""


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table, or `None.` when it would have no row."""
    lines = [_row(row) for row in rows]
    names = tuple(header)
    return "\n".join([_row(names), "|" + "---|" * len(names), *lines]) if lines else "None."


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _code(text: str) -> str:
    return f"`{text}`"


def _columns(columns: Iterable[TableColumn]) -> str:
    return _table(("column", "type", "meaning"), ((_code(c.name), _code(c.type), c.description) for c in columns))


def _raw_files(contract: Contract) -> str:
    wanted = contract.format
    lines = f"records of up to {wanted.record_lines} lines, with line breaks inside quotes"
    records = lines if wanted.multiline else "a record a line"
    written = FORMATS[wanted.type].format(records=records, **wanted.model_dump())
    endings = ", ".join(wanted.suffixes)
    missing = {"fail": "the run fails", "skip": "the date is skipped, and says so"}[contract.wait.missing]
    kept = {
        "keep": "Columns that the contract does not name are kept, as JSON, in `extra`, and reported.",
        "refuse": "Columns that the contract does not name are left out, and reported.",
    }[contract.additions]
    return (
        f"{written}, at `{Names(contract.dataset).raw('<date>')}` in the raw bucket, file names ending in {endings}. "
        f"{_not_read(contract)}"
        f"{_complete(contract)}When there is none after {contract.wait.timeout_hours} h, {missing}. "
        f"{kept} A column that is missing, or whose values are of another type, fails the batch before it is cleaned."
    )


def _not_read(contract: Contract) -> str:
    wanted = contract.format
    parts = [
        f"lines at the start: {wanted.skip_lines}" if wanted.skip_lines else "",
        f"lines that start with `{wanted.comment}`" if wanted.comment else "",
        f"lines at the end that are not blank: {wanted.footer_lines}" if wanted.footer_lines else "",
    ]
    told = f"Not read, but counted: {'; '.join(filter(None, parts))}. " if any(parts) else ""
    nulls = ", ".join(f"`{value}`" for value in wanted.null_values)
    return told + (f"No value is also what says {nulls}. " if nulls else "")


def _waits(contract: Contract) -> Iterator[str]:
    yield "`wait_for_raw`"
    if contract.wait.references:
        names = " and ".join(contract.wait.references)
        yield f"`wait_for_references` (of {names}, for {contract.wait.for_hours} h at most)"


def _complete(contract: Contract) -> str:
    wanted = contract.wait.complete
    if wanted is None:
        return ""
    if wanted.marker:
        when = f"`{wanted.marker}` lies there"
    elif wanted.files:
        when = f"there are {wanted.files} files"
    else:
        when = f"no file has come for {wanted.settled_minutes} min"
    return f"They are complete when {when}; else the run fails. "


def _facts(contract: Contract) -> Iterator[tuple[str, str]]:
    names = Names(contract.dataset)
    view = f"{names.database}.{names.current_view}"
    yield "owner", contract.owner
    yield "DAG", f"`ingest_{contract.dataset}`, scheduled `{contract.schedule}` (UTC) from {contract.start_date}"
    yield "load mode", f"{contract.load_mode}: {LOAD_MODES[contract.load_mode].format(view=view)}"
    yield "key", ", ".join(map(_code, contract.key)) or "none"
    yield "counts once", _dedupe(contract)
    yield "reads", ", ".join(f"[{name}]({name}.md)" for name in contract.other_datasets) or "no other dataset"
    if contract.wait.references:
        awaited = ", ".join(contract.wait.references)
        yield "waits for", f"the same date of {awaited}, for {contract.wait.for_hours} h at most"
    yield "looked at every day", _reconciled(contract)
    yield "personal", ", ".join(_code(c.name) for c in contract.personal_columns) or "no column is marked"
    yield "in the clear", contract.privacy or "every other column; the contract does not say why"
    yield "superseded runs", f"kept for {contract.retention.days} days"


def _reconciled(contract: Contract) -> str:
    asked = contract.reconcile
    loaded = (
        f"{', '.join(asked.load)} are loaded again, {asked.dates_per_day} a day at most"
        if asked.load
        else "none is loaded again"
    )
    return f"the last {asked.days} dates, by `reconcile`; {loaded}"


def _dedupe(contract: Contract) -> str:
    match contract.dedupe_by:
        case "key":
            order = ", ".join(map(_code, (*contract.latest_by, "source_file", "source_line")))
            return f"rows of one date with the same key: the greatest by {order} is kept"
        case "row":
            return "rows of one date that are equal in every column"
    return "every row"


def _origins(contract: Contract) -> str:
    def rows() -> Iterator[tuple[str, ...]]:
        for column in contract.columns:
            yield *_described(column), f"`{column.source}` in the file{_made_of(column)}"
        for lookup in contract.lookups:
            for take in lookup.take:
                yield *_described(take), f"`{lookup.dataset}.{take.source}` by `{lookup.column}`"
        for derived in contract.derived:
            yield *_described(derived), _code(derived.expression)
        if contract.additions == "keep":
            yield *_described(EXTRA), "the file's other columns"
        for lineage in LINEAGE:
            yield *_described(lineage), "the pipeline"

    return _table(("column", "type", "meaning", "from"), rows())


def _described(column: TableColumn) -> tuple[str, str, str]:
    return _code(column.name), _code(column.type), column.description


def _made_of(column: Column) -> str:
    normalized = f", as `{column.normalize}`" if column.normalize else ""
    hashed = ", hashed with the lake's key" if column.personal else ""
    absent = "; null where the file lacks it" if column.optional else ""
    return f"{normalized}{hashed}{absent}"


def _rules(contract: Contract) -> str:
    def rows() -> Iterator[tuple[str, ...]]:
        for column in contract.columns:
            yield from ((_code(rule), "quarantine", broken, "") for rule, broken in _column_rules(column))
        for reference in contract.references:
            broken = f"`{reference.column}` is no `{reference.dataset}.{reference.references}` as of the date"
            yield _code(reference.name), reference.action, broken, reference.description
        for rule in contract.rules:
            yield _code(rule.name), rule.action, _code(rule.condition), rule.description

    return (
        "A row that breaks a rule is published all the same and counted (warn), kept apart with its reason "
        "(quarantine), or left out and counted (drop); or it makes the whole batch fail (fail). A record that cannot "
        "be read as columns goes to quarantine too.\n\n"
        f"{_table(('rule', 'action', 'a row breaks it when', 'why'), rows())}"
    )


def _column_rules(column: Column) -> Iterator[tuple[str, str]]:
    """The rules that come with a column's definition, each with what breaks it."""
    name = _code(column.name)
    if column.required:
        yield column.missing_rule, f"{name} is absent or blank"
    if column.type != "string":
        like = f", written `{column.date_format}`" if column.type in ("date", "timestamp") else ""
        yield column.invalid_rule, f"{name} is not a `{column.type}`{like}"
    if column.allowed:
        yield column.not_allowed_rule, f"{name} is none of {', '.join(map(_code, column.allowed))}"
    bounds = [f"less than {column.min}"] * (column.min is not None) + [f"greater than {column.max}"] * (
        column.max is not None
    )
    if bounds:
        yield column.out_of_range_rule, f"{name} is {' or '.join(bounds)}"
    if column.pattern:
        yield column.pattern_rule, f"{name} does not match `{column.pattern}` as a whole"


def _suite(suite: Mapping[str, Any]) -> str:
    def rows() -> Iterator[tuple[str, ...]]:
        for expectation in suite["expectations"]:
            kwargs = dict(expectation.get("kwargs", {}))
            about = _code(kwargs.pop("column")) if "column" in kwargs else "the batch"
            check = expectation["type"].removeprefix("expect_").replace("_", " ")
            values = ", ".join(f"{name} {_argument(value)}" for name, value in kwargs.items())
            meta = expectation.get("meta", {})
            of_run = " of the run" if meta.get("batch") == "run" else ""
            notes = meta.get("notes", "")
            yield about + of_run, f"{check}: {_code(values)}" if values else check, expectation["severity"], notes

    return (
        "Columns, types, required and allowed values and the key are checked from the contract, and are critical: "
        "a batch that breaks a critical check is not published. Warnings are reported. On top of them:\n\n"
        f"{_table(('of', 'check', 'severity', 'why'), rows())}"
    )


def _argument(value: Any) -> str:
    """An argument of an expectation; one that is given with each run by its name."""
    parameter = value.get("$PARAMETER") if isinstance(value, dict) else None
    return str(parameter) if parameter else json.dumps(value, ensure_ascii=False)


def _side_tables(contract: Contract) -> str:
    names = Names(contract.dataset)
    quarantine = ", ".join(_code(column.name) for column in QUARANTINE_COLUMNS)
    rows = [
        (_code(names.quarantine_table), f"rows that broke a rule, by `ds`: {quarantine}"),
        (_code(names.runs_table), "every promoted submission, by `ds` and `run`: what was published when, for audit"),
    ]
    if contract.has_current_view:
        what = {"upsert": "the latest version of each key", "snapshot": "the latest date"}[contract.load_mode]
        rows.insert(0, (_code(names.current_view), f"view of {what}"))
    return _table(("table", "what it holds"), rows)


def _marts_introduction(contract: Contract) -> str:
    if not contract.marts:
        return "None."
    return (
        "Each is partitioned by `ds`: the picture as of that date. In the SQL, `{{ current }}` stands for the rows of "
        f"`{contract.dataset}` that count then."
    )


def _mart(mart: Mart, sql: str) -> str:
    return (
        f"### {mart.name}\n\n{mart.description}. Reads {SCOPES[mart.scope]}.\n\n{_columns(mart.columns)}\n\n"
        f"```sql\n{sql.strip()}\n```"
    )
