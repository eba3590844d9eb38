"""What reconciled rollups gain, and whether their margins are honest, on real noise.

    python benchmarks/rollups.py [--releases 20000]

A city of four districts with 2 to 16 cells each, empty, sparse and dense ones, is released many times in both
currencies. For each level: the error beside that of the same loss without reconciling, and of the finest table summed;
how often margins hold the truth; how wide they are beside the exact quantile of the estimate's error. Then a year of
days split 70/20/10 over days, months and the year, beside the sum of daily cells.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from publisher.definitions.cells import Axis, CellGrid
from publisher.definitions.dataset import Dataset
from publisher.definitions.levels import Level
from publisher.definitions.period import parse
from publisher.privacy.estimates import estimates_of
from publisher.privacy.finish import CONFIDENCE, finish
from publisher.privacy.mechanism import add_noise, mechanism_for
from publisher.privacy.sensitivity import sensitivity_of
from publisher.stages import BoundedAggregate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from publisher.privacy.estimates import Estimate
    from publisher.stages import FinishedMeasure, Floats, Integers, Mechanism, Table

BATCH = 1_000
"""Releases that are drawn at once, as one forest of so many trees."""
COVERED, WIDEST = 0.945, 1.1
SPARSE = 10
DISTRICTS = (2, 4, 8, 16)
COUNTS = (0, 40, 1, 0, 300, 5, 0, 0, 3, 2_000, 75, 0, 0, 1, 12, 7)
EDGES = (0, 1, 3, 7, 14, 30)
SHARES = {"city": "0.2", "district": "0.3"}
LOSSES: tuple[dict[str, Decimal], ...] = ({"rho": Decimal("0.3")}, {"epsilon": Decimal("1.5")})


@dataclass(frozen=True)
class Accuracy:
    """Root mean square errors of one level's counts: published, as measured at the same share, the finest summed."""

    level: str
    reconciled: float
    independent: float
    summed: float


@dataclass(frozen=True)
class Honesty:
    """How often a measure's margins held the truth in one group of cells; `width` is None where none is exact."""

    level: str
    measure: str
    cells: str
    coverage: float
    trials: int
    width: float | None


def definition(loss: dict[str, Decimal], rollups: dict[str, str]) -> Dataset:
    """Counts, sums, means and medians of a place, with these rollups and shares."""
    common = {"title": "T", "unit": "u"}
    bins = tuple(map(Decimal, EDGES))
    amount = {"column": "a", "lower": Decimal(0), "upper": Decimal(9), "resolution": Decimal(1)}
    measures: tuple[dict[str, Any], ...] = (
        {"name": "requests", "kind": "count"},
        {"name": "paid", "kind": "sum", **amount},
        {"name": "mean_paid", "kind": "mean", "sum": "paid", "count": "requests"},
        {"name": "waits", "kind": "histogram", "column": "b", "bins": bins},
        {"name": "median_wait", "kind": "quantile", "histogram": "waits", "probability": Decimal("0.5")},
    )
    grain = {"city": "year", "district": "month"}
    values = {
        "title": "T", "description": "T", "source": "t", "loss": loss,
        "period": "year", "grain": "day", "first": "2020",
        "keys": ({"name": "place", "title": "Place", "keyset": "places", "other": "Unknown"},),
        "rollups": tuple(
            {"name": name, "title": name, "keys": (), "grain": grain[name], "share": Decimal(share)}
            for name, share in rollups.items()
        ),
        "measures": tuple(common | each for each in measures),
        "suppression": {"measure": "requests", "threshold": 0}, "portal": {"category": "C"},
    }  # fmt: skip
    return Dataset.model_validate(values)


def forest(dataset: Dataset, trees: int, cells: Sequence[Integers]) -> tuple[Level, ...]:
    """That many copies of one tree; `cells` holds per level the cell of each finest cell of one tree."""
    names = [*(rollup.name for rollup in dataset.rollups), ""]
    levels = []
    for name, within in zip(names, cells, strict=True):
        size = int(within.max()) + 1
        numbers = (np.arange(trees)[:, None] * size + within).ravel()
        axis = Axis("place", tuple(map(str, range(trees * size))), None, 0)
        levels.append(Level(name, CellGrid((parse("2020"),), (axis,)), dataset.share_of(name), numbers))
    return tuple(levels)


def added_up(levels: Sequence[Level], dataset: Dataset, finest: dict[str, Integers]) -> BoundedAggregate:
    """The exact tables of every level; `finest` has (cells, bins) of one tree, the same in all trees."""
    tables: dict[Table, Integers] = {}
    for level in levels:
        for measure in dataset.measured:
            if measure.name in finest:
                one = finest[measure.name]
                table = np.zeros((level.grid.size, one.shape[1]), dtype=np.int64)
                np.add.at(table, level.cells, np.tile(one, (len(level.cells) // len(one), 1)))
                tables[level.name, measure.name] = table.ravel()
    return BoundedAggregate(tuple(levels), tables)


def mechanisms(dataset: Dataset, levels: Sequence[Level], measures: Sequence[str]) -> tuple[Mechanism, ...]:
    """The noise that the dataset pays for, as a release has it."""
    return tuple(
        mechanism_for(
            measure.name,
            dataset.loss.currency,
            sensitivity_of(measure, dataset.bounds),
            dataset.loss_of(measure, level.name),
            level=level.name,
        )
        for level in levels
        for measure in dataset.measured
        if measure.name in measures
    )


def city() -> tuple[tuple[Integers, ...], dict[str, Integers]]:
    """Per level the cell of each finest cell, and the finest exact tables, (cells, bins)."""
    district = np.repeat(np.arange(len(DISTRICTS)), DISTRICTS)
    counts = np.resize(np.array(COUNTS), district.size)
    spread = np.random.default_rng(4)
    sums = np.array([spread.integers(0, 10, count).sum() for count in counts])
    waits = np.stack([np.bincount(spread.integers(0, 6, count) ** 2 // 5, minlength=6)[:6] for count in counts])
    cells = np.zeros_like(district), district, np.arange(district.size)
    return cells, {"requests": counts[:, None], "paid": sums[:, None], "waits": waits}


def batches(releases: int) -> Iterator[int]:
    """How many releases at once, until all are done."""
    for done in range(0, releases, BATCH):
        yield min(BATCH, releases - done)


@dataclass
class Tally:
    """What the releases of one currency showed, per level; errors and flags are (releases, cells of a tree)."""

    errors: dict[Table, list[Floats]]
    raw: dict[Table, list[Floats]]
    inside: dict[Table, list[Any]]
    widths: dict[Table, list[Floats]]


def tally(loss: dict[str, Decimal], releases: int) -> Tally:
    """Draws the releases and finishes them as a release is finished."""
    dataset = definition(loss, SHARES)
    cells, finest = city()
    found = Tally({}, {}, {}, {})
    noise = mechanisms(dataset, forest(dataset, 1, cells), tuple(finest))
    for trees in batches(releases):
        levels = forest(dataset, trees, cells)
        exact = added_up(levels, dataset, finest)
        noisy = add_noise(exact, noise)
        estimates = estimates_of(noisy, dataset)
        for table in finish(noisy, dataset):
            for measure in table.measures:
                truth = _truth(exact, table.level, measure)
                key = table.level, measure.name
                inside = np.where(np.isnan(measure.value) | np.isnan(truth), np.nan, _holds(measure, truth))
                found.inside.setdefault(key, []).append(inside.reshape(trees, -1))
                if key in estimates:
                    _note(found, key, estimates[key], measure, truth, noisy.tables[key], trees)
    return found


def _note(
    found: Tally, key: Table, estimate: Estimate, measure: FinishedMeasure, truth: Floats, raw: Integers, trees: int
) -> None:
    found.errors.setdefault(key, []).append((estimate.center[:, 0] - truth).reshape(trees, -1))
    found.raw.setdefault(key, []).append((raw - truth).reshape(trees, -1))
    clear = np.where(measure.low > 0, (measure.high - measure.low) / 2, np.nan)  # cut at zero elsewhere
    found.widths.setdefault(key, []).append(clear.reshape(trees, -1))


def _truth(exact: BoundedAggregate, level: str, measure: FinishedMeasure) -> Floats:
    count, paid = (exact.tables[level, name].astype(np.float64) for name in ("requests", "paid"))
    if measure.name == "median_wait":
        upto = np.cumsum(exact.tables[level, "waits"].reshape(-1, len(EDGES)), axis=1)
        bins = (upto >= upto[:, -1:] / 2).argmax(axis=1)
        return np.where(upto[:, -1] > 0, np.array(EDGES, dtype=np.float64)[bins] + 0.5, np.nan)
    with np.errstate(invalid="ignore"):
        return {"requests": count, "paid": paid, "mean_paid": paid / count}[measure.name]


def _holds(measure: FinishedMeasure, truth: Floats) -> Any:
    high = np.where(np.isnan(measure.high), np.inf, measure.high)  # an open bin
    return (measure.low - 1e-9 <= truth) & (truth <= high + 1e-9)


def accuracies(found: Tally, loss: dict[str, Decimal], releases: int) -> list[Accuracy]:
    """Per level the counts' errors, beside those of other ways to spend the same loss."""
    cells, finest = city()
    alone = definition(loss, {})
    noise = mechanisms(alone, forest(alone, 1, cells[-1:]), ("requests",))
    daily = np.concatenate(
        [
            add_noise(added_up(forest(alone, trees, cells[-1:]), alone, {"requests": finest["requests"]}), noise)
            .tables["", "requests"]
            .reshape(trees, -1)
            for trees in batches(releases)
        ]
    )
    errors = daily - finest["requests"][:, 0]
    rows = []
    for name, within in zip((*SHARES, ""), cells, strict=True):
        sums = np.zeros((releases, int(within.max()) + 1))
        np.add.at(sums, (slice(None), within), errors)
        key = name, "requests"
        rows.append(Accuracy(name or "finest", *(map(_spread, (found.errors[key], found.raw[key], [sums])))))
    return rows


def _spread(errors: Sequence[Floats]) -> float:
    return float(np.sqrt((np.concatenate(list(errors)) ** 2).mean()))


def honesties(found: Tally) -> Iterator[Honesty]:
    """Per level, measure and group of cells: coverage, and the width beside the error's own 95 % quantile.

    Every cell's quantile is taken over its own releases; the width is the mean over cells and releases where nothing
    was cut at zero.
    """
    cells, finest = city()
    for (level, measure), flags in found.inside.items():
        within = cells[(*SHARES, "").index(level)]
        dense = np.bincount(within, finest["requests"][:, 0]) >= SPARSE
        inside = np.concatenate(flags)
        for group, mine in (("sparse", ~dense), ("dense", dense)):
            if mine.any():
                known = inside[:, mine][~np.isnan(inside[:, mine])]
                width = _width(found, (level, measure), mine) if group == "dense" else None
                yield Honesty(level or "finest", measure, group, float(known.mean()), known.size, width)


def _width(found: Tally, key: Table, mine: Any) -> float | None:
    if key not in found.errors:
        return None
    widths = np.concatenate(found.widths[key])[:, mine]
    exact = np.quantile(np.abs(np.concatenate(found.errors[key])[:, mine]), CONFIDENCE, axis=0)
    clear = np.isfinite(widths).mean(axis=0) > 0.99
    return float(np.nanmean(widths[:, clear] / exact[clear])) if clear.any() else None


def calendar(releases: int) -> tuple[float, float]:
    """(how many times more accurate a year's total is than the sum of its days, how much a day pays), on real noise."""
    loss = LOSSES[0]
    days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    cells = np.zeros(365, dtype=np.int64), np.repeat(np.arange(12), days), np.arange(365)
    split, alone = definition(loss, {"city": "0.1", "district": "0.2"}), definition(loss, {})
    finest = {"requests": np.full((365, 1), 50)}
    errors: dict[str, list[Floats]] = {"year": [], "day": [], "summed": [], "alone": []}
    for trees in batches(releases):
        for dataset, used in ((split, cells), (alone, cells[-1:])):
            levels = forest(dataset, trees, used)
            exact = added_up(levels, dataset, finest)
            noisy = add_noise(exact, mechanisms(dataset, levels, ("requests",)))
            found = estimates_of(noisy, dataset.model_copy(update={"measures": dataset.measures[:1]}))
            day = found["", "requests"].center.reshape(trees, 365) - 50
            errors["day" if dataset is split else "alone"].append(day)
            errors["year" if dataset is split else "summed"].append(day.sum(axis=1, keepdims=True))
    spread = {name: _spread(each) for name, each in errors.items()}
    return spread["summed"] / spread["year"], spread["day"] / spread["alone"] - 1


def main() -> None:
    """Prints what was measured; exits with 1 where margins cover too little or are too wide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--releases", type=int, default=20_000)
    releases = parser.parse_args().releases
    begun, failed = time.perf_counter(), False
    for loss in LOSSES:
        found = tally(loss, releases)
        print(f"\n{' '.join(f'{name} {amount}' for name, amount in loss.items())}, {releases:,} releases")
        print("  error of counts        reconciled  own noise  finest summed")
        for each in accuracies(found, loss, releases):
            print(f"  {each.level:<22} {each.reconciled:10.2f} {each.independent:10.2f} {each.summed:14.2f}")
        print("  margins (95 %)                       coverage  width / exact")
        for row in honesties(found):
            width = f"{row.width:.3f}" if row.width is not None else "-"
            print(f"  {row.level:<9} {row.measure:<12} {row.cells:<12} {row.coverage:10.2%} {width:>14}")
            failed |= row.coverage < COVERED or (row.width or 0) > WIDEST
    gain, price = calendar(max(1, releases // 4))
    print(f"\ncalendar 70/20/10: a year is {gain:.1f} times as accurate as its days summed; a day pays {price:.0%}")
    print(f"every coverage ≥ {COVERED:.1%}, every width ≤ {WIDEST} × exact: {'no' if failed else 'yes'}")
    print(f"{time.perf_counter() - begun:.0f} s")
    sys.exit(failed)


if __name__ == "__main__":
    main()
