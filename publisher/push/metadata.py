"""How each table of a dataset is listed on the portal: its texts, facts and files, and nothing from a record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from publisher.portal.contract import BoundariesFacts
from publisher.push.boundaries import drawn
from publisher.push.listing import Attachment, Listing
from publisher.push.provenance import coverage_facts, odds_facts, release_facts, source_facts
from publisher.release.aggregates import additive
from publisher.release.manifest import GUARANTEE
from publisher.release.table import column_specs, rollup_of, shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.definitions.dataset import Dataset
    from publisher.pipeline.catalog import Standing
    from publisher.release.manifest import Release
    from publisher.workspace import DatasetFile, Workspace

BOUNDARIES = "boundaries.geojson"


def tables_of(standings: Sequence[Standing], level: str) -> list[Release]:
    """That table in every current release that has it."""
    views = [each.release.tables for each in standings if each.status == "ready"]
    return [view[level] for view in views if level in view]


def listing_of(workspace: Workspace, dataset: DatasetFile, level: str, standings: Sequence[Standing]) -> Listing:
    """How that table is listed. Raises SourceError if its boundaries are not GeoJSON."""
    settings, definition = workspace.settings, dataset.definition
    rollup, tables = rollup_of(definition, level), tables_of(standings, level)
    polygons, files = _boundaries(workspace, dataset, level)
    return Listing(
        name=dataset.named(level),
        title=rollup.title if rollup is not None else definition.title,
        description=definition.description if rollup is None else f"{definition.description} {relation(definition)}",
        attribution=settings.organization,
        license=settings.license,
        license_url=settings.license_url,
        contact=settings.contact,
        category=definition.portal.category,
        tags=definition.portal.tags,
        columns=column_specs(dataset, level),
        shape=shape_of(dataset, level),
        guarantee=tables[-1].statement if tables else "",
        stand_in=any(table.manifest.stand_in for table in tables),
        limitations=(*_provisional(tables), *definition.limitations),
        companions=_companions(dataset, level),
        facts={
            "source": source_facts(dataset.source),
            "releases": release_facts(standings, level),
            "odds": odds_facts(tables[-1]) if tables else "",
            "coverage": coverage_facts(definition),
            "boundaries": polygons,
        },
        files=(*files, *_guarantee(tables)),
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
    titles = {"": dataset.definition.title} | {each.name: each.title for each in dataset.definition.companions}
    return tuple((dataset.named(name), title) for name, title in titles.items() if name != level)


def relation(definition: Dataset) -> str:
    """How a companion relates to the dataset's own table. Means and quantiles never add up, and no one expects that."""
    added = [measure.title for measure in additive(definition)]
    counted = [measure.title for measure in definition.measures if measure.shown and measure.measured]
    if not added:
        return f"Totals of {definition.title}."
    which = "" if added == counted else f" in {', '.join(added)}"
    return f"Totals of {definition.title}; adds up with it exactly{which}."
