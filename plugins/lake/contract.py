"""The dataset contract: one YAML file says what a dataset is, and everything else is read from it.

Airflow and the Spark jobs both import this module, so it needs pydantic and PyYAML only. A contract is checked
strictly when it is loaded: an unknown field, a wrong type or an inconsistent reference is a `ContractError`
whose message starts with `file:line: field:`.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

SIMPLE_TYPES = ("string", "int", "bigint", "double", "date", "timestamp", "boolean")
DECIMAL_TYPE = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")
CRON_FIELD = r"[\d*/,\-A-Za-z#?]+"
DEFAULT_FORMATS = {"date": "yyyy-MM-dd", "timestamp": "yyyy-MM-dd HH:mm:ss"}
RESERVED_COLUMNS = frozenset({"ds", "run", "run_date", "run_id", "source_file", "source_line"})
RECORD_RULES = ("wrong_field_count", "malformed_record", "not_text")
"""Rules that a record breaks before it has columns: see spark_jobs/raw.py."""


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


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
ColumnType = Annotated[str, AfterValidator(_check_type)]
Cron = Annotated[str, StringConstraints(pattern=rf"^{CRON_FIELD}( {CRON_FIELD}){{4}}$")]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TableColumn(_Model):
    """A column of a table in the catalog. `type` is written alike in Hive (Glue), Athena DDL and Spark SQL."""

    name: Name
    type: ColumnType
    description: Text


class Column(TableColumn):
    """A column of the dataset: where it comes from and what a valid value is.

    `source` is its name in the raw file. `format` is the Spark date pattern of a date or timestamp. `allowed` lists
    the only values a string may have.
    """

    source: Text
    required: bool = False
    format: Text | None = None
    allowed: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.format is not None and self.type not in DEFAULT_FORMATS:
            raise _problem("is for columns of type date or timestamp only", "format")
        if self.allowed is not None and self.type != "string":
            raise _problem("is for columns of type string only", "allowed")
        return self

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


class Format(_Model):
    """How the raw files are written."""

    type: Literal["csv"]
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    encoding: Literal["utf-8"] = "utf-8"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings a raw file's name may have."""
        return (f".{self.type}", f".{self.type}.gz")


class Rule(_Model):
    """A row rule. A row breaks it when `condition` is true; null counts as kept.

    `condition` is Spark SQL over the typed columns and `run_date` (the date of the run, never the clock).
    """

    name: Name
    condition: Text
    action: Literal["quarantine", "drop"]
    description: Text


class Mart(_Model):
    """A table that Athena makes from the dataset, partitioned by ds; its SQL is include/sql/<dataset>/<name>.sql."""

    name: Name
    description: Text
    columns: Annotated[tuple[TableColumn, ...], Field(min_length=1)]


class Wait(_Model):
    """How long a run waits for its raw files."""

    timeout_hours: Annotated[int, Field(ge=1, le=168)]


class Retention(_Model):
    """How many days a superseded run folder is kept after a newer one was published for its date."""

    days: Annotated[int, Field(ge=1)]


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
    latest by ds wins in `<dataset>_current`) or `snapshot` (the whole truth as of that date).
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
    wait: Wait
    retention: Retention
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    rules: tuple[Rule, ...] = ()
    marts: tuple[Mart, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [column.name for column in self.columns]
        _unique(names, "columns", "name")
        _unique([column.source for column in self.columns], "columns", "source")
        for index, name in enumerate(names):
            if name in RESERVED_COLUMNS:
                raise _problem(f"{name!r} is reserved for the pipeline's own columns", "columns", index, "name")
        required = [column.name for column in self.columns if column.required]
        for index, name in enumerate(self.key):
            if name not in required:
                raise _problem(f"{name!r} is not a required column; allowed: {', '.join(required)}", "key", index)
        if self.load_mode == "upsert" and not self.key:
            raise _problem("is required when load_mode is upsert", "key")
        _unique([rule.name for rule in self.rules], "rules", "name")
        for index, rule in enumerate(self.rules):
            if rule.name in self.built_in_rules:
                raise _problem(f"{rule.name!r} is a rule that every contract has", "rules", index, "name")
        _unique([mart.name for mart in self.marts], "marts", "name")
        for index, mart in enumerate(self.marts):
            if mart.name in (self.table, self.runs_table, self.quarantine_table, self.current_view):
                raise _problem(f"{mart.name!r} is a table of the dataset itself", "marts", index, "name")
            if "ds" in (column.name for column in mart.columns):
                raise _problem("'ds' is the partition and must not be a column", "marts", index, "columns")
        return self

    @property
    def built_in_rules(self) -> tuple[str, ...]:
        """Names of the rules that come with the record format and the columns, all of which quarantine."""
        of_columns = (
            name
            for column in self.columns
            for name in (column.missing_rule, column.invalid_rule, column.not_allowed_rule)
        )
        return (*RECORD_RULES, *of_columns)

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
        """The columns of the public table in file order: the contract's, then lineage (and the partition ds)."""
        own = (TableColumn(name=c.name, type=c.type, description=c.description) for c in self.columns)
        return (*own, *LINEAGE)

    def raw_prefix(self, ds: str) -> str:
        """The key prefix of a date's raw files in the raw bucket, with a trailing slash. `ds` is YYYY-MM-DD."""
        return f"{self.dataset}/ds={ds}/"

    def raw_wildcard(self, ds: str) -> str:
        """The Unix wildcard that any raw file of a date matches, for S3KeySensor. `ds` may be a Jinja template."""
        return f"{self.raw_prefix(ds)}*.{self.format.type}*"


def _problem(message: str, *at: str | int) -> PydanticCustomError:
    """An error about the field at the path `at` below the model that raises it."""
    return PydanticCustomError("contract", "{message}", {"message": message, "at": at})


def _unique(values: list[str], *path: str) -> None:
    """Refuse a repeated value; `path` is the list's field and the field within its items."""
    field, inner = path
    for index, value in enumerate(values):
        if value in values[:index]:
            raise _problem(f"{value!r} is given twice", field, index, inner)


Location = tuple[str | int, ...]
"""The path of a value inside a document: keys of mappings and indexes of lists."""


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
    return list(model.model_fields)


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
    """The contract in the YAML file `path`.

    :raises ContractError: the file cannot be read, is not YAML, or does not describe a dataset; one line per problem.
    """
    path = Path(path)
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
    return contract


def load_contracts(folder: Path | str) -> dict[str, Contract]:
    """Every contract in `folder` (`*.yaml`), by dataset, in alphabetical order.

    :raises ContractError: naming every problem in every file.
    """
    contracts: dict[str, Contract] = {}
    problems: list[str] = []
    for path in sorted(Path(folder).glob("*.yaml")):
        try:
            contracts[path.stem] = load_contract(path)
        except ContractError as error:
            problems.append(str(error))
    if problems:
        raise ContractError("\n".join(problems))
    return contracts
