"""`python -m tools.new_dataset NAME SAMPLE`: a first contract, suite, mart, SQL test and page from a sample file.

What it writes holds for the sample and is meant to be edited. What was edited is not overwritten; the same sample again
changes nothing. It ends by running the sample through stage_raw, clean and validate, and fails when they refuse it: the
files stay for their editor. The sample itself is not kept; of its values only those of columns with few, and not
personal, ones are, as what is allowed there and in the SQL test, whose numbers are made up.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from contract.dataset import Contract, load_contract
from contract.reading import ContractError

from tools import dataset_docs
from tools.console import console, run, step
from tools.dataset.columns import ColumnGuess, guess_columns
from tools.dataset.documents import contract_text, plain, suite_text
from tools.dataset.mart import TEST_DATES, first_mart
from tools.dataset.rehearsal import Outcome, rehearse
from tools.dataset.sample import Sample, read_sample
from tools.environment import CHECKOUT
from tools.processes import StackError


def first_files(name: str, sample_name: str, sample: Sample, columns: Sequence[ColumnGuess]) -> dict[Path, str]:
    """Return what a new dataset begins with, by path in the repository.

    Raises:
        StackError: when the name is none of a dataset.
    """
    if not name.isidentifier():
        raise StackError(f"{name!r} is not a name for a dataset: it may have lower case letters, digits and _")
    mart = first_mart(name, columns)
    contract = contract_text(name, sample_name, sample, columns, mart)
    _checked(name, contract)
    received, expected = mart.test()
    tests = Path("tests/integration/sql") / name
    return {
        Path("include/datasets") / f"{name}.yaml": contract,
        Path("expectations") / f"{name}.json": suite_text(name),
        Path("include/sql") / name / f"{mart.name}.sql": mart.sql(),
        tests / "input.csv": received,
        tests / mart.name / f"{TEST_DATES[1]}.csv": expected,
    }


def _checked(name: str, contract: str) -> Contract:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        try:
            path.write_text(contract, encoding="utf-8")
            return load_contract(path)
        except (ContractError, OSError) as error:
            raise StackError(f"{error}".replace(f"{folder}/", "")) from None


def create(repository: Path, files: dict[Path, str]) -> list[Path]:
    """Write a new dataset's first files and the pages, and return the paths in the repository of those that are new.

    Raises:
        StackError: when one of them is there already with another content.
    """
    there = {path: (repository / path).read_text(encoding="utf-8") for path in files if (repository / path).exists()}
    if edited := [f"{path}" for path, content in there.items() if content != files[path]]:
        raise StackError(f"there already, and not as this sample makes it: {', '.join(edited)}. Nothing was written")
    missing = [path for path in files if path not in there]
    for path in missing:
        file = repository / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(files[path], encoding="utf-8")
    return [*missing, *dataset_docs.write(repository)]


def evidence(sample: Sample, columns: Sequence[ColumnGuess]) -> Iterable[str]:
    """Yield a line for each thing that was inferred, with what speaks for it."""
    for name, value in sample.format.model_dump(exclude_unset=True).items():
        why = f": {plain(sample.evidence[name])}" if name in sample.evidence else ""
        yield f"format.{name} {value!r}{why}"
    for column in columns:
        like = f" {column.format}" if column.format else ""
        line = f"{column.name} {column.type}{like}: {column.present:,} of {column.rows:,} values"
        if column.trimmed:
            line += ", without the blanks around them"
        if column.other_formats:
            line += f"; or {' or '.join(column.other_formats)}, which the sample does not tell"
        if column.doubt:
            line += f"; doubtful: {column.doubt}"
        if column.personal:
            line += f"; personal{' (doubtful)' if column.personal.doubtful else ''}: {column.personal.why}"
        yield line
    for source, why in sample.left_out.items():
        yield f"left out: {plain(source)!r} {why}"
    yield from (f"doubtful: {doubt}" for doubt in sample.doubts)
    for rule, count in sample.broken.items():
        yield f"not learned from: {count:,} records, {rule}"


def account(outcome: Outcome) -> Iterable[str]:
    """Yield what became of the sample's rows, and the verdict on them."""
    if rows := outcome.account.get("rows"):
        lines = outcome.account["files"][0]["lines"]
        others = ", ".join(f"{count:,} {kind}" for kind, count in lines.items() if kind not in ("physical", "records"))
        yield f"{lines['physical']:,} lines: {others}, {lines['records']:,} of rows"
        yield (
            f"{rows['read']:,} rows read = {rows['published']:,} published + {rows['quarantined']:,} quarantined "
            f"+ {sum(rows['dropped'].values()):,} dropped + {rows['duplicates']:,} duplicates"
        )
        for rule, count in outcome.account["quarantined_by_rule"].items():
            yield f"quarantined: {count:,} by {rule}"
    if "expectations" in outcome.account:
        failed = outcome.account["failed"]
        critical = sum(item["severity"] == "critical" for item in failed)
        total = outcome.account["expectations"]
        yield f"suite: {total} expectations, {critical} failed, {len(failed) - critical} warnings"


def report(name: str, sample_path: Path, repository: Path) -> None:
    """Create the dataset, say what was written and why, and what the jobs make of the sample.

    Raises:
        StackError: when it cannot be created, or the jobs refuse the sample.
    """
    sample = read_sample(sample_path)
    columns = guess_columns(sample)
    files = first_files(name, sample_path.name, sample, columns)
    written = create(repository, files)
    for line in evidence(sample, columns):
        console.print(f"  {line}", markup=False)
    for path in written:
        console.print(f"  [green]✓[/] {path}")
    if not written:
        console.print("  Nothing to write: the dataset is there as this sample makes it.")
    with step("the sample through stage_raw, clean and validate"):
        outcome = rehearse(name, sample_path, files)
    for line in account(outcome):
        console.print(f"    {line}", markup=False)
    if outcome.problem:
        raise StackError(
            f"the jobs refuse the sample: {outcome.problem}. The files are there for you to correct, "
            f"include/datasets/{name}.yaml first; or remove them"
        )
    console.print(
        f"""
  Next:
    edit include/datasets/{name}.yaml and run `make docs`
    make up                                         makes its database and crawler; the DAG ingest_{name} appears
    . .local/env
    aws s3 cp {shlex.quote(str(sample_path))} s3://$LAKE_RAW_BUCKET/{name}/ds=2025-06-30/
    airflow dags test ingest_{name} 2025-06-30
                                                    loads it here; tests have a metadata database of their own
""",
        markup=False,
    )


def main(repository: Path = CHECKOUT) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="tools.new_dataset", description=__doc__)
    parser.add_argument("name", help="the dataset: lower case letters, digits and _")
    parser.add_argument("sample", type=Path, help="a file as it will be received: .csv, .json, .jsonl, .parquet, .gz")
    arguments = parser.parse_args()
    return run(partial(report, arguments.name, arguments.sample, repository))


if __name__ == "__main__":
    sys.exit(main())
