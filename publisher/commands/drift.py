"""`publisher drift`: where the portal differs from what it should say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from publisher.pipeline.session import opened
from publisher.push.drift import plain
from publisher.push.sync import drifted, portal_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.push.listing import PortalDifference
    from publisher.workspace import DatasetFile, Workspace

HEADINGS = ("table", "what", "there", "here", "changed")

_SHOWN, _BEFORE = 60, 12
"""Letters of a value in the table, and how many of them stand before the first that differs."""


@dataclass(frozen=True)
class Drift:
    """One difference of one table; `fields` is what `--json` prints, `row` the line of the table."""

    table: str
    page: str
    difference: PortalDifference

    @property
    def fields(self) -> dict[str, object]:
        """Whole values."""
        return {"table": self.table, "page": self.page, **asdict(self.difference)}

    @property
    def row(self) -> tuple[str, ...]:
        """Long values from where they differ."""
        there, here = plain(self.difference.there), plain(self.difference.here)
        pairs = enumerate(zip(there, here, strict=False))
        start = max(0, next((n for n, (a, b) in pairs if a != b), min(len(there), len(here))) - _BEFORE)
        first = f", first {self.difference.ids[0]}" if self.difference.ids else ""
        return (
            self.table,
            self.difference.what,
            _part(there, start) + first,
            _part(here, start),
            self.difference.changed or "unknown",
        )


def drifts(workspace: Workspace, datasets: Sequence[DatasetFile]) -> list[Drift]:
    """All that differs. Raises PortalError if the portal does not answer, BudgetError and SourceError as `verify`."""
    with opened(workspace) as catalog, portal_of(workspace) as client:
        return [
            Drift(table, page, difference)
            for dataset in datasets
            for table, page, difference in drifted(workspace, catalog, client, dataset)
        ]


def _part(text: str, start: int) -> str:
    """The part of a value that is shown."""
    if len(text) <= _SHOWN:
        return text
    end = start + _SHOWN
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"
