"""Date format patterns of Trino (MySQL's and Joda's) as DuckDB's strftime patterns."""

from __future__ import annotations

import re

from localaws.athena.errors import QueryFailed, not_supported

_MYSQL = {
    "%a": "%a", "%b": "%b", "%c": "%-m", "%d": "%d", "%e": "%-d", "%f": "%f", "%H": "%H", "%h": "%I", "%I": "%I",
    "%i": "%M", "%j": "%j", "%k": "%-H", "%l": "%-I", "%M": "%B", "%m": "%m", "%p": "%p", "%r": "%I:%M:%S %p",
    "%S": "%S", "%s": "%S", "%T": "%H:%M:%S", "%v": "%V", "%W": "%A", "%Y": "%Y", "%y": "%y", "%%": "%%",
}  # fmt: skip
_JODA = {
    "yyyy": "%Y", "YYYY": "%Y", "y": "%Y", "Y": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m",
    "dd": "%d", "d": "%-d", "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S",
    "s": "%-S", "SSS": "%g", "SSSSSS": "%f", "a": "%p", "EEEE": "%A", "EEE": "%a", "E": "%a", "DDD": "%j", "D": "%-j",
    "e": "%u", "ww": "%V", "xxxx": "%G",
}  # fmt: skip


def from_mysql(pattern: str) -> str:
    """The strftime pattern of a ``date_format``/``date_parse`` pattern.

    Raises:
        QueryFailed: for a specifier that Trino refuses, or that has no counterpart here.
    """

    def specifier(found: re.Match[str]) -> str:
        code = found.group()
        if code in ("%D", "%U", "%u", "%V", "%w", "%X"):  # refused by Trino too
            raise QueryFailed(f"INVALID_FUNCTION_ARGUMENT: {code} not supported in date format string")
        if code not in _MYSQL:
            raise not_supported(f"date format specifier {code}")
        return _MYSQL[code]

    return re.sub(r"%.", specifier, pattern)


def from_joda(pattern: str) -> str:
    """The strftime pattern of a ``format_datetime``/``parse_datetime`` pattern.

    Raises:
        QueryFailed: for a letter that has no counterpart here.
    """
    result = []
    for quoted, letters, other in re.findall(r"('(?:[^']|'')*')|([A-Za-z]+)|([^A-Za-z']+)", pattern):
        if quoted:
            result.append("'" if quoted == "''" else quoted[1:-1].replace("''", "'").replace("%", "%%"))
        elif letters:
            for run in re.finditer(r"([A-Za-z])\1*", letters):
                if run.group() not in _JODA:
                    raise not_supported(f"datetime format letters {run.group()}")
                result.append(_JODA[run.group()])
        else:
            result.append(other.replace("%", "%%"))
    return "".join(result)
