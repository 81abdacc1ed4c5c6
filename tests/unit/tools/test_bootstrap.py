"""The bootstrap takes a Python it supports, and says so when there is none."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tools.environment import CHECKOUT

NAMES = ("python3.13", "python3.12", "python3.11", "python3", "python")


@pytest.fixture
def path(tmp_path):
    """A PATH with the few tools that the script needs, and no Python but those a test adds."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "dirname", "cut", "cat", "cksum", "rm", "date"):
        (folder / tool).symlink_to(shutil.which(tool))
    return folder


def add_python(folder, name: str, version: str) -> None:
    """Add a program that fails the question whether it is supported, as one of `version` would."""
    script = f'#!/bin/sh\n[ "$1" = --version ] && {{ echo Python {version}; exit; }}\nexit 1\n'
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


def bootstrap(path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(CHECKOUT / "tools" / "bootstrap.sh")],
        env={"PATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("version", ["3.10.14", "3.14.0"])
def test_an_unsupported_python_is_refused_with_its_version(path, version):
    add_python(path, "python3", version)
    result = bootstrap(path)
    assert result.returncode == 1
    assert f"no Python 3.11, 3.12 or 3.13 found on PATH (python3 is Python {version})" in result.stderr
    assert "make PYTHON=" in result.stderr


def test_no_python_at_all_is_said(path):
    result = bootstrap(path)
    assert result.returncode == 1
    assert "python3 is absent" in result.stderr


def test_a_chosen_python_is_not_replaced_by_another(path):
    add_python(path, "mine", "3.10.1")
    result = bootstrap(path, PYTHON="mine")
    assert result.returncode == 1
    assert "PYTHON=mine is Python 3.10.1" in result.stderr


def test_a_supported_python_is_found_whatever_its_name(path):
    for name in NAMES[:-1]:
        add_python(path, name, "3.10.0")
    (path / "python").symlink_to(CHECKOUT / ".venvs" / "airflow" / "bin" / "python")
    result = bootstrap(path)
    assert (result.returncode, result.stderr) == (0, "")
