"""How the columns of a file become the columns of a dataset: expressions such as to_number(`x`), as DuckDB SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.base.kinds import GEOMETRIES, Kind, reading
from publisher.portal.base.problems import problem
from publisher.portal.base.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOKEN = re.compile(r"\s*(?:`([^`]+)`|([A-Za-z_:@][A-Za-z0-9_]*)|([(),]))")
_CONVERSIONS = {f"to_{kind.value}": kind for kind in Kind} | {"to_calendar_date": Kind.FLOATING}
GUESSED = (Kind.CHECKBOX, Kind.NUMBER, Kind.FLOATING, Kind.FIXED, *GEOMETRIES)
"""What a text column may turn out to be, the first that fits all its values."""


@dataclass(frozen=True, slots=True)
class Transform:
    """A column to come: `sql` gives its text, or NULL; `wrong` is true where a value was there but cannot be read."""

    sql: str
    wrong: str
    kind: Kind
    inputs: tuple[str, ...]


def compiled(expression: str, columns: Mapping[str, Kind]) -> Transform:
    """An expression over columns of these kinds, whose values are texts. Errors: SodaError that says what is meant."""
    tokens = list(_tokens(expression))
    made, rest = _expression(tokens, columns, expression)
    if rest:
        raise _refused(expression, "there is more after its end")
    return made


def conversion(field: str, kind: Kind) -> str:
    """The expression that reads a text column as that kind."""
    return f"to_{kind.value}(`{field}`)"


def guess(field: str) -> list[tuple[Kind, str]]:
    """For each kind that a column may be, SQL that counts the values that it cannot be."""
    text = quoted(field)
    there = f"nullif(trim({text}), '') IS NOT NULL"
    guesses = [(kind, f"{there} AND ({reading(kind, _spelled(kind, text))}) IS NULL") for kind in GUESSED]
    code = f"regexp_matches(trim({text}), '^[-+]?0[0-9]')"
    word = f"trim({text}) IN ('0', '1')"
    refined = {Kind.NUMBER: f" OR {code}", Kind.CHECKBOX: f" OR {word}"}
    return [(kind, f"count(*) FILTER (WHERE {wrong}{refined.get(kind, '')})") for kind, wrong in guesses]


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    place, text = 0, expression.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise _refused(expression, f"it cannot be read at character {place + 1}")
        place = found.end()
        if found[3]:
            yield "mark", found[3]
        else:
            yield "column" if found[1] else "word", found[1] or found[2]


def _expression(
    tokens: list[tuple[str, str]], columns: Mapping[str, Kind], whole: str
) -> tuple[Transform, list[tuple[str, str]]]:
    if not tokens or tokens[0][0] == "mark":
        raise _refused(whole, "a column or a function is missing")
    (sort, name), *rest = tokens
    if sort == "column" or not rest or rest[0] != ("mark", "("):
        return _column(name, columns, whole), rest
    arguments, rest = [], rest[1:]
    while True:
        argument, rest = _expression(rest, columns, whole)
        arguments.append(argument)
        if not rest or rest[0] not in (("mark", ","), ("mark", ")")):
            raise _refused(whole, "a bracket is not closed")
        closed, rest = rest[0] == ("mark", ")"), rest[1:]
        if closed:
            return _call(name.lower(), arguments, whole), rest


def _column(name: str, columns: Mapping[str, Kind], whole: str) -> Transform:
    if name not in columns:
        raise _refused(whole, f"there is no column {name}")
    return _converted(columns[name], Transform(quoted(name), "false", Kind.TEXT, (name,)))


def _call(name: str, arguments: list[Transform], whole: str) -> Transform:
    if name == "make_point":
        if len(arguments) != 2:
            raise _refused(whole, "make_point takes a latitude and a longitude")
        return _point(*arguments)
    if name not in _CONVERSIONS:
        known = ", ".join(sorted({*_CONVERSIONS, "make_point"}))
        raise _refused(whole, f"{name} is not known; known are {known}, and a column alone")
    if len(arguments) != 1:
        raise _refused(whole, f"{name} takes one column")
    return _converted(_CONVERSIONS[name], arguments[0])


def _converted(kind: Kind, value: Transform) -> Transform:
    if kind in (value.kind, Kind.TEXT):
        return Transform(value.sql, value.wrong, kind, value.inputs)
    read = f"({reading(kind, _spelled(kind, value.sql))})::VARCHAR"
    wrong = f"({value.wrong} OR (nullif(trim({value.sql}), '') IS NOT NULL AND {read} IS NULL))"
    return Transform(read, wrong, kind, value.inputs)


def _spelled(kind: Kind, text: str) -> str:
    """Numbers with an exponent written out, as `reading` wants them."""
    if kind is not Kind.NUMBER:
        return text
    exponent = f"regexp_matches(trim({text}), '^[-+]?[0-9.]+[eE][-+]?[0-9]{{1,2}}$')"
    return f"CASE WHEN {exponent} THEN TRY_CAST(trim({text}) AS DECIMAL(38, 12))::VARCHAR ELSE {text} END"


def _point(latitude: Transform, longitude: Transform) -> Transform:
    north, east = (f"TRY_CAST(nullif(trim({each.sql}), '') AS DOUBLE)" for each in (latitude, longitude))
    on_earth = f"{north} BETWEEN -90 AND 90 AND {east} BETWEEN -180 AND 180"
    numbers = [f"trim({_spelled(Kind.NUMBER, each.sql)})" for each in (longitude, latitude)]
    shape = f"""'{{"type":"Point","coordinates":[' || {numbers[0]} || ',' || {numbers[1]} || ']}}'"""
    made = f"CASE WHEN {on_earth} THEN {shape} END"
    there = f"nullif(trim(concat({latitude.sql}, {longitude.sql})), '') IS NOT NULL"
    read = f"({reading(Kind.POINT, made)})::VARCHAR"
    return Transform(read, f"({there} AND {read} IS NULL)", Kind.POINT, latitude.inputs + longitude.inputs)


def _refused(expression: str, reason: str) -> Exception:
    shown = expression if len(expression) <= 200 else expression[:200] + "…"
    return problem(400, "transform.not-possible", f"The transform {shown} cannot be used: {reason}", expression=shown)
