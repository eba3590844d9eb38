"""`publisher purge`, and what `publisher status` says of retention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.pipeline.retention import anything_due, clock_doubt, purge, retention_of
from publisher.pipeline.schedules import refresh_schedule
from publisher.pipeline.session import locked, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from publisher.definitions.period import Period
    from publisher.pipeline.catalog import Catalog
    from publisher.pipeline.retention import RetentionStanding
    from publisher.workspace import SourceFile, Workspace

NOTHING = "nothing is due to be purged."
FEW = 5
"""So many periods are named; of more, the first ones."""


@dataclass(frozen=True)
class RetentionRow:
    """A source with something to say about its retention; the fields of `publisher status --json`."""

    source: str
    due_before: str | None
    """Records from before this month are due to be purged; None if none are."""
    purged_before: str | None
    """Records from before this month are purged."""
    hold: str | None
    """The reason of the legal hold that stops it."""
    waiting: tuple[str, ...]
    """Dataset and period of the releases that are still due and keep records beyond retention."""
    not_released: tuple[str, ...]
    """Dataset and period of what is not released any more, or would not be."""
    words: tuple[str, ...]
    """The same for people."""


def retention_rows(
    workspace: Workspace, catalog: Catalog | None, sources: Sequence[SourceFile]
) -> tuple[RetentionRow, ...]:
    """The sources of which records are landed and something is due, waits, is held or is lost. Reads no record."""
    landed = [each for each in sources if (workspace.private / "landed" / each.name).is_dir()]
    rows = [_row(workspace, retention_of(workspace, catalog, each)) for each in landed]
    return tuple(row for row in rows if row.words)


def _row(workspace: Workspace, standing: RetentionStanding) -> RetentionRow:
    due = anything_due(workspace, standing)
    return RetentionRow(
        source=standing.source.name,
        due_before=standing.next.before if due else None,
        purged_before=standing.purged.before or None,
        hold=standing.hold.reason if standing.hold is not None else None,
        waiting=tuple(f"{each.dataset} {each.period.label}" for each in standing.waiting),
        not_released=tuple(f"{dataset} {period.label}" for dataset, period in standing.not_released),
        words=tuple(lines(workspace, standing, due=due)),
    )


def lines(workspace: Workspace, standing: RetentionStanding, *, due: bool) -> Iterator[str]:
    """What is due to be purged, if anything, and what stops it, in sentences."""
    source, hold = standing.source, standing.hold
    if standing.purged.pending is not None:
        yield "a purge was interrupted: `publisher purge` or `publisher run` finishes it."
    elif due:
        automatic = source.definition.retention.automatic
        doubt = clock_doubt(workspace, source) if automatic else ""
        how = "the next `publisher run`" if automatic and not doubt else f"`publisher purge {source.name}`"
        yield f"records from before {standing.next.before} are due to be purged: {how} does it."
        if doubt:
            yield f"`publisher run` does not purge by itself: {doubt}"
    if hold is not None:
        until = f" until {hold.until}" if hold.until is not None else ""
        yield f"nothing is purged: a legal hold is in force since {hold.since}{until}: {hold.reason}."
    if standing.waiting:
        first = standing.waiting[0]
        until = f", until {first.deadline} at the latest" if first.deadline is not None else ""
        names = _named([f"{each.dataset} {each.period.label}" for each in standing.waiting])
        yield f"kept beyond retention, since a release of them is still due: {names}{until}."
    gone = [each for each in standing.not_released if each not in standing.lost_now]
    if standing.lost_now:
        yield f"will not be released any more once they are purged: {_of(standing.lost_now)}."
    if gone:
        yield f"not released, since their records were purged: {_of(gone)}."


def _of(periods: Sequence[tuple[str, Period]]) -> str:
    return _named([f"{dataset} {period.label}" for dataset, period in periods])


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{', '.join(names[:FEW])}{more}"


def planned(workspace: Workspace, sources: Sequence[SourceFile]) -> Iterator[str]:
    """What a purge would do. Deletes nothing."""
    with opened(workspace) as catalog:
        for source in sources:
            standing = retention_of(workspace, catalog, source)
            due = anything_due(workspace, standing)
            for each in [*lines(workspace, standing, due=due), *([] if due else [NOTHING])]:
                yield f"{source.name}: {each}"


def purge_sources(workspace: Workspace, sources: Sequence[SourceFile], agree: Callable[[str], None]) -> Iterator[str]:
    """Purge what is due, but for sources under a legal hold; `agree` asks a person and raises if they do not want to go
    on. Raises SourceError."""
    with locked(workspace) as catalog:
        for source in sources:
            standing = retention_of(workspace, catalog, source)
            due = anything_due(workspace, standing)
            words = [f"{source.name}: {each}" for each in lines(workspace, standing, due=due)]
            if standing.hold is not None:
                yield from words
                continue
            if not due:
                yield f"{source.name}: {NOTHING}"
                continue
            agree("\n".join(words))
            done = purge(workspace, catalog, standing)
            for dataset in workspace.datasets.values():
                if dataset.source.name == source.name:
                    refresh_schedule(workspace, catalog, dataset)
            if done is not None:
                yield f"{source.name}: purged {done.words}. `publisher journal --kind purge` has the certificate."
