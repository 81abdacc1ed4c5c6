"""The contract that most transforms are tried with."""

from __future__ import annotations

from pathlib import Path

import pytest
from contract.dataset import Contract, load_contract

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def orders() -> Contract:
    return load_contract(REPOSITORY / "include" / "datasets" / "orders.yaml")
