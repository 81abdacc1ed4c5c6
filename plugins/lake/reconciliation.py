"""What is wrong with a dataset's last dates, which of them are loaded again, and how that is told in a digest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from contract.dataset import Contract
from croniter import croniter

from lake.comparison import OTHER_DATASETS, RAW_FILES, Compared

NEW, CHANGED, STALE = "new", "changed", "stale"
MISSING, INCOMPLETE, REFUSED, UNKNOWN, ROLLED_BACK = "missing", "incomplete", "refused", "unknown", "rolled back"
KINDS = {
    MISSING: "missing, no file has come",
    INCOMPLETE: "not complete",
    REFUSED: "refused, and nothing changed since",
    NEW: "not loaded",
    CHANGED: "files changed since they were loaded",
    STALE: "stale, other datasets changed since",
    ROLLED_BACK: "rolled back, and left so until a file comes",
    UNKNOWN: "not known from what they were made",
}
"""What may be said of a date, worst first, and how a digest says it."""

Run = Mapping[str, Any]
"""An earlier run that was started here: the dates of its `plan`, and what `became` of them."""


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be with a date.

    Args:
        ds: the date.
        kind: one of `KINDS`.
        since: since when, as `YYYY-MM-DD HH:MM` (UTC); empty where that is not known.
        why: more about it; may be empty.
    """

    ds: str
    kind: str
    since: str = ""
    why: str = ""


def dates_before(moment: datetime, count: int) -> list[str]:
    """Return the last `count` dates that are over at a moment, in order, as `YYYY-MM-DD`."""
    today = moment.astimezone(UTC).date()
    return [(today - timedelta(days=number)).isoformat() for number in range(count, 0, -1)]


def intervals(contract: Contract, dates: Sequence[str]) -> dict[str, list[tuple[datetime, datetime]]]:
    """Return the data intervals of the dataset's schedule that begin on each of some dates, where one does.

    Args:
        contract: the dataset.
        dates: dates without a gap, in order.
    """
    first = max(date.fromisoformat(dates[0]), contract.start_date)
    found: dict[str, list[tuple[datetime, datetime]]] = {}
    ticks = croniter(contract.schedule, datetime.combine(first, time(), UTC) - timedelta(microseconds=1))
    begins = ticks.get_next(datetime)
    while (ds := begins.date().isoformat()) <= dates[-1]:
        ends = ticks.get_next(datetime)
        found.setdefault(ds, []).append((begins, ends))
        begins = ends
    return found


def findings(
    contract: Contract,
    compared: Iterable[Compared],
    moment: datetime,
    earlier: Sequence[Run],
    under_way: Callable[[list[datetime]], bool],
) -> Iterator[Finding]:
    """Yield what is not as it should be with some dates.

    Args:
        contract: the dataset.
        compared: the dates, without a gap, in order.
        moment: the time to count from.
        earlier: runs that were started for such findings before, the oldest first.
        under_way: whether a run is queued or running that has one of these logical dates.
    """
    compared = list(compared)
    expected = intervals(contract, [each.ds for each in compared])
    for each in compared:
        of_date = expected.get(each.ds, [])
        day_after = datetime.combine(date.fromisoformat(each.ds) + timedelta(days=1), time(), UTC)
        due = max([day_after, *(ends for _, ends in of_date)])
        overdue = moment - due >= timedelta(hours=contract.wait.timeout_hours)
        found = _finding(contract, each, bool(of_date), due, overdue=overdue)
        if found is None or moment < due:
            continue
        if found.kind in (NEW, CHANGED, STALE):
            if under_way([begins for begins, _ in of_date]):
                continue
            if (why := refused(each, earlier)) is not None:
                found = Finding(each.ds, REFUSED, found.since, why)
        yield found


def _finding(contract: Contract, each: Compared, is_expected: bool, due: datetime, *, overdue: bool) -> Finding | None:
    came = f"{each.received.newest:%Y-%m-%d %H:%M}" if each.received.newest else ""
    if not each.received.files:
        missing = is_expected and overdue and contract.wait.missing == "fail" and not each.published
        return Finding(each.ds, MISSING, f"{due:%Y-%m-%d %H:%M}") if missing else None
    if each.lacks:
        return Finding(each.ds, INCOMPLETE, came, each.lacks) if overdue else None
    if not each.published:
        return Finding(each.ds, NEW, came)
    if each.rolled_back_by and {RAW_FILES, OTHER_DATASETS} & set(each.changed):
        return Finding(each.ds, ROLLED_BACK, "", f"by {each.rolled_back_by}")
    if RAW_FILES in each.changed:
        return Finding(each.ds, CHANGED, came)
    if OTHER_DATASETS in each.changed:
        return Finding(each.ds, STALE)
    return Finding(each.ds, UNKNOWN) if each.unknown else None


def refused(each: Compared, earlier: Iterable[Run]) -> str | None:
    """Return why the last of some runs that loaded a date from what there is now refused it; None when none did."""
    why = None
    for run in earlier:
        if run["plan"].get(each.ds, {}).get("content") == each.content:
            became = run["became"].get(each.ds, {})
            why = became.get("why", "") if became.get("outcome") == REFUSED else None
    return why


def to_load(contract: Contract, found: Iterable[Finding]) -> tuple[list[str], list[str]]:
    """Return the dates that are loaded again now, and those that are left for another day.

    Args:
        contract: the dataset; it says which, and how many a day.
        found: what is wrong with its dates.
    """
    dates = sorted(each.ds for each in found if each.kind in contract.reconcile.load)
    return dates[: contract.reconcile.dates_per_day], dates[contract.reconcile.dates_per_day :]


def report(
    found: Iterable[Finding], started: Mapping[str, Any] | None, held: str, left: Sequence[str], warnings: Sequence[str]
) -> dict[str, Any]:
    """Return what is told of a dataset, as its manifest holds it.

    Args:
        found: what is wrong with its dates.
        started: `{"dag_id": ..., "run_id": ..., "dates": [...]}` of the run that was started; None for none.
        held: why no run was started although there are dates to load; else empty.
        left: dates that are left for another day.
        warnings: what suites of the last day warned of, a line each.
    """
    return {
        "findings": [asdict(each) for each in found],
        "started": dict(started) if started else None,
        "held": held,
        "left": list(left),
        "warnings": list(warnings),
    }


def digest(moment: datetime, reports: Mapping[str, Mapping[str, Any]]) -> tuple[str, str] | None:
    """Write what was found in all datasets.

    Args:
        moment: the time that was counted from.
        reports: of each dataset what `report` returned.

    Returns:
        Subject and text, or None when there is nothing to tell.
    """
    told = {name: each for name, each in reports.items() if each["findings"] or each["started"] or each["warnings"]}
    if not told:
        return None
    lines = [f"What reconcile found on {moment:%Y-%m-%d}, at {moment:%H:%M} UTC.", ""]
    for name, each in told.items():
        lines += [name, *(f"  {line}" for line in _lines(each)), ""]
    lines += ["What to do: docs/runbook.md#reconcile"]
    kinds = [entry["kind"] for each in told.values() for entry in each["findings"]]
    counts = [f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds]
    warnings = sum(len(each["warnings"]) for each in told.values())
    counts += [f"{warnings} warnings"] if warnings else []
    return re.sub(r"[^ -~]", "?", f"reconcile {moment:%Y-%m-%d}: {', '.join(counts)}")[:100], "\n".join(lines)


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    for kind, words in KINDS.items():
        found = [entry for entry in told["findings"] if entry["kind"] == kind]
        if found:
            yield f"{words}:"
        for entry in found:
            since = f", since {entry['since']} UTC" if entry["since"] else ""
            why = f": {entry['why']}" if entry["why"] else ""
            yield f"  {entry['ds']}{since}{why}"
    if started := told["started"]:
        yield f"started: {started['dag_id']}, run {started['run_id']}, for {', '.join(started['dates'])}"
    if told["held"]:
        yield f"nothing was started: {told['held']}"
    if told["left"]:
        yield f"left for another day: {', '.join(told['left'])}"
    if told["warnings"]:
        yield "warnings of the suite:"
        yield from (f"  {line}" for line in told["warnings"])
