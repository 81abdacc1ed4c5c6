"""Lines tell how a CSV file is written, and which of them are no records."""

import pytest

from tools.dataset.layout import csv_layout


def told(text):
    layout = csv_layout(text.splitlines(keepends=True), complete=True)
    assert layout.headerless is None
    return {name: value for name, value in layout.options.items() if (name, value) != ("delimiter", ",")}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a,b\n1,2\n", {}),
        ("a;b\n1,5;2,5\n2,5;3,5\n", {"delimiter": ";"}),
        ('"a, c";"b, d"\nx;1\ny;2\n', {"delimiter": ";"}),
        ("a\tb\n1\t1,204\n2\t3,305\n", {"delimiter": "\t"}),
        ("a\x01b\n1\x012\n", {"delimiter": "\x01"}),
        ("a|b\n1|2\n", {"delimiter": "|"}),
        ("\n\na;b\n1;2\n", {"delimiter": ";"}),
        ("sep=;\na;b\n1;2\n", {"delimiter": ";"}),
        ("note\nhello, world\n", {}),
        ("a,b\n'x, y','1'\n'z','2'\n", {"quote": "'"}),
        ('a,b\n1,"two\nlines"\n2,"three\n\nlines"\n', {"multiline": True}),
        ('a,b\n1,"x\n2,x\n3,x\n4,x"\n5,x\n', {}),
    ],
)
def test_the_delimiter_is_the_one_by_which_most_lines_have_the_same_columns(text, options):
    assert told(text) == options


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("Report of June\n\nCreated,today\na,b,c\n1,2,x\n3,4,y\n", {"skip_lines": 3}),
        ("Report,,\nof June,,\na,b,c\n1,2,x\n3,4,y\n", {"skip_lines": 2}),
        ("# by a tool\n# unit: m\na,b\nx,2\ny,3\n", {"comment": "#"}),
        ("# units: m, s\na,b\nx,2\ny,3\n", {"comment": "#"}),
        ("a,b\nx,2\n-- half\ny,3\n", {"comment": "--"}),
        ("Made by us\n# unit: m\na,b\nx,2\ny,3\n", {"skip_lines": 2}),
        ("Made by us\na,b\nx,2\n# gap\ny,3\n", {"skip_lines": 1, "comment": "#"}),
        ("#a,b\nx,2\ny,3\n", {}),
        ("order,b\n#1001,2\n#1002,3\n", {}),
    ],
)
def test_lines_above_the_table_and_comments_are_not_read(text, options):
    assert told(text) == options


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a,b,c\nx,1,2.50\ny,2,3.50\nTotal,,6.00\n", {"footer_lines": 1}),
        ('a,b,c\nx,1,"1,000"\ny,2,"2,500"\n,3,"3,500"\n', {"footer_lines": 1}),
        ("a,b,c\nx,1,2\ny,2,3\nSumme;5\n", {"footer_lines": 1}),
        ("a,b,c\nx,1,2\ny,2,3\n\nSource: us, 2025\nRounded\n", {"footer_lines": 2}),
        ("a,b,c\nx,1,2\ny,2,3\n(2 rows)\n", {"footer_lines": 1}),
        ("a,b,c\nx,1,2\ny,2,3\nTRL,2", {"footer_lines": 1}),
        # Records, whole or broken: nothing says that they end the table.
        ("a,b,c\nx,1,2\ny,2,3\nz z", {}),
        ("a,b,c\nx,1,2\ny,2,3\nz,4\n", {}),
        ("a,b,c\nx,1,2\ny,2,3\nz,,5\n", {"footer_lines": 1}),
        ("a,b,c\nx,1,2\ny,,3\nz,,5\n", {}),
        ("a,b,c\nTotal,1,2\nx,2,3\nTotal,3,5\n", {}),
    ],
)
def test_totals_and_text_at_the_end_are_not_read_and_records_are(text, options):
    assert told(text) == options


@pytest.mark.parametrize(
    "text",
    [
        "A1,north,2.50\nA2,south,3.00\nA3,north,4.00\n",
        '"x","1995-01-09 00:00"\n"y","1995-01-10 00:00"\n',
        "one@a.example,x\ntwo@a.example,y\n",
        "0.5,1.25,3\n0.75,1.5,4\n",
    ],
)
def test_a_first_line_written_as_those_below_it_is_no_header(text):
    assert "line 1 is written as in the lines below it" in csv_layout(text.splitlines(keepends=True), True).headerless


@pytest.mark.parametrize(
    "text", ["place,2019,2020\nx,150,160\ny,170,180\n", "0,1,2\n5,6,7\n8,9,9\n", "day,1/22/20,1/23/20\nx,1,2\ny,3,4\n"]
)
def test_years_days_and_places_may_be_names_of_columns(text):
    assert csv_layout(text.splitlines(keepends=True), True).headerless is None
