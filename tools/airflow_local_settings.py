"""What Airflow does differently on a laptop; `make up` copies this file to AIRFLOW_HOME/config, where Airflow finds it.

`airflow backfill create` reads inside a savepoint and then writes. On SQLite a savepoint begins a transaction that
takes the lock for writing only when it first writes, and fails at once ("database is locked", whatever the timeout)
when somebody else has written in between: the scheduler does, every second. Taking the lock first makes it wait.

A service that no longer answers tells where it is: `kill -USR1` writes the stacks of its threads to its log.

Sources: https://www.sqlite.org/lang_savepoint.html, https://www.sqlite.org/rescode.html#busy_snapshot
"""

from __future__ import annotations

import faulthandler
import signal

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

# Airflow takes over the names in here as settings of its own.
__all__: list[str] = []

faulthandler.register(signal.SIGUSR1, file=2)


@event.listens_for(Engine, "savepoint")
def take_the_write_lock(connection: Connection, _name: str) -> None:
    """Begin a transaction for writing before a savepoint that would otherwise begin one for reading."""
    driver = connection.connection.dbapi_connection
    if connection.dialect.driver == "pysqlite" and driver is not None and not driver.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
