"""Columns of finished texts: picked by index, drawn at random, or made from numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

Texts = Any
"""A pyarrow string array; pyarrow ships no types."""


def quoted(values: Sequence[str], delimiter: str = ",") -> Texts:
    """The values as CSV writes them: in quotes if they contain the delimiter, a quote or a line break."""
    import pyarrow as pa

    special = (delimiter, '"', "\n")
    return pa.array(
        ['"' + value.replace('"', '""') + '"' if any(s in value for s in special) else value for value in values]
    )


def wrapped(values: Sequence[str]) -> Texts:
    """The values, each in quotes."""
    import pyarrow as pa

    return pa.array(['"' + value.replace('"', '""') + '"' for value in values])


def pick(values: Sequence[str] | Texts, chosen: NDArray[np.int64]) -> Texts:
    """The value at each number in `chosen`."""
    import pyarrow as pa

    array = values if isinstance(values, pa.Array) else quoted(values)
    return array.take(pa.array(chosen))


def draw(values: Sequence[str], size: int, rng: Generator) -> Texts:
    """`size` of the values, each as likely as the number of times it is listed."""
    return pick(values, rng.integers(0, len(values), size))


def either(mask: NDArray[np.bool_], yes: str | Texts, no: str | Texts) -> Texts:
    """`yes` where the mask is true, otherwise `no`; each is one text or a column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pa.array(mask), yes, no)


def numbers(values: NDArray[np.int64], prefix: str = "") -> Texts:
    """Whole numbers as digits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    digits = pa.array(values).cast(pa.string())
    return pc.binary_join_element_wise(prefix, digits, "") if prefix else digits


def padded(values: NDArray[np.float64], decimals: int) -> Texts:
    """Numbers ≥ 0 with that many decimals, at most 3."""
    import pyarrow.compute as pc

    steps = np.round(values * 10**decimals).astype(np.int64)
    ends = [f".{n:0{decimals}d}" for n in range(10**decimals)]
    return pc.binary_join_element_wise(numbers(steps // 10**decimals), pick(ends, steps % 10**decimals), "")


def formatted(values: NDArray[np.float64] | NDArray[np.int64], form: str) -> Texts:
    """Each number in a format such as `${:,.2f}`; every distinct one is formatted once."""
    distinct, place = np.unique(values, return_inverse=True)
    return pick([form.format(value) for value in distinct.tolist()], place)
