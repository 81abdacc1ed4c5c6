"""Files as senders export them: `make dataset`, and the pipeline as a user runs it, without a word edited by hand."""

import os
import re
import subprocess

import pytest

from tests.exports import EXPORTS
from tests.worker_home import share_java

DS = "2025-06-30"
AT_ONCE = 2
PUBLISHED = re.compile(r"(\d+) rows read = (\d+) published \+ 0 quarantined \+ 0 dropped \+ 0 duplicates")


def make_dataset(checkout, name, sample):
    """How many rows the dataset's first contract publishes of its sample, which is all that were read."""
    result = subprocess.run(
        [".venvs/airflow/bin/python", "-m", "tools.new_dataset", name, str(sample)],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout / "plugins")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    account = PUBLISHED.search(result.stdout)
    assert result.returncode == 0, f"{sample.name}: {result.stdout[-2000:]}{result.stderr[-1000:]}"
    assert account, f"{sample.name}: {result.stdout[-2000:]}"
    assert account[1] == account[2]
    return account[1]


@pytest.mark.timeout(5400)
def test_every_export_becomes_a_table_and_a_mart(stack, tmp_path):
    samples = {f"x_{re.sub(r'[^a-z0-9]+', '_', name.lower())}": name for name in EXPORTS}
    assert len(samples) == len(EXPORTS) >= 30
    share_java(stack.checkout / ".local" / "worker")
    counts = {}
    for dataset, name in samples.items():
        (tmp_path / name).write_bytes(EXPORTS[name])
        counts[dataset] = make_dataset(stack.checkout, dataset, tmp_path / name)
    stack.up()
    for dataset, name in samples.items():
        stack.upload(DS, EXPORTS[name], name, dataset)
    ended = {}
    for datasets in zip(*[iter(samples)] * AT_ONCE, strict=True):
        runs = stack.run_all(*((f"ingest_{dataset}", {"date": DS}, None) for dataset in datasets))
        ended |= dict(zip(datasets, runs, strict=True))
    assert {dataset: run.said for dataset, run in ended.items() if run.state != "success"} == {}
    for dataset, count in counts.items():
        (mart,) = (path.stem for path in (stack.checkout / "include" / "sql" / dataset).glob("*.sql"))
        database = f"{dataset}_db"
        assert stack.query(f"SELECT count(*) FROM {dataset} WHERE ds = '{DS}'", database) == [(count,)], dataset
        assert stack.query(f"SELECT sum(number_of_rows) FROM {mart} WHERE ds = '{DS}'", database) == [(count,)], dataset
    assert stack.lease_holders() == []
