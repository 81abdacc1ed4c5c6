"""Names in sight of an expression, and how a written name finds its column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from sqlglot import exp

from localaws.athena.expressions import Field, Relation, Typed
from localaws.athena.types import Type


class AmbiguousNameError(Exception):
    """A name that more than one column answers to."""


@dataclass
class Scope:
    """What an expression of one SELECT can name.

    Attributes:
        fields: columns of its FROM.
        parent: the scope of the query around a subquery.
        aliases: names of output columns, which come first in ORDER BY.
        lambdas: parameters of the lambda expressions around it.
        keys: SQL of the GROUP BY expressions.
    """

    fields: list[Field] = field(default_factory=list)
    parent: Scope | None = None
    aliases: dict[str, Typed] = field(default_factory=dict)
    lambdas: dict[str, Type] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()

    def find(self, names: list[str]) -> tuple[Field, int] | None:
        """The column that a dotted name begins with, and how many of its parts name it; the rest are row fields.

        Raises:
            AmbiguousNameError: when several columns match.
        """
        for count in range(len(names), 0, -1):
            qualifier, name = ".".join(names[: count - 1]), names[count - 1]
            found = [
                candidate
                for candidate in self.fields
                if candidate.name == name and (not qualifier or qualifier in candidate.relations)
            ]
            if len(found) > 1:
                raise AmbiguousNameError
            if found:
                return found[0], count
        return None


class Queries(Protocol):
    """What an expression needs of the queries around it and in it."""

    def query(self, node: exp.Expr, parent: Scope | None = None) -> Relation:
        """Compile a query in sight of the columns of `parent`."""

    def subquery(self, node: exp.Expr, scope: Scope, columns: int | None = 1) -> Typed:
        """A subquery of an expression, as the values of its one column."""

    def window(self, node: exp.Window, scope: Scope) -> tuple[str, list[Typed]]:
        """The OVER clause of a window call as DuckDB SQL, and the expressions in it."""

    def ordering(self, clause: exp.Order, scope: Scope) -> tuple[str, list[Typed]]:
        """An ORDER BY inside a call or window as DuckDB SQL, and the expressions in it."""
