"""What goes wrong in a query, in the words Athena uses."""

from __future__ import annotations

import re

import duckdb


class RequestRefused(Exception):  # noqa: N818 - an answer, not a fault
    """An API call that Athena refuses with an error response, before any query exists.

    Args:
        message: the text of the response.
        code: exception name of the API, such as ``InvalidRequestException``.
        athena_code: value of ``AthenaErrorCode`` in the response, or None.
    """

    def __init__(
        self, message: str, code: str = "InvalidRequestException", athena_code: str | None = "INVALID_INPUT"
    ) -> None:
        super().__init__(message)
        self.code, self.athena_code = code, athena_code


class MalformedQuery(RequestRefused):
    """A statement that does not parse: Athena refuses it when it is submitted."""

    def __init__(self, message: str) -> None:
        super().__init__(message, athena_code="MALFORMED_QUERY")


class QueryFailed(Exception):  # noqa: N818 - the state a query ends in
    """A query that ends FAILED; its text is the query's StateChangeReason."""


class QueryCancelled(Exception):  # noqa: N818 - the state a query ends in
    """A query that ends CANCELLED; its text is the query's StateChangeReason."""


def not_supported(what: str) -> QueryFailed:
    """The failure of a statement that this local Athena cannot run as AWS would."""
    return QueryFailed(f"NOT_SUPPORTED: {what}")


_SYSTEM, _USER = 1, 2
_ERROR_TYPES: tuple[tuple[str, int, int], ...] = (
    (r"GENERIC_INTERNAL_ERROR", _SYSTEM, 200),
    (r"EXCEEDED_MEMORY_LIMIT", _USER, 0),
    (r"HIVE_(BAD_DATA|CURSOR_ERROR)", _USER, 1001),
    (r"FAILED: ", _USER, 1003),
    (r"[A-Z_]+: line \d+:\d+:", _USER, 1006),
    (r"", _USER, 1000),
)
"""How a failure's reason begins, its category, and its type: query engine, resources, data, DDL, analysis, user."""


def athena_error(reason: str) -> dict[str, object]:
    """What GetQueryExecution tells of a failure beside its reason.

    Source: https://docs.aws.amazon.com/athena/latest/ug/error-reference.html
    """
    category, kind = next((category, kind) for begin, category, kind in _ERROR_TYPES if re.match(begin, reason))
    return {"ErrorCategory": category, "ErrorType": kind, "Retryable": False, "ErrorMessage": reason}


# What DuckDB says while it runs, and what Trino says of the same thing.
_ENGINE_ERRORS: tuple[tuple[str, str], ...] = (
    (r"Division by zero", "DIVISION_BY_ZERO: Division by zero"),
    (
        r"More than one row returned by a subquery",
        "SUBQUERY_MULTIPLE_ROWS: Scalar sub-query has returned multiple rows",
    ),
    (
        r"Could not convert string ['\"](?P<value>.*?)['\"] to (?P<type>[\w(),]+)",
        "INVALID_CAST_ARGUMENT: Cannot cast '{value}' to {type}",
    ),
    (
        r"invalid \w+ field format: \"(?P<value>.*?)\"",
        "INVALID_CAST_ARGUMENT: Value cannot be cast to date or timestamp: {value}",
    ),
    (
        r"Could not parse string \"(?P<value>.*?)\" according to format specifier",
        'INVALID_FUNCTION_ARGUMENT: Invalid format: "{value}"',
    ),
    (
        r"Could not cast value ['\"]?(?P<value>.*?)['\"]? to (?P<type>.+)",
        "INVALID_CAST_ARGUMENT: Cannot cast '{value}' to {type}",
    ),
    (
        r"Type \w+(?:\(.*?\))? with value (?P<value>\S+) can't be cast because the value is out of range for the "
        r"destination type (?P<type>\w+)",
        "NUMERIC_VALUE_OUT_OF_RANGE: Out of range for {type}: {value}",
    ),
    (r"Could not convert .*?NaN", "INVALID_CAST_ARGUMENT: Cannot cast double NaN"),
    (r"Map keys can not be NULL", "INVALID_FUNCTION_ARGUMENT: map key cannot be null"),
    (r"Map keys must be unique", "INVALID_FUNCTION_ARGUMENT: Duplicate map keys are not allowed"),
    (r"map key list does not align", "INVALID_FUNCTION_ARGUMENT: Key and value arrays must be the same length"),
    (r"Insufficient padding", "INVALID_FUNCTION_ARGUMENT: Padding string must not be empty"),
    (
        r"Window \w+ \w+ expression cannot be",
        "INVALID_WINDOW_FRAME: Window frame offset value must not be negative or null",
    ),
    (r"Argument for ntile must be greater", "INVALID_FUNCTION_ARGUMENT: Buckets must be greater than 0"),
    (r"Malformed JSON|Invalid JSON", "HIVE_CURSOR_ERROR: Row is not a valid JSON Object"),
)


def from_engine(error: duckdb.Error) -> QueryFailed:
    """The Athena failure that corresponds to a DuckDB error raised while a query ran."""
    text = str(error)
    if raised := re.search(r"\b([A-Z_]{6,}: .*?)(?:[\"'] to INT\d+.*|\", expected format.*)?$", text.split("\n")[0]):
        return QueryFailed(raised.group(1))  # what our own SQL fails with
    for pattern, reason in _ENGINE_ERRORS:
        if found := re.search(pattern, text.split("\n")[0]):
            return QueryFailed(reason.format(**found.groupdict()))
    first_line = re.sub(r"^\w+(?: \w+)* Error: ", "", text.split("\n")[0])
    if isinstance(error, duckdb.OutOfRangeException):
        return QueryFailed(f"NUMERIC_VALUE_OUT_OF_RANGE: {first_line}")
    if isinstance(error, duckdb.OutOfMemoryException):
        return QueryFailed("EXCEEDED_MEMORY_LIMIT: Query exhausted resources at this scale factor")
    if isinstance(error, duckdb.ConversionException):
        return QueryFailed(f"INVALID_CAST_ARGUMENT: {first_line}")
    if isinstance(error, (duckdb.BinderException, duckdb.CatalogException, duckdb.NotImplementedException)):
        return QueryFailed(f"NOT_SUPPORTED: this query cannot be run here: {first_line}")
    if isinstance(error, (duckdb.InvalidInputException, duckdb.IOException)):
        return QueryFailed(f"HIVE_BAD_DATA: {first_line}")
    return QueryFailed(f"GENERIC_INTERNAL_ERROR: {first_line}")
