"""Columns: which types there are, what they may be called, and what a column of a dataset says of its values."""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, PlainValidator, StringConstraints, WithJsonSchema, model_validator

from contract import date_patterns
from contract.reading import Model, problem

SIMPLE_TYPES = ("string", "int", "bigint", "double", "date", "timestamp", "boolean")
DECIMAL_TYPE = re.compile(r"decimal\((\d{1,2}),\s*(\d{1,2})\)")
INTEGER = "[+-]?[0-9]+"
"""How an integer is written: no separators, no blanks. These patterns are of the syntax that Java and Python share."""
DOUBLE = "[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?"
"""How a double is written: neither NaN nor an infinity is one."""
BLANKS = (
    "\t\n\x0b\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u200c\u200d\u2060\ufeff"
)
"""What nobody sees: Unicode's white space, then characters without a width, the byte-order mark among them. A value of
nothing else is no value, and at the edges of names they do not count."""
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


def decimal_parts(type_name: str) -> tuple[int, int] | None:
    """`(precision, scale)` of a decimal type name, or None when `type_name` is another type."""
    match = DECIMAL_TYPE.fullmatch(type_name)
    return (int(match[1]), int(match[2])) if match else None


def decimal_pattern(scale: int) -> str:
    """How a decimal is written: an integer, and at most `scale` digits after a point; no exponent."""
    return rf"{INTEGER}([.][0-9]{{1,{scale}}})?" if scale else INTEGER


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


def _check_bare(text: str) -> str:
    bare = text.strip(BLANKS)
    if not bare:
        raise ValueError("is blank")
    return bare


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


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$"), AfterValidator(_check_name)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Bare = Annotated[str, StringConstraints(min_length=1), AfterValidator(_check_bare)]
"""A text as raw files have it, without the blanks at its edges: see `BLANKS`."""
ColumnType = Annotated[
    str,
    AfterValidator(_check_type),
    WithJsonSchema({"type": "string", "pattern": rf"^({'|'.join(SIMPLE_TYPES)}|{DECIMAL_TYPE.pattern})$"}),
]
Bound = Annotated[int | float | date, PlainValidator(_check_bound), WithJsonSchema({"type": ["number", "string"]})]
Pattern = Annotated[str, StringConstraints(min_length=1), AfterValidator(_check_pattern)]


class TableColumn(Model):
    """A column of a table in the catalog. `type` is written alike in Hive (Glue), Athena DDL and Spark SQL."""

    name: Name
    type: ColumnType
    description: Text


class Column(TableColumn):
    """A column of the dataset: where it comes from and what a valid value is.

    `source` is its name in the raw file, less blanks at its edges. A raw file may lack an `optional` column: its values
    are null then, and the manifest of `stage_raw` says so. `normalize` is Spark SQL over `value`, the text as received,
    and gives the text that everything else looks at. `format` is the Spark date pattern of a date or timestamp, of
    plugins/contract/date_patterns.py; a timestamp with an offset is read to UTC. `allowed` lists the only values a
    string may have, `pattern` is the regular expression that the whole of a string must match (of the syntax that Java
    and Python share), `min` and `max` are the bounds, included, of a number, date or timestamp.

    A `personal` column is published as a keyed hash. The value itself is seen by the checks of this column and by
    `normalize` only, which can apply `lower`, `trim` and `upper` to it, as in `lower(trim(value))`; every other
    expression, the key, references and lookups see the hash.
    """

    source: Bare
    required: bool = False
    optional: bool = False
    personal: bool = False
    normalize: Text | None = None
    format: Text | None = None
    allowed: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    pattern: Pattern | None = None
    min: Bound | None = None
    max: Bound | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.optional and self.required:
            raise problem("of a required column: no row of a file that lacks it could be published", "optional")
        if self.format is not None and self.type not in DEFAULT_FORMATS:
            raise problem("is for columns of type date or timestamp only", "format")
        if self.format is not None:
            try:
                date_patterns.check(self.format, self.type)
            except date_patterns.PatternError as error:
                raise problem(f"{error}", "format") from None
        for field in ("allowed", "pattern", "personal"):
            if getattr(self, field) and self.type != "string":
                raise problem("is for columns of type string only", field)
        if self.personal and self.allowed:
            raise problem("would give away a personal value: its hash can be looked up", "allowed")
        if self.personal and self.normalize:
            balanced = self.normalize.count("(") == self.normalize.count(")")
            if not balanced or not PERSONAL_NORMALIZE.fullmatch(self.normalize):
                raise problem("of a personal column can only apply lower, trim and upper to value", "normalize")
        for field, bound in (("min", self.min), ("max", self.max)):
            if bound is not None and type(bound) not in self._bound_types():
                raise problem(f"{bound!s} is not a value of type {self.type}", field)
            if bound is not None and not self._fits(bound):
                raise problem(f"{bound!s} does not fit {self.type}", field)
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:  # type: ignore[operator]
            raise problem(f"{self.max!s} is less than min, {self.min!s}", "max")
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
    def has_bounds(self) -> bool:
        """Whether a value of the column's type can be a wrong one for what it is, not for how it is written."""
        return self.pattern is not None or self.min is not None or self.max is not None

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
