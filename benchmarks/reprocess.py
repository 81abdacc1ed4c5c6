"""How much faster a day is loaded by one Spark session for many days than by a spark-submit per job and day.

    .venvs/worker/bin/python -m benchmarks.reprocess [--days 60] [--single 4] [--rows 1700]

Both ways run the jobs that Airflow runs, through lake-worker, on the same generated files of `online_retail`, from
local disk to local disk: `clean` and `validate` for each of a few days, then `reprocess` for all days. Starting
Airflow's tasks, S3 and publishing are left out, of which one run per day has more. The first day is loaded once before
anything is measured, so that lake-worker has its archive of Spark's classes. What counts is the ratio: both numbers are
taken within one run, on the same machine. Each run adds a line to benchmarks/history/reprocess.jsonl.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

from benchmarks.measuring import REPOSITORY, commit_of, record
from benchmarks.worker import RUN, Worker, path_of
from tools.samples import write

DATASET = "online_retail"
START = date(2025, 1, 6)


def one_day(worker: Worker, ds: str) -> dict[str, float]:
    """Seconds of each of a day's two jobs."""
    return {"clean": worker.clean(ds).wall, "validate": worker.validate(ds).wall}


def many_days(worker: Worker, days: list[str]) -> tuple[float, dict[str, float]]:
    """Seconds of one `reprocess` of all days, and of each of its phases."""
    staged, result = worker.manifest("range", "stage_raw"), worker.manifest("range", "reprocess")
    history = worker.manifest("range", "history")
    digest = hashlib.sha256(RUN.encode()).hexdigest()
    entries = {ds: {"outcome": "staged", "staged": digest} for ds in days}
    for uri, document in ((staged, {"dates": entries}), (history, [])):
        path_of(uri).parent.mkdir(parents=True, exist_ok=True)
        path_of(uri).write_text(json.dumps(document), encoding="utf-8")
    cost = worker.job(
        "reprocess",
        f"{days[0]}..{days[-1]}",
        dates=staged,
        date_manifest=worker.manifest("{ds}", "{step}"),
        manifest=result,
        docs=worker.uri("docs"),
        history=history,
        **worker.cleaning(),
    )
    found = worker.read(result)
    lost = {ds: entry for ds, entry in found["dates"].items() if entry["outcome"] != "loaded"}
    if lost:
        sys.exit(f"not all days were loaded: {lost}")
    return cost.wall, found["seconds"]


def table(rows: list[tuple[str, float, float]], title: str) -> str:
    """Lines of `name, seconds a day, share`."""
    return "\n".join([title, *(f"  {name:<24}{seconds:8.2f} s a day{share:8.0%}" for name, seconds, share in rows)])


def main() -> None:
    """Measure both ways and print them."""
    parser = argparse.ArgumentParser(prog="benchmarks.reprocess", description=__doc__)
    parser.add_argument("--days", type=int, default=60, help="days with a file to load in one session")
    parser.add_argument("--single", type=int, default=4, help="days to load by a submission each")
    parser.add_argument("--rows", type=int, default=1700, help="rows of each day's file")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        # No file on Saturdays: enough calendar days for the days asked for.
        write(DATASET, START, asked.days * 7 // 6 + 2, asked.rows, 1, folder / "samples")
        worker = Worker(folder / "worker", DATASET)
        calendar = ((START + timedelta(days=number)).isoformat() for number in range(asked.days * 2))
        days = [ds for ds in calendar if raw_file(folder, ds).is_file()][: asked.days]
        for ds in days:
            worker.stage(ds, [raw_file(folder, ds)])
        one_day(worker, days[0])
        single = [one_day(worker, ds) for ds in days[: asked.single]]
        wall, phases = many_days(worker, days)
    record(
        "reprocess",
        commit=commit_of(REPOSITORY),
        days=asked.days,
        rows=asked.rows,
        single_s=single,
        range_s={"wall": wall, **phases},
    )
    each = {job: sum(seconds[job] for seconds in single) / len(single) for job in single[0]}
    alone, together = sum(each.values()), wall / len(days)
    print(  # noqa: T201
        table([(job, seconds, seconds / alone) for job, seconds in each.items()], "One submission a job and day:"),
        table(
            [(phase, seconds / len(days), seconds / wall) for phase, seconds in phases.items()],
            f"One session for {len(days)} days, {wall:.1f} s, a day validated while the next is cleaned:",
        ),
        f"{alone:.2f} s against {together:.2f} s a day: {alone / together:.1f} times as fast",
        sep="\n",
    )


def raw_file(folder: Path, ds: str) -> Path:
    """The generated file of a date."""
    return folder / "samples" / DATASET / f"ds={ds}" / "online_retail.csv"


if __name__ == "__main__":
    main()
