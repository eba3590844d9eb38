"""What the steps pass to each other. Each stage has its own type, so the type checker guards the privacy boundary.

Exact values exist only inside `BoundedAggregate`, in memory; its repr shows none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from publisher.grades import STATUSES

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np
    from numpy.typing import NDArray

    from publisher.definitions.cells import CellGrid
    from publisher.definitions.levels import Level
    from publisher.portal.contract import NoiseLaw

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


Table = tuple[str, str]
"""A measured table: the name of its level (empty for the finest) and of its measure."""


@dataclass(frozen=True)
class BoundedAggregate:
    """Exact bounded tables, integers per cell of their level; sums in steps of their resolution.

    A histogram's table has its bins cell by cell, shape (cells · bins,).
    """

    levels: tuple[Level, ...]
    tables: dict[Table, Integers] = field(repr=False)


@dataclass(frozen=True)
class Mechanism:
    """The noise of one measured table; `serialized` is the OpenDP measurement as JSON."""

    measure: str
    kind: Literal["discrete gaussian", "discrete laplace"]
    scale: float
    sensitivity: str
    loss: Fraction
    serialized: str = field(repr=False)
    level: str = ""
    sampler: Literal["opendp", "numpy"] = "opendp"

    @property
    def table(self) -> Table:
        """The measured table to which the noise is added."""
        return self.level, self.measure


@dataclass(frozen=True)
class NoisyTable:
    """Unbiased noisy tables, shaped like the exact ones. From here on everything is post-processing.

    A table has several mechanisms if draws over disjoint batches were added up. `whole` has the whole numbers of the
    finest cells by measure, where tables are no chain: kept with the draw, as no two machines need round alike.
    """

    levels: tuple[Level, ...]
    tables: dict[Table, Integers]
    mechanisms: tuple[Mechanism, ...]
    whole: dict[str, Integers] = field(default_factory=dict)


REASONS = ("", "threshold", "customer rule", "complementary")
"""Why a cell is suppressed, as it is published; complementary: so that another suppressed cell does not follow."""


@dataclass(frozen=True)
class FinishedMeasure:
    """One published measure; arrays have one entry per cell, NaN if there is no value.

    `percent` is half the margin in whole percent of the value, `graded` the status of each cell as a position in
    `STATUSES`. `texts` are the words of a quantile's bins, such as "3 to 5" or "≥ 30"; None for other measures.
    `noise` tells which numbers differ; None for means and quantiles.
    """

    name: str
    value: Floats
    low: Floats
    high: Floats
    percent: Floats
    graded: Integers
    texts: tuple[str | None, ...] | None = None
    noise: NoiseLaw | None = None

    def has(self, status: str) -> Flags:
        """Which cells have this status."""
        found: Flags = self.graded == STATUSES.index(status)
        return found


@dataclass(frozen=True)
class FinishedTable:
    """One published table: margins added, suppressed cells have NaN everywhere."""

    level: str
    grid: CellGrid
    measures: tuple[FinishedMeasure, ...]
    withheld: Integers
    """Why each cell is suppressed, as a position in `REASONS`; zero if it is not."""

    @property
    def suppressed(self) -> Flags:
        """Which cells have no value."""
        found: Flags = self.withheld > 0
        return found
