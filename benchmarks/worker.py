"""A worker in a folder of its own, on which jobs run as Airflow has them run: by lake-worker, from a bundle."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from benchmarks.measuring import REPOSITORY, Cost, measured

RUN = "benchmark"
SUBMISSION = f"{RUN}-00000001"
BUNDLE = "import sys; from lake.bundle import build_bundle; sys.stdout.buffer.write(build_bundle()[1])"


class Worker:
    """Code, data and results of one dataset; its packages are those of this checkout's `.venvs/worker`."""

    def __init__(self, folder: Path, dataset: str, checkout: Path = REPOSITORY) -> None:
        """Unpack the bundle of a checkout.

        :param folder: is made; its name and those above it are without blanks.
        """
        self.folder = folder
        self.dataset = dataset
        self._command = checkout / "infra" / "worker" / "lake-worker"
        self._environment = {
            **os.environ,
            "LAKE_WORKER_HOME": str(folder / "home"),
            "LAKE_WORKER_VENV": str(REPOSITORY / ".venvs" / "worker"),
            "LAKE_DATA_DIR": str(folder),
            "LAKE_SUBMISSION": SUBMISSION,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        # Each checkout knows which of its files the bundle has.
        environment = {**os.environ, "PYTHONPATH": str(checkout / "plugins")}
        content = subprocess.run([sys.executable, "-c", BUNDLE], env=environment, capture_output=True, check=True)  # noqa: S603
        self._content = content.stdout
        self.bundle = self._unpacked(hashlib.sha256(self._content).hexdigest())

    def _code(self, bundle: str) -> Path:
        return self.folder / "home" / "code" / bundle

    def _unpacked(self, bundle: str) -> str:
        with zipfile.ZipFile(BytesIO(self._content)) as archive:
            archive.extractall(self._code(bundle))
        return bundle

    def text(self, name: str) -> str:
        """A file of the bundle."""
        return (self._code(self.bundle) / name).read_text(encoding="utf-8")

    def bundle_with(self, name: str, text: str) -> str:
        """Another bundle for `job`: this one, but with `text` in the file `name`."""
        bundle = self._unpacked(hashlib.sha256(f"{self.bundle} {name} {text}".encode()).hexdigest())
        (self._code(bundle) / name).write_text(text, encoding="utf-8")
        return bundle

    def uri(self, kind: str, ds: str = "{ds}") -> str:
        """The folder of a kind of file of a date."""
        return f"file://{self.folder}/data/{self.dataset}/ds={ds}/run={RUN}/{kind}/"

    def manifest(self, ds: str, step: str) -> str:
        """The manifest of a step of a date, or of a whole range."""
        return f"file://{self.folder}/manifests/ds={ds}/{step}.json"

    def read(self, uri: str) -> dict[str, Any]:
        """A manifest."""
        found: dict[str, Any] = json.loads(path_of(uri).read_text(encoding="utf-8"))
        return found

    def stage(self, ds: str, files: Iterable[Path]) -> None:
        """Let files be a date's staged ones, in place of those before, as `stage_raw` leaves them."""
        raw = path_of(self.uri("raw", ds))
        raw.mkdir(parents=True, exist_ok=True)
        for before in raw.iterdir():
            before.unlink()
        described = []
        for file in files:
            (raw / file.name).hardlink_to(file)
            described.append({"name": file.name, "bytes": file.stat().st_size})
        staged = {"files": described, "duplicate_files": []}
        (raw / "_manifest.json").write_text(json.dumps(staged), encoding="utf-8")

    def command(self, job: str, ds: str, bundle: str | None = None, **options: str) -> list[str]:
        """The command that runs a job."""
        options = {"dataset": self.dataset, "ds": ds, "run": RUN, **options}
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        return [str(self._command), bundle or self.bundle, "spark-submit", job, *words]

    def job(self, job: str, ds: str, bundle: str | None = None, **options: str) -> Cost:
        """What a job costs from its submission to its end, the start of Spark included, which it leaves to no other."""
        alone = {**self._environment, "LAKE_NEXT_STEP_SECONDS": "0"}
        return measured(self.command(job, ds, bundle, **options), environment=alone)[0]

    def clean(self, ds: str, bundle: str | None = None) -> Cost:
        """What cleaning a date costs."""
        return self.job("clean", ds, bundle, **self.of_clean(ds))

    def validate(self, ds: str) -> Cost:
        """What validating a cleaned date costs."""
        return self.job("validate", ds, **self.of_validate(ds))

    def clean_and_validate(self, ds: str) -> Cost:
        """What the two cost one after the other, as they come in a run."""
        steps = self.command("clean", ds, **self.of_clean(ds)), self.command("validate", ds, **self.of_validate(ds))
        return measured(*steps, environment=self._environment)[0]

    def of_clean(self, ds: str) -> dict[str, str]:
        """The options of cleaning a date."""
        return {"manifest": self.manifest(ds, "clean"), **self.cleaning(ds)}

    def of_validate(self, ds: str) -> dict[str, str]:
        """The options of validating a cleaned date."""
        return {
            "clean_manifest": self.manifest(ds, "clean"),
            "docs": self.uri("docs", ds),
            "manifest": self.manifest(ds, "validate"),
        }

    def cleaning(self, ds: str = "{ds}") -> dict[str, str]:
        """What the jobs that clean are told."""
        return {
            "submission": SUBMISSION,
            "input": self.uri("raw", ds),
            "output": self.uri("published", ds),
            "quarantine": self.uri("quarantine", ds),
        }


def path_of(uri: str) -> Path:
    """The path of a `file://` URI."""
    return Path(uri.removeprefix("file://"))
