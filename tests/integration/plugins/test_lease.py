"""The lease against real conditional writes."""

import itertools
import threading

import pytest
from lake.lease import LeaseError, WorkerLease

workers = (f"i-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def bucket(aws):
    aws("s3").create_bucket(Bucket="leases-bucket")
    return "leases-bucket"


@pytest.fixture
def lease(aws, bucket):
    return WorkerLease(aws("s3"), bucket, next(workers))


def test_the_last_holder_stops_the_worker(lease):
    lease.acquire("a", lease_seconds=60, timeout=1)
    lease.acquire("b", lease_seconds=60, timeout=1)
    assert lease.release("a") == ["b"]
    assert lease.release("b") == []


def test_nobody_takes_a_worker_while_it_is_being_stopped(lease):
    lease.acquire("a", lease_seconds=60, timeout=1)
    lease.release("a")
    with pytest.raises(LeaseError, match="still being stopped"):
        lease.acquire("b", lease_seconds=60, timeout=0.3, poll=0.1)
    lease.stopped("a")
    lease.acquire("b", lease_seconds=60, timeout=1)


def test_a_waiting_run_gets_the_worker_as_soon_as_the_stop_is_over(lease):
    lease.acquire("a", lease_seconds=60, timeout=1)
    lease.release("a")
    threading.Timer(0.5, lease.stopped, ["a"]).start()
    lease.acquire("b", lease_seconds=60, timeout=60, poll=0.1)
    assert lease.release("b") == []


def test_releasing_again_asks_again_for_the_stop(lease):
    lease.acquire("a", lease_seconds=60, timeout=1)
    assert lease.release("a") == []
    assert lease.release("a") == []


def test_a_lease_that_nobody_gave_back_does_not_count_for_ever(aws, bucket):
    now = [1000.0]
    lease = WorkerLease(aws("s3"), bucket, next(workers), clock=lambda: now[0])
    lease.acquire("lost", lease_seconds=60, timeout=1)
    lease.acquire("a", lease_seconds=600, timeout=1)
    now[0] += 61
    assert lease.release("a") == []


def test_an_abandoned_stop_does_not_block_for_ever(aws, bucket):
    now = [1000.0]
    lease = WorkerLease(aws("s3"), bucket, next(workers), stop_seconds=600, clock=lambda: now[0])
    lease.acquire("a", lease_seconds=60, timeout=1)
    lease.release("a")
    now[0] += 601
    lease.acquire("b", lease_seconds=60, timeout=0.1)


def test_many_at_once_lose_no_holder(aws, bucket):
    worker = next(workers)
    names = [f"run-{number}" for number in range(12)]

    def take(name):
        WorkerLease(aws("s3"), bucket, worker).acquire(name, lease_seconds=60, timeout=60)

    threads = [threading.Thread(target=take, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert WorkerLease(aws("s3"), bucket, worker).release("run-0") == sorted(names[1:])
