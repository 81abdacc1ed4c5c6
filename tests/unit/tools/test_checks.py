"""The runner of the checks counts every test, and notices those that do not run."""

from __future__ import annotations

import re
import subprocess
import textwrap

import pytest

from tools import checks
from tools.environment import CHECKOUT


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of the test's own, with test folders to fill."""
    monkeypatch.setattr(checks, "CHECKOUT", tmp_path)
    monkeypatch.setattr(checks, "RESULTS", tmp_path / "results")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n')

    def write(folder: str, code: str) -> None:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "test_some.py").write_text(textwrap.dedent(code))

    return write


def suite(*folders: str) -> checks.Suite:
    return checks.Suite("suite", "airflow", folders)


def test_outcomes_are_counted(checkout):
    checkout(
        "tests/unit/a",
        """
        import pytest
        def test_good(): pass
        def test_bad(): assert False
        @pytest.mark.skip
        def test_skipped(): pass
        @pytest.fixture
        def broken(): raise ValueError
        def test_error(broken): pass
        """,
    )
    assert checks.run_tests(suite("tests/unit/a")) == {"passed": 1, "failed": 2, "skipped": 1}


def test_a_folder_in_which_no_test_ran_is_a_failure(checkout):
    checkout("tests/unit/a", "def test_good(): pass")
    checkout("tests/unit/ab", "")
    assert checks.run_tests(suite("tests/unit/a", "tests/unit/ab")) == {"passed": 1, "failed": 1}


def test_a_file_that_cannot_be_imported_is_a_failure(checkout):
    checkout("tests/unit/a", "import nothing_of_that_name")
    assert checks.run_tests(suite("tests/unit/a"))["failed"] >= 1


@pytest.mark.usefixtures("checkout")
def test_a_folder_that_is_not_there_is_a_failure():
    assert checks.run_tests(suite("tests/unit/a"))["failed"] >= 1


def test_every_test_file_of_the_repository_belongs_to_a_suite():
    assert checks.unassigned_tests() == []


def test_a_file_outside_the_suites_is_noticed(checkout):
    checkout("tests/unit/nobody", "def test_good(): pass")
    assert checks.unassigned_tests() == ["tests/unit/nobody/test_some.py"]


def test_tests_meet_no_stack_of_the_callers(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    monkeypatch.setenv("AIRFLOW_HOME", "/somewhere")
    monkeypatch.setenv("LAKE_RAW_BUCKET", "raw")
    assert not [name for name in checks.test_environment() if name.startswith(("AWS_", "AIRFLOW_", "LAKE_"))]


def test_a_linter_that_fails_shows_what_it_says_and_what_to_do(capsys):
    assert checks.lint("some lint", ["sh", "-c", "echo 'line 3 is [bad]'; exit 1"], "mend it") == {"linters": 1}
    output = capsys.readouterr().out
    assert "line 3 is [bad]" in output
    assert "mend it" in output


def test_make_lists_every_target():
    makefile = (CHECKOUT / "Makefile").read_text()
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split())
    output = subprocess.run(["make"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^  make ([a-z-]+)", output, re.MULTILINE))
    assert listed == targets - {"environments", "stack-environments", "airflow-environment"}


def test_every_shell_script_is_found_by_its_first_line(tmp_path):
    for name, line in {
        "infra/a": "#!/bin/bash",
        "infra/b.sh": "#!/bin/sh",
        "tools/bin/c": "#!/usr/bin/env bash",
        "tools/d": "#!/usr/bin/env python3",
        "tests/e.sh": "echo no shell is named",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{line}\n")
    assert checks.shell_scripts(tmp_path) == ["infra/a", "infra/b.sh", "tools/bin/c"]
