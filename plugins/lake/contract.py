"""The dataset contract: one YAML file says what a dataset is, and everything else is read from it.

Airflow and the Spark jobs both import this module, so it needs croniter, pydantic and PyYAML only. A contract is
checked strictly when it is loaded: an unknown field, a wrong type or an inconsistent reference is a `ContractError`
whose message starts with `file:line: field:`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

import yaml
from croniter import CroniterBadCronError, CroniterBadDateError, croniter
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

SIMPLE_TYPES = ("string", "int", "bigint", "double", "date", "timestamp", "boolean")
DECIMAL_TYPE = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")
CRON_FIELD = r"[\d*/,\-A-Za-z#?]+"
DEFAULT_FORMATS = {"date": "yyyy-MM-dd", "timestamp": "yyyy-MM-dd HH:mm:ss"}
RESERVED_COLUMNS = frozenset({"ds", "extra", "run", "run_date", "run_id", "source_file", "source_line"})
SQL_KEYWORDS = frozenset(
    """
    alter and as between by case cast constraint create cross cube current_catalog current_date current_path
    current_schema current_time current_timestamp current_user deallocate delete describe distinct drop else end escape
    except execute exists extract false first for from full group grouping having in inner insert intersect into is join
    json_array json_exists json_object json_query json_table json_value last left like listagg localtime localtimestamp
    natural normalize not null of on or order outer prepare recursive right rollup select skip table then trim true
    uescape union unnest using values when where with
    """.split()  # noqa: SIM905 - a page of quotes says no more
)
"""Words that Athena's SELECT takes for itself: https://docs.aws.amazon.com/athena/latest/ug/reserved-words.html"""
PERSONAL_NORMALIZE = re.compile(r"((lower|trim|upper)\()*value\)*")
"""What `normalize` of a personal column may be: it is applied before Spark, which never sees the value."""
RECORD_RULES = ("wrong_field_count", "malformed_record", "not_text")
"""Rules that a record breaks before it has columns: see spark_jobs/raw."""


Location = tuple[str | int, ...]
"""The path of a value inside a document: keys of mappings and indexes of lists."""


class ContractError(ValueError):
    """A contract file that cannot be used: one line per problem, each `file:line: field: what is wrong`."""


def decimal_parts(type_name: str) -> tuple[int, int] | None:
    """`(precision, scale)` of a decimal type name, or None when `type_name` is another type."""
    match = DECIMAL_TYPE.fullmatch(type_name)
    return (int(match[1]), int(match[2])) if match else None


def _check_type(type_name: str) -> str:
    if type_name in SIMPLE_TYPES:
        return type_name
    parts = decimal_parts(type_name)
    if parts is None:
        raise ValueError(f"is not a type; allowed: {', '.join(SIMPLE_TYPES)}, decimal(precision,scale)")
    precision, scale = parts
    if not 1 <= precision <= 38 or scale > precision:
        raise ValueError("is out of range; allowed: decimal(p,s) with 1 <= p <= 38 and 0 <= s <= p")
    return f"decimal({precision},{scale})"


def _check_name(name: str) -> str:
    if name in SQL_KEYWORDS:
        raise ValueError("is a reserved word of SQL: queries could not name it")
    return name


def _check_bound(value: Any) -> int | float | date:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    local = isinstance(value, date) and getattr(value, "tzinfo", None) is None
    if not number and not local:
        raise ValueError("is not a number, a date, or a timestamp without a zone")
    return value


def _check_pattern(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from None
    return pattern


def _check_cron(line: str) -> str:
    try:
        # Only a next time shows that there is one: there is no 31 February.
        croniter(line, start_time=0).get_next()
    except (CroniterBadCronError, CroniterBadDateError) as error:
        raise ValueError(f"is not a line of cron: {error}") from None
    return line


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$"), AfterValidator(_check_name)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
ColumnType = Annotated[
    str,
    AfterValidator(_check_type),
    WithJsonSchema({"type": "string", "pattern": rf"^({'|'.join(SIMPLE_TYPES)}|{DECIMAL_TYPE.pattern})$"}),
]
Bound = Annotated[int | float | date, PlainValidator(_check_bound), WithJsonSchema({"type": ["number", "string"]})]
Pattern = Annotated[str, StringConstraints(min_length=1), AfterValidator(_check_pattern)]
Character = Annotated[str, StringConstraints(min_length=1, max_length=1)]
Action = Literal["warn", "quarantine", "drop", "fail"]
"""What becomes of a row that breaks a rule: published and counted; kept apart with its reason; left out and counted;
or the whole batch is refused."""
Cron = Annotated[str, StringConstraints(pattern=rf"^{CRON_FIELD}( {CRON_FIELD}){{4}}$"), AfterValidator(_check_cron)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


TASKS = (
    *("wait_for_raw", "start_worker", "stage_raw", "snapshot_raw", "clean", "validate", "stop_worker", "promote"),
    *("crawl", "publish", "plan", "clean_and_validate", "report"),
)
"""Tasks of every dataset's DAGs, beside which each mart is one."""


class TableColumn(_Model):
    """A column of a table in the catalog. `type` is written alike in Hive (Glue), Athena DDL and Spark SQL."""

    name: Name
    type: ColumnType
    description: Text


AnyColumn = TypeVar("AnyColumn", bound=TableColumn)


class Column(TableColumn):
    """A column of the dataset: where it comes from and what a valid value is.

    `source` is its name in the raw file. `normalize` is Spark SQL over `value`, the text as received, and gives the
    text that everything else looks at. `format` is the Spark date pattern of a date or timestamp. `allowed` lists the
    only values a string may have, `pattern` is the regular expression that the whole of a string must match (of the
    syntax that Java and Python share), `min` and `max` are the bounds, included, of a number, date or timestamp.

    A `personal` column is published as a keyed hash. The value itself is seen by the checks of this column and by
    `normalize` only, which can apply `lower`, `trim` and `upper` to it, as in `lower(trim(value))`; every other
    expression, the key, references and lookups see the hash.
    """

    source: Text
    required: bool = False
    personal: bool = False
    normalize: Text | None = None
    format: Text | None = None
    allowed: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    pattern: Pattern | None = None
    min: Bound | None = None
    max: Bound | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.format is not None and self.type not in DEFAULT_FORMATS:
            raise _problem("is for columns of type date or timestamp only", "format")
        for field in ("allowed", "pattern", "personal"):
            if getattr(self, field) and self.type != "string":
                raise _problem("is for columns of type string only", field)
        if self.personal and self.allowed:
            raise _problem("would give away a personal value: its hash can be looked up", "allowed")
        if self.personal and self.normalize:
            balanced = self.normalize.count("(") == self.normalize.count(")")
            if not balanced or not PERSONAL_NORMALIZE.fullmatch(self.normalize):
                raise _problem("of a personal column can only apply lower, trim and upper to value", "normalize")
        for field, bound in (("min", self.min), ("max", self.max)):
            if bound is not None and type(bound) not in self._bound_types():
                raise _problem(f"{bound!s} is not a value of type {self.type}", field)
            if bound is not None and not self._fits(bound):
                raise _problem(f"{bound!s} does not fit {self.type}", field)
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:  # type: ignore[operator]
            raise _problem(f"{self.max!s} is less than min, {self.min!s}", "max")
        return self

    def _bound_types(self) -> tuple[type, ...]:
        if decimal_parts(self.type):
            return (int, float)
        numbers: dict[str, tuple[type, ...]] = {"int": (int,), "bigint": (int,), "double": (int, float)}
        return {**numbers, "date": (date,), "timestamp": (datetime,)}.get(self.type, ())

    def _fits(self, bound: int | float | date) -> bool:
        """Whether the type can hold the bound: Spark would refuse to compare with one that it cannot."""
        if isinstance(bound, date) or self.type == "double":
            return True
        if parts := decimal_parts(self.type):
            precision, scale = parts
            return abs(Decimal(str(bound))) < Decimal(10) ** (precision - scale)
        return abs(bound) < 2 ** {"int": 31, "bigint": 63}[self.type]

    def _exact(self, bound: int | float | date | None) -> int | float | Decimal | date | None:
        return Decimal(str(bound)) if bound is not None and decimal_parts(self.type) else bound

    @property
    def minimum(self) -> int | float | Decimal | date | None:
        """The least value allowed: a Decimal where the column is one, a datetime where it is a timestamp."""
        return self._exact(self.min)

    @property
    def maximum(self) -> int | float | Decimal | date | None:
        """The greatest value allowed: a Decimal where the column is one, a datetime where it is a timestamp."""
        return self._exact(self.max)

    @property
    def date_format(self) -> str:
        """The Spark date pattern that a date or timestamp column must follow exactly."""
        return self.format or DEFAULT_FORMATS[self.type]

    @property
    def missing_rule(self) -> str:
        """The rule that a row breaks when this required column is absent, empty or blank."""
        return f"{self.name}_missing"

    @property
    def invalid_rule(self) -> str:
        """The rule that a row breaks when this column's text is not a value of its type."""
        return f"{self.name}_invalid"

    @property
    def not_allowed_rule(self) -> str:
        """The rule that a row breaks when this column's value is not in `allowed`."""
        return f"{self.name}_not_allowed"

    @property
    def out_of_range_rule(self) -> str:
        """The rule that a row breaks when this column's value is less than `min` or greater than `max`."""
        return f"{self.name}_out_of_range"

    @property
    def pattern_rule(self) -> str:
        """The rule that a row breaks when this column's value does not match `pattern`."""
        return f"{self.name}_pattern"


FileType = Literal["csv", "json", "jsonl", "parquet"]
FILE_ENDINGS: dict[FileType, tuple[str, ...]] = {
    "csv": (".csv", ".csv.gz"),
    "json": (".json", ".json.gz"),
    "jsonl": (".jsonl", ".jsonl.gz"),
    "parquet": (".parquet",),
}


class Format(_Model):
    """How the raw files are written.

    `csv` has a header line, and may have doubled quotes within quotes, but line breaks there only where `multiline`
    says so: a stray quote would else join the lines up to the next one into one record. `json` is one array of objects,
    or, in files that end in .jsonl, one object a line; `jsonl` is the latter only. `parquet` compresses by itself.
    """

    type: FileType
    delimiter: Character = ","
    quote: Character = '"'
    multiline: bool = False
    encoding: Literal["utf-8", "latin-1"] = "utf-8"

    @model_validator(mode="after")
    def _check(self) -> Self:
        for field in ("delimiter", "quote", "multiline"):
            if self.type != "csv" and field in self.model_fields_set:
                raise _problem("is for files of type csv only", field)
        for field in ("delimiter", "quote"):
            if getattr(self, field) in "\r\n":
                raise _problem("cannot be the end of a line", field)
        if self.type == "parquet" and "encoding" in self.model_fields_set:
            raise _problem("is for files of text only", "encoding")
        if self.delimiter == self.quote:
            raise _problem("is the delimiter too", "quote")
        return self

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings a raw file's name may have."""
        more = FILE_ENDINGS["jsonl"] if self.type == "json" else ()
        return (*FILE_ENDINGS[self.type], *more)

    def type_of(self, file_name: str) -> FileType:
        """How the file of this name is written; its ending must be one of `suffixes`."""
        return next((kind for kind, endings in FILE_ENDINGS.items() if file_name.endswith(endings)), self.type)


class Dedupe(_Model):
    """Which rows of one date count once.

    Of rows with the same `key`, the one that is greatest by the columns `latest_by`, then by source file and line, is
    kept. Or, by `row`, of rows that are equal in every column of the contract the one received last.
    """

    by: Literal["key", "row"] = "key"
    latest_by: tuple[Name, ...] = ()


class Rule(_Model):
    """A row rule. A row breaks it when `condition` is true; null counts as kept.

    `condition` is Spark SQL over the typed columns, lookups, derived columns and `run_date` (the date of the run,
    never the clock).
    """

    name: Name
    condition: Text
    action: Action
    description: Text


class Reference(_Model):
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


class Lookup(_Model):
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


class Mart(_Model):
    """A table that Athena makes from the dataset, partitioned by ds; its SQL is include/sql/<dataset>/<name>.sql.

    `scope` says which dates of the dataset the mart of a date reads: only its own, those of its month up to it, or
    every date up to it.
    """

    name: Name
    description: Text
    scope: Literal["date", "month", "history"] = "history"
    columns: Annotated[tuple[TableColumn, ...], Field(min_length=1)]


class Wait(_Model):
    """How long a run waits for its raw files, and what it does when there is none: fail, or skip the date."""

    timeout_hours: Annotated[int, Field(ge=1, le=168)]
    missing: Literal["fail", "skip"] = "fail"


class Retention(_Model):
    """How many days a superseded run folder is kept after a newer one was published for its date."""

    days: Annotated[int, Field(ge=1)]


EXTRA = TableColumn(
    name="extra", type="string", description="The columns that the contract does not name, as a JSON object"
)
"""The published column of what a contract with `additions: keep` does not name."""

LINEAGE = (
    TableColumn(name="source_file", type="string", description="The raw file the row came from, named within its date"),
    TableColumn(name="source_line", type="bigint", description="The line of that file on which the row starts, from 1"),
    TableColumn(name="run_id", type="string", description="The submission of the clean job that wrote the row"),
)
"""Columns that the clean job adds to every published row."""

QUARANTINE_COLUMNS = (
    TableColumn(name="raw_row", type="string", description="The row exactly as received"),
    TableColumn(name="rule", type="string", description="The first rule that the row breaks"),
    TableColumn(name="reason", type="string", description="Every rule that the row breaks, with the value at fault"),
    *LINEAGE,
)
"""Columns of every `<dataset>_quarantine` table."""


class Contract(_Model):
    """One dataset.

    `load_mode` says what a date's file means: `append` (facts of that date), `upsert` (new versions of keys; the
    latest by ds wins in `<dataset>_current`) or `snapshot` (the whole truth as of that date; `<dataset>_current` is the
    latest). `additions` says what becomes of columns in the raw file that the contract does not name: they are kept in
    `extra`, or left out; reported either way.
    """

    dataset: Name
    description: Text
    owner: Text
    tags: tuple[Text, ...] = ()
    schedule: Cron
    start_date: date
    format: Format
    load_mode: Literal["append", "upsert", "snapshot"]
    key: tuple[Name, ...] = ()
    dedupe: Dedupe | None = None
    wait: Wait
    retention: Retention
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
        seen: set[str] = set()
        for column, at in self._own_columns():
            if column.name in RESERVED_COLUMNS:
                raise _problem(f"{column.name!r} is reserved for the pipeline's own columns", *at, "name")
            if column.name in seen:
                raise _problem(f"{column.name!r} is given twice", *at, "name")
            seen.add(column.name)
        if self.additions == "keep" and self.personal_columns:
            raise _problem("keep is not possible beside personal columns: an unknown one may be personal", "additions")

    def _check_keys(self) -> None:
        required = [column.name for column in self.columns if column.required]
        for index, name in enumerate(self.key):
            if name not in required:
                raise _problem(f"{name!r} is not a required column; allowed: {', '.join(required)}", "key", index)
        if self.load_mode == "upsert" and not self.key:
            raise _problem("is required when load_mode is upsert", "key")
        if self.dedupe is None:
            return
        if self.dedupe.by == "key" and not self.key:
            raise _problem("'key' needs a key", "dedupe", "by")
        if self.dedupe.by == "row" and self.load_mode == "upsert":
            raise _problem("'row' would leave several rows of a key where load_mode is upsert", "dedupe", "by")
        if self.dedupe.by == "row" and self.dedupe.latest_by:
            raise _problem("is for dedupe by key only: equal rows have no order", "dedupe", "latest_by")
        for index, name in enumerate(self.dedupe.latest_by):
            self._check_column(name, "dedupe", "latest_by", index)

    def _check_other_datasets(self) -> None:
        _unique([lookup.dataset + "." + lookup.column for lookup in self.lookups], ("lookups", "column"))
        for other, at in self._reads():
            self._check_column(other.column, *at, "column")
            if other.dataset == self.dataset:
                raise _problem("is this dataset itself", *at, "dataset")

    def _check_rules(self) -> None:
        seen: set[str] = set()
        for name, at in (
            *((reference.name, ("references", index)) for index, reference in enumerate(self.references)),
            *((rule.name, ("rules", index)) for index, rule in enumerate(self.rules)),
        ):
            if name in self.built_in_rules:
                raise _problem(f"{name!r} is a rule that every contract has", *at, "name")
            if name in seen:
                raise _problem(f"{name!r} is given twice", *at, "name")
            seen.add(name)

    def _check_marts(self) -> None:
        _unique([mart.name for mart in self.marts], ("marts", "name"))
        for index, mart in enumerate(self.marts):
            if mart.name in (self.table, self.runs_table, self.quarantine_table, self.current_view):
                raise _problem(f"{mart.name!r} is a table of the dataset itself", "marts", index, "name")
            if mart.name in TASKS:
                raise _problem(f"{mart.name!r} is the name of a task that every dataset has", "marts", index, "name")
            if "ds" in (column.name for column in mart.columns):
                raise _problem("'ds' is the partition and must not be a column", "marts", index, "columns")
            _unique([column.name for column in mart.columns], ("marts", index, "columns", "name"))

    def _check_column(self, name: str, *at: str | int) -> None:
        names = [column.name for column in self.columns]
        if name not in names:
            raise _problem(f"{name!r} is not a column; allowed: {', '.join(names)}", *at)

    def _own_columns(self) -> Iterator[tuple[TableColumn, Location]]:
        """The published columns that the contract defines, in order, each with the path at which it does."""
        yield from ((column, ("columns", index)) for index, column in enumerate(self.columns))
        for index, lookup in enumerate(self.lookups):
            yield from ((take, ("lookups", index, "take", place)) for place, take in enumerate(lookup.take))
        yield from ((derived, ("derived", index)) for index, derived in enumerate(self.derived))

    def _reads(self) -> Iterator[tuple[Reference | Lookup, Location]]:
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
        return tuple(sorted({other.dataset for other, _ in self._reads()}))

    @property
    def database(self) -> str:
        """The Glue database."""
        return f"{self.dataset}_db"

    @property
    def crawler(self) -> str:
        """The Glue crawler of the promoted runs."""
        return f"{self.dataset}_processed_crawler"

    @property
    def table(self) -> str:
        """The public table, partitioned by ds."""
        return self.dataset

    @property
    def runs_table(self) -> str:
        """The table of every promoted run, partitioned by ds and run."""
        return f"{self.dataset}_runs"

    @property
    def quarantine_table(self) -> str:
        """The table of quarantined rows, partitioned by ds."""
        return f"{self.dataset}_quarantine"

    @property
    def current_view(self) -> str:
        """The view of the latest version of each key."""
        return f"{self.dataset}_current"

    @property
    def published_columns(self) -> tuple[TableColumn, ...]:
        """The columns of the public table in file order (the partition ds comes on top of them).

        They are the contract's columns, those taken from other datasets, those derived, `extra` where additions are
        kept, and lineage.
        """
        own = (TableColumn(name=c.name, type=c.type, description=c.description) for c, _ in self._own_columns())
        return (*own, *((EXTRA,) if self.additions == "keep" else ()), *LINEAGE)

    def raw_prefix(self, ds: str) -> str:
        """The key prefix of a date's raw files in the raw bucket, with a trailing slash. `ds` is YYYY-MM-DD."""
        return f"{self.dataset}/ds={ds}/"

    def raw_wildcard(self, ds: str) -> str:
        """The Unix wildcard that any raw file of a date matches, for S3KeySensor. `ds` may be a Jinja template.

        It is wider than `format.suffixes`: a file of another ending does not keep a run waiting, but fails its staging.
        Markers, whose names start with `_` or `.`, do not match.
        """
        return f"{self.raw_prefix(ds)}[!_.]*"


def _problem(message: str, *at: str | int) -> PydanticCustomError:
    """An error about the field at the path `at` below the model that raises it."""
    return PydanticCustomError("contract", "{message}", {"message": message, "at": at})


def _unique(values: list[str], path: Location) -> None:
    """Refuse a repeated value; `path` leads to the list and ends with the field within its items."""
    *field, inner = path
    for index, value in enumerate(values):
        if value in values[:index]:
            raise _problem(f"{value!r} is given twice", *field, index, inner)


def _read_yaml(path: Path) -> tuple[Any, dict[Location, int]]:
    """The document in `path`, lists as tuples, and for every value in it the line (from 1) where it stands."""
    lines: dict[Location, int] = {}

    def convert(node: yaml.Node, at: Location) -> Any:
        lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            mapping: dict[Any, Any] = {}
            for key_node, value_node in node.value:
                key = loader.construct_object(key_node)
                line = key_node.start_mark.line + 1
                if key in mapping:
                    raise ContractError(f"{path}:{line}: {_dotted((*at, key))}: is given twice")
                lines[(*at, key)] = line
                mapping[key] = convert(value_node, (*at, key))
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return tuple(convert(item, (*at, index)) for index, item in enumerate(node.value))
        return loader.construct_object(node)

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        return (convert(root, ()) if root is not None else None), lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ContractError(f"{path}:{line}: contract: is not valid YAML: {error.problem}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ContractError(f"{path}:1: contract: cannot be read: {error}") from error


def _dotted(at: Location) -> str:
    """`("columns", 2, "type")` as `columns[2].type`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".") or "contract"


def _fields_at(at: Location) -> list[str]:
    """The field names of the model at the path `at` below Contract."""
    model: type[BaseModel] = Contract
    for part in at:
        if isinstance(part, str):
            annotation: Any = model.model_fields[part].annotation
            while not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
                annotation = get_args(annotation)[0]
            model = annotation
    return [field.alias or name for name, field in model.model_fields.items()]


def _explain(path: Path, error: ErrorDetails, lines: dict[Location, int]) -> str:
    """One line for one pydantic error."""
    context = error.get("ctx", {})
    at: Location = (*error["loc"], *context.get("at", ()))
    known = next(at[:length] for length in range(len(at), -1, -1) if at[:length] in lines)
    match error["type"]:
        case "missing":
            message = "is required"
        case "extra_forbidden":
            message = f"is not a field; allowed: {', '.join(_fields_at(at[:-1]))}"
        case "value_error":
            message = f"{error['input']!r} {context['error']}"
        case "literal_error":
            message = f"{error['input']!r} is not allowed; allowed: {context['expected']}"
        case "contract":
            message = error["msg"]
        case _:
            message = f"{error['input']!r}: {error['msg']}"
    return f"{path}:{lines[known]}: {_dotted(at)}: {message}"


def load_contract(path: Path | str) -> Contract:
    """The contract in the YAML file `path`. What it says of other datasets is checked by `load_contracts` only.

    :raises ContractError: the file cannot be read, is not YAML, or does not describe a dataset; one line per problem.
    """
    return _load(Path(path))[0]


def _load(path: Path) -> tuple[Contract, dict[Location, int]]:
    """The contract in `path` and the line of every value in it."""
    document, lines = _read_yaml(path)
    try:
        contract = Contract.model_validate(document)
    except ValidationError as error:
        lines.setdefault((), 1)
        problems = [_explain(path, details, lines) for details in error.errors()]
        raise ContractError("\n".join(problems)) from None
    if contract.dataset != path.stem:
        line = lines["dataset",]
        raise ContractError(f"{path}:{line}: dataset: {contract.dataset!r} is not the file's name: {path.stem!r}")
    return contract, lines


def load_contracts(folder: Path | str) -> dict[str, Contract]:
    """Every contract in `folder` (`*.yaml`), by dataset, in alphabetical order.

    :raises ContractError: naming every problem in every file, and every reference to what another does not have.
    """
    contracts, problems = sound_contracts(folder)
    if problems:
        raise ContractError("\n".join(problems))
    return contracts


def sound_contracts(folder: Path | str) -> tuple[dict[str, Contract], list[str]]:
    """The contracts in `folder` (`*.yaml`) that can be run whatever is wrong with others, and what is wrong.

    :return: by dataset, in alphabetical order, those without a problem that read no dataset with one; every problem.
    """
    contracts: dict[str, Contract] = {}
    lines: dict[str, dict[Location, int]] = {}
    problems: list[str] = []
    paths = sorted(Path(folder).glob("*.yaml"))
    for path in paths:
        try:
            contracts[path.stem], lines[path.stem] = _load(path)
        except ContractError as error:
            problems.append(str(error))
    # A dataset whose own contract is wrong is judged first; what others say of it comes after.
    broken = {path.stem for path in paths} - set(contracts)
    wrong = set(broken)
    for dataset, contract in contracts.items():
        for at, message in _wrong_reads(contract, contracts, broken):
            problems.append(f"{Path(folder) / dataset}.yaml:{lines[dataset][at]}: {_dotted(at)}: {message}")
            wrong.add(dataset)
    sound = {
        dataset: contract
        for dataset, contract in contracts.items()
        if not wrong & {dataset, *_read_by(contract, contracts)}
    }
    return sound, problems


def _wrong_reads(
    contract: Contract, contracts: dict[str, Contract], broken: set[str]
) -> Iterator[tuple[Location, str]]:
    """What `contract` says of other datasets and they do not: path and message. Nothing is said of `broken` ones."""
    for other, at in contract._reads():
        target = contracts.get(other.dataset)
        if target is not None:
            if contract.dataset in _read_by(target, contracts):
                yield (
                    (*at, "dataset"),
                    f"{other.dataset!r} reads {contract.dataset!r} in turn: neither can be loaded first",
                )
            yield from (((*at, "references"), message) for message in _unlike(contract, target, other))
            if isinstance(other, Lookup):
                yield from (((*at, *below), message) for below, message in _wrong_lookup(other, target))
        elif other.dataset not in broken:
            known = ", ".join(name for name in contracts if name != contract.dataset)
            yield (*at, "dataset"), f"{other.dataset!r} is not a dataset; allowed: {known}"


def _read_by(contract: Contract, contracts: dict[str, Contract]) -> set[str]:
    """The datasets that `contract` reads, those that they read, and so on."""
    found: set[str] = set()
    waiting = [contract.dataset]
    while waiting:
        known = contracts.get(waiting.pop())
        new = set(known.other_datasets) - found if known else set()
        found |= new
        waiting += new
    return found


def _unlike(contract: Contract, target: Contract, other: Reference | Lookup) -> Iterator[str]:
    """Why a column's values cannot be looked for in the column of the other dataset that they refer to."""
    column = next(column for column in contract.columns if column.name == other.column)
    match = _find(target.columns, other.references)
    if match is None:
        names = ", ".join(column.name for column in target.columns)
        yield f"{other.references!r} is not a column of {target.dataset}; allowed: {names}"
    elif match.type != column.type:
        yield f"{target.dataset}.{match.name} is {match.type}, {column.name} is {column.type}"
    elif match.personal != column.personal:
        yield f"only one of {column.name} and {target.dataset}.{match.name} is personal: a hash equals no value itself"


def _wrong_lookup(lookup: Lookup, target: Contract) -> Iterator[tuple[Location, str]]:
    if target.key != (lookup.references,):
        yield ("references",), f"{lookup.references!r} is not the key of {target.dataset}: several rows may have it"
    if target.load_mode == "append":
        yield ("dataset",), f"{target.dataset} has load_mode append: a key has no version that counts"
    if target.dedupe_by != "key":
        yield ("dataset",), f"{target.dataset} does not dedupe by key: several of its rows may match"
    available = [column for column, _ in target._own_columns()]
    for index, take in enumerate(lookup.take):
        source = _find(available, take.source)
        if source is None:
            names = ", ".join(column.name for column in available)
            yield ("take", index, "from"), f"{take.source!r} is not a column of {target.dataset}; allowed: {names}"
        elif source.type != take.type:
            yield ("take", index, "type"), f"{target.dataset}.{source.name} is {source.type}, not {take.type}"


def _find(columns: Sequence[AnyColumn], name: str) -> AnyColumn | None:
    return next((column for column in columns if column.name == name), None)
