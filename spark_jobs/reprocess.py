"""spark-submit entry: clean and validate many dates in one Spark session.

Each date is cleaned and validated exactly as the jobs `clean` and `validate` do it, with the same manifests in the same
places. One that is refused, by its files or by its suite, does not stop the others. One on which something crashed is
tried once more after all others; when Spark itself no longer answers, the job fails, and its next submission in the
same run goes on where this one ended: what is loaded from the same staged files by the same code is not done again.

Manifest, beyond what every range manifest has (spark_jobs/ranges.py), written after each date: `seconds`, `versions`,
and for each date that got that far `run_id, rows`, `profile` and `quarantine`, the folder of its bad rows.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from spark_jobs import clean, job, ranges, storage, validate
from spark_jobs.session import spark_session

STEP = "reprocess"


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
            if entry["outcome"] == ranges.LOADED and entry["staged"] == self.dates.get(ds, {}).get("staged")
        }

    def load(self, outcome: str, work: Callable[[str, dict[str, Any]], None]) -> None:
        """Do `work` for the staged dates that ended so far with `outcome`, and report after each."""
        for ds in ranges.with_outcome(self.dates, outcome):
            if "staged" not in self.dates[ds]:
                continue
            staged = {"staged": self.dates[ds]["staged"]}
            self.dates[ds] = staged | ranges.outcome_of(partial(work, ds), ranges.LOADED)
            self.report()
            job.say(f"{ds}: {self.dates[ds]['outcome']} {self.dates[ds].get('why', '')}")

    def history(self) -> list[dict[str, Any]]:
        """What other dates have, as `validate` wants it: those loaded here, and what is published of others."""
        loaded = {
            ds: {"ds": ds, "rows": self.dates[ds]["rows"]["published"], **self.dates[ds]["profile"]}
            for ds in ranges.with_outcome(self.dates, ranges.LOADED)
        }
        return list((self.published | loaded).values())

    def report(self) -> None:
        """Write the range manifest."""
        manifest = job.frame(STEP, self.parsed, dates=self.dates, seconds=self.phases.seconds, versions=self.versions)
        storage.write_json(manifest, self.parsed.manifest)


def clean_and_validate(context: clean.Context, dates: Reprocess, ds: str, found: dict[str, Any]) -> None:
    """Load one date, noting in `found` what is known of it.

    :raises DataError: the date is refused.
    """
    parsed, phases = dates.parsed, dates.phases
    common = {"dataset": parsed.dataset, "ds": date.fromisoformat(ds), "run": parsed.run}
    cleaned_manifest = parsed.date_manifest.format(ds=ds, step=clean.STEP)
    cleaning = clean.Arguments(
        **common,
        manifest=cleaned_manifest,
        run_id=parsed.run_id,
        input=parsed.input.format(ds=ds),
        output=parsed.output.format(ds=ds),
        quarantine=parsed.quarantine.format(ds=ds),
        references=parsed.references,
        personal_key=parsed.personal_key,
    )
    validating = validate.Arguments(
        **common,
        manifest=parsed.date_manifest.format(ds=ds, step=validate.STEP),
        clean_manifest=cleaned_manifest,
        docs=parsed.docs.format(ds=ds),
    )
    of_date = job.Phases()
    with phases(clean.STEP):
        cleaned = clean.clean_date(context, cleaning, clean.input_files(cleaning.input, context.contract), of_date)
    found.update(run_id=parsed.run_id, rows=cleaned["rows"], quarantine=cleaned["quarantine"]["uri"])
    of_date = job.Phases()
    with phases(validate.STEP), tempfile.TemporaryDirectory() as folder:
        files = validate.download(cleaned, Path(folder))
        history = dates.history()
        verdict = validate.validate_date(context.spark, context.contract, validating, cleaned, files, history, of_date)
    found.update(profile=verdict["profile"])


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
        load = partial(clean_and_validate, context, dates)
        dates.load(ranges.STAGED, load)
        if ranges.with_outcome(dates.dates, ranges.CRASHED):
            check_alive(spark)
            dates.load(ranges.CRASHED, load)
    dates.report()
    spark.stop()
    job.say(f"{ranges.told(dates.dates)} {phases.seconds}")


def parser() -> argparse.ArgumentParser:
    """The arguments of the job."""
    uris = {
        "input": "folder of a date's staged raw files, with {ds}",
        "output": "folder for a date's rows to publish, with {ds}",
        "quarantine": "folder for a date's bad rows, with {ds}",
        "docs": "folder for a date's Data Docs, with {ds}",
        "history": "JSON [{ds, rows, ...}] of what is published",
    }
    arguments = ranges.parser(STEP, **uris)
    clean.add_options(arguments)
    return arguments


def main() -> None:
    """Run the job from the command line."""
    job.main(STEP, parser(), run)


if __name__ == "__main__":
    main()
