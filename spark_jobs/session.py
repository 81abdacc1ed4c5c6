"""The Spark session of a job: what its results depend on. Memory, JVM flags and the like are spark_jobs/launch.py's."""

from __future__ import annotations

from pyspark.sql import SparkSession

SEMANTICS = {
    # A wrong cast is an error, never a silent null: casts that may fail say try_cast.
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "20000",
}


def spark_session() -> SparkSession:
    """The session, started when there is none yet; whoever asks meanwhile waits for it."""
    builder = SparkSession.builder
    for key, value in SEMANTICS.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()
