"""Background services of this checkout: start them, find them again, stop them and everything they started.

A service is known by a small record, ``<run folder>/<name>.json``, and every process it starts inherits the environment
variable `OWNER`, so that nothing is left over even when a service crashed and its children were adopted by init.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from tools.environment import OUR_PREFIXES

OWNER = "LAKE_STACK_OWNER"
"""Environment variable that marks the processes of one checkout; its value is the checkout's run folder."""


class StackError(RuntimeError):
    """The stack cannot do what was asked; the message says why and what to do next."""


@dataclass(frozen=True)
class Service:
    """One background process.

    Args:
        name: short name, used for the record and in messages.
        command: program and arguments.
        environment: its whole environment.
        log: file that its output is appended to.
        run_folder: where the records of all services of the checkout are.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    run_folder: Path

    @property
    def fingerprint(self) -> str:
        """Digest of the command and of our settings: a running service with another one is out of date."""
        ours = {name: value for name, value in self.environment.items() if name.startswith(OUR_PREFIXES)}
        described = json.dumps([self.command, sorted(ours.items())])
        return hashlib.sha256(described.encode()).hexdigest()


def start(service: Service) -> None:
    """Start `service` in a session of its own, unless it runs already; restart it when its settings changed."""
    process = running(service.run_folder, service.name)
    if process:
        if _read_record(service.run_folder, service.name)["fingerprint"] == service.fingerprint:
            return
        stop(service.run_folder, service.name)
    end_leftovers(service.run_folder)
    service.log.parent.mkdir(parents=True, exist_ok=True)
    with service.log.open("ab") as log:
        child = subprocess.Popen(
            service.command,
            env={**service.environment, OWNER: str(service.run_folder), "SPT_NOENV": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    record = {"pid": child.pid, "started": psutil.Process(child.pid).create_time(), "fingerprint": service.fingerprint}
    service.run_folder.mkdir(parents=True, exist_ok=True)
    _record_path(service.run_folder, service.name).write_text(json.dumps(record))


def running(run_folder: Path, name: str) -> psutil.Process | None:
    """Return the process of service `name`, or None when it does not run (a stale record does not count)."""
    record = _read_record(run_folder, name)
    if not record:
        return None
    try:
        process = psutil.Process(record["pid"])
        # The kernel reuses pids: the start time tells our process from a stranger.
        return process if abs(process.create_time() - record["started"]) < 1 and is_alive(process) else None
    except psutil.NoSuchProcess:
        return None


def is_alive(process: psutil.Process) -> bool:
    """Return whether `process` still runs; a zombie has ended."""
    try:
        # Where nobody collects zombies, as in some containers, psutil's own wait goes on.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(run_folder: Path, *names: str, timeout: float = 30) -> None:
    """Ask the services `names` to end (SIGTERM), wait up to `timeout` seconds for all, then kill their sessions."""
    processes = [process for name in names if (process := running(run_folder, name))]
    sessions = [member for process in processes for member in _session(process.pid)]
    for process in processes:
        _ignore_gone(process.terminate)
    if _wait(processes, timeout):
        _kill(sessions)
    for name in names:
        _record_path(run_folder, name).unlink(missing_ok=True)


def end_leftovers(run_folder: Path, timeout: float = 3) -> list[str]:
    """End the processes of the checkout that no running service has started, as a crash leaves them behind.

    Returns:
        Their pids and command lines.

    Raises:
        StackError: when a process survives even SIGKILL.
    """
    leftovers = _leftovers(run_folder)
    described = [f"{process.pid} {_command_line(process)}" for process in leftovers]
    for process in leftovers:
        _ignore_gone(process.terminate)
    _kill(_wait(leftovers, timeout))
    survivors = _leftovers(run_folder)
    if survivors:
        raise StackError(f"these processes do not end, even when killed: {[process.pid for process in survivors]}")
    return described


def owned(run_folder: Path) -> Iterator[psutil.Process]:
    """Yield the live processes that carry the mark of this checkout."""
    for process in psutil.process_iter():
        try:
            if is_alive(process) and process.environ().get(OWNER) == str(run_folder):
                yield process
        except (psutil.AccessDenied, psutil.NoSuchProcess, OSError):
            continue  # other users' processes, and those that ended meanwhile, are not ours


def memory_mb(run_folder: Path) -> int:
    """Return the memory in MB that the checkout's processes use together; pages they share count once."""
    total = 0
    for process in owned(run_folder):
        try:
            full = process.memory_full_info()
            total += getattr(full, "pss", full.uss)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue  # it ended meanwhile
    return round(total / 1024**2)


def require_free_port(port: int, variable: str, what: str) -> None:
    """Raise StackError when something listens on 127.0.0.1:`port` already; `variable` is what overrides the port."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise StackError(
                f"port {port}, which {what} wants, is taken by another program ({error.strerror}). "
                f"Choose another one, for example: {variable}={port + 1} make up"
            ) from error


def wait_until(check: Callable[[], bool], timeout: float, service: Service, what: str, every: float = 0.5) -> None:
    """Wait until `check` is true.

    Raises:
        StackError: when `service` ends meanwhile or `timeout` seconds pass; with the last lines of its log.
    """
    deadline = time.monotonic() + timeout
    while not check():
        if not running(service.run_folder, service.name):
            raise StackError(f"{service.name} ended while starting.{_last_lines(service.log)}")
        if time.monotonic() > deadline:
            raise StackError(f"{what} did not come within {timeout:.0f} s.{_last_lines(service.log)}")
        time.sleep(every)


def _leftovers(run_folder: Path) -> list[psutil.Process]:
    services = {service for path in run_folder.glob("*.json") if (service := running(run_folder, path.stem))}
    return [process for process in owned(run_folder) if not services & {process, *_ancestors(process)}]


def _ancestors(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.parents()
    except psutil.NoSuchProcess:
        return []


def _last_lines(log: Path, count: int = 15) -> str:
    lines = log.read_text(errors="replace").splitlines()[-count:]
    return "\n".join([f" The last lines of {os.path.relpath(log)}:", *(f"    {line}" for line in lines)])


def _record_path(run_folder: Path, name: str) -> Path:
    return run_folder / f"{name}.json"


def _read_record(run_folder: Path, name: str) -> dict:
    path = _record_path(run_folder, name)
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError:
        return {}  # a crash cut it short: as good as none


def _session(leader: int) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _session_of(process) == leader]


def _session_of(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except OSError:
        return None


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        _ignore_gone(process.kill)
    _wait(processes, 5)


def _wait(processes: list[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait until `processes` have ended, `timeout` seconds at most, and return those that have not."""
    deadline = time.monotonic() + timeout
    while (alive := [process for process in processes if is_alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


def _ignore_gone(action: Callable[[], None]) -> None:
    try:
        action()
    except psutil.NoSuchProcess:
        return


def _command_line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:100]
    except psutil.Error:
        return "(ended)"
