"""How long a large lattice of tables takes to finish, and with how much memory.

    python benchmarks/lattice.py [--product]

54,000 finest cells and 3,000 cells of rollups that all share finest cells: a town of 2,700 places in 135 areas by 20
kinds, rolled up by area, by place, by kind, and by kind and district; with `--product`, in two chains over a complete
product. Nine in ten cells have at most one record. It exits with 1 where it takes more than 20 seconds or 1 GB.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from fractions import Fraction

import numpy as np

from publisher.definitions.cells import Axis, CellGrid
from publisher.definitions.levels import Level
from publisher.definitions.period import parse
from publisher.privacy.agreement import summed, whole_on_lattice
from publisher.privacy.distribution import Noise
from publisher.privacy.lattice import lattice_fit, lattice_of
from publisher.privacy.margins import margins_on

PLACES, KINDS = 2_700, 20
SCALE = 4.0
SECONDS, MEMORY = 20.0, 1_000_000
"""The most seconds and kilobytes."""


def levels(*, product: bool) -> tuple[Level, ...]:
    """The rollups and the finest table, in one period."""
    place, kind = np.divmod(np.arange(PLACES * KINDS), KINDS)
    area, district = place // 20, place // 300
    if product:
        tables = [place * 0, area, place, kind // 5, kind]
    else:
        tables = [place * 0, area, place, kind, district * KINDS + kind]
    found = []
    for number, cells in enumerate([*tables, np.arange(place.size)]):
        size = int(cells.max()) + 1
        grid = CellGrid((parse("2020-01"),), (Axis("cell", tuple(map(str, range(size))), None, 0),))
        name = f"table {number}" if number < len(tables) else ""
        found.append(Level(name, grid, Fraction(1, len(tables) + 1), cells))
    return tuple(found)


def main() -> None:
    """Print each step's seconds; exit with 1 where it takes too long or too much memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--product", action="store_true")
    tables = levels(product=parser.parse_args().product)
    source = np.random.default_rng(1)
    truth = source.poisson(source.gamma(0.05, 8, tables[-1].grid.size))[:, None]
    measured = [each + np.rint(source.normal(0, SCALE, each.shape)).astype(np.int64) for each in summed(tables, truth)]
    noises = [Noise((("discrete gaussian", SCALE),)) for _ in tables]
    coarser = sum(level.grid.size for level in tables[:-1])
    print(f"{tables[-1].grid.size:,} finest cells, {coarser:,} cells of {len(tables) - 1} rollups")
    begun = times = time.perf_counter()
    fit = lattice_fit(lattice_of(tables), [noise.variance for noise in noises])
    estimates = fit.estimate([each.astype(np.float64) for each in measured])
    print(f"least squares  {time.perf_counter() - times:6.1f} s")
    times = time.perf_counter()
    whole = whole_on_lattice(tables, fit, estimates, nonnegative=True)
    print(f"whole numbers  {time.perf_counter() - times:6.1f} s")
    times = time.perf_counter()
    margins = margins_on(fit, noises)
    widths = [each.half_widths(0.95) for each in margins]
    print(f"margins        {time.perf_counter() - times:6.1f} s")
    seconds, memory = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"together       {seconds:6.1f} s, {memory / 1000:,.0f} MB")
    for level, value, estimate, exact, width in zip(
        tables, whole, estimates, summed(tables, truth), widths, strict=True
    ):
        error, moved = (np.sqrt(((each - exact) ** 2).mean()) for each in (estimate, value))
        print(f"{level.name or 'finest':<9} error {error:6.2f}, published {moved:6.2f}, margin ±{np.median(width):.1f}")
    sys.exit(seconds > SECONDS or memory > MEMORY)


if __name__ == "__main__":
    main()
