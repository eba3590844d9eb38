"""The one door to OpenDP: scales, noise, serialised measurements and conversions."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from publisher.privacy.sensitivity import Sensitivity
from publisher.stages import BoundedAggregate, Mechanism, NoisyTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from publisher.stages import Integers


def _opendp() -> Any:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    return dp


def mechanism_for(
    measure: str, currency: Literal["zcdp", "pure"], sensitivity: Sensitivity, loss: Fraction
) -> Mechanism:
    """The mechanism with the least noise whose loss, as OpenDP computes it, is at most `loss`.

    zcdp: discrete Gaussian (Canonne, Kamath, Steinke 2020) on Δ₂; pure: discrete Laplace on Δ₁.
    """
    dp = _opendp()
    make, distance = _maker(dp, currency, sensitivity)
    near = _scale(currency, sensitivity, loss)
    bounds = near * 0.999, near * 1.001  # without them the search loses its way among the largest sensitivities
    scale = dp.binary_search_param(make, d_in=distance, d_out=_at_most(loss), T=float, bounds=bounds)
    measurement = make(scale)
    if Fraction(measurement.map(distance)) > loss:
        raise ArithmeticError(f"no scale keeps {measure} within its loss {loss}")
    kind: Literal["discrete gaussian", "discrete laplace"]
    kind = "discrete gaussian" if currency == "zcdp" else "discrete laplace"
    return Mechanism(measure, kind, float(scale), str(sensitivity), loss, dp.serialize(measurement))


def add_noise(bounded: BoundedAggregate, mechanisms: tuple[Mechanism, ...]) -> NoisyTable:
    """Draws the noise of every table. The ledger must hold the charge before this is called."""
    tables = {each.measure: _draw(bounded.tables[each.measure], each) for each in mechanisms}
    return NoisyTable(bounded.grid, tables, mechanisms)


def epsilon_of(rho: Fraction, delta: float) -> float:
    """ε of (ε, δ)-differential privacy for ρ-zCDP, by OpenDP's curve (Bun and Steinke 2016, tightened)."""
    dp = _opendp()
    space = dp.atom_domain(T="i64"), dp.absolute_distance(T="f64")
    scale = math.sqrt(1 / (2 * float(rho)))
    measurement = dp.c.make_zCDP_to_approxDP(dp.m.make_gaussian(*space, scale=scale))
    return float(measurement.map(1.0).epsilon(delta))


def opendp_version() -> str:
    """The installed version of OpenDP."""
    from importlib.metadata import version

    return version("opendp")


def _maker(dp: Any, currency: str, sensitivity: Sensitivity) -> tuple[Callable[[float], Any], float | int]:
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    if currency == "zcdp":
        metric = dp.l2_distance(T="f64")
        # The float must not lie below the irrational root, or the noise would fall short by a rounding.
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


def _at_most(loss: Fraction) -> float:
    """The largest float that is not above the exact loss."""
    nearest = float(loss)
    return nearest if Fraction(nearest) <= loss else math.nextafter(nearest, 0.0)


def _draw(values: Integers, mechanism: Mechanism) -> Integers:
    """Noise is independent from cell to cell, so parts of the vector can be drawn side by side."""
    import numpy as np

    dp = _opendp()
    workers = os.cpu_count() or 1
    # One measurement per part: OpenDP releases the GIL while it draws.
    parts = np.array_split(np.ascontiguousarray(values, dtype=np.int64), workers)
    measurements = [dp.deserialize(mechanism.serialized) for _ in parts]
    with ThreadPoolExecutor(workers) as pool:
        drawn = list(
            pool.map(lambda pair: pair[0](pair[1]) if len(pair[1]) else [], zip(measurements, parts, strict=True))
        )
    return np.concatenate([np.asarray(part, dtype=np.int64) for part in drawn])


def noise_check(draws: int = 20_000) -> float:
    """How many standard errors the spread of each mechanism's draws lies from the exact one, at worst."""
    import numpy as np

    zeros = np.zeros(draws, dtype=np.int64)
    worst = 0.0
    for currency, scale in (("zcdp", 3.0), ("pure", 3.0)):
        dp = _opendp()
        make, _ = _maker(dp, currency, Sensitivity(1, 1))
        squares = np.asarray(make(scale)(zeros), dtype=np.float64) ** 2
        second, fourth = _moments(currency, scale)
        error = float(np.sqrt((fourth - second**2) / draws))
        worst = max(worst, abs(float(squares.mean()) - second) / error)
    return worst


def _moments(currency: str, scale: float) -> tuple[float, float]:
    """The exact second and fourth moment of the discrete Gaussian or Laplace distribution."""
    reach = range(1, math.ceil(60 * scale))
    power = 2 if currency == "zcdp" else 1
    divisor = 2 * scale * scale if currency == "zcdp" else scale
    weights = [2 * math.exp(-(x**power) / divisor) for x in reach]
    total = 1 + math.fsum(weights)
    moments = [math.fsum(w * x**order for x, w in zip(reach, weights, strict=True)) / total for order in (2, 4)]
    return moments[0], moments[1]
