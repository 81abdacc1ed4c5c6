"""Each mart's SQL on the local Athena: `<dataset>/input.csv` in, `<dataset>/<mart>/<as of>.csv` out.

The input has the published columns, lineage as far as it matters, and `ds`; the view's expected rows are in
`<dataset>/<dataset>_current/latest.csv`. An empty field is null. An expected file of a header only says: no rows.
"""

import csv
from pathlib import Path

import pytest
from contract.names import Names
from lake.contracts import load_contracts
from lake.sql import athena_type, dates_read, mart_select, render_sql

HERE = Path(__file__).parent
CONTRACTS = load_contracts()
CASES = sorted(HERE.glob("*/*/*.csv"))
MARTS = [(dataset, mart.name) for dataset, contract in CONTRACTS.items() for mart in contract.marts]


@pytest.fixture(scope="module")
def execute(aws):
    """Run a query in the database of a dataset, to its end, and return its id and statistics."""
    aws("s3").create_bucket(Bucket="mart-tests")
    athena = aws("athena")

    def run(sql, database):
        query_id = athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": database},
            ResultConfiguration={"OutputLocation": "s3://mart-tests/results/"},
        )["QueryExecutionId"]
        while True:
            execution = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            if execution["Status"]["State"] not in {"QUEUED", "RUNNING"}:
                break
        assert execution["Status"]["State"] == "SUCCEEDED", f"{execution['Status'].get('StateChangeReason')}\n{sql}"
        return query_id, execution["Statistics"]

    return run


@pytest.fixture(scope="module")
def query(aws, execute):
    """Run a query in the database of a dataset and return its rows as dicts of text."""
    paginator = aws("athena").get_paginator("get_query_results")

    def run(sql, database):
        query_id, _ = execute(sql, database)
        rows = [
            [cell.get("VarCharValue") for cell in row["Data"]]
            for page in paginator.paginate(QueryExecutionId=query_id)
            for row in page["ResultSet"]["Rows"]
        ]
        return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]

    return run


@pytest.fixture(scope="module")
def database(aws, execute):
    """Make a dataset's table from its input rows, once, and return the database's name."""
    made = {}

    def make(dataset):
        if dataset not in made:
            contract, name = CONTRACTS[dataset], f"{dataset}_marts"
            aws("glue").create_database(DatabaseInput={"Name": name})
            types = {column.name: athena_type(column.type) for column in contract.published_columns}
            values = ",\n".join(
                "(" + ", ".join(f"CAST({text(row.get(c))} AS {t})" for c, t in types.items()) + f", {text(row['ds'])})"
                for row in input_rows(dataset)
            )
            execute(
                f"CREATE TABLE {contract.dataset} WITH (format = 'PARQUET', partitioned_by = ARRAY['ds'],"
                f" external_location = 's3://mart-tests/{dataset}/')"
                f" AS SELECT * FROM (VALUES {values}) AS t ({', '.join(types)}, ds)",
                name,
            )
            made[dataset] = name
        return made[dataset]

    return make


def input_rows(dataset):
    with (HERE / dataset / "input.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    unknown = set(rows[0]) - {column.name for column in CONTRACTS[dataset].published_columns} - {"ds"}
    assert not unknown, f"{dataset}/input.csv has columns that the contract has not: {unknown}"
    return rows


def text(value):
    return "NULL" if value in {None, ""} else "'" + value.replace("'", "''") + "'"


def mart_of(dataset, name):
    return next(mart for mart in CONTRACTS[dataset].marts if mart.name == name)


@pytest.mark.parametrize("case", CASES, ids=[case.relative_to(HERE).as_posix() for case in CASES])
def test_the_mart_says_what_the_file_says(case, query, database):
    dataset, name, as_of = case.relative_to(HERE).with_suffix("").parts
    with case.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        expected = [{column: value or None for column, value in row.items()} for row in reader]
    contract = CONTRACTS[dataset]
    if name == Names(contract.dataset).current_view:
        sql = render_sql(contract, name, None)
    else:
        assert reader.fieldnames == [column.name for column in mart_of(dataset, name).columns]
        sql = mart_select(contract, mart_of(dataset, name), as_of)
    found = query(f"SELECT {', '.join(reader.fieldnames)} FROM ({sql})", database(dataset))
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_every_mart_and_view_has_a_case():
    tested = {case.parent.relative_to(HERE).parts for case in CASES}
    views = {
        (dataset, Names(contract.dataset).current_view)
        for dataset, contract in CONTRACTS.items()
        if contract.has_current_view
    }
    assert tested == {*MARTS, *views}


@pytest.mark.parametrize(("dataset", "name"), MARTS, ids=["-".join(mart) for mart in MARTS])
def test_a_mart_reads_the_partitions_of_its_scope_and_no_others(dataset, name, execute, database):
    """What it scans is what the same SQL scans over each date of the scope alone, and less than over all dates."""
    contract, mart = CONTRACTS[dataset], mart_of(dataset, name)

    def scanned(as_of, scope):
        narrowed = mart.model_copy(update={"scope": scope})
        sql = mart_select(contract.model_copy(update={"marts": (narrowed,)}), narrowed, as_of)
        return execute(sql, database(dataset))[1]["DataScannedInBytes"]

    alone = {ds: scanned(ds, "date") for ds in sorted({row["ds"] for row in input_rows(dataset)})}
    assert all(alone.values())
    for as_of in alone:
        read = dates_read(mart.scope, as_of)
        assert scanned(as_of, mart.scope) == sum(size for ds, size in alone.items() if ds in read)
    months = {ds[:7] for ds in alone}
    assert len(alone) > len(months) > 1, "the input needs several dates in several months, or this shows nothing"
