"""The environment of the local stack: folders, ports, secrets, Airflow's settings, and the file `.local/env`."""

from __future__ import annotations

import json
import os
import secrets
import shlex
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

REGION = "us-east-1"
CHECKOUT = Path(__file__).resolve().parent.parent
# Everything the local stack leaves behind; a second stack of the same checkout needs another folder and other ports.
LOCAL = Path(os.environ.get("LAKE_LOCAL_FOLDER") or CHECKOUT / ".local").resolve()
RUN = LOCAL / "run"
LOGS = LOCAL / "logs"
ENVIRONMENT_FILE = LOCAL / "env"
OUTPUTS_FILE = LOCAL / "outputs.env"
AIRFLOW_HOME = LOCAL / "airflow"
DATABASE_NAME = "airflow.db"
# What is tested from the command line stays away from the scheduler's runs: see tools/bin/airflow.
TEST_HOME = LOCAL / "airflow-test"
COMMANDS = CHECKOUT / "tools" / "bin"

# Settings of the caller's shell that would send the local stack to a real account.
FOREIGN_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")


OUR_PREFIXES = ("AWS_", "AIRFLOW_", "LAKE_", "LOCALAWS_")
"""Names of variables that are settings of the stack; all others come from the caller's shell."""


@dataclass(frozen=True)
class Ports:
    """Loopback ports of the stack, each overridable by the environment variable of the same name."""

    airflow: int
    localaws: int
    data_docs: int = 5001

    @classmethod
    def from_environment(cls) -> Ports:
        """Read AIRFLOW_PORT, LOCALAWS_PORT and DATA_DOCS_PORT, with 8080, 4566 and 5001 as defaults."""
        return cls(
            int(os.environ.get("AIRFLOW_PORT", "8080")),
            int(os.environ.get("LOCALAWS_PORT", "4566")),
            int(os.environ.get("DATA_DOCS_PORT", "5001")),
        )


def python_of(environment: str) -> Path:
    """Return the interpreter of `.venvs/<environment>`."""
    return CHECKOUT / ".venvs" / environment / "bin" / "python"


def aws_variables(ports: Ports) -> dict[str, str]:
    """Return what makes boto3 and the AWS CLI talk to the local stack, and to nothing else."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports.localaws}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": _with_loopback(os.environ.get("NO_PROXY", "")),
        "no_proxy": _with_loopback(os.environ.get("no_proxy", "")),
    }


def airflow_variables(ports: Ports, outputs: dict[str, str]) -> dict[str, str]:
    """Return Airflow's settings for a laptop; `outputs` are the LAKE_ variables of the deployed stack."""
    address = f"http://127.0.0.1:{ports.airflow}"
    keys = checkout_secrets()
    connection = {
        "conn_type": "aws",
        "extra": {"role_arn": outputs["LAKE_AIRFLOW_ROLE_ARN"], "region_name": REGION},
    }
    return {
        "LAKE_DATA_DOCS_URL": f"http://127.0.0.1:{ports.data_docs}",
        "LAKE_DATABASE": connection_of(AIRFLOW_HOME),
        "LAKE_TEST_HOME": str(TEST_HOME),
        "LAKE_TEST_DATABASE": connection_of(TEST_HOME),
        "AIRFLOW_HOME": str(AIRFLOW_HOME),
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__FERNET_KEY": keys["fernet_key"],
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        # The default asks DNS for the machine's full name, which can take seconds on a laptop.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": connection_of(AIRFLOW_HOME),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports.airflow),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__SECRET_KEY": keys["api_secret_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": keys["jwt_secret"],
        "AIRFLOW__AWS__SESSION_FACTORY": "lake.session_factory.SessionFactory",
        # A task that follows another starts sooner; the scheduler sleeps only when it has nothing to do.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        # A trigger that fires at once can otherwise overtake the task that deferred, and fail it.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }


def connection_of(home: Path) -> str:
    """Return the address of the metadata database in a home of Airflow.

    Writers wait for each other: the default of 5 s is too short for a scheduler on a busy laptop.
    """
    return f"sqlite:///{home / DATABASE_NAME}?timeout=60"


def read_variables(path: Path) -> dict[str, str]:
    """Read the ``NAME=value`` lines of `path`; an ``export`` in front and shell quotes are allowed."""
    variables = {}
    for words in (shlex.split(line, comments=True) for line in path.read_text().splitlines()):
        for word in words:
            name, separator, value = word.partition("=")
            if separator:
                variables[name] = value
    return variables


def write_environment(variables: dict[str, str]) -> None:
    """Write `.local/env`, readable by its owner only, for ``. .local/env`` in a shell."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines.append(f"unset {' '.join(FOREIGN_VARIABLES)}")
    commands = f"{COMMANDS}{os.pathsep}{python_of('airflow').parent}"
    lines.append(f'export PATH={shlex.quote(commands)}:"$PATH"')
    write_private(ENVIRONMENT_FILE, "# Written by `make up`. Use it with: . .local/env\n" + "\n".join(lines) + "\n")


def process_environment(variables: dict[str, str]) -> dict[str, str]:
    """Return a program's environment: the caller's without its AWS and Airflow settings, plus ours."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((*OUR_PREFIXES, "PYTHON", "VIRTUAL_ENV"))
    }
    path = f"{python_of('airflow').parent}{os.pathsep}{inherited.get('PATH', os.defpath)}"
    return {**inherited, **variables, "PATH": path, "PYTHONUNBUFFERED": "1"}


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` with mode 600 from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def checkout_secrets() -> dict[str, str]:
    """Return this checkout's own secrets, made at the first call."""
    path = LOCAL / "secrets.json"
    if not path.exists():
        keys = {
            "fernet_key": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "jwt_secret": secrets.token_urlsafe(48),
            "api_secret_key": secrets.token_urlsafe(48),
        }
        write_private(path, json.dumps(keys))
    return json.loads(path.read_text())


def _with_loopback(no_proxy: str) -> str:
    hosts = [*filter(None, no_proxy.split(",")), "127.0.0.1", "localhost"]
    return ",".join(dict.fromkeys(hosts))
