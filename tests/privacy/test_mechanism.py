"""The noise is what the definition pays for: never less, hardly more, unbiased, on every cell."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from publisher.definitions.dataset import Bounds, Measure
from publisher.privacy.mechanism import add_noise, epsilon_of, mechanism_for, sampler_version
from publisher.privacy.sampler import SAMPLER_VERSION, supports
from publisher.privacy.sensitivity import Sensitivity, sensitivity_of
from publisher.stages import BoundedAggregate

if TYPE_CHECKING:
    from publisher.privacy.mechanism import Sampler
    from publisher.stages import Integers, Mechanism

Currency = Literal["zcdp", "pure"]
SAMPLERS = ("numpy", "opendp")
BOUNDS = [(1, 1), (2, 1), (8, 3), (1, 7), (100, 1), (3, 1000), (100_000, 1)]
LOSSES = ["0.1", "0.05", "1", "0.0007", "1/3", "1/30", "2.63"]


def measure(kind: str, **fields: Any) -> Measure:
    return Measure.model_validate({"name": "m", "title": "M", "kind": kind, "unit": "u"} | fields)


def summed(lower: str, upper: str, resolution: str = "1") -> Measure:
    clamps = {"lower": Decimal(lower), "upper": Decimal(upper), "resolution": Decimal(resolution)}
    return measure("sum", column="c", **clamps)


@pytest.mark.parametrize(
    ("measured", "k", "c", "l1", "l2_squared"),
    [
        (measure("count"), 1, 1, 1, 1),
        (measure("count"), 4, 3, 12, 36),
        (measure("count_units"), 4, 3, 4, 4),
        (summed("0", "7"), 4, 3, 28, 196),
        (summed("-9", "7"), 4, 3, 36, 324),
        (summed("-7", "-2"), 1, 1, 7, 49),
        (summed("5", "7"), 1, 1, 7, 49),
        (summed("0", "0.5", "0.01"), 2, 1, 100, 5000),
    ],
)
def test_the_table_of_sensitivities(measured: Measure, k: int, c: int, l1: int, l2_squared: int) -> None:
    """Δ₁ = k·c and Δ₂ = √k·c for counts, k and √k for units, k·M and √k·M for sums with M = max(|lower|, |upper|)."""
    found = sensitivity_of(measured, Bounds(max_groups=k, max_per_group=c))
    assert (found.l1, found.l2_squared) == (l1, l2_squared)


def test_sensitivities_in_words() -> None:
    """Whole roots are written as numbers, others under the root sign."""
    assert str(Sensitivity(4, 3)) == "Δ₁ = 12, Δ₂ = 6"
    assert str(Sensitivity(2, 3)) == "Δ₁ = 6, Δ₂ = √18"


def spent(mechanism: Mechanism, sensitivity: Sensitivity) -> Fraction:
    """What OpenDP says the mechanism costs, from its serialized form, at a distance not below the exact one."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    measurement = dp.deserialize(mechanism.serialized)
    if mechanism.kind == "discrete laplace":
        return Fraction(measurement.map(sensitivity.l1))
    distance = math.sqrt(sensitivity.l2_squared)
    if Fraction(distance) ** 2 < sensitivity.l2_squared:
        distance = math.nextafter(distance, math.inf)
    return Fraction(measurement.map(distance))


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("currency", ["zcdp", "pure"])
@pytest.mark.parametrize(("k", "c"), BOUNDS)
def test_the_loss_is_kept_and_used(currency: Currency, k: int, c: int, sampler: Sampler) -> None:
    """OpenDP's map of the scale that is drawn stays within the exact loss; a few parts in a million less would not."""
    import opendp.prelude as dp

    sensitivity = Sensitivity(k, c)
    for text in LOSSES:
        loss = Fraction(text)
        made = mechanism_for("m", currency, sensitivity, loss, sampler=sampler)
        assert spent(made, sensitivity) <= loss
        exact = math.sqrt(sensitivity.l2_squared / (2 * loss)) if currency == "zcdp" else float(sensitivity.l1 / loss)
        assert exact * (1 - 1e-12) <= made.scale <= exact * (1 + (1e-6 if made.sampler == "opendp" else 3e-6))
        assert made.loss == loss
        assert made.kind == ("discrete gaussian" if currency == "zcdp" else "discrete laplace")
        assert dp.deserialize(made.serialized) is not None
        assert f'"scale":{made.scale!r}' in made.serialized.replace(" ", "")


@pytest.mark.parametrize("currency", ["zcdp", "pure"])
def test_our_own_sampler_draws_where_64_bits_suffice(currency: Currency) -> None:
    """A scale that fits is rounded up and drawn by us; a larger one is drawn by OpenDP, unrounded, and says so."""
    small = mechanism_for("m", currency, Sensitivity(3, 1), Fraction(1, 10), level="district")
    assert (small.sampler, small.table) == ("numpy", ("district", "m"))
    assert supports(Fraction(small.scale))
    theirs = mechanism_for("m", currency, Sensitivity(3, 1), Fraction(1, 10), sampler="opendp")
    assert (theirs.sampler, theirs.table) == ("opendp", ("", "m"))
    assert theirs.scale <= small.scale
    assert mechanism_for("m", currency, Sensitivity(1, 10**8), Fraction(1, 100)).sampler == "opendp"


def test_who_drew_is_named_with_a_version() -> None:
    """Charges and manifests can tell by which code the noise was drawn."""
    assert sampler_version("numpy") == SAMPLER_VERSION
    assert sampler_version("opendp").startswith("opendp-0.")


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("currency", ["zcdp", "pure"])
def test_sums_beyond_64_bits_stop_at_the_ends(currency: Currency, sampler: Sampler) -> None:
    """At both ends of int64 either sampler saturates: half stays on the end, nothing comes out on the other side. It
    fails a sound sum less than once in a billion runs (2,000 ± 32 stay), and finds sums that wrap around."""
    made = mechanism_for("m", currency, Sensitivity(1, 1), Fraction(1, 100), sampler=sampler)
    ends = np.iinfo(np.int64)
    top = add_noise(bounded(np.full(4_000, ends.max)), (made,)).tables["", "m"]
    bottom = add_noise(bounded(np.full(4_000, ends.min)), (made,)).tables["", "m"]
    assert 1_700 < (top == ends.max).sum() < 2_500
    assert 1_700 < (bottom == ends.min).sum() < 2_500
    assert top.min() > 0 > bottom.max()


def test_exact_tables_are_integers() -> None:
    """A table of floats is refused, not rounded."""
    made = mechanism_for("m", "zcdp", Sensitivity(1, 1), Fraction(1, 100))
    with pytest.raises(TypeError):
        add_noise(bounded(np.zeros(3)), (made,))  # type: ignore[arg-type]


def test_the_widest_clamp_has_a_mechanism() -> None:
    """The largest sums and bounds that a definition may name still get their noise."""
    widest = Sensitivity(100_000, 10**11)
    for currency in ("zcdp", "pure"):
        made = mechanism_for("m", currency, widest, Fraction(1, 10))  # type: ignore[arg-type]
        assert spent(made, widest) <= Fraction(1, 10)


def bounded(values: Integers, names: tuple[str, ...] = ("m",)) -> BoundedAggregate:
    return BoundedAggregate((), {("", name): values for name in names})


def variance(mechanism: Mechanism) -> float:
    """Of the discrete distribution itself."""
    reach = np.arange(-40 * math.ceil(mechanism.scale), 40 * math.ceil(mechanism.scale) + 1, dtype=np.float64)
    gaussian = mechanism.kind == "discrete gaussian"
    weights = np.exp(-(reach**2) / (2 * mechanism.scale**2)) if gaussian else np.exp(-np.abs(reach) / mechanism.scale)
    return float((weights * reach**2).sum() / weights.sum())


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("currency", ["zcdp", "pure"])
@pytest.mark.parametrize("loss", ["1/50", "8"])
def test_noise_is_unbiased_and_as_wide_as_said(currency: Currency, loss: str, sampler: Sampler) -> None:
    """Forty thousand draws have mean and variance of the distribution within six standard errors: sound noise fails
    once in two hundred million runs; a mean or a scale that is off by a twentieth is found."""
    cells = 40_000
    made = mechanism_for("m", currency, Sensitivity(1, 1), Fraction(loss), sampler=sampler)
    values = np.arange(cells, dtype=np.int64) * 10**9
    noise = (add_noise(bounded(values), (made,)).tables["", "m"] - values).astype(np.float64)
    spread = variance(made)
    assert abs(noise.mean()) < 6 * math.sqrt(spread / cells)
    fourth = float((noise**4).mean())
    assert abs((noise**2).mean() - spread) < 6 * math.sqrt(max(fourth - spread**2, spread**2) / cells)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("currency", ["zcdp", "pure"])
def test_every_cell_gets_its_own_noise(currency: Currency, sampler: Sampler) -> None:
    """Empty cells too: noise lies on zeros, differs between tables and draws, and neighbors are not alike. It fails
    sound noise once in thirty million runs (six standard errors, 14 times), and finds noise that is used twice."""
    loss = Fraction(1, 100)
    made = tuple(mechanism_for(name, currency, Sensitivity(9, 9), loss, sampler=sampler) for name in ("a", "b"))
    zeros = np.zeros(5_001, dtype=np.int64)
    exact = bounded(zeros, ("a", "b"))
    first, second = add_noise(exact, made), add_noise(exact, made)
    draws = [first.tables["", "a"], first.tables["", "b"], second.tables["", "a"], second.tables["", "b"]]
    for each in draws:
        assert each.dtype == np.int64
        assert each.shape == zeros.shape
        assert np.count_nonzero(each) > 4_900
        assert (each < 0).sum() > 2_000
        assert abs(np.corrcoef(each[:-1], each[1:])[0, 1]) < 6 / math.sqrt(5_000)
        half = len(each) // 2
        assert abs(np.corrcoef(each[:half], each[half : 2 * half])[0, 1]) < 6 / math.sqrt(half)
    for n, one in enumerate(draws):
        for other in draws[n + 1 :]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 6 / math.sqrt(5_000)
    assert not exact.tables["", "a"].any(), "the exact table was written to"


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("cells", [0, 1, 2, 3])
def test_small_tables(cells: int, sampler: Sampler) -> None:
    """A table of any size keeps its size."""
    made = mechanism_for("m", "zcdp", Sensitivity(1, 1), Fraction(1, 10), sampler=sampler)
    assert add_noise(bounded(np.zeros(cells, dtype=np.int64)), (made,)).tables["", "m"].shape == (cells,)


@pytest.mark.parametrize(("rho", "epsilon"), [("0.015", 0.77), ("0.1", 2.14), ("1", 7.77)])
def test_the_conversion_agrees_with_known_values(rho: str, epsilon: float) -> None:
    """ρ to ε at δ = 10⁻⁶ gives the published figures, below the plain bound ρ + 2√(ρ ln 1/δ)."""
    found = epsilon_of(Fraction(rho), 1e-6)
    assert found == pytest.approx(epsilon, abs=0.006)
    assert found < float(Fraction(rho)) + 2 * math.sqrt(float(Fraction(rho)) * math.log(1e6))
