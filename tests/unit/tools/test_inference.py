"""A sample file tells its format, and its columns their names, types and what else holds for every row."""

import gzip

import pytest
from tools.inference import Sample, column_names, guess_columns, guess_key, read_sample

from tools.processes import StackError


def guess(name, *values):
    (column,) = guess_columns(Sample("csv", "utf-8", ",", {name: list(values)}))
    return column


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("1", "-20", ""), "int"),
        (("1", "3000000000"), "bigint"),
        (("1", "99999999999999999999"), "string"),
        (("007", "123"), "string"),
        (("1", "2.5"), "decimal(12,2)"),
        (("12345678901.125", "-0.5"), "decimal(16,3)"),
        (("007.5", "1.5"), "string"),
        (("1e3", "2.5"), "double"),
        (("9" * 36 + ".5",), "double"),
        (("TRUE", "false"), "boolean"),
        (("2025-02-28", "2024-02-29"), "date"),
        (("2025-02-30",), "string"),
        (("2025-2-3",), "string"),
        (("2025-02-28 23:59:59",), "timestamp"),
        (("2025-02-28T23:59:59Z",), "timestamp"),
        (("a", "1"), "string"),
        (("", None, " "), "string"),
    ],
)
def test_a_column_has_the_narrowest_type_that_every_value_has(values, expected):
    assert guess("seen", *values).type == expected


def test_identifiers_are_text_whatever_they_look_like():
    for name in ("id", "order_id", "invoice_no", "zip", "sku"):
        assert guess(name, "1", "2").type == "string"


def test_dates_tell_their_format_and_what_else_it_may_be():
    column = guess("day", "03/04/2025", "05/06/2025")
    assert (column.format, column.other_formats) == ("dd/MM/yyyy", ("MM/dd/yyyy",))
    column = guess("day", "13/04/2025", "05/06/2025")
    assert (column.format, column.other_formats) == ("dd/MM/yyyy", ())


def test_required_and_allowed_hold_for_every_row():
    assert guess("seen", "a", "b").required
    assert not guess("seen", "a", " ").required
    assert guess("status", *("open", "done") * 4).allowed == ("done", "open")
    assert guess("status", *("open", "done") * 3).allowed == ()
    assert guess("status", *("open ", "done") * 4).allowed == ()
    assert guess("status_code", *("open", "done") * 4).allowed == ()


def test_personal_data_is_told_by_name_and_by_value_and_never_listed():
    assert guess("phone_number", "1-2").personal
    assert guess("contact", "a@b.example").personal
    assert not guess("email_verified", "true").personal
    assert guess("email", *("a@b.example",) * 20).allowed == ()
    for name, value in (("telephone", "5551234567"), ("ssn", "123456789"), ("date_of_birth", "1980-01-02")):
        assert (guess(name, value).personal, guess(name, value).type) == (True, "string"), name
    columns = guess_columns(Sample("csv", "utf-8", ",", {"Name": ["Ann"] * 20, "Email": ["a@b.example"] * 20}))
    assert [(column.personal, column.allowed) for column in columns] == [(True, ()), (True, ())]
    assert not guess("name", "Widget").personal


def test_a_key_is_named_like_one_unique_complete_and_nobodys_own():
    columns = {
        "amount": ["1", "2"],
        "user_email_id": ["a@b.example", "c@d.example"],
        "batch_id": ["1", "1"],
        "parent_id": ["1", None],
        "OrderID": ["1", "2"],
    }
    assert guess_key(guess_columns(Sample("csv", "utf-8", ",", columns))).name == "order_id"
    assert guess_key([guess("amount", "1", "2")]) is None


def test_names_are_ones_that_a_contract_accepts():
    sources = ["OrderID", "Unit Price (£)", "order", "run_id", "2nd", "Menü", "UNIT PRICE", "  ", "HTTPStatus"]
    assert column_names(sources) == [
        *("order_id", "unit_price", "order_value", "run_id_value", "column_2nd", "menu", "unit_price_7"),
        *("column_8", "http_status"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "file_type", "delimiter", "encoding"),
    [
        ("a.csv", b"\xef\xbb\xbfa,b\n1,x\n", "csv", ",", "utf-8"),
        ("a.csv", "a;b\n1;é\n".encode("latin-1"), "csv", ";", "latin-1"),
        ("a.csv.gz", gzip.compress(b'a\tb\n1,2\t"x\ny"\n'), "csv", "\t", "utf-8"),
        ("a.json", b'[{"a": 1.10, "b": null}, {"b": true}]', "json", ",", "utf-8"),
        ("a.jsonl", b'{"a": "1", "b": 2}\n\n', "jsonl", ",", "utf-8"),
    ],
)
def test_files_of_every_format_are_read(tmp_path, name, data, file_type, delimiter, encoding):
    path = tmp_path / name
    path.write_bytes(data)
    sample = read_sample(path)
    assert (sample.file_type, sample.delimiter, sample.encoding) == (file_type, delimiter, encoding)
    assert list(sample.columns) == ["a", "b"]


def test_values_of_json_keep_the_text_with_which_they_are_written(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1.10, "b": null}, {"b": true}, {"a": "x", "b": "é"}]', encoding="utf-8")
    assert read_sample(path).columns == {"a": ["1.10", None, "x"], "b": [None, "true", "é"]}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xml", b"<a/>", "must end in .csv, .json or .jsonl"),
        ("a.csv", b"a,b\n", "holds no row"),
        ("a.csv", b"", "holds no row"),
        ("a.csv", b"a,a\n1,2\n", "names a twice"),
        ("a.csv", b"a,\n1,2\n", "a column without a name"),
        ("a.json", b"[{]", "is not JSON"),
        ("a.json", b'{"a": 1}', "is not one array of objects"),
        ("a.jsonl", b"[1]\n", "is not one object a line"),
        ("a.jsonl", b'{"a": {"b": 1}, "c": [2]}\n', "a, c holds objects or arrays"),
        ("a.csv.gz", b"a,b\n1,2\n", "cannot be read"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(tmp_path, name, data, message):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(StackError, match=message):
        read_sample(path)


def test_line_breaks_inside_quotes_are_the_contracts_business(tmp_path):
    path = tmp_path / "sample.csv"
    path.write_text('a,b\n1,"two\nlines"\n2,"three\n\nlines"\n')
    assert read_sample(path).multiline
    assert read_sample(path).columns == {"a": ["1", "2"], "b": ["two\nlines", "three\n\nlines"]}


def test_rows_between_two_stray_quotes_are_no_value_with_line_breaks(tmp_path):
    path = tmp_path / "sample.csv"
    path.write_text('a,b\n1,"x\n2,x\n3,x\n4,x"\n5,x\n')
    assert not read_sample(path).multiline
    assert read_sample(path).columns["a"] == ["1", "2", "3", "4", "5"]
