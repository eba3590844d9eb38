"""What makes a new, charged draw, and what finishes the same draw again."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from release_examples import QUANTILE

from publisher.definitions.keyset import Keyset, Lookup
from publisher.definitions.period import parse
from publisher.release.identity import finishing_hash, same_counts, statistical_hash, statistical_parts

if TYPE_CHECKING:
    from small_town import Town

PLACES = "f" * 64


def hashes(town: Town, places: str = PLACES) -> tuple[str, str]:
    dataset = town.dataset_file()
    return statistical_hash(dataset, places), finishing_hash(dataset)


@pytest.fixture
def people(town: Town) -> Town:
    """A dataset with every kind of measure, people as units."""
    lookups = {"zones": Lookup("zones", ("a", "b"), (("1", "2"),), "3" * 64)}
    built = replace(town.people("month", 2, 3, measures=(town.COUNT, town.SUM, town.MEAN)), lookups=lookups)
    return replace(built, sql="SELECT place, category, amount FROM raw WHERE place = 'who'")


def source(people: Town, **fields: Any) -> Town:
    return replace(people, source=people.source | fields)


def dataset(people: Town, **fields: Any) -> Town:
    return replace(people, dataset=people.dataset | fields)


def summed(people: Town, **fields: Any) -> Town:
    return dataset(people, measures=(people.COUNT, people.SUM | fields, people.MEAN))


def privacy(people: Town, **fields: Any) -> Town:
    return source(people, privacy=people.source["privacy"] | fields)


def keyed(people: Town, **fields: Any) -> Town:
    return replace(people, keysets=(replace(people.keysets[0], **fields), people.keysets[1]))


def first_key(people: Town, **fields: Any) -> Town:
    keys = people.dataset_file().definition.model_dump(exclude_none=True)["keys"]
    return dataset(people, keys=(keys[0] | fields, keys[1]))


COLUMN = {"class": "public", "statute": "s. 1"}
COLUMNS = dict.fromkeys(("id", "opened", "place", "category", "amount"), COLUMN) | {
    "who": COLUMN | {"identifier": True}
}
RAW = COLUMNS | {"secret": COLUMN | {"read": False}}

STATISTICAL = {
    "unit": lambda p: privacy(source(p, columns=RAW | {"id": COLUMN | {"identifier": True}}), unit="id"),
    "window": lambda p: privacy(p, window="year"),
    "missing": lambda p: privacy(p, missing="drop"),
    "timezone": lambda p: source(p, timezone="Europe/Madrid"),
    "delivery": lambda p: source(p, delivery="snapshot"),
    "record id": lambda p: source(p, record_id=("id", "place")),
    "event column": lambda p: source(p, event={"column": "id", "formats": ("%Y-%m-%d",)}),
    "event format": lambda p: source(p, event={"column": "opened", "formats": ("%Y",)}),
    "event zone": lambda p: source(p, event={"column": "opened", "formats": ("%Y-%m-%d",), "zone": "UTC"}),
    "feed nulls": lambda p: source(p, feed={"path": "raw", "nulls": ("NA",)}),
    "feed delimiter": lambda p: source(p, feed={"path": "raw", "delimiter": ";"}),
    "columns": lambda p: source(p, columns=RAW | {"new": COLUMN}),
    "column not read": lambda p: source(p, columns=RAW | {"secret": COLUMN}),
    "lookup contents": lambda p: replace(
        p, lookups={"zones": replace(p.lookups["zones"], rows=(*p.lookups["zones"].rows, ("new", "x")))}
    ),
    "sql": lambda p: replace(p, sql=p.sql + " AND category = 'x'"),
    "sql, text or column": lambda p: replace(p, sql=p.sql.replace("'who'", "who")),
    "sql, text or quoted column": lambda p: replace(p, sql=p.sql.replace("'who'", '"who"')),
    "sql, a blank in a text": lambda p: replace(p, sql=p.sql.replace("'who'", "'wh o'")),
    "keyset contents": lambda p: keyed(p, keys=("north", "south", "east"), labels=("a", "b", "c")),
    "keyset order": lambda p: keyed(p, keys=("south", "north")),
    "catch-all": lambda p: first_key(p, other="Elsewhere"),
    "key": lambda p: first_key(p, name="spot"),
    "period": lambda p: dataset(p, period="year", first="2020"),
    "grain": lambda p: dataset(p, grain="day"),
    "max_groups": lambda p: dataset(p, bounds={"max_groups": 3, "max_per_group": 3}),
    "max_per_group": lambda p: dataset(p, bounds={"max_groups": 2, "max_per_group": 2}),
    "loss": lambda p: dataset(p, loss={"rho": Decimal("0.2")}),
    "shares": lambda p: dataset(
        p,
        measures=(p.COUNT | {"share": Decimal("0.4")}, p.SUM | {"share": Decimal("0.6")}, p.MEAN),
    ),
    "sum column": lambda p: summed(p, column="place"),
    "lower": lambda p: summed(p, lower=Decimal(-2)),
    "upper": lambda p: summed(p, upper=Decimal(8)),
    "resolution": lambda p: summed(p, resolution=Decimal("0.5")),
    "measures": lambda p: dataset(p, measures=(p.COUNT, p.SUM, p.MEAN, p.UNITS)),
    "currency": lambda p: dataset(privacy(p, currency="pure"), loss={"epsilon": Decimal("0.1")}),
}

FINISHING = {
    "threshold": lambda p: dataset(p, suppression={"measure": "requests", "threshold": 20}),
    "customers": lambda p: dataset(
        p,
        suppression={"measure": "requests", "threshold": 3, "customers": 15, "largest_share": Decimal("0.15")},
    ),
    "publish": lambda p: summed(p, publish=False),
    "publish measurements": lambda p: dataset(p, publish_measurements=True),
    "mean": lambda p: dataset(p, measures=(p.COUNT, p.SUM)),
    "labels": lambda p: keyed(p, labels=("North!", "South!")),
}

NEITHER = {
    "titles": lambda p: dataset(source(p, title="Other"), title="Other", description="Other."),
    "measure words": lambda p: summed(p, title="Other", description="Other."),
    "key words": lambda p: first_key(p, title="Other", description="Other."),
    "portal": lambda p: dataset(p, portal={"category": "Other", "tags": ("x",)}),
    "limitations": lambda p: dataset(p, limitations=("None.",)),
    "purpose": lambda p: source(p, purpose="Other."),
    "retention": lambda p: source(p, retention_months=99),
    "budget": lambda p: privacy(p, budget=Decimal(2)),
    "statute": lambda p: source(
        p, columns=RAW | {"place": {"class": "private", "statute": "s. 9", "description": "x"}}
    ),
    "last": lambda p: dataset(p, last="2020-12"),
    "feed path": lambda p: source(p, feed={"path": "elsewhere"}),
    "sql, comments and lines": lambda p: replace(p, sql="-- first\n" + p.sql.replace("FROM", "\n  FROM /* raw */")),
    "numbers written otherwise": lambda p: dataset(summed(p, upper=Decimal("7.00")), loss={"rho": Decimal("0.10")}),
    "equal shares written out": lambda p: dataset(
        p, measures=(p.COUNT | {"share": Decimal("0.5")}, p.SUM | {"share": Decimal("0.5")}, p.MEAN)
    ),
    "keyset file written otherwise": lambda p: keyed(p, sha256="9" * 64),
}


@pytest.fixture
def declared(people: Town) -> Town:
    """The same with its columns written out, so that a test can change one of them."""
    return source(people, columns=RAW)


@pytest.mark.parametrize("change", STATISTICAL.values(), ids=STATISTICAL.keys())
def test_what_decides_the_draw_makes_a_new_one(declared: Town, change: Any) -> None:
    """Every field that decides the noisy draw changes the statistical hash."""
    assert hashes(change(declared))[0] != hashes(declared)[0]


@pytest.mark.parametrize("form", ["'{}'", "$${}$$", "$a${}$a$", "e'{}'"])
def test_the_case_of_a_text_counts_in_whatever_way_it_is_quoted(declared: Town, form: str) -> None:
    """Bare words have no case; texts do, between quotes and between dollars."""
    upper, lower = (replace(declared, sql=declared.sql.replace("'who'", form.format(word))) for word in ("Who", "who"))
    assert hashes(upper)[0] != hashes(lower)[0]


def test_the_files_of_places_decide_the_draw(declared: Town) -> None:
    """Other boundaries or address lists make a new draw."""
    assert hashes(declared, "e" * 64)[0] != hashes(declared)[0]


@pytest.mark.parametrize("change", FINISHING.values(), ids=FINISHING.keys())
def test_what_is_done_afterwards_costs_nothing(declared: Town, change: Any) -> None:
    """Thresholds, labels and which columns are published leave the draw and change the finish."""
    before, after = hashes(declared), hashes(change(declared))
    assert before[0] == after[0]
    assert before[1] != after[1]


@pytest.mark.parametrize("change", NEITHER.values(), ids=NEITHER.keys())
def test_words_change_nothing(declared: Town, change: Any) -> None:
    """Titles, descriptions, the budget, and another way of writing the same thing are in neither hash."""
    assert hashes(change(declared)) == hashes(declared)


def test_keysets_of_other_names_are_other_keys(declared: Town) -> None:
    """What counts is the keys that a keyset holds, not what its file is called."""
    renamed = keyed(declared, name="areas")
    assert hashes(renamed) == hashes(declared)
    assert hashes(replace(declared, keysets=(Keyset("places", ("x",), None, ""), declared.keysets[1]))) != hashes(
        declared
    )


def test_the_keyed_order_decides_the_draw(declared: Town) -> None:
    """Another order is another draw; without a name, the hash is the one of the first version."""
    found = declared.dataset_file()
    named = [statistical_hash(found, PLACES, order) for order in ("", "splitmix64/1", "splitmix64/2")]
    assert len(set(named)) == 3
    assert named[0] == hashes(declared)[0]


def test_the_hashes_of_a_definition_never_change(declared: Town) -> None:
    """A later version must compute the same first hash, or every release of every city would be drawn and paid again.
    The second one moves where all are to be finished again, at no cost, as when the limits of grades were fixed."""
    assert hashes(declared) == (
        "6e6afcbacd783eab63e0e782d1aeaa7e0e5f8e98f16061f87c25d97de56bfbd3",
        "288c9c6bc55ec1b5e89ecae045ca6dc98669078dcc981f50ab820da1b8d60602",
    )


HARMLESS = {
    "a column that is not read": lambda p: source(p, columns=RAW | {"unread": COLUMN | {"read": False}}),
    "the order of columns": lambda p: source(p, columns=dict(reversed(RAW.items()))),
    "keywords in lower case": lambda p: replace(p, sql=p.sql.replace("SELECT", "select")),
    "the order of a lookup's lines": lambda p: replace(
        p, lookups={"zones": replace(p.lookups["zones"], rows=p.lookups["zones"].rows[::-1], sha256="5" * 64)}
    ),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_decides_nothing_makes_no_new_draw(declared: Town, change: Any) -> None:
    """What does not touch the records that are counted costs nothing."""
    assert hashes(change(declared)) == hashes(declared)


@pytest.fixture
def wide(people: Town) -> Town:
    """A dataset with everything that came after the first version but discovered keys: rollups over a coarser key, a
    histogram and a quantile, and a policy for late records."""
    measures = (people.COUNT, people.SUM, people.MEAN, people.HISTOGRAM, QUANTILE)
    late = {"policy": "charge", "after_days": (0, 30)}
    return dataset(source(people.rolled_up(), late=late), measures=measures)


def rolled(p: Town, number: int, **fields: Any) -> Town:
    rollups = list(p.dataset["rollups"])
    rollups[number] = rollups[number] | fields
    return dataset(p, rollups=tuple(rollups))


def coarser(p: Town, key: dict[str, Any] | None = None, **fields: Any) -> Town:
    (held,) = p.coarser
    changed = replace(held, definition=held.definition.model_copy(update=key or {}), **fields)
    return replace(p, coarser=(changed,))


def measured(p: Town, number: int, **fields: Any) -> Town:
    measures = list(p.dataset["measures"])
    measures[number] = measures[number] | fields
    return dataset(p, measures=tuple(measures))


def late(p: Town, **fields: Any) -> Town:
    return source(p, late=p.source["late"] | fields)


def mapped(p: Town, *rows: tuple[str, str]) -> Lookup:
    return replace(p.coarser[0].mapping, rows=rows)


LATER_STATISTICAL = {
    "no rollup": lambda p: dataset(p, rollups=p.dataset["rollups"][1:]),
    "rollup name": lambda p: rolled(p, 0, name="whole"),
    "rollup keys": lambda p: rolled(p, 1, keys=("half", "category")),
    "rollup grain": lambda p: dataset(dataset(p, period="year", first="2020", grain="month"), rollups=tuple(
        each | {"grain": "year"} for each in p.dataset["rollups"])),
    "rollup shares": lambda p: rolled(p, 0, share=Decimal("0.1")),
    "mapping": lambda p: coarser(p, mapping=mapped(p, ("north", "Up"), ("south", "Down"))),
    "coarser keys": lambda p: coarser(p, keyset=Keyset("halves", ("Up", "Down", "Middle"), None, "")),
    "coarser catch-all": lambda p: coarser(p, key={"other": "Nowhere"}),
    "bins": lambda p: measured(p, 3, bins=(Decimal(0), Decimal(3))),
    "histogram column": lambda p: measured(p, 3, column="place"),
    "late policy": lambda p: late(p, policy="freeze", after_days=(0,)),
    "received": lambda p: late(p, received="%Y%m%d"),
    "when editions are due": lambda p: late(p, after_days=(0, 60)),
    "late": lambda p: source(p, late=None),
}  # fmt: skip

LATER_FINISHING = {
    "quantile": lambda p: measured(p, 4, probability=Decimal("0.9")),
    "quantile's step": lambda p: measured(p, 4, resolution=Decimal(1)),
    "quantile's histogram": lambda p: dataset(p, measures=p.dataset["measures"][:4]),
    "complementary": lambda p: dataset(p, suppression={"measure": "requests", "threshold": 3, "complementary": True}),
    "coarser labels": lambda p: coarser(p, keyset=replace(p.coarser[0].keyset, labels=("The Up", "The Down"))),
    "whether a rollup is published": lambda p: rolled(p, 0, publish=False),
}

LATER_NEITHER = {
    "rollup title": lambda p: rolled(p, 0, title="Other"),
    "coarser words": lambda p: coarser(p, key={"title": "Other", "description": "Other."}),
    "order of the mapping": lambda p: coarser(p, mapping=mapped(p, ("south", "Up"), ("north", "Up"))),
    "mapping's file": lambda p: coarser(p, mapping=replace(p.coarser[0].mapping, name="x", sha256="8" * 64)),
    "the grain written out": lambda p: rolled(p, 0, grain="month"),
    "publishing written out": lambda p: rolled(p, 0, publish=True),
    "numbers written otherwise": lambda p: rolled(measured(p, 3, bins=(Decimal("0.0"), Decimal("2e0"), Decimal(5))),
                                                  0, share=Decimal("0.20")),
    "the budget of δ": lambda p: privacy(p, delta=Decimal("0.0001")),
}  # fmt: skip


@pytest.mark.parametrize("change", LATER_STATISTICAL.values(), ids=LATER_STATISTICAL.keys())
def test_rollups_and_histograms_decide_the_draw(wide: Town, change: Any) -> None:
    """Tables, their shares, the mapping between levels, bins and the policy for late records make a new draw."""
    assert hashes(change(wide))[0] != hashes(wide)[0]


@pytest.mark.parametrize("change", LATER_FINISHING.values(), ids=LATER_FINISHING.keys())
def test_quantiles_and_complementary_suppression_cost_nothing(wide: Town, change: Any) -> None:
    """What is read off the draw or withheld afterwards finishes it anew."""
    before, after = hashes(wide), hashes(change(wide))
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_quantiles_of_older_versions_are_finished_again(wide: Town) -> None:
    """They had their bin's end as value; the hash was this one."""
    assert hashes(wide)[1] != "ebd675f633769860c8f7a99c8386792af77f0f90015203419296fcff8747f7ce"


@pytest.mark.parametrize("change", LATER_NEITHER.values(), ids=LATER_NEITHER.keys())
def test_words_of_rollups_change_nothing(wide: Town, change: Any) -> None:
    """Titles, the budget of δ and another way of writing the same thing are in neither hash."""
    assert hashes(change(wide)) == hashes(wide)


def test_what_is_not_used_is_in_no_hash(declared: Town) -> None:
    """Settings that came later and are left at their defaults, written out, make no release new."""
    plain = {"measure": "requests", "threshold": 3, "complementary": False}
    written = privacy(dataset(declared, rollups=(), coarser=(), suppression=plain), delta=Decimal(0))
    assert hashes(written) == hashes(declared)


def discovering(town: Town, **fields: Any) -> Town:
    discover = {"share": Decimal("0.1"), "delta": Decimal("0.000001")} | fields
    keys = (town.dataset_file().definition.keys[0].model_dump(exclude_none=True),
            {"name": "category", "title": "Category", "discover": discover, "other": "Other"})  # fmt: skip
    built = dataset(town, keys=keys)
    return replace(built, keysets=(town.keysets[0], Keyset("discovered", (), None, "")))


def test_how_keys_are_found_decides_the_draw_not_which(town: Town) -> None:
    """Share and δ of the selection are in the hash; the keys that it found are not, so a release is known again."""
    open_town = discovering(town)
    before = hashes(open_town)
    found = open_town.dataset_file().discovering(("lamps",))
    assert (statistical_hash(found, PLACES), finishing_hash(found)) == before
    assert [axis.keys for axis in found.grid(parse("2020-01")).axes][1] == ("lamps", "Other")
    assert hashes(discovering(town, share=Decimal("0.2")))[0] != before[0]
    assert hashes(discovering(town, delta=Decimal("0.000002")))[0] != before[0]
    assert hashes(discovering(town, share=Decimal("0.10")))[0] == before[0]
    assert hashes(town)[0] != before[0]


def test_a_share_that_counts_is_another_draw_of_the_same_counts(people: Town) -> None:
    """With it, or with other wider bounds, a definition draws and charges again, and its releases still add up over
    time with those from before; with other bounds they do not."""
    bounds = {"max_groups": 2, "max_per_group": 3}
    made = [
        dataset(people, bounds=bounds | more).dataset_file()
        for more in (
            {},
            {"coverage_share": Decimal("0.1"), "wider_groups": 4},
            {"coverage_share": Decimal("0.1"), "wider_groups": 5},
            {"max_groups": 1},
        )
    ]
    assert len({statistical_hash(each, PLACES) for each in made}) == 4
    parts = [statistical_parts(each, PLACES) for each in made]
    assert all(same_counts(one, PLACES, other) for one in made[:3] for other in parts[:3])
    assert not any(same_counts(one, PLACES, parts[3]) for one in made[:3])
