"""How jobs are started: variables filled in, small and large inputs told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spark_jobs import launch


@pytest.fixture(autouse=True)
def given_by_lake_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What lake-worker tells of the worker."""
    for name, value in {
        "LAKE_DATA_DIR": str(tmp_path),
        "LAKE_SUBMISSION": "a-run-0123abcd",
        "LAKE_SPARK_MEMORY": str(3 << 30),
        "LAKE_JAVA_OPTIONS": "-XX:SharedArchiveFile=spark.jsa",
        "SPARK_HOME": "/opt/spark",
        "TMPDIR": str(tmp_path / "scratch"),
    }.items():
        monkeypatch.setenv(name, value)


def submitted(arguments: list[str]) -> str:
    return " ".join(launch.command_of("spark-submit", "clean", arguments))


def test_variables_in_arguments_get_their_values(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert launch.expanded("file://${LAKE_DATA_DIR}/orders/run=${LAKE_SUBMISSION}/") == (
        f"file://{tmp_path}/orders/run=a-run-0123abcd/"
    )
    assert launch.expanded("$HOME ${OTHER} {ds}") == "$HOME ${OTHER} {ds}"
    monkeypatch.delenv("LAKE_SUBMISSION")
    with pytest.raises(ValueError, match="needs LAKE_SUBMISSION, which is not set"):
        launch.expanded("${LAKE_SUBMISSION}")


def test_a_large_input_gets_the_optimising_compiler(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    with (tmp_path / "raw" / "orders.csv").open("wb") as file:
        file.truncate(launch.SMALL_INPUT)
    large, small = submitted(["--input", "file://${LAKE_DATA_DIR}/raw/"]), submitted([])
    assert "UseParallelGC" in large
    assert "TieredStopAtLevel" not in large
    assert "TieredStopAtLevel=1" in small
    assert "--driver-memory 2048m" in small
    assert all("-XX:+ExitOnOutOfMemoryError" in command for command in (large, small))
    assert "-XX:SharedArchiveFile=spark.jsa" in small
    assert "--name clean a-run-0123abcd " in small
    assert small.endswith("/spark_jobs/submitted.py clean")


def test_the_input_of_a_job_for_many_dates_is_that_of_all(tmp_path: Path) -> None:
    for ds, size in (("2025-06-01", 3), ("2025-06-02", 4)):
        folder = tmp_path / f"ds={ds}" / "raw"
        folder.mkdir(parents=True)
        (folder / "orders.csv").write_bytes(b"x" * size)
    assert launch.input_bytes([f"file://{tmp_path}/ds={{ds}}/raw/"]) == 7
    assert launch.input_bytes([f"file://{tmp_path}/ds=2025-06-02/raw/", "s3://b/ds={ds}/", "--ds"]) == 4


def test_a_job_that_judges_rows_is_as_large_as_the_one_that_cleaned_them(tmp_path: Path) -> None:
    manifest = tmp_path / "clean.json"
    arguments = ["--ds", "2025-06-01", "--clean-manifest", manifest.as_uri(), "--docs", "s3://b/docs/"]
    for size, large in ((launch.SMALL_INPUT, True), (launch.SMALL_INPUT - 1, False)):
        manifest.write_text(json.dumps({"input": {"files": [{"bytes": size - 2}, {"bytes": 2}]}}))
        command = submitted(arguments)
        assert ("UseParallelGC" in command, "spark.sql.shuffle.partitions=1 " in command) == (large, not large)
    manifest.unlink()
    with pytest.raises(ValueError, match=r"clean\.json does not tell how much there is to read"):
        launch.input_bytes(arguments)


def test_a_job_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="the bundle has no job frobnicate"):
        launch.command_of("python", "frobnicate", [])
