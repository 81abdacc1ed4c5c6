"""Files of every format, with every kind of odd line, and what a reader must make of them, known as they are made."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from contract.dataset import Contract
from hypothesis import strategies as st

from tests.unit.spark_jobs.contracts import contract_of

COLUMNS: tuple[dict[str, Any], ...] = (
    {"name": "id", "required": True},
    {"name": "amount", "type": "decimal(10,2)"},
    {"name": "count", "type": "int"},
    {"name": "big", "type": "bigint"},
    {"name": "ratio", "type": "double"},
    {"name": "day", "type": "date"},
    {"name": "at", "type": "timestamp", "format": "yyyy-MM-dd HH:mm:ss[.SSSSSS][XXX]"},
    {"name": "flag", "type": "boolean", "optional": True},
    {"name": "note", "optional": True},
)
NAMES = tuple(column["name"] for column in COLUMNS)
FIELDS: dict[str, Any] = {
    "load_mode": "upsert",
    "key": ("id",),
    "rules": (
        {"name": "negative", "condition": "count < 0", "action": "drop", "description": "Counts down"},
        {"name": "large", "condition": "amount > 1000000", "action": "quarantine", "description": "Too much"},
    ),
}
NOTHING = " \t\r\n\u00a0\u200b\ufeff"
NULLS = ("NA", "-")
TEXTS: dict[str, tuple[str, ...]] = {
    "id": ("a", "b", "c1", "c2", "d", "é", "x y", "007", "e" * 40, "", " "),
    "amount": ("1", "1.5", "-0.01", "+7.25", "00012.30", "99999999.99", "1000000.01", "0", "1.505", "1e3", ".5", "1,5",
               "100000000.00", "x", "", "NA", " - "),
    "count": ("1", "-1", "+2", "2147483647", "2147483648", "-2147483648", "007", "1.0", "", "\u0661", "-"),
    "big": ("9223372036854775807", "9223372036854775808", "-9223372036854775808", "0", "1_0", ""),
    "ratio": ("1", "1.", ".5", "1e3", "-0.0", "1e309", "NaN", "Infinity", "0x1", "1d", "", "NA"),
    "day": ("2025-06-30", "2024-02-29", "2025-02-29", "0001-01-01", "9999-12-31", "0000-01-01", "2025-6-30", "", "NA"),
    "at": ("2025-06-30 12:00:00", "2025-06-30 12:00:00.1", "2025-06-30 12:00:00.123456", "2025-06-30 12:00:00.1234567",
           "2025-06-30 23:30:00-04:00", "2025-06-30 12:00:00.5Z", "9999-12-31 23:30:00-01:00", "2025-06-30 24:00:00",
           "2025-06-30T12:00:00", "1900-01-01 00:00:00+00:19", ""),
    "flag": ("true", "FALSE", "yes", "", "1"),
    "note": ("", "plain", "two words", "äö", " edge ", "\u00a0", "\u200b", "q\"q", "d;d", "d,d", "it's", "x\ty",
             "NA", "#"),
}  # fmt: skip
"""Texts of each column, good ones first and of most kinds of bad ones; none begins as a comment does."""
WIDE = ("€uro", "日本語", "𝄞")
BAD_BYTES = {"utf-8": b"\xff", "latin-1": b"\x85", "windows-1252": b"\x81", "utf-16": b"\x00\xd8"}
CODECS = {"windows-1252": "cp1252", "utf-16": "utf-16-le"}
PLACE = "\ue000"
"""Stands for bytes that are no text until the file is encoded."""


@dataclass(frozen=True)
class Line:
    """What one line, element or row of a file is: a record with its values, or what rule it breaks, or no record."""

    kind: str
    values: tuple[str | None, ...] | None = None
    rule: str | None = None
    extra: dict[str, Any] | None = None
    lines: int = 1


@dataclass
class File:
    """A file as a sender may make it. `lines` is None where nobody knows what is in it."""

    name: str
    content: bytes
    contract: Contract
    lines: list[Line] | None = field(default_factory=list)
    fails: bool = False


def _weighted(*choices: Any) -> st.SearchStrategy[Any]:
    """One of the choices; the first of them half of the time."""
    return st.sampled_from((choices[0],) * max(len(choices) - 1, 1) + choices[1:])


def _rows(goodness: int) -> st.SearchStrategy[dict[str, str]]:
    """A text for each column; with a greater `goodness` more are good."""
    good = {name: texts[: {"id": 6, "ratio": 3, "at": 3, "count": 3}.get(name, 4)] for name, texts in TEXTS.items()}
    return st.fixed_dictionaries({name: st.sampled_from(good[name] * goodness + TEXTS[name]) for name in NAMES})


GOODNESS = (1, 4, 12)
ROWS = {goodness: _rows(goodness) for goodness in GOODNESS}


def _given(text: str | None, nulls: tuple[str, ...]) -> str | None:
    return None if text is not None and text.strip(NOTHING) in nulls else text


NO_RECORDS = ("blank", "comment", "header", "sep")
ODD_KINDS = (*NO_RECORDS, "count", "open", "not_text", "bom", "lines", "padded")
KINDS = ("record",) * 40 + ODD_KINDS * 4 + ("turned",)
"""What a line of CSV may be."""


@dataclass
class Sheet:
    """What a CSV file is written with, and its lines so far."""

    delimiter: str
    quote: str
    encoding: str
    multiline: bool
    comment: str | None
    nulls: tuple[str, ...]
    header: list[str]
    keep: bool
    texts: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def add(self, text: str, line: Line) -> None:
        self.texts.append(text)
        self.lines.append(line)

    def quoted(self, value: str, always: bool = False) -> str:
        special = value.startswith(("#", "//")) or any(mark in value for mark in (self.delimiter, self.quote, "\n"))
        return f"{self.quote}{value.replace(self.quote, self.quote * 2)}{self.quote}" if always or special else value

    def add_no_record(self, draw: st.DrawFn, kind: str, head: str) -> None:
        """A line that is none, if the file may have one of the kind."""
        blanks = ("", "  ", self.delimiter * (len(self.header) - 1), f" {self.delimiter}\u00a0", self.delimiter * 3)
        if kind == "blank":
            self.add(draw(st.sampled_from(blanks)), Line("blank"))
        elif kind == "header":
            self.add(draw(st.sampled_from((head, head.rstrip(self.delimiter)))), Line("header"))
        elif kind == "sep":
            told = f"sep={self.delimiter}"
            again = f"{told}{self.delimiter * 2}", f"{self.quote}{told.upper()}{self.quote}{self.delimiter}"
            self.add(draw(st.sampled_from((told, *again))), Line("skipped"))
        elif self.comment:
            self.add(f"{self.comment}{self.delimiter} {self.quote}", Line("comment"))

    def add_record(self, draw: st.DrawFn, kind: str, row: dict[str, str]) -> None:
        """A record, whole or broken as `kind` says."""
        wide = self.encoding in ("utf-8", "utf-16")
        if not wide:
            row = {name: text.replace("\u200b", "").replace("\u0661", "x") for name, text in row.items()}
        elif draw(_weighted(False, True)):
            row = row | {"note": draw(st.sampled_from(WIDE))}
        if kind == "lines" and self.multiline and "note" in self.header:
            row = row | {"note": "two\nlines"}
        more = draw(st.sampled_from(("extra", *self.nulls[:1])))
        values = [row.get(name, more) for name in self.header]
        if not any(value.strip(NOTHING) for value in values):
            return
        rule = None
        if kind == "count":
            named = max(at for at, name in enumerate(self.header, 1) if name)
            values = [*values, "more"] if draw(st.booleans()) else ["few", *values[1 : named - 1]]
            rule = "wrong_field_count"
        always = draw(_weighted(False, True))
        fields = [self.quoted(value, always) for value in values]
        if kind == "padded":
            fields = [f" {text} " if text.startswith(self.quote) else text for text in fields]
        text = self.delimiter.join(fields)
        if kind == "open" and not self.multiline:
            text, rule = f"{self.quote}{values[0].replace(self.quote, '')}{self.delimiter}open", "malformed_record"
        if kind == "not_text":
            text, rule = text.replace("\n", " ") + draw(st.sampled_from((PLACE, "\0"))), "not_text"
        if kind == "bom" and wide:
            text = f"\ufeff{text}"
        read = tuple(_given(row[name], self.nulls) if name in self.header else None for name in NAMES)
        extra = {"more": _given(more, self.nulls)} if self.keep and "more" in self.header else None
        lines = 1 + text.count("\n")
        self.add(text, Line("record", None, rule, lines=lines) if rule else Line("record", read, None, extra, lines))


@st.composite
def csv_files(draw: st.DrawFn) -> File:
    """A CSV file with options and lines of every kind."""
    skip, footer, keep = draw(_weighted(0, 1, 3)), draw(_weighted(0, 1, 2)), draw(st.booleans())
    optional = ("flag", "note")
    present = [
        name for name in draw(st.permutations(NAMES)) if name not in optional or draw(_weighted(True, True, False))
    ]
    others = draw(_weighted([], ["more"], ["more", ""], ["", ""]))
    mistake = draw(st.sampled_from((None,) * 20 + ("missing", "twice")))
    if mistake == "missing":
        present.remove("amount")
    elif mistake == "twice":
        others = ["id"]
    sheet = Sheet(
        delimiter=draw(st.sampled_from(",;\t|")),
        quote=draw(_weighted('"', "'")),
        encoding=draw(st.sampled_from(("utf-8", "utf-8", "latin-1", "windows-1252", "utf-16"))),
        multiline=draw(_weighted(False, False, True)),
        comment=draw(_weighted(None, "#", "//")),
        nulls=draw(_weighted((), NULLS)),
        header=[*present, *others],
        keep=keep,
    )
    head = sheet.delimiter.join(draw(_weighted(name, f" {name}", f"{name}\u00a0")) for name in sheet.header)

    for _ in range(skip):
        text = draw(st.sampled_from(("Report", "", 'a "stray quote', "x;y,z", sheet.delimiter)))
        sheet.add(text, Line("skipped"))
    sep = draw(st.sampled_from((None,) * 12 + ("^",)))
    if sep:
        sheet.add(f"sep={sep}", Line("skipped"))
    for kind in draw(_weighted((), ("blank",), ("sep",), ("comment", "blank", "sep", "blank"))):
        sheet.add_no_record(draw, kind, head)
    sheet.add(head, Line("header"))
    goodness = draw(st.sampled_from(GOODNESS))
    kinds = draw(st.lists(st.sampled_from(KINDS), max_size=12))
    for kind in kinds:
        if kind == "turned":
            sheet.add(sheet.delimiter.join(sheet.header[::-1]), Line("header"))
        elif kind in NO_RECORDS:
            sheet.add_no_record(draw, kind, head)
        else:
            sheet.add_record(draw, kind, draw(ROWS[goodness]))
    for _ in range(footer):
        text = draw(st.sampled_from(("Total 3", f"sum{sheet.delimiter}1", 'a "quote')))
        sheet.add(text, Line("footer"))
    if footer and draw(st.booleans()):
        sheet.add(sheet.delimiter, Line("blank"))

    options = {"type": "csv", "skip_lines": skip, "footer_lines": footer, "null_values": sheet.nulls}
    options |= {name: getattr(sheet, name) for name in ("delimiter", "quote", "encoding", "multiline", "comment")}
    contract = contract_of(*COLUMNS, format=options, additions="keep" if keep else "refuse", **FIELDS)
    fails = bool(sep) or mistake is not None or "turned" in kinds
    return _named(draw, File("csv", _encoded(draw, sheet), contract, sheet.lines, fails))


def _encoded(draw: st.DrawFn, sheet: Sheet) -> bytes:
    end = draw(st.sampled_from(("\n", "\r\n")))
    whole = end.join(sheet.texts) + (end if draw(_weighted(True, False)) or not sheet.texts[-1] else "")
    codec = CODECS.get(sheet.encoding, sheet.encoding)
    content = BAD_BYTES[sheet.encoding].join(part.encode(codec) for part in whole.split(PLACE))
    if sheet.encoding == "utf-16":
        return b"\xff\xfe" + content
    marked = sheet.encoding == "utf-8" and draw(_weighted(False, True))
    return b"\xef\xbb\xbf" + content if marked else content


def _named(draw: st.DrawFn, file: File) -> File:
    """The file, maybe packed, and with an ending in another case."""
    if draw(_weighted(False, True)):
        file.name, file.content = f"{file.name}.gz", gzip.compress(file.content, 1)
    if draw(_weighted(False, True)):
        file.name = file.name.upper()
    return file


@st.composite
def _element(draw: st.DrawFn, goodness: int, nulls: tuple[str, ...], keep: bool) -> tuple[str, Line]:
    """An element of JSON, on one line, and what it is."""
    row = draw(ROWS[goodness])
    kind = draw(_weighted("record", "no_object", "nested", "twice", "broken", "not_text", "more"))
    if kind == "no_object":
        return draw(st.sampled_from(["1", '"x"', "null", "[]", "true"])), Line("record", None, "malformed_record")
    members: dict[str, str] = {}
    values: dict[str, str | None] = {}
    for name in draw(st.permutations(NAMES)):
        text = row[name]
        how = draw(_weighted("text", "number", "null", "absent"))
        if name == "id" or how == "text":
            members[name], values[name] = json.dumps(text, ensure_ascii=draw(st.booleans())), _given(text, nulls)
        elif how == "null":
            members[name] = "null"
        elif how == "number":
            number = draw(st.sampled_from(["1", "1.50", "-3", "1e3", "123456789012345678901", "0.1", "true", "false"]))
            members[name], values[name] = number, number
    if kind == "nested":
        members["amount"] = draw(st.sampled_from(["{}", "[1]"]))
    if kind == "not_text":
        members["note"] = draw(st.sampled_from([r'"\u0000"', r'"\ud800"']))
    if kind == "more":
        members["more"] = "1.50"
    text = "{" + ", ".join(f'"{name}": {value}' for name, value in members.items()) + "}"
    match kind:
        case "nested":
            return text, Line("record", None, "malformed_record")
        case "twice":
            return text[:-1] + ', "id": "z"}', Line("record", None, "malformed_record")
        case "broken":
            return text[:-1] + ', "x": nonsense}', Line("record", None, "malformed_record")
        case "not_text":
            return text, Line("record", None, "not_text")
    extra = {"more": 1.5} if kind == "more" and keep else None
    return text, Line("record", tuple(values.get(name) for name in NAMES), extra=extra)


@st.composite
def json_files(draw: st.DrawFn) -> File:
    """A JSON array, or JSON lines."""
    ending = draw(st.sampled_from(["json", "jsonl"]))
    encoding = draw(_weighted("utf-8", "utf-16"))
    nulls = draw(_weighted((), NULLS))
    keep = draw(st.booleans())
    options = {"type": draw(st.sampled_from(["json", ending])), "encoding": encoding, "null_values": nulls}
    contract = contract_of(*COLUMNS, format=options, additions="keep" if keep else "refuse", **FIELDS)
    goodness = draw(st.sampled_from(GOODNESS))
    elements = draw(st.lists(_element(goodness, nulls, keep), max_size=10))
    texts, lines = [text for text, _ in elements], [line for _, line in elements]
    if ending == "json":
        between = draw(st.sampled_from([",", ",\n", " , \n\n "]))
        begin, end = draw(_weighted("", "\n")), draw(_weighted("", "\n"))
        whole = f"[{begin}{between.join(texts)}{end}]\n"
    else:
        ends = ("\n", "\n\n", "\n  \n")
        whole = "".join(text + draw(_weighted(*ends)) for text in texts) or "\n"
    content = whole.encode("utf-16" if encoding == "utf-16" else "utf-8")
    # A whole file of one kind of JSON is known by its first element: see docs/inputs.md.
    fails = ending == "jsonl" and whole.lstrip().startswith("[")
    return _named(draw, File(ending, content, contract, lines, fails))


MOMENTS = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))
TYPED: dict[str, tuple[tuple[pa.DataType, st.SearchStrategy[Any]], ...]] = {
    "id": (
        (pa.string(), st.sampled_from("abcd")),
        (pa.int64(), st.integers(1, 9)),
        (pa.large_string(), st.sampled_from("xyz")),
        (pa.dictionary(pa.int8(), pa.string()), st.sampled_from("pqr")),
        (pa.binary(), st.sampled_from([b"r", b"s"])),
    ),
    "amount": (
        (pa.decimal128(10, 2), st.decimals(-(10**8) + 1, 10**8 - 1, places=2)),
        (pa.decimal128(12, 3), st.decimals(-9, 9, places=3)),
        (pa.decimal32(9, 2), st.decimals(-9, 9, places=2)),
        (pa.decimal64(18, 2), st.decimals(-(10**12), 10**12, places=2)),
        (pa.decimal256(60, 1), st.decimals(-9, 10**12, places=1)),
        (pa.float64(), st.floats(-(10**6), 10**6)),
        (pa.int32(), st.integers(-9, 9)),
    ),
    "count": (
        (pa.int32(), st.integers(-2, 2**31 - 1)),
        (pa.uint32(), st.integers(0, 2**32 - 1)),
        (pa.int8(), st.integers(-2, 127)),
        (pa.uint16(), st.integers(0, 65535)),
    ),
    "big": ((pa.int64(), st.integers(-(2**63), 2**63 - 1)), (pa.uint64(), st.integers(0, 2**64 - 1))),
    "ratio": (
        (pa.float64(), st.floats()),
        (pa.decimal128(5, 1), st.decimals(-9, 9, places=1)),
        (pa.int16(), st.integers(-9, 9)),
    ),
    "day": ((pa.date32(), st.dates()), (pa.date64(), st.dates())),
    "at": (
        (pa.timestamp("us"), MOMENTS),
        (pa.timestamp("us", "UTC"), MOMENTS),
        (pa.timestamp("ms", "America/New_York"), MOMENTS.map(lambda moment: moment.replace(microsecond=0))),
    ),
    "flag": ((pa.bool_(), st.booleans()),),
    "note": ((pa.string(), st.sampled_from(TEXTS["note"])), (pa.list_(pa.int32()), st.just([1]))),
}


def as_text(value: Any) -> str | None:
    """What a typed value of Parquet is as a text, by the simplest means."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case float():
            return format(Decimal(repr(value)), "f")
        case Decimal():
            return format(value, "f")
        case datetime():
            return f"{value.date()} {value:%H:%M:%S.%f}"
        case date():
            return f"{value}"
        case bytes():
            return value.decode()
    return str(value)


@st.composite
def parquet_files(draw: st.DrawFn) -> File:
    """A Parquet file of typed columns or of texts."""
    nulls, keep = draw(_weighted((), NULLS)), draw(st.booleans())
    options = {"type": "parquet", "null_values": nulls}
    contract = contract_of(*COLUMNS, format=options, additions="keep" if keep else "refuse", **FIELDS)
    size = draw(st.integers(0, 6))
    arrays: dict[str, pa.Array] = {}
    columns: list[list[str | None]] = []
    broken = [False] * size
    for name in NAMES:
        kind, values = draw(st.sampled_from([*TYPED[name], (pa.string(), st.sampled_from(TEXTS[name]))]))
        given = draw(st.lists(st.one_of(values, st.none()) if name != "id" else values, min_size=size, max_size=size))
        arrays[draw(_weighted(name, f" {name} "))] = pa.array(
            given, pa.string() if pa.types.is_dictionary(kind) else kind
        ).cast(kind)
        if pa.types.is_list(kind):
            broken = [value is not None for value in given]
        columns.append([_given(as_text(value), nulls) for value in given])
    if draw(st.booleans()):
        arrays["more"] = pa.array([1.5] * size, pa.float64())
    extra = {"more": "1.5"} if keep and "more" in arrays else None
    lines = [
        Line("record", None, "malformed_record") if broken[at] else Line("record", tuple(row), extra=extra)
        for at, row in enumerate(zip(*columns, strict=True))
    ]
    target = io.BytesIO()
    pq.write_table(
        pa.table(arrays),
        target,
        data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
        compression=draw(st.sampled_from(["snappy", "zstd", "none"])),
        store_decimal_as_integer=draw(st.booleans()),
        use_dictionary=draw(st.booleans()),
        row_group_size=draw(st.sampled_from([2, 1000])),
    )
    return File(draw(_weighted("parquet", "PARQUET")), target.getvalue(), contract, lines)


@st.composite
def files(draw: st.DrawFn) -> File:
    """A file of any format; of every fifth some bytes are damaged, and nobody knows what is in it."""
    file = draw(st.one_of(csv_files(), csv_files(), json_files(), parquet_files()))
    if draw(_weighted(False, False, False, True)):
        content = bytearray(file.content)
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(content)))
            more = draw(
                st.sampled_from([b"", b'"', b"\n", b",", b"\r", b"[", b"}", b"\0", b"\xff", b"PAR1", b"\xef\xbb\xbf"])
            )
            content[at : at + draw(st.sampled_from([0, 1, 20]))] = more
        file.content, file.lines = bytes(content), None
    return file
