"""What the handlers of EC2's query protocol share: parameters, filters, refusals."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from ministack.services import ec2 as service

Parameters = dict[str, Any]
"""A request as ministack hands it over: each key with a string, or a list whose first entry counts."""

Response = tuple[int, dict[str, str], bytes]


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request that EC2 answers with an error: its code, its message and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def action(handler: Callable[[Parameters], Response]) -> Callable[[Parameters], Response]:
    """Turn a `Refused` raised by `handler` into the error response that an AWS client understands."""

    @functools.wraps(handler)
    def answer(parameters: Parameters) -> Response:
        try:
            return handler(parameters)
        except Refused as refusal:
            return service._error(refusal.code, escape(refusal.message), refusal.status)

    return answer


def unsupported(name: str, reason: str) -> Callable[[Parameters], Response]:
    """A handler that refuses the action `name` and says why."""

    @action
    def refuse(_parameters: Parameters) -> Response:
        raise Refused("UnsupportedOperation", f"localaws cannot do {name}: {reason}")

    return refuse


def value(parameters: Parameters, key: str, default: str = "") -> str:
    """The single value of a parameter."""
    return str(service._p(parameters, key, default))


def flag(parameters: Parameters, key: str, *, default: bool = False) -> bool:
    """A boolean parameter."""
    return value(parameters, key, str(default)).lower() == "true"


def values(parameters: Parameters, prefix: str) -> list[str]:
    """The values of `prefix.1`, `prefix.2`, …"""
    return list(service._parse_member_list(parameters, prefix))


def indexed(parameters: Parameters, prefix: str) -> list[Parameters]:
    """The structures `prefix.1.…`, `prefix.2.…` in order, their keys without the prefix."""
    found: list[Parameters] = []
    while True:
        start = f"{prefix}.{len(found) + 1}."
        entry = {key[len(start) :]: entry for key, entry in parameters.items() if key.startswith(start)}
        if not entry:
            return found
        found.append(entry)


def required(parameters: Parameters, key: str) -> str:
    """The value of a parameter that must be there.

    Raises:
        Refused: MissingParameter.
    """
    found = value(parameters, key)
    if not found:
        raise Refused("MissingParameter", f"The request must contain the parameter {key}")
    return found


def matching(
    parameters: Parameters,
    resources: Iterable[dict[str, Any]],
    identifier: str,
    fields: Mapping[str, Callable[[dict[str, Any]], Any]],
) -> list[dict[str, Any]]:
    """The resources that pass the request's filters.

    Args:
        parameters: the request; its `Filter.N` are applied, all of which must match.
        resources: records of one kind.
        identifier: the key of a record's id, by which its tags are found.
        fields: filter name to the value, or list of values, that it compares (`*` and `?` are wildcards).

    Raises:
        Refused: InvalidParameterValue for a filter that is not supported, rather than ignoring it.
    """
    filters = service._parse_filters(parameters)
    for name in filters:
        if name not in fields and not name.startswith("tag:") and name not in ("tag-key", "tag-value"):
            raise Refused("InvalidParameterValue", f"The filter '{name}' is invalid")

    def passes(resource: dict[str, Any]) -> bool:
        if not service._resource_matches_tag_filters(resource[identifier], filters):
            return False
        for name, wanted in filters.items():
            if name in fields:
                actual = fields[name](resource)
                actual = actual if isinstance(actual, list) else [actual]
                if not any(service._glob_match(pattern, str(one)) for pattern in wanted for one in actual):
                    return False
        return True

    return [resource for resource in resources if passes(resource)]


def page(parameters: Parameters, found: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """One page of `found` by MaxResults and NextToken, and the XML of the next token."""
    start = int(value(parameters, "NextToken", "0"))
    size = int(value(parameters, "MaxResults", "1000"))
    more = start + size < len(found)
    return found[start : start + size], f"<nextToken>{start + size}</nextToken>" if more else ""


def lower(condition: object) -> str:
    """A boolean as EC2 writes it."""
    return "true" if condition else "false"
