"""`publisher ledger`: what each source's blocks have spent, what is left, and how long that lasts."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import TYPE_CHECKING

from publisher.definitions import period as civil
from publisher.planning.pace import pace_of, spent_of
from publisher.privacy.account import NOTHING, Block, LossAmount
from publisher.privacy.ledger import decimal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from publisher.definitions.source import Privacy
    from publisher.planning.pace import Spent
    from publisher.privacy.ledger import Ledger
    from publisher.workspace import DatasetFile, Workspace

Shares = dict[str, LossAmount]
"""What each dataset has spent on one block."""

HEADINGS = ("source", "block", "blocks", "datasets", "spent", "budget", "left", "δ", "releases left", "runway")


@dataclass(frozen=True)
class SpendingRow:
    """Consecutive blocks of one source with the same charges; the fields of `publisher ledger --json`."""

    source: str
    block: str
    """The block, or the first and the last of them: `2024-01-01 … 2024-01-31`."""
    blocks: int
    """The number of blocks."""
    datasets: str
    """What each dataset has spent on each of them."""
    spent: str
    budget: str
    left: str
    currency: str
    """ρ or ε."""
    delta: str | None
    """δ spent on each; None if the source allows none and none was spent."""
    delta_left: str | None
    releases_left: dict[str, int]
    """How many more releases of each dataset each block can pay for, if only that dataset is released."""
    runs_out: dict[str, str]
    """The first period of each dataset that will be refused if all go on as defined; datasets that never are refused
    are left out."""
    runway: str
    """The same for people."""

    @property
    def row(self) -> tuple[object, ...]:
        """The row of the table, by HEADINGS."""
        delta = "" if self.delta is None else f"{self.delta}, {self.delta_left} left"
        more = ", ".join(f"{dataset} {number:,}" for dataset, number in self.releases_left.items())
        amounts = (f"{self.currency} {self.spent}", f"{self.currency} {self.budget}", f"{self.currency} {self.left}")
        return (self.source, self.block, self.blocks, self.datasets, *amounts, delta, more, self.runway)


@dataclass(frozen=True)
class Runway:
    """The datasets of a source, and the first period of each that its budget will refuse."""

    datasets: tuple[DatasetFile, ...]
    refused: dict[str, str]

    def words(self, privacy: Privacy) -> str:
        """When the budget ends, in words."""
        if self.refused:
            ends = ", ".join(f"{dataset} {period}" for dataset, period in self.refused.items())
            other = "; a lifetime budget is not renewed" if privacy.window == "lifetime" else ""
            return f"refused from {ends} on{other}"
        if not self.datasets:
            return "no dataset uses it anymore"
        if privacy.window == "lifetime":
            return "lasts as long as its datasets are scheduled, or more than 100 years"
        return f"lasts: each {privacy.window} has its own budget"


def statement(workspace: Workspace, ledger: Ledger) -> list[SpendingRow]:
    """Every block that was ever charged, by source and time; consecutive blocks with the same charges are one row."""
    shares, spent = _shares(ledger), spent_of(ledger)
    sources = sorted({source for source, _ in shares})
    return [
        account for source in sources for account in _accounts(workspace, source, shares, ledger.allowed(source), spent)
    ]


def _shares(ledger: Ledger) -> dict[tuple[str, str], Shares]:
    blocks: dict[tuple[str, str], dict[str, Block]] = {}
    for line in (line for source in ledger.sources() for line in ledger.lines(source)):
        block = blocks.setdefault((line.source, line.block), {}).setdefault(line.series.split(" ")[0], Block())
        alone = 0 if line.parallel else line.sequence
        block.add(line.series, alone, LossAmount(Fraction(line.loss), Fraction(line.delta)))
    return {key: {name: block.spent for name, block in sorted(each.items())} for key, each in blocks.items()}


def _accounts(
    workspace: Workspace,
    source: str,
    shares: Mapping[tuple[str, str], Shares],
    allowed: Mapping[str, LossAmount],
    spent: Spent,
) -> Iterator[SpendingRow]:
    labels = sorted(label for name, label in shares if name == source)
    # A source whose definition was deleted still has its account, but no budget any more.
    privacy = workspace.sources[source].definition.privacy if source in workspace.sources else None
    runway = _runway(workspace, source, spent)
    of_block = {label: (shares[source, label], allowed.get(label, NOTHING)) for label in labels}
    for alike in _alike(labels, of_block):
        yield _account(source, alike, *of_block[alike[0]], privacy, runway)


def _alike(labels: Sequence[str], shares: Mapping[str, tuple[Shares, LossAmount]]) -> Iterator[list[str]]:
    """Labels in runs: each one's block begins where the one before ends, and they have spent and may spend the same."""
    runs: dict[str, int] = {}
    for number, label in enumerate(labels):
        before = labels[number - 1] if number else None
        continues = before is not None and shares[before] == shares[label] and _follows(before, label)
        runs[label] = runs[before] if before is not None and continues else number
    for _, run in groupby(labels, key=lambda label: runs[label]):
        yield list(run)


def _follows(before: str, label: str) -> bool:
    return civil.parse(before).end == civil.parse(label).start


def _account(
    source: str, blocks: list[str], shares: Shares, more: LossAmount, privacy: Privacy | None, runway: Runway
) -> SpendingRow:
    spent = LossAmount(*(sum(parts, Fraction(0)) for parts in zip(*shares.values(), strict=True)))
    budget = spent
    if privacy is not None:
        budget = LossAmount(Fraction(privacy.budget) + more.loss, Fraction(privacy.delta) + more.delta)
    left = LossAmount(budget.loss - spent.loss, budget.delta - spent.delta)
    has_delta = bool(spent.delta or budget.delta)
    return SpendingRow(
        source=source,
        block=blocks[0] if len(blocks) == 1 else f"{blocks[0]} … {blocks[-1]}",
        blocks=len(blocks),
        datasets=", ".join(f"{dataset} {decimal(share.loss)}" for dataset, share in shares.items()),
        spent=decimal(spent.loss),
        budget=decimal(budget.loss),
        left=decimal(left.loss),
        currency="ρ" if privacy is None or privacy.currency == "zcdp" else "ε",
        delta=decimal(spent.delta) if has_delta else None,
        delta_left=decimal(left.delta) if has_delta else None,
        releases_left={dataset.name: _releases(left, dataset) for dataset in runway.datasets},
        runs_out=runway.refused,
        runway=runway.words(privacy) if privacy is not None else "its definition was deleted",
    )


def _releases(left: LossAmount, dataset: DatasetFile) -> int:
    definition = dataset.definition
    by_loss = left.loss // definition.loss.amount
    return max(0, min(by_loss, left.delta // definition.delta) if definition.delta else by_loss)


def _runway(workspace: Workspace, source: str, spent: Spent) -> Runway:
    datasets = tuple(each for each in workspace.datasets.values() if each.source.name == source)
    paces = {each.name: pace_of(each, datasets, spent, each.source.today()) for each in datasets}
    return Runway(datasets, {name: pace.refused for name, pace in paces.items() if pace.refused is not None})
