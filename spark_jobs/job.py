"""What every job does alike: arguments, phases timed, the manifest's frame, and one clear line when it fails."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from contract.dataset import Contract, load_contract

from spark_jobs.errors import DataError, NotReadyError

BUNDLE = Path(__file__).resolve().parents[1]
"""The folder that holds spark_jobs/, include/ and expectations/: on the worker, the unpacked code bundle."""

RUN_SLUG = re.compile(r"[A-Za-z0-9_-]{1,200}")
EX_DATAERR = 65
EX_OSERR = 71
EX_TEMPFAIL = 75


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What every job is told: the dataset, the date, the slug of the Airflow run, and where to write its manifest."""

    dataset: str
    ds: date
    run: str
    manifest: str


class Phases:
    """Seconds spent per named phase, in the order in which the phases first began."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count the time inside the `with` block as phase `name`."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 3)


def parser(step: str, ds_type: Any = date.fromisoformat, **uris: str) -> argparse.ArgumentParser:
    """The arguments of a job: `--dataset`, `--ds`, `--run`, and a URI per keyword, its value the help text.

    :param ds_type: what makes of the text of `--ds` its value.
    """
    arguments = argparse.ArgumentParser(prog=step, allow_abbrev=False)
    arguments.add_argument("--dataset", required=True, help="a contract in include/datasets")
    arguments.add_argument("--ds", required=True, type=ds_type, help="the date to process, YYYY-MM-DD; or dates")
    arguments.add_argument("--run", required=True, type=run_slug, help="slug of the Airflow run")
    for name, text in uris.items():
        arguments.add_argument(f"--{name.replace('_', '-')}", required=True, metavar="URI", help=text)
    return arguments


def run_slug(text: str) -> str:
    """A run as it appears in keys.

    :raises ValueError: it has other characters than letters, digits, `_` and `-`.
    """
    if not RUN_SLUG.fullmatch(text):
        raise ValueError(text)
    return text


def contract_of(dataset: str) -> Contract:
    """The contract of `dataset` in the bundle.

    :raises DataError: there is none.
    """
    contracts = {path.stem: path for path in (BUNDLE / "include" / "datasets").glob("*.yaml")}
    if dataset not in contracts:
        raise DataError(f"there is no contract include/datasets/{dataset}.yaml")
    return load_contract(contracts[dataset])


def frame(step: str, arguments: Arguments | argparse.Namespace, **more: Any) -> dict[str, Any]:
    """The beginning of every manifest."""
    return {"step": step, "dataset": arguments.dataset, "ds": f"{arguments.ds}", "run": arguments.run, **more}


def versions(*packages: str) -> dict[str, str]:
    """The versions of Python, of the code bundle, and of the named packages."""
    bundle = {"bundle": os.environ["LAKE_BUNDLE_SHA256"]} if "LAKE_BUNDLE_SHA256" in os.environ else {}
    return {
        "python": platform.python_version(),
        **bundle,
        **{package: importlib.metadata.version(package) for package in packages},
    }


def main(
    step: str,
    arguments: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], None],
    when_done: Callable[[], None] = lambda: None,
) -> None:
    """Run a job and exit: 0 when it is done, 65 when the data is at fault, 71 when memory ran out, 75 when something
    else must come first, else 1.

    What went wrong is one line, in the file LAKE_ERROR_FILE when lake-worker asks for it there (spark-submit mixes a
    script's stderr into its stdout, so lake-worker prints the line), else on stderr.

    :param when_done: called before the exit with 0.
    """
    parsed = arguments.parse_args()
    try:
        run(parsed)
        code = 0
    except DataError as error:
        code, problem = EX_DATAERR, f"{error}"
    except NotReadyError as error:
        code, problem = EX_TEMPFAIL, f"{error}"
    except Exception as error:
        traceback.print_exc()
        problem = unexpected(error, parsed.dataset)
        # Spark's own accounts of memory end so without the JVM's end.
        code = EX_OSERR if "MemoryError" in f"{type(error).__name__}: {error}" else 1
    if code:
        line = f"ERROR {step} {parsed.dataset} {parsed.ds}: {one_line(problem)}\n"
        if error_file := os.environ.get("LAKE_ERROR_FILE"):
            Path(error_file).write_text(line, encoding="utf-8")
        else:
            sys.stderr.write(line)
    else:
        when_done()
    sys.exit(code)


def unexpected(error: Exception, dataset: str) -> str:
    """What an alert tells of an error that no rule foresaw: without its text, where that may hold personal data."""
    if contract_of(dataset).personal_columns:
        return f"{type(error).__name__}: what it says may hold personal data, and is in the job's output only"
    return f"{type(error).__name__}: {error}"


def one_line(text: str, limit: int = 2000) -> str:
    """`text` with its line breaks shown as spaces, cut at `limit` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[:limit]}..."


def say(text: str) -> None:
    """Tell whoever reads the job's log what was done."""
    print(text, flush=True)  # noqa: T201
