"""`make remove-mart NAME=orders/status_summary`: take away a mart that its contract no longer has, table and files.

It needs the stack's outputs in the environment (`. .local/env`, or `. .local/aws.env`) and credentials that may delete
tables: those that deploy. The files can be brought back for as long as the bucket keeps old versions.
"""

from __future__ import annotations

import argparse
import sys

import boto3
from lake.contracts import load_contracts
from lake.objects import delete_objects, keys_under
from lake.settings import Settings, SettingsError
from lake.tables import abandoned_marts

from tools.console import run, step
from tools.processes import StackError


def remove(dataset: str, mart: str) -> None:
    """Delete the table, the pictures and the records of a mart.

    Raises:
        StackError: when the dataset has no contract, or its contract has the mart, or there is no such table.
    """
    contracts = load_contracts()
    if dataset not in contracts:
        raise StackError(f"{dataset!r} is not a dataset; there are: {', '.join(contracts)}")
    contract = contracts[dataset]
    if mart in {each.name for each in contract.marts}:
        raise StackError(f"the contract of {dataset} has the mart {mart}: take it out there first, and deploy")
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        raise StackError(str(error)) from None
    glue, s3, names = boto3.client("glue"), boto3.client("s3"), settings.names(dataset)
    abandoned = abandoned_marts(glue, settings, contract)
    if mart not in abandoned:
        raise StackError(f"{names.database} has no abandoned mart {mart}; it has: {', '.join(abandoned) or 'none'}")
    with step(f"{names.database}.{mart}"):
        # The table first: nobody may find a partition whose files are half gone.
        glue.delete_table(DatabaseName=names.database, Name=mart)
        for bucket, prefix in (
            (settings.enriched_bucket, names.mart(mart)),
            (settings.artifacts_bucket, names.mart_records(mart)),
        ):
            delete_objects(s3, bucket, keys_under(s3, bucket, prefix))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="tools.remove_mart", description=__doc__)
    parser.add_argument("name", metavar="DATASET/MART")
    dataset, _, mart = parser.parse_args().name.partition("/")
    return run(lambda: remove(dataset, mart))


if __name__ == "__main__":
    sys.exit(main())
