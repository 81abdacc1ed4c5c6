"""How the columns of files stand to those of a contract: whether they are the same, and whether readers can have both.

A date that is published keeps its files, and its partition is described by their columns, whatever becomes of the
contract. Readers see it through the table, which has the columns of the contract: by name, null where the date has no
such column, and as the type of the table where that holds every value of the date's own type. So a contract may add,
drop and widen columns; what it may not do is what `refusals` tells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from contract.columns import TableColumn, decimal_parts
from contract.dataset import Contract

Types = Mapping[str, str]
"""Type by column, written as Hive does."""


@dataclass(frozen=True, eq=False)
class DateColumns:
    """What is known of the columns of a date's files.

    `version` is that of the contract which they were made by, and `sources` are the names that columns had in the raw
    files then, by column; dates that were published before either was recorded have neither.
    """

    ds: str
    types: Types
    version: int | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


def types_of(columns: Iterable[TableColumn]) -> dict[str, str]:
    """The type of each column, by its name, in order."""
    return {column.name: column.type for column in columns}


def sources_of(contract: Contract) -> dict[str, str]:
    """The name that each column of a contract has in the raw file."""
    return {column.name: column.source for column in contract.columns}


def differences(found: Types, expected: Types) -> list[str]:
    """How the columns of files differ from the contract's; order does not matter to readers of Parquet.

    :return: one readable sentence per difference; empty when they agree.
    """
    return (
        [f"column {name} ({expected[name]}) is missing" for name in expected if name not in found]
        + [f"column {name} ({found[name]}) is not in the contract" for name in found if name not in expected]
        + [
            f"column {name} is {found[name]}, the contract says {expected[name]}"
            for name in expected
            if name in found and found[name] != expected[name]
        ]
    )


def holds(wide: str, narrow: str) -> bool:
    """Whether every value of the type `narrow` is one of `wide`, and Athena, Trino and Spark read it as such.

    An int may become a bigint, and a decimal one with more digits on either side of the point.
    """
    if wide == narrow or (narrow, wide) == ("int", "bigint"):
        return True
    before, after = decimal_parts(narrow), decimal_parts(wide)
    if before is None or after is None:
        return False
    return after[1] >= before[1] and after[0] - after[1] >= before[0] - before[1]


def unreadable(found: Types, wanted: Types) -> list[str]:
    """The columns of files that a table with the columns `wanted` cannot show, in the table's order."""
    return [name for name in wanted if name in found and not holds(wanted[name], found[name])]


def refusals(contract: Contract, dates: Collection[DateColumns]) -> list[str]:
    """Why nothing may be published by a contract as long as what is published is as it is.

    :param dates: what is published, or about to be, in any order.
    :return: one sentence for each reason, with column, types, dates, and what to do; empty when it may.
    """
    wanted, known = types_of(contract.published_columns), sorted(dates, key=lambda date: date.ds)
    return [*_retyped(wanted, known), *_renamed(contract, wanted, known), *_same_version(contract, wanted, known)]


def _retyped(wanted: Types, dates: Sequence[DateColumns]) -> Iterable[str]:
    for name, type_name in wanted.items():
        before = {date: date.types[name] for date in dates if unreadable(date.types, {name: type_name})}
        for was, alike in _by_value(before):
            yield (
                f"column {name} is {was} in the files of {_range(alike)}, and the contract says {type_name}, "
                f"which cannot show it. Keep {name} as {was} and give the new column another name, such as a derived "
                f"column beside it; reprocess {_range(alike, counted=False)}; then drop {name}"
            )


def _renamed(contract: Contract, wanted: Types, dates: Sequence[DateColumns]) -> Iterable[str]:
    for column in contract.columns:
        before = {
            date: name
            for date in dates
            for name, source in date.sources.items()
            if source == column.source and name in date.types and name not in wanted and column.name not in date.types
        }
        for was, alike in _by_value(before):
            yield (
                f"column {column.name} ({column.type}) is {was} ({alike[0].types[was]}) in the files of "
                f"{_range(alike)}: both come from {column.source!r} in the raw files, and {was} is not in the contract "
                f"any more. Keep {was} and add {column.name} as a derived column beside it; reprocess "
                f"{_range(alike, counted=False)}; then drop {was}"
            )


def _same_version(contract: Contract, wanted: Types, dates: Sequence[DateColumns]) -> Iterable[str]:
    known = [date for date in dates if date.version is not None and date.version >= contract.version]
    where = [date for date in known if differences(date.types, wanted)]
    if where:
        newest = max(date.version or 0 for date in known)
        told = "; ".join(differences(where[-1].types, wanted))
        yield (
            f"version {where[-1].version} of the contract was published of {_range(where)} with other columns than "
            f"version {contract.version} has now ({told}): raise version to {newest + 1}"
        )


def _by_value(before: Mapping[DateColumns, str]) -> Iterable[tuple[str, list[DateColumns]]]:
    """Each value with its dates, both in the order in which the dates are."""
    groups: dict[str, list[DateColumns]] = {}
    for date, value in before.items():
        groups.setdefault(value, []).append(date)
    return groups.items()


def _range(dates: Sequence[DateColumns], *, counted: bool = True) -> str:
    """The first and the last of dates in order, as `reprocess` wants them, and how many there are."""
    first, last = dates[0].ds, dates[-1].ds
    if not counted:
        return f"{first}..{last}"
    return first if first == last else f"{first}..{last} ({len({date.ds for date in dates})} dates)"
