"""What a plan says of each date of a range, and what it leaves behind."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, DownstreamTasksSkipped
from contract.dataset import Complete, load_contract
from lake.bundle import digest_of_this_process
from lake.operators.plan_reprocess import PlanReprocessOperator
from lake.operators.report_reprocess import ReportReprocessOperator
from lake.paths import Paths
from lake.published import folders_of_other_datasets, made_now
from lake.tables import public_table

REPOSITORY = Path(__file__).resolve().parents[3]
ORDERS = load_contract(REPOSITORY / "include" / "datasets" / "orders.yaml")
CHANGES = {
    "2025-04-01": "is new",
    "2025-04-02": "there is no raw file",
    "2025-04-03": "nothing changed since",
    "2025-04-04": "raw files changed since",
    "2025-04-05": "code changed since",
    "2025-04-06": "raw files and code changed since",
    "2025-04-07": "it is not known from what it was made",
    "2025-04-08": "there is no raw file, what is published stays",
    "2025-04-09": "there is no raw file",
}


@pytest.fixture
def s3(aws):
    return aws("s3")


@pytest.fixture
def write(s3):
    def write(uri, document):
        _, _, bucket, key = uri.split("/", 3)
        s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(document).encode())

    return write


@pytest.fixture
def world(aws, s3, settings, write):
    """Dates of which each is as CHANGES says."""
    table = public_table(aws("glue"), settings, ORDERS)
    table.ensure()
    for ds, change in CHANGES.items():
        # A key that staging will refuse, and say so, is no missing file.
        key = f"orders/ds={ds}//orders.csv" if change == "is new" else f"orders/ds={ds}/orders.csv"
        if "no raw file" not in change:
            s3.put_object(Bucket=settings.raw_bucket, Key=key, Body=ds.encode())
        if ds == "2025-04-09":
            for name in ("_SUCCESS", "incoming/", "incoming/.part/a.csv"):
                s3.put_object(Bucket=settings.raw_bucket, Key=f"orders/ds={ds}/{name}", Body=b"")
        if change in {"is new", "there is no raw file"}:
            continue
        table.point(ds, f"s3://anywhere/{ds}/", {"submission": "earlier-0123abcd", "numRows": "1"})
        if "known" in change or "stays" in change:
            continue
        etag = s3.head_object(Bucket=settings.raw_bucket, Key=key)["ETag"].strip('"')
        paths = Paths(settings, ORDERS, ds, "earlier")
        files = [{"key": key, "etag": "another" if "raw files" in change else etag}]
        copies = []
        if "nothing" in change:
            copy = key.replace("orders.csv", "a copy.csv")
            s3.put_object(Bucket=settings.raw_bucket, Key=copy, Body=ds.encode())
            copies = [{"key": copy, "etag": etag}]
        write(paths.manifest("stage_raw"), {"files": files, "duplicate_files": copies})
        bundle = "another" if "code" in change else digest_of_this_process()
        write(paths.manifest("clean"), {"versions": {"bundle": bundle}})


@pytest.fixture
def plan(settings):
    """Run the task, and return its XComs and the tasks that it skips."""

    def plan(run_id, contract=ORDERS, **params):
        after = [SimpleNamespace(task_id=name, is_teardown=name == "stop") for name in ("start", "stop", "report")]
        xcom = {}
        context = {
            "params": {"start": "2025-04-01", "end": "2025-04-09", "dry_run": True} | params,
            "run_id": run_id,
            "ti": SimpleNamespace(xcom_push=lambda key, value: xcom.update({key: value})),
            "task": SimpleNamespace(get_flat_relatives=lambda **_: after),
        }
        operator = PlanReprocessOperator(task_id="plan", settings=settings, contract=contract)
        try:
            operator.execute(context)
        except DownstreamTasksSkipped as skipped:
            return xcom["plan"], skipped.tasks
        return xcom["plan"], []

    return plan


def manifests(s3, settings):
    prefix = "manifests/orders/reprocess/"
    return [e["Key"] for e in s3.list_objects_v2(Bucket=settings.artifacts_bucket, Prefix=prefix).get("Contents", [])]


@pytest.mark.usefixtures("world")
def test_a_dry_run_says_what_would_change_and_writes_nothing(s3, settings, plan):
    before = manifests(s3, settings)
    found, skipped = plan("dry")
    assert {ds: why for why, dates in found.items() for ds in dates} == CHANGES
    assert skipped == ["start", "report"], "a teardown is for Airflow to skip"
    assert manifests(s3, settings) == before


@pytest.mark.usefixtures("world")
def test_dates_that_are_not_complete_are_told_and_planned(s3, settings, plan):
    wait = ORDERS.wait.model_copy(update={"complete": Complete(files=2)})
    two_files = {ds for ds, change in CHANGES.items() if change == "nothing changed since"}
    contract = ORDERS.model_copy(update={"wait": wait})
    found, _ = plan("incomplete", contract, dry_run=False)
    lacking = {
        ds: change
        if ds in two_files or "no raw file" in change
        else f"{change}; not complete: only 1 of at least 2 files are there"
        for ds, change in CHANGES.items()
    }
    assert {ds: why for why, dates in found.items() for ds in dates} == lacking
    key = "manifests/orders/reprocess/run=incomplete/plan.json"
    planned = json.load(s3.get_object(Bucket=settings.artifacts_bucket, Key=key)["Body"])["dates"]
    assert {planned[ds]["outcome"] for ds, why in lacking.items() if "not complete" in why} == {"planned"}


@pytest.mark.usefixtures("world")
def test_a_run_plans_the_dates_that_have_a_file(s3, settings, plan):
    _, skipped = plan("wet", dry_run=False)
    assert skipped == []
    key = "manifests/orders/reprocess/run=wet/plan.json"
    planned = json.load(s3.get_object(Bucket=settings.artifacts_bucket, Key=key)["Body"])
    assert planned["ds"] == "2025-04-01..2025-04-09"
    outcomes = {ds: "skipped" if "no raw file" in why else "planned" for ds, why in CHANGES.items()}
    assert {ds: entry["outcome"] for ds, entry in planned["dates"].items()} == outcomes


def test_a_date_whose_dimensions_came_later_is_told(aws, s3, settings, plan, write):
    glue, contract = aws("glue"), load_contract(REPOSITORY / "include" / "datasets" / "sales.yaml")
    customers = public_table(glue, settings, load_contract(REPOSITORY / "include" / "datasets" / "customers.yaml"))
    sales = public_table(glue, settings, contract)
    customers.ensure()
    sales.ensure()
    customers.point("2026-05-01", "s3://anywhere/old/", {})
    for ds in ("2026-05-01", "2026-05-02", "2026-05-03"):
        key = f"sales/ds={ds}/sales.csv"
        etag = s3.put_object(Bucket=settings.raw_bucket, Key=key, Body=b"x")["ETag"].strip('"')
        folders = folders_of_other_datasets(glue, settings, contract, ds)
        made_from = json.dumps(made_now(contract, folders, ds))
        sales.point(ds, f"s3://anywhere/{ds}/", {"run_id": "daily-0123abcd", "numRows": "1", "made_from": made_from})
        paths = Paths(settings, contract, ds, "daily")
        write(paths.manifest("stage_raw"), {"files": [{"key": key, "etag": etag}], "duplicate_files": []})
        write(paths.manifest("clean"), {"versions": {"bundle": digest_of_this_process()}})
    whole = {"contract": contract, "start": "2026-05-01", "end": "2026-05-03"}
    assert plan("before", **whole)[0] == {"nothing changed since": ["2026-05-01", "2026-05-02", "2026-05-03"]}

    customers.point("2026-05-02", "s3://anywhere/late/", {})
    assert plan("after", **whole)[0] == {
        "nothing changed since": ["2026-05-01"],
        "other datasets changed since": ["2026-05-02", "2026-05-03"],
    }

    sales.point("2026-05-03", "s3://anywhere/2026-05-03/", {"run_id": "daily-0123abcd", "numRows": "1"})
    assert plan("of before", **whole)[0]["it is not known from what it was made"] == ["2026-05-03"]


def test_a_range_without_files_does_nothing(s3, settings, plan):
    found, skipped = plan("nothing", start="1999-01-01", end="1999-01-02", dry_run=False)
    assert found == {"there is no raw file": ["1999-01-01", "1999-01-02"]}
    assert skipped == ["start", "report"]
    assert not [key for key in manifests(s3, settings) if "run=nothing" in key]


def test_a_report_fails_when_a_date_could_not_be_loaded(settings, write, context):
    uri = Paths(settings, ORDERS, "{ds}", "a-report").reprocess_manifest("reprocess")
    report = ReportReprocessOperator(task_id="report", reprocess_manifest=uri)
    with pytest.raises(AirflowException, match="no manifest at"):
        report.execute(context("report"))
    loaded = {"2025-04-01": {"outcome": "loaded"}, "2025-04-02": {"outcome": "skipped", "why": "no file"}}
    write(uri, {"dates": loaded})
    assert report.execute(context("report")) == {"loaded": 1, "skipped": 1}
    failed = {ds: {"outcome": ds, "why": f"why {ds}"} for ds in ("refused", "crashed")}
    write(uri, {"dates": {**loaded, **failed}})
    with pytest.raises(AirflowFailException, match=r"2 of 4 dates could not be loaded.*\n.*why crashed\n.*why refused"):
        report.execute(context("report"))
