import re

import pytest
from airflow.sdk.exceptions import AirflowFailException
from lake.macros import asked_dates, days, resolve_date, resolve_dates, run_slug


@pytest.mark.parametrize(
    ("run_id", "slug"),
    [
        ("manual__2025-06-30T00:00:00+00:00", "manual__2025-06-30T00-00-00-00-00"),
        ("../../other=1/x y", "other-1-x-y"),
        ("__airflow_temporary_run_2026-01-01T00:00:00.1+00:00__", "tasks-test"),
    ],
)
def test_a_run_id_becomes_a_safe_key(run_id, slug):
    assert run_slug(run_id) == slug
    assert re.fullmatch(r"[A-Za-z0-9_-]+", slug)


def test_the_parameter_wins_over_the_logical_date():
    assert resolve_date({"params": {"date": "2025-01-02"}, "ds": "2025-06-30"}) == "2025-01-02"
    assert resolve_date({"params": {"date": None}, "ds": "2025-06-30"}) == "2025-06-30"


def test_a_run_without_a_date_fails_and_says_how_to_give_one():
    with pytest.raises(AirflowFailException, match=r'manual__x has no date.*"date": "YYYY-MM-DD"'):
        resolve_date({"params": {"date": None}, "ds": None, "run_id": "manual__x"})


def test_a_parameter_that_is_no_date_is_refused():
    with pytest.raises(AirflowFailException, match=r"'2025-13-01'.*must be a date"):
        resolve_date({"params": {"date": "2025-13-01"}, "run_id": "manual__x"})


def test_a_range_has_two_ends_in_order():
    assert resolve_dates({"params": {"start": "2024-02-28", "end": "2024-03-01"}}) == ("2024-02-28", "2024-03-01")
    assert days("2024-02-28", "2024-03-01") == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert days("2024-02-28", "2024-02-28") == ["2024-02-28"]
    with pytest.raises(AirflowFailException, match="start, 2024-03-01, is after end, 2024-02-28"):
        resolve_dates({"params": {"start": "2024-03-01", "end": "2024-02-28"}})
    with pytest.raises(AirflowFailException, match="must be dates"):
        resolve_dates({"params": {"start": "yesterday", "end": "2024-02-28"}})


def test_of_a_range_only_the_dates_asked_for_are_loaded():
    whole = {"start": "2024-02-28", "end": "2024-03-01"}
    for every in (None, []):
        assert asked_dates({"params": {**whole, "dates": every}}) == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert asked_dates({"params": {**whole, "dates": ["2024-03-01", "2024-02-28"]}}) == ["2024-02-28", "2024-03-01"]
    with pytest.raises(AirflowFailException, match="dates: 2024-03-02 are not from start to end"):
        asked_dates({"params": {**whole, "dates": ["2024-02-28", "2024-03-02"]}})
