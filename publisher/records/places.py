"""Places of records: a code column, or coordinates (their own or their address's) inside polygons.

Every record gets exactly one place per level, or none.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.duck import quoted, safely
from publisher.errors import SourceError
from publisher.records import delimited, plain, sql
from publisher.records.polygons import read_polygons

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.definitions.source import Address, AddressList, Boundaries, Place, Point
    from publisher.records.polygons import Polygons
    from publisher.workspace import SourceFile

_BATCH = 1 << 17
_WORDS: dict[str, Any] = {"boundaries": {"source", "label"}, "address": {"list_": {"source"}}}
"""Fields that describe a place and decide nothing, so they are not in a fingerprint."""


@dataclass(frozen=True)
class Located:
    """How SQL gets the places of rows with the raw columns."""

    places: dict[str, str]
    """For each level, an expression for the row's place, or NULL."""
    joins: str
    """What must follow the rows in FROM; a join never repeats or drops a row."""


def fingerprint(source: SourceFile, data: Path) -> str:
    """SHA-256 over the definition of the places, the boundaries and the address lists. Raises SourceError."""
    content = hashlib.sha256()
    for level, place in sorted(source.definition.places.items()):
        content.update(
            json.dumps([level, place.model_dump(mode="json", by_alias=True, exclude=_WORDS)], sort_keys=True).encode()
        )
        for path in _paths(place):
            content.update(_digest(data, path))
    return content.hexdigest()


def boundaries_fingerprint(source: SourceFile, data: Path) -> str:
    """SHA-256 over the definition of the places and the boundaries, without the content of address lists.

    Address lists are like records and grow; what is public about places is the same until their boundaries change.
    Raises SourceError when a file is missing.
    """
    content = hashlib.sha256()
    for level, place in sorted(source.definition.places.items()):
        defined = place.model_dump(mode="json", by_alias=True, exclude=_WORDS, exclude_defaults=True)
        content.update(json.dumps([level, defined], sort_keys=True).encode())
        if place.boundaries is not None:
            content.update(_digest(data, place.boundaries.path))
    return content.hexdigest()


def locate(source: SourceFile, data: Path, connection: DuckDBPyConnection, rows: str, temporary: Path) -> Located:
    """Find the places of every level for `rows`, a relation with the raw columns under their names.

    Only distinct coordinates are looked up; the tables to join to stay in the connection. Raises SourceError when a
    file is missing or damaged.
    """
    identifiers = frozenset(name for name, column in source.definition.columns.items() if column.identifier)
    places, joins = {}, []
    for level, place in source.definition.places.items():
        with safely(f"{source.name}: placing the records ({level})"):
            places[level], join = _level(_Step(level, data, connection, rows, temporary, identifiers), place)
        joins.append(join)
    return Located(places, " ".join(joins))


def polygons_of(place: Place, data: Path) -> Polygons | None:
    """The polygons of a level; None if its places are a code column."""
    if place.boundaries is None:
        return None
    return read_polygons(data / place.boundaries.path, place.boundaries, crs_of(place))


def coordinates(
    level: str, place: Place, data: Path, connection: DuckDBPyConnection, rows: str, temporary: Path
) -> str:
    """SQL that gives the distinct x and y by which records are placed: their own, or those of their addresses."""
    if place.point is not None:
        x, y = (f"TRY_CAST({quoted(column)} AS DOUBLE)" for column in (place.point.x, place.point.y))
        unknown = "".join(f" AND NOT (x = {a:f} AND y = {b:f})" for a, b in place.point.unknown)
        return f"SELECT DISTINCT x, y FROM (SELECT {x} AS x, {y} AS y FROM {rows}) WHERE x + y IS NOT NULL{unknown}"
    assert place.address is not None  # noqa: S101 - a code has no coordinates
    listed = _list(_Step(level, data, connection, rows, temporary, frozenset()), place.address.list_)
    compared = sql.address(f"_row.{quoted(place.address.column)}")
    return (
        f"SELECT DISTINCT x, y FROM ({listed}) AS _listed SEMI JOIN (SELECT {compared} AS address FROM {rows} AS _row) "
        "AS _rows USING (address) WHERE x + y IS NOT NULL"
    )


def unlisted(
    level: str, address: Address, data: Path, connection: DuckDBPyConnection, rows: str, temporary: Path
) -> int:
    """How many rows have no address that is in the list."""
    listed = _list(_Step(level, data, connection, rows, temporary, frozenset()), address.list_)
    compared = sql.address(f"_row.{quoted(address.column)}")
    count = f"SELECT count(*) FROM {rows} AS _row ANTI JOIN ({listed}) AS _listed ON {compared} = _listed.address"
    return int(connection.execute(count).fetchall()[0][0])


def crs_of(place: Place) -> str:
    """The coordinate system of a level's points."""
    if place.point is not None:
        return place.point.crs
    return place.address.list_.crs if place.address is not None else ""


@dataclass(frozen=True)
class _Step:
    level: str
    data: Path
    connection: DuckDBPyConnection
    rows: str
    temporary: Path
    identifiers: frozenset[str]
    """Columns that no address list may have: it would be made of records. None where the list was checked before."""

    @property
    def points(self) -> str:
        return quoted(f"points_{self.level}")

    @property
    def addresses(self) -> str:
        return quoted(f"addresses_{self.level}")


def _level(step: _Step, place: Place) -> tuple[str, str]:
    if place.code is not None:
        return sql.whole(f"_row.{quoted(place.code)}"), ""
    assert place.boundaries is not None  # noqa: S101 - the definition's own rule, for the type checker
    if place.point is not None:
        return _by_point(step, place.point, place.boundaries)
    assert place.address is not None  # noqa: S101 - as above
    return _by_address(step, place.address, place.boundaries)


def _by_point(step: _Step, point: Point, boundaries: Boundaries) -> tuple[str, str]:
    x, y = (f"TRY_CAST(_row.{quoted(column)} AS DOUBLE)" for column in (point.x, point.y))
    polygons = read_polygons(step.data / boundaries.path, boundaries, point.crs)
    _place_points(step, f"SELECT DISTINCT {x} AS x, {y} AS y FROM {step.rows} AS _row", polygons, point.crs)
    for pair in point.unknown:
        step.connection.execute(f"DELETE FROM {step.points} WHERE x = ? AND y = ?", [float(part) for part in pair])
    return f"{step.points}.place", f"LEFT JOIN {step.points} ON {x} = {step.points}.x AND {y} = {step.points}.y"


def _by_address(step: _Step, address: Address, boundaries: Boundaries) -> tuple[str, str]:
    polygons = read_polygons(step.data / boundaries.path, boundaries, address.list_.crs)
    listed = _list(step, address.list_)
    _place_points(step, f"SELECT DISTINCT x, y FROM ({listed})", polygons, address.list_.crs)
    step.connection.execute(
        # An address with several entries gets the smallest place among those that are in one.
        f"CREATE TABLE {step.addresses} AS SELECT address, min(place) AS place "
        f"FROM ({listed}) JOIN {step.points} USING (x, y) GROUP BY address"
    )
    compared = sql.address(f"_row.{quoted(address.column)}")
    return f"{step.addresses}.place", f"LEFT JOIN {step.addresses} ON {compared} = {step.addresses}.address"


def _list(step: _Step, listed: AddressList) -> str:
    """SQL that gives (address, x, y) of the address list."""
    path = plain.text(step.data / listed.path, "utf-8", step.temporary / f"list-{step.level}.csv")
    table = delimited.read(path, ",", listed.path, step.temporary / f"listed-{step.level}.csv")
    if table.rejected:
        raise SourceError(
            f"{listed.path}: the address list has a quote that is out of place or never closed, so some addresses "
            "would be lost. The download may be incomplete: fetch the file again, or correct the quote"
        )
    header = table.columns
    if shared := sorted(step.identifiers.difference([listed.address]).intersection(header)):
        raise SourceError(
            f"{listed.path}: the address list has the column {', '.join(shared)}, which identifies records, so it is "
            "made of records: one record may not decide where others are. Use a list from a public source, or the "
            "record's own coordinates (point)"
        )
    missing = [column for column in (listed.address, listed.x, listed.y) if column not in header]
    if missing:
        raise SourceError(
            f"{listed.path}: the address list has no column {', '.join(missing)}: correct the names in the source, or "
            "fetch the file again"
        )
    address, x, y = (
        sql.present(f"c{header.index(column)}", listed.nulls) for column in (listed.address, listed.x, listed.y)
    )
    rows = (
        f"SELECT {sql.address(address)} AS address, TRY_CAST({x} AS DOUBLE) AS x, TRY_CAST({y} AS DOUBLE) AS y "
        f"FROM {table.relation}"
    )
    usable = f"SELECT 1 FROM ({rows}) WHERE address <> '' AND isfinite(x) AND isfinite(y) LIMIT 1"
    if not step.connection.execute(usable).fetchall():
        raise SourceError(
            f"{listed.path}: the address list has no address with coordinates, so no record would get a place: "
            "fetch the file again"
        )
    return rows


def _place_points(step: _Step, pairs: str, polygons: Polygons, crs: str) -> None:
    """Make the table (x, y, place) of the pairs that are in a polygon."""
    import pyarrow as pa

    step.connection.execute(f"CREATE TABLE {step.points} (x DOUBLE, y DOUBLE, place VARCHAR)")
    reader = step.connection.cursor().sql(pairs).to_arrow_reader(_BATCH)
    for batch in reader:
        x, y = (batch.column(n).to_numpy(zero_copy_only=False) for n in (0, 1))
        columns = [batch.column(0), batch.column(1), pa.array(polygons.holding(x, y, crs), pa.string())]
        step.connection.register("_placed", pa.table(columns, names=["x", "y", "place"]))
        step.connection.execute(f"INSERT INTO {step.points} SELECT * FROM _placed WHERE place IS NOT NULL")
        step.connection.unregister("_placed")


def _paths(place: Place) -> list[str]:
    boundaries = [place.boundaries.path] if place.boundaries is not None else []
    return [*boundaries, *([place.address.list_.path] if place.address is not None else [])]


def _digest(data: Path, path: str) -> bytes:
    try:
        return hashlib.sha256((data / path).read_bytes()).digest()
    except OSError as error:
        raise SourceError(
            f"{path}: cannot be read in {data}: {error.strerror}: put it there, or set PUBLISHER_DATA"
        ) from None
