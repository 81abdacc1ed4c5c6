"""A year of sales and their dimensions in no order, through changed contracts, a rollback and killed processes."""

import pytest

from tests.e2e.simulation import live


@pytest.mark.timeout(4 * 3600)
def test_a_year_ends_as_if_all_had_come_in_order(stack, tmp_path):
    live(stack, tmp_path, days=365, waves=8, seed=1)
