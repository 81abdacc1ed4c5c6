"""How a CSV sample is written: delimiter, quote, and which of its lines are no records.

Everything is told from many lines. What a contract cannot say, or what the sample does not prove, is not guessed: such
lines are records then, and the account of the sample shows them as quarantined.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import median

from spark_jobs.raw.csv_file import SEPARATOR
from tools.dataset import values

DELIMITERS = ",;\t|\x01^~"
QUOTES = "\"'"
COMMENTS = ("#", "//", "--", "%", ";")
RECORD_LINES = 100
"""How many lines a record may have: what contracts say where they say nothing (`record_lines`)."""
LEAST_SHARE = 1 / 3
"""How many of the lines that are not blank must have the columns of a table for its delimiter to be one."""
MAX_FOOTER_LINES = 20

TOTAL = re.compile(
    r"\W*((grand|sub)?[ -]?totals?|sum|sums|(gesamt)?summe[n]?|gesamt|insgesamt|totaux|somme|totale|totali|totaal|"
    r"suma|razem|łącznie|soma|summa|totalt|итого|all|count|rows?|records?|lignes?|zeilen|eof|end of (file|report|data)|"
    r"trailer|trl|tlr|ftr|footer|end|[(]?[0-9,.]+ (rows?|records?)\b.*)\b.*",
    re.IGNORECASE | re.DOTALL,
)
"""How a line begins that ends a table: with its sum, or with how many rows it has."""


@dataclass(frozen=True)
class Row:
    """A record of a sample: the line on which it starts (from 0), how many it takes, its fields; None: it is broken."""

    line: int
    lines: int
    fields: list[str] | None

    @property
    def width(self) -> int:
        """How many fields it has, 0 where it is broken or blank."""
        return len(self.fields) if self.fields and any(text.strip() for text in self.fields) else 0

    @property
    def filled(self) -> int:
        """How many fields are not blank."""
        return sum(bool(text.strip()) for text in self.fields or ())


@dataclass(frozen=True)
class Layout:
    """Fields of a contract's `format`, those that differ from what is meant without them, and what speaks for each."""

    options: dict[str, str | int | bool] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    header: list[str] = field(default_factory=list)
    headerless: str | None = None
    """Why the first record looks like one without a header above it."""


def csv_layout(lines: Sequence[str], complete: bool, last: Sequence[str] = ()) -> Layout:
    """Tell the layout of a CSV file.

    Args:
        lines: its first lines.
        complete: whether these are all.
        last: its last lines, where they are not.
    """
    found = SEPARATOR.fullmatch(lines[0]) if lines else None
    told = [""] if found else []
    body = [*told, *lines[1:]] if found else lines
    best = _best(body, found[1] if found else DELIMITERS)
    if best is None:
        best = _Table(list(rows(body, ",", '"', False)), 1, ",", '"', False)
    options: dict[str, str | int | bool] = {"delimiter": best.delimiter}
    evidence = {"delimiter": f"{best.count:,} of {best.filled:,} lines have {best.width} columns"}
    if found:
        evidence["delimiter"] = f"the line {lines[0].strip()!r} says so"
    if best.quote != '"':
        options["quote"] = best.quote
    if best.multiline:
        options["multiline"] = True
        evidence["multiline"] = "values in quotes have line breaks"
    first, beginning = _beginning(best, body)
    for name, (value, why) in beginning.items():
        options[name], evidence[name] = value, why
    comment = options.get("comment")
    records = [row for row in best.rows if row.line >= first and not _is_comment(body[row.line], comment)]
    end = records if complete else list(rows(last, best.delimiter, best.quote, best.multiline))
    if footer := _footer(records, end, best.width, (last or lines or [""])[-1].endswith(("\n", "\r"))):
        options["footer_lines"], evidence["footer_lines"] = footer
        records = records if not complete else records[: -len(end) or None]
    header = next((row.fields for row in records if row.width), None)
    return Layout(options, evidence, header or [], headerless(records))


@dataclass(frozen=True)
class _Table:
    """What the lines are by one delimiter and quote: `width` is the number of columns that most records have."""

    rows: list[Row]
    width: int
    delimiter: str
    quote: str
    multiline: bool

    @property
    def count(self) -> int:
        return sum(row.lines for row in self.rows if row.width == self.width)

    @property
    def filled(self) -> int:
        return sum(row.lines for row in self.rows if row.width or row.fields is None)


def rows(lines: Sequence[str], delimiter: str, quote: str, multiline: bool) -> Iterator[Row]:
    """Yield every record of the lines, blank ones too. A broken one costs its first line, as in the job's reader."""
    at = 0
    while at < len(lines):
        given = iter(islice(lines, at, at + (RECORD_LINES if multiline else 1)))
        reader = csv.reader(given, delimiter=delimiter, quotechar=quote, strict=True, skipinitialspace=True)
        try:
            fields: list[str] | None = next(reader, [])
            taken = max(1, reader.line_num)
        except csv.Error:
            fields, taken = None, 1
        yield Row(at, taken, fields)
        at += taken


def _best(lines: Sequence[str], delimiters: str) -> _Table | None:
    """The table that most lines belong to, or None where there are no columns."""
    best, most = None, 0
    for delimiter in delimiters:
        if not any(delimiter in line for line in lines):
            continue
        for quote in QUOTES:
            if quote != '"' and not _quoted(lines, delimiter, quote):
                continue
            for multiline in (False, True):
                found = list(rows(lines, delimiter, quote, multiline))
                widths = Counter(row.width for row in found if row.width > 1)
                if not widths:
                    continue
                width = max(widths, key=lambda width: (widths[width], width))
                if multiline and not _line_breaks_are_values(found, lines, width, delimiter, quote):
                    continue
                table = _Table(found, width, delimiter, quote, multiline)
                if table.count > most and table.count >= max(2, LEAST_SHARE * table.filled):
                    best, most = table, table.count
    return best


def _quoted(lines: Sequence[str], delimiter: str, quote: str) -> bool:
    """Whether most lines have a value between two of these quotes."""
    value = re.compile(rf"(^|{re.escape(delimiter)}){quote}[^{quote}]*{quote}({re.escape(delimiter)}|\s*$)")
    filled = [line for line in lines if line.strip()]
    return 2 * sum(bool(value.search(line)) for line in filled) > len(filled)


def _line_breaks_are_values(found: list[Row], lines: Sequence[str], width: int, delimiter: str, quote: str) -> bool:
    """Whether records have several lines, and no line inside one is a record: such lie between two stray quotes."""
    several = [row for row in found if row.lines > 1 and row.fields is not None]
    inner = (line for row in several for line in lines[row.line + 1 : row.line + row.lines - 1])
    return bool(several) and not any(
        row.width == width for line in inner for row in rows([line], delimiter, quote, False)
    )


def _is_comment(line: str, comment: str | int | bool | None) -> bool:
    return isinstance(comment, str) and line.startswith(comment)


def _beginning(table: _Table, lines: Sequence[str]) -> tuple[int, dict[str, tuple[str | int, str]]]:
    """The line of the header (from 0), and what a contract says of those above it, and of comments."""
    for comment in (*COMMENTS, None):
        if comment and (comment[0] in (table.delimiter, table.quote) or not _has_comments(table, lines, comment)):
            continue
        records = [row for row in table.rows if row.width and not (comment and lines[row.line].startswith(comment))]
        usual = median([row.filled for row in records if row.width == table.width] or [0])
        # Some columns have no name; a title has one field of many.
        at_least = min(0.6 * usual, usual - 1)
        header = next((row for row in records if row.width == table.width and row.filled >= at_least), None)
        if header is None:
            continue
        after = [row for row in records if row.line >= header.line]
        if comment and headerless(after):
            # The header itself begins with the mark.
            continue
        told: dict[str, tuple[str | int, str]] = {}
        above = [line for line in lines[: header.line] if line.strip()]
        others = [line for line in above if not (comment and line.startswith(comment))]
        if others:
            told["skip_lines"] = (header.line, f"the table begins on line {header.line + 1}")
        below = sum(bool(comment) and line.startswith(f"{comment}") for line in lines[header.line :])
        if comment and (not others or below):
            count = below + (0 if others else len(above))
            told["comment"] = (comment, f"{count:,} lines begin so, and have no columns")
        return header.line, told
    return 0, {}


def _has_comments(table: _Table, lines: Sequence[str], comment: str) -> bool:
    """Whether lines begin with the mark, and none of them, unless above the first record, is a record."""
    marked = [row for row in table.rows if lines[row.line].startswith(comment)]
    first = next((row.line for row in table.rows if row.width and not lines[row.line].startswith(comment)), len(lines))
    return bool(marked) and all(row.line < first or row.width != table.width for row in marked)


def _footer(records: list[Row], end: list[Row], width: int, ended: bool) -> tuple[int, str] | None:
    """How many lines at the end of the file are no records, and why; `end` is shortened to them.

    `ended` says whether the last line has a line break.
    """
    body = [row for row in records if row.width == width][1:]
    filled = [row for row in end if row.width or row.fields is None]
    if len(body) < 2:
        return None
    taken = _notes(end, width)
    while taken < min(MAX_FOOTER_LINES, len(filled) - 1):
        row = filled[-1 - taken]
        above = [other for other in body if other.line < row.line] if end is records else body
        cut = row is filled[-1] and not ended
        if not (row.fields and (_is_total(row, above) if row.width == width else _ends(row, width, cut))):
            break
        taken += 1
    if not taken:
        return None
    end[:] = filled[len(filled) - taken :]
    lines = sum(row.lines for row in end)
    return lines, f"the file ends with {'totals' if end[0].width == width else 'text'}"


def _notes(end: list[Row], width: int) -> int:
    """How many of the last records have too few columns and stand below a blank line."""
    below: list[Row] = []
    for row in reversed(end[-MAX_FOOTER_LINES:]):
        if not row.fields:
            return len(below) if row.fields is not None else 0
        if row.width == width:
            break
        below += [row] * bool(row.width)
    return 0


def _ends(row: Row, width: int, cut: bool) -> bool:
    """Whether a record with fewer columns ends the table; one that may be `cut` short must say that it does."""
    fields = [text.strip() for text in row.fields or () if text.strip()]
    return row.width < width and bool(TOTAL.fullmatch(fields[0]) or (len(fields) == 1 and " " in fields[0] and not cut))


def _is_total(row: Row, above: list[Row]) -> bool:
    """Whether a record of all columns is the sum of those above it, which have values where it has none."""
    fields = row.fields or []
    missing = [at for at, text in enumerate(fields) if not text.strip()]
    only_here = [at for at in missing if all((other.fields or [])[at].strip() for other in above)]
    named = TOTAL.fullmatch(next(text for text in fields if text.strip())) and not any(
        TOTAL.fullmatch(text) for other in above for text in (other.fields or [])[:1]
    )
    sums = any(_adds_up(text, [(other.fields or [])[at] for other in above]) for at, text in enumerate(fields))
    return bool(above) and (bool(only_here and (named or sums)) or bool(named and sums))


def _adds_up(total: str, texts: list[str]) -> bool:
    numbers = [values.loose_number(text) for text in texts if text.strip()]
    given = values.loose_number(total)
    return bool(given) and len(numbers) > 1 and None not in numbers and sum(filter(None, numbers)) == given


def headerless(records: Sequence[Row]) -> str | None:
    """Say why the first of the records is no header, where its fields are written like the values below them."""
    filled = [row for row in records if row.width]
    if len(filled) < 2:
        return None
    names = filled[0].fields or []
    below = [row.fields for row in filled[1:1001] if row.fields and len(row.fields) == len(names)]
    below = [fields for fields in below if fields != names]
    alike = []
    for at, name in enumerate(names):
        texts = [fields[at] for fields in below if fields[at].strip()]
        if name.strip() and texts and _is_value(name, texts, names):
            alike.append(at + 1)
    if not alike:
        return None
    return f"column {alike[0]} of line {filled[0].line + 1} is written as in the lines below it"


def _is_value(name: str, texts: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a name is written as all the values below it, which is not how names are."""
    kind = values.kind(name)
    if kind == "number":
        # Years and places are names of columns, in tables of one column for each.
        scale = [int(other) for other in names if re.fullmatch("[0-9]{1,9}", other)]
        across = name.isdecimal() and len(scale) > 1 and scale == sorted(set(scale))
        return all(values.kind(text) == "number" for text in texts) and not (across or values.is_year(name))
    if kind in ("date", "email"):
        return all(values.kind(text) == kind for text in texts)
    shape = values.shape(name)
    return len(texts) > 1 and bool(re.search("[0-9{]", shape)) and all(values.shape(text) == shape for text in texts)
