"""How a CSV sample is written: delimiter, quote, and which of its lines are no records.

Everything is told from many lines. What a contract cannot say, or what the sample does not prove, is not guessed: such
lines are records then, and the account of the sample shows them as quarantined. Lines of which one may be the header
and another is taken for it are refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from statistics import median

from contract.columns import BLANKS
from contract.dataset import Format

from spark_jobs.raw.csv_file import DELIMITERS, SEPARATOR, rows_of
from spark_jobs.sample import contract_of
from tools.dataset import values

QUOTES = "\"'"
COMMENTS = ("#", "//", "--", "%", ";")
LEAST_SHARE = 1 / 3
"""How many of the lines that are not blank must have the columns of a table for its delimiter to be one."""
FIRST_LINES = 20
"""Among how many lines at the beginning one may tell the delimiter."""
MAX_FOOTER_LINES = 20
TITLE_WORDS = 3
"""From how many words on a text in the first column is the title of a table and no name of a column."""
SUM_DIGITS = 3
"""From how many digits on a sum that nothing names is none by chance."""
SCALE = {0: 3, 1: 4}
"""From how many numbers on, counted from 0 or 1, a line is a scale that names columns."""
AGAIN = 2
"""How often a text stands below itself when it is a value: names of columns may once more, with what explains them."""
BOOLEANS = {"true", "false", "True", "False", "TRUE", "FALSE"}
RUNNING = 3
"""From how many numbers on, each greater than the last by one, they count rows."""

TOTAL = re.compile(
    r"\W*((grand|sub|sum|general|overall)?[ -]?totals?( (amount|sum|general|général|geral|generale))?|sums?|"
    r"(gesamt)?summen?|gesamt(betrag)?|insgesamt|totaux|somme|totale|totali|totaal|suma|razem|łącznie|soma|summa|"
    r"totalt|итого)[\W\d]*([(]?[A-Z]{3}[)]?)?[\W\d]*",
    re.IGNORECASE,
)
"""What the sum of a table is called, and nothing more: `Total (EUR):`."""
END = re.compile(
    r"\W*(eof|end of (file|report|data)|(number of |total )?(rows?|records?|count|lignes?|zeilen)|"
    r"trailer|trl|tlr|ftr|footer|[0-9.,]+ (rows?|records?)( (selected|returned|affected|exported))?)[\W\d]*",
    re.IGNORECASE,
)
"""What a line says that only ends a table, or says how many rows it has: `(2 rows)`."""


@dataclass(frozen=True)
class Row:
    """A record of a sample: the line on which it starts (from 0), how many it takes, its fields; None: it is broken."""

    line: int
    lines: int
    fields: list[str] | None

    @property
    def width(self) -> int:
        """How many fields it has, 0 where it is broken or blank."""
        return len(self.fields) if self.fields and self.filled else 0

    @property
    def filled(self) -> int:
        """How many fields are not blank."""
        return sum(not values.is_blank(text) for text in self.fields or ())

    @property
    def named(self) -> int:
        """How many fields it has as far as the last that is not blank: a row may end there."""
        return max((at for at, text in enumerate(self.fields or (), 1) if not values.is_blank(text)), default=0)

    @property
    def first(self) -> str:
        """The first field that is not blank."""
        return next((text for text in self.fields or () if not values.is_blank(text)), "")


@dataclass(frozen=True)
class Layout:
    """Fields of a contract's `format`, those that differ from what is meant without them, and what speaks for each.

    `doubts` are what the sample does not prove, and `headerless` says why no line is the header without doubt.
    """

    options: dict[str, str | int | bool] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    header: list[str] = field(default_factory=list)
    doubts: tuple[str, ...] = ()
    headerless: str | None = None


def csv_layout(lines: Sequence[str], complete: bool, last: Sequence[str] = ()) -> Layout:
    """Tell the layout of a CSV file.

    Args:
        lines: its first lines.
        complete: whether these are all.
        last: its last lines, where they are not.
    """
    told = next((at for at, line in enumerate(lines[:FIRST_LINES]) if SEPARATOR.fullmatch(line)), None)
    separator = SEPARATOR.fullmatch(lines[told]) if told is not None else None
    body = ["" if at == told else line for at, line in enumerate(lines)]
    table = _best(body, separator[1] if separator else DELIMITERS)
    if table is None:
        table = _Table(rows(body, ",", '"', False), 1, ",", '"', False)
    options: dict[str, str | int | bool] = {"delimiter": table.delimiter}
    evidence = {"delimiter": f"{table.count:,} of {table.filled:,} lines have {table.width} columns"}
    if separator:
        evidence["delimiter"] = f"the line {separator[0].strip()!r} says so"
    if table.quote != '"':
        options["quote"] = table.quote
    if table.multiline:
        options["multiline"] = True
        evidence["multiline"] = "values in quotes have line breaks"
    first, beginning = _beginning(table, body)
    for name, (value, why) in beginning.items():
        options[name], evidence[name] = value, why
    comment = options.get("comment")
    records = [row for row in table.rows if row.line >= first and not _is_comment(body[row.line], comment)]
    header = next((row for row in records if row.width), None)
    if header is None:
        return Layout(options, evidence)
    above = [row for row in table.rows if row.line < first and row.width and not _is_comment(body[row.line], comment)]
    problem = headerless(records) or (_other_header(above[-1], body, records, table.width) if above else None)
    tail = body if complete else last
    end = table.rows if complete else rows(last, table.delimiter, table.quote, table.multiline)
    end = [row for row in end if not _is_comment(tail[row.line], comment) and (not complete or row.line > header.line)]
    footer, doubts = _footer(header, [row for row in records if row.line > header.line], end, complete)
    if footer is not None:
        nothing = BLANKS + table.delimiter + table.quote
        options["footer_lines"] = sum(bool(line.strip(nothing)) for line in tail[footer.line :])
        evidence["footer_lines"] = f"the file ends with {'totals' if footer.width >= header.named else 'text'}"
        if complete and not any(_is_comment(line, comment) for line in body[: footer.line]):
            # Those of the footer are counted there.
            options.pop("comment", None)
    return Layout(options, evidence, header.fields or [], doubts, problem)


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

    @property
    def mixed(self) -> int:
        """How many fields another delimiter would divide, other than numbers."""
        others = set(DELIMITERS) - {self.delimiter}
        texts = (text for row in self.rows for text in row.fields or ())
        return sum(not others.isdisjoint(text) and values.kind(text) != "number" for text in texts)


def rows(lines: Sequence[str], delimiter: str, quote: str, multiline: bool) -> list[Row]:
    """Every record of the lines as the jobs read them, blank ones too."""
    wanted = Format(type="csv", delimiter=delimiter, quote=quote, multiline=multiline)
    found = rows_of(lines, contract_of(wanted, ()))
    return [Row(line - 1, count, fields) for line, count, _, fields, _, _ in found]


def _best(lines: Sequence[str], delimiters: str) -> _Table | None:
    """The table that most lines belong to, or None where there are no columns.

    Of several that all lines belong to, the one whose fields hold the fewest of the others' delimiters.
    """
    tables: list[_Table] = []
    for delimiter in delimiters:
        if not any(delimiter in line for line in lines):
            continue
        for quote in QUOTES:
            if quote != '"' and not _quoted(lines, delimiter, quote):
                continue
            for multiline in (False, True):
                found = rows(lines, delimiter, quote, multiline)
                widths = Counter(row.width for row in found if row.width > 1)
                if not widths:
                    continue
                width = max(widths, key=lambda width: (widths[width], width))
                if multiline and not _line_breaks_are_values(found, lines, width, delimiter, quote):
                    continue
                table = _Table(found, width, delimiter, quote, multiline)
                if table.count >= max(2, LEAST_SHARE * table.filled):
                    tables.append(table)
    most = max((table.count for table in tables), default=0)
    return min((table for table in tables if table.count == most), key=lambda table: table.mixed, default=None)


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
        fitting = (row for row in records if row.named <= table.width <= row.width)
        header = next((row for row in fitting if row.filled >= at_least), None)
        if header is None:
            continue
        after = [row for row in records if row.line >= header.line]
        if comment and (headerless(after) or _is_marked_header(table, lines, comment, after)):
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


def _is_marked_header(table: _Table, lines: Sequence[str], comment: str, records: Sequence[Row]) -> bool:
    """Whether the line above the first of the records has as many fields, and nothing proves that to be the header."""
    above = [row for row in table.rows if row.width and row.line < records[0].line]
    marked = bool(above) and above[-1].width == table.width and lines[above[-1].line].startswith(comment)
    return marked and not _is_proved(records[0], records[1:1001])


def _has_comments(table: _Table, lines: Sequence[str], comment: str) -> bool:
    """Whether lines begin with the mark, and none of them, unless above the first record, is a record."""
    marked = [row for row in table.rows if lines[row.line].startswith(comment)]
    first = next((row.line for row in table.rows if row.width and not lines[row.line].startswith(comment)), len(lines))
    return bool(marked) and all(row.line < first or row.width != table.width for row in marked)


def _other_header(above: Row, lines: Sequence[str], records: Sequence[Row], width: int) -> str | None:
    """Say why the line above the first of the records may be the header itself, and that a record."""
    header, *below = [row for row in records if row.width][:1001]
    names = [text.strip() for text in (above.fields or ())[: above.named]]
    if not all(values.kind(name) == "text" and not name.endswith(":") for name in names if name):
        return None
    line = lines[above.line]
    title = len(names) == 1 and len(names[0].split()) >= TITLE_WORDS
    title = title and not any(line.count(delimiter) + 1 == width for delimiter in DELIMITERS)
    next_to = above.line + above.lines == header.line
    if len(names) != max(row.named for row in (header, *below)) and (title or not next_to or _is_proved(header, below)):
        return None
    return f"line {above.line + 1} may name the columns, but has {len(names)} of the {width} fields of those below it"


def _is_proved(header: Row, below: Sequence[Row]) -> bool:
    """Whether a field of the header is a text above values that are none."""
    for at, name in enumerate(header.fields or ()):
        texts = [row.fields[at] for row in below if row.fields and at < len(row.fields)]
        kinds = {values.kind(text) for text in texts if not values.is_marker(text)}
        if kinds and "text" not in kinds and values.kind(name) == "text" and not values.is_marker(name):
            return True
    return False


def _footer(header: Row, body: Sequence[Row], end: Sequence[Row], complete: bool) -> tuple[Row | None, tuple[str, ...]]:
    """The first of the records at the end of the file that are none, and what else may be one.

    `body` are the records below the header, `end` the last ones; with `complete`, the same.
    """
    body = [row for row in body if header.named <= row.width <= header.width]
    filled = [row for row in end if row.width or row.fields is None]
    if len(body) < 2 or not filled:
        return None, ()
    notes = _notes(end, header.named, body)
    first = None
    for taken, row in enumerate(reversed(filled[1:][-MAX_FOOTER_LINES:])):
        above = [other for other in body if other.line < row.line] if complete else body
        if taken >= notes and not _ends(row, header, above, complete):
            break
        first = row
    if first is None and _may_end(filled[-1], header, [row for row in body if row is not filled[-1]]):
        return None, ("the last line may end the table: if all files end so, leave it out by footer_lines: 1",)
    return first, ()


def _notes(end: Sequence[Row], least: int, body: Sequence[Row]) -> int:
    """How many of the last records have too few columns, stand below a blank line, and are not written as records, nor
    as those of another table.
    """
    below: list[Row] = []
    for row in reversed(end[-MAX_FOOTER_LINES:]):
        if row.fields is None or row.width >= least:
            break
        if row.width:
            below.append(row)
        elif below:
            widths = {row.width for row in below}
            table = len(below) > 1 and len(widths) == 1 and widths != {1}
            like = values.shape(below[-1].first) in {values.shape(other.first) for other in body}
            return 0 if table or like else len(below)
    return 0


def _ends(row: Row, header: Row, above: Sequence[Row], complete: bool) -> bool:
    """Whether a record ends the table: one with fewer columns that says so, or the sum of those above it."""
    total = bool(TOTAL.fullmatch(row.first)) and not any(TOTAL.fullmatch(other.first) for other in above)
    end = bool(END.fullmatch(row.first))
    if row.width < header.named:
        return total or end
    fields = row.fields or []
    columns = [[(other.fields or [])[at] for other in above if at < other.width] for at in range(len(fields))]
    blank = [at for at, text in enumerate(fields) if values.is_blank(text)]
    only_here = [at for at in blank if columns[at] and not any(values.is_blank(text) for text in columns[at])]
    if end:
        counted = complete and f"{len(above)}" in (text.strip().lstrip("0") for text in fields)
        return bool(only_here) and (row.filled == 1 or counted)
    sums = [
        at
        for at, (name, total_of) in enumerate(zip(header.fields or (), columns, strict=False))
        if at < len(fields) and not _is_running(name, total_of) and _adds_up(fields[at], total_of, complete)
    ]
    if total:
        return bool(sums) and (complete or bool(only_here))
    # Without a name, all of it must be sums, and none by chance.
    telling = all(len(re.sub(r"\D", "", fields[at])) >= SUM_DIGITS for at in sums)
    return complete and 0 in only_here and len(sums) == row.filled and telling


def _may_end(row: Row, header: Row, above: Sequence[Row]) -> bool:
    """Whether a record has fewer columns, no more than one of them filled, no first one, or the name of a sum."""
    if not row.fields or row.width < header.named or TOTAL.fullmatch(row.first):
        return bool(row.fields)
    nameless = values.is_blank(row.fields[0]) and not any(values.is_blank((other.fields or [""])[0]) for other in above)
    return bool(above) and (nameless or row.filled == 1 < min(other.filled for other in above))


def _is_running(name: str, texts: Sequence[str]) -> bool:
    """Whether a column tells rows apart, by its name or as it counts them: a sum of it says nothing."""
    if values.IDENTIFIER.fullmatch("_".join(values.words(name))):
        return True
    numbers = [int(text) for text in texts if re.fullmatch(r"\s*[0-9]{1,18}\s*", text)]
    return len(numbers) == len(texts) >= RUNNING and _by_same(numbers) == 1


def _by_same(numbers: Sequence[int]) -> int:
    """By how much each of several numbers is greater than the last, 0 where that is not always the same."""
    steps = {after - before for before, after in pairwise(numbers)}
    return max(0, steps.pop()) if len(steps) == 1 else 0


def _adds_up(total: str, texts: Sequence[str], complete: bool) -> bool:
    """Whether a number is the sum of the others, or greater, where they are not all."""
    numbers = [values.loose_number(text) for text in texts if not values.is_marker(text)]
    given = values.loose_number(total)
    if given is None or None in numbers or sum(bool(number) for number in numbers) < 2:
        return False
    known = sum(filter(None, numbers), Decimal(0))
    return given == known if complete else given > known > 0


def headerless(records: Sequence[Row]) -> str | None:
    """Say why the first of the records is no header, where its fields are written like the values below them."""
    filled = [row for row in records if row.width]
    if len(filled) < 2:
        return None
    names = filled[0].fields or []
    below = [row.fields for row in filled[1:1001] if row.fields and len(row.fields) == len(names)]
    bare = [name.strip() for name in names]
    below = [fields for fields in below if [text.strip() for text in fields] != bare]
    scale = _scale(names, below)
    alike = []
    for at, name in enumerate(names):
        texts = [fields[at] for fields in below if not values.is_marker(fields[at])]
        if at not in scale and name.strip() and texts and _is_value(name, texts):
            alike.append(at + 1)
    if not alike:
        return None
    return f"column {alike[0]} of line {filled[0].line + 1} is written as in the lines below it"


def _scale(names: Sequence[str], below: Sequence[Sequence[str]]) -> list[int]:
    """Which columns are named by places or years, in tables of one column for each; from 0."""
    numbered = [at for at, name in enumerate(names) if re.fullmatch(r"\s*[0-9]{1,9}\s*", name)]
    scale = [int(names[at]) for at in numbered]
    years = len(scale) > 1 and all(values.is_year(names[at]) for at in numbered)
    counted = len(scale) > 1 and _by_same(scale) == 1 and len(scale) >= SCALE.get(scale[0], len(scale) + 1)
    if not (counted or (years and _by_same(scale))):
        return []
    after = [values.loose_number(below[0][at]) for at in numbered] if below else []
    # Where the next line counts on, both may be records.
    return [] if after and after[0] is not None and scale[0] < after[0] <= scale[-1] + 1 else numbered


def _is_value(name: str, texts: Sequence[str]) -> bool:
    """Whether a name is written as all the values below it, which is not how names are."""
    kind = values.kind(name)
    if kind == "number":
        # A year is the name of a column, unless it is one of years.
        is_name = values.is_year(name) and not all(values.is_year(text) for text in texts)
        return not is_name and all(values.kind(text) == "number" for text in texts)
    if kind in ("date", "email"):
        return all(values.kind(text) == kind for text in texts)
    again = [text.strip() for text in texts].count(name.strip())
    # What is the same in all lines may be a mark that has a name like itself.
    if AGAIN <= again < len(texts) or {name, *texts} <= BOOLEANS:
        return True
    shape = values.shape(name)
    return len(texts) > 1 and bool(re.search("[0-9{]", shape)) and all(values.shape(text) == shape for text in texts)
