"""A request for a service that is not here gets an error that its client can read, in the client's own protocol."""

from __future__ import annotations

import json
from typing import Any

from ministack import app

from localaws.overlay import replace

MARK = b'{"error": "Unsupported service: '
"""How ministack's own answer begins, which names no error code and so reaches a caller without its message."""


def readable(headers: dict[str, str], service: str) -> tuple[int, dict[str, str], bytes]:
    """The answer UnsupportedOperation, as XML to a query-protocol client and as JSON to the others."""
    code, message = "UnsupportedOperation", f"localaws has no service {service}"
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
        return 400, {"Content-Type": "text/xml"}, f"<ErrorResponse>{error}</ErrorResponse>".encode()
    body = json.dumps({"__type": code, "message": message}).encode()
    return 400, {"Content-Type": "application/json", "x-amzn-errortype": code}, body


def install() -> None:
    """Answer for services that ministack does not have."""
    dispatch: Any = app._dispatch_service_request

    async def dispatch_readably(method: str, path: str, headers: dict[str, str], *rest: Any) -> Any:
        response = await dispatch(method, path, headers, *rest)
        body = response[2]
        if isinstance(body, bytes) and body.startswith(MARK):
            return readable(headers, json.loads(body)["error"].rpartition(" ")[2])
        return response

    replace(app.__name__, "_dispatch_service_request", dispatch_readably)
