"""`make rebuild-catalog [ARGUMENTS="orders sales"]`: every pointer of the Glue Data Catalog again, from S3 alone.

For a lake whose Glue databases were lost or changed by hand. It needs the stack's outputs in the environment
(`. .local/env`, or `. .local/aws.env`) and credentials that may create databases: those that deploy.
"""

from __future__ import annotations

import argparse
import sys

from lake.contracts import load_contracts
from lake.rebuild import CatalogRebuild
from lake.settings import Settings, SettingsError

from tools.console import run, step, table
from tools.processes import StackError


def rebuild(datasets: list[str]) -> None:
    """Rebuild the catalog of these datasets, or of all.

    Raises:
        StackError: when one has no contract, or the stack's outputs are not in the environment.
    """
    contracts = load_contracts()
    if unknown := sorted(set(datasets) - set(contracts)):
        raise StackError(f"{unknown[0]} is not a dataset; there are: {', '.join(contracts)}")
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        raise StackError(str(error)) from None
    rows = []
    for dataset in datasets or contracts:
        with step(settings.names(dataset).database):
            made = CatalogRebuild(settings, contracts[dataset]).rebuild()
        rows += [(settings.names(dataset).database, name, count) for name, count in made.items()]
    table("Pointed at", ("database", "table", "partitions"), rows, right=("partitions",))


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="tools.rebuild_catalog", description=__doc__)
    parser.add_argument("datasets", nargs="*", metavar="DATASET", help="all if none is named")
    datasets = parser.parse_args().datasets
    return run(lambda: rebuild(datasets))


if __name__ == "__main__":
    sys.exit(main())
