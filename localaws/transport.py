"""A private network counts as secure transport, so that a bucket policy that demands TLS holds without certificates."""

from __future__ import annotations

import ipaddress
from typing import Any

from ministack import app

from localaws.overlay import replace


def install() -> None:
    """Make `aws:SecureTransport` true for a request from this machine, or from a container on it."""
    original: Any = app.pin_request_origin

    def pin_request_origin(source_ip: str, secure_transport: bool) -> None:
        original(source_ip, secure_transport or ipaddress.ip_address(source_ip).is_private)

    replace(app.__name__, "pin_request_origin", pin_request_origin)
