"""`publisher ledger`: what was spent, per source, dataset and block."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.privacy.ledger import decimal

if TYPE_CHECKING:
    from publisher.privacy.ledger import Ledger
    from publisher.workspace import Workspace


@dataclass(frozen=True)
class Account:
    """One block: what each dataset spent on it, and what is left."""

    source: str
    block: str
    datasets: str
    spent: str
    budget: str
    left: str
    currency: str


def statement(workspace: Workspace, ledger: Ledger) -> list[Account]:
    """Every block that was ever charged, by source and time."""
    parts: dict[tuple[str, str], dict[str, Fraction]] = {}
    for entry in ledger.entries("charge"):
        charge = entry.payload
        for block in charge["blocks"]:
            shares = parts.setdefault((charge["source"], block), {})
            shares[charge["dataset"]] = shares.get(charge["dataset"], Fraction(0)) + Fraction(charge["loss"])
    return [_account(workspace, source, block, parts[source, block]) for source, block in sorted(parts)]


def _account(workspace: Workspace, source: str, block: str, shares: dict[str, Fraction]) -> Account:
    spent = sum(shares.values(), Fraction(0))
    # A source whose definition was deleted still has its account, but no budget any more.
    privacy = workspace.sources[source].definition.privacy if source in workspace.sources else None
    budget = Fraction(privacy.budget) if privacy is not None else spent
    return Account(
        source=source,
        block=block,
        datasets=", ".join(f"{dataset} {decimal(share)}" for dataset, share in sorted(shares.items())),
        spent=decimal(spent),
        budget=decimal(budget),
        left=decimal(budget - spent),
        currency="ρ" if privacy is None or privacy.currency == "zcdp" else "ε",
    )
