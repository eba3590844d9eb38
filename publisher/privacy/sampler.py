"""Exact discrete Laplace and discrete Gaussian noise, vectorized over numpy integers.

The samplers of Canonne, Kamath and Steinke (2020), "The Discrete Gaussian for Differential Privacy", algorithms 1 to 3.
Every probability below is a rational number met exactly or exp(-γ) of a rational γ met exactly; no float occurs.

Why it is exact, step by step. n/d is the scale, d a power of two; all words are fresh bits of the operating system.

1. `_words`, `_below`. A word of b bits that is not below `limit` is drawn again, so what remains is uniform on
   [0, limit). With limit = m·q, m = ⌊(2ᵇ-1)/q⌋, each of the q values of ⌊word/m⌋ owns exactly m words. No modulo.
2. `_chance`. Of the m·q words exactly m·p are below m·p: the chance is p/q.
3. `_exp`, algorithm 1. A₁, A₂, ... are independent with P(A_K) = γ/K; K is the first that fails.
   P(K > k) = γᵏ/k!, so P(K odd) = Σ (-γ)ᵏ/k! = exp(-γ), for γ = p/q in [0, 1]. At γ = 1, A₁ never fails.
4. `_geometric`. Trials of exp(-1) until the first fails: P(V >= v) = exp(-v). So "V >= ⌊γ⌋" has the chance of ⌊γ⌋
   trials of exp(-1) in a row, which is how algorithm 1 treats γ > 1.
5. `_laplace`, algorithm 2. U on {0..n-1} kept with exp(-U/n), and V: X = U + nV has P(X = x) ∝ exp(-x/n). Y = ⌊X/d⌋
   gathers d consecutive x, so P(Y = y) ∝ exp(-yd/n). A fair sign, with -0 refused, makes it two-sided.
6. `_gaussian`, algorithm 3. A Laplace Y is kept with exp(-(|Y| - σ²/t)² / 2σ²); since
   |y|/t + (|y| - σ²/t)²/2σ² = y²/2σ² + σ²/2t², what is kept has P(y) ∝ exp(-y²/2σ²), whatever t > 0 is. The paper
   takes t = ⌊σ⌋ + 1. Here t = σ = n/d: then γ = (|Y|d - n)²/2n², whose integers are much smaller.

Why vectorized rounds change nothing. Each trial of each entry has its own word; which entries are still undecided
depends only on their own earlier words. Candidates are independent and identically distributed, and each is kept or
dropped by its own words, so those kept are independent draws of the law above. So are the first of them, however many
were asked for: how many are kept says nothing about their values. Chunks share nothing, so threads do not either.

Bounds of the integers, n < 2²⁴ and d <= 2³⁰ (`supports`); V and K count rounds of a loop.

- m·p <= m·q < 2ᵇ in `_chance` and `_below` by the choice of m.
- q·K with q = n or 2n² < 2⁴⁹ needs K <= 2¹⁵. A longer run (chance below 1/2¹⁵!) ends in RecursionError, not in noise.
- X = U + nV < 2⁶³, |Y|·d <= X and ⌊γ⌋ < V² < 2⁶³ while V < 2³¹, which would be 2³¹ rounds.
- (|Y|d - n)² < 2⁶² while ||Y|d - n| < 2³¹; beyond (V > 128, chance e⁻¹²⁸) `_exponent` turns to Python's integers.

Randomness is os.urandom, the kernel's generator, read again for each batch: there is no state here to seed, copy by a
fork, or leak. Not covered: timing. How long a batch takes depends on its rejections, as in OpenDP; an observer who
times single draws may learn about their size. A release is drawn as a whole, offline.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from publisher.stages import Flags, Integers

    Words = NDArray[np.unsignedinteger[Any]]
    Word = type[np.unsignedinteger[Any]]

Kind = Literal["discrete gaussian", "discrete laplace"]

SAMPLER_VERSION = "numpy-cks-1"
"""Changes whenever the way bits become noise changes; it is part of every charge."""

SCALE_BITS = 20
CHUNK = 1 << 16
"""Entries drawn at a time: small enough for the processor's cache."""


def widened(scale: Fraction) -> Fraction:
    """The scale rounded up to a short binary fraction n/d: at most 22 bits for n, wider by less than 1 part in 2¹⁹."""
    places = SCALE_BITS - scale.numerator.bit_length() + scale.denominator.bit_length()
    unit = Fraction(2) ** -places
    return -(-scale // unit) * unit


def supports(scale: Fraction) -> bool:
    """Whether n/d is small enough for 64 bits (see the bounds above) and binary, so that a float can hold it."""
    n, d = scale.as_integer_ratio()
    return 0 < n < 1 << 24 and d <= 1 << 30 and d.bit_count() == 1


def draw(kind: Kind, scale: Fraction, size: int) -> Integers:
    """Independent draws, shape (size,). Raises ValueError for a scale that is not supported."""
    if not supports(scale):
        raise ValueError(f"the scale {scale} needs integers of more than 64 bits")
    sample = _gaussian if kind == "discrete gaussian" else _laplace
    n, d = scale.as_integer_ratio()
    if size <= CHUNK:
        return _filled(sample, n, d, size)  # to start a thread takes longer than most draws
    counts = [min(CHUNK, size - start) for start in range(0, size, CHUNK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        parts = list(pool.map(lambda count: _filled(sample, n, d, count), counts))
    return np.concatenate(parts)


def _filled(sample: Callable[[int, int, int], Integers], n: int, d: int, count: int) -> Integers:
    """Draw rounds of candidates until `count` of them are kept."""
    parts, missing = [np.zeros(0, dtype=np.int64)], count
    while missing:
        parts.append(sample(n, d, 2 * missing + 64)[:missing])
        missing -= len(parts[-1])
    return np.concatenate(parts)


def _gaussian(n: int, d: int, candidates: int) -> Integers:
    """The discrete Gaussians of scale n/d among that many candidates (algorithm 3)."""
    laplace = _laplace(n, d, candidates)
    whole, rest = _exponent(np.abs(laplace), n, d)
    kept = _exp(rest, 2 * n * n)
    far = np.flatnonzero(kept & (whole > 0))
    kept[far] = _geometric(len(far)) >= whole[far]
    return laplace[kept]


def _exponent(magnitude: Integers, n: int, d: int) -> tuple[Integers, Integers]:
    """γ = (magnitude·d - n)²/2n² as whole part and remainder over 2n²."""
    excess = magnitude * d - n
    square = excess * excess if excess.max(initial=0) < 1 << 31 else excess.astype(object) ** 2
    whole = square // (2 * n * n)
    return whole.astype(np.int64), (square - whole * (2 * n * n)).astype(np.int64)


def _laplace(n: int, d: int, candidates: int) -> Integers:
    """The discrete Laplaces of scale n/d among that many candidates (algorithm 2)."""
    fine = _below(n, candidates)
    fine = fine[_exp(fine, n)]
    magnitude = (fine + n * _geometric(len(fine))) >> (d.bit_length() - 1)
    negative = _coins(len(fine))
    signed: Integers = np.where(negative, -magnitude, magnitude)[~(negative & (magnitude == 0))]
    return signed


def _geometric(count: int) -> Integers:
    """How many trials of exp(-1) succeed before one fails, shape (count,)."""
    successes = np.zeros(count, dtype=np.int64)
    ones = np.ones(count, dtype=np.int64)
    undecided = np.arange(count)
    while len(undecided):
        undecided = undecided[_exp(ones[: len(undecided)], 1, first=2)]
        successes[undecided] += 1
    return successes


def _exp(p: Integers, q: int, first: int = 1) -> Flags:
    """Trials of exp(-p/q), 0 <= p < q, shape of p (algorithm 1). `first` = 2 skips the A₁ that is certain at p = q."""
    odd = np.full(len(p), first % 2 == 1)
    undecided = np.arange(len(p))
    k = first
    while len(undecided):
        succeeded = _chance(p, q * k)
        undecided, p = undecided[succeeded], p[succeeded]
        odd[undecided] ^= True
        k += 1
    return odd


def _chance(p: Integers, q: int) -> Flags:
    """Trials of p/q, 0 <= p < q, shape of p. Uses short words if they are refused less than one time in 64."""
    word: Word = np.uint32 if q < 1 << 26 else np.uint64
    share = int(np.iinfo(word).max) // q
    below: Flags = _words(word, share * q, len(p)) < p.astype(word) * word(share)
    return below


def _below(n: int, count: int) -> Integers:
    """Uniform on [0, n), n < 2²⁴, shape (count,)."""
    share = int(np.iinfo(np.uint32).max) // n
    return (_words(np.uint32, share * n, count) // np.uint32(share)).astype(np.int64)


def _words(word: Word, limit: int, count: int) -> Words:
    """Uniform on [0, limit), shape (count,): words that are not below the limit are drawn again."""
    words: Words = np.frombuffer(bytearray(os.urandom(count * word(0).itemsize)), dtype=word)
    refused = np.flatnonzero(words >= word(limit))
    if len(refused):
        words[refused] = _words(word, limit, len(refused))
    return words


def _coins(count: int) -> Flags:
    """Fair coins, shape (count,)."""
    return np.unpackbits(np.frombuffer(os.urandom(count // 8 + 1), dtype=np.uint8), count=count).view(np.bool_)
