"""`publisher land`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from publisher.commands.terminal import now_and_then, print_landed
from publisher.pipeline.journaling import tell_reading
from publisher.pipeline.landed import land_source
from publisher.pipeline.session import locked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.workspace import SourceFile, Workspace


def _say(words: str) -> None:
    click.echo(words, err=True)


def land_sources(workspace: Workspace, sources: Sequence[SourceFile]) -> Iterator[str]:
    """Land each source; one line per source, and for each draft. Raises SourceError."""
    yield from workspace.left_out()
    with locked(workspace):
        for source in sources:
            with now_and_then(partial(str, f"{source.name}: still reading its files")):
                landing = land_source(workspace, source, _say if source.definition.fetched else None)
            print_landed(source, landing, partial(tell_reading, workspace, "private report"))
            yield f"{source.name}: {landing.new} new files, {landing.known} known"
