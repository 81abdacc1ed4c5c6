"""What a contract can ask of rows beyond types, on a real Spark: checks, severities, duplicates, derived columns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from contract.dataset import Contract
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs import clean
from spark_jobs.errors import DataError
from spark_jobs.outcomes import Outcomes
from tests.classifying import rows_of
from tests.unit.spark_jobs.contracts import contract_of

RUN_DATE = date(2025, 6, 30)
Judge = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def judge(spark: SparkSession, tmp_path: Path) -> Judge:
    """Give the rows that become of CSV files (all with the contract's header), in the order received.

    Another column keeps rows without any value from being blank lines.
    """

    def run(contract: Contract, *files: str, **others: DataFrame) -> list[dict[str, Any]]:
        header = ",".join(column.source for column in contract.columns)
        for number, lines in enumerate(files):
            text = "".join(f"{line},x\n" for line in [header, *lines.splitlines()])
            (tmp_path / f"{number}.csv").write_text(text, encoding="utf-8")
        known = {name: frame.withColumn("run_date", F.lit(RUN_DATE)) for name, frame in others.items()}
        rows = rows_of(spark, tmp_path, contract, RUN_DATE, known).orderBy("source_file", "source_line")
        return [row.asDict() for row in rows.collect()]

    return run


def outcomes(rows: list[dict[str, Any]]) -> list[str]:
    return [row["_outcome"] for row in rows]


def rules(rows: list[dict[str, Any]]) -> list[str | None]:
    return [row["_rule"] for row in rows]


def rule(name: str, condition: str, action: str) -> dict[str, str]:
    return {"name": name, "condition": condition, "action": action, "description": f"{name} is broken"}


def test_bounds_are_included(judge: Judge) -> None:
    contract = contract_of(
        {"name": "i", "type": "int", "min": 1, "max": 9},
        {"name": "m", "type": "decimal(9,2)", "min": 0.1},
        {"name": "f", "type": "double", "max": 0.5},
        {"name": "d", "type": "date", "min": date(2025, 1, 1)},
        {"name": "t", "type": "timestamp", "max": datetime(2025, 1, 1, 12)},
    )
    good = ["1,0.10,0.5,2025-01-01,2025-01-01 12:00:00", "9,5,-1e300,9999-12-31,0001-01-01 00:00:00", ",,,,"]
    bad = {
        "0,,,,": "i_out_of_range: '0' is less than 1",
        "10,,,,": "i_out_of_range: '10' is greater than 9",
        ",0.09,,,": "m_out_of_range: '0.09' is less than 0.1",
        ",,0.5000001,,": "f_out_of_range: '0.5000001' is greater than 0.5",
        ",,,2024-12-31,": "d_out_of_range: '2024-12-31' is less than 2025-01-01",
        ",,,,2025-01-01 12:00:01": "t_out_of_range: '2025-01-01 12:00:01' is greater than 2025-01-01 12:00:00",
    }
    rows = judge(contract, "".join(f"{line}\n" for line in (*good, *bad)))
    assert outcomes(rows) == ["published"] * len(good) + ["quarantined"] * len(bad)
    assert [row["_reason"] for row in rows[len(good) :]] == list(bad.values())


def test_a_pattern_is_of_the_whole_value(judge: Judge) -> None:
    contract = contract_of({"name": "code", "pattern": "[0-9]{5}|[A-Z]+"}, "other")
    rows = judge(contract, "12345,\nABC,\n,\n123456,\nABC1,\nabc,\n")
    assert outcomes(rows) == ["published"] * 3 + ["quarantined"] * 3
    assert rows[3]["_reason"] == "code_pattern: '123456' does not match [0-9]{5}|[A-Z]+"


def test_a_text_is_normalized_before_it_is_read(judge: Judge) -> None:
    contract = contract_of(
        {"name": "customer", "normalize": "regexp_replace(value, '[.]0$', '')", "pattern": "[0-9]+"},
        {"name": "value", "type": "decimal(9,2)", "normalize": "replace(value, ',', '')"},
        {"name": "flag", "type": "boolean", "normalize": "case value when 'Y' then 'true' when 'N' then 'false' end"},
    )
    rows = judge(contract, '17850.0,"1,234.50",Y\n17850,2,?\n1.5,x y,N\n')
    assert [(row["customer"], row["value"], row["flag"]) for row in rows] == [
        ("17850", Decimal("1234.50"), True),
        ("17850", Decimal(2), None),
        ("1.5", None, False),
    ]
    assert (
        rows[2]["_reason"] == "customer_pattern: '1.5' does not match [0-9]+; value_invalid: 'x y' is not decimal(9,2)"
    )
    assert rows[2]["_raw_row"] == "1.5,x y,N,x"


def test_the_strongest_severity_decides(judge: Judge) -> None:
    contract = contract_of(
        {"name": "n", "type": "int", "required": True},
        {"name": "flags"},
        rules=(
            rule("odd", "flags like '%w%'", "warn"),
            rule("rare", "flags like '%r%'", "warn"),
            rule("old", "flags like '%d%'", "drop"),
            rule("bad", "flags like '%q%'", "quarantine"),
            rule("broken", "flags like '%f%'", "fail"),
        ),
    )
    rows = judge(contract, "1,\n2,w\n3,wr\n4,wd\n5,wdq\n6,wdqf\nx,f\n")
    assert list(zip(outcomes(rows), rules(rows), strict=True)) == [
        ("published", None),
        ("published", None),
        ("published", None),
        ("dropped", "old"),
        ("quarantined", "bad"),
        ("failed", "broken"),
        ("quarantined", "n_invalid"),
    ]
    assert [row["_warnings"] for row in rows[:4]] == [None, ["odd"], ["odd", "rare"], ["odd"]]
    assert rows[4]["_reason"] == "bad: bad is broken"


def test_warnings_are_counted_where_rows_are_published(spark: SparkSession, tmp_path: Path) -> None:
    contract = contract_of(
        {"name": "n", "type": "int"},
        rules=(rule("large", "n > 1", "warn"), rule("huge", "n > 2", "warn"), rule("four", "n = 4", "drop")),
    )
    (tmp_path / "a.csv").write_text("n\n1\n2\n3\n4\n")
    rows = Outcomes.of(rows_of(spark, tmp_path, contract, RUN_DATE), contract)
    groups = rows.groups()
    clean.check_batch(rows, groups)
    counts = clean.row_counts(groups, 4, ["large", "huge"])
    assert counts["warned_by_rule"] == {"huge": 1, "large": 2}
    assert counts["rows"] == {"read": 4, "published": 3, "quarantined": 0, "duplicates": 0, "dropped": {"four": 1}}


def test_a_row_that_breaks_a_rule_of_action_fail_refuses_the_batch(spark: SparkSession, tmp_path: Path) -> None:
    contract = contract_of({"name": "n", "type": "int"}, rules=(rule("negative", "n < 0", "fail"),))
    for name in ("b", "a"):
        (tmp_path / f"{name}.csv").write_text("n\n1\n-1\n-2\n")
    rows = Outcomes.of(rows_of(spark, tmp_path, contract, RUN_DATE), contract)
    with pytest.raises(DataError) as refused:
        clean.check_batch(rows, rows.groups())
    assert f"{refused.value}" == (
        "a.csv line 3: negative: negative is broken (rule negative refuses the batch; 4 rows break such a rule)"
    )


def test_of_a_key_the_greatest_counts_then_the_last_received(judge: Judge) -> None:
    contract = contract_of(
        {"name": "id", "required": True},
        {"name": "version", "type": "int"},
        key=("id",),
        dedupe={"latest_by": ("version",)},
    )
    rows = judge(contract, "a,2\na,10\nb,1\nb,1\nc,\nc,1\n", "a,9\nb,1\n")
    published = [(row["id"], row["source_file"], row["source_line"]) for row in rows if row["_outcome"] == "published"]
    assert published == [("a", "0.csv", 3), ("c", "0.csv", 7), ("b", "1.csv", 3)]
    assert outcomes(rows).count("duplicate") == 5


def test_equal_rows_count_once_whatever_their_text(judge: Judge) -> None:
    contract = contract_of(
        "a",
        {"name": "price", "type": "decimal(9,2)", "min": 0},
        dedupe={"by": "row"},
        derived=({"name": "line", "type": "string", "expression": "a || price", "description": "Both"},),
    )
    rows = judge(contract, "x,1.5\nx,1.50\nx,1.51\n,\n,\nX,1.5\nx,-1\nx,-1\n", "x,1.5\n")
    assert outcomes(rows) == [
        *("duplicate", "duplicate", "published"),
        *("duplicate", "published", "published", "quarantined", "quarantined"),
        "published",
    ]


def test_without_a_key_every_row_counts(judge: Judge) -> None:
    assert outcomes(judge(contract_of("a"), "x\nx\n")) == ["published", "published"]


def test_columns_are_derived_in_order_and_only_from_good_values(judge: Judge) -> None:
    contract = contract_of(
        {"name": "quantity", "type": "int", "min": 1},
        {"name": "total", "type": "decimal(12,2)"},
        derived=(
            {
                "name": "each",
                "type": "decimal(12,4)",
                "expression": "total / quantity",
                "description": "What one costs",
            },
            {"name": "is_dear", "type": "boolean", "expression": "each > 3", "description": "More than 3"},
            {"name": "age", "type": "int", "expression": "datediff(run_date, '2025-06-01')", "description": "Days"},
        ),
        rules=(rule("too_dear", "is_dear and total > 100", "quarantine"),),
    )
    rows = judge(contract, "3,10.00\n6,10.00\n0,1.00\n,\n1,200.00\n")
    assert [(row["each"], row["is_dear"]) for row in rows] == [
        (Decimal("3.3333"), True),
        (Decimal("1.6667"), False),
        (None, None),
        (None, None),
        (Decimal("200.0000"), True),
    ]
    assert rules(rows) == [None, None, "quantity_out_of_range", None, "too_dear"]
    assert rows[0]["age"] == 29


def test_money_is_exact_and_rounded_half_up(judge: Judge) -> None:
    right = {
        # A float would give 434.99999999999994 and 4.6499999999999995.
        "price * quantity": "435.00",
        "price + 0.1 + 0.2": "4.65",
        "price / 3": "1.45",
        # 0.62142857..., 0.02175; -0.125 and 2.675 are ties.
        "price / 7": "0.62",
        "price / 200": "0.02",
        "(price - 4.6) / 2": "-0.13",
        "(price + 1) / 2": "2.68",
        "round(100 * (5 - price) / 5, 2)": "13.00",
        "cast(price as decimal(38,2)) * 2": "8.70",
    }
    derived = (
        {"name": f"m{at}", "type": "decimal(14,2)", "expression": expression, "description": "Money"}
        for at, expression in enumerate(right)
    )
    columns = {"name": "price", "type": "decimal(12,2)"}, {"name": "quantity", "type": "int"}
    (row,) = judge(contract_of(*columns, derived=tuple(derived)), "4.35,100\n")
    assert {expression: f"{row[f'm{at}']}" for at, expression in enumerate(right)} == right


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("acos(n * 5)", "NaN"),
        ("sqrt(n)", "NaN"),
        ("double('NaN')", "NaN"),
        ("exp(-n * 1000)", "Infinity"),
        ("double('-Infinity')", "-Infinity"),
        ("float('NaN')", "NaN"),
    ],
)
def test_a_derived_value_that_is_no_number_refuses_the_batch(
    judge: Judge, spark: SparkSession, tmp_path: Path, expression: str, value: str
) -> None:
    derived = {"name": "x", "type": "double", "expression": f"if(n < 0, {expression}, 1D)", "description": "X"}
    contract = contract_of({"name": "n", "type": "int"}, derived=(derived,))
    rows = judge(contract, "1\n-1\n,\nnone\n")
    assert outcomes(rows) == ["published", "failed", "quarantined", "quarantined"]
    assert rows[1]["_reason"] == f"x_not_finite: {value} is no number: x cannot be computed"
    found = Outcomes.of(rows_of(spark, tmp_path, contract, RUN_DATE), contract)
    with pytest.raises(DataError, match=r"0\.csv line 3: x_not_finite: .* \(rule x_not_finite refuses the batch"):
        clean.check_batch(found, found.groups())


@pytest.mark.parametrize("kind", ["decimal(12,2)", "boolean", "string", "int"])
def test_a_derived_value_that_is_no_number_is_seen_before_it_is_cast(judge: Judge, kind: str) -> None:
    derived = {"name": "x", "type": kind, "expression": "sqrt(n)", "description": "X"}
    contract = contract_of({"name": "n", "type": "int"}, derived=(derived,))
    assert rules(judge(contract, "4\n-1\n")) == [None, "x_not_finite"]


def test_years_are_1_to_9999(judge: Judge) -> None:
    contract = contract_of({"name": "d", "type": "date"}, "o")
    rows = judge(contract, "9999-12-31,\n+10183-09-21,\n0000-01-01,\n-0001-01-01,\n")
    assert rules(rows) == [None, "d_invalid", "d_invalid", "d_invalid"]


def test_a_double_looked_up_that_is_no_number_refuses_the_batch(judge: Judge, spark: SparkSession) -> None:
    take = {"name": "factor", "from": "factor", "type": "double", "description": "A factor"}
    lookup = {"dataset": "others", "column": "n", "references": "n", "take": (take,)}
    contract = contract_of({"name": "n", "type": "int"}, lookups=(lookup,))
    others = spark.createDataFrame([(1, 0.5), (2, float("nan"))], "n int, factor double")
    assert rules(judge(contract, "1\n2\n3\n", others=others)) == [None, "factor_not_finite", None]


def test_an_expression_that_cannot_be_computed_is_named(judge: Judge) -> None:
    contract = contract_of(
        {"name": "n", "type": "int"},
        derived=({"name": "share", "type": "double", "expression": "1 / n", "description": "A share"},),
    )
    told = r"an expression of the contract cannot be computed for a row: \[DIVIDE_BY_ZERO\]"
    with pytest.raises(DataError, match=told), clean.expressions_checked(contract):
        judge(contract, "1\n0\n")


@pytest.mark.parametrize("personal", [False, True])
def test_what_an_expression_makes_of_a_value_is_not_told_where_that_may_be_personal(
    judge: Judge, personal: bool
) -> None:
    contract = contract_of(
        {"name": "told", "type": "string"},
        {"name": "name", "type": "string", "personal": personal},
        derived=({"name": "number", "type": "int", "expression": "CAST(told AS INT)", "description": "A number"},),
    )
    with pytest.raises(DataError, match="CAST_INVALID_INPUT") as refused, clean.expressions_checked(contract):
        judge(contract, "Ann,Ann\n")
    assert ("Ann" in str(refused.value)) != personal


def frame(spark: SparkSession, **columns: list[Any]) -> DataFrame:
    return spark.createDataFrame(pa.table(columns).to_pandas())


LOOKUP = {
    "dataset": "products",
    "column": "product",
    "references": "id",
    "take": (
        {"name": "category", "from": "kind", "type": "string", "description": "Kind"},
        {"name": "id", "from": "id", "type": "string", "description": "The same again"},
    ),
}


def reference(column: str, action: str) -> dict[str, str]:
    return {
        "name": f"{column}_unknown",
        "column": column,
        "dataset": "products",
        "references": "id",
        "action": action,
        "description": "No such product",
    }


def test_a_reference_that_leads_nowhere_is_a_broken_rule(spark: SparkSession, judge: Judge) -> None:
    actions = {"warned": "warn", "bad": "quarantine", "old": "drop", "wrong": "fail"}
    contract = contract_of(*actions, references=tuple(reference(*item) for item in actions.items()))
    products = frame(spark, id=["a", "b", "b", None])
    rows = judge(contract, "a,b,a,b\nc,,,\n,c,,\n,,c,\n,,,c\n,,,\n", products=products)
    assert outcomes(rows) == ["published", "published", "quarantined", "dropped", "failed", "published"]
    assert rules(rows) == [None, None, "bad_unknown", "old_unknown", "wrong_unknown", None]
    assert rows[2]["_reason"] == "bad_unknown: 'c' is not in the column id of products"
    assert [row["_warnings"] for row in rows] == [None, ["warned_unknown"], None, None, None, None]


def test_columns_are_looked_up_and_can_be_used(spark: SparkSession, judge: Judge) -> None:
    contract = contract_of(
        "product",
        {"name": "n", "type": "int"},
        lookups=(LOOKUP,),
        references=(reference("product", "warn"),),
        derived=({"name": "label", "type": "string", "expression": "upper(category)", "description": "Label"},),
        rules=(rule("toy", "category = 'toy'", "quarantine"),),
    )
    products = frame(spark, id=["a", "b"], kind=["book", "toy"])
    rows = judge(contract, "a,1\nb,2\nc,3\n,4\na,x\n", products=products)
    assert [(row["category"], row["id"], row["label"]) for row in rows] == [
        ("book", "a", "BOOK"),
        ("toy", "b", "TOY"),
        (None, None, None),
        (None, None, None),
        ("book", "a", None),
    ]
    assert rules(rows) == [None, "toy", None, None, "n_invalid"]


def test_names_of_the_pipeline_may_be_names_of_columns(judge: Judge) -> None:
    contract = contract_of("reason", "rule", "outcome", "raw_row", "received", {"name": "n", "type": "int"})
    rows = judge(contract, "late,r,o,w,c,1\nlate,r,o,w,c,x\n")
    assert [(row["reason"], row["rule"], row["outcome"], row["received"]) for row in rows] == [
        ("late", "r", "o", "c")
    ] * 2
    assert rules(rows) == [None, "n_invalid"]
