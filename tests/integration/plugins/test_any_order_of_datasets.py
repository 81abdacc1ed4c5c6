"""Whatever the order in which two dimensions and a fact are loaded: `reconcile` ends it in the same tables."""

import shutil
from datetime import UTC, datetime
from itertools import count

import pytest
from contract.dataset import load_contract
from contract.references import counting, folders_digest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from lake.bundle import digest_of_this_process
from lake.comparison import compare
from lake.contracts import DATASETS
from lake.manifest import write_manifest
from lake.operators.promote import PromoteOperator
from lake.operators.publish import PublishOperator
from lake.paths import Paths
from lake.published import folders_of_other_datasets, published_dates
from lake.reconciliation import NEW, STALE, findings
from lake.tables import public_table

from tests.integration.plugins.publishing import judged

DATES = ("2029-03-01", "2029-03-02", "2029-03-03")
MORNING = datetime(2029, 3, 4, 8, tzinfo=UTC)
LOAD_MODES = {"customers": "snapshot", "products": "upsert"}
NUMBERS = count(1)


class Warehouse:
    """Two dimensions and a fact, with the worker's results put in place by hand.

    `rows` tells of each submission of the fact which folders of the dimensions its rows were made from.
    """

    def __init__(self, aws, settings, context):
        self.s3, self.glue, self.settings, self.context = aws("s3"), aws("glue"), settings, context
        self.contracts = {name: load_contract(DATASETS / f"{name}.yaml") for name in (*LOAD_MODES, "sales")}
        for name, mode in LOAD_MODES.items():
            self.contracts[name] = self.contracts[name].model_copy(update={"load_mode": mode})
        self.sales = self.contracts["sales"]
        self.clear()

    def clear(self):
        self.rows, self.folders = {}, {name: {} for name in LOAD_MODES}
        for name in self.contracts:
            names = self.settings.names(name)
            try:
                self.glue.delete_table(DatabaseName=names.database, Name=names.table)
            except self.glue.exceptions.EntityNotFoundException:
                continue
        for ds in DATES:
            key = self.settings.names("sales").record(ds, "published")
            self.s3.delete_object(Bucket=self.settings.artifacts_bucket, Key=key)
            self.s3.put_object(Bucket=self.settings.raw_bucket, Key=f"sales/ds={ds}/sales.csv", Body=b"x")

    def publish(self, dimension, ds):
        """A date of a dimension, once more."""
        table = public_table(self.glue, self.settings, self.contracts[dimension])
        table.ensure()
        folder = f"s3://anywhere/{dimension}/ds={ds}/run={next(NUMBERS)}/"
        table.point(ds, folder, {"submission": "any-0123abcd"})
        self.folders[dimension][ds] = folder

    def clean(self, ds):
        """What the tasks up to `validate` leave behind of a date of the fact; None while a dimension has no date."""
        number = next(NUMBERS)
        told = folders_of_other_datasets(self.glue, self.settings, self.sales, ds)
        read = {name: counting(LOAD_MODES[name], told[name], ds) for name in LOAD_MODES}
        if not all(read.values()):
            return None
        paths, submission = Paths(self.settings, self.sales, ds, f"run-{number}"), f"run-{number}-0123abcd"
        self.rows[submission] = self.as_of(ds)
        etag = self.s3.head_object(Bucket=self.settings.raw_bucket, Key=f"sales/ds={ds}/sales.csv")["ETag"].strip('"')
        for task, manifest in {
            "stage_raw": {
                "listed": f"{number:09}",
                "files": [{"key": f"sales/ds={ds}/sales.csv", "etag": etag}],
                "duplicate_files": [],
            },
            "clean": {
                "submission": submission,
                "rows": {"published": 0},
                "output": {"files": []},
                "made_from": {name: folders_digest(folders) for name, folders in read.items()},
                "versions": {"bundle": digest_of_this_process()},
            },
            "validate": {"success": True, "submission": submission, **judged(self.sales)},
        }.items():
            write_manifest(self.s3, paths.manifest(task), manifest)
        return paths

    def finish(self, paths):
        """Promote and publish what was cleaned."""
        for operator in (PromoteOperator, PublishOperator):
            arguments = {"settings": self.settings, "contract": self.sales, "run_name": paths.run, "dates": paths.ds}
            operator(task_id="any", **arguments).execute(self.context("any"))

    def as_of(self, ds):
        """The folders that rows of a date are made from, by the words of the contract's load modes."""
        customers = {day: folder for day, folder in self.folders["customers"].items() if day <= ds}
        products = sorted(folder for day, folder in self.folders["products"].items() if day <= ds)
        return (customers[max(customers)] if customers else None, *products)

    def reconcile(self):
        """Load what is new or stale, and return what that was."""
        compared = compare(self.s3, self.glue, self.settings, self.sales, DATES)
        found = list(findings(self.sales, compared, MORNING, [], lambda _: False))
        assert {each.kind for each in found} <= {NEW, STALE}
        for each in found:
            if cleaned := self.clean(each.ds):
                self.finish(cleaned)
        return found

    def table(self):
        """What the rows of each published date of the fact are made from."""
        published = published_dates(self.glue, self.settings.names("sales"), DATES[0], DATES[-1])
        return {ds: self.rows[str(each.submission)] for ds, each in published.items()}


@pytest.fixture
def warehouse(aws, settings, context, monkeypatch, shared_clients, tmp_path):  # noqa: ARG001 - it must be in place
    """The warehouse, where products are versions of keys, so that each date up to a sale's counts."""
    shutil.copytree(DATASETS, tmp_path / "datasets")
    products = tmp_path / "datasets" / "products.yaml"
    products.write_text(products.read_text().replace("load_mode: snapshot", "load_mode: upsert"))
    monkeypatch.setattr("lake.contracts.DATASETS", tmp_path / "datasets")
    made = Warehouse(aws, settings, context)
    yield made
    made.clear()


EVENTS = st.one_of(
    st.tuples(st.sampled_from(tuple(LOAD_MODES)), st.sampled_from(DATES)),
    st.tuples(st.sampled_from(("clean", "finish", "sales")), st.sampled_from(DATES)),
)


@examples(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(events=st.lists(EVENTS, min_size=3, max_size=10))
def test_any_order_of_dimensions_and_facts_ends_in_the_same_tables(warehouse, events):
    warehouse.clear()
    waiting = []
    for what, ds in events:
        if what in LOAD_MODES:
            warehouse.publish(what, ds)
        elif what == "finish":
            # A run that read the dimensions before others of them were published.
            for paths in waiting:
                warehouse.finish(paths)
            waiting.clear()
        elif cleaned := warehouse.clean(ds):
            waiting.append(cleaned)
            if what == "sales":
                warehouse.finish(waiting.pop())
    for paths in waiting:
        warehouse.finish(paths)
    warehouse.reconcile()
    ready = {ds: warehouse.as_of(ds) for ds in DATES}
    assert warehouse.table() == {ds: made for ds, made in ready.items() if made[0] and len(made) > 1}
    left = warehouse.reconcile()
    assert {each.kind for each in left} <= {NEW}, (
        "what waits for a dimension is not loaded; all else is as it should be"
    )
