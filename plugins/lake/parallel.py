"""Calls to AWS, some at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

PARALLEL_CALLS = 8
Answer = TypeVar("Answer")


def in_parallel(call: Callable[..., Answer], *arguments: Iterable[Any]) -> list[Answer]:
    """Return what `call` answers to each of the arguments, in their order, as `map` does.

    The first one that raises ends it, and so does a signal: what has not begun by then is not called.
    """
    with ThreadPoolExecutor(PARALLEL_CALLS) as pool:
        return list(pool.map(call, *arguments))
