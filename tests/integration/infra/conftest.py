"""The lake, deployed from its own template into the test's AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra import deploy
from infra.lake import Lake

REGION = "us-east-1"


@pytest.fixture(scope="session")
def requirements(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `uv export` would give."""
    path = tmp_path_factory.mktemp("worker") / "requirements.txt"
    path.write_text("boto3==1.43.0 --hash=sha256:0000\n")
    return path


@pytest.fixture(scope="session")
def make_lake(localaws: Any) -> Iterator[Callable[..., Lake]]:
    """`make_lake("name")` is a `Lake`, as `python -m infra.deploy` would have it; not deployed yet."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", localaws.endpoint)
        environment.setenv("AWS_DEFAULT_REGION", REGION)
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        yield lambda name: Lake(boto3.Session(), name)


@pytest.fixture(scope="session")
def outputs(make_lake: Callable[..., Lake], requirements: Path) -> dict[str, str]:
    """The outputs of the deployed lake `lake`."""
    lake = make_lake("lake")
    deploy.deploy(lake, requirements)
    return lake.outputs()
