"""Where everything of one run lies: the key layout of the lake, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from lake.contract import Contract
from lake.settings import Settings


@dataclass(frozen=True)
class Paths:
    """The URIs of one DAG run of a dataset; folders end with a slash.

    Args:
        settings: the stack's names.
        contract: the dataset.
        ds: date of the run, `YYYY-MM-DD`; or `{ds}`, where a job for many dates is told places.
        run: the Airflow run id, made safe for keys (`run_slug`).
    """

    settings: Settings
    contract: Contract
    ds: str
    run: str

    @property
    def raw(self) -> str:
        """Folder in which the files of the date land."""
        return f"s3://{self.settings.raw_bucket}/{self.contract.raw_prefix(self.ds)}"

    @property
    def raw_wildcard(self) -> str:
        """Pattern of the raw files of the date, for S3KeySensor."""
        return f"s3://{self.settings.raw_bucket}/{self.contract.raw_wildcard(self.ds)}"

    @property
    def staged(self) -> str:
        """Folder of the raw files on the worker's data volume; the worker knows where that is mounted."""
        return f"file://${{LAKE_DATA_DIR}}/{self.contract.dataset}/ds={self.ds}/run={self.run}/raw/"

    @property
    def staging(self) -> str:
        """Folder of the clean rows before validation; `LAKE_RUN_ID` is minted with each submission."""
        return (
            f"s3://{self.settings.processed_bucket}/_staging/{self.contract.dataset}/ds={self.ds}/run=${{LAKE_RUN_ID}}/"
        )

    @property
    def quarantine(self) -> str:
        """Folder of the rows that broke a rule."""
        return (
            f"s3://{self.settings.processed_bucket}/{self.contract.quarantine_table}/ds={self.ds}/run=${{LAKE_RUN_ID}}/"
        )

    @property
    def data_docs(self) -> str:
        """Folder of the Data Docs of one validation."""
        return f"s3://{self.settings.artifacts_bucket}/data-docs/{self.contract.dataset}/ds={self.ds}/run=${{LAKE_RUN_ID}}/"

    def manifest(self, task_id: str) -> str:
        """Manifest in which a task of this run reports its result."""
        return f"s3://{self.settings.artifacts_bucket}/manifests/{self.contract.dataset}/ds={self.ds}/run={self.run}/{task_id}.json"

    def range_manifest(self, task_id: str) -> str:
        """Manifest in which a task of a run over many dates reports what became of each."""
        return f"s3://{self.settings.artifacts_bucket}/manifests/{self.contract.dataset}/ranges/run={self.run}/{task_id}.json"

    def record(self, name: str) -> str:
        """Record of which run's result counts for the date, `published` or `quarantined`, whichever run says so."""
        return f"s3://{self.settings.artifacts_bucket}/manifests/{self.contract.dataset}/ds={self.ds}/{name}.json"

    @property
    def promoted(self) -> str:
        """Folder of the date's runs, each in an immutable folder of its own."""
        return f"s3://{self.settings.processed_bucket}/{self.contract.runs_table}/ds={self.ds}/"


def paths_of(settings: Settings, contract: Contract, run: str, dates: str) -> list[Paths]:
    """Return the paths of one run on each of its dates, in order.

    Args:
        settings: the stack's names.
        contract: the dataset.
        run: the Airflow run id, made safe for keys.
        dates: dates `YYYY-MM-DD`, separated by spaces.
    """
    return [Paths(settings, contract, ds, run) for ds in sorted(dates.split())]


def split_s3(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/key` into bucket and key.

    Raises:
        ValueError: when the URI is not of that form.
    """
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"{uri!r} is not of the form s3://bucket/key")
    return parts.netloc, parts.path.lstrip("/")
