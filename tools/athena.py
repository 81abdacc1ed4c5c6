"""One Athena query, from submission to rows."""

from __future__ import annotations

import time
from typing import Any

from tools.processes import StackError

QUERY_SECONDS = 120
POLL_SECONDS = 0.2


def query(athena: Any, sql: str, *, database: str, workgroup: str) -> list[list[str]]:
    """Run `sql` and return its rows as text, NULL as an empty string, without the header.

    Raises:
        StackError: when the query fails, with Athena's reason, or takes too long.
    """
    query_id = athena.start_query_execution(
        QueryString=sql, QueryExecutionContext={"Database": database}, WorkGroup=workgroup
    )["QueryExecutionId"]
    deadline = time.monotonic() + QUERY_SECONDS
    while True:
        status = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
        if status["State"] == "SUCCEEDED":
            break
        if status["State"] in ("FAILED", "CANCELLED"):
            raise StackError(f"Athena {status['State']}: {status.get('StateChangeReason', 'no reason given')}\n{sql}")
        if time.monotonic() > deadline:
            raise StackError(f"Athena did not answer within {QUERY_SECONDS} s:\n{sql}")
        time.sleep(POLL_SECONDS)
    pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
    rows = [
        [cell.get("VarCharValue", "") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]
    ]
    return rows[1:]
