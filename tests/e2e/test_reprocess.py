"""A range of dates again: what a dry run says, what a run does with good, bad and missing days."""

import pytest

HEADER = "OrderID,Customer,Amount,Status,OrderDate"
pytestmark = pytest.mark.timeout(1200)


def file_of(ds, orders, header=HEADER):
    """A date's file: an order of its own each, and O8000, which comes again every day."""
    rows = [f"O{number},Customer {number % 3},{number}.25,shipped,{ds}" for number in (8000, *orders)]
    return "\n".join([header, *rows, ""]).encode()


def reprocess(stack, start, end, *, dry_run):
    return stack.run("reprocess_orders", {"start": start, "end": end, "dry_run": dry_run})


def rows_by_date(stack):
    sql = "SELECT ds, count(*) FROM orders WHERE ds BETWEEN '2025-08-01' AND '2025-08-05' GROUP BY ds"
    return dict(stack.query(sql))


def published_dates(stack):
    glue = stack.client("glue")
    try:
        found = glue.get_partitions(DatabaseName="orders_db", TableName="orders", Expression="ds LIKE '2025-08-%'")
    except glue.exceptions.EntityNotFoundException:
        return []
    return [partition["Values"] for partition in found["Partitions"]]


def objects(stack, bucket, prefix):
    return stack.client("s3").list_objects_v2(Bucket=stack.variables[bucket], Prefix=prefix).get("KeyCount")


def test_a_range_with_good_bad_and_missing_days(stack):
    stack.upload("2025-08-01", file_of("2025-08-01", range(8001, 8004)))
    stack.upload("2025-08-02", file_of("2025-08-02", range(8010, 8012), header=HEADER.replace("Amount", "Total")))
    stack.upload("2025-08-04", file_of("2025-08-04", range(8020, 8022)))
    stack.upload("2025-08-05", file_of("2025-08-05", range(8030, 8031)))
    stack.upload("2025-08-06", file_of("2025-08-06", [8040]))

    worker, manifests = stack.worker_state(), objects(stack, "LAKE_ARTIFACTS_BUCKET", "manifests/orders/reprocess/")
    dry = reprocess(stack, "2025-08-01", "2025-08-05", dry_run=True)
    assert dry.state == "success", dry.said
    assert "4 dates: is new" in dry.said
    assert "1 dates: there is no raw file" in dry.said
    assert stack.worker_state() == worker, "a dry run leaves the worker alone"
    assert published_dates(stack) == []
    assert objects(stack, "LAKE_ARTIFACTS_BUCKET", "manifests/orders/reprocess/") == manifests

    wet = reprocess(stack, "2025-08-01", "2025-08-05", dry_run=False)
    assert wet.state == "failed", wet.said
    assert "1 of 5 dates could not be loaded" in wet.said, wet.said
    assert "2025-08-02 refused" in wet.said
    assert "missing 'Amount'" in wet.said
    assert rows_by_date(stack) == {"2025-08-01": "4", "2025-08-04": "3", "2025-08-05": "2"}
    assert stack.worker_state() == "stopped"
    for ds, orders in (("2025-08-01", 4), ("2025-08-04", 6), ("2025-08-05", 7)):
        sql = f"SELECT sum(orders) FROM monthly_volume_and_revenue WHERE ds = '{ds}' AND month = DATE '2025-08-01'"
        assert stack.query(sql) == [(f"{orders}",)]

    again = reprocess(stack, "2025-08-01", "2025-08-05", dry_run=True)
    assert again.state == "success", again.said
    assert "3 dates: nothing changed since" in again.said, again.said
    assert "1 dates: is new" in again.said
