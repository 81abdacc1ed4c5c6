"""Room on the data volume: what gives way to what is staged, and what never does."""

from __future__ import annotations

import os
import threading
import time
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spark_jobs import reprocess_stage_raw, storage, volume
from spark_jobs.errors import DataError, NotReadyError
from spark_jobs.volume import Volume

HOUR, DAY = 3600.0, 86_400.0
MIB = 1 << 20


@pytest.fixture
def small(tmp_path: Path) -> Volume:
    """A volume of 100 MiB, of which RESERVE is 64: what is tested is about the 36 others."""

    def usage(root: Path) -> Any:
        return SimpleNamespace(total=100 * MIB, free=100 * MIB - volume.size_of(root))

    return Volume(tmp_path, usage)


def staged(data: Volume, name: str, mib: int, *, age: float, finished: float | None = None) -> Path:
    """A run's folder with so much in it, touched `age` seconds ago, and finished so long ago if at all."""
    folder = data.root / name
    (folder / "raw").mkdir(parents=True)
    with (folder / "raw" / "a.csv").open("wb") as file:
        file.truncate(mib * MIB)
    if finished is not None:
        volume.finish((folder / "raw").as_uri())
        os.utime(folder / volume.FINISHED, (time.time() - finished,) * 2)
    os.utime(folder, (time.time() - age,) * 2)
    return folder


def test_only_what_is_abandoned_goes_while_there_is_room(small: Volume) -> None:
    staged(small, "orders/ds=2025-06-01/run=old", 1, age=8 * DAY)
    staged(small, "sales/ds=2025-06-01/run=old", 1, age=9 * DAY)
    kept = staged(small, "orders/ds=2025-06-02/run=finished", 10, age=6 * DAY, finished=6 * DAY)
    own = staged(small, "orders/ds=2025-06-03/run=own", 10, age=9 * DAY)
    (small.root / "notes").mkdir()
    removed = small.make_room(10 * MIB, own)
    assert removed == ["sales/ds=2025-06-01/run=old", "orders/ds=2025-06-01/run=old"], "of every dataset"
    assert kept.is_dir()
    assert own.is_dir()
    assert sorted(path.name for path in (small.root / "orders").iterdir()) == ["ds=2025-06-02", "ds=2025-06-03"]


def test_what_is_finished_gives_way_the_oldest_first_and_no_more_than_needed(small: Volume) -> None:
    staged(small, "orders/ds=2025-06-01/run=second", 10, age=4 * HOUR, finished=HOUR)
    staged(small, "sales/ds=2025-06-01/run=first", 10, age=5 * HOUR, finished=HOUR)
    under_way = staged(small, "sales/ds=2025-06-02/run=under-way", 5, age=6 * HOUR)
    just_finished = staged(small, "sales/ds=2025-06-03/run=just-finished", 5, age=6 * HOUR, finished=10)
    own = small.root / "orders/ds=2025-06-03/run=own"
    assert small.make_room(15 * MIB, own) == ["sales/ds=2025-06-01/run=first"]
    assert small.make_room(20 * MIB, own) == ["orders/ds=2025-06-01/run=second"]
    assert under_way.is_dir()
    assert just_finished.is_dir()


def test_what_the_same_run_staged_before_goes_before_all_else(small: Volume) -> None:
    other = staged(small, "sales/ds=2025-06-01/run=finished", 5, age=DAY, finished=HOUR)
    own = staged(small, "orders/ds=2025-06-03/run=own", 30, age=HOUR)
    assert small.make_room(30 * MIB, own) == ["orders/ds=2025-06-03/run=own/raw"]
    assert other.is_dir()


def test_what_does_not_fit_beside_runs_under_way_waits_and_says_for_whom(small: Volume) -> None:
    staged(small, "sales/ds=2025-06-02/run=under-way", 20, age=HOUR)
    with pytest.raises(NotReadyError) as refusal:
        small.make_room(20 * MIB, small.root / "orders/ds=2025-06-03/run=own")
    for told in ("20,971,520 bytes are to be staged", "104,857,600", "83,886,080 are free", "WorkerDataVolumeGiB"):
        assert told in str(refusal.value)
    assert "sales/ds=2025-06-02/run=under-way (20,971,520)" in str(refusal.value)


def test_what_can_never_fit_is_refused_for_good(small: Volume) -> None:
    with pytest.raises(DataError, match=r"40,000,000 bytes are to be staged.*make the volume larger"):
        small.make_room(40_000_000, small.root / "orders/ds=2025-06-03/run=own")


def test_one_run_stages_at_a_time_and_sweeps_up_after_a_killed_one(small: Volume) -> None:
    partial = small.root / "orders/ds=2025-06-03/run=killed" / volume.PARTIAL
    partial.mkdir(parents=True)
    entered = threading.Event()

    def second() -> None:
        with Volume(small.root).alone():
            entered.set()

    waiting = threading.Thread(target=second)
    with small.alone():
        assert not partial.exists()
        waiting.start()
        assert not entered.wait(0.5)
    assert entered.wait(60)
    waiting.join()


def test_a_range_that_does_not_fit_is_refused_with_the_range_that_does(
    small: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [f"2025-06-0{day}" for day in range(1, 6)]
    staged(small, "orders/ds=2025-06-01/run=own", 10, age=HOUR)
    staged(small, "sales/ds=2025-06-01/run=under-way", 10, age=HOUR)
    monkeypatch.setattr(volume, "Volume", lambda _root: small)
    monkeypatch.setattr(storage, "list_s3", lambda _folder: [{"Size": 4 * MIB}, {"Size": 4 * MIB}])
    monkeypatch.setenv("LAKE_DATA_DIR", str(small.root))
    parsed = Namespace(
        raw="s3://raw/orders/ds={ds}/", staged=f"{small.root.as_uri()}/orders/ds={{ds}}/run=own/raw", dataset="orders"
    )
    reprocess_stage_raw.check_room(parsed, days[:3])
    with pytest.raises(DataError, match=r"these 5 dates are 41,943,040 bytes.*load 2025-06-01\.\.2025-06-03 first"):
        reprocess_stage_raw.check_room(parsed, days)
    monkeypatch.setattr(storage, "list_s3", lambda _folder: [{"Size": 80 * MIB}])
    with pytest.raises(DataError, match="not even its first date"):
        reprocess_stage_raw.check_room(parsed, days)
