"""What an alert says."""

import re
from types import SimpleNamespace

import pytest
from contract.dataset import load_contract
from lake.alerts import describe_failure
from lake.settings import Settings

from tools.environment import CHECKOUT

ORDERS = load_contract(CHECKOUT / "include" / "datasets" / "orders.yaml")
SETTINGS = Settings(**dict.fromkeys(Settings.__dataclass_fields__, "name"))


RANGE = {"start": "2025-06-01", "end": "2025-06-03"}


def alert(task_id, params, dag_id="ingest_orders", **more):
    ti = SimpleNamespace(dag_id=dag_id, task_id=task_id, try_number=1)
    return describe_failure(SETTINGS, ORDERS, {"ti": ti, "run_id": "manual__x", "params": params, **more})


def test_an_alert_names_the_date_the_reason_and_where_bad_rows_are():
    subject, text = alert("validate", {"date": "2025-06-30"}, exception="too few rows")
    assert subject == "ingest_orders 2025-06-30: validate failed"
    for said in ("too few rows", "ds = '2025-06-30'", "ds=2025-06-30/run=manual__x/*.json", "runbook.md#validate"):
        assert said in text


def test_the_alert_of_a_range_names_its_dates():
    reason = "1 of 3 dates could not be loaded:\n2025-06-02 refused: no header"
    subject, text = alert("report", RANGE, dag_id="reprocess_orders", exception=reason)
    assert subject == "reprocess_orders 2025-06-01..2025-06-03: report failed"
    for said in (reason, "ds BETWEEN '2025-06-01' AND '2025-06-03'", "reprocess/run=manual__x/", "on the dates named"):
        assert said in text


@pytest.mark.parametrize("word", ["x", "ñ", "日本", "\ud800"])
def test_an_alert_fits_what_sns_takes_however_much_there_is_to_say(word):
    reason = "the first line\n" + word * (1_000_000 // len(word))
    subject, text = alert("clean", {"date": "ñ\n" * 500}, exception=reason)
    assert len(text.encode()) < 262_144
    assert "Why: the first line\n" in text
    assert "[cut here: " in text
    assert text.rstrip().endswith("docs/runbook.md#clean")
    assert re.fullmatch("[ -~]{1,100}", subject)


@pytest.mark.parametrize(
    ("task_id", "params", "seen"),
    [
        ("clean", {"date": "2025-06-30"}, "orders ds=2025-06-30 as it was before this run."),
        ("publish", {"date": "2025-06-30"}, "either as it was before this run or the new rows"),
        ("status_summary", {"date": "2025-06-30"}, "the mart status_summary shows its previous picture"),
        ("reprocess", RANGE, "orders on all dates as it was before this run."),
        ("publish", RANGE, "orders on each date either as it was"),
        ("status_summary", RANGE, "orders on all dates as this run's other tasks left it"),
        ("rollback", RANGE, "orders on each date either as it was before this run or rolled back"),
    ],
)
def test_an_alert_says_what_readers_see_while_this_task_has_failed(task_id, params, seen):
    _, text = alert(task_id, params)
    assert seen in text.partition("What readers see: ")[2].partition("\n")[0]


def test_an_alert_before_rows_were_read_sends_nobody_to_the_quarantine():
    assert "quarantine" not in alert("stage_raw", {"date": "2025-06-30"})[1]


@pytest.mark.parametrize(
    ("dag_id", "task_id", "params"),
    [
        ("rollback_orders", "rollback", RANGE),
        ("rollback_orders", "status_summary", RANGE),
        ("recompute_orders", "plan_marts", {"dry_run": False}),
        ("recompute_orders", "status_summary", {"dry_run": False}),
    ],
)
def test_where_no_row_is_read_nobody_is_sent_to_the_quarantine_or_to_manifests(dag_id, task_id, params):
    subject, text = alert(task_id, params, dag_id=dag_id, ds="2026-01-01")
    assert not any(word in text for word in ("quarantine", "Manifests", "2026-01-01"))
    assert subject == f"{dag_id} {'2025-06-01..2025-06-03' if params is RANGE else 'all dates'}: {task_id} failed"


@pytest.mark.parametrize("task_id", ["orders", "digest"])
def test_the_alert_of_reconcile_speaks_of_no_date_and_no_batch(task_id):
    contract = ORDERS if task_id == "orders" else None
    ti = SimpleNamespace(dag_id="reconcile", task_id=task_id, try_number=1, task=SimpleNamespace(owner="all owners"))
    _, text = describe_failure(SETTINGS, contract, {"ti": ti, "run_id": "manual__x", "params": {}, "ds": "2025-06-30"})
    assert "may not be told today, nor loaded again" in text
    assert f"Owner: {'data-platform' if contract else 'all owners'}. What" in text
    assert text.endswith("docs/runbook.md#reconcile")
    assert not any(word in text for word in ("quarantine", "Manifests", "raw files", "before this run"))


def test_the_alert_of_retention_speaks_of_no_date_and_no_batch():
    _, text = alert("orders", {"dry_run": False}, dag_id="retention", ds="2025-06-30")
    assert "everything that is published, as before" in text
    assert text.endswith("docs/runbook.md#retention")
    assert not any(word in text for word in ("quarantine", "Manifests", "raw files", "before this run"))
