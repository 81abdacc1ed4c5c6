"""Files read by the block have the records that the exact reader finds, whatever their bytes and pieces."""

from __future__ import annotations

import gzip
import io
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import pytest
from contract.dataset import Contract
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.errors import DataError
from spark_jobs.raw import LineCounts, Record, csv_blocks, open_fitting, text
from spark_jobs.raw.csv_blocks import PlainLines
from spark_jobs.raw.pieces import WHOLE, Piece, cut, open_piece
from tests.unit.spark_jobs.contracts import contract_of

COLUMNS = ["a", "b", "c"]
FORMATS = [
    {},
    {"multiline": True, "record_lines": 3},
    {"comment": "#", "null_values": ("1", "NULL")},
    {"footer_lines": 1},
    {"skip_lines": 1, "delimiter": ";", "quote": "'"},
    {"encoding": "latin-1"},
    {"encoding": "windows-1252"},
]
CONTRACTS = [contract_of(*COLUMNS, format={"type": "csv", **wanted}) for wanted in FORMATS]
CONTRACTS.append(contract_of(*COLUMNS, additions="keep"))
CONTRACTS.append(contract_of("a"))

TEXTS = """1|22|333|a,b,c|a;b;c|c,b,a|,|,|;|"|"|'|""|\n|\n|\r\n|\r| |\t|#|\0|é|NULL|sep=,|sep=;|\ufeff|\u3000"""
LINES = ("1,2,3\n", "4,5,6\n", "7,8,9\r\n", '"x, y",2,3\n', '"x"",",,3\n', "'x',2,3\n", "1;2;3\n", "a\n")
PIECES = st.sampled_from([*TEXTS.split("|"), *LINES]).map(str.encode) | st.sampled_from([b"\xff", b"\xe9", b"\x81"])

Found = tuple[list[Record], LineCounts] | str


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short records are too long, and a block is a few lines, as many as keep no quote open."""
    monkeypatch.setattr(text, "MAX_RECORD_CHARS", 12)
    monkeypatch.setattr(csv_blocks, "BLOCK_BYTES", 48)


def exact(content: bytes, contract: Contract) -> Found:
    """What the exact reader finds."""
    try:
        file = open_fitting(io.BytesIO(content), "x.csv", contract)
        return list(file.records), file.counts
    except DataError as error:
        return f"{error}"


def in_pieces(content: bytes, contract: Contract, parts: Sequence[Piece] = (WHOLE,), name: str = "x.csv") -> Found:
    """What is found in the pieces of a file."""
    found, counts = [], Counter()
    for piece in parts:
        try:
            opened = open_piece(io.BytesIO(content), name, contract, piece)
            for part in opened.parts:
                found += part.records() if isinstance(part, PlainLines) else part
        except DataError as error:
            return f"{error}"
        counts.update(asdict(opened.counts))
    return sorted(found, key=lambda record: record.line), LineCounts(**counts)


LINES_OF_PIECES = st.lists(st.lists(PIECES, max_size=6).map(b"".join), max_size=30).map(b"\n".join)


def content_of(contract: Contract, lines: bytes) -> bytes:
    """A file of the contract's columns."""
    header = contract.format.delimiter.join(column.source for column in contract.columns)
    return b"what is this?\n" * contract.format.skip_lines + header.encode() + b"\n" + lines


of_every_format = pytest.mark.parametrize("contract", CONTRACTS, ids=[*map(str, FORMATS), "keep", "one column"])


@of_every_format
@settings(max_examples=60, deadline=None)
@given(lines=LINES_OF_PIECES)
def test_a_stream_has_the_same_records(contract: Contract, lines: bytes) -> None:
    content = content_of(contract, lines)
    assert in_pieces(content, contract) == exact(content, contract)


@of_every_format
@settings(max_examples=60, deadline=None)
@given(lines=LINES_OF_PIECES, size=st.integers(1, 100))
def test_pieces_together_have_the_same_records(contract: Contract, lines: bytes, size: int) -> None:
    content = content_of(contract, lines)
    expected = exact(content, contract)
    with tempfile.TemporaryFile("w+b") as file:
        file.write(content)
        file.seek(0)
        parts = cut(file, "x.csv", contract, size)
    assert parts == [WHOLE] or sum(piece.size or 0 for piece in parts) <= len(content)
    found = in_pieces(content, contract, parts)
    assert found == expected if not isinstance(expected, str) else isinstance(found, str)


def plain_lines(content: bytes, contract: Contract) -> int:
    opened = open_piece(io.BytesIO(content), "x.csv", contract, WHOLE)
    return sum(len(part.numbers) if isinstance(part, PlainLines) else 0 * len(list(part)) for part in opened.parts)


@pytest.mark.parametrize(
    ("lines", "plain"),
    [
        (b"1,2,3\n4,5,6", 2),
        (b"1,2,3\r\n4,5,6\r\n", 2),
        (b'"1,""",2,\n1,2,"3"\n', 2),
        ("1,é,3\n".encode(), 1),
        (b"1,,3\n ,2,3\n", 1),
        (b'1,2\n1,2,3,4\n"1,2,3\n1,"2" ,3\n1,a"b,3\n1,2,3\n', 1),
        (b"1,2,3\n\n,,\na,b,c\nsep=,\n4,5,6\n", 2),
        (b"1,2,3\n1,\0,3\n", 0),
        (b"1,2,3\n1,\xff,3\n", 0),
        (b"1,2,3\n1,\r,3\n", 0),
        (b"1,2,3\n\xef\xbb\xbf1,2,3\n", 0),
    ],
)
def test_lines_that_can_be_read_in_one_way_only_are_plain(lines: bytes, plain: int) -> None:
    assert plain_lines(b"a,b,c\n" + lines, CONTRACTS[0]) == plain


def test_a_packed_file_is_read_as_far_as_it_can_be() -> None:
    content = b"a,b,c\n" + b"".join(b"%d,2,3\n" % number for number in range(1000))
    packed = gzip.compress(content)
    assert in_pieces(packed, CONTRACTS[0], name="x.csv.gz") == exact(content, CONTRACTS[0])
    found = in_pieces(packed[:-200], CONTRACTS[0], name="x.csv.gz")
    assert isinstance(found, str)
    assert "the gzip file is cut short or damaged" in found


def test_a_line_that_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_LINE_BYTES", 100)
    for content in (b"a,b,c\n1,2,3\n" + b"x" * 100, b"a,b,c\n1,2,3\n" + b"x" * 150 + b"\n4,5,6\n"):
        assert in_pieces(content, CONTRACTS[0]) == "x.csv line 3: is longer than 100 bytes"
        assert in_pieces(content, CONTRACTS[0]) == exact(content, CONTRACTS[0])
