"""spark-submit entry: clean and validate many dates in one Spark session.

Each date is cleaned and validated exactly as the jobs `clean` and `validate` do it, with the same manifests in the same
places, in the order of the dates, one validated while the next is cleaned. One that is refused, by its files or by its
suite, does not stop the others. One on which something crashed is tried once more after all others; when Spark itself
no longer answers, the job fails, and its next submission in the same run goes on where this one ended: what is loaded
from the same staged files by the same code is not done again.

Manifest, beyond what every reprocess manifest has (spark_jobs/reprocessing.py), written after each date: `seconds`,
`versions`, and for each date that got that far `submission, rows`, `profile` and `quarantine`, the folder of its bad
rows.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from spark_jobs import clean, job, reprocessing, storage, validate, volume
from spark_jobs.session import spark_session

STEP = "reprocess"
CLEANED = "cleaned"
"""Outcome of a date on its way: it is to be validated."""

Step = Callable[[str, dict[str, Any]], None]
"""What does a step of a date, and notes what is known of it."""


class Reprocess:
    """The dates of one submission, and what became of them so far."""

    def __init__(self, parsed: argparse.Namespace, phases: job.Phases) -> None:
        self.parsed = parsed
        self.phases = phases
        self.versions = job.versions("pyspark", "pyarrow", "great-expectations")
        self.dates: dict[str, dict[str, Any]] = storage.read_json(parsed.dates)["dates"]
        self.dates.update(self._loaded_before())
        self.published = {entry["ds"]: entry for entry in storage.read_json(parsed.history)}

    def _loaded_before(self) -> dict[str, dict[str, Any]]:
        """What an earlier submission of this run has loaded from the same files by the same code."""
        before = storage.read_json_if_present(self.parsed.manifest)
        if before is None or before["versions"] != self.versions:
            return {}
        return {
            ds: entry
            for ds, entry in before["dates"].items()
            if entry["outcome"] == reprocessing.LOADED and entry["staged"] == self.dates.get(ds, {}).get("staged")
        }

    def load(self, outcome: str, clean_one: Step, validate_one: Step) -> None:
        """Load the staged dates that ended so far with `outcome`, one validated while the next is cleaned.

        :param clean_one: cleans a date.
        :param validate_one: validates one that is clean, when all before it have ended.
        """

        def validated(cleaned: dict[str, Any], ds: str) -> dict[str, Any]:
            if cleaned["outcome"] != CLEANED:
                return cleaned
            return cleaned | reprocessing.outcome_of(partial(validate_one, ds), reprocessing.LOADED)

        staged = [ds for ds in reprocessing.with_outcome(self.dates, outcome) if "staged" in self.dates[ds]]
        with ThreadPoolExecutor(max_workers=1) as validator:
            before: tuple[str, Future[dict[str, Any]]] | None = None
            for ds in staged:
                cleaned = reprocessing.outcome_of(partial(clean_one, ds), CLEANED)
                if before:
                    self._ended(*before)
                before = ds, validator.submit(validated, cleaned, ds)
            if before:
                self._ended(*before)

    def _ended(self, ds: str, ending: Future[dict[str, Any]]) -> None:
        """Note and report how a date ended, once it has."""
        self.dates[ds] = {"staged": self.dates[ds]["staged"]} | ending.result()
        if self.dates[ds]["outcome"] in (reprocessing.LOADED, reprocessing.REFUSED):
            volume.finish(self.parsed.input.format(ds=ds))
        self.report()
        job.say(f"{ds}: {self.dates[ds]['outcome']} {self.dates[ds].get('why', '')}")

    def history(self) -> list[dict[str, Any]]:
        """What other dates have, as `validate` wants it: those loaded here, and what is published of others."""
        loaded = {
            ds: {"ds": ds, "rows": self.dates[ds]["rows"]["published"], **self.dates[ds]["profile"]}
            for ds in reprocessing.with_outcome(self.dates, reprocessing.LOADED)
        }
        return list((self.published | loaded).values())

    def report(self) -> None:
        """Write the reprocess manifest."""
        manifest = job.frame(STEP, self.parsed, dates=self.dates, seconds=self.phases.seconds, versions=self.versions)
        storage.write_json(manifest, self.parsed.manifest)


def clean_one(context: clean.Context, dates: Reprocess, ds: str, found: dict[str, Any]) -> None:
    """Clean one date, noting in `found` what is known of it.

    :raises DataError: the date is refused.
    """
    parsed = dates.parsed
    arguments = clean.Arguments(
        **common(parsed, ds, clean.STEP),
        submission=parsed.submission,
        input=parsed.input.format(ds=ds),
        output=parsed.output.format(ds=ds),
        quarantine=parsed.quarantine.format(ds=ds),
        references=parsed.references,
        personal_key=parsed.personal_key,
    )
    with dates.phases(clean.STEP):
        files = clean.input_files(arguments.input, context.contract)
        cleaned = clean.clean_date(context, arguments, files, job.Phases())
    found.update(submission=str(parsed.submission), rows=cleaned["rows"], quarantine=cleaned["quarantine"]["uri"])


def validate_one(context: clean.Context, dates: Reprocess, ds: str, found: dict[str, Any]) -> None:
    """Validate one date that is clean, noting in `found` what is known of it.

    :raises DataError: the date is refused.
    """
    parsed = dates.parsed
    arguments = validate.Arguments(
        **common(parsed, ds, validate.STEP),
        clean_manifest=parsed.date_manifest.format(ds=ds, step=clean.STEP),
        docs=parsed.docs.format(ds=ds),
    )
    with dates.phases(validate.STEP), tempfile.TemporaryDirectory() as folder:
        cleaned = storage.read_json(arguments.clean_manifest)
        files = validate.download(cleaned, Path(folder))
        verdict = validate.validate_date(
            context.spark, context.contract, arguments, cleaned, files, dates.history(), job.Phases()
        )
    found.update(profile=verdict["profile"])


def common(parsed: argparse.Namespace, ds: str, step: str) -> dict[str, Any]:
    """What a job of one date is told whichever it is."""
    manifest = parsed.date_manifest.format(ds=ds, step=step)
    return {"dataset": parsed.dataset, "ds": date.fromisoformat(ds), "run": parsed.run, "manifest": manifest}


def check_alive(spark: SparkSession) -> None:
    """Raise what Spark raises when it no longer answers."""
    spark.range(1).count()


def run(parsed: argparse.Namespace) -> None:
    """Load every staged date; see the module's documentation."""
    phases = job.Phases()
    importing = threading.Thread(target=validate.import_great_expectations)
    importing.start()
    contract = job.contract_of(parsed.dataset)
    dates = Reprocess(parsed, phases)
    with phases("start"):
        spark = spark_session(f"{STEP} {parsed.dataset} {parsed.ds}")
        importing.join()
    with clean.cleaning(spark, contract, parsed.references, parsed.personal_key) as context:
        steps = partial(clean_one, context, dates), partial(validate_one, context, dates)
        dates.load(reprocessing.STAGED, *steps)
        if reprocessing.with_outcome(dates.dates, reprocessing.CRASHED):
            check_alive(spark)
            dates.load(reprocessing.CRASHED, *steps)
    dates.report()
    spark.stop()
    job.say(f"{reprocessing.told(dates.dates)} {phases.seconds}")


def parser() -> argparse.ArgumentParser:
    """The arguments of the job."""
    uris = {
        "input": "folder of a date's staged raw files, with {ds}",
        "output": "folder for a date's rows to publish, with {ds}",
        "quarantine": "folder for a date's bad rows, with {ds}",
        "docs": "folder for a date's Data Docs, with {ds}",
        "history": "JSON [{ds, rows, ...}] of what is published",
    }
    arguments = reprocessing.parser(STEP, **uris)
    clean.add_options(arguments)
    return arguments


def main() -> None:
    """Run the job from the command line."""
    job.main(STEP, parser(), run)


if __name__ == "__main__":
    main()
