"""SSM Run Command that runs commands: each a process group on a machine that belongs to a running instance.

What the agent does on an instance (how it starts a script, what it adds to stderr, where output goes) follows its
source, https://github.com/aws/amazon-ssm-agent; statuses follow
https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html.
"""

from __future__ import annotations

import json
import logging
import queue
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import (
    error_response_json,
    get_account_id,
    get_region,
    json_response,
    new_uuid,
    request_scope,
)
from ministack.services import ec2 as instances
from ministack.services import ssm as service

from localaws import documents, ebs, ec2, machines, output, roles
from localaws.documents import PLUGIN, Refused, Step
from localaws.overlay import replace
from localaws.settings import DELIVERY_SECONDS, ENDPOINT, INSTANCE_ENVIRONMENT, STATE

logger = logging.getLogger("localaws.ssm")

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PREEMPTED_EXIT_CODE = 137
"""ResponseCode of a command that was cancelled or timed out: the agent's CommandStoppedPreemptivelyExitCode."""
SIGNALLED_EXIT_CODE = -1
"""ResponseCode of a command that a signal ended: Go's exit status for it."""
OUTPUT_SUMMARY = 2500
"""Characters of a plugin's output in ListCommandInvocations."""
LOG_SECONDS = 1.0
"""How often the lines of a running command are sent to CloudWatch Logs."""
HISTORY_SECONDS = 30 * 24 * 3600
"""How long SSM remembers a command."""
TERMINAL = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})

COMMANDS = STATE / "commands"


@dataclass
class Execution:
    """One invocation that is under way."""

    instance_id: str
    identifier: str
    step: Step
    cancelled: threading.Event = field(default_factory=threading.Event)


_executions: dict[tuple[str, str], Execution] = {}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _epoch(instant: str) -> float:
    return datetime.fromisoformat(instant.replace("Z", "+00:00")).timestamp()


def _public(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what is for us alone."""
    return {key: entry for key, entry in record.items() if not key.startswith("_") and key != "Invocations"}


def is_managed(instance: dict[str, Any]) -> bool:
    """Whether an instance's agent answers: it has been running for a moment and its role lets it register."""
    return ec2.is_online(instance) and roles.may_register(instance)


# ── Requests ──────────────────────────────────────────────────────────────────


def _targets(request: dict[str, Any]) -> list[str]:
    """The instances a command is for.

    Raises:
        Refused: when none is named, one is named twice, or a kind of target is not supported.
    """
    identifiers = list(request.get("InstanceIds") or [])
    for target in request.get("Targets") or []:
        key, wanted = target["Key"], set(target.get("Values") or [])
        if key.lower() == "instanceids":
            identifiers += target["Values"]
        elif key.startswith("tag:"):
            identifiers += [
                instance["InstanceId"]
                for instance in instances._instances.values()
                if is_managed(instance)
                and any(
                    tag["Key"] == key[4:] and tag["Value"] in wanted
                    for tag in instances._tags.get(instance["InstanceId"], [])
                )
            ]
        else:
            raise Refused("InvalidTarget", f"localaws supports the targets InstanceIds and tag:<key>, not {key}")
    if not identifiers:
        raise Refused("InvalidInstanceId", "No instance is named, or none has the tags of the targets")
    if len(set(identifiers)) != len(identifiers):
        raise Refused("DuplicateInstanceId", "An instance is named more than once")
    return identifiers


def _validate(request: dict[str, Any]) -> None:
    """Refuse what AWS refuses, and what would otherwise be ignored here."""
    if request.get("NotificationConfig") or request.get("ServiceRoleArn"):
        raise Refused("InvalidNotificationConfig", "localaws sends no notifications about commands")
    if not 30 <= int(request.get("TimeoutSeconds") or 3600) <= 2_592_000:
        raise Refused("ValidationException", "TimeoutSeconds must be 30 to 2592000")
    if len(request.get("Comment") or "") > 100:
        raise Refused("ValidationException", "Comment must have at most 100 characters")


def send_command(request: dict[str, Any]) -> dict[str, Any]:
    """SendCommand: accept a command and start delivering it.

    Raises:
        Refused: see `_validate`, `documents.resolved`, `_targets`; InvalidInstanceId for an instance whose agent does
            not answer.
    """
    _validate(request)
    document, version, step = documents.resolved(request)
    identifiers = _targets(request)
    unreachable = [one for one in identifiers if not is_managed(instances._instances.get(one) or _NO_INSTANCE)]
    if unreachable:
        raise Refused(
            "InvalidInstanceId",
            f"Instances [[{', '.join(unreachable)}]] not in a valid state for account {get_account_id()}",
        )
    now = time.time()
    timeout = int(request.get("TimeoutSeconds") or 3600)
    logs = request.get("CloudWatchOutputConfig") or {}
    bucket, prefix = request.get("OutputS3BucketName") or "", (request.get("OutputS3KeyPrefix") or "").strip("/")
    command_id = new_uuid()
    command = {
        "CommandId": command_id,
        "DocumentName": document,
        "DocumentVersion": version if request.get("DocumentVersion") else "$DEFAULT",
        "Comment": request.get("Comment") or "",
        "ExpiresAfter": now + timeout + step.seconds,
        "Parameters": request.get("Parameters") or {},
        "InstanceIds": list(request.get("InstanceIds") or []),
        "Targets": request.get("Targets") or [],
        "RequestedDateTime": now,
        "Status": "Pending",
        "StatusDetails": "Pending",
        "OutputS3Region": get_region(),
        "OutputS3BucketName": bucket,
        "OutputS3KeyPrefix": prefix,
        "MaxConcurrency": request.get("MaxConcurrency") or "50",
        "MaxErrors": request.get("MaxErrors") or "0",
        "TargetCount": len(identifiers),
        "CompletedCount": 0,
        "ErrorCount": 0,
        "DeliveryTimedOutCount": 0,
        "CloudWatchOutputConfig": {
            "CloudWatchLogGroupName": logs.get("CloudWatchLogGroupName") or f"/aws/ssm/{document}",
            "CloudWatchOutputEnabled": bool(logs.get("CloudWatchOutputEnabled")),
        },
        "TimeoutSeconds": timeout,
    }
    command["Invocations"] = {one: _new_invocation(command, one, step) for one in identifiers}
    service._commands[command_id] = command
    for one in identifiers:
        execution = _executions.setdefault((command_id, one), Execution(one, command_id, step))
        spawn_background(
            _carry_out, command, execution, get_account_id(), get_region(), thread_name=f"ssm-{command_id}"
        )
    return {"Command": _public(command)}


_NO_INSTANCE: dict[str, Any] = {"State": {"Name": "absent"}}


def _new_invocation(command: dict[str, Any], instance_id: str, step: Step) -> dict[str, Any]:
    return {
        **{key: command[key] for key in ("CommandId", "Comment", "DocumentName", "DocumentVersion")},
        "InstanceId": instance_id,
        "PluginName": step.plugin,
        "ResponseCode": -1,
        "ExecutionStartDateTime": "",
        "ExecutionElapsedTime": "",
        "ExecutionEndDateTime": "",
        "Status": "Pending",
        "StatusDetails": "Pending",
        "StandardOutputContent": "",
        "StandardOutputUrl": "",
        "StandardErrorContent": "",
        "StandardErrorUrl": "",
        "_visible_at": command["RequestedDateTime"] + DELIVERY_SECONDS,
    }


def _find_command(command_id: str) -> dict[str, Any]:
    command = service._commands.get(command_id)
    if command is None:
        raise Refused("InvalidCommandId", f"The command {command_id} does not exist")
    return command


def get_command_invocation(request: dict[str, Any]) -> dict[str, Any]:
    """GetCommandInvocation: how one instance fares with a command; there is none before it was delivered."""
    command_id, instance_id = request.get("CommandId") or "", request.get("InstanceId") or ""
    invocation = (service._commands.get(command_id) or {"Invocations": {}})["Invocations"].get(instance_id)
    if invocation is None or time.time() < invocation["_visible_at"]:
        raise Refused("InvocationDoesNotExist", f"Invocation not found for {command_id}, {instance_id}")
    plugin = invocation["PluginName"]
    if request.get("PluginName", plugin) not in (plugin, plugin.removeprefix("aws:")):
        raise Refused("InvalidPluginName", f"{invocation['DocumentName']} has no plugin {request['PluginName']}")
    return _public(invocation) | {"CloudWatchOutputConfig": service._commands[command_id]["CloudWatchOutputConfig"]}


COMMAND_FILTERS: dict[str, Callable[[dict[str, Any], str], bool]] = {
    "InvokedAfter": lambda record, instant: record["RequestedDateTime"] >= _epoch(instant),
    "InvokedBefore": lambda record, instant: record["RequestedDateTime"] < _epoch(instant),
    "Status": lambda record, status: record["Status"] == status,
    "ExecutionStage": lambda record, stage: (stage == "Complete") == (record["Status"] in TERMINAL),
    "DocumentName": lambda record, name: record["DocumentName"] == name,
}


def _filtered(records: Iterable[dict[str, Any]], request: dict[str, Any]) -> list[dict[str, Any]]:
    """Records that pass a request's Filters, the latest first."""
    filters = request.get("Filters") or []
    for one in filters:
        if one["key"] not in COMMAND_FILTERS:
            raise Refused("InvalidFilterKey", f"localaws does not filter commands by {one['key']}")
    found = [one for one in records if all(COMMAND_FILTERS[test["key"]](one, test["value"]) for test in filters)]
    return sorted(found, key=lambda record: record["RequestedDateTime"], reverse=True)


def _paged(found: list[dict[str, Any]], request: dict[str, Any], name: str) -> dict[str, Any]:
    start = int(request.get("NextToken") or 0)
    end = start + int(request.get("MaxResults") or 50)
    page: dict[str, Any] = {name: found[start:end]}
    return page | {"NextToken": str(end)} if end < len(found) else page


def list_commands(request: dict[str, Any]) -> dict[str, Any]:
    """ListCommands, by command, instance and filters."""
    command_id, instance_id = request.get("CommandId"), request.get("InstanceId")
    statuses = [one["value"] for one in request.get("Filters") or [] if one["key"] == "Status"]
    if instance_id and "Pending" in statuses:
        raise Refused("ValidationException", "InstanceId and Status = Pending cannot be specified in the same command")
    chosen = [
        command
        for command in service._commands.values()
        if command_id in (None, command["CommandId"]) and (not instance_id or instance_id in command["Invocations"])
    ]
    return _paged([_public(command) for command in _filtered(chosen, request)], request, "Commands")


def list_command_invocations(request: dict[str, Any]) -> dict[str, Any]:
    """ListCommandInvocations, by command, instance and filters; with the plugin's output when Details is set."""
    command_id, instance_id = request.get("CommandId"), request.get("InstanceId")
    found = []
    for command in service._commands.values():
        for invocation in command["Invocations"].values():
            wanted = command_id in (None, command["CommandId"]) and instance_id in (None, invocation["InstanceId"])
            if wanted and time.time() >= invocation["_visible_at"]:
                found.append(_invocation_summary(command, invocation, details=bool(request.get("Details"))))
    return _paged(_filtered(found, request), request, "CommandInvocations")


def _invocation_summary(command: dict[str, Any], invocation: dict[str, Any], *, details: bool) -> dict[str, Any]:
    summary = {
        **{key: invocation[key] for key in ("CommandId", "InstanceId", "Comment", "DocumentName", "DocumentVersion")},
        **{key: invocation[key] for key in ("Status", "StatusDetails", "StandardOutputUrl", "StandardErrorUrl")},
        "RequestedDateTime": command["RequestedDateTime"],
        "CloudWatchOutputConfig": command["CloudWatchOutputConfig"],
        "CommandPlugins": [],
    }
    if details:
        error = invocation["StandardErrorContent"]
        text = invocation["StandardOutputContent"] + (f"\n----------ERROR-------\n{error}" if error else "")
        plugin = {
            "Name": invocation["PluginName"],
            **{key: invocation[key] for key in ("Status", "StatusDetails", "ResponseCode")},
            "Output": text[:OUTPUT_SUMMARY],
            **{key: invocation[key] for key in ("StandardOutputUrl", "StandardErrorUrl")},
            **{key: command[key] for key in ("OutputS3Region", "OutputS3BucketName", "OutputS3KeyPrefix")},
        }
        for name, key in (
            ("ResponseStartDateTime", "ExecutionStartDateTime"),
            ("ResponseFinishDateTime", "ExecutionEndDateTime"),
        ):
            if invocation[key]:
                plugin[name] = _epoch(invocation[key])
        summary["CommandPlugins"] = [plugin]
    return summary


def cancel_command(request: dict[str, Any]) -> dict[str, Any]:
    """CancelCommand: kill the process groups of a command that still runs."""
    command = _find_command(request.get("CommandId") or "")
    for instance_id in request.get("InstanceIds") or list(command["Invocations"]):
        invocation = command["Invocations"].get(instance_id)
        if invocation is None:
            raise Refused("InvalidInstanceId", f"{command['CommandId']} was not sent to {instance_id}")
        execution = _executions.get((command["CommandId"], instance_id))
        if execution and invocation["Status"] not in TERMINAL:
            invocation["Status"] = invocation["StatusDetails"] = "Cancelling"
            execution.cancelled.set()
            machines.kill(instance_id, command["CommandId"])
            _summarise(command)
    return {}


def describe_instance_information(request: dict[str, Any]) -> dict[str, Any]:
    """DescribeInstanceInformation: the instances whose agent has registered, and whether it answers now."""
    tests: dict[str, list[str]] = {one["Key"]: one["Values"] for one in request.get("Filters") or []}
    tests |= {one["key"]: one["valueSet"] for one in request.get("InstanceInformationFilterList") or []}
    fields = {"InstanceIds": "InstanceId", "PingStatus": "PingStatus", "PlatformTypes": "PlatformType"}
    for name in tests:
        if name not in fields:
            raise Refused("InvalidFilterKey", f"localaws does not filter instances by {name}")
    found = []
    for instance in instances._instances.values():
        if is_managed(instance):
            instance["_last_ping"] = time.time()
        if "_last_ping" not in instance or instance["State"]["Name"] == "terminated":
            continue
        entry = {
            "InstanceId": instance["InstanceId"],
            "PingStatus": "Online" if is_managed(instance) else "ConnectionLost",
            "LastPingDateTime": instance["_last_ping"],
            "PlatformType": "Linux",
            "PlatformName": "Amazon Linux",
            "PlatformVersion": "2023",
            "ResourceType": "EC2Instance",
            "IPAddress": instance["PrivateIpAddress"],
            "ComputerName": instance["PrivateDnsName"],
        }
        if all(entry[fields[name]] in wanted for name, wanted in tests.items()):
            found.append(entry)
    return _paged(found, request, "InstanceInformationList")


# ── Execution ─────────────────────────────────────────────────────────────────


def instance_environment(
    instance: dict[str, Any], home: Path, credentials: roles.Credentials | None, command: dict[str, str]
) -> dict[str, str]:
    """The environment of a process on an instance: nothing of the server's own, what the operator gave, and AWS's.

    Args:
        instance: the instance's record.
        home: folder on its root volume.
        credentials: those of its role, if it has one.
        command: variables of the command.
    """
    given = dict(INSTANCE_ENVIRONMENT)
    path = given.pop("PATH", "")
    data = ebs.data_volume(instance)
    return {
        "PATH": f"{path}:{SYSTEM_PATH}" if path else SYSTEM_PATH,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "AWS_SSM_INSTANCE_ID": instance["InstanceId"],
        "AWS_SSM_REGION_NAME": get_region(),
        "AWS_ENDPOINT_URL": ENDPOINT,
        **(credentials.as_environment() if credentials else {}),
        **({"LAKE_DATA_DIR": str(ebs.volume_folder(data))} if data else {}),
        **given,
        **command,
    }


def _carry_out(command: dict[str, Any], execution: Execution, account: str, region: str) -> None:
    """Deliver a command to one instance, run it there and record how it went."""
    invocation = command["Invocations"][execution.instance_id]
    with request_scope(account, region):
        try:
            time.sleep(DELIVERY_SECONDS)
            instance = instances._instances.get(execution.instance_id, _NO_INSTANCE)
            if execution.cancelled.is_set():
                _finish(command, invocation, "Cancelled", "Cancelled", -1)
            elif instance["State"]["Name"] != "running":
                _finish(command, invocation, "Failed", "Undeliverable", -1)
            else:
                _run(command, invocation, instance, execution)
        except Exception as error:
            logger.exception("Command %s broke on %s", command["CommandId"], execution.instance_id)
            invocation["StandardErrorContent"] = f"localaws could not run the command: {error}"
            _finish(command, invocation, "Failed", "Failed", -1)
        finally:
            _executions.pop((command["CommandId"], execution.instance_id), None)


def _run(command: dict[str, Any], invocation: dict[str, Any], instance: dict[str, Any], execution: Execution) -> None:
    step = execution.step
    folder = COMMANDS / command["CommandId"] / instance["InstanceId"]
    home = ebs.volume_folder(ebs.root_volume(instance)) / "root"
    for needed in (folder, home):
        needed.mkdir(parents=True, exist_ok=True)
    script, stdout, stderr = folder / "_script.sh", folder / "stdout", folder / "stderr"
    script.write_text("\n".join(step.commands) + "\n")
    script.chmod(0o700)
    credentials = roles.credentials(instance, step.seconds + 3600)
    streams = _log_streams(command, invocation, credentials, stdout, stderr)

    started = time.monotonic()
    invocation["ExecutionStartDateTime"] = _now()
    invocation["Status"] = invocation["StatusDetails"] = "InProgress"
    _summarise(command)
    ended = machines.run(
        instance["InstanceId"],
        command["CommandId"],
        # The agent hands the file to the shell as a command, so its first line may name another interpreter.
        ["/bin/sh", "-c", shlex.quote(str(script))],
        step.working_directory or str(home),
        instance_environment(instance, home, credentials, {"SSM_COMMAND_ID": command["CommandId"], **step.environment}),
        stdout,
        stderr,
    )
    result, timed_out = _wait(ended, execution, started + step.seconds, streams)

    status, details, code, remark = _verdict(result, timed_out=timed_out, cancelled=execution.cancelled.is_set())
    if remark:
        text = stderr.read_bytes() if stderr.exists() else b""
        with stderr.open("ab") as stream:
            stream.write((b"" if text.endswith(b"\n") or not text else b"\n") + remark.encode())
    for log in streams:
        log.publish(ended=True)
    if command["OutputS3BucketName"]:
        _upload(command, invocation, step, credentials, stdout, stderr)
    invocation["StandardOutputContent"] = output.head(stdout, output.STDOUT_LIMIT)
    invocation["StandardErrorContent"] = output.head(stderr, output.STDERR_LIMIT)
    invocation["ExecutionElapsedTime"] = f"PT{time.monotonic() - started:.3f}S"
    _finish(command, invocation, status, details, code)


def _wait(
    ended: queue.Queue[machines.Exit], execution: Execution, deadline: float, streams: list[output.LogStream]
) -> tuple[machines.Exit, bool]:
    """Wait for a command to end, sending its output to the logs meanwhile, and kill it at its deadline."""
    timed_out = False
    while True:
        if execution.cancelled.is_set():
            machines.kill(execution.instance_id, execution.identifier)
        try:
            return ended.get(timeout=max(0.0, min(LOG_SECONDS, deadline - time.monotonic()))), timed_out
        except queue.Empty:
            for stream in streams:
                stream.publish(ended=False)
            if time.monotonic() >= deadline:
                machines.kill(execution.instance_id, execution.identifier)
                timed_out, deadline = True, time.monotonic() + LOG_SECONDS


def _verdict(result: machines.Exit, *, timed_out: bool, cancelled: bool) -> tuple[str, str, int, str]:
    """Status, details, response code and what is added to stderr, for the way a command ended."""
    if result.error:
        return "Failed", "Failed", 1, f"failed to run commands: {result.error}"
    if result.lost:
        return "Failed", "Terminated", SIGNALLED_EXIT_CODE, f"The instance was {result.lost} while the command ran."
    if cancelled and result.code:
        return "Cancelled", "Cancelled", PREEMPTED_EXIT_CODE, ""
    if timed_out and result.code:
        return "TimedOut", "ExecutionTimedOut", PREEMPTED_EXIT_CODE, ""
    if result.code:
        killed = result.code < 0
        why = f"signal: {signal.strsignal(-result.code)}".lower() if killed else f"exit status {result.code}"
        return "Failed", "Failed", SIGNALLED_EXIT_CODE if killed else result.code, f"failed to run commands: {why}"
    return "Success", "Success", 0, ""


def _log_streams(
    command: dict[str, Any], invocation: dict[str, Any], credentials: roles.Credentials | None, *files: Path
) -> list[output.LogStream]:
    """The log streams of a command's output files, when it asked for them."""
    config = command["CloudWatchOutputConfig"]
    if not config["CloudWatchOutputEnabled"] or credentials is None:
        return []
    logs = output.client("logs", credentials, get_region())
    group = config["CloudWatchLogGroupName"]
    base = f"{command['CommandId']}/{invocation['InstanceId']}/{invocation['PluginName'].replace(':', '-')}"
    return [output.LogStream(file, group, f"{base}/{file.name}", logs) for file in files]


def _upload(
    command: dict[str, Any], invocation: dict[str, Any], step: Step, credentials: roles.Credentials | None, *files: Path
) -> None:
    """Put a command's output into S3 at the agent's keys, and name the place in the invocation."""
    bucket, prefix, region = (command[key] for key in ("OutputS3BucketName", "OutputS3KeyPrefix", "OutputS3Region"))
    parts = [prefix, command["CommandId"], invocation["InstanceId"], PLUGIN.replace(":", ""), step.folder]
    folder = "/".join(part for part in parts if part)
    for file, name in zip(files, ("StandardOutputUrl", "StandardErrorUrl"), strict=True):
        invocation[name] = f"https://s3.{region}.amazonaws.com/{bucket}/{folder}/{file.name}"
        if credentials:
            output.upload(file, bucket, f"{folder}/{file.name}", credentials, region)


def _finish(command: dict[str, Any], invocation: dict[str, Any], status: str, details: str, code: int) -> None:
    """Record how an invocation ended; the status last, so that whoever sees it also sees the rest."""
    invocation["ResponseCode"] = code
    invocation["ExecutionEndDateTime"] = _now() if invocation["ExecutionStartDateTime"] else ""
    invocation["StatusDetails"] = details
    invocation["Status"] = status
    _summarise(command)


def _summarise(command: dict[str, Any]) -> None:
    """Set a command's status and counts from those of its invocations."""
    statuses = [(one["Status"], one["StatusDetails"]) for one in command["Invocations"].values()]
    ended = [one for one in statuses if one[0] in TERMINAL]
    bad = [one for one in ended if one[0] != "Success"]
    command["CompletedCount"], command["ErrorCount"] = len(ended), len([one for one in bad if one[0] != "Cancelled"])
    if len(ended) < len(statuses):
        cancelling = any(status == "Cancelling" for status, _ in statuses)
        summary = ("Cancelling", "Cancelling") if cancelling else ("InProgress", "InProgress")
    else:
        summary = bad[0] if bad else ("Success", "Success")
    command["Status"], command["StatusDetails"] = summary


# ── Installation ──────────────────────────────────────────────────────────────

HANDLERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "SendCommand": send_command,
    "GetCommandInvocation": get_command_invocation,
    "ListCommands": list_commands,
    "ListCommandInvocations": list_command_invocations,
    "CancelCommand": cancel_command,
    "DescribeInstanceInformation": describe_instance_information,
    **documents.HANDLERS,
}


def restore(load: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Wrap ministack's loading of state: what was running has ended with the server, and old commands are forgotten."""

    def load_persisted_state(state: dict[str, Any]) -> None:
        load(state)
        oldest = time.time() - HISTORY_SECONDS
        for (account, region, command_id), command in list(service._commands.all_items()):
            if command["RequestedDateTime"] < oldest:
                service._commands.pop_scoped(account, region, command_id)
                shutil.rmtree(COMMANDS / command_id, ignore_errors=True)
                continue
            for invocation in command["Invocations"].values():
                if invocation["Status"] not in TERMINAL:
                    _lose(command, invocation)

    return load_persisted_state


def _lose(command: dict[str, Any], invocation: dict[str, Any]) -> None:
    """Record an invocation whose instance went away with the server."""
    folder = COMMANDS / command["CommandId"] / invocation["InstanceId"]
    invocation["StandardOutputContent"] = output.head(folder / "stdout", output.STDOUT_LIMIT)
    error = output.head(folder / "stderr", output.STDERR_LIMIT)
    invocation["StandardErrorContent"] = f"{error}\nThe instance was lost while the command ran.".lstrip()
    _finish(command, invocation, "Failed", "Terminated", SIGNALLED_EXIT_CODE)


def install() -> None:
    """Answer Run Command's actions here, and leave the others to ministack."""
    COMMANDS.mkdir(parents=True, exist_ok=True)
    COMMANDS.chmod(0o700)
    original: Any = service.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:
        name = headers.get("x-amz-target", "").rpartition(".")[2]
        if name not in HANDLERS:
            return await original(method, path, headers, body, query)
        ec2.settle()
        try:
            return json_response(HANDLERS[name](json.loads(body or b"{}")))
        except Refused as refusal:
            return error_response_json(refusal.code, refusal.message, 400)

    documents.install()
    replace(service.__name__, "handle_request", handle_request)
    replace(service.__name__, "load_persisted_state", restore(service.load_persisted_state))
