"""Small contracts for tests."""

from __future__ import annotations

from datetime import date
from typing import Any

from contract.dataset import Contract


def contract_of(*columns: str | dict[str, Any], **fields: Any) -> Contract:
    """A contract of these columns, each the name of a string or what differs from one, and these other fields."""
    described = [
        {"type": "string", "description": "A column", **({"name": column} if isinstance(column, str) else column)}
        for column in columns
    ]
    return Contract.model_validate(
        {
            "dataset": "things",
            "description": "Things",
            "owner": "tests",
            "schedule": "0 0 * * *",
            "start_date": date(2025, 1, 1),
            "format": {"type": "csv"},
            "load_mode": "append",
            "wait": {"timeout_hours": 1},
            "retention": {"days": 1},
            "columns": tuple({"source": column["name"], **column} for column in described),
            **fields,
        }
    )
