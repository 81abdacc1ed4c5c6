"""Whatever the order in which runs look at the raw files, publish and compute marts: the same tables in the end."""

import threading

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.integration.plugins.publishing import DATES, STEPS


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
    max_examples=8,
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
