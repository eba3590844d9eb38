"""What a run must ask first: to draw published periods again, to release the future, or to release very much at once.

A privacy budget does not come back, so a person must agree to these. None of it looks at a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from publisher.errors import SourceError
from publisher.privacy.charge import decimal
from publisher.records.feed import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from publisher.definitions.period import Period
    from publisher.pipeline.job import Job
    from publisher.workspace import DatasetFile, SourceFile, Workspace

_NAMES = {
    "register_": "register",
    "loss": "loss (rho or epsilon)",
    "sql": "SELECT",
    "places": "places or their boundaries",
    "columns": "columns read",
}
"""What people call the parts of a definition."""


@dataclass(frozen=True)
class Redraw:
    """What an edited definition does to periods that are already released."""

    dataset: DatasetFile
    periods: tuple[Period, ...]
    """They would be drawn and charged again."""
    changed: tuple[str, ...]
    """The parts of the definition that were edited since; empty if older manifests do not say."""
    refinished: tuple[Period, ...]
    """They would get another edition of the same draw, which costs nothing."""

    def among(self, allowed: Callable[[Period], bool]) -> Redraw:
        """The same for only those periods that are not allowed."""
        periods = tuple(period for period in self.periods if not allowed(period))
        return Redraw(self.dataset, periods, self.changed, self.refinished)

    @property
    def cost(self) -> str:
        """What it would spend, in words."""
        definition, window = self.dataset.definition, self.dataset.source.definition.privacy.window
        blocks = {block.label for period in self.periods for block in period.cut(window)}
        symbol = "ρ" if definition.loss.currency == "zcdp" else "ε"
        return f"{symbol} {decimal(definition.loss.amount)} more on each of {len(blocks)} {window} block(s)"

    def words(self) -> str:
        """What would happen, and what to do."""
        why = f"{' and '.join(self.changed)} changed" if self.changed else "the definition changed"
        span = spanned(self.periods)
        return (
            f"{self.dataset.name}: {why} after {len(self.periods)} period(s) were charged. {span} would be drawn and "
            f"charged again: {self.cost}. To keep the released numbers, undo the change, define a new dataset, or set "
            f"`first` to a later period. To draw them again, run: publisher run {self.dataset.name} --redraw {span}"
        )


def redraw_of(jobs: Sequence[Job]) -> Redraw | None:
    """What the current definition would do to the released periods among these; None if nothing."""
    again = tuple(job for job in jobs if job.redraws)
    finished = tuple(job.period for job in jobs if job.refinishes)
    if not again and not finished:
        return None
    changed = dict.fromkeys(name for job in again for name in job.changed_parts)
    names = tuple(_NAMES.get(name, name.replace("_", " ")) for name in changed)
    return Redraw(jobs[0].dataset, tuple(job.period for job in again), names, finished)


def spanned(periods: Sequence[Period]) -> str:
    """The first and last of these periods, in the form that `--redraw` takes."""
    return periods[0].label if len(periods) == 1 else f"{periods[0].label}..{periods[-1].label}"


def questions(workspace: Workspace, dataset: DatasetFile, drawn: Sequence[Period]) -> Iterator[str]:
    """What to ask before these periods are drawn for the first time."""
    if not drawn:
        return
    most = workspace.settings.most_periods
    if len(drawn) > most:
        yield (
            f"{dataset.name}: {len(drawn)} periods ({spanned(drawn)}) would be released and charged at once, more than "
            f"most_periods = {most} in publisher.toml."
        )
    arrived = newest_arrival(dataset.source, workspace)
    ahead = [period for period in drawn if arrived is not None and period.end > arrived]
    if ahead:
        yield (
            f"{dataset.name}: {spanned(ahead)} ended after the newest raw file arrived ({arrived}): is the clock of "
            f"this machine right, and has the file for this period arrived? What is charged does not come back."
        )


def has_files(source: SourceFile, workspace: Workspace) -> bool:
    """Whether a raw file is there, or comes when it is needed."""
    try:
        newest_arrival(source, workspace)
    except SourceError:
        return False
    return True


def newest_arrival(source: SourceFile, workspace: Workspace) -> date | None:
    """The day on which the newest raw file was written, on the source's own clock; None for stand-in feeds
    and for records that are fetched when they are needed.

    Raises SourceError when there is no file.
    """
    if source.name in workspace.feeds or source.definition.fetched:
        return None
    try:
        newest = max(path.stat().st_mtime for path in find(source, workspace.data))
    except OSError as error:
        raise SourceError(f"{source.origin.name}: feed.path: a raw file cannot be read: {error.strerror}") from None
    return datetime.fromtimestamp(newest, ZoneInfo(source.definition.timezone)).date()
