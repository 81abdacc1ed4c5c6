"""Whatever the order in which runs look at the raw files, publish and compute marts: the same tables in the end."""

import json
import threading
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from contract.dataset import load_contract
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from lake.operators import mart as mart_module
from lake.operators import publish as publish_module
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
            QueryExecutionContext={"Database": CONTRACT.database},
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
        for table in (CONTRACT.table, CONTRACT.current_view, *MARTS):
            try:
                glue.delete_table(DatabaseName=CONTRACT.database, Name=table)
            except glue.exceptions.EntityNotFoundException:
                continue
        for ds in DATES:
            record = Paths(self.settings, CONTRACT, ds, "any").record("published")
            s3.delete_object(Bucket=self.settings.artifacts_bucket, Key=record.split("/", 3)[3])

    def stage(self, saw):
        """What the tasks up to `validate` leave behind for a run that sees these versions of the dates' files."""
        number = next(NUMBERS)
        run = Run(f"run-{number}", saw, f"{number:09}")
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
            {"key": item["Key"], "bytes": item["Size"], "rows": len(rows)}
            for item in s3.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]
        ]
        paths = Paths(self.settings, CONTRACT, ds, run.name)
        clean = {"ds": ds, "submission": submission, "rows": {"published": len(rows)}, "output": {"files": files}}
        for task, manifest in {
            "stage_raw": {"ds": ds, "listed": run.listed},
            "clean": clean,
            "validate": {"success": True, "submission": submission},
        }.items():
            _, _, bucket_name, key = paths.manifest(task).split("/", 3)
            s3.put_object(Bucket=bucket_name, Key=key, Body=json.dumps(manifest).encode())

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
        found = {"orders": self.rows(f"SELECT {columns} FROM {CONTRACT.table}")}
        found["current"] = self.rows(f"SELECT {columns} FROM {CONTRACT.current_view}")
        for mart in CONTRACT.marts:
            names = ", ".join([*(column.name for column in mart.columns), "ds"])
            found[mart.name] = self.rows(f"SELECT {names} FROM {mart.name}")
        return found


@pytest.fixture(scope="module")
def hooks():
    """Airflow's clients by service, under its role: making one takes longer than what a task here does with it."""
    return {}


@pytest.fixture
def lake(aws, settings, context, monkeypatch, hooks):
    make = AwsGenericHook.get_client_type

    def client(hook, *arguments, **options):
        if hook.client_type not in hooks:
            hooks[hook.client_type] = make(hook, *arguments, **options)
        return hooks[hook.client_type]

    monkeypatch.setattr(AwsGenericHook, "get_client_type", client)
    for module in (mart_module, publish_module):
        monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    made = Lake(aws, settings, context)
    made.clear()
    yield made
    made.clear()


@pytest.fixture(scope="module")
def canonical():
    """Tables by what each date's file holds in the end, as one run a date in the order of the dates makes them."""
    known = {}

    def tables(lake, versions):
        state = tuple(sorted(versions.items()))
        if state not in known:
            lake.clear()
            for ds, version in state:
                run = lake.stage({ds: version})
                for step in STEPS:
                    lake.do(run, step)
            known[state] = lake.tables()
        return known[state]

    return tables


@st.composite
def histories(draw):
    """Events in an order: a run looks at the raw files, or goes on by a step. Some runs fail before they publish."""
    runs = draw(
        st.lists(
            st.tuples(
                st.dictionaries(st.sampled_from(DATES), st.integers(1, 3), min_size=1, max_size=2),
                st.sampled_from(("succeeds", "succeeds", "succeeds", "is retried", "fails")),
            ),
            min_size=1,
            max_size=4,
        )
    )
    turns = [
        number
        for number, (_, end) in enumerate(runs)
        for _ in range(1 + (1 if end == "fails" else len(STEPS) + (end == "is retried")))
    ]
    return runs, draw(st.permutations(turns))


@examples(
    max_examples=20,
    deadline=None,
    derandomize=True,
    # A smaller example of a failure is not worth the minutes that it takes to find.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories())
def test_any_order_of_runs_ends_in_the_same_tables(lake, canonical, history):
    runs, turns = history
    lake.clear()
    started, done, versions = {}, dict.fromkeys(range(len(runs)), 0), {}
    for turn in turns:
        saw, end = runs[turn]
        if turn not in started:
            started[turn] = lake.stage(saw)
            versions.update(saw if end != "fails" else {})
            continue
        step = done[turn]
        done[turn] += 1
        # A task that is retried does all its work twice.
        lake.do(started[turn], STEPS[step if end != "is retried" else max(0, step - 1)])
    found = lake.tables() if versions else {}
    assert found == (canonical(lake, versions) if versions else {})


def test_two_runs_of_a_date_at_once_end_in_the_newer_one(lake, canonical):
    older, newer = lake.stage({"2025-01-31": 1}), lake.stage({"2025-01-31": 3})
    errors = []

    def go(run):
        try:
            for step in STEPS:
                lake.do(run, step)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=go, args=(run,)) for run in (newer, older)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert lake.tables() == canonical(lake, {"2025-01-31": 3})


def test_many_dates_at_once_are_published_like_one_after_the_other(lake, canonical):
    versions = dict.fromkeys(DATES, 2)
    run = lake.stage(versions)
    for step in STEPS:
        lake.do(run, step)
    assert lake.tables() == canonical(lake, versions)
