"""What a dataset's DAG says of itself on its page in the Airflow UI."""

from __future__ import annotations

from lake.contract import Contract


def dag_documentation(contract: Contract) -> str:
    """Write the DAG's `doc_md` from the contract.

    Args:
        contract: the dataset.

    Returns:
        Markdown.
    """
    columns = "\n".join(f"| `{c.name}` | `{c.type}` | {c.description} |" for c in contract.published_columns)
    rules = "\n".join(f"| `{r.name}` | {r.action} | `{r.condition}` | {r.description} |" for r in contract.rules)
    marts = "\n".join(f"| `{m.name}` | {m.description} |" for m in contract.marts)
    return f"""\
# {contract.dataset}

{contract.description}

**Owner** {contract.owner}. **Load mode** {contract.load_mode}. **Waits** up to {contract.wait.timeout_hours} h for
files at `{contract.raw_prefix("<date>")}` in the raw bucket. The contract: `include/datasets/{contract.dataset}.yaml`;
the suite: `expectations/{contract.dataset}.json`.

`wait_for_raw` → `start_worker` → `stage_raw` → `snapshot_raw` → `clean` → `validate` → `stop_worker`, and when the
batch is valid → `promote` → `crawl` → `publish` → one task per mart. Until `publish` readers see the date as it was.

To load a date again, clear its run or trigger one with `{{"date": "YYYY-MM-DD"}}`: same input, same tables. Rows
that break a rule are in `{contract.database}.{contract.quarantine_table}`. When a task fails: `docs/runbook.md`.

## `{contract.database}.{contract.table}`, partitioned by `ds`

| column | type | meaning |
|---|---|---|
{columns}

## Row rules

Each value must also be of its column's type, and present where the contract requires it; else the row is quarantined.

| rule | action | a row breaks it when | why |
|---|---|---|---|
{rules}

## Marts

| table | what it says |
|---|---|
{marts}
"""
