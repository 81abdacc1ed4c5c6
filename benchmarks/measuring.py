"""What all benchmarks share: the cost of a command with all that it starts, and the history of what was measured.

Needs Linux: processes are found and weighed in /proc.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
HISTORY = REPOSITORY / "benchmarks" / "history"
SAMPLE_SECONDS = 0.1
GROWTH = 1.02
"""How much more must be resident than ever before, for the memory to be looked at again more closely, which is slow."""
DISTURBED = 0.1
"""What part of a core others may take without being mentioned."""
PAGE = os.sysconf("SC_PAGE_SIZE")
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Cost:
    """What a command took: `wall` and `cpu` in seconds, `memory` in bytes, the last two of all its processes together.

    CPU is what the kernel counted for each of them to its end. Memory is the greatest sum of their proportional set
    sizes (PSS: a page that several share counts once) that was seen, looking every `SAMPLE_SECONDS` whether they grew.
    `others` are the CPU seconds that the machine spent on everything else meanwhile: where they are many, the wall time
    tells of them too.
    """

    wall: float
    cpu: float
    memory: int
    others: float

    @classmethod
    def median(cls, costs: Sequence[Cost]) -> Cost:
        """The median of each number by itself."""
        numbers = ((cost.wall, cost.cpu, cost.memory, cost.others) for cost in costs)
        wall, cpu, memory, others = map(statistics.median, zip(*numbers, strict=True))
        return cls(wall, cpu, round(memory), others)

    def __add__(self, other: Cost) -> Cost:
        """The cost of one after the other."""
        memory = max(self.memory, other.memory)
        return Cost(self.wall + other.wall, self.cpu + other.cpu, memory, self.others + other.others)

    def __str__(self) -> str:
        """The numbers as a line of a report has them."""
        disturbed = f" (others {self.others:.1f} CPU s)" if self.others > DISTURBED * self.wall else ""
        return f"{self.wall:.1f} s wall, {self.cpu:.1f} CPU s, {self.memory / 1e9:.2f} GB{disturbed}"

    def figures(self) -> dict[str, float]:
        """The numbers as the history has them."""
        seconds = {"wall_s": self.wall, "cpu_s": self.cpu, "others_cpu_s": self.others}
        return {**{name: round(value, 2) for name, value in seconds.items()}, "memory_bytes": self.memory}


def busy_seconds() -> float:
    """The CPU seconds that all cores have worked, or were withheld by the machine's host, since it started."""
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, content_of(Path("/proc/stat")).split(maxsplit=9)[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def content_of(file: Path) -> bytes:
    """A file of /proc; nothing where the process has ended."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def parents() -> dict[int, int]:
    """The parent of each process there is."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (stat := content_of(folder / "stat")):
            found[int(folder.name)] = int(stat.rpartition(b")")[2].split()[1])
    return found


def below(process: int) -> list[int]:
    """All processes that a process has started, whatever their depth."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found = list(children.get(process, []))
    for each in found:
        found.extend(children.get(each, []))
    return found


def resident_bytes(process: int) -> int:
    """The memory of a process, with all that it shares; 0 when it has ended."""
    content = content_of(Path(f"/proc/{process}/statm"))
    return int(content.split()[1]) * PAGE if content else 0


def proportional_bytes(process: int) -> int:
    """The memory of a process, with its part of what it shares; 0 when it has ended."""
    content = content_of(Path(f"/proc/{process}/smaps_rollup"))
    return int(content.partition(b"\nPss:")[2].split(maxsplit=1)[0]) << 10 if content else 0


class Peak:
    """The greatest memory of everything below this process, while the `with` block runs."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        most = 0.0
        while not self._ended.wait(SAMPLE_SECONDS):
            processes = below(os.getpid())
            resident = sum(map(resident_bytes, processes))
            if resident > most * GROWTH:
                most = resident
                self.bytes = max(self.bytes, sum(map(proportional_bytes, processes)))


def measured(*commands: Sequence[str], environment: dict[str, str]) -> tuple[Cost, str]:
    """What commands cost, one after the other, and what they printed. Nothing else may have been started here.

    What they leave behind is waited for, as its CPU seconds count, not its wall time. They begin with nothing left to
    write to the disk.

    Ends this program, with what the commands said, where one fails.
    """
    # So that a process whose parent has ended becomes a child of this one, and its CPU seconds are known.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    os.sync()
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        busy = busy_seconds()
        with Peak() as peak:
            started = time.monotonic()
            cpu = 0.0
            for command in commands:
                process = subprocess.Popen(  # noqa: S603 - our own command
                    command, env=environment, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT
                )
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
                cpu += usage.ru_utime + usage.ru_stime
                if process.returncode:
                    break
            wall = time.monotonic() - started
        cpu += cpu_of_orphans()
        others = max(busy_seconds() - busy - cpu, 0.0)
        output.seek(0)
        said = output.read()
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{said[-4000:]}")
    return Cost(wall, cpu, peak.bytes, others), said


def cpu_of_orphans() -> float:
    """Wait for every child of this process, and tell the CPU seconds that they took."""
    seconds = 0.0
    while True:
        try:
            _, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return seconds
        seconds += usage.ru_utime + usage.ru_stime


def commit_of(checkout: Path) -> str:
    """The commit of a checkout, `-dirty` behind it where other files than histories differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(checkout), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603

    changed = git("diff", "--name-only", "HEAD", "--", ".", ":!benchmarks/history")
    return git("rev-parse", "--short", "HEAD") + "-dirty" * bool(changed)


def machine() -> dict[str, Any]:
    """What is told of the machine beside each measurement."""
    return {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()}


def record(benchmark: str, **entry: Any) -> None:
    """Append a line, with the date and the machine, to the benchmark's history."""
    line = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine(), **entry}
    HISTORY.mkdir(exist_ok=True)
    with (HISTORY / f"{benchmark}.jsonl").open("a", encoding="utf-8") as history:
        history.write(json.dumps(line) + "\n")
