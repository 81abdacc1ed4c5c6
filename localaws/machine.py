"""The machine behind one running instance: a process that runs commands, and takes everything they started with it.

It is started as a script of its own, with the standard library only, and speaks JSON lines over its standard input
and output. When its input closes, however the server ended, it kills every process below it and ends.

Requests: `run` (id, argv, cwd, env, stdout, stderr), `kill` (id), `freeze`, `thaw`, `halt` (grace in seconds).
Answers: `started` (id, process group), `exited` (id, code: negative for a signal, as in `subprocess`),
`refused` (id, why), `frozen`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None, use_errno=True) if LINUX else None


def process_control(option: int, argument: int) -> None:
    """Call Linux's prctl(2) with one argument; elsewhere there is none."""
    if LIBC is not None:
        LIBC.prctl(option, argument, 0, 0, 0)


def die_with_parent() -> None:
    """In a new process: be killed when the machine is, should it not live to do it itself."""
    process_control(PR_SET_PDEATHSIG, signal.SIGKILL)


def descendants(root: int) -> list[int]:
    """Every process below `root`, by the parent that each entry of /proc names; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*") if LINUX else ():
        with contextlib.suppress(OSError):
            # The name in parentheses may hold anything, so fields count from the last parenthesis.
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


class Machine:
    """The commands under way, and what can be done to them."""

    def __init__(self) -> None:
        self.commands: dict[str, subprocess.Popen[bytes]] = {}

    def answer(self, **message: Any) -> None:
        """Tell the server, if it still listens."""
        with contextlib.suppress(BrokenPipeError):
            os.write(1, json.dumps(message).encode() + b"\n")

    def run(self, identifier: str, argv: list[str], cwd: str, env: dict[str, str], stdout: str, stderr: str) -> None:
        """Start a command in a session, and so a process group, of its own."""
        try:
            with Path(stdout).open("wb") as out, Path(stderr).open("wb") as err:
                command = subprocess.Popen(  # noqa: S603 - to run commands is its purpose
                    argv,
                    cwd=cwd,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
        except OSError as error:
            self.answer(refused=identifier, why=str(error))
            return
        self.commands[identifier] = command
        self.answer(started=identifier, group=command.pid)

    def kill(self, identifier: str) -> None:
        """Kill a command's process group."""
        if identifier in self.commands:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.commands[identifier].pid, signal.SIGKILL)

    def signal_all(self, number: int) -> None:
        """Send a signal to every process on this machine."""
        for process in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        if not LINUX:
            for command in self.commands.values():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(command.pid, number)

    def reap(self) -> bool:
        """Collect the processes that ended, report the commands among them, and say whether any is left."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if process == 0:
                return True
            for identifier, command in list(self.commands.items()):
                if command.pid == process:
                    command.returncode = os.waitstatus_to_exitcode(status)
                    del self.commands[identifier]
                    self.answer(exited=identifier, code=command.returncode)

    def halt(self, grace: float) -> None:
        """End every process: politely, and after `grace` seconds by force."""
        deadline = time.monotonic() + grace
        if grace > 0:
            self.signal_all(signal.SIGTERM)
            self.signal_all(signal.SIGCONT)
        while self.reap():
            if time.monotonic() >= deadline:
                self.signal_all(signal.SIGKILL)
            time.sleep(0.01)

    def obey(self, request: dict[str, Any]) -> bool:
        """Carry out one request, and say whether to go on."""
        match request:
            case {"run": identifier, **rest}:
                self.run(identifier, **rest)
            case {"kill": identifier}:
                self.kill(identifier)
            case {"freeze": _}:
                self.signal_all(signal.SIGSTOP)
                self.answer(frozen=True)
            case {"thaw": _}:
                self.signal_all(signal.SIGCONT)
            case {"halt": grace}:
                self.halt(grace)
                return False
        return True


def main() -> None:
    """Serve until told to halt, or until the server is gone."""
    process_control(PR_SET_CHILD_SUBREAPER, 1)
    wake_reader, wake_writer = os.pipe()
    for end in (wake_reader, wake_writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(wake_reader, selectors.EVENT_READ)
    machine, pending = Machine(), b""
    while True:
        for key, _events in selector.select():
            data = os.read(key.fd, 1 << 16)
            if key.fd == wake_reader:
                continue
            if not data:
                machine.halt(0)
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                if not machine.obey(json.loads(line)):
                    return
        machine.reap()


if __name__ == "__main__":
    main()
