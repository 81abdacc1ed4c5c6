"""What tests of several folders share: a home for Airflow, set before anything imports Airflow, and Spark."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.worker_home import share_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REPOSITORY = Path(__file__).resolve().parents[1]
AIRFLOW_HOME = tempfile.TemporaryDirectory(prefix="airflow-", ignore_cleanup_errors=True)
os.environ["AIRFLOW_HOME"] = AIRFLOW_HOME.name


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One small Spark for all tests, on the JRE that the worker uses; pyspark is in the worker's environment only."""
    import pyspark

    from spark_jobs.session import spark_session

    loader = SourceFileLoader("lake_worker", str(REPOSITORY / "infra" / "worker" / "lake-worker"))
    lake_worker = module_from_spec(spec_from_loader(loader.name, loader))  # type: ignore[arg-type]
    loader.exec_module(lake_worker)
    lake_worker.HOME = share_java(tmp_path_factory.mktemp("worker"))
    java = lake_worker.Java(Path(pyspark.__file__).parent)
    logging = REPOSITORY / "spark_jobs" / "log4j2.properties"
    archives = ":".join(str(archive) for archive in (java.base, java.classes) if archive.exists())
    options = f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xlog:disable -XX:SharedArchiveFile={archives}"
    os.environ.update(
        JAVA_HOME=str(java.home),
        SPARK_LOCAL_IP="127.0.0.1",
        PYSPARK_PYTHON=sys.executable,
        PYTHONPATH=f"{REPOSITORY}:{REPOSITORY / 'plugins'}",
        PYSPARK_SUBMIT_ARGS=(
            f"--master local[1] --driver-java-options '{options} -Dlog4j2.configurationFile={logging}' "
            "--conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=1 "
            "--conf spark.sql.adaptive.enabled=false pyspark-shell"
        ),
    )
    session = spark_session()
    yield session
    session.stop()
