"""`publisher show`: one release for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from publisher.commands.terminal import print_table
from publisher.errors import DefinitionError
from publisher.release.table import read_published

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.pipeline.catalog import Catalog
    from publisher.workspace import DatasetFile

ROWS = 10


@dataclass(frozen=True)
class Presented:
    """A release as `publisher show` prints it."""

    name: str
    status: str
    failures: tuple[str, ...]
    folder: Path
    statement: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    companions: tuple[str, ...]
    """The release's other tables."""


def presented(catalog: Catalog, dataset: DatasetFile, period: str | None, table: str | None = None) -> Presented:
    """The newest release of the period (default: the last one released); `table` is a rollup's name.

    Raises DefinitionError when there is none, and SourceError when its table is damaged.
    """
    standings = [each for each in catalog.standings(dataset.name) if period in (None, each.release.manifest.period)]
    if not standings:
        raise DefinitionError(f"{dataset.name}: no release{f' of {period}' if period else ''} yet")
    standing = standings[-1]
    tables = standing.release.tables
    if (table or "") not in tables:
        known = ", ".join(name for name in tables if name) or "none"
        raise DefinitionError(f"{standing.release.manifest.name}: has no table {table!r}; its other tables: {known}")
    shown = tables[table or ""]
    rows = read_published(shown).slice(0, ROWS)
    return Presented(
        name=shown.manifest.name,
        status=standing.status,
        failures=standing.validation.failures if standing.validation is not None else (),
        folder=shown.folder,
        statement=shown.statement,
        columns=tuple(rows.column_names),
        rows=tuple(tuple(row.values()) for row in rows.to_pylist()),
        companions=tuple(name for name in tables if name),
    )


def present(found: Presented) -> None:
    """Print a release: its status, then its first rows, then its guarantee."""
    click.secho(f"{found.name}: {found.status}", bold=True)
    for failure in found.failures:
        click.secho(f"  failed: {failure}", fg="yellow")
    if found.status == "held":
        click.echo(
            "  It is not public and will not be drawn again. Fix the expectations, then run `publisher revalidate`."
        )
    shown = [[("" if value is None else value) for value in row] for row in found.rows]
    print_table(f"First {len(shown)} rows", found.columns, shown)
    if found.companions:
        click.echo(f"Other tables: {', '.join(found.companions)}. Show one with --table.\n")
    click.echo(found.statement)
    click.echo(f"The files are in {found.folder}.")
