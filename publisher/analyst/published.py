"""What the analyst file is made of: the current releases of one dataset, and where the portal shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile


@dataclass(frozen=True)
class PublishedDataset:
    """A dataset with the current edition of each period; `addresses` has the portal's id and page of each table.

    `totals` has the current totals over time by their name.
    """

    file: DatasetFile
    releases: Sequence[Release]
    addresses: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    totals: Mapping[str, Sequence[Release]] = field(default_factory=dict)

    @cached_property
    def tables(self) -> dict[str, list[Release]]:
        """Level -> that table in every release that has it, the dataset's own first, totals over time last; only those
        with a release."""
        found: dict[str, list[Release]] = {"": []}
        for release in self.releases:
            for level, table in release.tables.items():
                found.setdefault(level, []).append(table)
        found |= {name: list(tables) for name, tables in self.totals.items()}
        return {level: tables for level, tables in found.items() if tables}

    @property
    def signed(self) -> set[str]:
        """The measures whose values may be below zero."""
        return {each.name for each in self.file.definition.measures if each.kind == "sum" and each.clamps[0] < 0}

    def title(self, level: str) -> str:
        """The title of one table, as the newest release that has it says it."""
        if not level:
            return self.file.definition.title
        if level in self.totals:
            return next(each.title for each in self.file.definition.totals if each.name == level)
        return next(
            each.title for release in reversed(self.releases) for each in release.manifest.rollups if each.name == level
        )


def table_name(dataset: str) -> str:
    """The table's name in the analyst file."""
    return dataset.replace("-", "_")
