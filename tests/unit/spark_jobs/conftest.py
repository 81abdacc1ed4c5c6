"""One small Spark for all tests, on the JRE that the worker uses."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pyspark
import pytest
from lake.contract import Contract, load_contract
from pyspark.sql import SparkSession

from spark_jobs.session import spark_session

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    loader = SourceFileLoader("lake_worker", str(REPOSITORY / "infra" / "worker" / "lake-worker"))
    lake_worker = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
    loader.exec_module(lake_worker)
    lake_worker.HOME = tmp_path_factory.mktemp("worker")
    java = lake_worker.Java(Path(pyspark.__file__).parent)
    options = f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xlog:disable -XX:SharedArchiveFile={java.base}"
    os.environ.update(
        JAVA_HOME=str(java.home),
        SPARK_LOCAL_IP="127.0.0.1",
        PYSPARK_PYTHON=sys.executable,
        PYTHONPATH=f"{REPOSITORY}:{REPOSITORY / 'plugins'}",
        PYSPARK_SUBMIT_ARGS=(
            f"--master local[1] --driver-java-options '{options} -Dlog4j2.configurationFile={java.logging}' "
            "--conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=1 "
            "--conf spark.sql.adaptive.enabled=false pyspark-shell"
        ),
    )
    session = spark_session("tests")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def orders() -> Contract:
    return load_contract(REPOSITORY / "include" / "datasets" / "orders.yaml")
