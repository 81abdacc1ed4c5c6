"""`python -m tools.dataset_docs [--check]`: write docs/datasets and the contract's JSON Schema, or say what is stale.

The pages come from the contracts, suites and SQL; the schema, which editors use to complete and check contracts, from
the model in plugins/contract/dataset.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from contract.dataset import Contract
from contract.reading import ContractError
from lake.contracts import load_contracts
from lake.documentation import dataset_page, index_page

from tools.console import console
from tools.environment import CHECKOUT

PAGES = Path("docs/datasets")
SCHEMA = Path("include/datasets/contract.schema.json")


def json_schema() -> str:
    """Return the JSON Schema of contracts, for editors. It knows each field; that fields fit together, only loading."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Contract.model_json_schema(by_alias=True)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def contents(repository: Path) -> dict[Path, str]:
    """Return what every generated file must hold, by its path in the repository.

    Raises:
        ContractError: when a contract is wrong.
        FileNotFoundError: when a dataset has no suite, or a mart no SQL.
    """
    contracts = load_contracts(repository / "include" / "datasets")
    pages = {PAGES / "README.md": index_page(contracts.values()), SCHEMA: json_schema()}
    for dataset, contract in contracts.items():
        suite = json.loads((repository / "expectations" / f"{dataset}.json").read_text(encoding="utf-8"))
        folder = repository / "include" / "sql" / dataset
        sql = {mart.name: (folder / f"{mart.name}.sql").read_text(encoding="utf-8") for mart in contract.marts}
        pages[PAGES / f"{dataset}.md"] = dataset_page(contract, suite, sql)
    return pages


def stale(repository: Path, wanted: dict[Path, str]) -> Iterator[Path]:
    """Yield the generated files that are missing, differ from what is `wanted`, or belong to no dataset any more."""
    for path, content in wanted.items():
        file = repository / path
        if not file.is_file() or file.read_text(encoding="utf-8") != content:
            yield path
    for file in sorted((repository / PAGES).glob("*.md")):
        if PAGES / file.name not in wanted:
            yield PAGES / file.name


def write(repository: Path) -> list[Path]:
    """Bring every generated file up to date, and return those that were not."""
    wanted = contents(repository)
    outdated = list(stale(repository, wanted))
    for path in outdated:
        file = repository / path
        if path in wanted:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted[path], encoding="utf-8")
        else:
            file.unlink()
    return outdated


def main(repository: Path = CHECKOUT) -> int:
    """Run the command line, and return 1 when something is stale or wrong."""
    parser = argparse.ArgumentParser(prog="tools.dataset_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    check = parser.parse_args().check
    try:
        outdated = list(stale(repository, contents(repository))) if check else write(repository)
    except (ContractError, FileNotFoundError) as error:
        console.print(f"{error}", markup=False)
        return 1
    for path in outdated:
        console.print(f"{path} is stale" if check else f"brought {path} up to date", markup=False)
    return 1 if check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
