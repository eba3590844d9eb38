"""The share that bounds let count: its range holds the true share, and it is a part of what was measured."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from forests import grid_of_size

from publisher.definitions.dataset import WIDER
from publisher.definitions.levels import Level
from publisher.privacy.coverage import coverages
from publisher.privacy.mechanism import add_noise, mechanism_for
from publisher.privacy.sensitivity import sensitivity_at
from publisher.stages import BoundedAggregate

if TYPE_CHECKING:
    from small_town import Town

    from publisher.definitions.dataset import Dataset
    from publisher.definitions.source import Currency

DRAWS = 1_000
LEAST = 1e-7
"""A coverage of 95% is rejected at this level, in six places: a sound range fails less than once in a million runs."""


def covered(town: Town, currency: Currency) -> Dataset:
    bounds = {"max_groups": 1, "max_per_group": 2, "wider_groups": 4, "wider_per_group": 3}
    paid = town.SUM | {"lower": Decimal(0), "wider_upper": Decimal(30)}
    pure = {"privacy": {"unit": "who", "window": "month", "budget": Decimal(3), "currency": "pure", "missing": "drop"}}
    people = town.people(measures=(town.COUNT, town.UNITS, paid), bounds=bounds | {"coverage_share": Decimal("0.25")})
    if currency == "pure":
        loss = {"loss": {"epsilon": Decimal(1)}}
        people = replace(people, source=people.source | pure, dataset=people.dataset | loss)
    return people.dataset_file().definition


@pytest.mark.parametrize(
    "currency",
    ["zcdp", pytest.param("pure", marks=pytest.mark.evidence("ranges of the counted share with Laplace noise"))],
)
def test_ranges_hold_the_true_share(town: Town, currency: Currency) -> None:
    """Over 1,000 draws of a small city whose share is four fifths, with Gaussian noise (Laplace noise is evidence),
    95% is not rejected; a range that holds 91% is found. The share itself is right on average."""
    definition = covered(town, currency)
    cells, levels = 12, (Level("", grid_of_size(12), Fraction(1), np.arange(12)),)
    tables: dict[tuple[str, str], Any] = {}
    for name, each in (("requests", 60), ("people", 50), ("paid", 3000)):
        tables["", name] = np.full(cells, each)
        tables[WIDER, name] = np.array([each * cells * 5 // 4])
    named = {each.name: each for each in definition.measured}
    mechanisms = tuple(
        mechanism_for(
            name, currency, sensitivity_at(definition, named[name], level), definition.loss_of(named[name], level),
            level=level,
        )
        for level, name in tables
    )  # fmt: skip
    held, shares = dict.fromkeys(named, 0), dict.fromkeys(named, 0.0)
    for _ in range(DRAWS):
        for found in coverages(add_noise(BoundedAggregate(levels, tables), mechanisms), definition):
            held[found.measure] += found.low <= 0.8 <= found.high
            assert all(round(100 * each, 9).is_integer() for each in (found.share, found.low, found.high))
            shares[found.measure] += found.share / DRAWS
    assert list(held) == ["requests", "people", "paid"]
    for name, times in held.items():
        assert not rejected(times), (name, times)
        assert shares[name] == pytest.approx(0.8, abs=0.03)


def test_nothing_is_said_where_noise_hides_everything(town: Town) -> None:
    """No share where the wider total may be zero."""
    definition = covered(town, "zcdp")
    levels = (Level("", grid_of_size(12), Fraction(1), np.arange(12)),)
    named = [(level, each) for level in ("", WIDER) for each in definition.measured]
    tables = {(level, each.name): np.zeros(12 if not level else 1, dtype=np.int64) for level, each in named}
    mechanisms = tuple(
        mechanism_for(
            each.name, "zcdp", sensitivity_at(definition, each, level), definition.loss_of(each, level), level=level
        )
        for level, each in named
    )
    quiet = add_noise(BoundedAggregate(levels, tables), mechanisms)
    none = replace(quiet, tables={name: table * 0 for name, table in quiet.tables.items()})
    assert coverages(none, definition) == ()


def rejected(held: int) -> bool:
    """Whether so few of so many, each with a chance of 95%, are rarer than LEAST."""
    logs = [
        math.lgamma(DRAWS + 1) - math.lgamma(n + 1) - math.lgamma(DRAWS - n + 1) + n * math.log(0.95)
        + (DRAWS - n) * math.log(0.05) for n in range(held + 1)
    ]  # fmt: skip
    return math.fsum(map(math.exp, logs)) < LEAST
