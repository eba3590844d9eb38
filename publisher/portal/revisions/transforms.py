"""Transforms of a file's columns to a dataset's columns: compile expressions such as to_number(`x`) to DuckDB SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from publisher.portal.base.kinds import GEOMETRIES, Kind, reading
from publisher.portal.base.problems import problem
from publisher.portal.base.sql import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TOKEN = re.compile(r"\s*(?:`([^`]+)`|([A-Za-z_:@][A-Za-z0-9_]*)|([(),]))")
_CONVERSIONS = {f"to_{kind.value}": kind for kind in Kind} | {"to_calendar_date": Kind.FLOATING}
GUESSED = (Kind.CHECKBOX, Kind.NUMBER, Kind.FLOATING, Kind.FIXED, *GEOMETRIES)
"""The types to try for a text column; the first one that fits all its values is used."""


DEEPEST = 30
"""How deeply the calls of a transform may be nested."""
LONGEST_SQL = 1_000_000
"""The most characters of SQL for the transforms of one schema: enough for a number in each of a thousand columns."""


@dataclass(frozen=True, slots=True)
class Transform:
    """An output column: `sql` is its text, or NULL; `wrong` is true if there was a value that cannot be read.

    Both can use the columns of the table and of the steps below `level`.
    """

    sql: str
    wrong: str
    kind: Kind
    inputs: tuple[str, ...]
    level: int = 0


class Steps:
    """The intermediate values of transforms, as nested SELECTs.

    A value is computed and named once in one SELECT, and the outer ones use its name: if it were written out at each
    use, a text with twenty calls would be hundreds of megabytes of SQL.
    """

    def __init__(self) -> None:
        self._levels: list[list[str]] = []
        self._count = self._length = 0

    def add(self, sql: str, level: int) -> str:
        """Add a value that is computed at this level from lower levels; returns the name of its column.

        Raises SodaError if all of the SQL together is too long.
        """
        self._count += 1
        self._length += len(sql)
        if self._length > LONGEST_SQL:
            raise problem(400, "transform.not-possible", "The transforms have too many conversions. Use fewer of them.")
        while len(self._levels) <= level:
            self._levels.append([])
        name = quoted(f":step:{self._count}")
        self._levels[level].append(f"{sql} AS {name}")
        return name

    def over(self, table: str) -> str:
        """SQL for the table with the columns of all steps."""
        for level in self._levels:
            table = f"(SELECT *, {', '.join(level)} FROM {table})" if level else table
        return table


def compiled(expression: str, columns: Mapping[str, Kind], steps: Steps) -> Transform:
    """Compile an expression over columns of these types, stored as texts. Raises a SodaError that says why."""
    return _Compiler(expression, columns, steps).compiled()


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


class _Compiler:
    """Parses one expression from left to right."""

    def __init__(self, expression: str, columns: Mapping[str, Kind], steps: Steps) -> None:
        self._whole = expression
        self._columns = columns
        self._steps = steps
        self._tokens = list(self._read())
        self._place = 0

    def compiled(self) -> Transform:
        """Parse the whole expression. Raises SodaError."""
        made = self._expression(0)
        if self._place < len(self._tokens):
            raise self._refused("there is text after the end of the expression")
        return made

    def _read(self) -> Iterator[tuple[str, str]]:
        place, text = 0, self._whole.rstrip()
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None:
                raise self._refused(f"it cannot be parsed at character {place + 1}")
            place = found.end()
            if found[3]:
                yield "mark", found[3]
            else:
                yield "column" if found[1] else "word", found[1] or found[2]

    def _next(self) -> tuple[str, str]:
        """The next token; an empty one at the end."""
        self._place += 1
        return self._tokens[self._place - 1] if self._place <= len(self._tokens) else ("end", "")

    def _expression(self, depth: int) -> Transform:
        if depth > DEEPEST:
            raise self._refused(f"its calls are nested more than {DEEPEST} levels deep")
        sort, name = self._next()
        if sort in ("mark", "end"):
            raise self._refused("expected a column or a function")
        if sort == "column" or self._tokens[self._place : self._place + 1] != [("mark", "(")]:
            return self._column(name)
        self._place += 1
        arguments = [self._expression(depth + 1)]
        while (mark := self._next()) == ("mark", ","):
            arguments.append(self._expression(depth + 1))
        if mark != ("mark", ")"):
            raise self._refused("a parenthesis is not closed")
        return self._call(name.lower(), arguments)

    def _column(self, name: str) -> Transform:
        if name not in self._columns:
            raise self._refused(f"there is no column {name}")
        return self._converted(self._columns[name], Transform(quoted(name), "false", Kind.TEXT, (name,)))

    def _call(self, name: str, arguments: list[Transform]) -> Transform:
        if name == "make_point":
            if len(arguments) != 2:
                raise self._refused("make_point needs a latitude and a longitude")
            return self._point(*arguments)
        if name not in _CONVERSIONS:
            known = ", ".join(sorted({*_CONVERSIONS, "make_point"}))
            raise self._refused(f"the function {name} does not exist; use {known}, or just a column")
        if len(arguments) != 1:
            raise self._refused(f"{name} needs exactly one column")
        return self._converted(_CONVERSIONS[name], arguments[0])

    def _converted(self, kind: Kind, value: Transform) -> Transform:
        if kind in (value.kind, Kind.TEXT):
            return replace(value, kind=kind)
        read = self._steps.add(f"({reading(kind, _spelled(kind, value.sql))})::VARCHAR", value.level)
        wrong = f"({value.wrong} OR (nullif(trim({value.sql}), '') IS NOT NULL AND {read} IS NULL))"
        return Transform(read, wrong, kind, value.inputs, value.level + 1)

    def _point(self, latitude: Transform, longitude: Transform) -> Transform:
        level = max(latitude.level, longitude.level)
        north, east = (f"TRY_CAST(nullif(trim({each.sql}), '') AS DOUBLE)" for each in (latitude, longitude))
        on_earth = f"{north} BETWEEN -90 AND 90 AND {east} BETWEEN -180 AND 180"
        numbers = [f"trim({_spelled(Kind.NUMBER, each.sql)})" for each in (longitude, latitude)]
        shape = f"""'{{"type":"Point","coordinates":[' || {numbers[0]} || ',' || {numbers[1]} || ']}}'"""
        made = self._steps.add(f"CASE WHEN {on_earth} THEN {shape} END", level)
        read = self._steps.add(f"({reading(Kind.POINT, made)})::VARCHAR", level + 1)
        there = f"nullif(trim(concat({latitude.sql}, {longitude.sql})), '') IS NOT NULL"
        wrong = f"({latitude.wrong} OR {longitude.wrong} OR ({there} AND {read} IS NULL))"
        return Transform(read, wrong, Kind.POINT, latitude.inputs + longitude.inputs, level + 2)

    def _refused(self, reason: str) -> Exception:
        shown = self._whole if len(self._whole) <= 200 else self._whole[:200] + "…"
        words = f"The transform {shown} cannot be used: {reason}"
        return problem(400, "transform.not-possible", words, expression=shown)


def _spelled(kind: Kind, text: str) -> str:
    """Numbers without an exponent, in the format that `reading` needs."""
    if kind is not Kind.NUMBER:
        return text
    exponent = f"regexp_matches(trim({text}), '^[-+]?[0-9.]+[eE][-+]?[0-9]{{1,2}}$')"
    return f"CASE WHEN {exponent} THEN TRY_CAST(trim({text}) AS DECIMAL(38, 12))::VARCHAR ELSE {text} END"
