"""spark-submit entry: raw files of one date become typed published rows, and bad rows in quarantine with a reason.

Output: zstd Parquet files `part-00000.parquet`, ... in `--output` with the contract's columns and lineage, and in
`--quarantine` with `raw_row, rule, reason, source_file, source_line, run_id`. Decimals and dates are Parquet decimals
and dates; a timestamp is INT64 microseconds without a zone, which Athena (engine 3), Spark and DuckDB all read as the
same wall clock reading (INT96 is deprecated and has no defined zone). A date on which nothing is left to publish has
one Parquet file without rows, so that crawler and Athena still see the schema; an empty quarantine has no file.

Manifest: `step, dataset, ds, run, run_id, rows {read, published, quarantined, duplicates, dropped {rule: n}},
quarantined_by_rule {rule: n}, input {uri, files [{name, uri, bytes, rows}]}, output {uri, files [{key, bytes, sha256,
rows}]}, quarantine {the same}, seconds {phase: s}, versions`. `key` is the whole key in the bucket (for a file:// URI,
the path). Rows read = published + quarantined + dropped + duplicates, or the job fails and writes no manifest.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from lake.contract import QUARANTINE_COLUMNS, Contract
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs import job, raw, records, storage, transforms
from spark_jobs.errors import DataError
from spark_jobs.session import spark_session

STEP = "clean"


@dataclass(frozen=True, kw_only=True)
class Arguments(job.Arguments):
    """What `clean` is told; the folders are URIs."""

    run_id: str
    input: str
    output: str
    quarantine: str


def input_files(folder: str, contract: Contract) -> list[storage.StoredFile]:
    """The files to read, each with a header that fits the contract.

    :raises DataError: there is none, or a header does not fit.
    """
    files = storage.list_files(folder)
    if not files:
        raise DataError(f"there is no file to read in {folder}")
    sources = [column.source for column in contract.columns]
    for file in files:
        with storage.open_stream(file.uri) as stream:
            raw.check_header(stream, file.name, sources, contract.format.type, contract.format.delimiter)
    return files


def counted(rows: DataFrame) -> list[dict[str, Any]]:
    """`outcome, rule, source_file, rows` for each combination; `rule` and, where it failed, `reason`."""
    groups = rows.groupBy("outcome", "rule", "source_file").agg(
        F.count("*").alias("rows"),
        F.first(F.when(F.col("outcome") == transforms.FAILED, F.col("reason"))).alias("reason"),
    )
    return [row.asDict() for row in groups.collect()]


def row_counts(groups: list[dict[str, Any]]) -> dict[str, Any]:
    """The manifest's `rows` and `quarantined_by_rule` from what `counted` found."""

    def by_rule(outcome: str) -> dict[str, int]:
        counts: dict[str, int] = {}
        for group in groups:
            if group["outcome"] == outcome:
                counts[group["rule"]] = counts.get(group["rule"], 0) + group["rows"]
        return dict(sorted(counts.items()))

    def total(*outcomes: str) -> int:
        return sum(group["rows"] for group in groups if group["outcome"] in outcomes)

    return {
        "rows": {
            "read": sum(group["rows"] for group in groups),
            "published": total(transforms.PUBLISHED),
            "quarantined": total(transforms.QUARANTINED),
            "duplicates": total(transforms.DUPLICATE),
            "dropped": by_rule(transforms.DROPPED),
        },
        "quarantined_by_rule": by_rule(transforms.QUARANTINED),
    }


def write(rows: DataFrame, folder: Path) -> list[Path]:
    """Write `rows` as Parquet in the new local `folder`, and give the files names that say nothing but their place."""
    rows.write.parquet(folder.as_uri())
    files = []
    for number, written in enumerate(sorted(folder.glob("part-*.parquet"))):
        files.append(written.rename(folder / f"part-{number:05}.parquet"))
    return files


def without_empty(files: list[Path]) -> list[Path]:
    """The files that hold rows."""
    return [file for file in files if pq.read_metadata(file).num_rows]


def stored(files: list[Path], uri: str) -> dict[str, Any]:
    """Copy files to the folder `uri` and say what was written, rows as the files themselves tell."""
    described = []
    for file in files:
        target = storage.join(uri, file.name)
        storage.store(file, target)
        described.append(
            {
                "key": storage.key_of(target),
                "bytes": file.stat().st_size,
                "sha256": storage.sha256_of(file),
                "rows": pq.read_metadata(file).num_rows,
            }
        )
    return {"uri": uri, "files": described}


def check_sums(counts: dict[str, Any], written: dict[str, int]) -> None:
    """Every row read has one outcome, and what was written is what was counted.

    :param written: rows in the files, by outcome.
    :raises AssertionError: it does not add up.
    """
    rows = counts["rows"]
    outcomes = rows["published"] + rows["quarantined"] + rows["duplicates"] + sum(rows["dropped"].values())
    if rows["read"] != outcomes or any(rows[outcome] != count for outcome, count in written.items()):
        raise AssertionError(f"the rows do not add up: {rows}, in files {written}")


def clean_date(
    spark: SparkSession, contract: Contract, arguments: Arguments, files: list[storage.StoredFile], phases: job.Phases
) -> dict[str, Any]:
    """Clean one date in a session that may go on to others.

    :param files: what `input_files` found.
    :return: the manifest, which is also written.
    :raises DataError: a file cannot be read to its end.
    :raises AssertionError: the rows do not add up.
    """
    with tempfile.TemporaryDirectory() as scratch:
        rows = transforms.classified(
            records.read(spark, files, contract), contract, arguments.ds, arguments.run_id
        ).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            with phases("classify"):
                groups = counted(rows)
            for group in groups:
                if group["outcome"] == transforms.FAILED:
                    raise DataError(group["reason"].removeprefix(f"{records.UNREADABLE}: "))
            counts = row_counts(groups)
            with phases("write"):
                good = write(transforms.published(rows, contract), Path(scratch) / "published")
                good = without_empty(good) or good[:1]
                bad = []
                if counts["rows"]["quarantined"]:
                    names = tuple(column.name for column in QUARANTINE_COLUMNS)
                    bad = without_empty(write(transforms.quarantined(rows, names), Path(scratch) / "quarantined"))
        finally:
            rows.unpersist()
        with phases("upload"):
            output, quarantine = stored(good, arguments.output), stored(bad, arguments.quarantine)
    check_sums(
        counts,
        {
            outcome: sum(file["rows"] for file in place["files"])
            for outcome, place in (("published", output), ("quarantined", quarantine))
        },
    )
    rows_of_file = {
        file.name: sum(group["rows"] for group in groups if group["source_file"] == file.name) for file in files
    }
    described = [{"name": f.name, "uri": f.uri, "bytes": f.size, "rows": rows_of_file[f.name]} for f in files]
    manifest = job.frame(
        STEP,
        arguments,
        run_id=arguments.run_id,
        **counts,
        input={"uri": arguments.input, "files": described},
        output=output,
        quarantine=quarantine,
        seconds=phases.seconds,
        versions=job.versions("pyspark", "pyarrow"),
    )
    storage.write_json(manifest, arguments.manifest)
    job.say(f"{counts['rows']} {phases.seconds}")
    return manifest


def run(parsed: argparse.Namespace) -> None:
    """Clean the staged files of one date; see the module's documentation."""
    phases = job.Phases()
    arguments = Arguments(**vars(parsed))
    contract = job.contract_of(arguments.dataset)
    with phases("check"):
        files = input_files(arguments.input, contract)
    with phases("start_spark"):
        spark = spark_session(f"{STEP} {arguments.dataset} {arguments.ds}")
    clean_date(spark, contract, arguments, files, phases)
    spark.stop()


def main() -> None:
    """Run the job from the command line."""
    uris = {
        "input": "folder of the staged raw files",
        "output": "folder for the rows to publish",
        "quarantine": "folder for the bad rows",
        "manifest": "JSON to write",
    }
    arguments = job.parser(STEP, **uris)
    arguments.add_argument("--run-id", required=True, type=job.run_slug, help="this submission of the run")
    job.main(STEP, arguments, run)


if __name__ == "__main__":
    main()
