"""Compile one SELECT of SoQL to SQL: its sources, selection, grouping, and order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from publisher.portal.base.kinds import Kind
from publisher.portal.base.problems import malformed, semantic
from publisher.portal.base.sql import quoted
from publisher.portal.soql.calls import called, direction
from publisher.portal.soql.expressions import Expressions
from publisher.portal.soql.names import free, implied
from publisher.portal.soql.relations import PLACE, Field, FromItem, Relation, Scope
from publisher.portal.soql.search import found_words
from publisher.portal.soql.syntax import Item, Star, Subquery
from publisher.portal.soql.terms import Term

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.soql.shared import Shared
    from publisher.portal.soql.syntax import Join, Query, Select, TableReference

_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LARGE = 10_000
"""From this many rows on, a limit is hidden from DuckDB's planner, which would collect all rows before returning the
first. For smaller pages the planner's way is better: it does not read the rows before the page."""
_SIDES = {"": "JOIN", "LEFT": "LEFT JOIN", "RIGHT": "RIGHT JOIN", "FULL": "FULL JOIN"}


@dataclass(frozen=True, slots=True)
class Extras:
    """The equality filters and search words next to the query in a request; they apply to the dataset's own rows."""

    filters: tuple[tuple[str, str], ...] = ()
    words: str = ""
    system: bool = False


class SelectTranslation:
    """A SELECT on its way to SQL; `subquery` compiles one that it joins, which may name the relations it is given."""

    def __init__(
        self,
        shared: Shared,
        subquery: Callable[[Query, tuple[FromItem, ...]], Relation],
        select: Select,
        rows: Relation | None,
        extras: Extras,
        *,
        last: bool,
        outer: tuple[FromItem, ...] = (),
        piped: bool = False,
    ) -> None:
        self.shared = shared
        self._subquery = subquery
        self.select = select
        self.extras = extras
        self.last = last
        self.scope = Scope([self._first(select.source, rows, piped=piped, last=last)], outer)
        self.expressions = Expressions(self.scope, shared.values, shared.text, shared.dataset.id, called)
        self.limit = select.limit if select.limit is not None or not last else shared.limit

    def relation(self) -> Relation:
        """Compile the SELECT: its SQL, its columns, and whether `:place` has the order of its rows."""
        joins = "".join(self._join(join) for join in self.select.joins)
        chosen = self._selected()
        known = self.scope.sources[0].column
        aliases = {
            name.lower(): node
            for name, node in chosen.items()
            if not (isinstance(node, exp.Column) and node.name.lower() == name.lower())
        }
        self.expressions.aliases = {name: node for name, node in aliases.items() if known(name) is None}
        where = self._where()
        terms = {name: self._named(name, node) for name, node in chosen.items()}
        self.expressions.aliases = aliases
        groups = self._groups()
        if groups:
            self.expressions.aliases = {name: node for name, node in aliases.items() if known(name) is None}
            terms = {name: self._named(name, node) for name, node in chosen.items()}
            self.expressions.aliases = aliases
        one_of = [self.expressions.alone(self.expressions.term(node), "DISTINCT ON") for node in self.select.one_of]
        having = self.expressions.condition(self.select.having, "having") if self.select.having is not None else None
        if having is not None and having.window:
            self.expressions.alone(having, "HAVING")
        order = self._order(terms)
        shown = [*terms.values(), *([having] if having else []), *(term for term, _ in order)]
        grouped = bool(groups) or having is not None or any(term.aggregate for term in shown)
        if grouped:
            self._check_grouped(shown)
        return self._written(joins, terms, where, groups, having, order, one_of, grouped=grouped)

    # what it reads

    def _first(self, table: TableReference | None, rows: Relation | None, *, piped: bool, last: bool) -> FromItem:
        name = table.alias if table is not None else None
        if table is not None and table.name != "this":
            if piped or (last and rows is not None):
                raise semantic("from-forbidden", "FROM takes @this here, and nothing else", table=table.name)
            return FromItem(self.shared.dataset_of(table.name), self.shared.alias(), name or table.name)
        if rows is None:
            raise semantic("from-required", "A subquery needs FROM and the @4x4 of a dataset")
        return FromItem(rows, self.shared.alias(), name)

    def _join(self, join: Join) -> str:
        if isinstance(join.source, Subquery):
            outer = tuple(self.scope.sources) if join.lateral else ()
            inner = self._subquery(join.source.query, outer)
            relation = Relation(f"({inner.sql})", inner.fields, inner.placed)
            name = join.source.alias
        else:
            if join.source.name == "this":
                raise semantic(
                    "illegal-this-reference", "@this can be used only after FROM. Join the dataset by its 4x4."
                )
            relation = self.shared.dataset_of(join.source.name)
            name = join.source.alias or join.source.name
        if name == "this":
            raise semantic("reserved-table-alias", "The alias @this is reserved", alias=name)
        if self.scope.named(name) is not None:
            raise semantic("table-alias-already-exists", f"Table alias already exists: @{name}", alias=name)
        source = FromItem(relation, self.shared.alias(), name)
        self.scope.sources.append(source)
        condition = self.expressions.alone(self.expressions.condition(join.condition, "where"), "ON")
        lateral = "LATERAL " if join.lateral and isinstance(join.source, Subquery) else ""
        if lateral and join.side in ("RIGHT", "FULL"):
            raise self.expressions.refused(f"{join.side} JOIN LATERAL", join.condition)
        return f" {_SIDES[join.side]} {lateral}{relation.sql} AS {source.alias} ON {condition.sql}"

    # what it selects

    def _selected(self) -> dict[str, exp.Expr]:
        """The selected expressions by their name in the result."""
        named: list[tuple[str | None, exp.Expr]] = []
        for item in self.select.items:
            named.extend(self._expanded(item) if isinstance(item, Star) else [self._aliased(item)])
        if not named:
            raise malformed(self.shared.text, 1, 1, "the SELECT lists no column")
        taken: set[str] = set()
        for name, node in named:
            if name is not None and name in taken:
                where = self.expressions.where(node)
                raise semantic("duplicate-alias", f"Duplicate alias: {name}", name=name, **where)
            if name is not None:
                taken.add(name)
        columns = {name for source in self.scope.sources for name in source.relation.fields}
        selected: dict[str, exp.Expr] = {}
        for name, node in named:
            selected[name or self._free(node, taken | selected.keys(), columns)] = node
        return selected

    def _free(self, node: exp.Expr, taken: set[str], columns: set[str]) -> str:
        joined = self._of_joined(node)
        return free(joined or implied(node), taken if joined else taken | columns)

    def _aliased(self, item: Item) -> tuple[str | None, exp.Expr]:
        if item.alias is not None and not _ALIAS.fullmatch(item.alias):
            raise malformed(self.shared.text, 1, 1, f"{item.alias!r} cannot be the name of a column")
        return item.alias or _own_name(item.expression), item.expression

    def _of_joined(self, node: exp.Expr) -> str | None:
        """The name of a joined dataset's column, `@b.zone` or `b.zone`; another one of that name may be selected."""
        if isinstance(node, exp.Column):
            return str(node.name).lower()
        if isinstance(node, exp.Dot) and isinstance(node.this, exp.Column) and self.scope.named(node.this.name):
            return str(node.expression.name).lower()
        return None

    def _expanded(self, star: Star) -> list[tuple[str | None, exp.Expr]]:
        source = self.scope.named(star.table) if star.table else self.scope.sources[0]
        if source is None:
            raise semantic("no-such-table", f"No such table: @{star.table}", table=star.table)
        everything = self.extras.system and not star.system and not star.table
        wanted = [name for name in source.relation.fields if everything or name.startswith(":") == star.system]
        excepted = self._excepted(star, wanted)
        listed = [self._reference(name, star.table) for name in wanted if name not in excepted]
        return [(_own_name(node), node) for node in listed]

    def _excepted(self, star: Star, wanted: list[str]) -> set[str]:
        found: set[str] = set()
        for name in star.excepted:
            known = name if name in wanted else name.lower()
            if known not in wanted:
                raise semantic("no-such-column", f"No such column: {name}", column=name)
            if known in found:
                raise semantic("repeated-exception", f"Column repeated in EXCEPT: {name}", name=name)
            found.add(known)
        return found

    def _reference(self, name: str, table: str | None) -> exp.Expr:
        qualifier = exp.Identifier(this=table) if table else None
        return exp.Column(this=exp.Identifier(this=name), table=qualifier)

    def _named(self, name: str, node: exp.Expr) -> Term:
        term = self.expressions.named(name.lower(), node)
        return term if term.kind is not None else Term("(NULL::VARCHAR)", Kind.TEXT, longest=0)

    # how it chooses, groups and orders

    def _where(self) -> list[Term]:
        conditions = []
        if self.select.where is not None:
            conditions.append(self.expressions.condition(self.select.where, "where"))
        conditions += [self._equal(name, text) for name, text in self.extras.filters]
        for words in (self.extras.words, self.select.search):
            if words.strip():
                conditions.append(found_words(self.scope.sources[0], self.shared.values, words))
        return [self.expressions.alone(condition, "WHERE") for condition in conditions]

    def _equal(self, name: str, text: str) -> Term:
        left = self.scope.column(name)
        if left is None:
            left = self.expressions.column(name)
        return self.expressions.compare("=", left, self.shared.values.literal(text))

    def _groups(self) -> list[Term]:
        terms = [self.expressions.plain(node, "GROUP BY") for node in self.select.group]
        self.expressions.groups = {term.sql for term in terms}
        return terms

    def _order(self, terms: dict[str, Term]) -> list[tuple[Term, str]]:
        found: list[tuple[Term, str]] = []
        for node in self.select.order:
            term = self.expressions.term(node.this)
            if not term.varies:
                continue
            if self.select.distinct and term.sql not in {shown.sql for shown in terms.values()}:
                raise self.expressions.refused("With DISTINCT, ORDER BY an expression that is not selected", node.this)
            found.append((term, f"{term.sql} {direction(node)}"))
        return found

    @property
    def _paged(self) -> bool:
        return self.limit is not None or bool(self.select.offset)

    def _check_grouped(self, terms: list[Term]) -> None:
        for term in terms:
            if term.bare:
                message = f"Column '{term.bare}' (or an expression of it) is not in group bys"
                raise semantic("column-not-in-group-bys", message, column=term.bare)

    # its SQL

    def _written(
        self,
        joins: str,
        terms: dict[str, Term],
        where: list[Term],
        groups: list[Term],
        having: Term | None,
        order: list[tuple[Term, str]],
        one_of: list[Term],
        *,
        grouped: bool,
    ) -> Relation:
        first = self.scope.sources[0]
        windows = any(term.window for term in (*terms.values(), *(term for term, _ in order)))
        plain = first.relation.placed and not (grouped or self.select.distinct or one_of or joins)
        mixed = grouped or self.select.distinct or bool(one_of)
        asked = bool(order) or (first.relation.ordered and not mixed)
        kept = not self.last and (self._paged or bool(order) or (asked and (bool(joins) or windows)))
        listed = [f"{term.sql} AS {quoted(name)}" for name, term in terms.items()]
        passes = plain and not (self.last or kept or windows)
        if passes:
            listed.append(f'{first.alias}."{PLACE}"')
        sql = f"SELECT {self._distinct(one_of)}{', '.join(listed)}"
        sql += f" FROM {first.relation.sql} AS {first.alias}{joins}"
        if where:
            sql += " WHERE " + " AND ".join(term.sql for term in where)
        if groups:
            sql += f" GROUP BY ({', '.join(term.sql for term in groups if term.varies)})"
        if having:
            sql += f" HAVING {having.sql}"
        if self.last or kept or one_of:
            ties = self._ties(terms, groups, grouped=grouped)
            stored = plain and not windows and first.relation.sql == "rows"
            if stored and [text for _, text in order] == [f'{first.alias}.":id" ASC NULLS LAST']:
                order = []  # the rows of a version are in the order of their `:id`
            if order or mixed or ((self._paged or kept) and (windows or not plain)):
                by = [*(text for _, text in order), *ties]
                sql += f" ORDER BY {', '.join(by)}" if by else ""
        sql += "" if self.limit is None else f" LIMIT {_limit(self.limit)}"
        sql += f" OFFSET {self.select.offset}" if self.select.offset else ""
        fields = {name: Field(term.kind or Kind.TEXT, term.inexact) for name, term in terms.items()}
        if kept:
            placed = f'SELECT *, row_number() OVER () AS "{PLACE}" FROM ({sql})'
            return Relation(placed, fields, placed=True, ordered=asked)
        return Relation(sql, fields, placed=passes, ordered=passes and asked)

    def _distinct(self, one_of: list[Term]) -> str:
        if one_of:
            return f"DISTINCT ON ({', '.join(term.sql for term in one_of)}) "
        return "DISTINCT " if self.select.distinct else ""

    def _ties(self, terms: dict[str, Term], groups: list[Term], *, grouped: bool) -> list[str]:
        """The order of rows that the query's ORDER BY leaves equal, so that pages never overlap."""
        if self.select.distinct:
            return [term.sql for term in terms.values() if term.varies]
        if grouped:
            return [term.sql for term in groups if term.varies]
        return [sql for source in self.scope.sources for sql in source.order]


def _own_name(node: exp.Expr) -> str | None:
    """The name that a column of the first dataset has in the result; nothing else may have it, as in Socrata."""
    return str(node.name).lower() if isinstance(node, exp.Column) and not node.table else None


def _limit(rows: int) -> str:
    return f"(SELECT {rows})" if rows > _LARGE else str(rows)
