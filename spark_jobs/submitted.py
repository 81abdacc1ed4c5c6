"""What spark-submit runs, `submitted.py JOB [ARGUMENT ...]`: Spark starts while Python loads the job."""

from __future__ import annotations

import gc
import importlib
import sys
import threading

from spark_jobs.session import spark_session


def main() -> None:
    """Run the job that the command line names."""
    job = sys.argv.pop(1)
    threading.Thread(target=spark_session, daemon=True).start()
    # What is loaded stays: it needs not be looked through for what is not needed any more.
    gc.disable()
    module = importlib.import_module(f"spark_jobs.{job}")
    gc.freeze()
    gc.enable()
    module.main()


if __name__ == "__main__":
    main()
