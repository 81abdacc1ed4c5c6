"""CloudWatch alarms that act on an instance, as `arn:aws:automate:<region>:ec2:stop` does; ministack only notifies."""

from __future__ import annotations

import logging
import re
from typing import Any

from ministack.services import cloudwatch, ec2

from localaws.overlay import replace

logger = logging.getLogger("localaws.alarms")

EC2_ACTION = re.compile(r"arn:aws:automate:[^:]*:ec2:(\w+)")
EC2_REQUESTS = {"stop": "StopInstances", "terminate": "TerminateInstances", "reboot": "RebootInstances"}
STATES = {"ALARM": "AlarmActions", "OK": "OKActions", "INSUFFICIENT_DATA": "InsufficientDataActions"}


def act(alarm: dict[str, Any], state: str) -> None:
    """Do the EC2 actions of an alarm that came into a state, on the instance that its metric is of."""
    if not alarm.get("ActionsEnabled", True):
        return
    instances = [one["Value"] for one in alarm.get("Dimensions", []) if one["Name"] == "InstanceId"]
    for arn in alarm.get(STATES.get(state, ""), []):
        matched = EC2_ACTION.fullmatch(arn)
        if not matched:
            continue
        request = EC2_REQUESTS.get(matched[1])
        if request is None or not instances:
            logger.error("The alarm %s cannot do %s on %s", alarm["AlarmName"], arn, instances or "no instance")
            continue
        status, _headers, body = ec2._ACTION_MAP[request]({"Action": request, "InstanceId.1": instances[0]})
        if status >= 400:
            logger.error("The alarm %s: %s failed: %s", alarm["AlarmName"], request, body.decode())


def install() -> None:
    """Do an alarm's EC2 actions besides its notifications."""
    notify: Any = cloudwatch._dispatch_alarm_actions

    def dispatch(alarm: dict[str, Any], old_state: str, new_state: str, reason: str) -> None:
        notify(alarm, old_state, new_state, reason)
        act(alarm, new_state)

    replace(cloudwatch.__name__, "_dispatch_alarm_actions", dispatch)
