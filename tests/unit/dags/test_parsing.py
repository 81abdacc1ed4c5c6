"""The dag-processor parses a file for all of its DAGs; the start of a task, for that task's DAG only."""

import os
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager
from airflow.sdk.definitions.param import process_params
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization
from lake.contracts import DATASETS, load_contracts

DAGS = Path(__file__).resolve().parents[3] / "dags"
CONTRACTS = load_contracts()
STARTS = [
    ("ingest.py", "ingest_sales", "clean", "sales"),
    ("reprocess.py", "reprocess_sales", "plan", "sales"),
    ("ingest.py", "ingest_online_retail", "publish", "online_retail"),
    ("retention.py", "retention", "sales", "sales"),
    ("reconcile.py", "reconcile", "sales", "sales"),
]
OF_ALL = {"retention": [], "reconcile": ["digest"]}
"""DAGs with a task for each dataset, and their other tasks."""


def parse(where: Path, dag_id: str | None = None, task_id: str | None = None) -> DagBag:
    """Parse a file, or all, as Airflow does it for a task, for a DAG of its command line, or for all DAGs."""
    # The context ends with its process, and stays in the environment until then.
    with patch.dict(os.environ), _airflow_parsing_context_manager(dag_id=dag_id, task_id=task_id):
        return DagBag(dag_folder=where)


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    """A copy of the contracts, which the DAG files read."""
    shutil.copytree(DATASETS, tmp_path / "datasets")
    monkeypatch.setattr("lake.contracts.DATASETS", tmp_path / "datasets")
    return tmp_path / "datasets"


@pytest.fixture
def read(monkeypatch):
    """The names of the contracts that are read, as they are."""
    names = []
    original = Path.read_text

    def read_text(path, *args, **kwargs):
        if path.suffix == ".yaml":
            names.append(path.stem)
        return original(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", read_text)
    return names


@pytest.mark.parametrize(("file", "dag_id", "task_id", "dataset"), STARTS)
def test_a_task_starts_with_its_own_dag_and_reads_no_other_contract(datasets, read, file, dag_id, task_id, dataset):
    for path in datasets.glob("*.yaml"):
        if path.stem != dataset:
            path.write_text("dataset: [")  # sales read customers and products: they were judged before sales had a DAG
    bag = parse(DAGS / file, dag_id, task_id)
    assert bag.import_errors == {}
    assert list(bag.dags) == [dag_id]
    assert bag.dags[dag_id].has_task(task_id)
    assert read == [dataset]


def test_a_task_whose_contract_is_broken_says_so(datasets):
    (datasets / "sales.yaml").write_text("dataset: [")
    bag = parse(DAGS / "ingest.py", "ingest_sales", "clean")
    assert bag.dags == {}
    (message,) = bag.import_errors.values()
    assert f"{datasets / 'sales.yaml'}:2: contract: is not valid YAML" in message


def test_a_dag_is_the_same_for_a_task_as_for_the_scheduler():
    everything = parse(DAGS)
    assert everything.import_errors == {}
    for file, dag_id, task_id, dataset in STARTS:
        if dag_id in OF_ALL:
            task = parse(DAGS / file, dag_id, dataset).dags[dag_id].get_task(task_id)
            same = everything.dags[dag_id].get_task(task_id)
            assert DagSerialization.serialize(task) == DagSerialization.serialize(same)
            continue
        own = parse(DAGS / file, dag_id, task_id).dags[dag_id]
        assert DagSerialization.to_dict(own) == DagSerialization.to_dict(everything.dags[dag_id])


@pytest.mark.parametrize("dag_id", ["ingest_orders", "reprocess_orders", *OF_ALL])
def test_the_command_line_gets_the_dag_it_asks_for_whole(dag_id):
    bag = parse(DAGS, dag_id)
    assert bag.import_errors == {}
    assert list(bag.dags) == [dag_id]
    if dag_id in OF_ALL:
        assert set(bag.dags[dag_id].task_ids) == {*CONTRACTS, *OF_ALL[dag_id]}


def test_the_task_that_tells_of_all_datasets_gets_all_of_them():
    digest = parse(DAGS / "reconcile.py", "reconcile", "digest").dags["reconcile"].get_task("digest")
    assert digest.contracts == list(CONTRACTS.values())


def test_a_run_is_given_its_params_and_no_task_has_params_of_its_own():
    bag = parse(DAGS)
    for dag in bag.dags.values():
        assert [task.task_id for task in dag.tasks if task.params] == []
        if dag.timetable.can_be_scheduled:
            dag.params.validate()
    for dag_id, task_id, conf in (
        ("ingest_orders", "clean", {"date": "2025-06-30"}),
        ("reprocess_orders", "plan", {"start": "2025-06-29", "end": "2025-06-30", "dates": None, "dry_run": False}),
        ("retention", "orders", {"dry_run": True}),
        ("reconcile", "orders", {"dry_run": True}),
    ):
        dag = bag.dags[dag_id]
        task = dag.get_task(task_id)
        assert process_params(dag, task, conf, suppress_exception=False) == conf
        with pytest.raises(ParamValidationError):
            process_params(dag, task, dict.fromkeys(conf, 5), suppress_exception=False)
