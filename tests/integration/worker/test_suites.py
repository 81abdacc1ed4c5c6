"""The suites of the datasets at work: generated days pass without a warning, defects and all; corrupt ones do not.

The raw files are those of tools/samples; what the jobs make of them is also what the generators say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from contract.submission import Submission
from contract.together import load_contracts
from pyspark.sql import SparkSession

from spark_jobs import clean, job, validate, verdict
from spark_jobs.errors import DataError
from spark_jobs.personal import Pseudonyms
from spark_jobs.references import OtherDatasets
from tests.staging import as_staged
from tools import samples

CONTRACTS = load_contracts(Path(__file__).resolve().parents[3] / "include" / "datasets")
START, DAYS = date(2025, 6, 1), ("2025-06-01", "2025-06-03")
ROWS = {"orders": 300, "customers": 60, "products": 40, "sales": 300, "online_retail": 300}
KEY = b"a key for tests, and for nothing else"
Corrupt = Callable[[bytes], bytes]


class Lake:
    """Cleans and validates dates of generated files in a folder, without S3."""

    def __init__(self, session: SparkSession, folder: Path) -> None:
        verdict.import_great_expectations()
        self.spark, self.folder = session, folder
        self.answers = {
            dataset: samples.write(dataset, START, 3, rows, 1, folder / "raw")["days"] for dataset, rows in ROWS.items()
        }
        self.published: dict[str, dict[str, str]] = {dataset: {} for dataset in ROWS}
        self.history: dict[str, list[dict[str, Any]]] = {dataset: [] for dataset in ROWS}
        self.failed: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def clean(self, dataset: str, ds: str, corrupt: Corrupt | None = None) -> dict[str, Any]:
        """The manifest of clean for a date, of the generated file or of what `corrupt` makes of it."""
        source = self.folder / "raw" / dataset / f"ds={ds}"
        if corrupt:
            (file,) = source.glob("[!_]*")
            source = self.folder / "corrupt" / dataset / f"ds={ds}"
            source.mkdir(parents=True, exist_ok=True)
            (source / file.name).write_bytes(corrupt(file.read_bytes()))
        as_staged(source)
        contract = CONTRACTS[dataset]
        pseudonyms = Pseudonyms(contract, KEY) if contract.personal_columns else None
        others = OtherDatasets(self.spark, self.published, self.folder / "others")
        context = clean.Context(self.spark, contract, others, pseudonyms)
        place = self.folder / ("corrupted" if corrupt else "cleaned") / dataset / ds
        arguments = clean.Arguments(
            dataset=dataset,
            ds=date.fromisoformat(ds),
            run="run",
            submission=Submission("run", "00000001"),
            manifest=(place / "manifest.json").as_uri(),
            input=source.as_uri(),
            output=(place / "published").as_uri(),
            quarantine=(place / "quarantine").as_uri(),
        )
        return clean.clean_date(
            context, clean.staged(context, arguments, clean.input_files(arguments.input, contract)), job.Phases()
        )

    def validate(self, dataset: str, ds: str, cleaned: dict[str, Any], folder: Path) -> dict[str, Any]:
        """The manifest of validate for a date that was cleaned."""
        arguments = validate.Arguments(
            dataset=dataset,
            ds=date.fromisoformat(ds),
            run="run",
            manifest=(folder / "manifest.json").as_uri(),
            clean_manifest="",
            docs=(folder / "docs").as_uri(),
        )
        files = validate.download(cleaned, folder / "copies")
        history = self.history[dataset]
        validate.validate_date(self.spark, CONTRACTS[dataset], arguments, cleaned, files, history, job.Phases())
        found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        return found


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two generated dates of every dataset cleaned and validated, as if days like the first had been before."""
    folder = tmp_path_factory.mktemp("lake")
    made = Lake(spark, folder)
    for dataset in ROWS:
        for ds in DAYS:
            cleaned, right = made.clean(dataset, ds), made.answers[dataset][ds]
            found = {**cleaned["rows"], **{name: cleaned[name] for name in ("quarantined_by_rule", "warned_by_rule")}}
            assert found == {name: right[name] for name in found}, f"{dataset} {ds}"
            made.published[dataset][ds] = cleaned["output"]["uri"]
            verdict_of_date = made.validate(dataset, ds, cleaned, folder / "verdicts" / dataset / ds)
            made.failed[dataset, ds] = verdict_of_date["failed"]
            if not made.history[dataset]:
                metrics = verdict_of_date["metrics"]
                numbers = {name: value for name, value in metrics.items() if re.match("mean_|null_share_", name)}
                day = {"rows": metrics["rows_published"], **numbers}
                made.history[dataset] = [{"ds": f"2025-05-{number}", **day} for number in (29, 30, 31)]
    return made


def test_generated_days_pass_without_a_warning(lake: Lake) -> None:
    assert {place: failed for place, failed in lake.failed.items() if failed} == {}


def cut(content: bytes) -> bytes:
    """The first lines only."""
    return b"\n".join(content.split(b"\n")[:12]) + b"\n"


def every_field(place: int, change: Callable[[str], str]) -> Corrupt:
    """Change one field of every line of CSV that has no quotes."""

    def corrupt(content: bytes) -> bytes:
        header, *lines = content.decode("utf-8", "ignore").splitlines()
        rows = [line.split(",") for line in lines if '"' not in line]
        width = len(header.split(","))
        for row in rows:
            if len(row) == width:
                row[place] = change(row[place])
        return "\n".join([header, *map(",".join, rows)]).encode()

    return corrupt


def always(text: str) -> Callable[[str], str]:
    """The same text whatever the field was."""
    return lambda _: text


def json_values(column: str, value: Any) -> Corrupt:
    """Give every object the same value in a column."""
    return lambda content: re.sub(
        rf'("{column}": )("[^"]*"|[\w.]+)'.encode(), lambda match: match[1] + json.dumps(value).encode(), content
    )


CORRUPTED = [
    ("orders", every_field(2, lambda text: text.replace(".", "")), "mean_amount_ratio_to_previous"),
    ("orders", every_field(2, lambda text: f"-{text}"), "quarantined_share"),
    ("online_retail", every_field(4, lambda text: text.replace("2025-", "2026-")), "quarantined_share"),
    ("online_retail", cut, "rows_ratio_to_previous"),
    ("online_retail", every_field(3, lambda text: f"{text}00"), "mean_quantity_ratio_to_previous"),
    ("online_retail", every_field(3, lambda text: f"-{text}".replace("--", "")), "mean_quantity_ratio_to_previous"),
    ("online_retail", every_field(3, lambda text: text.removeprefix("-")), "quantity"),
    ("online_retail", every_field(5, lambda text: text.replace(".", "") + "0"), "unit_price"),
    ("online_retail", every_field(5, lambda text: f"0.00{text[0]}"), "unit_price"),
    ("online_retail", every_field(5, always("0.0")), "quarantined_share"),
    ("online_retail", every_field(6, always("")), "null_share_customer_id"),
    ("online_retail", every_field(6, lambda text: f"{text}0"), "customer_id"),
    ("online_retail", every_field(0, lambda text: f"C{text}"), "mean_is_return"),
    ("online_retail", every_field(1, lambda text: f"SKU-{text}"), "line_type"),
    ("online_retail", every_field(4, lambda text: text.replace("2025-", "2024-")), "invoice_date"),
    ("sales", cut, "rows_ratio_to_previous"),
    ("sales", every_field(5, lambda text: text.replace(".", "")), "mean_amount_matches"),
    ("sales", every_field(5, lambda text: text.replace(".", "")), "discount_percent"),
    ("sales", every_field(2, lambda text: text.replace("CUST", "C-")), "null_share_tier"),
    ("sales", every_field(3, lambda text: text.replace("PROD", "P-")), "null_share_category"),
    ("sales", every_field(1, always("2025-05-06")), "sale_date"),
    ("sales", every_field(6, always("1.00")), "mean_total_amount_ratio_to_previous"),
    ("sales", every_field(4, lambda text: f"-{text}"), "quarantined_share"),
    ("products", lambda _: b"[]", "rows_published"),
    ("products", lambda content: content.split(b"},\n")[0] + b"}\n]", "rows_ratio_to_previous"),
    ("products", json_values("price", 9999), "mean_price_ratio_to_previous"),
    ("products", json_values("category", ""), "quarantined_share"),
    ("customers", lambda _: b"[]", "rows_published"),
    ("customers", json_values("customer_tier", "vip"), "quarantined_share"),
]


@pytest.mark.parametrize("dataset", ["orders", "sales", "online_retail"])
def test_a_day_on_which_nothing_happened_passes(dataset: str, lake: Lake, tmp_path: Path) -> None:
    cleaned = lake.clean(dataset, DAYS[1], lambda content: content.split(b"\n")[0] + b"\n")
    found = lake.validate(dataset, DAYS[1], cleaned, tmp_path)
    assert [(item["column"], item["severity"]) for item in found["failed"]] == [("rows_read", "warning")]


@pytest.mark.parametrize(("dataset", "corrupt", "column"), CORRUPTED, ids=[f"{d}-{c}" for d, _, c in CORRUPTED])
def test_a_corrupt_day_is_refused(dataset: str, corrupt: Corrupt, column: str, lake: Lake, tmp_path: Path) -> None:
    cleaned = lake.clean(dataset, DAYS[1], corrupt)
    with pytest.raises(DataError, match=rf"\b{column} "):
        lake.validate(dataset, DAYS[1], cleaned, tmp_path)
