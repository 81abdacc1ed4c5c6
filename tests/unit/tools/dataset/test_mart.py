"""The first mart's SQL is as the project's own linter wants it, whatever the columns are called."""

import shutil
import subprocess

from contract.dataset import Format

from tools.dataset.columns import LINTER_WORDS, ColumnGuess, column_names, guess_columns
from tools.dataset.mart import FirstMart, first_mart
from tools.dataset.sample import Sample
from tools.environment import CHECKOUT, python_of

WORDS = LINTER_WORDS | {
    "sum",
    "count",
    "date",
    "day",
    "value",
    "index",
    "user",
    "time",
    "key",
    "type",
    "order",
    "number_of_rows",
}


def marts():
    """Every kind of first mart, and those by a column of each name that may be a word of SQL."""
    texts = ColumnGuess("note", "note", "string", 1, 1)
    number = ColumnGuess("amount", "amount", "decimal(12,2)", 1, 1)
    yield from (FirstMart("x", group, measure) for group in (None, texts) for measure in (None, number))
    for name in column_names(sorted(WORDS)):
        yield FirstMart("x", ColumnGuess(name, name, "string", 1, 1), ColumnGuess(name, name, "int", 1, 1))


def test_the_sql_passes_the_linter(tmp_path):
    shutil.copy(CHECKOUT / ".sqlfluff", tmp_path)
    shared = "".join(mart.sql().replace("{{ current }}", "orders").rstrip() + ";\n\n" for mart in marts())
    (tmp_path / "marts.sql").write_text(shared.rstrip("\n") + "\n")
    command = [str(python_of("dev").with_name("sqlfluff")), "lint", "marts.sql"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_test_of_a_sum_is_exact():
    sample = Sample(Format(type="csv"), {"wei": ["98765432109.123456789012345678", "1.000000000000000001"] * 6})
    _, expected = first_mart("x", guess_columns(sample), sample).test(sample)
    assert expected.splitlines()[1].partition(",")[2] == "197530864220.246913578024691358"
