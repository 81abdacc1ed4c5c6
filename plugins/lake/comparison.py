"""What of each date has changed since it was published: its raw files, what it was made from, the code."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from contract.dataset import Contract
from contract.references import stale

from lake.bundle import digest_of_this_process
from lake.manifest import read_manifest_if_present
from lake.parallel import in_parallel
from lake.paths import Paths
from lake.published import Published, folders_of_other_datasets, made_now, published_dates
from lake.raw import Received, received_by_date
from lake.settings import Settings

RAW_FILES, OTHER_DATASETS, CODE = "raw files", "other datasets", "code"


@dataclass(frozen=True)
class Compared:
    """A date: what there is of it, and what has changed since it was published.

    Args:
        ds: the date.
        received: what lies in its raw folder.
        published: what is published of it, None when nothing is.
        lacks: what its files lack to be complete, in words; None when they are.
        content: a digest of all that it would be made from now: files, other datasets, code.
        listed: when the run that is published looked at the raw files, as ISO text; None when that is not known.
        changed: what has changed since it was published; of an unpublished date nothing.
        unknown: whether that is not known of all.
        rolled_back_by: the run that took the date back to what is published, if no file has come since; else empty.
    """

    ds: str
    received: Received
    published: Published | None
    lacks: str | None
    content: str
    listed: str | None = None
    changed: tuple[str, ...] = ()
    unknown: bool = False
    rolled_back_by: str = ""

    @property
    def why(self) -> str:
        """What would be the reason to load it, in words."""
        if not self.received.files:
            return "there is no raw file, what is published stays" if self.published else "there is no raw file"
        incomplete = f"; not complete: {self.lacks}" if self.lacks else ""
        rolled_back = f"; rolled back by {self.rolled_back_by}" if self.rolled_back_by else ""
        return f"{self._change()}{incomplete}{rolled_back}"

    def _change(self) -> str:
        if not self.published:
            return "is new"
        if self.changed:
            return f"{' and '.join(self.changed)} changed since"
        return "it is not known from what it was made" if self.unknown else "nothing changed since"


def compare(s3: Any, glue: Any, settings: Settings, contract: Contract, dates: Sequence[str]) -> list[Compared]:
    """Compare what was received for each date with what is published of it.

    Args:
        s3: boto3 S3 client.
        glue: boto3 Glue client.
        settings: the stack's names.
        contract: the dataset.
        dates: the dates, `YYYY-MM-DD`, in order; at least one.

    Returns:
        One for each date, in order.
    """
    start, end = dates[0], dates[-1]
    received = received_by_date(s3, settings.raw_bucket, contract.dataset, start, end)
    published = published_dates(glue, settings.names(contract.dataset), start, end)
    others = folders_of_other_datasets(glue, settings, contract, end)
    one = partial(_compared, s3, settings, contract, others, datetime.now(UTC))
    return in_parallel(one, dates, (received.get(ds, Received()) for ds in dates), map(published.get, dates))


def _compared(
    s3: Any,
    settings: Settings,
    contract: Contract,
    others: Mapping[str, Mapping[str, str]],
    now: datetime,
    ds: str,
    received: Received,
    published: Published | None,
) -> Compared:
    lacks = received.lacks(contract.wait.complete, now)
    counts, code = made_now(contract, others, ds), digest_of_this_process()
    content = hashlib.sha256(repr((sorted(received.files), sorted(counts.items()), code)).encode()).hexdigest()
    if not published:
        return Compared(ds, received, published, lacks, content)
    paths = Paths(settings, contract, ds, published.submission.run)
    staged = read_manifest_if_present(s3, paths.manifest("stage_raw"))
    cleaned = read_manifest_if_present(s3, paths.manifest("clean"))
    changes = {
        RAW_FILES: _were(staged) != received.files if staged else None,
        OTHER_DATASETS: stale(published.made_from, counts),
        CODE: cleaned["versions"].get("bundle") != code if cleaned else None,
    }
    listed = staged.get("listed") if staged else None
    record = read_manifest_if_present(s3, paths.record("published"))
    rolled_back_by = _rolled_back_by(record, received) if record else ""
    changed = tuple(name for name, is_changed in changes.items() if is_changed)
    return Compared(ds, received, published, lacks, content, listed, changed, None in changes.values(), rolled_back_by)


def _rolled_back_by(record: Mapping[str, Any], received: Received) -> str:
    """The run that decided that what is published counts again, unless a file has come since."""
    by: str = record.get("rolled_back_by", "")
    came = by and received.newest is not None and received.newest > datetime.fromisoformat(record["listed"])
    return "" if came else by


def _were(staged: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Key and ETag of the files that a run staged."""
    return {(file["key"], file["etag"]) for file in (*staged["files"], *staged["duplicate_files"])}
