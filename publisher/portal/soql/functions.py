"""The functions of SoQL that the portal answers, each with the types it takes and the SQL it becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.kinds import TIMES, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

ANY = frozenset(Kind)
TEXT = frozenset({Kind.TEXT})
NUMBER = frozenset({Kind.NUMBER})
CHECKBOX = frozenset({Kind.CHECKBOX})
POINT = frozenset({Kind.POINT})
ORDERED = TEXT | NUMBER | CHECKBOX | TIMES


@dataclass(frozen=True, slots=True)
class Function:
    """A signature: what each argument may be, what comes out, and the SQL."""

    takes: tuple[frozenset[Kind], ...]
    gives: Kind | int
    """the result's kind, or the index of the argument whose kind it has"""
    sql: str | Callable[..., str]
    """a template with {0}, {1}, … or a function of the arguments' SQL"""
    aggregate: bool = False
    more: bool = False
    """the last argument may be repeated"""

    def render(self, arguments: list[str]) -> str:
        """The SQL of a call."""
        if callable(self.sql):
            return self.sql(*arguments)
        return self.sql.format(*arguments)


def _called(name: str) -> Callable[..., str]:
    return lambda *arguments: f"{name}({', '.join(arguments)})"


def _text(template: str, takes: int = 1, gives: Kind = Kind.TEXT) -> Function:
    return Function((TEXT,) * takes, gives, template)


def _number(template: str, takes: int = 1) -> Function:
    return Function((NUMBER,) * takes, Kind.NUMBER, template)


def _part(name: str) -> Function:
    return Function((TIMES,), Kind.NUMBER, f"CAST(date_part('{name}', {{0}}) AS DECIMAL(18,0))")


def _longitude(point: str) -> str:
    return f"CAST(json_extract({point}, '$.coordinates[0]') AS DOUBLE)"


def _latitude(point: str) -> str:
    return f"CAST(json_extract({point}, '$.coordinates[1]') AS DOUBLE)"


def _within_box(point: str, north: str, west: str, south: str, east: str) -> str:
    inside_height = f"{_latitude(point)} BETWEEN ({south})::DOUBLE AND ({north})::DOUBLE"
    return f"({inside_height} AND {_longitude(point)} BETWEEN ({west})::DOUBLE AND ({east})::DOUBLE)"


def _distance(point: str, latitude: str, longitude: str) -> str:
    """Metres along a great circle of a sphere of mean Earth radius."""
    there, here = f"radians({_latitude(point)})", f"radians(({latitude})::DOUBLE)"
    across = f"radians({_longitude(point)} - ({longitude})::DOUBLE)"
    half = f"pow(sin(({there} - {here}) / 2), 2) + cos({here}) * cos({there}) * pow(sin({across} / 2), 2)"
    return f"(2 * 6371008.8 * asin(sqrt(least(1, {half}))))"


FUNCTIONS: dict[str, Function] = {
    # aggregates; count is compiled apart, for its * and DISTINCT
    "sum": Function((NUMBER,), Kind.NUMBER, "sum({0})", aggregate=True),
    "avg": Function((NUMBER,), Kind.NUMBER, "avg({0})", aggregate=True),
    "min": Function((ORDERED,), 0, "min({0})", aggregate=True),
    "max": Function((ORDERED,), 0, "max({0})", aggregate=True),
    "median": Function((NUMBER,), Kind.NUMBER, "median({0})", aggregate=True),
    "stddev_pop": Function((NUMBER,), Kind.NUMBER, "stddev_pop({0}::DOUBLE)", aggregate=True),
    "stddev_samp": Function((NUMBER,), Kind.NUMBER, "stddev_samp({0}::DOUBLE)", aggregate=True),
    # text
    "lower": _text("lower({0})"),
    "upper": _text("upper({0})"),
    "trim": _text("trim({0})"),
    "unaccent": _text("strip_accents({0})"),
    "length": _text("CAST(length({0}) AS DECIMAL(18,0))", gives=Kind.NUMBER),
    "starts_with": _text("starts_with({0}, {1})", 2, Kind.CHECKBOX),
    "contains": _text("contains({0}, {1})", 2, Kind.CHECKBOX),
    "like": _text("({0} LIKE {1})", 2, Kind.CHECKBOX),
    "caseless_eq": _text("(lower({0}) = lower({1}))", 2, Kind.CHECKBOX),
    "caseless_ne": _text("(lower({0}) <> lower({1}))", 2, Kind.CHECKBOX),
    "caseless_starts_with": _text("starts_with(lower({0}), lower({1}))", 2, Kind.CHECKBOX),
    "caseless_contains": _text("contains(lower({0}), lower({1}))", 2, Kind.CHECKBOX),
    "replace": _text("replace({0}, {1}, {2})", 3),
    # numbers
    "abs": _number("abs({0})"),
    "ceil": _number("ceil({0})"),
    "floor": _number("floor({0})"),
    "ln": _number("CASE WHEN {0} > 0 THEN ln({0}::DOUBLE) END"),
    "greatest": Function((ORDERED,), 0, _called("greatest"), more=True),
    "least": Function((ORDERED,), 0, _called("least"), more=True),
    # dates
    "date_trunc_y": Function((TIMES,), 0, "CAST(date_trunc('year', {0}) AS TIMESTAMP)"),
    "date_trunc_ym": Function((TIMES,), 0, "CAST(date_trunc('month', {0}) AS TIMESTAMP)"),
    "date_trunc_ymd": Function((TIMES,), 0, "CAST(date_trunc('day', {0}) AS TIMESTAMP)"),
    "date_extract_y": _part("year"),
    "date_extract_m": _part("month"),
    "date_extract_d": _part("day"),
    "date_extract_hh": _part("hour"),
    "date_extract_mm": _part("minute"),
    "date_extract_ss": _part("second"),
    "date_extract_dow": _part("dow"),
    "date_extract_woy": _part("week"),
    "date_diff_d": Function((TIMES, TIMES), Kind.NUMBER, "CAST(date_diff('day', {1}, {0}) AS DECIMAL(18,0))"),
    # geography
    "within_box": Function((POINT, NUMBER, NUMBER, NUMBER, NUMBER), Kind.CHECKBOX, _within_box),
    "within_circle": Function(
        (POINT, NUMBER, NUMBER, NUMBER),
        Kind.CHECKBOX,
        lambda point, latitude, longitude, metres: f"({_distance(point, latitude, longitude)} <= ({metres})::DOUBLE)",
    ),
    # conditions; case, coalesce and iif agree their arguments' kinds and are compiled apart
    "nullif": Function((ORDERED, ORDERED), 0, "nullif({0}, {1})"),
}
