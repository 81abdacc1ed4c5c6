#!/usr/bin/env bash
# duckdb 2.0.0, read back with pyarrow 26.0.1 (Python 3.11).
#
# Guess: COPY ... (FORMAT parquet) writes every column of a query as OPTIONAL, as Trino and Spark do, or as the column is
# declared. Seen: a column is REQUIRED where DuckDB's statistics say that none of these rows is null, and OPTIONAL as
# soon as one is, though the column's declaration is the same. So of the files of one table, written day by day by one
# statement, some say that a column may be null and others that it may not; pyarrow takes the schema of a dataset from
# the first file, and then hands out nulls in a field that it calls not nullable.
#
# Expected output:
#   no null among the rows: required
#   a null among the rows: optional
#   dataset of both: field not null: True, nulls in it: 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check duckdb==2.0.0 pyarrow==26.0.1
cat > "$folder/look.py" <<'PYTHON'
import sys

import duckdb
import pyarrow.dataset as ds
import pyarrow.parquet as pq

folder = sys.argv[1]
connection = duckdb.connect()
for name, what, rows in (("1", "no null among the rows", "(1), (2)"), ("2", "a null among the rows", "(3), (NULL)")):
    connection.execute("CREATE OR REPLACE TABLE day (amount INTEGER)")
    connection.execute(f"INSERT INTO day VALUES {rows}")
    connection.execute(f"COPY (SELECT amount FROM day) TO '{folder}/{name}.parquet' (FORMAT parquet)")
    nullable = pq.read_schema(f"{folder}/{name}.parquet").field("amount").nullable
    print(f"{what}: {'optional' if nullable else 'required'}")
table = ds.dataset([f"{folder}/1.parquet", f"{folder}/2.parquet"]).to_table()
print(f"dataset of both: field not null: {not table.schema.field('amount').nullable}, nulls in it: {table['amount'].null_count}")
PYTHON
"$folder/venv/bin/python" "$folder/look.py" "$folder" | tee "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
no null among the rows: required
a null among the rows: optional
dataset of both: field not null: True, nulls in it: 1
EXPECTED
