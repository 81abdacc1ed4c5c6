"""Every broken or odd input ends as docs/inputs.md says: no crash, no row lost, nothing wrong published."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from contract.dataset import Contract, load_contract
from contract.submission import Submission
from pyspark.sql import SparkSession

from spark_jobs import clean, job, rehearse
from spark_jobs.errors import DataError
from spark_jobs.personal import Pseudonyms
from spark_jobs.references import OtherDatasets

HERE = Path(__file__).resolve().parent
CASES = sorted(path.parent.name for path in HERE.glob("*/expected.yaml"))
EXPECTED = {case: yaml.safe_load((HERE / case / "expected.yaml").read_text(encoding="utf-8")) for case in CASES}
MIXED = [case for case, expected in EXPECTED.items() if expected.get("published") and expected.get("quarantined")]
"""Those of which some records are published and some are not."""

KEY = b"a key that only this test knows ."


def contract_of(expected: dict[str, Any], folder: Path) -> Contract:
    """The case's contract, loaded as any contract is."""
    base = expected.get("base", "parcels")
    document = yaml.safe_load((HERE / f"{base}.yaml").read_text(encoding="utf-8")) | expected.get("contract", {})
    path = folder / f"{base}.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_contract(path)


def staged(case: str, folder: Path, contract: Contract) -> dict[str, Any]:
    """What `stage_raw` does with the files of the case once they are on the worker's disk."""
    shutil.copytree(HERE / case, folder, ignore=shutil.ignore_patterns("expected.yaml"))
    return rehearse.staged(folder, contract)


def cleaned(spark: SparkSession, folder: Path, contract: Contract) -> dict[str, Any]:
    """The manifest of `clean` for the staged files."""
    arguments = clean.Arguments(
        dataset=contract.dataset,
        ds=date(2025, 6, 30),
        run="run",
        submission=Submission("run", "00000001"),
        manifest=(folder / "clean.json").as_uri(),
        input=(folder / "raw").as_uri(),
        output=(folder / "output").as_uri(),
        quarantine=(folder / "quarantine").as_uri(),
    )
    pseudonyms = Pseudonyms(contract, KEY) if contract.personal_columns else None
    context = clean.Context(spark, contract, OtherDatasets(spark, {}, folder), pseudonyms)
    return clean.clean_date(
        context, clean.staged(context, arguments, clean.input_files(arguments.input, contract)), job.Phases()
    )


def rows_of(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows in the Parquet files of a manifest."""
    return [row for file in files for row in pq.read_table(file["key"], partitioning=None).to_pylist()]


def shown(row: dict[str, Any], contract: Contract) -> str:
    """A published row as expected.yaml writes it."""
    values = ["#" if column.personal and row[column.name] else row[column.name] for column in contract.columns]
    extra = [row["extra"]] if contract.additions == "keep" else []
    return "|".join("" if value is None else str(value) for value in [*values, *extra])


def run(spark: SparkSession, case: str, folder: Path, expected: dict[str, Any]) -> None:
    """Stage and clean the case, and compare what comes out with what is expected.

    :raises DataError: the batch is refused.
    """
    contract = contract_of(expected, folder)
    stage = staged(case, folder / "raw", contract)
    assert {file["name"]: file["same_as"] for file in stage["duplicate_files"]} == expected.get("copies", {})
    assert stage["drift"]["new_columns"] == expected.get("new_columns", {})
    assert stage["drift"]["absent_columns"] == expected.get("absent_columns", {})
    clean_manifest = cleaned(spark, folder, contract)
    copies = {copy["name"]: copy["rows"] for copy in clean_manifest["input"]["duplicate_files"]}
    assert copies == expected.get("rows_of_copies", {})
    lines: Counter[str] = Counter()
    for file in clean_manifest["input"]["files"]:
        lines.update(file["lines"])
    assert {kind: lines[kind] for kind in expected.get("lines", {})} == expected.get("lines", {})
    assert expected["outcome"] == "publish", clean_manifest["rows"]
    assert clean_manifest["rows"] == {**expected["rows"], "dropped": {}}
    assert sorted(shown(row, contract) for row in rows_of(clean_manifest["output"]["files"])) == sorted(
        expected["published"]
    )
    quarantined = defaultdict(list)
    for row in sorted(rows_of(clean_manifest["quarantine"]["files"]), key=lambda row: row["source_line"]):
        quarantined[row["rule"]].append(f"{row['source_file']}:{row['source_line']}")
        assert row["reason"].startswith(f"{row['rule']}: ")
    assert quarantined == expected.get("quarantined", {})


@pytest.mark.parametrize(
    ("case", "many_bytes"),
    [
        *(pytest.param(case, clean.MANY_BYTES, id=case) for case in CASES),
        *(pytest.param(case, 0, id=f"{case}, as of many") for case in MIXED),
    ],
)
def test_a_broken_input_ends_as_documented(
    spark: SparkSession,
    case: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    many_bytes: int,
) -> None:
    monkeypatch.setattr(clean, "MANY_BYTES", many_bytes)
    expected = EXPECTED[case]
    said = ""
    if expected["outcome"] == "fail":
        with pytest.raises(DataError) as refused:
            run(spark, case, tmp_path, expected)
        said = job.one_line(str(refused.value))
        assert expected["error"] in said
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            {"raw", f"{expected.get('base', 'parcels')}.yaml"}
        )
    else:
        run(spark, case, tmp_path, expected)
    if "hides" in expected:
        shutil.rmtree(tmp_path / "raw")
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
        assert expected["hides"] not in f"{said}{written!r}{capfd.readouterr()}"


def test_every_case_is_documented() -> None:
    page = (HERE.parents[1] / "docs" / "inputs.md").read_text(encoding="utf-8")
    assert [case for case in CASES if f"(../tests/broken/{case})" not in page] == []


def test_the_corpus_has_every_format_and_every_rule_of_records() -> None:
    assert len(CASES) >= 40
    documents = EXPECTED.values()
    assert {case.split("_")[0] for case in CASES} == {"csv", "json", "jsonl", "parquet", "personal"}
    assert {"wrong_field_count", "malformed_record", "not_text"} <= {
        rule for document in documents for rule in document.get("quarantined", {})
    }
