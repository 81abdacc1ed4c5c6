"""One query from QUEUED to its end: compiled, planned, run in DuckDB, its results put into S3."""

# ruff: noqa: S608 - SQL is what this writes: names and values in it are quoted
from __future__ import annotations

import asyncio
import datetime as dt
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import duckdb
from ministack.services import athena

from localaws.athena import catalog as glue_catalog
from localaws.athena import engine, scans, statements, writing
from localaws.athena.access import Caller
from localaws.athena.catalog import Catalog
from localaws.athena.ddl import CatalogStatements
from localaws.athena.errors import (
    QueryCancelled,
    QueryFailed,
    RequestRefused,
    athena_error,
    from_engine,
    not_supported,
)
from localaws.athena.expressions import Output, Relation
from localaws.athena.queries import QueryCompiler, Session
from localaws.athena.results import Column, write_csv, write_metadata
from localaws.athena.scans import Scan
from localaws.athena.storage import Storage
from localaws.athena.types import BIGINT, BOOLEAN, SEVERAL_ZONES, VARCHAR, quote
from localaws.athena.zones import local_sql

logger = logging.getLogger("athena")

Execution = dict[str, Any]
FINAL_STATES = ("SUCCEEDED", "FAILED", "CANCELLED")
CONCURRENT_QUERIES = 4
"""How many queries run at once; the others wait in QUEUED."""

_slots = threading.BoundedSemaphore(CONCURRENT_QUERIES)
_transition = threading.Lock()


@dataclass
class Run:
    """A query on its way.

    Args:
        execution: its record, as GetQueryExecution gives it; the only thing of a query that outlives it.
        statement: what it does.
        caller: who started it, with whose permissions it runs.
        loop: the server's event loop.
        output: prefix of its result files, with a final slash.
        scan_limit: bytes it may scan, or None.
        enforced: whether the workgroup dictates where results go.
        encryption: headers for the result files.
    """

    execution: Execution
    statement: statements.Statement
    caller: Caller
    loop: asyncio.AbstractEventLoop
    output: str
    scan_limit: int | None
    enforced: bool
    encryption: dict[str, str]
    cancelled: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.query_id: str = self.execution["QueryExecutionId"]
        self.database: str = self.execution["QueryExecutionContext"]["Database"]
        self.catalog = Catalog(self.caller)
        self.storage = Storage(self.caller, self.loop)
        self.catalog_statements = CatalogStatements(self.catalog, self.storage, self.database)
        self.started = time.time()
        self.connection = engine.connect()

    # The life of a query

    def __call__(self) -> None:
        """Wait for a slot, then run to an end; to be called on a thread of its own."""
        submitted = time.time()
        with _slots:
            self._count(QueryQueueTimeInMillis=_milliseconds(submitted))
            self.started = time.time()
            if not self._move("RUNNING"):
                return
            try:
                self._check_cancelled()
                self._run()
                self._end("SUCCEEDED")
            except (QueryCancelled, duckdb.InterruptException) as error:
                reason = str(error) if isinstance(error, QueryCancelled) else "Query was cancelled by user"
                self._end("CANCELLED", reason)
            except (QueryFailed, RequestRefused) as error:
                self._end("FAILED", str(error))
            except duckdb.Error as error:
                if isinstance(error, (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)):
                    logger.exception("query %s was compiled to SQL that DuckDB refuses", self.query_id)
                if isinstance(error, duckdb.FatalException):
                    engine.replace_broken()
                self._end("FAILED", str(from_engine(error)))
            except Exception as error:
                logger.exception("query %s failed", self.query_id)
                self._end("FAILED", f"GENERIC_INTERNAL_ERROR: {error}")
            finally:
                self.connection.close()

    def cancel(self) -> None:
        """Stop it, whether it waits or runs."""
        self.cancelled.set()
        with _transition:
            waiting = self.execution["Status"]["State"] == "QUEUED"
        if waiting:
            self._end("CANCELLED", "Query was cancelled by user")
        else:
            self.connection.interrupt()

    def _check_cancelled(self) -> None:
        if self.cancelled.is_set():
            raise QueryCancelled("Query was cancelled by user")

    def _move(self, state: str, **status: Any) -> bool:
        """Enter a state, unless an end has been reached; records are replaced whole, for they are saved meanwhile."""
        with _transition:
            if self.execution["Status"]["State"] in FINAL_STATES:
                return False
            self.execution["Status"] = {**self.execution["Status"], "State": state, **status}
            return True

    def _end(self, state: str, reason: str = "") -> None:
        self._count(
            EngineExecutionTimeInMillis=_milliseconds(self.started), ServiceProcessingTimeInMillis=1,
            TotalExecutionTimeInMillis=int((time.time() - self.execution["Status"]["SubmissionDateTime"]) * 1000),
        )  # fmt: skip
        status: dict[str, Any] = {"CompletionDateTime": time.time()}
        if reason:
            status["StateChangeReason"] = reason
        if state == "FAILED":
            status["AthenaError"] = athena_error(reason)
        self._move(state, **status)

    def _count(self, **statistics: Any) -> None:
        self.execution["Statistics"] = {**self.execution["Statistics"], **statistics}

    # What each kind of statement does

    def _run(self) -> None:
        # Athena looks at the default database whatever the query names.
        self.caller.require_glue("GetDatabase", "default")
        if self.execution["QueryExecutionContext"]["Catalog"].lower() != "awsdatacatalog":
            raise QueryFailed(
                f"CATALOG_NOT_FOUND: Catalog '{self.execution['QueryExecutionContext']['Catalog']}' does not exist"
            )
        statement = self.statement
        if isinstance(statement, statements.Unsupported):
            raise not_supported(statement.reason)
        if isinstance(statement, statements.Select):
            self._select(statement)
        elif isinstance(statement, statements.Unload):
            self._unload(statement)
        elif isinstance(statement, statements.CreateTableAs):
            self._create_table_as(statement)
        elif isinstance(statement, statements.Insert):
            self._insert(statement)
        else:
            self._text_statement(statement)

    def _select(self, statement: statements.Select) -> None:
        relation = self._planned(statement)
        columns = [
            Column(out.name if out.name is not None else f"_col{index}", out.type)
            for index, out in enumerate(relation.columns)
        ]
        self.storage.require_writable(*_bucket_and_key(self._uri(".csv")))
        body = write_csv(columns, self._rows(relation))
        self._check_cancelled()
        self._save(".csv", body, columns, "text/csv")

    def _rows(self, relation: Relation) -> Iterator[tuple[Any, ...]]:
        cursor = self.connection.execute(readable(relation))
        while batch := cursor.fetchmany(10_000):
            yield from batch

    def _unload(self, statement: statements.Unload) -> None:
        location = statement.location
        if "format" not in statement.properties:
            raise QueryFailed("INVALID_TABLE_PROPERTY: UNLOAD needs the property format")
        to = writing.target(statement.properties, location)
        relation = self._planned(statement)
        columns = writing.named_columns(relation.columns)
        writing.require_partitions_last(columns, to.partitioned_by)
        self._require_empty(location, "unload")
        self._write(relation.sql, columns, to)

    def _create_table_as(self, statement: statements.CreateTableAs) -> None:
        database, name = self.catalog_statements.qualified(statement.name)
        self.catalog.require_database(database)
        if self.catalog.table(database, name) is not None:
            if statement.if_not_exists:
                return self._save("", None, _row_count(), "")
            raise QueryFailed(
                f"TABLE_ALREADY_EXISTS: line 1:1: Destination table 'awsdatacatalog.{database}.{name}' already exists"
            )
        given = statement.properties.get("external_location")
        if given and self.enforced:
            raise QueryFailed(
                "The Create Table As Select query failed because it was submitted with an 'external_location' property "
                "to an Athena Workgroup that enforces a centralized output location for all queries. Please remove the "
                "'external_location' property and resubmit the query."
            )
        location = given or f"{self.output}tables/{self.query_id}/"
        to = writing.target(statement.properties, location)
        relation = self._planned(statement)
        columns = writing.named_columns(relation.columns)
        writing.require_partitions_last(columns, to.partitioned_by)
        table_input = writing.table_input(name, columns, to)
        self._require_empty(location, f"{database}.{name}")
        sql = relation.sql if statement.with_data else f"SELECT * FROM ({relation.sql}) WHERE false"
        written = self._write(sql, columns, to)
        self.catalog.create_table(database, table_input)
        self._register(database, name, to, written.partitions, {})
        return None

    def _insert(self, statement: statements.Insert) -> None:
        table = self.catalog_statements.require_table(statement.name)
        if table.is_view:
            raise QueryFailed("NOT_SUPPORTED: Inserting into views is not supported")
        to = writing.insert_target(table)
        relation = self._planned(statement)
        selected = writing.insert_columns(table, statement.columns, relation.columns)
        sql = f"SELECT {', '.join(selected)} FROM ({relation.sql})"
        known = {one.values: one.location for one in self.catalog.partitions(table)} if table.keys else {}

        def place(values: tuple[str, ...]) -> str:
            return known.get(values) or writing.partition_location(table.location, to.partitioned_by, values)

        written = self._write(sql, table.all_columns, to, place)
        self._register(table.database, table.name, to, written.partitions, known)

    def _register(
        self, database: str, name: str, to: writing.Target, partitions: list[tuple[str, ...]], known: dict[Any, str]
    ) -> None:
        table = self.catalog.table(database, name)
        new = [values for values in partitions if values not in known]
        if table is not None and new:
            located = [(values, writing.partition_location(to.location, to.partitioned_by, values)) for values in new]
            self.catalog.add_partitions(table, located)

    def _text_statement(self, statement: statements.Statement) -> None:
        columns: list[Column] = []
        lines: list[str] = []
        if isinstance(statement, statements.Explain):
            columns, lines = self._explain(statement)
        elif isinstance(statement, statements.CreateView):
            self._create_view(statement)
        elif isinstance(statement, (statements.Prepare, statements.Deallocate)):
            self._prepared(statement)
        elif self.catalog_statements.handles(statement):
            answer = self.catalog_statements.run(statement)
            columns, lines = answer.columns, answer.lines
        else:
            raise not_supported(type(statement).__name__)
        self._save(".txt", "".join(f"{line}\n" for line in lines).encode(), columns, "text/plain")

    def _explain(self, statement: statements.Explain) -> tuple[list[Column], list[str]]:
        relation = self._planned(statement)
        if statement.validate:
            return [Column("Valid", BOOLEAN)], ["true"]
        plans = self.connection.execute(f"EXPLAIN {relation.sql}").fetchall()
        return [Column("Query Plan", VARCHAR)], "\n".join(plan for _, plan in plans).split("\n")

    def _create_view(self, statement: statements.CreateView) -> None:
        database, name = self.catalog_statements.qualified(statement.name)
        self.catalog.require_database(database)
        relation, _ = self._compiled(statement.sql, statement.query)
        columns = writing.named_columns(relation.columns)
        view = glue_catalog.view_input(name, statement.text, self.database, columns)
        existing = self.catalog.table(database, name)
        if existing is None:
            self.catalog.create_table(database, view)
        elif existing.is_view and statement.replace:
            self.catalog.update_table(database, view)
        else:
            kind = "View" if existing.is_view else "Table"
            raise QueryFailed(
                f"TABLE_ALREADY_EXISTS: line 1:1: {kind} already exists: 'awsdatacatalog.{database}.{name}'"
            )

    def _prepared(self, statement: statements.Prepare | statements.Deallocate) -> None:
        workgroup = self.execution["WorkGroup"]
        if isinstance(statement, statements.Prepare):
            athena._prepared_statements.pop(f"{workgroup}/{statement.name}", None)
            request = {"StatementName": statement.name, "WorkGroup": workgroup, "QueryStatement": statement.text}
            athena._create_prepared_statement(request)
        elif athena._prepared_statements.pop(f"{workgroup}/{statement.name}", None) is None:
            raise QueryFailed(f"NOT_FOUND: Prepared statement not found: {statement.name}")

    # Compiling, planning, writing

    def _compiled(self, sql: str, query: Any) -> tuple[Relation, Session]:
        session = Session(self.catalog, dt.datetime.now(dt.UTC).replace(tzinfo=None))
        return QueryCompiler(sql, self.database, session).compile(query), session

    def _planned(self, statement: Any) -> Relation:
        """Compile a statement's query, choose and check what it reads, and make that visible to DuckDB."""
        began = time.time()
        relation, session = self._compiled(statement.sql, statement.query)
        used = relation.required.union(*(out.uses for out in relation.columns))
        total = 0
        columns: dict[Scan, set[str]] = {scan: set() for scan in session.scans}
        for scan, column in used:
            columns[scan].add(column)
        for together in scans.by_table(session.scans):
            reading = scans.plan(together, columns, self.catalog, self.storage, self.connection)
            total += reading.bytes
            if self.scan_limit is not None and total > self.scan_limit:
                raise QueryCancelled("Query cancelled! : Bytes scanned limit was exceeded")
            for sql in reading.statements:
                self.connection.execute(sql)
                self._check_cancelled()
        self._count(DataScannedInBytes=total, QueryPlanningTimeInMillis=_milliseconds(began))
        return relation

    def _require_empty(self, location: str, name: str) -> None:
        if self.storage.occupied(location):
            raise QueryFailed(
                f"HIVE_PATH_ALREADY_EXISTS: Target directory for table '{name}' already exists: {location}. You "
                f"may need to manually clean the data at location '{location}' before retrying. Athena will not delete "
                "data in your account."
            )

    def _write(self, sql: str, columns: glue_catalog.Columns, to: writing.Target, place: Any = None) -> writing.Written:
        written = writing.write(self.connection, self.storage, self.query_id, sql, columns, to, place)
        manifest = self._uri("-manifest.csv")
        body = "".join(f"{uri}\n" for uri in written.uris).encode()
        self.storage.write(manifest, body, "text/csv", self.encryption)
        self._count(DataManifestLocation=manifest)
        self.execution["_update_count"] = written.rows
        self._save("", None, _row_count(), "")
        return written

    def _uri(self, suffix: str) -> str:
        return f"{self.output}{self.query_id}{suffix}"

    def _save(self, suffix: str, body: bytes | None, columns: list[Column], content_type: str) -> None:
        """Put the result file, if there is one, and its metadata."""
        if body is not None:
            self.storage.write(self._uri(suffix), body, content_type, self.encryption)
        self.storage.write(
            f"{self._uri(suffix)}.metadata", write_metadata(columns), "application/octet-stream", self.encryption
        )
        self.execution["_columns"] = [column.info() for column in columns]


def _row_count() -> list[Column]:
    return [Column("rows", BIGINT)]


def readable(relation: Relation) -> str:
    """The relation's SQL, with types that Python cannot hold as text."""

    def column(out: Output) -> str:
        name = quote(out.column)
        if out.type.base == "timestamp with time zone":
            if out.type.zone == SEVERAL_ZONES:
                raise not_supported("values of several time zones in one column")
            local = local_sql(name, out.type.zone)
            return f"athena_timestamp_text({local}, {out.type.args[0]}) || ' {out.type.zone}'"
        if out.type.base == "timestamp":
            return f"athena_timestamp_text({name}, {out.type.args[0]})"
        if out.type.base == "interval year to month":
            months = f"(datepart('year', {name}) * 12 + datepart('month', {name}))"
            sign = f"CASE WHEN {months} < 0 THEN '-' ELSE '' END"
            return f"{sign} || (abs({months}) // 12) || '-' || (abs({months}) % 12)"
        if out.type.base == "time":
            return f"CAST({name} AS VARCHAR)"
        return name

    if all(column(out) == quote(out.column) for out in relation.columns):
        return relation.sql
    return f"SELECT {', '.join(map(column, relation.columns))} FROM ({relation.sql})"


def _bucket_and_key(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _milliseconds(since: float) -> int:
    return int((time.time() - since) * 1000)
