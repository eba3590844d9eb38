"""`publisher add`: first definitions of a source, from how its files are written. Nothing is kept or charged."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, get_args
from zoneinfo import available_timezones

import click

from publisher.classify.kinds import TITLES
from publisher.classify.proposal import proposals
from publisher.commands.classify import looked_at
from publisher.commands.preview import private_folder
from publisher.commands.terminal import fitted
from publisher.definitions.feed import FileFeed
from publisher.definitions.source import Boundaries
from publisher.definitions.toml import MARK
from publisher.drafting import dates, identity, points, words
from publisher.drafting.draft import Period, SourceDraft, dataset_name, level_of
from publisher.drafting.sample import read_sample
from publisher.duck import connect
from publisher.durable import prepare, sync, writing
from publisher.errors import DefinitionError, SourceError
from publisher.records.feed import ENDINGS
from publisher.records.judgement import WIDTH, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from publisher.drafting.dates import DateColumn
    from publisher.drafting.identity import UnitGuess
    from publisher.drafting.points import AreaFile, PointColumns
    from publisher.drafting.sample import Sample
    from publisher.workspace import Workspace

SLUG = re.compile(r"[a-z][a-z0-9-]{0,59}")
NOTICE = "Nothing is charged or published. What you see here is private and stays on this machine."


@dataclass(frozen=True)
class NewSource:
    """What the command line says about a source to add."""

    name: str
    files: tuple[Path, ...]
    boundaries: Path | None = None
    key: str | None = None
    label: str | None = None
    yes: bool = False


def add(workspace: Workspace, new: NewSource) -> Iterator[str]:
    """Draft the definitions and write them, all or none. Raises DefinitionError and SourceError."""
    _check(new)
    files = tuple(_found(workspace, file) for file in new.files)
    areas = _areas(workspace, new)
    _check_free(workspace, new, areas)
    engine = workspace.settings.engine
    with private_folder(workspace) as folder, connect(engine, folder) as connection:
        sample = read_sample(files, connection, folder, engine.memory_bytes)
        _say(_read(files, sample))
        draft = _draft(workspace, new, files, sample, areas)
    made = {workspace.root / name: content for name, content in draft.files().items()}
    _write(made)
    yield from wrapped([f"Wrote {', '.join(workspace.shown(path) for path in made)}"])
    yield from wrapped([f"They are guesses from {'all' if sample.whole else 'a sample'} of {_named(files)}."])
    yield from _next(workspace, new, files, draft)


def source_name(file: Path) -> str:
    """A source's name, from that of its file."""
    made = re.sub(r"[^a-z0-9]+", "-", file.name.lower().split(".")[0]).strip("-")
    return made[:60].strip("-") if made[:1].isalpha() else f"source-{made}"[:60].strip("-")


def _check(new: NewSource) -> None:
    if not SLUG.fullmatch(new.name):
        raise DefinitionError(f"SOURCE: {new.name!r} must be lower case letters, digits, and -, such as permits")
    if (new.boundaries is None) and (new.key or new.label):
        raise DefinitionError("--key, --label: name properties of --boundaries FILE: give that file too")
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
    workspace: Workspace, new: NewSource, files: Sequence[Path], sample: Sample, areas: AreaFile | None
) -> SourceDraft:
    """Guess, and ask."""
    dated = dates.date_columns(sample)
    date = _date(new, sample, dated)
    point, code = _place(new, sample, areas)
    spoken_for = [each.column for each in dated]
    placed = [point.x, point.y] if point is not None else []
    named, told = identity.record_id(sample, spoken_for, placed)
    candidates = identity.units(sample)
    unit = _unit(new, candidates)
    kinds = identity.kinds(sample, [*spoken_for, *placed, *named, unit, code or ""])[:1]
    found, repeated = identity.delivery(sample, len(files), named)
    _say(_identified(named, told))
    others = [each.definition for each in workspace.sources.values() if each.name != new.name]
    zones = {each.timezone for each in others} - {"UTC"}  # which drafts have while theirs is marked
    populations = {each.population for each in others}
    path = _feed_path(workspace, new, files, sample.feed.format)
    feed = FileFeed(path=path, **sample.feed.basis())
    return SourceDraft(
        source=new.name,
        feed=feed,
        columns=sample.columns,
        nulls=sample.nulls,
        date=date,
        zone=_zone(new, zones.pop() if len(zones) == 1 else _machine_zone()),
        level=level_of(areas.boundaries.path) if areas is not None else "area",
        point=point,
        code=code,
        areas=areas,
        record_id=named,
        unit=unit,
        units=tuple((each.unit, each.protects) for each in candidates),
        kinds=tuple(kinds),
        delivery=_delivery(new, found, repeated, len(files)),
        compared=len(files) > 1,
        population=populations.pop() if len(populations) == 1 else None,
    )


def _date(new: NewSource, sample: Sample, found: Sequence[DateColumn]) -> DateColumn:
    usable = [each for each in found if not each.torn and each.readable >= dates.READABLE]
    if not usable and any(each.torn for each in found):
        torn = next(each for each in found if each.torn)
        raise SourceError(
            f"{torn.column}: some dates read only with the month first, others only with the day first, so most could "
            "be either: export the column in one format, such as 2024-12-31"
        )
    if not usable:
        raise SourceError(
            "no column has dates that can be read: every record needs one, in a usual format such as 2024-12-31"
        )
    options = [
        f"{each.column}   such as {_example(sample, each.column)}   {each.readable * each.filled:.1%} readable"
        for each in usable[:9]
    ]
    return usable[_choose(new, "Which date decides when a record counts?", options)]


def _place(new: NewSource, sample: Sample, areas: AreaFile | None) -> tuple[PointColumns | None, str | None]:
    pairs = points.point_columns(sample)
    if areas is None:
        return (points.located(sample, pairs[0], None) if pairs else None), None
    found, fault = [], None
    for pair in pairs:
        try:
            found.append(points.located(sample, pair, areas))
        except SourceError as error:
            fault = fault or error
    codes = points.code_columns(sample, areas)
    path = areas.boundaries.path
    if not found and not codes:
        raise fault or SourceError(
            f"no column has coordinates, or keys of {path}: leave --boundaries out, or export coordinates too"
        )
    options = [
        f"{each.x}, {each.y}   {each.crs}   {each.inside or 0:.0%} inside{' (x and y swapped)' if each.swapped else ''}"
        for each in found
    ]
    options += [f"{name}   {share:.0%} are keys of {Path(path).name}" for name, share in codes]
    chosen = _choose(new, "Place of each record?", options)
    return (found[chosen], None) if chosen < len(found) else (None, codes[chosen - len(found)][0])


def _unit(new: NewSource, found: Sequence[UnitGuess]) -> str:
    guess = next((n for n, each in enumerate(found) if each.usual), 0)
    options = [
        f"{each.unit}   {each.distinct:,} of them; one has {each.largest:,} records   protects {each.protects}"
        if each.distinct
        else "nobody in particular   protects each record by itself"
        for each in found
    ]
    return found[_choose(new, "Who is each record about?", options, guess)].unit


def _delivery(new: NewSource, found: identity.Delivery, repeated: float, files: int) -> identity.Delivery:
    kinds: list[identity.Delivery] = ["append", "snapshot", "changes"]
    say = ("each file holds new records", "each file holds everything", "later records replace earlier ones")
    why = f" ({repeated:.0%} of a file's records are in the one before)" if files > 1 else ""
    options = [f"{kind}   {each}" for kind, each in zip(kinds, say, strict=True)]
    return kinds[_choose(new, f"How do files follow each other?{why}", options, kinds.index(found))]


def _zone(new: NewSource, guess: str | None) -> str | None:
    if new.yes:
        return guess
    while True:
        said = str(click.prompt("Time zone of the city, such as America/Chicago", default=guess or MARK, err=True))
        if said == MARK:
            return None
        if said in available_timezones():
            return said
        click.echo(f"{said} is not the name of a time zone", err=True)


def _machine_zone() -> str | None:
    """The time zone that this machine is set to, unless it is a server's."""
    try:
        name = os.environ.get("TZ") or str(Path("/etc/localtime").readlink()).partition("zoneinfo/")[2]
    except OSError:
        return None
    return name if name in available_timezones() and "/" in name and not name.startswith("Etc/") else None


def _choose(new: NewSource, question: str, options: Sequence[str], guess: int = 0) -> int:
    """The number of the option chosen; the guess where no one is asked."""
    if new.yes:
        return guess
    alone = len(options) == 1
    click.echo(f"\n{question}{' There is one answer:' if alone else ''}", err=True)
    for n, each in enumerate(options, 1):
        lines = textwrap.wrap(_clean(each), WIDTH - 5, replace_whitespace=False, break_on_hyphens=False)
        click.echo("\n".join(f"  {'' if m else n:>1}  {line}" for m, line in enumerate(lines)), err=True)
    if alone:
        return guess
    return int(click.prompt("Choose", type=click.IntRange(1, len(options)), default=guess + 1, err=True)) - 1


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


def _example(sample: Sample, column: str) -> str:
    cell = sample.cell(column)
    (found,) = sample.numbers(f"min({cell})")
    return str(found)[:26]


def _read(files: Sequence[Path], sample: Sample) -> Iterator[str]:
    """What is shown on a terminal alone: how the files are written, and what looks personal."""
    how = {"csv": f"{sample.feed.encoding}, delimiter {sample.feed.delimiter!r}"}.get(sample.feed.format, "")
    part = "" if sample.whole else "a sample of "
    yield f"Read {part}{_named(files)}: {sample.rows:,} rows, {len(sample.columns):,} columns, {sample.feed.format}"
    if how:
        yield f"  {how}; {sample.rejected:,} rows cannot be read"
    if sample.nulls:
        yield f"  taken for missing: {' '.join(sample.nulls)}"
    if sample.rare:
        yield f"  keys that few objects have, not declared: {', '.join(map(_clean, sample.rare[:10]))}"
    yield from _personal(sample)
    yield NOTICE


def _personal(sample: Sample) -> Iterator[str]:
    """The columns that look personal by name or values. The draft goes by names alone, so that it tells no value."""
    found = {each.column: each.kind for each in proposals(sample.values(looked_at(sample))) if each.kind}
    named = {name: kind for name in sample.columns if (kind := words.personal(name))}
    if named:
        shown = ", ".join(f"{_clean(name)} ({TITLES[found.get(name, kind)]})" for name, kind in named.items())
        yield f"Columns that look personal: {shown}. They are not read, or only as pseudonyms or places."
    others = ", ".join(f"{_clean(name)} ({TITLES[kind]})" for name, kind in found.items() if name not in named)
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


def _named(files: Sequence[Path]) -> str:
    return files[0].name if len(files) == 1 else f"{len(files):,} files"


def _clean(text: str) -> str:
    """A value without what a terminal would obey."""
    return "".join(c if c.isprintable() else "·" for c in text)
