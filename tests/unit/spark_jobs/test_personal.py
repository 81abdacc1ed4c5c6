"""Keyed hashes in place of personal values, before anything else sees them."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from contract.dataset import Contract
from pydantic import ValidationError

from spark_jobs.personal import Pseudonyms
from spark_jobs.raw import Record
from tests.unit.spark_jobs.contracts import contract_of

KEY = b"k" * 32
PEOPLE = contract_of(
    {"name": "id", "source": "ID"},
    {"name": "name", "source": "Name", "personal": True, "normalize": "trim(value)"},
    {"name": "email", "personal": True, "normalize": "lower(trim(value))", "pattern": r"[^@\s]+@[^@\s]+"},
)


def replaced(*values: str | None, contract: Contract = PEOPLE, **more: Any) -> Record:
    return Pseudonyms(contract, KEY).replaced(Record(7, "as received", values or None, **more))


def hashed(text: str) -> str:
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()


def test_a_value_becomes_its_keyed_hash_after_it_is_normalized() -> None:
    record = replaced("1", " Věra ", "Vera@Example.org ")
    assert record.values == ("1", hashed("Věra"), hashed("vera@example.org"))
    assert json.loads(record.raw) == {"ID": hashed("1"), "Name": hashed("Věra"), "email": hashed("vera@example.org")}
    assert (record.line, record.rule, record.reason) == (7, None, None)


def test_a_blank_is_nobody() -> None:
    assert replaced("1", "  ", None).values == ("1", "", None)
    assert replaced("1", "\u00a0\u200b", None).values == ("1", "\u00a0\u200b", None)


def test_another_key_gives_another_hash() -> None:
    assert Pseudonyms(PEOPLE, b"x" * 32).of("Věra") != Pseudonyms(PEOPLE, KEY).of("Věra") == hashed("Věra")


def test_a_value_that_does_not_match_is_told_without_being_shown() -> None:
    record = replaced("1", "Vera", "vera at example")
    assert (record.values, record.rule) == (None, "email_pattern")
    assert record.reason == r"the value does not match [^@\s]+@[^@\s]+"
    assert "vera at" not in record.raw
    assert json.loads(record.raw)["Name"] == hashed("Vera")


def test_quarantine_shows_other_columns_only_where_no_name_can_stand() -> None:
    contract = contract_of(
        {"name": "name", "personal": True},
        "country",
        {"name": "tier", "allowed": ("gold",)},
        {"name": "code", "pattern": "C[0-9]+"},
        {"name": "born", "type": "date"},
    )

    def shown(*values: str | None) -> list[str | None]:
        return list(json.loads(replaced(*values, contract=contract).raw).values())

    assert shown("Vera", "NL", "gold", "C1", "2000-01-01") == [hashed("Vera"), hashed("NL"), "gold", "C1", "2000-01-01"]
    slipped = ("2000-01-01", None, "Vera", "Vera", "Vera")
    assert shown(*slipped) == [hashed("2000-01-01"), None, *[hashed("Vera")] * 3]


def test_a_record_that_cannot_be_split_is_told_by_its_hash() -> None:
    record = replaced(rule="malformed_record", reason="is broken")
    assert record.raw == f"withheld, it may hold personal data; HMAC-SHA256 {hashed('as received')}"
    assert (record.values, record.rule, record.reason) == (None, "malformed_record", "is broken")


@pytest.mark.parametrize(
    "normalize", ["regexp_replace(value, ' ', '')", "lower(trim(value)", "trim(name)", "value || 'x'"]
)
def test_a_personal_value_is_only_normalized_in_ways_that_need_no_spark(normalize: str) -> None:
    with pytest.raises(ValidationError, match="can only apply lower, trim and upper to value"):
        contract_of({"name": "name", "personal": True, "normalize": normalize})
