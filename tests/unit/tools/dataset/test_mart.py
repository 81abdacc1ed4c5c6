"""The first mart's SQL is as the project's own linter wants it, whatever the columns are called."""

import re
import shutil
import subprocess
from decimal import Decimal, localcontext

import pytest
from contract.columns import decimal_parts, decimal_pattern

from tools.dataset.columns import LINTER_WORDS, ColumnGuess, column_names
from tools.dataset.mart import FirstMart
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


@pytest.mark.parametrize(
    "kind", ["int", "bigint", "decimal(12,2)", "decimal(31,18)", "decimal(2,2)", "decimal(1,0)", "decimal(32,31)"]
)
def test_the_test_of_a_sum_is_exact(kind):
    received, expected = FirstMart("x", None, ColumnGuess("wei", "wei", kind, 1, 1)).test()
    rows = [line.split(",") for line in received.splitlines()[1:]]
    precision, scale = decimal_parts(kind) or (10, 0)
    pattern = re.compile(decimal_pattern(scale))
    fitting = {number for _, number in rows if pattern.fullmatch(number)}
    assert (len(fitting) > 9, all(Decimal(number) < 10 ** (precision - scale) for number in fitting)) == (True, True)
    with localcontext(prec=76):
        total = sum(Decimal(number) for ds, number in rows if ds == "2025-01-31")
    assert expected.splitlines()[1:] == [f"4,{total}"]
