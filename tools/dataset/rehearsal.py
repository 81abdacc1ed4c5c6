"""A sample through the jobs, by the code and in the environment of the worker, and what came of its rows."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake.bundle import build_bundle

from tools.environment import CHECKOUT, OUR_PREFIXES, python_of

DS = "2025-06-30"


@dataclass(frozen=True)
class Outcome:
    """What the jobs make of a sample: the account of its rows, if it came so far, and what is wrong."""

    account: Mapping[str, Any]
    problem: str | None = None


def rehearse(name: str, sample: Path, files: Mapping[Path, str]) -> Outcome:
    """Stage, clean and validate a sample as dataset `name`, with the contract and the suite among `files`."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle, copy = Path(scratch) / "bundle", Path(scratch) / sample.name
        zipfile.ZipFile(io.BytesIO(build_bundle(CHECKOUT)[1])).extractall(bundle)
        for path, content in files.items():
            if (bundle / path).parent.is_dir():
                (bundle / path).write_text(content, encoding="utf-8")
        shutil.copyfile(sample, copy)
        manifest = Path(scratch) / "rehearse.json"
        command = [str(python_of("worker")), "-m", "spark_jobs.rehearse", "--dataset", name, "--ds", DS]
        command += ["--run", "rehearsal", "--sample", copy.as_uri(), "--manifest", manifest.as_uri()]
        environment = {key: value for key, value in os.environ.items() if not key.startswith(OUR_PREFIXES)}
        environment["PYTHONPATH"] = f"{bundle}{os.pathsep}{bundle / 'plugins'}"
        result = subprocess.run(
            command, cwd=bundle, env=environment, capture_output=True, text=True, errors="replace", check=False
        )
        account = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    said = [line for line in result.stderr.splitlines() if line.strip()]
    return Outcome(account, (said or ["the jobs could not be started"])[-1] if result.returncode else None)
