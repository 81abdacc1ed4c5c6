"""Calls that run some at once: answers in order, and nothing begun after one has failed."""

import signal
import threading

import pytest
from lake.parallel import PARALLEL_CALLS, in_parallel


def test_answers_come_in_the_order_of_the_arguments():
    first_may_end = threading.Event()

    def call(number, text):
        if number == 0:
            first_may_end.wait(10)
        else:
            first_may_end.set()
        return f"{number}{text}"

    assert in_parallel(call, range(3), "abc") == ["0a", "1b", "2c"]
    assert in_parallel(call, []) == []


@pytest.fixture
def begun():
    """Numbers of calls that have begun; each goes on for long enough to see what the end of one does to the others."""
    return []


def waiting(begun, seconds=2.0):
    may_end = threading.Event()
    threading.Timer(seconds, may_end.set).start()

    def call(number):
        begun.append(number)
        if number == "wrong":
            raise ValueError("refused")
        may_end.wait()

    return call


def test_after_an_error_nothing_more_is_called(begun):
    with pytest.raises(ValueError, match="refused"):
        in_parallel(waiting(begun), ["wrong", *range(100)])
    # One more took the place of the one that failed.
    assert len(begun) <= PARALLEL_CALLS + 1


def test_after_a_signal_nothing_more_is_called(begun):
    def killed(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, killed)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(KeyboardInterrupt):
            in_parallel(waiting(begun), range(100))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert begun == [*range(PARALLEL_CALLS)]
