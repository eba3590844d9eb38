"""The repository's own workspace: every definition loads, fits the others and keeps to the ceilings."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from real_records import WHY, real_records

from publisher.definitions import period as civil
from publisher.definitions.model import in_other_languages
from publisher.engine.guard import guarded
from publisher.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from datetime import date

    from publisher.workspace import DatasetFile

WORKSPACE = find_workspace(Path(__file__).parent)
MOST_A_RELEASE = Fraction(1, 10)
MOST_A_BLOCK = Fraction(1, 2)

datasets = pytest.mark.parametrize("name", list(WORKSPACE.datasets))
sources = pytest.mark.parametrize("name", list(WORKSPACE.sources))


def _periods(dataset: DatasetFile) -> tuple[civil.Period, ...]:
    definition = dataset.definition
    assert definition.last is not None
    whole = civil.Period(civil.parse(definition.first).start, civil.parse(definition.last).end, "lifetime")
    return whole.cut(definition.period)


def _charges(workspace: Workspace, source: str) -> dict[civil.Period, Fraction]:
    """What all releases of all datasets of a source charge each of its blocks."""
    charges: dict[civil.Period, Fraction] = defaultdict(Fraction)
    for dataset in workspace.datasets.values():
        if dataset.definition.source == source:
            for period in _periods(dataset):
                for block in period.cut(dataset.source.definition.privacy.window):
                    charges[block] += dataset.definition.loss.amount
    return charges


def test_the_workspace_publishes_these_datasets() -> None:
    """Twelve datasets of seven sources, each source used."""
    assert list(WORKSPACE.datasets) == [
        "alicante-water",
        "boston-closed-within-a-week",
        "boston-days-to-close",
        "boston-requests",
        "seattle-energy-city",
        "seattle-energy",
        "stlouis-closed-within-a-week",
        "stlouis-days-to-close",
        "stlouis-neighborhood-requests",
        "stlouis-requests",
        "syracuse-permit-kinds",
        "syracuse-permits",
    ]
    assert {each.definition.source for each in WORKSPACE.datasets.values()} == set(WORKSPACE.sources)


@datasets
def test_a_release_spends_at_most_a_tenth(name: str) -> None:
    """ρ ≤ 0.1 for every release, under zCDP."""
    loss = WORKSPACE.dataset(name).definition.loss
    assert loss.currency == "zcdp"
    assert loss.amount <= MOST_A_RELEASE


@sources
def test_no_block_is_charged_beyond_its_budget(name: str) -> None:
    """All releases of all datasets together spend at most 0.5, and at most the budget, on any block."""
    charges = _charges(WORKSPACE, name)
    assert charges
    assert max(charges.values()) <= min(MOST_A_BLOCK, Fraction(WORKSPACE.source(name).definition.privacy.budget))


@pytest.mark.parametrize("population", sorted({each.definition.population for each in WORKSPACE.sources.values()}))
def test_no_day_of_a_population_is_charged_beyond_a_half(population: str) -> None:
    """What all sources of one population spend on any one day is at most 0.5: a request is in two of them."""
    days: dict[date, Fraction] = defaultdict(Fraction)
    for name, source in WORKSPACE.sources.items():
        if source.definition.population == population:
            for block, charge in _charges(WORKSPACE, name).items():
                for day in block.cut("day"):
                    days[day.start] += charge
    assert max(days.values()) <= MOST_A_BLOCK


@datasets
def test_a_reader_is_told_who_uses_it_for_what(name: str) -> None:
    """A description says what is counted, and then who reads it for what."""
    assert WORKSPACE.dataset(name).definition.description.count(". ") >= 1


@sources
def test_every_select_passes_the_guard(name: str) -> None:
    """The SELECT is row-level and gives every column that the source's datasets name."""
    source = WORKSPACE.source(name)
    columns = set(guarded(source).columns)
    if source.definition.register_ is not None:
        columns.add(source.definition.register_.consumption)
    for dataset in WORKSPACE.datasets.values():
        if dataset.definition.source == name:
            definition = dataset.definition
            assert {key.name for key in definition.keys} <= columns
            assert {measure.column for measure in definition.measures if measure.column} <= columns


@sources
def test_every_column_that_is_read_is_used(name: str) -> None:
    """A raw column is read only where the unit, the record id, the event, a place or the SELECT needs it."""
    import sqlglot
    from sqlglot import exp

    source = WORKSPACE.source(name)
    used = {column for _, column in source.definition.references()}
    statement = sqlglot.parse_one(source.sql, dialect="duckdb")
    used |= {column.name for column in statement.find_all(exp.Column)}
    assert set(source.definition.landed) - used == set()


@sources
def test_every_column_cites_a_law(name: str) -> None:
    """Each class rests on a section or article, and free text and names are never read in the clear."""
    for column, definition in WORKSPACE.source(name).definition.columns.items():
        assert any(sign in definition.statute for sign in ("§", "RSMo", "art.", "RCW")), column
        told = (definition.description or "").lower()
        if definition.read and any(word in told for word in ("free text", "name of", "person")):
            assert definition.identifier, column


@sources
def test_record_ids_and_units_are_pseudonyms(name: str) -> None:
    """Whoever knows a case or account number finds it nowhere in the landed records; a time may tell rows apart, and
    what the SELECT reads anyway."""
    source = WORKSPACE.source(name)
    definition = source.definition
    assert any(definition.columns[column].identifier for column in definition.record_id)
    for column in definition.record_id:
        known = definition.columns[column].identifier or column == definition.event.column
        assert known or f"raw.{column}" in source.sql


@sources
def test_lookups_lead_to_public_keys(name: str) -> None:
    """Every value of a lookup column that is a dataset's key stands in that key's keyset."""
    source = WORKSPACE.source(name)
    checked = set()
    for dataset in WORKSPACE.datasets.values():
        if dataset.definition.source != name:
            continue
        for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True):
            for lookup in source.lookups.values():
                if key.name in lookup.columns[1:]:
                    place = lookup.columns.index(key.name)
                    assert {row[place] for row in lookup.rows} <= {*keyset.keys, key.other}
                    checked.add(lookup.name)
    assert checked == set(source.lookups)


@datasets
def test_every_key_of_a_keyset_can_be_reached(name: str) -> None:
    """A category that no lookup leads to would be a row that is always empty."""
    dataset = WORKSPACE.dataset(name)
    for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True):
        for lookup in dataset.source.lookups.values():
            if key.name in lookup.columns[1:]:
                values = {row[lookup.columns.index(key.name)] for row in lookup.rows}
                assert set(keyset.keys) - values <= {key.other}


@datasets
def test_a_reader_is_told_what_the_data_cannot_say(name: str) -> None:
    """Every dataset has limitations, a category and tags, and is released for periods that are written down."""
    definition = WORKSPACE.dataset(name).definition
    assert len(definition.limitations) >= 3
    assert definition.portal.tags
    assert all(sentence.endswith(".") for sentence in (definition.description, *definition.limitations))
    assert definition.last is not None


@datasets
def test_spanish_pages_say_it_in_spanish(name: str) -> None:
    """Titles, description, units, labels, category, place and limitations have Spanish words."""
    definition = WORKSPACE.datasets[name].definition
    assert definition.portal.coverage is not None
    texts = [
        definition.title,
        definition.description,
        definition.portal.category,
        definition.portal.coverage.name,
        *definition.limitations,
        *(each.title for each in (*definition.keys, *definition.rollups, *definition.totals)),
        *(text for each in definition.measures for text in (each.title, each.unit) if text),
    ]
    assert [text for text in texts if "es" not in in_other_languages(text)] == []


def test_nothing_is_invented() -> None:
    """The records of the water trial have no places, so neither has its table: a number a month."""
    definition = WORKSPACE.dataset("alicante-water").definition
    assert (definition.keys, definition.rollups) == ((), ())


def test_boundaries_hold_the_keys_of_the_keysets() -> None:
    """Where the real boundaries stand, every key of a place's keyset is a polygon, or the catch-all."""
    import json

    data = real_records("stlouis-boundaries")
    if (data / "SAMPLE.json").is_file():
        pytest.skip(WHY)
    for dataset in WORKSPACE.datasets.values():
        for key, keyset in zip(dataset.definition.keys, dataset.keysets, strict=True):
            place = dataset.source.definition.places.get(key.name)
            if place is not None and place.boundaries is not None:
                features = json.loads((data / place.boundaries.path).read_text())["features"]
                found = {str(feature["properties"][place.boundaries.key]).removesuffix(".0") for feature in features}
                assert set(keyset.keys) - found == {key.other}
