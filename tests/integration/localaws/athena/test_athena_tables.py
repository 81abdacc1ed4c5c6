"""Catalog statements, views, CREATE TABLE AS and INSERT INTO."""

from __future__ import annotations

import base64
import json

import pytest


@pytest.fixture(scope="module")
def sales(athena):
    """A partitioned table made by CREATE TABLE AS."""
    athena.run(
        f"""CREATE TABLE sales WITH (format = 'PARQUET', write_compression = 'SNAPPY', partitioned_by = ARRAY['ds'],
            external_location = '{athena.uri("sales/")}') AS
        SELECT * FROM (VALUES (1, 'ann', DECIMAL '1.25', DATE '2025-06-30', '2025-06-30'),
                              (2, 'bob', DECIMAL '2.50', NULL, '2025-06-29')) AS t (id, name, amount, day, ds)"""
    )
    return athena


def test_create_table_as_writes_files_partitions_and_the_catalog(sales):
    table = sales.glue.get_table(DatabaseName=sales.database, Name="sales")["Table"]
    columns = [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]]
    assert columns == [("id", "int"), ("name", "varchar(3)"), ("amount", "decimal(3,2)"), ("day", "date")]
    assert table["PartitionKeys"] == [{"Name": "ds", "Type": "varchar(10)"}]
    folders = {key.split("/")[1] for key in sales.keys("sales/")}
    assert folders == {"ds=2025-06-29", "ds=2025-06-30"}
    assert sales.rows("SELECT * FROM sales ORDER BY id") == [
        ["1", "ann", "1.25", "2025-06-30", "2025-06-30"], ["2", "bob", "2.50", None, "2025-06-29"],
    ]  # fmt: skip


def test_create_table_as_without_a_place_goes_below_the_results(sales):
    answer = sales.run("CREATE TABLE elsewhere AS SELECT 1 AS a")
    query_id = answer.execution["QueryExecutionId"]
    assert sales.keys(f"results/tables/{query_id}/")
    assert answer.execution["SubstatementType"] == "CREATE_TABLE_AS_SELECT"
    assert sales.rows("SELECT a FROM elsewhere") == [["1"]]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("CREATE TABLE sales AS SELECT 1 AS a", "TABLE_ALREADY_EXISTS: "),
        ("CREATE TABLE n AS SELECT 1", "COLUMN_NAME_NOT_SPECIFIED: line 1:1: Column name not specified at position 1"),
        ("CREATE TABLE n AS SELECT 1 AS a, 2 AS A", "DUPLICATE_COLUMN_NAME: "),
        ("CREATE TABLE n WITH (partitioned_by = ARRAY['a']) AS SELECT 1 AS a, 2 AS b", "HIVE_COLUMN_ORDER_MISMATCH: "),
        ("CREATE TABLE n WITH (format = 'ORC') AS SELECT 1 AS a", "NOT_SUPPORTED: writing format ORC"),
        ("CREATE TABLE n WITH (table_type = 'ICEBERG', location = 's3://b/') AS SELECT 1 AS a",
         "NOT_SUPPORTED: Iceberg"),
        ("CREATE TABLE n WITH (colour = 'red') AS SELECT 1 AS a", "INVALID_TABLE_PROPERTY: "),
        ("CREATE TABLE n WITH (partitioned_by = ARRAY['p']) AS SELECT 1 AS a, p FROM UNNEST(sequence(1, 101)) AS t (p)",
         "HIVE_TOO_MANY_OPEN_PARTITIONS: "),
    ],
)  # fmt: skip
def test_create_table_as_refuses(sales, sql, reason):
    assert sales.fails(sql).startswith(reason)


def test_create_table_as_if_not_exists_changes_nothing(sales):
    sales.run("CREATE TABLE IF NOT EXISTS sales AS SELECT 1 AS other")
    assert sales.rows("SELECT count(*) FROM sales") == [["2"]]


def test_create_table_as_can_take_the_shape_alone(sales):
    sales.run("CREATE TABLE empty_sales AS SELECT id, name FROM sales WITH NO DATA")
    assert sales.rows("SELECT * FROM empty_sales") == []


def test_insert_adds_rows_and_registers_partitions(athena):
    athena.run(
        f"CREATE TABLE more WITH (partitioned_by = ARRAY['ds'], external_location = '{athena.uri('more/')}') AS"
        " SELECT 1 AS id, CAST(1.5 AS decimal(12,2)) AS amount, 'a' AS ds"
    )
    answer = athena.run("INSERT INTO more VALUES (2, 2.25, 'a'), (3, 9.99, 'b')")
    assert athena.api.get_query_results(QueryExecutionId=answer.execution["QueryExecutionId"])["UpdateCount"] == 2
    athena.run("INSERT INTO more (ds, id) SELECT 'c', 4")
    assert athena.rows("SELECT id, amount, ds FROM more ORDER BY id") == [
        ["1", "1.50", "a"], ["2", "2.25", "a"], ["3", "9.99", "b"], ["4", None, "c"],
    ]  # fmt: skip
    assert athena.rows("SHOW PARTITIONS more") == [["ds=a"], ["ds=b"], ["ds=c"]]
    assert athena.fails("INSERT INTO more VALUES ('x', 1.0, 'a')").startswith("TYPE_MISMATCH: ")
    assert athena.fails("INSERT INTO more VALUES (1)").startswith("TYPE_MISMATCH: ")


def test_insert_follows_a_partition_that_lies_elsewhere(athena):
    athena.run(
        f"CREATE EXTERNAL TABLE scattered (a int) PARTITIONED BY (ds string) STORED AS PARQUET"
        f" LOCATION '{athena.uri('scattered/')}'"
    )
    athena.run(f"ALTER TABLE scattered ADD PARTITION (ds = 'x') LOCATION '{athena.uri('far/away/')}'")
    athena.run("INSERT INTO scattered VALUES (1, 'x')")
    assert len(athena.keys("far/away/")) == 1
    assert athena.rows("SELECT * FROM scattered") == [["1", "x"]]


@pytest.mark.parametrize(
    ("file_format", "properties"),
    [
        ("JSON", ""),
        ("TEXTFILE", ", field_delimiter = ','"),
        ("TEXTFILE", ", write_compression = 'NONE'"),
        ("PARQUET", ""),
    ],
)
def test_what_is_written_in_a_format_is_read_back(athena, file_format, properties):
    name = f"as_{file_format.lower()}_{len(properties)}"
    athena.run(
        f"CREATE TABLE {name} WITH (format = '{file_format}'{properties}) AS SELECT 7 AS n, 'a b' AS t,"
        " CAST(1.10 AS decimal(12,2)) AS d, DATE '2025-06-30' AS day, true AS yes, CAST(NULL AS varchar) AS nothing,"
        " CAST(0.5 AS double) AS f, TIMESTAMP '2025-06-30 01:02:03.004' AS ts"
    )
    assert athena.rows(f"SELECT * FROM {name}") == [
        ["7", "a b", "1.10", "2025-06-30", "true", None, "0.5", "2025-06-30 01:02:03.004"]
    ]


def test_a_view_is_kept_in_glue_as_athena_keeps_it(sales):
    sales.run("CREATE VIEW by_name AS SELECT name, sum(amount) AS total FROM sales GROUP BY name")
    view = next(t for t in sales.glue.get_tables(DatabaseName=sales.database)["TableList"] if t["Name"] == "by_name")
    assert (view["TableType"], view["ViewExpandedText"]) == ("VIRTUAL_VIEW", "/* Presto View */")
    encoded = view["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
    definition = json.loads(base64.b64decode(encoded))
    assert definition["originalSql"] == "SELECT name, sum(amount) AS total FROM sales GROUP BY name"
    assert definition["columns"] == [{"name": "name", "type": "varchar(3)"}, {"name": "total", "type": "decimal(38,2)"}]
    assert sales.rows("SELECT * FROM by_name ORDER BY 1") == [["ann", "1.25"], ["bob", "2.50"]]
    assert sales.rows("SHOW VIEWS LIKE 'by*'") == [["by_name"]]
    assert sales.rows("SHOW CREATE VIEW by_name")[1] == [definition["originalSql"]]


def test_views_are_replaced_stacked_and_dropped(sales):
    sales.run("CREATE OR REPLACE VIEW v1 AS SELECT id, amount FROM sales")
    assert sales.fails("CREATE VIEW v1 AS SELECT 1 AS a").startswith("TABLE_ALREADY_EXISTS: ")
    sales.run("CREATE OR REPLACE VIEW v2 AS SELECT amount * 2 AS twice FROM v1 WHERE id = 1")
    assert sales.rows("SELECT * FROM v2") == [["2.50"]]
    sales.run("CREATE OR REPLACE VIEW v1 AS SELECT id, amount + 1 AS amount FROM sales")
    assert sales.rows("SELECT * FROM v2") == [["4.50"]]
    sales.run("CREATE OR REPLACE VIEW v1 AS SELECT id FROM sales")
    assert sales.fails("SELECT * FROM v2").startswith("COLUMN_NOT_FOUND: ")
    sales.run("DROP VIEW v2")
    assert sales.fails("DROP VIEW v2").startswith("TABLE_NOT_FOUND: ")
    sales.run("DROP VIEW IF EXISTS v2")
    assert sales.fails("CREATE VIEW unnamed AS SELECT 1").startswith("COLUMN_NAME_NOT_SPECIFIED: ")
    assert sales.fails("CREATE VIEW broken AS SELECT x FROM sales").startswith("COLUMN_NOT_FOUND: line 1:30: ")


def test_a_database_comes_and_goes(athena):
    athena.run("CREATE DATABASE IF NOT EXISTS passing COMMENT 'a while' WITH DBPROPERTIES ('owner' = 'ann')")
    database = athena.glue.get_database(Name="passing")["Database"]
    assert (database["Description"], database["Parameters"]) == ("a while", {"owner": "ann"})
    athena.run("CREATE DATABASE IF NOT EXISTS passing")
    assert "already exists" in athena.fails("CREATE SCHEMA passing")
    assert ["passing"] in athena.rows("SHOW DATABASES LIKE 'pass*'")
    athena.run(f"CREATE EXTERNAL TABLE passing.t (a int) LOCATION '{athena.uri('passing/')}'")
    assert "not empty" in athena.fails("DROP DATABASE passing")
    athena.run("DROP DATABASE passing CASCADE")
    assert athena.fails("SELECT * FROM passing.t").startswith("SCHEMA_NOT_FOUND: line 1:15: ")
    athena.run("DROP DATABASE IF EXISTS passing")


def test_an_external_table_is_described_as_it_was_made(athena):
    athena.run(
        f"""CREATE EXTERNAL TABLE IF NOT EXISTS described (
            ID bigint COMMENT 'the key', amount decimal(12,2), tags array<string>)
        PARTITIONED BY (ds string) STORED AS PARQUET LOCATION '{athena.uri("described/")}'
        TBLPROPERTIES ('owner_team' = 'sales')"""
    )
    assert athena.rows("SHOW COLUMNS IN described") == [[f"{name:<20}"] for name in ("id", "amount", "tags", "ds")]
    described = [row[0].split("\t") for row in athena.rows("DESCRIBE described")]
    assert [part.strip() for part in described[0]] == ["id", "bigint", "the key"]
    assert ["# Partition Information"] in described
    created = "\n".join(row[0] for row in athena.rows("SHOW CREATE TABLE described"))
    assert "`amount` decimal(12,2)" in created
    assert "PARTITIONED BY" in created
    assert ["owner_team\tsales"] in athena.rows("SHOW TBLPROPERTIES described")
    athena.run("ALTER TABLE described SET TBLPROPERTIES ('owner_team' = 'finance')")
    assert ["owner_team\tfinance"] in athena.rows("SHOW TBLPROPERTIES described")
    athena.run("ALTER TABLE described ADD COLUMNS (note string)")
    assert ["note".ljust(20)] in athena.rows("SHOW COLUMNS IN described")
    assert athena.rows("SHOW TABLES 'descr*'") == [["described"]]
    athena.run("DROP TABLE described")
    assert athena.fails("DROP TABLE described").startswith("TABLE_NOT_FOUND: ")
    athena.run("DROP TABLE IF EXISTS described")


def test_partitions_are_added_repaired_shown_and_dropped(athena):
    athena.run(
        f"CREATE EXTERNAL TABLE parts (a string) PARTITIONED BY (ds string, region string)"
        f" ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION '{athena.uri('parts/')}'"
    )
    athena.put("parts/ds=1/region=eu%2Fch/x.csv", "one\n")
    athena.put("parts/ds=2/region=us/x.csv", "two\n")
    athena.put("parts/other/x.csv", "no partition\n")
    assert athena.rows("SELECT * FROM parts") == []
    assert athena.rows("MSCK REPAIR TABLE parts")[0] == [
        "Partitions not in metastore:\tparts:ds=1/region=eu/ch parts:ds=2/region=us"
    ]
    assert athena.rows("SELECT * FROM parts ORDER BY a") == [["one", "1", "eu/ch"], ["two", "2", "us"]]
    assert athena.rows("MSCK REPAIR TABLE parts") == []
    athena.put("elsewhere/y.csv", "three\n")
    athena.run(f"ALTER TABLE parts ADD PARTITION (ds='3', region='us') LOCATION '{athena.uri('elsewhere/')}'")
    assert "already exists" in athena.fails("ALTER TABLE parts ADD PARTITION (ds='3', region='us')")
    athena.run("ALTER TABLE parts ADD IF NOT EXISTS PARTITION (ds='3', region='us')")
    assert athena.rows("SELECT a FROM parts WHERE region = 'us' ORDER BY 1") == [["three"], ["two"]]
    assert athena.rows('SELECT * FROM "parts$partitions" ORDER BY 1') == [["1", "eu/ch"], ["2", "us"], ["3", "us"]]
    athena.run("ALTER TABLE parts DROP PARTITION (ds='3', region='us'), PARTITION (ds='2', region='us')")
    assert "Partition not found" in athena.fails("ALTER TABLE parts DROP PARTITION (ds='3', region='us')")
    athena.run("ALTER TABLE parts DROP IF EXISTS PARTITION (ds='3', region='us')")
    assert athena.rows("SHOW PARTITIONS parts") == [["ds=1/region=eu/ch"]]
    assert "does not match the partition keys" in athena.fails("ALTER TABLE parts ADD PARTITION (ds='4')")


def test_the_information_schema_shows_the_catalog(sales):
    where = f"table_schema = '{sales.database}' AND table_name = 'sales'"
    assert sales.rows(f"SELECT table_type FROM information_schema.tables WHERE {where}") == [["BASE TABLE"]]
    columns = f"SELECT column_name, data_type FROM information_schema.columns WHERE {where} ORDER BY ordinal_position"
    assert sales.rows(columns)[2] == ["amount", "decimal(3,2)"]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("DELETE FROM sales", "NOT_SUPPORTED: Modifying Hive table rows is only supported for transactional tables"),
        ("OPTIMIZE sales REWRITE DATA USING BIN_PACK", "NOT_SUPPORTED: OPTIMIZE is only supported for Iceberg tables"),
        ("DESCRIBE FORMATTED sales", "NOT_SUPPORTED: "),
        ("EXPLAIN ANALYZE SELECT 1", "NOT_SUPPORTED: "),
        ("INSERT INTO nope SELECT 1", "TABLE_NOT_FOUND: "),
        ("MSCK REPAIR TABLE nope", "TABLE_NOT_FOUND: "),
        ("SELECT * FROM other_catalog.a.b", "CATALOG_NOT_FOUND: "),
    ],
)
def test_what_cannot_be_done_says_so(sales, sql, reason):
    assert sales.fails(sql).startswith(reason)


def test_a_pattern_can_be_one_that_rows_must_not_match(sales):
    assert sales.rows("SELECT name FROM sales WHERE name NOT LIKE 'a%'") == [["bob"]]
    assert sales.rows("SELECT name FROM sales WHERE name NOT LIKE 'a!%' ESCAPE '!' ORDER BY 1") == [["ann"], ["bob"]]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT id FROM sales GROUP BY ALL id",
        "CREATE TABLE dropped AS SELECT id FROM sales GROUP BY ALL id",
        "CREATE VIEW dropped AS SELECT id FROM sales GROUP BY ALL id",
        "INSERT INTO sales SELECT id, 'x' FROM sales GROUP BY ALL id",
        "UNLOAD (SELECT id FROM sales GROUP BY ALL id) TO '{uri}' WITH (format = 'JSON')",
    ],
)
def test_no_statement_drops_a_part_of_its_query(sales, sql):
    before = sales.keys("")
    reason = sales.fails(sql.format(uri=sales.uri("dropped/")))
    assert reason.startswith("NOT_SUPPORTED: line 1:")
    assert "ALL of GROUP: id" in reason
    assert sales.keys("") == before
    assert ["dropped"] not in sales.rows("SHOW TABLES")


def test_explain_validates_and_shows_a_plan(sales):
    assert sales.rows("EXPLAIN (TYPE VALIDATE) SELECT * FROM sales") == [["true"]]
    assert sales.fails("EXPLAIN (TYPE VALIDATE) SELECT x FROM sales").startswith("COLUMN_NOT_FOUND: ")
    assert len(sales.rows("EXPLAIN SELECT * FROM sales")) > 1
