"""What everything of a dataset is called: databases, tables and the key layout of the buckets, in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """The names of one dataset in one stack.

    `catalog_prefix` is what the stack puts before the names of its databases and crawlers, which the account's stacks
    share: nothing for the first. Keys are those of objects or, with a slash at the end, of folders. `ds` is the date,
    `YYYY-MM-DD`.
    """

    dataset: str
    catalog_prefix: str = ""

    # ------------------------------------------------------------------ catalog

    @property
    def database(self) -> str:
        """The Glue database."""
        return f"{self.catalog_prefix}{self.dataset}_db"

    @property
    def crawler(self) -> str:
        """The Glue crawler of the promoted submissions."""
        return f"{self.catalog_prefix}{self.dataset}_processed_crawler"

    @property
    def table(self) -> str:
        """The public table, partitioned by ds."""
        return self.dataset

    @property
    def runs_table(self) -> str:
        """The table of every promoted submission, partitioned by ds and run."""
        return f"{self.dataset}_runs"

    @property
    def quarantine_table(self) -> str:
        """The table of quarantined rows, partitioned by ds."""
        return f"{self.dataset}_quarantine"

    @property
    def current_view(self) -> str:
        """The view of the latest version of each key."""
        return f"{self.dataset}_current"

    @property
    def tables(self) -> tuple[str, ...]:
        """Every table and view that a dataset has beside its marts."""
        return (self.table, self.runs_table, self.quarantine_table, self.current_view)

    # ------------------------------------------------------------------ keys

    def raw(self, ds: str) -> str:
        """Raw bucket: the files of a date, as received."""
        return f"{self.dataset}/ds={ds}/"

    def staged(self, ds: str, run: str) -> str:
        """The worker's data volume: a run's copy of the raw files."""
        return f"{self.dataset}/ds={ds}/run={run}/raw/"

    def cleaned(self, ds: str, submission: str) -> str:
        """Processed bucket: clean rows that nobody has validated yet."""
        return f"_staging/{self.dataset}/ds={ds}/run={submission}/"

    def quarantine(self, ds: str, submission: str) -> str:
        """Processed bucket: rows that broke a rule."""
        return f"{self.quarantine_table}/ds={ds}/run={submission}/"

    def promoted(self, ds: str) -> str:
        """Processed bucket: the valid submissions of a date, each in an immutable folder `run=<submission>/`."""
        return f"{self.runs_table}/ds={ds}/"

    def mart(self, mart: str) -> str:
        """Enriched bucket: the pictures of a mart."""
        return f"{self.dataset}/{mart}/"

    def manifest(self, ds: str, run: str, task_id: str) -> str:
        """Artifacts bucket: what a task of a run reports of a date."""
        return f"manifests/{self.dataset}/ds={ds}/run={run}/{task_id}.json"

    def reprocess_manifest(self, run: str, task_id: str) -> str:
        """Artifacts bucket: what a task of a run over many dates reports of all of them."""
        return f"manifests/{self.dataset}/reprocess/run={run}/{task_id}.json"

    def record(self, ds: str, table: str) -> str:
        """Artifacts bucket: which submission counts for a date, of what is `published` or `quarantined`."""
        return f"{self.records}ds={ds}/{table}.json"

    def mart_record(self, mart: str, query: str) -> str:
        """Artifacts bucket: which pictures a query of a mart has made, and of what."""
        return f"{self.mart_records(mart)}{query}.json"

    def mart_records(self, mart: str) -> str:
        """Artifacts bucket: the records of a mart."""
        return f"{self.records}mart={mart}/"

    def mart_turn(self, mart: str) -> str:
        """Artifacts bucket: whose turn it is to point the partitions of a mart."""
        return f"{self.records}turns/{mart}.json"

    @property
    def records(self) -> str:
        """Artifacts bucket: what says where partitions point, whatever becomes of the catalog."""
        return f"records/{self.dataset}/"

    def data_docs(self, ds: str, submission: str) -> str:
        """Artifacts bucket: the Data Docs of one validation."""
        return f"data-docs/{self.dataset}/ds={ds}/run={submission}/"
