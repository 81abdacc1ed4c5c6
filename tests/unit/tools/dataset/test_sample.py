"""A sample is read by the jobs' own reader, and refused in one line where they would refuse it."""

import gzip
import json
import subprocess

import pytest

from tests.exports import EXPORTS
from tools.dataset.columns import guess_columns
from tools.dataset.sample import read_sample
from tools.environment import python_of
from tools.processes import StackError


def written(folder, name, data):
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "file_type", "delimiter", "encoding"),
    [
        ("a.csv", b"\xef\xbb\xbfa,b\n1,x\n", "csv", ",", "utf-8"),
        ("a.csv", "a;b\n1;é\n2;e\n".encode("latin-1"), "csv", ";", "latin-1"),
        ("a.csv", "a;b\n1;5 €\n2;e\n".encode("cp1252"), "csv", ";", "windows-1252"),
        ("a.csv", "a,b\n1,é\n".encode("utf-16"), "csv", ",", "utf-16"),
        ("a.csv", b"a,b\n1,\xc3\xa9\n2,\xc3\xa9\n3,\xe9\n", "csv", ",", "utf-8"),
        ("A.CSV.GZ", gzip.compress(b'a\tb\n1\t2\n1\t"x\ty"\n'), "csv", "\t", "utf-8"),
        ("a.json", b'\n[{"a": 1, "b": null}]', "json", None, "utf-8"),
        ("a.jsonl", b'{"a": 1}\n\n{"b": 2}\n', "jsonl", None, "utf-8"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1, "b": 2}\n'), "jsonl", None, "utf-8"),
        ("a.jsonl", '{"a": "x\u2028y", "b": 2}\n'.encode(), "jsonl", None, "utf-8"),
    ],
)
def test_type_delimiter_and_encoding_are_told(tmp_path, name, data, file_type, delimiter, encoding):
    sample = read_sample(written(tmp_path, name, data))
    given = sample.format.model_dump(exclude_unset=True)
    assert (given["type"], given.get("delimiter"), given["encoding"]) == (file_type, delimiter, encoding)
    assert list(sample.columns) == ["a", "b"]


def test_values_of_json_keep_the_text_with_which_they_are_written(tmp_path):
    data = '[{"a": 1.10, "b": null}, {"b": true}, {"a": "x", "b": "é"}]'.encode()
    assert read_sample(written(tmp_path, "a.json", data)).columns == {
        "a": ["1.10", None, "x"],
        "b": [None, "true", "é"],
    }


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xml", b"<a/>", "must end in .csv, .csv.gz, .json"),
        ("a.csv", b"a,b\n", "holds no row"),
        ("a.csv", b"", "the file is empty"),
        ("a.csv", b"a,a\n1,2\n", "given twice 'a'"),
        ("a.csv", b"a, a\n1,2\n", "given twice 'a'"),
        ("a.csv", b"PK\x03\x04rest", "a zip archive or an Excel workbook"),
        ("a.csv", b"a,b\r1,2\r3,4\r", "its lines end in CR alone"),
        ("a.csv", b"A1,2.50\nA2,3.50\n", "is the header missing"),
        ("a.json", b'[{"a": 1}', "the file ends before its array does"),
        ("a.json", b'{"a": 1}', r"expected one JSON array of objects"),
        ("a.jsonl", b"[1]\n", "is a JSON array, not one object a line"),
        ("a.jsonl", b'{"a": {"b": 1}, "c": [2]}\n', "holds no row"),
        ("a.jsonl", b"{'a': 1}\n", "1 records are malformed_record"),
        ("a.csv.gz", b"a,b\n1,2\n", "the gzip file is cut short or damaged"),
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "the gzip file is cut short or damaged"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line(tmp_path, name, data, message):
    with pytest.raises(StackError, match=message) as refused:
        read_sample(written(tmp_path, name, data))
    assert "\n" not in f"{refused.value}"


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(StackError, match="cannot be read: No such file"):
        read_sample(tmp_path / "a.csv")


def test_columns_that_a_dataset_cannot_have_are_left_out_and_told(tmp_path):
    sample = read_sample(written(tmp_path, "a.csv", b",a,\n0,x,\n1,y,\n"))
    assert (list(sample.columns), sample.left_out) == (["a"], {"": "has no name"})
    sample = read_sample(written(tmp_path, "a.jsonl", b'{"a": 1, "b": {"c": 2}}\n{"a": 2, "b": null}\n'))
    assert (list(sample.columns), list(sample.left_out)) == (["a"], ["b"])


def test_records_that_cannot_be_read_are_not_learned_from(tmp_path):
    sample = read_sample(written(tmp_path, "a.csv", b"a,b\n1,2\n3,4\n5\n6,7\n"))
    assert (sample.columns["a"], sample.broken) == (["1", "3", "6"], {"wrong_field_count": 1})


@pytest.mark.parametrize(
    ("values", "markers"),
    [
        (("1", "NA", "3"), ("NA",)),
        (("2025-01-01", "2025-01-02", "0000-00-00"), ("0000-00-00",)),
        (("x", "y", "\\N"), ("\\N",)),
        (("x", "y", "-"), ()),
        (("DE", "NA", "FR"), ()),
        (("1", " - ", "2"), ("-",)),
    ],
)
def test_texts_that_mean_no_value_are_told(tmp_path, values, markers):
    data = "\n".join(["k;v", *(f"{place};{value}" for place, value in enumerate(values))]).encode()
    sample = read_sample(written(tmp_path, "a.csv", data))
    assert sample.format.null_values == markers
    assert sample.columns["v"].count(None) == len(markers)


def test_a_text_that_is_a_value_elsewhere_is_no_marker(tmp_path):
    data = b"country,n\nDE,1\nNA,NA\nFR,3\n"
    assert read_sample(written(tmp_path, "a.csv", data)).format.null_values == ()


def test_an_item_that_is_none_is_a_line_of_json(tmp_path):
    data = json.dumps([{"n": 1.5}, {"n": 2.5}]).replace("2.5", "NaN").encode()
    sample = read_sample(written(tmp_path, "a.json", data))
    assert (sample.columns["n"], sample.broken) == (["1.5"], {"malformed_record": 1})


@pytest.mark.parametrize(
    ("above", "count"),
    [
        (["[s];[C];[%]"], 1),
        (["s;C;%"], 1),
        (["seconds of the run;in the shade;", "INTEGER;DOUBLE;TEXT"], 2),
        ([";(C);"], 1),
        # Values, some of them odd.
        (["1;hot;x"], 0),
        (["NA;-;x"], 0),
        ([";hot;x"], 0),
    ],
)
def test_units_below_the_header_are_not_learned_from_and_told(tmp_path, above, count):
    data = "\n".join(["time;heat;note", *above, "2;1.5;a", "3;2.5;b", "4;NA;c"]).encode()
    sample = read_sample(written(tmp_path, "a.csv", data))
    assert (sample.rows, len(sample.doubts)) == (3 + len(above) - count, bool(count))
    if count:
        assert [column.type for column in guess_columns(sample)] == ["int", "decimal(12,2)", "string"]


@pytest.mark.parametrize("name", EXPORTS)
def test_every_record_of_an_export_is_read(tmp_path, name):
    sample = read_sample(written(tmp_path, name, EXPORTS[name]))
    assert (sample.rows, sample.broken) == (30, {})
    assert all(column.name for column in guess_columns(sample))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bank_with_preamble.csv", {"skip_lines": 5, "encoding": "latin-1", "delimiter": ";"}),
        ("bank_de.CSV", {"encoding": "windows-1252", "delimiter": ";"}),
        ("journal.csv", {"encoding": "utf-16", "delimiter": "\t"}),
        ("sensor_dump.csv", {"comment": "#", "null_values": ("NaN",)}),
        ("ledger_with_totals.csv", {"footer_lines": 1}),
        ("analytics_export.csv", {"comment": "#", "footer_lines": 1}),
        ("statistics_office.csv", {"skip_lines": 3, "footer_lines": 1, "null_values": ("..",)}),
        ("lab_instrument.csv", {"skip_lines": 4, "footer_lines": 1, "null_values": ("n.d.",)}),
        ("mainframe_unload.csv", {"delimiter": "|", "footer_lines": 1}),
        ("warehouse.csv", {"delimiter": "\x01", "null_values": ("\\N",)}),
        ("database_dump.csv", {"multiline": True, "null_values": ("NULL",)}),
    ],
)
def test_what_an_export_needs_is_in_the_contract(tmp_path, name, options):
    given = read_sample(written(tmp_path, name, EXPORTS[name])).format.model_dump(exclude_unset=True)
    assert given == {"type": "csv", "delimiter": ",", "encoding": "utf-8"} | options


PARQUET = """
import sys, datetime, decimal, pyarrow as pa, pyarrow.parquet as pq
at = datetime.datetime(2025, 6, 30, 10)
pq.write_table(pa.table({
    "label": ["x", "y"], "ratio": [1.0, None], "many": pa.array([1, 2], pa.int64()),
    "few": pa.array([1, 2], pa.int16()),
    "price": pa.array([decimal.Decimal("1.5"), None], pa.decimal128(9, 3)), "ok": [True, False], "day": [at.date()] * 2,
    "seen": pa.array([at, at], pa.timestamp("us")), "gone": pa.array([None, None], pa.timestamp("ms", "UTC")),
    "never": pa.array([None, None], pa.bool_()), "tags": [["a"], []],
}), sys.argv[1])
"""


def test_a_parquet_file_tells_its_types(tmp_path):
    path = tmp_path / "a.Parquet"
    subprocess.run([python_of("worker"), "-c", PARQUET, path], check=True)
    sample = read_sample(path)
    assert [f"{column.name} {column.type} {column.format}" for column in guess_columns(sample)] == [
        *("label string None", "ratio double None", "many bigint None", "few int None", "price decimal(9,3) None"),
        *("ok boolean None", "day date yyyy-MM-dd", "seen timestamp yyyy-MM-dd HH:mm:ss[.SSSSSS]"),
        *("gone timestamp yyyy-MM-dd HH:mm:ss[.SSSSSS]", "never boolean None"),
    ]
    assert list(sample.left_out) == ["tags"]
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(StackError, match=r"a\.Parquet: cannot be read as Parquet"):
        read_sample(path)
