"""A whole SoQL query as one SQL SELECT over the relation `rows`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from publisher.portal.kinds import Kind
from publisher.portal.model import SYSTEM
from publisher.portal.problems import dataset_missing, malformed, semantic
from publisher.portal.soql.dialect import ALL_SYSTEM, parse_clause, parse_query
from publisher.portal.soql.expressions import Expressions
from publisher.portal.soql.functions import CHECKBOX
from publisher.portal.versions import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.model import Dataset
    from publisher.portal.soql.terms import Term

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
_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PARTS = {"expressions", "distinct", "where", "group", "having", "order", "limit", "offset"}


@dataclass(frozen=True, slots=True)
class Question:
    """What a reader asks, as it came: clauses or a whole query, equality filters and search words."""

    clauses: dict[str, str] = field(default_factory=dict)
    """by parameter name, e.g. `$where`; `$query` excludes the others"""
    filters: tuple[tuple[str, str], ...] = ()
    words: str = ""
    system: bool = False
    """True where `*` shall include the system columns"""
    limit: int | None = DEFAULT_LIMIT
    """the number of rows when the question names none; None for all"""


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL over `rows`, the values it binds, and its columns in order."""

    sql: str
    values: dict[str, Any]
    fields: tuple[tuple[str, Kind], ...]
    joined: tuple[Dataset, ...] = ()
    """the other datasets that the SQL reads, each as a relation that is named by its 4x4"""


def alone(identifier: str) -> Dataset:
    """Where a question may not reach other datasets."""
    raise dataset_missing(identifier)


def compile_question(
    dataset: Dataset,
    question: Question,
    others: Callable[[str], Dataset] = alone,  # noqa: ARG001
) -> Compiled:
    """The SQL that answers a question about a dataset. Errors: SodaError with Socrata's code.

    `others` gives the public dataset of a 4x4 for joins and unions, or raises SodaError.
    """
    return _Query(dataset, question).compiled()


class _Query:
    def __init__(self, dataset: Dataset, question: Question) -> None:
        self.dataset = dataset
        self.question = question
        self.parts = _parts(question)
        self.text = question.clauses.get("$query") or " ".join(
            f"{CLAUSES[name]} {text}" for name, text in question.clauses.items()
        )
        columns = {column.field: column.kind for column in (*SYSTEM, *dataset.columns)}
        self.expressions = Expressions(columns, self.text, dataset.id)

    def compiled(self) -> Compiled:
        selected = self._selected()
        aliases = {name: node for name, node in selected.items() if not isinstance(node, exp.Column)}
        where = self._where(aliases)
        self.expressions.aliases = aliases
        groups = self._groups()
        self.expressions.aliases = {}
        terms = {name: self.expressions.term(node) for name, node in selected.items()}
        self.expressions.aliases = aliases
        having = self._having()
        order = self._order(terms)
        grouped = (
            bool(groups) or having is not None or any(t.aggregate for t in (*terms.values(), *(o[0] for o in order)))
        )
        if grouped:
            self._check_grouped([*terms.values(), *([having] if having else []), *(term for term, _ in order)])
        sql = self._sql(terms, where, groups, having, [text for _, text in order], grouped=grouped)
        fields = tuple((name, term.kind or Kind.TEXT) for name, term in terms.items())
        return Compiled(sql, self.expressions.values.used(sql), fields)

    def _sql(
        self,
        terms: dict[str, Term],
        where: list[Term],
        groups: list[Term],
        having: Term | None,
        order: list[str],
        *,
        grouped: bool,
    ) -> str:
        distinct = bool(self.parts.get("distinct"))
        selected = ", ".join(f"{term.sql} AS {quoted(name)}" for name, term in terms.items())
        text = f"SELECT {'DISTINCT ' if distinct else ''}{selected} FROM rows"
        if where:
            text += " WHERE " + " AND ".join(term.sql for term in where)
        if groups:
            text += f" GROUP BY ({', '.join(term.sql for term in groups if not term.constant)})"
        if having:
            text += f" HAVING {having.sql}"
        ties = self._ties(terms, groups, order, grouped=grouped, distinct=distinct)
        if order or ties:
            text += " ORDER BY " + ", ".join([*order, *ties])
        return text + self._page()

    def _ties(
        self, terms: dict[str, Term], groups: list[Term], order: list[str], *, grouped: bool, distinct: bool
    ) -> list[str]:
        """What settles the order of rows that the query leaves equal, so that pages never overlap."""
        if distinct:
            return [term.sql for term in terms.values() if not term.constant]
        if grouped:
            return [term.sql for term in groups if not term.constant]
        return ['rows.":place"'] if order else []

    def _selected(self) -> dict[str, exp.Expr]:
        """The selected expressions by the name that each has in the answer."""
        named: list[tuple[str | None, exp.Expr]] = []
        for node in self.parts["expressions"]:
            named.extend(self._expanded(node))
        taken: set[str] = set()
        for name, _ in named:
            if name is not None and name in taken:
                raise semantic("duplicate-alias", f"Duplicate alias: {name}", name=name)
            if name is not None:
                taken.add(name)
        selected: dict[str, exp.Expr] = {}
        for name, node in named:
            final = name or _free(_implied(node), taken | set(selected))
            selected[final] = node
        return selected

    def _expanded(self, node: exp.Expr) -> list[tuple[str | None, exp.Expr]]:
        if isinstance(node, exp.Star) and not any(node.args.values()):
            system = [_reference(column.field) for column in SYSTEM] if self.question.system else []
            return [(None, part) for part in (*system, *(_reference(c.field) for c in self.dataset.columns))]
        if isinstance(node, exp.Placeholder) and node.name == ALL_SYSTEM:
            return [(None, _reference(column.field)) for column in SYSTEM]
        if isinstance(node, exp.Alias):
            alias = node.args["alias"].name
            if not _ALIAS.fullmatch(alias):
                raise malformed(self.text, 1, 1, f"{alias!r} cannot be the name of a column")
            return [(alias, node.this)]
        return [(None, node)]

    def _where(self, aliases: dict[str, exp.Expr]) -> list[Term]:
        known = self.expressions.columns
        self.expressions.aliases = {name: node for name, node in aliases.items() if name not in known}
        conditions = []
        if self.parts.get("where"):
            conditions.append(self.expressions.of_kind(self.parts["where"].this, CHECKBOX, "WHERE"))
        self.expressions.aliases = {}
        conditions += [self._equal(name, text) for name, text in self.question.filters]
        conditions += [self._has_word(word) for word in self.question.words.split()]
        if any(term.aggregate for term in conditions):
            message = "Aggregate function used where rows are not grouped"
            raise semantic("aggregate-in-ungrouped-context", message, clause="where")
        return conditions

    def _equal(self, name: str, text: str) -> Term:
        left = self.expressions.column(name)
        return self.expressions.compare("=", left, self.expressions.values.literal(text))

    def _has_word(self, word: str) -> Term:
        texts = [f"rows.{quoted(column.field)}" for column in self.dataset.columns if column.kind is Kind.TEXT]
        bound = self.expressions.values.literal(word.lower())
        searched = f"lower(concat_ws(' ', {', '.join(texts)}))" if texts else "''"
        return type(bound)(f"contains({searched}, {bound.sql})", Kind.CHECKBOX)

    def _groups(self) -> list[Term]:
        group = self.parts.get("group")
        if group is None:
            return []
        if {name for name, value in group.args.items() if value} - {"expressions"}:
            raise malformed(self.text, 1, 1, "GROUP BY takes a plain list")
        terms = [self.expressions.term(node) for node in group.expressions]
        for term in terms:
            if term.aggregate:
                message = "Aggregate function used in GROUP BY"
                raise semantic("aggregate-in-ungrouped-context", message, clause="group")
        self.expressions.groups = {term.sql for term in terms}
        return terms

    def _having(self) -> Term | None:
        having = self.parts.get("having")
        return self.expressions.of_kind(having.this, CHECKBOX, "HAVING") if having else None

    def _order(self, terms: dict[str, Term]) -> list[tuple[Term, str]]:
        order = self.parts.get("order")
        found: list[tuple[Term, str]] = []
        for node in order.expressions if order else []:
            if not isinstance(node, exp.Ordered) or node.args.get("with_fill"):
                raise malformed(self.text, 1, 1, "ORDER BY takes expressions with ASC or DESC")
            term = self.expressions.term(node.this)
            if term.constant:
                continue
            if self.parts.get("distinct") and term.sql not in {shown.sql for shown in terms.values()}:
                raise malformed(self.text, 1, 1, "with DISTINCT, ORDER BY takes selected expressions only")
            way = "DESC" if node.args.get("desc") else "ASC"
            nulls = "FIRST" if node.args.get("nulls_first") else "LAST"
            found.append((term, f"{term.sql} {way} NULLS {nulls}"))
        return found

    def _check_grouped(self, terms: list[Term]) -> None:
        for term in terms:
            if term.bare:
                message = f"Column '{term.bare}' (or an expression of it) is not in group bys"
                raise semantic("column-not-in-group-bys", message, column=term.bare)

    def _page(self) -> str:
        limit = self._whole("limit", self.parts.get("limit"))
        offset = self._whole("offset", self.parts.get("offset"))
        rows = self.question.limit if limit is None else limit
        text = "" if rows is None else f" LIMIT {rows}"
        return text + (f" OFFSET {offset}" if offset else "")

    def _whole(self, name: str, node: exp.Expr | None) -> int | None:
        if node is None:
            return None
        value = node.args.get("expression")
        text = str(value.this) if isinstance(value, exp.Literal) else ""
        if not text.isdecimal() or len(text) > 18:
            raise malformed(self.text, 1, 1, f"{name} must be a whole number, 0 or more")
        return int(text)


def _parts(question: Question) -> dict[str, Any]:
    whole = question.clauses.get("$query")
    if whole is not None:
        tree = parse_query(whole)
        return _checked(tree, whole)
    parts: dict[str, Any] = {"expressions": [exp.Star()]}
    for name, text in question.clauses.items():
        tree = parse_clause(CLAUSES[name], text)
        found = _checked(tree, text)
        if name == "$select":
            parts |= found
        else:
            parts |= {key: value for key, value in found.items() if key != "expressions"}
    return parts


def _checked(tree: exp.Select, text: str) -> dict[str, Any]:
    parts = {name: value for name, value in tree.args.items() if value}
    extra = set(parts) - _PARTS
    if extra or not parts.get("expressions"):
        word = sorted(extra)[0].strip("_").upper() if extra else "a SELECT without a list"
        raise malformed(text, 1, 1, f"{word} is not supported")
    if parts.get("distinct") and parts["distinct"].args.get("on"):
        raise malformed(text, 1, 1, "DISTINCT ON is not supported")
    return parts


def _reference(name: str) -> exp.Expr:
    return exp.Column(this=exp.Identifier(this=name, quoted=True))


def _implied(node: exp.Expr) -> str:
    """The name that an expression gets when the query gives it none, e.g. sum_requests."""
    if isinstance(node, exp.Column):
        return node.name
    if isinstance(node, exp.Placeholder):
        return ":" + node.name
    words = re.sub(r"[^a-z0-9]+", "_", " ".join(_words(node)).lower()).strip("_")
    return words if words and not words[0].isdigit() else f"_{words}"


def _words(node: exp.Expr) -> list[str]:
    if isinstance(node, exp.Column | exp.Placeholder | exp.Literal | exp.Boolean):
        return [str(node.name if not isinstance(node, exp.Boolean) else node.this)]
    own = [str(node.this)] if isinstance(node, exp.Anonymous) else []
    return own + [word for part in node.iter_expressions() for word in _words(part)]


def _free(name: str, taken: set[str]) -> str:
    number, candidate = 0, name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
