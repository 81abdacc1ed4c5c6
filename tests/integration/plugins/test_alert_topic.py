"""An alert arrives, however much there is to say of the failure."""

import json
from types import SimpleNamespace

from contract.dataset import load_contract
from lake.alerts import AlertNotifier

from tools.environment import CHECKOUT

ORDERS = load_contract(CHECKOUT / "include" / "datasets" / "orders.yaml")


def test_the_alert_of_a_large_failure_is_sent_and_received(aws, settings):
    sqs, topic = aws("sqs"), settings.alert_topic_arn
    queue = sqs.create_queue(QueueName="alerts-of-this-test")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sender = {"Principal": {"Service": "sns.amazonaws.com"}, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn, **sender}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    reason = "\n".join(f"2025-06-{day:02} refused: Größe fehlt" for day in range(1, 31)) * 2_000
    ti = SimpleNamespace(dag_id="reprocess_orders", task_id="report", try_number=1)
    params = {"start": "2025-06-01", "end": "2025-06-30"}
    AlertNotifier(settings, ORDERS).notify({"ti": ti, "run_id": "manual__x", "params": params, "exception": reason})
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    told = json.loads(message["Body"])
    assert told["Subject"] == "reprocess_orders 2025-06-01..2025-06-30: report failed"
    assert "Why: 2025-06-01 refused: Größe fehlt" in told["Message"]
    assert "[cut here: " in told["Message"]
