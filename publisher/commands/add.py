"""`publisher add`: first definitions of a source, from how its files are written. Nothing is kept or charged."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import TYPE_CHECKING, get_args

import click

from publisher.classify.kinds import TITLES
from publisher.classify.law import read_law
from publisher.classify.proposal import proposals
from publisher.commands import add_questions as questions
from publisher.commands.add_questions import clean
from publisher.commands.classify import looked_at
from publisher.commands.preview import private_folder
from publisher.commands.terminal import fitted, now_and_then
from publisher.definitions.feed import FileFeed, FileFormat
from publisher.definitions.likeness import there_is
from publisher.definitions.source import Boundaries
from publisher.definitions.toml import MARK
from publisher.drafting import dates, identity, points, words
from publisher.drafting.address import feed_at, shown
from publisher.drafting.draft import Period, SourceDraft, dataset_name, level_of
from publisher.drafting.first_records import first_records
from publisher.drafting.sample import read_sample
from publisher.duck import connect
from publisher.durable import prepare, sync, writing
from publisher.errors import DefinitionError, SourceError
from publisher.pipeline.journaling import tell_reading
from publisher.records import workbook
from publisher.records.feed import ENDINGS
from publisher.records.judgement import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from publisher.definitions.feed import ServerFeed
    from publisher.definitions.settings import LawName
    from publisher.drafting.address import ServerAddress
    from publisher.drafting.first_records import FirstRecords
    from publisher.drafting.points import AreaFile
    from publisher.drafting.sample import Sample
    from publisher.workspace import Workspace

SLUG = re.compile(r"[a-z][a-z0-9-]{0,59}")
NOTICE = "Nothing is charged or published. What you see here is private and stays on this machine."


@dataclass(frozen=True)
class NewSource:
    """What the command line says about a source to add."""

    name: str
    files: tuple[Path, ...] = ()
    server: ServerAddress | None = None
    """Instead of files."""
    sheet: str | None = None
    law: LawName | None = None
    boundaries: Path | None = None
    key: str | None = None
    label: str | None = None
    yes: bool = False


def add(workspace: Workspace, new: NewSource) -> Iterator[str]:
    """Draft the definitions and write them, all or none. Raises DefinitionError and SourceError."""
    _check(new)
    server = feed_at(new.server) if new.server else None
    files = tuple(_found(workspace, file) for file in new.files)
    areas = _areas(workspace, new)
    _check_free(workspace, new, areas)
    engine = workspace.settings.engine
    tell_reading(workspace, "draft", source=new.name)
    with private_folder(workspace) as folder, connect(engine, folder) as connection:
        records = _of_server(server, folder) if server else _of_files(new, files, engine.memory_bytes)
        sample = read_sample(records.paths, connection, folder, engine.memory_bytes, records.described)
        _say(_read(records, sample))
        draft = _draft(workspace, new, records, sample, areas)
    made = {workspace.root / name: content for name, content in draft.files().items()}
    _write(made)
    yield from wrapped([f"Wrote {', '.join(workspace.shown(path) for path in made)}"])
    part = "the first records" if server else "all" if sample.whole else "a sample"
    yield from wrapped([f"They are guesses from {part} of {records.shown}."])
    yield from _next(workspace, new, files, draft)


@dataclass(frozen=True)
class _Records:
    """What a sample is read from."""

    shown: str
    paths: tuple[Path, ...]
    described: FileFormat | None = None
    first: FirstRecords | None = None
    """What a server says of its records."""


def _of_files(new: NewSource, files: tuple[Path, ...], memory: int) -> _Records:
    """Raw files, and the sheet that a person names."""
    for path in files if new.sheet is not None else ():
        there = workbook.sheets(path, memory)
        if new.sheet not in there:
            raise DefinitionError(
                f"--sheet: {path.name} has no sheet {new.sheet!r}; {there_is(new.sheet or '', there)}"
                if there
                else f"--sheet: {path.name} is not a workbook: leave it out"
            )
    described = FileFormat(format="excel", sheet=new.sheet) if new.sheet is not None else None
    return _Records(_named(files), files, described)


def _of_server(feed: ServerFeed, folder: Path) -> _Records:
    """The first records of a server, which are asked for now."""
    with now_and_then(lambda: f"waiting for {shown(feed)}"):
        first = first_records(feed, folder)
    return _Records(shown(feed), (first.path,), FileFormat(format="json"), first)


def source_name(file: Path) -> str:
    """A source's name, from that of its file."""
    made = re.sub(r"[^a-z0-9]+", "-", file.name.lower().split(".")[0]).strip("-")
    return made[:60].strip("-") if made[:1].isalpha() else f"source-{made}"[:60].strip("-")


def _check(new: NewSource) -> None:
    if not SLUG.fullmatch(new.name):
        raise DefinitionError(f"SOURCE: {new.name!r} must be lower case letters, digits, and -, such as permits")
    if (new.boundaries is None) and (new.key or new.label):
        raise DefinitionError("--key, --label: name properties of --boundaries FILE: give that file too")
    if bool(new.files) == bool(new.server):
        raise click.UsageError("give raw files, or --from with the address of a server, and not both")
    if new.sheet is not None and new.server is not None:
        raise click.UsageError("--sheet is for workbooks: leave it out for a server")
    if not new.yes and not _person():
        raise click.UsageError("there is no terminal to ask on: add --yes to take every guess. Nothing was written.")


def _person() -> bool:
    """Whether someone can be asked, and sees alone what is shown."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _found(workspace: Workspace, named: Path) -> Path:
    for path in (named, workspace.data / named):
        if path.is_file():
            return path.resolve()
    raise SourceError(f"{named}: there is no such file here or in {workspace.data}")


def _areas(workspace: Workspace, new: NewSource) -> AreaFile | None:
    if new.boundaries is None:
        return None
    path = _found(workspace, new.boundaries)
    try:
        properties = list(json.loads(path.read_bytes())["features"][0]["properties"])
    except (OSError, ValueError, LookupError, TypeError):
        properties = []  # the reader of boundaries says what is wrong
    for option, name in (("--key", new.key), ("--label", new.label)):
        if properties and name not in properties and (name or option == "--key"):
            said = f"there is no property {name!r}" if name else "say which property names the areas"
            raise DefinitionError(f"{option}: {said}; {path.name} has: {', '.join(properties)}")
    inside = path.is_relative_to(workspace.data)
    shown = str(path.relative_to(workspace.data)) if inside else f"boundaries/{path.name}"
    return points.read_areas(path, Boundaries(path=shown, key=new.key or "name", label=new.label, source=MARK))


def _check_free(workspace: Workspace, new: NewSource, areas: AreaFile | None) -> None:
    """Ask before a definition is replaced; refuse where no one is asked."""
    names = [f"pipelines/{new.name}.toml", f"pipelines/{new.name}.sql"]
    names += [f"datasets/{dataset_name(new.name, period)}.toml" for period in get_args(Period)]
    if areas is not None:
        names.append(f"datasets/keysets/{new.name}-{level_of(areas.boundaries.path)}.csv")
    there = [name for name in names if (workspace.root / name).exists()]
    if there and new.yes:
        raise DefinitionError(f"{there[0]}: is there already: choose another name for the source, or delete the file")
    if there:
        click.confirm(fitted(f"{', '.join(there)}: there already. Replace?", err=True), abort=True, err=True)


def _draft(
    workspace: Workspace, new: NewSource, records: _Records, sample: Sample, areas: AreaFile | None
) -> SourceDraft:
    """Guess, and ask."""
    first, files = records.first, records.paths
    dated = dates.date_columns(sample)
    dated = [each for each in dated if each.column in first.times] or dated if first else dated
    date = questions.date_of(sample, dated, yes=new.yes)
    point, code = questions.place_of(sample, areas, yes=new.yes)
    spoken_for = [each.column for each in dated]
    placed = [point.x, point.y] if point is not None else []
    named, told = first.record_id if first else (), 1.0
    if not named:
        named, told = identity.record_id(sample, spoken_for, placed)
    candidates = identity.units(sample)
    unit = questions.unit_of(candidates, yes=new.yes)
    kinds = identity.kinds(sample, [*spoken_for, *placed, *named, unit, code or ""])[:1]
    _say(_identified(named, told))
    others = [each.definition for each in workspace.sources.values() if each.name != new.name]
    zones = {each.timezone for each in others} - {"UTC"}  # which drafts have while theirs is marked
    populations = {each.population for each in others}
    return SourceDraft(
        source=new.name,
        feed=first.feed if first else _file_feed(workspace, new, files, sample),
        columns=first.in_order(sample) if first else sample.columns,
        nulls=sample.nulls,
        date=date,
        zone=questions.zone_of(zones.pop() if len(zones) == 1 else questions.machine_zone(), yes=new.yes),
        level=level_of(areas.boundaries.path) if areas is not None else "area",
        point=point,
        code=code,
        areas=areas,
        record_id=named,
        unit=unit,
        units=tuple((each.unit, each.protects) for each in candidates),
        kinds=tuple(kinds),
        delivery=first.delivery if first else questions.delivery_of(sample, named, len(files), yes=new.yes),
        compared=len(files) > 1,
        population=populations.pop() if len(populations) == 1 else None,
        law=read_law(new.law) if new.law else None,
    )


def _file_feed(workspace: Workspace, new: NewSource, files: Sequence[Path], sample: Sample) -> FileFeed:
    return FileFeed(path=_feed_path(workspace, new, files, sample.feed.format), **sample.feed.basis())


def _feed_path(workspace: Workspace, new: NewSource, files: Sequence[Path], form: str) -> str:
    """Where the feed is in the data folder: the file, what several have in common, or a folder to put them in."""
    if not all(file.is_relative_to(workspace.data) for file in files):
        known = all(file.name.lower().endswith(ENDINGS[form]) for file in files)
        return new.name if known else f"{new.name}/*"
    names = [str(file.relative_to(workspace.data)) for file in files]
    if len(names) == 1:
        return names[0]
    start = _shared(names)
    end = _shared([name[len(start) :][::-1] for name in names])[::-1]
    middles = [name[len(start) : len(name) - len(end)] for name in names]
    if all(each.isdigit() for each in middles):  # parts of numbers or dates: the others of the next file differ too
        start, end = re.sub(r"\d[\d._-]*$", "", start), re.sub(r"^[\d._-]*\d", "", end)
    return f"{start}*{end}" if not any("/" in each for each in middles) else start.rpartition("/")[0] or "."


def _shared(names: Sequence[str]) -> str:
    """What all begin with."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in alike)


def _read(records: _Records, sample: Sample) -> Iterator[str]:
    """What is shown on a terminal alone: how the files are written, and what looks personal."""
    how = {"csv": f"{sample.feed.encoding}, delimiter {sample.feed.delimiter!r}"}.get(sample.feed.format, "")
    part = "the first records of " if records.first else "" if sample.whole else "a sample of "
    form = "" if records.first else f", {sample.feed.format}"
    yield f"Read {part}{records.shown}: {sample.rows:,} rows, {len(sample.columns):,} columns{form}"
    if sample.feed.sheet is not None:
        yield f"  sheet {clean(sample.feed.sheet)!r}"
    if how:
        yield f"  {how}; {sample.rejected:,} rows cannot be read"
    if sample.nulls:
        yield f"  taken for missing: {' '.join(sample.nulls)}"
    if sample.rare:
        yield f"  keys that few objects have, not declared: {', '.join(map(clean, sample.rare[:10]))}"
    yield from _personal(sample)
    yield NOTICE


def _personal(sample: Sample) -> Iterator[str]:
    """The columns that look personal by name or values. The draft goes by names alone, so that it tells no value."""
    found = {each.column: each.kind for each in proposals(sample.values(looked_at(sample))) if each.kind}
    named = {name: kind for name in sample.columns if (kind := words.personal(name))}
    if named:
        shown = ", ".join(f"{clean(name)} ({TITLES[found.get(name, kind)]})" for name, kind in named.items())
        yield f"Columns that look personal: {shown}. They are not read, or only as pseudonyms or places."
    others = ", ".join(f"{clean(name)} ({TITLES[kind]})" for name, kind in found.items() if name not in named)
    if others:
        yield (
            f"Personal by their values, not by their names: {others}. The draft calls them public, since it must not "
            "depend on records: write their class yourself, and read = false where it is missing."
        )


def _identified(named: Sequence[str], told: float) -> Iterator[str]:
    if named:
        yield f"Records are told apart by {', '.join(named)} ({told:.2%})"


def _say(lines: Iterable[str]) -> None:
    """Show what is private, if a person is looking; otherwise it is not even looked for."""
    if sys.stderr.isatty():
        click.echo("\n".join(wrapped(lines)), err=True)


def _write(made: dict[Path, str]) -> None:
    """Write all of the files, or none."""
    beside: dict[Path, Path] = {}
    new = [path for path in made if not path.exists()]
    with writing("the definitions"):
        try:
            for path, content in made.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                beside[path] = prepare(path, content.encode())
            for path, ready in beside.items():
                ready.replace(path)
        except OSError:
            for path in chain(beside.values(), new):
                path.unlink(missing_ok=True)
            raise
        for folder in {path.parent for path in made}:
            sync(folder)


def _next(workspace: Workspace, new: NewSource, files: Sequence[Path], draft: SourceDraft) -> Iterator[str]:
    yield "Next:"
    outside = [file for file in files if not file.is_relative_to(workspace.data)]
    if outside:
        yield f"  put {_named(outside)} into {workspace.data / new.name}/"
    if new.boundaries is not None and draft.areas is not None and draft.areas.boundaries.path.startswith("boundaries/"):
        wanted = workspace.data / draft.areas.boundaries.path
        if not wanted.is_file():
            yield f"  put {new.boundaries.name} into {wanted.parent}/"
    yield f"  publisher preview {new.name}   the rows as they will be counted"
    yield f"  publisher classify {new.name}   what its columns hold, by their values too"
    yield f"  publisher check   what is still open: every {MARK}"
    yield f"  publisher plan {draft.dataset} --goal WORDS   then: loss and bounds"


def _named(files: Sequence[Path]) -> str:
    return files[0].name if len(files) == 1 else f"{len(files):,} files"
