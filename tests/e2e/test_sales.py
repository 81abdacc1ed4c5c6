"""Sales with their dimensions through the whole pipeline, judged by the computation in `expected_sales`."""

from datetime import date

import pytest

from tests.e2e import expected_sales
from tools.samples import write

pytestmark = pytest.mark.timeout(1500)


def test_sales_enriched_by_customers_and_products_with_all_ten_marts(stack, tmp_path):
    start = date(2025, 6, 10)
    for dataset, rows in (("customers", 30), ("products", 20), ("sales", 150)):
        write(dataset, start, 1, rows, 3, tmp_path)
        stack.upload_days(dataset, expected_sales.days_of(tmp_path / dataset))
    # Sales refer to the other two of their date.
    for datasets in (("customers", "products"), ("sales",)):
        for ended in stack.run_all(*((f"ingest_{dataset}", {"date": f"{start}"}, None) for dataset in datasets)):
            assert ended.state == "success", ended.said
    customers = expected_sales.read_customers(tmp_path / "customers")
    products = expected_sales.read_products(tmp_path / "products")
    sales = expected_sales.read_sales(tmp_path / "sales", customers, products)
    stack.assert_marts("sales", f"{start}", expected_sales.marts(sales, f"{start}"))
    assert stack.query("SELECT count(*) FROM sales", "sales_db") == [(str(len(sales[f"{start}"].published)),)]
