"""What is wrong with a dataset's last dates, which are loaded again, and what the digest says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from contract.dataset import Complete, Reconcile, Wait, load_contract
from contract.submission import Submission
from lake.comparison import CODE, OTHER_DATASETS, RAW_FILES, Compared
from lake.published import Published
from lake.raw import Received
from lake.reconciliation import Finding, dates_before, digest, findings, intervals, report, to_load

from tools.environment import CHECKOUT

ORDERS = load_contract(CHECKOUT / "include" / "datasets" / "orders.yaml")
SALES = load_contract(CHECKOUT / "include" / "datasets" / "sales.yaml")
DS = "2025-06-30"
MOMENT = datetime(2025, 7, 1, 8, tzinfo=UTC)
CAME = datetime(2025, 7, 1, 2, 30, tzinfo=UTC)
FILES = Received({("orders/ds=2025-06-30/a.csv", "etag")}, set(), CAME)
PUBLISHED = Published(Submission("a-run", "0123abcd"), {})
LOADED = Compared(DS, FILES, PUBLISHED, None, "content")


def found(compared, contract=ORDERS, moment=MOMENT, earlier=(), under_way=lambda _: False):
    return list(findings(contract, [compared], moment, earlier, under_way))


def with_wait(**wait):
    return ORDERS.model_copy(update={"wait": Wait(timeout_hours=6, **wait)})


@pytest.mark.parametrize("changed", [(), (CODE,)])
def test_a_date_that_is_as_it_should_be_is_nothing_to_tell_whatever_the_code(changed):
    assert found(replace(LOADED, changed=changed)) == []


@pytest.mark.parametrize(
    ("compared", "kind", "since"),
    [
        (replace(LOADED, published=None), "new", "2025-07-01 02:30"),
        (replace(LOADED, changed=(RAW_FILES, OTHER_DATASETS, CODE)), "changed", "2025-07-01 02:30"),
        (replace(LOADED, changed=(OTHER_DATASETS,), unknown=True), "stale", ""),
        (replace(LOADED, unknown=True), "unknown", ""),
        (replace(LOADED, published=None, received=Received(), lacks="no file"), "missing", "2025-07-01 00:00"),
    ],
)
def test_each_kind_is_told_with_its_time(compared, kind, since):
    assert found(compared) == [Finding(DS, kind, since)]


def test_a_date_without_a_file_is_missing_only_when_one_is_expected_and_late():
    missing = replace(LOADED, published=None, received=Received(), lacks="no file")
    assert found(missing, moment=MOMENT.replace(hour=5)) == [], "the run still waits"
    assert found(missing, with_wait(missing="skip")) == []
    assert found(replace(missing, published=PUBLISHED)) == [], "what is published stays"
    mondays = ORDERS.model_copy(update={"schedule": "0 0 * * 1"})
    assert found(missing, mondays, MOMENT + timedelta(days=7))[0].since == "2025-07-07 00:00", "a Monday's week is over"
    assert found(replace(missing, ds="2025-06-29"), mondays, MOMENT + timedelta(days=7)) == []
    assert found(replace(missing, ds="2024-12-31"), moment=MOMENT) == [], "before the dataset begins"


def test_files_that_are_not_complete_are_told_when_they_are_late_and_never_loaded():
    part = replace(LOADED, published=None, lacks="the marker _DONE is missing")
    contract = with_wait(complete=Complete(marker="_DONE"), missing="skip")
    assert found(part, contract) == [Finding(DS, "incomplete", "2025-07-01 02:30", "the marker _DONE is missing")]
    assert found(part, contract, MOMENT.replace(hour=5)) == []
    assert to_load(contract, found(part, contract)) == ([], [])


def test_a_date_that_is_being_loaded_is_left_alone():
    asked = []
    new = replace(LOADED, published=None)
    assert found(new, SALES, under_way=lambda logical: asked.append(logical) or True) == []
    assert asked == [[datetime(2025, 6, 30, 1, tzinfo=UTC)]]
    today = replace(new, ds="2025-07-01")
    assert found(today) == [], "the run of a date that is not over comes by itself"


def test_a_date_is_not_tried_again_from_what_was_refused():
    changed = replace(LOADED, changed=(RAW_FILES,))
    run = {"plan": {DS: {"content": "content"}}, "became": {DS: {"outcome": "refused", "why": "no header"}}}
    refusal = Finding(DS, "refused", "2025-07-01 02:30", "no header")
    assert found(changed, earlier=[run]) == [refusal]
    assert to_load(ORDERS, [refusal]) == ([], [])
    assert found(replace(changed, content="corrected"), earlier=[run])[0].kind == "changed"
    crashed = {**run, "became": {DS: {"outcome": "crashed", "why": "disk"}}}
    assert found(changed, earlier=[crashed])[0].kind == "changed", "another try may help"
    assert found(changed, earlier=[run, crashed])[0].kind == "changed", "the last one counts"
    assert found(changed, earlier=[{"plan": {}, "became": {}}, run]) == [refusal]
    assert found(replace(LOADED, unknown=False), earlier=[run]) == [], "somebody has loaded it since"


def test_a_date_that_somebody_rolled_back_is_told_and_left_so():
    back = replace(LOADED, rolled_back_by="manual__x")
    for changed in (RAW_FILES, OTHER_DATASETS):
        (told,) = found(replace(back, changed=(changed,)))
        assert told == Finding(DS, "rolled back", "", "by manual__x")
        assert to_load(ORDERS, [told]) == ([], [])
    assert found(back) == []


def test_what_the_contract_allows_is_loaded_and_no_more_a_day_the_earliest_first():
    kinds = {"2025-06-05": "new", "2025-06-04": "stale", "2025-06-03": "changed", "2025-06-02": "missing"}
    all_of_them = [Finding(ds, kind) for ds, kind in kinds.items()]

    def allowed(**reconcile):
        return to_load(ORDERS.model_copy(update={"reconcile": Reconcile(**reconcile)}), all_of_them)

    assert allowed() == (["2025-06-03", "2025-06-04", "2025-06-05"], [])
    assert allowed(dates_per_day=2) == (["2025-06-03", "2025-06-04"], ["2025-06-05"])
    assert allowed(load=("stale",)) == (["2025-06-04"], [])
    assert allowed(load=()) == ([], [])


def test_the_dates_are_those_that_are_over():
    assert dates_before(MOMENT, 3) == ["2025-06-28", "2025-06-29", "2025-06-30"]
    assert dates_before(datetime.fromisoformat("2025-07-01T01:00+02:00"), 1) == ["2025-06-29"]


def test_intervals_are_those_of_the_schedule():
    twice = ORDERS.model_copy(update={"schedule": "0 6,18 * * *"})
    times = [datetime(2025, 6, 30, 6, tzinfo=UTC), datetime(2025, 6, 30, 18, tzinfo=UTC)]
    assert intervals(twice, [DS]) == {DS: [(times[0], times[1]), (times[1], datetime(2025, 7, 1, 6, tzinfo=UTC))]}
    assert list(intervals(ORDERS, ["2024-12-31", "2025-01-01"])) == ["2025-01-01"], "not before the dataset begins"


def test_nothing_to_tell_is_no_digest():
    assert digest(MOMENT, {"orders": report([], None, "", [], [])}) is None


def test_one_digest_tells_what_is_wrong_since_when_and_what_was_done():
    started = {"dag_id": "reprocess_orders", "run_id": "reconcile__2025-07-01", "dates": ["2025-06-28"]}
    wrong = [Finding("2025-06-29", "missing", "2025-06-30 00:00"), Finding("2025-06-28", "new", "2025-07-01 02:30")]
    subject, text = digest(
        MOMENT,
        {
            "customers": report([], None, "", [], []),
            "orders": report(
                wrong, started, "", ["2025-06-30"], ["2025-06-30 warning: expect_it of amount, 3 of 9 rows"]
            ),
            "sales": report([Finding("2025-06-27", "refused", "", "no header")], None, "it is paused", [], []),
        },
    )
    assert subject == "reconcile 2025-07-01: 1 missing, 1 refused, 1 new, 1 warnings"
    assert (
        text
        == """\
What reconcile found on 2025-07-01, at 08:00 UTC.

orders
  missing, no file has come:
    2025-06-29, since 2025-06-30 00:00 UTC
  not loaded:
    2025-06-28, since 2025-07-01 02:30 UTC
  started: reprocess_orders, run reconcile__2025-07-01, for 2025-06-28
  left for another day: 2025-06-30
  warnings of the suite:
    2025-06-30 warning: expect_it of amount, 3 of 9 rows

sales
  refused, and nothing changed since:
    2025-06-27: no header
  nothing was started: it is paused

What to do: docs/runbook.md#reconcile"""
    )
