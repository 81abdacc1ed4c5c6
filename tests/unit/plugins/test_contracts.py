"""What Airflow cannot run of a contract is refused like whatever else is wrong with it: with file, line and field."""

import shutil

import pytest
from contract.reading import ContractError
from lake.contracts import DATASETS, load_contracts, sound_contracts


@pytest.fixture
def folder(tmp_path):
    for contract in DATASETS.glob("*.yaml"):
        shutil.copy(contract, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: status_summary", "name: publish", ":76: marts[2].name: 'publish' is the name of a task that every"),
        ('schedule: "0 0 ', 'schedule: "0 25 ', ":8: schedule: '0 25 * * *' is not a line of cron"),
        ('schedule: "0 0 * * *"', 'schedule: "0 0 31 2 *"', ":8: schedule: '0 0 31 2 *' is not a line of cron"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_line(folder, old, new, message):
    path = folder / "orders.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ContractError) as refused:
        load_contracts(folder)
    assert f"{path}{message}" in str(refused.value)
    assert sorted(sound_contracts(folder)) == ["customers", "online_retail", "products", "sales"]
