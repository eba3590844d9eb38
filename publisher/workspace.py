"""Finds `publisher.toml`, loads the definitions around it and checks them against each other."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from publisher.definitions.cells import CellGrid, grid_of
from publisher.definitions.dataset import Dataset, Key
from publisher.definitions.keyset import Keyset, Lookup, read_keyset, read_lookup
from publisher.definitions.settings import Settings
from publisher.definitions.source import Feed, Source
from publisher.definitions.toml import Origin, build, read_toml
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from publisher.definitions import period as civil

FILE = "publisher.toml"


@dataclass(frozen=True)
class SourceFile:
    """A source with its SELECT and its lookups."""

    name: str
    definition: Source
    sql: str
    lookups: dict[str, Lookup]
    origin: Origin


@dataclass(frozen=True)
class DatasetFile:
    """A dataset with its source, its keysets (aligned with its keys) and its origin."""

    name: str
    definition: Dataset
    source: SourceFile
    keysets: tuple[Keyset, ...]
    origin: Origin

    def grid(self, period: civil.Period) -> CellGrid:
        """The cells of one release: every cell period with every combination of keys."""
        definition = self.definition
        return grid_of(period.cut(definition.cell_grain), definition.keys, self.keysets)


@dataclass(frozen=True)
class Workspace:
    """One folder with `publisher.toml`. Definitions are read when they are first asked for."""

    root: Path
    settings: Settings
    data: Path
    """The folder of the raw files."""
    state: Path
    """The folder of everything that is written."""
    feeds: Mapping[str, Feed] = field(default_factory=dict)
    """Feeds that stand in for those of the definitions, by source: those of a rehearsal."""

    @property
    def private(self) -> Path:
        """Landed records, keys, the ledger and private reports; mode 0700."""
        return self.state / "private"

    @property
    def public(self) -> Path:
        """Releases and the analyst file."""
        return self.state / "public"

    @property
    def portal(self) -> Path:
        """The store of the embedded portal."""
        return self.state / "portal"

    def suite(self, dataset: str) -> Path:
        """The expectations that the dataset's releases must meet."""
        return self.root / "expectations" / f"{dataset}.json"

    @cached_property
    def sources(self) -> dict[str, SourceFile]:
        """Every source of the workspace by name, in order. Raises DefinitionError."""
        return {path.stem: self._source(path) for path in sorted((self.root / "pipelines").glob("*.toml"))}

    @cached_property
    def datasets(self) -> dict[str, DatasetFile]:
        """Every dataset of the workspace by name, in order. Raises DefinitionError."""
        return {path.stem: self._dataset(path) for path in sorted((self.root / "datasets").glob("*.toml"))}

    def dataset(self, name: str) -> DatasetFile:
        """One dataset. Raises DefinitionError naming those that exist."""
        if name not in self.datasets:
            known = ", ".join(self.datasets) or "none"
            raise DefinitionError(f"no dataset is called {name!r}; there are: {known}")
        return self.datasets[name]

    def source(self, name: str) -> SourceFile:
        """One source. Raises DefinitionError naming those that exist."""
        if name not in self.sources:
            raise DefinitionError(f"no source is called {name!r}; there are: {', '.join(self.sources) or 'none'}")
        return self.sources[name]

    def shown(self, path: Path) -> str:
        """The path as people know it: relative to the workspace where it lies inside."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def _source(self, path: Path) -> SourceFile:
        name = self.shown(path)
        values, origin = read_toml(path, name)
        definition = build(Source, values, origin)
        if path.stem in self.feeds:
            definition = definition.model_copy(update={"feed": self.feeds[path.stem]})
        query = path.with_suffix(".sql")
        if not query.is_file():
            raise origin.error((), f"its SELECT is missing: write {self.shown(query)}")
        lookups = {lookup: self._lookup(lookup, origin) for lookup in definition.lookups}
        return SourceFile(path.stem, definition, query.read_text(encoding="utf-8"), lookups, origin)

    def _lookup(self, name: str, origin: Origin) -> Lookup:
        path = self.root / "datasets" / "keysets" / f"{name}.csv"
        if not path.is_file():
            raise origin.error(("lookups",), f"the lookup {name!r} is missing: write {self.shown(path)}")
        return read_lookup(path, self.shown(path))

    def _dataset(self, path: Path) -> DatasetFile:
        values, origin = read_toml(path, self.shown(path))
        definition = build(Dataset, values, origin)
        if definition.source not in self.sources:
            known = ", ".join(self.sources) or "none"
            raise origin.error(("source",), f"unknown source {definition.source!r}; there are: {known}")
        source = self.sources[definition.source]
        _check_pair(definition, source.definition, origin)
        keysets = tuple(self._keyset(n, key, origin) for n, key in enumerate(definition.keys))
        return DatasetFile(path.stem, definition, source, keysets, origin)

    def _keyset(self, number: int, key: Key, origin: Origin) -> Keyset:
        path = self.root / "datasets" / "keysets" / f"{key.keyset}.csv"
        if not path.is_file():
            raise origin.error(("keys", number, "keyset"), f"is missing: write {self.shown(path)}")
        return read_keyset(path, self.shown(path))


def find_workspace(start: Path) -> Workspace:
    """The workspace at `start` or in the nearest folder above it. Raises DefinitionError.

    PUBLISHER_DATA and PUBLISHER_STATE override the folders that publisher.toml names.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE).is_file():
            values, origin = read_toml(folder / FILE, FILE)
            settings = build(Settings, values, origin)
            data = folder / (os.environ.get("PUBLISHER_DATA") or settings.data)
            state = folder / (os.environ.get("PUBLISHER_STATE") or settings.state)
            return Workspace(folder, settings, data.resolve(), state.resolve())
    raise DefinitionError(f"no {FILE} here or in a folder above: run `publisher init` to make a workspace")


def _check_pair(dataset: Dataset, source: Source, origin: Origin) -> None:
    privacy = source.privacy
    if dataset.loss.currency != privacy.currency:
        wanted = "rho" if privacy.currency == "zcdp" else "epsilon"
        raise origin.error(("loss",), f"the source {dataset.source} keeps its budget in {wanted}: give {wanted}")
    if dataset.loss.amount > privacy.budget:
        raise origin.error(("loss",), f"one release would spend more than the block's whole budget {privacy.budget}")
    if privacy.unit == "record" and (dataset.bounds.max_groups, dataset.bounds.max_per_group) != (1, 1):
        raise origin.error(("bounds",), "a record lies in one cell once: delete bounds for the unit record")
    customers = next(each for each in dataset.measures if each.name == dataset.suppression.measure)
    if dataset.suppression.customers is not None and privacy.unit != "record" and customers.kind != "count_units":
        raise origin.error(("suppression", "customers"), "customers are units: compare a count_units measure")
    if privacy.unit != "record" and "bounds" not in dataset.model_fields_set:
        raise origin.error((), "is missing [bounds]: say max_groups and max_per_group for the source's unit")
