"""What the independent computations share: finding day files, and writing values as Athena shows them.

Nothing here or in the other `expected_*` modules imports the project: what they say is worked out from the raw files,
by hand, in plain Python.
"""

import re
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

DAY = re.compile(r"(?:ds=)?(\d{4}-\d{2}-\d{2})(?:\.[a-z.]+)?")


def days_of(folder):
    """Raw files by date, both in order: `<folder>/D.csv`, or `<folder>/ds=D/<any name>`."""
    days = {}
    for path in sorted(Path(folder).iterdir()):
        if match := DAY.fullmatch(path.name):
            files = sorted(path.iterdir()) if path.is_dir() else [path]
            days[match[1]] = [file for file in files if not file.name.startswith(("_", "."))]
    return days


def rounded(value, places):
    """A rational number as a decimal of `places`, exactly half up (away from zero)."""
    scaled = abs(Fraction(value)) * 10**places
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Decimal(whole if value >= 0 else -whole).scaleb(-places)


def ratio(dividend, divisor, places):
    """`dividend / divisor` rounded half up, or None where there is nothing to divide by."""
    return rounded(Fraction(dividend) / Fraction(divisor), places) if divisor else None


def money(value, places=2):
    """A decimal with exactly `places` decimals; it must not have more, for nothing is rounded here."""
    exact = value.quantize(Decimal(1).scaleb(-places))
    assert exact == value, f"{value} has more than {places} decimals"
    return exact


def text(value):
    """A value as Athena shows it, NULL as an empty string."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def rows(table):
    """Rows of text, in no order that matters."""
    return sorted((tuple(text(value) for value in row) for row in table), key=str)


def sum_of(values):
    """A sum that is a decimal even of nothing."""
    return sum(values, Decimal(0))


def month_of(ds):
    """The first day of the month, as text."""
    return f"{ds[:7]}-01"


def is_date(value):
    """Whether a text is a date written YYYY-MM-DD."""
    try:
        return re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) is not None and date.fromisoformat(value) is not None
    except ValueError:
        return False


def csv_fields(line, width):
    """The fields of one line (bytes) of CSV without newlines inside quotes, or the rule that it breaks.

    Returns:
        `(fields, None)` or `(None, rule)`.
    """
    try:
        rest = line.decode("utf-8")
    except UnicodeDecodeError:
        return None, "not_text"
    fields = []
    while True:
        match = re.match(r'"((?:[^"]|"")*)"(?=,|$)|([^",][^,]*)?(?=,|$)', rest)
        if match is None:
            return None, "malformed_record"
        fields.append(match[1].replace('""', '"') if match[1] is not None else match[2] or "")
        if match.end() == len(rest):
            break
        rest = rest[match.end() + 1 :]
    return (fields, None) if len(fields) == width else (None, "wrong_field_count")


def csv_lines(paths, header):
    """`(fields, rule)` of every line that is not empty, of several files whose header must be `header`."""
    for path in paths:
        lines = path.read_bytes().replace(b"\r\n", b"\n").split(b"\n")
        found = lines[0].decode("utf-8-sig").split(",")
        assert found == header, f"{path}: {found}"
        yield from (csv_fields(line, len(header)) for line in lines[1:] if line)
