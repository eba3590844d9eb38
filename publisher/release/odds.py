"""Odds and group privacy, computed with forty digits and rounded up: never stronger than true.

zCDP: Bun and Steinke, Concentrated Differential Privacy, TCC 2016 (group privacy, the tail of the privacy loss);
the guess from Pinsker's inequality. Pure: Dwork, McSherry, Nissim and Smith 2006. δ adds to the statistical distance.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal, Inexact, getcontext, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publisher.definitions.source import Currency

TINY = Fraction(1, 10**6)
"""The probability that the belief bound leaves out under zCDP, and the δ of the displayed ε."""

_EXACT = Context(prec=40, rounding=ROUND_HALF_EVEN, Emax=10**6, Emin=-(10**6), traps=[])
_MARGIN = Decimal("1.00000000000000000000000000000000001")
"""More than the rounding of forty digits loses; what was computed exactly needs none."""
_LARGEST = Decimal(100_000)
"""Beyond this ε no odds of forty digits differ from certainty."""


def group(loss: Fraction, currency: Currency, units: int) -> Fraction:
    """The loss for a group of units: m²ρ under zCDP, mε under pure differential privacy."""
    return loss * (units**2 if currency == "zcdp" else units)


def as_rho(loss: Fraction, currency: Currency) -> Fraction:
    """The loss in ρ; ε-differential privacy implies ε²/2 (Bun and Steinke 2016, proposition 3.3)."""
    return loss if currency == "zcdp" else loss**2 / 2


def guess_bound(loss: Fraction, currency: Currency, delta: Fraction = Fraction(0)) -> Decimal:
    """How often the best guesser, at 50% before, can be right: ½ + ½(√(ρ/2) + δ), or e^ε/(1 + e^ε).

    >>> up(guess_bound(Fraction(1, 10), "zcdp"), 3)
    Decimal('0.612')
    >>> up(guess_bound(Fraction(1), "pure"), 3)
    Decimal('0.732')

    With four times the loss, the guesser is better than a coin by twice as much, but never above certainty.

    >>> up(guess_bound(Fraction(4, 10), "zcdp"), 3)
    Decimal('0.724')
    >>> guess_bound(Fraction(100), "zcdp")
    Decimal('1')
    """
    if currency == "pure":
        return posterior_bound(loss, currency)
    with localcontext(_EXACT):
        distance = (_decimal(loss) / 2).sqrt() + _decimal(delta)
        return _probability((1 + distance) / 2)


def which_of_two(loss: Fraction, currency: Currency, delta: Fraction = Fraction(0)) -> Decimal:
    """The same for guessing which of two records was filed: one is removed, the other added, so 4ρ or 2ε."""
    return guess_bound(group(loss, currency, 2), currency, 2 * delta)


def posterior_bound(loss: Fraction, currency: Currency) -> Decimal:
    """e^ε/(1 + e^ε): how sure someone who was at 50% can become; under zCDP except with probability `TINY`."""
    return of_epsilon(loss if currency == "pure" else tail_epsilon(loss))


def of_epsilon(epsilon: Fraction | Decimal | float) -> Decimal:
    """e^ε/(1 + e^ε)."""
    with localcontext(_EXACT):
        exact = epsilon if isinstance(epsilon, Decimal) else _decimal(Fraction(min(epsilon, int(_LARGEST))))
        return _probability(1 / (1 + (-min(exact, _LARGEST)).exp()))


def of_distance(distance: float, delta: Fraction = Fraction(0)) -> Decimal:
    """½ + ½·(total variation distance + δ): how often the best guesser, at 50% before, is right."""
    with localcontext(_EXACT):
        return _probability((1 + _decimal(Fraction(distance)) + _decimal(delta)) / 2)


def tail_epsilon(loss: Fraction) -> Decimal:
    """ε = ρ + 2√(ρ ln 10⁶): the privacy loss exceeds it with probability 10⁻⁶ at most."""
    with localcontext(_EXACT):
        return _tail(loss)


def up(number: Fraction | Decimal | float, digits: int = 6) -> Decimal:
    """Rounded up to that many significant digits."""
    exact = _decimal(number if isinstance(number, Fraction) else Fraction(number))
    return Context(prec=digits, rounding=ROUND_CEILING).create_decimal(exact)


def _tail(loss: Fraction) -> Decimal:
    rho = _decimal(loss)
    return _not_below(rho + 2 * (rho * (1 / _decimal(TINY)).ln()).sqrt())


def _probability(number: Decimal) -> Decimal:
    return min(Decimal(1), _not_below(number))


def _not_below(computed: Decimal) -> Decimal:
    return computed * _MARGIN if getcontext().flags[Inexact] else computed


def _decimal(number: Fraction) -> Decimal:
    """Not below the exact number."""
    with localcontext(_EXACT) as context:
        context.rounding = ROUND_CEILING
        return Decimal(number.numerator) / Decimal(number.denominator)
