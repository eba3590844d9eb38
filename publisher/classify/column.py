"""A column as a classifier sees it: a sample of its values, and what is seen of them at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MISSING = frozenset(
    ("", "na", "n/a", "null", "none", "nan", "nil", "unknown", "-", "--", ".", "?", "desconocido", "sin dato")
)
"""Ways to say that there is no value, in small letters."""
FEW = 60
"""A column with so few different values may be a list of categories."""
LOOKED_AT = 2_000
_NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True)
class SampledColumn:
    """The name of a column and the sampled values, in the order of the file."""

    name: str
    sample: tuple[str, ...]

    @cached_property
    def values(self) -> tuple[str, ...]:
        """The values that are there."""
        stripped = (value.strip() for value in self.sample)
        return tuple(value for value in stripped if value.lower() not in MISSING)

    @cached_property
    def distinct(self) -> tuple[str, ...]:
        """The different values, at most 2,000, evenly over the sample."""
        return spread(tuple(dict.fromkeys(self.values)), LOOKED_AT)

    @cached_property
    def unique(self) -> float:
        """The share of values that are different from each other."""
        return len(set(self.values)) / len(self.values) if self.values else 0.0

    @cached_property
    def categories(self) -> bool:
        """Whether few values come again and again."""
        return 0 < len(set(self.values)) <= FEW and self.unique <= 0.15

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """The values as numbers, if nearly all of them are."""
        found = [value.replace(",", "") for value in self.values if _NUMBER.fullmatch(value)]
        return tuple(map(float, found)) if found and len(found) >= 0.95 * len(self.values) else ()

    @cached_property
    def ordered(self) -> bool:
        """Whether the values are dense numbers, such as those that a system gives one after the other.

        Phone numbers are neither dense nor in order; numbers with a prefix count by what follows it.
        """
        digits = [re.sub(r"^\D+", "", value) for value in self.values]
        numbers = [int(each) for each in digits if each.isascii() and each.isdigit() and len(each) <= 18]
        if len(numbers) < 20 or len(numbers) < 0.95 * len(digits):
            return False
        gap = (max(numbers) - min(numbers)) / len(set(numbers))
        rising = sum(a <= b for a, b in pairwise(numbers)) / (len(numbers) - 1)
        return gap <= 20 or (gap <= 5_000 and not 0.1 < rising < 0.9)

    def share(self, pattern: str | re.Pattern[str]) -> float:
        """The share of different values that match the pattern as a whole."""
        found = re.compile(pattern).fullmatch
        return sum(found(value) is not None for value in self.distinct) / len(self.distinct) if self.distinct else 0.0


def spread(values: Sequence[str], most: int) -> tuple[str, ...]:
    """At most so many of the values, evenly from the first to the last."""
    if len(values) <= most:
        return tuple(values)
    return tuple(values[n * len(values) // most] for n in range(most))
