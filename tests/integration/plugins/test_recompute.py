"""A changed mart reaches every picture and nothing is cleaned; one without a contract stays until it is removed."""

import shutil

import lake.sql
import pytest
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped
from lake.operators.mart import MartOperator
from lake.operators.plan_marts import ABANDONED, PlanMartsOperator

from tests.integration.plugins.publishing import CONTRACT, DATES, NAMES
from tests.integration.plugins.test_rebuild import load, pointers
from tests.integration.plugins.test_rollback import Task
from tools import remove_mart
from tools.processes import StackError

FEWER = CONTRACT.model_copy(update={"marts": CONTRACT.marts[1:]})
GONE = CONTRACT.marts[0].name


def recompute(lake, contract=CONTRACT, *, dry_run=False):
    """Run the tasks of `recompute_orders`."""
    context = {**lake.context("plan_marts"), "params": {"dry_run": dry_run}, "task": Task()}
    dates = PlanMartsOperator(task_id="plan_marts", settings=lake.settings, contract=contract).execute(context)
    computed = {}
    for mart in contract.marts:
        arguments = {"task_id": mart.name, "settings": lake.settings, "contract": contract, "dates": " ".join(dates)}
        computed[mart.name] = MartOperator(mart=mart, **arguments).execute(lake.context(mart.name))
    return computed


@pytest.fixture
def loaded(lake):
    for ds in DATES:
        load(lake, {ds: 2})
    return lake


def description(lake, table):
    return lake.aws("glue").get_table(DatabaseName=NAMES.database, Name=table)["Table"]["Description"]


def test_a_changed_sql_reaches_every_picture_of_its_mart_and_no_other(loaded, tmp_path, monkeypatch, caplog):
    shutil.copytree(lake.sql.SQL_FOLDER, tmp_path / "sql")
    monkeypatch.setattr("lake.sql.SQL_FOLDER", tmp_path / "sql")
    sql = tmp_path / "sql" / "orders" / "status_summary.sql"
    sql.write_text(f"SELECT UPPER(status) AS status, orders, total_amount FROM (\n{sql.read_text()}\n)")
    before, runs = loaded.tables(), pointers(loaded, NAMES.table)

    with caplog.at_level("INFO"), pytest.raises(DownstreamTasksSkipped):
        recompute(loaded, dry_run=True)
    assert loaded.tables() == before
    assert recompute(loaded) == {
        "status_summary": list(DATES),
        "total_sales_by_customer": [],
        "top_10_orders_of_month": [],
    }
    after = loaded.tables()
    changed = [(status.upper(), *others) for status, *others in before["status_summary"]]
    assert after == {**before, "status_summary": sorted(changed)}
    assert pointers(loaded, NAMES.table) == runs
    assert not any(recompute(loaded).values()), "a second time there is nothing to do"


def test_without_a_published_date_there_is_nothing_to_compute(lake):
    with pytest.raises(AirflowSkipException, match="no date"):
        recompute(lake)


def test_a_mart_without_a_contract_stays_with_a_warning_and_comes_back_without(loaded):
    before = loaded.tables()
    recompute(loaded, FEWER)
    recompute(loaded, FEWER)
    assert description(loaded, GONE).startswith(ABANDONED)
    assert description(loaded, GONE).count(ABANDONED) == 1
    assert loaded.tables() == before
    recompute(loaded)
    assert description(loaded, GONE) == CONTRACT.marts[0].description


@pytest.fixture
def at_the_command_line(outputs, monkeypatch):
    """The environment of who has deployed the lake."""
    for name, value in outputs.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("at_the_command_line")
def test_a_mart_is_removed_by_name_once_its_contract_has_it_no_more(loaded, monkeypatch):
    with pytest.raises(StackError, match=f"the contract of orders has the mart {GONE}"):
        remove_mart.remove("orders", GONE)
    monkeypatch.setattr(remove_mart, "load_contracts", lambda: {"orders": FEWER})
    with pytest.raises(StackError, match="has no abandoned mart orders_current"):
        remove_mart.remove("orders", "orders_current")
    before = loaded.tables()
    remove_mart.remove("orders", GONE)
    s3 = loaded.aws("s3")
    for bucket, prefix in (
        (loaded.settings.enriched_bucket, NAMES.mart(GONE)),
        (loaded.settings.artifacts_bucket, NAMES.mart_records(GONE)),
    ):
        assert s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["KeyCount"] == 0
    for mart in FEWER.marts:
        names = ", ".join([*(column.name for column in mart.columns), "ds"])
        assert loaded.rows(f"SELECT {names} FROM {mart.name}") == before[mart.name]
