"""The API operations on queries: start, stop, look at, list, and read the results of."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import error_response_json, json_response, new_uuid
from ministack.services import athena, glue, s3

from localaws.athena import statements
from localaws.athena.access import Caller
from localaws.athena.errors import MalformedQuery, QueryFailed, RequestRefused
from localaws.athena.results import Row, read_csv
from localaws.athena.runs import FINAL_STATES, Execution, Run
from localaws.athena.statements import Statement
from localaws.athena.storage import Storage, split_uri
from localaws.athena.syntax import fill_parameters, literal

Request = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]

_MAX_QUERY_BYTES = 262_144
_EXECUTE = re.compile(r"\s*EXECUTE\s+\S+\s*\Z", re.IGNORECASE)
"""A statement whose parameters, if any, come with the request."""
_ENGINE = {
    "SelectedEngineVersion": "Athena engine version 3",
    "EffectiveEngineVersion": "Athena engine version 3",
}
_running: dict[str, Run] = {}


def answered(operation: Callable[[Request], Any]) -> Callable[[Request], Response]:
    """An API handler of ministack's kind: what is answered becomes its response."""
    return refusing(lambda request: json_response(operation(request)))


def start_query_execution(request: Request) -> Request:
    """StartQueryExecution: check everything Athena checks before it answers, then run on a thread of its own."""
    if earlier := _repeated(request):
        return {"QueryExecutionId": earlier}
    text = request.get("QueryString") or ""
    if len(text.encode()) > _MAX_QUERY_BYTES:
        raise RequestRefused(f"1 validation error detected: QueryString is longer than {_MAX_QUERY_BYTES} bytes")
    workgroup, configuration = _workgroup(request)
    caller = Caller.of_this_request()
    output, encryption, enforced = _output(request, configuration, caller)
    statement = _statement(text, request.get("ExecutionParameters") or [], workgroup)
    execution = _record(request, text, statement, workgroup, output)
    athena._executions[execution["QueryExecutionId"]] = execution
    limit = configuration.get("BytesScannedCutoffPerQuery")
    run = Run(
        execution,
        statement,
        caller,
        asyncio.get_running_loop(),
        output,
        int(limit) if limit else None,
        enforced,
        encryption,
    )
    _running[run.query_id] = run

    def whole() -> None:
        try:
            run()
        finally:
            _running.pop(run.query_id, None)

    spawn_background(whole, thread_name=f"athena-{run.query_id}")
    return {"QueryExecutionId": run.query_id}


def _repeated(request: Request) -> str | None:
    """The query that an earlier request with the same token started."""
    token = request.get("ClientRequestToken")
    for execution in list(athena._executions.values()) if token else []:
        if execution.get("_token") == token:
            if execution["Query"] != request.get("QueryString"):
                raise RequestRefused("Idempotent parameters do not match")
            return str(execution["QueryExecutionId"])
    return None


def _workgroup(request: Request) -> tuple[str, Request]:
    name = request.get("WorkGroup") or "primary"
    workgroup = athena._workgroups.get(name)
    if workgroup is None:
        raise RequestRefused(f"WorkGroup {name} is not found.")
    if workgroup.get("State") == "DISABLED":
        raise RequestRefused(f"WorkGroup {name} is disabled.")
    return name, workgroup.get("Configuration") or {}


def get_work_group(request: Request) -> Request:
    """GetWorkGroup, with the settings that count where none were given."""
    name = request.get("WorkGroup")
    workgroup = athena._workgroups.get(name)
    if workgroup is None:
        raise RequestRefused(f"WorkGroup {name} is not found.")
    defaults = {"EnforceWorkGroupConfiguration": False, "RequesterPaysEnabled": False, "EngineVersion": _ENGINE}
    return {"WorkGroup": {**workgroup, "Configuration": {**defaults, **(workgroup.get("Configuration") or {})}}}


def checked_work_group(operation: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """An operation that configures a workgroup, for settings of which this Athena knows what they do."""

    def handler(request: Request) -> Response:
        asked = request.get("Configuration") or request.get("ConfigurationUpdates") or {}
        managed = asked.get("ManagedQueryResultsConfiguration") or asked.get("ManagedQueryResultsConfigurationUpdates")
        if (managed or {}).get("Enabled"):
            raise RequestRefused("Managed query results are not supported here: give an output location")
        version = (asked.get("EngineVersion") or {}).get("SelectedEngineVersion", "AUTO")
        if version not in ("AUTO", _ENGINE["SelectedEngineVersion"]):
            raise RequestRefused(f"{version} is not supported here: only {_ENGINE['SelectedEngineVersion']}")
        return operation(request)

    return refusing(handler)


def refusing(operation: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """An API handler of ministack's kind: a refusal becomes its error response."""

    def handler(request: Request) -> Response:
        try:
            return operation(request)
        except RequestRefused as refused:
            extra = {"AthenaErrorCode": refused.athena_code} if refused.athena_code else None
            answer: Response = error_response_json(refused.code, str(refused), 400, extra=extra)
            return answer

    return handler


def update_prepared_statement(request: Request) -> Request:
    """UpdatePreparedStatement."""
    name, workgroup = request["StatementName"], request["WorkGroup"]
    prepared = athena._prepared_statements.get(f"{workgroup}/{name}")
    if prepared is None:
        told = f"PreparedStatement {name} was not found in workGroup {workgroup}"
        raise RequestRefused(told, "ResourceNotFoundException", None)
    given = {key: request[key] for key in ("QueryStatement", "Description") if key in request}
    athena._prepared_statements[f"{workgroup}/{name}"] = {**prepared, **given, "LastModifiedTime": int(time.time())}
    return {}


def _output(request: Request, configuration: Request, caller: Caller) -> tuple[str, dict[str, str], bool]:
    """Where results go (with a final slash), the headers that encrypt them, and whether the workgroup dictates it.

    Source: https://docs.aws.amazon.com/athena/latest/ug/workgroups-settings-override.html
    """
    own = configuration.get("ResultConfiguration") or {}
    enforced = bool(configuration.get("EnforceWorkGroupConfiguration")) and bool(own.get("OutputLocation"))
    asked = {} if enforced else request.get("ResultConfiguration") or {}
    location = asked.get("OutputLocation") or own.get("OutputLocation")
    if not location:
        raise RequestRefused(
            "No output location provided. An output location is required either through the Workgroup result "
            "configuration setting or as an API input."
        )
    bucket, _ = split_uri(location)
    if s3._buckets.get(bucket) is None or caller.denial("s3:GetBucketLocation", f"arn:aws:s3:::{bucket}"):
        raise RequestRefused(f"Unable to verify/create output bucket {bucket}")
    encryption = asked.get("EncryptionConfiguration") or own.get("EncryptionConfiguration") or {}
    headers = {}
    if option := encryption.get("EncryptionOption"):
        headers["x-amz-server-side-encryption"] = "AES256" if option == "SSE_S3" else "aws:kms"
        if encryption.get("KmsKey"):
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = encryption["KmsKey"]
    return location.rstrip("/") + "/", headers, enforced


def _statement(text: str, given: list[str], workgroup: str) -> Statement:
    parameters = list(map(literal, given))
    of_prepared = parameters and _EXECUTE.match(text)
    statement = statements.parse(fill_parameters(text, parameters) if parameters and not of_prepared else text)
    if not isinstance(statement, statements.Execute):
        return statement
    prepared = athena._prepared_statements.get(f"{workgroup}/{statement.name}")
    if prepared is None:
        raise MalformedQuery(f"PreparedStatement {statement.name} was not found in workGroup {workgroup}")
    return statements.parse(fill_parameters(prepared["QueryStatement"], parameters or statement.parameters))


def _record(request: Request, text: str, statement: Statement, workgroup: str, output: str) -> Execution:
    """The record of a query. It has all its keys from the start, and only values that JSON can hold: it is saved."""
    query_id = new_uuid()
    context = request.get("QueryExecutionContext") or {}
    writes_data = isinstance(statement, (statements.Insert, statements.Unload, statements.CreateTableAs))
    suffix = "" if writes_data else ".csv" if isinstance(statement, statements.Select) else ".txt"
    execution: Execution = {
        "QueryExecutionId": query_id,
        "Query": text,
        "StatementType": statement.type,
        "SubstatementType": statement.substatement,
        "ResultConfiguration": {
            **(request.get("ResultConfiguration") or {}),
            "OutputLocation": f"{output}{query_id}{suffix}",
        },
        "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
        "QueryExecutionContext": {
            "Database": (context.get("Database") or "default").strip("`").lower(),
            "Catalog": context.get("Catalog") or "AwsDataCatalog",
        },
        "Status": {"State": "QUEUED", "SubmissionDateTime": time.time()},
        "Statistics": {
            "EngineExecutionTimeInMillis": 0,
            "DataScannedInBytes": 0,
            "TotalExecutionTimeInMillis": 0,
            "QueryQueueTimeInMillis": 0,
            "QueryPlanningTimeInMillis": 0,
            "ServiceProcessingTimeInMillis": 0,
            "ResultReuseInformation": {"ReusedPreviousResult": False},
        },
        "WorkGroup": workgroup,
        "EngineVersion": _ENGINE,
        "_token": request.get("ClientRequestToken"),
        "_columns": [],
        "_update_count": 0,
    }
    if request.get("ExecutionParameters"):
        execution["ExecutionParameters"] = request["ExecutionParameters"]
    return execution


def _execution(request: Request) -> Execution:
    query_id = request.get("QueryExecutionId")
    execution: Execution | None = athena._executions.get(query_id)
    if execution is None:
        raise RequestRefused(f"QueryExecution {query_id} was not found")
    return execution


def get_query_execution(request: Request) -> Request:
    """GetQueryExecution."""
    return {"QueryExecution": athena._execution_out(_execution(request))}


def stop_query_execution(request: Request) -> Request:
    """StopQueryExecution: of a query that has ended it changes nothing, as on AWS."""
    execution = _execution(request)
    run = _running.get(execution["QueryExecutionId"])
    if run is not None:
        run.cancel()
    return {}


def list_query_executions(request: Request) -> Request:
    """ListQueryExecutions of a workgroup, the latest first."""
    workgroup = request.get("WorkGroup") or "primary"
    found = [execution for execution in list(athena._executions.values()) if execution.get("WorkGroup") == workgroup]
    found.sort(key=lambda execution: execution["Status"]["SubmissionDateTime"], reverse=True)
    return _listed(request, "QueryExecutionIds", [one["QueryExecutionId"] for one in found])


def _listed(request: Request, key: str, found: list[Any]) -> Request:
    """The page of a list that a request asks for."""
    start, size = _page(request, 50)
    answer: Request = {key: found[start : start + size]}
    if start + size < len(found):
        answer["NextToken"] = str(start + size)
    return answer


def _page(request: Request, most: int) -> tuple[int, int]:
    token, size = str(request.get("NextToken") or "0"), int(request.get("MaxResults") or most)
    if not token.isdigit():
        raise RequestRefused("Invalid NextToken")
    if not 1 <= size <= most:
        raise RequestRefused(f"MaxResults must be between 1 and {most}")
    return int(token), size


def get_query_results(request: Request) -> Request:
    """GetQueryResults: pages of the result file in S3, which the caller must be allowed to read."""
    execution = _execution(request)
    state = execution["Status"]["State"]
    if state not in FINAL_STATES:
        raise RequestRefused(f"Query has not yet finished. Current state: {state}", athena_code="QUERY_NOT_FINISHED")
    if state != "SUCCEEDED":
        raise RequestRefused(f"Query did not finish successfully. Final query state: {state}")
    start, size = _page(request, 1000)
    location = execution["ResultConfiguration"]["OutputLocation"]
    rows: list[Row] = []
    next_token = None
    if location.endswith((".csv", ".txt")):
        body = Storage(Caller.of_this_request(), asyncio.get_running_loop()).read(location)
        if location.endswith(".csv"):
            rows, end = read_csv(body, start, size)
            next_token = str(end) if end < len(body) else None
        else:
            lines = body.decode().splitlines()
            rows = [[line] for line in lines[start : start + size]]
            next_token = str(start + size) if start + size < len(lines) else None
    answer: Request = {
        "ResultSet": {
            "Rows": [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in rows],
            "ResultSetMetadata": {"ColumnInfo": execution["_columns"]},
        },
        "UpdateCount": execution["_update_count"],
    }
    if next_token is not None:
        answer["NextToken"] = next_token
    return answer


def _require_catalog(request: Request) -> None:
    """Refuse a look at another data catalog than that of Glue."""
    name = request.get("CatalogName") or "AwsDataCatalog"
    if name.lower() != "awsdatacatalog":
        raise RequestRefused(f"Data Catalog {name} was not found", "MetadataException", None)


def _table_metadata(raw: Request) -> Request:
    """A table of Glue as Athena tells of it: where its files are and how they are read stand among its parameters.

    Source: https://docs.aws.amazon.com/cli/latest/reference/athena/get-table-metadata.html
    """
    storage = raw.get("StorageDescriptor") or {}
    serde = storage.get("SerdeInfo") or {}
    told = {
        "comment": raw.get("Description"),
        "location": storage.get("Location"),
        "inputformat": storage.get("InputFormat"),
        "outputformat": storage.get("OutputFormat"),
        "serde.serialization.lib": serde.get("SerializationLibrary"),
        **{f"serde.param.{name}": value for name, value in (serde.get("Parameters") or {}).items()},
    }
    times = {"CreateTime": raw.get("CreateTime"), "LastAccessTime": raw.get("LastAccessTime") or 0}
    return {
        **athena._glue_table_to_metadata(raw),
        **{name: time for name, time in times.items() if time is not None},
        "Parameters": {**(raw.get("Parameters") or {}), **{name: value for name, value in told.items() if value}},
    }


def _require_visible(action: str, database: str, table: str | None = None) -> None:
    """Refuse a look at the catalog that Glue does not allow the caller."""
    try:
        Caller.of_this_request().require_glue(action, database, table)
    except QueryFailed as problem:
        raise RequestRefused(str(problem), "MetadataException", None) from problem


def get_database(request: Request) -> Request:
    """GetDatabase, with the caller's permissions on Glue."""
    name = request.get("DatabaseName", "")
    _require_catalog(request)
    _require_visible("GetDatabase", name)
    raw = glue._databases.get(name)
    if raw is None:
        raise RequestRefused(f"EntityNotFoundException: Database {name} not found.", "MetadataException", None)
    return {"Database": athena._athena_database(raw)}


def list_databases(request: Request) -> Request:
    """ListDatabases: those that the caller may see in Glue."""
    caller = Caller.of_this_request()
    _require_catalog(request)
    found = [
        athena._athena_database(raw)
        for name, raw in glue._databases.items()
        if caller.may_see("GetDatabases", f"database/{name}")
    ]
    return _listed(request, "DatabaseList", found)


def list_table_metadata(request: Request) -> Request:
    """ListTableMetadata: those that the caller may see in Glue."""
    database, caller = request.get("DatabaseName", ""), Caller.of_this_request()
    _require_catalog(request)
    _require_visible("GetTables", database)
    found = [
        _table_metadata(raw)
        for key, raw in glue._tables.items()
        if key.startswith(f"{database}/") and caller.may_see("GetTables", f"table/{key}")
    ]
    return _listed(request, "TableMetadataList", found)


def get_table_metadata(request: Request) -> Request:
    """GetTableMetadata; a table that does not exist is an error, as on AWS."""
    database, table = request.get("DatabaseName", ""), request.get("TableName", "")
    _require_catalog(request)
    _require_visible("GetTable", database, table)
    raw = glue._tables.get(f"{database}/{table}")
    if raw is None:
        raise RequestRefused(
            f"EntityNotFoundException: Entity Not Found: {database}.{table}", "MetadataException", None
        )
    return {"TableMetadata": _table_metadata(raw)}


def list_engine_versions(_request: Request) -> Request:
    """ListEngineVersions: the one there is."""
    return {"EngineVersions": [_ENGINE]}


def fail_interrupted() -> None:
    """Give queries that were on their way when the server ended an end of their own."""
    for _, execution in list(athena._executions.all_items()):
        if execution["Status"]["State"] not in FINAL_STATES:
            reason = "INTERNAL_ERROR_QUERY_ENGINE: the server was stopped while the query ran"
            ended = {"State": "FAILED", "StateChangeReason": reason, "CompletionDateTime": time.time()}
            execution["Status"] = {**execution["Status"], **ended}
