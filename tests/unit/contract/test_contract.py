"""The contract of orders is what the design says, and a wrong contract is refused with file, line and field."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from contract.columns import LINEAGE, Column, decimal_parts
from contract.dataset import Contract, Format, load_contract
from contract.names import Names
from contract.reading import ContractError
from contract.together import load_contracts, sound_contracts

DATASETS = Path(__file__).resolve().parents[3] / "include" / "datasets"
ORDERS = (DATASETS / "orders.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def orders() -> Contract:
    return load_contract(DATASETS / "orders.yaml")


def test_orders_is_published_as_designed(orders: Contract) -> None:
    assert [f"{column.name} {column.type}" for column in orders.published_columns] == [
        "order_id string",
        "customer string",
        "amount decimal(12,2)",
        "status string",
        "order_date date",
        "source_file string",
        "source_line bigint",
        "run_id string",
    ]
    assert [mart.name for mart in orders.marts] == [
        "total_sales_by_customer",
        "monthly_volume_and_revenue",
        "status_summary",
        "average_order_value_by_customer",
        "top_10_orders_of_month",
    ]


def test_names_in_the_catalog_and_the_raw_bucket() -> None:
    names = Names("orders")
    assert (names.database, names.tables) == (
        "orders_db",
        ("orders", "orders_runs", "orders_quarantine", "orders_current"),
    )
    assert names.crawler == "orders_processed_crawler"
    assert names.raw("2025-06-30") == "orders/ds=2025-06-30/"


def test_what_stacks_share_is_named_apart() -> None:
    names = Names("orders", "lake_staging__")
    assert (names.database, names.crawler) == ("lake_staging__orders_db", "lake_staging__orders_processed_crawler")
    assert names.tables == Names("orders").tables


def test_every_contract_in_the_repository_loads() -> None:
    assert "orders" in load_contracts(DATASETS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("owner: data-platform\n", "", ":3: owner: is required"),
        ("  days: 90", "  day: 90", ":23: retention.day: is not a field; allowed: days"),
        ("  days: 90", "  days: '90'", ":23: retention.days: '90': Input should be a valid integer"),
        (
            "  timeout_hours: 6",
            "  timeout_hours: 6\n  complete: {files: 2, marker: _SUCCESS}",
            ":22: wait.complete: takes exactly one of settled_minutes, marker, files",
        ),
        ("  timeout_hours: 6", "  timeout_hours: 6\n  complete: {}", ":22: wait.complete: takes exactly one of"),
        ("  timeout_hours: 6", "  timeout_hours: 6\n  complete: {marker: done.csv}", ":22: wait.complete.marker: "),
        (
            "  timeout_hours: 6",
            "  timeout_hours: 6\n  complete: {settled_minutes: 360}",
            ":22: wait.complete.settled_minutes: is as long as the whole wait",
        ),
        ("type: decimal(12,2)", "type: money", "columns[2].type: 'money' is not a type; allowed: string, int,"),
        ("type: decimal(12,2)", "type: decimal(2,12)", "columns[2].type: 'decimal(2,12)' is out of range"),
        (
            "load_mode: upsert",
            "load_mode: merge",
            ":17: load_mode: 'merge' is not allowed; allowed: 'append', 'upsert'",
        ),
        ("key: [order_id]", "key: [id]", ":18: key[0]: 'id' is not a required column; allowed: order_id, customer,"),
        ("key: [order_id]\n", "", ": key: is required when load_mode is upsert"),
        ("owner: data-platform", "owner: a\nowner: b", ":6: owner: is given twice"),
        ("name: customer\n", "name: ds\n", "columns[1].name: 'ds' is reserved"),
        ("name: customer\n", "name: order_id\n", "columns[1].name: 'order_id' is given twice"),
        ("name: amount_negative", "name: amount_missing", "rules[0].name: 'amount_missing' is a rule that every"),
        ("name: status_summary", "name: orders_current", "marts[2].name: 'orders_current' is a table of the dataset"),
        ("action: drop", "action: ignore", "rules[1].action: 'ignore' is not allowed"),
        ("dataset: orders", "dataset: ordered", ":3: dataset: 'ordered' is not the file's name: 'orders'"),
        ('schedule: "', 'schedule: "every ', ": schedule: 'every "),
        ("start_date: 2025-01-01", "start_date: soon", ":9: start_date: 'soon': Input should be a valid date"),
        ("start_date: 2025-01-01", "start_date: 2025-02-30", ":9: start_date: '2025-02-30': day is out of range"),
        ("tags: [orders,", "tags: [orders,,", ":7: contract: is not valid YAML"),
        ("owner: data-platform", "? [owner]\n: me", ":5: contract: a key must be a text"),
        ("owner: data-platform", "owner: *me", ":5: owner: *me is the alias of no value before it"),
        ("owner: data-platform", "owner: &me [*me]", ":5: owner[0]: *me is the alias of no value before it"),
        ("owner: data-platform", "owner: !!int me", ":5: owner: 'me': invalid literal for int()"),
        ("owner: data-platform", "owner: !me me", ":5: contract: is not valid YAML: could not determine"),
        ("owner: data-platform\n", "owner: me\n---\n", ":6: contract: is not valid YAML: there is another document"),
    ],
)
def test_a_wrong_contract_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "orders.yaml"
    refused = refusal(path, ORDERS, old, new, load_contract)
    assert any(line.startswith(f"{path}:") and message in line for line in refused), refused


@pytest.mark.parametrize(
    ("dataset", "old", "new", "message"),
    [
        ("orders", "name: amount\n", "name: group\n", "columns[2].name: 'group' is a reserved word of SQL"),
        ("orders", "name: amount\n", "name: extra\n", "columns[2].name: 'extra' is reserved for the pipeline's own"),
        ("orders", "allowed: [p", "min: 3\n    allowed: [p", "columns[3].min: 3 is not a value of type string"),
        ("sales", "min: 1", "min: 3000000000", "columns[4].min: 3000000000 does not fit int"),
        ("sales", "min: 1", "min: 1.5", "columns[4].min: 1.5 is not a value of type int"),
        ("sales", "min: 1", "min: true", "columns[4].min: True is not a number, a date, or a timestamp without a zone"),
        ("sales", "min: 1", "min: 9\n    max: 1", ":55: columns[4].max: 1 is less than min, 9"),
        ("sales", "min: 1", "pattern: a", "columns[4].pattern: is for columns of type string only"),
        ("sales", "min: 1", "personal: true", "columns[4].personal: is for columns of type string only"),
        (
            "customers",
            "name: country\n",
            "name: country\n    pattern: '('\n",
            "pattern: '(' is not a regular expression",
        ),
        (
            "customers",
            "    normalize: lower",
            "    allowed: [a]\n    normalize: lower",
            "columns[2].allowed: would give away a personal",
        ),
        ("customers", "load_mode:", "additions: keep\nload_mode:", "additions: keep is not possible beside personal"),
        (
            "customers",
            "  type: json",
            "  type: xml",
            "format.type: 'xml' is not allowed; allowed: 'csv', 'json', 'jsonl' or",
        ),
        (
            "customers",
            "  type: json",
            "  type: json\n  delimiter: ;",
            "format.delimiter: is for files of type csv only",
        ),
        (
            "customers",
            "  type: json",
            "  type: parquet\n  encoding: latin-1",
            "format.encoding: is for files of text only",
        ),
        ("sales", '  delimiter: ","', "  delimiter: '\"'", "format.quote: is the delimiter too"),
        (
            "sales",
            '  delimiter: ","',
            "  record_lines: 5",
            "format.record_lines: is for files with multiline: true only",
        ),
        ("sales", "encoding: utf-8", "encoding: cp1252", "format.encoding: 'cp1252' is not allowed"),
        (
            "customers",
            "  type: json",
            "  type: json\n  skip_lines: 1",
            "format.skip_lines: is for files of type csv only",
        ),
        ("sales", "encoding: utf-8", "skip_lines: -1", "format.skip_lines: "),
        ("sales", "encoding: utf-8", "comment: '////'", "format.comment: "),
        ("sales", "encoding: utf-8", "comment: ',-'", "format.comment: cannot begin with the delimiter or the quote"),
        ("sales", "encoding: utf-8", 'comment: "-\\n"', "format.comment: cannot begin with the delimiter or the quote"),
        ("sales", "encoding: utf-8", "comment: ' '", "format.comment: is blank"),
        ("sales", "encoding: utf-8", "null_values: ['NA', ' NA']", "format.null_values[1]: 'NA' is given twice"),
        ("sales", "encoding: utf-8", 'null_values: ["\\u00a0"]', "format.null_values[0]: '\\xa0' is blank"),
        ("sales", '  delimiter: ","', '  delimiter: "\\ufeff"', "format.delimiter: cannot be the end of a line"),
        ("online_retail", "{by: row}", "{by: key}", "dedupe.by: 'key' needs a key"),
        (
            "online_retail",
            "{by: row}",
            "{by: row, latest_by: [country]}",
            "dedupe.latest_by: is for dedupe by key only",
        ),
        ("orders", "key: [", "dedupe: {by: row}\nkey: [", "dedupe.by: 'row' would leave several rows of a key"),
        (
            "orders",
            "key: [",
            "dedupe: {latest_by: [day]}\nkey: [",
            "dedupe.latest_by[0]: 'day' is not a column; allowed",
        ),
        ("online_retail", "missing: skip", "missing: ignore", "wait.missing: 'ignore' is not allowed"),
        (
            "sales",
            "for: [customers,",
            "for: [orders,",
            "wait.for[0]: 'orders' is no dataset that this one reads; allowed",
        ),
        ("sales", "for_hours: 3", "for_hours: 0", "wait.for_hours: 0: Input should be greater than"),
        ("sales", "name: weekday\n", "name: tier\n", "derived[0].name: 'tier' is given twice"),
        ("sales", "{name: tier,", "{name: region,", "lookups[0].take[0].name: 'region' is given twice"),
        (
            "sales",
            "from: customer_tier",
            "source: customer_tier",
            "take[0].source: is not a field; allowed: name, type,",
        ),
        ("sales", "dataset: customers", "dataset: sales", "references[0].dataset: is this dataset itself"),
        (
            "sales",
            "column: customer_id",
            "column: customer",
            "references[0].column: 'customer' is not a column; allowed",
        ),
        (
            "sales",
            "name: customer_unknown",
            "name: quantity_pattern",
            "references[0].name: 'quantity_pattern' is a rule",
        ),
        (
            "sales",
            "name: amount_mismatch",
            "name: customer_unknown",
            "rules[0].name: 'customer_unknown' is given twice",
        ),
        ("sales", "scope: month", "scope: year", "marts[0].scope: 'year' is not allowed; allowed: 'date', 'month' or"),
        (
            "sales",
            "{name: quantity, type: bigint",
            "{name: sales, type: bigint",
            "marts[0].columns[3].name: 'sales' is",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, dataset: str, old: str, new: str, message: str) -> None:
    path = tmp_path / f"{dataset}.yaml"
    refused = refusal(path, (DATASETS / path.name).read_text(encoding="utf-8"), old, new, load_contract)
    assert any(line.startswith(f"{path}:") and message in line for line in refused), refused


def refusal(path: Path, text: str, old: str, new: str, load: Callable[[Path], object]) -> list[str]:
    """The lines that `load` answers when `old` in the contract `text`, written to `path`, is replaced by `new`."""
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ContractError) as refused:
        load(path)
    return str(refused.value).splitlines()


@pytest.mark.parametrize(
    ("dataset", "old", "new", "message"),
    [
        (
            "sales",
            "dataset: customers",
            "dataset: clients",
            "references[0].dataset: 'clients' is not a dataset; allowed: ",
        ),
        (
            "sales",
            "references: customer_id",
            "references: id",
            "references[0].references: 'id' is not a column of cust",
        ),
        (
            "sales",
            "references: customer_id",
            "references: signup_date",
            "customers.signup_date is date, customer_id is ",
        ),
        (
            "sales",
            "references: customer_id",
            "references: email",
            "only one of customer_id and customers.email is pers",
        ),
        ("sales", "from: customer_tier", "from: tier", "lookups[0].take[0].from: 'tier' is not a column of customers"),
        (
            "sales",
            'type: "decimal(12,2)"',
            'type: "decimal(9,2)"',
            "take[1].type: products.price is decimal(12,2), not",
        ),
        (
            "customers",
            "key: [customer_id]",
            "key: [name]",
            "lookups[0].references: 'customer_id' is not the key of cust",
        ),
        ("customers", "load_mode: snapshot", "load_mode: append", "lookups[0].dataset: customers has load_mode append"),
    ],
)
def test_what_another_dataset_does_not_have_is_refused(
    tmp_path: Path, dataset: str, old: str, new: str, message: str
) -> None:
    for contract in DATASETS.glob("*.yaml"):
        shutil.copy(contract, tmp_path)
    text = (DATASETS / f"{dataset}.yaml").read_text(encoding="utf-8")
    refused = refusal(tmp_path / f"{dataset}.yaml", text, old, new, lambda path: load_contracts(path.parent))
    assert any(line.startswith(f"{tmp_path}/sales.yaml:") and message in line for line in refused), refused


def test_datasets_that_read_each_other_are_refused(tmp_path: Path) -> None:
    for contract in DATASETS.glob("*.yaml"):
        shutil.copy(contract, tmp_path)
    path = tmp_path / "products.yaml"
    text = path.read_text(encoding="utf-8")
    reference = "{name: a, column: name, dataset: sales, references: region, action: warn, description: a}"
    refused = refusal(
        path, text, "rules:", f"references: [{reference}]\nrules:", lambda file: load_contracts(file.parent)
    )
    assert [line.partition(".yaml:")[2].partition(": ")[2] for line in refused] == [
        "references[0].dataset: 'sales' reads 'products' in turn: neither can be loaded first",
        "references[1].dataset: 'products' reads 'sales' in turn: neither can be loaded first",
        "lookups[1].dataset: 'products' reads 'sales' in turn: neither can be loaded first",
    ]


def test_a_broken_contract_is_not_held_against_those_that_refer_to_it(tmp_path: Path) -> None:
    for contract in DATASETS.glob("*.yaml"):
        shutil.copy(contract, tmp_path)
    text = (DATASETS / "customers.yaml").read_text(encoding="utf-8")
    path = tmp_path / "customers.yaml"
    refused = refusal(path, text, "owner: data-platform\n", "", lambda path: load_contracts(path.parent))
    assert refused == [f"{path}:2: owner: is required"]


def test_a_broken_contract_leaves_only_those_that_do_not_read_it(tmp_path: Path) -> None:
    for contract in DATASETS.glob("*.yaml"):
        shutil.copy(contract, tmp_path)
    path = tmp_path / "customers.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("owner: data-platform\n", ""), encoding="utf-8")
    sound, problems = sound_contracts(tmp_path)
    assert (list(sound), problems) == (["online_retail", "orders", "products"], [f"{path}:2: owner: is required"])


def test_online_retail_is_published_as_agreed() -> None:
    contract = load_contract(DATASETS / "online_retail.yaml")
    published = ", ".join(f"{c.name} {c.type}" for c in contract.published_columns if c not in LINEAGE)
    assert published == (
        "invoice_no string, stock_code string, description string, quantity int, invoice_date timestamp, "
        "unit_price decimal(14,4), customer_id string, country string, is_return boolean, line_type string"
    )
    assert (contract.wait.missing, contract.dedupe_by, contract.latest_by) == ("skip", "row", ())
    assert not contract.has_current_view


def test_sales_are_published_with_what_they_look_up_and_derive() -> None:
    contract = load_contract(DATASETS / "sales.yaml")
    names = [column.name for column in contract.published_columns]
    assert names[9:-3] == [
        *("tier", "country", "category", "list_price"),
        *("weekday", "is_weekend", "order_size", "revenue_class", "discount_percent", "amount_matches"),
    ]
    assert contract.other_datasets == ("customers", "products")
    assert contract.dedupe_by == "key"
    assert {"quantity_out_of_range", "region_pattern", "customer_unknown", "amount_mismatch"} <= {*contract.rule_names}
    assert {mart.scope for mart in contract.marts} == {"date", "month", "history"}


def test_additions_are_kept_in_a_column_of_their_own() -> None:
    names = [column.name for column in load_contract(DATASETS / "products.yaml").published_columns]
    assert names[-4:] == ["extra", "source_file", "source_line", "run_id"]


def test_personal_columns_are_named() -> None:
    contract = load_contract(DATASETS / "customers.yaml")
    assert [column.name for column in contract.personal_columns] == ["name", "email"]


def test_bounds_are_values_of_the_columns_type() -> None:
    def column(type_name: str, **bounds: object) -> Column:
        return Column.model_validate(
            {"name": "a", "source": "a", "type": type_name, "description": "a", **bounds}, strict=True
        )

    assert column("decimal(12,2)", min=0.1, max=7).minimum == Decimal("0.1")
    assert column("bigint", min=2).minimum == 2
    assert column("date", max=date(2025, 1, 1)).maximum == date(2025, 1, 1)
    assert column("timestamp", max=datetime(2025, 1, 1, 12)).maximum == datetime(2025, 1, 1, 12)
    assert column("double").maximum is None


@pytest.mark.parametrize(
    ("file_type", "suffixes"),
    [
        ("csv", (".csv", ".csv.gz")),
        ("json", (".json", ".json.gz", ".jsonl", ".jsonl.gz")),
        ("jsonl", (".jsonl", ".jsonl.gz")),
        ("parquet", (".parquet",)),
    ],
)
def test_each_format_has_its_file_endings(file_type: str, suffixes: tuple[str, ...]) -> None:
    contract = load_contract(DATASETS / "customers.yaml").model_copy(update={"format": Format(type=file_type)})
    assert contract.format.suffixes == suffixes
    assert [contract.format.type_of(f"a{suffix}") for suffix in suffixes] == [
        suffix.split(".")[1] for suffix in suffixes
    ]


def test_a_format_is_told_by_the_ending_in_whatever_case() -> None:
    csv, json = Format(type="csv"), Format(type="json")
    assert [csv.type_of(name) for name in ("A.CSV", "a.Csv.GZ", "a.json", "csv", "a.csv.bz2")] == ["csv"] * 2 + [
        None
    ] * 3
    assert [json.type_of(name) for name in ("A.JSON.gz", "a.JSONL", "a.parquet")] == ["json", "jsonl", None]


def test_the_source_of_a_column_and_what_means_no_value_have_no_blanks_at_their_edges() -> None:
    column = Column(name="sent", source="\ufeff Sent on\u00a0", type="date", description="The day")
    assert (column.source, Format(type="csv", null_values=(" - ",)).null_values) == ("Sent on", ("-",))


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for name in ("orders", "returns"):
        (tmp_path / f"{name}.yaml").write_text(f"dataset: {name}\nowner: 3\n", encoding="utf-8")
    with pytest.raises(ContractError) as refused:
        load_contracts(tmp_path)
    lines = str(refused.value).splitlines()
    assert sum("owner: 3: Input should be a valid string" in line for line in lines) == 2
    assert sum("columns: is required" in line for line in lines) == 2


def test_an_empty_or_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "orders.yaml"
    with pytest.raises(ContractError, match="cannot be read"):
        load_contract(path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(ContractError, match=":1: contract: None"):
        load_contract(path)


def test_decimal_parts() -> None:
    assert decimal_parts("decimal(12,2)") == (12, 2)
    assert decimal_parts("bigint") is None
