"""SSM documents of type Command: kept by version, and resolved into the one shell script that they run.

What AWS keeps and refuses follows the API reference of CreateDocument and its kin and
https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-syntax-data-elements-parameters.html; how
parameters are checked and filled in follows the agent, https://github.com/aws/amazon-ssm-agent.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region
from ministack.services import ssm as service

from localaws.overlay import replace

PLUGIN = "aws:runShellScript"
MAXIMUM_BYTES = 64 << 10
"""Of a document's content, with the parameters given to it."""
DEFAULT_SECONDS, MINIMUM_SECONDS, MAXIMUM_SECONDS = 3600, 5, 172_800
"""How long a script may run: unless said, at least, at most; what is said beyond counts as not said."""

NAME = re.compile(r"[a-zA-Z0-9_\-.]{3,128}")
RESERVED_NAME = re.compile(r"(?i)aws-|amazon|amzn")
PARAMETER_NAME = re.compile(r"[a-zA-Z0-9]+")
PARAMETER_ELEMENTS = frozenset(
    {
        *("type", "description", "default", "allowedValues", "allowedPattern", "displayType", "interpolationType"),
        *("minChars", "maxChars", "minItems", "maxItems"),
    }
)
STEP_ELEMENTS = frozenset({"action", "name", "inputs", "precondition"})
INPUTS = frozenset({"runCommand", "workingDirectory", "timeoutSeconds"})
LINUX = {"StringEquals": ["platformType", "Linux"]}
CREATED_WITH = frozenset({"Content", "Name", "DocumentType", "DocumentFormat", "Tags", "TargetType", "VersionName"})

SHELL_SCRIPT = "AWS-RunShellScript"
AWS_DOCUMENTS: dict[str, dict[str, Any]] = {
    SHELL_SCRIPT: {
        "schemaVersion": "1.2",
        "description": "Run a shell script or specify the commands to run.",
        "parameters": {
            "commands": {"type": "StringList", "minItems": 1, "displayType": "textarea"},
            "workingDirectory": {"type": "String", "default": "", "maxChars": 4096},
            "executionTimeout": {
                "type": "String",
                "default": "3600",
                "allowedPattern": "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)",
            },
        },
        "runtimeConfig": {
            PLUGIN: {
                "properties": [
                    {
                        "id": f"0.{PLUGIN}",
                        "runCommand": "{{ commands }}",
                        "workingDirectory": "{{ workingDirectory }}",
                        "timeoutSeconds": "{{ executionTimeout }}",
                    }
                ]
            }
        },
    }
}
"""Those that every account has from AWS, with AWS's own content."""

_documents = AccountRegionScopedDict()


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request that SSM answers with an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Step:
    """What a document does with the parameters it was given."""

    plugin: str
    """How the agent calls the step: by its name, in the older schema by its action."""
    folder: str
    """Where the step's output goes in S3, below its action."""
    commands: list[str]
    working_directory: str
    seconds: int
    environment: dict[str, str]


# ── Documents ─────────────────────────────────────────────────────────────────


def parsed(text: str, form: str) -> dict[str, Any]:
    """A document's content.

    Raises:
        Refused: when AWS, or this server, does not take it.
    """
    if len(text.encode()) > MAXIMUM_BYTES:
        raise Refused("MaxDocumentSizeExceeded", f"The document exceeds the maximum size of {MAXIMUM_BYTES} bytes")
    try:
        content = json.loads(text) if form == "JSON" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise Refused("InvalidDocumentContent", f"The content is not valid {form}: {error}") from error
    if not isinstance(content, dict):
        raise Refused("InvalidDocumentContent", "The content is not an object")
    if content.get("schemaVersion") != "2.2":
        raise Refused("InvalidDocumentSchemaVersion", "localaws keeps documents of schema version 2.2 only")
    _check_parameters(content.get("parameters") or {})
    steps = content.get("mainSteps") or []
    if len(steps) != 1 or steps[0].get("action") != PLUGIN or not steps[0].get("name"):
        raise Refused("InvalidDocumentContent", f"localaws runs documents of one step, a named {PLUGIN}")
    inputs = steps[0].get("inputs") or {}
    unknown = sorted({*(steps[0].keys() - STEP_ELEMENTS), *(inputs.keys() - INPUTS)})
    if unknown or steps[0].get("precondition", LINUX) != LINUX:
        raise Refused(
            "InvalidDocumentContent", f"localaws does not know the step's {', '.join(unknown) or 'condition'}"
        )
    if not inputs.get("runCommand"):
        raise Refused("InvalidDocumentContent", "runCommand is missing")
    return content


def _check_parameters(parameters: dict[str, dict[str, Any]]) -> None:
    for name, definition in parameters.items():
        if not PARAMETER_NAME.fullmatch(name) or definition.get("type") not in ("String", "StringList"):
            raise Refused("InvalidDocumentContent", f"localaws cannot take the parameter {name}, or its type")
        if unknown := sorted(definition.keys() - PARAMETER_ELEMENTS):
            raise Refused("InvalidDocumentContent", f"localaws does not know {', '.join(unknown)} of {name}")
        by_variable = definition.get("interpolationType")
        if by_variable and (by_variable != "ENV_VAR" or definition["type"] != "String"):
            raise Refused("InvalidDocumentContent", f"interpolationType of {name} can only be ENV_VAR, for a String")
        try:
            re.compile(definition.get("allowedPattern", ""))
        except re.error as error:
            raise Refused("InvalidDocumentContent", f"allowedPattern of {name}: {error}") from error


def _named(reference: str) -> str:
    """A document's name, which requests also give as its ARN, that of its owner's account."""
    arn, _, name = reference.rpartition("/")
    owner = "" if name in AWS_DOCUMENTS else get_account_id()
    return name if arn == f"arn:aws:ssm:{get_region()}:{owner}:document" else reference


def _found(request: Mapping[str, Any]) -> dict[str, Any]:
    """The record of the document that a request names.

    Raises:
        Refused: InvalidDocument.
    """
    name = _named(request.get("Name") or "")
    record: dict[str, Any] | None = _documents.get(name)
    if record is None:
        raise Refused("InvalidDocument", f"Document with name {name} does not exist.")
    return record


def _version(record: dict[str, Any], wanted: str) -> dict[str, Any]:
    """One version of a document: by number, `$DEFAULT` or `$LATEST`.

    Raises:
        Refused: InvalidDocumentVersion.
    """
    number = {"$DEFAULT": record["Default"], "$LATEST": record["Latest"], "": record["Default"]}.get(wanted, wanted)
    found: dict[str, Any] | None = record["Versions"].get(number)
    if found is None:
        raise Refused("InvalidDocumentVersion", f"Version {wanted} of document {record['Name']} does not exist.")
    return found


def _made(text: str, number: int, request: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a version."""
    form = request.get("DocumentFormat") or "JSON"
    parsed(text, form)
    made = {"Content": text, "DocumentFormat": form, "DocumentVersion": str(number), "CreatedDate": time.time()}
    return made | ({"VersionName": request["VersionName"]} if request.get("VersionName") else {})


def _described(record: dict[str, Any], version: dict[str, Any]) -> dict[str, Any]:
    """A DocumentDescription."""
    content = parsed(version["Content"], version["DocumentFormat"])
    parameters = [
        {
            "Name": name,
            "Type": definition["type"],
            "Description": definition.get("description", ""),
            **({"DefaultValue": _text(definition["default"])} if "default" in definition else {}),
        }
        for name, definition in (content.get("parameters") or {}).items()
    ]
    return {
        **{key: entry for key, entry in version.items() if key != "Content"},
        "Hash": hashlib.sha256(version["Content"].encode()).hexdigest(),
        "HashType": "Sha256",
        "Name": record["Name"],
        "Owner": get_account_id(),
        "Status": "Active",
        "Description": content.get("description", ""),
        "Parameters": parameters,
        "PlatformTypes": ["Linux", "MacOS"],
        "DocumentType": "Command",
        "SchemaVersion": content["schemaVersion"],
        "LatestVersion": record["Latest"],
        "DefaultVersion": record["Default"],
        "Tags": [{"Key": key, "Value": value} for key, value in service._tags.get(record["Name"], {}).items()],
    }


def create_document(request: dict[str, Any]) -> dict[str, Any]:
    """CreateDocument."""
    name = request.get("Name") or ""
    if unknown := sorted(request.keys() - CREATED_WITH):
        raise Refused("ValidationException", f"localaws makes no documents with {', '.join(unknown)}")
    if not NAME.fullmatch(name) or RESERVED_NAME.match(name):
        raise Refused("ValidationException", f"The document name {name} is not valid, or reserved by AWS")
    if request.get("DocumentType", "Command") != "Command":
        raise Refused("InvalidDocumentType", "localaws keeps documents of type Command only")
    if name in _documents:
        raise Refused("DocumentAlreadyExists", f"Document with name {name} already exists")
    version = _made(request.get("Content") or "", 1, request)
    record = {"Name": name, "Latest": "1", "Default": "1", "Versions": {"1": version}}
    _documents[name] = record
    service._tags[name] = {tag["Key"]: tag["Value"] for tag in request.get("Tags") or []}
    return {"DocumentDescription": _described(record, version)}


def update_document(request: dict[str, Any]) -> dict[str, Any]:
    """UpdateDocument: a new latest version; which one is the default stays."""
    record = _found(request)
    latest = _version(record, "$LATEST")
    if _version(record, request.get("DocumentVersion") or "$LATEST") is not latest:
        raise Refused("InvalidDocumentVersion", "Only the latest version of a document can be updated.")
    text = request.get("Content") or ""
    version = _made(text, int(record["Latest"]) + 1, {"DocumentFormat": latest["DocumentFormat"], **request})
    if text == latest["Content"]:
        raise Refused("DuplicateDocumentContent", "The content of the association document matches another document.")
    record["Versions"][version["DocumentVersion"]] = version
    record["Latest"] = version["DocumentVersion"]
    _documents[record["Name"]] = record
    return {"DocumentDescription": _described(record, version)}


def update_document_default_version(request: dict[str, Any]) -> dict[str, Any]:
    """UpdateDocumentDefaultVersion."""
    record = _found(request)
    record["Default"] = _version(record, request.get("DocumentVersion") or "")["DocumentVersion"]
    _documents[record["Name"]] = record
    return {"Description": {"Name": record["Name"], "DefaultVersion": record["Default"]}}


def get_document(request: dict[str, Any]) -> dict[str, Any]:
    """GetDocument: the content of a version."""
    record = _found(request)
    version = _version(record, request.get("DocumentVersion") or "")
    return {**version, "Name": record["Name"], "DocumentType": "Command", "Status": "Active"}


def describe_document(request: dict[str, Any]) -> dict[str, Any]:
    """DescribeDocument."""
    record = _found(request)
    return {"Document": _described(record, _version(record, request.get("DocumentVersion") or ""))}


def delete_document(request: dict[str, Any]) -> dict[str, Any]:
    """DeleteDocument: the whole of it, or a version that is not the default."""
    record = _found(request)
    if wanted := request.get("DocumentVersion"):
        number = _version(record, wanted)["DocumentVersion"]
        if number == record["Default"]:
            raise Refused("InvalidDocumentOperation", "The default version of a document cannot be deleted.")
        del record["Versions"][number]
        record["Latest"] = max(record["Versions"], key=int)
        _documents[record["Name"]] = record
    else:
        del _documents[record["Name"]]
        service._tags.pop(record["Name"], None)
    return {}


LIST_FILTERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "Name": lambda described: described["Name"],
    "Owner": lambda _described: "Self",
    "DocumentType": lambda described: described["DocumentType"],
    "SchemaVersion": lambda described: described["SchemaVersion"],
}


def list_documents(request: dict[str, Any]) -> dict[str, Any]:
    """ListDocuments: those of this account."""
    tests = {one["Key"]: one["Values"] for one in request.get("Filters") or []}
    tests |= {one["key"]: [one["value"]] for one in request.get("DocumentFilterList") or []}
    if unknown := sorted(tests.keys() - LIST_FILTERS.keys()):
        raise Refused("InvalidFilterKey", f"localaws does not filter documents by {', '.join(unknown)}")
    described = [_described(record, _version(record, "$DEFAULT")) for record in _documents.values()]
    found = [one for one in described if all(LIST_FILTERS[key](one) in wanted for key, wanted in tests.items())]
    start, size = int(request.get("NextToken") or 0), int(request.get("MaxResults") or 50)
    kept = ("Name", "CreatedDate", "Owner", "PlatformTypes", "DocumentVersion", "DocumentType", "SchemaVersion")
    page = [{key: one[key] for key in (*kept, "DocumentFormat", "Tags")} for one in found[start : start + size]]
    more = {"NextToken": str(start + size)} if start + size < len(found) else {}
    return {"DocumentIdentifiers": page, **more}


HANDLERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "CreateDocument": create_document,
    "UpdateDocument": update_document,
    "UpdateDocumentDefaultVersion": update_document_default_version,
    "GetDocument": get_document,
    "DescribeDocument": describe_document,
    "DeleteDocument": delete_document,
    "ListDocuments": list_documents,
}


# ── Running ───────────────────────────────────────────────────────────────────


def resolved(request: Mapping[str, Any]) -> tuple[str, str, Step]:
    """What a SendCommand would run.

    Returns:
        The document's name and version, and the step with its parameters filled in.

    Raises:
        Refused: InvalidDocument, InvalidDocumentVersion, or InvalidParameters for values that it does not allow.
    """
    name = _named(request.get("DocumentName") or "")
    if name in AWS_DOCUMENTS:
        content, number = AWS_DOCUMENTS[name], "1"
    else:
        record = _found({"Name": name})
        version = _version(record, request.get("DocumentVersion") or "")
        content, number = parsed(version["Content"], version["DocumentFormat"]), version["DocumentVersion"]
        given_hash = request.get("DocumentHash")
        if given_hash and given_hash != hashlib.sha256(version["Content"].encode()).hexdigest():
            raise Refused("InvalidDocument", f"The hash of document {name} is not the one that was given")
    definitions = content.get("parameters") or {}
    values = _values(name, definitions, request.get("Parameters") or {})
    if content["schemaVersion"] == "2.2":
        (step,) = content["mainSteps"]
        plugin = folder = step["name"]
        inputs = step["inputs"]
    else:
        ((plugin, runtime),) = content["runtimeConfig"].items()
        (inputs,) = runtime["properties"]
        folder = inputs["id"].replace(":", "")
    filled = {key: _filled(inputs.get(key, ""), values) for key in INPUTS}
    commands = filled["runCommand"]
    return (
        name,
        number,
        Step(
            plugin=plugin,
            folder=folder,
            commands=commands if isinstance(commands, list) else [commands],
            working_directory=filled["workingDirectory"],
            seconds=_seconds(filled["timeoutSeconds"]),
            environment={
                f"SSM_{key}": values[key]
                for key, definition in definitions.items()
                if definition.get("interpolationType") == "ENV_VAR"
            },
        ),
    )


def _values(document: str, definitions: dict[str, Any], given: dict[str, list[str]]) -> dict[str, Any]:
    """The values of all parameters: a text or a list of texts.

    Raises:
        Refused: InvalidParameters.
    """
    if unknown := sorted(given.keys() - definitions.keys()):
        raise Refused("InvalidParameters", f"Document {document} has no parameter {', '.join(unknown)}")
    if missing := sorted(
        name for name, definition in definitions.items() if not given.get(name) and "default" not in definition
    ):
        raise Refused("InvalidParameters", f"Document {document} needs the parameter {', '.join(missing)}")
    values: dict[str, Any] = {}
    for name, definition in definitions.items():
        value = given.get(name) or definition["default"]
        _check_value(name, definition, value if isinstance(value, list) else [value])
        values[name] = value if definition["type"] == "StringList" else _single(name, value)
    return values


def _single(name: str, value: Any) -> str:
    if isinstance(value, list):
        if len(value) != 1:
            raise Refused("InvalidParameters", f"Parameter {name} takes one value, not {len(value)}")
        (value,) = value
    return str(value)


def _check_value(name: str, definition: dict[str, Any], values: list[Any]) -> None:
    """Refuse what a parameter's definition does not allow; as in the agent, a part may match unanchored patterns."""
    if not definition.get("minItems", 0) <= len(values) <= definition.get("maxItems", len(values)):
        raise Refused("InvalidParameters", f"Parameter {name} has {len(values)} items")
    for text in map(str, values):
        if not definition.get("minChars", 0) <= len(text) <= definition.get("maxChars", len(text)):
            raise Refused("InvalidParameters", f"Parameter {name} has {len(text)} characters")
        if "allowedValues" in definition and text not in map(str, definition["allowedValues"]):
            raise Refused("InvalidParameters", f"Parameter {name} is not one of {definition['allowedValues']}: {text}")
        if re.search(r"\{\{\s*ssm(-secure)?:", text):
            raise Refused("InvalidParameters", "localaws does not look up Parameter Store's parameters in documents'")
        if not re.search(definition.get("allowedPattern", ""), text):
            raise Refused(
                "InvalidParameters",
                f"Parameter {name} does not match the allowed pattern {definition['allowedPattern']}: {text}",
            )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _filled(entry: Any, values: Mapping[str, Any]) -> Any:
    """An input with its parameters: `{{ name }}` alone is the value itself, in a text it is put there once for all."""
    if isinstance(entry, list):
        found = [_filled(one, values) for one in entry]
        return [text for one in found for text in (one if isinstance(one, list) else [one])]
    if not isinstance(entry, str):
        return entry
    names = "|".join(map(re.escape, values)) or "(?!)"
    if alone := re.fullmatch(rf"\{{\{{\s*({names})\s*\}}\}}", entry):
        return values[alone[1]]
    # The agent takes "$$" for "$", for those who once had to write it so.
    return re.sub(rf"\{{\{{\s*({names})\s*\}}\}}", lambda match: _text(values[match[1]]).replace("$$", "$"), entry)


def _seconds(value: Any) -> int:
    text = str(value)
    seconds = int(text) if text.isdigit() else 0
    return seconds if MINIMUM_SECONDS <= seconds <= MAXIMUM_SECONDS else DEFAULT_SECONDS


def install() -> None:
    """Keep documents with SSM's other state."""
    get_state: Any = service.get_state
    load: Any = service.load_persisted_state

    def load_persisted_state(state: dict[str, Any]) -> None:
        load(state)
        _documents.update((state or {}).get("documents", {}))

    replace(service.__name__, "get_state", lambda: {**get_state(), "documents": copy.deepcopy(_documents)})
    replace(service.__name__, "load_persisted_state", load_persisted_state)
