"""The catalog comes back from S3 alone: the same answers to the same queries after every database was deleted."""

import pytest
from contract.files import split_s3
from lake.contracts import load_contracts
from lake.manifest import write_manifest
from lake.paths import Paths
from lake.published import point_at_newest
from lake.rebuild import CatalogRebuild
from lake.tables import quarantine_table

from tests.integration.plugins.publishing import CONTRACT, DATES, MARTS, NAMES, STEPS

BAD_ROW = (
    "SELECT 'O9,,x' AS raw_row, 'amount_invalid' AS rule, 'amount_invalid: x' AS reason, 'orders.csv' AS source_file,"
    " CAST(3 AS BIGINT) AS source_line, '{submission}' AS run_id"
)


def load(lake, saw):
    run = lake.stage(saw)
    for step in STEPS:
        lake.do(run, step)
    return run


def quarantine(lake, ds, run):
    """Put a bad row of a run where the task `clean` does."""
    submission = f"{run.name}-0123abcd"
    uri = f"s3://{lake.settings.processed_bucket}/{NAMES.quarantine(ds, submission)}"
    lake.query(f"UNLOAD ({BAD_ROW.format(submission=submission)}) TO '{uri}' WITH (format = 'PARQUET')")
    table = quarantine_table(lake.aws("glue"), lake.settings, CONTRACT)
    table.ensure()
    told = {"submission": submission}
    made = {"ds": ds, **told, "uri": uri, "listed": run.listed, "parameters": told}
    point_at_newest(lake.aws("s3"), Paths(lake.settings, CONTRACT, ds, run.name), "quarantined", table, made)


def answers(lake):
    found = lake.tables()
    found["quarantine"] = lake.rows(f"SELECT raw_row, reason, run_id, ds FROM {NAMES.quarantine_table}")
    found["runs"] = lake.rows(f"SELECT ds, run, order_id FROM {NAMES.runs_table}")
    return found


def pointers(lake, table):
    found = lake.aws("glue").get_partitions(DatabaseName=NAMES.database, TableName=table)["Partitions"]
    return {each["Values"][0]: (each["StorageDescriptor"]["Location"], each["Parameters"]) for each in found}


def delete_databases(lake):
    glue = lake.aws("glue")
    for database in glue.get_databases()["DatabaseList"]:
        glue.delete_database(Name=database["Name"])
    assert glue.get_databases()["DatabaseList"] == []


@pytest.fixture
def loaded(lake):
    """A lake with a late date, a date that came again, and bad rows."""
    load(lake, {DATES[0]: 1})
    load(lake, {DATES[2]: 2, DATES[3]: 1})
    quarantine(lake, DATES[1], load(lake, {DATES[1]: 3}))
    load(lake, {DATES[0]: 2})
    rebuild(lake)  # which also crawls, as the DAG would have
    return lake


def rebuild(lake):
    return {
        dataset: CatalogRebuild(lake.settings, CONTRACT if dataset == CONTRACT.dataset else contract).rebuild()
        for dataset, contract in load_contracts().items()
    }


def test_every_database_deleted_and_the_same_answers(loaded):
    tables = [NAMES.table, NAMES.quarantine_table, *MARTS]
    before, pointed = answers(loaded), {table: pointers(loaded, table) for table in tables}
    delete_databases(loaded)
    made = rebuild(loaded)
    assert made[CONTRACT.dataset] == {NAMES.table: 4, NAMES.quarantine_table: 1, **dict.fromkeys(MARTS, 4)}
    assert {table: pointers(loaded, table) for table in tables} == pointed
    assert answers(loaded) == before
    assert made["sales"] == {}, "nothing of it was ever loaded"


def test_a_picture_that_fits_no_more_is_kept_and_computed_again(loaded):
    """As where Airflow was killed between publishing a date and computing its marts."""
    late = loaded.stage({DATES[0]: 3})
    for step in ("promote", "publish"):
        loaded.do(late, step)
    before = loaded.tables()
    delete_databases(loaded)
    rebuild(loaded)
    assert loaded.tables() == before
    for step in MARTS:
        loaded.do(late, step)
    assert loaded.tables()["status_summary"] != before["status_summary"]


def test_what_the_worker_can_write_decides_nothing_of_what_readers_see(lake):
    """As a job could that a hostile file has talked into it: a record where the worker may write."""
    planted = {
        "ds": DATES[0],
        "submission": "planted-0123abcd",
        "uri": f"s3://{lake.settings.processed_bucket}/{NAMES.cleaned(DATES[0], 'planted-0123abcd')}",
        "listed": "9999-01-01T00:00:00+00:00",
        "rows": 1,
        "parameters": {"submission": "planted-0123abcd", "numRows": "1"},
    }
    uri = f"s3://{lake.settings.artifacts_bucket}/manifests/orders/ds={DATES[0]}/published.json"
    write_manifest(lake.aws("s3"), uri, planted)
    run = load(lake, {DATES[0]: 1})
    rebuild(lake)
    (location, _) = pointers(lake, NAMES.table)[DATES[0]]
    assert location.endswith(f"run={run.name}-0123abcd/")
    lake.aws("s3").delete_object(Bucket=lake.settings.artifacts_bucket, Key=split_s3(uri)[1])
