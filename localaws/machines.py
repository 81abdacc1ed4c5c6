"""The server's side of the machines: one per running instance that has been given a command."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger("localaws.machines")

GRACE_SECONDS = 1.0
"""How long the processes of an instance that stops have to end by themselves."""


@dataclass(frozen=True)
class Exit:
    """How a command ended."""

    code: int | None
    """Its exit status, negative for a signal; None when it never ran."""
    lost: str = ""
    """What became of the instance, when that is why the command ended: `stopped`, `terminated`, …"""
    error: str = ""
    """Why the command could not be started."""


class _Machine:
    """A machine process, and who waits for which of its answers."""

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id
        self.lost = ""
        self.exits: dict[str, queue.Queue[Exit]] = {}
        self.groups: dict[str, int] = {}
        self.frozen: queue.Queue[bool] = queue.Queue()
        self.writing = threading.Lock()
        self.copying = threading.Lock()
        self.process = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("machine.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={},
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._listen, daemon=True, name=f"localaws-{instance_id}")
        self.reader.start()

    def tell(self, **request: Any) -> None:
        """Send a request; a machine that is gone is noticed by its reader."""
        with self.writing, contextlib.suppress(BrokenPipeError, ValueError):
            assert self.process.stdin is not None  # noqa: S101 - it was opened above
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()

    def _listen(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - it was opened above
        for line in self.process.stdout:
            match json.loads(line):
                case {"started": identifier, "group": group}:
                    self.groups[identifier] = group
                case {"exited": identifier, "code": code}:
                    self.groups.pop(identifier, None)
                    self.exits.pop(identifier).put(Exit(code, self.lost))
                case {"refused": identifier, "why": why}:
                    self.exits.pop(identifier).put(Exit(None, error=why))
                case {"frozen": _}:
                    self.frozen.put(True)
        with _machines_lock:
            if _machines.get(self.instance_id) is self:
                del _machines[self.instance_id]
        self.process.wait()
        for group in self.groups.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        for waiting in list(self.exits.values()):
            waiting.put(Exit(-signal.SIGKILL, self.lost or "lost"))
        self.frozen.put(False)


_machines: dict[str, _Machine] = {}
_machines_lock = threading.Lock()
_halting: set[str] = set()


def run(
    instance_id: str, command_id: str, argv: list[str], cwd: str, env: dict[str, str], stdout: Path, stderr: Path
) -> queue.Queue[Exit]:
    """Start a command on an instance, in a process group of its own.

    Returns:
        A queue that receives one `Exit` when the command has ended, however it did.
    """
    with _machines_lock:
        machine = _machines.get(instance_id) or _machines.setdefault(instance_id, _Machine(instance_id))
        ended: queue.Queue[Exit] = queue.Queue()
        machine.exits[command_id] = ended
        machine.tell(run=command_id, argv=argv, cwd=cwd, env=env, stdout=str(stdout), stderr=str(stderr))
    return ended


def kill(instance_id: str, command_id: str) -> None:
    """Kill the process group of a command, if it still runs."""
    if machine := _machines.get(instance_id):
        machine.tell(kill=command_id)


def power_off(instance_id: str, why: str) -> threading.Thread | None:
    """Begin to end every process of an instance; until that is done, `is_halting` says so.

    Args:
        instance_id: the instance.
        why: what its commands are told became of it, such as ``stopped``.

    Returns:
        The thread to join for the end of it, or None when nothing has run on the instance.
    """
    with _machines_lock:
        machine = _machines.pop(instance_id, None)
        if machine is None:
            return None
        _halting.add(instance_id)
    machine.lost = why
    thread = threading.Thread(target=_halt, args=(machine,), name=f"localaws-halt-{instance_id}")
    thread.start()
    return thread


def _halt(machine: _Machine) -> None:
    machine.tell(halt=GRACE_SECONDS)
    try:
        machine.process.wait(timeout=GRACE_SECONDS + 5)
    except subprocess.TimeoutExpired:
        logger.error("The machine of %s did not halt; killing it", machine.instance_id)
        machine.process.kill()
    machine.reader.join(timeout=5)
    _halting.discard(machine.instance_id)


def is_halting(instance_id: str) -> bool:
    """Whether processes of an instance that was powered off may still be there."""
    return instance_id in _halting


def power_off_all(why: str) -> None:
    """End every process of every instance, all at once, and return when that is done."""
    for thread in [power_off(instance_id, why) for instance_id in list(_machines)]:
        if thread:
            thread.join()


@contextlib.contextmanager
def frozen(instance_id: str) -> Iterator[None]:
    """Stop the processes of an instance while its volumes are copied, and let them go on afterwards."""
    machine = _machines.get(instance_id)
    if machine is None:
        yield
        return
    with machine.copying:
        machine.tell(freeze=True)
        machine.frozen.get(timeout=10)
        try:
            yield
        finally:
            machine.tell(thaw=True)
