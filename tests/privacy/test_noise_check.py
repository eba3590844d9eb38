"""The look at the installed noise passes sound noise and finds noise that a release did not pay for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from publisher.errors import BudgetError
from publisher.privacy import mechanism, sampler
from publisher.privacy.noise_check import (
    DRAWS,
    Fit,
    binomial,
    chi_squared,
    chi_squared_survival,
    installed_fits,
    p_values,
    probabilities,
    released,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from publisher.privacy.sampler import Kind
    from publisher.stages import BoundedAggregate, Integers, Mechanism, NoisyTable

KINDS: tuple[Kind, ...] = ("discrete gaussian", "discrete laplace")


@pytest.mark.parametrize(
    ("statistic", "freedom", "chance"),
    [
        (3.841458820694124, 1, 0.05),
        (5.991464547107979, 2, 0.05),
        (7.814727903251179, 3, 0.05),
        (18.307038053275146, 10, 0.05),
        (124.34211340400407, 100, 0.05),
        (10.827566170662733, 1, 1e-3),
        (0, 5, 1),
        (3, 0, 1),
    ],
)
def test_the_survival_function_of_chi_squared(statistic: float, freedom: int, chance: float) -> None:
    """It gives the figures of the printed tables, for odd and even degrees of freedom."""
    assert chi_squared_survival(statistic, freedom) == pytest.approx(chance, rel=1e-11)


@pytest.mark.parametrize("freedom", [1, 2, 5, 49, 50])
def test_the_survival_function_is_the_integral_of_its_density(freedom: int) -> None:
    """Its derivative is the density of χ², far out as well."""
    for statistic in (freedom / 2, freedom, 2.0 * freedom, 5.0 * freedom):
        step = statistic * 1e-5
        slope = (
            (chi_squared_survival(statistic + step, freedom) - chi_squared_survival(statistic - step, freedom))
            / step
            / 2
        )
        half = freedom / 2
        density = math.exp((half - 1) * math.log(statistic / 2) - statistic / 2 - math.lgamma(half)) / 2
        assert -slope == pytest.approx(density, rel=1e-5)


@pytest.mark.parametrize(("trials", "chance"), [(50, 0.5), (200, 0.01), (200, 0.97)])
def test_the_binomial_bound_is_never_too_small(trials: int, chance: float) -> None:
    """Twice the exact tail beyond each count lies at or below the bound."""
    exact = [math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(trials + 1)]
    for count in range(trials + 1):
        tail = math.fsum(exact[: count + 1]) if count < trials * chance else math.fsum(exact[count:])
        assert min(1.0, 2 * tail) <= binomial(count, trials, chance) * (1 + 1e-9)


@pytest.mark.parametrize("scale", [0.05, 0.5, 3.0, 50.0])
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_the_distribution(kind: Kind, scale: float) -> None:
    """Symmetric, adding up to one, each ratio of neighbors as defined."""
    chances = probabilities(kind, scale)
    middle = len(chances) // 2
    assert math.fsum(chances) == pytest.approx(1, abs=1e-12)
    assert (chances == chances[::-1]).all()
    assert chances[middle + 1] / chances[middle] == pytest.approx(
        math.exp(-1 / (2 * scale**2)) if kind == "discrete gaussian" else math.exp(-1 / scale)
    )
    if kind == "discrete laplace":
        assert chances[middle] == pytest.approx(math.tanh(1 / (2 * scale)), rel=1e-12)


def test_thin_bins_are_gathered() -> None:
    """A distribution that is almost all zeros leaves nothing to compare; its draws pass, other draws do not."""
    chances = probabilities("discrete gaussian", 0.05)
    counts = np.zeros(len(chances), dtype=np.int64)
    counts[len(chances) // 2] = 1000
    assert chi_squared(counts, chances) == 1
    spread = probabilities("discrete gaussian", 0.5)
    wrong = np.zeros(len(spread), dtype=np.int64)
    wrong[len(spread) // 2] = 10_000
    assert chi_squared(wrong, spread) < 1e-300


def test_the_installed_noise_passes() -> None:
    """Both distributions of both samplers fit on this machine; a sound one fails one time in a million, and a tenth
    less noise is found."""
    fits = installed_fits()
    assert {(fit.kind, fit.sampler) for fit in fits} == {(kind, by) for kind in KINDS for by in DRAWS}
    assert all(fit.passed for fit in fits), [fit.worst for fit in fits]


def shrunk_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise multiplied by 0.9 where it is added."""
    true = mechanism.with_noise

    def draw(values: Integers, made: Mechanism) -> Integers:
        return values + np.rint((true(values, made) - values) * 0.9).astype(np.int64)

    monkeypatch.setattr(mechanism, "with_noise", draw)


def scale_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both samplers draw at nine tenths of the scale."""
    true, theirs = sampler.draw, mechanism._draw_opendp

    def ours(kind: Kind, scale: Fraction, size: int) -> Integers:
        return true(kind, sampler.widened(scale * 9 / 10), size)

    def cut(values: Integers, serialized: str) -> Integers:
        assert '"scale"' in serialized
        return theirs(values, re_scaled(serialized))

    monkeypatch.setattr(sampler, "draw", ours)
    monkeypatch.setattr(mechanism, "_draw_opendp", cut)


def re_scaled(serialized: str) -> str:
    import json

    def shrink(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: shrink_scale(value) if key == "scale" else shrink(value) for key, value in node.items()}
        return [shrink(value) for value in node] if isinstance(node, list) else node

    def shrink_scale(value: Any) -> Any:
        return value * 0.9 if isinstance(value, float) else shrink(value)

    return json.dumps(shrink(json.loads(serialized)))


def loss_overspent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scale is sought for a larger loss than was asked for, and the mechanism says so itself."""
    from publisher.privacy import noise_check

    true = noise_check.mechanism_for

    def generous(measure: str, currency: Any, sensitivity: Any, loss: Fraction, **rest: Any) -> Mechanism:
        return true(measure, currency, sensitivity, loss * 100 / 81, **rest)

    monkeypatch.setattr(noise_check, "mechanism_for", generous)


def one_sided(monkeypatch: pytest.MonkeyPatch) -> None:
    """One negative noise in ten loses its sign."""
    planted(monkeypatch, lambda noise: np.where((noise < 0) & (np.arange(len(noise)) % 10 == 0), -noise, noise))


def repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry in ten has the noise of the entry before."""
    planted(monkeypatch, lambda noise: np.where(np.arange(len(noise)) % 10 == 1, np.roll(noise, 1), noise))


def cut_tails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Far noise is drawn in to three standard deviations."""
    planted(monkeypatch, lambda noise: np.clip(noise, -9, 9))


def planted(monkeypatch: pytest.MonkeyPatch, fault: Callable[[Integers], Integers]) -> None:
    true = mechanism.add_noise

    def add_noise(bounded: BoundedAggregate, mechanisms: tuple[Mechanism, ...]) -> NoisyTable:
        noisy = true(bounded, mechanisms)
        for table, values in noisy.tables.items():
            noisy.tables[table] = bounded.tables[table] + fault(values - bounded.tables[table])
        return noisy

    monkeypatch.setattr(mechanism, "add_noise", add_noise)


@pytest.mark.parametrize("fault", [shrunk_afterwards, scale_cut, loss_overspent, one_sided, repeated, cut_tails])
def test_faults_are_found(fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault fails the fits of both distributions by both samplers."""
    fault(monkeypatch)
    assert [fit for fit in installed_fits() if fit.passed] == []


def test_doctor_fails_where_the_noise_is_not_what_was_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its finding is well with sound noise (but for one run in a million); with a tenth less it names the fault and
    exits as for the budget."""
    from publisher.commands.doctor import _noise

    assert _noise().exit_code == 0
    shrunk_afterwards(monkeypatch)
    finding = _noise()
    assert finding.exit_code == BudgetError.exit_code
    assert "Publish nothing" in finding.words


def test_a_tenth_less_noise_is_found_every_time() -> None:
    """Of twenty looks at as few draws as OpenDP gives, all pass with sound noise and none with a tenth less."""
    rng = np.random.default_rng(11)
    for _ in range(20):
        uniform = rng.geometric(1 - math.exp(-1 / 3), (2, 60_000))
        sound = Fit("discrete laplace", "opendp", p_values(uniform[0] - uniform[1], "discrete laplace", 3.0))
        less = rng.geometric(1 - math.exp(-1 / 2.7), (2, 60_000))
        cut = Fit("discrete laplace", "opendp", p_values(less[0] - less[1], "discrete laplace", 3.0))
        assert sound.passed
        assert not cut.passed


def test_noise_is_drawn_as_a_release_draws_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look goes through the same `with_noise` as every release, once for each sampler."""
    asked = []
    true = mechanism.with_noise

    def draw(values: Integers, made: Mechanism) -> Integers:
        asked.append((made.kind, made.sampler))
        return true(values, made)

    monkeypatch.setattr(mechanism, "with_noise", draw)
    for kind in KINDS:
        for by in DRAWS:
            released(kind, by, 100)
    assert asked == [(kind, by) for kind in KINDS for by in DRAWS]
