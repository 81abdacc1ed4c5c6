"""What DuckDB takes for the work of `clean` on files of orders: the peer of benchmarks/bulk.py, with code of its own.

    .venvs/localaws/bin/python -m benchmarks.peer_duckdb csv|jsonl|parquet PATTERN OUTPUT

Every column is read as text, from Parquet as it is, and every rule of include/datasets/orders.yaml is checked for every
row, amounts and dates by their exact spelling; of the good rows with the same order, the last one of the last file
counts. Published and quarantined rows are written to OUTPUT as zstd Parquet with the columns that `clean` gives them.
It prints `{"rows": ..., "quarantined_by_rule": ...}` as the manifest of `clean` has them. Threads and memory are
DuckDB's defaults: all cores, up to 80 % of the memory.

Left out of what `clean` does: looking for drift at the beginning of each file; bytes that are no text, quoted values
that do not end on their line, members of JSON that are named twice; the lines of each kind, counted and added up;
`source_line` where a line before could not be split or is blank, as only the others are counted; the row as it was
received, which is put together from its values, and lost where JSON is broken; bytes and SHA-256 of what is written,
and reading it again to see that it holds what was counted.
"""

# ruff: noqa: S608 - the queries are made of this module's own texts

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import duckdb

SUBMISSION = "benchmark-00000001"
STALE_BEFORE = "DATE '2025-06-30' - 30"
COLUMNS = json.dumps(dict.fromkeys(("OrderID", "Customer", "Amount", "Status", "OrderDate"), "VARCHAR"))
READERS = {
    "csv": f"""read_csv($pattern, columns = {COLUMNS}, header = true, delim = ',', quote = '"', filename = true,
        store_rejects = true)""",
    "jsonl": f"read_ndjson($pattern, columns = {COLUMNS}, filename = true, ignore_errors = true)",
    "parquet": "read_parquet($pattern, filename = true)",
}
HEADER_LINES = {"csv": 1, "jsonl": 0, "parquet": 0}
BLANKS = r"[\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200d}\x{2028}\x{2029}\x{202f}\x{205f}\x{2060}\x{3000}\x{feff}]*"


def missing(column: str) -> tuple[str, str]:
    """The condition that a row has no value in a column, and what is told of it."""
    return f"coalesce(regexp_full_match({column}::VARCHAR, '{BLANKS}'), true)", "a value is required"


VALUES = (
    "CASE WHEN regexp_full_match(Amount, '[+-]?[0-9]+([.][0-9]{1,2})?') THEN try_cast(Amount AS DECIMAL(12, 2)) END",
    "CASE WHEN regexp_full_match(OrderDate, '[0-9]{4}-[0-9]{2}-[0-9]{2}') THEN try_cast(OrderDate AS DATE) END",
)
"""Amount and date of a text that is written exactly as such a value is."""
RULES = {
    "malformed_record": (
        "coalesce(OrderID, Customer, Amount::VARCHAR, Status, OrderDate::VARCHAR) IS NULL",
        "is not JSON",
    ),
    "order_id_missing": missing("OrderID"),
    "customer_missing": missing("Customer"),
    "amount_missing": missing("Amount"),
    "amount_invalid": ("amount_value IS NULL", "is not decimal(12,2)"),
    "status_missing": missing("Status"),
    "status_not_allowed": (
        "Status NOT IN ('pending', 'confirmed', 'shipped', 'cancelled')",
        "is not one of pending, confirmed, shipped, cancelled",
    ),
    "order_date_missing": missing("OrderDate"),
    "order_date_invalid": ("date_value IS NULL", "is not date (yyyy-MM-dd)"),
    "amount_negative": ("amount_value < 0", "An order cannot have a negative total"),
}
"""Each rule's condition, in the contract's order, and what is told of a row that breaks it."""


def judged(form: str) -> str:
    """The statement that reads the files and judges each row by itself."""
    amount, day = ("Amount", "OrderDate") if form == "parquet" else VALUES
    rule = " ".join(f"WHEN {condition} THEN '{name}'" for name, (condition, _) in RULES.items())
    reasons = ", ".join(f"CASE WHEN {condition} THEN '{name}: {told}' END" for name, (condition, told) in RULES.items())
    return f"""
        CREATE TEMP TABLE judged AS
        SELECT OrderID AS order_id, Customer AS customer, amount_value AS amount, Status AS status,
            date_value AS order_date, filename, rule,
            rule IS NULL AND Status IN ('pending', 'cancelled') AND date_value < {STALE_BEFORE} AS stale,
            CASE WHEN rule IS NOT NULL THEN concat_ws(',', OrderID, Customer, Amount, Status, OrderDate) END AS raw_row,
            CASE WHEN rule IS NOT NULL THEN concat_ws('; ', {reasons}) END AS reason
        FROM (
            SELECT *, CASE {rule} END AS rule
            FROM (SELECT *, {amount} AS amount_value, {day} AS date_value FROM {READERS[form]})
        )
    """


SUPERSEDED = """
    CREATE TEMP TABLE superseded AS
    SELECT judged.rowid AS place
    FROM judged JOIN (
        SELECT order_id, max(rowid) AS latest FROM judged WHERE rule IS NULL AND NOT stale
        GROUP BY order_id HAVING count(*) > 1
    ) AS repeated USING (order_id)
    WHERE rule IS NULL AND NOT stale AND judged.rowid < latest
"""
FIRST_PLACES = """
    CREATE TEMP TABLE files AS
    SELECT filename, parse_filename(filename) AS source_file, min(rowid) AS first FROM judged GROUP BY filename
"""
LINEAGE = f"source_file, judged.rowid - first + {{line}} AS source_line, '{SUBMISSION}' AS run_id"
PUBLISHED = f"""
    COPY (
        SELECT order_id, customer, amount, status, order_date, {LINEAGE}
        FROM judged JOIN files USING (filename)
        WHERE rule IS NULL AND NOT stale AND judged.rowid NOT IN (SELECT place FROM superseded)
    ) TO '{{output}}' (FORMAT parquet, COMPRESSION zstd)
"""
QUARANTINED = f"""
    COPY (
        SELECT raw_row, rule, reason, {LINEAGE} FROM judged JOIN files USING (filename) WHERE rule IS NOT NULL
        UNION ALL SELECT * FROM unsplit
    ) TO '{{output}}' (FORMAT parquet, COMPRESSION zstd)
"""
UNSPLIT = f"""
    CREATE TEMP TABLE unsplit AS
    SELECT any_value(csv_line) AS raw_row, 'wrong_field_count' AS rule, any_value(error_message) AS reason,
        parse_filename(file_path) AS source_file, line AS source_line, '{SUBMISSION}' AS run_id
    FROM reject_errors JOIN reject_scans USING (scan_id, file_id)
    GROUP BY file_path, line
"""
NONE_UNSPLIT = """
    CREATE TEMP TABLE unsplit
    (raw_row VARCHAR, rule VARCHAR, reason VARCHAR, source_file VARCHAR, source_line BIGINT, run_id VARCHAR)
"""


def clean(form: str, pattern: str, output: Path) -> dict[str, Any]:
    """Do the work, and count its results as the manifest of `clean` does."""
    database = duckdb.connect(config={"temp_directory": str(output / "spilled")})
    line = HEADER_LINES[form] + 1
    database.execute(judged(form), {"pattern": pattern})
    database.execute(UNSPLIT if form == "csv" else NONE_UNSPLIT)
    database.execute(SUPERSEDED)
    database.execute(FIRST_PLACES)
    (published,) = database.execute(PUBLISHED.format(line=line, output=output / "published.parquet")).fetchall()[0]
    database.execute(QUARANTINED.format(line=line, output=output / "quarantined.parquet"))
    by_rule = dict(
        database.execute(
            "SELECT rule, count(*) FROM (SELECT rule FROM judged UNION ALL SELECT rule FROM unsplit) "
            "WHERE rule IS NOT NULL GROUP BY rule ORDER BY rule"
        ).fetchall()
    )
    counts = "SELECT count(*) + (SELECT count(*) FROM unsplit), count_if(stale), (SELECT count(*) FROM superseded)"
    read, stale, duplicates = database.execute(f"{counts} FROM judged").fetchall()[0]
    return {
        "rows": {
            "read": read,
            "published": published,
            "quarantined": sum(by_rule.values()),
            "duplicates": duplicates,
            "dropped": {"stale_open_order": stale} if stale else {},
        },
        "quarantined_by_rule": by_rule,
    }


def main() -> None:
    """Do what the command line asks for, and print the counts."""
    parser = argparse.ArgumentParser(prog="benchmarks.peer_duckdb", description=__doc__)
    parser.add_argument("form", choices=READERS)
    parser.add_argument("pattern", help="the files, as DuckDB finds them")
    parser.add_argument("output", type=Path, help="a folder")
    asked = parser.parse_args()
    print(json.dumps(clean(asked.form, asked.pattern, asked.output)))  # noqa: T201


if __name__ == "__main__":
    main()
