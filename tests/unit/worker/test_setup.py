"""How the worker sets itself up, run for real: only what needs root, hardware or AWS has stand-ins on PATH.

The environment is built with pip from files beside it: PySpark's stands for the real one, which takes minutes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

WORKER = Path(__file__).resolve().parents[3] / "infra" / "worker"
TEMPLATE = WORKER.parent / "stacks" / "worker.yaml"
VOLUME, DEVICE = "vol-0123456789abcdef0", "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"

STAND_INS = {
    "aws": 'for last; do :; done; cp -r "$DEPLOYED/." "$last"',
    "blkid": '[ -e "$LAKE_ROOT/formatted" ]',
    "chattr": "",
    "dnf": 'case "$*" in *install*) mv "$LAKE_ROOT/image/python3.11" "$LAKE_ROOT/bin/" ;; esac',
    "mkfs.xfs": 'touch "$LAKE_ROOT/formatted"',
    "mount": 'touch "$LAKE_ROOT/mounted"',
    "mountpoint": '[ -e "$LAKE_ROOT/mounted" ]',
    "sleep": "",
    "systemctl": "",
    "xfs_growfs": "",
}
# As from Python 3.12 on, environments have no setuptools of their own.
PYTHON = f"""#!/bin/sh
"{sys._base_executable}" "$@" || exit
case "$*" in "-m venv "*) "$3/bin/pip" uninstall --quiet --yes setuptools 2>/dev/null || true ;; esac
"""
REAL = (
    *("bash", "cat", "chmod", "cmp", "cp", "cut", "find", "install", "ln", "mkdir", "mktemp", "mv", "rm", "sed"),
    *("seq", "sh", "sha256sum", "timeout", "touch"),
)
QUIET = ("blkid", "mountpoint", "sleep")
"""Stand-ins that only ask, or wait."""


def setuptools_wheel(folder: Path) -> Path:
    """The installed setuptools, packed as a wheel again."""
    installed = importlib.metadata.distribution("setuptools")
    wheel = folder / f"setuptools-{installed.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in installed.files or ():
            if "__pycache__" not in file.parts and ".." not in file.parts:
                archive.write(Path(str(file.locate())), file.as_posix())
    return wheel


def pyspark_source(folder: Path) -> Path:
    """A package of PySpark's name that, like it, comes as a source which setuptools builds."""
    source = folder / "pyspark-4.3.0.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        for name, text in {
            "setup.py": "from setuptools import setup\nsetup(name='pyspark', version='4.3.0', py_modules=['pyspark'])",
            "pyspark.py": "",
            "PKG-INFO": "Metadata-Version: 2.1\nName: pyspark\nVersion: 4.3.0\n",
        }.items():
            member = tarfile.TarInfo(f"pyspark-4.3.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return source


@dataclass(frozen=True)
class Machine:
    """A folder that stands for a worker's root, and another for what is deployed."""

    root: Path
    deployed: Path

    @property
    def setup(self) -> Path:
        return self.root / "usr" / "local" / "sbin" / "lake-worker-setup"

    def stand_in(self, name: str, body: str) -> None:
        path = self.root / "bin" / name
        path.unlink(missing_ok=True)
        log = "" if name in QUIET else f'echo "{name} $*" >>"$LAKE_ROOT/log"\n'
        path.write_text(f"#!/bin/sh\n{log}{body}\n")
        path.chmod(0o755)

    def boot(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.root / 'bin'}",
            "LAKE_ROOT": str(self.root),
            "DEPLOYED": str(self.deployed),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.deployed.parent / "index"),
        }
        return subprocess.run(
            command or [self.setup], env=environment, capture_output=True, text=True, check=False, timeout=200
        )

    def did(self) -> list[str]:
        """What the stand-ins were told since this was asked last, with the root left out."""
        log = self.root / "log"
        lines = log.read_text().replace(str(self.root), "").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [re.sub(r" /tmp/\S+$", " TEMPORARY", line) for line in lines]


def make_machine(folder: Path) -> Machine:
    """A machine in its first boot, with what is deployed."""
    machine = Machine(folder / "root", folder / "deployed")
    index = folder / "index"
    for path in (machine.root / "bin", machine.root / "image", machine.root / "etc", machine.setup.parent, index):
        path.mkdir(parents=True)
    shutil.copytree(WORKER, machine.deployed)
    packages = [pyspark_source(index), setuptools_wheel(index)]
    requirements = [
        f"{package.name.rpartition('-')[0] if package.suffix == '.gz' else 'setuptools'}=={version} \\\n"
        f"    --hash=sha256:{'0' * 64} \\\n"
        f"    --hash=sha256:{hashlib.sha256(package.read_bytes()).hexdigest()}\n"
        for package, version in zip(packages, ("4.3.0", importlib.metadata.version("setuptools")), strict=True)
    ]
    (machine.deployed / "requirements.txt").write_text("".join(requirements))
    device = machine.root / "dev" / "disk" / "by-id" / DEVICE
    device.parent.mkdir(parents=True)
    device.touch()
    for name, body in STAND_INS.items():
        machine.stand_in(name, body)
    for name in REAL:
        (machine.root / "bin" / name).symlink_to(shutil.which(name) or name)
    (machine.root / "image" / "python3.11").write_text(PYTHON)
    (machine.root / "image" / "python3.11").chmod(0o755)
    (machine.root / "etc" / "lake-worker").write_text(f"bucket=artifacts\nvolume={VOLUME}\nregion=eu-west-1\n")
    shutil.copy(WORKER / "lake-worker-setup", machine.setup)
    return machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return make_machine(tmp_path)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine that was set up."""
    made = make_machine(tmp_path_factory.mktemp("worker"))
    done = made.boot()
    assert done.returncode == 0, done.stderr
    assert "the worker is set up" in done.stdout
    return made


FETCH = "aws s3 cp --only-show-errors --recursive --region eu-west-1 s3://artifacts/worker/ TEMPORARY"
UPGRADE = "dnf upgrade --assumeyes --quiet --security --releasever=latest --exclude=amazon-ssm-agent*"
ENABLE = ["systemctl daemon-reload", "systemctl enable --quiet lake-worker-setup"]
MOUNT = ["chattr +i /data", f"mount -t xfs -o noatime /dev/disk/by-id/{DEVICE} /data", "xfs_growfs /data"]


def test_the_first_boot_sets_everything_up_in_order(worker: Machine) -> None:
    format_and_mount = [f"mkfs.xfs /dev/disk/by-id/{DEVICE}", *MOUNT]
    install = "dnf install --assumeyes --quiet python3.11"
    assert worker.did() == [FETCH, *ENABLE, *format_and_mount, UPGRADE, install]
    python = worker.root / "opt" / "lake" / "venv" / "bin" / "python"
    assert subprocess.run([python, "-c", "import pyspark, setuptools"], check=False).returncode == 0
    command = worker.root / "usr" / "local" / "bin" / "lake-worker"
    assert command.read_bytes() == (WORKER / "lake-worker").read_bytes()
    assert os.access(command, os.X_OK)
    unit = worker.root / "etc" / "systemd" / "system" / "lake-worker-setup.service"
    assert f"ExecStart={worker.setup}".replace(str(worker.root), "") in unit.read_text()


def test_a_later_boot_takes_what_is_new_and_keeps_what_is_there(worker: Machine) -> None:
    worker.did()
    (worker.root / "mounted").unlink()
    code = worker.root / "var" / "lib" / "lake-worker" / "code" / "withdrawn"
    code.mkdir(parents=True)
    environment = (worker.root / "opt" / "lake" / "venv").resolve()
    before = environment.stat().st_mtime_ns
    (worker.deployed / "lake-worker").write_text("#!/bin/sh\n# newer\n")
    # A newer version of the script itself takes over at once.
    newer = (worker.deployed / "lake-worker-setup").read_text() + 'echo "by the newer script"\n'
    (worker.deployed / "lake-worker-setup").write_text(newer)
    done = worker.boot()
    assert done.returncode == 0, done.stderr
    assert "by the newer script" in done.stdout
    assert worker.did() == [FETCH, FETCH, *ENABLE, *MOUNT, UPGRADE]
    assert environment.stat().st_mtime_ns == before
    assert "newer" in (worker.root / "usr" / "local" / "bin" / "lake-worker").read_text()
    assert not code.exists()


def test_packages_whose_hash_is_not_known_are_not_used(worker: Machine) -> None:
    requirements = worker.deployed / "requirements.txt"
    good, link = requirements.read_text(), worker.root / "opt" / "lake" / "venv"
    before = link.resolve()
    requirements.write_text(re.sub(r"sha256:[^0]\w+", f"sha256:{'1' * 64}", good))
    done = worker.boot()
    requirements.write_text(good)
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert link.resolve() == before


def test_a_failing_update_is_told_and_does_no_harm(machine: Machine) -> None:
    machine.stand_in("dnf", f'case "$*" in upgrade*) exit 1 ;; esac\n{STAND_INS["dnf"]}')
    # What comes after is another test's.
    (machine.root / "bin" / "sha256sum").unlink()
    done = machine.boot()
    assert "THE SECURITY UPDATES WERE NOT INSTALLED" in done.stderr
    assert [line.split()[1] for line in machine.did() if line.startswith("dnf")] == ["upgrade", "install"]


@pytest.mark.parametrize(("failing", "tries"), [("aws", 5), ("mkfs.xfs", 1), ("mount", 1), ("dnf", 6)])
def test_what_cannot_be_done_ends_the_set_up(machine: Machine, failing: str, tries: int) -> None:
    machine.stand_in(failing, "exit 1")
    done = machine.boot()
    assert done.returncode != 0
    assert len([line for line in machine.did() if line.startswith(f"{failing} ")]) == tries
    assert not (machine.root / "opt").exists()
    assert not (machine.root / "usr" / "local" / "bin").exists()


def test_a_volume_that_is_not_attached_is_named(machine: Machine) -> None:
    (machine.root / "dev" / "disk" / "by-id" / DEVICE).unlink()
    done = machine.boot()
    assert done.returncode != 0
    assert f"the data volume {VOLUME} was not attached within 5 minutes" in done.stderr


@pytest.mark.parametrize(("fetched", "tries"), [(True, 1), (False, 5)])
def test_the_user_data_runs_it_and_lets_people_in_whatever_happens(machine: Machine, fetched: bool, tries: int) -> None:
    machine.setup.unlink()
    (machine.root / "etc" / "lake-worker").unlink()
    script = re.search(r"Fn::Base64: !Sub \|\n((?: {10}.*\n)+)", TEMPLATE.read_text())
    assert script
    text = textwrap.dedent(script[1])
    values = {"ArtifactsBucket": "artifacts", "WorkerDataVolume": VOLUME, "AWS::Region": "eu-west-1"}
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text
    for place in ("/etc/", "/usr/"):
        text = re.sub(rf"(?<=[>=]){place}", f"{machine.root}{place}", text)
    (machine.root / "user-data").write_text(text)
    fetch = 'for last; do :; done; printf \'#!/bin/sh\\ncat "$LAKE_ROOT/etc/lake-worker"\' >"$last"'
    machine.stand_in("aws", fetch if fetched else "exit 1")
    done = machine.boot("bash", machine.root / "user-data")
    asked = "aws s3 cp --only-show-errors --region eu-west-1 s3://artifacts/worker/lake-worker-setup"
    assert machine.did() == [
        "systemctl stop amazon-ssm-agent",
        *[f"{asked} /usr/local/sbin/lake-worker-setup"] * tries,
        "systemctl start amazon-ssm-agent",
    ]
    assert done.stdout == (f"bucket=artifacts\nvolume={VOLUME}\nregion=eu-west-1\n" if fetched else "")
