"""Released numbers against exact ones, worked out apart: they lie where the guarantee says.

No message shows an exact value: what is compared are truths and distances in standard deviations of the noise.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from apart import EXACT, ROOT, Exact

from publisher.grades import OK

FARTHEST = 5.8
"""A normal value lies farther out once in 150 million: a sound release fails one of all comparisons of a dataset less
than once in a million runs. Noise a tenth too narrow or too wide, a lost or doubled record and margins of 90 % are
found."""

FEWEST = 1
"""A whole city in one year is one cell."""
SOME = {
    "boston-closed-within-a-week": ("2015-04", "2015-05"),
    "boston-days-to-close": ("2015-04", "2015-05"),
    "boston-requests": ("2015-01", "2015-02"),
    "syracuse-permit-kinds": ("2012-Q2", "2013-Q3"),
    "syracuse-permits": ("2012-Q2", "2013-Q3"),
}
"""The periods that are released where a dataset has many; `benchmarks/sources.py` compares all of them."""
IN_TESTS = ("alicante-water", "stlouis-closed-within-a-week", "stlouis-days-to-close", "syracuse-permits")
"""Every kind of measure, and every kind of unit."""


@dataclass(frozen=True)
class Compared:
    """One dataset: its definition, exact tables, and what was released, all periods below each other."""

    definition: dict[str, Any]
    exact: Exact
    cells: pd.DataFrame
    """A row per released cell: published columns, `noisy_<measure>`, and the exact `<measure>_least`, `…_most`."""
    guarantees: tuple[dict[str, Any], ...]
    companions: dict[str, pd.DataFrame]
    """The published rows of every rollup, all periods below each other."""

    @property
    def measured(self) -> list[dict[str, Any]]:
        """Counts and sums, whose noisy values stand beside each other."""
        return [
            measure for measure in self.definition["measures"] if measure["kind"] in ("count", "count_units", "sum")
        ]

    def scale(self, measure: dict[str, Any]) -> float:
        """The standard deviation that the definition asks for: Δ₂ / √(2ρ), ρ being the measure's share."""
        bounds = self.definition.get("bounds", {"max_groups": 1, "max_per_group": 1})
        most = measure.get("upper", 0) / measure.get("resolution", 1)
        each = {"count": bounds["max_per_group"], "count_units": 1}.get(measure["kind"], most)
        share = measure.get("share", 1 / len(self.measured))
        share *= 1 - sum(rollup["share"] for rollup in self.definition.get("rollups", ()))
        return each * math.sqrt(bounds["max_groups"]) / math.sqrt(2 * self.definition["loss"]["rho"] * share)

    def sure(self, measure: dict[str, Any]) -> pd.DataFrame:
        """The cells whose exact value does not hang on the ordering key."""
        name = measure["name"]
        return self.cells[self.cells[f"{name}_least"] == self.cells[f"{name}_most"]]


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize(
    "name",
    [
        *IN_TESTS,
        *(
            pytest.param(
                name, marks=pytest.mark.evidence("released numbers of every shipped dataset beside exact ones")
            )
            for name in EXACT
            if name not in IN_TESTS
        ),
    ],
)
def test_released_numbers_lie_where_the_guarantee_says(real: Path, tmp_path: Path, name: str) -> None:
    """A shipped dataset, released by `publisher run` from the real records, against what they hold. Other datasets have
    no other kind of measure: they are evidence."""
    compared = _compared(name, _released(name, real, tmp_path / "state"))
    everything_that_counts_has_its_cell(compared)
    the_noise_is_what_the_guarantee_says(compared)
    noisy_totals_lie_within_the_guarantee(compared)
    margins_hold_the_exact_values(compared)
    means_hold_the_exact_values(compared)
    quantiles_hold_the_exact_values(compared)
    companions_hold_the_exact_values(compared)
    most_cells_are_ok(compared)


def _released(name: str, data: Path, state: Path) -> Path:
    settings = {"PUBLISHER_DATA": str(data), "PUBLISHER_STATE": str(state)}
    command = [Path(sys.executable).with_name("publisher"), "run", name, "--no-push", "--json"]
    if name in SOME:
        command += ["--from", SOME[name][0], "--to", SOME[name][1]]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return state


def _compared(name: str, state: Path) -> Compared:
    definition = tomllib.loads((ROOT / "datasets" / f"{name}.toml").read_text())
    exact = EXACT[name](state / "private")
    releases = sorted((state / "public" / "releases" / name).glob("*/1"))
    published = pd.concat(pd.read_parquet(release / "data.parquet") for release in releases)
    kept = state / "private" / "measurements" / name
    noisy = pd.concat(pd.read_parquet(kept / release.parent.name / "1/measurements.parquet") for release in releases)
    noisy = noisy.rename(columns={column: f"noisy_{column}" for column in noisy.columns if column != "id"})
    cells = published.merge(noisy, on="id", validate="one_to_one")
    keys = ["period", *(key["name"] for key in definition.get("keys", ()))]
    cells = cells.merge(exact.cells, on=keys, how="left", validate="one_to_one")
    bounds = [column for column in exact.cells.columns if column not in keys]
    cells[bounds] = cells[bounds].fillna(0).astype("int64")
    guarantees = tuple(json.loads((release / "guarantee.json").read_text()) for release in releases)
    companions = {
        rollup["name"]: pd.concat(pd.read_parquet(release / f"rollup-{rollup['name']}.parquet") for release in releases)
        for rollup in definition.get("rollups", ())
    }
    return Compared(definition, exact, cells, guarantees, companions)


def everything_that_counts_has_its_cell(compared: Compared) -> None:
    """In the released periods every exact cell is a row of the table: catch-all keys lose nobody."""
    periods = compared.cells.period.unique()
    within = compared.exact.cells.period.isin(periods)
    for measure in compared.measured:
        column = f"{measure['name']}_most"
        kept = compared.cells[column].sum() == compared.exact.cells[within][column].sum()
        assert bool(kept), f"{measure['name']}: some cells are missing"
    assert set(periods) <= set(compared.exact.totals.period)


def the_noise_is_what_the_guarantee_says(compared: Compared) -> None:
    """Each guarantee names the scale that unit, bounds and loss call for, and the draws have it."""
    for measure in compared.measured:
        scale = compared.scale(measure)
        for guarantee in compared.guarantees:
            said = _mechanism(guarantee, measure["name"])
            assert said["scale"] == pytest.approx(scale, rel=1e-6)
            assert said["mechanism"] == "discrete gaussian"
        sure = compared.sure(measure)
        distances = (sure[f"noisy_{measure['name']}"] - sure[f"{measure['name']}_least"]) / scale
        spread = float((distances**2).mean())
        # A chi-squared mean of n squares, by the normal cube root of Wilson and Hilferty: good for small n too.
        n = len(sure)
        standard = (spread ** (1 / 3) - (1 - 2 / (9 * n))) / math.sqrt(2 / (9 * n))
        assert n >= FEWEST
        assert abs(standard) <= FARTHEST
        assert float(distances.abs().max()) <= FARTHEST + 1  # for each of some thousands of cells


def _mechanism(guarantee: dict[str, Any], measure: str) -> dict[str, Any]:
    (said,) = (each for each in guarantee["mechanisms"] if (each["level"], each["measure"]) == ("", measure))
    found: dict[str, Any] = said
    return found


def noisy_totals_lie_within_the_guarantee(compared: Compared) -> None:
    """The total of each release is the exact one give or take 5.8 σ √cells; where it is not known which cells of a
    unit count, it lies that near to the range of what is possible."""
    for measure in compared.measured:
        name, scale = measure["name"], compared.scale(measure)
        for period, cells in compared.cells.groupby("period"):
            (total,) = compared.exact.totals[compared.exact.totals.period == period].to_dict("records")
            noisy = float(cells[f"noisy_{name}"].sum())
            nearest = min(max(noisy, float(total[f"{name}_least"])), float(total[f"{name}_most"]))
            distance = (noisy - nearest) / (scale * math.sqrt(len(cells)))
            assert abs(distance) <= FARTHEST, f"{name} {period}"


def margins_hold_the_exact_values(compared: Compared) -> None:
    """Of the cells that are published, the exact bounded value lies in the 95 % margin at least nine times in ten."""
    held = shown = 0
    for measure in compared.measured:
        if measure.get("publish", True):
            sure, name = compared.sure(measure), measure["name"]
            sure = sure[sure[f"{name}_status"] != "suppressed"]
            held += int(sure[f"{name}_least"].between(sure[f"{name}_low"], sure[f"{name}_high"]).sum())
            shown += len(sure)
    assert shown >= FEWEST
    assert shown - held <= max(0.1 * shown, misses(shown))


def misses(shown: int) -> float:
    """How many 95 % margins may miss by chance: with few cells that is more than one in ten."""
    return 0.05 * shown + FARTHEST * math.sqrt(0.0475 * shown) + 1


def means_hold_the_exact_values(compared: Compared) -> None:
    """A published mean's margin holds the exact mean of the clamped values, where there are any."""
    for mean in (each for each in compared.definition["measures"] if each["kind"] == "mean"):
        cells = compared.cells[compared.cells[mean["name"]].notna() & (compared.cells[f"{mean['count']}_least"] > 0)]
        (step,) = (each["resolution"] for each in compared.definition["measures"] if each["name"] == mean["sum"])
        exact = cells[f"{mean['sum']}_least"] * step / cells[f"{mean['count']}_least"]
        held = exact.between(cells[f"{mean['name']}_low"], cells[f"{mean['name']}_high"])
        assert (~held).sum() <= max(0.1 * len(held), misses(len(held)))


def quantiles_hold_the_exact_values(compared: Compared) -> None:
    """A published quantile's margin holds the bin of the exact one in at least nine of ten cells."""
    for quantile in (each for each in compared.definition["measures"] if each["kind"] == "quantile"):
        (histogram,) = (each for each in compared.definition["measures"] if each["name"] == quantile["histogram"])
        edges, step = [*histogram["bins"], math.inf], quantile.get("resolution", 0)
        values = compared.exact.values
        assert values is not None
        bins = np.clip(np.searchsorted(edges, values["value"], side="right") - 1, 0, len(edges) - 2)
        (place,) = (key["name"] for key in compared.definition["keys"])
        groups = pd.Series(bins, values.index).groupby([values["period"], values[place]])
        held = []
        for row in compared.cells[compared.cells[quantile["name"]].notna()].itertuples():
            cell = (row.period, getattr(row, place))
            if cell not in groups.groups:
                continue
            ordered = np.sort(groups.get_group(cell).to_numpy())
            rank = max(1, math.ceil(quantile["probability"] * len(ordered))) - 1
            low, high = getattr(row, f"{quantile['name']}_low"), getattr(row, f"{quantile['name']}_high")
            high = math.inf if math.isnan(high) else high
            held.append(low <= edges[ordered[rank]] and edges[ordered[rank] + 1] - step <= high)
        assert len(held) >= FEWEST
        assert held.count(False) <= max(0.1 * len(held), misses(len(held))), quantile["name"]


def companions_hold_the_exact_values(compared: Compared) -> None:
    """Every rollup's margins hold the sums of the exact cells below, and its parts add up to the city's total."""
    coarser = {each["name"]: each for each in compared.definition.get("coarser", ())}
    for rollup in compared.definition.get("rollups", ()):
        cells, keys = compared.cells.copy(), ["period", *rollup["keys"]]
        for key in rollup["keys"]:
            if key in coarser:
                table = pd.read_csv(ROOT / "datasets" / "keysets" / f"{coarser[key]['mapping']}.csv", dtype="str")
                belongs = dict(zip(table.iloc[:, 0], table.iloc[:, 1], strict=True))
                cells[key] = cells[coarser[key]["of"]].map(belongs).fillna(coarser[key]["other"])
        names = [f"{measure['name']}_{end}" for measure in compared.measured for end in ("least", "most")]
        sums = cells.groupby(keys, as_index=False)[names].sum()
        found = compared.companions[rollup["name"]].merge(sums, on=keys, validate="one_to_one")
        assert len(found) == len(compared.companions[rollup["name"]])
        for measure in (each for each in compared.measured if each.get("publish", True)):
            name = measure["name"]
            shown = found[found[f"{name}_status"] != "suppressed"]
            missed = (shown[f"{name}_low"] > shown[f"{name}_most"]) | (shown[f"{name}_high"] < shown[f"{name}_least"])
            assert int(missed.sum()) <= misses(len(shown)), f"{rollup['name']} {name}"


def most_cells_are_ok(compared: Compared) -> None:
    """Keys, bounds and losses were chosen so that in every published table at least six of ten cells can be relied on
    and at most two are withheld, give or take what chance does in the few periods that are looked at."""
    for table, cells in {"": compared.cells, **compared.companions}.items():
        chance = 0.5 / math.sqrt(len(cells))
        for status in (column for column in cells.columns if column.endswith("_status")):
            assert float((cells[status] == OK).mean()) >= 0.6 - chance, f"{table} {status}"
            assert float((cells[status] == "suppressed").mean()) <= 0.2 + chance, f"{table} {status}"
