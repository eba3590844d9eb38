"""`publisher.open_data`: the analyst file in pandas, and what is too large for SQL solved in Python."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from analyst_examples import CHAIN, LATTICE, ask, example, town_file

import publisher
from publisher.analyst import weights
from publisher.errors import DefinitionError, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from small_town import Town

TRUTH = np.arange(28, dtype=np.int64) * 30 + 200


@pytest.mark.usefixtures("processes")
def test_importing_publisher_is_light() -> None:
    """Neither pandas nor DuckDB is loaded before a file is opened."""
    words = "import sys, publisher; print({'pandas', 'duckdb', 'numpy', 'pyarrow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_tables_are_frames(town: Town, tmp_path: Path) -> None:
    """Every table by its name, with ranges and dates; `values` has all of them; unknown names list those there are."""
    path = town_file(tmp_path, example(town, CHAIN), TRUTH)
    with publisher.open_data(path) as city:
        assert city.tables == {
            "town": "Town", "town_city": "The town", "town_parts": "Parts", "town_places": "Places",
        }  # fmt: skip
        frame = city["town"]
        assert (len(frame), str(frame["period_start"].dtype)) == (28, "datetime64[us]")
        assert (frame["requests_low"] <= frame["requests"]).all()
        assert len(city.values) == 28 + 1 + 3 + 7
        assert len(city["_tables"]) == 4
        for name in ("nothing", '_rows"', "_rows"):
            with pytest.raises(DefinitionError, match=r"there is no table .*; there are: town, town_city"):
                city[name]


def test_margins_are_those_of_the_macros(town: Town, tmp_path: Path) -> None:
    """The same answers as in SQL; a filter that is no SQL is an error in DuckDB's words."""
    path = town_file(tmp_path, example(town), TRUTH)
    with publisher.open_data(path) as city:
        found = city.margin_of_sum("town", "requests", "place = 'A'")
        assert [tuple(found)] == ask(path, "FROM margin_of_sum('town', 'requests', 'place = ''A''')")
        found = city.margin_of_difference("town", "requests", "place = 'A'", "place = 'B'")
        query = "FROM margin_of_difference('town', 'requests', 'place = ''A''', 'place = ''B''')"
        assert [tuple(found)] == ask(path, query)
        found = city.differ("town_kinds", "requests", "2020-01.trees", "2020-01.water")
        assert found["verdict"] in {"the first is higher", "the second is higher", "cannot be told apart"}
        assert city.margin_of_sum("town", "requests", "requests > 5")["value"] is None
        with pytest.raises(DefinitionError, match="nonsense"):
            city.margin_of_sum("town", "requests", "nonsense = 1")
        with pytest.raises(DefinitionError, match="there is no table"):
            city.margin_of_sum("nothing", "requests")


def test_large_lattices_are_solved(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tables overlap in more cells than the file solves for, SQL gives the reason and Python the same answer as
    SQL gives where the file does."""
    dataset = example(town, LATTICE, publish_measurements=True)
    path = town_file(tmp_path, dataset, TRUTH)
    first, second = "place IN ('A', 'O''Fallon') AND category <> 'trees'", "place = 'B'"
    with publisher.open_data(path) as city:
        wanted = (
            city.margin_of_sum("town", "requests", first),
            city.margin_of_difference("town", "requests", first, second),
        )
    monkeypatch.setattr(weights, "LARGEST", 3)
    (tmp_path / "large").mkdir()
    large = town_file(tmp_path / "large", dataset, TRUTH)
    ((value, reason),) = ask(large, f"SELECT value, reason FROM margin_of_sum('town', 'requests', $${first}$$)")
    assert value is None
    assert "publisher.open_data(path) in Python solves it" in reason
    assert ask(large, "SELECT count(*) FROM _pull") == [(0,)]
    with publisher.open_data(large) as city:
        found = (
            city.margin_of_sum("town", "requests", first),
            city.margin_of_difference("town", "requests", first, second),
        )
        single = city.margin_of_sum("town_parts", "requests", "part = 'Up'")
    for one, other in zip(wanted, found, strict=True):
        assert other["reason"] is None
        assert other["margin"] == pytest.approx(one["margin"], abs=1.01)  # another draw, another rounding of its ends
    assert single["reason"] is None


@pytest.mark.parametrize("content", [None, b"junk" * 3000, b""])
def test_what_is_no_analyst_file_is_one_error(tmp_path: Path, content: bytes | None) -> None:
    """A missing file, and one that is something else."""
    path = tmp_path / "open_data.duckdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((DefinitionError, SourceError), match=r"open_data\.duckdb"):
        publisher.open_data(path)
