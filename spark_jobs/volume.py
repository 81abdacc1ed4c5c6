"""Room on the worker's data volume, where `<dataset>/ds=<date>/run=<run>/` holds what a run has staged.

A folder is needed until its files have been cleaned or refused; then the snapshot of the volume and the raw bucket have
them, and it stays only as long as nobody wants the room. What nobody has touched for `KEEP_DAYS` days is abandoned.
One run stages at a time, so that two cannot both count on the same room.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spark_jobs import storage
from spark_jobs.errors import DataError, NotReadyError

RAW, PARTIAL = "raw", "_partial"
"""Folders of a run: that of its files, and that in which they are while they are copied."""

FINISHED = "_finished"
"""File that says that a run needs no more of what it staged."""

KEEP_DAYS = 7
SETTLED_SECONDS = 600
"""How long what is finished is left alone: the task that has a snapshot made may be later than the one that cleans."""

RESERVE = 64 << 20
"""Bytes that stay free, for what a file system keeps beside its files."""


def size_of(folder: Path) -> int:
    """The bytes of the files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def finish(staged: str) -> None:
    """Say of a run's folder of raw files, where it is on the data volume, that it is not needed any more."""
    if storage.is_local(staged) and storage.local_path(staged).is_dir():
        (storage.local_path(staged).parent / FINISHED).touch()


class Volume:
    """The data volume.

    :param root: where it is mounted.
    :param usage: how many bytes it has, `total` and `free`.
    """

    def __init__(self, root: Path, usage: Callable[[Path], Any] = shutil.disk_usage) -> None:
        self.root, self.usage = root, usage

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process stages, and be the one; what a killed one left half copied is removed."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "_staging.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for partial in self.root.glob(f"*/ds=*/run=*/{PARTIAL}"):
                shutil.rmtree(partial)
            yield

    def make_room(self, needed: int, own: Path) -> list[str]:
        """Remove folders that are abandoned, then finished ones, the oldest first, until `needed` bytes fit.

        :param own: folder of the run that stages; what it staged before goes first.
        :return: the folders removed, below the root.
        :raises NotReadyError: they do not fit beside what runs under way have staged.
        :raises DataError: they would not fit if there was nothing else.
        """
        abandoned, idle = self._removable()
        removed = [self._remove(folder) for folder in abandoned if folder != own]
        for folder in (own / RAW, *idle):
            if self.usage(self.root).free < needed + RESERVE and folder.is_dir():
                removed.append(self._remove(folder))
        self._check(needed, self.usage(self.root).free)
        return removed

    def room(self, own: Iterable[Path]) -> int:
        """The bytes that a run can stage if everything goes that may.

        :param own: the run's folders.
        """
        abandoned, idle = self._removable()
        removable = {*abandoned, *idle, *own}
        return int(self.usage(self.root).free) + sum(map(size_of, removable)) - RESERVE

    def _removable(self) -> tuple[list[Path], list[Path]]:
        """The runs' folders that are abandoned, and those that are finished, each the oldest first."""
        now = time.time()
        folders = sorted(self._folders(), key=lambda folder: folder.stat().st_mtime)
        old = [folder for folder in folders if folder.stat().st_mtime < now - KEEP_DAYS * 86400]
        return old, [folder for folder in folders if folder not in old and is_settled(folder / FINISHED, now)]

    def _folders(self) -> list[Path]:
        return [folder for folder in self.root.glob("*/ds=*/run=*") if folder.is_dir()]

    def _remove(self, folder: Path) -> str:
        shutil.rmtree(folder)
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()
        return folder.relative_to(self.root).as_posix()

    def _check(self, needed: int, free: int) -> None:
        total = self.usage(self.root).total
        if free >= needed + RESERVE:
            return
        told = f"{needed:,} bytes are to be staged, and of the data volume's {total:,} bytes {free:,} are free"
        larger = "make the volume larger (parameter WorkerDataVolumeGiB of the stack lake-worker)"
        if total < needed + RESERVE:
            raise DataError(f"{told}: {larger}, or send less for a date")
        under_way = {folder.relative_to(self.root).as_posix(): size_of(folder) for folder in self._folders()}
        listed = ", ".join(f"{name} ({size:,})" for name, size in under_way.items())
        raise NotReadyError(f"{told}; the rest is for runs that are under way: {listed}. Wait for them, or {larger}")


def is_settled(marker: Path, now: float) -> bool:
    """Whether what a marker tells of has been so for a while."""
    return marker.exists() and marker.stat().st_mtime < now - SETTLED_SECONDS
