"""The part of the lake that publishes, with the worker's results put in place by hand."""

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from contract.dataset import load_contract
from contract.evolution import sources_of, types_of
from contract.names import Names
from lake.objects import delete_objects, keys_under
from lake.operators.mart import MartOperator
from lake.operators.promote import PromoteOperator
from lake.operators.publish import PublishOperator
from lake.paths import Paths

REPOSITORY = Path(__file__).resolve().parents[3]
ORDERS = load_contract(REPOSITORY / "include" / "datasets" / "orders.yaml")
MARTS = {
    "status_summary": "history",
    "total_sales_by_customer": "date",
    "top_10_orders_of_month": "month",
}
NAMES = Names("orders")
CONTRACT = ORDERS.model_copy(
    update={
        "marts": tuple(m.model_copy(update={"scope": MARTS[m.name]}) for m in ORDERS.marts if m.name in MARTS),
    }
)
DATES = ("2025-01-30", "2025-01-31", "2025-02-01", "2025-02-03")
STEPS = ("promote", "publish", *MARTS)
NUMBERS = count(1)


def orders_in(ds, version):
    """Rows of a date's file: a late version of an order of January, and orders of the date's own."""
    day = f"DATE '{ds}'"
    return [
        f"('O1', 'Ann', DECIMAL '{version}{DATES.index(ds)}.25', 'shipped', DATE '2025-01-30')",
        *(
            f"('O-{ds}-{n}', 'Bob', DECIMAL '1{n}.50', '{'pending' if n % 2 else 'confirmed'}', {day})"
            for n in range(version)
        ),
    ]


def judged(contract):
    """What `validate` tells of files that are as the contract says."""
    return {
        "columns": types_of(contract.published_columns),
        "sources": sources_of(contract),
        "contract_version": contract.version,
    }


@dataclass(frozen=True)
class Run:
    """One run: the dates it is about, and which version of their files it saw."""

    name: str
    saw: dict[str, int]
    listed: str


class Lake:
    """The part of the lake that publishes, with the worker's results put in place by hand."""

    def __init__(self, aws, settings, context):
        self.aws, self.settings, self.context = aws, settings, context

    def query(self, sql):
        athena = self.aws("athena")
        query_id = athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": NAMES.database},
            WorkGroup=self.settings.athena_workgroup,
        )["QueryExecutionId"]
        while True:
            status = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
            if status["State"] not in {"QUEUED", "RUNNING"}:
                break
        assert status["State"] == "SUCCEEDED", status
        return query_id

    def rows(self, sql):
        query_id = self.query(sql)
        found = self.aws("athena").get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"]
        return sorted(tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in found[1:])

    def clear(self):
        """Forget every date, so that the next sequence of runs begins with nothing."""
        glue, s3 = self.aws("glue"), self.aws("s3")
        for table in (NAMES.table, NAMES.quarantine_table, NAMES.current_view, *MARTS):
            try:
                glue.delete_table(DatabaseName=NAMES.database, Name=table)
            except glue.exceptions.EntityNotFoundException:
                continue
        for ds in DATES:
            for kind in ("published", "quarantined"):
                s3.delete_object(Bucket=self.settings.artifacts_bucket, Key=NAMES.record(ds, kind))
            bucket = self.settings.processed_bucket
            for folder in (NAMES.promoted(ds), f"{NAMES.quarantine_table}/ds={ds}/"):
                delete_objects(s3, bucket, keys_under(s3, bucket, folder))

    def forget_crawls(self):
        """As in a new stack: the crawler's first crawl is a full one, and makes its table."""
        glue = self.aws("glue")
        with suppress(glue.exceptions.EntityNotFoundException):
            glue.delete_table(DatabaseName=NAMES.database, Name=NAMES.runs_table)
        crawler = glue.get_crawler(Name=NAMES.crawler)["Crawler"]
        glue.delete_crawler(Name=NAMES.crawler)
        parts = ("Name", "Role", "DatabaseName", "Targets", "SchemaChangePolicy", "RecrawlPolicy", "Configuration")
        glue.create_crawler(**{part: crawler[part] for part in parts if part in crawler})

    def stage(self, saw):
        """What the tasks up to `validate` leave behind for a run that sees these versions of the dates' files."""
        number = next(NUMBERS)
        run = Run(f"run-{number}", saw, datetime.now(UTC).isoformat())
        for ds, version in saw.items():
            self._stage(run, ds, orders_in(ds, version))
        return run

    def _stage(self, run, ds, rows):
        submission = f"{run.name}-0123abcd"
        folder = f"_staging/{CONTRACT.dataset}/ds={ds}/run={submission}/"
        bucket, s3 = self.settings.processed_bucket, self.aws("s3")
        names = "order_id, customer, amount, status, order_date"
        self.query(
            f"UNLOAD (SELECT order_id, customer, CAST(amount AS DECIMAL(12, 2)) AS amount, status, order_date,"
            f" 'orders.csv' AS source_file, CAST(1 AS BIGINT) AS source_line, '{submission}' AS run_id"
            f" FROM (VALUES {', '.join(rows)}) AS t ({names}))"
            f" TO 's3://{bucket}/{folder}' WITH (format = 'PARQUET')"
        )
        files = [
            {"key": item["Key"], "bytes": item["Size"], "rows": len(rows), "sha256": self._sha256(bucket, item["Key"])}
            for item in s3.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]
        ]
        paths = Paths(self.settings, CONTRACT, ds, run.name)
        clean = {"ds": ds, "submission": submission, "rows": {"published": len(rows)}, "output": {"files": files}}
        for task, manifest in {
            "stage_raw": {"ds": ds, "listed": run.listed},
            "clean": clean,
            "validate": {"success": True, "submission": submission, **judged(CONTRACT)},
        }.items():
            _, _, bucket_name, key = paths.manifest(task).split("/", 3)
            s3.put_object(Bucket=bucket_name, Key=key, Body=json.dumps(manifest).encode())

    def _sha256(self, bucket, key):
        return hashlib.sha256(self.aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest()

    def do(self, run, step):
        """Run one task of a run."""
        arguments = {"task_id": step, "settings": self.settings, "contract": CONTRACT, "dates": " ".join(run.saw)}
        if step == "promote":
            operator = PromoteOperator(run_name=run.name, **arguments)
        elif step == "publish":
            operator = PublishOperator(run_name=run.name, **arguments)
        else:
            mart = next(mart for mart in CONTRACT.marts if mart.name == step)
            operator = MartOperator(mart=mart, **arguments)
        operator.execute(self.context(step))

    def tables(self):
        """Every row that a reader sees, by table."""
        columns = "order_id, customer, amount, status, order_date, ds"
        found = {"orders": self.rows(f"SELECT {columns} FROM {NAMES.table}")}
        found["current"] = self.rows(f"SELECT {columns} FROM {NAMES.current_view}")
        for mart in CONTRACT.marts:
            names = ", ".join([*(column.name for column in mart.columns), "ds"])
            found[mart.name] = self.rows(f"SELECT {names} FROM {mart.name}")
        return found
