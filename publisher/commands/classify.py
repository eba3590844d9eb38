"""`publisher classify`: what the columns of a file seem to hold, for whoever decides on them. Nothing is kept."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from publisher.classify.declaration import declared
from publisher.classify.kinds import STOPPED, TITLES
from publisher.classify.law import read_law
from publisher.classify.proposal import proposals
from publisher.commands.preview import beginning, private_folder
from publisher.definitions.feed import FileFormat
from publisher.definitions.toml import read_text
from publisher.drafting.sample import read_sample
from publisher.duck import connect
from publisher.durable import write_file
from publisher.errors import SourceError
from publisher.pipeline.journaling import tell_reading
from publisher.records import feed
from publisher.records.judgement import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.classify.law import Law
    from publisher.classify.proposal import ColumnProposal
    from publisher.drafting.sample import Sample
    from publisher.workspace import SourceFile, Workspace

ROWS = 5_000
CELLS = 500_000
"""Of files with many columns fewer rows are looked at, so that it takes seconds."""
_COLUMN = 18
_SIGNALS = {"uniqueness": "unique"}
NOTICE = "PRIVATE: shares come from records. Do not copy, send or log them."


@dataclass(frozen=True)
class Classified:
    """The columns of one file with what is proposed for them."""

    source: SourceFile | None
    law: Law | None
    proposals: tuple[ColumnProposal, ...]
    looked_at: str
    """Which rows were looked at, in words."""
    whole: bool
    """Whether these are all rows of the file."""

    def read_now(self, column: str) -> bool:
        """Whether the definition reads it."""
        declared = self.source.definition.columns.get(column) if self.source else None
        return declared is not None and declared.read


def classified(workspace: Workspace, target: str, law: str | None) -> Classified:
    """Look at the last file of a source, or at a file. Raises DefinitionError and SourceError."""
    source = workspace.sources.get(target)
    engine = workspace.settings.engine
    tell_reading(workspace, "classify", source=source.name if source is not None else "")
    with private_folder(workspace) as folder, connect(engine, folder) as connection:
        path, described = _look_at(workspace, source, target, folder)
        sample = read_sample([path], connection, folder, engine.memory_bytes, described)
        rows = looked_at(sample)
        found = sample.values(rows)
        fetched = source is not None and source.definition.fetched
        whole = sample.whole and sample.rows <= rows and not fetched
        words = _looked_at(sample, rows, None if fetched else path.name)
    pack = read_law(law) if law else None
    return Classified(source, pack, proposals(found, pack), words, whole)


def _look_at(
    workspace: Workspace, source: SourceFile | None, target: str, folder: Path
) -> tuple[Path, FileFormat | None]:
    """The file to look at, and how it is written if a source says so."""
    if source is None:
        return _file(workspace, target), None
    declared = source.definition.feed
    path = beginning(source, folder) if source.definition.fetched else feed.find(source, workspace.data)[-1]
    return path, declared if isinstance(declared, FileFormat) else FileFormat(format=declared.format)


def looked_at(sample: Sample) -> int:
    """So many rows are looked at: a few even of very many columns."""
    return min(ROWS, max(1, CELLS // len(sample.columns)))


def _looked_at(sample: Sample, rows: int, file: str | None) -> str:
    """Which rows were looked at: no more is claimed than is true."""
    if file is None:
        return "the first records that the feed gave: later ones may hold other things"
    if sample.part == "beginning":
        return f"rows at the beginning of {file}"
    if sample.part == "spread" or sample.rows > rows:
        return f"about {rows:,} rows, evenly spread over {file}"
    return f"every row of {file}"


def _file(workspace: Workspace, target: str) -> Path:
    for path in (Path(target), workspace.data / target):
        if path.is_file():
            return path.resolve()
    known = f"sources: {', '.join(workspace.sources)}" if workspace.sources else "no source is defined yet"
    raise SourceError(f"{target}: is neither a source nor a file here or in {workspace.data} ({known})")


def as_json(found: Classified, *, private: bool) -> dict[str, Any]:
    """The proposals for machines; shares only where a person looks on."""
    shares = [{"share": each.share} if private else {} for each in found.proposals]
    return {
        "law": found.law.title if found.law else None,
        "whole_file": found.whole,
        "columns": [
            {
                "column": each.column,
                "kind": each.kind,
                "signals": each.signals,
                "class": each.class_,
                "statute": each.statute,
                "confirm": each.note,
                "read": each.read,
                "read_now": found.read_now(each.column) if found.source else None,
            }
            | share
            for each, share in zip(found.proposals, shares, strict=True)
        ],
    }


def lines(found: Classified) -> Iterator[str]:
    """Lines of at most 80 columns for a person; shares on a terminal alone."""
    private = sys.stdout.isatty()
    if private:
        yield from (NOTICE, "")
    personal = [each for each in found.proposals if each.kind]
    others = [each.column for each in found.proposals if not each.kind]
    if personal:
        share = "share" if private else ""
        yield f"{'column':<{_COLUMN}} {'looks like':<14} {share:>5} {'by its':<27} {'class':<7} now".rstrip()
    for each in personal:
        yield _line(found, each, private=private)
    yield from ("",) if personal else ()
    yield from wrapped([f"Not personal, by these signals ({len(others)}): {', '.join(map(_clean, others)) or 'none'}"])
    yield ""
    yield from wrapped(_meaning(found, personal))
    if found.law:
        yield from ("", *_statutes(found.law, personal))


def _line(found: Classified, each: ColumnProposal, *, private: bool) -> str:
    assert each.kind is not None  # noqa: S101 - for the type checker: personal columns have a kind
    share = f"{each.share:.0%}" if private and each.share is not None else ""
    signals = ", ".join(_SIGNALS.get(signal, signal) for signal in each.signals)
    now = "read" if found.read_now(each.column) else ""
    column = _clean(each.column)
    column = column if len(column) <= _COLUMN else f"{column[: _COLUMN - 1]}…"
    return f"{column:<{_COLUMN}} {TITLES[each.kind]:<14} {share:>5} {signals:<27} {each.class_:<7} {now}".rstrip()


def _meaning(found: Classified, personal: Sequence[ColumnProposal]) -> Iterator[str]:
    """What follows, in sentences."""
    yield f"From {found.looked_at}. These are guesses: a person decides."
    if personal:
        yield "Proposed for each column above: read = false, unless the pipeline needs it."
    stopped = [each.column for each in personal if each.kind in STOPPED and found.read_now(each.column)]
    if stopped:
        named = ", ".join(map(_clean, stopped))
        yield f"Set read = false: {named}. Card and bank numbers that are read stop the landing."
    if found.source:
        declared_now = found.source.definition.columns
        new = ", ".join(_clean(each.column) for each in found.proposals if each.column not in declared_now)
        if new:
            yield f"Not in {found.source.origin.name} yet: {new}. --law with --write adds them, not read."


def _statutes(law: Law, personal: Sequence[ColumnProposal]) -> Iterator[str]:
    """What the pack says of the kinds that were found."""
    yield law.title
    yield from wrapped(["A lawyer has to confirm every line: a pack is a starting point, not advice."])
    ordered = sorted(personal, key=lambda each: (each.statute or "", each.kind or ""))
    for (statute, note), group in groupby(ordered, key=lambda each: (each.statute, each.note)):
        kinds = ", ".join(dict.fromkeys(TITLES[each.kind] for each in group if each.kind))
        yield from wrapped([f"- {kinds}: {statute}. To confirm: {note}."])
    yield from wrapped([f"- everything else: open, {law.open}."])


def write(workspace: Workspace, found: Classified) -> Iterator[str]:
    """Fill in what the source's definition does not have yet, by the names of columns alone: the file is committed, and
    one record could decide what values look like. Raises DefinitionError."""
    assert found.source is not None  # noqa: S101 - the command line asks for a source
    path = workspace.root / "pipelines" / f"{found.source.name}.toml"
    by_name = proposals({each.column: () for each in found.proposals}, found.law)
    made = declared(found.source, read_text(path, found.source.origin.name), by_name)
    if made.added or made.filled:
        write_file(path, made.text.encode())
    name = found.source.origin.name
    changes = (
        (made.added, f"Added to {name}, not read"),
        (made.filled, f"Statutes filled in in {name}"),
        (made.differing, "Left as they are, since the pack puts them into another class"),
    )
    for columns, words in changes:
        if columns:
            yield from wrapped([f"{words}: {', '.join(map(_clean, columns))}"])
    if not (made.added or made.filled):
        yield f"{name} has nothing to fill in; nothing was changed."
    named = {each.column for each in by_name if each.kind}
    if any(each.kind and each.column not in named for each in found.proposals):
        yield from wrapped(
            [f"What values alone say is not in {name}, which must not depend on records: write it there."]
        )


def _clean(text: str) -> str:
    """A name without what a terminal would obey."""
    return "".join(c if c.isprintable() else "·" for c in text)
