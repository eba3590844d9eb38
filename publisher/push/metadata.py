"""How each table of a dataset is listed on the portal: its texts, facts and files, and nothing from a record."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from publisher.definitions.totals import NAMES, adds_over_time
from publisher.portal.contract import BoundariesFacts
from publisher.push.boundaries import drawn
from publisher.push.listing import Attachment, Listing
from publisher.push.measurements import measurements_of
from publisher.push.provenance import (
    counted_facts,
    counted_shares,
    coverage_facts,
    odds_facts,
    release_facts,
    source_facts,
    tuned_since,
)
from publisher.push.translations import guarantees_of, translations_of
from publisher.release.aggregates import additive
from publisher.release.manifest import GUARANTEE
from publisher.release.table import column_specs, laws_of, shape_of, table_names, title_of, total_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.totals import TotalOverTime
    from publisher.pipeline.catalog import Standing
    from publisher.pipeline.tuning import Tuned
    from publisher.release.guarantee_inputs import Tuning
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

BOUNDARIES = "boundaries.geojson"


def tables_of(standings: Sequence[Standing], level: str) -> list[Release]:
    """That table in every current release that has it."""
    views = [each.release.tables for each in standings if each.status == "ready"]
    return [view[level] for view in views if level in view]


def listing_of(
    workspace: Workspace,
    dataset: DatasetFile,
    level: str,
    standings: Sequence[Standing],
    withheld: Sequence[str] = (),
    tuned: Tuned | None = None,
    tunings: Sequence[Tuning] = (),
    schedules: Mapping[str, str] = MappingProxyType({}),
) -> Listing:
    """How that table is listed; `withheld` says why totals over time are not there, `tuned` is what was measured of
    units, `tunings` all that was charged for measuring them, `schedules` what happened to each period.

    Raises SourceError if its boundaries are not GeoJSON.
    """
    settings, definition = workspace.settings, dataset.definition
    tables = tables_of(standings, level)
    polygons, files = _boundaries(workspace, dataset, level)
    measured, downloads = measurements_of(definition, level, tables)
    stand_in = any(table.manifest.stand_in for table in tables)
    shape = shape_of(dataset, level, laws_of(tables))
    newest = tables[-1].manifest if tables else None
    counted = counted_shares(dataset, shape, tuned, stand_in=stand_in, level=level, newest=newest)
    bounds = " ".join([*shape.bounds, *shape.counted_words(counted)])
    related = relation(definition, level) if level else ""
    described = f"{definition.description} {related}".rstrip()
    return Listing(
        name=dataset.named(level),
        title=title_of(definition, level),
        description=f"{described}\n\n{bounds}".rstrip(),
        attribution=settings.organization,
        license=settings.license,
        license_url=settings.license_url,
        contact=settings.contact,
        category=definition.portal.category,
        tags=definition.portal.tags,
        columns=column_specs(dataset, level),
        shape=shape,
        guarantee=tables[-1].statement if tables else "",
        stand_in=stand_in,
        limitations=(*_provisional(tables), *withheld, *definition.limitations),
        companions=_companions(dataset, level),
        facts={
            "source": source_facts(dataset.source),
            "releases": release_facts(standings, level),
            "odds": odds_facts(tables[-1], tuned_since(tables[-1], dataset, tunings)) if tables else "",
            "coverage": coverage_facts(definition),
            "headline": definition.portal.headline or "",
            "boundaries": polygons,
            "over_time": total.grain if (total := total_of(definition, level)) is not None else "",
            "measurements": measured,
            "bounds": bounds,
            "counted": counted_facts(counted),
            "translations": translations_of(dataset, related),
            **(guarantees_of(dataset, tables[-1]) if tables else {}),
            **schedules,
        },
        files=(*files, *_guarantee(tables), *downloads),
    )


def _boundaries(workspace: Workspace, dataset: DatasetFile, level: str) -> tuple[str, tuple[Attachment, ...]]:
    """The description of the polygons, and their file; nothing if there are none."""
    found = drawn(dataset, level, workspace.data)
    if found is None:
        return "", ()
    said = BoundariesFacts(key=found.key, property=found.key, filename=BOUNDARIES, source=found.source)
    return said.model_dump_json(exclude_defaults=True), (Attachment(BOUNDARIES, found.content, "application/geo+json"),)


def _guarantee(tables: Sequence[Release]) -> tuple[Attachment, ...]:
    """The machine-readable guarantee of the newest release."""
    newest = tables[-1:]
    return tuple(Attachment(GUARANTEE, each.content(GUARANTEE), "application/json") for each in newest)


def _provisional(tables: Sequence[Release]) -> tuple[str, ...]:
    """A line that names the periods for which another edition is still to come."""
    periods = [each.manifest.period for each in tables if not each.manifest.final]
    return (f"Provisional, to be counted again: {', '.join(periods)}.",) if periods else ()


def _companions(dataset: DatasetFile, level: str) -> tuple[tuple[str, str], ...]:
    """The other tables of the dataset: name and title."""
    definition = dataset.definition
    names = [name for name in table_names(definition) if name != level]
    return tuple((dataset.named(name), title_of(definition, name)) for name in names)


def relation(definition: Dataset, level: str) -> str:
    """How a companion relates to the dataset's own table. Means and quantiles never add up, and no one expects that."""
    total = total_of(definition, level)
    if total is not None:
        return _over_time(definition, total)
    added = [measure.title for measure in additive(definition)]
    counted = [measure.title for measure in definition.measures if measure.shown and measure.measured]
    if not added:
        return f"Totals of {definition.title}."
    which = "" if added == counted else f" in {', '.join(added)}"
    return f"Totals of {definition.title}; adds up with it exactly{which}."


def _over_time(definition: Dataset, total: TotalOverTime) -> str:
    """How totals over time relate to the table whose periods they add up."""
    each = definition.period
    words = (
        f"Each row adds up the {each}s of one {NAMES[total.grain]}"
        if not total.running
        else f"Each row adds up the {each}s of the {NAMES[total.grain]}, up to the {each} that it is named after"
    )
    left_out = [each.title for each in definition.measures if each.shown and not adds_over_time(definition, each)]
    said = (
        f"{words}. Totals are computed from the noisy numbers of {title_of(definition, total.level)}, as they were "
        "before anything below zero was cut off, and rounded once. So they are closer to the truth than a sum of the "
        f"published {each}s, and do not add up with them to the digit."
    )
    if left_out:
        said += f" {', '.join(left_out)}: not added up, since one that is counted in several {each}s is still one."
    return said
