"""The sampler draws exactly the two distributions: no float on the way, every bound kept, nothing alike but the law.

Statistical tests here reject sound draws with a chance below 1e-8 for each p-value, below 1e-6 for each test; what each
finds is a fault in its docstring.
"""

from __future__ import annotations

import ast
import math
import random
import sys
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from publisher.privacy import sampler
from publisher.privacy.noise_check import (
    binomial,
    chi_squared,
    chi_squared_survival,
    correlation,
    p_values,
    probabilities,
    released,
)
from publisher.privacy.sampler import draw, supports, widened

if TYPE_CHECKING:
    from types import FrameType

    from publisher.privacy.sampler import Kind
    from publisher.stages import Integers

KINDS: tuple[Kind, ...] = ("discrete gaussian", "discrete laplace")
MORE_SCALES = pytest.mark.evidence("a million draws of both distributions at more scales")
SCALES = ["1/3", "3", "10000", *(pytest.param(x, marks=MORE_SCALES) for x in ("3/4", "1", "2.236068", "37.77", "50"))]
ALARM = 1e-8
DRAWS = 1_000_000
LARGEST = (1 << 24) - 1

ALLOWED = set(
    "os urandom cpu_count concurrent futures ThreadPoolExecutor pool map fractions Fraction typing numpy np stages "
    "int64 uint8 uint32 uint64 int8 bool_ iinfo max astype object dtype itemsize frombuffer unpackbits view abs "
    "where flatnonzero arange ones zeros full concatenate append numerator denominator bit_length bit_count "
    "as_integer_ratio unsignedinteger integer"
    "".split()
)
"""Every attribute that the sampler may touch: none of them makes a float of integers."""


def test_no_float_stands_in_the_code() -> None:
    """No float literal, no true division, no float type, no logarithm, root or seeded generator in the sampler."""
    tree = ast.parse(Path(sampler.__file__).read_text(encoding="utf-8"))
    checked = [node for node in tree.body if not (isinstance(node, ast.If))]  # imports for the type checker
    for node in [inner for each in checked for inner in ast.walk(each)]:
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float | complex)), ast.dump(node)
        assert not isinstance(node, ast.Div), "a true division"
        assert not (isinstance(node, ast.Name) and node.id in {"float", "sum", "round", "complex", "math"})
        if isinstance(node, ast.Attribute):
            assert node.attr in ALLOWED, node.attr
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or alias.name for alias in node.names]
            assert set(names) <= {"__future__", "os", "concurrent.futures", "fractions", "typing", "numpy"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [Fraction(1, 3), Fraction(50), Fraction(LARGEST), Fraction(LARGEST, 1 << 30)])
def test_every_value_is_an_integer(kind: Kind, scale: Fraction, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it draws, every local of every function of the sampler is an integer, a flag, or an array of these."""
    monkeypatch.setattr(sampler, "ThreadPoolExecutor", Here)
    seen: set[str] = set()

    def look(frame: FrameType, event: str, result: Any) -> None:
        if event != "return" or frame.f_code.co_filename != sampler.__file__:
            return
        for value in [*frame.f_locals.values(), *(result if isinstance(result, tuple) else [result])]:
            if isinstance(value, np.ndarray | np.generic):
                seen.add(value.dtype.kind)
            assert not isinstance(value, float)

    sys.setprofile(look)
    try:
        noise = draw(kind, scale if supports(scale) else widened(scale), 2 * sampler.CHUNK)
    finally:
        sys.setprofile(None)
    assert noise.dtype == np.int64
    assert seen == {"i", "u", "b"}


class Here:
    """The threads' pool in the caller's thread, where the profile sees it."""

    def __init__(self, _: int | None) -> None: ...

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None: ...

    map = staticmethod(map)


def feed(monkeypatch: pytest.MonkeyPatch, *words: int, size: int = 4) -> None:
    """The operating system gives these words, in this order, and no more."""
    bits = b"".join(word.to_bytes(size, sys.byteorder) for word in words)
    monkeypatch.setattr(sampler.os, "urandom", Tape(bits))


class Tape:
    """Bytes that are read once; past the end there are none."""

    def __init__(self, bits: bytes) -> None:
        self.bits = bits

    def __call__(self, count: int) -> bytes:
        assert count <= len(self.bits), "more words were asked for than expected"
        read, self.bits = self.bits[:count], self.bits[count:]
        return read


@pytest.mark.parametrize("q", [1, 2, 3, 1000, 1 << 20, LARGEST, (1 << 26) - 1])
def test_each_value_owns_the_same_number_of_words(q: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Value v is drawn by the words v·m to v·m + m - 1 alone; a word from q·m on is drawn anew."""
    m = (2**32 - 1) // q
    if q <= LARGEST:
        feed(monkeypatch, 0, m - 1, q // 2 * m, q * m - 1, q * m, 2**32 - 1, (q - 1) * m, 0)
        assert sampler._below(q, 6).tolist() == [0, 0, q // 2, q - 1, q - 1, 0]
    p = np.array([q // 2] * 4)
    feed(monkeypatch, q // 2 * m, q * m - 1, q * m, max(q // 2 * m - 1, 0), 0)
    assert sampler._chance(p, q).tolist() == [False, False, q > 1, q > 1]


@pytest.mark.parametrize("q", [1 << 26, 2 * LARGEST**2, 2 * LARGEST**2 << 15])
def test_long_words_keep_the_same_bounds(q: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 64 bits, a trial of (q-1)/q fails for the last m words below q·m alone, and nothing overflows."""
    m = (2**64 - 1) // q
    assert m > 0
    assert q * m < 2**64
    feed(monkeypatch, (q - 1) * m - 1, (q - 1) * m, q * m - 1, 0, size=8)
    p = np.full(4, q - 1)
    assert sampler._chance(p, q).tolist() == [True, False, False, True]


def test_a_run_too_long_for_64_bits_is_an_error() -> None:
    """Where the bound on K ends there is no word to accept: it raises, and gives no noise."""
    with pytest.raises(RecursionError):
        sampler._chance(np.array([1]), 1 << 65)


@pytest.mark.parametrize(("n", "d"), [(3, 1), (1, 1 << 30), (1 << 20, 1 << 15), (LARGEST, 1), (LARGEST, 1 << 30)])
def test_the_exponent_is_exact_for_any_size(n: int, d: int) -> None:
    """γ = (|Y|d - n)²/2n² as Fractions have it, on both sides of 2³¹ and far beyond any draw."""
    excess = [-n, 0, 1, 2**31 - n - 1, 2**31 - 1, 2**31, 2**31 + n, n << 7, n << 30]
    magnitudes = np.array(sorted({(each + n) // d for each in excess}))
    for part in (magnitudes, magnitudes[:2]):
        whole, rest = sampler._exponent(part, n, d)
        assert whole.dtype == rest.dtype == np.int64
        found = [int(w) + Fraction(int(r), 2 * n * n) for w, r in zip(whole, rest, strict=True)]
        assert found == [Fraction((y * d - n) ** 2, 2 * n * n) for y in part.tolist()]
        assert (rest < 2 * n * n).all()


@pytest.mark.parametrize(
    ("p", "q"), [(0, 1), (1, 2), (1, 3), (999, 1000), (12345, LARGEST), (LARGEST**2, 2 * LARGEST**2)]
)
def test_trials_of_an_exponential(p: int, q: int) -> None:
    """A million trials succeed as often as exp(-p/q) says (false alarm: 1e-8); 5 % less is found."""
    successes = int(sampler._exp(np.full(DRAWS, p), q).sum())
    chance = math.exp(-p / q)
    assert successes == DRAWS if p == 0 else binomial(successes, DRAWS, chance) > ALARM
    assert binomial(successes, DRAWS, chance * 0.95) < ALARM


def test_runs_of_the_exponential_are_geometric() -> None:
    """P(V = v) = exp(-v)(1 - exp(-1)), in a million draws (false alarm: 1e-8); a rate 1 % smaller is found."""
    chances = np.exp(-np.arange(41.0)) * (1 - math.exp(-1))
    counts = np.bincount(np.minimum(sampler._geometric(DRAWS), 40), minlength=41)
    assert chi_squared(counts, chances) > ALARM
    wrong = np.exp(-np.arange(41.0) * 0.99)
    assert chi_squared(counts, wrong / wrong.sum()) < ALARM


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_their_exact_probabilities(kind: Kind, scale: str) -> None:
    """A million draws fit in distribution, tails, symmetry and order (false alarm: 6e-8); a scale 5 % smaller is
    found."""
    exact = widened(Fraction(scale))
    fit = p_values(draw(kind, exact, DRAWS), kind, float(exact))
    assert min(fit.values()) > ALARM, fit
    smaller = p_values(draw(kind, widened(exact * 95 / 100), DRAWS), kind, float(exact))
    assert smaller["distribution"] < ALARM


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_scale(kind: Kind) -> None:
    """At the largest numerator mean and second moment are those of the distribution within six standard errors (false
    alarm: 4e-9); a part of the noise that overflows is found."""
    noise = draw(kind, Fraction(LARGEST), DRAWS) / LARGEST
    second, fourth = (1, 3) if kind == "discrete gaussian" else (2, 24)
    assert abs((noise**2).mean() - second) < 6 * math.sqrt((fourth - second**2) / DRAWS)
    assert abs(noise.mean()) < 6 * math.sqrt(second / DRAWS)


def test_look_alikes_are_told_apart() -> None:
    """Rounded float noise, a zero that counts twice, and a geometric run without its uniform part do not pass."""
    rng = np.random.default_rng(5)
    rounded = np.rint(rng.normal(0, 2, DRAWS)).astype(np.int64)
    assert p_values(rounded, "discrete gaussian", 2.0)["distribution"] < ALARM
    size = (sampler._below(3, DRAWS) + 3 * sampler._geometric(DRAWS)) * rng.choice([-1, 1], DRAWS)
    assert p_values(size, "discrete laplace", 3.0)["distribution"] < ALARM
    ratio = math.exp(-1 / 3)
    once = rng.geometric(1 - ratio, DRAWS) - 1
    assert p_values(once * rng.choice([-1, 1], DRAWS), "discrete laplace", 3.0)["distribution"] < ALARM
    sound = once - (rng.geometric(1 - ratio, DRAWS) - 1)
    assert min(p_values(sound, "discrete laplace", 3.0).values()) > ALARM, (
        "the difference of two runs is the law itself"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_serially_independent(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values, sizes and signs some entries apart, and across the borders of chunks, do not depend on each other (false
    alarm: 3e-7, for 27 p-values and the borders); one entry in 64 that repeats another is found, as the next test
    shows."""
    chunk = 1_000
    monkeypatch.setattr(sampler, "CHUNK", chunk)
    noise = draw(kind, Fraction(3), DRAWS)
    chances = probabilities(kind, 3.0)
    x = np.arange(len(chances)) - len(chances) // 2
    middle = float(chances @ np.abs(x))
    variance, spread = float(chances @ x**2), float(chances @ (np.abs(x) - middle) ** 2)
    for lag in (1, 2, 3, 7, 64, chunk - 1, chunk, chunk + 1, 2 * chunk):
        assert correlation(noise, 0, variance, lag) > ALARM, lag
        assert correlation(np.abs(noise), middle, spread, lag) > ALARM, lag
        signs = np.sign(noise[lag:] * noise[:-lag])
        assert binomial(int((signs > 0).sum()), int((signs != 0).sum()), 0.5) > ALARM, lag
    borders = np.stack([noise[chunk - 1 :: chunk][:-1], noise[chunk::chunk]])
    z = float((borders[0] * borders[1]).sum()) / (variance * math.sqrt(borders.shape[1]))
    assert abs(z) < 6
    assert not (borders[0] == borders[1]).all()


def test_repeated_draws_are_found() -> None:
    """The same correlations find a vector whose every 64th entry repeats one of the chunk before."""
    noise = draw("discrete gaussian", Fraction(3), DRAWS)
    noise[1000::64] = noise[: len(noise[1000:]) : 64]
    assert correlation(noise, 0, 9.0, 1000) < ALARM


@pytest.mark.parametrize("kind", KINDS)
def test_agreement_with_opendp(kind: Kind) -> None:
    """Sixty thousand draws of OpenDP and a million of ours come from one distribution (false alarm: 1e-8); 5 % less
    scale is found."""
    theirs = released(kind, "opendp", 60_000)
    assert homogeneous(theirs, draw(kind, Fraction(3), DRAWS)) > ALARM
    assert homogeneous(theirs, draw(kind, widened(Fraction(3 * 95, 100)), DRAWS)) < ALARM


def homogeneous(one: Integers, other: Integers) -> float:
    """The two-sample χ² test over values that both hold a hundred times."""
    low = min(one.min(), other.min())
    counts = np.stack(
        [np.bincount(each - low, minlength=max(one.max(), other.max()) - low + 1) for each in (one, other)]
    )
    common = counts[0] >= 100
    table = np.column_stack([counts[:, common], counts[:, ~common].sum(axis=1)])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return chi_squared_survival(float(((table - expected) ** 2 / expected).sum()), table.shape[1] - 1)


def test_the_scale_is_never_below_the_one_asked_for() -> None:
    """Rounding goes up, by less than one part in 2¹⁹, to what a float holds exactly."""
    rng = random.Random(7)
    asked = [Fraction(rng.uniform(1, 2) * 2.0 ** rng.randint(-9, 22)) for _ in range(2_000)]
    for scale in [
        *asked,
        Fraction(1),
        Fraction(1, 3),
        Fraction(2**30 - 1, 2**28),
        Fraction(2**20 - 1),
        Fraction(3, 2**20),
    ]:
        wide = widened(scale)
        assert scale <= wide < scale * (1 + Fraction(1, 1 << 19))
        assert Fraction(float(wide)) == wide
        assert wide.numerator.bit_length() <= 24
        assert supports(wide)


def test_scales_beyond_64_bits_are_refused() -> None:
    """What would overflow is not drawn, nor is a scale that is no binary fraction."""
    for scale in (Fraction(1 << 24), Fraction(1, 3), Fraction(1, 1 << 31), Fraction(LARGEST, 1 << 31), Fraction(0)):
        assert not supports(scale)
        with pytest.raises(ValueError, match="64 bits"):
            draw("discrete laplace", scale, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 2, sampler.CHUNK - 1, sampler.CHUNK, sampler.CHUNK + 1])
def test_any_number_of_draws(kind: Kind, size: int) -> None:
    """As many draws as asked for, also across chunks."""
    assert draw(kind, Fraction(3), size).shape == (size,)


def test_no_seed_repeats_a_draw() -> None:
    """The seeds of Python's and numpy's generators decide nothing."""
    draws = []
    for _ in range(2):
        random.seed(1)
        np.random.seed(1)
        draws.append(draw("discrete gaussian", Fraction(50), 100))
    assert (draws[0] != draws[1]).any()
