"""The Glue crawler: it lists its targets, infers what lies there and writes tables and partitions to the catalog.

It works as a client of this server with the credentials of its role, so that what the role may not read or write
fails the crawl, as on AWS. The rules for tables, partitions and schema changes are those of
https://docs.aws.amazon.com/glue/latest/dg/crawler-running.html and the pages below it.
"""

from __future__ import annotations

import contextvars
import functools
import hashlib
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from ministack.core.responses import get_account_id, get_region
from ministack.services import glue, iam

from localaws import classifiers, roles
from localaws.classifiers import Columns, Schema
from localaws.overlay import replace
from localaws.partitions import Refused, Request, Response, action, add_actions
from localaws.settings import CRAWL_SECONDS, ENDPOINT

logger = logging.getLogger("localaws.crawler")

LOG_GROUP = "/aws-glue/crawlers"
BATCH = 100
"""Most partitions that one BatchCreatePartition takes."""

HISTORY = 50
"""How many crawls of each crawler ListCrawls remembers."""

ALIKE = 0.7
"""The share of a new partition's files that must have the table's schema, or an incremental crawl leaves it out."""

PARTITION_FOLDER = re.compile(r"([^=/]+)=(.+)")

SERDES = {
    "parquet": (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    ),
    "csv": (
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
    ),
    "json": (
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.openx.data.jsonserde.JsonSerDe",
    ),
}
"""Classification to the input format, output format and SerDe that Glue writes for it."""


class CrawlFailed(Exception):  # noqa: N818 - an outcome, not a fault
    """What ends a crawl; the message becomes LastCrawl's ErrorMessage."""


class CrawlCancelled(Exception):  # noqa: N818 - an outcome, not a fault
    """Someone called StopCrawler."""


@dataclass(frozen=True)
class File:
    """One object under a target, with its folders below it."""

    bucket: str
    key: str
    size: int
    schema: Schema


@dataclass
class Changes:
    """What a crawl did to the catalog."""

    created: int = 0
    updated: int = 0
    deleted: int = 0
    partitions: int = 0


@dataclass(frozen=True)
class Table:
    """A table that a crawl found.

    Attributes:
        folder: its location, ``s3://bucket/prefix/``.
        keys: the partition keys, in order.
        partitions: partition values to the files there; one entry with no values where there are no partitions.
    """

    folder: str
    keys: tuple[str, ...]
    partitions: dict[tuple[str, ...], list[File]]

    @property
    def files(self) -> list[File]:
        return [file for files in self.partitions.values() for file in files]


# ── Settings ──────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Settings:
    """A crawler's settings, checked: what is not supported is refused rather than ignored."""

    database: str
    prefix: str
    targets: tuple[tuple[str, tuple[str, ...]], ...]
    on_update: str
    on_delete: str
    new_folders_only: bool
    inherit_from_table: bool
    merge_new_columns: bool
    one_table: bool
    table_level: int | None

    @classmethod
    def of(cls, crawler: Request) -> Settings:
        """The settings in a crawler's record or request.

        Raises:
            Refused: InvalidInputException for one that is wrong, or that localaws cannot do.
        """
        targets = crawler.get("Targets") or {}
        if other := sorted(kind for kind, given in targets.items() if given and kind != "S3Targets"):
            raise _invalid(f"localaws crawls S3 targets only, not {', '.join(other)}")
        for unsupported in ("Classifiers", "Schedule", "CrawlerSecurityConfiguration"):
            if crawler.get(unsupported):
                raise _invalid(f"localaws does not support {unsupported} of a crawler")
        if (crawler.get("LakeFormationConfiguration") or {}).get("UseLakeFormationCredentials"):
            raise _invalid("localaws has no Lake Formation")
        policy = crawler.get("SchemaChangePolicy") or {}
        recrawl = (crawler.get("RecrawlPolicy") or {}).get("RecrawlBehavior", "CRAWL_EVERYTHING")
        on_update = policy.get("UpdateBehavior", "UPDATE_IN_DATABASE")
        on_delete = policy.get("DeleteBehavior", "DEPRECATE_IN_DATABASE")
        if recrawl not in ("CRAWL_EVERYTHING", "CRAWL_NEW_FOLDERS_ONLY"):
            raise _invalid(f"localaws does not support the RecrawlBehavior {recrawl}")
        if recrawl == "CRAWL_NEW_FOLDERS_ONLY" and (on_update, on_delete) != ("LOG", "LOG"):
            raise _invalid(
                'The SchemaChangePolicy for "Crawl new folders only" Amazon S3 target can have only LOG DeleteBehavior '
                "value and LOG UpdateBehavior value."
            )
        configuration = _configuration(crawler.get("Configuration") or "{}")
        output, grouping = configuration["CrawlerOutput"], configuration["Grouping"]
        return cls(
            database=crawler.get("DatabaseName") or "",
            prefix=crawler.get("TablePrefix") or "",
            targets=tuple(
                (_folder(target["Path"]), tuple(target.get("Exclusions") or ()))
                for target in targets.get("S3Targets") or ()
            ),
            on_update=on_update,
            on_delete=on_delete,
            new_folders_only=recrawl == "CRAWL_NEW_FOLDERS_ONLY",
            inherit_from_table=output.get("Partitions") == "InheritFromTable",
            merge_new_columns=output.get("Tables") == "MergeNewColumns",
            one_table=grouping.get("TableGroupingPolicy") == "CombineCompatibleSchemas",
            table_level=grouping.get("TableLevelConfiguration"),
        )


def _invalid(message: str) -> Refused:
    return Refused("InvalidInputException", message)


def _folder(path: str) -> str:
    if not re.match(r"s3://[^/]+", path):
        raise _invalid(f"{path} is not an S3 path")
    return path.rstrip("/") + "/"


def _configuration(text: str) -> dict[str, dict[str, Any]]:
    """A crawler's Configuration (JSON), each part of it known.

    Raises:
        Refused: InvalidInputException for what is not JSON, or asks for something unknown.
    """
    try:
        given = json.loads(text)
        output = {part: setting["AddOrUpdateBehavior"] for part, setting in given.get("CrawlerOutput", {}).items()}
        grouping = dict(given.get("Grouping", {}))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _invalid(f"The crawler's Configuration is malformed: {text}") from error
    allowed: dict[str, dict[str, Container[Any]]] = {
        "CrawlerOutput": {"Partitions": ("InheritFromTable",), "Tables": ("MergeNewColumns",)},
        "Grouping": {"TableGroupingPolicy": ("CombineCompatibleSchemas",), "TableLevelConfiguration": range(1, 100)},
    }
    for part, settings in {"CrawlerOutput": output, "Grouping": grouping}.items():
        for name, value in settings.items():
            if name not in allowed[part] or value not in allowed[part][name]:
                raise _invalid(f"localaws does not support {part}.{name} {value} in a crawler's Configuration")
    if unknown := sorted(given.keys() - {"Version", "CrawlerOutput", "Grouping"}):
        raise _invalid(f"localaws does not support {', '.join(unknown)} in a crawler's Configuration")
    return {"CrawlerOutput": output, "Grouping": grouping}


def exclusion(pattern: str) -> re.Pattern[str]:
    """A crawler's exclude pattern as a regular expression over the key below the target.

    Source: https://docs.aws.amazon.com/glue/latest/dg/define-crawler.html#crawler-data-stores-exclude
    """
    regex, depth = "", 0
    tokens = re.findall(r"\*\*|\*|\?|\[!?[^\]]+\]|\{|\}|,|\\.|.", pattern, re.DOTALL)
    for glyph in tokens:
        if glyph == "**":
            regex += ".*"
        elif glyph == "*":
            regex += "[^/]*"
        elif glyph == "?":
            regex += "[^/]"
        elif glyph.startswith("[") and len(glyph) > 1:
            regex += glyph.replace("[!", "[^", 1)
        elif glyph == "{":
            regex, depth = regex + "(?:", depth + 1
        elif glyph == "}" and depth:
            regex, depth = regex + ")", depth - 1
        elif glyph == "," and depth:
            regex += "|"
        else:
            regex += re.escape(glyph.removeprefix("\\") or glyph)
    return re.compile(regex, re.DOTALL)


# ── From files to tables ──────────────────────────────────────────────────────


def tables_in(folder: str, files: list[File], settings: Settings) -> list[Table]:
    """The tables that a target's files make.

    Args:
        folder: the target, ``s3://bucket/prefix/``.
        files: what is below it.
        settings: the crawler's.
    """
    if settings.table_level is not None:
        groups: dict[str, list[File]] = {}
        for file in files:
            parts = f"{file.bucket}/{file.key}".split("/")
            if len(parts) > settings.table_level:
                groups.setdefault("s3://" + "/".join(parts[: settings.table_level]) + "/", []).append(file)
        return [_table(root, inside) for root, inside in groups.items()]
    below: dict[str, list[File]] = {}
    for file in files:
        name, separator, _ = _relative(folder, file).partition("/")
        below.setdefault(name if separator else "", []).append(file)
    partitioned = all(PARTITION_FOLDER.fullmatch(name) for name in below if name)
    alike = all(classifiers.similar(files[0].schema, file.schema) for file in files)
    if partitioned or alike or settings.one_table:
        return [_table(folder, files)]
    tables = [_table(folder, below.pop(""))] if "" in below else []
    return tables + [table for name in below for table in tables_in(f"{folder}{name}/", below[name], settings)]


def _relative(folder: str, file: File) -> str:
    return f"s3://{file.bucket}/{file.key}".removeprefix(folder)


def _table(folder: str, files: list[File]) -> Table:
    """One table of files; those not as deep, or not under the same keys, as most are left out."""
    placed: dict[tuple[str, ...], dict[tuple[str, ...], list[File]]] = {}
    for file in files:
        keys, values = [], []
        for depth, part in enumerate(_relative(folder, file).split("/")[:-1]):
            hive = PARTITION_FOLDER.fullmatch(part)
            keys.append(hive[1].lower() if hive else f"partition_{depth}")
            values.append(hive[2] if hive else part)
        placed.setdefault(tuple(keys), {}).setdefault(tuple(values), []).append(file)
    common = max(placed, key=lambda keys: sum(len(inside) for inside in placed[keys].values()))
    left_out = len(files) - sum(len(inside) for inside in placed[common].values())
    if left_out:
        logger.warning("%d files below %s are not partitioned by %s and are left out", left_out, folder, common)
    return Table(folder, common, dict(sorted(placed[common].items())))


def table_name(folder: str, prefix: str) -> str:
    """The name that Glue gives a table: its folder's, in lower case, other characters as underscores."""
    name = folder.rstrip("/").rpartition("/")[2].lower()
    return prefix + re.sub(r"[^a-z0-9_]", "_", name)


def descriptor(location: str, schema: Schema, columns: Columns) -> Request:
    """The StorageDescriptor of a table or partition."""
    input_format, output_format, library = SERDES[schema.classification]
    parameters = {
        "parquet": {"serialization.format": "1"},
        "csv": {"field.delim": schema.delimiter},
        "json": {"paths": ",".join(sorted(columns))},
    }[schema.classification]
    return {
        "Columns": [{"Name": name, "Type": str(kind)} for name, kind in columns.items()],
        "Location": location,
        "InputFormat": input_format,
        "OutputFormat": output_format,
        "Compressed": schema.compression != "none",
        "NumberOfBuckets": -1,
        "SerdeInfo": {"SerializationLibrary": library, "Parameters": parameters},
        "BucketColumns": [],
        "SortColumns": [],
        "StoredAsSubDirectories": False,
    }


def parameters(files: list[File]) -> dict[str, str]:
    """The parameters that a crawler puts on a table or partition."""
    schema = files[0].schema
    size, records = sum(file.size for file in files), sum(file.schema.records for file in files)
    found = {
        "classification": schema.classification,
        "compressionType": schema.compression,
        "typeOfData": "file",
        "objectCount": str(len(files)),
        "recordCount": str(records),
        "sizeKey": str(size),
        "averageRecordSize": str(size // records if records else 0),
        "CrawlerSchemaSerializerVersion": "1.0",
        "CrawlerSchemaDeserializerVersion": "1.0",
    }
    if schema.classification == "csv":
        found |= {
            "columnsOrdered": "true",
            "areColumnsQuoted": str(schema.quoted).lower(),
            "delimiter": schema.delimiter,
        }
        if schema.header:
            found["skip.header.line.count"] = "1"
    return found


def columns_of(files: Iterable[File], partition_keys: tuple[str, ...]) -> Columns:
    """The columns of some files together, without those that partition the table."""
    merged = classifiers.merge_columns(file.schema.columns for file in files)
    return {name: kind for name, kind in merged.items() if name not in partition_keys}


# ── A crawl ───────────────────────────────────────────────────────────────────


@dataclass
class Crawl:
    """One run of a crawler, from StartCrawler to its end."""

    name: str
    settings: Settings
    role: str
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)
    cancelled: threading.Event = field(default_factory=threading.Event)
    changes: Changes = field(default_factory=Changes)
    messages: list[tuple[float, str]] = field(default_factory=list)
    session: boto3.Session | None = None
    seen: frozenset[str] | None = None
    folders: set[str] = field(default_factory=set)

    def client(self, service: str) -> Any:
        """A client of this server in the name of the crawler's role.

        Raises:
            CrawlFailed: when there is no such role, or it does not trust Glue.
        """
        if self.session is None:
            role = iam._roles.get(self.role.rpartition("/")[2])
            if role is None or not roles.trusts(role, "glue.amazonaws.com"):
                raise CrawlFailed(
                    f"Service is unable to assume provided role. Please verify role's TrustPolicy. Role: {self.role}"
                )
            made = roles.assume(role, "AWS-Crawler", 3600)
            self.session = boto3.Session(made.access_key, made.secret_key, made.token, get_region())
        config = Config(retries={"total_max_attempts": 2})
        return self.session.client(service, endpoint_url=ENDPOINT, config=config)

    def say(self, message: str) -> None:
        """Note a line for the crawler's log."""
        self.messages.append((time.time(), f"[{self.identifier}] {message}"))

    def check(self) -> None:
        """Give up if the crawl was cancelled.

        Raises:
            CrawlCancelled: when it was.
        """
        if self.cancelled.is_set():
            raise CrawlCancelled

    def run(self) -> tuple[str, str]:
        """Crawl, and return LastCrawl's Status and ErrorMessage."""
        self.say(f"BENCHMARK : Running Start Crawl for Crawler {self.name}")
        try:
            self._crawl()
            self.cancelled.wait(max(0.0, self.started + CRAWL_SECONDS - time.time()))
            self.check()
        except CrawlCancelled:
            return "CANCELLED", ""
        except (CrawlFailed, ClientError, BotoCoreError) as error:
            self.say(f"ERROR : {error}")
            return "FAILED", str(error)
        except Exception:
            logger.exception("The crawler %s failed", self.name)
            return "FAILED", "Internal Service Exception"
        self.say("BENCHMARK : Crawler has finished running and is in state READY")
        return "SUCCEEDED", ""

    def _crawl(self) -> None:
        catalog = self.client("glue")
        catalog.get_database(Name=self.settings.database)
        found: set[str] = set()
        for folder, exclusions in self.settings.targets:
            files = list(self._files(folder, exclusions))
            self.say(f"BENCHMARK : Classification complete, writing results to database {self.settings.database}")
            for table in tables_in(folder, files, self.settings) if files else []:
                self.check()
                found.add(self._write_table(catalog, table))
        self.say(
            f"INFO : Crawler wrote {self.changes.created} new tables, {self.changes.updated} changed tables and "
            f"{self.changes.partitions} partitions"
        )
        if self.seen is None:
            self._retire_tables(catalog, found)

    def _files(self, folder: str, exclusions: tuple[str, ...]) -> Iterator[File]:
        """The classified files below a target; hidden, empty and excluded ones are passed over.

        An incremental crawl passes over those in folders that an earlier one has seen, whatever it made of them.
        """
        bucket, _, prefix = folder.removeprefix("s3://").partition("/")
        patterns = [exclusion(pattern) for pattern in exclusions]
        storage = self.client("s3")
        for page in storage.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                key, size = entry["Key"], entry["Size"]
                below = key.removeprefix(prefix)
                hidden = any(part.startswith(("_", ".")) for part in below.split("/"))
                if hidden or not size or any(pattern.fullmatch(below) for pattern in patterns):
                    continue
                place = f"s3://{bucket}/{key}".rpartition("/")[0] + "/"
                self.folders.add(place)
                if self.seen is not None and place in self.seen:
                    continue
                self.check()
                schema = self._classify(storage, bucket, key, size)
                if schema is None:
                    self.say(f"INFO : s3://{bucket}/{key} has no known format and is left out")
                else:
                    yield File(bucket, key, size, schema)

    def _classify(self, storage: Any, bucket: str, key: str, size: int) -> Schema | None:
        """The schema of one object, from as little of it as that takes.

        Raises:
            CrawlFailed: when the role may not read it, or it says that it is Parquet and cannot be read as such.
        """

        def read(span: str) -> bytes:
            try:
                return bytes(storage.get_object(Bucket=bucket, Key=key, Range=f"bytes={span}")["Body"].read())
            except ClientError as error:
                raise CrawlFailed(f"s3://{bucket}/{key} cannot be read: {error}") from error

        tail = read(f"-{min(size, 65_536)}")
        footer = classifiers.parquet_footer_bytes(tail[-8:])
        if footer is None:
            sample = tail if len(tail) == size else read(f"0-{classifiers.SAMPLE_BYTES - 1}")
            return classifiers.classify_text(sample, size)
        try:
            return classifiers.classify_parquet(tail if footer <= len(tail) else read(f"-{footer}"))
        except (pa.ArrowException, ValueError) as error:
            raise CrawlFailed(f"s3://{bucket}/{key} cannot be read: {error}") from error

    def _own_tables(self, catalog: Any) -> list[Request]:
        pages = catalog.get_paginator("get_tables").paginate(DatabaseName=self.settings.database)
        tables = [table for page in pages for table in page["TableList"]]
        return [table for table in tables if table.get("Parameters", {}).get("UPDATED_BY_CRAWLER") == self.name]

    def _partitions(self, catalog: Any, table: str) -> list[Request]:
        pages = catalog.get_paginator("get_partitions").paginate(DatabaseName=self.settings.database, TableName=table)
        return [partition for page in pages for partition in page["Partitions"]]

    def _existing(self, catalog: Any, name: str) -> Request | None:
        try:
            table: Request = catalog.get_table(DatabaseName=self.settings.database, Name=name)["Table"]
        except catalog.exceptions.EntityNotFoundException:
            return None
        return table

    def _write_table(self, catalog: Any, table: Table) -> str:
        """Create or update a table and its partitions, and return its name."""
        name = table_name(table.folder, self.settings.prefix)
        existing = self._existing(catalog, name)
        if existing and _folder(existing["StorageDescriptor"].get("Location") or "s3://-/") != table.folder:
            # Another table has the name already.
            name = f"{name}_{hashlib.md5(table.folder.encode(), usedforsecurity=False).hexdigest()}"
            existing = self._existing(catalog, name)
        if existing is None and self.seen is not None:
            self.say(f"INFO : {table.folder} would be the new table {name}: incremental crawls add none")
            return name
        columns = columns_of(table.files, table.keys)
        if existing and self.settings.merge_new_columns:
            kept = {column["Name"]: column["Type"] for column in existing["StorageDescriptor"]["Columns"]}
            columns = {**kept, **{column: kind for column, kind in columns.items() if column not in kept}}
        given = self._table_input(name, table, columns, existing)
        if existing is None:
            catalog.create_table(DatabaseName=self.settings.database, TableInput=given)
            self.changes.created += 1
            self.say(f"INFO : Created table {name} in database {self.settings.database}")
        elif self.settings.on_update == "UPDATE_IN_DATABASE":
            if any(existing.get(part) != content for part, content in given.items()):
                catalog.update_table(DatabaseName=self.settings.database, TableInput=given)
                self.changes.updated += 1
                self.say(f"INFO : Updated table {name} in database {self.settings.database}")
        elif existing["StorageDescriptor"]["Columns"] != given["StorageDescriptor"]["Columns"]:
            self.say(f"INFO : The schema of table {name} changed, which is only logged")
        if table.keys:
            fitting = table if existing is None or self.seen is None else self._fitting(table, existing)
            self._write_partitions(catalog, name, fitting, columns)
        return name

    def _fitting(self, table: Table, existing: Request) -> Table:
        """The part of a table that an incremental crawl adds: partitions that have the table's keys and schema.

        Source: https://repost.aws/knowledge-center/glue-troubleshoot-missing-partitions: more than 70 % of the files of
        a partition must have the table's schema, and one that once had not is never added.
        """
        keys = tuple(key["Name"] for key in existing.get("PartitionKeys", []))
        wanted = {column["Name"]: column["Type"] for column in existing["StorageDescriptor"]["Columns"]}
        fitting = {}
        for values, files in table.partitions.items():
            alike = [file for file in files if _types(columns_of([file], table.keys)) == wanted]
            if keys == table.keys and len(alike) > ALIKE * len(files):
                fitting[values] = files
            else:
                place = "/".join(values)
                self.say(f"WARN : Partition does not match table schema or has mismatch keys: {table.folder} {place}")
        return Table(table.folder, table.keys, fitting)

    def _table_input(self, name: str, table: Table, columns: Columns, existing: Request | None) -> Request:
        before = dict((existing or {}).get("Parameters") or {})
        before.pop("DEPRECATED_BY_CRAWLER", None)
        excluded = next((given for folder, given in self.settings.targets if table.folder.startswith(folder)), ())
        return {
            "Name": name,
            "Owner": "owner",
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [{"Name": key, "Type": "string"} for key in table.keys],
            "StorageDescriptor": descriptor(table.folder, table.files[0].schema, columns),
            "Parameters": {
                **before,
                **parameters(table.files),
                "UPDATED_BY_CRAWLER": self.name,
                **({"exclusions": json.dumps(excluded)} if excluded else {}),
            },
        }

    def _write_partitions(self, catalog: Any, name: str, table: Table, columns: Columns) -> None:
        before = {tuple(one["Values"]): one for one in self._partitions(catalog, name)}
        new, changed = [], []
        for values, files in table.partitions.items():
            own = columns if self.settings.inherit_from_table else columns_of(files, table.keys)
            location = f"s3://{files[0].bucket}/{files[0].key}".rpartition("/")[0] + "/"
            given = {
                "Values": list(values),
                "StorageDescriptor": descriptor(location, files[0].schema, own),
                "Parameters": parameters(files),
            }
            if values not in before:
                new.append(given)
            elif any(before[values].get(part) != content for part, content in given.items()):
                changed.append(given)
        where = {"DatabaseName": self.settings.database, "TableName": name}
        for some in _batches(new):
            _require_no_errors(catalog.batch_create_partition(**where, PartitionInputList=some))
        if self.settings.on_update == "UPDATE_IN_DATABASE":
            for some in _batches(changed):
                entries = [{"PartitionValueList": one["Values"], "PartitionInput": one} for one in some]
                _require_no_errors(catalog.batch_update_partition(**where, Entries=entries))
        self.changes.partitions += len(new)
        gone = [list(values) for values in before if values not in table.partitions]
        if gone and self.seen is None:
            if self.settings.on_delete == "DELETE_FROM_DATABASE":
                for some in _batches(gone):
                    doomed = [{"Values": values} for values in some]
                    _require_no_errors(catalog.batch_delete_partition(**where, PartitionsToDelete=doomed))
            else:
                self.say(f"INFO : {len(gone)} partitions of {name} have no files any more, which is only logged")

    def _retire_tables(self, catalog: Any, found: set[str]) -> None:
        """Do with this crawler's tables whose files are gone what its DeleteBehavior says."""
        for table in self._own_tables(catalog):
            if table["Name"] in found:
                continue
            where = {"DatabaseName": self.settings.database}
            if self.settings.on_delete == "DELETE_FROM_DATABASE":
                catalog.delete_table(**where, Name=table["Name"])
                self.changes.deleted += 1
            elif self.settings.on_delete == "DEPRECATE_IN_DATABASE":
                marked = {**table["Parameters"], "DEPRECATED_BY_CRAWLER": str(int(self.started * 1000))}
                kept = ("Name", "Owner", "TableType", "PartitionKeys", "StorageDescriptor")
                given = {part: table[part] for part in kept if part in table}
                catalog.update_table(**where, TableInput={**given, "Parameters": marked})
                self.changes.updated += 1
            self.say(f"INFO : The files of table {table['Name']} are gone ({self.settings.on_delete})")

    def write_log(self) -> None:
        """Write the crawl's messages to the log group of all crawlers, if the role may."""
        try:
            logs = self.client("logs")
            for create, names in (
                (logs.create_log_group, {"logGroupName": LOG_GROUP}),
                (logs.create_log_stream, {"logGroupName": LOG_GROUP, "logStreamName": self.name}),
            ):
                try:
                    create(**names)
                except logs.exceptions.ResourceAlreadyExistsException:
                    continue
            events = [{"timestamp": int(moment * 1000), "message": message} for moment, message in self.messages]
            logs.put_log_events(logGroupName=LOG_GROUP, logStreamName=self.name, logEvents=events)
        except (CrawlFailed, ClientError, BotoCoreError) as error:
            logger.error("The log of the crawler %s is lost: %s", self.name, error)


def _types(columns: Columns) -> dict[str, str]:
    return {name: str(kind) for name, kind in columns.items()}


def _batches(many: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(many), BATCH):
        yield many[start : start + BATCH]


def _require_no_errors(answer: Request) -> None:
    if errors := answer.get("Errors"):
        detail = errors[0]["ErrorDetail"]
        raise CrawlFailed(f"{detail['ErrorCode']}: {detail['ErrorMessage']}")


# ── Operations ────────────────────────────────────────────────────────────────

_running: dict[tuple[str, str, str], Crawl] = {}
"""The crawls under way, by account, region and crawler."""


def _key(name: str) -> tuple[str, str, str]:
    return get_account_id(), get_region(), name


def _find(name: Any) -> Request:
    crawler = glue._crawlers.get(name)
    if crawler is None:
        raise Refused("EntityNotFoundException", f"Crawler with name {name} does not exist")
    return crawler


def _shown(crawler: Request) -> Request:
    """A crawler as GetCrawler answers it."""
    shown = {name: value for name, value in crawler.items() if value is not None and not name.startswith("_")}
    if crawl := _running.get(_key(crawler["Name"])):
        shown["CrawlElapsedTime"] = int((time.time() - crawl.started) * 1000)
    return shown


def _finish(crawl: Crawl, status: str, error: str) -> None:
    """Record the end of a crawl on its crawler, which may have been deleted meanwhile."""
    ended = time.time()
    crawler = glue._crawlers.get(crawl.name)
    if crawler is None:
        return
    last = {
        "Status": status,
        **({"ErrorMessage": error} if error else {}),
        "LogGroup": LOG_GROUP,
        "LogStream": crawl.name,
        "MessagePrefix": crawl.identifier,
        "StartTime": crawl.started,
    }
    record = {
        "CrawlId": crawl.identifier,
        "State": {"SUCCEEDED": "COMPLETED", "CANCELLED": "STOPPED"}.get(status, status),
        "StartTime": crawl.started,
        "EndTime": ended,
        "LogGroup": LOG_GROUP,
        "LogStream": crawl.name,
        "MessagePrefix": crawl.identifier,
        "DPUHour": 0.0,
        **({"ErrorMessage": error} if error else {}),
    }
    history = [record, *crawler.get("_crawls", [])][:HISTORY]
    metrics = {
        "TablesCreated": crawl.changes.created,
        "TablesUpdated": crawl.changes.updated,
        "TablesDeleted": crawl.changes.deleted,
    }
    if status == "SUCCEEDED":
        crawler["_folders"] = sorted({*crawler.get("_folders", ()), *crawl.folders})
    crawler.update(LastCrawl=last, _crawls=history, _metrics=metrics, CrawlElapsedTime=0, State="READY")


def _run(crawl: Crawl) -> None:
    key = _key(crawl.name)
    try:
        status, error = crawl.run()
        if crawler := glue._crawlers.get(crawl.name):
            crawler["State"] = "STOPPING"
        crawl.write_log()
        _finish(crawl, status, error)
    finally:
        _running.pop(key, None)


@action
def start_crawler(request: Request) -> Request:
    crawler = _find(request.get("Name"))
    if crawler["State"] != "READY":
        raise Refused("CrawlerRunningException", f"Crawler with name {crawler['Name']} has already started")
    settings = Settings.of(crawler)
    # The first crawl is a full one, whatever is wanted of those after it.
    seen = crawler.get("_folders") if settings.new_folders_only else None
    crawl = Crawl(crawler["Name"], settings, crawler["Role"], seen=None if seen is None else frozenset(seen))
    crawler["State"] = "RUNNING"
    _running[_key(crawl.name)] = crawl
    # A thread starts without the account and region of the request.
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_run, crawl), name=f"crawler-{crawl.name}", daemon=True).start()
    return {}


@action
def stop_crawler(request: Request) -> Request:
    crawler = _find(request.get("Name"))
    if crawler["State"] == "STOPPING":
        raise Refused("CrawlerStoppingException", f"Crawler with name {crawler['Name']} is already stopping")
    crawl = _running.get(_key(crawler["Name"]))
    if crawler["State"] != "RUNNING" or crawl is None:
        raise Refused("CrawlerNotRunningException", f"Crawler with name {crawler['Name']} is not running")
    crawler["State"] = "STOPPING"
    crawl.cancelled.set()
    return {}


@action
def get_crawler(request: Request) -> Request:
    return {"Crawler": _shown(_find(request.get("Name")))}


@action
def get_crawlers(_request: Request) -> Request:
    return {"Crawlers": [_shown(crawler) for crawler in glue._crawlers.values()]}


@action
def list_crawlers(_request: Request) -> Request:
    return {"CrawlerNames": sorted(crawler["Name"] for crawler in glue._crawlers.values())}


@action
def batch_get_crawlers(request: Request) -> Request:
    found = [name for name in request["CrawlerNames"] if name in glue._crawlers]
    missing = [name for name in request["CrawlerNames"] if name not in glue._crawlers]
    return {"Crawlers": [_shown(glue._crawlers[name]) for name in found], "CrawlersNotFound": missing}


@action
def list_crawls(request: Request) -> Request:
    crawler = _find(request.get("CrawlerName"))
    return {"Crawls": list(crawler.get("_crawls", []))[: int(request.get("MaxResults") or 20)]}


@action
def get_crawler_metrics(request: Request) -> Request:
    names = request.get("CrawlerNameList") or list(glue._crawlers.keys())
    return {"CrawlerMetricsList": [_metrics(glue._crawlers[name]) for name in names if name in glue._crawlers]}


def _metrics(crawler: Request) -> Request:
    durations = [one["EndTime"] - one["StartTime"] for one in crawler.get("_crawls", [])]
    crawl = _running.get(_key(crawler["Name"]))
    median = sorted(durations)[len(durations) // 2] if durations else 0.0
    return {
        "CrawlerName": crawler["Name"],
        "TimeLeftSeconds": max(0.0, median - (time.time() - crawl.started)) if crawl else 0.0,
        "StillEstimating": bool(crawl) and not durations,
        "LastRuntimeSeconds": durations[0] if durations else 0.0,
        "MedianRuntimeSeconds": median,
        **crawler.get("_metrics", {"TablesCreated": 0, "TablesUpdated": 0, "TablesDeleted": 0}),
    }


def _checked(theirs: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """CreateCrawler or UpdateCrawler, refusing what a crawl could not do."""

    @functools.wraps(theirs)
    def create_or_update(request: Request) -> Response:
        @action
        def check(_request: Request) -> Request:
            existing = glue._crawlers.get(request.get("Name")) or {}
            _refuse_while_running(existing)
            settings = Settings.of({**existing, **request})
            if not settings.targets:
                raise _invalid("A crawler needs at least one target")
            moved = existing and request.get("Targets") and settings.targets != Settings.of(existing).targets
            if moved and settings.new_folders_only:
                raise _invalid("The S3 targets of a crawler that crawls new folders only cannot be changed")
            return {}

        answer = check(request)
        return theirs(request) if answer[0] == 200 else answer

    return create_or_update


def _refuse_while_running(crawler: Request) -> None:
    if crawler.get("State", "READY") != "READY":
        raise Refused("CrawlerRunningException", f"Crawler with name {crawler['Name']} is running")


@action
def delete_crawler(request: Request) -> Request:
    crawler = _find(request.get("Name"))
    _refuse_while_running(crawler)
    del glue._crawlers[crawler["Name"]]
    return {}


def recover(load: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """After a restart, end the crawls that were under way when the server went."""

    def load_persisted_state(data: Any) -> Any:
        result = load(data)
        for crawler in glue._crawlers.all_values():
            if crawler["State"] != "READY":
                crawler["State"] = "READY"
                crawler["LastCrawl"] = {
                    "Status": "FAILED",
                    "ErrorMessage": "Internal Service Exception",
                    "LogGroup": LOG_GROUP,
                    "LogStream": crawler["Name"],
                    "StartTime": time.time(),
                }
        return result

    return load_persisted_state


def install() -> None:
    """Put the crawler in ministack's place."""
    for name, handler in {
        "_start_crawler": start_crawler,
        "_stop_crawler": stop_crawler,
        "_get_crawler": get_crawler,
        "_get_crawlers": get_crawlers,
        "_get_crawler_metrics": get_crawler_metrics,
        "_delete_crawler": delete_crawler,
        "_create_crawler": _checked(glue._create_crawler),
        "_update_crawler": _checked(glue._update_crawler),
        "load_persisted_state": recover(glue.load_persisted_state),
    }.items():
        replace(glue.__name__, name, handler)
    add_actions({"ListCrawlers": list_crawlers, "BatchGetCrawlers": batch_get_crawlers, "ListCrawls": list_crawls})
