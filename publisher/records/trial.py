"""A file as it would be landed, in a folder that is thrown away: nothing is kept, and pseudonyms are for once only."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.duck import connect, quoted, safely
from publisher.records import columns, diagnosis, intake, judgement, places, report, rows, secrets, sql
from publisher.records.pseudonyms import PREFIXED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from publisher.definitions.settings import EngineSettings
    from publisher.records.polygons import Floats, Polygons
    from publisher.records.report import BatchReport
    from publisher.workspace import SourceFile

SHAPES = 6
POINTS = 5_000


@dataclass(frozen=True)
class DateExample:
    """One way in which dates are written: an example, how it was read, and how many are written so."""

    text: str | None
    reading: str | None
    count: int


@dataclass(frozen=True)
class Points:
    """The places of records at one level, in the coordinate system of the polygons, and which are in one of them."""

    level: str
    polygons: Polygons
    x: Floats
    y: Floats
    inside: tuple[bool, ...]


@dataclass(frozen=True)
class Trial:
    """One file, landed for once."""

    source: SourceFile
    data: Path
    folder: Path
    connection: DuckDBPyConnection
    raw: str
    files: tuple[Path, ...]
    counted: BatchReport

    @property
    def dated(self) -> str:
        """A SELECT of the records that have an event time, as a release would read them."""
        vintage = ", CAST(1 AS SMALLINT) AS _vintage" if self.source.definition.late is not None else ""
        names = columns.names(self.source.definition)
        return f"SELECT {names}{vintage} FROM {sql.parquet(self.files)} WHERE _event IS NOT NULL"

    def dates(self) -> tuple[DateExample, ...]:
        """How dates are written, the most frequent way first: every digit counts as the same, and every letter."""
        column, event = quoted(self.source.definition.event.column), columns.event(self.source.definition)
        shape = rf"regexp_replace(regexp_replace({column}, '\p{{L}}', 'a', 'g'), '\p{{N}}', '9', 'g')"
        read = f"SELECT {column} AS _text, {event} AS _read, {shape} AS _shape FROM {self.raw}"
        query = (
            "SELECT min(_text), strftime(arg_min(_read, _text), '%a %Y-%m-%d %H:%M:%S'), count(*) AS _count "
            f"FROM ({read}) GROUP BY _shape, _read IS NULL ORDER BY _count DESC, _shape LIMIT {SHAPES}"
        )
        return tuple(DateExample(*row) for row in self._rows(query))

    def points(self, level: str) -> Points | None:
        """Distinct places at one level, at most 5,000; None if its places are a code column."""
        import numpy as np

        from publisher.records.polygons import transformed

        place = self.source.definition.places[level]
        polygons = places.polygons_of(place, self.data)
        if polygons is None:
            return None
        pairs = places.coordinates(level, place, self.data, self.connection, self.raw, self.folder)
        found = np.array(self._rows(f"SELECT * FROM ({pairs}) LIMIT {POINTS}"), dtype=np.float64).reshape(-1, 2)
        crs = places.crs_of(place)
        x, y, usable = transformed(found[:, 0], found[:, 1], crs, polygons.crs)
        held = polygons.holding(found[:, 0], found[:, 1], crs)
        inside = tuple(place is not None for place in held[usable])
        return Points(level, polygons, x[usable], y[usable], inside)

    def causes(self) -> list[str]:
        """The likely causes of what is beyond what the source accepts."""
        found = judgement.beyond(self.source.definition, self.counted)
        if not found:
            return []
        batch = diagnosis.Suspect(self.source, self.data, self.raw, self.connection, self.folder, whole=True)
        return diagnosis.causes(batch, found)

    def _rows(self, query: str) -> list[Any]:
        with safely(f"{self.source.name}: previewing"):
            return self.connection.execute(query).fetchall()


@contextmanager
def trial(source: SourceFile, path: Path, *, data: Path, engine: EngineSettings, folder: Path) -> Iterator[Trial]:
    """Land a file into the empty folder, as if it were the first. Raises SourceError and DefinitionError."""
    columns.check_names(source)
    secrets.create_key(folder)
    landed = rows.PartitionTarget(folder / "landed", "records")
    landed.folder.mkdir()
    with connect(engine, folder) as connection:
        columns.set_keys(connection, source, folder)
        reader = intake.Reader(source, data, connection, folder, engine.memory_bytes, PREFIXED)
        found = reader.write([path], landed)
        reader.drop_repeated(landed, None, first=True)
        files = tuple(landed.files())
        shown = str(path.relative_to(data)) if path.is_relative_to(data) else path.name
        counted = report.counted("", shown, found.files[0], rows.count(source, files))
        yield Trial(source, data, folder, connection, found.relation(), files, counted)
