"""Old releases are packed: the files of a dataset's year move into one pack for each place where they lie.

A year is packed once it is over and nothing has come for thirty days: no release, and no result of a check. What comes
later lies beside the pack, and moves into it after thirty days too. So nothing else has to know what is packed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from publisher.pipeline.catalog import Catalog
    from publisher.release.manifest import Release

SETTLED = timedelta(days=30)
"""How long nothing has come for a year that is packed."""


def pack_settled_years(catalog: Catalog, dataset: str, now: datetime, doing: Callable[[str], None]) -> None:
    """Pack what is settled of a dataset, defined or not. Raises SourceError where something is not as it was written;
    it stays where it is."""
    for year in sorted(catalog.unpacked_years(dataset)):
        if year.isdigit() and int(year) < now.year:
            releases = _named(catalog, dataset, catalog.store.folders(dataset, year))
            checked = _named(catalog, dataset, catalog.unpacked_results(dataset, year))
            checks = {each.manifest.name: catalog.standing(each).validation for each in checked}
            times = [each.manifest.created for each in releases]
            times += [each.checked_at for each in checks.values() if each is not None]
            if times and all(times) and max(map(_moment, times)) < now - SETTLED:  # without a time nothing is settled
                doing(f"{dataset}: packing what was released of {year}")
                for each in releases:
                    catalog.refuse_if_changed(each)
                known = [each for each in checked if checks[each.manifest.name] is not None]  # another is nobody's
                catalog.pack_results(dataset, year, known)
                catalog.store.pack(dataset, year, releases)


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
