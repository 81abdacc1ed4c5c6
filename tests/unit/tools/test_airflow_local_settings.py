"""A savepoint on SQLite waits for other writers instead of failing when it comes to write."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tools.environment import CHECKOUT

# In a process of its own: the listener is for every engine of a process, as in Airflow.
RACE = """
    import sys, threading
    from sqlalchemy import create_engine, text
    {settings}
    engine = create_engine(f"sqlite:///{{sys.argv[1]}}", connect_args={{"timeout": 20}})
    with engine.begin() as connection:
        connection.execute(text("PRAGMA journal_mode=WAL"))
        connection.execute(text("CREATE TABLE runs (name TEXT)"))

    def scheduler():
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO runs VALUES ('scheduler')"))

    with engine.connect() as connection, connection.begin():
        with connection.begin_nested():
            connection.execute(text("SELECT * FROM runs")).all()
            other = threading.Thread(target=scheduler)
            other.start()
            other.join(0.5)
            connection.execute(text("INSERT INTO runs VALUES ('backfill')"))
    other.join()
    with engine.connect() as connection:
        print(*sorted(connection.execute(text("SELECT name FROM runs")).scalars()))
"""


def race(tmp_path, settings: str) -> subprocess.CompletedProcess[str]:
    script = textwrap.dedent(RACE).format(settings=settings)
    command = [sys.executable, "-c", script, str(tmp_path / "airflow.db")]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60)


def test_without_it_sqlite_refuses(tmp_path):
    assert "database is locked" in race(tmp_path, "").stderr


def test_with_it_both_write(tmp_path):
    result = race(tmp_path, "import tools.airflow_local_settings")
    assert (result.stdout, result.stderr) == ("backfill scheduler\n", "")


@pytest.mark.parametrize("name", ["event", "Engine", "Connection"])
def test_it_replaces_no_setting_of_airflow(name):
    from tools import airflow_local_settings

    assert name not in airflow_local_settings.__all__
