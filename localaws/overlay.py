"""Replace ministack's handlers with ours, and fail at start when one of them is no longer there."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class OverlayError(RuntimeError):
    """A ministack function that the overlay replaces does not exist in the installed version."""


def replace(module: str, name: str, replacement: Callable[..., Any]) -> Callable[..., Any]:
    """Replace the function `name` of `module` and return the original.

    Args:
        module: dotted module name, such as ``ministack.services.glue``.
        name: name of an existing callable in it.
        replacement: what takes its place.

    Returns:
        The function that was replaced, for an overlay that falls back on it.

    Raises:
        OverlayError: when the module has no such callable, so that a ministack upgrade fails loudly.
    """
    target = importlib.import_module(module)
    original = getattr(target, name, None)
    if not callable(original):
        raise OverlayError(f"{module}.{name} does not exist in this ministack: check localaws against its new version")
    setattr(target, name, replacement)
    return original


def register(module: str, table: str, key: str, handler: Any, *, existing: bool = False) -> Any:
    """Put `handler` under `key` in a dispatch table (a dict) of `module`, and return what stood there.

    Args:
        module: dotted module name.
        table: name of the dict in it, such as ``_ACTION_MAP``.
        key: entry to set.
        handler: the new entry.
        existing: True when the entry replaces one that must exist; False when it must be new.

    Raises:
        OverlayError: when the table is missing, or the entry's existence is not as expected.
    """
    entries = getattr(importlib.import_module(module), table, None)
    if not isinstance(entries, dict):
        raise OverlayError(f"{module}.{table} does not exist in this ministack: check localaws against its new version")
    if existing and key not in entries:
        raise OverlayError(f"{module}.{table}[{key!r}] no longer exists in this ministack")
    if not existing and key in entries:
        raise OverlayError(f"{module}.{table}[{key!r}] now exists in this ministack: decide which one serves better")
    previous = entries.get(key)
    entries[key] = handler
    return previous
