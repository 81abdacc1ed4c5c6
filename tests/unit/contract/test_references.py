"""Whether a date is stale: made from other folders of other datasets than count now."""

from __future__ import annotations

import pytest
from contract.references import counting, folders_digest, stale


@pytest.mark.parametrize(
    ("recorded", "now", "is_stale"),
    [
        ({}, {}, False),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "2"}, False),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, True),
        ({"a": "1", "left": "2"}, {"a": "1"}, False),
        ({}, {"a": "1"}, None),
        ({"a": "1"}, {"a": "2", "b": "3"}, None),
    ],
)
def test_a_date_is_stale_when_something_else_counts_now(
    recorded: dict[str, str], now: dict[str, str], is_stale: bool | None
) -> None:
    assert stale(recorded, now) is is_stale


def test_a_digest_tells_dates_and_folders_in_whatever_order_and_writing() -> None:
    one = folders_digest({"2025-06-01": "s3://b/a/", "2025-06-02": "s3://b/c/"})
    assert one == folders_digest({"2025-06-02": "s3://b/c", "2025-06-01": "s3://b/a"})
    assert one != folders_digest({"2025-06-01": "s3://b/a/"})
    assert one != folders_digest({"2025-06-01": "s3://b/c/", "2025-06-02": "s3://b/a/"})


def test_of_a_snapshot_the_last_folder_counts_and_else_every_one_up_to_the_date() -> None:
    folders = {"2024-03-03": "b", "2024-03-01": "a", "2024-03-05": "c"}
    assert counting("snapshot", folders, "2024-03-04") == {"2024-03-03": "b"}
    for mode in ("upsert", "append"):
        assert counting(mode, folders, "2024-03-04") == {"2024-03-01": "a", "2024-03-03": "b"}
    assert counting("snapshot", folders, "2024-02-01") == {}
