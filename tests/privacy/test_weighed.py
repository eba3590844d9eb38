"""The variance of a reader's weighed sum, and the half width that is made of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lattices import dense_lattice, lattice_levels, product_levels, uneven_levels

from publisher.definitions.levels import forms_chain
from publisher.privacy.distribution import Noise, NoiseTerm, quantile
from publisher.privacy.lattice import lattice_of
from publisher.privacy.weighed import half_width_of, weighed_fit


@settings(max_examples=90, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_variance_is_that_of_dense_least_squares(seed: int) -> None:
    """Any weights, on chains, products and tables of any shape: the variance is wᵀ·Cov·w with the covariance of all
    measurements solved together; blocks add."""
    source = np.random.default_rng(seed)
    middle = source.integers(0, 6, 15)
    chain = lattice_levels(source.integers(0, 3, 6)[middle], middle, np.arange(15))
    levels = (chain, product_levels(source, 2), uneven_levels(source))[seed % 3]
    noise, size = source.uniform(0.5, 50, len(levels)), levels[-1].grid.size
    weights = source.integers(-1, 3, size).astype(np.float64)
    found = 0.0
    for blocks in lattice_of(levels).blocks:
        fit = weighed_fit(blocks, noise.tolist(), chain=forms_chain(levels))
        found += noise[-1] * sum(fit.variance(blocks, weights[cells]) for cells in blocks.finest)
    covariance = dense_lattice(levels, noise.tolist())[1][-size:, -size:]
    assert found == pytest.approx(weights @ covariance @ weights, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", ["discrete gaussian", "discrete laplace"])
@pytest.mark.parametrize("scale", [0.05, 0.2, 0.3, 0.35, 0.38, 0.4, 0.5, 0.7, 0.9, 1, 1.2, 1.5, 2, 3, 10, 90])
def test_half_widths_are_never_too_small(kind: str, scale: float) -> None:
    """One draw, sums of up to fifty, and one large piece with several smaller ones: the factor and the rounding give at
    least the exact 95% quantile."""
    noise = Noise(((kind, scale),))  # type: ignore[arg-type]
    half = half_width_of([noise])
    for draws in (1, 2, 3, 10, 50):
        several = Noise(noise.draws * draws)
        exact = several.half_width(0.95)
        assert int(half.factor * several.variance**0.5 + half.rounding + 1e-9) >= exact
    deviation = noise.variance**0.5
    for size in np.linspace(0.05, 0.95, 8).tolist():
        for others in (1, 2, 4):
            small = ((1 - size * size) / others) ** 0.5
            total = deviation / max(size, small)  # the largest piece has a weight of one
            exact = quantile((NoiseTerm(noise, size, 1), NoiseTerm(noise, small, others)), 0.95)
            assert half.factor * total + half.rounding >= (exact - 0.025) * total  # what the quantile adds for safety
