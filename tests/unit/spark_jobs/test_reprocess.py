"""Many dates in one Spark session: what becomes of each, and of those after it."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from contract.dataset import Contract
from pyspark.sql import SparkSession

from spark_jobs import clean, job, reprocess, reprocessing, storage
from spark_jobs.errors import DataError
from tests.staging import as_staged

STEPS = reprocess.clean_one, reprocess.validate_one
HEADER = "OrderID,Customer,Amount,Status,OrderDate\n"
GOOD = "".join(f"O{number},Ann,{number}.50,shipped,2025-06-01\n" for number in range(1, 11))
FILES = {
    "2025-06-01": HEADER + GOOD,
    "2025-06-02": "Order,Customer,Amount,Status,OrderDate\n" + GOOD,
    "2025-06-03": HEADER + GOOD.replace("shipped", "unknown"),
    "2025-06-04": HEADER + GOOD,
    "2025-06-05": HEADER + GOOD,
}


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

    def start(self, spark: SparkSession, contract: Contract) -> tuple[reprocess.Reprocess, Any]:
        """A submission, and the steps by which it loads a date."""
        submission = self.submission()
        with clean.cleaning(spark, contract, None, None) as context:
            return submission, [partial(step, context, submission) for step in STEPS]


def test_a_date_that_fails_does_not_stop_the_others(spark: SparkSession, orders: Contract, tmp_path: Path) -> None:
    of_range = Range(tmp_path)
    submission, steps = of_range.start(spark, orders)
    in_the_way = tmp_path / "published" / "ds=2025-06-04"
    in_the_way.parent.mkdir()
    in_the_way.write_text("not a folder")
    submission.load(reprocessing.STAGED, *steps)

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
    submission.load(reprocessing.CRASHED, *steps)
    assert submission.dates["2025-06-04"]["outcome"] == "loaded"


def test_a_date_is_validated_while_the_next_is_cleaned_and_after_those_before_it(tmp_path: Path) -> None:
    submission = Range(tmp_path).submission()
    dates, validated = list(FILES), []
    begun = {ds: threading.Event() for ds in dates}
    following = dict(zip(dates, [*dates[1:], dates[-1]], strict=True))

    def clean_one(ds: str, found: dict[str, Any]) -> None:
        begun[ds].set()
        if ds == dates[1]:
            raise DataError("refused")
        found.update(rows={"published": 1})

    def validate_one(ds: str, found: dict[str, Any]) -> None:
        assert begun[following[ds]].wait(60), "the next date is not cleaned meanwhile"
        validated.append((ds, [entry["ds"] for entry in submission.history()]))
        found.update(profile={})

    submission.load(reprocessing.STAGED, clean_one, validate_one)
    assert reprocessing.with_outcome(submission.dates, reprocessing.LOADED) == [ds for ds in dates if ds != dates[1]]
    assert submission.dates[dates[1]] == {"staged": f"digest of {dates[1]}", "outcome": "refused", "why": "refused"}
    assert validated == [
        (dates[0], ["2025-05-31"]),
        (dates[2], ["2025-05-31", dates[0]]),
        (dates[3], ["2025-05-31", dates[0], dates[2]]),
        (dates[4], ["2025-05-31", dates[0], dates[2], dates[3]]),
    ]


def test_the_next_submission_goes_on_where_the_last_one_ended(
    spark: SparkSession, orders: Contract, tmp_path: Path
) -> None:
    of_range = Range(tmp_path)
    of_range.dates = {ds: of_range.dates[ds] for ds in ("2025-06-01", "2025-06-05")}
    submission, steps = of_range.start(spark, orders)
    submission.load(reprocessing.STAGED, *steps)
    of_range.dates["2025-06-05"]["staged"] = "digest of other files"
    again, _ = of_range.start(spark, orders)
    assert reprocessing.with_outcome(again.dates, reprocessing.LOADED) == ["2025-06-01"]
    assert reprocessing.with_outcome(again.dates, reprocessing.STAGED) == ["2025-06-05"]


def test_a_range_is_two_dates() -> None:
    assert reprocessing.span("2025-06-01..2025-06-30") == "2025-06-01..2025-06-30"
    with pytest.raises(ValueError, match="2025-06-01"):
        reprocessing.span("2025-06-01")
