"""`.local/env` and the settings of the local stack."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess

import pytest
import yaml

from tools import compose, environment
from tools.environment import Ports

OUTPUTS = {"LAKE_AIRFLOW_ROLE_ARN": "arn:aws:iam::000000000000:role/airflow", "LAKE_RAW_BUCKET": "raw"}


@pytest.fixture(autouse=True)
def local(tmp_path, monkeypatch):
    """A `.local` folder of the test's own, with a space in its path."""
    folder = tmp_path / "some where" / ".local"
    monkeypatch.setattr(environment, "LOCAL", folder)
    monkeypatch.setattr(environment, "ENVIRONMENT_FILE", folder / "env")
    monkeypatch.setattr(compose, "LOCAL", folder)
    return folder


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_shell_that_sources_the_file_has_the_variables_and_no_foreign_ones():
    variables = environment.airflow_variables(Ports(8081, 4567), OUTPUTS) | OUTPUTS
    environment.write_environment(variables)
    script = '. "$1" && . "$1" && env'
    result = subprocess.run(
        ["/bin/sh", "-c", script, "sh", str(environment.ENVIRONMENT_FILE)],
        env={"PATH": "/usr/bin:/bin", "AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "secret"},
        capture_output=True,
        text=True,
        check=True,
    )
    seen = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)
    assert variables.items() <= seen.items()
    assert "AWS_PROFILE" not in seen
    assert "AWS_SESSION_TOKEN" not in seen
    assert seen["PATH"].split(":")[:2] == [str(environment.COMMANDS), str(environment.python_of("airflow").parent)]


@pytest.fixture
def command(tmp_path):
    """`airflow` as a shell finds it, in a checkout where Airflow itself only says where it would have worked."""
    checkout = tmp_path / "a checkout"
    for folder in ("tools/bin", ".venvs/airflow/bin", "dags", "include", "plugins", ".local/airflow-test"):
        (checkout / folder).mkdir(parents=True)
    shutil.copy(environment.COMMANDS / "airflow", checkout / "tools" / "bin")
    airflow = checkout / ".venvs" / "airflow" / "bin" / "airflow"
    airflow.write_text(
        "#!/bin/sh\n"
        '[ "$*" = "dags reserialize" ] && echo >>"$AIRFLOW_HOME/reserialized" && exit\n'
        'echo "$AIRFLOW_HOME $AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" "$@"\n'
    )
    airflow.chmod(0o755)

    def run(*words, database="live?timeout=60"):
        settings = {
            "PATH": f"{checkout / 'tools' / 'bin'}:/usr/bin:/bin",
            "AIRFLOW_HOME": "home",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "LAKE_DATABASE": "live?timeout=60",
            "LAKE_TEST_HOME": str(checkout / ".local" / "airflow-test"),
            "LAKE_TEST_DATABASE": "test",
        }
        result = subprocess.run(["airflow", *words], env=settings, capture_output=True, text=True, check=True)
        return result.stdout.removesuffix("\n").replace(f"{checkout / '.local'}/", "")

    run.checkout = checkout
    return run


def test_what_is_tested_has_a_database_of_its_own_and_all_else_the_schedulers(command):
    words = ("dags", "test", "ingest_orders", "2025-06-30", "--conf", '{"a": "b c"}')
    assert command(*words) == f"airflow-test test {' '.join(words)}"
    assert command("tasks", "test", "ingest_orders", "clean") == "airflow-test test tasks test ingest_orders clean"
    for other in ("dags trigger ingest_orders", "backfill create", "tasks states-for-dag-run", "dags", "version"):
        assert command(*other.split()) == f"home live?timeout=60 {other}"
    assert command("dags", "test", "x", database="my own") == "home my own dags test x"


def test_a_task_is_tested_as_its_dag_is_now(command):
    reserialized = command.checkout / ".local" / "airflow-test" / "reserialized"
    for changed, times in ((None, 1), (None, 1), ("include/a new.yaml", 2), (None, 2), ("dags/ingest.py", 3)):
        if changed:
            (command.checkout / changed).write_text("")
        command("tasks", "test", "ingest_orders", "clean")
        assert len(reserialized.read_text().splitlines()) == times


def test_the_file_is_read_back_as_it_was_written():
    variables = environment.airflow_variables(Ports(8081, 4567), OUTPUTS)
    environment.write_environment(variables)
    read = environment.read_variables(environment.ENVIRONMENT_FILE)
    assert variables.items() <= read.items()


def test_only_the_owner_can_read_files_with_secrets(local):
    environment.write_environment(environment.airflow_variables(Ports(8081, 4567), OUTPUTS))
    compose.main()
    assert {path.name: mode(path) for path in local.iterdir()} == {
        "env": 0o600,
        "secrets.json": 0o600,
        "compose.env": 0o600,
    }


def test_secrets_are_made_once_and_differ_between_checkouts(local):
    first = environment.checkout_secrets()
    assert environment.checkout_secrets() == first
    (local / "secrets.json").unlink()
    assert not set(environment.checkout_secrets().values()) & set(first.values())


def test_the_fernet_key_is_one_that_airflow_can_use():
    from cryptography.fernet import Fernet

    assert Fernet(environment.checkout_secrets()["fernet_key"])


def test_the_database_of_the_containers_keeps_its_password(local):
    compose.main()
    first = (local / "compose.env").read_text()
    compose.main()
    assert (local / "compose.env").read_text() == first
    password = environment.read_variables(local / "compose.env")["POSTGRES_PASSWORD"]
    assert f"postgresql+psycopg2://airflow:{password}@postgres/airflow" in first


def test_airflow_works_with_the_role_of_the_stack():
    variables = environment.airflow_variables(Ports(8081, 4567), OUTPUTS)
    connection = json.loads(variables["AIRFLOW_CONN_AWS_DEFAULT"])
    assert connection["extra"]["role_arn"] == OUTPUTS["LAKE_AIRFLOW_ROLE_ARN"]


def test_every_airflow_setting_is_one_that_airflow_knows():
    from airflow.configuration import conf

    for name in environment.airflow_variables(Ports(8081, 4567), OUTPUTS):
        if name.startswith("AIRFLOW__"):
            _, section, option = name.lower().split("__")
            assert option in conf.configuration_description[section]["options"], name


def test_programs_get_our_settings_and_none_of_the_callers(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("LAKE_RAW_BUCKET", "of another stack")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    settings = environment.process_environment(environment.aws_variables(Ports(8081, 4567)))
    assert not {"AWS_PROFILE", "AIRFLOW__CORE__EXECUTOR", "LAKE_RAW_BUCKET", "PYTHONPATH"} & settings.keys()
    assert settings["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4567"
    assert settings["HTTPS_PROXY"] == "http://proxy:3128"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "127.0.0.1,localhost"),
        ("internal", "internal,127.0.0.1,localhost"),
        ("127.0.0.1,localhost", "127.0.0.1,localhost"),
    ],
)
def test_no_proxy_stands_between_us_and_loopback(monkeypatch, before, after):
    monkeypatch.setenv("NO_PROXY", before)
    assert environment.aws_variables(Ports(8081, 4567))["NO_PROXY"] == after


def test_ports_come_from_the_environment(monkeypatch):
    monkeypatch.delenv("AIRFLOW_PORT", raising=False)
    monkeypatch.setenv("LOCALAWS_PORT", "4599")
    monkeypatch.setenv("DATA_DOCS_PORT", "5099")
    assert Ports.from_environment() == Ports(airflow=8080, localaws=4599, data_docs=5099)


def test_airflow_opens_sessions_as_the_lake_does_wherever_it_runs():
    from airflow.providers.amazon.aws.hooks.base_aws import BaseSessionFactory
    from airflow.sdk._shared.module_loading import import_string

    name = "AIRFLOW__AWS__SESSION_FACTORY"
    local = environment.airflow_variables(Ports(8081, 4567), OUTPUTS)[name]
    services = yaml.safe_load((environment.CHECKOUT / "docker-compose.yaml").read_text())["services"]
    assert issubclass(import_string(local), BaseSessionFactory)
    assert {found for service in services.values() if (found := service.get("environment", {}).get(name))} == {local}
