"""What a lattice of rollups is worth, beside a chain and beside tables of their own, and whether it is honest.

    python benchmarks/crossed.py [--releases 20000]

Three towns with empty, sparse and dense cells are released many times on real noise, in both currencies: places by
kinds; places that have only some of the kinds, which is no product; and three keys by twos. At one loss, for each
table: the error of counts as estimated, beside that of a chain (whose other tables are sums of its finest cells) and
of every table as measured by itself; how often margins hold the truth; how wide they are beside the exact quantile of
the estimate's error. It exits with 1 where margins cover less than 95 %, as a one-sided test at 10⁻⁶ says, where they
are more than 1.1 times as wide, or where the tables of any release do not add up.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from rollups import BATCH, LOSSES, SPARSE, WIDEST, added_up, batches, forest, mechanisms

from publisher.definitions.dataset import Dataset
from publisher.privacy.estimates import estimates_of
from publisher.privacy.finish import CONFIDENCE, finish
from publisher.privacy.mechanism import add_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from publisher.stages import Floats, Integers

COUNTS = (0, 40, 1, 0, 300, 5, 0, 0, 3, 2_000, 75, 0, 0, 1, 12, 7, 150)
RARE = 1e-6
"""How often an honest benchmark may fail by chance in one group of cells."""


@dataclass(frozen=True)
class Town:
    """The keys of each finest cell, (cells, keys), and the keys of each rollup; the first rollups are the chain."""

    name: str
    codes: Integers
    rollups: dict[str, tuple[str, ...]]
    chain: tuple[str, ...]
    share: Decimal

    def cells(self, rollups: Sequence[str]) -> tuple[Integers, ...]:
        """Of each rollup, then of the finest table: its cell for each finest cell."""
        found = [np.unique(self.codes[:, self._columns(name)], axis=0, return_inverse=True)[1] for name in rollups]
        return *(np.ravel(each) for each in found), np.arange(len(self.codes))

    def _columns(self, rollup: str) -> list[int]:
        return ["abc".index(key) for key in self.rollups[rollup]]

    @property
    def counts(self) -> Integers:
        """The exact finest counts, (cells, 1)."""
        return np.resize(np.array(COUNTS), len(self.codes))[:, None]


def towns() -> tuple[Town, ...]:
    """Places by kinds, places with some kinds, and three keys by twos."""
    grid = np.indices((9, 8)).reshape(2, -1).T
    some = grid[(grid[:, 0] * 3 + grid[:, 1] * 5) % 7 < 4]
    cube = np.indices((4, 4, 4)).reshape(3, -1).T
    crossed = {"city": (), "places": ("a",), "kinds": ("b",)}
    twos = {"city": (), "ab": ("a", "b"), "ac": ("a", "c"), "bc": ("b", "c")}
    return (
        Town("places by kinds", grid, crossed, ("city", "places"), Decimal("0.2")),
        Town("places with some kinds", some, crossed, ("city", "places"), Decimal("0.2")),
        Town("three keys by twos", cube, twos, ("city", "ab"), Decimal("0.2")),
    )


def definition(town: Town, loss: dict[str, Decimal], rollups: Sequence[str]) -> Dataset:
    """Counts by the town's keys, with these rollups; each has the same share as in the lattice."""
    keys = "abc"[: town.codes.shape[1]]
    values = {
        "title": "T", "description": "T", "source": "t", "loss": loss, "period": "year", "grain": "year",
        "first": "2020",
        "keys": tuple({"name": key, "title": key, "keyset": key, "other": "Unknown"} for key in keys),
        "rollups": tuple(
            {"name": name, "title": name, "keys": town.rollups[name], "share": town.share} for name in rollups
        ),
        "measures": ({"name": "requests", "kind": "count", "title": "T", "unit": "u"},),
        "suppression": {"measure": "requests", "threshold": 0}, "portal": {"category": "C"},
    }  # fmt: skip
    return Dataset.model_validate(values)


@dataclass
class Found:
    """By table, each (releases, cells): errors of the estimate, whether margins held, widths where nothing was cut."""

    errors: dict[str, list[Floats]]
    raw: dict[str, list[Floats]]
    inside: dict[str, list[Any]]
    widths: dict[str, list[Floats]]
    add_up: bool = True


def released(town: Town, loss: dict[str, Decimal], rollups: Sequence[str], releases: int, *, whole: bool) -> Found:
    """Draws the releases and estimates them; `whole` also finishes them as a release is finished."""
    dataset, cells = definition(town, loss, rollups), town.cells(rollups)
    noise = mechanisms(dataset, forest(dataset, 1, cells), ("requests",))
    found = Found({}, {}, {}, {})
    for trees in batches(releases):
        levels = forest(dataset, trees, cells)
        exact = added_up(levels, dataset, {"requests": town.counts})
        noisy = add_noise(exact, noise)
        estimates = estimates_of(noisy, dataset)
        for level in levels:
            table = level.name, "requests"
            truth = exact.tables[table]
            found.errors.setdefault(level.name, []).append((estimates[table].center[:, 0] - truth).reshape(trees, -1))
            found.raw.setdefault(level.name, []).append((noisy.tables[table] - truth).reshape(trees, -1))
        if whole:
            _note(found, {table.level: table.measures[0] for table in finish(noisy, dataset)}, exact, levels, trees)
    return found


def _note(found: Found, published: dict[str, Any], exact: Any, levels: Sequence[Any], trees: int) -> None:
    for level in levels:
        each, truth = published[level.name], exact.tables[level.name, "requests"]
        inside = (each.low - 1e-9 <= truth) & (truth <= each.high + 1e-9)
        found.inside.setdefault(level.name, []).append(inside.reshape(trees, -1))
        clear = np.where(each.low > 0, (each.high - each.low) / 2, np.nan)
        found.widths.setdefault(level.name, []).append(clear.reshape(trees, -1))
        sums = np.bincount(level.cells, published[""].value, level.grid.size)
        found.add_up &= bool(np.array_equal(sums, each.value))


def spread(errors: Sequence[Floats]) -> float:
    """The root mean square."""
    return float(np.sqrt((np.concatenate(list(errors)) ** 2).mean()))


def by_chain(town: Town, chain: Found, name: str) -> float:
    """The error of a table where only the chain was measured: its own, or that of its finest cells summed."""
    if name in chain.errors:
        return spread(chain.errors[name])
    finest, cells = np.concatenate(chain.errors[""]), town.cells((name,))[0]
    sums = np.zeros((len(finest), int(cells.max()) + 1))
    np.add.at(sums, (slice(None), cells), finest)
    return spread([sums])


def honest(found: Found, name: str, mine: Any) -> tuple[float, float, float | None]:
    """(coverage, the probability of so little if it were 95 %, mean width beside the exact quantile) of these cells."""
    from scipy.stats import binom

    inside = np.concatenate(found.inside[name])[:, mine]
    # Cells of one release share noise: each release votes once for each cell, and the least covered cell decides.
    held = inside.sum(axis=0)
    chance = float(min(1.0, binom.cdf(held.min(), len(inside), CONFIDENCE) * held.size))
    widths = np.concatenate(found.widths[name])[:, mine]
    exact = np.quantile(np.abs(np.concatenate(found.errors[name])[:, mine]), CONFIDENCE, axis=0)
    clear = np.isfinite(widths).mean(axis=0) > 0.99
    return inside.mean(), chance, float(np.nanmean(widths[:, clear] / exact[clear])) if clear.any() else None


def compared(town: Town, loss: dict[str, Decimal], releases: int) -> bool:
    """Prints the town's tables; whether everything is as it should be."""
    names = (*town.rollups, "")
    lattice = released(town, loss, tuple(town.rollups), releases, whole=True)
    chain = released(town, loss, town.chain, releases, whole=False)
    print(f"\n{town.name}, {' '.join(f'{name} {amount}' for name, amount in loss.items())}, {releases:,} releases")
    print(
        f"  {'table':<8} {'lattice':>8} {'chain':>8} {'alone':>8}   {'cells':<7} {'coverage':>9} {'width / exact':>14}"
    )
    good = lattice.add_up
    for name, cells in zip(names, town.cells(tuple(town.rollups)), strict=True):
        errors = spread(lattice.errors[name]), by_chain(town, chain, name), spread(lattice.raw[name])
        said = f"  {name or 'finest':<8} {errors[0]:8.2f} {errors[1]:8.2f} {errors[2]:8.2f}"
        dense = np.bincount(cells, town.counts[:, 0]) >= SPARSE
        for group, mine in (("sparse", ~dense), ("dense", dense)):
            if mine.any():
                coverage, chance, width = honest(lattice, name, mine)
                good &= chance >= RARE and (width or 0) <= WIDEST
                print(f"{said:<37}   {group:<7} {coverage:9.2%} {f'{width:.3f}' if width else '-':>14}")
                said = ""
    print(f"  all tables of every release add up: {'yes' if lattice.add_up else 'no'}")
    return good


def main() -> None:
    """Prints what was measured; exits with 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", type=int, default=20 * BATCH)
    releases = parser.parse_args().releases
    begun = time.perf_counter()
    good = [compared(town, loss, releases) for town in towns() for loss in LOSSES]
    print(f"\nno coverage rejected as 95 % at 10⁻⁶, no width over {WIDEST} × exact: {'yes' if all(good) else 'no'}")
    print(f"{time.perf_counter() - begun:.0f} s")
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
