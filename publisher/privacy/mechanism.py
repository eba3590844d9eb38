"""The only way to OpenDP: scales, serialized measurements, conversions and, if `noise` says so, the noise itself.

Our own sampler (publisher.privacy.sampler) draws the same distributions faster; OpenDP does its accounting too.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from publisher.stages import BoundedAggregate, Mechanism, NoisyTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.privacy.sensitivity import Sensitivity
    from publisher.stages import Integers

Sampler = Literal["numpy", "opendp"]


def opendp() -> Any:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    return dp


@cache
def mechanism_for(
    measure: str,
    currency: Literal["zcdp", "pure"],
    sensitivity: Sensitivity,
    loss: Fraction,
    *,
    level: str = "",
    sampler: Sampler = "numpy",
) -> Mechanism:
    """The mechanism with the least noise whose loss, as OpenDP computes it, is at most `loss`.

    zcdp: discrete Gaussian (Canonne, Kamath, Steinke 2020) on Δ₂; pure: discrete Laplace on Δ₁. For our own sampler the
    scale is rounded up to a short binary fraction, by less than 1 part in 2¹⁹; if that does not fit into 64 bits,
    OpenDP draws instead. OpenDP accounts for exactly the scale that is drawn.
    """
    dp = opendp()
    make, distance = _maker(dp, currency, sensitivity)
    near = _scale(currency, sensitivity, loss)
    bounds = near * 0.999, near * 1.001  # without them the search loses its way among the largest sensitivities
    least = dp.binary_search_param(make, d_in=distance, d_out=at_most(loss), T=float, bounds=bounds)
    scale, drawn_by = _drawn(float(least), sampler)
    measurement = make(scale)
    if Fraction(measurement.map(distance)) > loss:
        raise ArithmeticError(f"no noise scale keeps {measure} within its loss {loss}")
    kind: Literal["discrete gaussian", "discrete laplace"]
    kind = "discrete gaussian" if currency == "zcdp" else "discrete laplace"
    return Mechanism(measure, kind, scale, str(sensitivity), loss, dp.serialize(measurement), level, drawn_by)


def add_noise(bounded: BoundedAggregate, mechanisms: tuple[Mechanism, ...]) -> NoisyTable:
    """Draw the noise of every table. The ledger must have the charge before this is called."""
    tables = {each.table: with_noise(bounded.tables[each.table], each) for each in mechanisms}
    return NoisyTable(bounded.levels, tables, mechanisms)


def noise_alone(mechanism: Mechanism, cells: int) -> Integers:
    """The noise that `add_noise` adds to that many values, for checking the noise itself; shape (cells,)."""
    import numpy as np

    values = np.arange(cells, dtype=np.int64)
    return add_noise(BoundedAggregate((), {mechanism.table: values}), (mechanism,)).tables[mechanism.table] - values


def epsilon_of(rho: Fraction, delta: float) -> float:
    """ε of (ε, δ)-differential privacy for ρ-zCDP, by OpenDP's curve (Bun and Steinke 2016, tightened)."""
    dp = opendp()
    space = dp.atom_domain(T="i64"), dp.absolute_distance(T="f64")
    scale = math.sqrt(1 / (2 * float(rho)))
    measurement = dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale=scale))
    return float(measurement.map(1.0).epsilon(delta))


def opendp_version() -> str:
    """The installed version of OpenDP."""
    from importlib.metadata import version

    return version("opendp")


def sampler_version(sampler: Sampler) -> str:
    """The sampler's name for charges and manifests: `numpy-cks-1` or `opendp-0.16.0`."""
    from publisher.privacy.sampler import SAMPLER_VERSION

    return SAMPLER_VERSION if sampler == "numpy" else f"opendp-{opendp_version()}"


def _maker(dp: Any, currency: str, sensitivity: Sensitivity) -> tuple[Callable[[float], Any], float | int]:
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    if currency == "zcdp":
        metric = dp.l2_distance(T="f64")
        # The float must not be below the irrational root, or rounding would make the noise too small.
        distance = math.nextafter(math.sqrt(sensitivity.l2_squared), math.inf)
        exact = math.isqrt(sensitivity.l2_squared)
        if exact * exact == sensitivity.l2_squared and float(exact) == exact:
            distance = float(exact)
        return lambda scale: dp.m.make_gaussian(domain, metric, scale=scale), distance
    metric = dp.l1_distance(T="i64")
    return lambda scale: dp.m.make_laplace(domain, metric, scale=scale), sensitivity.l1


def _scale(currency: str, sensitivity: Sensitivity, loss: Fraction) -> float:
    """The scale on paper: Δ₂ / √(2ρ) or Δ₁ / ε."""
    return math.sqrt(sensitivity.l2_squared / (2 * loss)) if currency == "zcdp" else float(sensitivity.l1 / loss)


def _drawn(scale: float, sampler: Sampler) -> tuple[float, Sampler]:
    """The scale that is drawn, never below the one asked for, and the sampler."""
    from publisher.privacy.sampler import supports, widened

    short = widened(Fraction(scale))
    return (float(short), "numpy") if sampler == "numpy" and supports(short) else (scale, "opendp")


def at_most(loss: Fraction) -> float:
    """The largest float that is not above the exact loss."""
    nearest = float(loss)
    return nearest if Fraction(nearest) <= loss else math.nextafter(nearest, 0.0)


def with_noise(values: Integers, mechanism: Mechanism) -> Integers:
    """The values with independent noise for each entry; sums too large for int64 stop at its ends, as in OpenDP."""
    if mechanism.sampler == "opendp":
        return _draw_opendp(values, mechanism.serialized)
    import numpy as np

    from publisher.privacy.sampler import draw

    noise = draw(mechanism.kind, Fraction(mechanism.scale), len(values))
    return saturated(values.astype(np.int64, casting="safe"), noise)


def saturated(values: Integers, noise: Integers) -> Integers:
    """Their sums, which stop at the ends of int64."""
    import numpy as np

    total: Integers = values + noise  # wraps around
    wrapped = ((values ^ total) & (noise ^ total)) < 0
    ends = np.iinfo(np.int64)
    return np.where(wrapped, np.where(noise < 0, ends.min, ends.max), total)


def _draw_opendp(values: Integers, serialized: str) -> Integers:
    """Draw parts of the vector in parallel; noise is independent from cell to cell."""
    import numpy as np

    dp = opendp()
    workers = os.cpu_count() or 1
    # One measurement per part: OpenDP releases the GIL while it draws.
    parts = np.array_split(np.ascontiguousarray(values, dtype=np.int64), workers)
    measurements = [dp.deserialize(serialized) for _ in parts]
    with ThreadPoolExecutor(workers) as pool:
        drawn = list(
            pool.map(lambda pair: pair[0](pair[1]) if len(pair[1]) else [], zip(measurements, parts, strict=True))
        )
    return np.concatenate([np.asarray(part, dtype=np.int64) for part in drawn])
