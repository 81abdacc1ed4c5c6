"""How every test waits for what takes a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until `condition()` is true, and return what it gave.

    Args:
        condition: what to wait for, asked every 20 ms.
        seconds: bound of the wait, wide enough for a busy machine.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen in {seconds} s"
        time.sleep(0.02)
    return found
