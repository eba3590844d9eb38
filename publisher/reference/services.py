"""The service list of an Open311 GeoReport v2 server, `services.json`, as a list of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from publisher.definitions.likeness import there_is
from publisher.errors import DefinitionError, SourceError
from publisher.reference.listing import PublicList

if TYPE_CHECKING:
    from collections.abc import Iterator

CODE, NAME = "service_code", "service_name"
REQUEST = "service_request_id"
"""What only requests have, which are records."""


def service_list(content: Any, shown: str, key: str | None, label: str | None) -> PublicList:
    """The services as a list of keys (default: their codes, labeled with their names).

    Raises SourceError for another kind of file, DefinitionError for an attribute that services do not have.
    """
    if not isinstance(content, list) or not all(isinstance(each, dict) for each in content):
        raise SourceError(f"{shown}: is neither GeoJSON nor an Open311 list of services: fetch the file again")
    if any(REQUEST in each for each in content):
        raise DefinitionError(f"{shown}: is a list of requests, which are records: records must never decide a key")
    if not any(CODE in each for each in content):
        raise SourceError(f"{shown}: no entry has a {CODE}, so it is not an Open311 list of services")
    if key is None:
        key, label = CODE, label or NAME
    there = attributes(content)
    for name in filter(None, (key, label)):
        if name not in there:
            raise DefinitionError(f"{shown}: no service has the attribute {name!r}; {there_is(name, there)}")
    origin = f"{shown} (Open311 services), attribute {key}" + (f", labels from {label}" if label else "")
    return PublicList(origin, "service", label is not None, ordered=True, entries=_entries(content, key, label))


def attributes(content: Any) -> tuple[str, ...]:
    """The names that objects of a list have, in order."""
    found = content if isinstance(content, list) else []
    return tuple(dict.fromkeys(name for each in found if isinstance(each, dict) for name in each))


def _entries(content: list[dict[str, Any]], key: str, label: str | None) -> Iterator[tuple[int, str, str]]:
    for number, each in enumerate(content, 1):
        yield number, _text(each.get(key)), _text(each.get(label)) if label else ""


def _text(value: object) -> str:
    return "" if value is None else str(value)
