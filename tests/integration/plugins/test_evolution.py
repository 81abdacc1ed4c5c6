"""A contract changes while dates are published: every date stays readable, or the change is refused before any work."""

import hashlib
import json
from contextlib import suppress

import pytest
from airflow.providers.amazon.aws.hooks.glue_catalog import GlueCatalogHook
from airflow.sdk.exceptions import AirflowFailException
from contract.evolution import types_of
from contract.files import split_s3
from lake.manifest import read_manifest, write_manifest
from lake.operators.clean import CleanOperator
from lake.operators.crawl import CrawlOperator
from lake.operators.mart import MartOperator
from lake.operators.plan_reprocess import PlanReprocessOperator
from lake.operators.promote import PromoteOperator
from lake.operators.publish import PublishOperator
from lake.operators.rollback import RollbackOperator
from lake.paths import Paths
from lake.rebuild import CatalogRebuild
from lake.tables import mart_table, public_table

from tests.integration.plugins.publishing import CONTRACT, DATES, NAMES, NUMBERS, STEPS, judged
from tests.unit.spark_jobs.contracts import contract_of

ID = {"name": "id", "source": "ID", "required": True}
AMOUNT = {"name": "amount", "source": "Amount", "type": "decimal(8,2)"}
PIECES = {"name": "pieces", "source": "Pieces", "type": "int"}
GONE = {"name": "gone", "source": "Gone"}
FIRST = contract_of(ID, AMOUNT, PIECES, GONE, dataset="orders")
SECOND_COLUMNS = (
    ID,
    {**AMOUNT, "type": "decimal(12,4)"},
    {**PIECES, "type": "bigint"},
    {"name": "note", "source": "Note", "optional": True},
)
SECOND = contract_of(*SECOND_COLUMNS, dataset="orders", version=2)
ROWS = {
    1: "'O1' AS id, CAST(10.25 AS DECIMAL(8, 2)) AS amount, CAST(7 AS INTEGER) AS pieces, 'x' AS gone",
    2: "'O2' AS id, CAST(1.5 AS DECIMAL(12, 4)) AS amount, 3000000000 AS pieces, 'new' AS note",
}


class Dataset:
    """Dates of a dataset, published from the manifest of `validate` on."""

    def __init__(self, lake):
        self.lake, self.settings = lake, lake.settings
        self.runs = [f"evolution-{next(NUMBERS):05}-{again}" for again in range(2)]

    def clear(self):
        glue = self.lake.aws("glue")
        with suppress(glue.exceptions.EntityNotFoundException):
            glue.delete_table(DatabaseName=NAMES.database, Name=NAMES.table)
        self.lake.forget_crawls()

    def judge(self, contract, ds, again=0):
        """What the tasks up to `validate` leave behind of a date with one row."""
        submission = f"{self.runs[again]}-0123abcd"
        folder = f"_staging/orders/ds={ds}/run={submission}/"
        bucket, s3 = self.settings.processed_bucket, self.lake.aws("s3")
        lineage = f"'a.csv' AS source_file, CAST(2 AS BIGINT) AS source_line, '{submission}' AS run_id"
        self.lake.query(
            f"UNLOAD (SELECT {ROWS[contract.version]}, {lineage}) TO 's3://{bucket}/{folder}' WITH (format = 'PARQUET')"
        )
        (item,) = s3.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]
        content = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        file = {"key": item["Key"], "bytes": len(content), "rows": 1, "sha256": hashlib.sha256(content).hexdigest()}
        clean = {"ds": ds, "submission": submission, "rows": {"published": 1}, "output": {"files": [file]}}
        for task, manifest in {
            "stage_raw": {"ds": ds, "listed": self.runs[again]},
            "clean": clean,
            "validate": {"success": True, "submission": submission, **judged(contract)},
        }.items():
            write_manifest(s3, self.paths(ds, again).manifest(task), manifest)

    def paths(self, ds, again=0):
        return Paths(self.settings, FIRST, ds, self.runs[again])

    def do(self, operator, contract, ds, again=0):
        name = operator.__name__.removesuffix("Operator").lower()
        operator(task_id=name, settings=self.settings, contract=contract, run_name=self.runs[again], dates=ds).execute(
            self.lake.context(name)
        )

    def publish(self, contract, ds, again=0):
        self.judge(contract, ds, again)
        for operator in (PromoteOperator, CrawlOperator, PublishOperator):
            self.do(operator, contract, ds, again)

    def clean(self, contract):
        arguments = {"dataset": "orders", "ds": DATES[2], "run": self.runs[0]}
        CleanOperator(
            task_id="clean",
            settings=self.settings,
            contract=contract,
            references=self.paths(DATES[2]).manifest("references"),
            arguments=arguments,
            run_name=self.runs[0],
            manifest=self.paths(DATES[2]).manifest("clean"),
        ).execute(self.lake.context("clean"))

    def plan(self, contract):
        context = self.lake.context("plan")
        context["params"] = {"start": DATES[0], "end": DATES[1], "dry_run": True}
        PlanReprocessOperator(task_id="plan", settings=self.settings, contract=contract).execute(context)

    def go_back(self, contract, context):
        RollbackOperator(task_id="rollback", settings=self.settings, contract=contract).execute(context)

    def described(self, table):
        found = self.lake.aws("glue").get_partitions(DatabaseName=NAMES.database, TableName=table)["Partitions"]
        return {
            one["Values"][0]: {column["Name"]: column["Type"] for column in one["StorageDescriptor"]["Columns"]}
            for one in found
        }

    def table(self):
        storage = self.lake.aws("glue").get_table(DatabaseName=NAMES.database, Name=NAMES.table)["Table"]
        return {column["Name"]: column["Type"] for column in storage["StorageDescriptor"]["Columns"]}


@pytest.fixture
def dataset(lake):
    made = Dataset(lake)
    made.clear()
    yield made
    made.clear()


def test_every_date_stays_readable_when_columns_are_added_dropped_and_widened(dataset):
    dataset.publish(FIRST, DATES[0])
    dataset.publish(SECOND, DATES[1])
    everything = "SELECT ds, id, amount, pieces, note FROM {} ORDER BY ds"
    both = [(DATES[0], "O1", "10.2500", "7", None), (DATES[1], "O2", "1.5000", "3000000000", "new")]
    assert dataset.lake.rows(everything.format(NAMES.table)) == both
    assert dataset.lake.rows(everything.format(NAMES.runs_table)) == both, "the crawler's table, for audit"
    own = {DATES[0]: types_of(FIRST.published_columns), DATES[1]: types_of(SECOND.published_columns)}
    assert dataset.described(NAMES.table) == dataset.described(NAMES.runs_table) == own
    record = read_manifest(dataset.lake.aws("s3"), dataset.paths(DATES[0]).record("published"))
    assert (record["columns"], record["contract_version"]) == (own[DATES[0]], 1)
    dataset.publish(SECOND, DATES[0], again=1)
    assert dataset.lake.rows(f"SELECT note FROM {NAMES.table} WHERE ds = '{DATES[0]}'") == [("new",)]


def test_by_the_same_contract_no_partition_is_asked_for_its_columns(dataset):
    """They make for long answers, of every date that was ever published."""
    dataset.publish(FIRST, DATES[0])
    asked, events = [], GlueCatalogHook().conn.meta.events

    def note(params, **_):
        asked.append(params["ExcludeColumnSchema"])

    events.register("provide-client-params.glue.GetPartitions", note)
    try:
        dataset.publish(FIRST, DATES[1])
        assert asked
        assert all(asked)
        dataset.publish(SECOND, DATES[1], again=1)
        assert not all(asked)
    finally:
        events.unregister("provide-client-params.glue.GetPartitions", note)


def test_a_run_of_the_contract_of_before_is_published_with_its_own_columns(dataset):
    """As where the contract is deployed while a run is under way."""
    dataset.publish(SECOND, DATES[1])
    dataset.judge(FIRST, DATES[0])
    for operator in (PromoteOperator, CrawlOperator, PublishOperator):
        dataset.do(operator, SECOND, DATES[0])
    assert dataset.lake.rows(f"SELECT amount, note FROM {NAMES.table} WHERE ds = '{DATES[0]}'") == [("10.2500", None)]


REFUSED = {
    "retyped": (
        contract_of(ID, AMOUNT, {**PIECES, "type": "string"}, GONE, dataset="orders", version=2),
        r"column pieces is int in the files of 2025-01-30..2025-01-31 \(2 dates\), and the contract says string",
    ),
    "renamed": (
        contract_of(ID, AMOUNT, {**PIECES, "name": "count"}, GONE, dataset="orders", version=2),
        r"column count \(int\) is pieces \(int\) in the files of 2025-01-30..2025-01-31 \(2 dates\)",
    ),
    "unversioned": (
        contract_of(ID, AMOUNT, PIECES, dataset="orders"),
        r"column gone \(string\) is not in the contract\): raise version to 2",
    ),
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_readers_could_not_see_is_refused_before_any_work(dataset, change):
    contract, reason = REFUSED[change]
    for ds in DATES[:2]:
        dataset.publish(FIRST, ds)
    before = dataset.lake.rows(f"SELECT * FROM {NAMES.table}")
    for ask in (dataset.clean, dataset.plan):
        with pytest.raises(AirflowFailException, match=reason):
            ask(contract)
    dataset.judge(FIRST, DATES[1], again=1)
    dataset.do(PromoteOperator, contract, DATES[1], again=1)
    with pytest.raises(AirflowFailException, match=reason):
        dataset.do(PublishOperator, contract, DATES[1], again=1)
    assert dataset.lake.rows(f"SELECT * FROM {NAMES.table}") == before
    assert dataset.table() == types_of(FIRST.published_columns)


def test_of_a_lake_of_before_the_partitions_themselves_are_asked(dataset):
    table = public_table(dataset.lake.aws("glue"), dataset.settings, FIRST)
    table.ensure()
    table.point(DATES[0], "s3://anywhere/old/", {"submission": "old-0123abcd", "numRows": "1"})
    with pytest.raises(AirflowFailException, match="column pieces is int in the files of 2025-01-30, and"):
        dataset.clean(REFUSED["retyped"][0])
    dataset.publish(SECOND, DATES[1])
    assert dataset.described(NAMES.table)[DATES[0]] == types_of(FIRST.published_columns)


def test_going_back_to_columns_that_the_table_cannot_show_is_refused(dataset):
    dataset.publish(FIRST, DATES[0])
    dataset.publish(SECOND, DATES[0], again=1)
    back = {"start": DATES[0], "end": DATES[0], "submission": None, "dry_run": True}
    third = contract_of(*SECOND_COLUMNS, {"name": "gone", "type": "bigint"}, dataset="orders", version=3)
    context = {**dataset.lake.context("rollback"), "params": back}
    with pytest.raises(AirflowFailException, match="column gone is string there, bigint now"):
        dataset.go_back(third, context)
    dataset.go_back(SECOND, {**context, "params": {**back, "dry_run": False}})
    assert dataset.described(NAMES.table) == {DATES[0]: types_of(FIRST.published_columns)}
    assert dataset.lake.rows(f"SELECT amount, note FROM {NAMES.table}") == [("10.2500", None)]


def test_what_was_judged_by_earlier_jobs_is_not_promoted(dataset):
    dataset.judge(FIRST, DATES[0])
    s3, uri = dataset.lake.aws("s3"), dataset.paths(DATES[0]).manifest("validate")
    write_manifest(s3, uri, {"success": True, "submission": f"{dataset.runs[0]}-0123abcd"})
    with pytest.raises(AirflowFailException, match="does not tell the columns of the files"):
        dataset.do(PromoteOperator, FIRST, DATES[0])


def test_a_catalog_that_is_made_again_tells_the_truth_of_every_date(dataset):
    for ds, contract in zip(DATES[:3], (FIRST, FIRST, SECOND), strict=True):
        dataset.publish(contract, ds)
    before = dataset.lake.rows(f"SELECT * FROM {NAMES.table}")
    described = dataset.described(NAMES.table)
    s3, glue = dataset.lake.aws("s3"), dataset.lake.aws("glue")
    bucket, key = split_s3(dataset.paths(DATES[0]).record("published"))
    record = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
    older = {name: value for name, value in record.items() if name not in ("columns", "sources", "contract_version")}
    write_manifest(s3, f"s3://{bucket}/{key}", older)
    glue.delete_database(Name=NAMES.database)
    CatalogRebuild(dataset.settings, SECOND).rebuild()
    assert dataset.described(NAMES.table) == described
    assert dataset.lake.rows(f"SELECT * FROM {NAMES.table}") == before
    assert glue.get_crawler(Name=NAMES.crawler)["Crawler"]["RecrawlPolicy"] == {
        "RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"
    }


def test_pictures_that_a_changed_mart_cannot_show_are_computed_again(lake):
    for ds in DATES[:2]:
        run = lake.stage({ds: 1})
        for step in STEPS:
            lake.do(run, step)
    mart = next(mart for mart in CONTRACT.marts if mart.name == "status_summary")
    numbers = {column.name: column for column in mart.columns}
    retyped = numbers["orders"].model_copy(update={"type": "decimal(20,1)"})
    columns = tuple(retyped if column.name == "orders" else column for column in mart.columns)
    changed = mart.model_copy(update={"columns": columns})
    contract = CONTRACT.model_copy(update={"marts": (changed,)})
    run = lake.stage({DATES[2]: 1})
    for step in ("promote", "publish"):
        lake.do(run, step)
    operator = MartOperator(task_id=mart.name, settings=lake.settings, contract=contract, mart=changed, dates=DATES[2])
    assert operator.execute(lake.context(mart.name)) == list(DATES[:3])
    pictures = lake.rows(f"SELECT ds, sum(orders) FROM {mart.name} GROUP BY ds")
    assert [ds for ds, _ in pictures] == list(DATES[:3])
    assert all(total.endswith(".0") for _, total in pictures)
    table = mart_table(lake.aws("glue"), lake.settings, contract, changed)
    assert all(
        {"Name": "orders", "Type": "decimal(20,1)"} in partition["StorageDescriptor"]["Columns"]
        for partition in table.partitions(with_columns=True)
    )
