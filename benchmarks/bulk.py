"""What `clean` and `validate` cost of many orders and of few, beside DuckDB, and beside another build.

    .venvs/worker/bin/python -m benchmarks.bulk [--rows 10000000] [--only NAME,...] [--trials 1] [--against CHECKOUT]

The orders are generated (benchmarks/orders.py: one row in a hundred is bad, one in 170 comes again); the same seed
gives the same rows. A number is of a whole process with all that it starts, run by lake-worker as Airflow has it run,
the start of Spark included; from local disk to local disk, so S3, staging and publishing are not. What is read has just
been written, so it is in memory as far as it fits there. Each trial is a process of its own, the sides take turns, and
the median counts. Ratios are of wall time; a line says so where other processes took much of the machine meanwhile.

- `bulk/csv`: `clean` of one CSV file, beside DuckDB that does the same work: what it leaves out says
  benchmarks/peer_duckdb.py. `bulk/files` are the same rows in files of 10,000, `bulk/gzip` as one .csv.gz, `bulk/jsonl`
  as JSON lines, `bulk/parquet` as Parquet with columns of the contract's types: each also beside the one CSV file.
- `validate`: of what `clean` has made of the CSV file, beside that `clean`.
- `memory`: the peak of `clean` of the CSV file, beside that of a million rows (of a tenth, if it has fewer than ten).
- `small`: `clean` and `validate` of 5,000 orders, where the start is most of it, one after the other as in a run, where
  the second takes over the Spark of the first; at least 3 trials.

Before anything is measured, each build cleans and validates a few rows, so that lake-worker has its archive of Spark's
classes. With `--against` another checkout, as of the build before, does the same in turn with this one, with this one's
packages. All sides must come to the counts that the generator promises, for each rule, and to the same sum of amounts,
or the benchmark fails. 10 million rows need about 6 GB below TMPDIR. Each measurement adds a line to
benchmarks/history/bulk.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import orders
from benchmarks.measuring import REPOSITORY, Cost, commit_of, measured, record
from benchmarks.worker import Worker

SEED = 1
DS = f"{orders.DS}"
SMALL_ROWS, SMALL_TRIALS = 5_000, 3
MEMORY_ROWS = 1_000_000
CONTRACT = "include/datasets/orders.yaml"
FORMAT = re.compile(r"^format:\n(?:  .*\n)+", re.MULTILINE)
BULK = {f"bulk/{form}": form for form in get_args(orders.Form)}
BULK_CSV, *OTHER_FORMS = BULK
OF_BULK_CSV = ("validate", "memory")
"""What needs `bulk/csv`, which is then measured too."""
NAMES = (BULK_CSV, *OF_BULK_CSV, *OTHER_FORMS, "small")
Sides = dict[str, Callable[[], Cost]]


class Bench:
    """This build, maybe another one, and the rows that they are measured with."""

    def __init__(self, folder: Path, rows: int, trials: int, against: Path | None) -> None:
        """Make the builds ready to be measured."""
        self.folder = folder
        self.rows = rows
        self.trials = trials
        self.commits = {"commit": commit_of(REPOSITORY), **({"before": commit_of(against)} if against else {})}
        self.workers = {"now": Worker(folder / "now", "orders")}
        if against:
            self.workers["before"] = Worker(folder / "before", "orders", against.resolve())
        self.csv: dict[str, Cost] = {}
        self.stage("csv", SMALL_ROWS)
        for worker in self.workers.values():
            worker.clean(DS)
            worker.validate(DS)

    def measure(self, name: str) -> None:
        """Take one of the measurements of `NAMES`."""
        if name in BULK:
            self.bulk(name)
        else:
            {"validate": self.validate, "memory": self.memory, "small": self.small}[name]()

    def stage(self, form: orders.Form, rows: int) -> Path:
        """Let each build have the files of a form to clean, and return the folder they are in."""
        shutil.rmtree(self.folder / "input", ignore_errors=True)
        files = orders.write(form, rows, SEED, self.folder / "input")
        for worker in self.workers.values():
            worker.stage(DS, files)
        return self.folder / "input"

    def sides(self, run: Callable[[Worker], Cost], name: str) -> Sides:
        """The same job on each build; `name` is what it is called of this one."""
        return {name if side == "now" else side: partial(run, worker) for side, worker in self.workers.items()}

    def bulk(self, name: str) -> None:
        """Measure `clean` of all rows in one form, beside DuckDB."""
        form = BULK[name]
        kind = "csv" if form in ("files", "gzip") else form
        pattern, output = f"{self.stage(form, self.rows)}/*", self.folder / "duckdb"
        output.mkdir(exist_ok=True)
        right, amounts = orders.answers(self.rows, SEED, form), set()

        def clean(worker: Worker) -> Cost:
            cost = worker.clean(DS, bundle_for(worker, kind))
            manifest = worker.read(worker.manifest(DS, "clean"))
            check_counts(manifest, right, f"clean of {form}")
            amounts.add(amount_of(Path(file["key"]) for file in manifest["output"]["files"]))
            return cost

        def duckdb() -> Cost:
            python = REPOSITORY / ".venvs" / "localaws" / "bin" / "python"
            command = [str(python), "-m", "benchmarks.peer_duckdb", kind, pattern, str(output)]
            cost, said = measured(command, environment=dict(os.environ))
            check_counts(json.loads(said.splitlines()[-1]), right, f"DuckDB of {form}")
            amounts.add(amount_of([output / "published.parquet"]))
            return cost

        costs = in_turn({**self.sides(clean, "clean"), "duckdb": duckdb}, self.trials)
        if len(amounts) > 1:
            sys.exit(f"{name}: the sums of the amounts published differ: {amounts}")
        if name == BULK_CSV:
            self.csv = costs
        elif self.csv:
            costs[BULK_CSV] = self.csv["clean"]
        worker = self.workers["now"]
        self.tell(name, self.rows, costs, phases=worker.read(worker.manifest(DS, "clean"))["seconds"])

    def validate(self) -> None:
        """Measure `validate` of what was made of the CSV file just before."""
        costs = in_turn(self.sides(lambda worker: worker.validate(DS), "validate"), self.trials)
        worker = self.workers["now"]
        manifest = worker.read(worker.manifest(DS, "validate"))
        self.tell("validate", self.rows, {**costs, "clean": self.csv["clean"]}, phases=manifest["seconds"])

    def memory(self) -> None:
        """Measure `clean` of fewer rows than the CSV file had."""
        rows = min(MEMORY_ROWS, self.rows // 10)
        self.stage("csv", rows)
        costs = in_turn(self.sides(lambda worker: worker.clean(DS), "clean"), self.trials)
        beside = {f"{side} of {rows:,} rows": cost for side, cost in costs.items()}
        self.tell("memory", self.rows, {side: self.csv[side] for side in costs} | beside, by="memory")

    def small(self) -> None:
        """Measure `clean` and `validate` of a small file."""
        self.stage("csv", SMALL_ROWS)
        sides = self.sides(lambda worker: worker.clean_and_validate(DS), "clean and validate")
        trials = max(self.trials, SMALL_TRIALS)
        self.tell("small", SMALL_ROWS, in_turn(sides, trials), trials=trials)

    def tell(self, name: str, rows: int, costs: dict[str, Cost], by: str = "wall", **more: Any) -> None:
        """Print a measurement as a line, and add it to the history.

        :param costs: what was measured, then what it is set beside.
        :param by: the number of which ratios are made.
        """
        (what, cost), *others = costs.items()
        ratios = {side: round(getattr(cost, by) / getattr(other, by), 3) for side, other in others}
        beside = (f"; {side} {other}: {ratios[side]:.2f} x" for side, other in others)
        print(f"{name:<13} {what} {cost}{''.join(beside)}", flush=True)  # noqa: T201
        figures = {side: each.figures() for side, each in costs.items()}
        told = {"trials": self.trials, **more}
        record("bulk", **self.commits, name=name, rows=rows, costs=figures, ratios=ratios, **told)


def in_turn(sides: Sides, trials: int) -> dict[str, Cost]:
    """The median cost of each side."""
    costs: dict[str, list[Cost]] = {side: [] for side in sides}
    for _ in range(trials):
        for side, run in sides.items():
            costs[side].append(run())
    return {side: Cost.median(found) for side, found in costs.items()}


def bundle_for(worker: Worker, kind: str) -> str:
    """The worker's bundle, with a contract that takes files of a kind."""
    contract, count = FORMAT.subn(f"format:\n  type: {kind}\n", worker.text(CONTRACT))
    if count != 1:
        sys.exit(f"{CONTRACT} has {count} formats")
    return worker.bundle if kind == "csv" else worker.bundle_with(CONTRACT, contract)


def check_counts(found: dict[str, Any], right: dict[str, Any], who: str) -> None:
    """End the benchmark where what somebody counted is not what the generator promises."""
    wrong = {name: (found[name], counts) for name, counts in right.items() if found[name] != counts}
    if wrong:
        sys.exit(f"{who} counts otherwise than the generator: {wrong}")


def amount_of(files: Iterable[Path]) -> Decimal:
    """The sum of the amounts in Parquet files of published orders."""
    sums = (pc.sum(pq.read_table(file, columns=["amount"])["amount"]).as_py() for file in files)
    return sum(sums, Decimal(0))


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.bulk", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000, help="orders of each form, at least 1000")
    parser.add_argument("--only", metavar="NAME,...", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--trials", type=int, default=1, help="measurements of each number; the median counts")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another build, to measure beside this one")
    asked = parser.parse_args()
    wanted = set(asked.only.split(",")) if asked.only else set(NAMES)
    if unknown := wanted - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if wanted & set(OF_BULK_CSV):
        wanted.add(BULK_CSV)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        bench = Bench(Path(folder), asked.rows, asked.trials, asked.against)
        for name in NAMES:
            if name in wanted:
                bench.measure(name)


if __name__ == "__main__":
    main()
