"""Budgets that were raised after a source was first charged: what was promised then no longer holds."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.privacy.charge import decimal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from publisher.privacy.ledger import Ledger
    from publisher.workspace import SourceFile


def raised_budgets(sources: Iterable[SourceFile], ledger: Ledger) -> Iterator[str]:
    """A line for each of these sources whose budget is larger now than at its first charge."""
    first = ledger.first_budgets()
    for source in sources:
        privacy = source.definition.privacy
        if source.name not in first:
            continue
        symbol = "ρ" if privacy.currency == "zcdp" else "ε"
        pairs = zip(
            ("budget", "delta"), (symbol, "δ"), first[source.name], (privacy.budget, privacy.delta), strict=True
        )
        for name, sign, before, now in pairs:
            if Fraction(now) > before:
                yield (
                    f"source {source.name}: its {name} was raised from {sign} {decimal(before)} at its first charge to "
                    f"{sign} {decimal(Fraction(now))}: what was promised then no longer holds"
                )
