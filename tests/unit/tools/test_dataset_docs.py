"""Generated pages and the JSON Schema are written, kept, found stale, and fit the contracts."""

import json
import shutil

import jsonschema
import pytest
import yaml

from tools import dataset_docs
from tools.environment import CHECKOUT


@pytest.fixture
def repository(tmp_path):
    for part in ("include", "expectations"):
        shutil.copytree(CHECKOUT / part, tmp_path / part)
    dataset_docs.write(tmp_path)
    return tmp_path


def test_what_was_written_is_not_stale_and_not_written_again(repository):
    assert list(dataset_docs.stale(repository, dataset_docs.contents(repository))) == []
    assert dataset_docs.write(repository) == []


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("include/datasets/orders.yaml", "amount < 0", "amount < 1"),
        ("include/sql/orders/status_summary.sql", "COUNT(*)", "COUNT(1)"),
        ("expectations/orders.json", "10000", "20000"),
    ],
)
def test_a_page_is_stale_when_what_it_is_made_from_changes(repository, path, old, new):
    file = repository / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    stale = list(dataset_docs.stale(repository, dataset_docs.contents(repository)))
    assert stale == [dataset_docs.PAGES / "orders.md"]


def test_the_page_of_a_dataset_that_is_gone_is_stale_and_removed(repository):
    gone = repository / dataset_docs.PAGES / "gone.md"
    gone.write_text("# gone\n")
    assert dataset_docs.write(repository) == [dataset_docs.PAGES / "gone.md"]
    assert not gone.exists()


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_the_command_says_what_is_stale(repository, arguments, monkeypatch, capsys):
    (repository / dataset_docs.SCHEMA).write_text("{}\n")
    monkeypatch.setattr("sys.argv", ["dataset_docs", *arguments])
    assert dataset_docs.main(repository) == len(arguments)
    assert f"{dataset_docs.SCHEMA}" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["dataset_docs", "--check"])
    assert dataset_docs.main(repository) == len(arguments)


def test_a_wrong_contract_is_told_by_the_command(repository, monkeypatch, capsys):
    (repository / "include/datasets/orders.yaml").write_text("dataset: orders\n")
    monkeypatch.setattr("sys.argv", ["dataset_docs"])
    assert dataset_docs.main(repository) == 1
    assert "orders.yaml:1: columns: is required" in capsys.readouterr().out


@pytest.mark.parametrize("contract", sorted((CHECKOUT / "include/datasets").glob("*.yaml")), ids=lambda path: path.stem)
def test_contracts_fit_the_schema_that_they_name(contract):
    text = contract.read_text(encoding="utf-8")
    assert text.startswith(f"# yaml-language-server: $schema={dataset_docs.SCHEMA.name}\n")
    schema = json.loads(dataset_docs.json_schema())
    # JSON has no dates: to a schema they are text.
    document = json.loads(json.dumps(yaml.safe_load(text), default=str))
    jsonschema.validate(document, schema)


@pytest.mark.parametrize(
    ("field", "value"),
    [("load_mode", "merge"), ("colums", []), ("schedule", "daily"), ("columns", [{"name": "a", "type": "money"}])],
)
def test_the_schema_refuses_what_editors_should_mark(field, value):
    document = yaml.safe_load((CHECKOUT / "include/datasets/orders.yaml").read_text(encoding="utf-8"))
    document = json.loads(json.dumps({**document, field: value}, default=str))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json.loads(dataset_docs.json_schema()))
