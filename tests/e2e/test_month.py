"""A month of sales and their dimensions in no order: late, corrected, missing files, changed contracts, a rollback."""

from datetime import date

import pytest

from tests.e2e.simulation import live


@pytest.mark.timeout(2400)
def test_a_month_ends_as_if_all_had_come_in_order(stack, tmp_path):
    live(stack, tmp_path, date(2026, 2, 1), days=28, waves=2, seed=41, kills=False)
