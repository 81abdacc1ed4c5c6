"""What counts of another dataset as of a date, and a digest of it, by which it is told later whether it still does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def counting(load_mode: str, folders: Mapping[str, str], ds: str) -> dict[str, str]:
    """The folders of a dataset that count as of a date: of a `snapshot` the last one, else every one up to the date.

    :param load_mode: the dataset's.
    :param folders: folder by date of its public table.
    :param ds: date, `YYYY-MM-DD`.
    """
    dates = sorted(day for day in folders if day <= ds)
    return {day: folders[day] for day in (dates[-1:] if load_mode == "snapshot" else dates)}


def folders_digest(folders: Mapping[str, str]) -> str:
    """One digest for the folders of many dates; folders never change, so it tells their rows."""
    lines = (f"{day} {folders[day].rstrip('/')}\n" for day in sorted(folders))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def stale(recorded: Mapping[str, str], now: Mapping[str, str]) -> bool | None:
    """Whether other folders of other datasets count now than those that a date was made from.

    :param recorded: digest by dataset, of what the date was made from.
    :param now: digest by dataset, of what counts now as of the date.
    :return: None when it is not known from what it was made.
    """
    if not recorded.keys() >= now.keys():
        return None
    return any(recorded[dataset] != digest for dataset, digest in now.items())
