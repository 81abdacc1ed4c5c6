"""How much faster a day is loaded by one Spark session for many days than by a spark-submit per day.

    .venvs/worker/bin/python -m benchmarks.reprocess [--days 60] [--single 4] [--rows 1700]

Both ways run the jobs that Airflow runs, through lake-worker, on the same generated files of `online_retail`, from
local disk to local disk: `clean` and `validate` for each of a few days, then `reprocess` for all days. Starting
Airflow's tasks, S3 and publishing are left out, of which one run per day has more. The first day is loaded once before
anything is measured, so that lake-worker has its archive of Spark's classes. What counts is the ratio: both numbers are
taken within one run, on the same machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "plugins")]

from lake.bundle import build_bundle  # noqa: E402 - found on the path just set

from tools.samples import write  # noqa: E402

DATASET = "online_retail"
START = date(2025, 1, 6)
RUN = "benchmark"


class Worker:
    """A worker in a folder of its own: code, data and results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        digest, content = build_bundle()
        code = folder / "home" / "code" / digest
        with zipfile.ZipFile(BytesIO(content)) as archive:
            archive.extractall(code)
        self.bundle = digest
        self.environment = {
            **os.environ,
            "LAKE_WORKER_HOME": str(folder / "home"),
            "LAKE_WORKER_VENV": str(REPOSITORY / ".venvs" / "worker"),
            "LAKE_DATA_DIR": str(folder),
            "LAKE_SUBMISSION": f"{RUN}-00000001",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def uri(self, kind: str, ds: str = "{ds}") -> str:
        """The folder of a kind of file of a date."""
        return f"file://{self.folder}/data/{DATASET}/ds={ds}/run={RUN}/{kind}/"

    def manifest(self, ds: str, step: str) -> str:
        """The manifest of a step of a date, or of a whole range."""
        return f"file://{self.folder}/manifests/ds={ds}/{step}.json"

    def read(self, uri: str) -> dict[str, Any]:
        """A manifest."""
        found: dict[str, Any] = json.loads(Path(uri.removeprefix("file://")).read_text(encoding="utf-8"))
        return found

    def seconds(self, job: str, ds: str, **options: str) -> float:
        """How long a job takes from submission to its end."""
        options = {"dataset": DATASET, "ds": ds, "run": RUN, **options}
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        command = [str(REPOSITORY / "infra" / "worker" / "lake-worker"), self.bundle, "spark-submit", job, *words]
        started = time.monotonic()
        result = subprocess.run(  # noqa: S603 - our own command
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            sys.exit(f"{job} {ds} failed:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
        return time.monotonic() - started

    def one_day(self, ds: str) -> dict[str, float]:
        """Seconds of each of a day's two jobs."""
        cleaned = self.manifest(ds, "clean")
        return {
            "clean": self.seconds("clean", ds, manifest=cleaned, **self.cleaning(ds)),
            "validate": self.seconds(
                "validate",
                ds,
                clean_manifest=cleaned,
                docs=self.uri("docs", ds),
                manifest=self.manifest(ds, "validate"),
            ),
        }

    def cleaning(self, ds: str = "{ds}") -> dict[str, str]:
        """What the jobs that clean are told."""
        return {
            "submission": f"{RUN}-00000001",
            "input": self.uri("raw", ds),
            "output": self.uri("published", ds),
            "quarantine": self.uri("quarantine", ds),
        }

    def many_days(self, days: list[str]) -> tuple[float, dict[str, float]]:
        """Seconds of one `reprocess` of all days, and of each of its phases."""
        staged, result = self.manifest("range", "stage_raw"), self.manifest("range", "reprocess")
        history = self.manifest("range", "history")
        digest = hashlib.sha256(RUN.encode()).hexdigest()
        entries = {ds: {"outcome": "staged", "staged": digest} for ds in days}
        for uri, document in ((staged, {"dates": entries}), (history, [])):
            path = Path(uri.removeprefix("file://"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(document), encoding="utf-8")
        seconds = self.seconds(
            "reprocess",
            f"{days[0]}..{days[-1]}",
            dates=staged,
            date_manifest=self.manifest("{ds}", "{step}"),
            manifest=result,
            docs=self.uri("docs"),
            history=history,
            **self.cleaning(),
        )
        found = self.read(result)
        lost = {ds: entry for ds, entry in found["dates"].items() if entry["outcome"] != "loaded"}
        if lost:
            sys.exit(f"not all days were loaded: {lost}")
        return seconds, found["seconds"]


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
        worker = Worker(folder)
        calendar = ((START + timedelta(days=number)).isoformat() for number in range(asked.days * 2))
        days = [ds for ds in calendar if raw_file(folder, ds).is_file()][: asked.days]
        for ds in days:
            target = Path(worker.uri("raw", ds).removeprefix("file://")) / "online_retail.csv"
            target.parent.mkdir(parents=True)
            raw_file(folder, ds).rename(target)
            staged = {"files": [{"name": target.name, "bytes": target.stat().st_size}]}
            (target.parent / "_manifest.json").write_text(json.dumps(staged), encoding="utf-8")
        worker.one_day(days[0])
        single = [worker.one_day(ds) for ds in days[: asked.single]]
        wall, phases = worker.many_days(days)
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
