"""A failed expectation in words and numbers: what was released, how sure it is, and what was expected instead.

Only released numbers are read, and never a text.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator

from publisher.definitions.model import Model

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import pyarrow as pa

    from publisher.stages import Floats

Origin = Literal["definition", "last release", "people"]
"""Where an expectation comes from: the dataset's definition, the release before, or a file in expectations/."""

AGGREGATES = {
    "expect_column_sum_to_be_between": ("total", "sum"),
    "expect_column_mean_to_be_between": ("mean", "mean"),
    "expect_column_median_to_be_between": ("median", "median"),
    "expect_column_min_to_be_between": ("smallest value", "min"),
    "expect_column_max_to_be_between": ("largest value", "max"),
}
"""What an expectation compares with its limits: its name for people, and how it is computed."""

CELLS = "expect_column_values_to_be_between"
ROWS = ("expect_table_row_count_to_be_between", "expect_table_row_count_to_equal")


class Numbers(Model):
    """A released number that is not as expected."""

    column: str
    """The column; empty for the number of rows."""
    observed: float
    margin: float | None
    """Half of the range that the noise allows (95%); None if it is not known."""
    at_least: float | None
    at_most: float | None
    cell: str = ""
    """The id of the cell that is farthest off; empty for a number about the whole table."""
    cells: int = 1
    """How many cells are not as expected."""


class Failure(Model):
    """One expectation that a release does not meet."""

    words: str
    origin: Origin = "definition"
    table: str = ""
    expectation: str = ""
    """The type of Great Expectations; empty if tables do not add up."""
    file: str = ""
    """The suite in which people wrote it."""
    numbers: Numbers | None = None
    acceptable: bool = False
    """Whether a person may accept the release although this failed."""


def _from_words(value: object) -> object:
    return Failure(words=value) if isinstance(value, str) else value


Failed = Annotated[Failure, BeforeValidator(_from_words)]
"""A failure; results that older versions wrote have only its words."""


def numbers_of(kind: str, kwargs: Mapping[str, Any], rows: pd.DataFrame, ids: pa.StringArray) -> Numbers | None:
    """The number that an expectation with a limit looked at, from the `rows` that it applies to.

    None if it has no limits, or if its column does not hold numbers. A cell is named only if its id is one of `ids`.
    """
    if kind in ROWS:
        return _number("", len(rows), None, kwargs)
    column = str(kwargs.get("column"))
    values = _column(rows, column)
    if values is None:
        return None
    if kind == CELLS:
        return _farthest(column, values, rows, ids, kwargs)
    if kind not in AGGREGATES:
        return None
    observed = float(rows[column].astype("float64").agg(AGGREGATES[kind][1]))
    return _number(column, observed, _margin(values, _margins(rows, column), kind, observed), kwargs)


def described(numbers: Numbers, kind: str) -> str:
    """The number, how sure it is, and what was expected, in words."""
    step = 1 if numbers.observed.is_integer() else 100
    margin = (
        math.ceil(round(numbers.margin * step, 6)) / step if numbers.margin is not None else None
    )  # never too small
    sure = f" (give or take {amount(margin)})" if margin is not None else ""
    said = f"{amount(numbers.observed)}{sure}; expected {limits(numbers.at_least, numbers.at_most)}"
    if kind in ROWS:
        return f"the number of rows is {said}"
    if kind in AGGREGATES:
        return f"the {AGGREGATES[kind][0]} of {numbers.column} is {said}"
    where = f" of {numbers.cell}" if numbers.cell else " of one cell"
    more = numbers.cells - 1
    others = f"; {more:,} more {'cells are' if more > 1 else 'cell is'} outside of that" if more else ""
    return f"{numbers.column}{where} is {said}{others}"


def demand(kind: str, kwargs: Mapping[str, Any]) -> str:
    """What an expectation without notes asks for, in words."""
    column, (low, high) = kwargs.get("column"), span_of(kwargs)
    if (low, high) == (None, None):
        return f"{column}: {kind}" if column else kind
    if kind in ROWS:
        return f"rows: their number must be {limits(low, high)}"
    what = f"the {AGGREGATES[kind][0]}" if kind in AGGREGATES else "every value" if kind == CELLS else kind
    return f"{column}: {what} must be {limits(low, high)}"


def limits(at_least: float | None, at_most: float | None) -> str:
    """The limits in words, such as at most 300."""
    if at_least is not None and at_least == at_most:
        return amount(at_least)
    if at_least is not None and at_most is not None:
        return f"{amount(at_least)} to {amount(at_most)}"
    return f"at least {amount(at_least)}" if at_least is not None else f"at most {amount(at_most or 0.0)}"


def amount(number: float) -> str:
    """A number as people write it, with at most two decimals."""
    return f"{number:,.2f}".rstrip("0").rstrip(".")


def span_of(kwargs: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The limits that an expectation's arguments name; both None if it has none, or formulas."""
    exactly = kwargs.get("value")
    low, high = (kwargs.get(name, exactly) for name in ("min_value", "max_value"))
    return _plain(low), _plain(high)


def _plain(value: object) -> float | None:
    return _finite(value) if isinstance(value, int | float) else None


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(column: str, observed: float, margin: float | None, kwargs: Mapping[str, Any]) -> Numbers | None:
    low, high = span_of(kwargs)
    if (low, high) == (None, None) or not math.isfinite(observed):
        return None
    return Numbers(column=column, observed=float(observed), margin=margin, at_least=low, at_most=high)


def _column(rows: pd.DataFrame, name: str) -> Floats | None:
    """Its numbers, NaN where empty; None if there is no such column of numbers."""
    if name not in rows.columns or rows[name].dtype.kind not in "if":
        return None
    found: Floats = rows[name].to_numpy(dtype="float64")
    return found


def _margin(values: Floats, margins: Floats | None, kind: str, observed: float) -> float | None:
    """The margin of a number about the whole table, from the margins of its cells; their noise is independent.

    Where cells are reconciled or cut at zero, that is an approximation.
    """
    import numpy as np

    seen = ~np.isnan(values)
    if margins is None or not seen.any() or kind == "expect_column_median_to_be_between":
        return None
    if kind in ("expect_column_min_to_be_between", "expect_column_max_to_be_between"):
        return _finite(margins[values == observed].max())
    total = math.sqrt(float((margins[seen] ** 2).sum()))
    return _finite(total / int(seen.sum()) if kind == "expect_column_mean_to_be_between" else total)


def _margins(rows: pd.DataFrame, column: str) -> Floats | None:
    """The longer side of each cell's margin: the other may be cut at zero. None if the column has no margins."""
    import numpy as np

    value, low, high = (_column(rows, name) for name in (column, f"{column}_low", f"{column}_high"))
    return np.maximum(high - value, value - low) if value is not None and low is not None and high is not None else None


def _farthest(
    column: str, values: Floats, rows: pd.DataFrame, ids: pa.StringArray, kwargs: Mapping[str, Any]
) -> Numbers | None:
    """The cell that is farthest outside of the limits."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute

    low, high = span_of(kwargs)
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    off = np.where(np.isnan(values), -math.inf, np.maximum(least - values, values - most))
    outside = int((off >= 0).sum() if kwargs.get("strict_min") or kwargs.get("strict_max") else (off > 0).sum())
    if not outside:
        return None
    place, margins = int(off.argmax()), _margins(rows, column)
    found = _number(column, values[place], _finite(margins[place]) if margins is not None else None, kwargs)
    name = str(rows["id"].iloc[place]) if "id" in rows.columns else ""
    known = pa.compute.index(ids, name).as_py() >= 0
    return found and found.model_copy(update={"cell": name if known else "", "cells": outside})
