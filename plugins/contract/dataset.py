"""The contract of a dataset: one YAML file says what it is, and everything else is read from it.

A contract is checked strictly when it is loaded: an unknown field, a wrong type or an inconsistent reference is a
`ContractError` whose message starts with `file:line: field:`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from contract.columns import BLANKS, EXTRA, LINEAGE, RESERVED_COLUMNS, Bare, Column, Name, TableColumn, Text
from contract.document import Lines, Location
from contract.names import Names
from contract.reading import ContractError, Model, problem, read_model

CRON_FIELD = r"[\d*/,\-A-Za-z#?]+"
RECORD_RULES = ("wrong_field_count", "malformed_record", "not_text")
"""Rules that a record breaks before it has columns: see spark_jobs/raw."""
HISTORY_DATES = 14
"""How many published dates before a date its numbers are compared with."""

Character = Annotated[str, StringConstraints(min_length=1, max_length=1)]
Mark = Annotated[str, StringConstraints(min_length=1, max_length=3)]
Action = Literal["warn", "quarantine", "drop", "fail"]
"""What becomes of a row that breaks a rule: published and counted; kept apart with its reason; left out and counted;
or the whole batch is refused."""
Cron = Annotated[str, StringConstraints(pattern=rf"^{CRON_FIELD}( {CRON_FIELD}){{4}}$")]
FileType = Literal["csv", "json", "jsonl", "parquet"]
Encoding = Literal["utf-8", "latin-1", "windows-1252", "utf-16"]
FILE_ENDINGS: dict[FileType, tuple[str, ...]] = {
    "csv": (".csv", ".csv.gz"),
    "json": (".json", ".json.gz"),
    "jsonl": (".jsonl", ".jsonl.gz"),
    "parquet": (".parquet",),
}
CSV_ONLY = ("delimiter", "quote", "multiline", "record_lines", "skip_lines", "comment", "footer_lines")
"""Fields of a format that only files of lines with delimiters have."""


class Format(Model):
    """How the raw files are written.

    `csv` has a header line, and may have doubled quotes within quotes, but line breaks there only where `multiline`
    says so: a stray quote would else join the lines up to the next one into one record. There a record has up to
    `record_lines` lines. `json` is one array of objects, or, in files that end in .jsonl, one object a line; `jsonl` is
    the latter only. `parquet` compresses by itself.

    Not read, but counted, are of a `csv` file the first `skip_lines` lines, lines that start with `comment`, and the
    last `footer_lines` lines that are not blank. `null_values` are texts that mean no value, in every column and with
    or without blanks around them.
    """

    type: FileType
    delimiter: Character = ","
    quote: Character = '"'
    multiline: bool = False
    record_lines: Annotated[int, Field(ge=2, le=10_000)] = 100
    encoding: Encoding = "utf-8"
    skip_lines: Annotated[int, Field(ge=0, le=10_000)] = 0
    comment: Mark | None = None
    footer_lines: Annotated[int, Field(ge=0, le=10_000)] = 0
    null_values: tuple[Bare, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in CSV_ONLY:
            if self.type != "csv" and field in self.model_fields_set:
                raise problem("is for files of type csv only", field)
        if "record_lines" in self.model_fields_set and not self.multiline:
            raise problem("is for files with multiline: true only; a record is a line in others", "record_lines")
        for field in ("delimiter", "quote"):
            if getattr(self, field) in "\r\n\0\ufeff":
                raise problem("cannot be the end of a line, NUL, or a byte-order mark", field)
        if self.type == "parquet" and "encoding" in self.model_fields_set:
            raise problem("is for files of text only", "encoding")
        if self.delimiter == self.quote:
            raise problem("is the delimiter too", "quote")
        if self.comment is not None:
            if self.comment[0] in (self.delimiter, self.quote) or "\n" in self.comment or "\r" in self.comment:
                raise problem("cannot begin with the delimiter or the quote, or hold the end of a line", "comment")
            if not self.comment.strip(BLANKS):
                raise problem("is blank: lines that only begin with blanks are records", "comment")
        for index, text in enumerate(self.null_values):
            if text in self.null_values[:index]:
                raise problem(f"{text!r} is given twice", "null_values", index)
        return self

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings a raw file's name may have."""
        more = FILE_ENDINGS["jsonl"] if self.type == "json" else ()
        return (*FILE_ENDINGS[self.type], *more)

    def type_of(self, file_name: str) -> FileType | None:
        """How the file of this name is written, or None where it ends in none of `suffixes`, in whatever case."""
        name = file_name.lower()
        if not name.endswith(self.suffixes):
            return None
        return next(kind for kind, endings in FILE_ENDINGS.items() if name.endswith(endings))

    @property
    def expected_name(self) -> str:
        """What a raw file's name must be, in words."""
        return f"a raw file of format {self.type} must end in {' or '.join(self.suffixes)}"


class Dedupe(Model):
    """Which rows of one date count once.

    Of rows with the same `key`, the one that is greatest by the columns `latest_by`, then by source file, then by its
    place there, is kept. Or, by `row`, of rows that are equal in every column of the contract the one received last.
    """

    by: Literal["key", "row"] = "key"
    latest_by: tuple[Name, ...] = ()


class Rule(Model):
    """A row rule. A row breaks it when `condition` is true; null counts as kept.

    `condition` is Spark SQL over the typed columns, lookups, derived columns and `run_date` (the date of the run,
    never the clock).
    """

    name: Name
    condition: Text
    action: Action
    description: Text


class Reference(Model):
    """A rule that a row breaks when the value of `column` is in no row of another dataset as of the run's date.

    `references` is the column of that dataset. A row without a value keeps the rule.
    """

    name: Name
    column: Name
    dataset: Name
    references: Name
    action: Action
    description: Text


class Take(TableColumn):
    """A column taken from another dataset, where it is called `from`."""

    source: Name = Field(alias="from")


class Lookup(Model):
    """Columns taken from the row of another dataset whose key `references` is the value of `column`.

    That is the row as of the run's date; where there is none the columns taken are null.
    """

    dataset: Name
    column: Name
    references: Name
    take: Annotated[tuple[Take, ...], Field(min_length=1)]


class Derived(TableColumn):
    """A column computed from the others.

    `expression` is Spark SQL over the typed columns, lookups, the derived columns before it and `run_date`.
    """

    expression: Text


class Mart(Model):
    """A table that Athena makes from the dataset, partitioned by ds; its SQL is include/sql/<dataset>/<name>.sql.

    `scope` says which dates of the dataset the mart of a date reads: only its own, those of its month up to it, or
    every date up to it.
    """

    name: Name
    description: Text
    scope: Literal["date", "month", "history"] = "history"
    columns: Annotated[tuple[TableColumn, ...], Field(min_length=1)]


class Complete(Model):
    """What says that the files of a date are all there; one of these.

    `settled_minutes`: no file came for so long. `marker`: an object of this name lies in the date's folder; it starts
    with `_` or `.`, as it is no data. `files`: there are at least so many.
    """

    settled_minutes: Annotated[int, Field(ge=1)] | None = None
    marker: Annotated[str, StringConstraints(pattern=r"^[_.][^/]+$")] | None = None
    files: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(getattr(self, field) is not None for field in type(self).model_fields) != 1:
            raise problem(f"takes exactly one of {', '.join(type(self).model_fields)}")
        return self


class Wait(Model):
    """How long a run waits for its raw files, and what it does when there is none: fail, or skip the date.

    `complete` says when the files of a date are all there; without it the first file counts. Files that are not
    complete in time fail the run, whatever `missing` says. `for` names datasets, among those that this one reads, whose
    same date is to be published first: for up to `for_hours` the run waits for them, then goes on without.
    """

    timeout_hours: Annotated[int, Field(ge=1, le=168)]
    missing: Literal["fail", "skip"] = "fail"
    complete: Complete | None = None
    references: tuple[Name, ...] = Field(default=(), alias="for")
    for_hours: Annotated[int, Field(ge=1, le=48)] = 2

    @model_validator(mode="after")
    def _check(self) -> Self:
        settled = self.complete.settled_minutes if self.complete else None
        if settled and settled >= 60 * self.timeout_hours:
            raise problem("is as long as the whole wait (timeout_hours)", "complete", "settled_minutes")
        return self


class Retention(Model):
    """How many days a superseded run folder is kept after a newer one was published for its date."""

    days: Annotated[int, Field(ge=1)]


class Reconcile(Model):
    """What the daily DAG `reconcile` looks at, and which dates it has loaded again by itself.

    It compares the last `days` dates. `load` names what is loaded: dates with files of which nothing is published
    (`new`), whose files are others now (`changed`), that were made from other folders of other datasets than count now
    (`stale`); at most `dates_per_day`, the earliest first.
    """

    days: Annotated[int, Field(ge=1, le=400)] = 14
    load: tuple[Literal["new", "changed", "stale"], ...] = ("new", "changed", "stale")
    dates_per_day: Annotated[int, Field(ge=1, le=400)] = 31


class Contract(Model):
    """One dataset.

    `version` counts the sets of columns that the dataset is published with: one that differs from what was published
    under the same version is refused (docs/datasets/README.md, "Change a dataset").

    `load_mode` says what a date's file means: `append` (facts of that date), `upsert` (new versions of keys; the
    latest by ds wins in `<dataset>_current`) or `snapshot` (the whole truth as of that date; `<dataset>_current` is the
    latest). `additions` says what becomes of columns in the raw file that the contract does not name: they are kept in
    `extra`, or left out; reported either way. `privacy` says for people why the columns that are not marked as personal
    are published in the clear.
    """

    dataset: Name
    version: Annotated[int, Field(ge=1)] = 1
    description: Text
    owner: Text
    privacy: Text | None = None
    tags: tuple[Text, ...] = ()
    schedule: Cron
    start_date: date
    format: Format
    load_mode: Literal["append", "upsert", "snapshot"]
    key: tuple[Name, ...] = ()
    dedupe: Dedupe | None = None
    wait: Wait
    retention: Retention
    reconcile: Reconcile = Reconcile()
    additions: Literal["keep", "refuse"] = "refuse"
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    references: tuple[Reference, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    derived: tuple[Derived, ...] = ()
    rules: tuple[Rule, ...] = ()
    marts: tuple[Mart, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_columns()
        self._check_keys()
        self._check_other_datasets()
        self._check_rules()
        self._check_marts()
        return self

    def _check_columns(self) -> None:
        _unique([column.source for column in self.columns], ("columns", "source"))
        if all(column.optional for column in self.columns):
            raise problem("all are optional: nothing would tell a file of the dataset from another", "columns")
        seen: set[str] = set()
        for column, at in self.own_columns():
            if column.name in RESERVED_COLUMNS:
                raise problem(f"{column.name!r} is reserved for the pipeline's own columns", *at, "name")
            if column.name in seen:
                raise problem(f"{column.name!r} is given twice", *at, "name")
            seen.add(column.name)
        if self.additions == "keep" and self.personal_columns:
            raise problem("keep is not possible beside personal columns: an unknown one may be personal", "additions")

    def _check_keys(self) -> None:
        required = [column.name for column in self.columns if column.required]
        for index, name in enumerate(self.key):
            if name not in required:
                raise problem(f"{name!r} is not a required column; allowed: {', '.join(required)}", "key", index)
        if self.load_mode == "upsert" and not self.key:
            raise problem("is required when load_mode is upsert", "key")
        if self.dedupe is None:
            return
        if self.dedupe.by == "key" and not self.key:
            raise problem("'key' needs a key", "dedupe", "by")
        if self.dedupe.by == "row" and self.load_mode == "upsert":
            raise problem("'row' would leave several rows of a key where load_mode is upsert", "dedupe", "by")
        if self.dedupe.by == "row" and self.dedupe.latest_by:
            raise problem("is for dedupe by key only: equal rows have no order", "dedupe", "latest_by")
        for index, name in enumerate(self.dedupe.latest_by):
            self._check_column(name, "dedupe", "latest_by", index)

    def _check_other_datasets(self) -> None:
        _unique([lookup.dataset + "." + lookup.column for lookup in self.lookups], ("lookups", "column"))
        for index, name in enumerate(self.wait.references):
            if name not in self.other_datasets:
                allowed = ", ".join(self.other_datasets) or "none"
                raise problem(f"{name!r} is no dataset that this one reads; allowed: {allowed}", "wait", "for", index)
        for other, at in self.reads():
            self._check_column(other.column, *at, "column")
            if other.dataset == self.dataset:
                raise problem("is this dataset itself", *at, "dataset")

    def _check_rules(self) -> None:
        seen: set[str] = set()
        for name, at in (
            *((reference.name, ("references", index)) for index, reference in enumerate(self.references)),
            *((rule.name, ("rules", index)) for index, rule in enumerate(self.rules)),
        ):
            if name in self.built_in_rules:
                raise problem(f"{name!r} is a rule that every contract has", *at, "name")
            if name in seen:
                raise problem(f"{name!r} is given twice", *at, "name")
            seen.add(name)

    def _check_marts(self) -> None:
        _unique([mart.name for mart in self.marts], ("marts", "name"))
        for index, mart in enumerate(self.marts):
            if mart.name in Names(self.dataset).tables:
                raise problem(f"{mart.name!r} is a table of the dataset itself", "marts", index, "name")
            if "ds" in (column.name for column in mart.columns):
                raise problem("'ds' is the partition and must not be a column", "marts", index, "columns")
            _unique([column.name for column in mart.columns], ("marts", index, "columns", "name"))

    def _check_column(self, name: str, *at: str | int) -> None:
        names = [column.name for column in self.columns]
        if name not in names:
            raise problem(f"{name!r} is not a column; allowed: {', '.join(names)}", *at)

    def own_columns(self) -> Iterator[tuple[TableColumn, Location]]:
        """The published columns that the contract defines, in order, each with the path at which it does."""
        yield from ((column, ("columns", index)) for index, column in enumerate(self.columns))
        for index, lookup in enumerate(self.lookups):
            yield from ((take, ("lookups", index, "take", place)) for place, take in enumerate(lookup.take))
        yield from ((derived, ("derived", index)) for index, derived in enumerate(self.derived))

    def reads(self) -> Iterator[tuple[Reference | Lookup, Location]]:
        """What the contract reads of other datasets, each with its path."""
        yield from ((reference, ("references", index)) for index, reference in enumerate(self.references))
        yield from ((lookup, ("lookups", index)) for index, lookup in enumerate(self.lookups))

    @property
    def built_in_rules(self) -> tuple[str, ...]:
        """Names of the rules that come with the record format and the columns, all of which quarantine."""
        of_columns = (
            name
            for column in self.columns
            for name in (
                column.missing_rule,
                column.invalid_rule,
                column.not_allowed_rule,
                column.out_of_range_rule,
                column.pattern_rule,
            )
        )
        return (*RECORD_RULES, *of_columns)

    @property
    def not_finite_rules(self) -> tuple[str, ...]:
        """The rules that refuse the batch when a computed value is NaN or infinite."""
        taken = (take for lookup in self.lookups for take in lookup.take if take.type == "double")
        return tuple(f"{column.name}_not_finite" for column in (*taken, *self.derived))

    @property
    def rule_names(self) -> tuple[str, ...]:
        """Names of every rule that a row of this dataset can break."""
        references, rules = (rule.name for rule in self.references), (rule.name for rule in self.rules)
        return (*self.built_in_rules, *self.not_finite_rules, *references, *rules)

    @property
    def dedupe_by(self) -> Literal["key", "row"] | None:
        """Whether rows of one date with the same key, or equal rows, count once; None when every row counts."""
        if self.dedupe is not None:
            return self.dedupe.by
        return "key" if self.key else None

    @property
    def latest_by(self) -> tuple[str, ...]:
        """Columns by which, of rows with the same key, the greatest is kept; then source file and line decide."""
        return self.dedupe.latest_by if self.dedupe else ()

    @property
    def has_current_view(self) -> bool:
        """Whether `<dataset>_current` exists: where dates replace each other, not where they add up."""
        return self.load_mode != "append"

    @property
    def personal_columns(self) -> tuple[Column, ...]:
        """The columns that are published as a keyed hash only."""
        return tuple(column for column in self.columns if column.personal)

    @property
    def other_datasets(self) -> tuple[str, ...]:
        """The datasets that references and lookups read, in alphabetical order."""
        return tuple(sorted({other.dataset for other, _ in self.reads()}))

    @property
    def published_columns(self) -> tuple[TableColumn, ...]:
        """The columns of the public table in file order (the partition ds comes on top of them).

        They are the contract's columns, those taken from other datasets, those derived, `extra` where additions are
        kept, and lineage.
        """
        own = (TableColumn(name=c.name, type=c.type, description=c.description) for c, _ in self.own_columns())
        return (*own, *((EXTRA,) if self.additions == "keep" else ()), *LINEAGE)


def _unique(values: list[str], path: Location) -> None:
    """Refuse a repeated value; `path` leads to the list and ends with the field within its items."""
    *field, inner = path
    for index, value in enumerate(values):
        if value in values[:index]:
            raise problem(f"{value!r} is given twice", *field, index, inner)


def load_contract(path: Path | str) -> Contract:
    """The contract in the YAML file `path`. What it says of other datasets is checked by `load_contracts` only.

    :raises ContractError: the file cannot be read, is not YAML, or does not describe a dataset; one line per problem.
    """
    return read_contract(Path(path))[0]


def read_contract(path: Path) -> tuple[Contract, Lines]:
    """The contract in the YAML file `path`, and the line of every value in it.

    :raises ContractError: as `load_contract`.
    """
    contract, lines = read_model(path, Contract)
    if contract.dataset != path.stem:
        line = lines["dataset",]
        raise ContractError(f"{path}:{line}: dataset: {contract.dataset!r} is not the file's name: {path.stem!r}")
    return contract, lines
