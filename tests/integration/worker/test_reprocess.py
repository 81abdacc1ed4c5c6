"""Many dates in one Spark session: what becomes of each, and of those after it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from contract.dataset import Contract
from contract.submission import Submission
from pyspark.sql import SparkSession

from spark_jobs import clean, job, reprocess, reprocessing, storage
from spark_jobs.errors import DataError
from tests.staging import as_staged

HEADER = "OrderID,Customer,Amount,Status,OrderDate\n"
GOOD = "".join(f"O{number},Ann,{number}.50,shipped,2025-06-01\n" for number in range(1, 11))
FILES = {
    "2025-06-01": HEADER + GOOD,
    "2025-06-02": "Order,Customer,Amount,Status,OrderDate\n" + GOOD,
    "2025-06-03": HEADER + GOOD.replace("shipped", "unknown"),
    "2025-06-04": HEADER + GOOD,
    "2025-06-05": HEADER + GOOD,
}


MANIFEST = {"submission": "a-run-00000001", "rows": {"published": 1}, "quarantine": {"uri": "file:///quarantined/"}}


def staged(ds: str, size: int) -> clean.Staged:
    """A date that is `size` bytes."""
    arguments = clean.Arguments(
        dataset="orders",
        ds=date.fromisoformat(ds),
        run="a-run",
        manifest="",
        submission=Submission.parse("a-run-00000001"),
        input="",
        output="",
        quarantine="",
    )
    return clean.Staged(arguments, [], size)


class Range:
    """A run over the dates of FILES, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for ds, text in FILES.items():
            raw = folder / "raw" / f"ds={ds}"
            raw.mkdir(parents=True)
            (raw / "orders.csv").write_text(text)
            as_staged(raw)
        self.dates = {ds: {"outcome": reprocessing.STAGED, "staged": f"digest of {ds}"} for ds in FILES}
        self.dates["2025-06-06"] = {"outcome": "skipped", "why": "there is no raw file"}

    def uri(self, name: str) -> str:
        return f"file://{self.folder}/{name}"

    def submission(self) -> reprocess.Reprocess:
        storage.write_json({"dates": self.dates}, self.uri("stage_raw.json"))
        storage.write_json([{"ds": "2025-05-31", "rows": 10}], self.uri("history.json"))
        options = {
            "dataset": "orders",
            "ds": "2025-06-01..2025-06-06",
            "run": "a-run",
            "submission": "a-run-00000001",
            "dates": self.uri("stage_raw.json"),
            "date-manifest": self.uri("ds={ds}/{step}.json"),
            "manifest": self.uri("reprocess.json"),
            "input": self.uri("raw/ds={ds}"),
            "output": self.uri("published/ds={ds}"),
            "quarantine": self.uri("quarantined/ds={ds}"),
            "docs": self.uri("docs/ds={ds}"),
            "history": self.uri("history.json"),
        }
        command = [word for name, value in options.items() for word in (f"--{name}", value)]
        return reprocess.Reprocess(reprocess.parser().parse_args(command), job.Phases())

    def start(self, spark: SparkSession, contract: Contract) -> tuple[reprocess.Reprocess, reprocess.SparkSteps]:
        """A submission, and the steps by which it loads dates."""
        submission = self.submission()
        with clean.cleaning(spark, contract, None, None) as context:
            return submission, reprocess.SparkSteps(context, submission)


def test_a_date_that_fails_does_not_stop_the_others(spark: SparkSession, tmp_path: Path) -> None:
    of_range = Range(tmp_path)
    submission, steps = of_range.start(spark, job.contract_of("orders"))
    in_the_way = tmp_path / "published" / "ds=2025-06-04"
    in_the_way.parent.mkdir()
    in_the_way.write_text("not a folder")
    submission.load(reprocessing.STAGED, steps)

    found = storage.read_json(of_range.uri("reprocess.json"))["dates"]
    assert {ds: entry["outcome"] for ds, entry in found.items()} == {
        "2025-06-01": "loaded",
        "2025-06-02": "refused",
        "2025-06-03": "refused",
        "2025-06-04": "crashed",
        "2025-06-05": "loaded",
        "2025-06-06": "skipped",
    }
    assert found["2025-06-01"]["rows"]["published"] == 10
    assert "missing 'OrderID'" in found["2025-06-02"]["why"]
    assert "expectations failed" in found["2025-06-03"]["why"]
    assert found["2025-06-03"]["quarantine"] == of_range.uri("quarantined/ds=2025-06-03")
    assert "ds=2025-06-04" in found["2025-06-04"]["why"]
    assert reprocessing.told(found) == "2 loaded, 2 refused, 1 crashed, 1 skipped"

    for ds, success in (("2025-06-01", True), ("2025-06-03", False), ("2025-06-05", True)):
        verdict = storage.read_json(of_range.uri(f"ds={ds}/validate.json"))
        assert (verdict["success"], verdict["submission"], verdict["ds"]) == (success, "a-run-00000001", ds)
    assert verdict["metrics"]["previous_days"] == 2, "2025-05-31 was loaded before, 2025-06-01 just now"
    assert [entry["ds"] for entry in submission.history()] == ["2025-05-31", "2025-06-01", "2025-06-05"]

    in_the_way.unlink()
    submission.load(reprocessing.CRASHED, steps)
    assert submission.dates["2025-06-04"]["outcome"] == "loaded"


class Remembered:
    """Steps that only remember what they are asked, with two dates at once."""

    def __init__(self, submission: reprocess.Reprocess) -> None:
        self.submission = submission
        self.validated: list[tuple[str, list[str]]] = []
        self.begun = {ds: threading.Event() for ds in FILES}

    def stage(self, ds: str) -> clean.Staged:
        if ds == "2025-06-02":
            raise DataError("refused")
        return staged(ds, reprocess.BYTES_AT_ONCE // 2)

    def clean(self, dates: Sequence[clean.Staged]) -> Mapping[date, dict[str, Any] | DataError]:
        for each in dates:
            self.begun[f"{each.run_date}"].set()
        return {each.run_date: MANIFEST for each in dates}

    @contextmanager
    def validating(self, dates: Sequence[str]) -> Iterator[reprocess.Step]:
        assert not {"2025-06-02", *[ds for ds, _ in self.validated]} & {*dates}
        yield self.validate

    def validate(self, ds: str, found: dict[str, Any]) -> None:
        assert ds > "2025-06-03" or self.begun["2025-06-05"].wait(60), "the next dates are not cleaned meanwhile"
        self.validated.append((ds, [entry["ds"] for entry in self.submission.history()]))
        found.update(profile={})


def test_dates_are_validated_while_the_next_are_cleaned_and_after_those_before_them(tmp_path: Path) -> None:
    submission = Range(tmp_path).submission()
    steps = Remembered(submission)
    submission.load(reprocessing.STAGED, steps)
    loaded = [ds for ds in FILES if ds != "2025-06-02"]
    assert reprocessing.with_outcome(submission.dates, reprocessing.LOADED) == loaded
    assert submission.dates["2025-06-02"] == {"staged": "digest of 2025-06-02", "outcome": "refused", "why": "refused"}
    assert steps.validated == [(ds, ["2025-05-31", *loaded[:place]]) for place, ds in enumerate(loaded)]


def test_where_something_crashes_on_several_dates_each_is_cleaned_alone(tmp_path: Path) -> None:
    class Crashing(Remembered):
        def clean(self, dates: Sequence[clean.Staged]) -> Mapping[date, dict[str, Any] | DataError]:
            if any(each.run_date == date(2025, 6, 4) for each in dates):
                raise RuntimeError("not this one")
            return super().clean(dates)

    submission = Range(tmp_path).submission()
    submission.load(reprocessing.STAGED, Crashing(submission))
    assert reprocessing.with_outcome(submission.dates, reprocessing.LOADED) == [
        "2025-06-01",
        "2025-06-03",
        "2025-06-05",
    ]
    assert submission.dates["2025-06-04"]["why"] == "RuntimeError: not this one"


def test_dates_are_cleaned_at_once_as_long_as_they_are_small() -> None:
    small, large = reprocess.BYTES_AT_ONCE // 64, reprocess.BYTES_AT_ONCE
    days = [f"2025-01-{day:02}" for day in range(1, 32)] + [f"2025-02-{day:02}" for day in range(1, 11)]
    sizes = [*[small] * 35, large + 1, small, large, large // 2, large // 2, 1]
    found = reprocess.batches(map(staged, days, sizes))
    assert [len(batch) for batch in found] == [32, 3, 1, 1, 1, 2, 1]
    assert list(reprocess.batches([])) == []


def test_the_next_submission_goes_on_where_the_last_one_ended(spark: SparkSession, tmp_path: Path) -> None:
    of_range = Range(tmp_path)
    of_range.dates = {ds: of_range.dates[ds] for ds in ("2025-06-01", "2025-06-05")}
    submission, steps = of_range.start(spark, job.contract_of("orders"))
    submission.load(reprocessing.STAGED, steps)
    of_range.dates["2025-06-05"]["staged"] = "digest of other files"
    again, _ = of_range.start(spark, job.contract_of("orders"))
    assert reprocessing.with_outcome(again.dates, reprocessing.LOADED) == ["2025-06-01"]
    assert reprocessing.with_outcome(again.dates, reprocessing.STAGED) == ["2025-06-05"]


def test_a_range_is_two_dates() -> None:
    assert reprocessing.span("2025-06-01..2025-06-30") == "2025-06-01..2025-06-30"
    with pytest.raises(ValueError, match="2025-06-01"):
        reprocessing.span("2025-06-01")
