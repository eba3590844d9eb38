"""The analyst file holds every current table, companions too, and describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest
from release_examples import contents, drawn, rich

from publisher.errors import SourceError
from publisher.release.analyst import write_analyst_file
from publisher.release.store import ReleaseStore

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Town

    from publisher.release.manifest import Release


@pytest.fixture
def releases(town: Town, tmp_path: Path) -> list[Release]:
    """A month without rollups, then two with them; the last one is provisional."""
    store, dataset = ReleaseStore(tmp_path, tmp_path / "private"), rich(town).dataset_file()
    months = ((town.dataset_file(), "2019-12"), (dataset, "2020-01"), (dataset, "2020-02"))
    return [
        store.write(*contents(each, drawn(each, period), period=period, final=period != "2020-02"))
        for each, period in months
    ]


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_every_companion_is_a_table(releases: list[Release], tmp_path: Path) -> None:
    """A rollup's releases are one table, named like its dataset with a low line, with their rows and descriptions."""
    path = write_analyst_file(tmp_path, {"town": releases}, {"town": "Town"})
    names = {name for (name,) in ask(path, "SELECT table_name FROM duckdb_tables()")}
    assert names == {"town", "town_city", "town_halves", "_releases", "_columns", "_guarantees"}
    assert ask(path, "SELECT id FROM town_city") == [("2020-01",), ("2020-02",)]
    assert ask(path, "SELECT count(*) FROM town") == [(27,)]
    halves = pq.read_table(releases[-1].companion("halves").data)
    found = ask(path, "SELECT id, requests, median_size_range FROM town_halves WHERE period = '2020-02' ORDER BY id")
    wanted = zip(*(halves[name].to_pylist() for name in ("id", "requests", "median_size_range")), strict=True)
    assert found == sorted(wanted)
    described = ask(path, "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'town_halves'")
    assert [name for name, _ in described] == halves.column_names
    assert all(comment for _, comment in described)


def test_companions_are_described_like_datasets(releases: list[Release], tmp_path: Path) -> None:
    """_releases and _columns have each table's rows, and say which release is provisional; a guarantee stands once."""
    path = write_analyst_file(tmp_path, {"town": releases, "empty": []}, {"town": "Town", "empty": "Nothing"})
    rows = ask(path, "SELECT dataset, title, period, rows, final FROM _releases ORDER BY dataset, period")
    assert rows == [
        ("town", "Town", "2019-12", 9, True),
        ("town", "Town", "2020-01", 9, True),
        ("town", "Town", "2020-02", 9, False),
        ("town-city", "All of the town", "2020-01", 1, True),
        ("town-city", "All of the town", "2020-02", 1, False),
        ("town-halves", "Halves", "2020-01", 2, True),
        ("town-halves", "Halves", "2020-02", 2, False),
    ]
    for name in ("town", "town-city", "town-halves"):
        columns = ask(path, f"SELECT name FROM _columns WHERE dataset = '{name}' ORDER BY position")
        table = ask(path, f"SELECT column_name FROM duckdb_columns() WHERE table_name = '{name.replace('-', '_')}'")
        assert sorted(columns) == sorted(table)
    assert ask(path, "SELECT dataset, count(*) FROM _guarantees GROUP BY ALL") == [("town", 3)]


@pytest.mark.parametrize("name", ["data.parquet", "rollup-city.parquet", "guarantee.json", "guarantee.md"])
def test_a_damaged_release_is_named(releases: list[Release], tmp_path: Path, name: str) -> None:
    """The file of the release, not the analyst file, is what is wrong; the analyst file stays as it was."""
    made = write_analyst_file(tmp_path, {"town": releases}, {"town": "Town"})
    before = made.read_bytes()
    path = releases[-1].folder / name
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(SourceError, match=rf"^{path}: changed since it was written: restore it from a backup$"):
        write_analyst_file(tmp_path, {"town": releases}, {"town": "Town"})
    assert made.read_bytes() == before
