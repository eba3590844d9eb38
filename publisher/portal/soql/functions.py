"""The SoQL functions with plain arguments: their argument types and their SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.base.kinds import TIMES, Kind

if TYPE_CHECKING:
    from publisher.portal.soql.terms import Term

ANY = frozenset(Kind)
TEXT = frozenset({Kind.TEXT})
NUMBER = frozenset({Kind.NUMBER})
CHECKBOX = frozenset({Kind.CHECKBOX})
FLOATING = frozenset({Kind.FLOATING})
FIXED = frozenset({Kind.FIXED})
ORDERED = TEXT | NUMBER | CHECKBOX | TIMES

Written = str | Callable[..., str]
"""A template with {0}, {1}, … for the arguments' SQL, or a function of the arguments as terms."""


@dataclass(frozen=True, slots=True)
class Function:
    """A signature: the types of the arguments, the type of the result, and the SQL."""

    takes: tuple[frozenset[Kind], ...]
    gives: Kind | int
    """The result's type, or the index of the argument that has the same type."""
    sql: Written
    aggregate: bool = False
    """True for an aggregate; its template has {over} where FILTER and OVER go."""
    window: bool = False
    """True if it needs OVER."""
    more: bool = False
    """True if the last argument may be repeated."""
    rounded: bool = False
    """True if the result is a double."""

    def render(self, arguments: list[Term], over: str = "") -> str:
        """Compile a call."""
        if callable(self.sql):
            return self.sql(*arguments)
        return self.sql.format(*(argument.sql for argument in arguments), over=over)


def _called(name: str) -> Callable[..., str]:
    return lambda *arguments: f"{name}({', '.join(argument.sql for argument in arguments)})"


def text(template: Written, takes: int = 1, gives: Kind = Kind.TEXT, *, more: bool = False) -> Function:
    """A signature with text arguments."""
    return Function((TEXT,) * takes, gives, template, more=more)


def number(template: str, takes: int = 1, *, rounded: bool = False) -> Function:
    """A signature with number arguments."""
    return Function((NUMBER,) * takes, Kind.NUMBER, template, rounded=rounded)


def aggregate(template: str, takes: int = 1, *, rounded: bool = False) -> Function:
    """The signature of an aggregate of numbers."""
    return Function((NUMBER,) * takes, Kind.NUMBER, template, aggregate=True, rounded=rounded)


def _truncated(unit: str) -> Function:
    return Function((TIMES,), 0, f"CAST(date_trunc('{unit}', {{0}}) AS TIMESTAMP)")


def _part(unit: str) -> Function:
    return Function((TIMES,), Kind.NUMBER, f"CAST(date_part('{unit}', {{0}}) AS DECIMAL(18,0))")


def _one_of(first: Term, *others: Term) -> str:
    return f"(lower({first.sql}) IN ({', '.join(f'lower({other.sql})' for other in others)}))"


_WHOLE = "CAST(floor({0}) AS BIGINT)"
_LINK = (
    "CAST(CASE WHEN {1} IS NULL THEN json_object('url', {0})"
    " ELSE json_object('url', {0}, 'description', {1}) END AS VARCHAR)"
)
_FROM, _LENGTH = _WHOLE.replace("{0}", "{1}"), _WHOLE.replace("{0}", "{2}")
_PLACE = "({0} - {1}) * {3} / ({2} - {1})"
_BUCKET = (
    f"CAST(CASE WHEN {{3}} < 1 OR {{1}} = {{2}} THEN NULL WHEN {_PLACE} < 0 THEN 0"
    f" WHEN {_PLACE} >= {{3}} THEN {{3}} + 1"
    f" ELSE floor(CAST(printf('%.15g', {_PLACE}) AS DOUBLE)) + 1 END AS DECIMAL(18,0))"
)
_DAYS = "CAST(trunc((epoch_us({0}) - epoch_us({1})) / 86400000000) AS DECIMAL(18,0))"
_WEEKDAYS = "CAST(5 * floor(({0}) / 7.0) + least(({0}) - 7 * floor(({0}) / 7.0) + 1, 5) AS DECIMAL(18,0))"
"""The days from Monday to Friday up to a day, which is counted from a Monday."""
_MONDAY = "(CAST({} AS DATE) - DATE '1970-01-05')"


def _business_days(first: Term, second: Term) -> str:
    """The days from Monday to Friday from one date to the other, both included; negative if the first is earlier."""
    one, other = _MONDAY.format(first.sql), _MONDAY.format(second.sql)
    forth, back = (
        f"({_WEEKDAYS.format(a)} - {_WEEKDAYS.format(f'({b} - 1)')})" for a, b in ((one, other), (other, one))
    )
    return f"(CASE WHEN {one} >= {other} THEN {forth} ELSE -{back} END)"


_MEDIAN = "((quantile_disc({0}, 0.5){over} - quantile_disc(-({0}), 0.5){over}) * 0.5)"
"""The mean of the two values in the middle; DuckDB's own median rounds a decimal to its column's digits."""

FUNCTIONS: dict[str, Function] = {
    # aggregates; count is compiled apart, for its * and DISTINCT
    "sum": aggregate("sum({0}){over}"),
    "avg": aggregate("sum({0}){over} / count({0}){over}", rounded=True),
    "min": Function((ORDERED,), 0, "min({0}){over}", aggregate=True),
    "max": Function((ORDERED,), 0, "max({0}){over}", aggregate=True),
    "median": aggregate(_MEDIAN),
    "bool_and": Function((CHECKBOX,), Kind.CHECKBOX, "bool_and({0}){over}", aggregate=True),
    "bool_or": Function((CHECKBOX,), Kind.CHECKBOX, "bool_or({0}){over}", aggregate=True),
    "stddev_pop": aggregate("stddev_pop({0}::DOUBLE){over}", rounded=True),
    "stddev_samp": aggregate("stddev_samp({0}::DOUBLE){over}", rounded=True),
    "regr_slope": aggregate("regr_slope({0}::DOUBLE, {1}::DOUBLE){over}", 2, rounded=True),
    "regr_intercept": aggregate("regr_intercept({0}::DOUBLE, {1}::DOUBLE){over}", 2, rounded=True),
    "regr_r2": aggregate("regr_r2({0}::DOUBLE, {1}::DOUBLE){over}", 2, rounded=True),
    # text; ||, replace, left_pad and right_pad make longer texts and are compiled apart
    "lower": text("lower({0})"),
    "upper": text("upper({0})"),
    "trim": text("trim({0})"),
    "trim_leading": text("ltrim({0})"),
    "trim_trailing": text("rtrim({0})"),
    "unaccent": text("strip_accents({0})"),
    "length": text("CAST(length({0}) AS DECIMAL(18,0))", gives=Kind.NUMBER),
    "starts_with": text("(left({0}, length({1})) = {1})", 2, Kind.CHECKBOX),
    "contains": text("(strpos({0}, {1}) > 0)", 2, Kind.CHECKBOX),
    "like": text("({0} LIKE {1})", 2, Kind.CHECKBOX),
    "not_like": text("({0} NOT LIKE {1})", 2, Kind.CHECKBOX),
    "caseless_eq": text("(lower({0}) = lower({1}))", 2, Kind.CHECKBOX),
    "caseless_ne": text("(lower({0}) <> lower({1}))", 2, Kind.CHECKBOX),
    "caseless_starts_with": text("(left(lower({0}), length(lower({1}))) = lower({1}))", 2, Kind.CHECKBOX),
    "caseless_contains": text("(strpos(lower({0}), lower({1})) > 0)", 2, Kind.CHECKBOX),
    "caseless_one_of": text(_one_of, 2, Kind.CHECKBOX, more=True),
    "caseless_not_one_of": text(lambda *terms: f"(NOT {_one_of(*terms)})", 2, Kind.CHECKBOX, more=True),
    "url": Function((TEXT, TEXT), Kind.URL, _LINK),
    "split_part": Function((TEXT, TEXT, NUMBER), Kind.TEXT, f"split_part({{0}}, {{1}}, {_LENGTH})"),
    # numbers
    "abs": number("abs({0})"),
    "ceil": number("ceil({0})"),
    "floor": number("floor({0})"),
    "ln": number("CASE WHEN {0} > 0 THEN ln({0}::DOUBLE) END", rounded=True),
    "greatest": Function((ORDERED,), 0, _called("greatest"), more=True),
    "least": Function((ORDERED,), 0, _called("least"), more=True),
    "width_bucket": number(_BUCKET, 4),
    # dates; date_add and those that take a time zone are compiled apart
    **dict.fromkeys(("date_trunc_y", "datez_trunc_y"), _truncated("year")),
    **dict.fromkeys(("date_trunc_ym", "datez_trunc_ym"), _truncated("month")),
    **dict.fromkeys(("date_trunc_ymd", "datez_trunc_ymd"), _truncated("day")),
    "date_extract_y": _part("year"),
    "date_extract_m": _part("month"),
    "date_extract_d": _part("day"),
    "date_extract_hh": _part("hour"),
    "date_extract_mm": _part("minute"),
    "date_extract_ss": _part("second"),
    "date_extract_dow": _part("dow"),
    "date_extract_woy": _part("week"),
    "date_extract_iso_y": _part("isoyear"),
    "date_diff_d": Function((TIMES, TIMES), Kind.NUMBER, _DAYS),
    "date_diff_business_days": Function((TIMES, TIMES), Kind.NUMBER, _business_days),
    "epoch_seconds": Function((FIXED,), Kind.NUMBER, "(CAST(epoch_ms({0}) AS DECIMAL(18,0)) * 0.001)"),
    # conditions; case, coalesce and iif agree their arguments' kinds and are compiled apart
    "nullif": Function((ORDERED, ORDERED), 0, "(CASE WHEN {0} = {1} THEN NULL ELSE {0} END)"),
    # windows; lead, lag and ntile are compiled apart
    "row_number": Function((), Kind.NUMBER, "row_number(){over}", window=True),
    "rank": Function((), Kind.NUMBER, "rank(){over}", window=True),
    "dense_rank": Function((), Kind.NUMBER, "dense_rank(){over}", window=True),
    "first_value": Function((ANY,), 0, "first_value({0}){over}", window=True),
    "last_value": Function((ANY,), 0, "last_value({0}){over}", window=True),
}

_SUBSTRING = Function((TEXT, NUMBER), Kind.TEXT, f"substring({{0}}, greatest({_FROM}, 1))")
_SUBSTRING_LONG = Function(
    (TEXT, NUMBER, NUMBER),
    Kind.TEXT,
    f"substring({{0}}, greatest({_FROM}, 1), greatest({_LENGTH} + least({_FROM}, 1) - 1, 0))",
)


def find(name: str, arity: int) -> Function | None:
    """The signature for this name and number of arguments."""
    if name == "substring":
        return _SUBSTRING_LONG if arity == 3 else _SUBSTRING
    return FUNCTIONS.get(name)
