"""Ranges of a reader's own sums hold the truth as often as they say, over sets of rows fixed before the draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import readers
from lattices import lattice_levels
from test_rollups import definition

if TYPE_CHECKING:
    from small_town import Town

    from publisher.definitions.levels import Level
    from publisher.stages import Integers

SHAPE = 20, 12
"""Places and kinds of a town."""
DENSE = np.random.default_rng(1).integers(60, 900, SHAPE).ravel()
SPARSE = np.where(np.arange(DENSE.size) % 20 == 7, DENSE, np.arange(DENSE.size) % 7 == 0)
"""One cell in twenty has many; of the others, one in seven has one."""


def chain(many: int) -> tuple[Level, ...]:
    """Towns, their places, and the cells of both place and kind."""
    town, place, _ = (each.ravel() for each in np.indices((many, *SHAPE)))
    return lattice_levels(town, town * SHAPE[0] + place, np.arange(town.size))


def lattice(many: int) -> tuple[Level, ...]:
    """Towns by place and by kind, and the cells of both."""
    town, place, kind = (each.ravel() for each in np.indices((many, *SHAPE)))
    return lattice_levels(town * SHAPE[0] + place, town * SHAPE[1] + kind, np.arange(town.size))


CASES = {
    "a chain, ranges": (chain, DENSE, "discrete gaussian", (4.0, 6.0), False),
    "a lattice, measurements": (lattice, SPARSE, "discrete gaussian", (4.0, 60.0), True),
    "a lattice, ranges, Laplace": (lattice, DENSE, "discrete laplace", (4.0, 6.0), False),
}
AT_ONCE = 100


def hits(town: Town, case: str, draws: int) -> tuple[Integers, Integers]:
    """(as the macros answer, as added up from published cells): for each set, how many ranges hold, of how many."""
    made, counts, kind, scales, measured = CASES[case]
    among = np.flatnonzero(counts < 10) if measured else np.arange(counts.size)
    sets = readers.fixed_sets(counts.size, among.tolist(), least=150 if measured else 3)
    truth = sets.astype(np.int64) @ counts
    asked, added = np.zeros((2, len(sets), 2), dtype=np.int64)
    for _ in range(draws // AT_ONCE):
        towns = readers.Town(made(AT_ONCE), counts, kind, scales)
        found = towns.sums(towns.drawn(), definition(town, town.COUNT), sets, measured=measured)
        asked += found[0].holding(truth)
        added += found[1].holding(truth)
    return asked, added


def check(town: Town, case: str, draws: int) -> None:
    """No set is rejected as 95%; over sparse cells, sums of published numbers with √Σ½² are rejected for every set."""
    asked, added = hits(town, case, draws)
    assert (asked[:, 1] >= 0.9 * draws).all()
    assert not any(readers.rejects(*each) for each in asked.tolist())
    if CASES[case][-1]:
        assert all(readers.rejects(*each) for each in added.tolist())


@pytest.mark.parametrize("case", CASES)
def test_sums_hold_the_truth(town: Town, case: str) -> None:
    """400 draws: 95% is rejected for no set; added up from published sparse cells it is rejected for every set."""
    check(town, case, 400)


@pytest.mark.evidence("ranges of a reader's own sums, 20,000 draws of three configurations")
@pytest.mark.parametrize("case", CASES)
def test_sums_hold_the_truth_in_many_draws(town: Town, case: str) -> None:
    """The same over 20,000 draws."""
    check(town, case, 20_000)


def test_the_test_itself_rejects() -> None:
    """950 and 920 hits of 1,000 are not rejected at one in a million, 905 are."""
    assert [readers.rejects(hits, 1_000) for hits in (960, 950, 920, 905)] == [False, False, False, True]
