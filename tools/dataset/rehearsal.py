"""A sample through the jobs, by the code and in the environment of the worker, and what came of its rows."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake.bundle import build_bundle

from tools.environment import CHECKOUT, OUR_PREFIXES, python_of
from tools.stack import worker_home

LAKE_WORKER = CHECKOUT / "infra" / "worker" / "lake-worker"
DS = "2025-06-30"


@dataclass(frozen=True)
class Outcome:
    """What the jobs make of a sample: the account of its rows, if it came so far, and what is wrong."""

    account: Mapping[str, Any]
    problem: str | None = None


def rehearse(name: str, sample: Path, files: Mapping[Path, str]) -> Outcome:
    """Stage, clean and validate a sample as dataset `name`, with the contract and the suite among `files`."""
    with tempfile.TemporaryDirectory() as scratch, _bundle(files) as bundle:
        raw, manifest = Path(scratch) / "raw", Path(scratch) / "rehearse.json"
        raw.mkdir()
        # A file whose name begins so is a marker, and not read.
        shutil.copyfile(sample, raw / sample.name.lstrip("_."))
        command = [str(python_of("worker")), str(LAKE_WORKER), bundle, "spark-submit", "rehearse"]
        command += ["--dataset", name, "--ds", DS, "--run", "rehearsal"]
        command += ["--raw", raw.as_uri(), "--manifest", manifest.as_uri()]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(OUR_PREFIXES)}
        environment["LAKE_WORKER_HOME"] = str(worker_home())
        environment["LAKE_WORKER_VENV"] = str(python_of("worker").parents[1])
        environment["LAKE_DATA_DIR"] = scratch
        result = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
        account = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    said = [line for line in result.stderr.splitlines() if line.strip()]
    return Outcome(account, (said or ["the jobs could not be started"])[-1] if result.returncode else None)


@contextmanager
def _bundle(files: Mapping[Path, str]) -> Iterator[str]:
    """The name of a code bundle with these files in it, which lies where the worker finds it and need not fetch it."""
    content = build_bundle(CHECKOUT)[1]
    name = hashlib.sha256(content + repr(sorted(files.items())).encode()).hexdigest()
    folder = worker_home() / "code" / name
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(folder)
        for path, text in files.items():
            if (folder / path).parent.is_dir():
                (folder / path).write_text(text, encoding="utf-8")
        yield name
    finally:
        shutil.rmtree(folder, ignore_errors=True)
