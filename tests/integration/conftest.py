"""A local AWS of its own for the tests that talk to one: started once, on a free port, stopped at the end."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LOCALAWS_PYTHON = REPOSITORY / ".venvs" / "localaws" / "bin" / "python"
REGION = "us-east-1"

QUICK = {
    "LOCALAWS_TRANSITION_SECONDS": "0.3",
    "LOCALAWS_ONLINE_SECONDS": "0.2",
    "LOCALAWS_SAVE_SECONDS": "0.2",
    "LOCALAWS_CRAWL_SECONDS": "0.2",
}
"""Settings under which nothing takes longer than a test needs to see it."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LocalAws:
    """A running `python -m localaws`: its endpoint, its state folder and its log."""

    def __init__(self, state: Path, port: int, environment: dict[str, str]) -> None:
        self.state, self.port = state, port
        self.endpoint = f"http://127.0.0.1:{port}"
        self.log = state.with_suffix(".log")
        self.environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [LOCALAWS_PYTHON, "-m", "localaws", "--port", str(self.port), "--state", str(self.state)],
                cwd=REPOSITORY,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=2).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"localaws did not start:\n{self.log.read_text()[-4000:]}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=30)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)

    def saved(self, service: str) -> str:
        """What is on disk of a service's state; it gets there a moment after the change."""
        file = self.state / "services" / f"{service}.json"
        return file.read_text() if file.exists() else ""

    @functools.cache  # noqa: B019 - a server lives as long as the tests that ask it for clients
    def client(self, service: str, **credentials: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            **{"aws_access_key_id": "test", "aws_secret_access_key": "test", **credentials},
        )


@contextmanager
def localaws_servers(folder: Path) -> Iterator[Callable[..., LocalAws]]:
    """Give a function that starts servers, with settings of their own, whose state lies in `folder`."""
    made: list[LocalAws] = []

    def make(**environment: str) -> LocalAws:
        made.append(LocalAws(folder / f"state-{len(made)}", free_port(), QUICK | environment))
        made[-1].start()
        return made[-1]

    try:
        yield make
    finally:
        for server in made:
            server.stop()


@pytest.fixture
def make_localaws(tmp_path: Path) -> Iterator[Callable[..., LocalAws]]:
    """`make_localaws()` starts a server of the test's own, to stop, kill and start again."""
    with localaws_servers(tmp_path) as make:
        yield make


@pytest.fixture(scope="session")
def start_localaws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., LocalAws]]:
    """`start_localaws(NAME="value")` starts a server for the whole run."""
    with localaws_servers(tmp_path_factory.mktemp("localaws")) as make:
        yield make


@pytest.fixture(scope="session")
def localaws(start_localaws: Callable[..., LocalAws]) -> LocalAws:
    """A local AWS that the tests of a folder share."""
    return start_localaws()


@pytest.fixture(scope="session")
def aws(localaws: LocalAws) -> Callable[..., Any]:
    """`aws("s3")` is a boto3 client of the local AWS, as its administrator."""
    return localaws.client
