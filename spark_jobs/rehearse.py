"""spark-submit entry: stage, clean and validate files on this machine alone, without S3 or a catalog, and keep nothing.

`make dataset` ends with it. Personal values are hashed with a key that nobody keeps.

Manifest: `step, dataset, ds, run`, of `stage_raw` `drift`, of `clean` `rows, quarantined_by_rule` and `files [{name,
lines}]`, of `validate` `expectations, failed`. It is written when the files are cleaned, and again with the verdict.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from contract.dataset import Contract
from contract.submission import Submission
from pyspark.sql import SparkSession

from spark_jobs import clean, job, personal, references, stage_raw, storage, validate
from spark_jobs.session import spark_session

STEP = "rehearse"


def staged(folder: Path, contract: Contract) -> dict[str, Any]:
    """Do with the files in `folder` what `stage_raw` does with those of a date once they are on the worker's disk.

    :return: of the manifest, which is also written, `files`, `duplicate_files` and `drift`.
    :raises DataError: they do not fit.
    """
    described = [
        {"name": file.name, "bytes": file.size, "sha256": storage.sha256_of(storage.local_path(file.uri))}
        for file in storage.list_files(folder.as_uri())
    ]
    files, copies, drift = stage_raw.settled(folder, described, contract)
    manifest = {"files": files, "duplicate_files": copies, "drift": drift}
    storage.write_json(manifest, (folder / stage_raw.MANIFEST).as_uri())
    return manifest


def run(parsed: argparse.Namespace) -> None:
    """Rehearse in a Spark session of its own.

    :raises DataError: a job refuses the files.
    """
    contract = job.contract_of(parsed.dataset)
    with tempfile.TemporaryDirectory() as scratch:
        raw = shutil.copytree(storage.local_path(parsed.raw), Path(scratch) / "raw")
        drift = staged(raw, contract)["drift"]
        spark = spark_session()
        try:
            rehearse(spark, contract, parsed, Path(scratch), drift)
        finally:
            spark.stop()


def rehearse(
    spark: SparkSession, contract: Contract, parsed: argparse.Namespace, folder: Path, drift: dict[str, Any]
) -> None:
    """Clean and validate what is staged in `folder`, and write the manifest.

    :raises DataError: a job refuses the files.
    """
    given = {"dataset": parsed.dataset, "ds": parsed.ds, "run": parsed.run}
    cleaning = clean.Arguments(
        **given,
        submission=Submission(parsed.run, secrets.token_hex(4)),
        manifest=(folder / "clean.json").as_uri(),
        input=(folder / "raw").as_uri(),
        output=(folder / "output").as_uri(),
        quarantine=(folder / "quarantine").as_uri(),
    )
    key = secrets.token_bytes(personal.MIN_KEY_BYTES)
    context = clean.Context(
        spark,
        contract,
        references.OtherDatasets(spark, {}, folder),
        personal.Pseudonyms(contract, key) if contract.personal_columns else None,
    )
    phases = job.Phases()
    found = clean.staged(context, cleaning, clean.input_files(cleaning.input, contract))
    cleaned = clean.clean_date(context, found, phases)
    account = job.frame(
        STEP,
        parsed,
        rows=cleaned["rows"],
        quarantined_by_rule=cleaned["quarantined_by_rule"],
        files=[{"name": file["name"], "lines": file["lines"]} for file in cleaned["input"]["files"]],
        drift=drift,
    )
    storage.write_json(account, parsed.manifest)
    validating = validate.Arguments(
        **given,
        manifest=(folder / "validate.json").as_uri(),
        clean_manifest=cleaning.manifest,
        docs=(folder / "docs").as_uri(),
    )
    (folder / "copies").mkdir()
    copies = validate.download(cleaned, folder / "copies")
    try:
        validate.validate_date(spark, contract, validating, cleaned, copies, [], phases)
    finally:
        if (folder / "validate.json").exists():
            verdict = storage.read_json(validating.manifest)
            told = {name: verdict[name] for name in ("expectations", "failed")}
            storage.write_json({**account, **told}, parsed.manifest)


def main() -> None:
    """Run the job from the command line."""
    arguments = job.parser(STEP, raw="folder of the files", manifest="JSON to write")
    job.main(STEP, arguments, run)


if __name__ == "__main__":
    main()
