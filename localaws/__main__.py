"""`python -m localaws --port 4566 --state DIR`: serve AWS until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import fcntl
import importlib
import os
import socket
import sys
from pathlib import Path
from typing import TextIO

OVERLAYS = (
    "persistence",
    "refusals",
    "transport",
    "authorization",
    "copies",
    "quotas",
    "ec2",
    "ssm",
    "cloudformation",
    "changesets",
    "partitions",
    "tables",
    "crawler",
    "alarms",
    "athena.install",
)
"""Modules of this package whose `install()` replaces what ministack only pretends."""

INHERITED = frozenset({"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "LOG_LEVEL", "VIRTUAL_ENV", "SYSTEMROOT"})
"""Variables taken over from the caller, besides LOCALAWS_*: others, such as AWS_*, would change what the server is."""


def claim_port(host: str, port: int) -> None:
    """End with a clear message when the port is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            sys.exit(f"localaws: cannot listen on {host}:{port} ({error.strerror}). Choose another port with --port.")


def claim_state(state: Path) -> TextIO:
    """Hold the state folder for this process, and end with a clear message when another one does."""
    state.mkdir(parents=True, exist_ok=True)
    lock = (state / ".lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"localaws: another localaws uses {state}. Stop it, or choose another folder with --state.")
    return lock


def set_environment(host: str, port: int, state: Path) -> None:
    """Set what ministack reads when it is imported, and drop what could change its behaviour."""
    for name in list(os.environ):
        if name not in INHERITED and not name.startswith(("LOCALAWS_", "PYTHON")):
            del os.environ[name]
    os.environ.update(
        GATEWAY_PORT=str(port),
        BIND_HOST=host,
        AUTH="true",
        PERSIST_STATE="1",
        STATE_DIR=str(state / "services"),
        S3_PERSIST="1",
        S3_DATA_DIR=str(state / "s3"),
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        LOCALAWS_STATE=str(state),
        # No container is ever wanted, whatever runs on this machine.
        DOCKER_HOST=f"unix://{state}/no-docker",
        AWS_EC2_METADATA_DISABLED="true",
    )


def main() -> None:
    """Set ministack's environment, install the overlay and serve."""
    parser = argparse.ArgumentParser(prog="localaws", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 only inside a container")
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument(
        "--state", type=Path, required=True, help="folder that holds everything: state, objects, volumes"
    )
    arguments = parser.parse_args()
    state = arguments.state.resolve()
    claim_port(arguments.host, arguments.port)
    lock = claim_state(state)
    set_environment(arguments.host, arguments.port, state)
    from ministack import app

    for name in OVERLAYS:
        importlib.import_module(f"localaws.{name}").install()
    sys.argv = sys.argv[:1]  # ministack parses the command line again
    app.main()
    lock.close()


if __name__ == "__main__":
    main()
