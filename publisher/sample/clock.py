"""Times of day as the feeds write them, looked up instead of formatted row by row."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING

from publisher.sample.texts import Texts, pick, quoted

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

DAY = 86_400


class Clock:
    """Texts for seconds after the midnight of `first`, for `days` days."""

    def __init__(self, first: date, days: int, form: str = "%Y-%m-%d") -> None:
        self._days = quoted([(first + timedelta(days=n)).strftime(form) for n in range(days)])
        self._seconds = _seconds()
        self._millis = _millis()

    def stamp(self, seconds: NDArray[np.int64], rng: Generator) -> Texts:
        """2018-01-05 16:18:08.673"""
        return _join(self.plain(seconds), pick(self._millis, rng.integers(0, 1000, len(seconds))), ".")

    def zulu(self, seconds: NDArray[np.int64]) -> Texts:
        """2018-01-05T16:18:08Z"""
        days, clock = pick(self._days, seconds // DAY), pick(self._seconds, seconds % DAY)
        return _join(_join(days, clock, "T"), "Z", "")

    def plain(self, seconds: NDArray[np.int64]) -> Texts:
        """2018-01-05 16:18:08, or with the day in the format `form`."""
        return _join(pick(self._days, seconds // DAY), pick(self._seconds, seconds % DAY), " ")

    def midnight(self, days: NDArray[np.int64]) -> Texts:
        """2018-01-05 00:00:00.000"""
        return _join(pick(self._days, days), " 00:00:00.000", "")


@cache
def _seconds() -> Texts:
    return quoted([f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(DAY)])


@cache
def _millis() -> Texts:
    return quoted([f"{n:03d}" for n in range(1000)])


def _join(left: Texts, right: Texts, between: str) -> Texts:
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(left, right, between)
