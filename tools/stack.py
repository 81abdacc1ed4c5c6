"""`python -m tools.stack up|down|status`: the local AWS and Airflow of this checkout.

`up` is safe to repeat: it starts what does not run, restarts what runs with old settings, and deploys the templates.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from tools import environment, processes
from tools.console import console, run, step
from tools.environment import CHECKOUT, LOCAL, LOGS, RUN, Ports, python_of
from tools.processes import Service, StackError

LOCALAWS = "localaws"
DATA_DOCS = "data-docs"
API_SERVER = "api-server"
TRIGGERER = "triggerer"
# api-server last: the others take longer until they are ready, and its health page reports on all of them.
AIRFLOW_COMMANDS = {
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    TRIGGERER: ("triggerer", "--skip-serve-logs"),
    API_SERVER: ("api-server",),
}
# Tasks that run when everything is stopped have this long to end.
STOP_SECONDS = 20


def up(schedule: bool = True, deploy_options: Sequence[str] = ()) -> dict[str, str]:
    """Start everything and wait until it is healthy.

    Args:
        schedule: False starts no runs by themselves, for a caller that replays dates of its own.
        deploy_options: more options of `infra.deploy deploy`, such as what it may remove.

    Returns:
        The variables that were written to `.local/env`.

    Raises:
        StackError: when a port is taken or a part does not become healthy in time.
    """
    ports = Ports.from_environment()
    local_aws = environment.aws_variables(ports)
    _require_ports(ports)
    with step("local AWS"):
        _start_localaws(ports, environment.process_environment(local_aws))
    with step("stacks of the lake (infra/stacks)"):
        outputs = _deploy(environment.process_environment(local_aws), deploy_options)
    variables = local_aws | environment.airflow_variables(ports, outputs) | outputs
    environment.write_environment(variables)
    settings = environment.process_environment(
        variables if schedule else variables | {"AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False"}
    )
    with step("Data Docs"):
        _start_data_docs(ports, environment.process_environment(variables))
    with step("Airflow's database"):
        _migrate(settings)
    with step("Airflow: scheduler, dag-processor, triggerer, api-server"):
        _start_airflow(ports, settings)
    return variables


def down() -> None:
    """Stop everything of this checkout, Airflow first, and leave no process behind."""
    names = [name for name in (*AIRFLOW_COMMANDS, DATA_DOCS, LOCALAWS) if processes.running(RUN, name)]
    if names:
        with step(f"stopped {', '.join(names)}"):
            # It ends its runner at once, but notices that only 10 s later.
            processes.stop(RUN, TRIGGERER, timeout=2)
            processes.stop(RUN, *AIRFLOW_COMMANDS, DATA_DOCS, timeout=STOP_SECONDS)
            processes.stop(RUN, LOCALAWS, timeout=STOP_SECONDS)
    for leftover in processes.end_leftovers(RUN):
        console.print(f"  ended a process that was left over: {leftover}")
    console.print("nothing of this checkout runs any more")


def is_running() -> bool:
    """Return whether every service runs."""
    return all(processes.running(RUN, name) for name in (LOCALAWS, DATA_DOCS, *AIRFLOW_COMMANDS))


def status() -> None:
    """Print what runs, where, and the memory it takes.

    Raises:
        StackError: when a service does not run.
    """
    stopped = []
    for name in (LOCALAWS, DATA_DOCS, *AIRFLOW_COMMANDS):
        process = processes.running(RUN, name)
        console.print(f"  {name:<14} {f'running, pid {process.pid}' if process else 'stopped'}")
        if not process:
            stopped.append(name)
    console.print(f"  memory         {processes.memory_mb(RUN)} MB")
    if stopped:
        raise StackError(f"not running: {', '.join(stopped)}. Start with: make up")


def describe(variables: dict[str, str]) -> None:
    """Print where everything is and what to do next."""
    console.print(
        f"""
  Airflow     {variables["AIRFLOW__API__BASE_URL"]}  (no login, this machine only)
  Data Docs   {variables["LAKE_DATA_DOCS_URL"]}  (every validation, newest first)
  local AWS   {variables["AWS_ENDPOINT_URL"]}  (state in .local/aws)
  logs        .local/logs/
  memory      {processes.memory_mb(RUN)} MB

  Next:
    . .local/env                                    this shell's airflow, boto3 and AWS CLI now talk to it
    aws s3 cp orders.csv s3://$LAKE_RAW_BUCKET/orders/ds=2025-06-30/orders.csv
    airflow dags test ingest_orders 2025-06-30      loads it here; tests have a metadata database of their own
    make down                                       stop everything
"""
    )


def _require_ports(ports: Ports) -> None:
    if not processes.running(RUN, LOCALAWS):
        processes.require_free_port(ports.localaws, "LOCALAWS_PORT", "the local AWS")
    if not processes.running(RUN, API_SERVER):
        processes.require_free_port(ports.airflow, "AIRFLOW_PORT", "Airflow")
    if not processes.running(RUN, DATA_DOCS):
        processes.require_free_port(ports.data_docs, "DATA_DOCS_PORT", "the Data Docs")


def _start_localaws(ports: Ports, inherited: dict[str, str]) -> None:
    worker = CHECKOUT / ".venvs" / "worker"
    instance = {
        "PATH": f"{CHECKOUT / 'infra' / 'worker'}:{worker / 'bin'}",
        "LAKE_WORKER_VENV": str(worker),
        "LAKE_WORKER_HOME": str(worker_home()),
        processes.OWNER: str(RUN),
    }
    service = Service(
        name=LOCALAWS,
        command=(
            *(str(python_of("localaws")), "-m", "localaws"),
            *("--port", str(ports.localaws), "--state", str(LOCAL / "aws")),
        ),
        environment=inherited | {"PYTHONPATH": str(CHECKOUT), "LOCALAWS_INSTANCE_ENV": json.dumps(instance)},
        log=LOGS / "localaws.log",
        run_folder=RUN,
    )
    processes.start(service)
    url = f"http://127.0.0.1:{ports.localaws}/_ministack/health"
    processes.wait_until(partial(_answers, url), 60, service, "the local AWS")


def worker_home() -> Path:
    """Return the folder for the worker's code, class archives and scratch.

    Spark's scripts cut paths at spaces: a checkout with one in its path has that folder among the temporary ones.
    """
    home = LOCAL / "worker"
    if " " in str(home):
        digest = hashlib.sha256(str(LOCAL).encode()).hexdigest()[:12]
        home = Path(tempfile.gettempdir()) / f"lake-worker-{os.getuid()}-{digest}"
        home.mkdir(mode=0o700, exist_ok=True)
        if home.stat().st_uid != os.getuid():
            raise StackError(f"{home} belongs to somebody else: set TMPDIR to a folder of your own")
    return home


def _deploy(settings: dict[str, str], options: Sequence[str]) -> dict[str, str]:
    """Deploy the lake `lake` to the local AWS and return its outputs as LAKE_ variables."""
    requirements = LOCAL / "worker-requirements.txt"
    uv = CHECKOUT / ".venvs" / "tools" / "bin" / "uv"
    _checked(
        *(uv, "export", "--frozen", "--quiet", "--only-group", "worker", "--format", "requirements-txt"),
        *("--output-file", requirements),
        env=settings,
    )
    _checked(
        *(sys.executable, "-m", "infra.deploy", "deploy", "--stack", "lake"),
        *("--environment-file", environment.OUTPUTS_FILE, "--requirements", requirements, *options),
        env=settings | {"PYTHONPATH": str(CHECKOUT / "plugins")},
    )
    return environment.read_variables(environment.OUTPUTS_FILE)


def _start_data_docs(ports: Ports, settings: dict[str, str]) -> None:
    service = Service(
        name=DATA_DOCS,
        command=(sys.executable, "-m", "tools.data_docs", "--port", str(ports.data_docs)),
        environment=settings | {"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'plugins'}"},
        log=LOGS / f"{DATA_DOCS}.log",
        run_folder=RUN,
    )
    processes.start(service)
    processes.wait_until(partial(_answers, f"http://127.0.0.1:{ports.data_docs}/"), 30, service, "the Data Docs")


def _migrate(settings: dict[str, str]) -> None:
    """Make both databases fit the installed Airflow, and put our settings where Airflow looks for them."""
    wanted = version("apache-airflow")
    fresh: Path | None = None
    for home in (environment.AIRFLOW_HOME, environment.TEST_HOME):
        configuration = home / "config"
        configuration.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / "tools" / "airflow_local_settings.py", configuration)
        database, stamp = home / environment.DATABASE_NAME, home / "migrated"
        if database.exists() and stamp.exists() and stamp.read_text() == wanted:
            continue
        if fresh and not database.exists():
            # To make the second one would take as long again.
            shutil.copy(fresh, database)
        else:
            fresh = None if database.exists() else database
            own = {"AIRFLOW_HOME": str(home), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": environment.connection_of(home)}
            _checked(sys.executable, "-m", "airflow", "db", "migrate", env=settings | own)
        stamp.write_text(wanted)


def _start_airflow(ports: Ports, settings: dict[str, str]) -> None:
    services = {
        name: Service(
            name=name,
            command=(sys.executable, "-m", "airflow", *arguments),
            environment=settings,
            log=LOGS / f"{name}.log",
            run_folder=RUN,
        )
        for name, arguments in AIRFLOW_COMMANDS.items()
    }
    for service in services.values():
        processes.start(service)
    for name, service in services.items():
        healthy = partial(_component_healthy, ports.airflow, name)
        processes.wait_until(healthy, 180, service, f"a healthy {name}")


def _component_healthy(port: int, name: str) -> bool:
    """Ask the api-server for the health of one component; the api-server itself is healthy when it answers.

    A component that was restarted counts by a heartbeat of its own, not by the last one of its predecessor.
    """
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5) as response:
            report = json.load(response)
    except (urllib.error.URLError, OSError):
        return False
    if name == API_SERVER:
        return True
    component = name.replace("-", "_")
    process = processes.running(RUN, name)
    heartbeat = report[component][f"latest_{component}_heartbeat"]
    return bool(
        process
        and report[component]["status"] == "healthy"
        and datetime.fromisoformat(heartbeat).timestamp() > process.create_time()
    )


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310  our own address
            return True
    except (urllib.error.URLError, OSError):
        return False


def _checked(*command: object, env: dict[str, str]) -> None:
    """Run a command to its end in the checkout; StackError with the end of its output when it fails."""
    result = subprocess.run(
        [str(word) for word in command], env=env, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=600
    )
    if result.returncode:
        output = "\n".join(f"    {line}" for line in (result.stdout + result.stderr).splitlines()[-20:])
        raise StackError(f"{' '.join(map(str, command))} failed with exit code {result.returncode}:\n{output}")


def main() -> int:
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(prog="tools.stack", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status"])
    parsed, deploy_options = parser.parse_known_args()
    if parsed.command == "up":
        started = time.monotonic()

        def up_and_describe() -> None:
            variables = up(deploy_options=deploy_options)
            console.print(f"\neverything is up after {time.monotonic() - started:.0f} s")
            describe(variables)

        return run(up_and_describe)
    if deploy_options:
        parser.error(f"{parsed.command} takes no options")
    return run({"down": down, "status": status}[parsed.command])


if __name__ == "__main__":
    sys.exit(main())
