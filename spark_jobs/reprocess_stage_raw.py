"""Stage the raw files of many dates, each exactly as the job `stage_raw` does.

A date whose files do not fit the contract is refused, and the others go on. A range that has no room on the data volume
ends the job with 65 before anything is staged. Manifest, beyond what every reprocess
manifest has (spark_jobs/reprocessing.py): `files`, those of all dates, as `stage_raw` describes them, `seconds`,
`versions`, and for each date that is staged `staged`, a digest of its files. Dates that the step before had left out
are handed on.
"""

from __future__ import annotations

import argparse
from datetime import date
from functools import partial
from itertools import accumulate
from typing import Any

from contract.files import content_digest

from spark_jobs import job, reprocessing, stage_raw, storage, volume
from spark_jobs.errors import DataError

STEP = "reprocess_stage_raw"
PLANNED = "planned"


def run(parsed: argparse.Namespace) -> None:
    """Stage every planned date; see the module's documentation."""
    phases = job.Phases()
    dates: dict[str, dict[str, Any]] = storage.read_json(parsed.dates)["dates"]
    files: list[dict[str, Any]] = []
    planned = reprocessing.with_outcome(dates, PLANNED)
    with phases("room"):
        if planned:
            check_room(parsed, planned)
    with phases("stage"):
        for ds in planned:
            dates[ds] = reprocessing.outcome_of(partial(stage, parsed, ds, files), reprocessing.STAGED)
    storage.write_json(
        job.frame(STEP, parsed, dates=dates, files=files, seconds=phases.seconds, versions=job.versions("boto3")),
        parsed.manifest,
    )
    job.say(f"{reprocessing.told(dates)} {phases.seconds}")


def check_room(parsed: argparse.Namespace, planned: list[str]) -> None:
    """The raw files of all dates have room beside each other.

    :raises DataError: they have not; it says how many of the dates have.
    """
    folders = {ds: storage.local_path(parsed.staged.format(ds=ds)).parent for ds in planned}
    data = volume.Volume(next(iter(folders.values())).parents[2])
    room = data.room(folders.values())
    sizes = {ds: sum(item["Size"] for item in storage.list_s3(parsed.raw.format(ds=ds))) for ds in planned}
    together = list(accumulate(sizes.values()))
    if together[-1] > room:
        fit = sum(size <= room for size in together)
        advice = (
            f"load {planned[0]}..{planned[fit - 1]} first, then the others" if fit else "not even its first date has"
        )
        raise DataError(
            f"the raw files of these {len(planned)} dates are {together[-1]:,} bytes, and the worker's data volume has "
            f"room for {room:,}: {advice}; or make the volume larger (parameter WorkerDataVolumeGiB of lake-worker)"
        )


def stage(parsed: argparse.Namespace, ds: str, files: list[dict[str, Any]], found: dict[str, Any]) -> None:
    """Stage one date, add its files to `files` and their digest to `found`."""
    arguments = argparse.Namespace(
        dataset=parsed.dataset,
        ds=date.fromisoformat(ds),
        run=parsed.run,
        raw=parsed.raw.format(ds=ds),
        staged=parsed.staged.format(ds=ds),
        manifest=parsed.date_manifest.format(ds=ds, step=stage_raw.STEP),
    )
    stage_raw.run(arguments)
    staged = storage.read_json(storage.join(arguments.staged, stage_raw.MANIFEST))["files"]
    files.extend(staged)
    found["staged"] = content_digest(staged)


def main() -> None:
    """Run the job from the command line."""
    uris = {
        "raw": "s3:// folder of a date's raw files, with {ds}",
        "staged": "file:// folder to fill for a date, with {ds}",
    }
    job.main(STEP, reprocessing.parser(STEP, **uris), run)


if __name__ == "__main__":
    main()
