"""The worker's command on its own: scratch, locks, Java, stopping. What needs S3 is in tests/integration/worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
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


def test_variables_in_arguments_get_their_values(worker: Any) -> None:
    worker.VARIABLES = {"LAKE_DATA_DIR": "/data", "LAKE_RUN_ID": None}
    assert worker.expanded("file://${LAKE_DATA_DIR}/orders") == "file:///data/orders"
    assert worker.expanded("$HOME ${OTHER}") == "$HOME ${OTHER}"
    with pytest.raises(worker.WorkerError, match="needs LAKE_RUN_ID, which is not set"):
        worker.expanded("${LAKE_RUN_ID}")


@pytest.mark.parametrize("uri", ["s3://b/code/abc.zip", "file:///x.zip", f"s3://b/code/{'a' * 64}.tar"])
def test_only_a_bundle_named_by_its_hash_is_run(worker: Any, uri: str) -> None:
    with pytest.raises(worker.WorkerError, match=r"is not s3://BUCKET/.../SHA256.zip"):
        worker.bundle_folder(uri)


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
def test_the_heaps_of_all_slots_fit_into_the_memory(
    worker: Any, monkeypatch: pytest.MonkeyPatch, gibibytes: int, cores: int, slots: int
) -> None:
    worker.memory = lambda: gibibytes << 30
    monkeypatch.setattr(worker.os, "cpu_count", lambda: cores)
    assert worker.slots() == slots
    assert slots == 1 or slots * worker.heap() < worker.memory()


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


def test_a_large_input_gets_the_optimising_compiler(worker: Any, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with (tmp_path / "raw" / "orders.csv").open("wb") as file:
        file.truncate(worker.SMALL_INPUT)
    arguments = ["--input", (tmp_path / "raw").as_uri()]
    large = " ".join(worker.spark_submit(SPARK_HOME, Path("clean.py"), arguments, tmp_path, []))
    small = " ".join(worker.spark_submit(SPARK_HOME, Path("clean.py"), [], tmp_path, []))
    assert "UseParallelGC" in large
    assert "TieredStopAtLevel" not in large
    assert "TieredStopAtLevel=1" in small


def test_the_input_of_a_job_for_many_dates_is_that_of_all(worker: Any, tmp_path: Path) -> None:
    for ds, size in (("2025-06-01", 3), ("2025-06-02", 4)):
        folder = tmp_path / f"ds={ds}" / "raw"
        folder.mkdir(parents=True)
        (folder / "orders.csv").write_bytes(b"x" * size)
    assert worker.input_bytes([f"file://{tmp_path}/ds={{ds}}/raw/"]) == 7
    assert worker.input_bytes([f"file://{tmp_path}/ds=2025-06-02/raw/", "s3://b/ds={ds}/", "--ds"]) == 4


def test_a_job_that_judges_rows_is_as_large_as_the_one_that_cleaned_them(worker: Any, tmp_path: Path) -> None:
    manifest = tmp_path / "clean.json"
    arguments = ["--ds", "2025-06-01", "--clean-manifest", manifest.as_uri(), "--docs", "s3://b/docs/"]
    for size, large in ((worker.SMALL_INPUT, True), (worker.SMALL_INPUT - 1, False)):
        manifest.write_text(json.dumps({"input": {"files": [{"bytes": size - 2}, {"bytes": 2}]}}))
        command = " ".join(worker.spark_submit(SPARK_HOME, Path("validate.py"), arguments, tmp_path, []))
        assert ("UseParallelGC" in command, "spark.sql.shuffle.partitions=1 " in command) == (large, not large)
    manifest.unlink()
    with pytest.raises(worker.WorkerError, match=r"clean\.json does not tell how much there is to read"):
        worker.input_bytes(arguments)


def test_usage_is_told(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, COMMAND, "s3://b/x.zip", "bash", "clean"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "lake-worker s3://BUCKET/code/SHA256.zip spark-submit JOB" in result.stderr
    result = subprocess.run(
        [sys.executable, COMMAND, "s3://b/x.zip", "python", "clean"],
        env={**os.environ, "LAKE_WORKER_VENV": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 70
    assert result.stderr.startswith("ERROR lake-worker python clean: WorkerError: there is no Python environment at")


def test_asked_to_stop_it_takes_everything_down_and_cleans_up(worker: Any, tmp_path: Path) -> None:
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
        "with worker.scratch_folder('clean') as scratch:\n"
        # The grandchild ignores SIGTERM and has a session of its own, like a Python worker of Spark.
        "    inner = 'trap \"\" TERM; echo $$ > pid; while true; do sleep 0.1; done'\n"
        "    command = ['sh', '-c', f'setsid sh -c \\'{inner}\\' & wait']\n"
        f"    sys.exit(worker.run(command, None, Path({str(tmp_path)!r})))\n"
    )
    process = subprocess.Popen([sys.executable, script])
    pid_file = tmp_path / "pid"
    eventually(lambda: pid_file.exists() and bool(pid_file.read_text().strip()))
    grandchild = int(pid_file.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert [path.name for path in (worker.HOME / "scratch").iterdir()] == ["_sweep.lock"]
    eventually(lambda: not is_running(grandchild))
