"""Back to what was published before: everything follows, an old run does not undo it, a new one does."""

import uuid

import pytest
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped
from lake.operators.mart import MartOperator
from lake.operators.rollback import RollbackOperator

from tests.integration.plugins.publishing import CONTRACT, DATES, NAMES, STEPS
from tests.integration.plugins.test_rebuild import load, pointers, quarantine

FIRST, SECOND = DATES[:2]


class Task:
    """The task before the marts, as the operator looks at it."""

    def get_flat_relatives(self, upstream):
        assert not upstream
        return []


def context_of(lake, params):
    """The context of a run of `rollback_orders` of its own."""
    params = {"start": FIRST, "end": SECOND, "submission": None, **params}
    return {**lake.context("rollback"), "run_id": f"manual__{uuid.uuid4().hex}", "params": params, "task": Task()}


def roll_back(lake, context):
    """Run the tasks of `rollback_orders`, and return the dates that went back."""
    dates = RollbackOperator(task_id="rollback", settings=lake.settings, contract=CONTRACT).execute(context)
    for mart in CONTRACT.marts:
        arguments = {"task_id": mart.name, "settings": lake.settings, "contract": CONTRACT, "dates": " ".join(dates)}
        MartOperator(mart=mart, **arguments).execute(lake.context(mart.name))
    return dates


def seen(lake):
    found = lake.tables()
    found["quarantine"] = lake.rows(f"SELECT raw_row, run_id, ds FROM {NAMES.quarantine_table}")
    found["pointers"] = {name: pointers(lake, name) for name in (NAMES.table, NAMES.quarantine_table)}
    return found


@pytest.fixture
def twice(lake):
    """Two dates that were published twice: what readers saw first, and the runs."""
    first = load(lake, {FIRST: 1, SECOND: 1})
    for ds in (FIRST, SECOND):
        quarantine(lake, ds, first)
    before = seen(lake)
    second = load(lake, {FIRST: 3, SECOND: 3})
    for ds in (FIRST, SECOND):
        quarantine(lake, ds, second)
    assert seen(lake) != before
    return before, first, second


def test_tables_marts_quarantine_and_parameters_are_as_they_were(lake, twice):
    before, _, _ = twice
    assert roll_back(lake, context_of(lake, {"dry_run": False})) == [FIRST, SECOND]
    assert seen(lake) == before


def test_an_old_run_does_not_undo_it_and_a_new_one_does(lake, twice):
    before, _, second = twice
    context = context_of(lake, {"dry_run": False})
    roll_back(lake, context)
    for step in STEPS:
        lake.do(second, step)
    assert seen(lake) == before
    load(lake, {FIRST: 2})
    now = seen(lake)
    assert now["orders"] != before["orders"]
    # A task of the rollback that is cleared now is an old one too.
    RollbackOperator(task_id="rollback", settings=lake.settings, contract=CONTRACT).execute(context)
    assert seen(lake) == now


def test_again_it_goes_back_to_what_was_published_until_then(lake, twice):
    _, _, second = twice
    latest = seen(lake)
    roll_back(lake, context_of(lake, {"dry_run": False}))
    roll_back(lake, context_of(lake, {"dry_run": False, "submission": second.name}))
    assert seen(lake) == latest


@pytest.mark.usefixtures("twice")
def test_a_dry_run_changes_nothing(lake):
    latest = seen(lake)
    with pytest.raises(DownstreamTasksSkipped):
        roll_back(lake, context_of(lake, {"dry_run": True}))
    assert seen(lake) == latest


@pytest.mark.usefixtures("twice")
def test_without_anything_to_go_back_to_it_fails_and_changes_nothing(lake):
    latest = seen(lake)
    with pytest.raises(AirflowFailException, match="no date can go back to run-nobody-made"):
        roll_back(lake, context_of(lake, {"dry_run": False, "submission": "run-nobody-made"}))
    assert seen(lake) == latest


def test_what_retention_has_deleted_cannot_come_back(lake, twice):
    before, first, _ = twice
    latest = seen(lake)
    location, _ = before["pointers"][NAMES.table][SECOND]
    bucket, prefix = location.removeprefix("s3://").split("/", 1)
    s3 = lake.aws("s3")
    for each in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=each["Key"])
    with pytest.raises(AirflowFailException, match=f"{SECOND}: .*{first.name}.* has 0 of its 1 files"):
        roll_back(lake, context_of(lake, {"dry_run": False}))
    assert seen(lake) == latest, "the other date has not changed either"
