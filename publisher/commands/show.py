"""`publisher show`: one release for people, or what is expected of every release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.commands.markdown import print_markdown
from publisher.commands.ranges import with_ranges
from publisher.commands.terminal import print_table, say
from publisher.definitions.model import LANGUAGES
from publisher.errors import DefinitionError
from publisher.pipeline.report import next_step
from publisher.pipeline.totals import refuse_damaged_totals, total_standings
from publisher.release.measurements import columns_of, read_measurements
from publisher.release.suite import rules_of
from publisher.release.table import level_names, read_published
from publisher.release.translation import in_language, words_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from publisher.pipeline.catalog import Catalog
    from publisher.release.failure import Origin
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

ROWS = 10


@dataclass(frozen=True)
class Presented:
    """A release as `publisher show` prints it."""

    name: str
    status: str
    failures: tuple[str, ...]
    next_step: str
    """What people can do if it is held; otherwise empty."""
    decisions: tuple[str, ...]
    """What people decided about it, with their reasons."""
    folder: Path
    """Where its files are, or were before they were packed."""
    pack: Path | None
    """The ZIP archive that has the files of its year, if they are packed."""
    statement: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    companions: tuple[str, ...]
    """The dataset's other tables, by their names."""
    bounds: tuple[str, ...]
    """What bounds leave out of its numbers."""
    noise: tuple[tuple[str, str, str, str, str], ...] = ()
    """Column, distribution, scale, standard deviation and unit of each published measurement; none by default."""


def presented(
    catalog: Catalog, dataset: DatasetFile, period: str | None, table: str | None = None, language: str = LANGUAGES[0]
) -> Presented:
    """The newest release of the period (default: the last one released); `table` is the name of a rollup or a total,
    `language` that of its guarantee.

    Raises DefinitionError when there is none, and SourceError when its table is damaged.
    """
    totals = [total.name for total in dataset.definition.totals]
    found = catalog.standings(dataset.name)
    if table in totals:
        refuse_damaged_totals(catalog, dataset)
        found = [each for each in total_standings(catalog, dataset) if each.release.level == table]
    standings = [each for each in found if period in (None, each.release.manifest.period)]
    if not standings:
        name = dataset.named(table) if table in totals else dataset.name
        raise DefinitionError(f"{name}: no release{f' of {period}' if period else ''} yet")
    standing = standings[-1]
    tables = standing.release.tables
    if (table or "") not in tables:
        known = ", ".join(name for name in (*tables, *totals) if name) or "none"
        raise DefinitionError(f"{standing.release.manifest.name}: has no table {table!r}; its other tables: {known}")
    chosen = tables[table or ""]
    rows = read_published(chosen).slice(0, ROWS)
    says, held = standing.release.manifest, standing.validation if standing.status == "held" else None
    return Presented(
        name=chosen.manifest.name,
        status=standing.status,
        failures=standing.validation.words if standing.validation is not None else (),
        next_step=next_step(f"{says.dataset} {says.period}", held) if held is not None else "",
        decisions=tuple(
            f"{each.what} on {each.at[:10]}: {each.reason or 'no reason given'}" for each in standing.decisions
        ),
        folder=chosen.folder,
        pack=chosen.packed,
        statement=_statement(chosen, dataset, language),
        columns=tuple(rows.column_names),
        rows=tuple(tuple(row.values()) for row in rows.to_pylist()),
        companions=tuple(name for name in dict.fromkeys((*tables, *totals)) if name not in ("", table)),
        bounds=chosen.manifest.shape.bounds,
        noise=tuple(_noise(chosen)),
    )


def _statement(release: Release, dataset: DatasetFile, language: str) -> str:
    """The guarantee in words. Raises DefinitionError when the language cannot say all of it."""
    if language == LANGUAGES[0]:
        return release.statement
    said = in_language(language, release.statement, words_of(dataset, language))
    if said is None:
        words = f"this version does not say all of its guarantee in {language!r}: leave out --language"
        raise DefinitionError(f"{release.manifest.name}: {words}")
    return said


def _noise(release: Release) -> Iterator[tuple[str, str, str, str, str]]:
    table = read_measurements(release, release.level)
    for name, column in (columns_of(table) if table is not None else {}).items():
        if column.draws:
            kinds, scales = zip(*column.draws, strict=True)
            scale = " + ".join(f"{each:.6g}" for each in scales)
            yield name, " + ".join(kinds), scale, f"{column.deviation:.6g}", column.unit


@dataclass(frozen=True)
class Expected:
    """One expectation of a table, as `publisher show --suite` prints it."""

    table: str
    origin: Origin
    words: str
    expectation: str
    """The type of Great Expectations."""
    file: str
    """The suite in which people wrote it."""


HEADINGS: dict[Origin, str] = {
    "definition": "Follows from the definition; always checked",
    "last release": "Compared with the last release",
    "people": "Decided by people",
}


def expected(workspace: Workspace, dataset: DatasetFile, table: str | None = None) -> list[Expected]:
    """What is expected of every table of a dataset, or of one rollup's. Raises DefinitionError for an unknown table."""
    levels = level_names(dataset.definition)
    if table is not None and table not in levels:
        known = ", ".join(name for name in levels if name) or "none"
        raise DefinitionError(f"{dataset.name}: has no rollup {table!r}; its rollups: {known}")
    return [
        Expected(dataset.named(level), rule.origin, rule.words, rule.kind, rule.file)
        for level in (levels if table is None else (table,))
        for rule in rules_of(dataset, level, workspace.suite(dataset.named(level)))
    ]


def present_expected(found: Sequence[Expected]) -> None:
    """Print the expectations of each table by where they come from, and what is said of one column on one line."""
    for table in dict.fromkeys(each.table for each in found):
        say(table, bold=True)
        for origin, heading in HEADINGS.items():
            lines = [each for each in found if (each.table, each.origin) == (table, origin)]
            if not lines and origin == "people":
                say(f"  Decided by people: nothing. Write expectations/{table}.json to expect more.")
            elif lines:
                say(f"  {heading}{f' ({lines[0].file})' if lines[0].file else ''}")
                for words in _joined([each.words for each in lines]):
                    say(f"    {words}")
        say()


def _joined(words: Sequence[str]) -> list[str]:
    """What is said of the same subject, such as `place: never empty`, on one line."""
    subjects: dict[str, list[str]] = {}
    for each in dict.fromkeys(words):
        subject, _, said = each.rpartition(": ")
        subjects.setdefault(subject, []).append(said)
    lines = [f"{subject}: {'; '.join(said)}" if subject else "; ".join(said) for subject, said in subjects.items()]
    return [_once(line, "; nothing may look like") for line in lines]


def _once(line: str, phrase: str) -> str:
    """The line with a phrase that it repeats said once."""
    first, *rest = line.split(phrase)
    return first + phrase + " or".join(rest) if rest else first


def present(found: Presented) -> None:
    """Print a release: its status, then its first rows, then its guarantee."""
    say(f"{found.name}: {found.status}", bold=True)
    for failure in found.failures:
        say(f"  failed: {failure}", fg="yellow")
    for decision in found.decisions:
        say(f"  {decision}")
    if found.next_step:
        say(f"  It is not public and will not be drawn again. {found.next_step}")
    headings, cells = with_ranges(found.columns, found.rows)
    same = {n for n, name in enumerate(headings) if name == "period" and len({row[n] for row in cells}) == 1}
    rows = [["" if value is None else value for n, value in enumerate(row) if n not in same] for row in cells]
    print_table(f"First {len(rows)} rows", [name for n, name in enumerate(headings) if n not in same], rows)
    for line in found.bounds:
        say(line)
    if found.companions:
        say(f"Other tables: {', '.join(found.companions)}. Show one with --table.")
    if found.noise:
        say("The unbiased measurements of every cell are also published: they show what suppression hides.")
        print_table("Their noise", ("column", "noise", "scale", "standard deviation", "unit"), found.noise)
    say()
    print_markdown(found.statement)
    if found.pack is not None:
        say(f"The files are in {found.pack}, under {'/'.join(found.folder.parts[-2:])}. Any program for ZIP opens it.")
    else:
        say(f"The files are in {found.folder}.")
