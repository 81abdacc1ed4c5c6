"""What a command cost is what all its processes cost, those included that it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.measuring import Cost
from tools.environment import CHECKOUT

LEAVES_WORK_BEHIND = """
import subprocess, sys
work = "import time; held = bytearray(80 << 20); [None for _ in iter(lambda: time.process_time() < 0.6, False)]"
subprocess.Popen([sys.executable, "-c", work])
"""
MEASURE = """
import json, os, sys, time
from benchmarks.measuring import measured
started = time.monotonic()
cost, said = measured([sys.executable, "-c", sys.argv[1]], environment=dict(os.environ))
print(json.dumps([cost.figures(), time.monotonic() - started]))
"""


def measured(code: str) -> subprocess.CompletedProcess[str]:
    """Measure Python code, in a process that has no other children."""
    command = [sys.executable, "-c", MEASURE, code]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_work_that_is_left_behind_counts_but_not_as_time() -> None:
    cost, waited = json.loads(measured(LEAVES_WORK_BEHIND).stdout)
    assert cost["cpu_s"] > 0.6
    assert cost["wall_s"] < waited - 0.1


def test_memory_is_that_of_all_processes_together() -> None:
    code = "import subprocess, sys, time; held = bytearray(50 << 20); time.sleep(0.5)"
    both = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}]); {code}"
    cost, _ = json.loads(measured(both).stdout)
    assert cost["memory_bytes"] > 100 << 20


def test_what_fails_ends_the_benchmark_with_what_it_said() -> None:
    failed = measured("print('what went wrong'); raise SystemExit(3)")
    assert failed.returncode
    assert "what went wrong" in failed.stderr


def test_each_number_has_a_median_of_its_own() -> None:
    costs = [Cost(1.0, 9.0, 20, 0.0), Cost(2.0, 8.0, 30, 5.0), Cost(3.0, 7.0, 10, 1.0)]
    assert Cost.median(costs) == Cost(2.0, 8.0, 20, 1.0)
    assert costs[0] + costs[1] == Cost(3.0, 17.0, 30, 5.0)


def test_a_report_mentions_others_that_took_much_of_the_machine() -> None:
    assert f"{Cost(10.0, 12.0, 2 * 10**9, 0.9)}" == "10.0 s wall, 12.0 CPU s, 2.00 GB"
    assert f"{Cost(10.0, 12.0, 2 * 10**9, 8.0)}" == "10.0 s wall, 12.0 CPU s, 2.00 GB (others 8.0 CPU s)"
