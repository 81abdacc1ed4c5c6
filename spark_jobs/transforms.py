"""From records to rows with an outcome: pure functions from DataFrame to DataFrame, driven by the contract.

Every record ends with exactly one outcome. A broken record or a row that breaks a quarantine rule is `quarantined`,
with all rules it breaks in its reason; else a row that breaks a drop rule is `dropped`; else a row that a later row
with the same key supersedes is a `duplicate`; what is left is `published`. So a bad row never displaces a good one.
"""

from __future__ import annotations

from datetime import date
from functools import reduce

from lake.contract import Column as ContractColumn
from lake.contract import Contract, decimal_parts
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.records import UNREADABLE

PUBLISHED, QUARANTINED, DROPPED, DUPLICATE, FAILED = "published", "quarantined", "dropped", "duplicate", "failed"

INTEGER = r"\A[+-]?[0-9]+\z"
DOUBLE = r"\A[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?\z"
SPARK_TYPES = {"timestamp": "timestamp_ntz"}
"""Where Spark's name for a contract type differs: a timestamp is a wall clock reading without a zone, as in Hive."""


def spark_type(type_name: str) -> str:
    """The Spark SQL type of a contract type."""
    return SPARK_TYPES.get(type_name, type_name)


def is_blank(text: Column) -> Column:
    """Whether a text is null, empty or only white space."""
    return text.isNull() | text.rlike(r"\A\s*\z")


def parsed(text: Column, column: ContractColumn) -> Column:
    """`text` as a value of the column's type, or null where it is not written exactly as such a value is.

    Decimals have an optional sign, digits, and at most as many decimals as the type; no exponent, no separators, no
    blanks. Dates and timestamps must read the same when they are written again in the column's format.
    """
    decimal = decimal_parts(column.type)
    if decimal is not None:
        _, scale = decimal
        pattern = rf"\A[+-]?[0-9]+([.][0-9]{{1,{scale}}})?\z" if scale else INTEGER
        return F.when(text.rlike(pattern), text.try_cast(column.type))
    match column.type:
        case "string":
            return text
        case "int" | "bigint":
            return F.when(text.rlike(INTEGER), text.try_cast(column.type))
        case "double":
            value = F.when(text.rlike(DOUBLE), text.try_cast("double"))
            return F.when(F.abs(value) < float("inf"), value)
        case "boolean":
            return F.when(F.lower(text).isin("true", "false"), F.lower(text) == "true")
        case "date":
            value = F.call_function("try_to_date", text, F.lit(column.date_format))
            return F.when(F.date_format(value, column.date_format) == text, value)
        case "timestamp":
            value = F.try_to_timestamp(text, F.lit(column.date_format))
            return F.when(F.date_format(value, column.date_format) == text, value).cast("timestamp_ntz")
    raise ValueError(f"no way to read the type {column.type}")


def typed(records: DataFrame, contract: Contract) -> DataFrame:
    """Records with a column of its type for each of the contract's; blank and unreadable values are null."""
    values = {
        column.name: F.when(~is_blank(_text(column)), parsed(_text(column), column)) for column in contract.columns
    }
    return records.withColumns(values)


def _text(column: ContractColumn) -> Column:
    return F.col(f"received.{column.name}")


def _broken(rule: str, condition: Column, reason: Column) -> Column:
    """`struct(rule, reason)` where the condition is true, else null."""
    return F.when(condition, F.struct(F.lit(rule).alias("rule"), F.concat(F.lit(f"{rule}: "), reason).alias("reason")))


def column_problems(column: ContractColumn) -> list[Column]:
    """What can be wrong with the value of one column of a typed record, each `struct(rule, reason)` or null."""
    text, value = _text(column), F.col(column.name)
    shown = F.concat(F.lit("'"), text, F.lit("'"))
    problems = []
    if column.required:
        problems.append(_broken(column.missing_rule, is_blank(text), F.lit("a value is required")))
    if column.type != "string":
        like = f" ({column.date_format})" if column.type in ("date", "timestamp") else ""
        unreadable = ~is_blank(text) & value.isNull()
        problems.append(
            _broken(column.invalid_rule, unreadable, F.concat(shown, F.lit(f" is not {column.type}{like}")))
        )
    if column.allowed:
        known = F.lit(f" is not one of {', '.join(column.allowed)}")
        problems.append(_broken(column.not_allowed_rule, ~value.isin(*column.allowed), F.concat(shown, known)))
    return problems


def judged(rows: DataFrame, contract: Contract, run_date: date) -> DataFrame:
    """Typed records with `outcome`, `rule` and `reason`; which rows are duplicates is left to `deduplicated`.

    `rule` is the first rule that the row breaks, `reason` all of them; both are null where the row is good.
    """
    record_problem = F.when(
        F.col("record_rule").isNotNull(),
        F.struct(
            F.col("record_rule").alias("rule"),
            F.concat_ws(": ", F.col("record_rule"), F.col("record_reason")).alias("reason"),
        ),
    )
    of_columns = [problem for column in contract.columns for problem in column_problems(column)]
    of_rules = {
        action: [
            _broken(rule.name, F.expr(rule.condition), F.lit(rule.description))
            for rule in contract.rules
            if rule.action == action
        ]
        for action in ("quarantine", "drop")
    }
    readable = F.col("record_rule").isNull()
    of_row = F.array_compact(F.array(*of_columns, *of_rules["quarantine"]))
    with_problems = rows.withColumn("run_date", F.lit(run_date)).withColumns(
        {
            "quarantine_for": F.when(readable, of_row).otherwise(F.array(record_problem)),
            "drop_for": F.array_compact(F.array(*of_rules["drop"])),
        }
    )
    bad, stale = F.size("quarantine_for") > 0, F.size("drop_for") > 0
    problems = F.when(bad, F.col("quarantine_for")).when(stale, F.col("drop_for"))
    return with_problems.withColumns(
        {
            "outcome": F.when(F.col("record_rule") == UNREADABLE, FAILED)
            .when(bad, QUARANTINED)
            .when(stale, DROPPED)
            .otherwise(PUBLISHED),
            "rule": problems[0]["rule"],
            "reason": F.array_join(F.transform(problems, lambda problem: problem["reason"]), "; "),
            # Only quarantine shows the row as received: the others need not carry it any further.
            "raw_row": F.when(bad, F.col("raw_row")),
        }
    ).drop("run_date", "quarantine_for", "drop_for", "received", "record_rule", "record_reason")


def deduplicated(rows: DataFrame, contract: Contract) -> DataFrame:
    """Judged rows in which, of the good rows with the same key, all but the one received last are duplicates.

    Received last is the greatest source file, then the greatest line. Without a key there are no duplicates.
    """
    if not contract.key:
        return rows
    good = F.col("outcome") == PUBLISHED
    # Rows that take no part are kept apart by their line, so that they do not all meet in one window.
    window = Window.partitionBy(
        good, *(F.when(good, F.col(name)) for name in contract.key), F.when(~good, F.col("source_line"))
    ).orderBy(F.desc("source_file"), F.desc("source_line"))
    superseded = good & (F.col("place") > 1)
    return (
        rows.withColumn("place", F.row_number().over(window))
        .withColumn("outcome", F.when(superseded, DUPLICATE).otherwise(F.col("outcome")))
        .drop("place")
    )


def classified(records: DataFrame, contract: Contract, run_date: date, run_id: str) -> DataFrame:
    """Records (see spark_jobs/records.py) as rows of the contract's columns, lineage, `raw_row, outcome, rule, reason`.

    :param run_date: the date that rules call `run_date`.
    """
    steps = (
        lambda frame: typed(frame, contract),
        lambda frame: judged(frame, contract, run_date),
        lambda frame: deduplicated(frame, contract),
        lambda frame: frame.withColumn("run_id", F.lit(run_id)),
    )
    return reduce(lambda frame, step: step(frame), steps, records)


def published(rows: DataFrame, contract: Contract) -> DataFrame:
    """The rows of outcome `published`, as the public table has them."""
    wanted = [F.col(column.name).cast(spark_type(column.type)) for column in contract.published_columns]
    return rows.where(F.col("outcome") == PUBLISHED).select(*wanted)


def quarantined(rows: DataFrame, columns: tuple[str, ...]) -> DataFrame:
    """The rows of outcome `quarantined`, with the given columns of the quarantine table."""
    return rows.where(F.col("outcome") == QUARANTINED).select(*columns)
