"""What makes a new, charged draw, and what finishes the same draw again."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from publisher.definitions.keyset import Keyset, Lookup
from publisher.release.identity import finishing_hash, statistical_hash

if TYPE_CHECKING:
    from conftest import Town

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
    "unreliable": lambda p: dataset(
        p, suppression={"measure": "requests", "threshold": 3, "unreliable": Decimal("0.2")}
    ),
    "customers": lambda p: dataset(
        p,
        suppression={"measure": "requests", "threshold": 3, "customers": 15, "largest_share": Decimal("0.15")},
    ),
    "publish": lambda p: summed(p, publish=False),
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


def test_the_hashes_of_a_definition_never_change(declared: Town) -> None:
    """A later version must compute these same hashes, or every release of every city would be drawn and paid anew."""
    assert hashes(declared) == (
        "6e6afcbacd783eab63e0e782d1aeaa7e0e5f8e98f16061f87c25d97de56bfbd3",
        "cd1f3d356f075a151cc710edd630ea71189ec3edd0dd0fdaa374f286d18c17e8",
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
