"""Old releases are packed: the files of a dataset's year move into one pack for each place where they lie.

What nothing has come for in thirty days is settled: no edition, and no result of a check. Settled releases of a year
are packed thirty at a time, since each time the year's packs are written again; once the year is over and all of it is
settled, what is left is packed. What comes later lies beside the pack, and moves into it in the same way. So nothing
else has to know what is packed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from publisher.pipeline.catalog import Catalog
    from publisher.release.manifest import Release

SETTLED = timedelta(days=30)
"""How long nothing has come for what is packed."""

TOGETHER = 30
"""How many releases of a year that is not over, or not settled as a whole, are packed together."""


def pack_settled_releases(catalog: Catalog, dataset: str, now: datetime, doing: Callable[[str], None]) -> None:
    """Pack what is settled of a dataset, defined or not, and keep indexes of its packs. Raises SourceError where
    something is not as it was written; it stays where it is."""
    for year in sorted(catalog.unpacked_years(dataset)):
        if year.isdigit() and int(year) <= now.year:
            _pack_year(catalog, dataset, year, now, doing)
    catalog.index(dataset)


def _pack_year(catalog: Catalog, dataset: str, year: str, now: datetime, doing: Callable[[str], None]) -> None:
    releases = _named(catalog, dataset, catalog.store.folders(dataset, year))
    checked = _named(catalog, dataset, catalog.unpacked_results(dataset, year))
    checks = {each.manifest.name: catalog.standing(each).validation for each in checked}
    times: dict[str, list[str]] = {each.manifest.name: [each.manifest.created] for each in releases}
    for name, check in checks.items():
        if check is not None:  # another is nobody's
            times.setdefault(name, []).append(check.checked_at)
    settled = {name for name, known in times.items() if _settled(known, now)}
    whole = int(year) < now.year and len(settled) == len(times)
    if not settled or not (whole or len(settled) >= TOGETHER):
        return
    doing(f"{dataset}: packing what was released of {year}")
    old = [each for each in releases if each.manifest.name in settled]
    for each in old:
        catalog.refuse_if_changed(each)
    known = [each for each in checked if each.manifest.name in settled and checks[each.manifest.name] is not None]
    catalog.pack_results(dataset, year, known)
    catalog.store.pack(dataset, year, old)


def _settled(times: Sequence[str], now: datetime) -> bool:
    """Whether all of it is old; without a time nothing is."""
    return all(times) and max(map(_moment, times)) < now - SETTLED


def _named(catalog: Catalog, dataset: str, names: Mapping[str, Sequence[int]]) -> list[Release]:
    """The releases among these periods and editions, without what is none."""
    return [
        catalog.store.named(f"{dataset}/{period}/{number}")
        for period in sorted(names)
        for number in sorted({*names[period]} & {*catalog.store.numbers(dataset, period)})
    ]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
