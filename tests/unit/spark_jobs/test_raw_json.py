"""JSON arrays and JSON lines are read as docs/inputs.md says, whatever is wrong with them."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.errors import DataError
from spark_jobs.raw import Record, json_file, open_file, open_fitting, text
from tests.unit.spark_jobs.contracts import contract_of

ARRAY = contract_of("a", "b", format={"type": "json"})
LINES = contract_of("a", "b", format={"type": "jsonl"})
KEEP = contract_of("a", "b", format={"type": "json"}, additions="keep")


def read(content: bytes | str, name: str = "x.json", contract: Any = ARRAY) -> list[Record]:
    data = content.encode() if isinstance(content, str) else content
    file = open_fitting(io.BytesIO(data), name, contract)
    records = list(file.records)
    assert file.counts.physical == file.counts.blank + sum(record.lines for record in records)
    assert file.counts.physical == len(io.BytesIO(data).readlines())
    return records


def summary(content: bytes | str, name: str = "x.json", contract: Any = ARRAY) -> list[Any]:
    """For each record its values, or the rule it breaks with its raw text."""
    return [record.values or (record.rule, record.raw) for record in read(content, name, contract)]


def test_values_keep_the_text_they_were_received_as() -> None:
    content = '[{"a": 0.10, "b": 12345678901234567890.00}, {"a": "x", "b": true}, {"a": null}, {"a": 1E-7, "b": ""}]'
    assert summary(content) == [("0.10", "12345678901234567890.00"), ("x", "true"), (None, None), ("1E-7", "")]


@pytest.mark.parametrize("depth", [500, 900, 2_000])
def test_a_member_that_is_kept_is_nested_too_deeply_where_it_cannot_be_written(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    (broken, good) = read(f'[{{"a": "1", "c": {nested}}}, {{"a": "2", "c": [[1.0]]}}]', contract=KEEP)
    assert (broken.rule, broken.reason) == ("malformed_record", "is not JSON: it is nested too deeply")
    assert (good.values, good.extra) == (("2", None), '{"c": [[1.0]]}')


def test_a_record_knows_its_line_and_its_text() -> None:
    records = read('[\n  {"a": 1,\n   "b": "é"},\n\n  {"b": 2}\n]\n')
    assert records == [Record(2, '{"a": 1,\n   "b": "é"}', ("1", "é"), lines=2), Record(5, '{"b": 2}', (None, "2"))]


def test_columns_the_contract_does_not_name_are_kept_where_it_says_so() -> None:
    content = '[{"a": 1, "c": 2.50, "d": {"e": ["x", null, 1.10]}}, {"a": 1, "b": 2}]'
    assert [record.extra for record in read(content, contract=KEEP)] == [
        '{"c": 2.50, "d": {"e": ["x", null, 1.10]}}',
        None,
    ]
    assert [record.extra for record in read(content)] == [None, None]


def test_an_empty_array_is_no_record() -> None:
    assert read("[]") == read(" [ \n ] \n") == read(b"\xef\xbb\xbf[]") == []


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ('{"a": NaN}', "is not JSON: NaN is no number"),
        ('{"a": -Infinity}', "is not JSON: -Infinity is no number"),
        ('{"a": 1, "a": 2}', "is not JSON: an object names a member twice"),
        ('{"a": {"b": 1}}', "'a' is an object, not a single value"),
        ('{"a": [1]}', "'a' is a list, not a single value"),
        ("{'a': 1}", "is not JSON: Expecting property name enclosed in double quotes at character 2"),
        ('{"a": "x\ty"}', "is not JSON: Invalid control character at character 9"),
        ('{"a": 01}', "is not JSON: Expecting ',' delimiter at character 8"),
        ('{"a": "unclosed}', "is not JSON: "),
        ('{"a": [1, 2}', "is not JSON: Expecting ',' delimiter at character 12"),
        ('{"a": 1}}', "is not followed by a comma"),
        ('{"a": 1} 2', "is not followed by a comma"),
        ("3.5", "is a number, not an object"),
        ('"x"', "is a text, not an object"),
        ("[1, {}]", "is a list, not an object"),
        ("null", "is null, not an object"),
        ("true", "is true or false, not an object"),
        ("", "is not JSON: Expecting value at character 1"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "is not JSON: it is nested too deeply"),
    ],
)
def test_a_broken_element_costs_no_other(element: str, reason: str) -> None:
    before, broken, after = read(f'[{{"a": 1}},\n{element},\n{{"a": 3}}]')
    assert (before.values, after.values) == (("1", None), ("3", None))
    assert (broken.line, broken.raw, broken.values, broken.rule) == (2, element, None, "malformed_record")
    assert broken.reason is not None
    assert broken.reason.startswith(reason)
    assert after.line == 3


@pytest.mark.parametrize("gap", [" ", "\n", "\n  "])
@pytest.mark.parametrize("broken", ['{"a": 1,', '{"a": 1', '{"a": {"b": 1},', '{"a": 1}'])
def test_a_missing_brace_or_comma_costs_its_own_element_only(broken: str, gap: str) -> None:
    records = read(f'[{broken}{gap}{{"a": 2}},{gap}{{"a": 3}}]')
    assert [record.rule for record in records] == ["malformed_record", None, None]
    assert (records[0].raw, records[1].values, records[2].values) == (broken, ("2", None), ("3", None))


@pytest.mark.parametrize(
    ("element", "shown"),
    [
        (b'{"a": "J\xe9"}', '{"a": "J\\xe9"}'),
        (b'{"a": "\\ud800"}', '{"a": "\\ud800"}'),
        (b'{"a": "x\\u0000"}', '{"a": "x\\u0000"}'),
        (b'{"\xff": "J"}', '{"\\xff": "J"}'),
    ],
)
def test_what_no_table_can_hold_is_not_text(element: bytes, shown: str) -> None:
    assert summary(b"[" + element + b', {"a": "\xc3\xa9"}]') == [("not_text", shown), ("é", None)]
    assert summary(element + b"\n", "x.jsonl", LINES) == [("not_text", shown)]


def test_latin_1_is_read_and_what_it_has_no_characters_for_is_not() -> None:
    contract = contract_of("a", "b", format={"type": "json", "encoding": "latin-1"})
    content = b'[{"a": "J\xe9"}, {"a": "\x80"}]'
    assert summary(content, contract=contract) == [("Jé", None), ("not_text", '{"a": "\x80"}')]
    lines = content[1:-1].replace(b", ", b"\n")
    assert summary(lines, "x.jsonl", contract) == [("Jé", None), ("not_text", '{"a": "\x80"}')]


@pytest.mark.parametrize(
    ("encoding", "given", "bad"),
    [
        ("windows-1252", "€ Œ".encode("cp1252"), b"\x9d"),
        ("utf-16", "€ Œ".encode("utf-16-le"), b"\0\xd8"),
    ],
)
def test_other_encodings_are_read_and_what_they_have_no_characters_for_is_not(
    encoding: str, given: bytes, bad: bytes
) -> None:
    contract = contract_of("a", "b", format={"type": "json", "encoding": encoding})
    codec, mark = ("cp1252", b"") if encoding == "windows-1252" else ("utf-16-le", b"\xff\xfe")
    first, second = '{"a": "'.encode(codec), '"}'.encode(codec)
    elements = [first + given + second, first + bad + second]
    array = mark + "[".encode(codec) + ",".encode(codec).join(elements) + "]".encode(codec)
    found = [summary(array, contract=contract), summary(mark + "\n".encode(codec).join(elements), "x.jsonl", contract)]
    assert [[values for values, _ in one] for one in found] == [["€ Œ", "not_text"]] * 2


def test_names_are_told_without_the_blanks_at_their_edges() -> None:
    content = '[{" a": 1, "b\u00a0": 2}, {"a": 3, "\ufeffb": 4}, {"a": 1, "a ": 2}]'
    assert [(record.values, record.rule) for record in read(content)] == [
        (("1", "2"), None),
        (("3", "4"), None),
        (None, "malformed_record"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "x.json: the file is empty"),
        (" \n ", "x.json line 2: does not begin with '['"),
        ('{"a": 1}\n{"a": 2}\n', "one object a line must end in .jsonl"),
        ("a,b\n1,2\n", "x.json line 1: does not begin with '['"),
        ('[{"a": 1},\n{"a": 2}', "x.json line 2: the file ends before its array does"),
        ('[{"a": 1},\n{"a":', "x.json line 2: the file ends before its array does"),
        ('[{"a": 1},\n', "x.json line 2: the file ends before its array does"),
        ("[", "x.json line 1: the file ends before its array does"),
        ('[{"a": 1}]\n[{"a": 2}]', "x.json line 2: there is more after the end of the array"),
        (b"\xff\xfe[\0", "x.json: is not json in utf-8 but UTF-16 text"),
        (b"PAR1....", "x.json: is not json in utf-8 but Parquet"),
    ],
)
def test_an_array_that_cannot_be_read_to_its_end_is_refused(content: bytes | str, message: str) -> None:
    with pytest.raises(DataError) as refused:
        read(content)
    assert message in str(refused.value)


def test_an_element_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_RECORD_CHARS", 100)
    monkeypatch.setattr(json_file, "CHUNK_BYTES", 50)
    with pytest.raises(DataError, match="line 2: an element is broken and does not end within 100 characters"):
        read('[{"a": 1},\n{"a": "' + "x" * 1000)


def test_lines_are_records_of_their_own() -> None:
    content = b'{"a": 1, "b": 2}\n\n{"a": 2}\r\n{"a":\nx\n[1]\n{"a": 1}{"a": 2}\n{"b": "\xe2\x82\xac"}'
    records = read(content, "x.jsonl", LINES)
    assert [record.line for record in records] == [1, 3, 4, 5, 6, 7, 8]
    assert [record.rule for record in records] == [None, None, *["malformed_record"] * 4, None]
    assert records[-1].values == (None, "€")


def test_lines_in_a_dataset_of_arrays_are_told_by_the_file_name() -> None:
    assert summary('{"a": 1}\n', "x.jsonl", ARRAY) == [("1", None)]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "the file is empty"), (b'\n[{"a": 1}]', "line 2: is a JSON array, not one object a line")],
)
def test_a_file_that_is_not_json_lines_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(content, "x.jsonl", LINES)


def test_names_are_known_when_records_have_been_read() -> None:
    file = open_file(io.BytesIO(b'[{"a": 1}, {"c": 2, "a": 3}]'), "x.json", ARRAY)
    assert list(file.columns) == []
    assert len(list(file.records)) == 2
    assert list(file.columns) == ["a", "c"]


def test_names_that_never_end_do_not_fill_the_memory() -> None:
    rows = [{f"id {number}": number} for number in range(1000)]
    file = open_file(io.BytesIO(json.dumps([*rows, {"\ud83d": 1}, {"b": 1}]).encode()), "x.json", ARRAY)
    assert len(list(file.records)) == 1002
    assert list(file.columns) == [*(f"id {number}" for number in range(json_file.MAX_NEW_NAMES)), "b"]


VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@settings(deadline=None)
@given(
    rows=st.lists(st.fixed_dictionaries({"a": VALUES, "b": VALUES})),
    chunk=st.integers(1, 40),
    indent=st.sampled_from([None, 1]),
    ascii_only=st.booleans(),
)
def test_what_a_writer_wrote_is_read_back_whatever_the_size_of_chunks(
    rows: list[dict[str, str]], chunk: int, indent: int | None, ascii_only: bool
) -> None:
    content = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_file, "CHUNK_BYTES", chunk)
        records = read(content)
    assert [record.values for record in records] == [(row["a"], row["b"]) for row in rows]
    assert [json.loads(record.raw) for record in records] == rows


@given(st.text('[]{}",:\\\n 1a', max_size=60), st.integers(1, 20))
def test_no_character_is_lost_whatever_the_text(garbage: str, chunk: int) -> None:
    """Either the file is refused, or every character but those between elements is in some record."""
    content = f"[{garbage}]"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_file, "CHUNK_BYTES", chunk)
        try:
            records = read(content)
        except DataError:
            return
    kept = "".join(record.raw for record in records)
    plain = str.maketrans("", "", " \n,")
    assert f"[{kept}]".translate(plain) == content.translate(plain)


def test_a_large_array_is_read_in_windows() -> None:
    rows = [{"a": "x" * (number % 200), "b": f"{number}"} for number in range(20_000)]
    records = read(json.dumps(rows))
    assert [record.values for record in records] == [(row["a"], row["b"]) for row in rows]
