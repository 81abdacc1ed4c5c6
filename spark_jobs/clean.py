"""spark-submit entry: raw files of one date become typed published rows, and bad rows in quarantine with a reason.

Output: zstd Parquet files `part-00000.parquet`, ... in `--output` with the contract's columns and lineage, and in
`--quarantine` with `raw_row, rule, reason, source_file, source_line, run_id`. Decimals and dates are Parquet decimals
and dates; a timestamp is INT64 microseconds without a zone, which Athena (engine 3), Spark and DuckDB all read as the
same wall clock reading (INT96 is deprecated and has no defined zone). A date on which nothing is left to publish has
one Parquet file without rows, so that crawler and Athena still see the schema; an empty quarantine has no file.

Manifest: `step, dataset, ds, run, submission, rows {read, published, quarantined, duplicates, dropped {rule: n}},
quarantined_by_rule {rule: n}, warned_by_rule {rule: n}, input {uri, files [{name, uri, bytes, rows, lines {physical,
header, blank, skipped, comment, footer, records}}], duplicate_files [{name, same_as, rows}]}, output {uri, files [{key,
bytes, sha256, rows}]}, quarantine {the same}, made_from {dataset: digest}, dates_at_once, seconds {phase: s},
versions`. `key` is the whole key in the bucket (for a file:// URI, the path). `seconds` are those of all dates that
were cleaned at once, so many (spark_jobs/reprocess.py). `made_from` tells which folders of other datasets were read
(contract/references.py). `warned_by_rule` counts rows published although they break a rule of action `warn`; one that
breaks two is counted for each. Rows read, counted where they leave the reader, are = published + quarantined + dropped
+ duplicates, counted by outcome, of each file, and the files written hold as many, or the job fails and writes no
manifest. The files read are those that were staged, by name and bytes, and of each its physical lines (in Parquet rows)
= those of each kind that is no row + those of the rows read, or the job fails too: no line can vanish into its
neighbours unseen.

A row that breaks a rule of action `fail` refuses the batch: exit code 65. A dataset that the contract reads and that
has no date yet: exit code 75, as it may come (spark_jobs/references.py). Personal values are replaced before Spark
sees them (spark_jobs/personal.py).
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from contract.dataset import Contract
from contract.submission import Submission
from pyspark.errors import ArithmeticException, DateTimeException, NumberFormatException
from pyspark.sql import SparkSession

from spark_jobs import (
    certain,
    drift,
    job,
    next_step,
    personal,
    records,
    references,
    stage_raw,
    storage,
    transforms,
    validate,
    volume,
)
from spark_jobs.errors import DataError
from spark_jobs.outcomes import Outcomes
from spark_jobs.session import spark_session
from spark_jobs.verdict import import_great_expectations

STEP = "clean"
MANY_BYTES = records.TASK_BYTES
"""With more to work on it takes longer to sort all rows than to look first which of them are published for certain."""
MANY_KEPT_BYTES = 256 << 20
"""Compressed files may have more to them: so many bytes of records are not held in memory at once."""


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


def row_counts(groups: list[dict[str, Any]], read: int, warn_rules: Sequence[str]) -> dict[str, Any]:
    """The manifest's `rows`, `quarantined_by_rule` and `warned_by_rule` from what `Outcomes.groups` found.

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


def check_batch(rows: Outcomes, groups: list[dict[str, Any]]) -> None:
    """Refuse a batch of which a row breaks a rule of action `fail`.

    :param rows: its rows, maybe among those of other dates.
    :param groups: what was counted of the batch.
    :raises DataError: it is so.
    """
    failed = [group for group in groups if group["outcome"] == transforms.FAILED]
    if not failed:
        return
    first = rows.first_failed(failed[0]["run_date"])
    raise DataError(
        f"{first['source_file']} line {first['source_line']}: {first['_reason']} (rule {first['_rule']} refuses the "
        f"batch; {sum(group['rows'] for group in failed)} rows break such a rule)"
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
    :param groups: what was counted.
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


def without_empty(files: list[Path]) -> list[Path]:
    """The files that hold rows."""
    return [file for file in files if pq.read_metadata(file).num_rows]


def stored(files: list[Path], uri: str) -> dict[str, Any]:
    """Copy files to the folder `uri`, with names that say nothing but their place, and say what was written, rows as
    the files themselves tell.
    """
    described = []
    for number, file in enumerate(files):
        target = storage.join(uri, f"part-{number:05}.parquet")
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


class Staged(NamedTuple):
    """A date to clean: its raw files, and how many bytes they and what it reads of other datasets have together."""

    arguments: Arguments
    files: list[storage.StoredFile]
    bytes: int

    @property
    def run_date(self) -> date:
        """The date."""
        return self.arguments.ds


def staged(context: Context, arguments: Arguments, files: list[storage.StoredFile]) -> Staged:
    """A date that can be cleaned, with what it reads of other datasets on this machine.

    :param files: what `input_files` found.
    :raises NotReadyError: a dataset that the contract reads has no date up to this one.
    :raises DataError: what is published of it does not fit its contract.
    """
    others = context.others.check(context.contract, arguments.ds)
    return Staged(arguments, files, others + sum(file.size for file in files))


def clean_date(context: Context, date_staged: Staged, phases: job.Phases) -> dict[str, Any]:
    """Clean one date in a session that may go on to others.

    :return: the manifest, which is also written.
    :raises DataError: the batch is refused.
    :raises AssertionError: the rows do not add up.
    """
    (cleaned,) = clean_dates(context, [date_staged], phases).values()
    if isinstance(cleaned, DataError):
        raise cleaned
    return cleaned


def clean_dates(
    context: Context, dates: Sequence[Staged], phases: job.Phases
) -> dict[date, dict[str, Any] | DataError]:
    """Clean dates of one submission at once, each with the outcome that it has alone.

    :return: of each date its manifest, which is also written, or why its batch is refused.
    :raises DataError: an expression of the contract cannot be computed for a row of any of them.
    :raises AssertionError: the rows of one do not add up.
    """
    contract = context.contract
    ended: dict[date, dict[str, Any] | DataError] = {}

    def going_on(check: Callable[[date], None]) -> list[Staged]:
        """Those dates that have not ended, and pass a check."""
        found = []
        for each in dates:
            if each.run_date not in ended:
                try:
                    check(each.run_date)
                    found.append(each)
                except DataError as error:
                    ended[each.run_date] = error
        return found

    files = {each.run_date: each.files for each in dates}
    with phases("references"):
        others = context.others.as_of(contract, list(files))
    with tempfile.TemporaryDirectory() as scratch:
        with phases("read"):
            tasks = {run_date: records.tasks(found, contract) for run_date, found in files.items()}
            kept = Path(scratch) / "records"
            kept.mkdir()
            read = records.read(context.spark, tasks, contract, context.pseudonyms, kept)
        dates = going_on(lambda run_date: check_read(files[run_date], tasks[run_date], read[run_date]))
        if not dates:
            return ended
        lines = {each.run_date: lines_of_files(read[each.run_date]) for each in dates}
        submission, apart = dates[0].arguments.submission, certain.NOTHING
        are_many = sum(each.bytes for each in dates) > MANY_BYTES or records.kept_bytes(kept) > MANY_KEPT_BYTES
        received = records.kept(context.spark, contract, kept, list(lines))
        if are_many:
            with phases("certain"), expressions_checked(contract):
                told = transforms.certain(received, contract, submission, others)
                apart = certain.take_apart(told, contract, submission, kept, list(lines), Path(scratch) / "certain")
                received = apart.others(context.spark, contract, list(lines))
        with phases("classify"), expressions_checked(contract):
            classified = transforms.classified(transforms.read(received, contract), contract, submission, others)
            classified = transforms.deduplicated(classified, contract)
            rows = Outcomes.of(classified, contract, Path(scratch) / "outcomes" if are_many else None)
            groups = rows.groups() + apart.groups
        groups_of = {run_date: [group for group in groups if group["run_date"] == run_date] for run_date in lines}
        dates = going_on(lambda run_date: check_batch(rows, groups_of[run_date]))
        if not dates:
            return ended
        rows_of_file = {each.run_date: rows_of_files(read[each.run_date], groups_of[each.run_date]) for each in dates}
        warn_rules = transforms.rule_names(contract, "warn")
        counts = {
            run_date: row_counts(groups_of[run_date], sum(found.values()), warn_rules)
            for run_date, found in rows_of_file.items()
        }
        with phases("write"):
            good = rows.published(list(counts), Path(scratch) / "published")
            good = {run_date: apart.files.get(run_date, []) + files for run_date, files in good.items()}
            bad = rows.quarantined(Path(scratch) / "quarantined")
        with phases("upload"):
            places = {
                each.run_date: written(
                    each.arguments, counts[each.run_date], good[each.run_date], bad.get(each.run_date, [])
                )
                for each in dates
            }
    for each in dates:
        manifest = job.frame(
            STEP,
            each.arguments,
            submission=str(each.arguments.submission),
            **counts[each.run_date],
            input=described_input(each, rows_of_file[each.run_date], lines[each.run_date]),
            **places[each.run_date],
            made_from=context.others.made_from(contract, each.run_date),
            dates_at_once=len(files),
            seconds=phases.seconds,
            versions=job.versions("pyspark", "pyarrow"),
        )
        storage.write_json(manifest, each.arguments.manifest)
        job.say(f"{each.run_date}: {manifest['rows']} {phases.seconds}")
        ended[each.run_date] = manifest
    return ended


def described_input(
    staged: Staged, rows_of_file: Mapping[str, int], lines: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """The manifest's `input`."""
    files = [
        {"name": f.name, "uri": f.uri, "bytes": f.size, "rows": rows_of_file[f.name], "lines": lines[f.name]}
        for f in staged.files
    ]
    folder = staged.arguments.input
    return {"uri": folder, "files": files, "duplicate_files": copies_not_read(folder, rows_of_file)}


def written(arguments: Arguments, counts: dict[str, Any], good: list[Path], bad: list[Path]) -> dict[str, Any]:
    """The manifest's `output` and `quarantine`: files that `write` has written, now where they belong.

    :raises AssertionError: they do not hold as many rows as were counted.
    """
    output = stored(without_empty(good) or good[:1], arguments.output)
    quarantine = stored(without_empty(bad), arguments.quarantine)
    check_sums(
        counts,
        {
            outcome: sum(file["rows"] for file in place["files"])
            for outcome, place in (("published", output), ("quarantined", quarantine))
        },
    )
    return {"output": output, "quarantine": quarantine}


def run(parsed: argparse.Namespace) -> None:
    """Clean the staged files of one date; see the module's documentation."""
    try:
        clean_staged(Arguments(**vars(parsed)))
    except DataError:
        volume.finish(parsed.input)
        raise
    volume.finish(parsed.input)


def clean_staged(arguments: Arguments) -> None:
    """Clean the staged files of one date in a Spark session of its own, which it leaves to the next step."""
    phases = job.Phases()
    contract = job.contract_of(arguments.dataset)
    with phases("check"):
        files = input_files(arguments.input, contract)
    if next_step.may_come():
        # Here this process waits for Spark's; what validate needs takes as long.
        threading.Thread(target=import_great_expectations, daemon=True).start()
    with phases("start_spark"):
        spark = spark_session()
    with cleaning(spark, contract, arguments.references, arguments.personal_key) as context:
        with phases("references"):
            found = staged(context, arguments, files)
        clean_date(context, found, phases)


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
    job.main(STEP, arguments, run, partial(next_step.serve, validate.STEP, validate.main))


if __name__ == "__main__":
    main()
