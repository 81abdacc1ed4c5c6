"""Which objects of a date's folder are raw files."""

from __future__ import annotations

import pytest
from contract.files import is_raw_file


@pytest.mark.parametrize(
    "name", ["orders.csv", "part 1.csv.gz", "deep/er/orders.csv", "ORDERS.TXT", "a/b/", "a//b", ""]
)
def test_what_has_content_and_is_no_marker_is_a_raw_file(name: str) -> None:
    assert is_raw_file(name, 1)


@pytest.mark.parametrize(
    "name", ["_SUCCESS", ".orders.csv.part", "_temporary/0/part-0.csv", "deep/.part/a.csv", "a//_b"]
)
@pytest.mark.parametrize("size", [0, 1])
def test_markers_are_none(name: str, size: int) -> None:
    assert not is_raw_file(name, size)


@pytest.mark.parametrize(("name", "is_one"), [("", False), ("incoming/", False), ("a/b/", False), ("empty.csv", True)])
def test_an_empty_object_is_a_folder_only_by_its_name(name: str, is_one: bool) -> None:
    assert is_raw_file(name, 0) is is_one
