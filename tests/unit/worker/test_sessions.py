"""A Spark that serves the steps of a run one after the other, whichever command starts or kills it.

The real command and the jobs' side of it, with a launcher that starts a plain Python instead of Spark.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.worker.test_lake_worker import COMMAND, deployed, is_running, worker
from tests.waiting import eventually

REPOSITORY = COMMAND.parents[2]
__all__ = ["deployed", "worker"]

LAUNCHER = f"""
import os, sys, time
for name in [name for name in sys.modules if name.split('.')[0] == 'spark_jobs']:
    del sys.modules[name]
sys.path[:0] = [{str(REPOSITORY)!r}, {str(REPOSITORY / "plugins")!r}]
from pathlib import Path
from spark_jobs import launch, next_step

def step(arguments):
    told = dict(zip(arguments[::2], arguments[1::2]))
    print('process', os.getpid(), 'submission', told.get('--submission'), flush=True)
    if '--error' in told:
        Path(os.environ['LAKE_ERROR_FILE']).write_text(f"ERROR {{told['--error']}}\\n")
        sys.exit(65)
    if '--exit' in told:
        os._exit(int(told['--exit']))
    time.sleep(float(told.get('--sleep', 0)))

step([launch.expanded(each) for each in sys.argv[3:]])
if sys.argv[2] == 'clean':
    next_step.serve('validate', lambda: step(sys.argv[1:]))
"""

HOST = f"""
import os, shutil, sys
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace
loader = SourceFileLoader('lake_worker', {str(COMMAND)!r})
worker = module_from_spec(spec_from_loader(loader.name, loader))
loader.exec_module(worker)
home, deployed, slots = sys.argv[1:4]
worker.HOME, worker.slots, worker.SLOT_POLL_SECONDS = Path(home), lambda: int(slots), 0.1
download = lambda bucket, key, path: shutil.copy(Path(deployed) / Path(key).name, path)
sys.modules['boto3'] = SimpleNamespace(client=lambda service: SimpleNamespace(download_file=download))

class Java:
    def __init__(self, spark_home):
        self.home = self.base = Path(home)

    @contextmanager
    def archive_options(self, scratch):
        yield []

worker.Java = Java
digest, job, *arguments = sys.argv[4:]
sys.exit(worker.run_step(digest, job, arguments))
"""
RUN = ("--dataset", "orders", "--ds", "2025-06-24", "--run", "a")
OTHER = ("--dataset", "orders", "--ds", "2025-06-24", "--run", "b")


@pytest.fixture
def command(worker: Any, deployed: Any, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`command("clean", *RUN, submission="a-1")` starts the worker's command; what waits at the end is sent away."""
    digest = deployed(LAUNCHER.encode())
    host = tmp_path / "host.py"
    host.write_text(HOST)

    def start(job: str, *arguments: str, submission: str = "", slots: int = 2, wait: float = 30) -> Any:
        words = [str(worker.HOME), str(tmp_path), str(slots), digest, job, *arguments]
        return subprocess.Popen(
            [sys.executable, str(host), *words, "--submission", "${LAKE_SUBMISSION}"],
            env={
                **os.environ,
                "LAKE_ARTIFACTS_BUCKET": "artifacts",
                "LAKE_SUBMISSION": submission,
                "LAKE_NEXT_STEP_SECONDS": str(wait),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    yield start
    for listening in (worker.HOME / "sessions").glob("*/*.socket"):
        worker.asked(listening, {})


def ended(command: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command, at its end."""
    output, errors = command.communicate(timeout=30)
    return command.returncode, output, errors


def process_of(output: str) -> int:
    """The process that did a step, by what the step wrote."""
    (line,) = (line for line in output.splitlines() if line.startswith("process "))
    return int(line.split()[1])


def shown(session: Path) -> str:
    return (session / "stdout").read_text()


def test_the_next_step_of_a_run_is_done_by_the_process_of_the_first(command: Any) -> None:
    code, first, errors = ended(command("clean", *RUN, submission="a-1"))
    assert (code, errors) == (0, "")
    code, second, errors = ended(command("validate", *RUN, submission="a-2"))
    assert (code, errors) == (0, "")
    process = process_of(first)
    assert first == f"process {process} submission a-1\n"
    assert second == f"validate: in the Spark of the step before\nprocess {process} submission a-2\n"
    eventually(lambda: not is_running(process))


def test_what_belongs_to_another_run_or_comes_again_starts_anew(command: Any) -> None:
    processes = [
        process_of(ended(command(job, *run, submission="x"))[1])
        for job, run in (("clean", RUN), ("validate", OTHER), ("clean", RUN), ("validate", RUN), ("validate", RUN))
    ]
    clean, other, again, validated, last = processes
    assert len({clean, other, again}) == 3
    assert {validated, last} == {clean, again}


@pytest.mark.parametrize(
    ("end", "code", "line"),
    [
        (("--error", "nothing_fits"), 65, "ERROR nothing_fits"),
        (("--exit", "9"), 9, "ERROR clean: ended with 9, see above"),
        (("--exit", "52"), 71, "ERROR clean: memory ran out (it ended with 52)"),
    ],
)
def test_a_next_step_that_fails_says_so_as_the_first_does(
    command: Any, end: tuple[str, str], code: int, line: str
) -> None:
    assert ended(command("clean", *RUN))[0] == 0
    found, _, errors = ended(command("validate", *RUN, *end))
    assert found == code
    assert errors.startswith(line)
    # The first fails so too.
    found, _, errors = ended(command("clean", *OTHER, *end))
    assert found == code
    assert errors.startswith(line)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("step", ["clean", "validate"])
def test_a_step_goes_down_with_its_command(worker: Any, command: Any, number: signal.Signals, step: str) -> None:
    if step == "validate":
        assert ended(command("clean", *RUN))[0] == 0
    started = command(step, *RUN, "--sleep", "60")
    (session,) = eventually(lambda: sessions_of(worker))
    eventually(lambda: shown(session).count("process ") == (2 if step == "validate" else 1))
    process = int(shown(session).splitlines()[-1].split()[1])
    started.send_signal(number)
    code, _, _ = ended(started)
    assert code in (-number, 128 + number)
    eventually(lambda: not is_running(process))
    eventually(lambda: [path.name for path in (worker.HOME / "scratch").iterdir()] == ["_sweep.lock"])
    # And the step can be tried again at once.
    code, output, _ = ended(command(step, *RUN))
    assert code == 0
    assert process_of(output) != process


def test_a_process_that_waits_in_vain_leaves(worker: Any, command: Any) -> None:
    code, output, _ = ended(command("clean", *RUN, wait=0.3))
    assert code == 0
    eventually(lambda: not is_running(process_of(output)))
    eventually(lambda: [path.name for path in (worker.HOME / "scratch").iterdir()] == ["_sweep.lock"])


def test_a_process_that_waits_makes_room_for_one_that_has_work(worker: Any, command: Any) -> None:
    _, waiting, _ = ended(command("clean", *RUN, slots=1))
    started = time.monotonic()
    code, output, _ = ended(command("clean", *OTHER, slots=1))
    assert code == 0
    assert output.startswith("1 Sparks run already: waiting for one to end\n")
    assert time.monotonic() - started < 20
    eventually(lambda: not is_running(process_of(waiting)))
    # It ends well: a command may not have seen yet that its step has ended.
    codes = [(session / "code").read_text() for session in sessions_of(worker) if (session / "code").exists()]
    assert set(codes) == {"0"}


def sessions_of(worker: Any) -> list[Path]:
    return list((worker.HOME / "sessions").glob("*-*"))


def test_folders_of_sessions_that_ended_are_removed_by_a_later_one(worker: Any, command: Any) -> None:
    ended(command("validate", *RUN, "--exit", "1"))
    (old,) = sessions_of(worker)
    ended(command("validate", *OTHER, "--exit", "1"))
    assert old.exists()
    os.utime(old, (0, 0))
    ended(command("validate", *OTHER, "--exit", "1"))
    assert not old.exists()
