from contract.columns import TableColumn
from lake.catalog import describe_difference

EXPECTED = [
    TableColumn(name="order_id", type="string", description="id"),
    TableColumn(name="amount", type="decimal(12,2)", description="money"),
]


def test_equal_columns_have_no_difference_whatever_their_order():
    found = [{"Name": "amount", "Type": "decimal(12,2)"}, {"Name": "order_id", "Type": "string"}]
    assert describe_difference(found, EXPECTED) == []


def test_each_difference_is_one_readable_sentence():
    found = [{"Name": "amount", "Type": "double"}, {"Name": "extra", "Type": "int"}]
    assert describe_difference(found, EXPECTED) == [
        "column order_id (string) is missing",
        "column extra (int) is not in the contract",
        "column amount is double, the contract says decimal(12,2)",
    ]
