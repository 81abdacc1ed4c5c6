"""Queries as the API shows them: states, results, pages, workgroups, stopping, many at once."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor

import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from tests.waiting import eventually

NUMBERS = "UNNEST(sequence(1, 10000))"
SLOW = f"SELECT sum(x * y % 7 + z) FROM {NUMBERS} AS a (x) CROSS JOIN {NUMBERS} AS b (y) CROSS JOIN {NUMBERS} AS c (z)"


@pytest.fixture
def workgroup(athena, request):
    """A workgroup to configure; removed afterwards."""
    name = f"group-{abs(hash(request.node.name))}"

    def make(**configuration):
        athena.api.create_work_group(Name=name, Configuration=configuration)
        return name

    yield make
    athena.api.delete_work_group(WorkGroup=name, RecursiveDeleteOption=True)


def refused(athena, sql, **request):
    """The error of a StartQueryExecution that is refused."""
    with pytest.raises(ClientError) as error:
        athena.start(sql, **request)
    assert error.value.response["Error"]["Code"] == "InvalidRequestException"
    return error.value.response


def test_a_query_is_recorded(athena):
    answer = athena.run("SELECT 1 AS one")
    execution = answer.execution
    query_id = execution["QueryExecutionId"]
    assert execution["ResultConfiguration"]["OutputLocation"] == f"{athena.results}{query_id}.csv"
    assert (execution["StatementType"], execution["SubstatementType"], execution["WorkGroup"]) == (
        "DML",
        "SELECT",
        "primary",
    )
    assert execution["QueryExecutionContext"] == {"Database": athena.database, "Catalog": "AwsDataCatalog"}
    status = execution["Status"]
    assert status["SubmissionDateTime"] <= status["CompletionDateTime"]
    assert (
        execution["Statistics"]["TotalExecutionTimeInMillis"]
        >= execution["Statistics"]["EngineExecutionTimeInMillis"]
        >= 0
    )
    assert query_id in athena.api.list_query_executions(WorkGroup="primary")["QueryExecutionIds"]
    batch = athena.api.batch_get_query_execution(QueryExecutionIds=[query_id, "nope"])
    assert [one["QueryExecutionId"] for one in batch["QueryExecutions"]] == [query_id]
    assert [one["QueryExecutionId"] for one in batch["UnprocessedQueryExecutionIds"]] == ["nope"]


def test_results_are_ordinary_objects(athena):
    answer = athena.run("""SELECT 'a"b' AS text, CAST(NULL AS varchar) AS nothing, '' AS empty, 1.50 AS amount""")
    key = f"results/{answer.execution['QueryExecutionId']}.csv"
    found = athena.s3.get_object(Bucket=athena.bucket, Key=key)
    assert found["Body"].read() == b'"text","nothing","empty","amount"\n"a""b",,"","1.50"\n'
    metadata = json.loads(athena.s3.get_object(Bucket=athena.bucket, Key=f"{key}.metadata")["Body"].read())
    assert metadata["ColumnInfo"] == answer.columns
    assert (answer.header, answer.rows) == (["text", "nothing", "empty", "amount"], [['a"b', None, "", "1.50"]])


def test_catalog_statements_leave_a_text_file(athena):
    answer = athena.run("SHOW DATABASES")
    assert answer.execution["ResultConfiguration"]["OutputLocation"].endswith(".txt")
    assert [athena.database] in answer.rows


def test_results_come_in_pages_with_the_header_on_the_first(athena):
    query_id = athena.run("SELECT x FROM UNNEST(sequence(1, 2500)) AS t (x) ORDER BY x").execution["QueryExecutionId"]
    pages = list(athena.api.get_paginator("get_query_results").paginate(QueryExecutionId=query_id))
    sizes = [len(page["ResultSet"]["Rows"]) for page in pages]
    assert sizes == [1000, 1000, 501]
    values = [row["Data"][0]["VarCharValue"] for page in pages for row in page["ResultSet"]["Rows"]]
    assert values == ["x", *map(str, range(1, 2501))]
    small = athena.api.get_query_results(QueryExecutionId=query_id, MaxResults=2)
    assert [row["Data"][0]["VarCharValue"] for row in small["ResultSet"]["Rows"]] == ["x", "1"]


def test_parameters_are_given_as_literals(athena):
    sql = "SELECT upper(?) AS a, ? + 1 AS b"
    assert athena.rows(sql, ExecutionParameters=["'it''s'", "41"]) == [["IT'S", "42"]]
    assert "expected 2 but found 1" in refused(athena, sql, ExecutionParameters=["1"])["Error"]["Message"]


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("1", "1"),
        ("-1.5", "-1.5"),
        ("DATE '2025-06-30'", "2025-06-30"),
        ("NULL", None),
        ("plain text", "plain text"),
        ("it's", "it's"),
        ("1, 2", "1, 2"),
        ("1 -- not a comment", "1 -- not a comment"),
        ("1 FROM information_schema.tables", "1 FROM information_schema.tables"),
        ("(SELECT 1)", "(SELECT 1)"),
    ],
)
def test_a_parameter_is_one_constant_or_a_text(athena, given, answer):
    assert athena.rows("SELECT ? AS a", ExecutionParameters=[given]) == [[answer]]


def test_a_parameter_stays_one_value(athena):
    assert athena.rows("SELECT 2 * ? AS a", ExecutionParameters=["1 + 1"]) == [["4"]]


def test_prepared_statements(athena):
    athena.api.create_prepared_statement(
        StatementName="by_api", WorkGroup="primary", QueryStatement="SELECT ? || ? AS both"
    )
    assert athena.rows("EXECUTE by_api USING 'a', 'b'") == [["ab"]]
    athena.run("PREPARE by_sql FROM SELECT ? * 2 AS twice")
    assert athena.rows("EXECUTE by_sql USING 21") == [["42"]]
    athena.run("DEALLOCATE PREPARE by_sql")
    assert "was not found" in refused(athena, "EXECUTE by_sql USING 21")["Error"]["Message"]


def test_what_does_not_parse_is_refused_at_once(athena):
    response = refused(athena, "SELECT FROM WHERE")
    assert response["Error"]["Message"].startswith("line 1:")
    assert response["AthenaErrorCode"] == "MALFORMED_QUERY"


def test_a_failed_query_says_why(athena):
    execution = athena.ask("SELECT nope").execution
    assert execution["Status"]["StateChangeReason"] == "COLUMN_NOT_FOUND: line 1:8: Column 'nope' cannot be resolved"
    assert execution["Status"]["AthenaError"]["ErrorCategory"] == 2
    with pytest.raises(ClientError, match="Final query state: FAILED"):
        athena.api.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    with pytest.raises(ClientError, match="was not found"):
        athena.api.get_query_execution(QueryExecutionId="00000000-0000-0000-0000-000000000000")


def test_a_request_sent_twice_starts_one_query(athena):
    token = "t" * 40
    first = athena.start("SELECT 1", ClientRequestToken=token)
    assert athena.start("SELECT 1", ClientRequestToken=token) == first
    assert "Idempotent" in refused(athena, "SELECT 2", ClientRequestToken=token)["Error"]["Message"]


def test_results_need_a_place(athena):
    assert "No output location provided" in refused(athena, "SELECT 1", ResultConfiguration={})["Error"]["Message"]
    missing = {"OutputLocation": "s3://no-such-bucket-anywhere/"}
    message = refused(athena, "SELECT 1", ResultConfiguration=missing)["Error"]["Message"]
    assert message == "Unable to verify/create output bucket no-such-bucket-anywhere"
    assert "is not found" in refused(athena, "SELECT 1", WorkGroup="nope")["Error"]["Message"]


def test_an_enforced_workgroup_decides_where_results_go(athena, workgroup):
    group = workgroup(
        EnforceWorkGroupConfiguration=True,
        ResultConfiguration={
            "OutputLocation": athena.uri("enforced/"), "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
        },
    )  # fmt: skip
    answer = athena.run("SELECT 1 AS a", WorkGroup=group)
    assert answer.execution["ResultConfiguration"]["OutputLocation"].startswith(athena.uri("enforced/"))
    sql = f"CREATE TABLE placed WITH (external_location = '{athena.uri('placed/')}') AS SELECT 1 AS a"
    assert "enforces a centralized output location" in athena.fails(sql, WorkGroup=group)
    athena.run(f"UNLOAD (SELECT 1 AS a) TO '{athena.uri('placed/')}' WITH (format = 'PARQUET')", WorkGroup=group)
    athena.api.update_work_group(WorkGroup=group, State="DISABLED")
    assert "is disabled" in refused(athena, "SELECT 1", WorkGroup=group)["Error"]["Message"]


def test_a_query_that_would_scan_too_much_is_cancelled(athena, workgroup):
    athena.run(
        f"CREATE TABLE large WITH (external_location = '{athena.uri('large/')}', partitioned_by = ARRAY['ds']) AS"
        f" SELECT rand() AS r, CAST(x % 2 AS varchar) AS ds FROM {NUMBERS} AS t (x)"
        " CROSS JOIN UNNEST(sequence(1, 180)) AS u (y)"
    )
    half = athena.run("SELECT sum(r) FROM large WHERE ds = '0'").scanned
    assert half < 10_000_000 < half * 2
    group = workgroup(BytesScannedCutoffPerQuery=10_000_000)
    assert athena.run("SELECT sum(r) FROM large WHERE ds = '0'", WorkGroup=group).scanned == half
    answer = athena.ask("SELECT sum(r) FROM large", WorkGroup=group)
    assert (answer.state, answer.reason) == ("CANCELLED", "Query cancelled! : Bytes scanned limit was exceeded")


def test_a_running_query_is_stopped(athena):
    query_id = athena.start(SLOW)
    eventually(lambda: athena.state(query_id) == "RUNNING")
    with pytest.raises(ClientError, match="Query has not yet finished"):
        athena.api.get_query_results(QueryExecutionId=query_id)
    athena.api.stop_query_execution(QueryExecutionId=query_id)
    execution = athena.wait(query_id)
    assert execution["Status"]["State"] == "CANCELLED"
    athena.api.stop_query_execution(QueryExecutionId=query_id)


def test_queries_beyond_the_slots_wait_and_can_be_stopped_there(athena):
    running = [athena.start(SLOW) for _ in range(4)]
    waiting = athena.start("SELECT 1")
    eventually(lambda: {athena.state(query_id) for query_id in running} == {"RUNNING"})
    assert athena.state(waiting) == "QUEUED"
    athena.api.stop_query_execution(QueryExecutionId=waiting)
    assert athena.wait(waiting)["Status"]["State"] == "CANCELLED"
    for query_id in running:
        athena.api.stop_query_execution(QueryExecutionId=query_id)
    assert {athena.wait(query_id)["Status"]["State"] for query_id in running} == {"CANCELLED"}
    assert athena.rows("SELECT 1") == [["1"]]


def test_thirty_queries_at_once(athena):
    athena.run(
        f"CREATE TABLE shared WITH (external_location = '{athena.uri('shared/')}', partitioned_by = ARRAY['p']) AS"
        " SELECT x, CAST(x AS decimal(12,2)) / 100 AS amount, CAST(x % 10 AS varchar) AS p"
        " FROM UNNEST(sequence(1, 1000)) AS t (x)"
    )

    def one(number):
        digit = str(number % 10)
        if number % 3 == 0:
            athena.run(
                f"UNLOAD (SELECT * FROM shared WHERE p = '{digit}') TO '{athena.uri(f'many/{number}/')}'"
                " WITH (format = 'PARQUET')"
            )
        return athena.rows(f"SELECT count(*), sum(amount) FROM shared WHERE p = '{digit}'")

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(one, range(30)))
    for number, rows in enumerate(answers):
        values = [x for x in range(1, 1001) if x % 10 == number % 10]
        assert rows == [["100", f"{sum(values) / 100:.2f}"]]
    assert len(athena.keys("many/")) == 10


def test_table_metadata_of_a_table_that_is_not_there(athena):
    with pytest.raises(athena.api.exceptions.MetadataException):
        athena.api.get_table_metadata(CatalogName="AwsDataCatalog", DatabaseName=athena.database, TableName="nope")


def test_the_query_language_reaches_no_files_of_the_machine(athena):
    refused(athena, "SELECT * FROM read_csv('/etc/passwd')")
    assert athena.fails("SELECT CAST(1 AS hugeint)").startswith("TYPE_MISMATCH: line 1:18: Unknown type: hugeint")
    assert athena.fails('SELECT * FROM "/etc/passwd"').startswith("TABLE_NOT_FOUND")
    assert athena.fails("SELECT * FROM scan_0").startswith("TABLE_NOT_FOUND")
    assert athena.fails("SELECT getenv('HOME')").startswith("FUNCTION_NOT_FOUND")


def test_a_workgroup_says_whether_it_dictates_its_settings(athena, workgroup):
    told = athena.api.get_work_group(WorkGroup="primary")["WorkGroup"]["Configuration"]
    assert told["EnforceWorkGroupConfiguration"] is False
    name = workgroup(EnforceWorkGroupConfiguration=True, BytesScannedCutoffPerQuery=10_000_000)
    told = athena.api.get_work_group(WorkGroup=name)["WorkGroup"]["Configuration"]
    assert told["EnforceWorkGroupConfiguration"] is True
    assert told["BytesScannedCutoffPerQuery"] == 10_000_000
    assert told["EngineVersion"]["EffectiveEngineVersion"] == "Athena engine version 3"
    with pytest.raises(ClientError, match="WorkGroup nowhere is not found"):
        athena.api.get_work_group(WorkGroup="nowhere")


def test_a_prepared_statement_can_be_changed(athena):
    statement = {"StatementName": "changed", "WorkGroup": "primary"}
    athena.api.create_prepared_statement(**statement, QueryStatement="SELECT ? + 1", Description="Adds")
    athena.api.update_prepared_statement(**statement, QueryStatement="SELECT ? + 2")
    told = athena.api.get_prepared_statement(**statement)["PreparedStatement"]
    assert (told["QueryStatement"], told["Description"]) == ("SELECT ? + 2", "Adds")
    assert athena.run("EXECUTE changed USING 40").rows == [["42"]]
    athena.api.delete_prepared_statement(**statement)
    with pytest.raises(athena.api.exceptions.ResourceNotFoundException):
        athena.api.update_prepared_statement(**statement, QueryStatement="SELECT 1")


@pytest.mark.parametrize(
    ("sql", "category", "kind"),
    [
        ("SELECT nothing FROM (VALUES 1) AS t (one)", 2, 1006),
        ("SELECT 1 / 0", 2, 1000),
        ("CREATE DATABASE {database}", 2, 1003),
    ],
)
def test_a_failure_has_a_category_and_a_type(athena, sql, category, kind):
    error = athena.ask(sql.format(database=athena.database)).execution["Status"]["AthenaError"]
    assert (error["ErrorCategory"], error["ErrorType"], error["Retryable"]) == (category, kind, False)


def test_hive_answers_in_strings_and_trino_in_its_types(athena):
    (column,) = athena.run("SHOW DATABASES").columns
    told = column["Type"], column["Precision"], column["Scale"], column["CaseSensitive"]
    assert told == ("string", 0, 0, False)
    (column,) = athena.run("EXPLAIN SELECT 1").columns
    assert (column["Name"], column["Type"], column["Precision"]) == ("Query Plan", "varchar", 2147483647)
    (column,) = athena.run("EXPLAIN (TYPE VALIDATE) SELECT 1").columns
    assert (column["Name"], column["Type"]) == ("Valid", "boolean")


def test_a_database_in_the_context_may_stand_in_backquotes(athena):
    answer = athena.run("SHOW TABLES", QueryExecutionContext={"Database": f"`{athena.database.upper()}`"})
    assert answer.execution["QueryExecutionContext"]["Database"] == athena.database


def test_parameters_of_a_request_are_those_of_the_statement_it_executes(athena):
    athena.run("PREPARE of_request FROM SELECT ? + ? AS sum, ? AS word")
    answer = athena.run("EXECUTE of_request", ExecutionParameters=["1", "2", "'x'"])
    assert answer.rows[-1] == ["3", "x"]
    assert (
        "expected 3 but found 1" in refused(athena, "EXECUTE of_request", ExecutionParameters=["1"])["Error"]["Message"]
    )
    athena.run("DEALLOCATE PREPARE of_request")


def test_a_catalog_is_known_by_its_name_in_any_case_and_by_no_other(athena):
    context = {"Database": athena.database, "Catalog": "AWSDATACATALOG"}
    assert athena.run("SELECT 1", QueryExecutionContext=context).state == "SUCCEEDED"
    pages = athena.api.get_paginator("list_databases").paginate(CatalogName="awsdatacatalog")
    assert athena.database in [database["Name"] for page in pages for database in page["DatabaseList"]]
    for look in (
        lambda: athena.api.list_databases(CatalogName="other"),
        lambda: athena.api.get_database(CatalogName="other", DatabaseName=athena.database),
        lambda: athena.api.list_table_metadata(CatalogName="other", DatabaseName=athena.database),
        lambda: athena.api.get_table_metadata(CatalogName="other", DatabaseName=athena.database, TableName="t"),
    ):
        with pytest.raises(athena.api.exceptions.MetadataException, match="Data Catalog other was not found"):
            look()


def test_table_metadata_tells_where_the_files_are_and_how_they_are_read(athena):
    location = f"s3://{athena.bucket}/told/"
    athena.run(
        f"CREATE EXTERNAL TABLE told (a int) ROW FORMAT DELIMITED FIELDS TERMINATED BY '|' LOCATION '{location}' "
        "TBLPROPERTIES ('skip.header.line.count' = '1')"
    )
    where = {"CatalogName": "AwsDataCatalog", "DatabaseName": athena.database}
    found = athena.api.get_table_metadata(**where, TableName="told")["TableMetadata"]
    raw = athena.glue.get_table(DatabaseName=athena.database, Name="told")["Table"]
    storage = raw["StorageDescriptor"]
    assert found["Parameters"] == {
        **raw["Parameters"],
        "location": storage["Location"],
        "inputformat": storage["InputFormat"],
        "outputformat": storage["OutputFormat"],
        "serde.serialization.lib": storage["SerdeInfo"]["SerializationLibrary"],
        **{f"serde.param.{name}": value for name, value in storage["SerdeInfo"]["Parameters"].items()},
    }
    assert found["Parameters"]["serde.param.field.delim"] == "|"
    assert found["CreateTime"] == raw["CreateTime"]
    listed = athena.api.get_paginator("list_table_metadata").paginate(**where)
    assert found["Parameters"] in [table["Parameters"] for page in listed for table in page["TableMetadataList"]]


def test_columns_of_a_file_that_is_unloaded_may_be_null(athena):
    sql = "SELECT 1 AS a, 'x' AS b, DECIMAL '1.5' AS c, ARRAY[1] AS d, CAST(NULL AS date) AS e"
    athena.run(f"UNLOAD ({sql}) TO '{athena.uri('nullable/')}' WITH (format = 'PARQUET')")
    (key,) = athena.keys("nullable/")
    schema = pq.read_schema(io.BytesIO(athena.s3.get_object(Bucket=athena.bucket, Key=key)["Body"].read()))
    assert [(field.name, field.nullable) for field in schema] == [(name, True) for name in "abcde"]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("ManagedQueryResultsConfiguration", {"Enabled": True}),
        ("EngineVersion", {"SelectedEngineVersion": "PySpark engine version 3"}),
    ],
    ids=["managed results", "Spark"],
)
def test_a_workgroup_of_a_kind_that_is_not_here_is_refused(athena, workgroup, setting, value):
    with pytest.raises(ClientError, match="not supported here") as error:
        athena.api.create_work_group(Name="of_another_kind", Configuration={setting: value})
    assert error.value.response["Error"]["Code"] == "InvalidRequestException"
    name = workgroup(EngineVersion={"SelectedEngineVersion": "AUTO"})
    update = setting if setting == "EngineVersion" else f"{setting}Updates"
    with pytest.raises(ClientError, match="not supported here"):
        athena.api.update_work_group(WorkGroup=name, ConfigurationUpdates={update: value})
    assert "of_another_kind" not in [group["Name"] for group in athena.api.list_work_groups()["WorkGroups"]]
