"""docker-compose.yaml and the Dockerfiles name only what exists in the repository."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
COMPOSE = CHECKOUT / "docker-compose.yaml"
DOCKERFILES = sorted((CHECKOUT / "docker").glob("*.Dockerfile"))
CONTAINER_CHECKOUT = "/opt/lake/"
ONE_SHOT = {"deploy", "airflow-init"}


@cache
def compose() -> dict[str, Any]:
    return yaml.safe_load(COMPOSE.read_text())


def services() -> dict[str, dict[str, Any]]:
    return compose()["services"]


def pinned(package: str) -> str:
    lock = tomllib.loads((CHECKOUT / "uv.lock").read_text())
    return next(each["version"] for each in lock["package"] if each["name"] == package)


def dockerfile_of(service: dict[str, Any]) -> str:
    return (CHECKOUT / service["build"]["dockerfile"]).read_text()


BUILT = [name for name, service in services().items() if "build" in service]


def test_every_part_of_the_stack_is_a_service():
    assert set(services()) == {
        "postgres",
        "airflow-init",
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
        "localaws",
        "deploy",
    }


def test_variables_have_defaults_in_the_env_file():
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE.read_text()))
    defaults = {line.partition("=")[0] for line in (CHECKOUT / ".env").read_text().splitlines() if "=" in line}
    assert used <= defaults
    assert defaults - used == {"COMPOSE_PROFILES"}


def test_the_default_profile_starts_everything_and_another_leaves_the_local_aws_out():
    assert "COMPOSE_PROFILES=local\n" in (CHECKOUT / ".env").read_text()
    assert {name for name, service in services().items() if "profiles" in service} == {"localaws", "deploy"}


@pytest.mark.parametrize("name", services())
def test_dependencies_are_services_and_optional_when_they_belong_to_a_profile(name):
    for needed, condition in services()[name].get("depends_on", {}).items():
        target = services()[needed]
        expected = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
        assert condition["condition"] == expected
        if "profiles" in target and "profiles" not in services()[name]:
            assert condition["required"] is False


@pytest.mark.parametrize("name", services())
def test_ports_are_published_on_loopback_only(name):
    for port in services()[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", ["localaws", "api-server"])
def test_the_published_port_is_the_one_that_the_command_listens_on(name):
    service = services()[name]
    listens = service["command"][service["command"].index("--port") + 1]
    assert [port.rpartition(":")[2] for port in service["ports"]] == [listens]


@pytest.mark.parametrize("name", services())
def test_services_have_a_health_check_or_end(name):
    service = services()[name]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
    else:
        assert service["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", services())
def test_images_are_pinned_by_version(name):
    assert re.search(r":\d+\.\d+", services()[name]["image"])


def test_image_tags_are_the_locked_versions():
    assert services()["api-server"]["image"] == f"lake-airflow:{pinned('apache-airflow')}"
    assert services()["localaws"]["image"] == f"lake-localaws:{pinned('ministack')}"


@pytest.mark.parametrize("name", services())
def test_mounted_folders_and_volumes_exist(name):
    for volume in services()[name].get("volumes", []):
        source, target, *mode = volume.split(":")
        if source.startswith("./"):
            assert (CHECKOUT / source).is_dir()
            assert target == f"{CONTAINER_CHECKOUT}{source.removeprefix('./')}", "as in the checkout"
            assert mode == ["ro"]
        else:
            assert source in compose()["volumes"]


@pytest.mark.parametrize("name", BUILT)
def test_volumes_belong_to_the_user_of_the_image(name):
    for volume in services()[name]["volumes"]:
        source, target, *_ = volume.split(":")
        if not source.startswith("./"):
            assert re.search(rf"mkdir -p .*{re.escape(target)}\b", dockerfile_of(services()[name]))


@pytest.mark.parametrize("name", services())
def test_env_files_exist(name):
    made_by_make = {".local/compose.env": "tools.compose"}
    for file in services()[name].get("env_file", []):
        if file in made_by_make:
            assert made_by_make[file] in (CHECKOUT / "Makefile").read_text()
        else:
            assert file == "${LAKE_ENV_FILE}"
    assert (CHECKOUT / "docker" / "local.env").exists()
    assert "LAKE_ENV_FILE=docker/local.env\n" in (CHECKOUT / ".env").read_text()


def test_the_local_aws_has_the_name_and_port_that_airflow_is_told():
    command = services()["localaws"]["command"]
    port = command[command.index("--port") + 1]
    assert f"AWS_ENDPOINT_URL=http://localaws:{port}\n" in (CHECKOUT / "docker" / "local.env").read_text()


def test_the_outputs_are_read_where_the_deployment_writes_them():
    command = services()["deploy"]["command"]
    outputs = command[command.index("--environment-file") + 1]
    assert f"LAKE_OUTPUTS_FILE={outputs}\n" in (CHECKOUT / "docker" / "local.env").read_text()
    for name in ("deploy", "scheduler"):
        assert any(
            outputs.startswith(volume.split(":")[1] + "/")
            for volume in services()[name]["volumes"]
            if not volume.startswith("./")
        )


@pytest.mark.parametrize("name", [name for name in services() if services()[name].get("command", [""])[0] == "airflow"])
def test_airflow_commands_parse(name):
    from airflow.cli.cli_parser import get_parser

    assert get_parser().parse_args(services()[name]["command"][1:])


@pytest.mark.parametrize(("name", "environment"), [("localaws", "localaws"), ("deploy", "airflow")])
def test_our_own_commands_have_these_options(name, environment):
    python, module_flag, module, *arguments = services()[name]["command"]
    assert (python, module_flag) == ("python", "-m")
    subcommand = [word for word in arguments[:1] if not word.startswith("-")]
    interpreter = CHECKOUT / ".venvs" / environment / "bin" / "python"
    result = subprocess.run(
        [str(interpreter), "-m", module, *subcommand, "--help"],
        cwd=CHECKOUT,
        env={"PYTHONPATH": "plugins"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for option in (word for word in arguments if word.startswith("--")):
        assert option in result.stdout


def test_every_airflow_setting_is_one_that_airflow_knows():
    from airflow.configuration import conf

    names = {name for service in services().values() for name in service.get("environment", {})}
    names |= set(re.findall(r"AIRFLOW__\w+", (CHECKOUT / "tools" / "compose.py").read_text()))
    for name in (name for name in names if name.startswith("AIRFLOW__")):
        _, section, option = name.lower().split("__")
        assert option in conf.configuration_description[section]["options"], name


def test_health_checks_ask_for_a_component_that_airflow_reports():
    from airflow.api_fastapi.core_api.datamodels.monitor import HealthInfoResponse

    for name in ("scheduler", "dag-processor", "triggerer"):
        assert services()[name]["healthcheck"]["test"][-1] in HealthInfoResponse.model_fields


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_dockerfiles_copy_what_exists_pin_what_they_take_and_drop_root(dockerfile):
    lines = dockerfile.read_text().splitlines()
    for copy in (line.split() for line in lines if line.startswith("COPY ") and "--from" not in line):
        for source in copy[1:-1]:
            assert (CHECKOUT / source).exists(), source
    assert all(re.search(r":\d+\.\d+\.\d+", line) for line in lines if line.startswith("FROM "))
    assert "USER lake" in lines
    groups = set(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["dependency-groups"])
    assert set(re.findall(r"--only-group (\w+)", dockerfile.read_text())) <= groups


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_images_are_built_with_the_uv_of_the_checkout(dockerfile):
    version = re.search(r"^UV_VERSION=(.+)$", (CHECKOUT / "tools" / "bootstrap.sh").read_text(), re.MULTILINE).group(1)
    assert f"FROM ghcr.io/astral-sh/uv:{version} AS uv" in dockerfile.read_text()


@pytest.mark.parametrize("name", BUILT)
def test_scripts_of_the_images_are_in_their_dockerfiles(name):
    service = services()[name]
    check = service.get("healthcheck", {}).get("test", [])
    for script in (Path(word).name for word in check if word.startswith("/usr/local/bin/")):
        assert f"docker/{script}" in dockerfile_of(service)


def test_the_entrypoint_makes_the_connection_from_the_outputs(tmp_path):
    outputs = tmp_path / "outputs.env"
    outputs.write_text("LAKE_AIRFLOW_ROLE_ARN=arn:aws:iam::000000000000:role/airflow\n")
    result = subprocess.run(
        [str(CHECKOUT / "docker" / "entrypoint.sh"), "printenv", "AIRFLOW_CONN_AWS_DEFAULT", "LAKE_AIRFLOW_ROLE_ARN"],
        env={
            "LAKE_OUTPUTS_FILE": str(outputs),
            "AWS_REGION": "us-east-1",
            "PATH": f"{Path(shutil.which('env')).parent}",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    connection, role = result.stdout.splitlines()
    assert role == "arn:aws:iam::000000000000:role/airflow"
    assert yaml.safe_load(connection) == {"conn_type": "aws", "extra": {"role_arn": role, "region_name": "us-east-1"}}


def test_the_entrypoint_says_what_is_missing():
    result = subprocess.run(
        [str(CHECKOUT / "docker" / "entrypoint.sh"), "true"],
        env={"AWS_REGION": "us-east-1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    assert "make deploy" in result.stderr
