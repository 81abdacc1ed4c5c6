"""An Athena to ask, with a bucket of its own for each test module."""

from __future__ import annotations

import io
import uuid
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.waiting import eventually


@dataclass(frozen=True)
class Answer:
    """A finished query: its execution, its result rows without the header, and its columns."""

    execution: dict[str, Any]
    header: list[str]
    rows: list[list[str | None]]
    columns: list[dict[str, Any]]

    @property
    def state(self) -> str:
        return self.execution["Status"]["State"]

    @property
    def reason(self) -> str:
        return self.execution["Status"].get("StateChangeReason", "")

    @property
    def scanned(self) -> int:
        return self.execution["Statistics"]["DataScannedInBytes"]


@dataclass
class Athena:
    """Queries in one database, with one caller's clients."""

    clients: Any
    database: str
    bucket: str
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.api, self.glue, self.s3 = (self.clients(service) for service in ("athena", "glue", "s3"))
        self.results = f"s3://{self.bucket}/results/"

    def start(self, sql: str, **request: Any) -> str:
        defaults = {
            "QueryExecutionContext": {"Database": self.database},
            "ResultConfiguration": {"OutputLocation": self.results},
            **self.options,
        }
        return self.api.start_query_execution(QueryString=sql, **{**defaults, **request})["QueryExecutionId"]

    def execution(self, query_id: str) -> dict[str, Any]:
        return self.api.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]

    def state(self, query_id: str) -> str:
        return self.execution(query_id)["Status"]["State"]

    def wait(self, query_id: str) -> dict[str, Any]:
        eventually(lambda: self.state(query_id) in ("SUCCEEDED", "FAILED", "CANCELLED"))
        return self.execution(query_id)

    def ask(self, sql: str, **request: Any) -> Answer:
        """Run a query to its end, whichever it is."""
        execution = self.wait(self.start(sql, **request))
        if execution["Status"]["State"] != "SUCCEEDED":
            return Answer(execution, [], [], [])
        found = self.api.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
        rows = [[cell.get("VarCharValue") for cell in row["Data"]] for row in found["ResultSet"]["Rows"]]
        columns = found["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
        header = rows.pop(0) if execution["SubstatementType"] == "SELECT" else []
        return Answer(execution, header, rows, columns)

    def run(self, sql: str, **request: Any) -> Answer:
        """Run a query that must succeed."""
        answer = self.ask(sql, **request)
        assert answer.state == "SUCCEEDED", f"{answer.reason}\n{sql}"
        return answer

    def rows(self, sql: str, **request: Any) -> list[list[str | None]]:
        return self.run(sql, **request).rows

    def fails(self, sql: str, **request: Any) -> str:
        """Run a query that must fail, and return the reason."""
        answer = self.ask(sql, **request)
        assert answer.state == "FAILED", answer.state
        return answer.reason

    def keys(self, prefix: str) -> list[str]:
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for entry in found.get("Contents", [])]

    def put(self, key: str, body: bytes | str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def put_parquet(self, key: str, table: pa.Table) -> int:
        """Put a Parquet file, and return its size in bytes."""
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        self.put(key, buffer.getvalue())
        return len(buffer.getvalue())

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def external_table(
        self, name: str, columns: dict[str, str], keys: dict[str, str], **storage: Any
    ) -> dict[str, Any]:
        """Make a Parquet table through Glue, as the lake does; returns its storage descriptor."""
        descriptor = {
            "Columns": [{"Name": column, "Type": kind} for column, kind in columns.items()],
            "Location": self.uri(f"{name}/"),
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
            **storage,
        }
        self.glue.create_table(
            DatabaseName=self.database,
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
                "StorageDescriptor": descriptor,
                "PartitionKeys": [{"Name": key, "Type": kind} for key, kind in keys.items()],
            },
        )
        return descriptor

    def point(self, table: str, storage: dict[str, Any], values: list[str], location: str) -> None:
        """Register a partition at a location, or point the registered one there."""
        partition = {"Values": values, "StorageDescriptor": {**storage, "Location": location}}
        request = {"DatabaseName": self.database, "TableName": table, "PartitionInput": partition}
        try:
            self.glue.create_partition(**request)
        except self.glue.exceptions.AlreadyExistsException:
            self.glue.update_partition(PartitionValueList=values, **request)


@pytest.fixture(scope="module")
def athena(aws) -> Athena:
    """The administrator's Athena, over an empty database and a bucket of its own."""
    name = f"athena-{uuid.uuid4().hex[:12]}"
    aws("s3").create_bucket(Bucket=name)
    database = name.replace("-", "_")
    aws("glue").create_database(DatabaseInput={"Name": database})
    return Athena(aws, database, name)
