"""The polygons of a table's places, as the portal shows them: where they come from, and the attached file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.contract import ELSEWHERE
from publisher.records.outlines import outlines
from publisher.records.polygons import names_of, read_polygons
from publisher.release.table import shape_of, table_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.definitions.dataset import KeyBoundaries
    from publisher.definitions.source import Boundaries
    from publisher.workspace import DatasetFile

CRS84 = "OGC:CRS84"


@dataclass(frozen=True)
class Drawn:
    """GeoJSON whose features have the columns `key` and, if keys have names, `<key>_name` as properties.

    Polygons without a row in the table, such as parks, have only their name, as the property `elsewhere`.
    """

    key: str
    content: bytes
    source: str


def drawn(dataset: DatasetFile, level: str, data: Path) -> Drawn | None:
    """The polygons of one table's place column; None if it has none, or their file is not in the data folder.

    Raises SourceError if the file is not GeoJSON.
    """
    column = shape_of(dataset, level).place
    boundaries = _boundaries(dataset, column) if column is not None else None
    if column is None or boundaries is None or not (data / boundaries.path).is_file():
        return None
    polygons = read_polygons(data / boundaries.path, boundaries, CRS84)
    properties = {key: {column: key} | name for key, name in _names(dataset, column)}
    others = {key: {ELSEWHERE: name} for key, name in names_of(data / boundaries.path, boundaries).items()}
    content = outlines(polygons, _belongs(dataset, column), properties, others)
    return Drawn(column, content, boundaries.source or "")


def drawn_from(dataset: DatasetFile, data: Path) -> list[tuple[str, int, int]]:
    """The polygon files that its maps are drawn from, with size and time: the same make the same maps."""
    found = []
    for path in sorted(_paths(dataset)):
        if (data / path).is_file():
            status = (data / path).stat()
            found.append((path, status.st_size, status.st_mtime_ns))
    return found


def missing(dataset: DatasetFile, data: Path) -> list[str]:
    """The polygon files that a map needs but that are not in the data folder."""
    return sorted(path for path in _paths(dataset) if not (data / path).is_file())


def _paths(dataset: DatasetFile) -> set[str]:
    columns = {shape_of(dataset, level).place for level in table_names(dataset.definition)}
    found = [_boundaries(dataset, column) for column in columns if column is not None]
    return {each.path for each in found if each is not None}


def _boundaries(dataset: DatasetFile, column: str) -> KeyBoundaries | Boundaries | None:
    """The key's own boundaries, or those of the source's place with that name."""
    definition = dataset.definition
    finest = definition.path(column)[-1]
    own = next(key.boundaries for key in definition.keys if key.name == finest)
    place = dataset.source.definition.places.get(finest)
    return own or (place.boundaries if place is not None else None)


def _belongs(dataset: DatasetFile, column: str) -> dict[str, str]:
    """The published key for each polygon's key, through every column from the finest up."""
    *coarser, finest = dataset.definition.path(column)
    keys = next(
        keyset.keys for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True) if key.name == finest
    )
    mapping = dataset.mappings.get(finest)
    belongs = {key: key for key in keys} if mapping is None else {row[0]: row[1] for row in mapping.rows}
    files = {each.definition.name: each for each in dataset.coarser}
    for name in reversed(coarser):
        above = {row[0]: row[1] for row in files[name].mapping.rows}
        belongs = {polygon: above.get(key, files[name].definition.other) for polygon, key in belongs.items()}
    return belongs


def _names(dataset: DatasetFile, column: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each key of the column with the property for its name."""
    known = {key.name: keyset for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True)}
    keyset = (known | {each.definition.name: each.keyset for each in dataset.coarser})[column]
    for n, key in enumerate(keyset.keys):
        yield key, {f"{column}_name": keyset.labels[n]} if keyset.labels is not None else {}
