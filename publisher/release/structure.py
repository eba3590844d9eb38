"""What follows from a definition for its published tables, as Great Expectations reads it.

Whatever changes with each release is a parameter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from publisher.grades import CAUTION, LIMITS, OK, STATUSES, SUPPRESSED
from publisher.identifiers import IDENTIFIERS
from publisher.release.table import key_columns
from publisher.release.validation import Rule
from publisher.stages import REASONS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from publisher.definitions.dataset import Dataset, Measure
    from publisher.release.validation import Entry
    from publisher.workspace import DatasetFile

LATER = {"_reason": "reason", "_margin_percent": "margin_percent"}
"""Ends of the columns that earlier versions did not write, with the name of each in the manifest's shape."""


def structure(dataset: DatasetFile, level: str = "", *, without: Collection[str] = ()) -> tuple[Rule, ...]:
    """What follows from the definition for one level's table, in Great Expectations' own layout.

    `without` are those of the columns in `LATER` that the table does not have yet.
    """
    entries = [*_table(dataset, level), *_keys(dataset, level), *_texts(dataset, level)]
    totals = []
    for measure in published(dataset.definition):
        entries += _values(measure, nonnegative(dataset.definition, measure))
        entries += _reasons(measure) if "_reason" not in without else ()
        entries += _percents(measure) if "_margin_percent" not in without else ()
        if measure.measured:
            totals.append(_total(measure))
    rules = [Rule(entry, "definition") for entry in entries]
    return (*rules, *(Rule(entry, "last release", "the comparison with the last release") for entry in totals))


def published(definition: Dataset) -> tuple[Measure, ...]:
    return tuple(measure for measure in definition.measures if measure.shown)


def _key_columns(dataset: DatasetFile, level: str) -> list[str]:
    """Each key, followed by its labels where it has them."""
    columns = []
    for key in key_columns(dataset, level):
        columns += [key.name, f"{key.name}_name"] if key.labeled else [key.name]
    return columns


def nonnegative(definition: Dataset, measure: Measure) -> bool:
    """Whether no value can be below zero, judging by what the measure is read from."""
    if not measure.measured:
        measure = next(other for other in definition.measures if other.name in (measure.sum_, measure.histogram))
    if measure.bins is not None:
        return measure.bins[0] >= 0
    return measure.kind != "sum" or measure.clamps[0] >= 0


def _expect(kind: str, notes: str, **kwargs: Any) -> Entry:
    return {"type": f"expect_{kind}", "kwargs": kwargs, "meta": {"notes": notes}}


def _numeric(column: str) -> Entry:
    kinds = ["int64", "float64"]
    notes = f"{column}: every value must be a number"
    return _expect("column_values_to_be_in_type_list", notes, column=column, type_list=kinds)


def _parameter(name: str) -> dict[str, str]:
    return {"$PARAMETER": name}


def _table(dataset: DatasetFile, level: str) -> Iterator[Entry]:
    keys = ["period", *(key.name for key in key_columns(dataset, level))]
    yield _expect(
        "table_columns_to_match_ordered_list",
        "columns: must be exactly those of the definition, in order",
        column_list=_parameter("columns"),
    )
    yield _expect("table_row_count_to_equal", "rows: there must be one per cell", value=_parameter("rows"))
    yield _expect(
        "table_row_count_to_equal", "id: every expected row must be there, and no other", value=_parameter("known_ids")
    )
    yield _expect("column_values_to_be_unique", "id: every value must be unique", column="id")
    if len(keys) == 1:
        yield _expect("column_values_to_be_unique", "period: every value must be unique", column="period")
        return
    yield _expect("compound_columns_to_be_unique", f"{', '.join(keys)}: together they must be unique", column_list=keys)


def _keys(dataset: DatasetFile, level: str) -> Iterator[Entry]:
    for column in ("id", "period_start"):
        yield _expect("column_values_to_not_be_null", f"{column}: must never be empty", column=column)
    for column in ("period", *_key_columns(dataset, level)):
        yield _expect("column_values_to_not_be_null", f"{column}: must never be empty", column=column)
        allowed = _parameter(f"keys_{column}")
        notes = f"{column}: every value must be one of the public keys"
        yield _expect("column_values_to_be_in_set", notes, column=column, value_set=allowed)
    yield _numeric("edition")
    notes = "edition: every value must be at least 1"
    yield _expect("column_values_to_be_between", notes, column="edition", min_value=1)


def _texts(dataset: DatasetFile, level: str) -> Iterator[Entry]:
    # Ids and periods are made of keys and the calendar, and compared with the expected ones.
    for column in _key_columns(dataset, level):
        for thing, regex in IDENTIFIERS.items():
            notes = f"{column}: nothing may look like {with_article(thing)}"
            yield _expect("column_values_to_not_match_regex", notes, column=column, regex=regex)


def _values(measure: Measure, nonnegative: bool) -> Iterator[Entry]:
    name, low, high, status = (f"{measure.name}{end}" for end in ("", "_low", "_high", "_status"))
    yield _expect(
        "column_values_to_be_in_set",
        f"{status}: every value must be one of {', '.join(STATUSES)}",
        column=status,
        value_set=list(STATUSES),
    )
    yield _expect("column_values_to_not_be_null", f"{status}: must never be empty", column=status)
    suppressed = _where(status, SUPPRESSED)
    for column in (name, low, high):
        yield _numeric(column)
        notes = f"{column}: must be empty where {status} is suppressed"
        yield _expect("column_values_to_be_null", notes, column=column, row_condition=suppressed)
        if nonnegative:
            notes = f"{column}: every value must be at least 0"
            yield _expect("column_values_to_be_between", notes, column=column, min_value=0)
    if measure.kind == "quantile":
        notes = f"{name}_range: must be empty where {status} is suppressed"
        yield _expect("column_values_to_be_null", notes, column=f"{name}_range", row_condition=suppressed)
    for greater, smaller in ((name, low), (high, name)):
        yield _expect(
            "column_pair_values_a_to_be_greater_than_b",
            f"{smaller}: must never exceed {greater}",
            column_A=greater,
            column_B=smaller,
            or_equal=True,
            ignore_row_if="either_value_is_missing",
        )
    if measure.measured:
        shown = {**suppressed, "operator": "!="}
        notes = f"{name}: must have a value unless {status} is suppressed"
        yield _expect("column_values_to_not_be_null", notes, column=name, row_condition=shown)


def _reasons(measure: Measure) -> Iterator[Entry]:
    status, reason = f"{measure.name}_status", f"{measure.name}_reason"
    given = {"type": "nullity", "column": {"name": reason}, "is_null": False}
    notes = f"{reason}: every value must be one of {', '.join(REASONS[1:])}"
    yield _expect("column_values_to_be_in_set", notes, column=reason, value_set=list(REASONS[1:]))
    suppressed = _where(status, SUPPRESSED)
    notes = f"{reason}: must have a value where {status} is suppressed"
    yield _expect("column_values_to_not_be_null", notes, column=reason, row_condition=suppressed)
    notes = f"{reason}: must be empty unless {status} is suppressed"
    yield _expect("column_values_to_be_in_set", notes, column=status, value_set=[SUPPRESSED], row_condition=given)


def _percents(measure: Measure) -> Iterator[Entry]:
    """Half the margin in percent, and that it grades as the status says."""
    status, percent = f"{measure.name}_status", f"{measure.name}_margin_percent"
    yield _numeric(percent)
    notes = f"{percent}: every value must be at least 0"
    yield _expect("column_values_to_be_between", notes, column=percent, min_value=0)
    notes = f"{percent}: must be empty where {status} is {SUPPRESSED}"
    yield _expect("column_values_to_be_null", notes, column=percent, row_condition=_where(status, SUPPRESSED))
    for graded, least, most in ((OK, 0, LIMITS[0]), (CAUTION, LIMITS[0] + 1, LIMITS[1])):
        notes = f"{percent}: must be from {least} to {most} where {status} is {graded}"
        limits = {"min_value": least, "max_value": most, "row_condition": _where(status, graded)}
        yield _expect("column_values_to_be_between", notes, column=percent, **limits)


def _where(status: str, graded: str) -> dict[str, Any]:
    return {"type": "comparison", "column": {"name": status}, "operator": "==", "parameter": graded}


def _total(measure: Measure) -> Entry:
    return _expect(
        "column_sum_to_be_between",
        f"{measure.name}: the total must be plausible compared with the last release",
        column=measure.name,
        min_value=_parameter(f"total_{measure.name}_min"),
        max_value=_parameter(f"total_{measure.name}_max"),
    )


def with_article(thing: str) -> str:
    return f"{'an' if thing[0] == 'e' else 'a'} {thing}"
