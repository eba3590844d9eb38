"""What the ledger says of sources and datasets, for the guarantee: what was spent, and by which definitions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.errors import SourceError
from publisher.pipeline.job import hashes_of
from publisher.privacy.account import blocks_of
from publisher.records.places import boundaries_fingerprint
from publisher.release.composition import account_of
from publisher.release.guarantee_inputs import NOTHING, Decision, WindowSpending

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from publisher.privacy.account import ChargeLine
    from publisher.privacy.ledger import Ledger
    from publisher.release.guarantee_inputs import SourceAccount
    from publisher.workspace import DatasetFile, SourceFile, Workspace


@dataclass(frozen=True)
class DatasetDraws:
    """What one dataset has spent on blocks, besides the draw that a guarantee is for."""

    earlier: WindowSpending
    """The most that its earlier definitions have spent on any block of the draw."""
    edited: WindowSpending
    """The same for any block that the definition of the draw has spent on."""
    most: WindowSpending
    """The most on any block, under all definitions."""


@dataclass(frozen=True)
class SourceAccounts:
    """The accounts of a workspace's sources at this moment."""

    workspace: Workspace
    ledger: Ledger

    def account(self, source: SourceFile) -> SourceAccount:
        """The account of one source; its tables are known only if today's definitions made every charge."""
        lines = self.ledger.lines(source.name)
        datasets = [each for each in self.workspace.datasets.values() if each.source.name == source.name]
        known = datasets if {_definition(line) for line in lines} <= self._definitions(source, datasets) else []
        declared = source.definition.privacy
        allowed = [
            WindowSpending(Fraction(declared.budget) + more.loss, Fraction(declared.delta) + more.delta)
            for more in self.ledger.allowed(source.name).values()
        ]
        return account_of(source, known, _most([*_spent(lines).values(), *allowed]))

    def decisions(self, source: SourceFile) -> tuple[Decision, ...]:
        """What people recorded about the source, oldest first."""
        return tuple(
            Decision("amendment" if each.kind == "amendment" else "allowance", each.at[:10], each.payload["reason"])
            for each in self.ledger.entries("amendment", "allowance")
            if each.payload["source"] == source.name
        )

    def spent(self, source: SourceFile) -> dict[str, WindowSpending]:
        """What every block of the source has spent."""
        return _spent(self.ledger.lines(source.name))

    def draws(self, dataset: DatasetFile, hashes: Collection[str], blocks: Collection[str]) -> DatasetDraws:
        """What the dataset has spent; `hashes` are those of the definition of the draw. Its charges on another source
        are that source's account."""
        lines = [line for line in self.ledger.lines(dataset.source.name) if _definition(line)[0] == dataset.name]
        own = {line.block for line in lines if _definition(line)[1] in hashes}
        others = _spent(line for line in lines if _definition(line)[1] not in hashes)
        return DatasetDraws(
            earlier=_most(spent for block, spent in others.items() if block in blocks),
            edited=_most(spent for block, spent in others.items() if block in own or block in blocks),
            most=_most(_spent(lines).values()),
        )

    def _definitions(self, source: SourceFile, datasets: Iterable[DatasetFile]) -> set[tuple[str, str]]:
        """The source's datasets with the hashes of their definitions."""
        try:
            fingerprint = boundaries_fingerprint(source, self.workspace.data)
        except SourceError:  # its boundaries are not here: nothing of it is known
            return set()
        return {(each.name, found) for each in datasets for found in hashes_of(each, fingerprint)}


def _definition(line: ChargeLine) -> tuple[str, str]:
    """The dataset and the statistical hash of a charge."""
    dataset, *_, digest = line.series.split(" ")
    return dataset, digest


def _spent(lines: Iterable[ChargeLine]) -> dict[str, WindowSpending]:
    return {name: WindowSpending(*block.spent) for (_, name), block in blocks_of(lines).items()}


def _most(spent: Iterable[WindowSpending]) -> WindowSpending:
    """The most of each: never less than any of them."""
    found = [NOTHING, *spent]
    return WindowSpending(max(each.loss for each in found), max(each.delta for each in found))
