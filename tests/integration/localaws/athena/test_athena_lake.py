"""The lake's own way with Athena: Parquet tables whose partitions point anywhere, marts unloaded and pointed at."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

COLUMNS = {"order_id": "string", "customer": "string", "amount": "decimal(12,2)", "order_date": "date"}
KEYS = {"ds": "string"}
SCHEMA = pa.schema(
    [
        ("order_id", pa.string()),
        ("customer", pa.string()),
        ("amount", pa.decimal128(12, 2)),
        ("order_date", pa.date32()),
    ]
)


def orders(*rows):
    """A Parquet table of (order_id, customer, amount, order_date)."""
    columns = zip(*((i, c, Decimal(a), dt.date.fromisoformat(d)) for i, c, a, d in rows), strict=True)
    return pa.table([pa.array(column, kind.type) for column, kind in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


@pytest.fixture(scope="module")
def lake(athena):
    """`orders` with two dates, each at a run folder of its own, and a superseded run that no partition names."""
    storage = athena.external_table("orders", COLUMNS, KEYS)
    athena.put_parquet("runs/ds=2025-06-29/run=old/part-0.parquet", orders(("o9", "eve", "999.99", "2025-06-28")))
    athena.put_parquet(
        "runs/ds=2025-06-29/run=a/part-0.parquet",
        orders(("o1", "ann", "10.10", "2025-06-28"), ("o2", "bob", "0.05", "2025-06-29")),
    )
    athena.put_parquet("runs/ds=2025-06-30/run=b/part-0.parquet", orders(("o1", "ann", "20.20", "2025-06-28")))
    athena.put_parquet("runs/ds=2025-06-30/run=b/part-1.parquet", orders(("o3", "ann", "0.10", "2025-05-31")))
    athena.put("runs/ds=2025-06-30/run=b/_SUCCESS", b"")
    athena.point("orders", storage, ["2025-06-29"], athena.uri("runs/ds=2025-06-29/run=a/"))
    athena.point("orders", storage, ["2025-06-30"], athena.uri("runs/ds=2025-06-30/run=b/"))
    athena.run(
        "CREATE OR REPLACE VIEW orders_current AS SELECT order_id, customer, amount, order_date, ds FROM ("
        " SELECT *, row_number() OVER (PARTITION BY order_id ORDER BY ds DESC) AS version FROM orders)"
        " WHERE version = 1"
    )
    return athena


def test_only_registered_partitions_are_read(lake):
    assert lake.rows("SELECT order_id, amount, ds FROM orders ORDER BY ds, order_id") == [
        ["o1", "10.10", "2025-06-29"], ["o2", "0.05", "2025-06-29"],
        ["o1", "20.20", "2025-06-30"], ["o3", "0.10", "2025-06-30"],
    ]  # fmt: skip


def test_the_view_shows_the_latest_version_of_each_order(lake):
    assert lake.rows("SELECT order_id, amount, ds FROM orders_current ORDER BY 1") == [
        ["o1", "20.20", "2025-06-30"], ["o2", "0.05", "2025-06-29"], ["o3", "0.10", "2025-06-30"],
    ]  # fmt: skip


def test_columns_have_the_types_of_the_contract(lake):
    answer = lake.run(
        "SELECT order_id, amount, order_date, count(*) AS n, avg(amount), sum(amount) FROM orders GROUP BY 1, 2, 3"
    )
    assert [(c["Name"], c["Type"], c["Precision"], c["Scale"]) for c in answer.columns] == [
        ("order_id", "varchar", 2147483647, 0), ("amount", "decimal", 12, 2), ("order_date", "date", 0, 0),
        ("n", "bigint", 19, 0), ("_col4", "decimal", 12, 2), ("_col5", "decimal", 38, 2),
    ]  # fmt: skip


def test_a_mart_is_unloaded_pointed_at_and_read_back_to_the_cent(lake):
    columns = {
        "month": "date", "rank": "bigint", "order_id": "string", "customer": "string", "amount": "decimal(12,2)",
    }  # fmt: skip
    storage = lake.external_table("top_orders", columns, KEYS)
    location = lake.uri("marts/top_orders/ds=2025-06-30/run=1/")
    answer = lake.run(
        f"""UNLOAD (
            WITH ranked AS (
                SELECT date_trunc('month', order_date) AS month, order_id, customer, amount,
                       row_number() OVER (PARTITION BY date_trunc('month', order_date)
                                          ORDER BY amount DESC, order_id) AS rank
                FROM orders_current WHERE ds <= '2025-06-30')
            SELECT month, rank, order_id, customer, amount FROM ranked WHERE rank <= 10
        ) TO '{location}' WITH (format = 'PARQUET', compression = 'ZSTD')"""
    )
    assert (answer.execution["StatementType"], answer.execution["SubstatementType"]) == ("DML", "UNLOAD")
    lake.point("top_orders", storage, ["2025-06-30"], location)
    rows = lake.rows("SELECT * FROM top_orders WHERE ds = '2025-06-30' ORDER BY month, rank")
    assert rows == [
        ["2025-05-01", "1", "o3", "ann", "0.10", "2025-06-30"],
        ["2025-06-01", "1", "o1", "ann", "20.20", "2025-06-30"],
        ["2025-06-01", "2", "o2", "bob", "0.05", "2025-06-30"],
    ]

    manifest = answer.execution["Statistics"]["DataManifestLocation"]
    written = lake.s3.get_object(Bucket=lake.bucket, Key=manifest.split("/", 3)[3])["Body"].read().decode().split()
    assert [uri.split("/", 3)[3] for uri in written] == lake.keys("marts/top_orders/")


def test_averages_round_half_up_and_stay_decimal(lake):
    storage = lake.external_table("average_order_value", {"customer": "string", "value": "decimal(12,2)"}, KEYS)
    location = lake.uri("marts/aov/ds=2025-06-30/run=1/")
    lake.run(
        f"UNLOAD (SELECT customer, avg(amount) AS value FROM orders GROUP BY customer) TO '{location}'"
        " WITH (format = 'PARQUET', compression = 'ZSTD')"
    )
    lake.point("average_order_value", storage, ["2025-06-30"], location)
    # (10.10 + 20.20 + 0.10) / 3 is 10.1333...
    assert lake.rows("SELECT customer, value FROM average_order_value ORDER BY 1") == [
        ["ann", "10.13"],
        ["bob", "0.05"],
    ]


def test_unload_never_writes_into_what_is_there(lake):
    lake.put("taken/something", b"x")
    reason = lake.fails(f"UNLOAD (SELECT 1 AS a) TO '{lake.uri('taken/')}' WITH (format = 'PARQUET')")
    assert reason.startswith("HIVE_PATH_ALREADY_EXISTS: Target directory for table")
    assert lake.keys("taken/") == ["taken/something"]


def test_a_query_that_fails_while_it_unloads_leaves_nothing(lake):
    sql = "SELECT 1 / (length(order_id) - 2) AS a FROM orders"
    reason = lake.fails(f"UNLOAD ({sql}) TO '{lake.uri('half/')}' WITH (format = 'PARQUET')")
    assert reason == "DIVISION_BY_ZERO: Division by zero"
    assert lake.keys("half/") == []


def test_a_partition_is_moved_and_a_place_with_nothing_in_it_has_no_rows(lake):
    storage = lake.external_table("moving", COLUMNS, KEYS)
    lake.put_parquet("moving/1/part.parquet", orders(("a", "x", "1.00", "2025-01-01")))
    lake.put_parquet(
        "moving/2/part.parquet", orders(("b", "x", "2.00", "2025-01-01"), ("c", "x", "3.00", "2025-01-01"))
    )
    count = "SELECT count(*) FROM moving WHERE ds = 'd'"
    assert lake.rows(count) == [["0"]]
    for place, expected in (("moving/1/", "1"), ("moving/2/", "2"), ("moving/nothing/", "0"), ("moving/1/", "1")):
        lake.point("moving", storage, ["d"], lake.uri(place))
        assert lake.rows(count) == [[expected]]
    lake.run(f"ALTER TABLE moving PARTITION (ds = 'd') SET LOCATION '{lake.uri('moving/2/')}'")
    assert lake.rows(count) == [["2"]]


def test_conditions_on_the_partition_choose_what_is_scanned(lake):
    everything = lake.run("SELECT sum(amount) FROM orders")
    one_date = lake.run("SELECT sum(amount) FROM orders WHERE ds = '2025-06-29'")
    no_date = lake.run("SELECT sum(amount) FROM orders WHERE ds > '2026'")
    more_columns = lake.run("SELECT sum(amount), max(customer) FROM orders WHERE ds = '2025-06-29'")
    assert 0 < one_date.scanned < everything.scanned
    assert (no_date.scanned, no_date.rows) == (0, [[None]])
    assert more_columns.scanned > one_date.scanned
    assert lake.run("SELECT count(*), max(ds) FROM orders").scanned == 0
    through_a_cte = lake.run(
        "WITH o AS (SELECT amount, ds FROM orders) SELECT sum(amount) FROM o WHERE ds = '2025-06-29'"
    )
    assert through_a_cte.scanned == one_date.scanned


def test_scanned_bytes_are_those_of_the_column_chunks(lake):
    import pyarrow.parquet as pq

    keys = lake.keys("runs/ds=2025-06-30/run=b/part-")
    expected = 0
    for key in keys:
        body = lake.s3.get_object(Bucket=lake.bucket, Key=key)["Body"].read()
        metadata = pq.ParquetFile(pa.BufferReader(body)).metadata
        expected += metadata.row_group(0).column(2).total_compressed_size
    assert lake.run("SELECT max(amount) FROM orders WHERE ds = '2025-06-30'").scanned == expected


def test_each_row_knows_its_file(lake):
    rows = lake.rows("""SELECT DISTINCT "$path", "$file_size" > 0 FROM orders WHERE ds = '2025-06-29'""")
    assert rows == [[lake.uri("runs/ds=2025-06-29/run=a/part-0.parquet"), "true"]]


def test_a_rewritten_file_is_read_anew(lake):
    storage = lake.external_table("rewritten", COLUMNS, KEYS)
    lake.point("rewritten", storage, ["d"], lake.uri("rewritten/d/"))
    for amount in ("1.00", "2.00"):
        lake.put_parquet("rewritten/d/part.parquet", orders(("a", "x", amount, "2025-01-01")))
        assert lake.rows("SELECT amount FROM rewritten") == [[amount]]
    lake.s3.delete_object(Bucket=lake.bucket, Key="rewritten/d/part.parquet")
    assert lake.rows("SELECT amount FROM rewritten") == []
