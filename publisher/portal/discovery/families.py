"""Tables that belong together: a dataset and the coarser tables that were released with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.contract import about

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import PublisherMetadata


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A dataset with its publisher's metadata."""

    dataset: PortalDataset
    about: PublisherMetadata

    @property
    def keys(self) -> int:
        """How many key columns it has besides the period; 0 if it has one number per period."""
        return len(self.about.shape.keys) if self.about.shape else 0


@dataclass(frozen=True, slots=True)
class Family:
    """The main dataset and its other levels, the coarsest first."""

    main: DatasetEntry
    levels: tuple[DatasetEntry, ...] = ()

    @property
    def members(self) -> tuple[DatasetEntry, ...]:
        """The main dataset and its levels."""
        return (self.main, *self.levels)

    def whole(self, over_time: str = "") -> DatasetEntry | None:
        """The table with one number per period, or None: of the releases, or of totals over such a time."""
        alike = (each for each in self.members if each.about.over_time == over_time)
        return next((each for each in alike if each.about.shape and not each.about.shape.keys), None)

    @property
    def over_time(self) -> bool:
        """Whether it has totals over time."""
        return any(each.about.over_time for each in self.members)


def families(datasets: Iterable[PortalDataset]) -> list[Family]:
    """Group the datasets into families, in the order of the first dataset of each."""
    groups: dict[tuple[str, str], list[DatasetEntry]] = {}
    for dataset in datasets:
        entry = DatasetEntry(dataset, about(dataset))
        groups.setdefault(_group(entry), []).append(entry)
    return [_family(entries) for entries in groups.values()]


def family_of(dataset: PortalDataset, datasets: Iterable[PortalDataset]) -> Family:
    """The family that contains the dataset."""
    found = families([dataset, *(each for each in datasets if each.id != dataset.id)])
    return next(each for each in found if any(entry.dataset.id == dataset.id for entry in each.members))


def _group(entry: DatasetEntry) -> tuple[str, str]:
    """What members of a family share: the owner, and the finest table's name, which companions' names begin with."""
    names = {entry.about.name, *(companion.name for companion in entry.about.companions)} - {""}
    return (entry.dataset.owner, min(names, key=len)) if names else ("", entry.dataset.id)


def _family(entries: list[DatasetEntry]) -> Family:
    main = min(entries, key=lambda entry: (len(entry.about.name), entry.dataset.id))
    levels = [entry for entry in entries if entry is not main]
    return Family(main, tuple(sorted(levels, key=lambda entry: (entry.keys, entry.dataset.rows))))
