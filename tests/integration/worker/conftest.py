"""A worker that runs the jobs as Airflow does: by lake-worker, from a bundle on S3, over S3 and the data volume."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worker_home import share_java

REPOSITORY = Path(__file__).resolve().parents[3]
LAKE_WORKER = REPOSITORY / "infra" / "worker" / "lake-worker"
BUCKETS = ("raw", "processed", "artifacts")
SECONDS = 280
"""How long a job may take: the first one also makes the archive of Spark's classes."""


@dataclass(frozen=True)
class Worker:
    """A worker with its environment, the bundle it runs, and the dataset it runs it for.

    `options` are arguments by job, beyond those that every dataset needs.
    """

    environment: dict[str, str]
    bundle: str
    data: Path
    home: Path
    s3: Any
    dataset: str = "orders"
    options: dict[str, dict[str, str]] | None = None

    def of(self, dataset: str, **options: dict[str, str]) -> Worker:
        """The same worker for another dataset."""
        return replace(self, dataset=dataset, options=options)

    def command(self, program: str, job: str, ds: str, run: str) -> list[str]:
        key = f"{self.dataset}/ds={ds}"
        manifests = f"s3://artifacts/manifests/{key}/run={run}"
        staged = f"file://${{LAKE_DATA_DIR}}/{key}/run={run}/raw"
        options = {
            "stage_raw": {"raw": f"s3://raw/{key}/", "staged": staged},
            "clean": {
                "submission": "${LAKE_SUBMISSION}",
                "input": staged,
                "output": f"s3://processed/_staging/{key}/run={run}-00000001/",
                "quarantine": f"s3://processed/{self.dataset}_quarantine/ds={ds}/run={run}-00000001/",
            },
            "validate": {
                "clean-manifest": f"{manifests}/clean.json",
                "docs": f"s3://artifacts/data-docs/{key}/run={run}-00000001/",
            },
        }[job]
        options |= {"dataset": self.dataset, "ds": ds, "run": run, "manifest": f"{manifests}/{job}.json"}
        options |= (self.options or {}).get(job, {})
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return [str(LAKE_WORKER), self.bundle, program, job, *words]

    def start(self, program: str, job: str, ds: str, run: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(program, job, ds, run),
            env={**self.environment, "LAKE_SUBMISSION": f"{run}-00000001"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def said(self, program: str, job: str, ds: str, run: str) -> tuple[int, str, str]:
        """The exit code, and all that was written to stdout and stderr."""
        with self.start(program, job, ds, run) as process:
            try:
                output, errors = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.terminate()
                raise
        return process.returncode, output, errors

    def run(self, program: str, job: str, ds: str, run: str) -> tuple[int, str]:
        """The exit code and the last line on stderr."""
        code, _, errors = self.said(program, job, ds, run)
        return code, errors.rstrip("\n").rpartition("\n")[2]

    def stage(self, ds: str, run: str) -> tuple[int, str]:
        return self.run("python", "stage_raw", ds, run)

    def clean(self, ds: str, run: str) -> tuple[int, str]:
        return self.run("spark-submit", "clean", ds, run)

    def validate(self, ds: str, run: str) -> tuple[int, str]:
        return self.run("spark-submit", "validate", ds, run)

    def upload(self, ds: str, content: bytes | str, name: str = "orders.csv") -> None:
        body = content if isinstance(content, bytes) else content.encode()
        self.s3.put_object(Bucket="raw", Key=f"{self.dataset}/ds={ds}/{name}", Body=body)

    def manifest(self, job: str, ds: str, run: str) -> dict[str, Any]:
        key = f"manifests/{self.dataset}/ds={ds}/run={run}/{job}.json"
        document: dict[str, Any] = json.loads(self.s3.get_object(Bucket="artifacts", Key=key)["Body"].read())
        return document

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        return [item["Key"] for item in self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]

    def table(self, files: list[dict[str, Any]]) -> pa.Table:
        """The rows of files in the processed bucket, as a manifest describes them."""
        parts = [self.s3.get_object(Bucket="processed", Key=file["key"])["Body"].read() for file in files]
        assert [hashlib.sha256(part).hexdigest() for part in parts] == [file["sha256"] for file in files]
        return pa.concat_tables(pq.read_table(pa.BufferReader(part)) for part in parts)


def build_bundle() -> tuple[str, bytes]:
    """The bundle as Airflow builds it; the module is loaded by its path, because its package needs Airflow."""
    specification = importlib.util.spec_from_file_location("bundle", REPOSITORY / "plugins" / "lake" / "bundle.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    digest, content = module.build_bundle()
    return digest, content


@pytest.fixture(scope="session")
def s3(aws: Callable[..., Any]) -> Any:
    client = aws("s3")
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
    return client


@pytest.fixture(scope="session")
def worker(localaws: Any, s3: Any, tmp_path_factory: pytest.TempPathFactory) -> Worker:
    digest, content = build_bundle()
    s3.put_object(Bucket="artifacts", Key=f"code/{digest}.zip", Body=content)
    folder = tmp_path_factory.mktemp("worker")
    environment = {
        **os.environ,
        "LAKE_ARTIFACTS_BUCKET": "artifacts",
        "LAKE_DATA_DIR": str(folder / "data"),
        "LAKE_WORKER_HOME": str(share_java(folder / "home")),
        "LAKE_WORKER_VENV": str(REPOSITORY / ".venvs" / "worker"),
        "AWS_ENDPOINT_URL": localaws.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    return Worker(environment, digest, folder / "data", folder / "home", s3)
