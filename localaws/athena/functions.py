"""Trino's functions: what they take, what they return, and how DuckDB computes it.

A function that is not in `SCALAR`, `AGGREGATE` or `WINDOW` is refused, even where DuckDB has one by that name: what
runs here must also run on Athena. Names and types: https://trino.io/docs/current/functions.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localaws.athena import computed, types
from localaws.athena.errors import QueryFailed, not_supported
from localaws.athena.expressions import Typed, divide, failure, modulus, scaled, unscaled
from localaws.athena.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    JSON,
    REAL,
    TIMESTAMP,
    TIMESTAMP_TZ,
    VARBINARY,
    VARCHAR,
    Type,
    array,
    decimal,
    text,
)  # fmt: skip

Arguments = list[Typed]
Render = Callable[..., str]
"""``render(name, *sql)`` writes one DuckDB aggregate, with the DISTINCT, ORDER BY, FILTER and OVER of the call."""


@dataclass(frozen=True)
class Scalar:
    """A scalar function.

    Attributes:
        parameters: one letter for each parameter, separated by blanks, followed by ``?`` (optional) or ``*`` (any
            number): n number, i integer, d double, s text, t date or timestamp, b boolean, l array, L array whose
            elements get one type with those of the other L and with e, an element,
            m map, x binary, v interval, q number or interval, w date, timestamp or interval, j JSON or text, k constant
            text, c values of one common type, a anything, f lambda.
        returns: its type, or a function of the arguments that gives it.
        sql: a template with ``{0}``, ``{1}`` for the arguments, or a function of the arguments.
        pure: False when two calls may differ.
    """

    parameters: str
    returns: Type | Callable[[Arguments], Type]
    sql: str | Callable[[Arguments], str]
    pure: bool = True


@dataclass(frozen=True)
class Aggregate:
    """An aggregate or window function; `sql` is the name of DuckDB's, or writes the call through a `Render`."""

    parameters: str
    returns: Type | Callable[[Arguments], Type]
    sql: str | Callable[[Arguments, Render], str]


MAX_LENGTH = 2**31 - 2


def _first(arguments: Arguments) -> Type:
    return arguments[0].type


def _list_of_first(arguments: Arguments) -> Type:
    return array(_first(arguments))


def _times(factor: int, arguments: Arguments) -> int | None:
    length = _length(_first(arguments))
    return None if length is None else factor * length


def _constant(argument: Typed, function: str) -> str:
    if argument.literal is None:
        raise not_supported(f"function {function} with a pattern or unit that is not a constant")
    return argument.literal


# Numbers


def _rounded(arguments: Arguments) -> Type:
    kind = _first(arguments)
    if not kind.is_decimal:
        return kind
    if len(arguments) == 1:
        return decimal(max(1, kind.precision - kind.scale + min(kind.scale, 1)), 0)
    return decimal(kind.precision + 1, kind.scale)


def _round(arguments: Arguments) -> str:
    value = arguments[0]
    if len(arguments) == 1:
        return f"round({value.sql})"
    if value.type.is_decimal:
        digits = int(_constant(arguments[1], "round"))
        if digits >= value.type.scale:
            return value.sql
        unit = decimal(types.MAX_PRECISION, digits) if digits >= 0 else decimal(types.MAX_PRECISION, 0)
        if digits < 0:
            power = f"CAST(1{'0' * -digits} AS HUGEINT)"
            return f"athena_divide({unscaled(value.sql, value.type)}, {power} * {10**value.type.scale}) * {power}"
        return f"CAST({value.sql} AS {unit.duckdb})"
    return f"round({value.sql}, CAST({arguments[1].sql} AS INTEGER))"


def _truncated(arguments: Arguments) -> Type:
    kind = _first(arguments)
    return decimal(max(1, kind.precision - kind.scale), 0) if kind.is_decimal and len(arguments) == 1 else kind


def _truncate(arguments: Arguments) -> str:
    kind = _first(arguments)
    if not kind.is_decimal or len(arguments) == 1:
        return f"trunc({arguments[0].sql})" if len(arguments) == 1 else f"trunc({arguments[0].sql}, {arguments[1].sql})"
    drop = max(0, kind.scale - int(_constant(arguments[1], "truncate")))
    power = f"CAST(1{'0' * drop} AS HUGEINT)"
    return scaled(f"({unscaled(arguments[0].sql, kind)} // {power} * {power})", kind)


def _whole(arguments: Arguments) -> Type:
    kind = _first(arguments)
    if not kind.is_decimal:
        return kind
    return decimal(max(1, kind.precision - kind.scale + min(kind.scale, 1)), 0)


def _modulus(arguments: Arguments) -> Typed:
    left, right = arguments
    kind = types.common_number(left.type, right.type)
    if kind.is_decimal:
        return modulus(left, right)
    return Typed(f"({left.cast(kind).sql} % {right.cast(kind).sql})", kind)


# Text


def _replace(arguments: Arguments) -> str:
    value, search, *replacement = (argument.sql for argument in arguments)
    return f"replace({value}, {search}, {replacement[0] if replacement else text('')})"


def _substring(arguments: Arguments) -> str:
    # Trino gives '' for a start beyond the text or 0, and for a length below 1; DuckDB counts from there.
    value, start, *length = (argument.sql for argument in arguments)
    call = f"substring({value}, {start}{''.join(', ' + n for n in length)})"
    none = "".join(f" OR {n} <= 0" for n in length)
    empty = f"{start} = 0 OR {start} < -length({value}){none}"
    return f"CASE WHEN {value} IS NULL THEN NULL WHEN {empty} THEN '' ELSE {call} END"


def _computed(name: str, *defaults: str) -> Callable[[Arguments], str]:
    """A function in Python, with what its last parameters are when they are not given."""
    wanted = next(len(one.parameters) for one in computed.FUNCTIONS if one.name == f"athena_{name}")

    def write(arguments: Arguments) -> str:
        given = [argument.sql for argument in arguments]
        missing = wanted - len(given)
        return f"athena_{name}({', '.join([*given, *defaults[len(defaults) - missing :]])})"

    return write


def _length(kind: Type) -> int | None:
    return int(kind.args[0]) if kind.args else None


def _text_of(length: int | None) -> Type:
    return VARCHAR if length is None or length > MAX_LENGTH else Type("varchar", (length,))


def _replaced_type(arguments: Arguments) -> Type:
    """As long as a replacement at every place makes it. Source: Trino's StringFunctions.replace."""
    if len(arguments) == 2:
        return _first(arguments)
    value, replacement = _length(arguments[0].type), _length(arguments[2].type)
    return _text_of(None if value is None or replacement is None else value + replacement * (value + 1))


def _regex_replaced_type(arguments: Arguments) -> Type:
    """Source: Trino's RegexpFunctions.regexpReplace."""
    if len(arguments) == 2:
        return _first(arguments)
    value, replacement = _length(arguments[0].type), _length(arguments[2].type)
    return _text_of(None if value is None or replacement is None else value + value * replacement // 2 * (value + 1))


def _pad(side: str) -> Callable[[Arguments], str]:
    wrong = failure(text("INVALID_FUNCTION_ARGUMENT: Target length must be in the range [0..2147483647]"))

    def write(arguments: Arguments) -> str:
        value, size, filling = (argument.sql for argument in arguments)
        return f"{side}pad({value}, CAST(CASE WHEN {size} < 0 THEN {wrong} ELSE {size} END AS INTEGER), {filling})"

    return write


# Dates and times

_UNITS = {
    "millisecond": "to_milliseconds", "second": "to_seconds", "minute": "to_minutes", "hour": "to_hours",
    "day": "to_days", "week": "to_weeks", "month": "to_months", "quarter": "to_quarters", "year": "to_years",
}  # fmt: skip


def _unit(argument: Typed, value: Typed, function: str) -> str:
    unit = _constant(argument, function).lower()
    smaller_than_day = ("millisecond", "second", "minute", "hour")
    if unit not in _UNITS or (value.type.base == "date" and unit in smaller_than_day):
        raise QueryFailed(f"INVALID_FUNCTION_ARGUMENT: '{unit}' is not a valid {value.type.base.upper()} field")
    return unit


def _date_add(arguments: Arguments) -> str:
    unit, count, value = arguments
    function = _UNITS[_unit(unit, value, "date_add")]
    number = count.sql if function in ("to_milliseconds", "to_seconds", "to_minutes", "to_hours") else (
        f"CAST({count.sql} AS INTEGER)"
    )  # fmt: skip
    return f"({value.sql} + {function}({number}))"


def _date_diff(arguments: Arguments) -> str:
    unit, start, end = arguments
    kind = types.common(start.type, end.type)
    if kind is None:
        raise QueryFailed(f"TYPE_MISMATCH: Unexpected parameters ({start.type}, {end.type}) for function date_diff")
    return f"date_sub('{_unit(unit, end, 'date_diff')}', {start.cast(kind).sql}, {end.cast(kind).sql})"


def _date_trunc(arguments: Arguments) -> str:
    unit, value = arguments
    if unit.literal is None:
        return f"date_trunc({unit.sql}, {value.sql})"
    return f"date_trunc('{_unit(unit, value, 'date_trunc')}', {value.sql})"


_SECONDS = {"day": (86400, 1 << 40), "hour": (3600, 24), "minute": (60, 60), "second": (1, 60)}


def _part(name: str) -> Scalar:
    def write(arguments: Arguments) -> str:
        value = arguments[0]
        if value.type == types.INTERVAL_DAY and name in _SECONDS:
            size, count = _SECONDS[name]
            return f"(CAST(trunc(epoch({value.sql})) AS BIGINT) // {size} % {count})"
        if value.type.base in types.INTERVALS and not (value.type == types.INTERVAL_YEAR and name in ("year", "month")):
            raise QueryFailed(f"FUNCTION_NOT_FOUND: Unexpected parameters ({value.type}) for function {name}")
        return f"date_part('{name}', {value.sql})"

    return Scalar("w", BIGINT, write)


# Arrays, maps, JSON


def _element(arguments: Arguments) -> Type:
    kind = _first(arguments)
    return kind.args[1] if kind.base == "map" else kind.args[0]


def _element_at(arguments: Arguments) -> str:
    if _first(arguments).base == "map":
        return f"map_extract_value({arguments[0].sql}, {arguments[1].cast(_first(arguments).args[0]).sql})"
    return f"list_extract({arguments[0].sql}, {arguments[1].sql})"


def _text_length(arguments: Arguments) -> str:
    kind = _first(arguments)
    if kind.base == "varbinary":
        return f"octet_length({arguments[0].sql})"
    if not kind.is_text and kind.base != "unknown":
        raise QueryFailed(f"FUNCTION_NOT_FOUND: Unexpected parameters ({kind}) for function length")
    return f"length({arguments[0].sql})"


def _codepoint(arguments: Arguments) -> str:
    kind = _first(arguments)
    if kind.args != (1,):
        raise QueryFailed(
            f"FUNCTION_NOT_FOUND: Unexpected parameters ({kind}) for function codepoint. "
            "Expected: codepoint(varchar(1))"
        )
    return f"unicode({arguments[0].sql})"


def _concat_ws(arguments: Arguments) -> str:
    separator, *values = arguments
    if len(values) == 1 and values[0].type.base == "array":
        return f"array_to_string({values[0].sql}, {separator.sql})"
    return _call("concat_ws")(arguments)


def _map_of_text(arguments: Arguments) -> Type:  # noqa: ARG001 - of whatever it is made
    return Type("map", (VARCHAR, VARCHAR))


def _split_to_map(arguments: Arguments) -> str:
    value, entries, pairs = (argument.sql for argument in arguments)
    pair = f"struct_pack(k := split_part(e, {pairs}, 1), v := split_part(e, {pairs}, 2))"
    return f"map_from_entries(list_transform(string_split({value}, {entries}), lambda e: {pair}))"


def _random_type(arguments: Arguments) -> Type:
    return _first(arguments) if arguments else DOUBLE


def _random(arguments: Arguments) -> str:
    if not arguments:
        return "random()"
    low, high = ("0", arguments[0].sql) if len(arguments) == 1 else (arguments[0].sql, arguments[1].sql)
    return f"CAST(floor({low} + random() * ({high} - {low})) AS BIGINT)"


def _call(name: str) -> Callable[[Arguments], str]:
    return lambda arguments: f"{name}({', '.join(argument.sql for argument in arguments)})"


def _sequence_type(arguments: Arguments) -> Type:
    return array(_first(arguments) if _first(arguments).is_temporal else BIGINT)


def _sequence(arguments: Arguments) -> str:
    first, last, *step = (argument.sql for argument in arguments)
    if step and arguments[2].type == types.INTERVAL_YEAR:
        # By so many months from the first one: from the one before, the 31st would stay the 29th for ever.
        months = f"(datepart('year', {step[0]}) * 12 + datepart('month', {step[0]}))"
        count = f"(abs(date_diff('month', {first}, {last})) // abs({months}) + 1)"
        every = f"list_transform(range({count}), lambda i: {first} + to_months(CAST(i * {months} AS INTEGER)))"
        return f"list_filter({every}, lambda d: CASE WHEN {months} > 0 THEN d <= {last} ELSE d >= {last} END)"
    if _first(arguments).is_temporal:
        each_day = f"CASE WHEN {first} <= {last} THEN INTERVAL 1 DAY ELSE to_days(-1) END"
        return f"generate_series({first}, {last}, {step[0] if step else each_day})"
    by = step[0] if step else f"CASE WHEN {first} <= {last} THEN 1 ELSE -1 END"
    # Trino's own limit.
    long = failure("'INVALID_FUNCTION_ARGUMENT: result of sequence function must not have more than 10000 entries'")
    end = f"CASE WHEN ({last} - {first}) // ({by}) >= 10000 THEN {long} ELSE {last} END"
    return f"generate_series({first}, {end}, {by})"


OF_INSTANTS = ("to_unixtime", "typeof", "greatest", "least")
"""Functions to which the zone of a timestamp is no matter; the others are about what the clocks there show."""


def of_hours(name: str, arguments: Arguments) -> bool:
    """Whether a call counts hours, or less, which pass whatever the clocks show."""
    units = ("hour", "minute", "second", "millisecond")
    return name in ("date_diff", "date_add") and str(arguments[0].literal).lower() in units


_NEGATIVE = failure(text("INVALID_FUNCTION_ARGUMENT: size must not be negative"))
_NO_INDEX = failure(text("INVALID_FUNCTION_ARGUMENT: Index must be greater than zero"))
_NO_START = failure(text("INVALID_FUNCTION_ARGUMENT: SQL array indices start at 1"))


def _multimap_of_entries(arguments: Arguments) -> str:
    key, value = (text(name or f"field{number}") for number, (name, _) in enumerate(_element(arguments).args))
    pair = f"struct_pack(k := struct_extract(e, {key}), v := struct_extract(e, {value}))"
    return f"athena_multimap_agg(list_transform({arguments[0].sql}, lambda e: {pair}))"


SCALAR: dict[str, Scalar] = {
    # Numbers
    "abs": Scalar("n", _first, "abs({0})"),
    "ceil": Scalar("n", _whole, "ceil({0})"),
    "ceiling": Scalar("n", _whole, "ceil({0})"),
    "floor": Scalar("n", _whole, "floor({0})"),
    "round": Scalar("n i?", _rounded, _round),
    "truncate": Scalar("n i?", _truncated, _truncate),
    "sign": Scalar("n", lambda a: decimal(1, 0) if _first(a).is_decimal else _first(a), "sign({0})"),
    "mod": Scalar("n n", lambda a: _modulus(a).type, lambda a: _modulus(a).sql),
    "power": Scalar("d d", DOUBLE, "pow({0}, {1})"),
    "pow": Scalar("d d", DOUBLE, "pow({0}, {1})"),
    "sqrt": Scalar("d", DOUBLE, "sqrt({0})"),
    "cbrt": Scalar("d", DOUBLE, "cbrt({0})"),
    "exp": Scalar("d", DOUBLE, "exp({0})"),
    "ln": Scalar("d", DOUBLE, "ln({0})"),
    "log": Scalar("d d", DOUBLE, "(ln({1}) / ln({0}))"),
    "log2": Scalar("d", DOUBLE, "log2({0})"),
    "log10": Scalar("d", DOUBLE, "log10({0})"),
    "pi": Scalar("", DOUBLE, "pi()"),
    "e": Scalar("", DOUBLE, "exp(1)"),
    **{name: Scalar("d", DOUBLE, f"{name}({{0}})") for name in ("acos", "asin", "atan", "sinh", "cosh", "tanh")},
    "atan2": Scalar("d d", DOUBLE, "atan2({0}, {1})"),
    "from_base": Scalar("s i", BIGINT, _computed("from_base")),
    "to_base": Scalar("i i", VARCHAR, _computed("to_base")),
    "bitwise_left_shift": Scalar("n i", _first, "CASE WHEN {1} >= 64 THEN 0 ELSE (CAST({0} AS BIGINT) << {1}) END"),
    "bitwise_right_shift": Scalar("n i", _first, "CASE WHEN {1} >= 64 THEN 0 ELSE (CAST({0} AS BIGINT) >> {1}) END"),
    "sin": Scalar("d", DOUBLE, "sin({0})"),
    "cos": Scalar("d", DOUBLE, "cos({0})"),
    "tan": Scalar("d", DOUBLE, "tan({0})"),
    "radians": Scalar("d", DOUBLE, "radians({0})"),
    "degrees": Scalar("d", DOUBLE, "degrees({0})"),
    "is_nan": Scalar("d", BOOLEAN, "isnan({0})"),
    "is_finite": Scalar("d", BOOLEAN, "isfinite({0})"),
    "is_infinite": Scalar("d", BOOLEAN, "isinf({0})"),
    "nan": Scalar("", DOUBLE, "'NaN'::DOUBLE"),
    "infinity": Scalar("", DOUBLE, "'Infinity'::DOUBLE"),
    "rand": Scalar("n? n?", _random_type, _random, pure=False),
    "random": Scalar("n? n?", _random_type, _random, pure=False),
    "bitwise_and": Scalar("i i", BIGINT, "({0} & {1})"),
    "bitwise_or": Scalar("i i", BIGINT, "({0} | {1})"),
    "bitwise_xor": Scalar("i i", BIGINT, "xor({0}, {1})"),
    "bitwise_not": Scalar("i", BIGINT, "(~{0})"),
    "greatest": Scalar(
        "c c*", _first, lambda a: _strict(a, "greatest")
    ),
    "least": Scalar("c c*", _first, lambda a: _strict(a, "least")),
    "width_bucket": Scalar(
        "d d d i", BIGINT,
        "CASE WHEN {0} < {1} THEN 0 WHEN {0} >= {2} THEN {3} + 1 "
        "ELSE CAST(floor(({0} - {1}) / ({2} - {1}) * {3}) AS BIGINT) + 1 END",
    ),
    # Text
    "length": Scalar("a", BIGINT, _text_length),
    "format_number": Scalar("i", VARCHAR, _computed("format_number")),
    "human_readable_seconds": Scalar("d", VARCHAR, _computed("human_readable_seconds")),
    "soundex": Scalar("s", Type("varchar", (4,)), _computed("soundex")),
    "luhn_check": Scalar("s", BOOLEAN, _computed("luhn_check")),
    **{
        f"url_extract_{part}": Scalar("s", _first, f"athena_url_part({{0}}, '{part}')")
        for part in ("protocol", "host", "path", "query", "fragment")
    },
    "url_extract_port": Scalar("s", BIGINT, _computed("url_port")),
    "url_extract_parameter": Scalar("s s", _first, _computed("url_parameter")),
    "json_value": Scalar("j s", VARCHAR, "athena_sql_json_value(CAST({0} AS VARCHAR), {1})"),
    "json_exists": Scalar("j s", BOOLEAN, "athena_sql_json_exists(CAST({0} AS VARCHAR), {1})"),
    "json_query": Scalar("j s", VARCHAR, "athena_sql_json_query(CAST({0} AS VARCHAR), {1})"),
    "split_to_map": Scalar("s s s", _map_of_text, _split_to_map),
    "char_length": Scalar("s", BIGINT, "length({0})"),
    "character_length": Scalar("s", BIGINT, "length({0})"),
    "lower": Scalar("s", _first, "athena_lower({0})"),
    "upper": Scalar("s", _first, "athena_upper({0})"),
    "trim": Scalar("s", _first, "trim({0}, E' \\t\\n\\r\\f')"),
    "ltrim": Scalar("s", _first, "ltrim({0}, E' \\t\\n\\r\\f')"),
    "rtrim": Scalar("s", _first, "rtrim({0}, E' \\t\\n\\r\\f')"),
    "reverse": Scalar("s", _first, "reverse({0})"),
    "replace": Scalar("s s s?", _replaced_type, _replace),
    "substring": Scalar("s i i?", _first, _substring),
    "substr": Scalar("s i i?", _first, _substring),
    "strpos": Scalar("s s i?", BIGINT, _computed("strpos", "1")),
    "index": Scalar("s s", BIGINT, "strpos({0}, {1})"),
    "starts_with": Scalar("s s", BOOLEAN, "starts_with({0}, {1})"),
    "split": Scalar(
        "s s i?", _list_of_first, lambda a: _computed("split_limited" if len(a) == 3 else "split")(a)
    ),
    "split_part": Scalar(
        "s s i", _first,
        f"CASE WHEN {{2}} < 1 THEN CAST({_NO_INDEX} AS VARCHAR) "
        "WHEN {2} <= len(string_split({0}, {1})) THEN split_part({0}, {1}, {2}) END",
    ),
    "lpad": Scalar("s i s", VARCHAR, _pad("l")),
    "rpad": Scalar("s i s", VARCHAR, _pad("r")),
    "chr": Scalar("i", VARCHAR, "chr(CAST({0} AS INTEGER))"),
    "codepoint": Scalar("s", types.INTEGER, _codepoint),
    "translate": Scalar("s s s", VARCHAR, "translate({0}, {1}, {2})"),
    "levenshtein_distance": Scalar("s s", BIGINT, "levenshtein({0}, {1})"),
    "hamming_distance": Scalar("s s", BIGINT, "hamming({0}, {1})"),
    "concat_ws": Scalar("s a*", VARCHAR, _concat_ws),
    "regexp_like": Scalar("s s", BOOLEAN, _computed("regexp_like")),
    "regexp_extract": Scalar("s s i?", _first, _computed("regexp_extract", "0")),
    "regexp_extract_all": Scalar("s s i?", _list_of_first, _computed("regexp_extract_all", "0")),
    "regexp_replace": Scalar("s s s?", _regex_replaced_type, _computed("regexp_replace", "''")),
    "regexp_split": Scalar("s s", _list_of_first, _computed("regexp_split")),
    "regexp_count": Scalar("s s", BIGINT, _computed("regexp_count")),
    "regexp_position": Scalar("s s i? i?", types.INTEGER, _computed("regexp_position", "1", "1")),
    "md5": Scalar("x", VARBINARY, "unhex(md5({0}))"),
    "sha1": Scalar("x", VARBINARY, "unhex(sha1({0}))"),
    "sha256": Scalar("x", VARBINARY, "unhex(sha256({0}))"),
    "sha512": Scalar("x", VARBINARY, "athena_digest({0}, 'sha512')"),
    "crc32": Scalar("x", BIGINT, _computed("crc32")),
    **{
        f"hmac_{name}": Scalar("x x", VARBINARY, f"athena_hmac_digest({{0}}, {{1}}, '{name}')")
        for name in ("md5", "sha1", "sha256", "sha512")
    },
    "to_hex": Scalar("x", VARCHAR, "hex({0})"),
    "from_hex": Scalar("s", VARBINARY, "unhex({0})"),
    "to_base64": Scalar("x", VARCHAR, "to_base64({0})"),
    "from_base64": Scalar("s", VARBINARY, "from_base64({0})"),
    "to_utf8": Scalar("s", VARBINARY, "encode({0})"),
    "from_utf8": Scalar("x s?", VARCHAR, _computed("decoded", "'\ufffd'")),
    "uuid": Scalar("", types.UUID, "uuid()", pure=False),
    "url_encode": Scalar("s", lambda a: _text_of(_times(12, a)), _computed("url_encode")),
    "url_decode": Scalar("s", _first, _computed("url_decode")),
    # Dates and times
    "current_timezone": Scalar("", VARCHAR, "'UTC'"),
    "date": Scalar("a", DATE, lambda a: f"athena_date_text({a[0].sql})" if _first(a).is_text else a[0].sql),
    "year": _part("year"),
    "month": _part("month"),
    "day": _part("day"),
    "day_of_month": _part("day"),
    "hour": _part("hour"),
    "minute": _part("minute"),
    "second": _part("second"),
    "millisecond": Scalar("t", BIGINT, "(date_part('millisecond', {0}) % 1000)"),
    "quarter": _part("quarter"),
    "week": _part("week"),
    "week_of_year": _part("week"),
    "year_of_week": _part("isoyear"),
    "yow": _part("isoyear"),
    "day_of_week": _part("isodow"),
    "dow": _part("isodow"),
    "day_of_year": _part("doy"),
    "doy": _part("doy"),
    "last_day_of_month": Scalar("t", DATE, "last_day({0})"),
    "date_trunc": Scalar("s t", lambda a: a[1].type, _date_trunc),
    "date_add": Scalar("k i t", lambda a: a[2].type, _date_add),
    "date_diff": Scalar("k t t", BIGINT, _date_diff),
    "date_format": Scalar("t s", VARCHAR, "athena_date_format(CAST({0} AS TIMESTAMP), {1})"),
    "date_parse": Scalar("s s", TIMESTAMP, _computed("date_parse")),
    "from_iso8601_date": Scalar("s", DATE, _computed("iso_date")),
    "to_milliseconds": Scalar("v", BIGINT, "CAST(epoch({0}) * 1000 AS BIGINT)"),
    "from_unixtime": Scalar("d", TIMESTAMP_TZ, "to_timestamp({0})"),
    "to_unixtime": Scalar("t", DOUBLE, "epoch({0})"),
    # Arrays, maps, JSON
    "cardinality": Scalar("a", BIGINT, lambda a: f"{'cardinality' if _first(a).base == 'map' else 'len'}({a[0].sql})"),
    "contains": Scalar("L e", BOOLEAN, "athena_contains({0}, {1})"),
    "element_at": Scalar("a a", _element, _element_at),
    "array_distinct": Scalar("l", _first, "athena_distinct({0})"),
    "array_sort": Scalar("l", _first, "list_sort({0}, 'ASC', 'NULLS LAST')"),
    "array_max": Scalar("l", _element, "CASE WHEN list_count({0}) = len({0}) THEN list_max({0}) END"),
    "array_min": Scalar("l", _element, "CASE WHEN list_count({0}) = len({0}) THEN list_min({0}) END"),
    "array_position": Scalar(
        "L e", BIGINT, "CASE WHEN {0} IS NOT NULL AND {1} IS NOT NULL THEN coalesce(list_position({0}, {1}), 0) END"
    ),
    "array_intersect": Scalar("L L", _first, "list_filter(athena_distinct({0}), lambda x: athena_has({1}, x))"),
    "array_union": Scalar("L L", _first, "athena_distinct(({0} || {1}))"),
    "array_except": Scalar("L L", _first, "list_filter(athena_distinct({0}), lambda x: NOT athena_has({1}, x))"),
    "array_remove": Scalar(
        "L e", _first, "CASE WHEN {1} IS NOT NULL THEN list_filter({0}, lambda x: x IS DISTINCT FROM {1}) END"
    ),
    "arrays_overlap": Scalar("L L", BOOLEAN, "athena_overlap({0}, {1})"),
    "flatten": Scalar("l", _element, "flatten({0})"),
    "trim_array": Scalar(
        "l i", _first, f"list_slice({{0}}, 1, CASE WHEN {{1}} < 0 THEN {_NEGATIVE} ELSE len({{0}}) - {{1}} END)"
    ),
    "ngrams": Scalar(
        "l i", lambda a: array(_first(a)),
        "list_transform(range(1, greatest(len({0}) - {1} + 1, 1) + 1), lambda i: {0}[i:i + {1} - 1])",
    ),
    "shuffle": Scalar("l", _first, "list_sort({0})", pure=False),
    "array_histogram": Scalar(
        "l", lambda a: Type("map", (_element(a), BIGINT)),
        "map_from_entries(list_transform(list_filter(athena_distinct({0}), lambda x: x IS NOT NULL), "
        "lambda x: struct_pack(k := x, v := len(list_filter({0}, lambda y: y = x)))))",
    ),
    "contains_sequence": Scalar(
        "L L", BOOLEAN,
        "CASE WHEN {0} IS NOT NULL AND {1} IS NOT NULL THEN len({1}) = 0 OR "
        "list_contains("
        "list_transform(range(1, len({0}) - len({1}) + 2), lambda i: {0}[i:i + len({1}) - 1] = {1}), true) END",
    ),
    "map_entries": Scalar(
        "m", lambda a: array(Type("row", tuple(("", kind) for kind in _first(a).args))),
        "list_transform(map_entries({0}), lambda e: struct_pack(field0 := e.key, field1 := e.value))",
    ),
    "map_from_entries": Scalar(
        "l", lambda a: Type("map", tuple(kind for _, kind in _element(a).args)), "map_from_entries({0})"
    ),
    "multimap_from_entries": Scalar(
        "l", lambda a: Type("map", (_element(a).args[0][1], array(_element(a).args[1][1]))),
        _multimap_of_entries,
    ),
    "map_concat": Scalar("m m", _first, "map_concat({0}, {1})"),
    "slice": Scalar(
        "l i i", _first,
        f"list_slice({{0}}, CASE WHEN {{1}} = 0 THEN {_NO_START} "
        "ELSE {1} END, CASE WHEN {1} < 0 THEN len({0}) + {1} + {2} ELSE {1} + {2} - 1 END)",
    ),
    "sequence": Scalar("a a a?", _sequence_type, _sequence),
    "repeat": Scalar("a i", lambda a: array(_first(a)), "list_transform(range({1}), lambda x: {0})"),
    "map_keys": Scalar("m", lambda a: array(_first(a).args[0]), "map_keys({0})"),
    "map_values": Scalar("m", lambda a: array(_first(a).args[1]), "map_values({0})"),
    "json_extract": Scalar("j s", JSON, "athena_json_extract(CAST({0} AS VARCHAR), {1})"),
    "json_extract_scalar": Scalar(
        "j s", lambda a: _first(a) if _first(a).is_text else VARCHAR,
        "athena_json_extract_scalar(CAST({0} AS VARCHAR), {1})",
    ),
    "json_parse": Scalar("s", JSON, _computed("json_parse")),
    "json_format": Scalar("j", VARCHAR, "CAST({0} AS VARCHAR)"),
    "json_array_length": Scalar("j", BIGINT, "athena_json_array_length(CAST({0} AS VARCHAR))"),
    "json_array_contains": Scalar(
        "j a", BOOLEAN, "athena_json_array_contains(CAST({0} AS VARCHAR), CAST(to_json({1}) AS VARCHAR))"
    ),
    "json_size": Scalar("j s", BIGINT, "athena_json_size(CAST({0} AS VARCHAR), {1})"),
    "is_json_scalar": Scalar("j", BOOLEAN, "athena_is_json_scalar(CAST({0} AS VARCHAR))"),
    # Lambdas
    "transform": Scalar("l f", lambda a: array(a[1].type), "list_transform({0}, {1})"),
    "filter": Scalar("l f", _first, "list_filter({0}, {1})"),
    "any_match": Scalar("l f", BOOLEAN, "athena_contains(list_transform({0}, {1}), true)"),
    "all_match": Scalar("l f", BOOLEAN, "NOT athena_contains(list_transform({0}, {1}), false)"),
    "none_match": Scalar("l f", BOOLEAN, "NOT athena_contains(list_transform({0}, {1}), true)"),
    # The rest
    "typeof": Scalar("a", VARCHAR, lambda a: text(str(_first(a)))),
}  # fmt: skip


def _strict(arguments: Arguments, name: str) -> str:
    """DuckDB's greatest and least skip NULL; Trino's are NULL when an argument is."""
    anything_missing = " OR ".join(f"{argument.sql} IS NULL" for argument in arguments)
    return f"CASE WHEN {anything_missing} THEN NULL ELSE {_call(name)(arguments)} END"


# Aggregates and window functions


def _summed(arguments: Arguments) -> Type:
    kind = _first(arguments)
    return BIGINT if kind.is_integer else decimal(types.MAX_PRECISION, kind.scale) if kind.is_decimal else kind


def _averaged(arguments: Arguments) -> Type:
    kind = _first(arguments)
    return kind if kind.is_decimal or kind.base in ("real", *types.INTERVALS) else DOUBLE


def _average(arguments: Arguments, render: Render) -> str:
    """Exact for decimals, rounded half up at the argument's own scale; Trino's avg(decimal(p,s)) is decimal(p,s)."""
    value = arguments[0]
    if not value.type.is_decimal:
        return render("avg", value.sql)
    total = Typed(render("sum", value.sql), decimal(types.MAX_PRECISION, value.type.scale))
    quotient = divide(total, Typed(render("count", value.sql), BIGINT))
    return f"CASE WHEN {render('count', value.sql)} > 0 THEN {quotient.sql} END"


def _top(name: str) -> Callable[[Arguments, Render], str]:
    def write(arguments: Arguments, render: Render) -> str:
        return render(f"{name}_null" if len(arguments) == 2 else name, *(argument.sql for argument in arguments))

    return write


def _nth(position: int) -> Callable[[Arguments], Type]:
    return lambda arguments: array(_first(arguments)) if len(arguments) > position else _first(arguments)


def _percentile_type(arguments: Arguments) -> Type:
    """Trino has it for bigint, real and double; a decimal is taken as real."""
    kind = BIGINT if _first(arguments).is_integer else REAL if _first(arguments).is_decimal else _first(arguments)
    return array(kind) if arguments[-1].type.base == "array" else kind


def _percentile(arguments: Arguments, render: Render) -> str:
    """Exact, at the rank that Trino's t-digest gives as long as it keeps every value apart."""
    if len(arguments) != 2:
        raise not_supported("approx_percentile with weights")
    value, share = arguments
    several = share.type.base == "array"
    if not (share.type.args[0] if several else share.type).is_numeric:
        raise QueryFailed(
            f"FUNCTION_NOT_FOUND: Unexpected parameters ({value.type}, {share.type}) for function approx_percentile"
        )
    listed, count = render("list", value.sql), render("count", value.sql)
    if several:
        each = f"lambda share: athena_percentile({listed}, {count}, share)"
        return f"CASE WHEN {count} > 0 THEN list_transform({share.cast(array(DOUBLE)).sql}, {each}) END"
    return f"athena_percentile({listed}, {count}, {share.cast(DOUBLE).sql})"


def _map_agg(arguments: Arguments, render: Render) -> str:
    key, value = arguments
    return f"athena_map_agg({render('list', f'struct_pack(k := {key.sql}, v := {value.sql})')})"


def _multimap_agg(arguments: Arguments, render: Render) -> str:
    key, value = arguments
    return f"athena_multimap_agg({render('list', f'struct_pack(k := {key.sql}, v := {value.sql})')})"


def _extreme(name: str) -> Callable[[Arguments, Render], str]:
    """Of doubles NaN is neither the least nor the greatest, unless there is nothing else."""

    def write(arguments: Arguments, render: Render) -> str:
        sqls = [argument.sql for argument in arguments]
        if not _first(arguments).is_floating or len(arguments) > 1:
            return render(name, *sqls)
        return f"coalesce({render(name, f'CASE WHEN NOT isnan({sqls[0]}) THEN {sqls[0]} END')}, {render(name, *sqls)})"

    return write


def _real_or_double(arguments: Arguments) -> Type:
    return DOUBLE if any(argument.type.base == "double" for argument in arguments) else REAL


def _of_pairs(name: str) -> Callable[[Arguments, Render], str]:
    def write(arguments: Arguments, render: Render) -> str:
        found = render(name, *(argument.cast(DOUBLE).sql for argument in arguments))
        return f"CASE WHEN NOT isnan({found}) THEN {found} END"

    return write


AGGREGATE: dict[str, Aggregate] = {
    "count": Aggregate("a?", BIGINT, "count"),
    "sum": Aggregate("q", _summed, "sum"),
    "avg": Aggregate("q", _averaged, _average),
    "min": Aggregate("a i?", _nth(1), _extreme("min")),
    "max": Aggregate("a i?", _nth(1), _extreme("max")),
    "count_if": Aggregate("b", BIGINT, lambda a, render: render("count", f"CASE WHEN {a[0].sql} THEN true END")),
    "bool_and": Aggregate("b", BOOLEAN, "bool_and"),
    "bool_or": Aggregate("b", BOOLEAN, "bool_or"),
    "every": Aggregate("b", BOOLEAN, "bool_and"),
    "arbitrary": Aggregate("a", _first, "any_value"),
    "any_value": Aggregate("a", _first, "any_value"),
    "array_agg": Aggregate("a", lambda a: array(_first(a)), "list"),
    "max_by": Aggregate("a a i?", _nth(2), _top("arg_max")),
    "min_by": Aggregate("a a i?", _nth(2), _top("arg_min")),
    "approx_distinct": Aggregate("a d?", BIGINT, lambda a, render: render("count", "DISTINCT " + a[0].sql)),
    "approx_percentile": Aggregate("n a a?", _percentile_type, _percentile),
    "stddev": Aggregate("d", DOUBLE, "stddev_samp"),
    "stddev_samp": Aggregate("d", DOUBLE, "stddev_samp"),
    "stddev_pop": Aggregate("d", DOUBLE, "stddev_pop"),
    "variance": Aggregate("d", DOUBLE, "var_samp"),
    "var_samp": Aggregate("d", DOUBLE, "var_samp"),
    "var_pop": Aggregate("d", DOUBLE, "var_pop"),
    "corr": Aggregate("n n", _real_or_double, _of_pairs("corr")),
    "covar_samp": Aggregate("n n", _real_or_double, _of_pairs("covar_samp")),
    "covar_pop": Aggregate("n n", _real_or_double, _of_pairs("covar_pop")),
    "histogram": Aggregate("a", lambda a: Type("map", (_first(a), BIGINT)), "histogram"),
    "map_union": Aggregate(
        "m", _first, lambda a, render: f"athena_map_agg(flatten({render('list', f'athena_entries({a[0].sql})')}))"
    ),
    "map_agg": Aggregate("a a", lambda a: Type("map", (a[0].type, a[1].type)), _map_agg),
    "multimap_agg": Aggregate("a a", lambda a: Type("map", (a[0].type, array(a[1].type))), _multimap_agg),
    "listagg": Aggregate("s s?", VARCHAR, "string_agg"),
    "regr_slope": Aggregate("n n", _real_or_double, _of_pairs("regr_slope")),
    "regr_intercept": Aggregate("n n", _real_or_double, _of_pairs("regr_intercept")),
    "skewness": Aggregate("d", DOUBLE, "athena_skewness"),
    "kurtosis": Aggregate("d", DOUBLE, "kurtosis"),
    "geometric_mean": Aggregate("d", DOUBLE, lambda a, render: f"exp({render('avg', f'ln({a[0].sql})')})"),
    "bitwise_xor_agg": Aggregate("i", BIGINT, "bit_xor"),
    "bitwise_and_agg": Aggregate("i", BIGINT, "bit_and"),
    "bitwise_or_agg": Aggregate("i", BIGINT, "bit_or"),
}


def _nth_value(arguments: Arguments, render: Render) -> str:
    value, offset = (argument.sql for argument in arguments)
    wrong = failure(text("INVALID_FUNCTION_ARGUMENT: Offset must be at least 1"))
    return render("nth_value", value, f"CASE WHEN {offset} < 1 THEN {wrong} ELSE {offset} END")


NEEDS_ORDER = ("lag", "lead", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile")
"""Window functions that mean nothing without an order."""

WINDOW: dict[str, Aggregate] = {
    "row_number": Aggregate("", BIGINT, "row_number"),
    "rank": Aggregate("", BIGINT, "rank"),
    "dense_rank": Aggregate("", BIGINT, "dense_rank"),
    "percent_rank": Aggregate("", DOUBLE, "percent_rank"),
    "cume_dist": Aggregate("", DOUBLE, "cume_dist"),
    "ntile": Aggregate("i", BIGINT, "ntile"),
    "lag": Aggregate("a i? a?", _first, "lag"),
    "lead": Aggregate("a i? a?", _first, "lead"),
    "first_value": Aggregate("a", _first, "first_value"),
    "last_value": Aggregate("a", _first, "last_value"),
    "nth_value": Aggregate("a i", _first, _nth_value),
}

NULL_TREATMENT = ("lag", "lead", "first_value", "last_value", "nth_value")
"""The functions that IGNORE NULLS and RESPECT NULLS are for."""
