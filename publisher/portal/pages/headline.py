"""The headline number of a family of tables: its latest total, with its margin and recent trend."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from publisher.portal.answers.access import portal, sources
from publisher.portal.contract import ADDITIVE
from publisher.portal.pages.chart import draw
from publisher.portal.pages.trend import asker, trend

if TYPE_CHECKING:
    from starlette.requests import Request

    from publisher.portal.base.model import PortalDataset
    from publisher.portal.contract import ShapeMeasure
    from publisher.portal.discovery.families import DatasetEntry
    from publisher.portal.pages.chart import Chart, ChartPoint
    from publisher.portal.pages.trend import Ask

COURSE = 52
"""How many periods the small chart shows."""
KEPT = 500
_UNSEEN: Any = object()
_seen: OrderedDict[str, Headline | None] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Headline:
    """The latest point of the leading measure, and the points before it."""

    measure: ShapeMeasure
    latest: ChartPoint
    chart: Chart | None

    @property
    def words(self) -> str:
        """What the number counts; means and medians need their name too, such as "percent, closed within a week"."""
        unit, label = self.measure.unit, self.measure.label.lower()
        if not unit or (self.measure.kind not in ADDITIVE and unit in label.split()):
            return label
        return unit if self.measure.kind in ADDITIVE else f"{unit}, {label}"


def asking(request: Request, dataset: PortalDataset) -> Ask:
    """A function that runs queries on a dataset with the visitor's permissions."""
    engine = portal(request).engine
    return asker(dataset, lambda compiled: engine.fetch(sources(request, dataset, compiled), compiled))


def headline(request: Request, entry: DatasetEntry | None) -> Headline | None:
    """The headline of a table with one number per period; cached until its rows or metadata change."""
    if entry is None or entry.about.shape is None or not entry.dataset.rows:
        return None
    key = entry.dataset.mark  # two changes may share a second
    found: Headline | None = _seen.get(key, _UNSEEN)
    if found is not _UNSEEN:
        return found
    drawn = _seen[key] = _drawn(entry, asking(request, entry.dataset))
    while len(_seen) > KEPT:
        _seen.popitem(last=False)
    return drawn


def _drawn(entry: DatasetEntry, ask: Ask) -> Headline | None:
    shape = entry.about.shape
    points = trend(shape, ask, {}).points[-COURSE:] if shape else []
    known = [point for point in points if point.value is not None]
    return Headline(shape.leading, known[-1], draw(points)) if shape and known else None
