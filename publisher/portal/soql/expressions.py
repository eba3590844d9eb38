"""Expressions of SoQL as SQL: every node of the parsed tree is on the list here, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from publisher.portal.kinds import GEOMETRIES, Kind, plain_text
from publisher.portal.problems import malformed, semantic
from publisher.portal.soql.functions import CHECKBOX, FUNCTIONS, NUMBER, ORDERED, TEXT, Function
from publisher.portal.soql.terms import Term, Values, closed, combined, mismatch
from publisher.portal.versions import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}


class Expressions:
    """Turns the expressions of one query into terms; remembers the values they bind and the groups they may use."""

    def __init__(self, columns: Mapping[str, Kind], text: str, identifier: str) -> None:
        self.columns = columns
        self.values = Values()
        self.aliases: dict[str, exp.Expr] = {}
        self.groups: set[str] = set()
        self._text = text
        self._identifier = identifier
        self._seen: tuple[str, ...] = ()

    def refused(self, what: str) -> Exception:
        """400: the query uses something that the portal does not answer."""
        return malformed(self._text, 1, 1, f"{what} is not supported")

    def term(self, node: Any) -> Term:
        """The SQL of a node. Errors: SodaError."""
        compile_node = _NODES.get(type(node))
        if compile_node is None:
            raise self.refused(getattr(node, "key", "this").upper())
        self._check_arguments(node)
        term = compile_node(self, node)
        return closed(term) if term.sql in self.groups else term

    def of_kind(self, node: Any, kinds: frozenset[Kind], where: str) -> Term:
        """The SQL of a node that must be of one of these kinds."""
        return self.values.fitted(self.term(node), kinds, where)

    def _check_arguments(self, node: exp.Expr) -> None:
        allowed = _ARGUMENTS.get(type(node), frozenset({"this", "expression", "expressions"}))
        extra = {name for name, value in node.args.items() if value} - allowed
        if extra:
            raise self.refused(f"{sorted(extra)[0]} in {node.key.upper()}")

    def column(self, name: str) -> Term:
        """A column of the dataset, or in its place the expression that the query gave this name."""
        if name in self.aliases and name not in self._seen:
            outer, self._seen = self._seen, (*self._seen, *self.aliases)
            try:
                return self.term(self.aliases[name])
            finally:
                self._seen = outer
        known = name if name in self.columns else name.lower()
        if known not in self.columns:
            raise semantic("no-such-column", f"No such column: {name}", column=name, dataset=self._identifier)
        return Term(f"rows.{quoted(known)}", self.columns[known], bare=known)

    def _column(self, node: exp.Column) -> Term:
        if not isinstance(node.this, exp.Identifier):
            raise self.refused("This use of *")
        return self.column(node.name)

    def _system(self, node: exp.Placeholder) -> Term:
        return self.column(":" + node.name)

    def _literal(self, node: exp.Literal) -> Term:
        return self.values.literal(node.this) if node.is_string else self.values.number(node.this)

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

    def _logic(self, node: exp.Connector) -> Term:
        word = node.key.upper()
        left, right = (self.of_kind(part, CHECKBOX, word) for part in (node.left, node.right))
        return combined(f"({left.sql} {word} {right.sql})", Kind.CHECKBOX, left, right)

    def compare(self, sign: str, left: Term, right: Term) -> Term:
        """`left sign right`, with literals read as the other side's kind."""
        (left, right), kind = self.values.agreed([left, right], sign)
        if kind in GEOMETRIES or kind is Kind.URL:
            raise mismatch(sign, kind)
        return combined(f"({left.sql} {sign} {right.sql})", Kind.CHECKBOX, left, right)

    def _comparison(self, node: exp.Binary) -> Term:
        return self.compare(COMPARISONS[type(node)], self.term(node.left), self.term(node.right))

    def _arithmetic(self, node: exp.Binary) -> Term:
        sign = ARITHMETIC[type(node)]
        left, right = (self.of_kind(part, NUMBER, sign) for part in (node.left, node.right))
        return combined(f"({left.sql} {sign} {right.sql})", Kind.NUMBER, left, right)

    def _division(self, node: exp.Binary) -> Term:
        sign = "/" if isinstance(node, exp.Div) else "%"
        left, right = (self.of_kind(part, NUMBER, sign) for part in (node.left, node.right))
        return combined(f"({left.sql} {sign} nullif({right.sql}, 0))", Kind.NUMBER, left, right)

    def _power(self, node: exp.Pow) -> Term:
        left, right = (self.of_kind(part, NUMBER, "^") for part in (node.left, node.right))
        return combined(f"pow({left.sql}::DOUBLE, {right.sql}::DOUBLE)", Kind.NUMBER, left, right)

    def _joined(self, node: exp.DPipe) -> Term:
        left, right = self.term(node.left), self.term(node.right)
        sides = [plain_text(side.kind, side.sql) if side.kind else "NULL::VARCHAR" for side in (left, right)]
        return combined(f"({sides[0]} || {sides[1]})", Kind.TEXT, left, right)

    def _is(self, node: exp.Is) -> Term:
        left = self.term(node.this)
        if isinstance(node.expression, exp.Null):
            return combined(f"({left.sql} IS NULL)", Kind.CHECKBOX, left)
        if isinstance(node.expression, exp.Boolean):
            left = self.values.fitted(left, CHECKBOX, "IS")
            word = "TRUE" if node.expression.this else "FALSE"
            return combined(f"({left.sql} IS {word})", Kind.CHECKBOX, left)
        raise self.refused("IS with anything but NULL, TRUE or FALSE")

    def _in(self, node: exp.In) -> Term:
        if not node.expressions:
            raise self.refused("IN without a list of values")
        terms = [self.term(node.this), *(self.term(item) for item in node.expressions)]
        (left, *items), kind = self.values.agreed(terms, "IN")
        if kind not in ORDERED and kind is not None:
            raise mismatch("IN", kind)
        listed = ", ".join(item.sql for item in items)
        return combined(f"({left.sql} IN ({listed}))", Kind.CHECKBOX, left, *items)

    def _between(self, node: exp.Between) -> Term:
        terms = [self.term(part) for part in (node.this, node.args["low"], node.args["high"])]
        (value, low, high), kind = self.values.agreed(terms, "BETWEEN")
        if kind not in ORDERED and kind is not None:
            raise mismatch("BETWEEN", kind)
        return combined(f"({value.sql} BETWEEN {low.sql} AND {high.sql})", Kind.CHECKBOX, value, low, high)

    def _like(self, node: exp.Like) -> Term:
        left, right = (self.of_kind(part, TEXT, "LIKE") for part in (node.this, node.expression))
        return combined(f"({left.sql} LIKE {right.sql})", Kind.CHECKBOX, left, right)

    def _case(self, node: exp.Case) -> Term:
        if node.this is not None:
            raise self.refused("CASE with a value before WHEN")
        conditions = [self.of_kind(branch.this, CHECKBOX, "CASE") for branch in node.args["ifs"]]
        results = [self.term(branch.args["true"]) for branch in node.args["ifs"]]
        default = node.args.get("default")
        return self._branches(conditions, results, self.term(default) if default is not None else None)

    def _branches(self, conditions: list[Term], results: list[Term], default: Term | None) -> Term:
        values, kind = self.values.agreed([*results, *([default] if default else [])], "CASE")
        branches = " ".join(
            f"WHEN {condition.sql} THEN {value.sql}" for condition, value in zip(conditions, values, strict=False)
        )
        rest = f" ELSE {values[-1].sql}" if default else ""
        return combined(f"(CASE {branches}{rest} END)", kind, *conditions, *values)

    def _call(self, node: exp.Anonymous) -> Term:
        name = str(node.this).lower()
        special = _SPECIAL.get(name)
        if special is not None:
            return special(self, node)
        function = FUNCTIONS.get(name)
        if function is None:
            raise semantic(
                "no-such-function", f"No such function: {name}; arity: {len(node.expressions)}", function=name
            )
        return self._plain_call(name, function, node.expressions)

    def _plain_call(self, name: str, function: Function, nodes: list[Any]) -> Term:
        takes = function.takes
        if function.more and len(nodes) > len(takes):
            takes = (*takes, *(takes[-1:] * (len(nodes) - len(takes))))
        if len(nodes) != len(takes):
            message = f"No such function: {name}; arity: {len(nodes)}"
            raise semantic("no-such-function", message, function=name)
        terms = [self.of_kind(node, kinds, name) for node, kinds in zip(nodes, takes, strict=True)]
        if isinstance(function.gives, int) and len(terms) > 1:
            terms, _ = self.values.agreed(terms, name)
        kind = terms[function.gives].kind if isinstance(function.gives, int) else function.gives
        sql = function.render([term.sql for term in terms])
        return self._aggregated(name, sql, kind, terms) if function.aggregate else combined(sql, kind, *terms)

    def _aggregated(self, name: str, sql: str, kind: Kind | None, terms: list[Term]) -> Term:
        if any(term.aggregate for term in terms):
            message = f"Aggregate function '{name}' used inside another aggregate"
            raise semantic("aggregate-in-ungrouped-context", message, function=name)
        return Term(sql, kind, aggregate=True)

    def _count(self, node: exp.Anonymous) -> Term:
        if len(node.expressions) != 1:
            message = f"No such function: count; arity: {len(node.expressions)}"
            raise semantic("no-such-function", message, function="count")
        counted = node.expressions[0]
        if isinstance(counted, exp.Star):
            return Term("count(*)", Kind.NUMBER, aggregate=True)
        distinct = isinstance(counted, exp.Distinct)
        if distinct and (counted.args.get("on") or len(counted.expressions) != 1):
            raise self.refused("count(DISTINCT …) of anything but one expression")
        term = self.term(counted.expressions[0] if distinct else counted)
        return self._aggregated("count", f"count({'DISTINCT ' if distinct else ''}{term.sql})", Kind.NUMBER, [term])

    def _coalesce(self, node: exp.Anonymous) -> Term:
        if not node.expressions:
            raise semantic("no-such-function", "No such function: coalesce; arity: 0", function="coalesce")
        terms, kind = self.values.agreed([self.term(part) for part in node.expressions], "coalesce")
        return combined(f"coalesce({', '.join(term.sql for term in terms)})", kind, *terms)

    def _case_call(self, node: exp.Anonymous) -> Term:
        """`case(condition, value, …)`; `iif(condition, value, otherwise)`."""
        parts = node.expressions
        otherwise = parts[-1] if str(node.this).lower() == "iif" and len(parts) == 3 else None
        pairs = parts[:-1] if otherwise is not None else parts
        if len(pairs) < 2 or len(pairs) % 2:
            message = f"No such function: {node.this}; arity: {len(parts)}"
            raise semantic("no-such-function", message, function=str(node.this))
        conditions = [self.of_kind(part, CHECKBOX, "case") for part in pairs[::2]]
        results = [self.term(part) for part in pairs[1::2]]
        return self._branches(conditions, results, self.term(otherwise) if otherwise is not None else None)

    def _round(self, node: exp.Anonymous) -> Term:
        """`round(number, digits)`: the digits are written out, since DuckDB needs them when it plans."""
        parts = node.expressions
        digits = parts[1].this if len(parts) == 2 and isinstance(parts[1], exp.Literal) else "0"
        if len(parts) not in (1, 2) or (len(parts) == 2 and not isinstance(parts[1], exp.Literal)):
            raise semantic("type-mismatch", "round takes a number and a whole number of digits", function="round")
        if not digits.isdigit() or int(digits) > 30:
            raise semantic("type-mismatch", "round takes 0 to 30 digits", function="round")
        number = self.of_kind(parts[0], NUMBER, "round")
        return combined(f"round({number.sql}, {int(digits)})", Kind.NUMBER, number)


_SPECIAL: dict[str, Callable[[Expressions, Any], Term]] = {
    "count": Expressions._count,
    "coalesce": Expressions._coalesce,
    "case": Expressions._case_call,
    "iif": Expressions._case_call,
    "round": Expressions._round,
}

_NODES: dict[type[exp.Expr], Callable[[Expressions, Any], Term]] = {
    exp.Column: Expressions._column,
    exp.Placeholder: Expressions._system,
    exp.Literal: Expressions._literal,
    exp.Boolean: Expressions._boolean,
    exp.Null: Expressions._null,
    exp.Paren: Expressions._paren,
    exp.Not: Expressions._not,
    exp.Neg: Expressions._negative,
    exp.And: Expressions._logic,
    exp.Or: Expressions._logic,
    **dict.fromkeys(COMPARISONS, Expressions._comparison),
    **dict.fromkeys(ARITHMETIC, Expressions._arithmetic),
    exp.Div: Expressions._division,
    exp.Mod: Expressions._division,
    exp.Pow: Expressions._power,
    exp.DPipe: Expressions._joined,
    exp.Is: Expressions._is,
    exp.In: Expressions._in,
    exp.Between: Expressions._between,
    exp.Like: Expressions._like,
    exp.Case: Expressions._case,
    exp.Anonymous: Expressions._call,
}

_ARGUMENTS: dict[type[exp.Expr], frozenset[str]] = {
    exp.Column: frozenset({"this"}),
    exp.Literal: frozenset({"this", "is_string"}),
    exp.Div: frozenset({"this", "expression", "typed", "safe"}),
    exp.DPipe: frozenset({"this", "expression", "safe"}),
    exp.In: frozenset({"this", "expressions"}),
    exp.Between: frozenset({"this", "low", "high"}),
    exp.Case: frozenset({"this", "ifs", "default"}),
}
"""The parts of a node that mean something here; any other part makes it refused."""
