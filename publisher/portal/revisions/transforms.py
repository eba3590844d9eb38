"""Transforms of a file's columns to a dataset's columns: SoQL expressions such as to_number(`x`) * 2, as DuckDB SQL.

Every value is the text of a cell, and has beside it what is wrong with it: an expression of a wrong value is wrong, but
for what chooses between values, such as case and coalesce.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from publisher.portal.base.kinds import GEOMETRIES, TIMES, Kind, point_of_location, reading
from publisher.portal.base.problems import SodaError, problem
from publisher.portal.base.sql import literal, quoted
from publisher.portal.soql.calls import called
from publisher.portal.soql.dialect import DEEPEST, parse_expression
from publisher.portal.soql.expressions import CASTS, Expressions
from publisher.portal.soql.relations import Scope
from publisher.portal.soql.terms import CELL, Term, Values, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["DEEPEST", "LONGEST_SQL", "Steps", "Transform", "compiled", "conversion", "guess"]

_CONVERSIONS = {f"to_{kind.value}": kind for kind in Kind} | {
    "to_calendar_date": Kind.FLOATING,
    "to_boolean": Kind.CHECKBOX,
}
GUESSED = (Kind.CHECKBOX, Kind.NUMBER, Kind.FLOATING, Kind.FIXED, *GEOMETRIES)
"""The types to try for a text column; the first one that fits all its values is used."""
LONGEST_SQL = 1_000_000
"""The most characters of SQL for the transforms of one schema: enough for a number in each of a thousand columns."""
FINE = "NULL"
"""What is wrong with a value that is never wrong."""
_DECIMAL = "DECIMAL(38, 12)"
_TOO_LONG = f"Only texts of at most {CELL} characters can be made longer"
_AROUND = re.compile(
    r'^(?:Query coordinator error: [\w.-]+; |Could not parse SoQL query ".*" at )|; position: Map\(.*\)$', re.DOTALL
)
"""What an error says beside its reason."""
_NAMED = re.compile(r'"(?:[^"]|"")*"|NULL|\$v\d+')


@dataclass(frozen=True, slots=True)
class Transform:
    """An output column: `sql` is its text, or NULL; `wrong` says what is wrong with it, or is NULL.

    Both can use the columns of the table and of the steps below `level`.
    """

    sql: str
    wrong: str
    kind: Kind | None
    """None is the type of NULL and of an error, which fit every other type."""
    inputs: tuple[str, ...] = ()
    level: int = 0


class Steps:
    """The intermediate values of transforms, as nested SELECTs, and the literals that they bind.

    A value is computed and named once in one SELECT, and the outer ones use its name: if it were written out at each
    use, a text with twenty calls would be hundreds of megabytes of SQL.
    """

    def __init__(self) -> None:
        self.names: dict[tuple[type, Any], str] = {}
        self._levels: list[dict[str, str]] = []
        """The names of the values of each level by their SQL."""
        self._length = 0

    def values(self) -> Values:
        """The literals of one expression; those of all have different names."""
        return Values(names=self.names)

    def bound(self, sql: str) -> dict[str, Any]:
        """The literals that the SQL uses."""
        return self.values().used(sql)

    def add(self, sql: str, level: int) -> str:
        """Add a value that is computed at this level from lower levels; returns the name of its column.

        Raises SodaError if all of the SQL together is too long.
        """
        while len(self._levels) <= level:
            self._levels.append({})
        if sql in self._levels[level]:
            return self._levels[level][sql]
        self._length += len(sql)
        if self._length > LONGEST_SQL:
            raise problem(400, "transform.not-possible", "The transforms have too many conversions. Use fewer of them.")
        name = quoted(f":step:{sum(map(len, self._levels)) + 1}")
        self._levels[level][sql] = name
        return name

    def named(self, made: Transform) -> Transform:
        """The same with short SQL, which may be used more than once."""
        if _NAMED.fullmatch(made.sql) and _NAMED.fullmatch(made.wrong):
            return made
        sql = made.sql if _NAMED.fullmatch(made.sql) else self.add(made.sql, made.level)
        wrong = made.wrong if _NAMED.fullmatch(made.wrong) else self.add(made.wrong, made.level)
        return replace(made, sql=sql, wrong=wrong, level=made.level + 1)

    def over(self, table: str) -> str:
        """SQL for the table with the columns of all steps."""
        for level in self._levels:
            listed = ", ".join(f"{sql} AS {name}" for sql, name in level.items())
            table = f"(SELECT *, {listed} FROM {table})" if level else table
        return table


def compiled(expression: str, columns: Mapping[str, Kind], steps: Steps) -> Transform:
    """Compile an expression over columns of these types, stored as texts. Raises a SodaError that says why."""
    try:
        made = _Compiler(expression, columns, steps).made(parse_expression(expression))
    except SodaError as error:
        if error.body.get("code") == "transform.not-possible":
            raise
        shown = expression if len(expression) <= 200 else expression[:200] + "…"
        reason = _AROUND.sub("", str(error.body["message"]))
        words = f"The transform {shown} cannot be used: {reason}"
        raise problem(400, "transform.not-possible", words, expression=shown) from None
    return replace(made, inputs=tuple(dict.fromkeys(made.inputs)))


def conversion(field: str, kind: Kind) -> str:
    """The expression that reads a text column as this type."""
    return f"to_{kind.value}(`{field}`)"


def guess(field: str) -> list[tuple[Kind, str]]:
    """For each type that a column may have, SQL that counts the values that do not fit."""
    text = quoted(field)
    there = f"nullif(trim({text}), '') IS NOT NULL"
    guesses = [(kind, f"{there} AND ({reading(kind, _spelled(kind, text))}) IS NULL") for kind in GUESSED]
    code = f"regexp_matches(trim({text}), '^[-+]?0[0-9]')"
    word = f"trim({text}) IN ('0', '1')"
    refined = {Kind.NUMBER: f" OR {code}", Kind.CHECKBOX: f" OR {word}"}
    return [(kind, f"count(*) FILTER (WHERE {wrong}{refined.get(kind, '')})") for kind, wrong in guesses]


class _Parts(Scope):
    """The values inside an expression, by the names that stand for them there."""

    def __init__(self, parts: list[Transform], *, doubles: bool) -> None:
        super().__init__([])
        self._parts = {_name(place): _typed(part, doubles=doubles) for place, part in enumerate(parts)}

    def column(self, name: str, table: str | None = None) -> Term | None:
        """The value with this name."""
        return self._parts.get(name) if table is None else super().column(name, table)


def _name(place: int) -> str:
    return f":part:{place}"


def _typed(part: Transform, *, doubles: bool) -> Term:
    """A value as SoQL's expressions take it."""
    if part.kind is None:
        return Term("NULL", None)
    kinds = {Kind.NUMBER: "DOUBLE" if doubles else _DECIMAL, Kind.CHECKBOX: "BOOLEAN"} | dict.fromkeys(
        TIMES, "TIMESTAMP"
    )
    sql = f"TRY_CAST({part.sql} AS {kinds[part.kind]})" if part.kind in kinds else part.sql
    longest = CELL if part.kind is Kind.TEXT else None
    return Term(sql, part.kind, varies=True, inexact=doubles and part.kind is Kind.NUMBER, longest=longest)


class _Compiler:
    """Compiles one expression."""

    def __init__(self, expression: str, columns: Mapping[str, Kind], steps: Steps) -> None:
        self._whole = expression
        self._columns = columns
        self._steps = steps

    def made(self, node: exp.Expr) -> Transform:
        """Compile a node. Raises SodaError."""
        if isinstance(node, exp.Paren):
            return self.made(node.this)
        special = self._special(node)
        return special() if special is not None else self._computed(node)

    def _special(self, node: exp.Expr) -> Callable[[], Transform] | None:
        """What compiles a node that is not computed from its parts by SoQL's own rules."""
        match node:
            case exp.Column() if not node.table:
                return lambda: self._column(node.name)
            case exp.Cast() if (kind := CASTS.get(node.args["to"].name)) is not None:
                return lambda: self._converted(kind, self.made(node.this))
            case exp.Case():
                branches = [part for each in node.args["ifs"] for part in (each.this, each.args["true"])]
                return lambda: self._case([*branches, *filter(None, [node.args.get("default")])])
            case exp.Anonymous():
                name, given = str(node.this), node.expressions
                if name in _CONVERSIONS and len(given) == 1:
                    return lambda: self._converted(_CONVERSIONS[name], self.made(given[0]))
                if name in _CHOOSING and len(given) in _CHOOSING[name][0]:
                    return lambda: _CHOOSING[name][1](self, given)
        return None

    def _column(self, name: str) -> Transform:
        known = name if name in self._columns else name.lower()
        if known not in self._columns:
            raise _refused(f"there is no column {name}")
        return self._converted(self._columns[known], Transform(quoted(known), FINE, Kind.TEXT, (known,)))

    def _converted(self, kind: Kind, value: Transform) -> Transform:
        if kind in (value.kind, Kind.TEXT):
            return replace(value, kind=kind)
        located = (value.kind, kind) == (Kind.LOCATION, Kind.POINT)
        text = point_of_location(value.sql) if located else _spelled(kind, value.sql)
        read = self._steps.add(f"({reading(kind, text)})::VARCHAR", value.level)
        refused = f"CASE WHEN nullif(trim({value.sql}), '') IS NOT NULL AND {read} IS NULL THEN {_unable(kind)} END"
        return Transform(read, _first([value.wrong, refused]), kind, value.inputs, value.level + 1)

    def _computed(self, node: exp.Expr) -> Transform:
        """Compile a node, with all nodes below it that have no way of their own, as SoQL does."""
        parts: list[Transform] = []

        def replaced(each: exp.Expr) -> exp.Expr:
            special = None if each is tree else self._special(each)
            if special is None:
                return each
            parts.append(self._steps.named(special()))
            return exp.Column(this=exp.Identifier(this=_name(len(parts) - 1)))

        if node.find(exp.Window, exp.Filter):
            raise _refused("functions of many rows cannot be used")
        tree = node.copy()
        tree = tree.transform(replaced, copy=False)
        if any(isinstance(each, exp.DPipe) or str(each.this) in _LENGTHENING for each in tree.find_all(*_LENGTHENED)):
            parts = [self._limited(part) if part.kind is Kind.TEXT else part for part in parts]
        kind, text = self._text(tree, parts)
        level = max((part.level for part in parts), default=0)
        made = self._steps.named(Transform("NULL", _first([part.wrong for part in parts]), kind, level=level))
        if made.wrong != FINE:
            text = f"CASE WHEN {made.wrong} IS NULL THEN {text} END"
        inputs = tuple(name for part in parts for name in part.inputs)
        return Transform(text, made.wrong, kind, inputs, made.level)

    def _limited(self, part: Transform) -> Transform:
        """A text that may be made longer."""
        fits = f"length({part.sql}) <= {CELL}"
        wrong = _first([part.wrong, f"CASE WHEN NOT ({fits}) THEN {literal(_TOO_LONG)} END"])
        return self._steps.named(replace(part, sql=f"CASE WHEN {fits} THEN {part.sql} END", wrong=wrong))

    def _text(self, tree: exp.Expr, parts: list[Transform]) -> tuple[Kind | None, str]:
        """The type and the text of an expression. Sums are exact; products, and sums out of range, have 15 digits."""
        product = tree.find(exp.Mul) is not None
        term = self._term(tree, parts, doubles=product)
        if term.kind is not Kind.NUMBER:
            return term.kind, f"({term.sql})::VARCHAR" if term.kind in (Kind.CHECKBOX, *TIMES) else term.sql
        if product or tree.find(exp.Add, exp.Sub, exp.Neg) is None:
            return term.kind, _number_text(term)
        near = self._term(tree, parts, doubles=True)
        return term.kind, f"coalesce({_number_text(replace(term, sql=f'TRY({term.sql})'))}, {_number_text(near)})"

    def _term(self, tree: exp.Expr, parts: list[Transform], *, doubles: bool) -> Term:
        scope = _Parts(parts, doubles=doubles)
        expressions = Expressions(scope, self._steps.values(), self._whole, "", called)
        return expressions.alone(expressions.term(tree), "a transform")

    # what chooses between values

    def _case(self, nodes: Sequence[exp.Expr]) -> Transform:
        """`case(condition, value, …)`, with one more value where none of the conditions is true."""
        pairs, rest = len(nodes) // 2 * 2, nodes[len(nodes) // 2 * 2 :]
        conditions = [self._condition(node) for node in nodes[:pairs:2]]
        results = self._agreed([*nodes[1:pairs:2], *rest])
        value, wrong = [], []
        for condition, result in zip(conditions, results, strict=False):
            value.append(
                f"WHEN {condition.wrong} IS NOT NULL THEN NULL WHEN {condition.sql} = 'true' THEN {result.sql}"
            )
            wrong.append(f"WHEN {condition.wrong} IS NOT NULL THEN {condition.wrong}")
            wrong.append(f"WHEN {condition.sql} = 'true' THEN {result.wrong}")
        otherwise = results[-1] if rest else Transform("NULL", FINE, None)
        sql = f"CASE {' '.join(value)} ELSE {otherwise.sql} END"
        wrong_sql = f"CASE {' '.join(wrong)} ELSE {otherwise.wrong} END"
        return self._joined(sql, wrong_sql, [*results, *conditions], _kind(results))

    def _condition(self, node: exp.Expr) -> Transform:
        made = self._steps.named(self.made(node))
        if made.kind not in (Kind.CHECKBOX, None):
            raise _refused(f"a condition of case must be a checkbox, not {made.kind}")
        return made

    def _agreed(self, nodes: Sequence[exp.Expr]) -> list[Transform]:
        """Values that have one type."""
        made = [self._steps.named(self.made(node)) for node in nodes]
        kinds = list(dict.fromkeys(each.kind for each in made if each.kind is not None))
        if len(kinds) > 1:
            raise _refused(f"its values have different types: {' and '.join(kinds)}")
        return made

    def _coalesce(self, nodes: Sequence[exp.Expr]) -> Transform:
        """The first value that is there; what is wrong with later ones does not matter."""
        made = self._agreed(nodes)
        ends = [f"WHEN {each.wrong} IS NOT NULL OR {each.sql} IS NOT NULL THEN" for each in made]
        sql = " ".join(f"{end} {each.sql}" for end, each in zip(ends, made, strict=True))
        wrong = " ".join(f"{end} {each.wrong}" for end, each in zip(ends, made, strict=True))
        return self._joined(f"CASE {sql} END", f"CASE {wrong} END", made, _kind(made))

    def _forgive(self, nodes: Sequence[exp.Expr]) -> Transform:
        """The value, or where it is wrong the other one, or null."""
        made = self._agreed(nodes)
        value, other = made[0], made[1] if len(made) > 1 else Transform("NULL", FINE, None)
        sql = f"CASE WHEN {value.wrong} IS NULL THEN {value.sql} ELSE {other.sql} END"
        wrong = f"CASE WHEN {value.wrong} IS NOT NULL THEN {other.wrong} END"
        return self._joined(sql, wrong, made, _kind(made))

    def _error(self, nodes: Sequence[exp.Expr]) -> Transform:
        """No value, and these words about what is wrong."""
        said = self._steps.named(self.made(nodes[0]))
        return replace(said, sql="NULL", wrong=_first([said.wrong, said.sql, "'Error'"]), kind=None)

    def _point(self, nodes: Sequence[exp.Expr]) -> Transform:
        """`make_point(latitude, longitude)`, of numbers or texts."""
        made = [self._steps.named(self.made(node)) for node in nodes]
        north, east = (f"TRY_CAST(nullif(trim({each.sql}), '') AS DOUBLE)" for each in made)
        on_earth = f"{north} BETWEEN -90 AND 90 AND {east} BETWEEN -180 AND 180"
        numbers = [f"trim({_spelled(Kind.NUMBER, each.sql)})" for each in reversed(made)]
        shape = f"""'{{"type":"Point","coordinates":[' || {numbers[0]} || ',' || {numbers[1]} || ']}}'"""
        level = max(each.level for each in made)
        written = self._steps.add(f"CASE WHEN {on_earth} THEN {shape} END", level)
        read = self._steps.add(f"({reading(Kind.POINT, written)})::VARCHAR", level + 1)
        there = f"nullif(trim(concat({made[0].sql}, {made[1].sql})), '') IS NOT NULL"
        refused = f"CASE WHEN {there} AND {read} IS NULL THEN {_unable(Kind.POINT)} END"
        wrong = _first([*(each.wrong for each in made), refused])
        return Transform(read, wrong, Kind.POINT, made[0].inputs + made[1].inputs, level + 2)

    def _joined(self, sql: str, wrong: str, parts: Sequence[Transform], kind: Kind | None) -> Transform:
        """A value that is one of the parts."""
        inputs = tuple(name for each in parts for name in each.inputs)
        level = max(each.level for each in parts)
        return Transform(sql, FINE if all(each.wrong == FINE for each in parts) else wrong, kind, inputs, level)


_CHOOSING: dict[str, tuple[range, Callable[[_Compiler, Sequence[exp.Expr]], Transform]]] = {
    "case": (range(2, 1000, 2), _Compiler._case),
    "iif": (range(3, 4), _Compiler._case),
    "coalesce": (range(1, 1000), _Compiler._coalesce),
    "forgive": (range(1, 3), _Compiler._forgive),
    "error": (range(1, 2), _Compiler._error),
    "make_point": (range(2, 3), _Compiler._point),
}
_LENGTHENING = {"replace", "left_pad", "right_pad"}
_LENGTHENED = (exp.DPipe, exp.Anonymous)


def _refused(reason: str) -> SodaError:
    return problem(400, "query.soql.not-possible", reason)


def _kind(parts: Sequence[Transform]) -> Kind | None:
    return next((each.kind for each in parts if each.kind is not None), None)


def _first(wrong: Sequence[str]) -> str:
    """SQL for the first of these that is there."""
    kept = list(dict.fromkeys(each for each in wrong if each != FINE))
    return f"coalesce({', '.join(kept)})" if len(kept) > 1 else (kept or [FINE])[0]


def _unable(kind: Kind) -> str:
    return literal(f"Unable to convert to {kind.value}")


def _number_text(term: Term) -> str:
    """SQL for the text of a number, without an exponent."""
    return text_of(Kind.NUMBER, f"TRY_CAST({term.sql} AS {_DECIMAL})" if term.inexact else term.sql)


def _spelled(kind: Kind, text: str) -> str:
    """Numbers without an exponent, in the format that `reading` needs."""
    if kind is not Kind.NUMBER:
        return text
    exponent = f"regexp_matches(trim({text}), '^[-+]?[0-9.]+[eE][-+]?[0-9]{{1,2}}$')"
    plain = text_of(Kind.NUMBER, f"TRY_CAST(trim({text}) AS {_DECIMAL})")
    return f"CASE WHEN {exponent} THEN {plain} ELSE {text} END"
