"""Columns of a sample tell their names, types and what else holds for every row."""

import pytest
from contract.dataset import Format

from spark_jobs.raw.model import Number
from tools.dataset.columns import column_names, guess_columns, guess_key
from tools.dataset.sample import Sample


def guesses(columns):
    return guess_columns(Sample(Format(type="csv"), columns))


def guess(name, *values):
    (column,) = guesses({name: list(values)})
    return column


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("1", "-20", ""), "int"),
        (("1", "3000000000"), "bigint"),
        (("1", "99999999999999999999"), "decimal(38,0)"),
        (("1", "9" * 39), "string"),
        (("98765432109.123456789012345678", "1.000000000000000001"), "decimal(31,18)"),
        (("007", "123"), "string"),
        (("1", "2.5"), "decimal(12,2)"),
        (("12345678901.125", "-0.5"), "decimal(16,3)"),
        (("007.5", "1.5"), "string"),
        (("1.5e3", "2.5"), "double"),
        (("1e-05", "2.5"), "double"),
        (("12E4", "34E5"), "string"),
        (("1.5e400", "2.5"), "string"),
        (("1.00000000000000000001e5", "2.5"), "string"),
        (("0.14285714285714285", "0.2857142857142857", "1.0"), "double"),
        (("9" * 37 + ".5",), "string"),
        (("+491511234567", "+491517654321"), "string"),
        (("+5", "-3"), "int"),
        (("NaN", "1.5"), "string"),
        (("TRUE", "false"), "boolean"),
        (("2025-02-28", "2024-02-29"), "date"),
        (("2025-02-30",), "string"),
        (("2025-2-3",), "string"),
        (("2025-02-28 23:59:59",), "timestamp"),
        (("2025-02-28T23:59:59Z",), "timestamp"),
        (("0001-01-01T00:00:00",), "timestamp"),
        (("20250629", "20250630", "20250701"), "date"),
        (("20250629", "20250630"), "int"),
        (("20250629", "99999999", "20250701"), "int"),
        (("20250629235959", "20250630235959", "20250701000000"), "timestamp"),
        (("a", "1"), "string"),
        (("", None, " "), "string"),
    ],
)
def test_a_column_has_the_narrowest_type_that_every_value_has(values, expected):
    assert guess("seen", *values).type == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("100", "250", "1.000"), "string"),
        (("45.000", "-52.500"), "string"),
        (("1.125", "0.250"), "decimal(12,3)"),
        (("1.000", "2.5"), "decimal(12,3)"),
        (("1.000", "1000"), "decimal(12,3)"),
        (("1.000", "1234.125"), "decimal(12,3)"),
        ((Number("1.000"), Number("250")), "decimal(12,3)"),
    ],
)
def test_points_that_may_part_thousands_make_no_number(values, expected):
    column = guess("weight", *values)
    assert (column.type, column.allowed) == (expected, ())
    assert (column.doubt is not None) == (expected == "string")


def test_identifiers_are_text_whatever_they_look_like():
    for name in ("id", "order_id", "invoice_no", "zip", "sku"):
        assert guess(name, "1", "2").type == "string"


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        (("2025-06-30 10:00:00 -0400",), "yyyy-MM-dd HH:mm:ss XX"),
        (("2025-06-30T10:00:00+02:00", "2025-06-30T10:00:00Z"), "yyyy-MM-dd'T'HH:mm:ssXXX"),
        (("2025-06-30T10:00:00.123Z",), "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"),
        (("2025-06-30 10:00:00.123456", "2025-06-30 10:00:00"), "yyyy-MM-dd HH:mm:ss[.SSSSSS]"),
        (("2025-06-30 10:00:00.5", "2025-06-30 10:00:00.25"), "yyyy-MM-dd HH:mm:ss.SSSSSS"),
        (("2025-06-30 10:00:00 UTC",), "yyyy-MM-dd HH:mm:ss 'UTC'"),
        (("6/30/2025 9:05:09 AM", "12/31/2025 11:59:59 PM"), "M/d/yyyy h:mm:ss a"),
        (("2025-06-30 10:00:00+02",), "yyyy-MM-dd HH:mm:ssX"),
        (("30/Jun/2025:10:00:00 +0000",), "dd/MMM/yyyy:HH:mm:ss XX"),
        (("30.06.2025 10:00",), "dd.MM.yyyy HH:mm"),
        (("30-Jun-2025", "01-Jul-2025"), "dd-MMM-yyyy"),
        (("30.06.25",), "dd.MM.yy"),
        (("1.6.2025", "30.6.2025"), "d.M.yyyy"),
        (("20250630",), "yyyyMMdd"),
    ],
)
def test_dates_tell_their_pattern(values, pattern):
    assert guess("booked_on", *values).format == pattern


def test_dates_tell_what_else_their_pattern_may_be():
    column = guess("day", "03/04/2025", "05/06/2025")
    assert (column.format, column.other_formats) == ("dd/MM/yyyy", ("MM/dd/yyyy",))
    column = guess("day", "13/04/2025", "05/06/2025")
    assert (column.format, column.other_formats) == ("dd/MM/yyyy", ())
    # A week in June is likelier than the first of seven months.
    column = guess("day", "06/01/2025", "06/07/2025")
    assert (column.format, column.other_formats) == ("MM/dd/yyyy", ("dd/MM/yyyy",))


def test_one_column_settles_the_order_of_day_and_month_for_all():
    placed, shipped = guesses({"placed": ["03/04/2025", "05/06/2025"], "shipped": ["03/14/2025", "05/06/2025"]})
    assert (placed.format, placed.other_formats) == ("MM/dd/yyyy", ())
    assert shipped.format == "MM/dd/yyyy"


def test_blanks_around_values_are_taken_away_by_the_contract():
    assert (guess("n", " 1.50", "2.50").type, guess("n", " 1.50", "2.50").trimmed) == ("decimal(12,2)", True)
    assert not guess("n", "1.50", "\u00a0").trimmed
    assert guess("n", "1.50", "\u00a0").present == 1


def test_required_and_allowed_hold_for_every_row():
    assert guess("seen", "a", "b").required
    assert not guess("seen", "a", " ").required
    assert guess("status", *("open", "done") * 4).allowed == ("done", "open")
    assert guess("status", *("open", "done") * 3).allowed == ()
    assert guess("status", *("open ", "done") * 4).allowed == ("done", "open")
    assert guess("status", *("open\t", "done") * 4).allowed == ()
    assert guess("status_code", *("open", "done") * 4).allowed == ()


def test_personal_columns_are_texts_and_never_listed():
    assert guess("email", *("a@b.example",) * 20).allowed == ()
    for name, value in (("telephone", "5551234567"), ("ssn", "123456789"), ("date_of_birth", "1980-01-02")):
        assert (guess(name, value).personal is not None, guess(name, value).type) == (True, "string"), name
    assert guess("email_verified", "true").type == "boolean"


ROWS = [f"{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("dataset", "columns", "key"),
    [
        ("orders", {"amount": ROWS, "OrderID": ROWS}, "order_id"),
        ("deliveries", {"delivery_no": ROWS}, "delivery_no"),
        ("orders", {"id": ROWS}, "id"),
        # Too few rows, not unique, not complete, of something else, of lines, or somebody's own.
        ("orders", {"order_id": ROWS[1:]}, None),
        ("orders", {"order_id": [*ROWS, "1"]}, None),
        ("orders", {"order_id": [*ROWS, None]}, None),
        ("orders", {"customer_id": ROWS, "billing_zip": ROWS}, None),
        ("orders", {"order_id": ROWS, "Lineitem sku": ROWS}, None),
        ("tax_ids", {"tax_id": ROWS}, None),
    ],
)
def test_a_key_is_proved_unique_and_called_what_a_row_is(dataset, columns, key):
    found = guess_key(dataset, guesses(columns))
    assert (found.name if found else None) == key


def test_names_are_ones_that_a_contract_accepts():
    sources = ["OrderID", "Unit Price (£)", "order", "run_id", "2nd", "Menü", "UNIT PRICE", "  ", "HTTPStatus"]
    assert column_names(sources) == [
        *("order_id", "unit_price", "order_value", "run_id_value", "column_2nd", "menu", "unit_price_7"),
        *("column_8", "http_status"),
    ]
    words = ["percent", "current", "range", "set", "No", "a", "a", "a_7"]
    assert column_names(words) == [
        *("percent_value", "current_value", "range_value", "set_value", "no", "a", "a_7", "a_7_8"),
    ]
