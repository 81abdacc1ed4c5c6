"""A step leaves its Spark to the next one of its run: it starts in no time, and finds warm what both need.

The other side of this, and what passes between them, is infra/worker/lake-worker's.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spark_jobs import job, launch

WAIT_SECONDS = float(os.environ.get("LAKE_NEXT_STEP_SECONDS", "60"))
"""How long a Spark that has nothing to do keeps its memory for the next step."""
REQUEST_SECONDS = 10
KILLED = 143


def may_come() -> bool:
    """Whether the next step can be done here."""
    return "LAKE_SESSION" in os.environ and WAIT_SECONDS > 0


def serve(step: str, main: Callable[[], None]) -> None:
    """Do the next step of this run here, if it comes within `WAIT_SECONDS`; it ends the process.

    :param step: its job.
    :param main: runs it, with the arguments in `sys.argv`, and exits.
    """
    if not may_come():
        return
    with listen(Path(os.environ["LAKE_SESSION"]), step) as listening:
        request = accept(listening)
    if request:
        os.environ.update(request["environment"])
        sys.argv[1:] = map(launch.expanded, request["arguments"])
        job.say(f"{step}: in the Spark of the step before")
        main()


def listen(session: Path, step: str) -> socket.socket:
    """A socket `<step>.socket` in the folder `session`, which is there when somebody can connect to it."""
    listening, here = socket.socket(socket.AF_UNIX), Path.cwd()
    # A socket's path may not be long; its name is not.
    os.chdir(session)
    try:
        listening.bind("_socket")
        listening.listen()
        Path("_socket").rename(f"{step}.socket")
    finally:
        os.chdir(here)
    return listening


def accept(listening: socket.socket) -> dict[str, Any]:
    """Wait for a request; an empty one means that nothing is to be done here any more."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        listening.settimeout(left)
        try:
            connection, _ = listening.accept()
            connection.settimeout(REQUEST_SECONDS)
            line = connection.makefile().readline()
            if not line:
                continue
            connection.sendall(b"\n")
        except OSError:
            continue
        request: dict[str, Any] = json.loads(line)
        if request:
            connection.settimeout(None)
            threading.Thread(target=end_with, args=(connection,), daemon=True).start()
        return request
    return {}


def end_with(connection: socket.socket) -> None:
    """End this process when the command that asked for the step is killed."""
    if not connection.recv(1):
        os._exit(KILLED)
