"""What the portal is told of a table: source, editions, odds, coverage and polygons, from files of the publisher."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
import shapely
from release_examples import drawn, ready, workspace

from publisher.errors import DefinitionError
from publisher.pipeline.session import locked, opened
from publisher.portal.base.kinds import Kind
from publisher.portal.base.model import PortalColumn, PortalDataset
from publisher.portal.contract import PublisherMetadata, about
from publisher.portal.pages.wording import DESCRIPTIONS, NAME_OF
from publisher.privacy.finish import finish
from publisher.push.boundaries import missing
from publisher.push.metadata import listing_of
from publisher.push.provenance import odds_facts
from publisher.push.sync import map_notes
from publisher.release.composition import account_of
from publisher.release.failure import Failure
from publisher.release.guarantee import guarantee
from publisher.release.guarantee_inputs import GuaranteeInputs
from publisher.release.manifest import hash_of
from publisher.release.table import column_specs, laws_of, published_table, shape_of
from publisher.release.validation import Validation
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.pipeline.catalog import Catalog
    from publisher.push.listing import Listing
    from publisher.workspace import Workspace

POLYGONS = "boundaries = { path = 'wards.geojson', key = 'WARD', source = 'Example County' }"


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """The example with four wards as polygons: two of them in each district."""
    made = workspace(tmp_path)
    path = tmp_path / "datasets/weekly.toml"
    text = path.read_text().replace(
        'other = "Unknown"\n', f'other = "Unknown"\nstandard = "ward numbers"\n{POLYGONS}\n', 1
    )
    path.write_text(text + 'coverage = { name = "Example", id = "1234567" }\n')
    made.data.mkdir()
    draw(made, 1.0, 2.0, 3.0, 4.0)
    return find_workspace(tmp_path)


def draw(made: Workspace, *numbers: float, names: dict[float, str] | None = None) -> None:
    """A row of squares, some with a name."""
    boxes = [json.loads(shapely.to_geojson(shapely.box(n, 0, n + 1, 1))) for n, _ in enumerate(numbers)]
    told = [{"WARD": n, "NAME": (names or {}).get(n)} for n in numbers]
    features = [{"properties": each, "geometry": box} for each, box in zip(told, boxes, strict=True)]
    (made.data / "wards.geojson").write_text(json.dumps({"features": features}))


@pytest.fixture
def catalog(place: Workspace) -> Iterator[Catalog]:
    with locked(place) as opened:
        yield opened


def listed(place: Workspace, catalog: Catalog, level: str = "") -> Listing:
    return listing_of(place, place.dataset("weekly"), level, catalog.standings("weekly"))


def told(listing: Listing) -> PublisherMetadata:
    """What the portal makes of it."""
    columns = tuple(PortalColumn(n, each.name, each.title, Kind.TEXT, n) for n, each in enumerate(listing.columns))
    metadata = {"custom_fields": {"Publisher": listing.custom}}
    return about(
        PortalDataset(
            id="aaaa-bbbb", name="x", owner="x", created_at=0, updated_at=0, rows_updated_at=0, version=1, rows=0,
            next_row=1, columns=columns, metadata=metadata,
        )
    )  # fmt: skip


def polygons(listing: Listing) -> list[dict[str, Any]]:
    file = next(each for each in listing.files if each.name == "boundaries.geojson")
    features: list[dict[str, Any]] = json.loads(file.content)["features"]
    return features


def test_the_source_is_told_column_by_column(place: Workspace, catalog: Catalog) -> None:
    """Every declared column with class, statute and whether it is read; purpose, unit, window and retention."""
    source = told(listed(place, catalog)).source
    assert source is not None
    definition = place.source("requests").definition
    assert (source.title, source.purpose, source.unit, source.window) == ("Requests", "Service", "record", "week")
    assert (source.retention, source.minors) == ("12 months", False)
    assert [each.name for each in source.columns] == list(definition.columns)
    assert {(each.classification, each.authority, each.read) for each in source.columns} == {("public", "s. 1", True)}


def test_every_edition_is_told(place: Workspace, catalog: Catalog) -> None:
    """Current, superseded and retracted editions, the latest first, each with why it was made and what people decided
    about it; held ones are not, until they are accepted."""
    dataset = place.dataset("weekly")
    ready(catalog, dataset, "2018-W01")
    ready(catalog, dataset, "2018-W01", edition=2, finishing_hash="c")
    ready(catalog, dataset, "2018-W01", edition=3, finishing_hash="c", vintage=2)
    taken = ready(catalog, dataset, "2018-W02")
    corrected = ready(catalog, dataset, "2018-W02", edition=2, statistical_hash="z")
    catalog.retract(taken, "A file was missing")
    failure = Failure(words="the total is 9; expected at most 1", acceptable=True)
    held = Validation(passed=False, failures=(failure,), suite_sha256="0", checked_at="2026-01-01T00:00:00+00:00")
    catalog.keep(corrected, held)
    assert catalog.standing(corrected).status == "held"
    catalog.accept(corrected, held, "The fee went up")
    assert catalog.validation(corrected) == held.model_copy(update={"accepted": "The fee went up"})
    releases = told(listed(place, catalog, "districts")).releases
    assert [(e.period, e.edition, e.current, e.retracted, e.reason) for e in releases] == [
        ("2018-W02", 2, True, False, "new definition"),
        ("2018-W02", 1, False, True, ""),
        ("2018-W01", 3, True, False, "late records"),
        ("2018-W01", 2, False, False, "new finish"),
        ("2018-W01", 1, False, False, ""),
    ]
    decided = [[(each.what, each.reason, each.although) for each in edition.decisions] for edition in releases]
    assert decided == [
        [("accepted", "The fee went up", ["the total is 9; expected at most 1"])],
        [("retracted", "A file was missing", [])],
        *[[]] * 3,
    ]
    newest = catalog.current("weekly")[-1]
    assert releases[0].rows == newest.tables["districts"].manifest.rows
    assert releases[0].sha256 == newest.manifest.files["rollup-districts.csv"].sha256
    assert releases[0].created == newest.manifest.created


def test_the_law_of_the_noise_is_told(place: Workspace, catalog: Catalog) -> None:
    """Finished counts bring the constants of their noise into the manifest, medians none; the portal is told those that
    hold for every release, and none where a release does not have them."""
    dataset = place.dataset("weekly")
    made = [published_table(each, dataset, 1).shape for each in finish(drawn(dataset, "2018-W01"), dataset.definition)]
    laws = {each.name: each.noise for each in made[-1].measures}
    law = laws["requests"]
    assert laws["median_days"] is None
    assert law is not None
    assert (law.step, law.signed, law.tail) == (1.0, False, "normal")
    assert 0 < law.least <= law.most <= 1.96 * 2 + 0.1
    assert type(made[-1]).model_validate_json(made[-1].model_dump_json()) == made[-1]
    wider = replace(law, most=law.most + 1)
    first, second = ready(catalog, dataset, "2018-W01"), ready(catalog, dataset, "2018-W02")
    shapes = [shape_of(dataset, "", {"requests": each}) for each in (law, wider)]
    known = [
        replace(release, manifest=release.manifest.model_copy(update={"shape": shape}))
        for release, shape in zip((first, second), shapes, strict=True)
    ]
    assert laws_of(known)["requests"] == wider
    assert laws_of([known[0], second])["requests"] is None
    listing = replace(listed(place, catalog), shape=shape_of(dataset, "", laws_of(known)))
    shape = told(listing).shape
    assert shape is not None
    assert [each.noise for each in shape.measures] == [wider, None]


def test_odds_are_those_of_the_guarantee(place: Workspace, catalog: Catalog) -> None:
    """The odds of all that the dataset publishes on one window: for ρ = 0.1 a guess is right 58.9 % of the time;
    a household's and the whole budget's are told beside them, and none of what an older guarantee did not say."""
    dataset = place.dataset("weekly")
    release = ready(catalog, dataset, "2018-W01")
    promised = guarantee(
        GuaranteeInputs(
            dataset=dataset, period="2018-W01", charge=release.manifest.charge, epsilon=2.0,
            others=(account_of(dataset.source, [dataset]),), spent=Fraction(1, 10),
        )
    )  # fmt: skip
    (release.folder / "guarantee.json").chmod(0o600)
    (release.folder / "guarantee.json").write_text(json.dumps(promised))
    release.manifest.files["guarantee.json"] = hash_of(release.folder / "guarantee.json")
    odds = json.loads(odds_facts(release))
    assert (odds["unit"], odds["period"], odds["loss"]) == ("record", "a week", "ρ = 0.1")
    assert odds["after"] == pytest.approx(0.5892, abs=1e-4)
    household = {(each["of"], each["count"]): each["guess_at_most"] for each in promised["household"]}
    assert (odds["household_units"], odds["household"]) == (5, household["dataset", 5])
    assert odds["source"] == promised["odds"]["budget"]["guess_at_most"]
    assert odds["after"] == promised["odds"]["release"]["guess_at_most"]
    assert odds["posterior_bound"] == promised["odds"]["release"]["posterior_below"]
    assert odds["exception"] == promised["odds"]["release"]["posterior_except_with_probability"]
    more = json.loads(odds_facts(release, Fraction(3, 10)))
    assert more["loss"] == "ρ = 0.4"
    assert more["after"] == pytest.approx(0.5 + (0.4 / 8) ** 0.5, abs=1e-5)
    little = json.loads(odds_facts(release, Fraction(1, 1000)))
    assert little["after"] == pytest.approx(odds["after"] + (0.001 / 8) ** 0.5, abs=1e-5)
    assert more["after"] > odds["after"]
    assert more["household"] > odds["household"]
    assert more["posterior_bound"] > odds["posterior_bound"]
    assert more["source"] == odds["source"]
    older = promised | {"household": [each for each in promised["household"] if each["of"] != "dataset"]}
    (release.folder / "guarantee.json").write_text(json.dumps(older))
    release.manifest.files["guarantee.json"] = hash_of(release.folder / "guarantee.json")
    assert json.loads(odds_facts(release))["household_units"] == 0


def test_places_come_with_standard_coverage_and_polygons(place: Workspace, catalog: Catalog) -> None:
    """The dictionary names the standard, the metadata the area, and the features bear the columns' own names."""
    listing = listed(place, catalog)
    known = told(listing)
    ward = next(each for each in listing.columns if each.name == "ward")
    assert ward.description.endswith("Its keys are ward numbers.")
    assert known.shape is not None
    assert (known.shape.place, known.shape.keys[0].standard) == ("ward", "ward numbers")
    assert known.coverage is not None
    assert (known.coverage.name, known.coverage.id, known.coverage.standard) == ("Example", "1234567", "GEOID")
    assert known.boundaries is not None
    assert (known.boundaries.key, known.boundaries.source) == ("ward", "Example County")
    assert [each["properties"] for each in polygons(listing)] == [{"ward": key} for key in "1234"]


def test_the_measure_that_leads_is_told(place: Workspace, catalog: Catalog) -> None:
    """It leads on every table of the dataset; otherwise nothing is told, and the first leads."""
    path = place.root / "datasets/weekly.toml"
    assert "headline" not in listed(place, catalog).custom
    first, last = (measure.name for measure in place.dataset("weekly").definition.measures if measure.shown)
    path.write_text(path.read_text() + f'headline = "{last}"\n')
    changed = find_workspace(place.root)
    for level in ("", "city"):
        listing = listing_of(changed, changed.dataset("weekly"), level, catalog.standings("weekly"))
        shape = told(listing).shape
        assert shape is not None
        assert (shape.measures[0].name, shape.leading.name) == (first, last)


def test_words_in_other_languages_are_told_beside_the_english_ones(place: Workspace, catalog: Catalog) -> None:
    """Titles, units and labels by English text; name, columns and shape stay as they were, and a dataset without
    translations is told as before."""
    before = listed(place, catalog)
    assert before.facts["translations"] == ""
    path = place.root / "datasets/weekly.toml"
    text = path.read_text().replace(
        'title = "Requests by ward"', 'title.en = "Requests by ward"\ntitle.es = "Por distrito"'
    )
    path.write_text(text.replace('unit = "requests"', 'unit = { en = "requests", es = "solicitudes" }', 1))
    wards = place.root / "datasets/keysets/wards.csv"
    head, *rows = wards.read_text().splitlines()
    wards.write_text("\n".join([f"{head},label.es", f"{rows[0]},Puerto", *(f"{row}," for row in rows[1:])]) + "\n")
    place = find_workspace(place.root)
    after = listed(place, catalog)
    (ward, *_), *_ = ((each.labels or each.keys) for each in place.dataset("weekly").keysets)
    assert json.loads(after.facts["translations"]) == {
        "es": {"Requests by ward": "Por distrito", "requests": "solicitudes", ward: "Puerto"}
    }
    assert (after.title, after.columns, after.shape) == (before.title, before.columns, before.shape)
    assert told(after).translations["es"]["requests"] == "solicitudes"
    described = path.read_text().replace('description = "', 'description.es = "Cuántas."\ndescription.en = "', 1)
    path.write_text(described)
    listing = listed(find_workspace(place.root), catalog, "districts")
    whole = listing.description.split("\n\n")[0]
    spanish = "Cuántas. Totales de «Por distrito»; cuadra exactamente con esa tabla"
    assert told(listing).translations["es"][whole].startswith(spanish)


def test_the_guarantee_is_told_in_spanish_too(place: Workspace, catalog: Catalog) -> None:
    """Its sentences with the dataset's Spanish words beside the English text, which stays as it was written; a text
    that cannot be said whole is told in English alone."""
    path = place.root / "datasets/weekly.toml"
    text = path.read_text().replace(
        'title = "Requests by ward"', 'title.en = "Requests by ward"\ntitle.es = "Solicitudes por distrito"'
    )
    path.write_text(text)
    place = find_workspace(place.root)
    ready(catalog, place.dataset("weekly"), "2018-W01")
    english = "# How privacy is protected in Requests by ward, 2018-W01\n\nEach period is counted once."
    spanish = (
        "# Cómo se protege la privacidad en Solicitudes por distrito, 2018-W01\n\nCada período se cuenta una sola vez."
    )
    for words, said in ((english, {"es": f"{spanish}\n"}), (f"{english} And so on.", {})):
        worded(catalog, words)
        listing = listed(place, catalog)
        assert listing.guarantee == words
        assert told(listing).guarantees == said
        assert ("guarantee_es" in listing.custom) is bool(said)


def worded(catalog: Catalog, words: str) -> None:
    """The newest release, as if it had been written with this guarantee."""
    release = catalog.current("weekly")[-1]
    path = release.folder / "guarantee.md"
    path.chmod(0o600)
    path.write_text(words)
    release.manifest.files["guarantee.md"] = hash_of(path)


def test_the_pages_know_what_is_said_of_columns(place: Workspace) -> None:
    """Whatever the publisher says of the columns that every dataset has is among what Spanish pages translate."""
    ends = ("id", "period", "period_start", "edition", "_low", "_high", "_margin_percent", "_status", "_reason")
    dataset = place.dataset("weekly")
    tables = [column_specs(dataset, level) for level in ("", "districts", "city")]
    said = {each.description for columns in tables for each in columns if each.name.endswith(ends)}
    assert len(said) > 8
    assert said <= set(DESCRIPTIONS)
    grains = ("day", "week", "month", "quarter", "year")
    wanted = {form.format(grain) for grain in grains for form in ("The {} of the records.", "First day of the {}.")}
    assert wanted <= set(DESCRIPTIONS)
    names = [each.description for columns in tables for each in columns if each.name.endswith("_name")]
    assert all(each.startswith(NAME_OF.partition("%")[0]) for each in names)


def test_coarser_places_are_joined_from_finer_ones(place: Workspace, catalog: Catalog) -> None:
    """A rollup's polygons are those of the wards in it, with its own keys and names; the city has none."""
    features = polygons(listed(place, catalog, "districts"))
    assert [each["properties"] for each in features] == [
        {"district": "E", "district_name": "The East"},
        {"district": "W", "district_name": "The West"},
    ]
    assert [shapely.from_geojson(json.dumps(each["geometry"])).bounds for each in features] == [
        (0, 0, 2, 1),
        (2, 0, 4, 1),
    ]
    city = listed(place, catalog, "city")
    assert [file.name for file in city.files] == []
    assert "boundaries" not in city.custom


def test_several_polygons_may_be_one_key(place: Workspace, catalog: Catalog) -> None:
    """With a mapping the polygons' own key leads to the column's; what it does not name has its name alone."""
    path = place.root / "datasets/weekly.toml"
    path.write_text(path.read_text().replace("source = 'Example", "mapping = 'precincts', source = 'Example"))
    with pytest.raises(DefinitionError, match=r"boundaries\.mapping.*write datasets/keysets/precincts\.csv"):
        find_workspace(place.root).dataset("weekly")
    (place.root / "datasets/keysets/precincts.csv").write_text("precinct,ward\n10,1\n11,1\n12,2\n")
    draw(place, 10, 11, 12, 13)
    features = polygons(listed(find_workspace(place.root), catalog))
    assert [each["properties"] for each in features] == [{"ward": "1"}, {"ward": "2"}, {"elsewhere": "13"}]
    assert {each["geometry"]["type"] for each in features} == {"Polygon"}


def test_a_polygon_without_a_row_has_a_name(place: Workspace, catalog: Catalog) -> None:
    """`label` names parks and water; it decides nothing, so no place is looked up again because of it."""
    path = place.root / "datasets/weekly.toml"
    path.write_text(path.read_text().replace("key = 'WARD'", "key = 'WARD', label = 'NAME'"))
    draw(place, 1, 2, 99, names={99: " Forest Park "})
    features = polygons(listed(find_workspace(place.root), catalog))
    assert [each["properties"] for each in features] == [{"ward": "1"}, {"ward": "2"}, {"elsewhere": "Forest Park"}]


def test_without_the_file_there_is_no_map(place: Workspace, catalog: Catalog) -> None:
    """A missing file of polygons leaves the table without a map, and people are told its name."""
    dataset = place.dataset("weekly")
    assert missing(dataset, place.data) == []
    assert map_notes(place, [dataset]) == []
    (place.data / "wards.geojson").unlink()
    assert listed(place, catalog).files == ()
    assert missing(dataset, place.data) == ["wards.geojson"]
    assert map_notes(place, [dataset]) == [f"weekly is shown without a map: wards.geojson is not in {place.data}."]


def test_the_newest_guarantee_is_attached(place: Workspace, catalog: Catalog) -> None:
    """guarantee.json is that of the last period's release, byte for byte; listing again gives the same."""
    dataset = place.dataset("weekly")
    ready(catalog, dataset, "2018-W01")
    newest = ready(catalog, dataset, "2018-W02")
    first = listed(place, catalog)
    file = next(each for each in first.files if each.name == "guarantee.json")
    assert file.content == (newest.folder / "guarantee.json").read_bytes()
    assert listed(place, catalog) == first == replace(first)
    assert json.loads(first.custom["files"]) == {each.name: each.sha256 for each in first.files}


def test_older_ledgers_say_retracted_in_their_own_words(place: Workspace, catalog: Catalog) -> None:
    """A ledger of an earlier version says withdrawal and reinstatement: they take back and restore as they did."""
    release = ready(catalog, place.dataset("weekly"), "2018-W01")
    edition = {"dataset": "weekly", "period": "2018-W01", "edition": 1}
    for kind, status in (("withdrawal", "retracted"), ("reinstatement", "ready")):
        catalog.ledger.record(kind, edition)
        with opened(place) as read_again:
            assert read_again.standing(release).status == status


def test_the_bounds_are_told_with_the_description(tmp_path: Path) -> None:
    """A bounded dataset says what its bounds leave out in its description, in a field of its own and at its column,
    every table; the page knows them again in the description."""
    made = workspace(tmp_path)
    source, dataset = tmp_path / "pipelines/requests.toml", tmp_path / "datasets/weekly.toml"
    who = (
        source.read_text()
        .replace('unit = "record"', 'unit = "WHO"\nmissing = "drop"')
        .replace('window = "week"', 'window = "month"')
    )
    source.write_text(who + 'WHO = { class = "private", statute = "s. 1", identifier = true }\n')
    dataset.write_text(
        dataset.read_text().replace("[[keys]]", "[bounds]\nmax_groups = 2\nmax_per_group = 3\n[[keys]]", 1)
    )
    with locked(find_workspace(made.root)) as catalog:
        own, districts = (listed(find_workspace(made.root), catalog, level) for level in ("", "districts"))
    said = (
        "Requests: Counts at most 3 of the requests of one WHO in each of 2 cells a week (a cell: Ward); the real "
        "total is the same or higher."
    )
    assert own.description.startswith(f"How many requests were made.\n\n{said} Median days: ")
    assert districts.description.partition("\n\n")[2] == told(own).bounds == own.description.partition("\n\n")[2]
    assert said.removeprefix("Requests: ") in next(each.description for each in own.columns if each.name == "requests")
    shape = told(own).shape
    assert shape is not None
    assert [measure.bounds is not None for measure in shape.measures] == [True, True]
