"""A sample file becomes a dataset that loads, is documented, and is never written over another."""

import csv
import shutil

import pytest
from lake.contracts import load_contracts

from tools import dataset_docs, new_dataset
from tools.environment import CHECKOUT
from tools.processes import StackError

RETURNS = "ReturnID,OrderID,Reason,Refund,ReturnedOn,Email\n" + "".join(
    f"R{number},O{number % 3},{('broken', 'late')[number % 2]},{number}.50,2025-06-{number:02},u{number}@a.example\n"
    for number in range(1, 25)
)


@pytest.fixture
def repository(tmp_path):
    for part in ("include/datasets/orders.yaml", "expectations/orders.json"):
        (tmp_path / part).parent.mkdir(parents=True)
        shutil.copy(CHECKOUT / part, tmp_path / part)
    shutil.copytree(CHECKOUT / "include/sql/orders", tmp_path / "include/sql/orders")
    return tmp_path


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "sample.csv"
    path.write_text(RETURNS, encoding="utf-8")
    return path


def test_the_contract_says_what_the_sample_shows(repository, sample):
    new_dataset.create("returns", sample, repository)
    contract = load_contracts(repository / "include/datasets")["returns"]
    assert [f"{c.name} {c.type}" for c in contract.columns] == [
        *("return_id string", "order_id string", "reason string", "refund decimal(12,2)", "returned_on date"),
        "email string",
    ]
    assert contract.key == ("return_id",)
    assert [c.name for c in contract.personal_columns] == ["email"]
    assert next(c for c in contract.columns if c.name == "reason").allowed == ("broken", "late")
    assert all(c.required for c in contract.columns)


def test_all_that_a_dataset_needs_is_written_and_nothing_is_stale(repository, sample):
    written = {path.as_posix() for path in new_dataset.create("returns", sample, repository)}
    assert {
        "include/datasets/returns.yaml",
        "expectations/returns.json",
        "include/sql/returns/rows_by_reason.sql",
        "tests/integration/sql/returns/input.csv",
        "tests/integration/sql/returns/rows_by_reason/2025-01-31.csv",
        "docs/datasets/returns.md",
        "docs/datasets/README.md",
    } <= written
    assert all((repository / path).is_file() for path in written)
    assert list(dataset_docs.stale(repository, dataset_docs.contents(repository))) == []


def test_the_sql_test_expects_what_its_rows_come_to(repository, sample):
    new_dataset.create("returns", sample, repository)
    folder = repository / "tests/integration/sql/returns"
    with (folder / "input.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["ds"] == "2025-01-31"]
    with (folder / "rows_by_reason/2025-01-31.csv").open(newline="") as file:
        expected = {
            row["reason"]: (int(row["number_of_rows"]), float(row["total_refund"])) for row in csv.DictReader(file)
        }
    assert expected
    for reason, (count, total) in expected.items():
        refunds = [float(row["refund"]) for row in rows if row["reason"] == reason]
        assert (len(refunds), sum(refunds)) == (count, total)
    assert sum(count for count, _ in expected.values()) == len(rows)


def test_nothing_personal_is_kept_of_the_sample(repository, sample):
    for path in new_dataset.create("returns", sample, repository):
        assert "@a.example" not in (repository / path).read_text(encoding="utf-8")


def test_a_dataset_that_is_there_is_not_touched(repository, sample):
    before = (repository / "include/datasets/orders.yaml").read_bytes()
    with pytest.raises(StackError, match=r"orders is there already: include/datasets/orders\.yaml, expec"):
        new_dataset.create("orders", sample, repository)
    assert (repository / "include/datasets/orders.yaml").read_bytes() == before
    assert not (repository / "tests").exists()


@pytest.mark.parametrize("name", ["", "Returns", "../returns", "re-turns", "select", "returns.yaml", "2nd"])
def test_a_name_that_is_none_is_refused_and_nothing_written(repository, sample, name):
    with pytest.raises(StackError):
        new_dataset.create(name, sample, repository)
    assert not (repository / "docs").exists()
    assert not (repository / "tests").exists()


@pytest.mark.parametrize(
    ("content", "mart", "columns"),
    [
        ("note\nhello, world\n", "daily_rows", ["number_of_rows"]),
        ("paid\nTRUE\nfalse\n", "rows_by_paid", ["paid", "number_of_rows"]),
        ("visits\n3\n4\n", "daily_rows", ["number_of_rows", "total_visits"]),
        ("unit_price,amount\n3.5,4.25\n", "daily_rows", ["number_of_rows", "total_amount"]),
        ("paid,amount\ntrue,\n,1.5\n", "rows_by_paid", ["paid", "number_of_rows"]),
    ],
)
def test_the_first_mart_takes_what_the_sample_offers(repository, sample, content, mart, columns):
    sample.write_text(content.replace("hello, world", '"hello, world"'), encoding="utf-8")
    new_dataset.create("returns", sample, repository)
    (made,) = load_contracts(repository / "include/datasets")["returns"].marts
    assert (made.name, [column.name for column in made.columns]) == (mart, columns)


def test_values_that_yaml_would_take_for_something_else_stay_text(repository, sample):
    answers = ("yes", "no", "null", "1 #2", "a: b", "'x'", "ja, nein", "é")
    sample.write_text("Answer: Now?,n\n" + "".join(f'"{answers[n % 8]}",{n}\n' for n in range(64)), encoding="utf-8")
    new_dataset.create("returns", sample, repository)
    column = load_contracts(repository / "include/datasets")["returns"].columns[0]
    assert (column.source, column.name) == ("Answer: Now?", "answer_now")
    assert set(column.allowed) == set(answers)


def test_the_command_says_what_it_wrote_or_why_not(repository, sample, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["new_dataset", "returns", str(sample)])
    assert new_dataset.main(repository) == 0
    assert "airflow dags test ingest_returns" in capsys.readouterr().out
    assert new_dataset.main(repository) == 1
    assert "error: returns is there already" in capsys.readouterr().out
