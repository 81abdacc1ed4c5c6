"""How a job is started: its memory, compiler, collector and parallelism, by how much there is to work on.

    python -m spark_jobs.launch spark-submit|python JOB [ARGUMENT ...]

infra/worker/lake-worker runs it in the bundle's folder, and says there what it can rely on; it becomes the job's
process. `${LAKE_DATA_DIR}` and `${LAKE_SUBMISSION}` in an argument become these variables' values. Exit code 70: the
job could not be started.
"""

from __future__ import annotations

import glob
import os
import sys
from itertools import pairwise
from pathlib import Path

SOFTWARE = 70
VARIABLES = ("LAKE_DATA_DIR", "LAKE_SUBMISSION")
SMALL_INPUT = 64 << 20
BESIDE_HEAP = 1 << 30
"""Memory of a Spark beside its heap: an allowance for the rest of the JVM and its Python."""


def expanded(argument: str) -> str:
    """`argument` with the values of the variables that it may name.

    :raises ValueError: it names one that is not set.
    """
    for name in VARIABLES:
        if f"${{{name}}}" in argument:
            if name not in os.environ:
                raise ValueError(f"{argument} needs {name}, which is not set")
            argument = argument.replace(f"${{{name}}}", os.environ[name])
    return argument


def recorded_bytes(manifest: str) -> int:
    """The size of the raw files that the job `clean` has read, by the manifest it wrote.

    :raises ValueError: it does not tell.
    """
    # Here and not above: it takes longer to import than most jobs need to be started.
    from spark_jobs import storage

    try:
        return sum(file["bytes"] for file in storage.read_json(manifest)["input"]["files"])
    except Exception as error:
        raise ValueError(f"{manifest} does not tell how much there is to read: {error}") from error


def input_bytes(arguments: list[str]) -> int:
    """The size of what a job works on.

    That is the files in the local folders among its arguments, `{ds}` in one standing for any date, and what was read
    by the `clean` whose rows it judges.
    """
    paths = (argument.removeprefix("file:///") for argument in arguments if argument.startswith("file:///"))
    patterns = (glob.escape(path).replace("{ds}", "*") for path in paths)
    folders = (folder for pattern in patterns for folder in Path("/").glob(pattern))
    cleaned = (value for option, value in pairwise(arguments) if option == "--clean-manifest")
    local = sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())
    return local + sum(map(recorded_bytes, cleaned))


def spark_submit(name: str, arguments: list[str]) -> list[str]:
    """The command that runs a job with Spark on all cores of this machine."""
    size = input_bytes(arguments)
    small = size < SMALL_INPUT
    print(f"{size:,} bytes to work on: {'small' if small else 'large'} mode", flush=True)  # noqa: T201
    scratch = os.environ["TMPDIR"]
    java = [
        # Small inputs end before the optimising compiler pays; large ones need it and a parallel collector, which would
        # rather take all memory there is than a hundredth of the time.
        *(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] if small else ["-XX:+UseParallelGC", "-XX:GCTimeRatio=19"]),
        # Spark generates methods that are longer than those which Java compiles otherwise.
        "-XX:-DontCompileHugeMethods",
        f"-Djava.io.tmpdir={scratch}",
        f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}",
        "-XX:-UsePerfData",
        # Its exit code tells, instead of an error that something on the way may swallow.
        "-XX:+ExitOnOutOfMemoryError",
        "-Xlog:disable",
        os.environ["LAKE_JAVA_OPTIONS"],
    ]
    configuration = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.warehouse.dir": f"{scratch}/warehouse",
        "spark.sql.shuffle.partitions": 1 if small else 2 * (os.cpu_count() or 1),
        # It looks for better plans while a query runs, of which small ones have none.
        "spark.sql.adaptive.enabled": "false" if small else "true",
        # Else two in three calls to the JVM only tell it which line of Python a column expression is of.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
    }
    heap = int(os.environ["LAKE_SPARK_MEMORY"]) - BESIDE_HEAP
    return [
        f"{os.environ['SPARK_HOME']}/bin/spark-submit",
        *("--master", "local[*]"),
        *("--driver-memory", f"{heap >> 20}m"),
        *("--driver-java-options", " ".join(java)),
        *(word for name, value in configuration.items() for word in ("--conf", f"{name}={value}")),
        *("--name", f"{name} {os.environ.get('LAKE_SUBMISSION', '')}"),
        str(Path(__file__).with_name("submitted.py")),
        name,
        *arguments,
    ]


def command_of(program: str, name: str, arguments: list[str]) -> list[str]:
    """The command that runs a job.

    :raises ValueError: there is no such job, or its arguments do not make sense.
    """
    if not Path(__file__).with_name(f"{name}.py").is_file():
        raise ValueError(f"the bundle has no job {name}")
    arguments = [expanded(argument) for argument in arguments]
    if program == "python":
        return [sys.executable, "-m", f"spark_jobs.{name}", *arguments]
    return spark_submit(name, arguments)


def main() -> None:
    """Become the job that the command line names."""
    program, name, *arguments = sys.argv[1:]
    try:
        command = command_of(program, name, arguments)
    except ValueError as error:
        Path(os.environ["LAKE_ERROR_FILE"]).write_text(f"ERROR launch {name}: {error}\n", encoding="utf-8")
        sys.exit(SOFTWARE)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
