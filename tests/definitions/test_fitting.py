"""Rollups, histograms, discovered keys and late records: what fits together, and what is refused with a reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from test_definitions import FILES, D, S, make

from publisher.definitions import period as civil
from publisher.definitions.levels import forms_chain, inside, parents
from publisher.errors import DefinitionError
from publisher.workspace import find_workspace

if TYPE_CHECKING:
    from pathlib import Path

    from publisher.workspace import Workspace

CITY = '[[rollups]]\nname = "city"\ntitle = "City"\nkeys = []\n'
AREA = (
    '[[coarser]]\nname = "area"\ntitle = "Area"\nof = "zone"\nmapping = "zone-areas"\nkeyset = "areas"\n'
    'other = "Elsewhere"\n[[rollups]]\nname = "areas"\ntitle = "Areas"\nkeys = ["area"]\n'
)
QUANTILE = (
    '[[measures]]\nname = "age"\ntitle = "Age"\nkind = "quantile"\nunit = "years"\nhistogram = "ages"\n'
    "probability = 0.5\nresolution = {}\n"
)
BINS = '[[measures]]\nname = "ages"\ntitle = "Ages"\nkind = "histogram"\nunit = "years"\ncolumn = "age"\nbins = {}\n'
FOUND = "[keys.discover]\nshare = 0.5\ndelta = 0.000001\n"


def changed(folder: Path, *changes: tuple[str, str, str]) -> Path:
    """The workspace of the other tests, with the files of a coarser key."""
    make(folder, *changes)
    keysets = folder / "datasets" / "keysets"
    (keysets / "areas.csv").write_text("key\nNorth\nSouth\n")
    (keysets / "zone-areas.csv").write_text("zone,area\na,North\nb,North\n")
    return folder


def before(what: str, text: str) -> tuple[str, str, str]:
    """A text put in front of a line of the dataset."""
    return D, what, text + what


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([before("[suppression]", CITY * 2)], "rollups: two have the same name|has the same cells"),
        ([before("[suppression]", CITY.replace("[]", '["zone"]'))], "rollups.0: has the same cells"),
        ([before("[suppression]", CITY.replace("[]", '["nowhere"]'))], "rollups.0.keys.0: 'nowhere' is not a key"),
        ([before("[suppression]", CITY + 'grain = "day"\n')], "rollups.0.grain: a day is not between"),
        ([before("[suppression]", CITY + "share = 1\n")], "rollups.0.share: "),
        ([before("[suppression]", AREA + "share = 0.5\n" + CITY)], "rollups: give every rollup a share"),
        ([before("[suppression]", CITY + "share = 0.9995\n")], "rollups: leave at least 0.001 of the loss"),
        ([before("[suppression]", AREA + CITY), (D, "threshold = ", "complementary = true\nthreshold = ")],
         "suppression.complementary: needs rollups that each divide the one before"),
        ([before("[suppression]", CITY + "publish = false\n")], "rollups.0.publish: Visits do not add up"),
        ([before("[suppression]", CITY + 'grain = "week"\n')], "rollups.0.grain: a week is not between"),
        ([before("[suppression]", CITY + 'grain = "lifetime"\n')], "rollups.0.grain: a lifetime is not between"),
        ([before("[suppression]", CITY + CITY.replace('"city"', '"all"'))], "rollups.1: has the same cells as another"),
        ([before("[suppression]", AREA + CITY.replace("[]", '["area"]'))],
         "rollups.1: has the same cells as another table"),
        ([before("[suppression]", AREA.replace('of = "zone"', 'of = "zoo"'))], "coarser.0.of: names 'zoo'"),
        ([before("[suppression]", AREA.replace('"zone-areas"', '"areas"'))], "coarser.0.mapping: .*two columns"),
        ([before("[suppression]", AREA.replace('"areas"\nother', '"zones"\nother'))], "maps to North"),
        ([before("[suppression]", AREA.replace('"zone-areas"', '"missing"'))], "coarser.0.mapping: is missing: write"),
        ([before("[suppression]", BINS.format("[3]"))], "measures.3.bins: "),
        ([before("[suppression]", BINS.format("[3, 2]"))], "measures.3.bins: must be in rising order"),
        ([before("[suppression]", BINS.format("[1, 2]").replace("histogram", "quantile"))], "measures.3.(bins|column)"),
        ([before("[suppression]", BINS.format("[0, 2.5]") + QUANTILE.format("1"))],
         "measures.4.resolution: the bins of ages must be whole multiples of it"),
        ([before("[suppression]", BINS.format("[0, 2]\nresolution = 1"))], "measures.3.resolution: does not apply"),
        ([(D, 'keyset = "zones"\n', "")], "keys.0.keyset: name a public keyset"),
        ([(D, 'other = "Unknown"', 'other = "Unknown"\n' + FOUND)], "keys.0.keyset: name a public keyset"),
        ([(D, 'keyset = "zones"\nother = "Unknown"', 'other = "Unknown"\n' + FOUND)], "more δ than the source's"),
        ([(D, 'keyset = "zones"\nother = "Unknown"', 'other = "Unknown"\n' + FOUND), before("[suppression]", CITY)],
         "rollups: need public keys"),
        ([(S, "budget = 0.5", "budget = 0.5\ncurrency = \"pure\"\ndelta = 0.0001")], "privacy.delta: a pure-ε budget"),
        ([(S, 'window = "month"', 'window = "quarter"')], "period: a register's differences"),
        ([(S, "[privacy]", '[late]\npolicy = "thaw"\n[privacy]')], "late.policy: "),
        ([(S, "[privacy]", '[late]\npolicy = "charge"\nafter_days = [5, 5]\n[privacy]')], "late.after_days: must"),
        ([(S, "[privacy]", '[late]\npolicy = "freeze"\nafter_days = [5]\n[privacy]')], "late.after_days: a frozen"),
        ([(S, "[privacy]", '[late]\npolicy = "increment"\n[privacy]')], "late.policy: increment does not work for"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: list[tuple[str, str, str]], words: str) -> None:
    """One message that names the file and the key."""
    with pytest.raises(DefinitionError) as caught:
        dict(find_workspace(changed(tmp_path, *changes)).datasets)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith((D, S))


def second(root: Path, feed: str, more: str = "") -> Workspace:
    """The workspace with a second source of another population, over other files or the same ones."""
    first = changed(root) / S
    text = first.read_text().replace('population = "town"', 'population = "elsewhere"')
    (first.with_name("second.toml")).write_text(text.replace('path = "raw"', f'path = "{feed}"', 1) + more)
    (first.with_name("second.sql")).write_text(first.with_suffix(".sql").read_text())
    return find_workspace(root)


def same_people(workspace: Workspace) -> list[str]:
    """The sources that count as about the same people as the first one's."""
    return [each.name for each in workspace.same_people(workspace.source("visits"))]


APART = '\n[[apart]]\nsource = "visits"\nreason = "Animals"\n'


def test_sources_over_the_same_files_are_about_the_same_people(tmp_path: Path) -> None:
    """Whatever populations they name, unless a recorded decision tells them apart."""
    assert same_people(second(tmp_path / "others", "other/files.csv")) == ["visits"]
    assert same_people(second(tmp_path / "same", "raw")) == ["second", "visits"]
    assert same_people(second(tmp_path / "inside", "raw/2024/*.csv")) == ["second", "visits"]
    assert same_people(second(tmp_path / "around", "*.csv")) == ["second", "visits"]
    decided = second(tmp_path / "decided", "raw", APART)
    assert same_people(decided) == ["visits"]
    assert decided.source("second").apart_from(decided.source("visits")) == "Animals"


def about_minors(root: Path, *changes: tuple[str, str, str]) -> None:
    """Read the workspace whose source says that its records are about minors, with as much budget as that allows."""
    half = (S, "budget = 0.5", "budget = 0.25"), (S, "[privacy]", "minors = true\n[privacy]")
    changed(root, *half, *changes)
    dict(find_workspace(root).datasets)


def test_a_source_about_minors_spends_half_and_discovers_nothing(tmp_path: Path) -> None:
    """Half of the ceilings: ρ 0.05 a release and 0.25 a block; no δ, and no keys that only records know."""
    about_minors(tmp_path / "kept", (D, "rho = 0.1", "rho = 0.05"))
    with pytest.raises(
        DefinitionError, match=r"visits\.toml:\d+: loss\.rho: is more than 0\.05, the most of a release"
    ):
        about_minors(tmp_path / "release")
    with pytest.raises(DefinitionError, match=r"visits\.toml:\d+: privacy\.delta: is for discovered keys, which"):
        about_minors(tmp_path / "delta", (S, "budget = 0.25", "budget = 0.25\ndelta = 0.00001"))
    with pytest.raises(
        DefinitionError, match=r"visits\.toml:\d+: keys\.0\.discover: keys must be public, since visits"
    ):
        about_minors(tmp_path / "keys", (D, 'keyset = "zones"\nother = "Unknown"', f'other = "Unknown"\n{FOUND}'))


def test_whoever_reads_the_same_files_says_so_too(tmp_path: Path) -> None:
    """Two sources over one feed are both about minors, or a recorded decision says that they are about others."""
    changed(tmp_path, (S, "budget = 0.5", "budget = 0.25"), (D, "rho = 0.1", "rho = 0.05"))
    first = (tmp_path / S).read_text()
    (tmp_path / S).with_name("second.sql").write_text((tmp_path / S).with_suffix(".sql").read_text())
    (tmp_path / S).with_name("second.toml").write_text(first)
    (tmp_path / S).write_text(first.replace("[privacy]", "minors = true\n[privacy]", 1))
    with pytest.raises(DefinitionError, match=r"second\.toml:\d+: minors: visits reads the same files and says that"):
        dict(find_workspace(tmp_path).sources)
    (tmp_path / S).with_name("second.toml").write_text(first + APART)
    dict(find_workspace(tmp_path).sources)


def test_a_decision_names_a_source_over_the_same_files(tmp_path: Path) -> None:
    """One about a source that reads other files, or does not exist, is refused with its line."""
    words = r"second\.toml:\d+: apart\.0\.source: {} is not a source that reads the same files"
    for name, feed, more in (("visits", "other", APART), ("nobody", "raw", APART.replace("visits", "nobody"))):
        with pytest.raises(DefinitionError, match=words.format(name)):
            dict(second(tmp_path / name, feed, more).datasets)


def test_a_companion_is_not_called_like_a_dataset(tmp_path: Path) -> None:
    """visits with the rollup city, and a dataset visits-city, would be one name for two tables."""
    changed(tmp_path, before("[suppression]", CITY))
    (tmp_path / "datasets" / "visits-city.toml").write_text(FILES[D].lstrip("\n"))
    with pytest.raises(
        DefinitionError, match=r"rollups\.0\.name: its table would have the name of the dataset visits-city"
    ):
        dict(find_workspace(tmp_path).datasets)


def test_shares_are_exact_and_equal_unless_said(tmp_path: Path) -> None:
    """Three tables without shares get a third each; with shares the finest has the rest; all add up to the loss."""
    equal = (
        find_workspace(changed(tmp_path / "equal", before("[suppression]", CITY + AREA))).dataset("visits").definition
    )
    assert [equal.share_of(level) * 3 for level in ("city", "areas", "")] == [1, 1, 1]
    said = CITY + "share = 0.1\n" + AREA + "share = 0.25\n"
    split = find_workspace(changed(tmp_path / "said", before("[suppression]", said))).dataset("visits").definition
    assert [split.share_of(level) * 100 for level in ("city", "areas", "")] == [10, 25, 65]
    for each in (equal, split):
        spent = [each.loss_of(measure, level) for measure in each.measured for level in ("city", "areas", "")]
        assert sum(spent) == each.loss.amount


def lattice(folder: Path, period: str, grain: str) -> Workspace:
    """Days of a period, rolled up by zone over `grain`, and by area in days."""
    zones = f'[[rollups]]\nname = "zones"\ntitle = "Zones"\nkeys = ["zone"]\ngrain = "{grain}"\n'
    first = {"week": "2020-W02", "month": "2020-01", "quarter": "2020-Q1", "year": "2020"}[period]
    time = f'"{period}"\ngrain = "day"\nfirst = "{first}"\n'
    changes = [
        (D, '"month"\nfirst = "2020-01"\nlast = "2020-12"\n', time),
        (D, "customers = 15\nlargest_share = 0.15\n", ""),
        (S, '[register]\nreading = "reading"\nconsumption = "used"\n', ""),
        before("[suppression]", zones + AREA),
    ]
    return find_workspace(changed(folder, *changes))


@pytest.mark.parametrize(
    ("period", "grain", "allowed"),
    [("month", "month", True), ("week", "week", True), ("year", "quarter", True), ("year", "month", True),
     ("month", "week", False), ("quarter", "week", False), ("week", "month", False)],
)  # fmt: skip
def test_time_steps_divide_each_other(tmp_path: Path, period: str, grain: str, allowed: bool) -> None:
    """Rollups that are no chain are accepted with any time steps that divide each other; weeks never meet months."""
    workspace = lattice(tmp_path, period, grain)
    if not allowed:
        with pytest.raises(DefinitionError, match=f"rollups.0.grain: a {grain} is not between"):
            dict(workspace.datasets)
        return
    dataset = workspace.dataset("visits")
    zones, areas, finest = dataset.levels(civil.parse(dataset.definition.first))
    assert not dataset.definition.chained
    assert not forms_chain((zones, areas, finest))
    assert inside(finest, zones)
    assert inside(finest, areas)


def test_too_many_cells_are_refused_before_anything_is_charged(tmp_path: Path) -> None:
    """A year of zones holds all days of areas together: 366 days of 23 areas are too many for one matrix."""
    workspace = lattice(tmp_path, "year", "year")
    areas = tmp_path / "datasets" / "keysets" / "areas.csv"
    areas.write_text("key\nNorth\nSouth\n" + "".join(f"a{n}\n" for n in range(20)))
    with pytest.raises(DefinitionError, match=r"rollups: 8,\d\d\d of their cells share finest cells, more than 6,000"):
        dict(workspace.datasets)


def test_every_cell_lies_in_one_coarser_cell(tmp_path: Path) -> None:
    """Zones lie in their area, unknown ones elsewhere; a key of the keyset without any zone has no cell."""
    dataset = find_workspace(changed(tmp_path, before("[suppression]", CITY + AREA))).dataset("visits")
    city, areas, finest = dataset.levels(civil.parse("2020-01"))
    assert [axis.keys for level in (city, areas, finest) for axis in level.grid.axes] == [
        ("North", "Elsewhere"),
        ("a", "b", "Unknown"),
    ]
    assert parents(areas, finest).tolist() == [0, 0, 1]
    assert parents(city, areas).tolist() == [0, 0]
    assert np.bincount(city.cells).tolist() == [finest.grid.size]
