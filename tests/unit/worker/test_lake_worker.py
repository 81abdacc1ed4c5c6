"""The worker's command on its own: scratch, locks, Java, stopping. What needs S3 is in tests/integration/worker."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyspark
import pytest

from tests.waiting import eventually

COMMAND = Path(__file__).resolve().parents[3] / "infra" / "worker" / "lake-worker"
SPARK_HOME = Path(pyspark.__file__).parent


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def worker(tmp_path: Path) -> Any:
    """The command as a module whose home is a folder of this test."""
    loader = SourceFileLoader("lake_worker", str(COMMAND))
    module = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
    loader.exec_module(module)
    module.HOME = tmp_path / "home"
    return module


@pytest.fixture
def deployed(tmp_path: Path) -> Callable[..., str]:
    """`deployed(b"...")` deploys a bundle of one file, under its own name or the one that is told; returns the name."""

    def deploy(content: bytes, name: str = "") -> str:
        archive = tmp_path / "deployed.zip"
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("spark_jobs/launch.py", content)
        digest = name or hashlib.sha256(archive.read_bytes()).hexdigest()
        archive.rename(tmp_path / f"{digest}.zip")
        return digest

    return deploy


@pytest.mark.parametrize(
    "end", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(137)", "sys.exit(3)", "sys.exit(52)"]
)
def test_a_job_that_is_out_of_memory_ends_with_a_code_of_its_own(
    worker: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    said = tmp_path / "error"
    said.write_text("ERROR clean: Py4JNetworkError: Answer from Java side is empty\n")
    command = [sys.executable, "-c", f"import os, signal, sys; {end}"]
    environment = {**os.environ, "LAKE_ERROR_FILE": str(said), "LAKE_SPARK_MEMORY": "3000000000"}
    assert worker.run_job(command, environment, tmp_path, "clean") == 71
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("ERROR clean: memory ran out (it ended with ")
    assert last.endswith("of which a Spark takes 3,000,000,000")


@pytest.fixture
def host(worker: Any, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`host("lines")` runs lines of Python that call the command as `worker`, to which S3 is the test's folder."""
    script = tmp_path / "host.py"
    header = f"""
import os, shutil, signal, sys, zipfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import SimpleNamespace
import boto3
loader = SourceFileLoader('lake_worker', {str(COMMAND)!r})
worker = module_from_spec(spec_from_loader(loader.name, loader))
loader.exec_module(worker)
worker.HOME = Path({str(worker.HOME)!r})
download = lambda bucket, key, path: shutil.copy(Path({str(tmp_path)!r}) / Path(key).name, path)
boto3.client = lambda service: SimpleNamespace(download_file=download)
os.environ['LAKE_ARTIFACTS_BUCKET'] = 'artifacts'
"""

    def run(body: str) -> subprocess.CompletedProcess[str]:
        script.write_text(header + body)
        return subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)

    return run


USE = """
with worker.scratch_folder('clean') as scratch:
    print(next(worker.bundle_folder('{digest}', scratch).rglob('*.py')).read_text())
"""


def test_a_bundle_is_fetched_once_and_whole(worker: Any, deployed: Any, host: Any, tmp_path: Path) -> None:
    digest = deployed(b"good")
    # Power fails in the midst of unpacking, and again when all is unpacked.
    half = host(
        f"zipfile.ZipFile.extractall = lambda *_: os.kill(os.getpid(), signal.SIGKILL){USE.format(digest=digest)}"
    )
    assert half.returncode == -signal.SIGKILL
    unpacked = host(f"os.sync = lambda: os.kill(os.getpid(), signal.SIGKILL){USE.format(digest=digest)}")
    assert unpacked.returncode == -signal.SIGKILL
    assert [path.name for path in (worker.HOME / "code").iterdir()] == [f"{digest}.lock"]

    assert host(USE.format(digest=digest)).stdout == "good\n"
    (tmp_path / f"{digest}.zip").unlink()
    assert host(USE.format(digest=digest)).stdout == "good\n"
    # Of those who were cut short, nothing is left either.
    assert [path.name for path in (worker.HOME / "scratch").iterdir()] == ["_sweep.lock"]


def test_a_bundle_whose_content_is_not_its_name_is_refused(worker: Any, deployed: Any, host: Any) -> None:
    forged = deployed(b"evil", "a" * 64)
    refused = host(USE.format(digest=forged))
    assert "s3://artifacts/code/aaa" in refused.stderr
    assert "not the one in its name" in refused.stderr
    assert not (worker.HOME / "code" / forged).exists()


def test_scratch_is_removed_however_the_job_ends(worker: Any) -> None:
    def job() -> None:
        with worker.scratch_folder("clean") as scratch:
            (scratch / "file").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        job()
    assert [path.name for path in (worker.HOME / "scratch").iterdir()] == ["_sweep.lock"]


def test_scratch_of_the_dead_is_swept_and_that_of_the_living_is_not(worker: Any) -> None:
    dead = worker.HOME / "scratch" / "clean-killed"
    dead.mkdir(parents=True)
    (dead / "_alive").touch()
    with worker.scratch_folder("clean") as living, worker.scratch_folder("validate") as second:
        assert living.is_dir()
        assert second.is_dir()
        assert not dead.exists()


def test_no_more_sparks_run_than_there_are_slots(worker: Any, capsys: pytest.CaptureFixture[str]) -> None:
    worker.slots, worker.SLOT_POLL_SECONDS = lambda: 2, 0.01
    running, most = [0], [0]

    def job() -> None:
        with worker.spark_slot():
            running[0] += 1
            most[0] = max(most[0], running[0])
            time.sleep(0.1)
            running[0] -= 1

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: job(), range(5)))
    assert (running, most) == ([0], [2])
    assert "2 Sparks run already: waiting for one to end" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gibibytes", "cores", "slots"), [(1, 2, 1), (4, 4, 2), (8, 2, 2), (8, 8, 2), (32, 2, 2), (32, 8, 3), (64, 8, 7)]
)
def test_what_all_slots_may_take_fits_into_the_memory(
    worker: Any, monkeypatch: pytest.MonkeyPatch, gibibytes: int, cores: int, slots: int
) -> None:
    worker.memory = lambda: gibibytes << 30
    monkeypatch.setattr(worker.os, "cpu_count", lambda: cores)
    assert worker.slots() == slots
    assert slots == 1 or slots * worker.spark_memory() <= worker.memory()


@pytest.mark.parametrize(
    ("given", "region"),
    [
        ({}, None),
        ({"AWS_SSM_REGION_NAME": "eu-west-1"}, "eu-west-1"),
        ({"AWS_SSM_REGION_NAME": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-2"}, "us-east-2"),
    ],
)
def test_the_agent_tells_the_region_unless_it_is_set(worker: Any, given: dict[str, str], region: str | None) -> None:
    with patch.dict(os.environ, given, clear=True):
        worker.use_agent_region()
        assert os.environ.get("AWS_DEFAULT_REGION") == region


def test_the_java_wrapper_drops_the_missing_module_and_nothing_else(worker: Any) -> None:
    java = worker.Java(SPARK_HOME)
    wrapper = java.home / "bin" / "java"
    plain = subprocess.run(
        [wrapper, "--add-modules=jdk.incubator.vector", f"-XX:SharedArchiveFile={java.base}", "-Xshare:on", "-version"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert plain.returncode == 0, plain.stderr
    assert "version" in plain.stderr
    spaced = subprocess.run(
        [wrapper, "-Dx=a b", "-XshowSettings:properties", "-version"], capture_output=True, text=True, check=True
    )
    assert "x = a b" in spaced.stderr


def test_one_job_at_a_time_makes_the_class_archive_and_the_next_use_it(worker: Any, tmp_path: Path) -> None:
    java = worker.Java(SPARK_HOME)
    with java.archive_options(tmp_path) as first, java.archive_options(tmp_path) as second:
        made = tmp_path / "spark.jsa"
        assert first == [f"-XX:SharedArchiveFile={java.base}", f"-XX:ArchiveClassesAtExit={made}"]
        assert second == [f"-XX:SharedArchiveFile={java.base}"]
        made.write_text("an archive")
    assert java.classes.read_text() == "an archive"
    with java.archive_options(tmp_path) as third:
        assert third == [f"-XX:SharedArchiveFile={java.base}:{java.classes}"]


@pytest.mark.parametrize(
    ("bundle", "program", "job"),
    [
        ("a" * 63, "python", "clean"),
        ("A" * 64, "python", "clean"),
        ("a" * 64, "bash", "clean"),
        ("a" * 64, "python", "../clean"),
        ("a" * 64, "python", "clean\n"),
        ("s3://bucket/code/x.zip", "python", "clean"),
        ("a" * 64, "python", ""),
    ],
)
def test_usage_is_told(bundle: str, program: str, job: str) -> None:
    words = [word for word in (bundle, program, job) if word]
    result = subprocess.run([sys.executable, COMMAND, *words], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "lake-worker BUNDLE spark-submit JOB" in result.stderr


def test_a_worker_that_is_not_set_up_says_so(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, COMMAND, "a" * 64, "python", "clean"],
        env={**os.environ, "LAKE_WORKER_VENV": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 70
    assert result.stderr.startswith("ERROR lake-worker python clean: WorkerError: there is no Python environment at")


@pytest.mark.parametrize("asked", ["", "setsid sh $0 & wait"], ids=["ignores it", "starts another one"])
def test_asked_to_stop_it_takes_everything_down_and_cleans_up(worker: Any, tmp_path: Path, asked: str) -> None:
    pids, busy = tmp_path / "pids", tmp_path / "busy"
    # A process that writes to scratch all the time; it has a session of its own, like a Python worker of Spark.
    busy.write_text(f"trap '{asked}' TERM\necho $$ >> {pids}\nwhile true; do touch $$-$(date +%N); done\n")
    script = tmp_path / "host.py"
    script.write_text(
        "import sys\n"
        "from importlib.machinery import SourceFileLoader\n"
        "from importlib.util import module_from_spec, spec_from_loader\n"
        "from pathlib import Path\n"
        f"loader = SourceFileLoader('lake_worker', {str(COMMAND)!r})\n"
        "worker = module_from_spec(spec_from_loader(loader.name, loader))\n"
        "loader.exec_module(worker)\n"
        f"worker.HOME = Path({str(worker.HOME)!r})\n"
        "worker.GRACE_SECONDS = 1\n"
        "with worker.scratch_folder('clean') as scratch:\n"
        f"    command = ['sh', '-c', 'setsid sh $0 & wait', {str(busy)!r}]\n"
        "    sys.exit(worker.run(command, None, scratch))\n"
    )
    process = subprocess.Popen([sys.executable, script])
    eventually(lambda: pids.exists() and bool(pids.read_text().strip()))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert [path.name for path in (worker.HOME / "scratch").iterdir()] == ["_sweep.lock"]
    eventually(lambda: not any(is_running(int(pid)) for pid in pids.read_text().split()))
