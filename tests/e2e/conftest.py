"""A whole stack of its own, local AWS and Airflow, in a temporary folder and on free ports."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
import pytest
from lake.contracts import load_contracts

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRACTS = load_contracts()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Stack:
    """The running stack: its variables, its clients, and the `airflow` command."""

    def __init__(self, folder, variables):
        self.folder = folder
        self.variables = variables
        self._session = boto3.Session(
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
        )

    def client(self, service):
        return self._session.client(service, endpoint_url=self.variables["AWS_ENDPOINT_URL"])

    def airflow(self, *words, timeout=400):
        """Run the command as a user does, after `. .local/env`."""
        return subprocess.run(
            ["/bin/sh", "-c", '. "$0" && exec airflow "$@"', str(self.folder / "env"), *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

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


@contextmanager
def running_stack(folder, checkout=REPOSITORY):
    """The stack of a checkout, with its state in `folder`, until the block ends."""
    from tools.environment import read_variables

    environment = {
        **os.environ,
        "LAKE_LOCAL_FOLDER": str(folder),
        "AIRFLOW_PORT": str(free_port()),
        "LOCALAWS_PORT": str(free_port()),
        "DATA_DOCS_PORT": str(free_port()),
    }

    def run(command):
        return subprocess.run(
            [sys.executable, "-m", "tools.stack", command],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    try:
        up = run("up")
        assert up.returncode == 0, up.stdout + up.stderr
        yield Stack(folder, read_variables(folder / "env"))
    finally:
        down = run("down")
        assert down.returncode == 0, down.stdout + down.stderr


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
def stack_of(tmp_path_factory):
    """Start the stack of another checkout, and stop it when the module's tests are over."""
    with ExitStack() as stacks:
        yield lambda checkout: stacks.enter_context(running_stack(tmp_path_factory.mktemp("stack"), checkout))
