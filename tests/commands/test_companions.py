"""`publisher check` and `publisher show` know the tables of rollups."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from release_examples import ready, workspace

from publisher.commands.check import inspect_workspace
from publisher.commands.show import present, presented
from publisher.commands.verify import verified
from publisher.errors import DefinitionError
from publisher.pipeline.session import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from publisher.pipeline.catalog import Catalog
    from publisher.workspace import Workspace


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return workspace(tmp_path)


@pytest.fixture
def catalog(place: Workspace) -> Iterator[Catalog]:
    """With one release."""
    with locked(place) as catalog:
        ready(catalog, place.dataset("weekly"), "2018-W01")
        yield catalog


def test_check_writes_a_suite_for_every_table(place: Workspace) -> None:
    """Each table has a suite of its own, written once; one that is broken is named by its file."""
    said = list(inspect_workspace(place))
    folder = place.root / "expectations"
    names = ["weekly-city.json", "weekly-districts.json", "weekly.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert len([line for line in said if line.startswith("wrote expectations/weekly")]) == 3
    assert "dataset weekly: requests, times, median_days by ward; rolled up to city, districts" in said
    assert json.loads((folder / "weekly-city.json").read_text())["name"] == "weekly-city"
    assert not [line for line in inspect_workspace(place) if line.startswith("wrote")]
    (folder / "weekly-city.json").write_text("{")
    with pytest.raises(DefinitionError, match=r"weekly-city\.json:1: is not valid JSON"):
        list(inspect_workspace(place))


def test_show_takes_a_companion(place: Workspace, catalog: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
    """A rollup's table is shown by its name, with the release's status and guarantee; the others are named."""
    dataset = place.dataset("weekly")
    main, city = presented(catalog, dataset, None), presented(catalog, dataset, "2018-W01", "city")
    assert (main.name, city.name) == ("weekly/2018-W01/1", "weekly-city/2018-W01/1")
    assert (main.status, main.statement, main.folder) == (city.status, city.statement, city.folder)
    assert main.companions == city.companions == ("city", "districts")
    release = catalog.current("weekly")[0]
    assert list(city.columns) == pq.read_table(release.companion("city").data).column_names
    assert [row[0] for row in city.rows] == ["2018-W01"]
    present(city)
    shown = capsys.readouterr().out
    assert shown.startswith("weekly-city/2018-W01/1: ready\n")
    assert "Other tables: city, districts" in shown
    with pytest.raises(DefinitionError, match=r"weekly/2018-W01/1: has no table 'wards'; .*: city, districts$"):
        presented(catalog, dataset, None, "wards")


@pytest.mark.parametrize("name", ["rollup-city.csv", "measurements-districts.parquet", "guarantee.html"])
def test_verify_covers_every_file(place: Workspace, catalog: Catalog, name: str) -> None:
    """A changed byte in any file of any level is found and named."""
    datasets = [place.dataset("weekly")]
    assert [each.faults for each in verified(place, catalog, datasets, offline=True) if each.faults] == []
    path = catalog.current("weekly")[0].folder / name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    faults = [each.faults for each in verified(place, catalog, datasets, offline=True) if each.faults]
    assert faults == [(f"weekly/2018-W01/1: changed since it was written: {name}",)]
