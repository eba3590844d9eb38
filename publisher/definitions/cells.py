"""The cells of a release: cell periods × public keys, numbered so that one integer names a cell."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publisher.definitions.dataset import Key
    from publisher.definitions.keyset import Keyset
    from publisher.definitions.period import Period


@dataclass(frozen=True)
class Axis:
    """One key column: `keys` in order, `labels` aligned or None; `other` is the number of the catch-all key."""

    name: str
    keys: tuple[str, ...]
    labels: tuple[str, ...] | None
    other: int


@dataclass(frozen=True)
class CellGrid:
    """Every cell of a release, numbered row-major: periods slowest, then the axes in order."""

    periods: tuple[Period, ...]
    axes: tuple[Axis, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Periods, then keys along each axis."""
        return (len(self.periods), *(len(axis.keys) for axis in self.axes))

    @property
    def size(self) -> int:
        """How many cells there are."""
        return prod(self.shape)


def grid_of(periods: tuple[Period, ...], keys: tuple[Key, ...], keysets: tuple[Keyset, ...]) -> CellGrid:
    """The grid of these periods and keysets; each key's catch-all is added where the keyset lacks it."""
    return CellGrid(periods, tuple(_axis(key, keyset) for key, keyset in zip(keys, keysets, strict=True)))


def _axis(key: Key, keyset: Keyset) -> Axis:
    keys, labels = keyset.keys, keyset.labels
    if key.other not in keys:
        keys = (*keys, key.other)
        labels = (*labels, key.other) if labels is not None else None
    return Axis(key.name, keys, labels, keys.index(key.other))
