"""`publisher check` and `publisher show` know the tables of rollups."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from release_examples import ready, workspace

from publisher.commands.check import inspect_workspace
from publisher.commands.show import expected, present, present_expected, presented
from publisher.commands.verify import verified
from publisher.errors import DefinitionError
from publisher.pipeline.journaling import follow
from publisher.pipeline.session import locked
from publisher.planning.bins import wide_bins
from publisher.planning.forecast import public
from publisher.release.manifest import Release
from publisher.release.structure import structure
from publisher.workspace import find_workspace

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
        follow(catalog.journal, catalog.ledger, settle=False)
        yield catalog


def test_wide_bins_are_named(place: Workspace) -> None:
    """`check` and `plan` warn of bins whose middle is never sure to 33%. The open bin cannot be judged, nor one around
    zero that is no wider than the next; whole days fill less of a bin than the numbers in between; and a quantile that
    is not published needs no bins."""
    words = "dataset weekly: times has the bin 3 to 10: in the middle of it, median_days is more than ±33% unsure"
    assert [each for each in inspect_workspace(place) if "unsure" in each] == [
        f"warning: {words}, whatever the loss: divide it"
    ]
    dataset = place.dataset("weekly")
    assert [each for each in public(place, [dataset]).warnings if "unsure" in each] == [
        f"{words}, whatever the loss: divide it"
    ]
    assert not place.state.exists()

    def named(bins: list[int], resolution: int | None = None, *, publish: bool = True) -> list[str]:
        path = place.root / "datasets/weekly.toml"
        kept = path.read_text()
        more = f"probability = 0.5\npublish = {str(publish).lower()}\n"
        more += f"resolution = {resolution}\n" if resolution else ""
        path.write_text(kept.replace("[0, 3, 10]", str(bins)).replace("probability = 0.5\n", more))
        found = list(wide_bins(find_workspace(place.root).dataset("weekly")))
        path.write_text(kept)
        return [each.partition(" has the ")[2].partition(":")[0] for each in found]

    assert named([0, 1, 2, 3, 5, 7, 14, 28, 60, 90]) == ["bin 28 to 60"]
    assert named([0, 1, 2, 3, 5, 7, 14, 28, 60, 90], 1) == ["bin 28 to 59"]
    assert named([0, 5, 6], 1) == ["bin 0 to 4"]
    assert named([-14, -7, -3, 0, 2, 3]) == ["bins -7 to -3, -3 to 0, 0 to 2"]
    assert named([0, 5, 6], 1, publish=False) == []


def test_check_reads_the_suite_of_every_table(place: Workspace) -> None:
    """No table needs a suite, and none is written; each may have one. What a suite repeats of the definition, a suite
    that no table has, and one that is broken are named by their file."""
    folder, dataset = place.root / "expectations", place.dataset("weekly")
    said = list(inspect_workspace(place))
    assert "dataset weekly: requests, times, median_days by ward; rolled up to city, districts" in said
    assert not folder.exists()
    folder.mkdir()
    repeated = [rule.entry for rule in structure(dataset, "city")]
    limit = {"type": "expect_column_sum_to_be_between", "kwargs": {"column": "requests", "max_value": 9}}
    (folder / "weekly-city.json").write_text(json.dumps({"name": "weekly-city", "expectations": [*repeated, limit]}))
    (folder / "weekly.json").write_text(json.dumps({"name": "weekly", "expectations": [limit]}))
    (folder / "weekli.json").write_text(json.dumps({"name": "weekli", "expectations": [limit]}))
    many = len(repeated)
    words = f"{many} of {many + 1} expectations follow from the definition anyway: delete them and keep the other 1"
    assert list(inspect_workspace(place)) == [
        said[0],
        f"expectations/weekly-city.json: {words}",
        *said[1:4],
        "expectations/weekli.json: there is no table weekli, so nothing reads it: rename or delete it",
        said[4],
    ]
    (folder / "weekly-city.json").write_text("{")
    with pytest.raises(DefinitionError, match=r"weekly-city\.json:1: is not valid JSON"):
        list(inspect_workspace(place))


def test_show_lists_what_is_expected(place: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Every table's expectations in words, by where they come from; one table's when it is named."""
    folder, dataset = place.root / "expectations", place.dataset("weekly")
    limit = {"type": "expect_column_sum_to_be_between", "kwargs": {"column": "requests", "max_value": 9000}}
    folder.mkdir()
    (folder / "weekly-city.json").write_text(json.dumps({"name": "weekly-city", "expectations": [limit]}))
    found = expected(place, dataset)
    assert list(dict.fromkeys(each.table for each in found)) == ["weekly", "weekly-city", "weekly-districts"]
    decided = [each for each in found if each.origin == "people"]
    assert [(each.words, each.file) for each in decided] == [
        ("requests: the total must be at most 9,000", "expectations/weekly-city.json")
    ]
    assert expected(place, dataset, "city") == [each for each in found if each.table == "weekly-city"]
    present_expected(found)
    shown = capsys.readouterr().out.splitlines()
    assert "  Decided by people (expectations/weekly-city.json)" in shown
    assert "    requests: the total must be at most 9,000" in shown
    assert "  Decided by people: nothing. Write expectations/weekly.json to expect more." in shown
    (ward,) = [line for line in shown if line.startswith("    ward: ")]
    assert "every value must be one of the public keys; nothing may look like an e-mail address or a phone" in ward
    with pytest.raises(DefinitionError, match=r"^weekly: has no rollup 'wards'; its rollups: city, districts$"):
        expected(place, dataset, "wards")


def test_show_takes_a_companion(place: Workspace, catalog: Catalog, capsys: pytest.CaptureFixture[str]) -> None:
    """A rollup's table is shown by its name, with the release's status and guarantee; the others are named."""
    dataset = place.dataset("weekly")
    main, city = presented(catalog, dataset, None), presented(catalog, dataset, "2018-W01", "city")
    assert (main.name, city.name) == ("weekly/2018-W01/1", "weekly-city/2018-W01/1")
    assert (main.status, main.statement, main.folder) == (city.status, city.statement, city.folder)
    assert (main.companions, city.companions) == (("city", "districts"), ("districts",))
    release = catalog.current("weekly")[0]
    assert list(city.columns) == pq.read_table(release.companion("city").data).column_names
    assert [row[0] for row in city.rows] == ["2018-W01"]
    present(city)
    shown = capsys.readouterr().out
    assert shown.startswith("weekly-city/2018-W01/1: ready\n")
    assert "Other tables: districts." in shown
    with pytest.raises(DefinitionError, match=r"weekly/2018-W01/1: has no table 'wards'; .*: city, districts$"):
        presented(catalog, dataset, None, "wards")


def test_show_says_the_guarantee_in_spanish(
    place: Workspace, catalog: Catalog, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same numbers; a guarantee that cannot be said whole is an error that says what to do, not half of it."""
    dataset = place.dataset("weekly")
    with pytest.raises(DefinitionError, match=r"^weekly/.*: .* not say all of its guarantee in 'es': leave out --lang"):
        presented(catalog, dataset, None, language="es")
    words = "# How privacy is protected in Requests, 2018-W01\n\nA record counts in exactly one cell.\n"
    words += "\n100% means that nothing is promised.\n"
    monkeypatch.setattr(Release, "statement", words)
    present(presented(catalog, dataset, None, language="es"))
    shown = capsys.readouterr().out
    assert "Cómo se protege la privacidad en Requests, 2018-W01" in shown
    assert "Un registro cuenta en exactamente una celda." in shown
    assert "El 100 % significa que no se promete nada." in shown
    assert "A record" not in shown
    assert presented(catalog, dataset, None).statement == words


@pytest.mark.parametrize("name", ["rollup-city.csv", "measurements-districts.parquet", "guarantee.html"])
def test_verify_covers_every_file(place: Workspace, catalog: Catalog, name: str) -> None:
    """A changed byte in any file of any level is found and named."""
    datasets = [place.dataset("weekly")]
    assert [each.faults for each in verified(place, catalog, datasets, offline=True) if each.faults] == []
    path = catalog.current("weekly")[0].path(name)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    faults = [each.faults for each in verified(place, catalog, datasets, offline=True) if each.faults]
    assert faults == [(f"weekly/2018-W01/1: changed since it was written: {name}",)]
