"""Tables that belong together: a dataset and the coarser tables that were released with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.contract import about

if TYPE_CHECKING:
    from collections.abc import Iterable

    from publisher.portal.base.model import Dataset
    from publisher.portal.contract import About


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset with what its publisher says of it."""

    dataset: Dataset
    about: About

    @property
    def keys(self) -> int:
        """How many columns tell its cells apart beside the period; none where it has one number for each period."""
        return len(self.about.shape.keys) if self.about.shape else 0


@dataclass(frozen=True, slots=True)
class Family:
    """The dataset that people look for and its levels, the coarsest first."""

    main: Entry
    levels: tuple[Entry, ...] = ()

    @property
    def members(self) -> tuple[Entry, ...]:
        """All of them."""
        return (self.main, *self.levels)

    @property
    def whole(self) -> Entry | None:
        """The table that has one number for each period."""
        return next((each for each in self.members if each.about.shape and not each.about.shape.keys), None)


def families(datasets: Iterable[Dataset]) -> list[Family]:
    """The datasets in groups, in the order in which the first of each group comes."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for dataset in datasets:
        entry = Entry(dataset, about(dataset))
        groups.setdefault(_group(entry), []).append(entry)
    return [_family(entries) for entries in groups.values()]


def family_of(dataset: Dataset, datasets: Iterable[Dataset]) -> Family:
    """The group in which the dataset is."""
    found = families([dataset, *(each for each in datasets if each.id != dataset.id)])
    return next(each for each in found if any(entry.dataset.id == dataset.id for entry in each.members))


def _group(entry: Entry) -> tuple[str, str]:
    """The owner and the name of the finest table: companions' names begin with it."""
    names = {entry.about.name, *(companion.name for companion in entry.about.companions)} - {""}
    return (entry.dataset.owner, min(names, key=len)) if names else ("", entry.dataset.id)


def _family(entries: list[Entry]) -> Family:
    main = min(entries, key=lambda entry: (len(entry.about.name), entry.dataset.id))
    levels = [entry for entry in entries if entry is not main]
    return Family(main, tuple(sorted(levels, key=lambda entry: (entry.keys, entry.dataset.rows))))
