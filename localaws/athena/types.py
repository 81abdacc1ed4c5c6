"""Column types in their four spellings: Trino (SQL), Hive (Glue), DuckDB (what runs) and the API's ColumnInfo."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlglot import exp

from localaws.athena.errors import not_supported

MAX_PRECISION = 38
UTC, SEVERAL_ZONES = "UTC", "several zones"


@dataclass(frozen=True)
class Type:
    """A Trino type: its base name, and its arguments (numbers, types, or (name, type) fields of a row)."""

    base: str
    args: tuple[Any, ...] = ()

    def __str__(self) -> str:
        """The type as Trino writes it, such as ``decimal(12,2)`` or ``array(row(a bigint))``."""
        if self.base == "row":
            fields = (f"{name} {kind}" if name else str(kind) for name, kind in self.args)
            return f"row({', '.join(fields)})"
        if self.base == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.base == "timestamp with time zone":
            return f"timestamp({self.args[0]}) with time zone" if self.args else self.base
        return f"{self.base}({', '.join(map(str, self.args))})" if self.args else self.base

    @property
    def zone(self) -> str:
        """The zone of a timestamp with time zone, which Trino keeps with each value."""
        return str(self.args[1]) if len(self.args) > 1 else UTC

    @property
    def precision(self) -> int:
        return int(self.args[0])

    @property
    def scale(self) -> int:
        return int(self.args[1])

    @property
    def is_integer(self) -> bool:
        return self.base in _INTEGER_DIGITS

    @property
    def is_decimal(self) -> bool:
        return self.base == "decimal"

    @property
    def is_floating(self) -> bool:
        return self.base in ("double", "real")

    @property
    def is_numeric(self) -> bool:
        return self.is_integer or self.is_decimal or self.is_floating

    @property
    def is_text(self) -> bool:
        return self.base in ("varchar", "char")

    @property
    def is_temporal(self) -> bool:
        return self.base in ("date", "timestamp", "timestamp with time zone")

    @property
    def duckdb(self) -> str:
        """The DuckDB type that holds it."""
        if self.base == "decimal":
            return f"DECIMAL({self.precision},{self.scale})"
        if self.base == "array":
            return f"{self.args[0].duckdb}[]"
        if self.base == "map":
            return f"MAP({self.args[0].duckdb}, {self.args[1].duckdb})"
        if self.base == "row":
            fields = (f"{quote(name or f'field{i}')} {kind.duckdb}" for i, (name, kind) in enumerate(self.args))
            return f"STRUCT({', '.join(fields)})"
        return _DUCKDB[self.base]

    @property
    def hive(self) -> str:
        """The type as Glue stores it, such as ``decimal(12,2)`` or ``struct<a:bigint>``.

        Raises:
            QueryFailed: when a Hive table cannot have a column of this type.
        """
        if self.base == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.base == "array":
            return f"array<{self.args[0].hive}>"
        if self.base == "map":
            return f"map<{self.args[0].hive},{self.args[1].hive}>"
        if self.base == "row":
            return f"struct<{','.join(f'{name}:{kind.hive}' for name, kind in self.args)}>"
        if self.is_text and self.args:
            return f"{self.base}({self.args[0]})"
        if self.base not in _HIVE:
            raise not_supported(f"Unsupported Hive type: {self}")
        return _HIVE[self.base]

    @property
    def api_name(self) -> str:
        """The name that GetQueryResults gives it in ColumnInfo.Type."""
        return "float" if self.base == "real" else self.base

    @property
    def api_precision_scale(self) -> tuple[int, int]:
        """ColumnInfo.Precision and Scale, as Athena reports them."""
        if self.is_decimal:
            return self.precision, self.scale
        if self.is_text:
            return (int(self.args[0]) if self.args else 2147483647), 0
        return _API_PRECISION.get(self.base, 0), 0


def quote(name: str) -> str:
    """A DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def padded(sql: str, kind: Type) -> str:
    """Text as a value of type char(n), which is always n long."""
    return f"rpad({sql}, {kind.args[0]}, ' ')"


def text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


_INTEGER_DIGITS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19}
_DUCKDB = {
    "boolean": "BOOLEAN", "tinyint": "TINYINT", "smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT",
    "real": "FLOAT", "double": "DOUBLE", "varchar": "VARCHAR", "char": "VARCHAR", "varbinary": "BLOB", "date": "DATE",
    "time": "TIME", "timestamp": "TIMESTAMP", "timestamp with time zone": "TIMESTAMPTZ", "json": "JSON",
    "interval day to second": "INTERVAL", "interval year to month": "INTERVAL", "unknown": "VARCHAR",
    "uuid": "UUID",
}  # fmt: skip
_HIVE = {
    "boolean": "boolean", "tinyint": "tinyint", "smallint": "smallint", "integer": "int", "bigint": "bigint",
    "real": "float", "double": "double", "varchar": "string", "varbinary": "binary", "date": "date",
    "timestamp": "timestamp",
}  # fmt: skip
_API_PRECISION = {**_INTEGER_DIGITS, "double": 17, "real": 17, "timestamp": 3, "timestamp with time zone": 3}

BOOLEAN, INTEGER, BIGINT = Type("boolean"), Type("integer"), Type("bigint")
TINYINT, SMALLINT = Type("tinyint"), Type("smallint")
DOUBLE, REAL, VARCHAR, VARBINARY = Type("double"), Type("real"), Type("varchar"), Type("varbinary")
DATE, TIMESTAMP, TIME = Type("date"), Type("timestamp", (3,)), Type("time")
TIMESTAMP_TZ = Type("timestamp with time zone", (3,))
JSON, UNKNOWN = Type("json"), Type("unknown")
UUID = Type("uuid")
INTERVALS = ("interval day to second", "interval year to month")
INTERVAL_DAY, INTERVAL_YEAR = Type("interval day to second"), Type("interval year to month")


def decimal(precision: int, scale: int) -> Type:
    """A decimal type; a precision beyond 38 digits is cut to 38, as Trino does for results of arithmetic."""
    return Type("decimal", (min(MAX_PRECISION, precision), scale))


def zoned(digits: int, zone: str) -> Type:
    """A timestamp with time zone, of values that are all of one zone."""
    return Type("timestamp with time zone", (digits,) if zone == UTC else (digits, zone))


def array(element: Type) -> Type:
    return Type("array", (element,))


def as_decimal(kind: Type) -> Type:
    """The decimal type that an exact number has in decimal arithmetic: ``integer`` counts as ``decimal(10,0)``."""
    return kind if kind.is_decimal else decimal(_INTEGER_DIGITS[kind.base], 0)


def common(left: Type, right: Type) -> Type | None:
    """The type both sides are coerced to in a comparison, CASE or UNION; None when Trino has none.

    Source: Trino's TypeCoercion.getCommonSuperType.
    """
    if left == right or right.base == "unknown":
        return left
    if left.base == "unknown":
        return right
    if left.is_numeric and right.is_numeric:
        return common_number(left, right)
    if left.is_text and right.is_text and "char" in (left.base, right.base) and left.args and right.args:
        return Type("char", (max(left.args[0], right.args[0]),))
    if left.is_text and right.is_text:
        lengths = [kind.args[0] for kind in (left, right) if kind.args]
        return Type("varchar", (max(lengths),)) if len(lengths) == 2 else VARCHAR
    if left.base == right.base == "timestamp with time zone":
        zone = left.zone if left.zone == right.zone else SEVERAL_ZONES
        return zoned(max(left.args[0], right.args[0]), zone)
    if left.is_temporal and right.is_temporal:
        ranks = ("date", "timestamp", "timestamp with time zone")
        return max(left, right, key=lambda kind: (ranks.index(kind.base), kind.args))
    if left.base == right.base and left.base in ("array", "map") and len(left.args) == len(right.args):
        parts = tuple(common(a, b) for a, b in zip(left.args, right.args, strict=True))
        return None if None in parts else Type(left.base, parts)
    if left.base == right.base == "row" and len(left.args) == len(right.args):
        kinds = [common(a, b) for (_, a), (_, b) in zip(left.args, right.args, strict=True)]
        if None in kinds:
            return None
        return Type("row", tuple((name, kind) for (name, _), kind in zip(left.args, kinds, strict=True)))
    return left if left.base == right.base and left.base not in ("array", "map", "row") else None


def common_number(left: Type, right: Type) -> Type:
    """The type two numbers are coerced to."""
    for floating in ("double", "real"):
        if floating in (left.base, right.base):
            return Type(floating)
    if left.is_decimal or right.is_decimal:
        a, b = as_decimal(left), as_decimal(right)
        scale = max(a.scale, b.scale)
        return decimal(max(a.precision - a.scale, b.precision - b.scale) + scale, scale)
    return max(left, right, key=lambda kind: _INTEGER_DIGITS[kind.base])


@lru_cache(maxsize=4096)
def from_hive(spelling: str) -> Type:
    """The type of a Glue column.

    Raises:
        QueryFailed: when the type is unknown here.
    """
    kind, rest = _hive(re.sub(r"\s+", "", spelling.lower()))
    if rest:
        raise not_supported(f"Unsupported Hive type: {spelling}")
    return kind


_FROM_HIVE = {
    **{hive: Type(trino) for trino, hive in _HIVE.items()}, "integer": INTEGER, "timestamp": TIMESTAMP,
    "decimal": decimal(10, 0), "real": REAL,
}  # fmt: skip


def _hive(spelling: str) -> tuple[Type, str]:
    """Parse one type off the front of a Hive spelling; return it with what follows."""
    matched = re.match(r"[a-z_0-9]+", spelling)
    name = matched.group() if matched else ""
    rest = spelling[len(name) :]
    if name in ("decimal", "char", "varchar") and (numbers := re.match(r"\(([\d,]+)\)", rest)):
        args = tuple(int(n) for n in numbers.group(1).split(","))
        rest = rest[numbers.end() :]
        return Type(name, (*args, 0)[:2] if name == "decimal" else args), rest
    if name in ("array", "map", "struct") and rest.startswith("<"):
        parts: list[Any] = []
        rest = rest[1:]
        while True:
            if name == "struct":
                field, _, rest = rest.partition(":")
                kind, rest = _hive(rest)
                parts.append((field, kind))
            else:
                kind, rest = _hive(rest)
                parts.append(kind)
            separator, rest = rest[:1], rest[1:]
            if separator == ">":
                return Type("row" if name == "struct" else name, tuple(parts)), rest
            if separator != ",":
                raise not_supported(f"Unsupported Hive type: {spelling}")
    if name not in _FROM_HIVE:
        raise not_supported(f"Unsupported Hive type: {spelling}")
    return _FROM_HIVE[name], rest


_FROM_SQL = {
    exp.DType.BOOLEAN: BOOLEAN, exp.DType.TINYINT: TINYINT, exp.DType.SMALLINT: SMALLINT, exp.DType.INT: INTEGER,
    exp.DType.BIGINT: BIGINT, exp.DType.FLOAT: REAL, exp.DType.DOUBLE: DOUBLE, exp.DType.VARBINARY: VARBINARY,
    exp.DType.DATE: DATE, exp.DType.TIME: TIME, exp.DType.JSON: JSON, exp.DType.UUID: UUID,
}  # fmt: skip


_MAX_NUMBERS = {
    exp.DType.DECIMAL: 2, exp.DType.VARCHAR: 1, exp.DType.CHAR: 1, exp.DType.TIMESTAMP: 1, exp.DType.TIMESTAMPTZ: 1,
    exp.DType.TIME: 1,
}  # fmt: skip


def from_sql(node: exp.DataType) -> Type | None:
    """The type written in a CAST, or None when Trino has no such type."""
    kind = node.this
    numbers = tuple(int(part.name) for part in node.expressions if isinstance(part, exp.DataTypeParam))
    if len(numbers) > _MAX_NUMBERS.get(kind, 0):
        return None
    if kind == exp.DType.DECIMAL:
        return Type("decimal", (*numbers, 0)[:2] if numbers else (38, 0))
    if kind == exp.DType.VARCHAR:
        return Type("varchar", numbers)
    if kind == exp.DType.CHAR:
        return Type("char", numbers or (1,))
    if kind == exp.DType.TIMESTAMP:
        return Type("timestamp", numbers or (3,))
    if kind == exp.DType.TIMESTAMPTZ:
        return Type("timestamp with time zone", numbers or (3,))
    if kind in (exp.DType.ARRAY, exp.DType.MAP):
        parts = tuple(from_sql(part) for part in node.expressions)
        wanted = 1 if kind == exp.DType.ARRAY else 2
        return None if None in parts or len(parts) != wanted else Type("array" if wanted == 1 else "map", parts)
    if kind == exp.DType.STRUCT:
        fields = [
            (part.name.lower(), from_sql(part.args["kind"]))
            if isinstance(part, exp.ColumnDef)
            else ("", from_sql(part))
            for part in node.expressions
        ]
        return None if any(field is None for _, field in fields) else Type("row", tuple(fields))
    return _FROM_SQL.get(kind)
