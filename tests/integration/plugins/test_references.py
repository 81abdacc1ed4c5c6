"""Facts wait for their dimensions within bounds, and each published date tells from what of them it was made."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import TaskDeferred
from contract.dataset import load_contract
from contract.references import folders_digest
from lake.manifest import read_manifest, write_manifest
from lake.operators.promote import PromoteOperator
from lake.operators.publish import PublishOperator
from lake.paths import Paths
from lake.published import published_dates
from lake.sensors.references import ReferencesSensor
from lake.tables import public_table

from tests.integration.plugins.publishing import judged

REPOSITORY = Path(__file__).resolve().parents[3]
CUSTOMERS, PRODUCTS, SALES = (
    load_contract(REPOSITORY / "include" / "datasets" / f"{name}.yaml") for name in ("customers", "products", "sales")
)
TODAY = datetime.now(UTC).date()


@pytest.fixture
def published(aws, settings):
    """Publish a date of a dimension."""

    def publish(contract, ds, folder="any"):
        table = public_table(aws("glue"), settings, contract)
        table.ensure()
        table.point(f"{ds}", f"s3://anywhere/{contract.dataset}/{ds}/{folder}/", {"run_id": "daily-0123abcd"})

    return publish


@pytest.fixture
def wait(settings):
    """Wait for a date's customers and products; the deferral, or None where the run goes on."""

    def wait(ds):
        sensor = ReferencesSensor(task_id="wait", settings=settings, contract=SALES, poke_interval=0.2)
        try:
            sensor.execute({"params": {"date": f"{ds}"}, "run_id": "a-run"})
        except TaskDeferred as deferral:
            return deferral
        return None

    return wait


def event_of(trigger, seconds=20):
    return asyncio.run(asyncio.wait_for(anext(trigger.run()), seconds)).payload


def test_a_run_waits_until_the_same_date_of_each_is_published(wait, published):
    published(CUSTOMERS, TODAY - timedelta(days=1))
    deferral = wait(TODAY)
    assert deferral.trigger.tables == {"customers": "customers_db", "products": "products_db"}
    assert 0 < deferral.trigger.deadline - datetime.now(UTC).timestamp() <= 3 * 3600
    published(CUSTOMERS, TODAY)
    with pytest.raises(TimeoutError):
        event_of(wait(TODAY).trigger, 2)
    published(PRODUCTS, TODAY)
    assert event_of(deferral.trigger) == {"status": "success", "missing": []}
    assert wait(TODAY) is None


def test_after_the_bound_it_goes_on_and_says_what_is_missing(wait, settings, capsys):
    ds = TODAY + timedelta(days=1)
    trigger = wait(ds).trigger
    trigger.deadline = 0
    event = event_of(trigger)
    assert event == {"status": "success", "missing": ["customers", "products"]}
    sensor = ReferencesSensor(task_id="wait", settings=settings, contract=SALES)
    sensor.execute_complete({"params": {"date": f"{ds}"}, "run_id": "a-run"}, event)
    assert f"customers ds={ds} is not published: sales is loaded with what counts" in capsys.readouterr().out


def test_a_date_long_over_waits_only_for_what_has_files(aws, settings, wait):
    assert wait("2024-03-03") is None
    aws("s3").put_object(Bucket=settings.raw_bucket, Key="products/ds=2024-03-03/products.json", Body=b"x")
    aws("s3").put_object(Bucket=settings.raw_bucket, Key="customers/ds=2024-03-03/_SUCCESS", Body=b"x")
    assert wait("2024-03-03").trigger.tables == {"products": "products_db"}


def test_what_a_date_was_made_from_stands_in_its_record_and_its_partition(aws, settings, context):
    ds, s3 = "2028-03-05", aws("s3")
    paths = Paths(settings, SALES, ds, "made")
    made_from = {"customers": folders_digest({"2028-03-05": "s3://anywhere/"}), "products": folders_digest({})}
    cleaned = {"submission": "made-0123abcd", "rows": {"published": 0}, "output": {"files": []}, "made_from": made_from}
    for task, manifest in {
        "stage_raw": {"listed": "1"},
        "clean": cleaned,
        "validate": {"success": True, "submission": "made-0123abcd", **judged(SALES)},
    }.items():
        write_manifest(s3, paths.manifest(task), manifest)
    for operator in (PromoteOperator, PublishOperator):
        made = operator(task_id="any", settings=settings, contract=SALES, run_name="made", dates=ds)
        made.execute(context("any"))
    assert read_manifest(s3, paths.record("published"))["made_from"] == made_from
    names = settings.names("sales")
    assert published_dates(aws("glue"), names, ds, ds)[ds].made_from == made_from
    partition = aws("glue").get_partition(DatabaseName=names.database, TableName="sales", PartitionValues=[ds])
    assert json.loads(partition["Partition"]["Parameters"]["made_from"]) == made_from
