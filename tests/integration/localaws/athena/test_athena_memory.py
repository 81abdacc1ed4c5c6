"""A long history with little memory: what many references to one table of many files take together."""

import datetime as dt
from dataclasses import replace

import pyarrow as pa
import pytest

DATES = [dt.date(2025, 1, 1) + dt.timedelta(days=day) for day in range(200)]


@pytest.fixture(scope="module")
def history(athena, start_localaws):
    """`sales` with a file and three rows for each of the dates, and less memory than the files need 25 times over."""
    server = start_localaws(LOCALAWS_ATHENA_MEMORY="128MB")
    server.client("s3").create_bucket(Bucket=athena.bucket)
    server.client("glue").create_database(DatabaseInput={"Name": athena.database})
    small = replace(athena, clients=server.client)
    storage = small.external_table("sales", {"product": "string", "amount": "bigint"}, {"ds": "string"})
    partitions = []
    for number, date in enumerate(DATES):
        rows = pa.table({"product": ["a", "b", f"c{number % 3}"], "amount": pa.array([1, 2, number], pa.int64())})
        small.put_parquet(f"sales/{date}/part-0.parquet", rows)
        location = {**storage, "Location": small.uri(f"sales/{date}/")}
        partitions.append({"Values": [str(date)], "StorageDescriptor": location})
    for first in range(0, len(partitions), 100):
        small.glue.batch_create_partition(
            DatabaseName=small.database, TableName="sales", PartitionInputList=partitions[first : first + 100]
        )
    return small


def picture(date):
    return (
        "SELECT product, count(DISTINCT ds) AS days, sum(amount) AS amount, max(recency) AS sales, "
        f"'{date}' AS as_of FROM (SELECT *, row_number() OVER (PARTITION BY product ORDER BY ds) AS recency "
        f"FROM sales WHERE ds <= '{date}') GROUP BY product"
    )


def test_a_query_of_many_pictures_of_a_long_history_needs_little_memory(history):
    last = DATES[-25:]
    pictures = " UNION ALL ".join(map(picture, last))
    history.run(
        f"UNLOAD ({pictures}) TO '{history.uri('pictures/')}' "
        "WITH (format = 'PARQUET', partitioned_by = ARRAY['as_of'])"
    )
    columns = {"product": "string", "days": "bigint", "amount": "bigint", "sales": "bigint"}
    storage = history.external_table("pictures", columns, {"as_of": "string"})
    history.point("pictures", storage, [str(last[0])], history.uri(f"pictures/as_of={last[0]}/"))
    history.point("pictures", storage, [str(last[-1])], history.uri(f"pictures/as_of={last[-1]}/"))
    expected = []
    for date in (last[0], last[-1]):
        numbers = range(DATES.index(date) + 1)
        for product, amounts in (
            ("a", [1 for _ in numbers]),
            ("b", [2 for _ in numbers]),
            *((f"c{rest}", [number for number in numbers if number % 3 == rest]) for rest in range(3)),
        ):
            expected.append([product, str(len(amounts)), str(sum(amounts)), str(len(amounts)), str(date)])
    assert history.rows("SELECT * FROM pictures ORDER BY as_of, product") == expected


def test_each_reference_counts_as_scanned_and_sees_its_own_partitions(history):
    first, later = (
        f"SELECT sum(amount) AS amount FROM sales WHERE ds {dates}" for dates in ("< '2025-02-01'", "> '2025-07-01'")
    )
    alone = [history.run(sql) for sql in (first, later)]
    # Neither a range nor neighbours: every third partition.
    third = "SELECT sum(amount) AS amount FROM sales WHERE day(date(ds)) % 3 = 0"
    alone.append(history.run(third))
    together = history.run(f"SELECT * FROM ({first}) UNION ALL ({later}) UNION ALL ({third})")
    assert sorted(together.rows) == sorted(answer.rows[0] for answer in alone)
    assert together.scanned == sum(answer.scanned for answer in alone)


def test_columns_that_only_one_reference_uses_are_there_for_it(history):
    found = history.rows(
        'SELECT a.product, a."$path" = b."$path", b.amount FROM sales a JOIN sales b '
        "ON a.product = b.product AND a.ds = '2025-01-05' AND b.ds = '2025-01-05' ORDER BY 1"
    )
    assert found == [["a", "true", "1"], ["b", "true", "2"], ["c1", "true", "4"]]
