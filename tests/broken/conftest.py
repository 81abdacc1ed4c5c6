"""The Spark of the unit tests."""

from tests.unit.spark_jobs.conftest import spark

__all__ = ["spark"]
