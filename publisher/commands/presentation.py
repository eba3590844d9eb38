"""`publisher show`: one release for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from publisher.errors import DefinitionError
from publisher.terminal import print_table

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.catalogue import Catalogue
    from publisher.workspace import DatasetFile

ROWS = 10


@dataclass(frozen=True)
class Presented:
    """A release as it is shown."""

    name: str
    status: str
    failures: tuple[str, ...]
    folder: Path
    statement: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


def presented(catalogue: Catalogue, dataset: DatasetFile, period: str | None) -> Presented:
    """The newest release of the period, or of the last released one. Raises DefinitionError when there is none."""
    import pyarrow.parquet

    standings = [each for each in catalogue.standings(dataset.name) if period in (None, each.release.manifest.period)]
    if not standings:
        raise DefinitionError(f"{dataset.name}: no release{f' of {period}' if period else ''} yet")
    standing = standings[-1]
    table = pyarrow.parquet.read_table(standing.release.data).slice(0, ROWS)
    return Presented(
        name=standing.release.manifest.name,
        status=standing.status,
        failures=standing.validation.failures if standing.validation is not None else (),
        folder=standing.release.folder,
        statement=standing.release.statement,
        columns=tuple(table.column_names),
        rows=tuple(tuple(row.values()) for row in table.to_pylist()),
    )


def present(found: Presented) -> None:
    """Prints it: status first, then a glimpse of the data, then the guarantee."""
    click.secho(f"{found.name}: {found.status}", bold=True)
    for failure in found.failures:
        click.secho(f"  failed: {failure}", fg="yellow")
    if found.status == "held":
        click.echo("  It is not public and will not be drawn again. Mend the suite, then `publisher revalidate`.")
    shown = [[("" if value is None else value) for value in row] for row in found.rows]
    print_table(f"the first {len(shown)} rows", found.columns, shown)
    click.echo(found.statement)
    click.echo(f"The files lie in {found.folder}.")
