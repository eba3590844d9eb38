"""The tables that describe the others: `_tables`, `_releases`, `_columns`, `_guarantees`, `_keys`, `_boundaries`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from publisher.analyst.published import table_name
from publisher.definitions import period as civil
from publisher.errors import SourceError
from publisher.push.boundaries import drawn
from publisher.push.metadata import relation
from publisher.release.manifest import GUARANTEE
from publisher.release.table import as_released, level_names, rollup_of, total_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from publisher.analyst.published import PublishedDataset
    from publisher.definitions.cells import Axis
    from publisher.definitions.settings import Settings
    from publisher.release.manifest import Manifest, Release, Shape

    Rows = list[tuple[Any, ...]]

TABLES: dict[str, tuple[str, tuple[tuple[str, str, str], ...]]] = {
    "_tables": (
        "Every table of released data in this file: what it is, where it is published, and at what privacy cost.",
        (
            ("table_name", "VARCHAR", "The table in this file; joins with duckdb_tables()."),
            ("dataset", "VARCHAR", "The dataset that it is published as."),
            ("level", "VARCHAR", "The rollup of the dataset; empty for its own, finest table."),
            ("title", "VARCHAR", "Its title."),
            ("description", "VARCHAR", "What it has."),
            ("portal_id", "VARCHAR", "Its id on the portal; empty until it was pushed."),
            ("portal_url", "VARCHAR", "Its page on the portal."),
            ("publisher", "VARCHAR", "The organization that publishes it."),
            ("license", "VARCHAR", "The license of the data."),
            ("license_url", "VARCHAR", "The text of the license."),
            (
                "privacy_unit",
                "VARCHAR",
                "Who is protected: each record, or everything of one unit in a window of time.",
            ),
            ("period", "VARCHAR", "The time that one release covers: day, week, month, quarter or year."),
            ("grain", "VARCHAR", "The time that one row covers."),
            ("place", "VARCHAR", "The key column that has the place; joins with _boundaries."),
            ("currency", "VARCHAR", "What the loss is counted in: zcdp (rho) or pure (epsilon)."),
            ("loss", "DOUBLE", "The privacy loss of the newest release, for all tables of the dataset together."),
            ("rows", "BIGINT", "How many rows the table has."),
            ("first_day", "DATE", "The first day that it covers."),
            ("last_day", "DATE", "The last day that it covers."),
            ("updated", "TIMESTAMP", "When its newest release was made, in UTC."),
            ("limitations", "VARCHAR[]", "What a reader should know."),
        ),
    ),
    "_releases": (
        "The current edition of every period of every table.",
        (
            ("dataset", "VARCHAR", "The dataset that the table is published as."),
            ("title", "VARCHAR", "The title of the table."),
            ("period", "VARCHAR", "The period."),
            ("edition", "INTEGER", "The edition of the period."),
            ("created", "TIMESTAMP", "When it was made, in UTC."),
            ("rows", "INTEGER", "How many rows it has."),
            ("suppressed", "INTEGER", "How many of them are withheld."),
            ("unreliable", "INTEGER", "How many have a margin above 65% of the value."),
            ("caution", "INTEGER", "How many have a margin above 33% of the value, and at most 65%."),
            ("stand_in", "BOOLEAN", "Whether it was made from invented records."),
            ("final", "BOOLEAN", "Whether no further edition of the period is planned."),
            ("table_name", "VARCHAR", "The table in this file."),
            ("first_day", "DATE", "The first day of the period."),
            ("last_day", "DATE", "The last day of the period."),
        ),
    ),
    "_columns": (
        "Every column of every table of released data.",
        (
            ("dataset", "VARCHAR", "The dataset that the table is published as."),
            ("position", "INTEGER", "The position of the column."),
            ("name", "VARCHAR", "The column."),
            ("title", "VARCHAR", "Its title."),
            ("type", "VARCHAR", "Its type on the portal."),
            ("description", "VARCHAR", "What it has."),
            ("table_name", "VARCHAR", "The table in this file."),
            ("unit", "VARCHAR", "The unit of a measure's value."),
            ("is_key", "BOOLEAN", "Whether rows may be chosen by it where a margin is asked for."),
        ),
    ),
    "_guarantees": (
        "What is promised about every release, in words and as JSON.",
        (
            ("dataset", "VARCHAR", "The dataset."),
            ("period", "VARCHAR", "The period."),
            ("edition", "INTEGER", "The edition of the period."),
            ("currency", "VARCHAR", "What the loss is counted in: zcdp (rho) or pure (epsilon)."),
            ("loss", "VARCHAR", "The exact privacy loss on each block of time, a fraction."),
            ("statement", "VARCHAR", "The guarantee in words, as Markdown."),
            ("guarantee", "VARCHAR", "The guarantee as JSON."),
        ),
    ),
    "_keys": (
        "Every key that a key column may have, with its name and the coarser key that it belongs to.",
        (
            ("dataset", "VARCHAR", "The dataset, without the name of a rollup."),
            ("key_column", "VARCHAR", "The key column."),
            ("key", "VARCHAR", "The key."),
            ("label", "VARCHAR", "Its name; the key itself if it needs none."),
            ("coarser_column", "VARCHAR", "A coarser key column; a row for each that there is."),
            ("coarser", "VARCHAR", "The key of that column to which it belongs."),
        ),
    ),
    "_boundaries": (
        "The outlines of places, in WGS 84, simplified as the portal draws them.",
        (
            ("table_name", "VARCHAR", "The table whose places they are."),
            ("place", "VARCHAR", "The key; joins with the column that _tables names, and with _values."),
            ("place_name", "VARCHAR", "The name of the place."),
            ("geojson", "VARCHAR", "The outline as a GeoJSON geometry."),
            ("wkb", "BLOB", "The same as well-known binary: ST_GeomFromWKB(wkb) with DuckDB's spatial extension."),
            ("source", "VARCHAR", "Where the outlines come from."),
        ),
    ),
}
"""Name -> what it is for, and its columns: name, type and what each has."""


def about_releases(published: PublishedDataset) -> dict[str, Rows]:
    """The rows about each release, which never change."""
    tables = [(level, each) for level, tables in published.tables.items() for each in tables]
    return {
        "_releases": [_release(each, published.title(level)) for level, each in tables],
        "_guarantees": [_guarantee(each) for each in published.releases],
    }


def about_tables(published: PublishedDataset, settings: Settings) -> dict[str, Rows]:
    """The rows about each table of the dataset, which every new release changes."""
    return {
        "_tables": [_table(published, level, settings) for level in published.tables],
        "_columns": [row for tables in published.tables.values() for row in _columns(tables[-1].manifest)],
    }


def about_keys(published: PublishedDataset, data: Path) -> dict[str, Rows]:
    """The rows about keys and places, which follow from the definition; those of discovered keys, from all releases."""
    return {
        "_keys": _keys(published) if published.releases else [],
        "_boundaries": [row for level in published.tables for row in _boundaries(published, level, data)],
    }


def _table(published: PublishedDataset, level: str, settings: Settings) -> tuple[Any, ...]:
    definition, tables = published.file.definition, published.tables[level]
    says, rollup = tables[-1].manifest, rollup_of(definition, level)
    privacy = published.file.source.definition.privacy
    portal_id, portal_url = published.addresses.get(level, (None, None))
    total = total_of(definition, level)
    grain = (
        total.grain if total is not None else (rollup.grain if rollup is not None else None) or definition.cell_grain
    )
    days = [_days(each.manifest.period) for each in tables]
    return (
        table_name(says.dataset), says.dataset, level, published.title(level),
        definition.description if not level else f"{definition.description} {relation(definition, level)}",
        portal_id, portal_url, settings.organization, settings.license, settings.license_url,
        "record" if privacy.unit == "record" else f"{privacy.unit}, in each {privacy.window}",
        definition.period, grain, says.shape.place, says.charge.currency, float(Fraction(says.charge.loss)),
        sum(each.manifest.rows for each in tables), min(first for first, _ in days), max(last for _, last in days),
        max(_moment(each.manifest.created) for each in tables), list(definition.limitations),
    )  # fmt: skip


def _release(release: Release, title: str) -> tuple[Any, ...]:
    says = release.manifest
    return (says.dataset, title, says.period, says.edition, _moment(says.created), says.rows, says.suppressed,
            says.unreliable, says.caution, says.stand_in, says.final, table_name(says.dataset),
            *_days(says.period))  # fmt: skip


def _columns(says: Manifest) -> Rows:
    units = {measure.name: measure.unit for measure in says.shape.measures}
    units |= {end: measure.unit for measure in says.shape.measures for end in (measure.low, measure.high)}
    keys = key_columns(says.shape)
    return [
        (says.dataset, n, each.name, each.title, each.type, each.description, table_name(says.dataset),
         units.get(each.name), each.name in keys)
        for n, each in enumerate(says.columns, 1)
    ]  # fmt: skip


def key_columns(shape: Shape) -> set[str]:
    """The columns by which rows may be chosen: none of them has a value."""
    names = {key.names for key in shape.keys if key.names is not None}
    return {"id", shape.period, shape.time} | {key.name for key in shape.keys} | names


def _guarantee(release: Release) -> tuple[Any, ...]:
    says = release.manifest
    text = release.content(GUARANTEE).decode()
    return says.dataset, says.period, says.edition, says.charge.currency, says.charge.loss, release.statement, text


def _keys(published: PublishedDataset) -> Rows:
    """The keys of every column, coarser ones too; those that a selection found, of all releases."""
    found: dict[tuple[Any, ...], None] = {}
    for release in published.releases:
        file = as_released(published.file, release)
        axes = {axis.name: axis for axis in file.grid(civil.parse(release.manifest.period)).axes}
        above: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
        for each in file.coarser:
            made = each.axis(axes[each.of])
            axes[made.axis.name] = made.axis
            above.setdefault(each.of, []).append((made.axis.name, tuple(made.axis.keys[code] for code in made.codes)))
        for name, axis in axes.items():
            found |= dict.fromkeys(_axis(published.file.name, axis, above.get(name, [])))
        if file.definition.discovered is None:
            break  # every release has the same
    return list(found)


def _axis(dataset: str, axis: Axis, above: list[tuple[str, tuple[str, ...]]]) -> Iterator[tuple[Any, ...]]:
    labels = axis.labels or axis.keys
    for n, (key, label) in enumerate(zip(axis.keys, labels, strict=True)):
        for column, of_each in above:
            yield dataset, axis.name, key, label, column, of_each[n]
        if not above:
            yield dataset, axis.name, key, label, None, None


def _boundaries(published: PublishedDataset, level: str, data: Path) -> Rows:
    """None if there are no polygons, or if they cannot be read: the push says so."""
    import shapely

    try:
        found = drawn(published.file, level, data) if level in level_names(published.file.definition) else None
    except SourceError:
        return []
    if found is None:
        return []
    name = table_name(published.file.named(level))
    rows: Rows = []
    for feature in json.loads(found.content)["features"]:
        says: Mapping[str, str] = feature["properties"]
        if found.key not in says:
            continue  # a park or water, which no row is about
        geometry = json.dumps(feature["geometry"], separators=(",", ":"))
        key = says[found.key]
        wkb = shapely.to_wkb(shapely.from_geojson(geometry))
        rows.append((name, key, says.get(f"{found.key}_name", key), geometry, wkb, found.source))
    return rows


def _days(period: str) -> tuple[date, date]:
    from datetime import timedelta

    found = civil.parse(period)
    return found.start, found.end - timedelta(days=1)


def _moment(text: str) -> datetime:
    """An instant of a manifest as DuckDB keeps it without a time zone: in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
