"""A month of sales and their dimensions in no order, through changed contracts, a rollback and killed processes."""

from datetime import date

import pytest

from tests.e2e.simulation import DATASETS, Life, Period

pytestmark = pytest.mark.timeout(2400)


def live(stack, folder, days, waves, seed):
    """Let a period pass: kills in the first three waves, a change of the contract after each of the first two.

    Between the second and the third a date of sales goes back to what it was before its correction, and stays there
    until its file is sent again, in the last wave.
    """
    period = Period(folder, date(2026, 1, 1), days, waves, seed)
    life = Life(stack, period)
    life.land(0)
    life.reconcile(kill=life.spark)
    life.add_a_column()
    life.land(1)
    life.reconcile(kill=life.worker)
    life.widen_a_column()
    ds = next(each for each in period.corrected[0] if period.has_dimensions(each))
    corrected = life.rows_of_sales(ds)
    dates = {"start": ds, "end": ds, "dry_run": False}
    ended = stack.run("rollback_sales", dates)
    assert ended.state == "success", ended.said
    assert life.rows_of_sales(ds) == life.wrong_rows_of_sales(ds) != corrected
    life.land(2)
    life.reconcile(kill=life.task)
    for wave in range(3, waves):
        life.land(wave)
        life.reconcile()
    assert life.rows_of_sales(ds) == life.wrong_rows_of_sales(ds), "reconcile leaves alone what was rolled back"
    for path in (folder / "sales" / f"ds={ds}").iterdir():
        stack.upload(ds, path.read_bytes(), path.name, "sales")
    ended = stack.run("ingest_sales", {"date": ds})
    assert ended.state == "success", ended.said
    life.assert_as_computed_in_order()
    assert stack.lease_holders() == []
    assert stack.worker_state() == "stopped"
    life.reconcile()
    assert life.started() == {}, f"nothing is left to do for {DATASETS}"


def test_a_month_ends_as_if_all_had_come_in_order(stack, tmp_path):
    live(stack, tmp_path, days=30, waves=3, seed=3)
