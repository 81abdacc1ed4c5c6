"""The other datasets through the whole pipeline, judged by the computations in `expected_*`."""

import json
from datetime import date

import pytest
from lake.contract import load_contracts

from tests.e2e import expected_online_retail, expected_sales
from tests.e2e.conftest import REPOSITORY
from tools.samples import write

CONTRACTS = load_contracts(REPOSITORY / "include" / "datasets")
pytestmark = pytest.mark.timeout(1500)


def upload_days(stack, dataset, days):
    for ds, paths in days.items():
        for path in paths:
            stack.upload(ds, path.read_bytes(), path.name, dataset)


def assert_success(result):
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]


def assert_marts(stack, dataset, ds, expected):
    for mart in CONTRACTS[dataset].marts:
        columns = ", ".join(column.name for column in mart.columns)
        found = stack.query(f"SELECT {columns} FROM {mart.name} WHERE ds = '{ds}'", f"{dataset}_db")
        assert sorted(found, key=str) == expected[mart.name], f"{mart.name} as of {ds}"


def assert_online_retail(stack, folder):
    """Every date's counts, the whole table, and each mart as of the first, a middle and the last date."""
    days = expected_online_retail.read_days(folder)
    totals = expected_online_retail.totals(days)
    table = "SELECT count(*), count_if(is_return), count_if(customer_id IS NULL), sum(quantity * unit_price)"
    assert stack.query(f"{table} FROM online_retail", "online_retail_db") == [
        tuple(str(totals[name]) for name in ("published", "returns", "guests", "net"))
    ]
    rules = stack.query("SELECT rule, count(*) FROM online_retail_quarantine GROUP BY rule", "online_retail_db")
    assert dict(rules) == {rule: str(count) for rule, count in totals["quarantined_by_rule"].items()}
    by_date = dict(stack.query("SELECT ds, count(*) FROM online_retail GROUP BY ds", "online_retail_db"))
    assert by_date == {ds: str(len(day.published)) for ds, day in days.items() if day.published}
    dates = sorted(days)
    for ds in {dates[0], dates[len(dates) // 2], dates[-1]}:
        assert_marts(stack, "online_retail", ds, expected_online_retail.marts(days, ds))


def test_a_range_of_online_retail_by_reprocess_then_a_date_by_the_daily_dag(stack, tmp_path):
    write("online_retail", date(2025, 11, 25), 10, 120, 7, tmp_path)
    folder = tmp_path / "online_retail"
    days = expected_online_retail.days_of(folder)
    upload_days(stack, "online_retail", days)
    first, *_, last = sorted(days)

    really = json.dumps({"start": first, "end": last, "dry_run": False})
    assert_success(stack.airflow("dags", "test", "reprocess_online_retail", "--conf", really, timeout=900))
    assert_online_retail(stack, folder)

    assert_success(stack.airflow("dags", "test", "ingest_online_retail", first))
    assert_online_retail(stack, folder)
    assert stack.worker_state() == "stopped"


def test_a_day_without_a_file_is_skipped_and_says_so(stack):
    result = stack.airflow("dags", "test", "ingest_online_retail", "2025-12-25")
    assert_success(result)
    assert "2025-12-25" in result.stdout
    assert stack.worker_state() == "stopped"


def test_sales_enriched_by_customers_and_products_with_all_ten_marts(stack, tmp_path):
    start = date(2025, 6, 10)
    for dataset, rows in (("customers", 30), ("products", 20), ("sales", 150)):
        write(dataset, start, 1, rows, 3, tmp_path)
        upload_days(stack, dataset, expected_sales.days_of(tmp_path / dataset))
        assert_success(stack.airflow("dags", "test", f"ingest_{dataset}", f"{start}"))
    customers = expected_sales.read_customers(tmp_path / "customers")
    products = expected_sales.read_products(tmp_path / "products")
    sales = expected_sales.read_sales(tmp_path / "sales", customers, products)
    assert len(CONTRACTS["sales"].marts) == 10
    assert_marts(stack, "sales", f"{start}", expected_sales.marts(sales, f"{start}"))
    assert stack.query("SELECT count(*) FROM sales", "sales_db") == [(str(len(sales[f"{start}"].published)),)]
