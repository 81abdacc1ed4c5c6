"""What an alert says."""

from types import SimpleNamespace

from lake.alerts import describe_failure
from lake.contract import load_contract
from lake.settings import Settings

from tools.environment import CHECKOUT

ORDERS = load_contract(CHECKOUT / "include" / "datasets" / "orders.yaml")
SETTINGS = Settings(**dict.fromkeys(Settings.__dataclass_fields__, "name"))


def alert(task_id, params, **more):
    ti = SimpleNamespace(dag_id="a_dag", task_id=task_id, try_number=1)
    return describe_failure(SETTINGS, ORDERS, {"ti": ti, "run_id": "manual__x", "params": params, **more})


def test_an_alert_names_the_date_the_reason_and_where_bad_rows_are():
    subject, text = alert("validate", {"date": "2025-06-30"}, exception="too few rows")
    assert subject == "a_dag 2025-06-30: validate failed"
    for said in ("too few rows", "ds = '2025-06-30'", "ds=2025-06-30/run=manual__x/*.json", "runbook.md#validate"):
        assert said in text


def test_the_alert_of_a_range_names_its_dates():
    reason = "1 of 3 dates could not be loaded:\n2025-06-02 refused: no header"
    subject, text = alert("report", {"start": "2025-06-01", "end": "2025-06-03"}, exception=reason)
    assert subject == "a_dag 2025-06-01..2025-06-03: report failed"
    for said in (reason, "ds BETWEEN '2025-06-01' AND '2025-06-03'", "ranges/run=manual__x/", "on the dates named"):
        assert said in text
