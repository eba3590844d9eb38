"""The most that a release, and all releases together, are planned to spend; half of it, and a rule, for minors."""

from __future__ import annotations

from fractions import Fraction

A_RELEASE = {"zcdp": Fraction(1, 10), "pure": Fraction(9, 20)}
"""The most that a goal may spend on a release: ρ 0.1, or about the ε whose Gaussian counterpart that is (ε²/2)."""

A_BLOCK = {"zcdp": Fraction(1, 2), "pure": Fraction(1)}
"""The most that all datasets of a source together may plan to spend on one block."""


def most_a_release(currency: str, *, minors: bool) -> Fraction:
    """The most that one release may be planned to spend; with minors, the most that it may spend at all.

    >>> most_a_release("zcdp", minors=True)
    Fraction(1, 20)
    """
    return A_RELEASE[currency] / 2 if minors else A_RELEASE[currency]


def most_a_block(currency: str, *, minors: bool) -> Fraction:
    """The same of all releases together on one block; with minors, of the budget too.

    >>> most_a_block("pure", minors=True)
    Fraction(1, 2)
    """
    return A_BLOCK[currency] / 2 if minors else A_BLOCK[currency]
