"""How every test waits for what takes a moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(condition: Callable[[], Any], seconds: float = 60, every: float = 0.02) -> Any:
    """Wait until `condition()` is true, and return what it gave.

    Args:
        condition: what to wait for.
        seconds: bound of the wait, wide enough for a busy machine.
        every: seconds between two looks; longer where a look costs the machine more than a moment.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen in {seconds} s"
        time.sleep(every)
    return found
