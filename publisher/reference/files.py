"""Whether the files in the data folder fit the definitions: feeds by their headers, and public files.

Every fault is found, not only the first. Nothing is landed or kept, and no value of a record is in a finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.feed import FileFeed, ObjectsFeed
from publisher.definitions.likeness import there_is
from publisher.errors import DefinitionError, SourceError
from publisher.feeds.fetch import check as check_server
from publisher.feeds.fetch import sample
from publisher.records import feed
from publisher.records.places import crs_of
from publisher.records.polygons import read_polygons
from publisher.records.receipts import day_in_name
from publisher.reference.boundaries import read_places
from publisher.reference.headers import check_header, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.definitions.dataset import Key, KeyBoundaries
    from publisher.definitions.source import AddressList, Boundaries
    from publisher.definitions.toml import Key as Setting
    from publisher.reference.boundaries import PlaceFile
    from publisher.workspace import DatasetFile, SourceFile, Workspace

MOST = 5
"""The most files of one feed that are named with a fault each."""


@dataclass(frozen=True)
class FileCheck:
    """What was looked at, and what was found."""

    what: str
    finding: str
    status: str = "ok"
    """ok, warning or wrong."""
    exit_code: int = 0
    """The exit code of what is wrong, as documented."""


def _wrong(what: str, finding: str) -> FileCheck:
    return FileCheck(what, finding, "wrong", SourceError.exit_code)


def check_source_files(workspace: Workspace, source: SourceFile, temporary: Path) -> Iterator[FileCheck]:
    """The feed of a source, its boundaries and its address lists; `temporary` is a private folder."""
    yield from _feed(workspace, source, temporary)
    for level, place in source.definition.places.items():
        setting = ("places", level)
        if place.boundaries is not None:
            look = _boundaries(workspace, source, (*setting, "boundaries"), place.boundaries, crs_of(place))
            yield from _each(f"{source.name}: boundaries of {level}", look)
        if place.address is not None:
            look = _addresses(workspace, source, (*setting, "address", "list"), place.address.list_)
            yield from _each(f"{source.name}: addresses of {level}", look)


def check_dataset_files(workspace: Workspace, dataset: DatasetFile) -> Iterator[FileCheck]:
    """The boundaries that a dataset has for its map alone."""
    for number, key in enumerate(dataset.definition.keys):
        if key.boundaries is not None:
            look = _map(workspace, dataset, number, key, key.boundaries)
            yield from _each(f"{dataset.name}: map of {key.name}", look)


def _each(what: str, look: Iterator[tuple[str, str]]) -> Iterator[FileCheck]:
    """The findings of one look, (finding, status), and the error that ended it."""
    try:
        for finding, status in look:
            yield FileCheck(what, finding, status)
    except (SourceError, DefinitionError) as error:
        yield _wrong(what, str(error))


def _feed(workspace: Workspace, source: SourceFile, temporary: Path) -> Iterator[FileCheck]:
    definition, what = source.definition, f"{source.name}: feed"
    if definition.fetched:
        yield from _each(what, _server(workspace, source, temporary))
        return
    try:
        found = _raw_files(workspace, source)
    except (SourceError, DefinitionError) as error:
        yield _wrong(what, str(error))
        return
    wrong: list[str] = []
    odd: list[str] = []
    for path in found:
        try:
            _check_day(source, path)
            odd += check_header(source, path, temporary, workspace.settings.engine.memory_bytes)
        except SourceError as error:
            wrong.append(f"{source.origin.name}: {error}")
    if not wrong:
        words = f"{len(found):,} file(s), each with the {len(definition.columns):,} declared columns"
        yield FileCheck(what, words)
    yield from (_wrong(what, words) for words in _first(wrong))
    yield from (FileCheck(what, words, "warning") for words in _first(odd))


def _server(workspace: Workspace, source: SourceFile, temporary: Path) -> Iterator[tuple[str, str]]:
    definition = source.definition
    odd = list(check_server(source))
    words = f"answers, with the {len(definition.landed):,} columns that are read"
    if isinstance(definition.feed, ObjectsFeed):
        words = f"answers; its last object has the {len(definition.columns):,} declared columns"
        for path in sample(source, temporary / "object", 1):
            odd += check_header(source, path, temporary, workspace.settings.engine.memory_bytes)
    yield f"{definition.feed.kind}: {words}", "ok"
    yield from ((each, "warning") for each in odd)


def _raw_files(workspace: Workspace, source: SourceFile) -> tuple[Path, ...]:
    """The files of the feed. Raises DefinitionError if there are none, with what is there, and SourceError."""
    declared = source.definition.feed
    if isinstance(declared, FileFeed) and not feed.files(workspace.data, declared.path, declared.format):
        words = f"no file {declared.path!r} in {workspace.data}; {there(workspace.data, declared.path)}"
        raise source.origin.error(("feed", "path"), words)
    return feed.find(source, workspace.data)


def _first(sentences: list[str]) -> list[str]:
    """The first of them, and how many more there are."""
    more = len(sentences) - MOST
    return sentences if more <= 0 else [*sentences[:MOST], f"and {more:,} more"]


def _check_day(source: SourceFile, path: Path) -> None:
    late = source.definition.late
    if late is not None and late.received is not None and day_in_name(path, late.received) is None:
        raise SourceError(f"{path.name}: late.received: its name does not match {late.received!r}: rename the file")


def there(data: Path, path: str) -> str:
    """What is in the deepest folder of a path that exists, by name, or what may be meant by the first part that does
    not exist."""
    folder = data
    for part in (each for each in path.split("/") if each not in ("", ".")):
        if set(part) & set("*?[") or not (folder / part).is_dir():
            names = _names(folder)
            inside = "" if folder == data else f"in {folder.relative_to(data)}: "
            return f"{inside}{there_is(part, names)}"
        folder /= part
    return "the folder has no file of that format"


def _names(folder: Path) -> list[str]:
    try:
        return sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    except OSError as error:
        raise SourceError(f"{folder}: cannot be read: {error.strerror}") from None


def _existing(workspace: Workspace, file: SourceFile | DatasetFile, setting: Setting, path: str) -> Path:
    """The path of a public file. Raises DefinitionError if it is not there, with what is."""
    if not (workspace.data / path).is_file():
        words = f"no file {path!r} in {workspace.data}; {there(workspace.data, path)}"
        raise file.origin.error((*setting, "path"), words)
    return workspace.data / path


def _read(
    workspace: Workspace, file: SourceFile | DatasetFile, setting: Setting, boundaries: Boundaries, crs: str
) -> PlaceFile:
    """The polygons of a file that are usable with these properties. Raises SourceError and DefinitionError."""
    path = _existing(workspace, file, setting, boundaries.path)
    try:
        places = read_places(path, boundaries.path)
        _check_properties(places, file, setting, boundaries)
        read_polygons(path, boundaries, crs)
    except SourceError as error:
        raise file.origin.error(setting, str(error)) from None
    return places


def _check_properties(
    places: PlaceFile, file: SourceFile | DatasetFile, setting: Setting, boundaries: Boundaries
) -> None:
    try:
        places.check(boundaries.key)
    except DefinitionError as error:
        raise file.origin.error((*setting, "key"), str(error)) from None
    label = boundaries.label
    if label is not None and label not in places.properties:
        words = f"{boundaries.path}: no feature has the property {label!r}; {there_is(label, places.properties)}"
        raise file.origin.error((*setting, "label"), words)


def _boundaries(
    workspace: Workspace, source: SourceFile, setting: Setting, boundaries: Boundaries, crs: str
) -> Iterator[tuple[str, str]]:
    places = _read(workspace, source, setting, boundaries, crs)
    yield f"{boundaries.path}: {len(places.keys(boundaries.key)):,} places by {boundaries.key}", "ok"


def _map(
    workspace: Workspace, dataset: DatasetFile, number: int, key: Key, boundaries: KeyBoundaries
) -> Iterator[tuple[str, str]]:
    places = _read(workspace, dataset, ("keys", number, "boundaries"), boundaries, boundaries.crs)
    found = places.keys(boundaries.key)
    yield f"{boundaries.path}: {len(found):,} places by {boundaries.key}", "ok"
    mapping = dataset.mappings.get(key.name)
    if mapping is not None:
        if strange := [row[0] for row in mapping.rows if row[0] not in found and row[1] != key.other]:
            yield f"datasets/keysets/{mapping.name}.csv: {_some(strange)} in it and not in {boundaries.path}", "warning"
        found = frozenset(row[1] for row in mapping.rows if row[0] in found)
    keyset = dataset.keysets[number]
    if empty := [each for each in keyset.keys if each not in found and each != key.other]:
        yield f"datasets/keysets/{keyset.name}.csv: {_some(empty)} in it and not on the map", "warning"


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - MOST:,} more" if len(keys) > MOST else ""
    return f"{', '.join(map(repr, keys[:MOST]))}{more} {'is' if len(keys) == 1 else 'are'}"


def _addresses(
    workspace: Workspace, source: SourceFile, setting: Setting, listed: AddressList
) -> Iterator[tuple[str, str]]:
    path = _existing(workspace, source, setting, listed.path)
    header = first_line(path, "utf-8", ",")
    for name, column in (("address", listed.address), ("x", listed.x), ("y", listed.y)):
        if column not in header.names:
            words = f"{listed.path} has no column {column!r}; {there_is(column, header.names)}"
            raise source.origin.error((*setting, name), words)
    identifiers = {name for name, column in source.definition.columns.items() if column.identifier}
    if shared := sorted(identifiers.difference([listed.address]).intersection(header.names)):
        words = f"has the column {', '.join(shared)}, which identifies records, so it is made of records"
        raise source.origin.error((*setting, "path"), f"{listed.path} {words}: use a list from a public source")
    if not header.rows:
        raise source.origin.error((*setting, "path"), f"{listed.path} has a header and no rows: fetch it again")
    yield f"{listed.path}: {', '.join((listed.address, listed.x, listed.y))}", "ok"
    yield from ((words, "warning") for words in header.odd)
