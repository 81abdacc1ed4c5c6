"""A year of sales and their dimensions, as the month in tests/e2e/test_month.py, in which processes are killed too."""

from datetime import date

import pytest

from tests.e2e.simulation import live


@pytest.mark.timeout(4 * 3600)
def test_a_year_ends_as_if_all_had_come_in_order(stack, tmp_path):
    live(stack, tmp_path, date(2024, 3, 1), days=365, waves=3, seed=1, kills=True)
