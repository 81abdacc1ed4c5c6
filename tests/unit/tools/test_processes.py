"""Services are started, found again and stopped, also after a crash."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

import psutil
import pytest

from tools import processes
from tools.processes import OWNER, Service, StackError

FOREVER = "import time\nprint('ready', flush=True)\ntime.sleep(60)"
# A child in a session of its own, as the commands of the local AWS have.
WITH_CHILD = (
    "import subprocess, sys, time\n"
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n"
    "print('ready', flush=True)\ntime.sleep(60)"
)
STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(60)"
)


@pytest.fixture
def service(tmp_path):
    """Make services of a run folder of its own; whatever they started is gone afterwards."""
    run_folder = tmp_path / "run"

    def make(code: str = FOREVER, name: str = "one", **environment: str) -> Service:
        return Service(
            name=name,
            command=(sys.executable, "-c", code),
            environment={"PATH": os.environ["PATH"], **environment},
            log=tmp_path / f"{name}.log",
            run_folder=run_folder,
        )

    yield make
    for process in processes.owned(run_folder):
        process.kill()


def start_and_wait(service: Service) -> psutil.Process:
    processes.start(service)
    processes.wait_until(lambda: "ready" in service.log.read_text(), 20, service, "its first line", every=0.05)
    process = processes.running(service.run_folder, service.name)
    assert process
    return process


def test_a_started_service_is_found_and_starting_it_again_changes_nothing(service):
    first = start_and_wait(service())
    processes.start(service())
    assert processes.running(service().run_folder, "one") == first


def test_a_service_with_new_settings_is_restarted(service):
    first = start_and_wait(service(AWS_REGION="eu-central-1"))
    again = service(AWS_REGION="us-east-1")
    second = start_and_wait(again)
    processes.wait_until(lambda: again.log.read_text().count("ready") == 2, 20, again, "its first line", every=0.05)
    assert not processes.is_alive(first)
    assert second.environ()["AWS_REGION"] == "us-east-1"


def test_settings_of_the_callers_shell_do_not_restart_it(service):
    first = start_and_wait(service(TERM="dumb"))
    processes.start(service(TERM="xterm"))
    assert processes.running(service().run_folder, "one") == first


def test_stop_ends_it_and_forgets_it(service):
    process = start_and_wait(service())
    processes.stop(service().run_folder, "one")
    assert not processes.is_alive(process)
    assert list(service().run_folder.iterdir()) == []


def test_a_process_that_ignores_the_signal_is_killed(service):
    process = start_and_wait(service(STUBBORN))
    processes.stop(service().run_folder, "one", timeout=0.5)
    assert not processes.is_alive(process)


def test_stopping_what_does_not_run_is_no_error(service):
    processes.stop(service().run_folder, "one")


def test_after_a_crash_the_record_is_stale_and_the_service_starts_again(service):
    process = start_and_wait(service())
    os.kill(process.pid, signal.SIGKILL)
    process.wait(5)
    assert processes.running(service().run_folder, "one") is None
    assert start_and_wait(service()).pid != process.pid


def test_a_stranger_with_the_recorded_pid_is_left_alone(service):
    start_and_wait(service())
    record = service().run_folder / "one.json"
    stale = json.loads(record.read_text()) | {"pid": os.getpid()}
    record.write_text(json.dumps(stale))
    assert processes.running(service().run_folder, "one") is None


@pytest.mark.parametrize("content", ["", '{"pid": 1'])
def test_a_record_that_a_crash_cut_short_counts_as_none(service, content):
    service().run_folder.mkdir()
    (service().run_folder / "one.json").write_text(content)
    assert processes.running(service().run_folder, "one") is None


def test_children_that_a_crash_left_behind_are_ended(service):
    process = start_and_wait(service(WITH_CHILD))
    (child,) = process.children()
    os.kill(process.pid, signal.SIGKILL)
    process.wait(5)
    ended = processes.end_leftovers(service().run_folder)
    assert [line.split()[0] for line in ended] == [str(child.pid)]
    assert not processes.is_alive(child)


def test_starting_again_after_a_crash_ends_what_was_left_behind(service):
    process = start_and_wait(service(WITH_CHILD))
    (child,) = process.children()
    os.kill(process.pid, signal.SIGKILL)
    process.wait(5)
    start_and_wait(service(WITH_CHILD))
    assert not processes.is_alive(child)


def test_the_children_of_running_services_are_no_leftovers(service):
    children = start_and_wait(service(WITH_CHILD)).children()
    assert processes.end_leftovers(service().run_folder) == []
    start_and_wait(service(name="two"))
    assert all(processes.is_alive(child) for child in children)


def test_leftovers_of_another_checkout_are_not_ours(service, tmp_path):
    process = start_and_wait(service())
    (service().run_folder / "one.json").unlink()
    assert process.environ()[OWNER] == str(tmp_path / "run")
    assert processes.end_leftovers(tmp_path / "other") == []
    assert processes.is_alive(process)
    assert len(processes.end_leftovers(tmp_path / "run")) == 1


def test_memory_is_that_of_the_checkouts_processes(service, tmp_path):
    start_and_wait(service())
    assert 1 < processes.memory_mb(service().run_folder) < 100
    assert processes.memory_mb(tmp_path / "other") == 0


def test_waiting_ends_when_the_service_ends_and_shows_its_log(service):
    broken = service("raise SystemExit('no such thing')")
    processes.start(broken)
    with pytest.raises(StackError, match=r"one ended while starting(.|\n)*no such thing"):
        processes.wait_until(lambda: False, 20, broken, "anything", every=0.05)


def test_waiting_is_bounded(service):
    start_and_wait(service())
    with pytest.raises(StackError, match=r"a miracle did not come within 0 s(.|\n)*ready"):
        processes.wait_until(lambda: False, 0.1, service(), "a miracle", every=0.05)


def test_a_taken_port_is_named_with_the_variable_that_changes_it():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port}, which Airflow wants, is taken(.|\n)*AIRFLOW_PORT="):
            processes.require_free_port(port, "AIRFLOW_PORT", "Airflow")
    processes.require_free_port(port, "AIRFLOW_PORT", "Airflow")
