"""spark-submit entry: raw files of one date become typed published rows, and bad rows in quarantine with a reason.

Output: zstd Parquet files `part-00000.parquet`, ... in `--output` with the contract's columns and lineage, and in
`--quarantine` with `raw_row, rule, reason, source_file, source_line, run_id`. Decimals and dates are Parquet decimals
and dates; a timestamp is INT64 microseconds without a zone, which Athena (engine 3), Spark and DuckDB all read as the
same wall clock reading (INT96 is deprecated and has no defined zone). A date on which nothing is left to publish has
one Parquet file without rows, so that crawler and Athena still see the schema; an empty quarantine has no file.

Manifest: `step, dataset, ds, run, submission, rows {read, published, quarantined, duplicates, dropped {rule: n}},
quarantined_by_rule {rule: n}, warned_by_rule {rule: n}, input {uri, files [{name, uri, bytes, rows, lines {physical,
header, blank, skipped, comment, footer, records}}], duplicate_files [{name, same_as, rows}]}, output {uri, files [{key,
bytes, sha256, rows}]}, quarantine {the same}, made_from {dataset: digest}, seconds {phase: s}, versions`.
`key` is the whole key in the bucket (for a file:// URI, the path). `made_from`
tells which folders of other datasets were read (contract/references.py). `warned_by_rule` counts rows published
although they break a rule of action `warn`; one that breaks two is counted for each. Rows read, counted where they
leave the reader, are = published + quarantined + dropped + duplicates, counted by outcome, of each file, and the files
written hold as many, or the job fails and writes no manifest. The files read are those that were staged, by name and
bytes, and of each its physical lines (in Parquet rows) = those of each kind that is no row + those of the rows read, or
the job fails too: no line can vanish into its neighbours unseen.

A row that breaks a rule of action `fail` refuses the batch: exit code 65. A dataset that the contract reads and that
has no date yet: exit code 75, as it may come (spark_jobs/references.py). Personal values are replaced before Spark
sees them (spark_jobs/personal.py).
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from contract.dataset import Contract
from contract.submission import Submission
from pyspark.errors import ArithmeticException, DateTimeException, NumberFormatException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

from spark_jobs import drift, job, personal, records, references, stage_raw, storage, transforms, volume
from spark_jobs.errors import DataError
from spark_jobs.session import spark_session

STEP = "clean"
MAX_REPEATED = 1_000_000
"""How many keys of duplicates are kept in memory: with more of them all rows are sorted."""


@dataclass(frozen=True, kw_only=True)
class Arguments(job.Arguments):
    """What `clean` is told; the folders are URIs."""

    submission: Submission
    input: str
    output: str
    quarantine: str
    references: str | None = None
    personal_key: str | None = None


def input_files(folder: str, contract: Contract) -> list[storage.StoredFile]:
    """The files to read, each with columns that fit the contract.

    :raises DataError: there is none, or one does not fit.
    :raises ValueError: it is not a folder of raw files.
    :raises AssertionError: in a folder on this machine's disk, they are not those that were staged.
    """
    files = storage.list_files(storage.received(folder))
    if not files:
        gone = ": what was staged gave way to other runs, stage it again" if storage.is_local(folder) else ""
        raise DataError(f"there is no file to read in {folder}{gone}")
    if storage.is_local(folder):
        stage_raw.check_staged(storage.read_json(storage.join(folder, stage_raw.MANIFEST))["files"], files)
    drift.check(files, contract)
    return files


def copies_not_read(folder: str, rows_of_file: Mapping[str, int]) -> list[dict[str, Any]]:
    """The files that `stage_raw` left out as copies of others, each with how many rows it has.

    :param rows_of_file: the rows of the files read, by name.
    """
    if not storage.is_local(folder):
        return []
    copies = storage.read_json(storage.join(folder, stage_raw.MANIFEST))["duplicate_files"]
    return [
        {"name": copy["name"], "same_as": copy["same_as"], "rows": rows_of_file[copy["same_as"]]} for copy in copies
    ]


def outcomes(
    received: DataFrame, contract: Contract, arguments: Arguments, others: Mapping[str, DataFrame], *, are_many: bool
) -> DataFrame:
    """Records as classified rows, their duplicates told.

    :param others: by name the datasets that the contract reads, as they stand on the date.
    :param are_many: whether it takes longer to sort them all than to look first which can be duplicates.
    """

    def classified(rows: DataFrame) -> DataFrame:
        return transforms.classified(rows, contract, arguments.ds, arguments.submission, others)

    rows = transforms.read(received, contract)
    if are_many and contract.dedupe_by is not None:
        rows, some = transforms.split_repeated(rows, contract, MAX_REPEATED)
        if some is not None:
            return classified(rows).unionByName(transforms.deduplicated(classified(some), contract))
    return transforms.deduplicated(classified(rows), contract)


def counted(rows: DataFrame, contract: Contract) -> list[dict[str, Any]]:
    """For each outcome, rule and source file `outcome, rule, source_file, rows`, and `warned`, how many of those rows
    break each rule of action `warn`, in the contract's order.
    """
    rules = transforms.rule_names(contract, "warn")
    warned = {f"warned_{at}": F.count_if(F.array_contains("_warnings", rule)) for at, rule in enumerate(rules)}
    keys = F.col("_outcome").alias("outcome"), F.col("_rule").alias("rule"), F.col("source_file")
    groups = rows.groupBy(*keys).agg(F.count("*").alias("rows"), *(count.alias(n) for n, count in warned.items()))
    return [
        {name: value for name, value in group.items() if name not in warned} | {"warned": [group[n] for n in warned]}
        for group in (row.asDict() for row in groups.collect())
    ]


def row_counts(groups: list[dict[str, Any]], read: int, warn_rules: Sequence[str]) -> dict[str, Any]:
    """The manifest's `rows`, `quarantined_by_rule` and `warned_by_rule` from what `counted` found.

    :param read: how many rows left the reader.
    :param warn_rules: the rules of action `warn`, in the contract's order.
    """

    def by_rule(outcome: str) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for group in groups:
            if group["outcome"] == outcome:
                counts[group["rule"]] += group["rows"]
        return dict(sorted(counts.items()))

    def total(outcome: str) -> int:
        return sum(group["rows"] for group in groups if group["outcome"] == outcome)

    warnings: Counter[str] = Counter()
    for group in groups:
        if group["outcome"] == transforms.PUBLISHED:
            warnings.update(dict(zip(warn_rules, group["warned"], strict=True)))
    return {
        "rows": {
            "read": read,
            "published": total(transforms.PUBLISHED),
            "quarantined": total(transforms.QUARANTINED),
            "duplicates": total(transforms.DUPLICATE),
            "dropped": by_rule(transforms.DROPPED),
        },
        "quarantined_by_rule": by_rule(transforms.QUARANTINED),
        "warned_by_rule": dict(sorted((+warnings).items())),
    }


@contextmanager
def expressions_checked(contract: Contract) -> Iterator[None]:
    """Say of a contract's expression that cannot be computed for a row, in ANSI mode, that it is at fault.

    What Spark says of it quotes values of the row, so that only the condition is told where they may be personal.

    :raises DataError: there is one.
    """
    try:
        yield
    except (ArithmeticException, DateTimeException, NumberFormatException) as error:
        told = error.getCondition() if contract.personal_columns else error
        raise DataError(f"an expression of the contract cannot be computed for a row: {told}") from error


def check_batch(rows: DataFrame, groups: list[dict[str, Any]]) -> None:
    """Refuse a batch of which a row breaks a rule of action `fail`.

    :param rows: the classified rows.
    :param groups: what `counted` found.
    :raises DataError: it is so.
    """
    failed = sum(group["rows"] for group in groups if group["outcome"] == transforms.FAILED)
    if not failed:
        return
    first = rows.where(F.col("_outcome") == transforms.FAILED).orderBy("source_file", "source_line", "_place").first()
    assert first is not None  # noqa: S101 - they have been counted
    raise DataError(
        f"{first['source_file']} line {first['source_line']}: {first['_reason']} (rule {first['_rule']} refuses the "
        f"batch; {failed} rows break such a rule)"
    )


def check_read(files: Sequence[storage.StoredFile], tasks: records.Tasks, read: Sequence[records.Read]) -> None:
    """Refuse a batch of which a file cannot be read to its end.

    :param files: those to read.
    :param tasks: the pieces of files that were to be read.
    :param read: what was.
    :raises DataError: it is so.
    :raises AssertionError: a file is in no piece, or a piece was not read exactly once.
    """
    wanted = [piece.file.name for task in tasks for piece in task]
    if [piece.name for piece in read] != wanted or {file.name for file in files} != {*wanted}:
        raise AssertionError(f"files to read: {[file.name for file in files]}, read: {[piece.name for piece in read]}")
    for piece in read:
        if piece.problem:
            raise DataError(piece.problem)


def lines_of_files(read: Sequence[records.Read]) -> dict[str, dict[str, int]]:
    """What the physical lines of each file are, by its name: those of `raw.LineCounts`, and `records`.

    :param read: what was read of each piece.
    :raises AssertionError: a file's lines do not add up.
    """
    told: dict[str, Counter[str]] = {piece.name: Counter() for piece in read}
    for piece in read:
        for kind, count in (*asdict(piece.counts).items(), ("records", piece.lines)):
            told[piece.name][kind] += count
    for name, counts in told.items():
        if counts["physical"] != sum(count for kind, count in counts.items() if kind != "physical"):
            raise AssertionError(f"the lines of {name} do not add up: {dict(counts)}")
    return {name: dict(counts) for name, counts in told.items()}


def rows_of_files(read: Sequence[records.Read], groups: list[dict[str, Any]]) -> dict[str, int]:
    """How many rows each file has, by its name.

    :param read: what was read of each piece.
    :param groups: what `counted` found.
    :raises AssertionError: as many were not counted by outcome.
    """
    rows: dict[str, int] = {piece.name: 0 for piece in read}
    judged = dict(rows)
    for piece in read:
        rows[piece.name] += piece.rows
    for group in groups:
        judged[group["source_file"]] += group["rows"]
    if judged != rows:
        raise AssertionError(f"rows by file: {rows} read, {judged} with an outcome")
    return rows


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


@dataclass(frozen=True)
class Context:
    """What dates that are cleaned in one session share."""

    spark: SparkSession
    contract: Contract
    others: references.OtherDatasets
    pseudonyms: personal.Pseudonyms | None


@contextmanager
def cleaning(
    spark: SparkSession, contract: Contract, references_uri: str | None, personal_key: str | None
) -> Iterator[Context]:
    """What cleaning dates of one dataset needs beside their files.

    :param references_uri: JSON `{dataset: {ds: folder}}`; needed where the contract reads other datasets.
    :param personal_key: ARN of the secret; needed where the contract has personal columns.
    :raises ValueError: one of them is needed and not given.
    """
    if contract.other_datasets and not references_uri:
        raise ValueError(f"--references is required: {contract.dataset} reads {', '.join(contract.other_datasets)}")
    if contract.personal_columns and not personal_key:
        raise ValueError(f"--personal-key is required: {contract.dataset} has personal columns")
    partitions = storage.read_json(references_uri) if references_uri and contract.other_datasets else {}
    key = personal.secret_key(personal_key) if personal_key and contract.personal_columns else None
    with tempfile.TemporaryDirectory() as scratch:
        others = references.OtherDatasets(spark, partitions, Path(scratch))
        yield Context(spark, contract, others, personal.Pseudonyms(contract, key) if key else None)


def clean_date(
    context: Context, arguments: Arguments, files: list[storage.StoredFile], phases: job.Phases
) -> dict[str, Any]:
    """Clean one date in a session that may go on to others.

    :param files: what `input_files` found.
    :return: the manifest, which is also written.
    :raises DataError: the batch is refused.
    :raises NotReadyError: a dataset that the contract reads has no date up to this one.
    :raises AssertionError: the rows do not add up.
    """
    contract = context.contract
    with phases("references"):
        others = context.others.as_of(contract, arguments.ds)
    with tempfile.TemporaryDirectory() as scratch:
        with phases("read"):
            tasks = records.tasks(files, contract)
            kept = Path(scratch) / "records"
            kept.mkdir()
            received, read = records.read(context.spark, tasks, contract, context.pseudonyms, kept)
        check_read(files, tasks, read)
        lines = lines_of_files(read)
        with phases("classify"), expressions_checked(context.contract):
            rows = outcomes(received, contract, arguments, others, are_many=len(tasks) > 1)
            groups = counted(rows, contract)
        check_batch(rows, groups)
        rows_of_file = rows_of_files(read, groups)
        counts = row_counts(groups, sum(rows_of_file.values()), transforms.rule_names(contract, "warn"))
        with phases("write"):
            good = write(transforms.published(rows, contract), Path(scratch) / "published")
            good = without_empty(good) or good[:1]
            bad = []
            if counts["rows"]["quarantined"]:
                bad = without_empty(write(transforms.quarantined(rows), Path(scratch) / "quarantined"))
        with phases("upload"):
            output, quarantine = stored(good, arguments.output), stored(bad, arguments.quarantine)
    check_sums(
        counts,
        {
            outcome: sum(file["rows"] for file in place["files"])
            for outcome, place in (("published", output), ("quarantined", quarantine))
        },
    )
    described = [
        {"name": f.name, "uri": f.uri, "bytes": f.size, "rows": rows_of_file[f.name], "lines": lines[f.name]}
        for f in files
    ]
    manifest = job.frame(
        STEP,
        arguments,
        submission=str(arguments.submission),
        **counts,
        input={
            "uri": arguments.input,
            "files": described,
            "duplicate_files": copies_not_read(arguments.input, rows_of_file),
        },
        output=output,
        quarantine=quarantine,
        made_from=context.others.made_from(contract, arguments.ds),
        seconds=phases.seconds,
        versions=job.versions("pyspark", "pyarrow"),
    )
    storage.write_json(manifest, arguments.manifest)
    job.say(f"{arguments.ds}: {counts['rows']} {phases.seconds}")
    return manifest


def run(parsed: argparse.Namespace) -> None:
    """Clean the staged files of one date; see the module's documentation."""
    try:
        clean_staged(Arguments(**vars(parsed)))
    except DataError:
        volume.finish(parsed.input)
        raise
    volume.finish(parsed.input)


def clean_staged(arguments: Arguments) -> None:
    """Clean the staged files of one date in a Spark session of its own."""
    phases = job.Phases()
    contract = job.contract_of(arguments.dataset)
    with phases("check"):
        files = input_files(arguments.input, contract)
    with phases("start_spark"):
        spark = spark_session(f"{STEP} {arguments.dataset} {arguments.ds}")
    with cleaning(spark, contract, arguments.references, arguments.personal_key) as context:
        clean_date(context, arguments, files, phases)
    spark.stop()


def add_options(arguments: argparse.ArgumentParser) -> None:
    """Add what cleaning is told besides where things are."""
    arguments.add_argument("--submission", required=True, type=Submission.parse, help="name of this try")
    arguments.add_argument("--references", metavar="URI", help="JSON {dataset: {ds: folder}} of public partitions")
    arguments.add_argument("--personal-key", metavar="ARN", help="secret with the key of the hashes of personal data")


def main() -> None:
    """Run the job from the command line."""
    uris = {
        "input": "folder of the staged raw files",
        "output": "folder for the rows to publish",
        "quarantine": "folder for the bad rows",
        "manifest": "JSON to write",
    }
    arguments = job.parser(STEP, **uris)
    add_options(arguments)
    job.main(STEP, arguments, run)


if __name__ == "__main__":
    main()
