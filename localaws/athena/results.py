"""Query results as Athena keeps them: the CSV or text file, its metadata, and the pages that GetQueryResults gives."""

from __future__ import annotations

import itertools
import json
import math
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from localaws.athena import types
from localaws.athena.types import Type

Row = list[str | None]


@dataclass(frozen=True)
class Column:
    """A result column, under the name that the caller sees.

    Hive answers SHOW and DESCRIBE, so that what they tell is a Hive `string`.
    """

    name: str
    type: Type
    of_hive: bool = False

    def info(self) -> dict[str, Any]:
        """Its ColumnInfo: https://docs.aws.amazon.com/athena/latest/APIReference/API_ColumnInfo.html"""
        precision, scale = (0, 0) if self.of_hive else self.type.api_precision_scale
        return {
            "CatalogName": "hive",
            "SchemaName": "",
            "TableName": "",
            "Name": self.name,
            "Label": self.name,
            "Type": "string" if self.of_hive else self.type.api_name,
            "Precision": precision,
            "Scale": scale,
            "Nullable": "UNKNOWN",
            "CaseSensitive": self.type.is_text and not self.of_hive,
        }


def as_text(value: Any, kind: Type) -> str | None:
    """A value as Athena writes it into a result file; None for NULL."""
    if value is None:
        return None
    if kind.base == "boolean":
        return "true" if value else "false"
    if kind.is_floating:
        return _float(value, kind)
    if kind.is_decimal:
        return f"{value:.{kind.scale}f}"
    if kind.base == "timestamp" and not isinstance(value, str):
        digits = int(kind.args[0])
        fraction = f"{value.microsecond:06d}"[:digits].ljust(digits, "0")
        return f"{value.year:04d}-{value:%m-%d %H:%M:%S}" + (f".{fraction}" if digits else "")
    if kind.base == "varbinary":
        return " ".join(f"{byte:02x}" for byte in value)
    if kind.base == "interval day to second":
        return _interval(value.total_seconds())
    if kind.base == "array":
        return f"[{', '.join(_nested(item, kind.args[0]) for item in value)}]"
    if kind.base == "map":
        pairs = (f"{_nested(key, kind.args[0])}={_nested(item, kind.args[1])}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if kind.base == "row":
        items = zip(value.values(), kind.args, strict=True)
        fields = (f"{name or f'field{i}'}={_nested(item, of)}" for i, (item, (name, of)) in enumerate(items))
        return f"{{{', '.join(fields)}}}"
    return str(value)


def _nested(value: Any, kind: Type) -> str:
    text = as_text(value, kind)
    return "null" if text is None else text


def _float(value: float, kind: Type) -> str:
    """Shortest digits that are the value, spelled as Java does: 1.0, 1.0E10, NaN, Infinity."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    number = Decimal(repr(value) if kind.base == "double" else _shortest_float32(value))
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        plain = f"{number.normalize():f}"
        return plain if "." in plain else f"{plain}.0"
    sign, digits, exponent = number.normalize().as_tuple()
    fraction = "".join(map(str, digits[1:])) or "0"
    return f"{'-' * sign}{digits[0]}.{fraction}E{int(exponent) + len(digits) - 1}"


def _shortest_float32(value: float) -> str:
    same = struct.pack("f", value)
    shortened = (f"{value:.{digits}g}" for digits in range(1, 9))
    return next((text for text in shortened if struct.pack("f", float(text)) == same), f"{value:.9g}")


def _interval(seconds: float) -> str:
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{sign}{int(days)} {int(hours):02d}:{int(minutes):02d}:{rest:06.3f}"


def write_csv(columns: list[Column], rows: Iterable[Iterable[Any]]) -> bytes:
    """The result file of a SELECT: a header, every value quoted, NULL as nothing at all."""
    lines = [_line([column.name for column in columns])]
    lines += (
        _line([as_text(value, column.type) for value, column in zip(row, columns, strict=True)]) for row in rows
    )  # fmt: skip
    return "".join(lines).encode()


def _line(values: Row) -> str:
    return ",".join("" if value is None else '"' + value.replace('"', '""') + '"' for value in values) + "\n"


def write_metadata(columns: list[Column]) -> bytes:
    """The ``.metadata`` file beside a result. Athena's own is binary and undocumented; ours is JSON."""
    return json.dumps({"ColumnInfo": [column.info() for column in columns]}).encode()


_FIELD = re.compile(rb'"((?:[^"]|"")*)"|')


def read_csv(body: bytes, start: int, limit: int) -> tuple[list[Row], int]:
    """Up to `limit` rows of a result file from byte `start`, and the byte after them."""
    pairs = list(itertools.islice(_rows(body, start), limit))
    return [row for row, _ in pairs], pairs[-1][1] if pairs else start


def _rows(body: bytes, start: int) -> Iterator[tuple[Row, int]]:
    while start < len(body):
        row: Row = []
        while True:
            field = _FIELD.match(body, start)
            if field is None:
                raise ValueError(f"the result file is damaged at byte {start}")
            quoted = field.group(1)
            row.append(None if quoted is None else quoted.replace(b'""', b'"').decode())
            start = field.end() + 1
            if body[field.end() : start] != b",":
                break
        yield row, start


def text_columns(*names: str) -> list[Column]:
    """Columns of text, as catalog statements return."""
    return [Column(name, types.VARCHAR, of_hive=True) for name in names]
