"""Compile SoQL expressions to SQL; nodes of the parsed tree that are not listed here are refused."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from publisher.portal.base.kinds import GEOMETRIES, TIMES, Kind, reading
from publisher.portal.base.problems import malformed, position, semantic
from publisher.portal.soql.functions import CHECKBOX, NUMBER, ORDERED, TEXT
from publisher.portal.soql.intervals import moved
from publisher.portal.soql.lexer import MANY
from publisher.portal.soql.spatial import FIELDS
from publisher.portal.soql.syntax import placed
from publisher.portal.soql.terms import Term, address, as_text, closed, combined, pointed, rounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.soql.relations import Scope
    from publisher.portal.soql.terms import Values

COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
_LEFT_DEEP = (*COMPARISONS, *ARITHMETIC)

CASTS = {
    "text": Kind.TEXT,
    "number": Kind.NUMBER,
    "double": Kind.NUMBER,
    "money": Kind.NUMBER,
    "boolean": Kind.CHECKBOX,
    "checkbox": Kind.CHECKBOX,
    "floating_timestamp": Kind.FLOATING,
    "fixed_timestamp": Kind.FIXED,
    "location": Kind.LOCATION,
    **{kind.value: kind for kind in GEOMETRIES},
}
"""The types after `::`."""


class Expressions:
    """Turns the expressions of one SELECT into terms; remembers the groups and aliases that they may use.

    `called` gives the term of a function's call.
    """

    def __init__(
        self,
        scope: Scope,
        values: Values,
        text: str,
        identifier: str,
        called: Callable[[Expressions, exp.Expr], Term],
    ) -> None:
        self.scope = scope
        self.values = values
        self.aliases: dict[str, exp.Expr] = {}
        self.groups: set[str] = set()
        self.text = text
        self._identifier = identifier
        self._called = called
        self._seen: tuple[str, ...] = ()

    def refused(self, what: str, node: exp.Expr | None = None) -> Exception:
        """400: the query uses something that the portal does not support."""
        line, column = self._position(node)
        return malformed(self.text, line, column, f"{what} is not supported")

    def where(self, node: exp.Expr | None) -> dict[str, Any]:
        """The position of a node, as Socrata's errors give it."""
        return {"position": position(self.text, *self._position(node))}

    def _position(self, node: exp.Expr | None) -> tuple[int, int]:
        return _place(node) or (1, 1)

    def term(self, node: Any) -> Term:
        """Compile a node. Raises SodaError."""
        self.values.step()
        outer = []
        while isinstance(node, _LEFT_DEEP):
            self.values.step()
            outer.append(node)
            node = node.this
        term = self._one(node)
        for above in reversed(outer):
            term = replace(self._grouped(self._applied(above, term)), place=term.place)
        return term

    def _one(self, node: Any) -> Term:
        compile_node = _NODES.get(type(node))
        if compile_node is None:
            raise self.refused(str(getattr(node, "key", "this")).upper(), node)
        term = self._grouped(compile_node(self, node))
        place = _place(node)
        return term if place in (None, term.place) else replace(term, place=place)

    def _grouped(self, term: Term) -> Term:
        return closed(term) if term.sql in self.groups else term

    def of_kind(self, node: Any, kinds: frozenset[Kind], where: str) -> Term:
        """Compile a node that must have one of these types."""
        return self.values.fitted(self.term(node), kinds, where)

    def plain(self, node: Any, where: str) -> Term:
        """Compile a node that depends only on a single row."""
        return self.alone(self.term(node), where)

    def alone(self, term: Term, where: str) -> Term:
        """Check that a term depends only on a single row. Raises SodaError for aggregates and windows."""
        if term.window:
            raise semantic("window-function-not-allowed", f"A window function cannot be used in {where}", clause=where)
        if term.aggregate:
            message = f"Aggregate function used in {where}, where rows are not grouped"
            raise semantic("aggregate-in-ungrouped-context", message, clause=where)
        return term

    def condition(self, node: exp.Expr, clause: str) -> Term:
        """Compile a condition, which must be a checkbox. Raises SodaError non-boolean-where and the like."""
        term = self.term(node)
        if term.kind not in (Kind.CHECKBOX, None) and term.text is None:
            message = f"The condition of {clause.upper()} must be a checkbox, is {term.kind}"
            raise semantic(f"non-boolean-{clause}", message, type=str(term.kind), **self.where(node))
        return self.values.fitted(term, CHECKBOX, clause.upper())

    def column(self, name: str, table: str | None = None, node: exp.Expr | None = None) -> Term:
        """Compile a column, or the expression to which the query gave this name."""
        if table is None and name.lower() in self.aliases:
            found = self._aliased(name.lower(), node)
            if found is not None:
                return found
        term = self.scope.column(name, table)
        if term is None:
            shown = f"@{table}.{name}" if table else name
            data = {"column": shown, "dataset": self._identifier, **self.where(node)}
            raise semantic("no-such-column", f"No such column: {shown}", **data)
        return term

    def _aliased(self, name: str, node: exp.Expr | None) -> Term | None:
        """The expression of an alias; inside another alias or its own expression, columns take precedence."""
        if self._seen and (name == self._seen[-1] or self.scope.column(name) is not None):
            return None
        if name in self._seen:
            message = f"Circular reference while processing alias: {name}"
            raise semantic("circular-alias-definition", message, name=name, **self.where(node))
        return self.named(name, self.aliases[name])

    def named(self, name: str, node: exp.Expr) -> Term:
        """Compile a node that has this name in the result."""
        outer, self._seen = self._seen, (*self._seen, name)
        try:
            return self.term(node)
        finally:
            self._seen = outer

    def _column(self, node: exp.Column) -> Term:
        return self.column(node.name, node.table or None, node)

    def _dot(self, node: exp.Dot) -> Term:
        """`b.column` of a joined dataset, or a part of a value, such as `place.latitude`."""
        name = node.expression.name
        if isinstance(node.this, exp.Column) and not node.this.table and self.scope.named(node.this.name):
            return self.column(name, node.this.name, node.expression)
        whole = self.term(node.this)
        found = FIELDS.get((whole.kind, name.lower())) if whole.kind else None
        if found is None:
            raise semantic("no-such-column", f"No such field: {name}", column=name, **self.where(node.expression))
        kind, sql = found
        part = combined(sql.format(whole.sql), kind, whole)
        return rounded(part.sql, part) if kind is Kind.NUMBER else part

    def _literal(self, node: exp.Literal) -> Term:
        place = node.meta.get("position")
        return self.values.literal(node.this) if node.is_string else self.values.number(node.this, place)

    def _boolean(self, node: exp.Boolean) -> Term:
        return Term(self.values.bind(bool(node.this)), Kind.CHECKBOX)

    def _null(self, _node: exp.Null) -> Term:
        return Term("NULL", None)

    def _paren(self, node: exp.Paren) -> Term:
        return self.term(node.this)

    def _not(self, node: exp.Not) -> Term:
        inner = self.of_kind(node.this, CHECKBOX, "NOT")
        return combined(f"(NOT {inner.sql})", Kind.CHECKBOX, inner)

    def _negative(self, node: exp.Neg) -> Term:
        inner = self.of_kind(node.this, NUMBER, "-")
        return combined(f"(- {inner.sql})", Kind.NUMBER, inner)

    def _operands(self, node: Any) -> list[Any]:
        """The operands of a chain of one operator, from left to right."""
        sort, found = type(node), []
        while isinstance(node, sort):
            found.append(node.expression)
            node = node.this
        return [node, *reversed(found)]

    def _logic(self, node: exp.Connector) -> Term:
        word = node.key.upper()
        terms = [self.of_kind(part, CHECKBOX, word) for part in self._operands(node)]
        return combined(f"({f' {word} '.join(term.sql for term in terms)})", Kind.CHECKBOX, *terms)

    def _joined(self, node: exp.DPipe) -> Term:
        """Combine in halves, so that a long chain of texts is not copied once per text."""
        terms = [as_text(self.term(part)) for part in self._operands(node)]
        while len(terms) > 1:
            pairs = [terms[i : i + 2] for i in range(0, len(terms), 2)]
            terms = [self._concatenated(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return terms[0]

    def _concatenated(self, left: Term, right: Term) -> Term:
        longest = (left.longest or 0) + (right.longest or 0)
        return self._grouped(self.values.lengthened(f"({left.sql} || {right.sql})", longest, left, right))

    def _applied(self, node: exp.Expr, left: Term) -> Term:
        if type(node) in COMPARISONS:
            return self.compare(COMPARISONS[type(node)], left, self.term(node.expression))
        return self._arithmetic(ARITHMETIC[type(node)], left, self.term(node.expression))

    def compare(self, sign: str, left: Term, right: Term) -> Term:
        """`left sign right`, with literals read as the other side's type."""
        (left, right), kind = self.values.agreed([address(left), address(right)], sign)
        if kind is Kind.LOCATION or kind in GEOMETRIES:
            raise self.values.mismatch(sign, left)
        return combined(f"({left.sql} {sign} {right.sql})", Kind.CHECKBOX, left, right)

    def _arithmetic(self, sign: str, left: Term, right: Term) -> Term:
        if left.kind in TIMES and right.text is not None and sign in "+-":
            return moved(self.values, left, right, sign)
        left, right = (self.values.fitted(side, NUMBER, sign) for side in (left, right))
        divisor = sign in "/%"
        other = f"(CASE WHEN {right.sql} <> 0 THEN {right.sql} END)" if divisor else right.sql
        sql = f"({left.sql} {sign} {other})"
        if sign == "/" or left.inexact or right.inexact:
            return rounded(sql, left, right)
        return combined(sql, Kind.NUMBER, left, right)

    def _power(self, node: exp.Pow) -> Term:
        left, right = (self.of_kind(part, NUMBER, "^") for part in (node.this, node.expression))
        return rounded(f"pow({left.sql}::DOUBLE, {right.sql}::DOUBLE)", left, right)

    def _is(self, node: exp.Is) -> Term:
        left = self.term(node.this)
        if isinstance(node.expression, exp.Null):
            return combined(f"({left.sql} IS NULL)", Kind.CHECKBOX, left)
        left = self.values.fitted(left, CHECKBOX, "IS")
        word = "TRUE" if node.expression.this else "FALSE"
        return combined(f"({left.sql} IS {word})", Kind.CHECKBOX, left)

    def _in(self, node: exp.In) -> Term:
        values, texts = node.meta.get("values", ((), False))
        if not values:
            return self._one_of(node.this, node.expressions)
        left = address(self.term(node.this))
        if left.kind is (Kind.TEXT if texts else Kind.NUMBER) and left.text is None:
            found = self.values.bind(values if texts else tuple(map(Decimal, values)))
            return combined(f"({left.sql} IN (SELECT unnest({found})))", Kind.CHECKBOX, left)
        made = exp.Literal.string if texts else exp.Literal.number
        return self._one_of(node.this, [placed(made(value), node.meta["listed"]) for value in values])

    def _one_of(self, this: exp.Expr, values: list[exp.Expr]) -> Term:
        terms = [address(self.term(each)) for each in (this, *values)]
        (left, *items), kind = self.values.agreed(terms, "IN")
        if kind not in ORDERED and kind is not None:
            raise self.values.mismatch("IN", left)
        many = len(items) > MANY and all(isinstance(each, exp.Literal) for each in values)
        listed = (many and self.values.bind_list(items)) or f"({', '.join(item.sql for item in items)})"
        return combined(f"({left.sql} IN {listed})", Kind.CHECKBOX, left, *items)

    def _between(self, node: exp.Between) -> Term:
        terms = [address(self.term(part)) for part in (node.this, node.args["low"], node.args["high"])]
        (value, low, high), kind = self.values.agreed(terms, "BETWEEN")
        if kind not in ORDERED and kind is not None:
            raise self.values.mismatch("BETWEEN", value)
        return combined(f"({value.sql} BETWEEN {low.sql} AND {high.sql})", Kind.CHECKBOX, value, low, high)

    def _like(self, node: exp.Like) -> Term:
        left, right = (self.of_kind(part, TEXT, "LIKE") for part in (node.this, node.expression))
        return combined(f"({left.sql} LIKE {right.sql})", Kind.CHECKBOX, left, right)

    def _cast(self, node: exp.Cast) -> Term:
        to = node.args["to"]
        return self.cast(self.term(node.this), str(to.name), to)

    def cast(self, term: Term, name: str, node: exp.Expr) -> Term:
        """`term::name`: a cast from or to text; a value that cannot be read becomes null."""
        kind = CASTS.get(name)
        if kind is None:
            raise semantic("no-such-function", f"No such type: {name}", function=f"::{name}", **self.where(node))
        if term.kind is kind:
            return term
        if term.kind is None or term.text is not None:
            return self.values.fitted(term, frozenset({kind}), f"::{name}")
        if kind is Kind.TEXT:
            return as_text(term)
        if (term.kind, kind) == (Kind.LOCATION, Kind.POINT):
            return pointed(term)
        if term.kind is not Kind.TEXT:
            raise self.values.mismatch(f"::{name}", term)
        read = reading(kind, term.sql)
        return combined(f"TRY_CAST({read} AS DECIMAL(38,9))" if kind is Kind.NUMBER else f"({read})", kind, term)

    def _case(self, node: exp.Case) -> Term:
        conditions = [self.of_kind(branch.this, CHECKBOX, "CASE") for branch in node.args["ifs"]]
        results = [self.term(branch.args["true"]) for branch in node.args["ifs"]]
        default = node.args.get("default")
        return self.branches(conditions, results, self.term(default) if default is not None else None)

    def branches(self, conditions: list[Term], results: list[Term], default: Term | None) -> Term:
        """The first result whose condition is true, otherwise the default."""
        values, kind = self.values.agreed([*results, *([default] if default else [])], "CASE")
        branches = " ".join(
            f"WHEN {condition.sql} THEN {value.sql}" for condition, value in zip(conditions, values, strict=False)
        )
        rest = f" ELSE {values[-1].sql}" if default else ""
        return combined(f"(CASE {branches}{rest} END)", kind, *conditions, *values)

    def _call(self, node: exp.Expr) -> Term:
        return self._called(self, node)


def _place(node: exp.Expr | None) -> tuple[int, int] | None:
    """Where a node begins, or the first of its parts that has a place; None for what `*` stands for."""
    while node is not None:
        found: tuple[int, int] | None = node.meta.get("position")
        if found is not None:
            return found
        node = next(node.iter_expressions(), None)
    return None


_NODES: dict[type[exp.Expr], Callable[[Expressions, Any], Term]] = {
    exp.Column: Expressions._column,
    exp.Dot: Expressions._dot,
    exp.Literal: Expressions._literal,
    exp.Boolean: Expressions._boolean,
    exp.Null: Expressions._null,
    exp.Paren: Expressions._paren,
    exp.Not: Expressions._not,
    exp.Neg: Expressions._negative,
    exp.And: Expressions._logic,
    exp.Or: Expressions._logic,
    exp.Pow: Expressions._power,
    exp.DPipe: Expressions._joined,
    exp.Is: Expressions._is,
    exp.In: Expressions._in,
    exp.Between: Expressions._between,
    exp.Like: Expressions._like,
    exp.Cast: Expressions._cast,
    exp.Case: Expressions._case,
    exp.Anonymous: Expressions._call,
    exp.Filter: Expressions._call,
    exp.Window: Expressions._call,
}
