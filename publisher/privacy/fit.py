"""The least squares estimate of all tables together: in two passes on a chain of tables, densely on a lattice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from publisher.definitions.levels import forms_chain
from publisher.privacy.lattice import lattice_fit, lattice_of
from publisher.privacy.reconcile import TreeFit, forest_of, gains_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.levels import Level
    from publisher.stages import Floats, Integers


class JointFit(Protocol):
    """Estimates that add up, with their exact variances and weights; public, as no measured value is in it."""

    @property
    def variances(self) -> tuple[Floats, ...]:
        """The exact variances of the estimates, per level."""
        ...

    def estimate(self, measured: Sequence[Floats]) -> tuple[Floats, ...]:
        """The unbiased estimates; `measured` and result: per level (cells, width)."""
        ...

    def weights(self, level: int, cells: Integers) -> tuple[Floats, ...]:
        """The weight of every measurement in the estimates of these cells, per level (cells, len(cells))."""
        ...

    def alike(self, level: int) -> Floats:
        """What tells the cells of a level apart besides their variance, shape (what, cells)."""
        ...


def fit_of(levels: Sequence[Level], noise: Sequence[float]) -> JointFit:
    """The fit of a release's levels; `noise` has one variance for each level, above zero."""
    if forms_chain(levels):
        forest = forest_of(levels)
        return TreeFit(forest, gains_of(forest, noise))
    return lattice_fit(lattice_of(levels), noise)
