"""The jobs' code as one archive named by its content, so that a worker always runs what the DAGs were written with.

`infra.deploy` uploads it, Airflow only names the one of its own checkout: it cannot choose the code that runs.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = (
    "spark_jobs/**/*.py",
    "spark_jobs/*.properties",
    "spark_jobs/templates/*",
    "plugins/contract/*.py",
    "include/datasets/*.yaml",
    "expectations/*.json",
)
EPOCH = (1980, 1, 1, 0, 0, 0)


def build_bundle(repository: Path = REPOSITORY) -> tuple[str, bytes]:
    """Zip what a job needs, the same bytes for the same files whatever Python zips them.

    Args:
        repository: root of the checkout.

    Returns:
        The archive's SHA-256 in hex, and its bytes.

    Raises:
        FileNotFoundError: when a part of the bundle is missing from the checkout.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for part in PARTS:
            files = sorted(repository.glob(part))
            if not files:
                raise FileNotFoundError(f"{part} matches no file in the repository: the jobs cannot run without it")
            for file in files:
                # Stored, not compressed: what compression makes of the same bytes differs between machines.
                archive.writestr(zipfile.ZipInfo(file.relative_to(repository).as_posix(), EPOCH), file.read_bytes())
    content = buffer.getvalue()
    return hashlib.sha256(content).hexdigest(), content


@cache
def digest_of_this_process() -> str:
    """The digest of `build_bundle`, once per process: a task runs the code that stood there when it started."""
    return build_bundle()[0]


def bundle_key(digest: str) -> str:
    """The key of a bundle in the artifacts bucket."""
    return f"code/{digest}.zip"
