"""spark-submit entry: clean and validate many dates in one Spark session.

Each date is cleaned and validated as the jobs `clean` and `validate` do it, with the same manifests in the same places,
in the order of the dates. Small ones are cleaned several at once, as most of what a small date takes is Spark planning
what it will do; those are validated while the next ones are cleaned. One that is refused, by its files or by its suite,
does not stop the others. Where something crashes on several at once, each of them is cleaned alone. One on which
something crashed then is tried once more after all others; when Spark itself no longer answers, the job fails, and its
next submission in the same run goes on where this one ended: what is loaded from the same staged files by the same code
is not done again.

Manifest, beyond what every reprocess manifest has (spark_jobs/reprocessing.py), written whenever dates have ended:
`seconds`, `versions`, and for each date that got that far `submission, rows`, `profile` and `quarantine`, the folder of
its bad rows.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

from pyspark.sql import SparkSession

from spark_jobs import clean, job, records, reprocessing, storage, validate, volume
from spark_jobs.errors import DataError
from spark_jobs.session import spark_session
from spark_jobs.verdict import held_by_all

STEP = "reprocess"
CLEANED = "cleaned"
"""Outcome of a date on its way: it is to be validated."""
DATES_AT_ONCE = 32
"""How many dates are cleaned at once at most."""
BYTES_AT_ONCE = records.TASK_BYTES
"""How many bytes they have at most, with what they read of other datasets; one that has more is cleaned alone."""

Entry = dict[str, Any]
"""What the reprocess manifest tells of a date."""


Step = Callable[[str, Entry], None]
"""What does a step of a date, and notes what is known of it."""


class Steps(Protocol):
    """What is done with dates."""

    def stage(self, ds: str) -> clean.Staged:
        """What cleaning a date needs; raises what refuses it."""

    def clean(self, dates: Sequence[clean.Staged]) -> Mapping[date, dict[str, Any] | DataError]:
        """The manifests of dates that are cleaned at once, or why one is refused."""

    def validating(self, dates: Sequence[str]) -> AbstractContextManager[Step]:
        """What validates one of these dates, which are clean, once all before it have ended."""


def batches(dates: Iterable[clean.Staged]) -> Iterator[list[clean.Staged]]:
    """Dates, in order, by those that are cleaned at once."""
    batch: list[clean.Staged] = []
    for each in dates:
        if batch and (len(batch) == DATES_AT_ONCE or sum(one.bytes for one in batch) + each.bytes > BYTES_AT_ONCE):
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch


class Reprocess:
    """The dates of one submission, and what became of them so far."""

    def __init__(self, parsed: argparse.Namespace, phases: job.Phases) -> None:
        self.parsed = parsed
        self.phases = phases
        self.versions = job.versions("pyspark", "pyarrow", "great-expectations")
        self.dates: dict[str, Entry] = storage.read_json(parsed.dates)["dates"]
        self.dates.update(self._loaded_before())
        self.published = {entry["ds"]: entry for entry in storage.read_json(parsed.history)}

    def _loaded_before(self) -> dict[str, Entry]:
        """What an earlier submission of this run has loaded from the same files by the same code."""
        before = storage.read_json_if_present(self.parsed.manifest)
        if before is None or before["versions"] != self.versions:
            return {}
        return {
            ds: entry
            for ds, entry in before["dates"].items()
            if entry["outcome"] == reprocessing.LOADED and entry["staged"] == self.dates.get(ds, {}).get("staged")
        }

    def load(self, outcome: str, steps: Steps) -> None:
        """Load the staged dates that ended so far with `outcome`, some validated while the next are cleaned."""
        staged: list[clean.Staged] = []

        def stage(ds: str, _found: Entry) -> None:
            staged.append(steps.stage(ds))

        wanted = [ds for ds in reprocessing.with_outcome(self.dates, outcome) if "staged" in self.dates[ds]]
        ready = {ds: reprocessing.outcome_of(partial(stage, ds), reprocessing.STAGED) for ds in wanted}
        for ds, entry in ready.items():
            if entry["outcome"] != reprocessing.STAGED:
                self._ended(ds, entry)
        with ThreadPoolExecutor(max_workers=1) as validator:
            before: Future[None] | None = None
            for batch in batches(staged):
                cleaned = self._cleaned(batch, steps)
                if before:
                    before.result()
                before = validator.submit(self._validated, cleaned, steps)
            if before:
                before.result()

    def _cleaned(self, batch: Sequence[clean.Staged], steps: Steps) -> dict[str, Entry]:
        def note(each: clean.Staged, found: Entry, ended: Mapping[date, dict[str, Any] | DataError] | None) -> None:
            manifest = (ended or steps.clean([each]))[each.run_date]
            if isinstance(manifest, DataError):
                raise manifest
            told = {"submission": manifest["submission"], "rows": manifest["rows"]}
            found.update(told, quarantine=manifest["quarantine"]["uri"])

        ended = None
        if len(batch) > 1:
            try:
                ended = steps.clean(batch)
            except Exception as error:
                told = job.one_line(f"{type(error).__name__}: {error}")
                job.say(f"{batch[0].run_date} to {batch[-1].run_date} cannot be cleaned at once, each alone: {told}")
        return {
            f"{each.run_date}": reprocessing.outcome_of(partial(note, each, ended=ended), CLEANED) for each in batch
        }

    def _validated(self, cleaned: Mapping[str, Entry], steps: Steps) -> None:
        with steps.validating([ds for ds, entry in cleaned.items() if entry["outcome"] == CLEANED]) as validate_one:
            for ds, entry in cleaned.items():
                if entry["outcome"] == CLEANED:
                    entry |= reprocessing.outcome_of(partial(validate_one, ds), reprocessing.LOADED)
                # The next one is compared with it.
                self._ended(ds, entry)
        self.report()

    def _ended(self, ds: str, entry: Entry) -> None:
        """Note how a date ended."""
        self.dates[ds] = {"staged": self.dates[ds]["staged"]} | entry
        if entry["outcome"] in (reprocessing.LOADED, reprocessing.REFUSED):
            volume.finish(self.parsed.input.format(ds=ds))
        job.say(f"{ds}: {entry['outcome']} {entry.get('why', '')}")

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


@dataclass(frozen=True)
class SparkSteps:
    """What the jobs `clean` and `validate` do, in a session for all dates."""

    context: clean.Context
    dates: Reprocess

    def stage(self, ds: str) -> clean.Staged:
        """What cleaning a date needs.

        :raises DataError: the date is refused.
        :raises NotReadyError: a dataset that the contract reads has no date up to this one.
        """
        parsed = self.dates.parsed
        arguments = clean.Arguments(
            **self._common(ds, clean.STEP),
            submission=parsed.submission,
            input=parsed.input.format(ds=ds),
            output=parsed.output.format(ds=ds),
            quarantine=parsed.quarantine.format(ds=ds),
            references=parsed.references,
            personal_key=parsed.personal_key,
        )
        with self.dates.phases("stage"):
            return clean.staged(self.context, arguments, clean.input_files(arguments.input, self.context.contract))

    def clean(self, dates: Sequence[clean.Staged]) -> Mapping[date, dict[str, Any] | DataError]:
        """The manifests of dates that are cleaned at once, or why one is refused."""
        with self.dates.phases(clean.STEP):
            return clean.clean_dates(self.context, dates, job.Phases())

    @contextmanager
    def validating(self, dates: Sequence[str]) -> Iterator[Step]:
        """What validates one of these dates, which are clean, once all before it have ended.

        It raises DataError where the date is refused.
        """
        with self.dates.phases(validate.STEP), tempfile.TemporaryDirectory() as folder:

            @cache
            def fetched(ds: str) -> tuple[dict[str, Any], list[str]]:
                cleaned = storage.read_json(self.dates.parsed.date_manifest.format(ds=ds, step=clean.STEP))
                copies = Path(folder) / ds
                copies.mkdir()
                return cleaned, validate.download(cleaned, copies)

            held = self._held_by_all(file for ds in dates for file in fetched(ds)[1]) if len(dates) > 1 else None
            yield partial(self._validate, fetched, held)

    def _held_by_all(self, files: Iterable[str]) -> Mapping[int, Any] | None:
        """What needs not be asked of each date; nothing where it cannot be told, which one of them will tell."""
        try:
            return held_by_all(self.context.spark.read.parquet(*files), validate.suite_of(self.context.contract))
        except Exception as error:
            job.say(
                f"dates cannot be validated at once, each alone: {job.one_line(f'{type(error).__name__}: {error}')}"
            )
            return None

    def _validate(
        self,
        fetched: Callable[[str], tuple[dict[str, Any], list[str]]],
        held: Mapping[int, Any] | None,
        ds: str,
        found: Entry,
    ) -> None:
        parsed, context = self.dates.parsed, self.context
        arguments = validate.Arguments(
            **self._common(ds, validate.STEP),
            clean_manifest=parsed.date_manifest.format(ds=ds, step=clean.STEP),
            docs=parsed.docs.format(ds=ds),
        )
        cleaned, files = fetched(ds)
        history, phases = self.dates.history(), job.Phases()
        verdict = validate.validate_date(
            context.spark, context.contract, arguments, cleaned, files, history, phases, held
        )
        found.update(profile=verdict["profile"])

    def _common(self, ds: str, step: str) -> dict[str, Any]:
        """What a job of one date is told whichever it is."""
        parsed = self.dates.parsed
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
        spark = spark_session()
        importing.join()
    with clean.cleaning(spark, contract, parsed.references, parsed.personal_key) as context:
        steps = SparkSteps(context, dates)
        dates.load(reprocessing.STAGED, steps)
        if reprocessing.with_outcome(dates.dates, reprocessing.CRASHED):
            check_alive(spark)
            dates.load(reprocessing.CRASHED, steps)
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
