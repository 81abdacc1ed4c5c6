"""Personal data: a keyed hash takes its place before a record reaches Spark.

The value of a personal column becomes the HMAC-SHA256 (RFC 2104) of its UTF-8 text, as 64 hexadecimal digits: the same
person has the same hash in every file and dataset, and without the key nobody can tell who it is by trying names. A
blank value is nobody and stays blank.

The row as received cannot be shown in quarantine. In its place a record has a JSON object of the contract's columns,
personal ones hashed. A value of another column is hashed there as well unless the contract tells it from a name that
stands in the wrong place: it is one of the `allowed`, matches the `pattern`, or is written like a number or a date in a
column of such a type. Columns that the contract does not name may be personal, and are left out. A record that could
not be split into columns is only told by its own hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from functools import cache

import boto3
from contract.columns import BLANKS, Column
from contract.dataset import Contract

from spark_jobs.raw import Record

MIN_KEY_BYTES = 32
NORMALIZERS: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "trim": lambda text: text.strip(" "),
    "upper": str.upper,
}
"""What the functions of PERSONAL_NORMALIZE (contract.columns) do, as in Spark SQL."""
NAMELESS = re.compile(r"[-+0-9.,:/TZ ]*|true|false", re.IGNORECASE)
"""How numbers, dates, times and truth values are written, and no name is."""


@cache
def secret_key(arn: str) -> bytes:
    """The key of the hashes, from Secrets Manager.

    :raises ValueError: the secret is too short to be one.
    """
    key: bytes = boto3.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"].encode()
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"the secret {arn} is shorter than {MIN_KEY_BYTES} bytes")
    return key


class Pseudonyms:
    """Keyed hashes in place of a dataset's personal values. Shows nothing of its key."""

    def __init__(self, contract: Contract, key: bytes) -> None:
        """Replace the values of the contract's personal columns, with the secret `key`."""
        self._columns = contract.columns
        self._key = key

    def of(self, text: str) -> str:
        """The hash of a text."""
        return hmac.digest(self._key, text.encode(errors="surrogatepass"), hashlib.sha256).hex()

    def replaced(self, record: Record) -> Record:
        """A record as it may leave the reader: nothing personal in its values, its raw text, or its reason.

        A personal value that does not match its column's pattern breaks that rule here, where it is still known.
        """
        if record.values is None:
            return record._replace(raw=f"withheld, it may hold personal data; HMAC-SHA256 {self.of(record.raw)}")
        values, unlike = [], None
        for column, value in zip(self._columns, record.values, strict=True):
            if column.personal and value is not None:
                value = normalized(value, column)
                if value.strip(BLANKS):
                    if column.pattern and not re.fullmatch(column.pattern, value):
                        unlike = unlike or column
                    value = self.of(value)
            values.append(value)
        shown = {column.source: self._shown(value, column) for column, value in zip(self._columns, values, strict=True)}
        record = record._replace(raw=json.dumps(shown, ensure_ascii=False), values=tuple(values))
        if unlike is not None:
            reason = f"the value does not match {unlike.pattern}"
            record = record._replace(values=None, rule=unlike.pattern_rule, reason=reason)
        return record

    def _shown(self, value: str | None, column: Column) -> str | None:
        """A value of `replaced` as quarantine shows it."""
        if value is None or column.personal or value in (column.allowed or ()):
            return value
        known = NAMELESS.fullmatch(value) if column.type != "string" else re.fullmatch(column.pattern or "", value)
        return value if known else self.of(value)


def normalized(value: str, column: Column) -> str:
    """A personal value after its column's `normalize`, which is made of `NORMALIZERS` only."""
    for name in reversed(re.findall(r"(\w+)\(", column.normalize or "")):
        value = NORMALIZERS[name](value)
    return value
