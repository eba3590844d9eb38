"""Compile function calls, with FILTER and OVER, to SQL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlglot import exp

from publisher.portal.base.kinds import GEOMETRIES, TIMES, Kind
from publisher.portal.base.problems import semantic
from publisher.portal.soql.functions import ANY, CHECKBOX, FIXED, FUNCTIONS, NUMBER, ORDERED, TEXT, Function, find
from publisher.portal.soql.intervals import moved
from publisher.portal.soql.relations import PLACE
from publisher.portal.soql.spatial import SHAPES, SPATIAL
from publisher.portal.soql.terms import CELL, Term, bounded, closed, combined, rounded

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.portal.soql.expressions import Expressions

_STEADY = {"row_number", "ntile", "lead", "lag"}
"""Window functions that number rows one by one; rows with equal sort values keep the dataset's order."""


_ABBREVIATIONS = {
    name: f"Etc/GMT+{hours}"
    for hours, names in {4: "EDT AST", 5: "EST CDT", 6: "CST MDT", 7: "MST PDT", 8: "PST AKDT", 9: "AKST"}.items()
    for name in names.split()
}
"""PostgreSQL's names of fixed offsets, which Socrata also accepts as time zones."""


@dataclass(frozen=True, slots=True)
class Over:
    """The SQL that FILTER and OVER add to a call."""

    sql: str = ""
    terms: tuple[Term, ...] = ()
    filtered: bool = False
    window: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A function's name and arguments as written in the query."""

    name: str
    nodes: list[Any]
    over: Over
    node: exp.Expr

    def unknown(self, expressions: Expressions) -> Exception:
        """400: there is no such function with this number of arguments."""
        message = f"No such function: {self.name}; arity: {len(self.nodes)}"
        return semantic("no-such-function", message, function=self.name, **expressions.where(self.node))


def called(expressions: Expressions, node: exp.Expr) -> Term:
    """Compile a call. Raises SodaError."""
    window = node if isinstance(node, exp.Window) else None
    inner = window.this if window else node
    condition = inner.expression if isinstance(inner, exp.Filter) else None
    plain = inner.this if isinstance(inner, exp.Filter) else inner
    name = str(plain.this)
    over = _over(expressions, name, window, condition) if window or condition is not None else Over()
    call = Call(name, plain.expressions, over, plain)
    special = _SPECIAL.get(name)
    if special is not None:
        return special(expressions, call)
    function = find(name, len(call.nodes)) or SPATIAL.get(name)
    if function is None:
        raise call.unknown(expressions)
    return _plain(expressions, call, function)


def _over(expressions: Expressions, name: str, window: exp.Window | None, condition: exp.Expr | None) -> Over:
    sql, terms = "", []
    if condition is not None:
        held = expressions.alone(expressions.condition(condition, "where"), "FILTER")
        terms.append(held)
        sql = f" FILTER (WHERE {held.sql})"
    if window is not None:
        text, more = _windowed(expressions, name, window)
        sql += f" OVER ({text})"
        terms += more
    return Over(sql, tuple(terms), condition is not None, window is not None)


def _windowed(expressions: Expressions, name: str, window: exp.Window) -> tuple[str, list[Term]]:
    """The SQL inside the parentheses after OVER, with what it depends on."""
    parts = [_steady(expressions.term(node)) for node in window.args["partition_by"] or []]
    text = f"PARTITION BY {', '.join(part.sql for part in parts)} " if parts else ""
    order = [(_steady(expressions.term(node.this)), node) for node in window.args["order"].expressions]
    sorted_by = [f"{term.sql} {direction(node)}" for term, node in order]
    first = expressions.scope.sources[0]
    if name in _STEADY and first.relation.placed and not expressions.groups:
        sorted_by.append(f'{first.alias}."{PLACE}"')
    text += f"ORDER BY {', '.join(sorted_by)} " if sorted_by else ""
    return text + _frame(expressions, window.args.get("spec")), [*parts, *(term for term, _ in order)]


def _frame(expressions: Expressions, spec: exp.WindowSpec | None) -> str:
    if spec is None:
        return ""
    start, end = spec.args["start"], spec.args.get("end")
    if start == "UNBOUNDED FOLLOWING" or end == "UNBOUNDED PRECEDING":
        raise expressions.refused("A frame that ends before it starts")
    if spec.args["kind"] == "RANGE" and any(edge and edge[0].isdigit() for edge in (start, end)):
        raise expressions.refused("RANGE with a number of rows")
    return f"{spec.args['kind']} " + (f"BETWEEN {start} AND {end}" if end else start)


def _steady(term: Term) -> Term:
    if term.window:
        message = "A window function cannot be used inside another window function"
        raise semantic("window-function-not-allowed", message, clause="OVER")
    return term


def direction(node: exp.Ordered) -> str:
    """ASC or DESC, with NULLS FIRST or NULLS LAST."""
    return f"{'DESC' if node.args['desc'] else 'ASC'} NULLS {'FIRST' if node.args['nulls_first'] else 'LAST'}"


def _plain(expressions: Expressions, call: Call, function: Function) -> Term:
    takes = function.takes
    if function.more and len(call.nodes) > len(takes):
        takes = (*takes, *(takes[-1:] * (len(call.nodes) - len(takes))))
    if len(call.nodes) != len(takes):
        raise call.unknown(expressions)
    terms = [expressions.of_kind(node, kinds, call.name) for node, kinds in zip(call.nodes, takes, strict=True)]
    if isinstance(function.gives, int) and not takes[0] <= set(GEOMETRIES):
        terms, _ = expressions.values.agreed(terms, call.name)
    kind = terms[function.gives].kind if isinstance(function.gives, int) else function.gives
    term = combined(function.render(terms, call.over.sql), kind, *terms)
    if function.aggregate or function.window:
        return _of_rows(call, function, replace(term, sql=term.sql), terms)
    _no_over(call)
    return rounded(term.sql, term) if function.rounded else term


def _of_rows(call: Call, function: Function, term: Term, terms: list[Term]) -> Term:
    """Compile an aggregate or window function. Raises SodaError if it is not allowed there."""
    if function.rounded or term.inexact:
        term = rounded(term.sql, term)
    if function.window and not call.over.window:
        raise semantic("requires-window", f"{call.name} requires OVER", function=call.name)
    if function.window and call.over.filtered:
        raise semantic("non-aggregate", f"{call.name} is not an aggregate function: no FILTER", function=call.name)
    if any(part.window for part in (*terms, *call.over.terms)):
        message = f"A window function cannot be used inside {call.name}"
        raise semantic("window-function-not-allowed", message, function=call.name)
    if call.over.window:
        whole = combined(term.sql, term.kind, *terms, *call.over.terms)
        return replace(whole, window=True, varies=True, inexact=term.inexact, longest=term.longest)
    if term.aggregate:
        message = f"Aggregate function '{call.name}' used inside another aggregate"
        raise semantic("aggregate-in-ungrouped-context", message, function=call.name)
    return replace(closed(term), aggregate=True, varies=True)


def _no_over(call: Call) -> None:
    if call.over.window:
        raise semantic("non-window-function", f"{call.name} is not a window function", function=call.name)
    if call.over.filtered:
        raise semantic("non-aggregate", f"{call.name} is not an aggregate function", function=call.name)


def _count(expressions: Expressions, call: Call) -> Term:
    """`count(*)`, `count(x)`, `count(DISTINCT x)`."""
    if len(call.nodes) != 1:
        raise call.unknown(expressions)
    counted = call.nodes[0]
    distinct = isinstance(counted, exp.Distinct)
    if distinct and call.over.window:
        raise semantic("distinct-with-over", "DISTINCT cannot be used with OVER", function="count")
    if isinstance(counted, exp.Star):
        terms, inside = [], "*"
    else:
        terms = [expressions.term(counted.expressions[0] if distinct else counted)]
        inside = ("DISTINCT " if distinct else "") + terms[0].sql
    term = combined(f"count({inside}){call.over.sql}", Kind.NUMBER, *terms)
    return _of_rows(call, _COUNT, replace(term, inexact=False), terms)


_COUNT = Function((ANY,), Kind.NUMBER, "", aggregate=True)
_SHIFT = Function((ANY,), 0, "", window=True)


def _shifted(expressions: Expressions, call: Call) -> Term:
    """`lead(value, rows, otherwise)` and `lag`."""
    if not 1 <= len(call.nodes) <= 3:
        raise call.unknown(expressions)
    value = expressions.term(call.nodes[0])
    terms, rows = [value], Term("1", Kind.NUMBER)
    if len(call.nodes) > 1:
        rows = expressions.of_kind(call.nodes[1], NUMBER, call.name)
    if len(call.nodes) == 3:
        terms, _ = expressions.values.agreed([value, expressions.term(call.nodes[2])], call.name)
    rest = f", {terms[1].sql}" if len(terms) == 2 else ""
    far = f"TRY_CAST(floor({rows.sql}) AS BIGINT)"
    term = combined(f"{call.name}({terms[0].sql}, {far}{rest}){call.over.sql}", terms[0].kind, *terms, rows)
    return _of_rows(call, _SHIFT, term, [*terms, rows])


def _ntile(expressions: Expressions, call: Call) -> Term:
    if len(call.nodes) != 1:
        raise call.unknown(expressions)
    parts = expressions.of_kind(call.nodes[0], NUMBER, call.name)
    whole = f"TRY_CAST((CASE WHEN {parts.sql} >= 1 THEN floor({parts.sql}) END) AS BIGINT)"
    return _of_rows(call, _SHIFT, combined(f"ntile({whole}){call.over.sql}", Kind.NUMBER, parts), [parts])


def _union(expressions: Expressions, call: Call) -> Term:
    """`spatial_union(shape)`: the shapes of many rows as one multi-part shape."""
    if len(call.nodes) != 1:
        raise call.unknown(expressions)
    shape = expressions.of_kind(call.nodes[0], SHAPES, call.name)
    sort = str(shape.kind or Kind.POINT).removeprefix("multi")
    term = combined(f"soda_union(list({shape.sql}){call.over.sql})", Kind(f"multi{sort}"), shape)
    return _of_rows(call, _COUNT, term, [shape])


def _multi(expressions: Expressions, call: Call) -> Term:
    """`geo_multi(shape)`: the shape as one of several parts."""
    _no_over(call)
    if len(call.nodes) != 1:
        raise call.unknown(expressions)
    shape = expressions.of_kind(call.nodes[0], SHAPES, call.name)
    sort = str(shape.kind or Kind.POINT).removeprefix("multi")
    return combined(f"soda_multi({shape.sql})", Kind(f"multi{sort}"), shape)


def _character(expressions: Expressions, call: Call) -> Term:
    """`chr(number)`: the character with that code; the codes between the two ranges are halves of characters."""
    _no_over(call)
    if len(call.nodes) != 1:
        raise call.unknown(expressions)
    code = expressions.of_kind(call.nodes[0], NUMBER, call.name)
    known = f"({code.sql} BETWEEN 1 AND 55295) OR ({code.sql} BETWEEN 57344 AND 1114111)"
    character = combined(f"(CASE WHEN {known} THEN chr(CAST(floor({code.sql}) AS INTEGER)) END)", Kind.TEXT, code)
    return replace(character, longest=1)


def _coalesce(expressions: Expressions, call: Call) -> Term:
    _no_over(call)
    if not call.nodes:
        raise call.unknown(expressions)
    terms, kind = expressions.values.agreed([expressions.term(part) for part in call.nodes], "coalesce")
    return combined(f"coalesce({', '.join(term.sql for term in terms)})", kind, *terms)


def _case(expressions: Expressions, call: Call) -> Term:
    """`case(condition, value, …)`; `iif(condition, value, otherwise)`."""
    _no_over(call)
    parts = call.nodes
    otherwise = parts[-1] if call.name == "iif" and len(parts) == 3 else None
    pairs = parts[:-1] if otherwise is not None else parts
    if len(pairs) < 2 or len(pairs) % 2:
        raise call.unknown(expressions)
    conditions = [expressions.of_kind(part, CHECKBOX, "case") for part in pairs[::2]]
    results = [expressions.term(part) for part in pairs[1::2]]
    return expressions.branches(conditions, results, expressions.term(otherwise) if otherwise is not None else None)


def _round(expressions: Expressions, call: Call) -> Term:
    """`round(number, digits)`; where the digits are no literal, which DuckDB needs to plan, to 15 digits in all."""
    _no_over(call)
    if len(call.nodes) not in (1, 2):
        raise call.unknown(expressions)
    number = expressions.of_kind(call.nodes[0], NUMBER, "round")
    if len(call.nodes) == 2 and not isinstance(call.nodes[1], exp.Literal | exp.Neg):
        places = expressions.of_kind(call.nodes[1], NUMBER, "round")
        near = f"CAST(least(greatest(floor({places.sql}), -30), 30) AS INTEGER)"
        return rounded(f"round(({number.sql})::DOUBLE, {near})", number, places)
    digits = _whole(expressions, call.nodes[1], "round", -30, 30) if len(call.nodes) == 2 else 0
    return combined(f"round({number.sql}, {digits})", Kind.NUMBER, number)


def _whole(expressions: Expressions, node: Any, where: str, least: int, most: int) -> int:
    """A whole number literal in the query."""
    sign = -1 if isinstance(node, exp.Neg) else 1
    literal = node.this if isinstance(node, exp.Neg) else node
    text = str(literal.this) if isinstance(literal, exp.Literal) else ""
    number = sign * int(text) if text.isdecimal() and len(text) < 12 else None
    if number is None or not least <= number <= most:
        message = f"{where} needs a whole number from {least} to {most} here"
        raise semantic("type-mismatch", message, function=where, **expressions.where(node))
    return number


def _replace(expressions: Expressions, call: Call) -> Term:
    _no_over(call)
    if len(call.nodes) != 3:
        raise call.unknown(expressions)
    whole, old, new = (bounded(expressions.of_kind(node, TEXT, "replace")) for node in call.nodes)
    times = (whole.longest or 0) // max(1, len(old.text or ""))
    longest = (whole.longest or 0) + times * (new.longest or 0)
    return expressions.values.lengthened(f"replace({whole.sql}, {old.sql}, {new.sql})", longest, whole, old, new)


def _pad(expressions: Expressions, call: Call) -> Term:
    """`left_pad(text, length, filling)`; a longer text is cut, as in PostgreSQL."""
    _no_over(call)
    if len(call.nodes) != 3:
        raise call.unknown(expressions)
    kinds = (TEXT, NUMBER, TEXT)
    whole, length, fill = (expressions.of_kind(n, k, call.name) for n, k in zip(call.nodes, kinds, strict=True))
    most = CELL if length.varies else _whole(expressions, call.nodes[1], call.name, 0, CELL)
    size = f"CAST(least(greatest(floor({length.sql}), 0), {CELL}) AS INTEGER)"
    name = "lpad" if call.name == "left_pad" else "rpad"
    filled = f"{name}({whole.sql}, {size}, CASE WHEN {fill.sql} <> '' THEN {fill.sql} END)"
    cut = f"CASE WHEN {fill.sql} = '' THEN left({whole.sql}, {size}) END"
    sql = f"coalesce({filled}, {cut})"
    return expressions.values.lengthened(sql, most, whole, length, fill)


def _date_add(expressions: Expressions, call: Call) -> Term:
    _no_over(call)
    if len(call.nodes) != 2:
        raise call.unknown(expressions)
    moment = expressions.of_kind(call.nodes[0], TIMES, "date_add")
    period = expressions.term(call.nodes[1])
    if period.text is None:
        raise expressions.values.mismatch("date_add", period)
    return moved(expressions.values, moment, period, "+")


def _local(expressions: Expressions, call: Call) -> Term:
    """`to_floating_timestamp(instant, 'zone')`: the local time in that zone."""
    _no_over(call)
    if len(call.nodes) == 1:
        return expressions.cast(expressions.term(call.nodes[0]), "floating_timestamp", call.node)
    if len(call.nodes) != 2:
        raise call.unknown(expressions)
    instant = expressions.of_kind(call.nodes[0], FIXED, call.name)
    zone = expressions.term(call.nodes[1])
    try:
        known = ZoneInfo(_ABBREVIATIONS.get(zone.text or "", zone.text or "")).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = "No such time zone; use a name such as America/Chicago"
        at = expressions.values.at(zone.place)
        raise semantic("type-mismatch", message, function=call.name, **at) from None
    bound = expressions.values.bind(known)
    return combined(f"timezone({bound}, {instant.sql} AT TIME ZONE 'UTC')", Kind.FLOATING, instant)


def _now(expressions: Expressions, call: Call) -> Term:
    """`get_utc_date()`: the current time."""
    _no_over(call)
    if call.nodes:
        raise call.unknown(expressions)
    expressions.values.momentary = True
    return Term(expressions.values.bind(datetime.now(UTC).replace(tzinfo=None, microsecond=0)), Kind.FIXED)


def _truncated(expressions: Expressions, call: Call) -> Term:
    """`date_trunc_ym(moment)`, or `date_trunc_ym(instant, 'zone')` in that zone's local time."""
    function = find(call.name, 1)
    if len(call.nodes) != 2 or function is None:
        return _plain(expressions, call, function) if function else _local(expressions, call)
    local = _local(expressions, call)
    return combined(function.render([local]), Kind.FLOATING, local)


def _converted(expressions: Expressions, call: Call) -> Term:
    """`to_number(text)` is `text::number`."""
    _no_over(call)
    if len(call.nodes) != 1:
        raise call.unknown(expressions)
    return expressions.cast(expressions.term(call.nodes[0]), call.name.removeprefix("to_"), call.node)


def _extreme(expressions: Expressions, call: Call) -> Term:
    """The median; for values that are not numbers, the lower of the two in the middle."""
    if len(call.nodes) != 1:
        raise call.unknown(expressions)
    term = expressions.term(call.nodes[0])
    function = find("median", 1)
    if function is None or term.kind in NUMBER or term.text is not None or term.kind is None:
        return _plain(expressions, call, function or _COUNT)
    value = expressions.values.fitted(term, ORDERED - CHECKBOX, "median")
    whole = combined(f"quantile_disc({value.sql}, 0.5){call.over.sql}", value.kind, value)
    return _of_rows(call, function=replace(function, rounded=False), term=whole, terms=[value])


_SPECIAL: dict[str, Callable[[Expressions, Call], Term]] = {
    "count": _count,
    "median": _extreme,
    "lead": _shifted,
    "lag": _shifted,
    "ntile": _ntile,
    "spatial_union": _union,
    "geo_multi": _multi,
    "chr": _character,
    "coalesce": _coalesce,
    "case": _case,
    "iif": _case,
    "round": _round,
    "replace": _replace,
    "left_pad": _pad,
    "right_pad": _pad,
    "date_add": _date_add,
    "to_floating_timestamp": _local,
    "get_utc_date": _now,
    **dict.fromkeys(("date_trunc_y", "date_trunc_ym", "date_trunc_ymd"), _truncated),
    **dict.fromkeys(("to_text", "to_number", "to_boolean", "to_point", "to_fixed_timestamp"), _converted),
}

NAMES = frozenset({*FUNCTIONS, *SPATIAL, *_SPECIAL, "substring"})
"""All functions that a query can call."""
