"""The guess: four signals, each looked at by itself, whose points are added up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from publisher.classify import column_names, shapes, values
from publisher.classify.kinds import KINDS

if TYPE_CHECKING:
    from publisher.classify.column import SampledColumn
    from publisher.classify.kinds import Kind

ENOUGH = 3
"""So many points make a guess."""
_ENOUGH_MATCHES: dict[Kind, float] = {
    "email": 0.005,
    "phone": 0.05,
    "government-id": 0.02,
    "card": 0.005,
    "bank": 0.02,
    "address": 0.4,
    "plate": 0.8,
    "coordinates": 0.3,
    "link": 0.3,
    "name": 0.45,
}
"""From this share of matching values on a column holds the kind, whatever its name is: where a match is a proof by
itself, a few are enough, since one column may hold several things."""
_MATCHED, _SOME, _CATEGORIES = 4, 1, -3


@dataclass(frozen=True)
class Guess:
    """What a column seems to hold."""

    kind: Kind | None
    signals: tuple[str, ...] = ()
    """Which signals speak for it: name, values, uniqueness, shape."""
    share: float | None = None
    """The share of sampled values that match, where the kind has a pattern: private."""


def guess(column: SampledColumn) -> Guess:
    """The kind with the most points, if they are enough; of two kinds with as many, the one whose values match."""
    named, matched, shaped = column_names.named(column.name), values.matched(column), shapes.shaped(column)
    best, found = (ENOUGH - 1, _MATCHED), Guess(None)
    for kind in KINDS:
        share = matched.get(kind, 0.0)
        points = {
            "name": named.get(kind, 0),
            "values": _points(kind, share),
            "uniqueness": _uniqueness(column, kind, share),
            "shape": shaped.get(kind, 0),
        }
        if points["values"] == _MATCHED:
            points["shape"] = max(0, points["shape"])  # a proof is not undone by the shape of the other values
        repeats = kind == "address" and points["name"] == column_names.STRONG  # many homes are in one street
        if repeats or shaped.get(kind) == shapes.ALONE:  # that shape has looked at repetitions itself
            points["uniqueness"] = max(0, points["uniqueness"])
        order = (sum(points.values()), points["values"])
        if (points["name"] or points["values"] == _MATCHED or points["shape"] == shapes.ALONE) and order > best:
            speaking = tuple(signal for signal, each in points.items() if each > 0)
            best, found = order, Guess(kind, speaking, share if kind in _ENOUGH_MATCHES else None)
    return found


def _points(kind: Kind, share: float) -> int:
    enough = _ENOUGH_MATCHES.get(kind, 2.0)
    return _MATCHED if share >= enough else _SOME if share >= enough / 3 else 0


def _uniqueness(column: SampledColumn, kind: Kind, share: float) -> int:
    """Few values that come again and again are categories, unless they prove what they are."""
    if not column.values:
        return 0
    if column.categories:
        proven = share >= 0.7 if kind == "name" else _points(kind, share) == _MATCHED
        return 0 if proven else _CATEGORIES
    return 1 if column.unique > 0.3 else 0
