"""Lines of online retail through the whole pipeline, judged by the computation in `expected_online_retail`."""

from datetime import date

import pytest

from tests.e2e import expected_online_retail
from tools.samples import write

pytestmark = pytest.mark.timeout(1500)


def assert_online_retail(stack, folder):
    """Every date's counts, the whole table, and each mart as of the first, a middle and the last date."""
    days = expected_online_retail.read_days(folder)
    totals = expected_online_retail.totals(days)
    table = "SELECT count(*), count_if(is_return), count_if(customer_id IS NULL), sum(quantity * unit_price)"
    assert stack.query(f"{table} FROM online_retail", "online_retail_db") == [
        tuple(str(totals[name]) for name in ("published", "returns", "guests", "net"))
    ]
    rules = stack.query("SELECT rule, count(*) FROM online_retail_quarantine GROUP BY rule", "online_retail_db")
    assert dict(rules) == {rule: str(count) for rule, count in totals["quarantined_by_rule"].items()}
    by_date = dict(stack.query("SELECT ds, count(*) FROM online_retail GROUP BY ds", "online_retail_db"))
    assert by_date == {ds: str(len(day.published)) for ds, day in days.items() if day.published}
    dates = sorted(days)
    for ds in {dates[0], dates[len(dates) // 2], dates[-1]}:
        stack.assert_marts("online_retail", ds, expected_online_retail.marts(days, ds))


def test_a_range_of_online_retail_by_reprocess_then_a_date_by_the_daily_dag(stack, tmp_path):
    write("online_retail", date(2025, 11, 27), 6, 120, 7, tmp_path)
    folder = tmp_path / "online_retail"
    days = expected_online_retail.days_of(folder)
    stack.upload_days("online_retail", days)
    first, *_, last = sorted(days)

    really = {"start": first, "end": last, "dry_run": False}
    ended = stack.run("reprocess_online_retail", really)
    assert ended.state == "success", ended.said
    assert_online_retail(stack, folder)

    ended = stack.run("ingest_online_retail", {"date": first})
    assert ended.state == "success", ended.said
    assert_online_retail(stack, folder)
    assert stack.worker_state() == "stopped"


def test_a_day_without_a_file_is_skipped_and_says_so(stack):
    ended = stack.run("ingest_online_retail", {"date": "2025-12-25"})
    assert ended.state == "success", ended.said
    assert "2025-12-25" in ended.said
    assert stack.worker_state() == "stopped"
