"""The DuckDB that runs every query: one instance with one memory limit, and a connection for each query."""

from __future__ import annotations

import atexit
import os
import shutil
import threading
from functools import cache
from pathlib import Path

import duckdb
from ministack.services import s3

from localaws.athena import computed
from localaws.athena.expressions import MACROS
from localaws.settings import STATE

MEMORY_LIMIT = os.environ.get("LOCALAWS_ATHENA_MEMORY", "1GB")
"""Of all queries together; what does not fit is written to disk."""

THREADS = int(os.environ.get("LOCALAWS_ATHENA_THREADS", "2"))

SCRATCH = STATE / "athena"
"""Where DuckDB spills, and where data files are written before they become objects."""

_lock = threading.Lock()


@cache
def _instance() -> duckdb.DuckDBPyConnection:
    (SCRATCH / "spill").mkdir(parents=True, exist_ok=True)
    instance = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": MEMORY_LIMIT,
            "threads": THREADS,
            "temp_directory": str(SCRATCH / "spill"),
            # Nothing is fetched: what is not in the wheel does not exist here.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    prepare(instance)
    for setting in (
        f"allowed_directories = ['{SCRATCH}', '{Path(s3.DATA_DIR)}']",
        "enable_external_access = false",
    ):
        instance.execute(f"SET GLOBAL {setting}")
    instance.execute("SET GLOBAL lock_configuration = true")
    return instance


def prepare(instance: duckdb.DuckDBPyConnection) -> None:
    """Let a DuckDB compute as the compiled SQL expects it to."""
    for setting in (
        "disabled_optimizers = 'type_pushdown'",  # it turns TRY_CAST over a CSV file into CAST
        "ieee_floating_point_ops = true",
        "TimeZone = 'UTC'",
    ):
        instance.execute(f"SET GLOBAL {setting}")
    computed.install(instance)
    for macro in MACROS:
        instance.execute(macro)


def clear_scratch() -> None:
    """Remove what queries of an earlier server left behind."""
    shutil.rmtree(SCRATCH, ignore_errors=True)


@atexit.register
def close() -> None:
    """Close the instance, which otherwise complains at the end of its functions in Python."""
    if _instance.cache_info().currsize:
        _instance().close()


def replace_broken() -> None:
    """Start a new instance at the next query: after a fatal error DuckDB answers nothing any more."""
    with _lock:
        _instance.cache_clear()


def connect() -> duckdb.DuckDBPyConnection:
    """A connection of its own for one query: its views are not seen by others, and it can be interrupted alone."""
    with _lock:
        return _instance().cursor()
