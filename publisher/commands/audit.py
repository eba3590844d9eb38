"""`publisher audit`: one dataset's guarantee, tried on a private copy of its records and on generated worst cases.

Nothing is charged, and nothing is written except in a folder of its own that is empty before and deleted afterwards; no
exact value is shown. Each check is a finding; docs/audit.md says what it proves and what it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.audit import arithmetic, conduct, engines, independence, invariance, landing, over_time, shares
from publisher.audit.bench import bench_of
from publisher.audit.bound import bound_of, farthest_of, pair_of
from publisher.audit.finding import Finding
from publisher.audit.replay import Replay, chosen, claims, replay, words
from publisher.audit.scratch import Scratch, scratch_folder, scratch_of
from publisher.audit.worst import RECORD
from publisher.definitions import period as civil
from publisher.errors import DefinitionError, PublisherError, SourceError
from publisher.pipeline.charges import mechanisms_of
from publisher.pipeline.journaling import tell_reading
from publisher.run import PeriodSelection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from publisher.audit.bench import Bench
    from publisher.definitions.period import Period
    from publisher.run import Observer
    from publisher.workspace import DatasetFile, Workspace

UNITS = 200
RELEASES = 200_000
OF_RECORDS = ("neighbors among the records", "order of the records")
OF_WORST = (
    "worst-case neighbors",
    "attained sensitivity",
    "order of the worst case",
    "engine",
    "noise of its own",
    "noise on paper",
    "discovered keys",
    "bound on the loss",
)
OF_RELEASES = (
    "charge before noise",
    "same release, same bytes",
    "every block pays",
    "post-processing",
    "share that counts",
    "totals over time",
)
CHECKS = (*OF_RECORDS, "landing", *OF_WORST, *OF_RELEASES)
"""All there are; the docs say what each one does."""
FARTHEST = frozenset({"attained sensitivity", "noise on paper"})
"""Checks of the distances that the worst-case neighbors had."""


@dataclass(frozen=True)
class Audit:
    """What is audited, and how thoroughly: `units` neighbors, at least `releases` for the bound on the loss."""

    workspace: Workspace
    dataset: DatasetFile
    period: Period
    units: int
    releases: int
    checks: frozenset[str]
    observer: Observer

    def findings(self, folder: Path) -> Iterator[Finding]:
        """Every check that is asked for in turn; a fault does not stop the rest."""
        self.observer.total(len(self.checks))
        if self.checks & set(OF_RECORDS):
            with bench_of(self.workspace, self.dataset, self.period, folder / "tmp") as bench:
                yield from self._of_records(bench)
        yield from self._look(
            "landing", lambda: landing.faults_of_landing(self.workspace, self.dataset, folder / "landing")
        )
        scratch = scratch_of(self.workspace, self.dataset, self.period, folder / "worst")
        scratch.land()
        if self.checks & set(OF_WORST):
            with bench_of(scratch.workspace, scratch.dataset, self.period, folder / "tmp") as bench:
                yield from self._of_worst(bench, scratch)
        yield from self._of_releases(scratch, folder)

    def _of_records(self, bench: Bench) -> Iterator[Finding]:
        seen = Replay(claims(bench))
        yield from self._look("neighbors among the records", lambda: replay(bench, chosen(bench, self.units), seen))
        yield from self._look(
            "order of the records",
            lambda: invariance.faults_of_order(bench) + invariance.faults_of_company(bench, generated=False),
        )

    def _of_worst(self, bench: Bench, scratch: Scratch) -> Iterator[Finding]:
        attaining = ", ".join(f"'{number:05d}'" for number in scratch.worst.attaining)
        neighbors = chosen(bench, self.units)
        neighbors += bench.neighbors(f"left({RECORD}, 5) IN ({attaining})", "min(_event)", 10 * self.units)
        seen = Replay(claims(bench))
        yield from self._look("worst-case neighbors", lambda: replay(bench, list(dict.fromkeys(neighbors)), seen))
        yield from self._look("attained sensitivity", lambda: _attained(seen, scratch))
        yield from self._look(
            "order of the worst case",
            lambda: invariance.faults_of_order(bench) + invariance.faults_of_company(bench, generated=True),
        )
        settings, private = self.workspace.settings, scratch.workspace.private
        yield from self._look(
            "engine", lambda: engines.faults_of_engines(bench, private, settings.engine, private / "tmp")
        )
        yield from self._look(
            "noise of its own", lambda: independence.faults_of_noise(mechanisms_of(self.dataset, settings))
        )
        yield from self._look(
            "noise on paper", lambda: arithmetic.faults_of_scales(self.dataset, settings, seen.farthest)
        )
        if self.dataset.definition.discovered is not None:
            yield from self._look("discovered keys", lambda: arithmetic.faults_of_selection(bench, neighbors))
        yield from self._look("bound on the loss", lambda: self._bounded(bench, scratch))

    def _of_releases(self, scratch: Scratch, folder: Path) -> Iterator[Finding]:
        full = scratch_of(self.workspace, self.dataset, self.period, folder / "full")
        empty = scratch_of(self.workspace, self.dataset, self.period, folder / "empty", only=0)
        yield from self._look("charge before noise", lambda: conduct.faults_of_charging(scratch))
        yield from self._look("same release, same bytes", lambda: conduct.faults_of_repeating(scratch))
        yield from self._look("every block pays", lambda: conduct.faults_of_blocks(scratch, folder))
        yield from self._look(
            "post-processing",
            lambda: conduct.faults_of_finishing(scratch) + conduct.faults_of_dependence(full, empty),
        )
        if self.dataset.definition.covered:
            yield from self._look("share that counts", lambda: shares.faults_of_shares(scratch))
        if self.dataset.definition.totals:
            yield from self._look("totals over time", lambda: over_time.faults_of_totals(scratch, folder))

    def _bounded(self, bench: Bench, scratch: Scratch) -> list[str] | str:
        """One unit alone against none: of the units that attain the sensitivity, the easiest to tell apart."""
        nobody = bench.aggregate("false")
        alone = [bench.aggregate(f"left({RECORD}, 5) = '{number:05d}'") for number in scratch.worst.attaining]
        pair = farthest_of([pair_of(each, nobody) for each in alone], bench.dataset)
        bound = bound_of(pair, bench.dataset, self.workspace.settings, self.releases)
        if bound is None:
            return "not looked at: the noise is smaller than one step of a table"
        return bound.words if bound.passed else [bound.words]

    def _look(self, what: str, look: Callable[[], list[str] | str]) -> Iterator[Finding]:
        """One check, if it is asked for: its faults, or what it saw. A check that cannot finish counts as a fault."""
        if what not in self.checks:
            return
        self.observer.step(what)
        try:
            found = look()
        except PublisherError as error:
            found = [f"could not be finished: {error}"]
        except Exception as error:  # noqa: BLE001 - whatever a fault of the product does, the other looks go on
            found = [f"could not be finished: {type(error).__name__}"]  # its words may hold a value
        if isinstance(found, str):
            yield Finding(what, found)
        else:
            yield Finding(what, "; ".join(dict.fromkeys(found)) or SAID[what], not found)


SAID = {
    "order of the records": "the same bits in other orders, threads and parts; units count the same next to others",
    "order of the worst case": "the same bits in other orders, threads and parts; no two units are taken for one",
    "landing": "what is landed of a unit depends on its own rows and on public files alone, whoever lands it",
    "noise of its own": "tables, releases and processes share no noise; numbers of every size get as much of it",
    "every block pays": "each window of the period is charged; one that cannot pay refuses the draw",
    "noise on paper": "every scale pays for the farthest neighbor; the losses add up",
    "discovered keys": "a key of one unit is shown with a chance of at most δ",
    "charge before noise": "a refused draw draws nothing; the charge is in the ledger at the first draw",
    "same release, same bytes": "interrupted, run again, held and finished again: one charge, one draw, the same bytes",
    "totals over time": "each is the sum of its periods' noisy numbers; it costs nothing and goes with any of them",
    "post-processing": "what is published follows from the noisy numbers alone, byte for byte",
}
"""What a check has seen when it found no fault."""


def audit(
    workspace: Workspace,
    dataset: DatasetFile,
    *,
    period: str | None,
    units: int,
    releases: int,
    only: Sequence[str] = (),
    observer: Observer,
) -> list[Finding]:
    """Run every check, or only some. Raises DefinitionError for a period that is not the dataset's or a check that does
    not exist, SourceError, LockedError."""
    if not workspace.private.is_dir():
        raise SourceError(f"{dataset.source.name}: no file has been landed yet: run `publisher land`")
    looked = Audit(workspace, dataset, _period(dataset, period), units, releases, _checks(only), observer)
    source, asked = dataset.source.name, looked.period.label
    with scratch_folder(workspace) as folder:
        tell_reading(workspace, "audit", source=source, dataset=dataset.name, period=asked)
        (folder / "tmp").mkdir()
        return list(looked.findings(folder))


def _checks(only: Sequence[str]) -> frozenset[str]:
    """The checks asked for, with those that they need."""
    for name in only:
        if name not in CHECKS:
            raise DefinitionError(f'there is no check "{name}": use one of {", ".join(CHECKS)}')
    asked = frozenset(only or CHECKS)
    return asked | {"worst-case neighbors"} if asked & FARTHEST else asked


def _period(dataset: DatasetFile, text: str | None) -> Period:
    """The period asked for, or the last one that is due."""
    due = PeriodSelection().periods(dataset)
    if not due:
        raise DefinitionError(f"{dataset.origin.name}: no period is due yet")
    if text is None:
        return due[-1]
    try:
        asked = civil.parse(text)
    except ValueError as error:
        raise DefinitionError(str(error)) from None
    if asked not in due:
        raise DefinitionError(
            f"{text} is not a period of {dataset.name} that is due: use one from {due[0].label} to {due[-1].label}"
        )
    return asked


def _attained(seen: Replay, scratch: Scratch) -> list[str] | str:
    """Whether the worst neighbors move every table as far as its cells allow; if not, they are not the worst."""
    wanted = scratch.worst.attainable()
    found = {name: seen.farthest.get(name, (0, 0)) for name in wanted}
    short = [words(name) for name, (l1, l2) in wanted.items() if found[name][0] < l1 or found[name][1] < l2]
    full = sum(most == (seen.claims[name].l1, seen.claims[name].l2_squared) for name, most in wanted.items())
    said = f"{full} of {len(seen.claims)} tables attain Δ₁ and Δ₂"
    if full < len(seen.claims):
        said += "; the others have fewer cells than max_groups, and reach as far as those let them"
    return [f"{name} does not move as far as it must" for name in short] or said
