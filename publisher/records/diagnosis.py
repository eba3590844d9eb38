"""Likely causes of what is odd about a batch, found in the batch: a date format, swapped coordinates, a delivery.

The words are private like the records they come from, although they quote no value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.duck import quoted, safely
from publisher.records import columns, places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.definitions.source import Place, Source
    from publisher.records.judgement import Oddity
    from publisher.workspace import SourceFile

FORMATS = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M"),
    *("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"),
    *("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S.%f%z"),
    *("%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p"),
    *("%m/%d/%y", "%m/%d/%y %H:%M", "%m-%d-%Y", "%m-%d-%Y %H:%M:%S", "%b %d, %Y", "%B %d, %Y", "%b %d %Y"),
    *("%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"),
    *("%d-%m-%Y", "%d-%m-%Y %H:%M:%S", "%d-%b-%Y", "%d-%b-%Y %H:%M:%S", "%d-%b-%y", "%d %b %Y", "%d %B %Y"),
    *("%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%Y%m%d", "%Y%m%d %H%M%S", "%Y%m%d%H%M%S", "%Y-%m", "%Y"),
)
"""How cities write dates."""

SAMPLE = 2_000
"""So many points are tried under other coordinate systems."""
CLEAR = 0.5
"""A cause is named if it explains at least this share."""


@dataclass(frozen=True)
class Suspect:
    """A batch as it was read: `relation` has the raw columns under their names, of every row if `whole`."""

    source: SourceFile
    data: Path
    relation: str
    connection: DuckDBPyConnection
    temporary: Path
    whole: bool

    @property
    def definition(self) -> Source:
        """The definition of its source."""
        return self.source.definition

    def numbers(self, select: str) -> tuple[Any, ...]:
        """The first row of a SELECT from the relation."""
        with safely(f"{self.source.name}: looking for the cause"):
            return tuple(self.connection.execute(f"SELECT {select} FROM {self.relation}").fetchall()[0])

    def advice(self, key: tuple[str, ...], words: str) -> str:
        """What to change, with file, line and key."""
        return str(self.source.origin.error(key, words))


def causes(batch: Suspect, found: Sequence[Oddity]) -> list[str]:
    """A likely cause of each finding, and what to do about it."""
    words: list[str] = []
    for each in found:
        if each.kind == "undated":
            words += undated(batch)
        elif each.kind == "unplaced":
            words += unplaced(batch, each.level)
        elif each.kind == "repeated":
            words += _repeated(batch, each)
        elif each.kind == "rejected":
            words.append(_rejected(batch))
        elif each.kind in ("empty", "payment"):
            words.append((_empty if each.kind == "empty" else _payment)(batch, each.level))
    kinds = dict.fromkeys(_setting(each) for each in found)
    words.append(
        batch.advice(
            ("feed", "accept"),
            f'if this is as it should be in this feed, accept it: accept = {{ {", ".join(kinds)}, reason = "…" }}',
        )
    )
    return list(dict.fromkeys(words))


def undated(batch: Suspect) -> Iterator[str]:
    """Why dates are not read: the column is empty, or has another format."""
    definition = batch.definition
    column, formats = definition.event.column, " or ".join(definition.event.formats)
    rows, there, read = batch.numbers(f"count(*), count({quoted(column)}), count({columns.event(definition)})")
    if rows - there:
        yield batch.advice(("event", "column"), f"the column {column!r} is empty in {rows - there:,} of {rows:,} rows")
    if there == read:
        return
    best = _readings(batch)
    if best:
        also = " or ".join(f'"{form}"' for form in best)
        yield batch.advice(
            ("event", "formats"),
            f"{there - read:,} of {there:,} dates do not read as {formats}, but most of those read as {also}: "
            "add the right one to event.formats",
        )
    else:
        yield batch.advice(
            ("event", "formats"),
            f"{there - read:,} of {there:,} dates do not read as {formats}. Most of those look like "
            f"{_shape(batch)} (the shape is shown, never a value): add their format to event.formats",
        )


def _readings(batch: Suspect) -> list[str]:
    """The formats, at most two, that read the most of the dates that the declared ones do not."""
    definition = batch.definition
    column = quoted(definition.event.column)
    left = f"{column} IS NOT NULL AND {columns.event(definition)} IS NULL"
    counts = ", ".join(f"count(*) FILTER ({left} AND {_event(definition, form)} IS NOT NULL)" for form in FORMATS)
    total, *found = batch.numbers(f"count(*) FILTER ({left}), {counts}")
    most = max(found)
    return (
        [form for form, count in zip(FORMATS, found, strict=True) if count == most][:2] if most > CLEAR * total else []
    )


def _event(definition: Source, form: str) -> str:
    event = definition.event.model_copy(update={"formats": (form,)})
    return columns.event(definition.model_copy(update={"event": event}))


def _shape(batch: Suspect) -> str:
    """The most frequent shape of the dates that are not read: every digit a 9, every letter an a."""
    definition = batch.definition
    column = quoted(definition.event.column)
    left = f"{column} IS NOT NULL AND {columns.event(definition)} IS NULL"
    shape = rf"regexp_replace(regexp_replace({column}, '\p{{L}}', 'a', 'g'), '\p{{N}}', '9', 'g')"
    (found,) = batch.numbers(f"mode({shape}) FILTER ({left})")
    return str(found)[:40]


def unplaced(batch: Suspect, level: str) -> Iterator[str]:
    """Why records are in no place: nothing is written, x and y are swapped, or the coordinate system is another."""
    place = batch.definition.places[level]
    if place.code is not None:
        (empty, rows) = batch.numbers(f"count(*) FILTER ({quoted(place.code)} IS NULL), count(*)")
        yield batch.advice(("places", level), f"the column {place.code!r} is empty in {empty:,} of {rows:,} rows")
        return
    if place.point is not None:
        yield from _without_coordinates(batch, level, place)
    else:
        yield from _unlisted(batch, level, place)
    yield from _elsewhere(batch, level, place)


def _without_coordinates(batch: Suspect, level: str, place: Place) -> Iterator[str]:
    assert place.point is not None  # noqa: S101 - as the caller has seen, for the type checker
    x, y = (f"TRY_CAST({quoted(column)} AS DOUBLE)" for column in (place.point.x, place.point.y))
    defaults = " OR ".join(f"({x} = {a:f} AND {y} = {b:f})" for a, b in place.point.unknown)
    absent = f"{x} IS NULL OR {y} IS NULL{f' OR {defaults}' if defaults else ''}"
    empty, rows = batch.numbers(f"count(*) FILTER ({absent}), count(*)")
    if empty:
        yield batch.advice(("places", level, "point"), f"{empty:,} of {rows:,} rows have no usable coordinates")


def _unlisted(batch: Suspect, level: str, place: Place) -> Iterator[str]:
    assert place.address is not None  # noqa: S101 - as above
    with safely(f"{batch.source.name}: looking for the cause"):
        missing = places.unlisted(level, place.address, batch.data, batch.connection, batch.relation, batch.temporary)
    (rows,) = batch.numbers("count(*)")
    if missing:
        path = place.address.list_.path
        yield batch.advice(
            ("places", level, "address"), f"{missing:,} of {rows:,} rows have no address that is in {path}"
        )


def _elsewhere(batch: Suspect, level: str, place: Place) -> Iterator[str]:
    """What would bring most points inside the boundaries."""
    import numpy as np

    from publisher.records.projections import better

    point = place.point or (place.address.list_ if place.address is not None else None)
    polygons = places.polygons_of(place, batch.data)
    assert point is not None  # noqa: S101 - as above
    assert place.boundaries is not None  # noqa: S101 - as above
    assert polygons is not None  # noqa: S101 - as above
    with safely(f"{batch.source.name}: looking for the cause"):
        pairs = places.coordinates(level, place, batch.data, batch.connection, batch.relation, batch.temporary)
        found = batch.connection.execute(f"SELECT * FROM ({pairs}) LIMIT {SAMPLE}").fetchall()
    x, y = np.array(found, dtype=np.float64).reshape(-1, 2).T
    reading = better(x, y, point.crs, polygons)
    if reading is None:
        return
    key = ("places", level, "point" if place.point is not None else "address")
    if reading.swapped:
        change = f"swap them: x = {_text(point.y)}, y = {_text(point.x)}"
        change += f", crs = {_text(reading.crs)}" if reading.crs != point.crs else ""
        what = "with x and y swapped"
        what += f" and read as {reading.crs}" if reading.crs != point.crs else ""
    else:
        what, change = f"read as {reading.crs} instead of {point.crs}", f"set crs = {_text(reading.crs)}"
    yield batch.advice(
        key,
        f"{what}, {reading.inside:.0%} of the points tried are inside {place.boundaries.path}, against "
        f"{reading.before:.0%} now: {change}",
    )


def _repeated(batch: Suspect, found: Oddity) -> Iterator[str]:
    definition = batch.definition
    if batch.whole:
        (distinct,) = batch.numbers(f"count(DISTINCT {columns.identity(definition)})")
        inside = found.of - int(distinct)
        if inside > CLEAR * found.count:
            named = ", ".join(definition.record_id) or "the whole row"
            yield batch.advice(
                ("record_id",),
                f"{inside:,} rows repeat a record of the same file: {named} may not tell its records apart",
            )
            return
    if definition.delivery == "append":
        yield batch.advice(
            ("delivery",),
            'records of earlier files come again. With delivery = "append" they are not read again, also if they '
            'were corrected. If each file has everything, write delivery = "snapshot"; if later rows replace earlier '
            'ones, "changes"',
        )


def _rejected(batch: Suspect) -> str:
    feed = batch.definition.feed
    said = f"delimiter = {_text(feed.delimiter)}, encoding = {_text(feed.encoding)}" if feed.format == "csv" else ""
    return batch.advice(
        ("feed",),
        "many rows have another number of fields than the header, broken quotes, or bytes outside the encoding: check "
        f"the file and {said or 'its encoding'}",
    )


def _empty(batch: Suspect, column: str) -> str:
    return batch.advice(
        ("columns", column),
        "has no value in any row of this file: the feed may have moved or renamed it. If it is no longer filled, set "
        "read = false",
    )


def _payment(batch: Suspect, column: str) -> str:
    return batch.advice(
        ("columns", column),
        "has numbers of cards or bank accounts, by their check digits: set read = false, and ask the department that "
        "sends this file to leave them out",
    )


def _setting(found: Oddity) -> str:
    """The key that accepts a finding."""
    return f"{found.kind} = [{_text(found.level)}]" if found.kind in ("empty", "payment") else f"{found.kind} = …"


def _text(value: str) -> str:
    return f'"{value}"'
