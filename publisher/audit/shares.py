"""The share that bounds let count: what a release says of it, by arithmetic of the audit's own on its noisy totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.definitions.dataset import WIDER
from publisher.release.store import ReleaseStore
from publisher.release.table import kept_draw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from publisher.audit.scratch import Scratch
    from publisher.definitions.dataset import Measure
    from publisher.portal.contract import CountedShare
    from publisher.stages import NoisyTable, Table
    from publisher.workspace import DatasetFile

LEAST = 1.7
"""The 95% half width of a sum of noise is at least so many of its standard deviations, for each of its laws."""
PERCENT = 0.016
"""A share is told in whole percent, and inside of a range in whole percent."""


@dataclass(frozen=True)
class _Total:
    value: int
    variance: float


def faults_of_shares(scratch: Scratch) -> list[str] | str:
    """Whether each share is the quotient of the noisy totals, and both ends of its range as far as the noise of all
    their cells together."""
    store = ReleaseStore(scratch.workspace.public, scratch.workspace.private)
    releases, dataset = store.releases(scratch.dataset.name), scratch.dataset
    if not releases:
        return ["no release was made"]
    if min(each.scale for release in releases for each in release.manifest.charge.tables) < 1:
        return "not looked at: the noise is smaller than one step of a table"
    faults: list[str] = []
    for release in releases:
        noisy = kept_draw(dataset, release)
        said = {each.measure: each for each in release.manifest.counted}
        for measure in dataset.definition.covered:
            wider = _total(noisy, (WIDER, measure.name))
            faults += _unlike(measure.name, said.get(measure.name), _bounded(noisy, dataset, measure), wider)
    return faults or "each is that of the noisy totals, and its range that of the noise of all their cells"


def _unlike(name: str, said: CountedShare | None, bounded: _Total, wider: _Total) -> Iterator[str]:
    if said is None or said.share is None:
        if wider.value > 3 * wider.variance**0.5 + 1:
            yield f"{name}: nothing is said of how much counts"
        return
    share = min(max(bounded.value / max(wider.value, 1), 0), 1)
    if abs(said.share - share) > PERCENT or not said.low - PERCENT <= share <= said.high + PERCENT:
        yield f"{name}: the share that counts, or its range, is not that of the noisy totals"
    for end in (said.low, said.high):
        least = LEAST * (bounded.variance + end**2 * wider.variance) ** 0.5
        if 0 < end < 1 and abs(bounded.value - end * wider.value) < least:
            yield f"{name}: the range of the share that counts is narrower than the noise"


def _bounded(noisy: NoisyTable, dataset: DatasetFile, measure: Measure) -> _Total:
    """The surest of the totals of tables that add up."""
    levels = [each.name for each in noisy.levels] if dataset.definition.adds_up(measure) else [""]
    return min((_total(noisy, (level, measure.name)) for level in levels), key=lambda total: total.variance)


def _total(noisy: NoisyTable, table: Table) -> _Total:
    """The sum of a table's cells, each of which has every draw's noise."""
    times = {"discrete gaussian": 1, "discrete laplace": 2}
    each = sum(times[one.kind] * one.scale**2 for one in noisy.mechanisms if one.table == table)
    return _Total(int(noisy.tables[table].sum()), noisy.tables[table].size * each)
