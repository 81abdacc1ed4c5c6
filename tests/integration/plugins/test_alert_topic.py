"""An alert arrives, however much there is to say of the failure."""

from types import SimpleNamespace

from contract.dataset import load_contract
from lake.alerts import AlertNotifier

from tools.environment import CHECKOUT

ORDERS = load_contract(CHECKOUT / "include" / "datasets" / "orders.yaml")


def test_the_alert_of_a_large_failure_is_sent_and_received(settings, inbox):
    reason = "\n".join(f"2025-06-{day:02} refused: Größe fehlt" for day in range(1, 31)) * 2_000
    ti = SimpleNamespace(dag_id="reprocess_orders", task_id="report", try_number=1)
    params = {"start": "2025-06-01", "end": "2025-06-30"}
    AlertNotifier(settings, ORDERS).notify({"ti": ti, "run_id": "manual__x", "params": params, "exception": reason})
    (told,) = inbox()
    assert told["Subject"] == "reprocess_orders 2025-06-01..2025-06-30: report failed"
    assert "Why: 2025-06-01 refused: Größe fehlt" in told["Message"]
    assert "[cut here: " in told["Message"]
