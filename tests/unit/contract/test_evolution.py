"""What a contract may become while dates of it are published, and what is said where it may not."""

from __future__ import annotations

from typing import Any

import pytest
from contract.evolution import DateColumns, differences, holds, refusals, sources_of, types_of
from pydantic import ValidationError

from tests.unit.spark_jobs.contracts import contract_of

ID: dict[str, Any] = {"name": "id", "source": "ID"}
COUNT: dict[str, Any] = {"name": "count", "source": "Count", "type": "int"}
PRICE: dict[str, Any] = {"name": "price", "source": "Price", "type": "decimal(8,2)"}
FIRST = contract_of(ID, COUNT, PRICE)
DATES = ("2025-06-01", "2025-06-02", "2025-06-05")


def published(contract: Any = FIRST, dates: tuple[str, ...] = DATES, **known: Any) -> list[DateColumns]:
    version: dict[str, Any] = {"version": contract.version, "sources": sources_of(contract)}
    return [DateColumns(ds, types_of(contract.published_columns), **{**version, **known}) for ds in dates]


def changed(*columns: dict[str, Any], **fields: Any) -> Any:
    return contract_of(*columns, **{"version": 2, **fields})


def test_equal_columns_have_no_difference_whatever_their_order() -> None:
    assert differences({"a": "int", "b": "string"}, {"b": "string", "a": "int"}) == []


def test_each_difference_is_one_readable_sentence() -> None:
    found, expected = {"amount": "double", "extra": "int"}, {"order_id": "string", "amount": "decimal(12,2)"}
    assert differences(found, expected) == [
        "column order_id (string) is missing",
        "column extra (int) is not in the contract",
        "column amount is double, the contract says decimal(12,2)",
    ]


@pytest.mark.parametrize(
    ("wide", "narrow", "fits"),
    [
        ("bigint", "int", True),
        ("int", "bigint", False),
        ("decimal(12,2)", "decimal(8,2)", True),
        ("decimal(12,4)", "decimal(8,2)", True),
        ("decimal(9,4)", "decimal(8,2)", False),
        ("decimal(12,1)", "decimal(8,2)", False),
        ("double", "int", False),
        ("double", "decimal(8,2)", False),
        ("string", "int", False),
        ("timestamp", "date", False),
        ("date", "date", True),
    ],
)
def test_a_type_holds_another_when_no_value_is_lost(wide: str, narrow: str, fits: bool) -> None:
    assert holds(wide, narrow) is fits


@pytest.mark.parametrize(
    "contract",
    [
        changed(ID, COUNT, PRICE, "note"),
        changed(ID, COUNT),
        changed(ID, {**COUNT, "type": "bigint"}, {**PRICE, "type": "decimal(12,4)"}),
        changed(PRICE, ID, COUNT, version=1),
        changed(ID, {**COUNT, "source": "Anzahl"}, PRICE, version=1),
    ],
    ids=["added", "dropped", "widened", "in another order", "from another column of the raw files"],
)
def test_what_readers_can_see_of_every_date_is_no_matter(contract: Any) -> None:
    assert refusals(contract, published()) == []


@pytest.mark.parametrize("type_name", ["string", "double", "date"])
def test_a_retyped_column_is_refused_with_both_types_and_the_dates(type_name: str) -> None:
    newer = published(changed(ID, PRICE), ("2025-06-07",))
    (refusal,) = refusals(changed(ID, {**COUNT, "type": type_name}, PRICE, version=3), [*newer, *published()])
    assert refusal == (
        f"column count is int in the files of 2025-06-01..2025-06-05 (3 dates), and the contract says "
        f"{type_name}, which cannot show it. Keep count as int and give the new column another name, such as a "
        "derived column beside it; reprocess 2025-06-01..2025-06-05; then drop count"
    )


def test_a_narrowed_column_is_refused_by_each_type_that_it_had() -> None:
    wide = published(changed(ID, COUNT, {**PRICE, "type": "decimal(12,2)"}), ("2025-06-07",))
    found = refusals(changed(ID, COUNT, {**PRICE, "type": "decimal(6,2)"}, version=3), [*published(), *wide])
    assert [refusal.partition(", and")[0] for refusal in found] == [
        "column price is decimal(8,2) in the files of 2025-06-01..2025-06-05 (3 dates)",
        "column price is decimal(12,2) in the files of 2025-06-07",
    ]


def test_a_renamed_column_is_refused_until_every_date_has_it() -> None:
    renamed = changed(ID, {**COUNT, "name": "pieces"}, PRICE, version=3)
    (refusal,) = refusals(renamed, published())
    assert refusal.startswith(
        "column pieces (int) is count (int) in the files of 2025-06-01..2025-06-05 (3 dates): both come from "
        "'Count' in the raw files, and count is not in the contract any more."
    )
    assert "Keep count and add pieces as a derived column" in refusal
    derived = {"name": "pieces", "type": "int", "description": "d", "expression": "count"}
    both = published(changed(ID, COUNT, PRICE, derived=(derived,)))
    assert refusals(renamed, both) == []


def test_a_column_that_comes_back_with_another_type_meets_the_dates_that_had_it() -> None:
    without = published(changed(ID, PRICE), ("2025-06-07",))
    (refusal,) = refusals(changed(ID, {**COUNT, "type": "string"}, PRICE, version=3), [*published(), *without])
    assert "2025-06-01..2025-06-05 (3 dates)" in refusal


def test_other_columns_need_another_version() -> None:
    (refusal,) = refusals(changed(ID, COUNT, PRICE, "note", version=1), published())
    assert refusal == (
        "version 1 of the contract was published of 2025-06-01..2025-06-05 (3 dates) with other columns than version 1 "
        "has now (column note (string) is missing): raise version to 2"
    )


def test_a_version_of_before_does_not_come_back_with_other_columns() -> None:
    newest = published(changed(ID, COUNT, PRICE, "note", version=4), ("2025-06-07",))
    (refusal,) = refusals(FIRST, [*published(), *newest])
    assert "version 4" in refusal
    assert refusal.endswith("raise version to 5")
    assert refusals(FIRST, published(changed(ID, COUNT, PRICE, version=4))) == []


def test_of_dates_published_before_versions_only_the_types_count() -> None:
    old = published(version=None, sources={})
    assert refusals(changed(ID, PRICE, "note", version=1), old) == []
    (refusal,) = refusals(changed(ID, {**COUNT, "type": "string"}, PRICE, version=1), old)
    assert refusal.startswith("column count is int")


def test_nothing_published_is_no_matter() -> None:
    assert refusals(FIRST, []) == []


def test_what_cannot_be_optional() -> None:
    with pytest.raises(ValidationError, match="no row of a file that lacks it could be published"):
        contract_of({"name": "a", "required": True, "optional": True})
    with pytest.raises(ValidationError, match="nothing would tell a file of the dataset from another"):
        contract_of({"name": "a", "optional": True})
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        contract_of("a", version=0)
