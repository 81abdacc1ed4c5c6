"""The lease against real conditional writes."""

import itertools
import threading

import pytest
from lake.lease import WorkerLease

workers = (f"i-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def bucket(aws):
    aws("s3").create_bucket(Bucket="leases-bucket")
    return "leases-bucket"


@pytest.fixture
def now():
    """What the clock shows, to be changed by the test."""
    return [1000.0]


@pytest.fixture
def lease(aws, bucket, now):
    return WorkerLease(aws("s3"), bucket, next(workers), stop_seconds=600, clock=lambda: now[0])


def test_the_last_holder_stops_the_worker(lease):
    assert lease.acquire("a", 60)
    assert lease.acquire("b", 60)
    assert lease.release("a") == ["b"]
    assert lease.release("b") is None
    lease.asked_to_stop("b", over=True)
    assert lease.release("b") == [], "it holds nothing any more: there is nothing to stop"


def test_who_never_held_the_worker_stops_nothing(lease):
    assert lease.release("a") == []
    lease.acquire("b", 60)
    assert lease.release("a") == ["b"]
    assert lease.release("b") is None


def test_nobody_takes_a_worker_while_its_stop_is_asked_for(lease):
    lease.acquire("a", 60)
    lease.release("a")
    assert not lease.acquire("b", 60)
    assert not lease.acquire("a", 60), "not even the run whose stop it is, by a task that was cleared"
    lease.asked_to_stop("a", over=False)
    assert lease.acquire("b", 60)
    assert lease.release("a") == ["b"]


def test_a_stop_that_was_asked_for_in_vain_is_asked_for_again(lease):
    lease.acquire("a", 60)
    assert lease.release("a") is None
    assert lease.release("a") is None
    lease.asked_to_stop("a", over=False)
    assert lease.release("a") is None


def test_a_lease_that_nobody_gave_back_does_not_count_for_ever(lease, now):
    lease.acquire("lost", 60)
    lease.acquire("a", 600)
    now[0] += 61
    assert lease.release("a") is None


def test_a_lease_is_prolonged_and_never_shortened(lease, now):
    lease.acquire("a", 600)
    lease.acquire("a", 60)
    lease.acquire("b", 3600)
    now[0] += 599
    assert lease.release("b") == ["a"]
    lease.acquire("b", 3600)
    lease.acquire("a", 60)
    now[0] += 59
    assert lease.release("b") == ["a"]


def test_an_abandoned_stop_does_not_block_for_ever(lease, now):
    lease.acquire("a", 60)
    lease.release("a")
    now[0] += 599
    assert not lease.acquire("b", 60)
    now[0] += 2
    assert lease.acquire("b", 60)
    lease.asked_to_stop("a", over=True)  # it wakes up, late
    assert lease.release("c") == ["b"]
    assert lease.release("b") is None


def test_many_at_once_lose_no_holder(aws, bucket):
    worker = next(workers)
    names = [f"run-{number}" for number in range(12)]

    def take(name):
        WorkerLease(aws("s3"), bucket, worker).acquire(name, 60)

    threads = [threading.Thread(target=take, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert WorkerLease(aws("s3"), bucket, worker).release("run-0") == sorted(names[1:])
