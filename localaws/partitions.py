"""Partitions of Glue tables: filter expressions, pages, and the operations and errors that ministack lacks."""

from __future__ import annotations

import datetime
import functools
import json
import operator
import re
import time
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlglot
from ministack.core.responses import error_response_json, get_account_id, json_response
from ministack.services import glue
from sqlglot import exp

from localaws.overlay import replace

Request = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]
Values = dict[str, Any]

PAGE = 1000
"""Most partitions that one GetPartitions answers."""


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """A request that Glue answers with an error: its code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def action(handler: Callable[[Request], Request]) -> Callable[[Request], Response]:
    """A handler that answers with what it returns, or with the error of a `Refused` it raises."""

    @functools.wraps(handler)
    def answer(request: Request) -> Response:
        try:
            return json_response(handler(request))
        except Refused as refusal:
            return error_response_json(refusal.code, refusal.message, 400)

    return answer


# ── Expressions ───────────────────────────────────────────────────────────────

COMPARISONS: dict[type[exp.Expr], Callable[[Any, Any], bool]] = {
    exp.EQ: operator.eq,
    exp.NEQ: operator.ne,
    exp.LT: operator.lt,
    exp.LTE: operator.le,
    exp.GT: operator.gt,
    exp.GTE: operator.ge,
}

NUMBERS = re.compile(r"tinyint|smallint|int|bigint|long|float|double|decimal.*")


def typed(kind: str, text: str) -> Any:
    """A partition value as its key's type compares it.

    Raises:
        Refused: InvalidInputException when the text is no value of that type.
    """
    try:
        if NUMBERS.fullmatch(kind):
            return Decimal(text)
        if kind == "date":
            return datetime.date.fromisoformat(text)
        if kind == "timestamp":
            return datetime.datetime.fromisoformat(text)
    except (ValueError, InvalidOperation) as error:
        raise Refused("InvalidInputException", f"{text!r} is not a {kind}") from error
    return text


def _like(pattern: str) -> re.Pattern[str]:
    parts = {"%": ".*", "_": "."}
    return re.compile("".join(parts.get(character) or re.escape(character) for character in pattern), re.DOTALL)


class Filter:
    """The condition that a GetPartitions expression puts on a partition.

    Source: https://docs.aws.amazon.com/glue/latest/webapi/API_GetPartitions.html

    Args:
        expression: such as ``ds >= '2025-06-01' AND run IN ('a', 'b')``.
        keys: partition key, in lower case, to its type.

    Raises:
        Refused: InvalidInputException for what is not such an expression, or names another column.
    """

    def __init__(self, expression: str, keys: dict[str, str]) -> None:
        self.keys = keys
        try:
            self.condition = sqlglot.parse_one(expression, dialect="hive")
        except sqlglot.errors.SqlglotError as error:
            raise Refused("InvalidInputException", f"Unsupported expression '{expression}'") from error
        self.expression = expression
        self.matches(dict.fromkeys(keys))

    def matches(self, values: dict[str, str | None]) -> bool:
        """Whether a partition satisfies it.

        Args:
            values: partition key to the partition's value; None for one that is unknown, which satisfies nothing.
        """
        return self._holds(self.condition, values)

    def _holds(self, node: exp.Expr, values: dict[str, str | None]) -> bool:
        if isinstance(node, exp.Paren):
            return self._holds(node.this, values)
        if isinstance(node, exp.And):
            # Both sides, so that a mistake in either is found.
            return all([self._holds(node.left, values), self._holds(node.right, values)])
        if isinstance(node, exp.Or):
            return any([self._holds(node.left, values), self._holds(node.right, values)])
        if isinstance(node, exp.Not):
            return not self._holds(node.this, values)
        # sqlglot has a flag for NOT LIKE where the others are wrapped in a Not.
        return self._compares(node, values) != bool(node.args.get("negate"))

    def _compares(self, node: exp.Expr, values: dict[str, str | None]) -> bool:
        if isinstance(node, exp.Binary) and type(node) in COMPARISONS:
            compare = COMPARISONS[type(node)]
            key: exp.Expr
            if isinstance(node.left, exp.Column):
                key, literals = node.left, [node.right]
            else:
                key, literals = node.right, [node.left]
                swapped = {operator.lt: operator.gt, operator.le: operator.ge}
                swapped |= {theirs: ours for ours, theirs in swapped.items()}
                compare = swapped.get(compare, compare)
            return self._test(key, literals, values, lambda value, bounds: compare(value, bounds[0]))
        if isinstance(node, exp.In):
            return self._test(node.this, node.expressions, values, lambda value, options: value in options)
        if isinstance(node, exp.Between):
            bounds = [node.args["low"], node.args["high"]]
            return self._test(node.this, bounds, values, lambda value, limits: limits[0] <= value <= limits[1])
        if isinstance(node, exp.Like):
            return self._test(
                node.this,
                [node.expression],
                values,
                lambda value, patterns: bool(_like(str(patterns[0])).fullmatch(str(value))),
            )
        raise self._unsupported()

    def _test(
        self,
        key: exp.Expr,
        literals: list[exp.Expr],
        values: dict[str, str | None],
        holds: Callable[[Any, list[Any]], bool],
    ) -> bool:
        if not isinstance(key, exp.Column) or key.name.lower() not in self.keys or not literals:
            raise self._unsupported()
        kind = self.keys[key.name.lower()]
        wanted = [typed(kind, self._literal(literal)) for literal in literals]
        value = values[key.name.lower()]
        return value is not None and holds(typed(kind, value), wanted)

    def _literal(self, node: exp.Expr) -> str:
        if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
            return f"-{node.this.this}"
        if isinstance(node, exp.Literal):
            return str(node.this)
        raise self._unsupported()

    def _unsupported(self) -> Refused:
        return Refused("InvalidInputException", f"Unsupported expression '{self.expression}'")


# ── Operations ────────────────────────────────────────────────────────────────


def table_key(request: Request) -> str:
    """The key of the table that a request names in ministack's stores.

    Raises:
        Refused: EntityNotFoundException when there is no such table.
    """
    database, table = request.get("DatabaseName"), request.get("TableName")
    if database not in glue._databases:
        raise Refused("EntityNotFoundException", f"Database {database} not found.")
    if f"{database}/{table}" not in glue._tables:
        raise Refused("EntityNotFoundException", f"Table {table} not found.")
    return f"{database}/{table}"


def _find(key: str, values: list[str]) -> Values:
    for partition in glue._partitions.get(key, []):
        if partition["Values"] == values:
            return partition
    raise Refused("EntityNotFoundException", "Cannot find partition.")


def _require_values(key: str, values: list[str]) -> None:
    keys = glue._tables[key].get("PartitionKeys", [])
    if len(values) != len(keys):
        raise Refused(
            "InvalidInputException",
            "The number of partition keys do not match the number of partition values",
        )


def _record(request: Request, given: Values, created: int) -> Values:
    return {
        **given,
        "DatabaseName": request["DatabaseName"],
        "TableName": request["TableName"],
        "CreationTime": created,
        "LastAccessTime": int(time.time()),
        "CatalogId": get_account_id(),
    }


def _create(request: Request, given: Values) -> None:
    key, values = table_key(request), given.get("Values", [])
    _require_values(key, values)
    partitions = glue._partitions.get(key, [])
    if any(partition["Values"] == values for partition in partitions):
        raise Refused("AlreadyExistsException", "Partition already exists.")
    # Replaced whole, so that a reader in another thread sees the list before or after, never in between.
    glue._partitions[key] = [*partitions, _record(request, given, int(time.time()))]


def _update(request: Request, values: list[str], given: Values) -> None:
    key = table_key(request)
    _require_values(key, given.get("Values", []))
    existing = _find(key, values)
    partitions = glue._partitions[key]
    if given["Values"] != values and any(partition["Values"] == given["Values"] for partition in partitions):
        raise Refused("AlreadyExistsException", "Partition already exists.")
    updated = _record(request, given, existing["CreationTime"])
    glue._partitions[key] = [updated if partition is existing else partition for partition in partitions]


def _delete(request: Request, values: list[str]) -> None:
    key = table_key(request)
    doomed = _find(key, values)
    glue._partitions[key] = [partition for partition in glue._partitions[key] if partition is not doomed]
    statistics = glue._partition_column_statistics.get(key, [])
    glue._partition_column_statistics[key] = [entry for entry in statistics if entry.get("Values") != values]


def page(request: Request, name: str, found: list[Values]) -> Request:
    """The page of a list that a request asks for.

    Raises:
        Refused: InvalidInputException when its token is not of such a list.
    """
    try:
        start = int(request.get("NextToken") or 0)
    except ValueError as error:
        raise Refused("InvalidInputException", "Invalid NextToken") from error
    end = start + min(int(request.get("MaxResults") or PAGE), PAGE)
    return {name: found[start:end], **({"NextToken": str(end)} if end < len(found) else {})}


def each(name: str, entries: Iterable[tuple[Any, Callable[[], None]]]) -> Request:
    """Do each part of a batch, and report those that were refused."""
    errors = []
    for values, do in entries:
        try:
            do()
        except Refused as refusal:
            detail = {"ErrorCode": refusal.code, "ErrorMessage": refusal.message}
            errors.append({name: values, "ErrorDetail": detail})
    return {"Errors": errors}


@action
def create_partition(request: Request) -> Request:
    _create(request, request["PartitionInput"])
    return {}


@action
def update_partition(request: Request) -> Request:
    _update(request, request["PartitionValueList"], request["PartitionInput"])
    return {}


@action
def delete_partition(request: Request) -> Request:
    _delete(request, request["PartitionValues"])
    return {}


@action
def get_partition(request: Request) -> Request:
    return {"Partition": _find(table_key(request), request["PartitionValues"])}


@action
def batch_create_partition(request: Request) -> Request:
    table_key(request)
    given = request["PartitionInputList"]
    entries = [(one.get("Values", []), functools.partial(_create, request, one)) for one in given]
    return each("PartitionValues", entries)


@action
def batch_update_partition(request: Request) -> Request:
    table_key(request)
    return each(
        "PartitionValueList",
        [
            (
                one["PartitionValueList"],
                functools.partial(_update, request, one["PartitionValueList"], one["PartitionInput"]),
            )
            for one in request["Entries"]
        ],
    )


@action
def batch_delete_partition(request: Request) -> Request:
    table_key(request)
    doomed = [one["Values"] for one in request["PartitionsToDelete"]]
    return each("PartitionValues", [(values, functools.partial(_delete, request, values)) for values in doomed])


@action
def batch_get_partition(request: Request) -> Request:
    key = table_key(request)
    wanted = [one["Values"] for one in request["PartitionsToGet"]]
    found = [partition for partition in glue._partitions.get(key, []) if partition["Values"] in wanted]
    return {"Partitions": found, "UnprocessedKeys": []}


@action
def get_partitions(request: Request) -> Request:
    key = table_key(request)
    types = {one["Name"].lower(): one.get("Type", "string").lower() for one in glue._tables[key]["PartitionKeys"]}
    found = sorted(glue._partitions.get(key, []), key=lambda partition: partition["Values"])
    if request.get("Expression"):
        condition = Filter(request["Expression"], types)
        found = [one for one in found if condition.matches(dict(zip(types, one["Values"], strict=True)))]
    if segment := request.get("Segment"):
        found = found[segment["SegmentNumber"] :: segment["TotalSegments"]]
    if request.get("ExcludeColumnSchema"):
        found = [_without_columns(partition) for partition in found]
    return page(request, "Partitions", found)


def _without_columns(partition: Values) -> Values:
    descriptor = {name: value for name, value in partition["StorageDescriptor"].items() if name != "Columns"}
    return {**partition, "StorageDescriptor": descriptor}


ADDED = {"UpdatePartition": update_partition, "BatchDeletePartition": batch_delete_partition}


def add_actions(actions: dict[str, Callable[[Request], Response]]) -> None:
    """Make Glue answer actions that ministack does not know.

    Args:
        actions: name of the action to its handler.
    """
    theirs: Any = glue._handle_request_sync

    def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, query_params: Any) -> Response:
        handler = actions.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if handler is None:
            return theirs(method, path, headers, body, query_params)
        return handler(json.loads(body or b"{}"))

    replace(glue.__name__, "_handle_request_sync", handle_request)


def install() -> None:
    """Put these operations in ministack's place."""
    for name, handler in {
        "_create_partition": create_partition,
        "_delete_partition": delete_partition,
        "_get_partition": get_partition,
        "_get_partitions": get_partitions,
        "_batch_create_partition": batch_create_partition,
        "_batch_update_partition": batch_update_partition,
        "_batch_get_partition": batch_get_partition,
    }.items():
        replace(glue.__name__, name, handler)
    add_actions(ADDED)
