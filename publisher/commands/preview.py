"""`publisher preview`: a file as it would be counted, for the person who describes it. Nothing is kept or charged."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from publisher import encryption
from publisher.commands.place_map import drawn, written
from publisher.durable import private_files, writing
from publisher.engine.first_rows import first_rows
from publisher.engine.folding import ONE, folded, one_batch
from publisher.engine.guard import guarded
from publisher.engine.input import RecordSource, check_columns
from publisher.errors import DefinitionError, SourceError
from publisher.feeds.fetch import sample
from publisher.pipeline.journaling import tell_reading
from publisher.records import feed
from publisher.records.judgement import WIDTH, table, wrapped
from publisher.records.trial import trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.records.trial import Trial
    from publisher.workspace import SourceFile, Workspace

ROWS = 5
ROWS_FETCHED = 1_000
"""So many records are fetched, where they are fetched, or those of one answer."""
WIDEST = 22
NOTICE = "PRIVATE: this shows records as they are. Do not copy, send or log it."


def preview(workspace: Workspace, source: SourceFile, file: str | None, picture: Path | None) -> Iterator[str]:
    """Lines of at most 80 columns; `picture` gets the map as SVG. Raises DefinitionError and SourceError."""
    query = guarded(source)
    datasets = [each for each in workspace.datasets.values() if each.source.name == source.name]
    for each in datasets:
        check_columns(each, query)
    levels = [level for level, place in source.definition.places.items() if place.boundaries is not None]
    if picture is not None and picture.suffix.lower() != ".svg":
        raise DefinitionError(f"--map: {picture} must be a name that ends in .svg")
    if picture is not None and not levels:
        raise DefinitionError(f"--map: {source.origin.name} has no coordinates or addresses to draw")
    tell_reading(workspace, "preview", source=source.name)
    with (
        private_folder(workspace) as folder,
        trial(
            source,
            _file(workspace, source, file, folder),
            data=workspace.data,
            engine=workspace.settings.engine,
            folder=folder,
        ) as tried,
    ):
        yield from (NOTICE, "")
        records = RecordSource(tried.dated, (), query)
        together = RecordSource(one_batch(tried.dated), (), query)
        other = {each.name: folded(tried.connection, together, each)[ONE] for each in datasets}
        yield from table(source, replace(tried.counted, other=other))
        yield from wrapped(tried.causes())
        yield from ("", f"Dates: {source.definition.event.column}")
        yield from _dates(tried)
        yield from ("", f"The first {ROWS} rows by date, as {source.name}.sql gives them")
        rows = first_rows(tried.connection, records, source, ROWS)
        yield from _columns(("date", *query.columns), rows)
        for level in levels:
            yield from _map(tried, level, picture if level == levels[0] else None)
        yield from ("", "Nothing was charged, and no record was kept. What is above is private.")


def beginning(source: SourceFile, folder: Path) -> Path:
    """The beginning of a source that is fetched, in a private folder. Raises SourceError."""
    found = sample(source, folder, ROWS_FETCHED)
    if not found:
        raise SourceError(f"{source.origin.name}: feed: there is no record to look at")
    return found[0]


def _file(workspace: Workspace, source: SourceFile, named: str | None, folder: Path) -> Path:
    """The file that is named, on disk or in the feed; by default the feed's last, or the beginning of what is
    fetched."""
    if named is None and source.definition.fetched:
        return beginning(source, folder)
    if named is None:
        return feed.find(source, workspace.data)[-1]
    for path in (Path(named), workspace.data / named):
        if path.is_file():
            return path.resolve()
    try:
        found = [path for path in feed.find(source, workspace.data) if path.name == named]
    except SourceError:
        found = []
    if not found:
        raise SourceError(
            f"{named}: there is no such file here or in {workspace.data}: name one, or leave it out for the last file "
            "of the feed"
        )
    return found[-1]


@contextmanager
def private_folder(workspace: Workspace) -> Iterator[Path]:
    """A folder for what is read; it is gone afterward. If the process is killed, the next run removes it."""
    with private_files():
        if workspace.private.is_dir():
            folder = (encryption.in_memory(workspace.private) or workspace.private) / f".preview.{os.getpid()}"
            with writing(workspace.private):
                folder.mkdir()
        else:
            folder = Path(tempfile.mkdtemp(prefix="publisher-preview-"))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _dates(tried: Trial) -> Iterator[str]:
    """Each way in which dates are written: an example and how it was read."""
    for each in tried.dates():
        text = "(empty)" if each.text is None else _clean(each.text)
        yield f"  {_cut(text, 30):<30} -> {each.reading or 'NOT READ':<23} {each.count:>9,} rows"


def _columns(names: Sequence[str], rows: Sequence[Sequence[str | None]]) -> Iterator[str]:
    """Rows under their names, as many columns as fit; the others are named."""
    shown = [names, *([_clean(value or "") for value in row] for row in rows)]
    widths = [min(max(len(row[n]) for row in shown), WIDEST) for n in range(len(names))]
    fit = next((n for n in range(len(names), 0, -1) if sum(widths[:n]) + 2 * n <= WIDTH), 1)
    for row in shown:
        yield ("  " + "  ".join(f"{_cut(row[n], widths[n]):<{widths[n]}}" for n in range(fit))).rstrip()
    if not rows:
        yield "  no row has a date"
    if names[fit:]:
        yield from wrapped([f"  not shown: {', '.join(names[fit:])}"])


def _map(tried: Trial, level: str, picture: Path | None) -> Iterator[str]:
    """The places of one level over their boundaries."""
    points = tried.points(level)
    if points is None:
        return
    yield from ("", f"Places: {level}, {sum(points.inside):,} of {len(points.inside):,} places tried are inside")
    if picture is not None:
        written(points, f"PRIVATE: {tried.source.name}, {level}", picture)
        yield from wrapped([f"  Wrote {picture}, which only you can read. It is private: delete it after use."])
    else:
        yield from drawn(points)


def _clean(text: str) -> str:
    """A value without what a terminal would obey."""
    return "".join(c if c.isprintable() else "·" for c in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
