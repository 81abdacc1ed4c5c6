"""Says what is wrong with a contract, as an import error of Airflow's, while the DAGs of the other datasets go on."""

from __future__ import annotations

from lake.contracts import load_contracts

load_contracts()
