"""All contracts together: each must find in the others what it says of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from contract.columns import TableColumn
from contract.dataset import Contract, Lookup, Reference, read_contract
from contract.document import Lines, Location
from contract.reading import ContractError, dotted

Check = Callable[[Contract], Iterable[tuple[Location, str]]]
"""What a caller asks of a contract beyond the model: the path and the message of each problem."""


def load_contracts(folder: Path | str, *checks: Check) -> dict[str, Contract]:
    """Every contract in `folder` (`*.yaml`), by dataset, in alphabetical order.

    :raises ContractError: naming every problem in every file, and every reference to what another does not have.
    """
    contracts, problems = sound_contracts(folder, *checks)
    if problems:
        raise ContractError("\n".join(problems))
    return contracts


def sound_contracts(folder: Path | str, *checks: Check) -> tuple[dict[str, Contract], list[str]]:
    """The contracts in `folder` (`*.yaml`) that can be run whatever is wrong with others, and what is wrong.

    :return: by dataset, in alphabetical order, those without a problem that read no dataset with one; every problem.
    """
    contracts: dict[str, Contract] = {}
    lines: dict[str, Lines] = {}
    problems: list[str] = []
    paths = sorted(Path(folder).glob("*.yaml"))
    for path in paths:
        try:
            contracts[path.stem], lines[path.stem] = read_contract(path)
        except ContractError as error:
            problems.append(str(error))
    # A dataset whose own contract is wrong is judged first; what others say of it comes after.
    broken = {path.stem for path in paths} - set(contracts)
    wrong = set(broken)
    for dataset, contract in contracts.items():
        own = (problem for check in checks for problem in check(contract))
        for at, message in (*own, *_wrong_reads(contract, contracts, broken)):
            problems.append(f"{Path(folder) / dataset}.yaml:{lines[dataset][at]}: {dotted(at)}: {message}")
            wrong.add(dataset)
    sound = {
        dataset: contract
        for dataset, contract in contracts.items()
        if not wrong & {dataset, *_read_by(contract, contracts)}
    }
    return sound, problems


def _wrong_reads(
    contract: Contract, contracts: dict[str, Contract], broken: set[str]
) -> Iterator[tuple[Location, str]]:
    """What `contract` says of other datasets and they do not: path and message. Nothing is said of `broken` ones."""
    for other, at in contract.reads():
        target = contracts.get(other.dataset)
        if target is not None:
            if contract.dataset in _read_by(target, contracts):
                yield (
                    (*at, "dataset"),
                    f"{other.dataset!r} reads {contract.dataset!r} in turn: neither can be loaded first",
                )
            yield from (((*at, "references"), message) for message in _unlike(contract, target, other))
            if isinstance(other, Lookup):
                yield from (((*at, *below), message) for below, message in _wrong_lookup(other, target))
        elif other.dataset not in broken:
            known = ", ".join(name for name in contracts if name != contract.dataset)
            yield (*at, "dataset"), f"{other.dataset!r} is not a dataset; allowed: {known}"


def _read_by(contract: Contract, contracts: dict[str, Contract]) -> set[str]:
    """The datasets that `contract` reads, those that they read, and so on."""
    found: set[str] = set()
    waiting = [contract.dataset]
    while waiting:
        known = contracts.get(waiting.pop())
        new = set(known.other_datasets) - found if known else set()
        found |= new
        waiting += new
    return found


AnyColumn = TypeVar("AnyColumn", bound=TableColumn)


def _unlike(contract: Contract, target: Contract, other: Reference | Lookup) -> Iterator[str]:
    """Why a column's values cannot be looked for in the column of the other dataset that they refer to."""
    column = next(column for column in contract.columns if column.name == other.column)
    match = _find(target.columns, other.references)
    if match is None:
        names = ", ".join(column.name for column in target.columns)
        yield f"{other.references!r} is not a column of {target.dataset}; allowed: {names}"
    elif match.type != column.type:
        yield f"{target.dataset}.{match.name} is {match.type}, {column.name} is {column.type}"
    elif match.personal != column.personal:
        yield f"only one of {column.name} and {target.dataset}.{match.name} is personal: a hash equals no value itself"


def _wrong_lookup(lookup: Lookup, target: Contract) -> Iterator[tuple[Location, str]]:
    if target.key != (lookup.references,):
        yield ("references",), f"{lookup.references!r} is not the key of {target.dataset}: several rows may have it"
    if target.load_mode == "append":
        yield ("dataset",), f"{target.dataset} has load_mode append: a key has no version that counts"
    if target.dedupe_by != "key":
        yield ("dataset",), f"{target.dataset} does not dedupe by key: several of its rows may match"
    available = [column for column, _ in target.own_columns()]
    for index, take in enumerate(lookup.take):
        source = _find(available, take.source)
        if source is None:
            names = ", ".join(column.name for column in available)
            yield ("take", index, "from"), f"{take.source!r} is not a column of {target.dataset}; allowed: {names}"
        elif source.type != take.type:
            yield ("take", index, "type"), f"{target.dataset}.{source.name} is {source.type}, not {take.type}"


def _find(columns: Sequence[AnyColumn], name: str) -> AnyColumn | None:
    return next((column for column in columns if column.name == name), None)
