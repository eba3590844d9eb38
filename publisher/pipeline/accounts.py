"""What the ledger says of sources and datasets, for the guarantee: what was spent, and by which definitions."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from publisher.definitions.period import LIFETIME, parse
from publisher.errors import SourceError
from publisher.pipeline.charges import TUNING
from publisher.pipeline.job import hashes_of
from publisher.privacy.account import blocks_of
from publisher.records.places import boundaries_fingerprint
from publisher.release.composition import account_of
from publisher.release.guarantee_inputs import NOTHING, Decision, Tuning, WindowSpending

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from publisher.privacy.account import ChargeLine
    from publisher.privacy.ledger import Ledger
    from publisher.release.guarantee_inputs import SourceAccount
    from publisher.workspace import DatasetFile, SourceFile, Workspace


@dataclass(frozen=True)
class DatasetDraws:
    """What one dataset has spent on blocks, besides the draw that a guarantee is for: under earlier definitions, and by
    measuring for its bounds."""

    earlier: WindowSpending
    """The most on any block of the draw."""
    edited: WindowSpending
    """The most on any block that the definition of the draw has spent on, or that was measured and is still to be
    released."""
    most: WindowSpending
    """The most on any block, with all draws."""
    tunings: tuple[Tuning, ...] = ()
    """Every measurement for its bounds."""
    redefined: bool = False
    """Whether earlier definitions have spent on a block of the draw."""
    one_definition: bool = True
    """Whether no release of another definition of the dataset has spent anything."""
    released: bool = False
    """Whether any release has."""


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
        return account_of(source, known, _most([*self.spent(source).values(), *allowed]))

    def decisions(self, source: SourceFile) -> tuple[Decision, ...]:
        """What people recorded about the source, oldest first."""
        return tuple(
            Decision("amendment" if each.kind == "amendment" else "allowance", each.at[:10], each.payload["reason"])
            for each in self.ledger.entries("amendment", "allowance")
            if each.payload["source"] == source.name
        )

    def spent(self, source: SourceFile) -> dict[str, WindowSpending]:
        """What every block of the source has spent."""
        return {block: WindowSpending(*amount) for block, amount in self.ledger.spent(source.name).items()}

    def draws(self, dataset: DatasetFile, hashes: Collection[str], blocks: Collection[str]) -> DatasetDraws:
        """What the dataset has spent; `hashes` are those of the definition of the draw. Its charges on another source
        are that source's account."""
        made = [(line, *_definition(line)) for line in self.ledger.lines(dataset.source.name)]
        released = [line for line, name, _ in made if name == dataset.name]
        own = {line.block for line, name, digest in made if name == dataset.name and digest in hashes}
        redefined = [line for line, name, digest in made if name == dataset.name and digest not in hashes]
        tuned = [line for line, name, _ in made if name == f"{TUNING}{dataset.name}"]
        others = _spent([*redefined, *tuned])
        touched = own | set(blocks) | {line.block for line in tuned if released_yet(dataset, line.block)}
        return DatasetDraws(
            earlier=_most(spent for block, spent in others.items() if block in blocks),
            edited=_most(spent for block, spent in others.items() if block in touched),
            most=_most(_spent([*released, *tuned]).values()),
            tunings=_tunings(tuned),
            redefined=any(line.block in blocks for line in redefined),
            one_definition=not redefined,
            released=bool(released),
        )

    def tunings(self, dataset: DatasetFile) -> tuple[Tuning, ...]:
        """Every measurement for the dataset's bounds, oldest first."""
        return _tunings(self._tuned(dataset))

    def _tuned(self, dataset: DatasetFile) -> list[ChargeLine]:
        lines = self.ledger.lines(dataset.source.name)
        return [line for line in lines if _definition(line)[0] == f"{TUNING}{dataset.name}"]

    def _definitions(self, source: SourceFile, datasets: Iterable[DatasetFile]) -> set[tuple[str, str]]:
        """The source's datasets with the hashes of their definitions."""
        try:
            fingerprint = boundaries_fingerprint(source, self.workspace.data)
        except SourceError:  # its boundaries are not here: nothing of it is known
            return set()
        return {(each.name, found) for each in datasets for found in hashes_of(each, fingerprint)}


def released_yet(dataset: DatasetFile, block: str) -> bool:
    """Whether the dataset releases the block, now or in time: it does not begin before the dataset's first period."""
    return block == LIFETIME.label or parse(block).end > parse(dataset.definition.first).start


def _tunings(lines: Iterable[ChargeLine]) -> tuple[Tuning, ...]:
    found: dict[int, list[ChargeLine]] = {}
    for line in lines:
        found.setdefault(line.sequence, []).append(line)
    return tuple(
        Tuning(entry, each[0].series.split(" ")[1], Fraction(each[0].loss), tuple(line.block for line in each))
        for entry, each in sorted(found.items())
    )


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
