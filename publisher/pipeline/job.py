"""One dataset and period to release: its identity, its charge, and what was already drawn for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from publisher.engine.order import ORDER
from publisher.pipeline.charges import request_of
from publisher.records.places import boundaries_fingerprint
from publisher.records.purging import purged_of
from publisher.release.identity import finishing_hash, statistical_hash, statistical_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.definitions.period import Period
    from publisher.definitions.vintage import Vintage
    from publisher.pipeline.catalog import Catalog
    from publisher.privacy.charge import ChargeRequest
    from publisher.privacy.ledger import Entry
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace


@dataclass(frozen=True)
class Identity:
    """What a definition is recognized by, computed once for all its periods."""

    dataset: DatasetFile
    fingerprint: str

    @cached_property
    def hashes(self) -> tuple[str, ...]:
        """The hashes under which the definition may have been charged, that of a new draw first."""
        return hashes_of(self.dataset, self.fingerprint)

    @cached_property
    def parts(self) -> dict[str, str]:
        """A short hash of each part of the definition that decides the draw."""
        return statistical_parts(self.dataset, self.fingerprint)

    @cached_property
    def finishing_hash(self) -> str:
        """What makes two releases the same finish of a draw."""
        return finishing_hash(self.dataset)


@dataclass(frozen=True)
class Job:
    """One dataset and period to release; `fingerprint` identifies the files that decide places.

    What depends on definition and store is computed once: a job is made under the lock and writes one edition.
    """

    workspace: Workspace
    catalog: Catalog
    dataset: DatasetFile
    period: Period
    fingerprint: str
    vintage: Vintage | None = None
    """Which of the period's scheduled editions; None if the source has no policy for late records."""
    of_all: Identity | None = None
    """The identity that all periods of the dataset share."""

    @cached_property
    def identity(self) -> Identity:
        """That of the dataset as it is here: keys that a selection has found make another one."""
        shared = self.of_all
        return (
            shared
            if shared is not None and shared.dataset is self.dataset
            else Identity(self.dataset, self.fingerprint)
        )

    @property
    def name(self) -> str:
        """The dataset and period, for people."""
        return f"{self.dataset.name} {self.period.label}"

    @property
    def number(self) -> int:
        """The number of its vintage; one if there is only one."""
        return self.vintage.number if self.vintage is not None else 1

    @property
    def adds(self) -> bool:
        """Whether its draw counts only what is new and is added to the vintage before."""
        late = self.dataset.source.definition.late
        return late is not None and late.policy == "increment" and self.number > 1

    @property
    def order(self) -> str:
        """The keyed order that a new draw is bounded by; none if records are the units."""
        return order_of(self.dataset)

    @cached_property
    def statistical_hash(self) -> str:
        """What makes two releases the same draw.

        What was charged under the order of the first version keeps the hash it had: a new order redraws nothing.
        """
        new, *older = self.hashes
        if self._began_as(new):
            return new
        return next((each for each in older if self._began_as(each)), new)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The hashes under which this definition may have been charged, that of a new draw first."""
        return self.identity.hashes

    def _began_as(self, wanted: str) -> bool:
        """Whether the period was released, or at least charged, with this hash."""
        released = any(each.manifest.statistical_hash == wanted for each in self.editions)
        return released or any(each.payload["statistical_hash"] == wanted for each in self._charges)

    @property
    def parts(self) -> dict[str, str]:
        """A short hash of each part of the definition that decides the draw."""
        return self.identity.parts

    @property
    def finishing_hash(self) -> str:
        """What makes two releases the same finish of a draw."""
        return self.identity.finishing_hash

    @cached_property
    def request(self) -> ChargeRequest:
        """The charge that its draw needs."""
        return request_of(self.dataset, self.period, self.statistical_hash, self.workspace.settings, self.number)

    @cached_property
    def editions(self) -> list[Release]:
        """The releases of this period when the job began."""
        return self.catalog.store.editions(self.dataset.name, self.period.label)

    @cached_property
    def draws(self) -> dict[int, Release]:
        """By vintage, the latest release of each draw that this definition asks for."""
        wanted = self.statistical_hash
        return {each.manifest.vintage: each for each in self.editions if each.manifest.statistical_hash == wanted}

    @property
    def drawn(self) -> Release | None:
        """The latest release whose draw serves this definition too: only what is done after the noise differs."""
        return self.draws.get(self.number)

    @property
    def released(self) -> Release | None:
        """The newest edition, if it is what this definition asks for: the same draw with the same finish."""
        newest = self.editions[-1:]
        same = newest == [self.drawn] and newest[0].manifest.finishing_hash == self.finishing_hash
        return newest[0] if same else None

    @property
    def redraws(self) -> bool:
        """Whether the period was charged before, but never for this definition: it would be charged again.

        A draw that a crash kept from being released counts: only its own definition resumes it for free.
        """
        if self.draws or self.editions:
            return not self.draws
        hashes = [each.payload["statistical_hash"] for each in self._charges]
        return bool(hashes) and self.statistical_hash not in hashes

    @cached_property
    def _charges(self) -> list[Entry]:
        """What the ledger has of this period."""
        return self.catalog.ledger.charges(self.dataset.name, self.period.label)

    @property
    def refinishes(self) -> bool:
        """Whether the period's draw stays and gets another edition with another finish, which costs nothing."""
        return bool(self.draws) and self.editions[-1].manifest.finishing_hash != self.finishing_hash

    @property
    def changed_parts(self) -> list[str]:
        """The parts of the definition that were edited since the newest edition; none if the edition does not say."""
        before = self.editions[-1].manifest.parts if self.editions else {}
        names = dict.fromkeys((*before, *self.parts)) if before else {}
        return [name for name in names if before.get(name) != self.parts.get(name)]

    @cached_property
    def purged(self) -> bool:
        """Whether records of the period were purged, so that nothing more can be drawn of it."""
        months = purged_of(self.workspace.private, self.dataset.source.name)
        return months.touches(self.period.start, self.period.end)

    @property
    def last_vintage(self) -> int:
        """The number of the last vintage that was drawn for this definition; zero before the first."""
        return max(self.draws, default=0)


def identity_of(workspace: Workspace, dataset: DatasetFile) -> Identity:
    """What a definition is recognized by. Raises SourceError when a file that decides places is missing."""
    return Identity(dataset, boundaries_fingerprint(dataset.source, workspace.data))


def order_of(dataset: DatasetFile) -> str:
    """The keyed order by which the dataset's units are bounded; none if records are the units."""
    return ORDER if dataset.source.definition.privacy.unit != "record" else ""


def hashes_of(dataset: DatasetFile, fingerprint: str) -> tuple[str, ...]:
    """The statistical hashes of a definition: of a new draw, then of one under the order of the first version."""
    orders = dict.fromkeys((order_of(dataset), ""))
    return tuple(statistical_hash(dataset, fingerprint, order) for order in orders)


def jobs_of(workspace: Workspace, catalog: Catalog, dataset: DatasetFile, periods: Iterable[Period]) -> list[Job]:
    """A job for each period. Raises SourceError when a file that decides places is missing."""
    shared = identity_of(workspace, dataset)
    return [Job(workspace, catalog, dataset, period, shared.fingerprint, of_all=shared) for period in periods]
