"""A dataset's page says what its contract, suite and SQL say."""

import pytest
from contract.dataset import Format
from contract.names import Names
from lake.contracts import load_contracts
from lake.documentation import dag_documentation, dataset_page, index_page

CONTRACTS = load_contracts()
SUITE = {
    "expectations": [
        {
            "type": "expect_column_values_to_match_regex",
            "kwargs": {"column": "a", "regex": "x|y", "day": {"$PARAMETER": "ds"}},
            "severity": "warning",
            "meta": {"notes": "Because."},
        },
        {"type": "expect_table_row_count_to_equal", "severity": "critical", "meta": {"batch": "run"}},
    ]
}


def page(dataset):
    contract = CONTRACTS[dataset]
    return dataset_page(contract, SUITE, {mart.name: f"SELECT {mart.name}\n" for mart in contract.marts})


@pytest.mark.parametrize("dataset", CONTRACTS)
def test_every_column_rule_and_mart_is_on_the_page(dataset):
    contract, text = CONTRACTS[dataset], page(dataset)
    for column in contract.published_columns:
        assert f"| `{column.name}` | `{column.type}` |" in text
    for rule in (*contract.references, *contract.rules):
        assert f"| `{rule.name}` | {rule.action} |" in text
    for mart in contract.marts:
        assert f"### {mart.name}\n" in text
        assert f"```sql\nSELECT {mart.name}\n```" in text


def test_columns_say_where_they_come_from():
    assert (
        "| `email` | `string` | The customer's e-mail address in lower case, as a keyed hash | `email` in the file, as "
        in (page("customers"))
    )
    assert "`lower(trim(value))`, hashed with the lake's key |" in page("customers")
    assert "| `customers.customer_tier` by `customer_id` |" in page("sales")
    assert "| `weekday(sale_date) >= 5` |" in page("sales")
    assert "| the file's other columns |" in page("products")


def test_rules_that_come_with_a_column_are_told_where_they_apply():
    text = page("sales")
    assert "| `quantity_out_of_range` | quarantine | `quantity` is less than 1 |" in text
    assert "| `customer_unknown` | warn | `customer_id` is no `customers.customer_id` as of the date |" in text
    assert "region_pattern" not in text
    assert "`customer_tier` is none of `bronze`, `silver`, `gold`, `platinum`" in page("customers")
    assert r"does not match `[^@\s]+@[^@\s]+\.[^@\s]+` as a whole" in page("customers")


def test_what_becomes_of_missing_files_and_repeated_rows():
    assert "When there is none after 6 h, the date is skipped, and says so." in page("online_retail")
    assert "| counts once | rows of one date that are equal in every column |" in page("online_retail")
    assert "When there is none after 6 h, the run fails." in page("orders")
    assert "| `customers_current` | view of the latest date |" in page("customers")
    assert "| `orders_current` | view of the latest version of each key |" in page("orders")
    assert "_current" not in page("sales")


def test_what_is_not_read_of_the_files_is_told():
    form = Format(type="csv", skip_lines=2, comment="#", footer_lines=1, null_values=("NA", "-"))
    text = dataset_page(CONTRACTS["sales"].model_copy(update={"format": form, "marts": ()}), SUITE, {})
    not_read = "lines at the start: 2; lines that start with `#`; lines at the end that are not blank: 1"
    assert f"Not read, but counted: {not_read}. No value is also what says `NA`, `-`. " in text
    assert "Not read" not in page("sales")


def test_expectations_are_told_with_their_reasons():
    text = page("orders")
    assert r'| `a` | column values to match regex: `regex "x\|y", day ds` | warning | Because. |' in text
    assert "| the batch of the run | table row count to equal | critical |  |" in text


def test_the_index_leads_to_every_page():
    text = index_page(CONTRACTS.values())
    for dataset in CONTRACTS:
        assert f"[{dataset}]({dataset}.md)" in text


@pytest.mark.parametrize("dataset", CONTRACTS)
def test_every_page_says_what_is_personal_and_why_the_rest_is_not(dataset):
    text = page(dataset)
    assert CONTRACTS[dataset].privacy, f"{dataset} does not say why its other columns are in the clear"
    assert CONTRACTS[dataset].privacy in text
    for column in CONTRACTS[dataset].personal_columns:
        assert f"`{column.name}`" in text.partition("| personal |")[2].partition("\n")[0]


def test_a_dag_leads_to_its_page():
    assert "`docs/datasets/sales.md`" in dag_documentation(CONTRACTS["sales"], Names("sales"))
