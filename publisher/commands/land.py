"""`publisher land`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.pipeline.session import locked
from publisher.records.landing import land

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.workspace import SourceFile, Workspace


def land_sources(workspace: Workspace, sources: Sequence[SourceFile]) -> Iterator[str]:
    """Land each source; one line per source. Raises SourceError."""
    with locked(workspace):
        for source in sources:
            landing = land(
                source,
                data=workspace.data,
                private=workspace.private,
                engine=workspace.settings.engine,
                received=source.today(),
            )
            report = f"; private report: {landing.report}" if landing.report is not None else ""
            yield f"{source.name}: {landing.new} new files, {landing.known} known{report}"
