"""Every kind of CSV that has lost or bent data elsewhere is read as the documentation of spark_jobs.raw says."""

from __future__ import annotations

import gzip
import io
import re
from contextlib import suppress
from dataclasses import astuple

import pytest
from contract.columns import BLANKS
from contract.dataset import Contract
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.errors import DataError
from spark_jobs.raw import LineCounts, Record, open_fitting, text
from tests.unit.spark_jobs.contracts import contract_of

COLUMNS = ["a", "b", "c"]
CONTRACT = contract_of(*COLUMNS)
MULTILINE = contract_of(*COLUMNS, format={"type": "csv", "multiline": True})


def read(content: bytes, name: str = "x.csv", contract: Contract = CONTRACT) -> list[Record]:
    """The records of a file, all of whose lines are accounted for."""
    file = open_fitting(io.BytesIO(content), name, contract)
    records = list(file.records)
    kinds = sum(astuple(file.counts)) - file.counts.physical
    assert file.counts.physical == kinds + sum(record.lines for record in records)
    return records


def values(content: bytes, contract: Contract = CONTRACT) -> list[tuple[str | None, ...] | None]:
    return [record.values for record in read(content, contract=contract)]


def test_a_header_in_another_order_never_swaps_columns() -> None:
    assert values(b"c,a,b\n3,1,2\n") == [("1", "2", "3")]


def test_a_record_knows_its_line_and_its_text() -> None:
    content = b'a,b,c\r\n1,"two\r\nlines",3\r\n\r\n4,5,6'
    assert read(content, contract=MULTILINE) == [
        Record(2, '1,"two\r\nlines",3', ("1", "two\r\nlines", "3"), lines=2),
        Record(5, "4,5,6", ("4", "5", "6")),
    ]


def test_quotes_delimiters_and_blanks_inside_values_are_kept() -> None:
    assert values(b'a,b,c\n" 1 ","x,""y""",\n') == [(" 1 ", 'x,"y"', "")]


def test_a_byte_order_mark_is_not_data() -> None:
    assert values(b"\xef\xbb\xbfa,b,c\n1,2,3\n") == [("1", "2", "3")]


def test_empty_lines_are_no_records_and_a_header_alone_is_zero_records() -> None:
    assert values(b"a,b,c\n\n\r\n") == []
    assert values(b"a,b,c") == []


def test_a_wrong_number_of_fields_is_told() -> None:
    short, long = read(b"a,b,c\n1,2\n1,2,3,4\n")
    assert (short.rule, short.reason, short.values) == ("wrong_field_count", "has 2 fields, the header has 3", None)
    assert (long.line, long.raw, long.reason) == (3, "1,2,3,4", "has 4 fields, the header has 3")


@pytest.mark.parametrize("contract", [CONTRACT, MULTILINE], ids=["one line", "multiline"])
@pytest.mark.parametrize("broken", ['1,"two,3', '1,"two"x,3', '"1,2,3', '1,2,"3'])
def test_a_broken_quote_costs_its_own_line_only(broken: str, contract: Contract) -> None:
    first, second, third = read(f'a,b,c\n{broken}\n4,"5",6\n7,8,9\n'.encode(), contract=contract)
    assert (first.line, first.raw, first.rule) == (2, broken, "malformed_record")
    assert [second.values, third.values] == [("4", "5", "6"), ("7", "8", "9")]
    assert [second.line, third.line] == [3, 4]


def test_two_stray_quotes_cost_their_own_lines_and_none_between_them() -> None:
    lines = [f"{number},two,three" for number in range(1, 1001)]
    lines[54], lines[944] = '55,"two,three', '945,two",three'
    records = read("\n".join(["a,b,c", *lines]).encode())
    bad = [record for record in records if record.values is None]
    assert len(records) == 1000
    assert [(record.line, record.rule, record.reason) for record in bad] == [
        (
            56,
            "malformed_record",
            "quotes or line breaks are broken: a quoted value does not end on its line (the contract has no "
            "`multiline: true`)",
        ),
        (946, "malformed_record", "may be the end of the quoted value that line 56 opens"),
    ]


def test_a_record_has_no_more_lines_than_the_contract_says() -> None:
    lines = [f"{number},two,three" for number in range(1, 1001)]
    lines[54], lines[944] = '55,"two,three', '945,two",three'
    contract = contract_of(*COLUMNS, format={"type": "csv", "multiline": True, "record_lines": 3})
    whole = '\n1001,"a\nb\nc",three\n1002,"a\nb\nc\nd",three\n1003,two,three'
    records = read(("\n".join(["a,b,c", *lines]) + whole).encode(), contract=contract)
    told = (
        "quotes or line breaks are broken: a quoted value does not end within 3 lines (the contract's `record_lines`)"
    )
    broken = [(record.line, record.rule, record.reason) for record in records if record.values is None]
    assert broken[0] == (56, "malformed_record", told)
    assert broken[1] == (1005, "malformed_record", told)
    assert {line for line, *_ in broken} == {56, 1005, 1006, 1007, 1008}
    kept = [record.values for record in records if record.values is not None]
    assert len(kept) == 999 + 2
    assert kept[-2:] == [("1001", "a\nb\nc", "three"), ("1003", "two", "three")]


def test_a_quote_inside_a_value_is_read_where_no_line_opens_one() -> None:
    assert values(b'a,b,c\n1,27" screen,3\n"4",5,6"\n') == [("1", '27" screen', "3"), ("4", "5", '6"')]


def test_a_line_that_opens_a_quote_costs_no_line_further_away_than_a_value_may_be_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text, "MAX_RECORD_CHARS", 100)
    far = b'a,b,c\n"1,2,3\n' + b"4,5,6\n" * 30 + b'7,8",9\n'
    assert values(far)[-1] == ("7", '8"', "9")
    assert values(far.replace(b"4,5,6\n", b"", 29))[-1] is None


def test_lines_are_counted_by_what_they_are() -> None:
    content = b'\n\na,b,c\n1,2,3\n\n"4\n4",5,6\n7,"8\n\n9,9,9'
    file = open_fitting(io.BytesIO(content), "x.csv", MULTILINE)
    assert [(record.line, record.lines) for record in file.records] == [(4, 1), (6, 2), (8, 1), (10, 1)]
    assert file.counts == LineCounts(physical=10, header=1, blank=4)


def test_an_open_quote_does_not_read_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_RECORD_CHARS", 100)
    records = read(b'a,b,c\n"1,2,3\n' + b"4,5,6\n" * 200, contract=MULTILINE)
    assert records[0].rule == "malformed_record"
    assert len([record for record in records if record.values == ("4", "5", "6")]) == 200


def test_bytes_that_are_not_text_are_shown_as_what_they_are() -> None:
    one, two, three = read(b'a,b,c\n1,Jos\xe9,3\n4,"x\n\xff",6\n7,8,9\n', contract=MULTILINE)
    assert (one.rule, one.raw) == ("not_text", "1,Jos\\xe9,3")
    assert (two.rule, two.raw, two.line) == ("not_text", '4,"x\n\\xff",6', 3)
    assert three == Record(5, "7,8,9", ("7", "8", "9"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x.csv: the file is empty"),
        (b"\n\n", "x.csv line 1: no header: there are only empty lines"),
        (b"a,b\n1,2\n", "x.csv line 1: the columns do not fit the contract: missing 'c'"),
        (b"\na,b\n1,2\n", "x.csv line 2: the columns do not fit the contract: missing 'c'"),
        (b"a,b,c,b\n", "given twice 'b'"),
        (b"A,b,c\n", "missing 'a' (renamed to 'A'?); new 'A'"),
        (
            b"1,2,3\n",
            "missing 'a', 'b', 'c'; new '1', '2', '3'; none of the names in the file is a column: is the header",
        ),
        (b'"1","x","x"\n', "none of the names in the file is a column: is the header missing?"),
        (b"a\x01b\x01c\n", "the delimiter is '\\x01', and ',' in the contract"),
        (b"a;b;c\n", "the delimiter is ';', and ',' in the contract"),
        (b'"a,b,c\n1,2,3\n', "line 1: no header"),
        (b"\xff\xfea\x00", "x.csv: is not csv in utf-8 but UTF-16 text"),
        (b"\xffa,b,c\n", "line 1: no header: is not valid UTF-8"),
        (b"PK\x03\x04.....", "x.csv: is not csv in utf-8 but a zip archive or an Excel workbook"),
        (b"a,b,c\r1,2,3\r", "line 1: no header: its lines end in CR alone, not in LF or CR LF"),
        (b"\xef\xbb\xbf", "x.csv: the file is empty"),
    ],
)
def test_a_file_whose_header_does_not_fit_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError) as refused:
        read(content)
    assert message in str(refused.value)


def test_gzip_is_unpacked_and_damage_is_told() -> None:
    packed = gzip.compress(b"a,b,c\n" + b"".join(b"%d,2,3\n" % (number * number) for number in range(1000)))
    assert len(read(packed, "x.csv.gz")) == 1000
    for damaged in (packed[:-20], b"a,b,c\n1,2,3\n", packed[:40] + b"\0\0\0\0" + packed[44:]):
        with pytest.raises(DataError, match="the gzip file is cut short or damaged"):
            read(damaged, "x.csv.gz")


@pytest.mark.parametrize("delimiter", ["\x01", "\x1f", "|", "\t", " ", "^", "§", "."])
def test_any_character_can_be_the_delimiter(delimiter: str) -> None:
    contract = contract_of(*COLUMNS, format={"type": "csv", "delimiter": delimiter})
    assert values('a,b,c\n1,"x, ""y""",3\n,,\n4,5,6\n'.replace(",", delimiter).encode(), contract) == [
        ("1", f'x{delimiter} "y"', "3"),
        ("4", "5", "6"),
    ]


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ('1, "x, y" , "z"', ("1", "x, y", "z")),
        ('"a, ""b"", "" c" ,  "d",', ('a, "b", " c', "d", "")),
        ('1, 27" wide ,3 "', ("1", ' 27" wide ', '3 "')),
        (' "" , "x" ,""', ("", "x", "")),
        ('1, "x" y,3', ("1", ' "x" y', "3")),
        ('1, "x,3', None),
    ],
)
def test_blanks_around_quotes_are_no_part_of_the_value(line: str, row: tuple[str, ...] | None) -> None:
    (record,) = read(f"a,b,c\n{line}\n".encode())
    assert (record.raw, record.values) == (line, row)


def test_blanks_around_quotes_of_records_of_several_lines() -> None:
    content = b'a,b,c\n1, "x\n, ""y"" ,\n" , "z"\n"",\n'
    assert [record.values for record in read(content, contract=MULTILINE)][:1] == [("1", 'x\n, "y" ,\n', "z")]


def test_what_looks_like_a_comment_inside_a_value_is_part_of_it() -> None:
    contract = contract_of(*COLUMNS, format={"type": "csv", "multiline": True, "comment": "#"})
    records = read(b'# one\na,b,c\n\xef\xbb\xbf# two\n1,"x\n# y",#3\n#"open\n4,5,6\n# last', contract=contract)
    assert [(record.line, record.values) for record in records] == [(4, ("1", "x\n# y", "#3")), (7, ("4", "5", "6"))]


@pytest.mark.parametrize(
    ("content", "counts"),
    [
        (b"a,b,c\n1,2,3\nsum,,6\n,,\nend,,", LineCounts(physical=5, header=1, blank=1, footer=2)),
        (b"a,b,c\n,,\nsum,,6\nend,,\n\n,,", LineCounts(physical=6, header=1, blank=3, footer=2)),
    ],
)
def test_a_footer_is_the_last_lines_that_are_not_blank(content: bytes, counts: LineCounts) -> None:
    file = open_fitting(io.BytesIO(content), "x.csv", contract_of(*COLUMNS, format={"type": "csv", "footer_lines": 2}))
    assert [record.values for record in file.records] == [("1", "2", "3")] * (b"1,2,3" in content)
    assert file.counts == counts


@pytest.mark.parametrize("fields", [{"skip_lines": 9}, {"footer_lines": 2}, {"comment": "a"}])
def test_a_file_of_lines_that_are_not_read_has_no_header(fields: dict[str, object]) -> None:
    with pytest.raises(
        DataError, match=r"x\.csv line 1: no header: there are only empty lines, and those that are not"
    ):
        read(b"a,b,c\n\na,b,c", contract=contract_of(*COLUMNS, format={"type": "csv", **fields}))


def test_no_value_is_what_the_contract_says_before_anything_else_sees_it() -> None:
    contract = contract_of(*COLUMNS, format={"type": "csv", "null_values": ("NA", "-9")})
    assert values(b'a,b,c\nNA," NA ",-9\nna,N A,-90\n', contract) == [(None, None, None), ("na", "N A", "-90")]


def test_no_value_is_what_the_contract_says_in_columns_that_it_does_not_name_too() -> None:
    written = {"type": "csv", "null_values": ("NA", "-9")}
    contract = contract_of(*COLUMNS, additions="keep", format=written)
    (record,) = read(b"a,z,b,y,c,x\n1, NA ,2,-9,3,N A\n", contract=contract)
    assert (record.values, record.extra) == (("1", "2", "3"), '{"z": null, "y": null, "x": "N A"}')
    contract = contract_of(*COLUMNS, additions="keep", format={**written, "type": "jsonl"})
    lines = b'{"a": "1", "b": "NA", "z": "NA", "y": -9, "x": 1.50, "w": ["NA", 1e400], "v": true}\n{"a": "NA"}\n'
    one, other = read(lines, "x.jsonl", contract)
    assert one.values == ("1", None, None)
    assert one.extra == '{"z": null, "y": null, "x": 1.50, "w": ["NA", 1e400], "v": true}'
    assert (other.values, other.extra) == ((None, None, None), None)


@pytest.mark.parametrize(
    "lines",
    [
        "a;b;;|1;2;;|a;b|3;4;;|a;b;;",
        "a;b|1;2| a ; b ;;|3;4|a;b;",
        ";a;b;;|x;1;2;;|;a;b|y;3;4",
    ],
)
def test_a_header_is_the_same_again_whatever_columns_without_a_name_end_it(lines: str) -> None:
    contract = contract_of("a", "b", format={"type": "csv", "delimiter": ";"})
    assert values(lines.replace("|", "\n").encode(), contract) == [("1", "2"), ("3", "4")]


def test_a_header_again_with_a_column_before_the_others_is_another_order() -> None:
    with pytest.raises(
        DataError, match=r"x\.csv line 3: the header stands here again with its columns in another order"
    ):
        read(b"a,b,\n1,2,\n,a,b\n,3,4\n", contract=contract_of("a", "b"))


@pytest.mark.parametrize(
    "line", ["sep=;", "SEP=;", '"sep=;"', "sep=;;;", "sep=; ", '"sep=;";;', '"sep=";"";""', "\ufeffsep=;;"]
)
@pytest.mark.parametrize("above", ["", "# made up\n", "\n;;\n# made up\n\n"])
def test_a_line_that_tells_the_delimiter_is_not_read_wherever_it_stands(line: str, above: str) -> None:
    contract = contract_of(*COLUMNS, format={"type": "csv", "delimiter": ";", "comment": "#"})
    content = f"{above}{line}\na;b;c\n1;2;3\n".encode()
    assert values(content, contract) == [("1", "2", "3")]
    file = open_fitting(io.BytesIO(content * 2), "x.csv", contract)
    assert [record.values for record in file.records] == [("1", "2", "3")] * 2
    assert (file.counts.skipped, file.counts.header) == (2, 2)


@pytest.mark.parametrize("line", ["sep=,", "sep=,,,", '"sep=,";;', "sep=\t"])
def test_another_delimiter_that_is_told_is_refused_with_its_line(line: str) -> None:
    contract = contract_of(*COLUMNS, format={"type": "csv", "delimiter": ";", "comment": "#", "skip_lines": 1})
    told = re.escape(repr(re.sub('[sep=";]', "", line)[0]))
    with pytest.raises(DataError, match=rf"^x\.csv line 3: the delimiter is {told}, and ';' in the contract$"):
        read(f"title\n# made up\n{line}\na;b;c\n1;2;3\n".encode(), contract=contract)


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_is_read_in_either_order_of_bytes_in_pieces_of_any_size(order: str) -> None:
    lines = "a,b,c\n" + "1,😀\u0a0d,3\r\n" * 20_000
    contract = contract_of(*COLUMNS, format={"type": "csv", "encoding": "utf-16"})
    content = f"\ufeff{lines}".encode(f"utf-16-{order}")
    assert values(content, contract) == [("1", "😀\u0a0d", "3")] * 20_000
    assert len(read(gzip.compress(content), "x.csv.gz", contract)) == 20_000


def test_a_mark_of_utf_8_inside_a_file_of_another_encoding_is_no_text() -> None:
    contract = contract_of(*COLUMNS, format={"type": "csv", "encoding": "windows-1252"})
    (record,) = read(b"a,b,c\n\xef\xbb\xbf1,2,3\n", contract=contract)
    assert (record.rule, record.reason) == ("not_text", "begins with the byte-order mark of UTF-8")


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0"))] * 3), max_size=8))
def test_what_a_csv_writer_wrote_is_read_back(rows: list[tuple[str, str, str]]) -> None:
    import csv

    written = io.StringIO(newline="")
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    assert values(written.getvalue().encode(), MULTILINE) == [
        row for row in rows if any(text.strip(BLANKS) for text in row)
    ]


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([CONTRACT, MULTILINE]))
def test_no_line_is_lost_whatever_the_bytes(content: bytes, contract: Contract) -> None:
    records = read(b"a,b,c\n" + content, contract=contract)
    shown = content.decode(errors="backslashreplace").replace("\0", "\\x00")
    kept = "".join(record.raw for record in records)
    no_data = str.maketrans("", "", BLANKS + ',"')
    assert kept.translate(no_data) == shown.translate(no_data)


FORMATS: list[dict[str, object]] = [
    {},
    {"multiline": True, "record_lines": 3},
    {"comment": "#", "skip_lines": 1, "footer_lines": 2},
    {"multiline": True, "comment": "#", "footer_lines": 1, "null_values": ("a",)},
    {"encoding": "windows-1252", "delimiter": ";"},
    {"encoding": "utf-16", "footer_lines": 1},
]


@settings(deadline=None)
@given(st.text(st.sampled_from('abc,;"# \n\r\ufeff\xa0\u0a0d1'), max_size=60), st.sampled_from(FORMATS))
def test_every_line_is_of_one_kind_whatever_the_text(content: str, fields: dict[str, object]) -> None:
    contract = contract_of(*COLUMNS, format={"type": "csv", **fields})
    codec = {"windows-1252": "utf-8", "utf-16": "utf-16"}.get(contract.format.encoding, "utf-8")
    header = contract.format.delimiter.join(COLUMNS)
    whole = f"{header}\n{header}\n{content}"
    with suppress(DataError):
        file = open_fitting(io.BytesIO(whole.encode(codec)), "x.csv", contract)
        lines = sum(record.lines for record in file.records)
        counts = file.counts
        kinds = (counts.header, counts.blank, counts.skipped, counts.comment, counts.footer)
        assert sum(kinds) + lines == counts.physical == len(io.BytesIO(whole.encode()).readlines())


def test_a_file_with_another_ending_is_refused() -> None:
    with pytest.raises(DataError, match=r"x\.txt: a raw file of format csv must end in \.csv or \.csv\.gz"):
        read(b"a,b,c\n", "x.txt")
    assert read(gzip.compress(b"a,b,c\n"), "X.CSV.Gz") == []
