"""A dataset from a sample file, without a line of Python, beside those that the stack has already."""

import os
import subprocess
from collections import Counter
from decimal import Decimal

import pytest

from tests.worker_home import share_java

DS = "2025-06-30"
HEADER = "ReturnID,OrderID,Reason,Refund,ReturnedOn,Email"
REASONS = ("broken", "late", "wrong size")
pytestmark = pytest.mark.timeout(1200)


def returns(first, count):
    """Rows as lists of text, their refunds not evenly."""
    return [
        [
            f"R{number:04}",
            f"O{number % 11}",
            REASONS[number % 3],
            f"{number * 7 % 90}.{number % 100:02}",
            f"2025-06-{number % 28 + 1:02}",
            f"person{number}@mail.example",
        ]
        for number in range(first, first + count)
    ]


def as_csv(rows):
    return "\n".join([HEADER, *(",".join(row) for row in rows)]) + "\n"


def in_checkout(checkout, environment, *command):
    result = subprocess.run(
        [f".venvs/{environment}/bin/python", "-m", *command],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": f"{checkout / 'plugins'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    return result.stdout


def test_a_dataset_from_a_sample_runs_from_raw_file_to_mart(checkout, tmp_path, stack):
    sample = tmp_path / "returns of June.csv"
    sample.write_text(as_csv(returns(1, 40)), encoding="utf-8")
    share_java(checkout / ".local" / "worker")
    said = in_checkout(checkout, "airflow", "tools.new_dataset", "returns", str(sample))
    assert "40 rows read = 40 published + 0 quarantined + 0 dropped + 0 duplicates" in said
    assert "expectations, 0 failed, 0 warnings" in said
    in_checkout(checkout, "airflow", "tools.dataset_docs", "--check")
    tested = in_checkout(
        checkout, "airflow", "pytest", "-q", "tests/integration/sql/test_marts.py", "-k", "returns-rows or returns/"
    )
    assert "2 passed" in tested

    stack.up()
    good = returns(100, 60)
    bad = [["", *good[0][1:]], ["R1", "O1", "unheard of", "1.00", "2025-06-01", "a@mail.example"]]
    bad.append(["R2", "O2", "late", "1.00", "2025-06-31", "secret@mail.example"])
    stack.upload(DS, as_csv([*good, *bad, good[0]]).encode(), "returns.csv", "returns")
    result = stack.airflow("dags", "test", "ingest_returns", DS)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]

    def rows(sql):
        return sorted(stack.query(sql, database="returns_db"))

    found = rows(f"SELECT return_id, order_id, reason, refund, returned_on FROM returns WHERE ds = '{DS}'")
    assert found == sorted((*row[:3], str(Decimal(row[3])), row[4]) for row in good)
    hashes = {value for (value,) in rows(f"SELECT email FROM returns WHERE ds = '{DS}'")}
    assert len(hashes) == len(good)
    assert all(len(value) == 64 and "@" not in value for value in hashes)
    quarantined = rows(f"SELECT rule, raw_row FROM returns_quarantine WHERE ds = '{DS}'")
    assert [rule for rule, _ in quarantined] == ["reason_not_allowed", "return_id_missing", "returned_on_invalid"]
    assert not any("mail.example" in raw for _, raw in quarantined)

    counts = Counter(row[2] for row in good)
    totals = {reason: sum(Decimal(row[3]) for row in good if row[2] == reason) for reason in REASONS}
    assert rows(f"SELECT reason, number_of_rows, total_refund FROM rows_by_reason WHERE ds = '{DS}'") == sorted(
        (reason, str(counts[reason]), str(totals[reason])) for reason in REASONS
    )
