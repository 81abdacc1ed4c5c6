"""Runs that overlap: readers never see the older one after the newer, whatever process is killed in between."""

import threading

import pytest
from lake.manifest import read_manifest
from lake.paths import Paths
from lake.pictures import point_at_pictures, stale_pictures
from lake.published import point_at_newest
from lake.tables import mart_table, public_table

from tests.integration.plugins.publishing import CONTRACT, DATES, NAMES
from tests.integration.plugins.test_rebuild import load, pointers

FIRST = DATES[0]


class Slow:
    """A table whose first change waits for a sign, in the hands of a process that may then be killed."""

    def __init__(self, table, calls, *, killed=False):
        self.table, self.calls, self.killed = table, calls, killed
        self.reached, self.sign = threading.Event(), threading.Event()

    def point(self, ds, location, parameters, columns=None):
        self.reached.set()
        self.sign.wait(20)
        if self.killed:
            raise SystemExit("killed")
        self.calls.append(location)
        return self.table.point(ds, location, parameters, columns)


class Noting:
    """A table that notes where it is pointed."""

    def __init__(self, table, calls):
        self.table, self.calls = table, calls

    def point(self, ds, location, parameters, columns=None):
        self.calls.append(location)
        return self.table.point(ds, location, parameters, columns)


def made_by(lake, run):
    promoted = read_manifest(lake.aws("s3"), Paths(lake.settings, CONTRACT, FIRST, run.name).manifest("promote"))
    return {**promoted, "parameters": {"submission": promoted["submission"], "numRows": "1"}}


@pytest.fixture
def overlapping(lake):
    """Two runs of a date that are promoted, and the table: `(older, newer, table)`."""
    older, newer = lake.stage({FIRST: 1}), lake.stage({FIRST: 2})
    for run in (older, newer):
        lake.do(run, "promote")
    table = public_table(lake.aws("glue"), lake.settings, CONTRACT)
    table.ensure()
    return made_by(lake, older), made_by(lake, newer), table


def publish(lake, table, made):
    return point_at_newest(lake.aws("s3"), Paths(lake.settings, CONTRACT, FIRST, "any"), "published", table, made)


def test_readers_never_see_the_older_of_two_runs_after_the_newer(lake, overlapping):
    older, newer, table = overlapping
    calls = []
    slow = Slow(table, calls)
    first = threading.Thread(target=publish, args=(lake, slow, older))
    first.start()
    assert slow.reached.wait(20)
    second = threading.Thread(target=publish, args=(lake, Noting(table, calls), newer))
    second.start()
    second.join(1)
    slow.sign.set()
    for thread in (first, second):
        thread.join(20)
    assert calls == [older["uri"], newer["uri"]]


def test_a_process_killed_before_it_points_leaves_the_date_to_the_next(lake, overlapping, monkeypatch):
    older, newer, table = overlapping
    monkeypatch.setattr("lake.turn.SECONDS", 1.0)
    slow = Slow(table, [], killed=True)
    slow.sign.set()
    # A process that is killed ends no turn.
    monkeypatch.setattr("lake.turn._end", lambda *_: None)
    with pytest.raises(SystemExit):
        publish(lake, slow, older)
    monkeypatch.undo()
    calls = []
    record, _ = publish(lake, Noting(table, calls), newer)
    assert calls == [newer["uri"]] == [record["uri"]]
    (location, _) = pointers(lake, NAMES.table)[FIRST]
    assert location == newer["uri"]


def test_a_picture_that_was_overtaken_while_it_was_computed_is_not_shown(lake):
    mart = CONTRACT.marts[0]
    glue, s3 = lake.aws("glue"), lake.aws("s3")
    source = public_table(glue, lake.settings, CONTRACT)
    target = mart_table(glue, lake.settings, CONTRACT, mart)
    load(lake, {FIRST: 1})
    target_of_older = pointers(lake, mart.name)[FIRST]
    glue.delete_partition(DatabaseName=NAMES.database, TableName=mart.name, PartitionValues=[FIRST])
    older = stale_pictures(CONTRACT, mart, source, target, [FIRST])
    load(lake, {FIRST: 2})
    newer = pointers(lake, mart.name)
    folder = target_of_older[0].removesuffix(f"ds={FIRST}/")
    made = {"folder": folder, "query_id": "the-older-query", "pictures": older}
    point_at_pictures(s3, lake.settings, CONTRACT, mart, source, target, made)
    assert pointers(lake, mart.name) == newer
