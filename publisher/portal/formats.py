"""The forms in which rows leave the portal: each row as one line of text, made by DuckDB."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.portal.kinds import GEOMETRIES, Kind, json_text, plain_text
from publisher.portal.problems import SodaError
from publisher.portal.versions import literal, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    Fields = Sequence[tuple[str, Kind]]


@dataclass(frozen=True, slots=True)
class Format:
    """How rows become text."""

    name: str
    media_type: str
    line: Callable[[Fields], str]
    """SQL for one row's line, over the columns of `q`"""
    frame: Callable[[Fields, Iterator[list[str]]], Iterator[str]]
    """the whole body from the batches of lines"""


def _value(name: str) -> str:
    return f"q.{quoted(name)}"


def _pairs(fields: Fields, *, nulls: bool) -> str:
    """SQL for the members of a JSON object, each with a leading comma; without `nulls` empty ones are left out."""
    members = []
    for name, kind in fields:
        member = f"{literal(',' + json.dumps(name) + ':')} || {json_text(kind, _value(name))}"
        missing = literal("," + json.dumps(name) + ":null")
        members.append(f"coalesce({member}, {missing})" if nulls else member)
    return f"substr(concat({', '.join(members)}), 2)" if members else "''"


def json_line(fields: Fields) -> str:
    """One object; a null value's key is left out, as Socrata does."""
    return f"'{{' || {_pairs(fields, nulls=False)} || '}}'"


def csv_line(fields: Fields) -> str:
    """One record; each value in double quotes, a null empty."""
    cells = [
        f"""coalesce('"' || replace({plain_text(kind, _value(name))}, '"', '""') || '"', '')""" for name, kind in fields
    ]
    return " || ',' || ".join(cells)


def geojson_line(fields: Fields) -> str:
    """One feature; the first column that holds geometry is its geometry."""
    geometry = next((name for name, kind in fields if kind in GEOMETRIES), None)
    shape = f"coalesce({_value(geometry)}, 'null')" if geometry else "'null'"
    rest = _pairs([(name, kind) for name, kind in fields if name != geometry], nulls=True)
    return f"""'{{"type":"Feature","geometry":' || {shape} || ',"properties":{{' || {rest} || '}}}}'"""


def _listed(start: str, end: str, batches: Iterable[list[str]]) -> Iterator[str]:
    opening = start
    for batch in batches:
        if batch:
            yield opening + "\n,".join(batch)
            opening = "\n,"
    yield (start if opening == start else "") + end


def csv_header(names: Iterable[str]) -> str:
    """The first record of a CSV."""
    return ",".join('"' + name.replace('"', '""') + '"' for name in names) + "\n"


def csv_frame(names: Iterable[str], batches: Iterator[list[str]]) -> Iterator[str]:
    """A CSV with these column names."""
    filled = ("\n".join(batch) + "\n" for batch in batches if batch)
    return itertools.chain([csv_header(names)], filled)


JSON = Format("json", "application/json; charset=utf-8", json_line, lambda _, batches: _listed("[", "]\n", batches))
CSV = Format(
    "csv", "text/csv; charset=utf-8", csv_line, lambda fields, batches: csv_frame((n for n, _ in fields), batches)
)
GEOJSON = Format(
    "geojson",
    "application/vnd.geo+json; charset=utf-8",
    geojson_line,
    lambda _, batches: _listed('{"type":"FeatureCollection","features":[', "]}\n", batches),
)

BY_NAME = {form.name: form for form in (JSON, CSV, GEOJSON)}
_BY_MEDIA = {
    "application/json": JSON,
    "application/*": JSON,
    "*/*": JSON,
    "text/csv": CSV,
    "text/*": CSV,
    "application/vnd.geo+json": GEOJSON,
    "application/geo+json": GEOJSON,
}


def negotiated(extension: str | None, accept: str) -> Format:
    """The format that the address or else the Accept header asks for. Errors: SodaError 406."""
    if extension is not None:
        if extension not in BY_NAME:
            raise _not_acceptable()
        return BY_NAME[extension]
    wanted = [_preference(part) for part in accept.split(",") if part.strip()] or [(1.0, "*/*")]
    for quality, media in sorted(wanted, key=lambda pair: -pair[0]):
        if quality > 0 and media in _BY_MEDIA:
            return _BY_MEDIA[media]
    raise _not_acceptable()


def _preference(part: str) -> tuple[float, str]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return float(quality), media
    except ValueError:
        return 0.0, media


def _not_acceptable() -> SodaError:
    message = "The portal answers in JSON, CSV and GeoJSON"
    return SodaError(406, {"code": "not_acceptable", "error": True, "message": message})
