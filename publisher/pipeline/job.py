"""One dataset and period to be released: its identity, its charge, and what was drawn of it before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from publisher.pipeline.charges import request_of
from publisher.release.identity import finishing_hash, statistical_hash

if TYPE_CHECKING:
    from publisher.definitions.period import Period
    from publisher.definitions.vintage import Vintage
    from publisher.pipeline.catalog import Catalog
    from publisher.privacy.charge import ChargeRequest
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace


@dataclass(frozen=True)
class Job:
    """One dataset and period to be released; `fingerprint` is that of the files that decide places.

    What follows from definition and store is computed once: a job is made under the lock and writes one edition.
    """

    workspace: Workspace
    catalog: Catalog
    dataset: DatasetFile
    period: Period
    fingerprint: str
    vintage: Vintage | None = None
    """Which of the period's scheduled editions; None where the source has no policy for late records."""

    @property
    def name(self) -> str:
        """The dataset and period, for people."""
        return f"{self.dataset.name} {self.period.label}"

    @property
    def number(self) -> int:
        """The number of its vintage, one where there is but one."""
        return self.vintage.number if self.vintage is not None else 1

    @property
    def adds(self) -> bool:
        """Whether its draw counts only what is new, to be added to the vintage before."""
        late = self.dataset.source.definition.late
        return late is not None and late.policy == "increment" and self.number > 1

    @cached_property
    def statistical_hash(self) -> str:
        """What makes two releases the same draw."""
        return statistical_hash(self.dataset, self.fingerprint)

    @cached_property
    def finishing_hash(self) -> str:
        """What makes two releases the same finish of a draw."""
        return finishing_hash(self.dataset)

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
        """The latest release whose draw serves this definition too: only what is done after the noise has changed."""
        return self.draws.get(self.number)

    @property
    def released(self) -> Release | None:
        """The newest edition, if it is what this definition asks for: the same draw with the same finish."""
        newest = self.editions[-1:]
        same = newest == [self.drawn] and newest[0].manifest.finishing_hash == self.finishing_hash
        return newest[0] if same else None

    @property
    def last_vintage(self) -> int:
        """The number of the last vintage that was drawn for this definition; zero before the first."""
        return max(self.draws, default=0)
