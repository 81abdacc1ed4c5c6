"""Copy a date's raw files from S3 to the worker's data volume, so that a snapshot of the volume holds them.

The folder appears whole or not at all, holds the files as they are under their own names plus `_manifest.json`,
and is on the disk, not only in its cache, when the job ends. Run again, it is replaced. Room for it is made before
anything is copied; where there is none the job ends with 75, with 65 where there never can be (spark_jobs/volume.py).
Where rows that are alike count once, a file whose bytes are those of another of the same date adds nothing: it is not
staged, the manifest says so, and `clean` how many rows it has. Where every row counts, both files do.

Files that do not fit the contract end the job with 65 before anything is staged: see spark_jobs/drift.py. So does a key
that cannot be the path of a file below the folder. What lies in the folder in the end are the files listed, by name and
bytes, less the copies, or the job fails.

Manifest: `step, dataset, ds, run, raw, listed, staged, bytes, files [{name, key, version_id, etag, bytes, sha256}],
duplicate_files [{the same, same_as: name}], drift {additions, new_columns {name: [file]}, absent_columns {the same}},
ignored [key], pruned [folder], seconds {phase: s}, versions`. `ignored` are markers, whose names start with `_` or `.`.
`listed` is when the raw folder was looked at (UTC): of two runs of a date, the one that looked later counts.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from contract.dataset import Contract
from contract.files import is_raw_file, split_s3

from spark_jobs import drift, job, storage, volume
from spark_jobs.errors import DataError

STEP = "stage_raw"
MANIFEST = "_manifest.json"
MAX_NAME_BYTES = 255
"""What a file system takes as the name of one file or folder."""

CONTROL = re.compile("[\0-\x1f\x7f]")


def raw_objects(raw: str, contract: Contract) -> tuple[list[dict[str, Any]], list[str]]:
    """The objects to stage as ListObjectsV2 describes them, each with its `Name` below `raw`, and the keys ignored.

    :raises DataError: there is none, or one that the contract's format does not cover or whose key is no path.
    """
    prefix = split_s3(raw)[1].rstrip("/") + "/"
    wanted, ignored = [], []
    for item in storage.list_s3(storage.received(raw)):
        name = item["Key"].removeprefix(prefix)
        if not is_raw_file(name, item["Size"]):
            ignored.append(item["Key"])
        elif problem := path_problem(name):
            raise DataError(f"{item['Key']!r}: {problem}, so it cannot be staged under its name: send it under another")
        elif contract.format.type_of(name) is None:
            raise DataError(f"{item['Key']}: {contract.format.expected_name}")
        else:
            wanted.append({**item, "Name": name})
    if not wanted:
        raise DataError(f"there is no raw file under {raw} (expected *{' or *'.join(contract.format.suffixes)})")
    names = {item["Name"] for item in wanted}
    for item in wanted:
        for folder in PurePosixPath(item["Name"]).parents:
            if folder.as_posix() in names:
                raise DataError(f"{item['Key']!r}: {folder.as_posix()!r} is a file too: send one under another name")
    return wanted, ignored


def path_problem(name: str) -> str | None:
    """Why the name of an S3 object below its folder cannot be the relative path of a file, or None where it can."""
    parts = name.split("/")
    if "" in parts:
        return "the key has an empty part (`//`, or `/` at its end)"
    if "." in parts or ".." in parts:
        return "the key has a part `.` or `..`"
    if CONTROL.search(name):
        return "the key has a control character"
    if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
        return f"a part of the key is longer than {MAX_NAME_BYTES} bytes"
    return None


def check_staged(described: list[dict[str, Any]], found: list[storage.StoredFile]) -> None:
    """The files found in a folder are those that were to be there.

    :param described: what was to be there, each with `name` and `bytes`.
    :raises AssertionError: they differ in name or size.
    """
    wanted, there = {(file["name"], file["bytes"]) for file in described}, {(file.name, file.size) for file in found}
    if wanted != there or len(described) != len(found):
        raise AssertionError(
            f"not the files listed: missing {sorted(wanted - there)}, instead {sorted(there - wanted)}"
        )


def stage(item: dict[str, Any], bucket: str, folder: Path) -> dict[str, Any]:
    """Copy one object into `folder` and say what was copied.

    :raises OSError: fewer or more bytes arrived than S3 holds.
    """
    # IfMatch: a file replaced since it was listed makes the copy fail, and the retry takes the new one whole.
    answer = storage.s3().get_object(Bucket=bucket, Key=item["Key"], IfMatch=item["ETag"])
    target = folder / item["Name"]
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        copied = storage.copy_hashed(answer["Body"], file)
    if copied.size != item["Size"] or storage.sha256_of(target) != copied.sha256:
        raise OSError(f"{item['Key']}: {copied.size} bytes arrived, S3 holds {item['Size']}")
    return {
        "name": item["Name"],
        "key": item["Key"],
        "version_id": answer.get("VersionId"),
        "etag": item["ETag"].strip('"'),
        "bytes": copied.size,
        "sha256": copied.sha256,
    }


def without_copies(
    files: list[dict[str, Any]], contract: Contract
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The last file of each content, and the others, each with the name of that one in `same_as`.

    The last, because of rows that differ the one of the greatest file name counts (spark_jobs/transforms.py). Where
    every row counts, all files do.
    """
    if contract.dedupe_by is None:
        return files, []
    last = {file["sha256"]: file["name"] for file in sorted(files, key=lambda file: file["name"])}
    copies = [{**file, "same_as": last[file["sha256"]]} for file in files if last[file["sha256"]] != file["name"]]
    return [file for file in files if last[file["sha256"]] == file["name"]], copies


def settled(
    folder: Path, files: list[dict[str, Any]], contract: Contract
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """Remove copies of other files from `folder`, and look at whether those left fit the contract.

    :return: the manifest's `files`, `duplicate_files` and `drift`.
    :raises DataError: they do not fit.
    :raises AssertionError: other files are there.
    """
    kept, copies = without_copies(files, contract)
    for copy in copies:
        (folder / copy["name"]).unlink()
    found = storage.list_files(folder.as_uri())
    check_staged(kept, found)
    return kept, copies, drift.check(found, contract)


def run(arguments: argparse.Namespace) -> None:
    """Stage the raw files of one date; see the module's documentation."""
    contract = job.contract_of(arguments.dataset)
    staged = storage.local_path(arguments.staged)
    expected = f"{arguments.dataset}/ds={arguments.ds}/run={arguments.run}/{volume.RAW}"
    if not staged.as_posix().endswith(f"/{expected}"):
        raise ValueError(f"--staged {arguments.staged} does not end in {expected}")
    data = volume.Volume(staged.parents[3])
    with data.alone():
        stage_date(arguments, contract, staged, data)


def stage_date(arguments: argparse.Namespace, contract: Contract, staged: Path, data: volume.Volume) -> None:
    """Stage the raw files of one date in the folder `staged`, while no other process stages on its volume."""
    phases = job.Phases()
    run_folder = staged.parent
    listed = datetime.now(UTC).isoformat(timespec="microseconds")
    with phases("list"):
        wanted, ignored = raw_objects(arguments.raw, contract)
    with phases("room"):
        removed = data.make_room(sum(item["Size"] for item in wanted), run_folder)
    partial = run_folder / volume.PARTIAL
    with phases("copy"):
        partial.mkdir(parents=True)
        (run_folder / volume.FINISHED).unlink(missing_ok=True)
        bucket = split_s3(arguments.raw)[0]
        copied = [stage(item, bucket, partial) for item in wanted]
    with phases("check"):
        files, copies, differences = settled(partial, copied, contract)
    manifest = job.frame(
        STEP,
        arguments,
        raw=arguments.raw,
        listed=listed,
        staged=arguments.staged,
        bytes=sum(file["bytes"] for file in files),
        files=files,
        duplicate_files=copies,
        drift=differences,
        ignored=ignored,
    )
    storage.write_json(manifest, (partial / MANIFEST).as_uri())
    with phases("flush"):
        shutil.rmtree(staged, ignore_errors=True)
        partial.rename(staged)
        os.utime(run_folder)
        # A snapshot of the volume holds only what has left the page cache.
        os.sync()
    storage.write_json(
        {**manifest, "pruned": removed, "seconds": phases.seconds, "versions": job.versions("boto3")},
        arguments.manifest,
    )
    for copy in copies:
        job.say(f"{copy['name']} is a copy of {copy['same_as']}: it is not read")
    for name, found_in in differences["new_columns"].items():
        kept = "kept in extra" if contract.additions == "keep" and name else "left out"
        told = f"column {name!r} is not in the contract" if name else "columns have no name"
        job.say(f"{told}, in {', '.join(found_in)}: {kept}")
    for name, lacking in differences["absent_columns"].items():
        job.say(f"column {name!r} may be absent, and is in {', '.join(lacking)}: null there")
    job.say(f"staged {len(files)} files, {manifest['bytes']:,} bytes, in {staged}")


def main() -> None:
    """Run the job from the command line."""
    uris = {"raw": "s3:// folder of the raw files", "staged": "file:// folder to fill", "manifest": "JSON to write"}
    job.main(STEP, job.parser(STEP, **uris), run)


if __name__ == "__main__":
    main()
