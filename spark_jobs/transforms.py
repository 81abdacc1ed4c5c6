"""From records to rows with an outcome: pure functions from DataFrame to DataFrame, driven by the contract.

Every record ends with exactly one outcome, the first of these that holds:

- `failed`: a sound row breaks a rule of action `fail`. The batch is refused.
- `quarantined`: the record is broken, a column's value is not what the contract says, or a rule of action
  `quarantine` is broken. All of it is in the row's reason.
- `dropped`: the row breaks a rule of action `drop`.
- `duplicate`: another row of the same date counts in its place. So a bad row never displaces a good one.
- `published`: what is left. Rules of action `warn` that it breaks are counted, and change nothing.

A row is sound when its record and the values of its columns are good: only then are derived columns computed (they
are null before), and rules of action `fail` and `warn` judged. A reference is a rule like any other. A rule whose
condition is null is kept.

Columns of the frames that are not published have names with a leading underscore, which a contract's cannot have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from typing import NamedTuple

from contract.columns import BLANKS, DOUBLE, INTEGER, decimal_parts, decimal_pattern
from contract.columns import Column as ContractColumn
from contract.dataset import Action, Contract, Reference, Rule
from contract.date_patterns import Variant, apart, expression, spark_pattern, variants
from contract.submission import Submission
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812
from pyspark.sql.types import DoubleType, FloatType

from spark_jobs.plain_values import PlainValues
from spark_jobs.records import held

PUBLISHED, QUARANTINED, DROPPED, DUPLICATE, FAILED = "published", "quarantined", "dropped", "duplicate", "failed"
SPARK_TYPES = {"timestamp": "timestamp_ntz"}
"""Where Spark's name for a contract type differs: a timestamp is a wall clock reading without a zone, as in Hive."""


def spark_type(type_name: str) -> str:
    """The Spark SQL type of a contract type."""
    return SPARK_TYPES.get(type_name, type_name)


def is_blank(text: Column) -> Column:
    """Whether a text is null, empty or only what nobody sees."""
    return text.isNull() | text.rlike(rf"\A[{BLANKS}]*\z")


def _whole(pattern: str) -> str:
    """The regular expression of texts that match as a whole."""
    return rf"\A(?:{pattern})\z"


def _is_whole(text: Column, pattern: str) -> Column:
    """Whether the whole of a text matches."""
    return text.rlike(_whole(pattern))


def parsed(text: Column, column: ContractColumn) -> Column:
    """`text` as a value of the column's type, or null where it is not written exactly as such a value is.

    Decimals have an optional sign, digits, and at most as many decimals as the type; no exponent, no separators, no
    blanks. Dates and timestamps are written in the column's format to the letter, those with an offset become the
    wall clock reading in UTC, and years are 1 to 9999.
    """
    decimal = decimal_parts(column.type)
    if decimal is not None:
        return F.when(_is_whole(text, decimal_pattern(decimal[1])), text.try_cast(column.type))
    match column.type:
        case "string":
            return text
        case "int" | "bigint":
            return F.when(_is_whole(text, INTEGER), text.try_cast(column.type))
        case "double":
            value = F.when(_is_whole(text, DOUBLE), text.try_cast("double"))
            return F.when(F.abs(value) < float("inf"), value)
        case "boolean":
            return F.when(F.lower(text).isin("true", "false"), F.lower(text) == "true")
        case "date" | "timestamp":
            return _date_parsed(text, column)
    raise ValueError(f"no way to read the type {column.type}")


def _date_parsed(text: Column, column: ContractColumn) -> Column:
    """The value of the first variant of the column's format that the text follows; Spark's own reading is lenient."""
    read = "try_to_date" if column.type == "date" else "try_to_timestamp"

    def value_of(variant: Variant) -> Column:
        whole, given, pattern = _whole(expression(variant)), text, spark_pattern(variant)
        if separated := apart(variant):
            given, pattern = F.regexp_replace(text, whole, separated[0]), separated[1]
        return F.when(text.rlike(whole), F.call_function(read, given, F.lit(pattern)))

    value = F.coalesce(*map(value_of, variants(column.date_format)))
    return F.when(F.year(value).between(1, 9999), value).cast(spark_type(column.type))


def normalized(rows: DataFrame, contract: Contract) -> DataFrame:
    """Records with each text of a column that has `normalize` replaced by what that expression gives."""
    for column in contract.columns:
        if column.normalize is not None:
            text = F.expr(column.normalize).cast("string")
            rows = rows.withColumn("value", _text(column)).withColumn(f"_received_{column.name}", text).drop("value")
    return rows


def typed(rows: DataFrame, contract: Contract, *, only_plain: bool = False) -> DataFrame:
    """Records with a column of its type for each of the contract's; blank and unreadable values are null.

    :param only_plain: whether records that are not plain need no values.
    """
    plain = PlainValues(contract).types

    def value_of(column: ContractColumn) -> Column:
        value = F.when(~is_blank(_text(column)), parsed(_text(column), column))
        if column not in plain:
            return value
        known = F.when(F.col("_plain"), F.col(f"_value_{column.name}"))
        return known if only_plain else known.otherwise(value)

    return rows.withColumns({column.name: value_of(column) for column in contract.columns})


def _text(column: ContractColumn) -> Column:
    return F.col(f"_received_{column.name}")


def _is_readable() -> Column:
    return F.col("_record_rule").isNull()


def latest_versions(rows: DataFrame, key: tuple[str, ...]) -> DataFrame:
    """Of the rows of several dates `ds`, those of each key's last date."""
    newest = Window.partitionBy(*key).orderBy(F.desc("ds"))
    return rows.withColumn("_place", F.rank().over(newest)).where(F.col("_place") == 1).drop("_place")


def _unknown(reference: Reference) -> str:
    return f"_unknown_{reference.name}"


def joined(rows: DataFrame, contract: Contract, others: Mapping[str, DataFrame]) -> DataFrame:
    """Typed rows with the columns looked up, and for each reference whether it leads nowhere in `_unknown_<name>`.

    :param others: the rows of other datasets as of each `run_date`, of a date without two of the same key.
    """

    def with_known(column: str, known: DataFrame) -> DataFrame:
        same = (F.col(column) == F.col("_key")) & (F.col("run_date") == F.col("_as_of"))
        return rows.join(F.broadcast(known), same, "left").drop("_as_of")

    as_of = F.col("run_date").alias("_as_of")
    for lookup in contract.lookups:
        taken = [F.col(take.source).alias(take.name) for take in lookup.take]
        known = others[lookup.dataset].select(F.col(lookup.references).alias("_key"), as_of, *taken)
        rows = with_known(lookup.column, known).drop("_key")
    for reference in contract.references:
        known = others[reference.dataset].select(F.col(reference.references).alias("_key"), as_of).distinct()
        unknown = F.col(reference.column).isNotNull() & F.col("_key").isNull()
        rows = with_known(reference.column, known).withColumn(_unknown(reference), unknown).drop("_key")
    return rows


PROBLEMS = "array<struct<rule:string,reason:string>>"


class Problem(NamedTuple):
    """What can be wrong with a row: which rule it breaks when the condition is true, and the reason in words."""

    rule: str
    condition: Column
    reason: Column

    @property
    def told(self) -> Column:
        """`struct(rule, reason)` where the condition is true, else null."""
        reason = F.concat(F.lit(f"{self.rule}: "), self.reason)
        return F.when(self.condition, F.struct(F.lit(self.rule).alias("rule"), reason.alias("reason")))


def any_of(problems: Sequence[Problem]) -> Column:
    """Whether a row has one of these problems; one whose condition is null it has not."""
    return reduce(or_, (F.coalesce(problem.condition, F.lit(False)) for problem in problems), F.lit(False))


def listed(problems: Sequence[Problem]) -> Column:
    """Those of these problems that a row has, as `array(struct(rule, reason))`: for few rows, as it takes long."""
    return F.array_compact(F.array(*(problem.told for problem in problems)).cast(PROBLEMS))


def _told(value: Column, contract: Contract) -> Column:
    """A value as a reason tells it: not at all where it may be personal data that stands in the wrong column."""
    if contract.personal_columns:
        return F.lit("the value")
    return F.concat(F.lit("'"), value.cast("string"), F.lit("'"))


def form_problems(column: ContractColumn, contract: Contract) -> list[Problem]:
    """What can be wrong with how the value of a column of a typed record is written."""
    text, value = _text(column), F.col(column.name)
    problems = []

    def check(rule: str, condition: Column, what: str) -> None:
        problems.append(Problem(rule, condition, F.concat(_told(text, contract), F.lit(f" {what}"))))

    if column.required:
        problems.append(Problem(column.missing_rule, is_blank(text), F.lit("a value is required")))
    if column.type != "string":
        like = f" ({column.date_format})" if column.type in ("date", "timestamp") else ""
        check(column.invalid_rule, ~is_blank(text) & value.isNull(), f"is not {column.type}{like}")
    if column.allowed:
        check(column.not_allowed_rule, ~value.isin(*column.allowed), f"is not one of {', '.join(column.allowed)}")
    return problems


def value_problems(column: ContractColumn, contract: Contract) -> list[Problem]:
    """What can be wrong with the value of a column of a typed record, however it is written."""
    text, value = _text(column), F.col(column.name)
    problems = []

    def check(rule: str, condition: Column, what: str) -> None:
        problems.append(Problem(rule, condition, F.concat(_told(text, contract), F.lit(f" {what}"))))

    # A personal value is checked where it is still known: in spark_jobs/personal.py.
    if column.pattern and not column.personal:
        check(column.pattern_rule, ~_is_whole(value, column.pattern), f"does not match {column.pattern}")
    minimum, maximum = (
        None if bound is None else F.lit(f"{bound}").cast(spark_type(column.type))
        for bound in (column.minimum, column.maximum)
    )
    if minimum is not None:
        check(column.out_of_range_rule, value < minimum, f"is less than {column.minimum}")
    if maximum is not None:
        check(column.out_of_range_rule, value > maximum, f"is greater than {column.maximum}")
    return problems


def column_problems(contract: Contract, *, plain: bool) -> list[Problem]:
    """What can be wrong with the columns of a typed record, in their order.

    :param plain: of one that is: the form of those columns that spark_jobs/plain_values.py reads is known to be good.
    """
    known = PlainValues(contract).types if plain else {}
    problems = []
    for column in contract.columns:
        form = [] if column in known else form_problems(column, contract)
        problems += [*form, *value_problems(column, contract)]
    return problems


def derived(rows: DataFrame, contract: Contract, *, only_plain: bool = False) -> DataFrame:
    """Typed rows with `_sound`, whether nothing is wrong with their columns, and the derived columns, null where it is
    or they cannot be computed.

    :param only_plain: whether it does not matter of records that are not plain: none is sound then.
    """
    sound = F.when(F.col("_plain"), ~any_of(column_problems(contract, plain=True)))
    if not only_plain:
        sound = sound.when(_is_readable(), ~any_of(column_problems(contract, plain=False)))
    rows = rows.withColumn("_sound", sound.otherwise(False))
    for column in contract.derived:
        value, good = F.expr(column.expression), F.col("_sound")
        if _is_fractional(rows, value):
            good = good & ~any_of([_not_finite(column.name, value)])
        rows = rows.withColumn(column.name, F.when(good, value.cast(spark_type(column.type))))
    return rows


def _is_fractional(rows: DataFrame, value: Column) -> bool:
    """Whether a value may be NaN, which is null when cast to a decimal, and true as a boolean."""
    return isinstance(rows.select(value).schema[0].dataType, DoubleType | FloatType)


def uncomputable(rows: DataFrame, contract: Contract) -> list[Problem]:
    """What can be wrong with the columns of sound rows that are looked up or derived.

    :param rows: what `derived` gives.
    """
    taken = [take.name for lookup in contract.lookups for take in lookup.take if take.type == "double"]
    computed = {name: F.col(name) for name in taken} | {
        column.name: F.expr(column.expression)
        for column in contract.derived
        if _is_fractional(rows, F.expr(column.expression))
    }
    return [_not_finite(name, value) for name, value in computed.items()]


def _not_finite(name: str, value: Column) -> Problem:
    """What a computed double that is NaN or infinite breaks: such a value cannot be computed, and is no number."""
    told = F.concat(value.cast("string"), F.lit(f" is no number: {name} cannot be computed"))
    return Problem(f"{name}_not_finite", F.isnan(value) | (F.abs(value) == float("inf")), told)


def rule_names(contract: Contract, action: Action) -> list[str]:
    """The references and rules of one action, in the contract's order."""
    rules: tuple[Reference | Rule, ...] = (*contract.references, *contract.rules)
    return [rule.name for rule in rules if rule.action == action]


def rule_problems(contract: Contract, action: Action) -> list[Problem]:
    """What a row breaks that breaks the references and rules of one action."""
    of_references = [
        Problem(
            reference.name,
            F.col(_unknown(reference)),
            F.concat(
                _told(F.col(reference.column), contract),
                F.lit(f" is not in the column {reference.references} of {reference.dataset}"),
            ),
        )
        for reference in contract.references
        if reference.action == action
    ]
    of_rules = [
        Problem(rule.name, F.expr(rule.condition), F.lit(rule.description))
        for rule in contract.rules
        if rule.action == action
    ]
    return [*of_references, *of_rules]


def judged(rows: DataFrame, contract: Contract) -> DataFrame:
    """Rows with `_outcome`, `_rule`, `_reason` and `_warnings`.

    `_rule` is the first rule that decides the outcome, `_reason` all of them; both are null where the row is good.
    `_warnings` are the names of the rules of action `warn` that it breaks, or null where it breaks none.
    """
    readable, sound, rule = _is_readable(), F.col("_sound"), F.col("_record_rule")
    refusals = [*rule_problems(contract, "fail"), *uncomputable(rows, contract)]
    quarantines, drops, warnings = (rule_problems(contract, action) for action in ("quarantine", "drop", "warn"))
    refused, stale = sound & any_of(refusals), any_of(drops)
    bad = ~readable | ~sound | any_of(quarantines)
    record_problem = F.struct(rule.alias("rule"), F.concat_ws(": ", rule, F.col("_record_reason")).alias("reason"))
    of_columns = F.when(F.col("_plain"), listed(column_problems(contract, plain=True))).otherwise(
        listed(column_problems(contract, plain=False))
    )
    problems = (
        F.when(refused, listed(refusals))
        .when(~readable, F.array(record_problem))
        .when(bad, F.concat(of_columns, listed(quarantines)))
        .when(stale, listed(drops))
    )
    return rows.withColumns(
        {
            "_outcome": F.when(refused, FAILED).when(bad, QUARANTINED).when(stale, DROPPED).otherwise(PUBLISHED),
            "_rule": problems[0]["rule"],
            "_reason": F.array_join(F.transform(problems, lambda problem: problem["reason"]), "; "),
            "_warnings": F.when(
                sound & any_of(warnings), F.transform(listed(warnings), lambda problem: problem["rule"])
            ),
            # Only quarantine shows the row as received: the others need not carry it any further.
            "_raw_row": F.when(bad, F.col("_raw_row")),
        }
    ).drop(
        "_sound",
        "_plain",
        *(f"_received_{column.name}" for column in contract.columns),
        *(f"_value_{column.name}" for column in PlainValues(contract).types),
        "_record_rule",
        "_record_reason",
        *map(_unknown, contract.references),
    )


def read(records: DataFrame, contract: Contract) -> DataFrame:
    """Records (see spark_jobs/records.py) with a column of its type for each of the contract's."""
    return typed(normalized(records, contract), contract)


def classified(
    rows: DataFrame,
    contract: Contract,
    submission: Submission,
    others: Mapping[str, DataFrame],
    *,
    only_plain: bool = False,
) -> DataFrame:
    """Typed records as rows of the published columns with `_raw_row`, `_outcome`, `_rule`, `_reason`, `_warnings`.
    Which of them are duplicates is left to `deduplicated`.

    :param others: by name the datasets that references and lookups read, as they stand on each `run_date`.
    :param only_plain: whether it does not matter what becomes of records that are not plain.
    """
    rows = derived(joined(rows, contract, others), contract, only_plain=only_plain)
    return judged(rows, contract).withColumn("run_id", F.lit(str(submission)))


def _counting_once(contract: Contract) -> tuple[str, ...]:
    """The columns in which rows of a date are alike of which one counts."""
    match contract.dedupe_by:
        case "key":
            return contract.key
        case "row":
            return tuple(column.name for column in contract.columns)
    return ()


def certain(
    records: DataFrame, contract: Contract, submission: Submission, others: Mapping[str, DataFrame]
) -> DataFrame:
    """Of records what is needed to publish most of them as they stand: `_record, _certain`, where rows may count once
    `_hash`, and the published columns that do not stand in the record (spark_jobs/records.py).

    A record is `_certain` where it is plain, and published without a warning unless there is a duplicate of it. All
    duplicates have the same hash.
    """
    rows, columns = normalized(records, contract).withColumn("_in_one_way", F.col("_plain")), []
    if contract.dedupe_by is not None:
        # Of the two zeros that are equal, only one is the sum of both.
        types = {column.name: column.type for column in contract.columns}
        alike = [F.col(n) + 0.0 if types[n] == "double" else F.col(n) for n in _counting_once(contract)]
        rows = typed(rows, contract).withColumn("_hash", F.xxhash64("run_date", *alike))
        columns.append(F.col("_hash"))
    computed = [column for column in contract.published_columns if column.name not in (*held(contract), "run_id")]
    columns += [F.col(column.name).cast(spark_type(column.type)) for column in computed]
    rows = typed(rows, contract, only_plain=True)
    rows = classified(rows, contract, submission, others, only_plain=True)
    known = F.col("_in_one_way") & (F.col("_outcome") == PUBLISHED) & F.col("_warnings").isNull()
    return rows.select("_record", known.alias("_certain"), *columns)


def deduplicated(rows: DataFrame, contract: Contract) -> DataFrame:
    """Classified rows in which, of the good rows that count once, all but the one that counts are duplicates.

    By key, the row that is greatest in the contract's `latest_by` counts, nulls being least, then the one received
    last: of the greatest source file, the last in it. By row, rows are alike whose columns (those that the
    contract reads from the file) have equal values, nulls being equal.
    """
    if contract.dedupe_by is None:
        return rows
    good = F.col("_outcome") == PUBLISHED
    # Rows that take no part are kept apart by their line, so that they do not all meet in one window.
    window = Window.partitionBy(
        "run_date",
        good,
        *(F.when(good, F.col(name)) for name in _counting_once(contract)),
        F.when(~good, F.col("source_line")),
    ).orderBy(*(F.desc(name) for name in (*contract.latest_by, "source_file", "source_line", "_place")))
    superseded = good & (F.col("_rank") > 1)
    return (
        rows.withColumn("_rank", F.row_number().over(window))
        .withColumn("_outcome", F.when(superseded, DUPLICATE).otherwise(F.col("_outcome")))
        .drop("_rank")
    )


def outcomes(rows: DataFrame, contract: Contract) -> DataFrame:
    """Rows with an outcome as what is counted and written of them: the published columns, of which a row of another
    outcome has values too, `run_date, _place, _outcome, _rule, _reason, _raw_row`, and for each rule of action `warn`,
    in the contract's order, `_warned_<number>`, whether the row breaks it.
    """
    published = [F.col(column.name).cast(spark_type(column.type)) for column in contract.published_columns]
    internal = "run_date", "_place", "_outcome", "_rule", "_reason", "_raw_row"
    warned = [
        F.coalesce(F.array_contains("_warnings", rule), F.lit(False)).alias(f"_warned_{at}")
        for at, rule in enumerate(rule_names(contract, "warn"))
    ]
    return rows.select(*published, *internal, *warned)
