"""A parsed SoQL query: statements as the classes here, expressions as sqlglot trees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


def placed(node: exp.Expr, place: tuple[int, int]) -> exp.Expr:
    """The node, with the line and character where it begins."""
    node.meta["position"] = place
    return node


@dataclass(frozen=True, slots=True)
class Star:
    """`*`, `:*`, or `@b.*`, without the columns after EXCEPT."""

    system: bool = False
    table: str | None = None
    excepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A selected expression, with its alias if it has one."""

    expression: exp.Expr
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class TableReference:
    """`@abcd-efgh AS b`; the query's own dataset is `this`."""

    name: str
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Subquery:
    """`(SELECT …) AS b`."""

    query: Query
    alias: str


@dataclass(frozen=True, slots=True)
class Join:
    """A join."""

    side: str
    """Empty for an inner join, otherwise LEFT, RIGHT, or FULL."""
    lateral: bool
    source: TableReference | Subquery
    condition: exp.Expr


@dataclass(slots=True)
class Select:
    """One SELECT; missing clauses are empty."""

    items: list[Star | Item] = field(default_factory=lambda: [Star()])
    distinct: bool = False
    one_of: list[exp.Expr] = field(default_factory=list)
    """DISTINCT ON: the first row for each of their values."""
    source: TableReference | None = None
    joins: list[Join] = field(default_factory=list)
    where: exp.Expr | None = None
    group: list[exp.Expr] = field(default_factory=list)
    having: exp.Expr | None = None
    order: list[exp.Ordered] = field(default_factory=list)
    search: str = ""
    limit: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Pipe:
    """`left |> right`: the second sees the columns of the first, and nothing else."""

    left: Query
    right: Select


@dataclass(frozen=True, slots=True)
class Compound:
    """UNION, INTERSECT, or MINUS of two queries, with or without ALL."""

    word: str
    left: Query
    right: Query


Query = Select | Pipe | Compound
