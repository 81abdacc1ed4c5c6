"""The Spark SQL in the contracts is understood by Spark, over the columns that each expression may name."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract.dataset import Contract
from contract.together import load_contracts
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs.transforms import spark_type

CONTRACTS = load_contracts(Path(__file__).resolve().parents[3] / "include" / "datasets")


@pytest.fixture(params=sorted(CONTRACTS))
def contract(request: pytest.FixtureRequest) -> Contract:
    return CONTRACTS[request.param]


def typed(spark: SparkSession, contract: Contract) -> DataFrame:
    columns = [*contract.columns, *(take for lookup in contract.lookups for take in lookup.take)]
    schema = ", ".join(f"`{column.name}` {spark_type(column.type)}" for column in columns)
    return spark.createDataFrame([], f"{schema}, run_date date")


def test_derived_columns_come_in_an_order_that_spark_can_follow(spark: SparkSession, contract: Contract) -> None:
    rows = typed(spark, contract)
    for column in contract.derived:
        rows = rows.withColumn(column.name, F.expr(column.expression).cast(spark_type(column.type)))
    for rule in contract.rules:
        assert rows.select(F.expr(rule.condition)).dtypes[0][1] == "boolean", rule.name


def test_normalizing_makes_text_of_text(spark: SparkSession, contract: Contract) -> None:
    values = spark.createDataFrame([], "value string")
    for column in contract.columns:
        if column.normalize:
            assert values.select(F.expr(column.normalize)).dtypes[0][1] == "string", column.name
