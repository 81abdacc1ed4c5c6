"""`python -m tools.checks check|test`: lint, types and tests of the whole repository, each in the environment it needs.

Every step runs, whatever fails before it. The last line counts the tests of all runs together:
``N passed, N failed, N skipped``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from tools.console import console
from tools.environment import CHECKOUT, LOCAL, OUR_PREFIXES, python_of

RESULTS = LOCAL / "test-results"
DEV = Path(".venvs/dev/bin")
LINTERS_AT_ONCE = 2
SHELL = re.compile(rb"#!\S*(/|/env )(ba|da)?sh\s")


@dataclass(frozen=True)
class Suite:
    """Test folders that run together, in one environment and so many processes, a file of tests in one of them."""

    name: str
    environment: str
    folders: tuple[str, ...]
    processes: int = 2


UNIT = (
    Suite("unit-worker", "worker", ("tests/unit/contract", "tests/unit/spark_jobs", "tests/unit/worker")),
    Suite("unit-localaws", "localaws", ("tests/unit/localaws",), processes=0),
    Suite(
        "unit-airflow",
        "airflow",
        ("tests/unit/compose", "tests/unit/dags", "tests/unit/plugins", "tests/unit/tools"),
    ),
)
SLOW = (
    Suite("integration-localaws", "localaws", ("tests/integration/infra", "tests/integration/localaws")),
    Suite("integration-worker", "worker", ("tests/broken", "tests/integration/worker")),
    Suite(
        "integration-airflow",
        "airflow",
        ("tests/integration/plugins", "tests/integration/sql", "tests/integration/tools"),
    ),
    Suite("e2e", "airflow", ("tests/e2e",)),
)


def linters() -> Iterator[tuple[str, list[str], str]]:
    """Yield name, command, and what to do when it fails."""
    yield "ruff", [f"{DEV}/ruff", "check", "."], "make format mends most of it"
    yield "ruff format", [f"{DEV}/ruff", "format", "--check", "."], "make format"
    for environment, packages in (
        ("airflow", ["dags", "plugins/lake", "infra", "tools"]),
        ("worker", ["plugins/contract", "spark_jobs"]),
        ("localaws", ["localaws"]),
    ):
        interpreter = ["--python-executable", f".venvs/{environment}/bin/python"]
        cache = ["--cache-dir", f".mypy_cache/{environment}"]
        yield f"mypy {' '.join(packages)}", [f"{DEV}/mypy", *interpreter, *cache, *packages], "correct the types named"
    yield "sqlfluff", [f"{DEV}/sqlfluff", "lint", "include/sql"], "make format mends most of it"
    yield "import-linter", ["env", "PYTHONPATH=.:plugins", f"{DEV}/lint-imports"], "move the import where it belongs"
    pages = ["env", "PYTHONPATH=plugins", f"{python_of('airflow')}", "-m", "tools.dataset_docs", "--check"]
    yield "docs/datasets", pages, "make docs"
    yield "cfn-lint", [f"{DEV}/cfn-lint", "infra/stacks/*.yaml"], "correct the template where it says"
    scan = [".venvs/scan/bin/checkov", "--directory", "infra/stacks", "--framework", "cloudformation"]
    scan += ["--quiet", "--compact", "--skip-download"]
    yield "checkov", scan, "mend the resource, or say at it why not: # checkov:skip=CHECK:why"
    yield "shellcheck", [f"{DEV}/shellcheck", *shell_scripts()], "correct the script, or say at the line why not"
    for schema, file in (
        ("vendor.compose-spec", "docker-compose.yaml"),
        ("vendor.github-workflows", ".github/workflows/ci.yaml"),
    ):
        yield file, [f"{DEV}/check-jsonschema", "--builtin-schema", schema, file], f"correct {file} where it says"


def shell_scripts(checkout: Path = CHECKOUT) -> list[str]:
    """Return the files of the checkout whose first line says that a shell runs them."""
    folders = (".ci", "docker", "infra", "tests", "tools")
    files = (path for folder in folders for path in sorted((checkout / folder).rglob("*")) if path.is_file())
    return [str(path.relative_to(checkout)) for path in files if SHELL.match(path.read_bytes()[:40])]


def failed_linters() -> list[str]:
    """Run all linters, a few at once, and return the names of those that failed."""
    with ThreadPoolExecutor(LINTERS_AT_ONCE) as pool:
        running = [(name, pool.submit(lint, name, command, advice)) for name, command, advice in linters()]
        return [name for name, passed in running if not passed.result()]


def lint(name: str, command: list[str], advice: str) -> bool:
    """Run one linter, show its output when it fails, and return whether it passed."""
    started = time.monotonic()
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=900)
    seconds = time.monotonic() - started
    if result.returncode == 0:
        console.print(f"  [green]✓[/] {name} [dim]{seconds:.1f} s[/]")
        return True
    output = Text((result.stdout + result.stderr).rstrip())
    # In one call, as another linter may be printing too.
    console.print(f"  [red]✗[/] {name} [dim]{seconds:.1f} s[/]  → {advice}", output, sep="\n")
    return False


def run_tests(suite: Suite) -> Counter[str]:
    """Run one suite with pytest and count its outcomes.

    Returns:
        How many tests ``passed``, ``failed`` (errors included) and were ``skipped``. A folder without a test, and a run
        that broke before it could count, are one failure each.
    """
    console.rule(f"[bold]{suite.name}[/]: {', '.join(suite.folders)}", align="left")
    report = RESULTS / f"{suite.name}.xml"
    report.unlink(missing_ok=True)
    pytest = [str(python_of(suite.environment)), "-m", "pytest", "-q", "--durations=3", f"--junitxml={report}"]
    pytest += [f"--numprocesses={suite.processes}", "--dist=loadfile"]
    present = [folder for folder in suite.folders if (CHECKOUT / folder).is_dir()]
    # Without a folder pytest would run everything.
    command = [*pytest, *present] if present else ["true"]
    result = subprocess.run(command, cwd=CHECKOUT, env=test_environment(), check=False)
    cases = read_report(report) if report.exists() else []
    outcomes = Counter(outcome for _, outcome in cases)
    if result.returncode and not outcomes["failed"]:
        console.print(f"  [red]✗[/] pytest of {suite.name} ended with exit code {result.returncode}")
        outcomes["failed"] += 1
    for folder in suite.folders:
        if not any(module.startswith(folder.replace("/", ".") + ".") for module, _ in cases):
            console.print(f"  [red]✗[/] no test ran in {folder}")
            outcomes["failed"] += 1
    return outcomes


def read_report(report: Path) -> list[tuple[str, str]]:
    """Return the dotted module and the outcome (passed, failed, skipped) of each test in a JUnit report of pytest."""
    return [
        (case.get("classname", ""), _outcome({child.tag for child in case}))
        for case in ElementTree.parse(report).iter("testcase")  # noqa: S314  our own file
    ]


def unassigned_tests() -> list[str]:
    """Return test files that no suite would run."""
    folders = [CHECKOUT / folder for suite in (*UNIT, *SLOW) for folder in suite.folders]
    return sorted(
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "tests").rglob("test_*.py")
        if not any(path.is_relative_to(folder) for folder in folders)
    )


def test_environment() -> dict[str, str]:
    """Return the caller's environment without settings of the stack, so that tests never meet a running or real one."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OUR_PREFIXES)}


def main() -> int:
    """Run what the command line asks for, and return 1 when anything failed."""
    parser = argparse.ArgumentParser(prog="tools.checks", description=__doc__)
    parser.add_argument("what", choices=["check", "test"])
    everything = parser.parse_args().what == "test"
    started = time.monotonic()
    console.rule("[bold]lint, types, templates[/]", align="left")
    failed = failed_linters()
    stray = unassigned_tests()
    for path in stray:
        console.print(f"  [red]✗[/] {path} belongs to no suite of tools/checks.py: it would never run")
    outcomes: Counter[str] = Counter(failed=len(stray))
    for suite in (*UNIT, *SLOW) if everything else UNIT:
        outcomes += run_tests(suite)
    console.rule(f"[bold]{time.monotonic() - started:.0f} s[/]", align="left")
    if failed:
        console.print(f"[red]failed: {', '.join(failed)}[/]")
    console.print(f"{outcomes['passed']} passed, {outcomes['failed']} failed, {outcomes['skipped']} skipped")
    return 1 if failed or outcomes["failed"] else 0


def _outcome(tags: set[str]) -> str:
    if tags & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in tags else "passed"


if __name__ == "__main__":
    sys.exit(main())
