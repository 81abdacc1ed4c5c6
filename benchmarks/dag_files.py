"""What the DAG files cost, in CPU seconds: of parsing all of them, and of starting one task.

    .venvs/airflow/bin/python -m benchmarks.dag_files [--contracts 100] [--trials 9] [--build ANOTHER_CHECKOUT]

The contracts are copies, under other names, of those that the checkout ships, each reading the copies made with it. One
process imports Airflow and every module from elsewhere that the DAG files import; each measurement is a fork of it, as
those of Airflow's dag-processor and executor are. So a number holds the import of our own modules (from bytecode),
reading contracts and building DAGs, and leaves out importing Airflow and its provider, the database and the network.

- Parsing a file is what the dag-processor does with it: its check of the file, the import, and the validation of the
  DAGs. It then serializes them; that is Airflow's own work on what the DAGs are, so it has a line of its own.
- A task's start is what the Task SDK's runner does before it executes: the file, parsed for that task.

With `--build` another checkout is measured in turn with this one, so that the ratio of the two comes from one run on
one machine. A fixed piece of Python work is timed beside them, as a shared machine is not equally fast all day. Each
run adds a line to benchmarks/history/dag_files.jsonl.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import multiprocessing
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.measuring import REPOSITORY, commit_of, record

FILES = ("contracts", "ingest", "reprocess", "retention")
STARTS = (
    ("ingest", "ingest_orders", "clean"),
    ("ingest", "ingest_sales", "clean"),  # reads two other datasets
    ("reprocess", "reprocess_sales", "stage_raw"),
    ("retention", "retention", "sales"),
)
ALL_FILES, SERIALIZED, YARDSTICK = "all DAG files", "serializing their DAGs", "a million rounds of a Python loop"
FORK = multiprocessing.get_context("fork")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Build:
    """A checkout's DAG files and plugins, copied to a folder beside generated contracts."""

    commit: str
    root: Path

    @classmethod
    def of(cls, checkout: Path, root: Path, contracts: int) -> Build:
        """Copy what Airflow reads of a checkout, and generate its contracts."""
        for folder in ("dags", "plugins"):
            shutil.copytree(checkout / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
        datasets = root / "include" / "datasets"
        datasets.mkdir(parents=True)
        shipped = {path.stem: path.read_text(encoding="utf-8") for path in checkout.glob("include/datasets/*.yaml")}
        for name, text in itertools.islice(copies(shipped), contracts):
            (datasets / f"{name}.yaml").write_text(text, encoding="utf-8")
        return cls(commit_of(checkout), root)

    def enter(self) -> None:
        """Make this process one that has the build's plugins on its path, as Airflow has them."""
        sys.path.insert(0, str(self.root / "plugins"))

    def preparation(self) -> tuple[list[str], dict[str, str]]:
        """Parse everything once: the modules that it takes from elsewhere, and the environment it needs."""
        self.enter()
        sys.dont_write_bytecode = False  # whatever the caller's environment says
        from lake.settings import Settings

        settings = {f"LAKE_{field.name.upper()}": field.name for field in fields(Settings)}
        os.environ.update(settings)
        for file in FILES:
            self.parse(file)
        elsewhere = [
            name
            for name, module in sys.modules.items()
            if not str(getattr(module, "__file__", None)).startswith(str(self.root))
            and getattr(getattr(module, "__spec__", None), "name", None) == name
        ]
        return elsewhere, settings

    def parse(self, file: str) -> tuple[float, float]:
        """CPU seconds of parsing a file, and of serializing its DAGs."""
        import structlog
        from airflow.dag_processing.processor import _serialize_dags
        from airflow.utils.dag_version_inflation_checker import check_dag_file_stability

        self.enter()
        started = time.process_time()
        check_dag_file_stability(str(self.root / "dags" / f"{file}.py"))
        bag = self._bag(file, safe_mode=True)
        parsed = time.process_time()
        _, errors = _serialize_dags(bag, structlog.get_logger())
        if errors:
            raise RuntimeError(f"{self.commit}: {errors}")
        return parsed - started, time.process_time() - parsed

    def start(self, file: str, dag_id: str, task_id: str) -> float:
        """CPU seconds until a task of a DAG can be executed."""
        from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager

        self.enter()
        started = time.process_time()
        with _airflow_parsing_context_manager(dag_id=dag_id, task_id=task_id):
            bag = self._bag(file, safe_mode=False)
        seconds = time.process_time() - started
        bag.dags[dag_id].get_task(task_id)
        return seconds

    def _bag(self, file: str, safe_mode: bool) -> Any:
        from airflow.dag_processing.dagbag import BundleDagBag

        bag = BundleDagBag(
            dag_folder=str(self.root / "dags" / f"{file}.py"),
            safe_mode=safe_mode,
            load_op_links=False,
            bundle_path=self.root / "dags",
            bundle_name="dags-folder",
        )
        if bag.import_errors:
            raise RuntimeError(f"{self.commit}: {bag.import_errors}")
        return bag


def copies(contracts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield contracts without end, as name and text: the given ones, then copies of them with a number each."""
    yield from contracts.items()
    named = re.compile(rf"(\bdataset: )({'|'.join(contracts)})\b")
    described = re.compile(r"(\bdescription: )(\"?)")
    for number in itertools.count(2):
        for name, text in contracts.items():
            renamed = named.sub(rf"\g<1>\g<2>_{number}", text)
            yield f"{name}_{number}", described.sub(rf"\g<1>\g<2>Number {number} of ", renamed)


def in_child(call: Callable[[], Result]) -> Result:
    """What `call` returns in a process of its own, which starts with all that this one has imported."""
    receive, send = FORK.Pipe(duplex=False)
    child = FORK.Process(target=lambda: send.send(call()))
    child.start()
    send.close()
    try:
        result: Result = receive.recv()
    except EOFError:
        sys.exit("a measurement failed, see above")
    child.join()
    return result


def yardstick() -> float:
    """CPU seconds of a fixed piece of work, which say how fast the machine is just now."""
    started = time.process_time()
    for number in range(1_000_000):
        {"number": str(number)}
    return time.process_time() - started


def measure(build: Build) -> dict[str, float]:
    """CPU seconds of everything, each in a process of its own."""
    seconds = {}
    serialized = 0.0
    for file in FILES:
        seconds[f"{file}.py"], more = in_child(lambda file=file: build.parse(file))  # type: ignore[misc]
        serialized += more
    seconds[ALL_FILES] = sum(seconds.values())
    seconds[SERIALIZED] = serialized
    seconds[YARDSTICK] = in_child(yardstick)
    for start in STARTS:
        seconds[f"start of {'.'.join(start[1:])}"] = in_child(lambda start=start: build.start(*start))  # type: ignore[misc]
    return seconds


def prepare(builds: list[Build], home: Path) -> None:
    """Import, in this process, whatever the builds need from elsewhere, and set what they ask of the environment."""
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__DAGS_FOLDER=str(home),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(home),
        AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR",
    )
    modules: dict[str, None] = {}
    for build in builds:
        elsewhere, settings = in_child(build.preparation)
        modules |= dict.fromkeys(elsewhere)
        os.environ.update(settings)
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # as both parents in Airflow do before they fork


def table(medians: dict[str, dict[str, float]]) -> str:
    """The medians as text: a line for each number, a column for each build, and the ratio of two."""
    commits = list(medians)
    lines = [f"{'CPU seconds':<36}" + "".join(f"{commit:>16}" for commit in commits)]
    for row in medians[commits[0]]:
        values = [medians[commit][row] for commit in commits]
        ratio = f"{values[0] / values[1]:>11.1f} x" if len(values) == 2 else ""
        lines.append(f"{row:<36}" + "".join(f"{value:>16.3f}" for value in values) + ratio)
    return "\n".join(lines)


def main() -> None:
    """Measure the builds in turn, print the medians and write them down."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.dag_files", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contracts", type=int, default=100, help="how many datasets there are")
    parser.add_argument("--trials", type=int, default=9, help="measurements of each number; the median counts")
    parser.add_argument("--build", type=Path, help="another checkout, to measure before this one")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        checkouts = [asked.build, REPOSITORY] if asked.build else [REPOSITORY]
        builds = [Build.of(path, folder / str(index), asked.contracts) for index, path in enumerate(checkouts)]
        prepare(builds, folder / "airflow")
        trials = [{build.commit: measure(build) for build in builds} for _ in range(asked.trials)]
    medians = {
        build.commit: {
            row: round(statistics.median(trial[build.commit][row] for trial in trials), 4)
            for row in trials[0][build.commit]
        }
        for build in builds
    }
    print(table(medians))  # noqa: T201
    record("dag_files", contracts=asked.contracts, trials=asked.trials, cpu_seconds=medians)


if __name__ == "__main__":
    main()
