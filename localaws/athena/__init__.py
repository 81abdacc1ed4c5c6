"""Athena over the Glue catalog and the S3 files on disk: Trino SQL, compiled to DuckDB.

`install.install()` puts it in ministack's place. A query goes through `statements` (what kind of statement it is),
`queries` and `compiler` (names, types and SQL), `scans` (which files of which partitions), `engine` (DuckDB), and
`results` or `writing`; `runs` leads it, `api` answers for it.
"""
