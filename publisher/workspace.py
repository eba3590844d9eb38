"""Find `publisher.toml`, load the definitions around it and check them against each other."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from publisher import encryption
from publisher.buckets import BucketAddress
from publisher.copies import LandedCopies
from publisher.definitions.cells import Axis, CellGrid, grid_of
from publisher.definitions.compatibility import check_pair, check_reference_files
from publisher.definitions.dataset import CoarserKey, Dataset
from publisher.definitions.keyset import Keyset, Lookup, read_keyset, read_lookup
from publisher.definitions.levels import MOST_COARSER, CoarserAxis, Level, connected, levels_of
from publisher.definitions.settings import Settings, address
from publisher.definitions.source import Source
from publisher.definitions.toml import MARK, Origin, build, marks, read_text, read_toml
from publisher.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from publisher.definitions import period as civil
    from publisher.definitions.feed import Feed
    from publisher.definitions.settings import ReviewSettings

FILE = "publisher.toml"

_LATELY = 30
"""So many days back is the beginning of a feed whose `start` is still marked."""

OPEN_BUDGET = Decimal("0.5")
"""What a budget that is still marked is taken for in work on drafts, which charges nothing."""


@dataclass(frozen=True)
class SourceFile:
    """A source with its SELECT and its lookups."""

    name: str
    definition: Source
    sql: str
    lookups: dict[str, Lookup]
    origin: Origin

    def shares_files(self, other: SourceFile) -> bool:
        """Whether the feeds of both may have a record in common: one place is, or is inside, the other."""
        mine, theirs = self.definition.feed.place, other.definition.feed.place
        shorter = min(len(mine), len(theirs))
        return mine[:shorter] == theirs[:shorter]

    def apart_from(self, other: SourceFile) -> str | None:
        """The reason why the other source is about other people, if this one's definition says so."""
        return next((each.reason for each in self.definition.apart if each.source == other.name), None)

    def now(self) -> datetime:
        """Now, on the source's own clock."""
        return datetime.now(UTC).astimezone(ZoneInfo(self.definition.timezone))

    def today(self) -> date:
        """Today, on the source's own clock."""
        return self.now().date()


@dataclass(frozen=True)
class DatasetFile:
    """A dataset with its source, its keysets (aligned with its keys) and its origin.

    A key column with discovered keys has an empty keyset until a release has found them.
    """

    name: str
    definition: Dataset
    source: SourceFile
    keysets: tuple[Keyset, ...]
    origin: Origin
    coarser: tuple[CoarserFile, ...] = ()
    mappings: Mapping[str, Lookup] = field(default_factory=dict)
    """By key column: which of its keys each polygon belongs to, if its boundaries have a mapping."""

    def due_day(self) -> date:
        """What is complete by this day is due: today, or the day of its schedule's latest time."""
        schedule = self.definition.schedule
        if schedule is None:
            return self.source.today()
        now = self.source.now()
        return schedule.last(now).astimezone(now.tzinfo).date()

    def comes(self, day: date) -> datetime:
        """When what is complete by that day comes out: then, or at the next time of its schedule."""
        begins = datetime.combine(day, time(), ZoneInfo(self.source.definition.timezone))
        schedule = self.definition.schedule
        return begins if schedule is None else schedule.next(begins - timedelta(minutes=1)).astimezone(begins.tzinfo)

    def grid(self, period: civil.Period) -> CellGrid:
        """The cells of one release: every cell period with every combination of keys."""
        definition = self.definition
        return grid_of(period.cut(definition.cell_grain), definition.keys, self.keysets)

    def levels(self, period: civil.Period) -> tuple[Level, ...]:
        """The tables of one release: its rollups in order, the finest last."""
        finest = self.grid(period)
        axes = {axis.name: axis for axis in finest.axes}
        coarser: list[CoarserAxis] = []
        for each in self.coarser:
            made = each.axis(axes[each.of])
            axes[made.axis.name] = made.axis
            coarser.append(made)
        return levels_of(self.definition, finest, tuple(coarser), period)

    @property
    def key_counts(self) -> dict[str, int]:
        """How many keys each key column has, its catch-all among them."""
        own = zip(self.definition.keys, self.keysets, strict=True)
        counts = {key.name: len({*keyset.keys, key.other}) for key, keyset in own}
        coarser = {each.definition.name: len({*each.keyset.keys, each.definition.other}) for each in self.coarser}
        return counts | coarser

    def named(self, level: str) -> str:
        """The name under which a level's table is published: the dataset's own for the finest."""
        return f"{self.name}-{level}" if level else self.name

    def discovering(self, keys: tuple[str, ...]) -> DatasetFile:
        """The same dataset with the keys that a selection has found."""
        found = Keyset("discovered", keys, None, "")
        keysets = zip(self.definition.keys, self.keysets, strict=True)
        return replace(self, keysets=tuple(found if key.discover else keyset for key, keyset in keysets))


@dataclass(frozen=True)
class CoarserFile:
    """A coarser key column with its keyset and the mapping of finer keys."""

    definition: CoarserKey
    keyset: Keyset
    mapping: Lookup

    @property
    def of(self) -> str:
        """The finer key column."""
        return self.definition.of

    def axis(self, finer: Axis) -> CoarserAxis:
        """The coarser axis over the finer one; keys without a finer key get no cells."""
        belongs = {row[0]: row[1] for row in self.mapping.rows}
        of_each = [belongs.get(key, self.definition.other) for key in finer.keys]
        names = {key: n for n, key in enumerate(self.keyset.keys)}
        keys = [key for key in (*self.keyset.keys, self.definition.other) if key in of_each]
        keys = list(dict.fromkeys(keys))
        labels = None
        if self.keyset.labels is not None:
            labels = tuple(self.keyset.labels[names[key]] if key in names else key for key in keys)
        other = keys.index(self.definition.other) if self.definition.other in keys else 0
        axis = Axis(self.definition.name, tuple(keys), labels, other)
        return CoarserAxis(axis, self.of, tuple(keys.index(key) for key in of_each))


@dataclass(frozen=True)
class Workspace:
    """One folder with `publisher.toml`. Definitions are read when they are first asked for."""

    root: Path
    settings: Settings
    data: Path
    """The folder of the raw files."""
    state: Path
    """The folder for everything that publisher writes."""
    heads: Path
    """The folder for the ledger's newest head, outside the state folder."""
    feeds: Mapping[str, Feed] = field(default_factory=dict)
    """The feeds of a rehearsal, by source, which replace those of the definitions."""
    drafts: bool = False
    """Whether a source may still have marked places, for looking at its files; datasets that have some are left out.
    Otherwise sources that have some are left out too."""

    @property
    def private(self) -> Path:
        """Landed records, keys, the ledger and private reports; mode 0700."""
        return self.state / "private"

    @property
    def copies(self) -> LandedCopies | None:
        """The object store that landed records lie in; None if that is the private folder, as in a rehearsal."""
        settings = self.settings.landed
        if settings is None or self.feeds:
            return None
        folder = self.private / "tmp" / "copies"
        return LandedCopies(BucketAddress(settings.url, settings.endpoint, settings.region), folder, folder)

    @property
    def scratch(self) -> Path:
        """Where temporary files of records are: in the private folder or, if that is encrypted, in memory."""
        return encryption.scratch(self.private)

    @property
    def public(self) -> Path:
        """Releases and the analyst file."""
        return self.state / "public"

    @property
    def portal(self) -> Path:
        """The store of the embedded portal."""
        return self.state / "portal"

    @property
    def review(self) -> ReviewSettings | None:
        """Who approves definitions and releases; None if no one has to, as in a rehearsal, which is thrown away."""
        return self.settings.review if not self.feeds else None

    def suite(self, dataset: str) -> Path:
        """The expectations that the dataset's releases must meet."""
        return self.root / "expectations" / f"{dataset}.json"

    @cached_property
    def sources(self) -> dict[str, SourceFile]:
        """Every source of the workspace by name, in order, but for drafts. Raises DefinitionError."""
        paths = sorted((self.root / "pipelines").glob("*.toml"))
        found = {path.stem: self._source(path) for path in paths if self.drafts or path not in self.unfinished}
        definitions = {name: source.definition for name, source in found.items()}
        for source in found.values():
            self._check_encryption(source)
            check_reference_files(source.definition, definitions, source.origin)
            for n, each in enumerate(source.definition.apart):
                draft = self._pipeline(each.source) in self.unfinished
                if not draft and (each.source not in found or not source.shares_files(found[each.source])):
                    words = f"{each.source} is not a source that reads the same files: delete it"
                    raise source.origin.error(("apart", n, "source"), words)
            _check_minors(source, found.values())
        return found

    def _check_encryption(self, source: SourceFile) -> None:
        settings = self.settings.encryption
        if settings is not None and settings.spill == "off" and source.definition.fetched and not self.feeds:
            words = (
                "what is fetched is on disk until it is landed, which does not go with [encryption] in publisher.toml: "
                'put the state folder on an encrypted volume and set spill = "encrypted-volume"'
            )
            raise source.origin.error(("feed", "kind"), words)

    def same_people(self, source: SourceFile) -> tuple[SourceFile, ...]:
        """The sources that count as about the same people, this one included: of the same population, or over the
        same files if neither is declared apart from the other."""
        return tuple(each for each in self.sources.values() if each is source or _same_people(source, each))

    @cached_property
    def datasets(self) -> dict[str, DatasetFile]:
        """Every dataset of the workspace by name, in order, but for drafts. Raises DefinitionError."""
        dict(self.sources)  # first: what is wrong with them is told before what is wrong with datasets
        paths = sorted((self.root / "datasets").glob("*.toml"))
        found = {path.stem: self._dataset(path) for path in paths if not self._is_draft(path)}
        for dataset in found.values():
            for n, rollup in enumerate(dataset.definition.rollups):
                if rollup.publish and dataset.named(rollup.name) in found:
                    message = (
                        f"its table would have the name of the dataset {dataset.named(rollup.name)}: rename the rollup"
                    )
                    raise dataset.origin.error(("rollups", n, "name"), message)
            for n, total in enumerate(dataset.definition.totals):
                if dataset.named(total.name) in found:
                    words = (
                        f"its table would have the name of the dataset {dataset.named(total.name)}: rename the total"
                    )
                    raise dataset.origin.error(("totals", n, "name"), words)
        return found

    def dataset(self, name: str) -> DatasetFile:
        """One dataset. Raises DefinitionError naming those that exist."""
        if name not in self.datasets:
            self._refuse_draft(self.root / "datasets" / f"{name}.toml")
            known = ", ".join(self.datasets) or "none"
            raise DefinitionError(f"there is no dataset {name!r}; this workspace has: {known}")
        return self.datasets[name]

    def source(self, name: str) -> SourceFile:
        """One source. Raises DefinitionError naming those that exist."""
        if name not in self.sources:
            self._refuse_draft(self._pipeline(name))
            raise DefinitionError(
                f"there is no source {name!r}; this workspace has: {', '.join(self.sources) or 'none'}"
            )
        return self.sources[name]

    def shown(self, path: Path) -> str:
        """The path as people know it: relative to the workspace if it is inside."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    @cached_property
    def unfinished(self) -> dict[Path, list[str]]:
        """What is still marked in the sources and datasets that are left out until a person has filled it in.

        Raises one DefinitionError for all marked places if the settings have some, if nothing else is there to work
        with, or if what has them was landed or released before: without it, charges would be overlooked.
        """
        definitions = sorted((self.root / "pipelines").glob("*.toml"))
        datasets = sorted((self.root / "datasets").glob("*.toml"))
        settings = [self.root / FILE] if (self.root / FILE).is_file() else []  # an audit's scratch folder has none
        paths = [*settings, *definitions, *datasets] if definitions else []
        found = {path: words for path in paths if (words := self._marks(path))}
        whole = [path for path in datasets if path not in found and self._pipeline(self._source_of(path)) not in found]
        if found and (not whole or any(path in settings or self._begun(path, datasets) for path in found)):
            raise DefinitionError("\n".join(words for each in found.values() for words in each))
        return found

    def left_out(self) -> list[str]:
        """A line for each draft. Raises DefinitionError."""
        return [
            f"{self.shown(path)} is a draft and left out: {len(words)} kind(s) of places are marked {MARK}. "
            "`publisher check` lists them"
            for path, words in ({} if self.drafts else self.unfinished).items()
        ]

    def _begun(self, path: Path, datasets: list[Path]) -> bool:
        """Whether a definition has landed or released anything."""
        if path in datasets:
            return (self.public / "releases" / path.stem).exists()
        theirs = [each for each in datasets if self._source_of(each) == path.stem]
        return (self.private / "landed" / path.stem).exists() or any(self._begun(each, datasets) for each in theirs)

    def _is_draft(self, path: Path) -> bool:
        """Whether a dataset is left out."""
        if self.drafts:
            return bool(self._marks(path))
        return path in self.unfinished or self._pipeline(self._source_of(path)) in self.unfinished

    def _refuse_draft(self, path: Path) -> None:
        """Raise DefinitionError with all that is marked in a definition and in its source."""
        if self.drafts or not path.is_file():
            return
        paths = [self._pipeline(self._source_of(path)), path] if path.parent.name == "datasets" else [path]
        words = [words for each in paths for words in self.unfinished.get(each, [])]
        if words:
            raise DefinitionError("\n".join(words))

    def _pipeline(self, source: str) -> Path:
        return self.root / "pipelines" / f"{source}.toml"

    def _source_of(self, path: Path) -> str:
        """The source that a dataset names, whatever else is in its file."""
        return str(read_toml(path, self.shown(path))[0].get("source", ""))

    def _marks(self, path: Path) -> list[str]:
        return marks(*read_toml(path, self.shown(path))) if MARK in read_text(path, self.shown(path)) else []

    def _source(self, path: Path) -> SourceFile:
        name = self.shown(path)
        values, origin = read_toml(path, name)
        if self.drafts:
            values = _filled(values)
        definition = build(Source, values, origin)
        if path.stem in self.feeds:
            definition = definition.model_copy(update={"feed": self.feeds[path.stem], "late": None})
        query = path.with_suffix(".sql")
        if not query.is_file():
            raise origin.error((), f"its SELECT is missing: write {self.shown(query)}")
        lookups = {lookup: self._lookup(lookup, origin) for lookup in definition.lookups}
        return SourceFile(path.stem, definition, read_text(query, self.shown(query)), lookups, origin)

    def _lookup(self, name: str, origin: Origin) -> Lookup:
        path = self.root / "datasets" / "keysets" / f"{name}.csv"
        if not path.is_file():
            raise origin.error(("lookups",), f"the lookup {name!r} is missing: write {self.shown(path)}")
        return read_lookup(path, self.shown(path))

    def _dataset(self, path: Path) -> DatasetFile:
        return self.defined(path.stem, *read_toml(path, self.shown(path)))

    def defined(self, name: str, values: dict[str, Any], origin: Origin) -> DatasetFile:
        """The dataset that these values define, with its source, keysets and mappings. Raises DefinitionError."""
        definition = build(Dataset, values, origin)
        if definition.source not in self.sources:
            known = ", ".join(self.sources) or "none"
            raise origin.error(("source",), f"there is no source {definition.source!r}; this workspace has: {known}")
        source = self.sources[definition.source]
        check_pair(definition, source.definition, origin)
        keysets = tuple(
            self._keyset(("keys", n, "keyset"), key.keyset, origin) for n, key in enumerate(definition.keys)
        )
        coarser = tuple(self._coarser(n, key, origin) for n, key in enumerate(definition.coarser))
        mappings = {
            key.name: self._mapping(("keys", n, "boundaries", "mapping"), key.boundaries.mapping, origin)
            for n, key in enumerate(definition.keys)
            if key.boundaries is not None and key.boundaries.mapping is not None
        }
        made = DatasetFile(name, definition, source, keysets, origin, coarser, mappings)
        if not definition.chained and (cells := connected(definition, made.key_counts)) > MOST_COARSER:
            words = f"{cells:,} of their cells share finest cells, more than {MOST_COARSER:,}"
            raise origin.error(
                ("rollups",), f"{words}: use fewer keys, a shorter time step, or rollups that form a chain"
            )
        return made

    def _keyset(self, setting: tuple[str | int, ...], name: str | None, origin: Origin) -> Keyset:
        if name is None:
            return Keyset("discovered", (), None, "")
        path = self.root / "datasets" / "keysets" / f"{name}.csv"
        if not path.is_file():
            raise origin.error(setting, f"is missing: write {self.shown(path)}")
        return read_keyset(path, self.shown(path))

    def _coarser(self, number: int, key: CoarserKey, origin: Origin) -> CoarserFile:
        keyset = self._keyset(("coarser", number, "keyset"), key.keyset, origin)
        setting = ("coarser", number, "mapping")
        mapping = self._mapping(setting, key.mapping, origin)
        strange = sorted({row[1] for row in mapping.rows} - {*keyset.keys, key.other})
        if strange:
            raise origin.error(
                setting,
                f"maps to {', '.join(strange[:5])}, which is not in the keyset {key.keyset}: fix one of them",
            )
        return CoarserFile(key, keyset, mapping)

    def _mapping(self, setting: tuple[str | int, ...], name: str, origin: Origin) -> Lookup:
        path = self.root / "datasets" / "keysets" / f"{name}.csv"
        if not path.is_file():
            raise origin.error(setting, f"is missing: write {self.shown(path)}")
        mapping = read_lookup(path, self.shown(path))
        if len(mapping.columns) != 2:
            raise origin.error(setting, f"{self.shown(path)} must have two columns: the finer key and the coarser one")
        return mapping


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    """A source that may be looked at: a number, a time or a time zone that is still marked is one."""
    privacy = values.get("privacy")
    made = values | ({"timezone": "UTC"} if values.get("timezone") == MARK else {})
    if isinstance(privacy, dict) and privacy.get("budget") == MARK:
        made["privacy"] = privacy | {"budget": OPEN_BUDGET / 2 if values.get("minors") else OPEN_BUDGET}
    feed = values.get("feed")
    if isinstance(feed, dict) and feed.get("start") == MARK:
        made["feed"] = feed | {"start": datetime.now(UTC) - timedelta(days=_LATELY)}
    return made


def _check_minors(source: SourceFile, sources: Iterable[SourceFile]) -> None:
    """Raises DefinitionError for a source that does not say that its records are about minors, and another that reads
    the same files does."""
    for each in sources:
        told = each.definition.minors and not source.definition.minors and source.shares_files(each)
        if told and source.apart_from(each) is None and each.apart_from(source) is None:
            words = f"{each.name} reads the same files and says that they are about minors: set minors = true"
            raise source.origin.error(("minors",), words)


def _same_people(one: SourceFile, other: SourceFile) -> bool:
    if one.definition.population == other.definition.population:
        return True
    decided = one.apart_from(other) is not None or other.apart_from(one) is not None
    return one.shares_files(other) and not decided


def find_workspace(start: Path, *, drafts: bool = False) -> Workspace:
    """The workspace at `start` or in the nearest folder above it, for work on drafts or not. Raises DefinitionError.

    PUBLISHER_DATA and PUBLISHER_STATE override the folders that publisher.toml names, PUBLISHER_PORTAL the url.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if os.path.lexists(folder / FILE):  # whatever it is: a folder of that name is reported, not passed over
            values, origin = read_toml(folder / FILE, FILE)
            settings = build(Settings, _addressed(values), origin)
            data = folder / (os.environ.get("PUBLISHER_DATA") or settings.data)
            state = folder / (os.environ.get("PUBLISHER_STATE") or settings.state)
            heads = (folder / (settings.heads or _default_heads())).resolve()
            for path in (folder, data.resolve(), state.resolve(), heads):
                _check_path(path)
            if heads.is_relative_to(state.resolve()):
                raise DefinitionError(
                    f"{FILE}: heads is inside the state folder, whose copies it must find: move it out"
                )
            workspace = Workspace(folder, settings, data.resolve(), state.resolve(), heads, drafts=drafts)
            encryption.declare(workspace.private, settings.encryption)
            return workspace
    raise DefinitionError(f"no {FILE} in this folder or one above: run `publisher init` to create a workspace")


def _default_heads() -> Path:
    """Where heads are by the XDG base directories; relative paths do not count there."""
    base = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state")
    try:
        base = base if base.is_absolute() else Path("~/.local/state").expanduser()
    except RuntimeError:
        raise DefinitionError(
            f"{FILE}: this account has no home folder for the ledger's newest head: set `heads` to a folder for it"
        ) from None
    return base / "publisher" / "heads"


def _check_path(path: Path) -> None:
    """Raises DefinitionError for a folder whose path is not text: neither SQL nor a message could name it."""
    shown = os.fsencode(path).decode("utf-8", errors="backslashreplace")
    if shown != str(path):
        raise DefinitionError(f"{shown}: the path of this folder is not UTF-8: rename it")


def _addressed(values: dict[str, Any]) -> dict[str, Any]:
    """The settings of publisher.toml, with the portal's address from the environment if it has one."""
    url, portal = os.environ.get("PUBLISHER_PORTAL"), values.get("portal", {})
    if not url or not isinstance(portal, dict):
        return values
    try:
        return values | {"portal": portal | {"url": address(url)}}
    except ValueError as error:
        raise DefinitionError(f"PUBLISHER_PORTAL: {error}") from None
