"""`python -m tools.checks check|test|chaos`: lint, types and tests of the repository, each in the environment it needs.

Every step runs, whatever fails before it, two side by side, and shows what it said when it has ended. The last line
counts the tests of all runs together: ``N passed, N failed, N skipped``.
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
AT_ONCE = 2
"""How many suites and linters run side by side: each keeps about one core busy."""
SHELL = re.compile(rb"#!\S*(/|/env )(ba|da)?sh\s")


@dataclass(frozen=True)
class Suite:
    """Test folders that one pytest runs, in one environment."""

    name: str
    environment: str
    folders: tuple[str, ...]


# Both from long to short, so that the last ones to run are short.
SLOW = (
    Suite("e2e", "airflow", ("tests/e2e",)),
    Suite("integration-worker", "worker", ("tests/broken", "tests/fuzz", "tests/integration/worker")),
    Suite(
        "integration-airflow",
        "airflow",
        ("tests/integration/plugins", "tests/integration/sql", "tests/integration/tools"),
    ),
    Suite("integration-localaws", "localaws", ("tests/integration/infra", "tests/integration/localaws")),
)
CHAOS = (Suite("chaos", "airflow", ("tests/chaos",)), Suite("fuzz", "worker", ("tests/fuzz",)))
UNIT = (
    Suite("unit-spark", "worker", ("tests/unit/spark_jobs",)),
    Suite("unit-worker", "worker", ("tests/unit/benchmarks", "tests/unit/contract", "tests/unit/worker")),
    Suite(
        "unit-airflow",
        "airflow",
        ("tests/unit/compose", "tests/unit/dags", "tests/unit/plugins", "tests/unit/tools"),
    ),
    Suite("unit-localaws", "localaws", ("tests/unit/localaws", "tests/conformance")),
)


def linters() -> Iterator[tuple[str, list[str], str]]:
    """Yield name, command, and what to do when it fails."""
    for environment, packages in (
        ("airflow", ["dags", "plugins/lake", "infra", "tools"]),
        ("worker", ["plugins/contract", "spark_jobs"]),
        ("localaws", ["localaws"]),
    ):
        interpreter = ["--python-executable", f".venvs/{environment}/bin/python"]
        cache = ["--cache-dir", f".mypy_cache/{environment}"]
        yield f"mypy {' '.join(packages)}", [f"{DEV}/mypy", *interpreter, *cache, *packages], "correct the types named"
    scan = [".venvs/scan/bin/checkov", "--directory", "infra/stacks", "--framework", "cloudformation"]
    scan += ["--quiet", "--compact", "--skip-download"]
    yield "checkov", scan, "mend the resource, or say at it why not: # checkov:skip=CHECK:why"
    yield "cfn-lint", [f"{DEV}/cfn-lint", "infra/stacks/*.yaml"], "correct the template where it says"
    yield "sqlfluff", [f"{DEV}/sqlfluff", "lint", "include/sql"], "make format mends most of it"
    pages = ["env", "PYTHONPATH=plugins", f"{python_of('airflow')}", "-m", "tools.dataset_docs", "--check"]
    yield "docs/datasets", pages, "make docs"
    for schema, file in (
        ("vendor.compose-spec", "docker-compose.yaml"),
        ("vendor.github-workflows", ".github/workflows/ci.yaml"),
    ):
        yield file, [f"{DEV}/check-jsonschema", "--builtin-schema", schema, file], f"correct {file} where it says"
    yield "import-linter", ["env", "PYTHONPATH=.:plugins", f"{DEV}/lint-imports"], "move the import where it belongs"
    yield "shellcheck", [f"{DEV}/shellcheck", *shell_scripts()], "correct the script, or say at the line why not"
    yield "ruff", [f"{DEV}/ruff", "check", "."], "make format mends most of it"
    yield "ruff format", [f"{DEV}/ruff", "format", "--check", "."], "make format"


def shell_scripts(checkout: Path = CHECKOUT) -> list[str]:
    """Return the files of the checkout whose first line says that a shell runs them."""
    folders = (".ci", "docker", "infra", "tests", "tools")
    files = (path for folder in folders for path in sorted((checkout / folder).rglob("*")) if path.is_file())
    return [str(path.relative_to(checkout)) for path in files if SHELL.match(path.read_bytes()[:40])]


def lint(name: str, command: list[str], advice: str) -> Counter[str]:
    """Run one linter, show its output when it fails, and count it under ``linters`` then."""
    started = time.monotonic()
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=900)
    seconds = time.monotonic() - started
    if result.returncode == 0:
        console.print(f"  [green]✓[/] {name} [dim]{seconds:.1f} s[/]")
        return Counter()
    output = Text((result.stdout + result.stderr).rstrip())
    console.print(f"  [red]✗[/] {name} [dim]{seconds:.1f} s[/]  → {advice}", output, sep="\n")
    return Counter(linters=1)


def run_tests(suite: Suite) -> Counter[str]:
    """Run one suite with pytest, show what it says, and count its outcomes.

    Returns:
        How many tests ``passed``, ``failed`` (errors included) and were ``skipped``. A folder without a test, and a run
        that broke before it could count, are one failure each.
    """
    started = time.monotonic()
    report = RESULTS / f"{suite.name}.xml"
    report.unlink(missing_ok=True)
    pytest = [str(python_of(suite.environment)), "-m", "pytest", "-q", "--durations=3", f"--junitxml={report}"]
    present = [folder for folder in suite.folders if (CHECKOUT / folder).is_dir()]
    # Without a folder pytest would run everything.
    command = [*pytest, *present] if present else ["true"]
    result = subprocess.run(
        command,
        cwd=CHECKOUT,
        env=test_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    cases = read_report(report) if report.exists() else []
    outcomes = Counter(outcome for _, outcome in cases)
    problems = [
        f"no test ran in {folder}"
        for folder in suite.folders
        if not any(module.startswith(folder.replace("/", ".") + ".") for module, _ in cases)
    ]
    if result.returncode and not outcomes["failed"]:
        problems.append(f"pytest of {suite.name} ended with exit code {result.returncode}")
    outcomes["failed"] += len(problems)
    mark = "[red]✗[/]" if outcomes["failed"] else "[green]✓[/]"
    seconds = f"[dim]{time.monotonic() - started:.1f} s[/]"
    # In one call, as what runs beside it prints too.
    console.print(
        f"  {mark} {suite.name}: {', '.join(suite.folders)} {seconds}",
        Text(result.stdout.rstrip()),
        *(f"  [red]✗[/] {problem}" for problem in problems),
        sep="\n",
    )
    return outcomes


def read_report(report: Path) -> list[tuple[str, str]]:
    """Return the dotted module and the outcome (passed, failed, skipped) of each test in a JUnit report of pytest."""
    return [
        (case.get("classname", ""), _outcome({child.tag for child in case}))
        for case in ElementTree.parse(report).iter("testcase")  # noqa: S314  our own file
    ]


def unassigned_tests() -> list[str]:
    """Return test files that no suite would run."""
    folders = [CHECKOUT / folder for suite in (*UNIT, *SLOW, *CHAOS) for folder in suite.folders]
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
    parser.add_argument("what", choices=["check", "test", "chaos"])
    what = parser.parse_args().what
    started = time.monotonic()
    stray = unassigned_tests()
    for path in stray:
        console.print(f"  [red]✗[/] {path} belongs to no suite of tools/checks.py: it would never run")
    outcomes: Counter[str] = Counter(failed=len(stray))
    suites = {"check": UNIT, "test": (*SLOW, *UNIT), "chaos": CHAOS}[what]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running = [pool.submit(run_tests, suite) for suite in suites]
        if what != "chaos":
            running += [pool.submit(lint, *linter) for linter in linters()]
        for each in running:
            outcomes += each.result()
    console.rule(f"[bold]{time.monotonic() - started:.0f} s[/]", align="left")
    if outcomes["linters"]:
        console.print(f"[red]{outcomes['linters']} linters failed[/]")
    console.print(f"{outcomes['passed']} passed, {outcomes['failed']} failed, {outcomes['skipped']} skipped")
    return 1 if outcomes["linters"] or outcomes["failed"] else 0


def _outcome(tags: set[str]) -> str:
    if tags & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in tags else "passed"


if __name__ == "__main__":
    sys.exit(main())
