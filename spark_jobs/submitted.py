"""What spark-submit runs, `submitted.py JOB [ARGUMENT ...]`: Spark starts while Python loads the job."""

from __future__ import annotations

import importlib
import sys
import threading

from spark_jobs.session import spark_session


def main() -> None:
    """Run the job that the command line names."""
    job = sys.argv.pop(1)
    threading.Thread(target=spark_session, daemon=True).start()
    importlib.import_module(f"spark_jobs.{job}").main()


if __name__ == "__main__":
    main()
