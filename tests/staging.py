"""Folders of raw files as the job `stage_raw` leaves them."""

from __future__ import annotations

from pathlib import Path

from spark_jobs import stage_raw, storage


def as_staged(folder: Path) -> None:
    """Write the manifest of what lies in a folder, without which no job reads it."""
    files = [{"name": file.name, "bytes": file.size} for file in storage.list_files(folder.as_uri())]
    storage.write_json({"files": files, "duplicate_files": []}, (folder / stage_raw.MANIFEST).as_uri())
