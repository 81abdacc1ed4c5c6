"""A rehearsal does with a file what the jobs do, and says what became of its rows."""

from __future__ import annotations

import argparse
import json
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_jobs import job, rehearse
from spark_jobs.errors import DataError

CONTRACT = """
dataset: returns
description: what came back
owner: us
schedule: "0 0 * * *"
start_date: 2025-01-01
format: {type: csv, comment: "#"}
load_mode: append
wait: {timeout_hours: 1}
retention: {days: 1}
columns:
  - {name: article, source: article, type: string, required: true, description: what}
  - {name: email, source: email, type: string, personal: true, description: whose}
  - {name: amount, source: amount, type: "decimal(12,2)", description: how much}
"""
SUITE = {
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "quarantined_share", "max_value": 0.2},
            "severity": "critical",
            "meta": {"batch": "run"},
        }
    ]
}


def test_the_account_is_written_whatever_the_verdict(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("include/datasets/returns.yaml", CONTRACT), ("expectations/returns.json", json.dumps(SUITE))):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(job, "BUNDLE", tmp_path)
    (tmp_path / "work" / "raw").mkdir(parents=True)
    rows = "A,a@x.example,1.50\nB,,2.50\n,b@x.example,3\n"
    (tmp_path / "work" / "raw" / "returns.csv").write_text(f"# made today\narticle,email,amount\n{rows}")
    contract, manifest = job.contract_of("returns"), tmp_path / "rehearse.json"
    drift = rehearse.staged(tmp_path / "work" / "raw", contract)["drift"]
    parsed = argparse.Namespace(dataset="returns", ds=date(2025, 6, 30), run="run", manifest=manifest.as_uri())
    with pytest.raises(DataError, match="1 of 5 expectations failed"):
        rehearse.rehearse(spark, contract, parsed, tmp_path / "work", drift)
    told = json.loads(manifest.read_text())
    assert told["rows"] == {"read": 3, "published": 2, "quarantined": 1, "duplicates": 0, "dropped": {}}
    assert told["quarantined_by_rule"] == {"article_missing": 1}
    assert (told["files"][0]["lines"]["comment"], told["files"][0]["lines"]["records"]) == (1, 3)
    assert (told["expectations"], [item["severity"] for item in told["failed"]]) == (5, ["critical"])
    assert "x.example" not in manifest.read_text()
