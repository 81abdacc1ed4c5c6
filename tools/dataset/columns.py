"""Columns of a dataset as a sample suggests them: name, type, what is required, allowed or personal, and a key.

Everything inferred holds for every row of the sample; whether it holds for the next file, the reader must judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from contract.columns import RESERVED_COLUMNS, SQL_KEYWORDS

from spark_jobs.raw.model import Number
from tools.dataset import personal, values
from tools.dataset.sample import Sample

LINTER_WORDS = frozenset(
    """
    all array authorization bigint binary boolean both cache char column commit conf current cursor database
    decimal double exchange external fetch float floor following foreign function grant if ignore import int
    integer interval lateral less limit local macro map minus more none numeric offset only out over overlaps
    partialscan partition percent preceding precision preserve primary procedure range reads reduce references
    regexp respect revoke rlike rollback rows set smallint sync tablesample to transform trigger truncate
    unbounded uniquejoin update utc_tmestamp varchar
    """.split()  # noqa: SIM905
)
"""Words that sqlfluff's Athena dialect takes for itself, beside `SQL_KEYWORDS`."""
MAX_NAME = 50
KEY = re.compile(r"(.*_)?(id|no|nr|number|key|uuid|guid)")
LINE_WORDS = frozenset(
    {"line", "lineitem", "item", "sku", "product", "article", "quantity", "qty", "position", "pos", "variant"}
)
"""Words of columns that say that a row is a part of what an identifier names."""
MAX_ALLOWED, ROWS_PER_ALLOWED = 12, 4
"""A column has a list of allowed values when it has few, each on several rows."""
STORED_FORMATS = {"date": ["yyyy-MM-dd"], "timestamp": ["yyyy-MM-dd HH:mm:ss[.SSSSSS]"]}
"""How the dates of a file that stores them as such are written as text, whatever the sample has of them."""
KEY_ROWS = 20
"""How many rows must all differ in a column for it to be proved unique."""


@dataclass(frozen=True)
class ColumnGuess:
    """A column as the sample suggests it.

    `present` of `rows` rows have a value, and every one of them is of the type. `other_formats` would fit its dates as
    well. `trimmed` says that values have blanks around them. `personal` says why it is personal data, if it looks so.
    `doubt` says why it is text though it may be something else.
    """

    name: str
    source: str
    type: str
    rows: int
    present: int
    unique: bool = False
    personal: personal.Finding | None = None
    trimmed: bool = False
    format: str | None = None
    other_formats: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    doubt: str | None = None

    @property
    def required(self) -> bool:
        """Whether every row has a value."""
        return self.present == self.rows


def guess_columns(sample: Sample) -> list[ColumnGuess]:
    """Infer every column of a sample, in the file's order."""
    names = column_names(sample.columns)
    columns = [
        _guess(name, source, texts, sample.types.get(source))
        for name, (source, texts) in zip(names, sample.columns.items(), strict=True)
    ]
    # Where one column tells in which order day and month are, the others have the same.
    orders = {_order(c.format) for c in columns if c.format and not c.other_formats}
    return [_settled(column, orders) for column in columns]


def column_names(sources: Iterable[str]) -> list[str]:
    """Return for each source column a name that a contract accepts: `OrderID` becomes `order_id`.

    A name that is taken, reserved or a word of SQL gets something behind it.
    """
    names: list[str] = []
    for place, source in enumerate(sources, 1):
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", values.as_ascii(source))
        name = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")[:MAX_NAME].strip("_")
        if not name or not name[0].isalpha():
            name = f"column_{name or place}"
        if name in RESERVED_COLUMNS | SQL_KEYWORDS | LINTER_WORDS:
            name = f"{name}_value"
        while name in names:
            name = f"{name}_{place}"
        names.append(name)
    return names


def _guess(name: str, source: str, texts: Sequence[str | None], stored: str | None = None) -> ColumnGuess:
    """What the texts of a column tell, and the type that it is `stored` as, if it is."""
    received = [text for text in texts if text is not None and not values.is_blank(text)]
    present = [text.strip(" ") for text in received]
    distinct = sorted(set(present))
    identifier = values.IDENTIFIER.fullmatch(name) is not None
    inferred = (stored, STORED_FORMATS.get(stored, [])) if stored else values.type_of(values.words(source), present)
    found = None if inferred[0] == "boolean" else personal.finding(source, present)
    doubt = None
    # The numbers of JSON have no other points than decimal ones.
    written = not any(isinstance(text, Number) for text in received)
    if not stored and inferred[0].startswith("decimal") and written and values.may_be_thousands(present):
        doubt = f"points may part thousands; {inferred[0]} if they do not"
        inferred = ("string", [])
    # A hash takes the place of what is personal, so that it is a string whatever it is written like.
    type_name, formats = ("string", []) if identifier or found else inferred
    listed = type_name == "string" and not (found or identifier or doubt)
    few = 0 < len(distinct) <= min(MAX_ALLOWED, len(present) // ROWS_PER_ALLOWED)
    return ColumnGuess(
        name=name,
        source=source,
        type=type_name,
        rows=len(texts),
        present=len(present),
        unique=len(distinct) == len(texts) > 1,
        personal=found,
        trimmed=present != received,
        format=formats[0] if formats else None,
        other_formats=tuple(formats[1:]),
        allowed=tuple(distinct) if listed and few and all(value == value.strip() for value in distinct) else (),
        doubt=None if identifier or found else doubt,
    )


def _order(pattern: str) -> str:
    return "".join(dict.fromkeys(re.sub("[^yMd]", "", pattern)))


def _settled(column: ColumnGuess, orders: set[str]) -> ColumnGuess:
    """The column with the one of its patterns whose order of day and month other columns prove."""
    formats = [column.format, *column.other_formats] if column.format else []
    proved = [pattern for pattern in formats if _order(pattern) in orders]
    if column.other_formats and len(proved) == 1:
        return replace(column, format=proved[0], other_formats=())
    return column


def guess_key(dataset: str, columns: Sequence[ColumnGuess]) -> ColumnGuess | None:
    """Return the column that is the dataset's key: proved unique, and called the identifier of what a row is.

    Rows with the same key count once, so a wrong one would lose rows: `order_id` is the key of `orders`, but not where
    another column says that a row is one line of an order.
    """
    if any(LINE_WORDS & set(values.words(column.source)) for column in columns):
        own = {"", "row", "record", "line"}
    else:
        own = {"", "row", "record", *_singulars(dataset)}
    for column in columns:
        is_key = KEY.fullmatch(column.name) and column.name.rpartition("_")[0] in own
        if is_key and column.unique and column.required and column.rows >= KEY_ROWS and not column.personal:
            return column
    return None


def _singulars(dataset: str) -> set[str]:
    """What one of a dataset's rows may be called: `deliveries` are of a `delivery`."""
    endings = (("ies", "y"), ("es", ""), ("s", ""), ("", ""))
    return {dataset.removesuffix(plural) + singular for plural, singular in endings if dataset.endswith(plural)}
