"""What the steps hand to each other. Each stage has its own type, so the type checker guards the privacy boundary.

Exact values exist only inside `BoundedAggregate`, in memory; its repr shows none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np
    from numpy.typing import NDArray

    from publisher.definitions.cells import CellGrid

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class BoundedAggregate:
    """Exact bounded tables, one integer per cell of the grid; sums in steps of their resolution."""

    grid: CellGrid
    tables: dict[str, Integers] = field(repr=False)


@dataclass(frozen=True)
class Mechanism:
    """The noise of one measured table; `serialized` is the OpenDP measurement as JSON."""

    measure: str
    kind: Literal["discrete gaussian", "discrete laplace"]
    scale: float
    sensitivity: str
    loss: Fraction
    serialized: str = field(repr=False)


@dataclass(frozen=True)
class NoisyTable:
    """Unbiased noisy tables, one integer per cell of the grid. From here on everything is post-processing."""

    grid: CellGrid
    tables: dict[str, Integers]
    mechanisms: tuple[Mechanism, ...]


@dataclass(frozen=True)
class FinishedMeasure:
    """One published measure; arrays have one entry per cell, NaN where there is no value."""

    name: str
    value: Floats
    low: Floats
    high: Floats
    unreliable: Flags


@dataclass(frozen=True)
class FinishedTable:
    """The published table: margins added, `suppressed` cells have NaN everywhere."""

    grid: CellGrid
    measures: tuple[FinishedMeasure, ...]
    suppressed: Flags
