"""What a GeoJSON file of places says without its shapes: the properties of its features."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.definitions.likeness import there_is
from publisher.errors import DefinitionError, SourceError
from publisher.records.polygons import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.reference.listing import PublicList

LARGEST = 200_000_000
"""Bytes of a JSON file that is read whole, which takes several times its size in memory."""

_AREAL = ("Polygon", "MultiPolygon", "GeometryCollection")


@dataclass(frozen=True)
class PlaceFile:
    """The features of a GeoJSON file."""

    shown: str
    features: tuple[dict[str, Any], ...]

    @property
    def properties(self) -> tuple[str, ...]:
        """The names of the properties of any feature, in order."""
        return tuple(dict.fromkeys(name for each in self.features for name in each["properties"]))

    def check(self, name: str) -> None:
        """Raises DefinitionError if a feature does not have this property, naming those that exist."""
        without = sum(name not in each["properties"] for each in self.features)
        if without == len(self.features):
            raise DefinitionError(
                f"{self.shown}: no feature has the property {name!r}; {there_is(name, self.properties)}"
            )
        if without:
            raise DefinitionError(
                f"{self.shown}: {without} of {len(self.features)} features have no property {name!r}: use one that all "
                "of them have, or correct the file"
            )

    def keys(self, key: str) -> frozenset[str]:
        """The keys that a record in one of the polygons can get."""
        return frozenset(key_of(each["properties"][key]) for each in self.features if each["geometry"]) - {""}


def read_places(path: Path, shown: str) -> PlaceFile:
    """The features of the file. Raises SourceError if it is not GeoJSON with areas."""
    return places_in(read_json(path, shown), shown)


def read_json(path: Path, shown: str) -> Any:
    """The content of a public JSON file. Raises SourceError."""
    try:
        if path.stat().st_size > LARGEST:
            raise SourceError(f"{shown}: is larger than {LARGEST // 10**6} MB: simplify its shapes, or split it")
        content = path.read_bytes()
        if not content.strip():
            raise SourceError(f"{shown}: is empty: fetch the file again")
        return json.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise SourceError(f"{shown}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise SourceError(f"{shown}: cannot be read as JSON: fetch the file again") from None


def places_in(content: Any, shown: str) -> PlaceFile:
    """The features of GeoJSON. Raises SourceError if it has none, or if they are no areas."""
    features = content.get("features") if isinstance(content, dict) else None
    if not isinstance(features, list) or not all(map(_is_feature, features)):
        raise SourceError(f"{shown}: is not GeoJSON with a list of features: fetch the file again")
    if not features:
        raise SourceError(f"{shown}: has no feature: fetch the file again")
    kinds = {str(each["geometry"].get("type")) for each in features if each["geometry"]}
    if other := sorted(kinds.difference(_AREAL)):
        raise SourceError(
            f"{shown}: has features of the kind {', '.join(other)}, not polygons alone. Points and lines may be "
            "records, which must never decide a key: use the boundaries of places, or a list of codes as CSV"
        )
    return PlaceFile(shown, tuple(features))


def place_list(places: PlaceFile, key: str | None, label: str | None) -> PublicList:
    """The places as a list of keys. Raises DefinitionError if a property is missing."""
    from publisher.reference.listing import PublicList

    if key is None:
        raise DefinitionError(
            f"{places.shown}: --key is missing: name the property with the key of each place; "
            f"there is: {', '.join(places.properties)}"
        )
    for name in filter(None, (key, label)):
        places.check(name)
    origin = f"{places.shown}, property {key}" + (f", labels from {label}" if label else "")
    return PublicList(origin, "feature", label is not None, ordered=False, entries=_entries(places, key, label))


def _entries(places: PlaceFile, key: str, label: str | None) -> Iterator[tuple[int, str, str]]:
    for number, each in enumerate(places.features, 1):
        said = each["properties"]
        name = key_of(said[key]) if each["geometry"] else ""  # no record is in a place without a shape
        yield number, name, "" if label is None or said[label] is None else str(said[label])


def _is_feature(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("properties"), dict):
        return False
    return "geometry" in value and (value["geometry"] is None or isinstance(value["geometry"], dict))
