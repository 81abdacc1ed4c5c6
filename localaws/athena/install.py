"""Puts this Athena in the place of ministack's."""

from __future__ import annotations

import importlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.services import athena

from localaws.athena import api, engine
from localaws.overlay import OverlayError, replace

_ATHENA = "ministack.services.athena"

# Operations that ministack does not know.
_ADDED = {
    "ListEngineVersions": api.list_engine_versions,
    "UpdatePreparedStatement": api.update_prepared_statement,
}

# What is used of ministack, beyond what is replaced.
_NEEDED = {
    _ATHENA: (
        "_Cursor", "_parse_ddl", "_CreateTable", "_create_table_input", "_column_list", "_property_list", "_executions",
        "_workgroups", "_prepared_statements", "_create_prepared_statement", "_execution_out",
        "_glue_table_to_metadata", "_athena_database",
    ),
    "ministack.services.s3": ("_buckets", "_object_disk_path", "_put_object", "DATA_DIR"),
    "ministack.services.glue": (
        "_databases", "_tables", "_partitions", "_create_database", "_delete_database", "_create_table",
        "_update_table", "_delete_table", "_batch_create_partition", "_batch_update_partition", "_delete_partition",
    ),
    "ministack.core.iam_evaluator": ("_verified_key", "enforce", "pin_request_origin", "AuthError"),
}  # fmt: skip


def install() -> None:
    """Replace ministack's query operations.

    Raises:
        OverlayError: when this ministack has no such operation, or lacks something they stand on.
    """
    for module, names in _NEEDED.items():
        for name in names:
            if not hasattr(importlib.import_module(module), name):
                raise OverlayError(
                    f"{module}.{name} does not exist in this ministack: check localaws against its new version"
                )
    engine.clear_scratch()
    replace(_ATHENA, "_start_query_execution", api.answered(api.start_query_execution))
    replace(_ATHENA, "_get_query_execution", api.answered(api.get_query_execution))
    replace(_ATHENA, "_get_query_results", api.answered(api.get_query_results))
    replace(_ATHENA, "_stop_query_execution", api.answered(api.stop_query_execution))
    replace(_ATHENA, "_list_query_executions", api.answered(api.list_query_executions))
    replace(_ATHENA, "_get_database", api.answered(api.get_database))
    replace(_ATHENA, "_list_databases", api.answered(api.list_databases))
    replace(_ATHENA, "_list_table_metadata", api.answered(api.list_table_metadata))
    replace(_ATHENA, "_get_table_metadata", api.answered(api.get_table_metadata))
    replace(_ATHENA, "_get_workgroup", api.answered(api.get_work_group))
    for operation in ("_create_workgroup", "_update_workgroup"):
        replace(_ATHENA, operation, api.checked_work_group(getattr(athena, operation)))
    answer: Callable[..., Awaitable[Any]] = athena.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, *rest: Any) -> Any:
        operation = _ADDED.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if operation is not None:
            return api.answered(operation)(json.loads(body or b"{}"))
        return await answer(method, path, headers, body, *rest)

    replace(_ATHENA, "handle_request", handle_request)
    restore: Callable[[Any], Any]

    def load_persisted_state(state: Any) -> None:
        restore(state)
        api.fail_interrupted()

    restore = replace(_ATHENA, "load_persisted_state", load_persisted_state)
