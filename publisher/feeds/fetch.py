"""Fetch what is new of a source, by the kind of its feed, one durable delivery after the other.

Each kind has one module with two functions:

- `deliver(source, feed, cursor, files, most)` writes complete raw files into the private folder `files` and returns a
  `Step`. `cursor` is the one of the step before, or None to begin at the beginning. A step may end after `most` rows
  and say that there is more, if the source's delivery allows several files. It must read everything again that may have
  been missed, since a record that comes twice counts once and one that never comes is lost.
- `check(source, feed)` asks the server, and gives what is odd in words.

A database and an object store, which are not read in pages, have no `most` there, and `sample` for a look at them.

All but objects, which are copied whole, are read in the columns of `source.definition.landed` alone. For whatever goes
wrong they raise SourceError in words of their own: no value of a record, no credential, and not what a server or driver
says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher import durable
from publisher.definitions.feed import (
    ObjectsFeed,
    Open311Feed,
    SeeClickFixFeed,
    ServerFeed,
    SocrataFeed,
    SqlFeed,
    WebFeed,
)
from publisher.definitions.source import Source
from publisher.definitions.toml import Origin
from publisher.feeds import database, object_store, open311, seeclickfix, socrata
from publisher.feeds.delivery import STEP, Deliveries, Remembered
from publisher.workspace import SourceFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from publisher.feeds.delivery import Cursor, Step
    from publisher.feeds.table import FirstPage

_UNDECLARED: dict[str, Any] = {"columns": {}, "record_id": ()}
"""What is known of a source that no one has declared."""
ANSWERS = 100
"""So many full answers make a delivery at most."""


@dataclass(frozen=True)
class Fetched:
    """The raw files of a source that are to be landed now, in order, and the folder of their names."""

    folder: Path
    paths: tuple[Path, ...]


def fetch(
    source: SourceFile,
    private: Path,
    *,
    basis: str,
    landed: bool,
    progress: Callable[[str], None] | None = None,
) -> Fetched:
    """Fetch what is new. `basis` is the digest of what decides what is landed, and `landed` says whether anything is
    landed under it; where it has changed, or what was landed is gone, everything is fetched again.

    Raises SourceError; every delivery that was complete before stays, and the next fetch goes on after it.
    """
    with durable.private_files():
        store = Deliveries(private, source.name)
        store.tidy()
        last = store.last()
        if last is not None and (last.basis != basis or (last.delivered and not landed and not store.pending())):
            store.restart()
            last = None
        more, resumed = True, last is not None and last.more
        while more:
            with store.new() as delivery:
                step = _deliver(source, last.cursor if last else None, delivery.files, STEP)
                came = any(path.is_file() for path in delivery.files.rglob("*"))
                delivered = came or (last is not None and last.delivered)
                if not (delivered or step.more or isinstance(source.definition.feed, ObjectsFeed)):
                    # Otherwise one record would decide whether there is a release at all.
                    delivery.write_no_rows(source.definition.landed)
                    delivered = True
                last = Remembered(basis, step.cursor, step.more, delivered)
                delivery.remember(last)
            # What changed behind an interrupted fetch, perhaps for a day, is fetched when that one is complete.
            more, resumed = step.more or resumed, resumed and step.more
            if progress is not None and came:
                progress(f"{source.name}: fetched a delivery{', more to come' if more else ''}")
        if isinstance(source.definition.feed, ObjectsFeed):
            store.drop_replaced()
        return Fetched(store.folder, store.pending())


def forget_landed(source: SourceFile, private: Path, fetched: Fetched) -> None:
    """Delete the fetched files after they are durably landed: raw identifiers do not stay."""
    with durable.private_files():
        Deliveries(private, source.name).landed(fetched.paths)


def sample(source: SourceFile, folder: Path, most: int) -> tuple[Path, ...]:
    """The beginning of the source's records as raw files in a private folder, for someone to look at. Nothing is
    remembered. Raises SourceError."""
    feed = source.definition.feed
    match feed:
        case SqlFeed():
            database.sample(source, feed, folder, most)
        case ObjectsFeed():
            object_store.sample(source, feed, folder)
        case _:
            _deliver(source, None, folder, most)
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file()))


def first_page(feed: ServerFeed, most: int) -> FirstPage:
    """Some records of a server whose columns no one has declared, for a first definition: about `most`, or one answer.

    What is never fetched is not among them. Raises DefinitionError and SourceError.
    """
    undeclared = Source.model_construct(**_UNDECLARED, feed=feed)
    source = SourceFile("", undeclared, "", {}, Origin("--from", {}))
    match feed:
        case SocrataFeed():
            return socrata.first_page(source, feed.model_copy(update={"page_size": most}))
        case Open311Feed():
            return open311.first_page(source, feed)
        case SeeClickFixFeed():
            return seeclickfix.first_page(source, feed)
        case SqlFeed():
            return database.first_page(source, feed, most)


def check(source: SourceFile) -> tuple[str, ...]:
    """Ask the server whether it has what the definition reads: what is odd, in words. Raises SourceError."""
    feed = source.definition.feed
    match feed:
        case SocrataFeed():
            return socrata.check(source, feed)
        case Open311Feed():
            return open311.check(source, feed)
        case SeeClickFixFeed():
            return seeclickfix.check(source, feed)
        case SqlFeed():
            return database.check(source, feed)
        case ObjectsFeed():
            return object_store.check(source, feed)
    raise AssertionError(feed.kind)


def _deliver(source: SourceFile, cursor: Cursor | None, files: Path, most: int) -> Step:
    feed = source.definition.feed
    if isinstance(feed, WebFeed):  # where answers are small, a fetch that fails has less to repeat
        most = min(most, ANSWERS * feed.page_size)
    match feed:
        case SocrataFeed():
            return socrata.deliver(source, feed, cursor, files, most)
        case Open311Feed():
            return open311.deliver(source, feed, cursor, files, most)
        case SeeClickFixFeed():
            return seeclickfix.deliver(source, feed, cursor, files, most)
        case SqlFeed():
            return database.deliver(source, feed, cursor, files)
        case ObjectsFeed():
            return object_store.deliver(source, feed, cursor, files)
    raise AssertionError(feed.kind)
