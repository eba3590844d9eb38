"""The exact variance of a reader's weighed sum of estimates: from keys and noise alone, so it is public.

With w the weights of finest cells and z their sums over each measured coarser cell, the variance in a block is
v·(|w|² - z·P·z), where v is the finest table's noise and P = v·S⁻¹. In a chain of tables P is diagonal once each weight
is multiplied by what the tables between leave of it (one table after another updates the covariance by a rank of one).
It holds for sums of unprojected estimates over rows chosen by key; blocks, measures and releases are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.privacy.lattice import solve

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from publisher.privacy.distribution import Noise
    from publisher.privacy.lattice import Blocks
    from publisher.stages import Floats

LARGEST = 500
"""Of a lattice with more coarser cells in a block, P is not handed out: whoever needs it solves for it."""
GAUSSIAN, LAPLACE = 1.96, 2.12
"""The largest 95% quantiles, in standard deviations, of sums of many draws and of a single draw: ln(20) / √2."""


@dataclass(frozen=True)
class WeighedFit:
    """What blocks of one shape take off the variance of a sum. `shares[l][n]`: what is left of finest cell n's weight
    in its coarser cell of level l; `pull`: P, of which a chain has the diagonal alone."""

    shares: Floats
    pull: Floats

    def variance(self, blocks: Blocks, weights: Floats) -> float:
        """The variance of the sum with these weights over one block, in those of the finest table's noise."""
        import numpy as np

        z = np.zeros(blocks.levels.size)
        for inside, share in zip(blocks.inside, self.shares, strict=True):
            np.add.at(z, inside, weights * share)
        taken = z @ (self.pull * z) if self.pull.ndim == 1 else z @ self.pull @ z
        return max(float(weights @ weights - taken), 0.0)


def weighed_fit(blocks: Blocks, noise: Sequence[float], *, chain: bool) -> WeighedFit:
    """The fit of blocks of one shape; `noise` has one variance for each level, the finest last."""
    return _on_chain(blocks, noise) if chain else _on_lattice(blocks, noise)


def _on_lattice(blocks: Blocks, noise: Sequence[float]) -> WeighedFit:
    import numpy as np

    ratios = [each / noise[-1] for each in noise]
    return WeighedFit(np.ones(blocks.inside.shape), solve(blocks, blocks.overlaps(), ratios).inverse)


def _on_chain(blocks: Blocks, noise: Sequence[float]) -> WeighedFit:
    """From the finest table up: a coarser cell's own noise against the variance that its parts leave of its sum."""
    import numpy as np

    size = blocks.inside.shape[1]
    shares, pull = np.ones(blocks.inside.shape), np.ones(blocks.levels.size)
    parts, left, path = np.arange(size), np.ones(size), np.ones(size)
    for level in reversed(range(len(blocks.inside))):
        inside, own = blocks.inside[level], noise[level] / noise[-1]
        _, firsts = np.unique(parts, return_index=True)
        spread = np.bincount(inside[firsts], left[firsts], pull.size)[inside]
        shares[level] = path
        pull[inside] = 1 / (spread + own)
        kept = own / (spread + own)
        parts, left, path = inside, spread * kept, path * kept
    return WeighedFit(shares, pull)


@dataclass(frozen=True)
class HalfWidth:
    """How to make a half width of a standard deviation: factor · deviation + rounding, in steps; never too small."""

    factor: float
    rounding: float


def half_width_of(noises: Iterable[Noise]) -> HalfWidth:
    """A sum of draws is never wider, in standard deviations, than a single one of the same kind, but for the step
    between whole numbers: half of one, and a whole one where noise is less than a step."""
    draws = [draw for noise in noises for draw in noise.draws]
    laplace = any(kind == "discrete laplace" for kind, _ in draws)
    small = any(scale < 1 for _, scale in draws)
    return HalfWidth(LAPLACE if laplace else GAUSSIAN, 1.0 if small else 0.5)
