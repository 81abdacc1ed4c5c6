"""A whole stack of its own, local AWS and Airflow, in a temporary folder and on free ports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest
from lake.contracts import load_contracts

from tests.waiting import eventually
from tests.worker_home import share_java
from tools import processes
from tools.airflow_api import AirflowApi
from tools.environment import read_variables
from tools.stack import AIRFLOW_COMMANDS, LOCALAWS

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts()
LOG_LINES = 60


class Ended(NamedTuple):
    """A run that has ended: `success` or `failed`, and the last lines that each of its tasks has logged."""

    state: str
    said: str


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stack:
    """The running stack of a checkout: its variables, its clients, Airflow's REST API, and the `airflow` command."""

    def __init__(self, checkout, folder):
        self.checkout = checkout
        self.folder = folder
        self.environment = {
            **os.environ,
            "LAKE_LOCAL_FOLDER": str(folder),
            "AIRFLOW_PORT": str(free_port()),
            "LOCALAWS_PORT": str(free_port()),
            "DATA_DOCS_PORT": str(free_port()),
        }

    def up(self):
        """Start what does not run, deploy what changed."""
        self._tool("up")
        self.variables = read_variables(self.folder / "env")
        self.api = AirflowApi(self.variables["AIRFLOW__API__BASE_URL"])
        self._session = boto3.Session(
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
            region_name=self.variables["AWS_REGION"],
        )

    def down(self):
        self._tool("down")

    def _tool(self, command):
        result = subprocess.run(
            [sys.executable, "-m", "tools.stack", command],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert result.returncode == 0, result.stdout + result.stderr

    def client(self, service):
        return self._session.client(service, endpoint_url=self.variables["AWS_ENDPOINT_URL"])

    def airflow(self, *words, timeout=400):
        """Run the command as a user does, after `. .local/env`. It takes ten seconds of processor time to start."""
        return self.shell('exec airflow "$@"', *words, timeout=timeout)

    def shell(self, line, *words, timeout=400):
        """Run a line of a user's shell, after `. .local/env`; the words are its arguments."""
        return subprocess.run(
            ["/bin/sh", "-c", f'. "$0" && {line}', str(self.folder / "env"), *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def run(self, dag_id, conf=None, logical_date=None, seconds=900):
        """Let the scheduler run a DAG once, to its end, and return how it ended and what its tasks have logged."""
        (ended,) = self.run_all((dag_id, conf, logical_date), seconds=seconds)
        return ended

    def run_all(self, *runs, seconds=900):
        """Let the scheduler run several DAGs at once: `(dag_id, conf, logical_date)` each."""
        started = []
        for dag_id, conf, logical_date in runs:
            self.api.wait_for_dag(dag_id)
            self.api.pause(dag_id, False)
            started.append((dag_id, self.api.trigger(dag_id, conf or {}, logical_date)))
        return [self._ended(dag_id, run_id, seconds) for dag_id, run_id in started]

    def _ended(self, dag_id, run_id, seconds):
        ended = ("success", "failed")
        eventually(lambda: self.api.dag_run(dag_id, run_id)["state"] in ended, seconds=seconds, every=1)
        tasks = [task for task in self.api.task_instances(dag_id, run_id) if task["try_number"]]
        lines = [line for task in tasks for line in self.api.log_lines(task, LOG_LINES)]
        return Ended(self.api.dag_run(dag_id, run_id)["state"], "\n".join(lines))

    def lease_holders(self):
        """Runs that hold the worker."""
        bucket, worker = self.variables["LAKE_ARTIFACTS_BUCKET"], self.variables["LAKE_WORKER_INSTANCE_ID"]
        s3 = self.client("s3")
        try:
            record = s3.get_object(Bucket=bucket, Key=f"leases/{worker}.json")["Body"].read()
        except s3.exceptions.NoSuchKey:
            return []
        return list(json.loads(record)["holders"])

    def query(self, sql, database="orders_db"):
        """Rows of an Athena query as tuples of text."""
        from tools.athena import query

        rows = query(self.client("athena"), sql, database=database, workgroup=self.variables["LAKE_ATHENA_WORKGROUP"])
        return [tuple(row) for row in rows]

    def upload(self, ds, content, name="orders.csv", dataset="orders"):
        key = f"{dataset}/ds={ds}/{name}"
        self.client("s3").put_object(Bucket=self.variables["LAKE_RAW_BUCKET"], Key=key, Body=content)

    def upload_days(self, dataset, days):
        """Upload files by date, as the functions `days_of` of `expected_*` list them."""
        for ds, paths in days.items():
            for path in paths:
                self.upload(ds, path.read_bytes(), path.name, dataset)

    def assert_marts(self, dataset, ds, expected):
        """Each mart of the dataset has, as of the date, the rows `expected` by name: sorted tuples of text."""
        assert {mart.name for mart in CONTRACTS[dataset].marts} == set(expected)
        for mart in CONTRACTS[dataset].marts:
            columns = ", ".join(column.name for column in mart.columns)
            found = self.query(f"SELECT {columns} FROM {mart.name} WHERE ds = '{ds}'", f"{dataset}_db")
            assert sorted(found, key=str) == expected[mart.name], f"{mart.name} as of {ds}"

    def worker_state(self):
        answer = self.client("ec2").describe_instances(InstanceIds=[self.variables["LAKE_WORKER_INSTANCE_ID"]])
        return answer["Reservations"][0]["Instances"][0]["State"]["Name"]

    def told(self):
        """What the services say of themselves: the end of each log, with where each thread of Airflow's is, and which
        processes hold locks on Airflow's database."""
        services = {name: processes.running(self.folder / "run", name) for name in (*AIRFLOW_COMMANDS, LOCALAWS)}
        for name in AIRFLOW_COMMANDS:
            if services[name]:
                services[name].send_signal(signal.SIGUSR1)
        time.sleep(1)
        parts = []
        for name, process in services.items():
            lines = (self.folder / "logs" / f"{name}.log").read_text(errors="replace").splitlines()[-LOG_LINES:]
            parts.append("\n".join([f"--- {name}: {process or 'does not run'}", *lines]))
        inodes = {f":{path.stat().st_ino} " for path in (self.folder / "airflow").glob("airflow.db*")}
        locks = [line for line in Path("/proc/locks").read_text().splitlines() if any(map(line.__contains__, inodes))]
        return "\n".join([*parts, "--- locks on Airflow's database", *locks])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Let a test that fails tell what the services were doing."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, Stack):
        report.sections.append(("services", stack.told()))
    return report


def copy_checkout(copy):
    """Copy what git would commit of this checkout, with its environments: tests may add to it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, copy / name)
    (copy / ".venvs").symlink_to(REPOSITORY / ".venvs", target_is_directory=True)
    return copy


@contextmanager
def running(checkout, folder):
    """The stack of a checkout, which is stopped again."""
    stack = Stack(checkout, folder)
    share_java(stack.folder / "worker")
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy of this checkout, which all tests share."""
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="session")
def stack(checkout, tmp_path_factory):
    """The stack of the copy, which all tests share."""
    with running(checkout, tmp_path_factory.mktemp("stack")) as stack:
        yield stack
