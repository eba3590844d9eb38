"""Margins of sums and differences of a reader's own, asked of the file itself."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pytest
from analyst_examples import CHAIN, LATTICE, answer, ask, example, noisy, released, town_file, written

from publisher.analyst.published import PublishedDataset
from publisher.definitions import period as civil
from publisher.privacy.fit import fit_of
from publisher.release.table import cell_ids

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from small_town import Town

    from publisher.stages import Floats
    from publisher.workspace import DatasetFile

DENSE = np.arange(28, dtype=np.int64) * 30 + 200
NO_QUERY = "by key columns only"


def exact(dataset: DatasetFile, drawn: Any, weights: Floats) -> tuple[float, float]:
    """The weighed sum of unprojected estimates and its half width, from the weights of all measurements."""
    levels = dataset.levels(civil.parse("2020-01"))
    noise = [next(each.scale for each in drawn.mechanisms if each.level == level.name) ** 2 for level in levels]
    fit = fit_of(levels, noise)
    center = fit.estimate([drawn.tables[level.name, "requests"][:, None].astype(float) for level in levels])[-1][:, 0]
    of_all = fit.weights(len(levels) - 1, np.arange(28))
    variance = sum(v * float(((each @ weights) ** 2).sum()) for v, each in zip(noise, of_all, strict=True))
    return float(weights @ center), 1.96 * variance**0.5 + 0.5


def named(ids: Sequence[str]) -> str:
    """A filter that chooses rows by their ids."""
    quoted = ", ".join("'" + each.replace("'", "''") + "'" for each in ids)
    return f"id IN ({quoted})"


@pytest.mark.parametrize("rollups", [CHAIN, LATTICE, CHAIN[:1]])
def test_sums_of_published_measurements_are_exact(town: Town, tmp_path: Path, rollups: Any) -> None:
    """Where measurements are published, a sum over any rows is that of the unprojected estimates, and its range that of
    their exact covariance."""
    dataset = example(town, rollups, publish_measurements=True)
    drawn = noisy(dataset, DENSE * 0 + 2)
    path = written(tmp_path, PublishedDataset(dataset, (released(tmp_path, dataset, drawn),)))
    ids, source = np.array(cell_ids(drawn.levels[-1].grid).to_pylist()), np.random.default_rng(1)
    for _ in range(6):
        first, second = source.random((2, 28)) < 0.4
        center, half = exact(dataset, drawn, first.astype(float))
        found = answer(path, "margin_of_sum", "town", "requests", named(ids[first]))
        if found["read_from"] == "town":
            ends = max(math.ceil(center - half - 1e-6), 0), max(math.floor(center + half + 1e-6), 0)
            assert (found["value"], found["low"], found["high"]) == (max(round(center), 0), *ends)
        center, half = exact(dataset, drawn, first.astype(float) - second)
        found = answer(path, "margin_of_difference", "town", "requests", named(ids[first]), named(ids[second]))
        assert found["difference"] == round(center)
        assert (found["low"], found["high"]) == (math.ceil(center - half - 1e-6), math.floor(center + half + 1e-6))


@pytest.mark.parametrize("rollups", [CHAIN, LATTICE])
def test_without_measurements_ranges_give_the_estimates(town: Town, tmp_path: Path, rollups: Any) -> None:
    """The middle of a range that is not cut is the unprojected estimate to half a step: the sum is within half a step
    per row of the exact one, and its range contains the exact range."""
    dataset = example(town, rollups)
    drawn = noisy(dataset, DENSE)
    path = written(tmp_path, PublishedDataset(dataset, (released(tmp_path, dataset, drawn),)))
    ids = cell_ids(drawn.levels[-1].grid).to_pylist()
    rows = np.arange(28) % 5 < 2
    center, half = exact(dataset, drawn, rows.astype(float))
    found = answer(
        path, "margin_of_sum", "town", "requests", named([each for each, row in zip(ids, rows, strict=True) if row])
    )
    assert found["read_from"] == "town"
    assert abs(found["value"] - center) <= rows.sum() / 2
    assert half <= found["margin"] <= half + rows.sum() / 2 + 1


def test_a_published_total_is_preferred(town: Town, tmp_path: Path) -> None:
    """Rows that together are one published cell are answered with it, even where some of them are withheld; so are
    rows that are several of its cells, with their exact margin."""
    rule = {"measure": "requests", "threshold": 300}
    path = town_file(tmp_path, example(town, CHAIN, suppression=rule), DENSE)
    ((value, low, high),) = ask(path, "SELECT requests, requests_low, requests_high FROM town_city")
    found = answer(path, "margin_of_sum", "town", "requests")
    assert (found["value"], found["low"], found["high"], found["read_from"]) == (value, low, high, "town_city")
    assert found["withheld"] > 0
    found = answer(path, "margin_of_sum", "town", "requests", "place IN ('A', 'B')")
    assert (found["read_from"], found["reason"], found["cells"]) == ("town_places", None, 8)


def test_a_sum_without_a_sound_center_has_a_reason(town: Town, tmp_path: Path) -> None:
    """Withheld rows, ranges that are cut at zero, no rows, unknown measures and means: nothing but the reason."""
    rule = {"measure": "requests", "threshold": 300}
    (tmp_path / "one").mkdir()
    path = town_file(tmp_path / "one", example(town, LATTICE, suppression=rule), DENSE)
    found = answer(path, "margin_of_sum", "town", "requests", "place = 'A'")
    assert found["reason"] == "4 of the rows are withheld, and no published total is their sum"
    assert {found[name] for name in ("value", "low", "high", "margin", "margin_percent", "read_from")} == {None}
    found = answer(path, "margin_of_difference", "town", "requests", "place = 'F'", "place = 'A'")
    assert (found["difference"], found["low"]) == (None, None)
    assert "4 of the rows are withheld" in found["reason"]
    for filter_, reason in (("place = 'Z'", "no row has these keys"), ("place = 'F'", None)):
        assert answer(path, "margin_of_sum", "town", "requests", filter_)["reason"] == reason
    assert "no measure of that name" in answer(path, "margin_of_sum", "town", "nothing")["reason"]
    measures = town.COUNT, town.SUM, town.MEAN
    (tmp_path / "two").mkdir()
    path = town_file(tmp_path / "two", example(town, LATTICE, measures=measures), DENSE * 0)
    found = answer(path, "margin_of_sum", "town", "requests", "place IN ('A', 'B')")
    assert found["value"] is None
    assert found["reason"].startswith("only projected values are published: the range of ")
    assert "do not add up" in answer(path, "margin_of_sum", "town", "mean_paid")["reason"]


def test_negative_sums_are_not_cut(town: Town, tmp_path: Path) -> None:
    """A sum whose values may be below zero has whole ranges there too, and no floor."""
    measures = town.COUNT, town.SUM
    path = town_file(tmp_path, example(town, LATTICE, measures=measures), -DENSE)
    found = answer(path, "margin_of_sum", "town", "paid", "place IN ('A', 'B')")
    assert (found["reason"], found["high"] < 0) == (None, True)


@pytest.mark.parametrize("alias", ["city", "open data"])
def test_macros_work_under_any_name(town: Town, tmp_path: Path, alias: str) -> None:
    """Attached under any name, with the reader's own database in use, every macro answers as in the opened file."""
    path = town_file(tmp_path, example(town, CHAIN), DENSE)
    first, second = "2020-01.a.trees", "2020-01.f.water"
    asked = (
        ("margin_of_sum", "requests", "place = 'O''Fallon' AND category <> 'trees'"),
        ("margin_of_difference", "requests", "place = 'A'", "place = 'B'"),
        ("differ", "requests", first, second),
    )
    for macro, *given in asked:
        opened = answer(path, macro, "town", *given)
        assert opened["reason"] is None
        with duckdb.connect() as connection:
            connection.execute("CREATE TABLE _rows (nothing TEXT)")
            connection.execute(f"ATTACH '{path}' AS \"{alias}\" (READ_ONLY)")
            for table in (f'"{alias}".town', f'"{alias}".main.town', f'"{alias}"."town"'):
                marks = ", ".join("?" * len(given))
                found = connection.execute(f'FROM "{alias}".{macro}(?, {marks})', [table, *given]).fetchall()
                assert found == [tuple(opened.values())]


BY_KEY = {
    "place = 'O''Fallon'": 4,
    "category = 'trash; and such'": 7,
    "category_name = 'Trash' AND period = '2020-01'": 7,
    "period_start >= DATE '2020-01-01' AND place LIKE 'O%'": 4,
    "\"place\" IN ('A', 'select', '--', 'requests')": 4,
    "true) OR (place = 'A'": 28,
}
NOT_BY_KEY = (
    "requests >= 5",
    "requests_status = 'ok'",
    '"requests_low" > 3',
    "REQUESTS > 5",
    "requests_reason IS NULL",
    "id IN (SELECT id FROM town WHERE requests > 5)",
    "id IN (FROM town)",
    "true) UNION SELECT id FROM town WHERE (requests > 5",
    "true; DROP TABLE _rows",
    "true -- and no more",
    "true /* and */",
    "place = $$A$$",
    "edition = 1",
)
NO_SQL = ("nonsense = 1", "place = ", "place = 'A", "read_csv('/etc/passwd') = 1", ")")


def test_filters_choose_rows_by_key_alone(town: Town, tmp_path: Path) -> None:
    """Quotes, semicolons and words of SQL inside quoted keys are keys. Rows chosen by value, status or another query
    have no margin, and nothing is run; what DuckDB does not understand is its error. The file is locked as in
    `publisher sql`, and stays as it is."""
    path = town_file(tmp_path, example(town), DENSE)
    before = path.read_bytes()
    for filter_, cells in BY_KEY.items():
        found = answer(path, "margin_of_sum", "town", "requests", filter_)
        assert (found["cells"], found["reason"]) == (cells, None), filter_
    for filter_ in NOT_BY_KEY:
        found = answer(path, "margin_of_sum", "town", "requests", filter_)
        assert found["value"] is None, filter_
        assert NO_QUERY in found["reason"], filter_
    for first, second in ((NOT_BY_KEY[0], "place = 'A'"), ("place = 'A'", NOT_BY_KEY[0])):
        assert NO_QUERY in answer(path, "margin_of_difference", "town", "requests", first, second)["reason"]
    for filter_ in NO_SQL:
        with pytest.raises(duckdb.Error):
            answer(path, "margin_of_sum", "town", "requests", filter_)
    assert path.read_bytes() == before


def test_an_unknown_table_is_named(town: Town, tmp_path: Path) -> None:
    """The error lists the tables there are."""
    path = town_file(tmp_path, example(town), DENSE)
    for table in ("nothing", "town; DROP TABLE town", 'x"; --'):
        with pytest.raises(duckdb.Error, match="there is no such table; there are: town, town_parts, town_kinds"):
            answer(path, "margin_of_sum", table, "requests")


def test_two_rows_differ_or_cannot_be_told_apart(town: Town, tmp_path: Path) -> None:
    """The verdict follows the range of the difference; rows that are missing or withheld have a reason."""
    truth = DENSE * 0 + 500
    truth[0] = 800
    path = town_file(tmp_path, example(town, suppression={"measure": "requests", "threshold": 450}), truth)
    trees, water, trash = (f"2020-01.a.{each}" for each in ("trees", "water", "trash-and-such"))
    found = answer(path, "differ", "town", "requests", trees, water)
    assert found["verdict"] == "the first is higher"
    middle, half = (found["low"] + found["high"]) / 2, (found["high"] - found["low"]) / 2
    assert abs(middle - 300) <= 3 * half  # 5.9 standard deviations: a sound range fails once in a hundred million runs
    assert answer(path, "differ", "town", "requests", water, trees)["verdict"] == "the second is higher"
    assert answer(path, "differ", "town", "requests", water, water)["verdict"] == "cannot be told apart"
    assert answer(path, "differ", "town", "requests", water, "2020-01.nowhere")["reason"] == "no row has these keys"
    assert answer(path, "differ", "town", "requests", water, trash)["reason"] is None


def test_editions_of_another_definition_have_no_margin(town: Town, tmp_path: Path) -> None:
    """How their tables overlap is not known: neither where the definition was edited, nor where an older version did
    not record it. Each still is a table, and one alone needs no rollups."""
    dataset = example(town)
    for name, says in (("edited", {"parts": {"keys": "other"}}), ("older", {"parts": {}})):
        (tmp_path / name).mkdir()
        release = released(tmp_path / name, dataset, noisy(dataset, DENSE), **says)
        path = written(tmp_path / name, PublishedDataset(dataset, (release,)))
        assert "another definition" in answer(path, "margin_of_sum", "town", "requests")["reason"]
        assert ask(path, "SELECT count(*) FROM town") == [(28,)]
        single = example(town, ())
        release = released(tmp_path / name, single, noisy(single, DENSE), "2020-02", **says)
        path = written(tmp_path / name, PublishedDataset(single, (release,)))
        found = answer(path, "margin_of_sum", "town", "requests")
        assert found["margin"] == pytest.approx(1.96 * (28 * 16) ** 0.5 + 14, abs=2)


def test_periods_add(town: Town, tmp_path: Path) -> None:
    """Releases are independent: the variance of a sum over two of them is the sum of both."""
    dataset = example(town, publish_measurements=True)
    releases = [released(tmp_path, dataset, noisy(dataset, DENSE, each), each) for each in ("2020-01", "2020-02")]
    path = written(tmp_path, PublishedDataset(dataset, releases))
    one = answer(path, "margin_of_sum", "town", "requests", "place IN ('A', 'F') AND period = '2020-01'")["margin"]
    both = answer(path, "margin_of_sum", "town", "requests", "place IN ('A', 'F')")["margin"]
    assert both - 0.5 == pytest.approx((one - 0.5) * 2**0.5, abs=2)


def test_distinct_units_of_several_cells_are_independent(town: Town, tmp_path: Path) -> None:
    """Units that may be in several cells do not add up over tables: the margin is that of the noise of their rows."""
    several = example(town.people(k=2, measures=(town.COUNT, town.UNITS)))
    path = town_file(tmp_path, several, DENSE)
    scale = ask(path, "SELECT variance, alone FROM _noise WHERE table_name = 'town' AND measure = 'people'")
    assert scale[0][1] is True
    found = answer(path, "margin_of_sum", "town", "people", "place IN ('A', 'F')")
    assert found["margin"] == pytest.approx(1.96 * (8 * scale[0][0]) ** 0.5 + 4, abs=2)
