"""Each mart's SQL on the local Athena: `<dataset>/input.csv` in, `<dataset>/<mart>/<as of>.csv` out."""

import csv
from pathlib import Path

import pytest
from lake.contract import load_contracts
from lake.operators.mart import athena_type
from lake.sql import render_sql

HERE = Path(__file__).parent
CONTRACTS = load_contracts(HERE.parents[2] / "include" / "datasets")
CASES = sorted(HERE.glob("*/*/*.csv"))


@pytest.fixture(scope="module")
def query(aws):
    """Run a query in the database of a dataset and return its rows as dicts of text."""
    aws("s3").create_bucket(Bucket="mart-tests")
    athena = aws("athena")

    def run(sql, database):
        query_id = athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": database},
            ResultConfiguration={"OutputLocation": "s3://mart-tests/results/"},
        )["QueryExecutionId"]
        while True:
            status = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
            if status["State"] not in {"QUEUED", "RUNNING"}:
                break
        assert status["State"] == "SUCCEEDED", f"{status.get('StateChangeReason')}\n{sql}"
        pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
        rows = [
            [cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]
        ]
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]] if rows else []

    return run


@pytest.fixture(scope="module")
def database(aws, query):
    """Make a dataset's table from its input rows, once, and return the database's name."""
    made = {}

    def make(dataset):
        if dataset not in made:
            contract, name = CONTRACTS[dataset], f"{dataset}_marts"
            aws("glue").create_database(DatabaseInput={"Name": name})
            types = {column.name: athena_type(column.type) for column in contract.published_columns}
            rows = [*csv.DictReader((HERE / dataset / "input.csv").open())]
            values = ",\n".join(
                "(" + ", ".join(f"CAST({text(row.get(c))} AS {t})" for c, t in types.items()) + f", {text(row['ds'])})"
                for row in rows
            )
            query(
                f"CREATE TABLE {contract.table} WITH (format = 'PARQUET', partitioned_by = ARRAY['ds'],"
                f" external_location = 's3://mart-tests/{dataset}/')"
                f" AS SELECT * FROM (VALUES {values}) AS t ({', '.join(types)}, ds)",
                name,
            )
            made[dataset] = name
        return made[dataset]

    return make


def text(value):
    return "NULL" if value in {None, ""} else "'" + value.replace("'", "''") + "'"


@pytest.mark.parametrize("case", CASES, ids=[case.relative_to(HERE).as_posix() for case in CASES])
def test_the_mart_says_what_the_file_says(case, query, database):
    dataset, mart, as_of = case.relative_to(HERE).with_suffix("").parts
    expected = [*csv.DictReader(case.open())]
    sql = render_sql(CONTRACTS[dataset], mart, None if as_of == "latest" else as_of)
    columns = ", ".join(expected[0])
    found = query(f"SELECT {columns} FROM ({sql})", database(dataset))
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_every_mart_has_a_case():
    tested = {case.parent.relative_to(HERE).parts for case in CASES}
    for dataset, contract in CONTRACTS.items():
        for mart in contract.marts:
            assert (dataset, mart.name) in tested
