"""Where the workers of all tests keep the class archives that speed up the start of Spark."""

from __future__ import annotations

from pathlib import Path

JAVA = Path(__file__).resolve().parents[1] / ".local" / "tests" / "java"


def share_java(home: Path) -> Path:
    """Let the worker with this home use the archives of all tests: the first job makes them, in half a minute."""
    JAVA.mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    (home / "java").symlink_to(JAVA, target_is_directory=True)
    return home
