"""A public list, whatever it is: boundaries, Open311 services, a list of codes, or a column of a public dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.errors import SourceError
from publisher.reference import boundaries, codes, open_data, services
from publisher.reference.records_apart import refuse_columns, refuse_record_dataset, refuse_records

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from publisher.reference.listing import PublicList
    from publisher.workspace import Workspace

_TABLES = (".csv", ".tsv", ".txt")
_OBJECTS = (".geojson", ".json")


def read_online(
    workspace: Workspace, url: str, key: str | None, label: str | None, environment: Mapping[str, str]
) -> PublicList:
    """A column of a public dataset. Raises DefinitionError and PortalError."""
    refuse_record_dataset(workspace, open_data.dataset_id(url), url)
    return open_data.column_list(url, key, label, environment)


def read_file(workspace: Workspace, path: Path, shown: str, key: str | None, label: str | None) -> PublicList:
    """The list in a file. Raises DefinitionError, also for a file of records, and SourceError."""
    if not path.is_file():
        raise SourceError(f"{shown}: there is no such file: correct --from")
    ending = path.suffix.lower()
    if ending not in (*_TABLES, *_OBJECTS):
        raise SourceError(f"{shown}: lists are read from GeoJSON, JSON and CSV: save it as one of them")
    try:
        refuse_records(workspace, path, shown)
        if ending in _TABLES:
            refuse_columns(workspace, shown, codes.header_of(path, shown)[0])
            return codes.code_list(path, shown, key, label)
    except OSError as error:
        raise SourceError(f"{shown}: cannot be read: {error.strerror}") from None
    content = boundaries.read_json(path, shown)
    if ending == ".geojson" or isinstance(content, dict):
        places = boundaries.places_in(content, shown)
        refuse_columns(workspace, shown, places.properties)
        return boundaries.place_list(places, key, label)
    refuse_columns(workspace, shown, services.attributes(content))
    return services.service_list(content, shown, key, label)
