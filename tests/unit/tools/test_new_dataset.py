"""A sample file becomes a dataset that loads, is documented, and is never written over another."""

import csv
import shutil
from decimal import Decimal

import pytest
from lake.contracts import load_contracts

from tools import dataset_docs, new_dataset
from tools.dataset.columns import guess_columns
from tools.dataset.rehearsal import Outcome
from tools.dataset.sample import read_sample
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


def create(name, sample, repository):
    learned = read_sample(sample)
    files = new_dataset.first_files(name, sample.name, learned, guess_columns(learned))
    return new_dataset.create(repository, files)


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / "sample.csv"
    path.write_text(RETURNS, encoding="utf-8")
    return path


def test_the_contract_says_what_the_sample_shows(repository, sample):
    create("returns", sample, repository)
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
    written = {path.as_posix() for path in create("returns", sample, repository)}
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
    create("returns", sample, repository)
    folder = repository / "tests/integration/sql/returns"
    with (folder / "input.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["ds"] == "2025-01-31"]
    with (folder / "rows_by_reason/2025-01-31.csv").open(newline="") as file:
        expected = {
            row["reason"]: (int(row["number_of_rows"]), Decimal(row["total_refund"])) for row in csv.DictReader(file)
        }
    assert set(expected) == {"broken", "late"}
    for reason, (count, total) in expected.items():
        refunds = [Decimal(row["refund"]) for row in rows if row["reason"] == reason]
        assert (len(refunds), sum(refunds)) == (count, total)
    assert sum(count for count, _ in expected.values()) == len(rows)


def test_nothing_personal_is_kept_of_the_sample(repository, sample):
    for path in create("returns", sample, repository):
        assert "@a.example" not in (repository / path).read_text(encoding="utf-8")


def test_of_the_sample_only_values_of_columns_with_few_are_kept(repository, sample):
    rows = "".join(f"{('ops', 'it')[at % 2]},{52000 + at * 31}.25,{at * 13 + 7001}\n" for at in range(24))
    sample.write_text(f"unit,salary,points\n{rows}")
    kept = "".join((repository / path).read_text() for path in create("pay", sample, repository))
    assert "ops" in kept
    assert not [row for row in csv.reader(rows.splitlines()) if row[1] in kept or row[2] in kept]


def test_a_dataset_that_is_there_is_not_touched(repository, sample):
    before = (repository / "include/datasets/orders.yaml").read_bytes()
    with pytest.raises(StackError, match=r"not as this sample makes it: include/datasets/orders\.yaml, expec"):
        create("orders", sample, repository)
    assert (repository / "include/datasets/orders.yaml").read_bytes() == before
    assert not (repository / "tests").exists()


@pytest.mark.parametrize("name", ["", "Returns", "../returns", "re-turns", "select", "returns.yaml", "2nd"])
def test_a_name_that_is_none_is_refused_and_nothing_written(repository, sample, name):
    with pytest.raises(StackError):
        create(name, sample, repository)
    assert not (repository / "docs").exists()
    assert not (repository / "tests").exists()


@pytest.mark.parametrize(
    ("content", "mart", "columns"),
    [
        ("note\nhello, world\n", "daily_rows", ["number_of_rows"]),
        ("paid\nTRUE\nfalse\n", "rows_by_paid", ["paid", "number_of_rows"]),
        ("visits\n3\n4\n", "daily_rows", ["number_of_rows", "total_visits"]),
        ("unit_price,amount\n3.5,4.25\n", "daily_rows", ["number_of_rows", "total_amount"]),
        ("paid,amount\ntrue,\n,1.5\n", "rows_by_paid", ["paid", "number_of_rows", "total_amount"]),
    ],
)
def test_the_first_mart_takes_what_the_sample_offers(repository, sample, content, mart, columns):
    sample.write_text(content.replace("hello, world", '"hello, world"'), encoding="utf-8")
    create("returns", sample, repository)
    (made,) = load_contracts(repository / "include/datasets")["returns"].marts
    assert (made.name, [column.name for column in made.columns]) == (mart, columns)


def test_values_that_yaml_would_take_for_something_else_stay_text(repository, sample):
    answers = ("yes", "no", "null", "1 #2", "a: b", "'x'", "ja, nein", "é")
    sample.write_text("Answer: Now?,n\n" + "".join(f'"{answers[n % 8]}",{n}\n' for n in range(64)), encoding="utf-8")
    create("returns", sample, repository)
    column = load_contracts(repository / "include/datasets")["returns"].columns[0]
    assert (column.source, column.name) == ("Answer: Now?", "answer_now")
    assert set(column.allowed) == set(answers)


ODD = [
    *("# no", "- a", "a: b", "[x]", "{y}", "*z", "&q", "!t", "%d", "@m", "`b", "it's", 'say "hi"', "~", "2019", "=1+1"),
    *("No", "a", "a #b", "?x", "|p", ">f", "<<", "---", "...", "null", "1e3", "y"),
    *("am\x7fount", "tab\there", "\N{BELL SYMBOL}", "back\\slash"),
]


def test_names_that_yaml_would_take_for_something_else_stay_names(repository, sample):
    with sample.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([ODD, *([f"v{at}{row}" for at in range(len(ODD))] for row in "abc")])
    create("no", sample, repository)
    contract = load_contracts(repository / "include/datasets")["no"]
    assert [column.source for column in contract.columns] == ODD
    assert all(description.isprintable() for description in (column.description for column in contract.columns))


@pytest.mark.parametrize(
    ("name", "header", "value", "columns"),
    [
        ("returns", "number_of_rows", "x", ["number_of_rows", "counted_rows"]),
        ("returns", "total_amount,amount", "x,1.50", ["total_amount", "number_of_rows", "sum_of_total_amount"]),
        ("daily_rows", "note", "", ["number_of_rows"]),
        ("rows_by_kind", "kind", "x", ["kind", "number_of_rows"]),
        ("returns", "wei", f"{'9' * 37}", ["number_of_rows"]),
    ],
)
def test_the_first_mart_clashes_with_no_name_and_no_sum(repository, sample, name, header, value, columns):
    sample.write_text(f"{header},line_no\n" + f"{value},1\n" * 12, encoding="utf-8")
    create(name, sample, repository)
    (made,) = load_contracts(repository / "include/datasets")[name].marts
    assert [column.name for column in made.columns] == columns


def test_the_same_sample_again_changes_nothing_and_what_was_edited_stays(repository, sample):
    first = create("returns", sample, repository)
    assert create("returns", sample, repository) == []
    (repository / "include/sql/returns/rows_by_reason.sql").unlink()
    assert [path.name for path in create("returns", sample, repository)] == ["rows_by_reason.sql"]
    contract = repository / first[0]
    contract.write_text(contract.read_text() + "# mine\n")
    with pytest.raises(StackError, match=r"include/datasets/returns\.yaml\. Nothing was written"):
        create("returns", sample, repository)
    assert contract.read_text().endswith("# mine\n")


ACCOUNT = {
    "rows": {"read": 24, "published": 22, "quarantined": 2, "duplicates": 0, "dropped": {}},
    "quarantined_by_rule": {"wrong_field_count": 2},
    "files": [{"name": "sample.csv", "lines": {"physical": 26, "header": 1, "blank": 1, "records": 24}}],
    "expectations": 9,
    "failed": [{"severity": "warning"}],
}


@pytest.fixture
def command(repository, sample, monkeypatch, capsys):
    """Run the command, whose jobs end with the outcome, and return its exit code and output."""

    def run(outcome):
        monkeypatch.setattr("sys.argv", ["new_dataset", "returns", str(sample)])
        monkeypatch.setattr(new_dataset, "rehearse", lambda *_: outcome)
        return new_dataset.main(repository), capsys.readouterr().out

    return run


def test_the_command_says_what_it_learned_wrote_and_what_became_of_the_rows(command):
    code, said = command(Outcome(ACCOUNT))
    assert code == 0
    assert "format.delimiter ',': 25 of 25 lines have 6 columns" in said
    assert "refund decimal(12,2): 24 of 24 values" in said
    assert "email string: 24 of 24 values; personal: values are e-mail addresses" in said
    assert "26 lines: 1 header, 1 blank, 24 of rows" in said
    assert "24 rows read = 22 published + 2 quarantined + 0 dropped + 0 duplicates" in said
    assert "quarantined: 2 by wrong_field_count" in said
    assert "suite: 9 expectations, 0 failed, 1 warnings" in said
    assert "airflow dags test ingest_returns" in said
    assert "@a.example" not in said
    code, said = command(Outcome(ACCOUNT))
    assert (code, "Nothing to write" in said) == (0, True)


def test_the_command_fails_when_the_jobs_refuse_the_sample_and_leaves_the_files(command, repository):
    code, said = command(Outcome({}, "ERROR rehearse returns: [why]"))
    assert code == 1
    assert "error: the jobs refuse the sample: ERROR rehearse returns: [why]" in said
    assert (repository / "include/datasets/returns.yaml").exists()


def test_the_command_refuses_what_it_cannot_read(command, sample):
    sample.write_text("a,b\n")
    code, said = command(Outcome({}))
    assert (code, "holds no row to learn from" in said) == (1, True)
