"""Where everything of one run lies: the names of the dataset with the stack's buckets before them."""

from __future__ import annotations

from dataclasses import dataclass

from contract.dataset import Contract
from contract.names import Names

from lake.settings import Settings

SUBMISSION = "${LAKE_SUBMISSION}"
"""Minted with each submission: the worker fills it in."""


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
    def names(self) -> Names:
        """What everything of the dataset is called."""
        return self.settings.names(self.contract.dataset)

    @property
    def raw(self) -> str:
        """Folder in which the files of the date land."""
        return f"s3://{self.settings.raw_bucket}/{self.names.raw(self.ds)}"

    @property
    def raw_wildcard(self) -> str:
        """Pattern of all keys in that folder, for S3KeySensor."""
        return f"{self.raw}*"

    @property
    def staged(self) -> str:
        """Folder of the raw files on the worker's data volume; the worker knows where that is mounted."""
        return f"file://${{LAKE_DATA_DIR}}/{self.names.staged(self.ds, self.run)}"

    @property
    def cleaned(self) -> str:
        """Folder of the clean rows before validation."""
        return f"s3://{self.settings.processed_bucket}/{self.names.cleaned(self.ds, SUBMISSION)}"

    @property
    def quarantine(self) -> str:
        """Folder of the rows that broke a rule."""
        return f"s3://{self.settings.processed_bucket}/{self.names.quarantine(self.ds, SUBMISSION)}"

    @property
    def promoted(self) -> str:
        """Folder of the date's valid submissions, each in an immutable folder of its own."""
        return f"s3://{self.settings.processed_bucket}/{self.names.promoted(self.ds)}"

    @property
    def data_docs(self) -> str:
        """Folder of the Data Docs of one validation."""
        return self._artifact(self.names.data_docs(self.ds, SUBMISSION))

    def manifest(self, task_id: str) -> str:
        """Manifest in which a task of this run reports its result."""
        return self._artifact(self.names.manifest(self.ds, self.run, task_id))

    def reprocess_manifest(self, task_id: str) -> str:
        """Manifest in which a task of a run over many dates reports what became of each."""
        return self._artifact(self.names.reprocess_manifest(self.run, task_id))

    def record(self, table: str) -> str:
        """Record of which submission counts for the date, `published` or `quarantined`, whichever run says so."""
        return self._artifact(self.names.record(self.ds, table))

    def _artifact(self, key: str) -> str:
        return f"s3://{self.settings.artifacts_bucket}/{key}"


def paths_of(settings: Settings, contract: Contract, run: str, dates: str) -> list[Paths]:
    """Return the paths of one run on each of its dates, in order.

    Args:
        settings: the stack's names.
        contract: the dataset.
        run: the Airflow run id, made safe for keys.
        dates: dates `YYYY-MM-DD`, separated by spaces.
    """
    return [Paths(settings, contract, ds, run) for ds in sorted(dates.split())]
