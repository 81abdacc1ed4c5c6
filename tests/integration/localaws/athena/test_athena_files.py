"""Data files as they come: old Parquet schemas, contradicting types, CSV, JSON, gzip."""

from __future__ import annotations

import gzip
from decimal import Decimal

import pyarrow as pa
import pytest

OPEN_CSV_SERDE = "org.apache.hadoop.hive.serde2.OpenCSVSerde"
OPEN_CSV = {
    "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": OPEN_CSV_SERDE,
        "Parameters": {"separatorChar": ",", "quoteChar": '"', "escapeChar": "\\", "skip.header.line.count": "1"},
    },
}


def test_columns_are_found_by_name_whatever_their_order_case_and_age(athena):
    storage = athena.external_table(
        "evolved", {"id": "bigint", "name": "string", "added": "decimal(12,2)"}, {"ds": "string"}
    )
    athena.put_parquet(
        "evolved/ds=1/a.parquet", pa.table({"NAME": ["old"], "Id": pa.array([1], pa.int32()), "gone": [0.5]})
    )
    new = {"added": pa.array([Decimal("1.5")], pa.decimal128(10, 1)), "id": [2], "name": ["new"]}
    athena.put_parquet("evolved/ds=2/a.parquet", pa.table(new))
    for ds in ("1", "2"):
        athena.point("evolved", storage, [ds], athena.uri(f"evolved/ds={ds}/"))
    assert athena.rows("SELECT id, name, added, ds FROM evolved ORDER BY id") == [
        ["1", "old", None, "1"], ["2", "new", "1.50", "2"],
    ]  # fmt: skip
    assert athena.rows("SELECT added FROM evolved WHERE ds = '1'") == [[None]]


@pytest.mark.parametrize(
    ("glue_type", "values", "physical"),
    [
        ("decimal(12,2)", pa.array([1.5]), "DOUBLE"),
        ("int", pa.array([1], pa.int64()), "INT64"),
        ("date", pa.array(["2025-06-30"]), "BYTE_ARRAY"),
        ("string", pa.array([1], pa.int64()), "INT64"),
    ],
)
def test_a_file_that_contradicts_the_table_fails_the_query(athena, glue_type, values, physical):
    name = f"bad_{physical.lower()}_{glue_type[:3]}"
    athena.external_table(name, {"amount": glue_type, "fine": "bigint"}, {})
    athena.put_parquet(f"{name}/a.parquet", pa.table({"amount": values, "fine": [1]}))
    reason = athena.fails(f"SELECT amount FROM {name}")
    assert reason.startswith(
        f"HIVE_BAD_DATA: Field amount's type {physical} in parquet file s3://{athena.bucket}/{name}/"
    )
    assert "is incompatible with type" in reason
    assert athena.rows(f"SELECT fine FROM {name}") == [["1"]]


def evolving(athena, name, before, values, **now):
    """A table that had the column `v` of one type when its partition was registered, and has these columns now."""
    storage = athena.external_table(name, {"id": "bigint", "v": before}, {"ds": "string"})
    athena.put_parquet(f"{name}/ds=1/a.parquet", pa.table({"id": list(range(len(values))), "v": values}))
    athena.point(name, storage, ["1"], athena.uri(f"{name}/ds=1/"))
    table = athena.glue.get_table(DatabaseName=athena.database, Name=name)["Table"]
    columns = [{"Name": column, "Type": kind} for column, kind in {"id": "bigint", **now}.items()]
    kept = {key: table[key] for key in ("Name", "TableType", "PartitionKeys", "Parameters")}
    changed = {**kept, "StorageDescriptor": {**table["StorageDescriptor"], "Columns": columns}}
    athena.glue.update_table(DatabaseName=athena.database, TableInput=changed)


DECIMALS = pa.array([Decimal("10.25"), Decimal("-0.05")], pa.decimal128(8, 2))


@pytest.mark.parametrize(
    ("before", "now", "values", "shown"),
    [
        ("int", "bigint", pa.array([1, -7], pa.int32()), ["1", "-7"]),
        ("float", "double", pa.array([0.5, -2.25], pa.float32()), ["0.5", "-2.25"]),
        ("decimal(8,2)", "decimal(12,4)", DECIMALS, ["10.2500", "-0.0500"]),
        ("decimal(8,2)", "decimal(10,1)", DECIMALS, ["10.3", "-0.1"]),
        ("decimal(8,2)", "double", DECIMALS, ["10.25", "-0.05"]),
        ("decimal(8,2)", "string", DECIMALS, ["10.25", "-0.05"]),
        ("int", "string", pa.array([1, -7], pa.int32()), ["1", "-7"]),
        ("string", "int", pa.array(["12", "1.5"]), ["12", None]),
    ],
)
def test_a_partition_of_an_older_schema_is_read_by_its_own_types(athena, before, now, values, shown):
    name = f"was_{before[:5]}{before[-2:-1]}_is_{now[:5]}{now[-2:-1]}".replace("(", "").replace(")", "")
    evolving(athena, name, before, values, v=now)
    assert athena.rows(f"SELECT v FROM {name} ORDER BY id") == [[value] for value in shown]
    assert athena.rows(f"SELECT count(*) FROM {name} WHERE ds = '1' AND v IS NOT NULL") == [
        [str(len([value for value in shown if value is not None]))]
    ]


@pytest.mark.parametrize(
    ("before", "now", "values"),
    [
        ("bigint", "int", pa.array([1])),
        ("decimal(8,2)", "bigint", DECIMALS),
        ("string", "double", pa.array(["1.5"])),
        ("string", "date", pa.array(["2025-06-30"])),
        ("int", "double", pa.array([1], pa.int32())),
    ],
)
def test_a_partition_whose_type_cannot_become_the_tables_fails_the_query(athena, before, now, values):
    name = f"never_{before[:3]}_{now[:3]}"
    evolving(athena, name, before, values, v=now)
    reason = (
        "HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch between the table and partition schemas. The types are "
        f"incompatible and cannot be coerced. The column 'v' in table '{athena.database}.{name}' is declared as type "
        f"'{now}', but partition 'ds=1' declared column 'v' as type '{before}'."
    )
    assert athena.fails(f"SELECT v FROM {name}") == reason
    assert athena.fails(f"SELECT id FROM {name}") == reason, "Trino compares every column of both"
    assert athena.rows(f"SELECT v FROM {name} WHERE ds = '2'") == [], "a partition that is not read is not compared"


def test_columns_that_came_and_went_since_a_partition_was_registered(athena):
    evolving(athena, "came_and_went", "string", pa.array(["x"]), added="double")
    assert athena.rows("SELECT * FROM came_and_went") == [["0", None, "1"]]


def test_a_file_that_contradicts_its_partition_fails_though_the_table_would_take_it(athena):
    evolving(athena, "untrue", "string", pa.array([1], pa.int32()), v="bigint")
    assert athena.fails("SELECT v FROM untrue").startswith("HIVE_BAD_DATA: Field v's type INT32")


def test_moving_a_partition_leaves_its_columns(athena):
    evolving(athena, "moved_old", "int", pa.array([1], pa.int32()), v="bigint")
    athena.put_parquet("moved_old/elsewhere/a.parquet", pa.table({"id": [5], "v": pa.array([9], pa.int32())}))
    athena.run(f"ALTER TABLE moved_old PARTITION (ds = '1') SET LOCATION '{athena.uri('moved_old/elsewhere/')}'")
    assert athena.rows("SELECT id, v FROM moved_old") == [["5", "9"]]
    (partition,) = athena.glue.get_partitions(DatabaseName=athena.database, TableName="moved_old")["Partitions"]
    assert [column["Type"] for column in partition["StorageDescriptor"]["Columns"]] == ["bigint", "int"]


def test_columns_of_text_are_told_by_their_place(athena):
    columns = {"id": "string", "n": "string"}
    storage = athena.external_table("placed", columns, {"ds": "string"}, **OPEN_CSV)
    athena.put("placed/ds=1/a.csv", "id,n\n1,7\n")
    athena.point("placed", storage, ["1"], athena.uri("placed/ds=1/"))
    athena.run("ALTER TABLE placed ADD COLUMNS (more string)")
    assert athena.rows("SELECT id, n, more FROM placed") == [["1", "7", None]]


@pytest.mark.parametrize(
    ("condition", "ids"),
    [
        ("is_nan(x)", ["2"]), ("NOT is_nan(x)", ["1", "3"]), ("x > 2", ["3"]), ("NOT (x <= 3)", ["2"]),
        ("x <> 1", ["2", "3"]), ("x = x", ["1", "3"]), ("NOT (x <> 1)", ["1"]), ("x IS NULL", ["4"]),
    ],
)  # fmt: skip
def test_what_is_no_number_is_found_where_statistics_do_not_tell_of_it(athena, condition, ids):
    if "numbers" not in [name for (name,) in athena.rows("SHOW TABLES")]:
        athena.external_table("numbers", {"id": "int", "x": "double"}, {})
        table = pa.table({"id": pa.array([1, 2, 3, 4], pa.int32()), "x": [1.0, float("nan"), 3.0, None]})
        athena.put_parquet("numbers/part-0.parquet", table)
    assert [row[0] for row in athena.rows(f"SELECT id FROM numbers WHERE {condition} ORDER BY id")] == ids


def test_a_file_that_is_no_parquet_fails_the_query(athena):
    athena.external_table("junk", {"a": "bigint"}, {})
    athena.put("junk/a.parquet", b"this is not parquet")
    assert athena.fails("SELECT * FROM junk").startswith("HIVE_BAD_DATA: Not valid Parquet file")


def test_nested_columns(athena):
    athena.external_table(
        "nested", {"tags": "array<string>", "who": "struct<name:string,age:int>", "m": "map<string,int>"}, {}
    )
    who = pa.array([{"name": "ann", "age": 7}], pa.struct([("name", pa.string()), ("age", pa.int32())]))
    table = {"tags": [["a", "b"]], "who": who, "m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32()))}
    athena.put_parquet("nested/a.parquet", pa.table(table))
    assert athena.rows("SELECT tags[2], who.name, m['k'], cardinality(tags) FROM nested") == [["b", "ann", "1", "2"]]
    assert athena.rows("SELECT tags, who, m FROM nested") == [["[a, b]", "{name=ann, age=7}", "{k=1}"]]
    assert athena.rows("SELECT t FROM nested CROSS JOIN UNNEST(tags) AS u (t) ORDER BY 1") == [["a"], ["b"]]


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_csv_with_quotes_and_a_header(athena, suffix):
    name = f"csv{suffix.strip('.')}"
    athena.external_table(
        name, {"id": "string", "text": "string", "amount": "decimal(12,2)", "n": "int"}, {}, **OPEN_CSV
    )
    body = b'id,text,amount,n\n1,"a, ""b""",1.10,3\n2,,2.00,4\n3,plain,-0.05,5\n'
    athena.put(f"{name}/a.csv{suffix}", gzip.compress(body) if suffix else body)
    assert athena.rows(f"SELECT * FROM {name} ORDER BY id") == [
        ["1", 'a, "b"', "1.10", "3"], ["2", "", "2.00", "4"], ["3", "plain", "-0.05", "5"],
    ]  # fmt: skip
    size = athena.s3.head_object(Bucket=athena.bucket, Key=f"{name}/a.csv{suffix}")["ContentLength"]
    assert athena.run(f"SELECT count(*) FROM {name}").scanned == size
    athena.put(f"{name}/b.csv", "id,text,amount,n\n9,x,abc,1\n")
    assert athena.fails(f"SELECT sum(amount) FROM {name}").startswith(
        "HIVE_BAD_DATA: Error parsing field value 'abc' for field amount"
    )


def test_delimited_text_is_read_as_hive_reads_it(athena):
    athena.run(
        f"""CREATE EXTERNAL TABLE lazy (a string, n int, d decimal(12,2), day date)
        ROW FORMAT DELIMITED FIELDS TERMINATED BY '|' LOCATION '{athena.uri("lazy/")}'
        TBLPROPERTIES ('skip.header.line.count' = '1')"""
    )
    athena.put("lazy/a.txt", 'a|n|d|day\n"x"|1|1.50|2025-06-30\n\\N||x|y\nshort\nlong|2|3|2025-01-01|surplus\n')
    assert athena.rows("SELECT * FROM lazy ORDER BY a") == [
        ['"x"', "1", "1.50", "2025-06-30"], ["long", "2", "3.00", "2025-01-01"],
        ["short", None, None, None], [None, None, None, None],
    ]  # fmt: skip


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("serde", ["DELIMITED FIELDS TERMINATED BY ','", f"SERDE '{OPEN_CSV_SERDE}'"])
def test_a_line_without_anything_is_a_row(athena, serde, pack):
    name = f"blank_{len(serde)}_{pack.__name__}"
    athena.run(
        f"""CREATE EXTERNAL TABLE {name} (a string, b string) PARTITIONED BY (ds string) ROW FORMAT {serde}
        LOCATION '{athena.uri(name + "/")}' TBLPROPERTIES ('skip.header.line.count' = '2')"""
    )
    files = {"1": "\na,b\n1,x\n\n2,y\r\n\r\n\n", "2": "a,b\n\n3,z\n"}
    for ds, content in files.items():
        athena.put(f"{name}/ds={ds}/a.csv{'.gz' if pack is gzip.compress else ''}", pack(content.encode()))
        athena.run(f"ALTER TABLE {name} ADD PARTITION (ds = '{ds}')")
    rows = athena.rows(f"SELECT a, b, ds FROM {name} ORDER BY ds, b, a")
    assert rows == [["1", "x", "1"], ["2", "y", "1"], *[["", None, "1"]] * 3, ["3", "z", "2"]]
    assert athena.rows(f"SELECT count(*), count(a) FROM {name} WHERE ds = '1'") == [["5", "5"]]


def test_a_tables_properties_say_what_text_means_null(athena):
    athena.run(
        f"""CREATE EXTERNAL TABLE nulls (a string, b string) ROW FORMAT DELIMITED FIELDS TERMINATED BY ','
        LOCATION '{athena.uri("nulls/")}' TBLPROPERTIES ('serialization.null.format' = 'NA')"""
    )
    athena.put("nulls/a.txt", "NA,x\n\\N,NA\n")
    assert athena.rows("SELECT a, b FROM nulls ORDER BY b") == [[None, "x"], ["\\N", None]]


@pytest.mark.parametrize("library", ["org.openx.data.jsonserde.JsonSerDe", "org.apache.hive.hcatalog.data.JsonSerDe"])
def test_json_lines(athena, library):
    name = f"json_{library.split('.')[1]}"
    athena.run(
        f"""CREATE EXTERNAL TABLE {name} (OrderID string, amount decimal(12,2), who struct<name:string>,
            tags array<string>, day date) ROW FORMAT SERDE '{library}' LOCATION '{athena.uri(name + "/")}'"""
    )
    lines = [
        '{"OrderID": 1, "amount": 1.10, "who": {"name": "ann"}, "tags": ["a"], "day": "2025-06-30", "other": 1}',
        '{"orderid": "2", "amount": "2.5"}',
        '{"ORDERID": null}',
    ]
    athena.put(f"{name}/a.json.gz", gzip.compress("\n".join(lines).encode()))
    assert athena.rows(f"SELECT orderid, amount, who.name, tags[1], day FROM {name} ORDER BY orderid") == [
        ["1", "1.10", "ann", "a", "2025-06-30"], ["2", "2.50", None, None, None], [None, None, None, None, None],
    ]  # fmt: skip
    athena.put(f"{name}/b.json", "{ not json\n")
    assert athena.fails(f"SELECT * FROM {name}").startswith("HIVE_CURSOR_ERROR: Row is not a valid JSON Object")


def test_formats_that_cannot_be_read_are_refused(athena):
    athena.run(f"CREATE EXTERNAL TABLE orc_table (a int) STORED AS ORC LOCATION '{athena.uri('orc/')}'")
    assert athena.fails("SELECT * FROM orc_table").startswith("NOT_SUPPORTED: table format ")
    athena.run(f"CREATE EXTERNAL TABLE packed (a string) ROW FORMAT DELIMITED LOCATION '{athena.uri('packed/')}'")
    athena.put("packed/a.txt.bz2", b"x")
    assert athena.fails("SELECT * FROM packed").startswith("NOT_SUPPORTED: reading s3://")
    athena.run(
        f"""CREATE EXTERNAL TABLE footed (a string) ROW FORMAT DELIMITED LOCATION '{athena.uri("footed/")}'
        TBLPROPERTIES ('skip.footer.line.count' = '1')"""
    )
    assert athena.fails("SELECT * FROM footed").startswith("NOT_SUPPORTED: skip.footer.line.count")


def test_partitions_that_would_be_projected_are_refused_and_not_missed(athena):
    athena.run(
        f"""CREATE EXTERNAL TABLE projected (a int) PARTITIONED BY (ds string) STORED AS PARQUET
        LOCATION '{athena.uri("projected/")}' TBLPROPERTIES ('projection.enabled' = 'true',
        'projection.ds.type' = 'date', 'projection.ds.format' = 'yyyy-MM-dd', 'projection.ds.range' = '2025-01-01,NOW')
        """
    )
    told = f"NOT_SUPPORTED: partition projection, of {athena.database}.projected"
    assert athena.fails("SELECT * FROM projected WHERE ds = '2025-06-30'").startswith(told)


def test_a_bucket_that_is_not_there_is_an_error(athena):
    athena.run("CREATE EXTERNAL TABLE nowhere (a int) STORED AS PARQUET LOCATION 's3://no-such-bucket-anywhere/x/'")
    assert "The specified bucket does not exist" in athena.fails("SELECT * FROM nowhere")


def test_keys_that_are_no_plain_file_names_are_read(athena):
    athena.external_table("odd", {"a": "bigint"}, {})
    athena.put_parquet("odd/it's a #file?.parquet", pa.table({"a": [1]}))
    athena.put_parquet("odd/nested//deep.parquet", pa.table({"a": [2]}))
    athena.put_parquet("odd/_hidden.parquet", pa.table({"a": [3]}))
    athena.put_parquet("odd/.staging/x.parquet", pa.table({"a": [4]}))
    athena.put("odd/folder/", b"")
    assert athena.rows("SELECT a FROM odd ORDER BY 1") == [["1"], ["2"]]
