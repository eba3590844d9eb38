"""Compile a whole SoQL query to one SQL SELECT over the relation `rows` and the relations of joined datasets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from publisher.portal.base.problems import dataset_missing, malformed, semantic
from publisher.portal.base.sql import quoted
from publisher.portal.soql.dialect import parse_clause, parse_query
from publisher.portal.soql.relations import Field, Relation
from publisher.portal.soql.selects import Extras, SelectTranslation
from publisher.portal.soql.shared import Shared
from publisher.portal.soql.syntax import Compound, Item, Pipe, Select
from publisher.portal.soql.terms import LONGEST_SQL

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.base.kinds import Kind
    from publisher.portal.base.model import PortalDataset
    from publisher.portal.soql.relations import FromItem
    from publisher.portal.soql.syntax import Query

DEFAULT_LIMIT = 1000
CLAUSES = {
    "$select": "SELECT",
    "$where": "WHERE",
    "$group": "GROUP BY",
    "$having": "HAVING",
    "$order": "ORDER BY",
    "$limit": "LIMIT",
    "$offset": "OFFSET",
}


@dataclass(frozen=True, slots=True)
class SoqlQuestion:
    """A query as it was received: clauses or a whole query, equality filters, and search words."""

    clauses: dict[str, str] = field(default_factory=dict)
    """By parameter name, such as `$where`; `$query` excludes the others."""
    filters: tuple[tuple[str, str], ...] = ()
    words: str = ""
    system: bool = False
    """True if `*` includes the system columns."""
    limit: int | None = DEFAULT_LIMIT
    """The number of rows if the query has no limit; None for all."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled query: SQL over `rows`, the values it binds, and its columns in order."""

    sql: str
    values: dict[str, Any]
    fields: tuple[tuple[str, Kind], ...]
    joined: tuple[PortalDataset, ...] = ()
    """The other datasets that the SQL reads, each as a relation named by its 4x4."""
    most: int | None = None
    """The most rows in the result, if the query has a limit."""
    momentary: bool = False
    """True if the result depends on the time of the query."""


def alone(identifier: str) -> PortalDataset:
    """The default for `others`: the query cannot use other datasets."""
    raise dataset_missing(identifier)


def compile_question(
    dataset: PortalDataset, question: SoqlQuestion, others: Callable[[str], PortalDataset] = alone
) -> Compiled:
    """Compile a query on a dataset to SQL. Raises SodaError with Socrata's code.

    `others` returns the public dataset with a 4x4 for joins and unions, or raises SodaError.
    """
    try:
        return Compiler(dataset, question, others).compiled()
    except RecursionError:
        raise malformed("…", 1, 1, "the query is nested too deeply") from None


class Compiler:
    """The compilation of one query."""

    def __init__(self, dataset: PortalDataset, question: SoqlQuestion, others: Callable[[str], PortalDataset]) -> None:
        text = question.clauses.get("$query") or " ".join(
            f"{CLAUSES[name]} {text}" for name, text in question.clauses.items()
        )
        self.question = question
        self._shared = Shared(dataset, text, question.limit, others)

    def compiled(self) -> Compiled:
        """Compile the whole query."""
        extras = Extras(self.question.filters, self.question.words, self.question.system)
        tree = _parsed(self.question)
        found = self.query(tree, self._shared.rows(), extras=extras, last=True)
        if len(found.sql) > LONGEST_SQL:
            raise malformed("…", 1, 1, "the query is too large when its parts are combined")
        fields = tuple((name, each.kind) for name, each in found.fields.items())
        sql = found.sql
        joined, values = tuple(self._shared.joined.values()), self._shared.values
        return Compiled(sql, values.used(sql), fields, joined, self._most(tree), values.momentary)

    def _most(self, tree: Query) -> int | None:
        last = tree.right if isinstance(tree, Pipe) else tree
        own = last.limit if isinstance(last, Select) else None
        return own if own is not None else self.question.limit

    def query(
        self,
        tree: Query,
        rows: Relation | None,
        *,
        extras: Extras = Extras(),  # noqa: B008 -- frozen
        last: bool = False,
        outer: tuple[FromItem, ...] = (),
    ) -> Relation:
        """Compile a statement, without parentheses. By default it reads `rows`;
        `last` is the statement whose rows are the result; `outer` is what a LATERAL subquery can refer to."""
        start = partial(SelectTranslation, self._shared, self._subquery)
        match tree:
            case Pipe(left, right):
                before = self.query(left, rows, extras=extras, outer=outer)
                return start(right, within(before), Extras(), last=last, piped=True).relation()
            case Compound():
                return self._compound(tree, rows, extras, outer, last=last)
            case _:
                return start(tree, rows, extras, last=last, outer=outer).relation()

    def _subquery(self, tree: Query, outer: tuple[FromItem, ...]) -> Relation:
        return self.query(tree, None, outer=outer)

    def _compound(
        self, tree: Compound, rows: Relation | None, extras: Extras, outer: tuple[FromItem, ...], *, last: bool
    ) -> Relation:
        left = self.query(tree.left, rows, extras=extras, outer=outer)
        right = self.query(tree.right, rows, outer=outer)
        fields = _agreed(left, right)
        sql = f"({shown(left)}) {tree.word} ({shown(right)})"
        if last and self.question.limit is not None:
            order = ", ".join(f"r.{quoted(name)}" for name in fields)
            sql = f"SELECT * FROM ({sql}) AS r ORDER BY {order} LIMIT {self.question.limit}"
        return Relation(sql, fields, placed=False)


def within(relation: Relation) -> Relation:
    """A statement's rows as a relation that can follow FROM."""
    return replace(relation, sql=f"({relation.sql})")


def shown(relation: Relation) -> str:
    """The statement without its hidden column."""
    if not relation.placed:
        return relation.sql
    return f"SELECT {', '.join(quoted(name) for name in relation.fields)} FROM ({relation.sql})"


def _agreed(left: Relation, right: Relation) -> dict[str, Field]:
    ours, theirs = list(left.fields.items()), list(right.fields.values())
    if len(ours) != len(theirs):
        message = f"The two SELECTs have {len(ours)} and {len(theirs)} columns"
        raise semantic("two-selects-number-of-columns-mismatch", message)
    for (name, one), other in zip(ours, theirs, strict=True):
        if one.kind is not other.kind:
            message = f"Column {name} is {one.kind.value} in one SELECT and {other.kind.value} in the other"
            raise semantic("two-selects-column-types-mismatch", message, column=name)
    return {
        name: Field(one.kind, one.inexact or other.inexact) for (name, one), other in zip(ours, theirs, strict=True)
    }


def _parsed(question: SoqlQuestion) -> Query:
    whole = question.clauses.get("$query")
    if whole is not None:
        return parse_query(whole)
    select = Select()
    for name, text in question.clauses.items():
        parse_clause(select, name, text)
    if select.group and "$select" not in question.clauses:
        counted = exp.Anonymous(this="count", expressions=[exp.Star()])
        select.items = [Item(node) for node in (*select.group, counted)]
    return select
