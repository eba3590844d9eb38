"""Refuses to make keys of a file of records: the feed of a source, a copy of it, or a file with its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.compatibility import is_feed
from publisher.definitions.toml import read_toml
from publisher.errors import DefinitionError
from publisher.records import feed
from publisher.records.raw_bytes import look
from publisher.records.shelves import batches_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from publisher.records.batch import Batch
    from publisher.workspace import Workspace

WHY = "records must never decide a key, because a key that is there, or missing, would reveal them: use a public list"


@dataclass(frozen=True)
class _DeclaredFeed:
    """What a source says about its raw files, even while other parts of its definition are still wrong."""

    source: str
    path: str | None
    """None if the records are fetched."""
    form: str
    dataset: str
    """Of a Socrata dataset, its id."""
    columns: frozenset[str]
    identifiers: frozenset[str]


def refuse_columns(workspace: Workspace, shown: str, header: Collection[str]) -> None:
    """Raises DefinitionError if the names in a file are those of records: all columns of a source, or one that
    identifies its records beside another one."""
    for each in _feeds(workspace):
        shared = each.columns.intersection(header)
        if len(shared) > 1 and shared == each.columns:
            _refuse(shown, f"has all columns of the source {each.source}, so it is a table of its records")
        if len(shared) > 1 and (named := sorted(shared & each.identifiers)):
            words = f"has the column {', '.join(named)}, which identifies records of the source {each.source}"
            _refuse(shown, f"{words}, beside others of it, so it is made of them")


def refuse_records(workspace: Workspace, path: Path, shown: str) -> None:
    """Raises DefinitionError if the file is one of records, by its path or its content.

    Raises SourceError if a raw file cannot be read for the comparison.
    """
    for each in _feeds(workspace):
        if _is_at(workspace, path, each):
            _refuse(shown, f"is a raw file of the source {each.source}")
    size, digest = path.stat().st_size, ""
    for source, other in _raw_files(workspace):
        if other.stat().st_size == size:
            digest = digest or look(path).sha256
            if look(other).sha256 == digest:
                _refuse(shown, f"is a copy of {other.name}, a raw file of the source {source}")
    for source, batch in _landed(workspace):
        if batch.size == size:
            digest = digest or look(path).sha256
            if batch.sha256 == digest:
                _refuse(shown, f"is a copy of {batch.file}, which was landed for the source {source}")


def refuse_record_dataset(workspace: Workspace, identifier: str, shown: str) -> None:
    """The same for a Socrata dataset whose id is in the name of a raw file."""
    for each in _feeds(workspace):
        if each.dataset == identifier:
            _refuse(shown, f"is the dataset that the source {each.source} fetches")
    named = [(each.source, each.path or "") for each in _feeds(workspace)]
    named += [(source, path.name) for source, path in _raw_files(workspace)]
    named += [(source, batch.file) for source, batch in _landed(workspace)]
    for source, name in named:
        if identifier in name.lower():
            _refuse(shown, f"is the dataset of {name}, a raw file of the source {source}")


def _refuse(shown: str, words: str) -> None:
    raise DefinitionError(f"{shown}: {words}: {WHY}. Nothing was written")


def _feeds(workspace: Workspace) -> Iterator[_DeclaredFeed]:
    """Raises DefinitionError for a definition that is not TOML: what its feed is cannot be known."""
    for path in sorted((workspace.root / "pipelines").glob("*.toml")):
        values, _ = read_toml(path, workspace.shown(path))
        feed_, columns = values.get("feed"), values.get("columns")
        if isinstance(feed_, dict):
            place = feed_.get("path") if feed_.get("kind", "files") == "files" else None
            known = columns if isinstance(columns, dict) else {}
            named = (name for name, said in known.items() if isinstance(said, dict) and said.get("identifier") is True)
            form = str(feed_.get("format", "csv"))
            yield _DeclaredFeed(
                path.stem,
                place if isinstance(place, str) else None,
                form,
                str(feed_.get("dataset", "")),
                frozenset(known),
                frozenset(named),
            )


def _raw_files(workspace: Workspace) -> Iterator[tuple[str, Path]]:
    for each in _feeds(workspace):
        if each.form in feed.ENDINGS and each.path is not None and not each.path.startswith("/"):
            yield from ((each.source, path) for path in feed.files(workspace.data, each.path, each.form))


def _is_at(workspace: Workspace, path: Path, declared: _DeclaredFeed) -> bool:
    if declared.path is None:
        return False
    for place in (path.absolute(), path.resolve()):
        if place.is_relative_to(workspace.data) and is_feed(
            place.relative_to(workspace.data).as_posix(), declared.path
        ):
            return True
    return False


def _landed(workspace: Workspace) -> Iterator[tuple[str, Batch]]:
    """Every landed raw file, also of sources that are no longer defined."""
    for folder in sorted((workspace.private / "landed").glob("[!.]*")):
        yield from (
            (folder.name, batch) for batch in batches_of(workspace.private, folder.name, workspace.copies).batches()
        )
