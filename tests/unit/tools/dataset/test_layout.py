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
        # As the jobs read it: blanks around quotes mean nothing.
        ('"a" ; "b" ; "c"\n"1" ; "x, y" ; "2"\n', {"delimiter": ";"}),
        # Of two that divide all lines, the one that leaves numbers and texts whole.
        ("Betrag, EUR;Text\n12,50;a\n13,50;b\n", {"delimiter": ";"}),
        ("a; b|c; d\nx|1;5\ny|2;5\n", {"delimiter": "|"}),
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
        ("# first,town\nAda,Anytown\nBea,Newtown\n", {}),
        ("order,b\n#1001,2\n#1002,3\n", {}),
        ("Contacts of June\nname,town\nAda,Anytown\nBea,Newtown\n", {"skip_lines": 1}),
        ("a,b,,\nx,2\ny,3\n", {}),
    ],
)
def test_lines_above_the_table_and_comments_are_not_read(text, options):
    assert told(text) == options


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a,b,c\nx,1,2.50\ny,2,3.50\nTotal,,6.00\n", {"footer_lines": 1}),
        ("a,b,c\nx,1,2.50\ny,2,3.50\nTotal (EUR):,,6.00\n", {"footer_lines": 1}),
        ('a,b,c\nx,1,"1,000"\ny,2,"2,500"\n,3,"3,500"\n', {}),
        ('a,b,c\nx,1,"1,000"\ny,1,"2,500"\n,,"3,500"\n', {"footer_lines": 1}),
        ("a,b,c\nx,1,2\ny,2,3\nSumme;5\n", {"footer_lines": 1}),
        ("a,b,c\nx,1,2\ny,2,3\n\nSource: us, 2025\nRounded\n\n", {"footer_lines": 2}),
        ("a,b,c\nx,1,2\ny,2,3\nTotal,,5\n\nSource: us, 2025\n", {"footer_lines": 2}),
        ("a,b,c\nx,1,2\ny,2,3\n(2 rows)\n", {"footer_lines": 1}),
        ("a,b,c\nx,1,2\ny,2,3\nTRL,2", {"footer_lines": 1}),
        ("a,b,c\nx,1,2\ny,2,3\nTRL,0002,\n", {"footer_lines": 1}),
        ("a,b,c\nx,1,2\ny,2,3\nEnd of report,,\n", {"footer_lines": 1}),
        # Comments among them are counted with them, as the jobs do.
        ("a,b,c\nx,1,2\ny,2,3\nTotal,,5\n# by us\n", {"footer_lines": 2}),
        ("# by us\na,b,c\nx,1,2\ny,2,3\nTotal,,5\n# by us\n\n", {"comment": "#", "footer_lines": 2}),
        ("a,b,c\nx,1,2\ny,2,3\n# by us\n", {"comment": "#"}),
        # Records, whole or broken: nothing says that they end the table.
        ("a,b,c\nx,1,2\ny,2,3\nz z", {}),
        ("a,b,c\nx,1,2\ny,2,3\nz z\n", {}),
        ("a,b,c\nx,1,2\ny,2,3\n\nz\n", {}),
        ("a,b,c\nx,1,2\ny,2,3\n\nBy region,n\nN,2\nS,3\n", {}),
        ("a,b,c\nx,1,2\ny,2,3\nz,4\n", {}),
        ("a,b,c\nx,1,2\ny,2,3\nz,,5\n", {}),
        ("a,b,c\nx,1,2\ny,,3\nz,,5\n", {}),
        ("a,b,c\nTotal,1,2\nx,2,3\nTotal,3,5\n", {}),
        ("id,name,note\n1,a,x\n2,b,y\n3,c,\n", {}),
        ("id,amount,note\n1,5,x\n2,6,y\n3,8,\n", {}),
        ("name,price,note\nChair,7.50,x\nLamp,7.50,y\nEnd table,15.00,\n", {}),
        ("name,price,note\nSt Mary,7,x\nSt John,8,y\nAll Saints,15,\n", {}),
        ("name,price,note\nDesk lamp,7,x\nLamp,8,y\nCount lamp,15,\n", {}),
        ("name,price,note\nx,7,x\ny,8,y\nTotal,14,\n", {}),
        ("kind,count\na,1\nb,2\n,3\n", {}),
        ("name,price,,\nx,7\ny,8\nEnd table,15\n", {}),
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
        "1,20\n2,30\n3,10\n",
        "1,20,300\n2,30,100\n3,10,200\n",
        "1,2,3\n2,4,6\n3,6,9\n",
        "7,x\nNA,y\n9,z\n",
        "x,2019\ny,2020\nz,2021\n",
        "x,true\ny,false\n",
        "Ada,Anytown\nBea,Newtown\nCleo,Anytown\nDora,Anytown\n",
    ],
)
def test_a_first_line_written_as_those_below_it_is_no_header(text):
    assert "line 1 is written as in the lines below it" in csv_layout(text.splitlines(keepends=True), True).headerless


@pytest.mark.parametrize(
    "text",
    [
        "place,2019,2020\nx,150,160\ny,170,180\n",
        "0,1,2\n5,6,7\n8,9,9\n",
        "q,1,2,3,4\nx,7,7,8,9\ny,5,6,9,9\n",
        "day,1/22/20,1/23/20\nx,1,2\ny,3,4\n",
    ],
)
def test_years_days_and_places_may_be_names_of_columns(text):
    assert csv_layout(text.splitlines(keepends=True), True).headerless is None


@pytest.mark.parametrize(
    "text",
    [
        # Rows end with a delimiter, and the header does not.
        "first,town\nAda,Anytown,\nBea,Newtown,\nCleo,Oldtown,\n",
        "first,amount\nAda,free,\nBea,7,\nCleo,8,\n",
        "first,town\n\nAda,Anytown,\nBea,Newtown,\n",
        # Rows have a number or a name before them.
        "first,town\nx,Ada,Anytown\ny,Bea,Newtown\n",
        # Values hold the delimiter, or names another one.
        "name\nExample, Ada\nExample, Bea\n",
        "Full name\nExample, Ada\nExample, Bea\n",
        "first;town\nAda,Anytown\nBea,Newtown\n",
        "first,town,x\nAda,Anytown\nBea,Newtown\n",
    ],
)
def test_a_line_that_may_be_the_header_is_not_left_out(text):
    layout = csv_layout(text.splitlines(keepends=True), True)
    assert "line 1 may name the columns" in layout.headerless
    assert "Ada" not in layout.headerless


def test_halves_of_decimals_are_no_names():
    assert csv_layout(["Betrag\n", "12,50\n", "13,50\n", "14,00\n"], True).headerless


def test_what_may_be_a_footer_is_told():
    for end in ("by us", "z,4", ",9,9", "by us,,"):
        layout = csv_layout(["a,b,c\n", "x,1,2\n", "y,2,3\n", end], True)
        assert ("footer_lines" in layout.options, len(layout.doubts)) == (False, 1)
    assert csv_layout(["a,b,c\n", "x,1,2\n", "y,2,3\n", "z,3,\n"], True).doubts == ()


def test_the_total_of_a_long_file_is_at_least_what_is_known():
    lines = ["# by us\n", "a,b,c\n", *["x,1,2\n"] * 50]
    assert csv_layout(lines, False, ["x,1,2\n", "Total,,500\n", "# by us\n"]).options.get("footer_lines") == 2
    assert "footer_lines" not in csv_layout(lines, False, ["x,1,2\n", "Total,,50\n"]).options
    assert "footer_lines" not in csv_layout(lines, False, ["x,1,2\n", "Total,3,500\n"]).options
